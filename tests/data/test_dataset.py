"""Snippets: which frames they hold, and that seed, epoch and index decide everything."""

import random
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ssmde.config import DataConfig
from ssmde.data.dataset import SnippetDataset, SnippetSampler, SupervisedDepthDataset, spread
from ssmde.data.images import ImageError
from ssmde.data.scene_folder import read_scene
from ssmde.data.sequence import FrameSequence
from ssmde.types import collate

CAMERA = np.array([[30.0, 0, 15.5], [0, 30.0, 15.5], [0, 0, 1]])
PLAIN = {"flip": 0.0, "zoom": 1.0, "color_jitter": 0.0}


def make_sequence(folder, scene, frames, size=(32, 32), *, noise=False, **known):
    """A sequence whose pixels say scene (red) and frame (green), or of one noise."""
    files = tuple(folder / f"scene{scene}_{i:03d}.png" for i in range(frames))
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    for i, file in enumerate(files):
        if not file.exists():
            image = np.full_like(pixels, (scene, i, 7))
            Image.fromarray(pixels if noise else image).save(file)
    known |= {"images": files, "image_size": size}
    return FrameSequence(name=f"scene{scene}", intrinsics=CAMERA, **known)


def make_dataset(folder, lengths=(6, 9), *, seed=0, augment=False, **data):
    sequences = [make_sequence(folder, i, n) for i, n in enumerate(lengths)]
    config = DataConfig(image_size=(32, 32), **data)
    return SnippetDataset(sequences, config, seed=seed, augment=augment)


def contents(snippets):
    """(scene, frame) of every view, as its pixels say."""
    return [tuple(view[:2, 0, 0].tolist()) for view in snippets.images[0]]


def same(a, b):
    tensors = ("images", "intrinsics", "color")
    return a.names == b.names and all(torch.equal(getattr(a, n), getattr(b, n)) for n in tensors)


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    return tmp_path_factory.mktemp("frames")


def test_a_snippet_is_a_target_with_the_frame_before_and_the_frame_after(frames):
    snippets = make_dataset(frames)[0, 0]
    assert contents(snippets) == [(0, 1), (0, 0), (0, 2)]
    assert (snippets.images.shape, snippets.images.dtype) == ((1, 3, 3, 32, 32), torch.uint8)
    assert snippets.target.permute(0, 2, 3, 1).is_contiguous()  # as a decoder leaves them
    assert snippets.intrinsics[0].tolist() == CAMERA.tolist()
    assert snippets.color[0].tolist() == torch.eye(3, 4).tolist()
    assert (snippets.names, snippets.broken) == (("scene0/scene0_001",), ())


@settings(max_examples=10)
@given(
    lengths=st.lists(st.integers(1, 8), min_size=1, max_size=3),
    gaps=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    epoch=st.integers(0, 3),
)
def test_snippets_never_cross_scenes_and_use_only_gaps_that_fit(frames, lengths, gaps, epoch):
    expected = sum(max(0, n - 2 * min(gaps)) for n in lengths)
    if expected == 0:
        with pytest.raises(ValueError, match="no frame has sources on both sides"):
            make_dataset(frames, lengths, frame_gaps=tuple(gaps))
        return
    data = make_dataset(frames, lengths, frame_gaps=tuple(gaps))
    targets = set()
    for index in range(len(data)):
        target, before, after = contents(data[epoch, index])
        assert target[0] == before[0] == after[0]
        assert target[1] - before[1] == after[1] - target[1]
        assert after[1] - target[1] in gaps
        targets.add(target)
    assert len(targets) == len(data) == expected


def test_every_gap_that_fits_is_drawn(frames):
    data = make_dataset(frames, (9,), frame_gaps=(1, 2, 4))
    found = [contents(data[epoch, index]) for epoch in range(8) for index in range(7)]
    gaps = {t: {after - target for (_, target), _, (_, after) in found if target == t}
            for t in range(1, 8)}  # fmt: skip
    assert gaps == {1: {1}, 2: {1, 2}, 3: {1, 2}, 4: {1, 2, 4}, 5: {1, 2}, 6: {1, 2}, 7: {1}}


