"""Camera, truth and labels: unlikely, broken or inverted ones are named, good ones not."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from ssmde.data.pseudo_labels import LabelInfo, write_labels
from ssmde.data.scene_files import write_scene_info, write_tracked_points
from ssmde.data.scene_folder import read_scene
from ssmde.diagnosis import files

MOST = 8


@pytest.mark.parametrize(("file", "content", "what", "remedy"), [
    ("cam.txt", "100 0 63.5 0 -100 47.5 0 0 1", "must be positive, got fx 100", "drop the sign"),
    ("poses.txt", "1 2 3", "expected one line for each of 12 frames", "write the file again"),
    ("000003.png", None, "000003.png: 64 x 48 pixels, but 000000.png has 128 x 96",
     "give each size a scene of its own"),
])  # fmt: skip
def test_what_training_refuses_is_told_in_its_words(file, content, what, remedy, film):
    folder = film()
    if content is None:
        Image.new("RGB", (64, 48)).save(folder / file)
    else:
        (folder / file).write_text(content)
    scenes, (finding,) = files.open_scenes(folder.parent, "all")
    assert (scenes, finding.name, finding.severity, finding.scene) == ([], "files", "blocking",
                                                                      "room")  # fmt: skip
    assert what in finding.what
    assert remedy in finding.remedy


def test_few_frames_are_named_and_enough_are_not(room_video):
    scene = room_video.sequence
    assert not list(files.few_frames([scene] * 17))
    short, whole = files.few_frames([scene.part(0, 2)])
    assert ((short.scene, short.severity), whole.severity) == (("room", "warning"), "blocking")


@pytest.mark.parametrize(("fx", "fy", "cx", "cy", "what"), [
    (100, 110, 70, 47.5, None),
    (10, 10, 63.5, 47.5, "fx 10 at a width of 128 is a field of view of 162 degrees"),
    (2000, 2000, 63.5, 47.5, "a field of view of 4 degrees"),
    (100, 200, 63.5, 47.5, "differ by a factor of 2.00"),
    (100, 100, 31.5, 23.5, "(31.5, 23.5) is far from the middle of 128 x 96 pixels"),
])  # fmt: skip
def test_an_unlikely_camera_is_named(room_video, fx, fy, cx, cy, what):
    K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])
    found = list(files.check_camera(replace(room_video.sequence, intrinsics=K)))
    assert [(f.name, f.severity) for f in found] == [("intrinsics", "warning")] * (what is not None)
    assert all(what in f.what for f in found)


def test_an_unknown_camera_is_named(film):
    folder = film()
    (folder / "cam.txt").unlink()
    (finding,) = files.check_camera(read_scene(folder))
    assert finding.name == "no-intrinsics"
    assert "--hfov-degrees" in finding.remedy


def test_a_depth_of_kilometres_is_a_wrong_unit(room_video, film):
    assert not list(files.check_truth(room_video.sequence, MOST))
    folder = film()
    for info, words in (({"depth_units_per_metre": 1}, "1: 1000 if the PNGs"), ({}, "unknown")):
        write_scene_info(folder, info)
        (finding,) = files.check_truth(read_scene(folder), MOST)
        assert finding.name == "depth-unit"
        assert words in finding.what + finding.remedy


def test_numbers_that_stand_for_no_depth_and_broken_truth_are_named(room, film):
    depth = room.depth.copy()
    depth[:, :, -len(depth[0, 0]) // 5 :] = 60
    sequence = read_scene(film(depth=depth))
    sequence.depth[2].write_bytes(b"no depth")
    broken, ceiling = files.check_truth(sequence, 12)
    assert (broken.name, broken.frames) == ("broken-truth", (2,))
    assert ceiling.what.startswith("20% of the measured depth is exactly 60 metres")


@pytest.fixture
def labeled(film, room):
    """Function: the room with labels, and points that were tracked if asked for."""

    def make(maps, kind="depth", *, points=False):
        folder, rng = film(), np.random.default_rng(0)
        shutil.rmtree(folder / "depth")
        info = LabelInfo(source="test", kind=kind, affine=True, licence="MIT")
        labels = {f"{i:06d}": m.astype(np.float32) for i, m in enumerate(maps)}
        write_labels(folder / "pseudo_depth", info, labels)
        if points:
            u, v = rng.integers(0, 128, 60), rng.integers(0, 96, 60)
            at = np.stack([u, v], 1).astype(float)
            tracked = {i: (at, depth[v, u].astype(float)) for i, depth in enumerate(room.depth)}
            write_tracked_points(folder, tracked)
        return read_scene(folder)

    return make


@pytest.mark.parametrize(("kind", "change", "other"), [
    ("depth", lambda depth: 2 + 3 * depth, None), ("disparity", lambda depth: 1 / depth, None),
    ("depth", lambda depth: 1 / depth, "disparity"), ("disparity", lambda depth: depth, "depth"),
])  # fmt: skip
def test_inverted_labels_are_blocking_by_tracked_points(room, labeled, kind, change, other):
    found = list(files.check_labels(labeled(change(room.depth), kind, points=True), MOST))
    wrong = [("labels-inverted", "blocking")] * (other is not None)
    assert [(f.name, f.severity) for f in found] == wrong
    assert all("tracked points" in f.what for f in found)
    assert all(f'set "kind": "{other}"' in f.remedy for f in found)


def test_without_points_the_floor_tells_with_less_certainty(labeled):
    ramp = np.linspace(1, 5, 96)[:, None] * np.ones((12, 1, 128))
    for maps, severities in ((ramp, ["warning"]), (ramp[:, ::-1], [])):
        assert [f.severity for f in files.check_labels(labeled(maps), MOST)] == severities


@pytest.mark.parametrize("empty", [True, False])
def test_labels_that_cannot_be_used_are_named(room, labeled, empty):
    sequence = labeled(room.depth)
    if empty:
        Image.fromarray(np.zeros((4, 6), np.uint16)).save(sequence.pseudo_depth[3])
    else:
        sequence.pseudo_depth[3].write_bytes(b"no label")
    (finding,) = files.check_labels(sequence, 12)
    assert (finding.name, finding.frames) == ("broken-labels", (3,))


def test_too_few_values_or_a_flat_map_have_no_order():
    a = np.arange(40.0)
    assert files.rank_correlation(a, 1e6 - a**3) == pytest.approx(-1)
    assert np.isnan(
        [files.rank_correlation(a[:5], a[:5]), files.rank_correlation(a, np.ones(40))]
    ).all()