def test_seed_epoch_and_index_alone_decide_and_the_global_generators_do_not(frames):
    options = {"augment": True, "color_jitter": 1.0, "zoom": 1.5}
    data = make_dataset(frames, (6,), frame_gaps=(1, 2), **options)
    before = np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    once = [data[epoch, index] for epoch in range(2) for index in range(len(data))]
    next(iter(SnippetSampler(len(data), batch_size=2, seed=0)))
    assert (np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(5)
    again = [data[epoch, index] for epoch in (1, 0) for index in reversed(range(len(data)))]
    assert all(same(a, b) for a, b in zip(once, reversed(again), strict=True))
    assert same(data[3], data[0, 3])
    assert not same(data[0, 3], data[1, 3])
    assert not torch.equal(data[0, 3].color, data[0, 2].color)
    other = make_dataset(frames, (6,), seed=1, **options)
    assert not torch.equal(other[0, 3].color, data[0, 3].color)


def test_frames_of_a_snippet_are_cropped_and_mirrored_alike_and_keep_their_bytes(tmp_path):
    sequence = make_sequence(tmp_path, 0, 3, (90, 120), noise=True)
    configs = [DataConfig(image_size=(64, 96), color_jitter=jitter) for jitter in (0.0, 1.0)]
    plain, jittered = (SnippetDataset([sequence], c, seed=0, augment=True) for c in configs)
    views, others = (plain[epoch, 0].images[0] for epoch in range(2))
    assert views.shape == (3, 3, 64, 96)
    assert torch.equal(views[0], views[1])
    assert torch.equal(views[0], views[2])
    assert not torch.equal(views, others)
    assert torch.equal(jittered[0].images[0], views)
    assert not torch.equal(jittered[0].color, plain[0].color)


def test_an_unreadable_frame_is_replaced_and_reported(tmp_path):
    data = make_dataset(tmp_path, (7,), **PLAIN)
    (tmp_path / "scene0_002.png").write_bytes(b"broken")
    snippets = data[0, 0]  # frames 0, 1, 2: the first that does without frame 2 is 3, 4, 5
    assert contents(snippets) == [(0, 4), (0, 3), (0, 5)]
    (report,) = snippets.broken
    assert report.startswith(str(tmp_path / "scene0_002.png: cannot be read"))
    assert (data[0, 4].broken, collate([snippets, data[0, 4]]).broken) == ((), (report,))
    Image.new("RGB", (32, 30)).save(tmp_path / "scene0_002.png")
    assert "its size differs from the 32 x 32 pixels" in data[0, 0].broken[0]
    for file in tmp_path.iterdir():
        file.write_bytes(b"")
    with pytest.raises(ImageError, match=r"50 snippets in a row .* last: .*png: the file is empty"):
        data[0, 0]


def test_unknown_intrinsics_and_short_scenes_are_refused(frames):
    unknown = FrameSequence(name="lobby", images=(Path("/d/lobby/0.jpg"),), image_size=(8, 8))
    with pytest.raises(ValueError, match=r"'lobby': intrinsics are unknown.*/d/lobby/cam\.tx"):
        SnippetDataset([unknown], DataConfig(), seed=0, augment=False)
    for lengths, says in (((6,), "'scene0' has 6; .*frame_gaps"), ((), "there are no scenes")):
        with pytest.raises(ValueError, match=rf"sources on both sides at gaps \(3, 5\): {says}"):
            make_dataset(frames, lengths, frame_gaps=(3, 5))
    with pytest.raises(IndexError, match="snippet 11 of 11"):
        make_dataset(frames)[0, 11]


# Their order


@given(
    length=st.integers(1, 30), share=st.integers(1, 6), world=st.integers(1, 4),
    start=st.integers(0, 40), seed=st.integers(0, 3),
)  # fmt: skip
def test_each_epoch_sees_each_index_once_from_any_start(length, share, world, start, seed):
    def batches(**options):
        return SnippetSampler(length, batch_size=share * world, seed=seed, **options)

    through = list(islice(batches(), start, start + 5))
    assert list(islice(batches(start_step=start), 5)) == through
    ranks = [batches(start_step=start, rank=r, world=world) for r in range(world)]
    parts = zip(*(islice(rank, 5) for rank in ranks), strict=True)
    assert [list(chain(*part)) for part in parts] == through
    keys = [key for batch in islice(batches(), 20) for key in batch]
    assert [epoch for epoch, _ in keys] == [p // length for p in range(len(keys))]
    whole = len(keys) // length * length
    assert len(set(keys[:whole])) == whole


def test_epochs_are_shuffled_and_batches_have_the_sizes_in_turn_wherever_a_run_starts():
    late = SnippetSampler(1000, batch_size=4, seed=0, start_step=10**9)  # costs nothing
    assert next(iter(late))[0][0] == 4 * 10**6
    epochs = islice(SnippetSampler(12, batch_size=12, seed=0), 2)
    first, second = ([index for _, index in batch] for batch in epochs)
    assert first != second
    assert first != list(range(12))
    sampler = SnippetSampler(12, batch_size=4, seed=0, sizes=3)
    assert [{key[2] for key in batch} for batch in islice(sampler, 5)] == [{0}, {1}, {2}, {0}, {1}]
    later = SnippetSampler(12, batch_size=4, seed=0, sizes=3, start_step=2)
    assert list(islice(later, 3)) == list(islice(sampler, 2, 5))


@given(
    weights=st.lists(st.floats(0.05, 20), min_size=2, max_size=12), seed=st.integers(0, 3),
    epoch=st.integers(0, 3),
)  # fmt: skip
def test_an_epoch_holds_each_snippet_its_due_times_rounded_up_or_down(weights, seed, epoch):
    n = len(weights)
    sampler = SnippetSampler(n, batch_size=n, seed=seed, weights=np.array(weights))
    keys = next(islice(sampler, epoch, None))
    counts = np.bincount([index for _, index in keys], minlength=n)
    due = n * np.array(weights) / sum(weights)
    assert (counts >= np.floor(due - 1e-9)).all()
    assert (counts <= np.ceil(due + 1e-9)).all()
    assert next(islice(sampler, epoch, None)) == keys


@given(length=st.integers(0, 50), most=st.integers(1, 20))
def test_a_selection_is_even_and_in_order(length, most):
    assert (spread(10, 2), spread(3, 5)) == ([2, 7], [0, 1, 2])  # the middle of each part
    chosen = spread(length, most)
    assert len(chosen) == min(length, most)
    assert all(0 <= index < length for index in chosen)
    steps = np.diff(chosen)
    assert (steps >= 1).all()
    assert steps.max(initial=0) - steps.min(initial=length) <= 1


# Frames with measured depth


@pytest.fixture
def scene(room):
    return read_scene(room)


def supervised(*scenes, augment=False, with_cameras=True, **data):
    config = DataConfig(image_size=(32, 64), **(PLAIN | data))
    options = {"seed": 0, "augment": augment, "with_cameras": with_cameras}
    return SupervisedDepthDataset(scenes, config, **options)


def test_every_frame_with_measured_depth_is_there_once_and_turns_with_its_depth(scene):
    data = supervised(replace(scene, depth=(None, *scene.depth[1:3], None, None)))
    names = [scene.frame_name(1), scene.frame_name(2)]
    assert [data[i].names[0] for i in range(len(data))] == names
    assert (data[0].target.shape, data[0].sources.shape) == ((1, 3, 32, 64), (1, 0, 3, 32, 64))
    assert data[0].gt_depth.shape == (1, 1, 32, 64)
    assert data[0].gt_depth.median() > 0.5
    plain, mirrored = (supervised(scene, augment=True, flip=flip)[0] for flip in (0.0, 1.0))
    assert (plain.target.flip(-1) == mirrored.target).all()
    assert (plain.gt_depth.flip(-1) == mirrored.gt_depth).all()
    scene.depth[0].write_bytes(b"no image")
    snippet = supervised(scene)[0]
    assert snippet.names[0] == scene.frame_name(1)
    assert scene.depth[0].name in snippet.broken[0]


def test_each_pattern_of_scenes_has_its_share_and_the_first_that_fits_counts(scene):
    scenes = [replace(scene, name=name) for name in ("room_a", "room_b", "real", "other")]
    shares = (("room_b", 0.3), ("room_*", 0.2), ("real", 0.5))
    weights = supervised(*scenes, scene_weights=shares).weights()
    per_scene = weights.reshape(4, 5).sum(1)  # five frames a scene
    assert per_scene == pytest.approx([0.2, 0.3, 0.5, 0.25])
    assert weights[:5] == pytest.approx([0.04] * 5)


def test_scenes_without_depth_or_camera_and_patterns_that_fit_none_are_refused(scene):
    with pytest.raises(ValueError, match=r"no frame has measured depth .* 'room'"):
        supervised(replace(scene, depth=None))
    with pytest.raises(ValueError, match="no scene with measured depth is called 'rom_"):
        supervised(scene, scene_weights=(("rom_*", 1.0),)).weights()
    unknown = replace(scene, intrinsics=None)
    with pytest.raises(ValueError, match="intrinsics are unknown"):
        supervised(unknown)
    assert supervised(unknown, with_cameras=False)[0].intrinsics.isnan().all()


def test_each_training_size_is_what_the_key_asks_for(scene):
    data = supervised(scene, augment=True, more_sizes=((64, 32),), degrade=1.0)
    snippets = [data[(0, 1, size)] for size in (0, 1)]
    assert [s.target.shape[-2:] for s in snippets] == [(32, 64), (64, 32)]
    assert [s.gt_depth.shape[-2:] for s in snippets] == [(32, 64), (64, 32)]
