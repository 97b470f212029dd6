"""Packed data: the same snippets as from folders."""

import shutil
from dataclasses import fields

import numpy as np
import pytest
import torch
from torch import Tensor

from folders import names_in
from packed_scenes import write_scenes
from ssmde.config import DataConfig
from ssmde.data.dataset import SnippetDataset
from ssmde.data.images import ImageError, read_depth, read_image, read_mask
from ssmde.data.pseudo_labels import read_pseudo_depth
from ssmde.data.scene_folder import read_scenes
from ssmde.data.shards import is_packed, refuse_packed
from ssmde.preparation import packing
from ssmde.preparation.packing import pack, write_shard

SIZE = (32, 64)


def dataset(root, size=SIZE, *, fit=False, **data):
    config = DataConfig(image_size=size, frame_gaps=(1, 2), poses="tracked", **data)
    return SnippetDataset(
        read_scenes(root, "train"), config, seed=3, augment=True, labels=True,
        with_points=True, fit_labels=fit,
    )  # fmt: skip


def assert_same(folders, packed):
    assert len(folders) == len(packed)
    for key in [(epoch, index) for epoch in range(2) for index in range(epoch, len(folders), 2)]:
        a, b = folders[key], packed[key]
        for f in fields(a):
            one, other = getattr(a, f.name), getattr(b, f.name)
            if isinstance(one, Tensor):
                assert one.dtype == other.dtype
                assert torch.equal(one, other), (key, f.name)
            else:
                assert one == other


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return write_scenes(tmp_path_factory.mktemp("scenes") / "data", frames=(10, 6, 4))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    root = tmp_path_factory.mktemp("small") / "data"
    return write_scenes(root, SIZE, frames=(10, 6, 4), seed=1)


@pytest.fixture(scope="module")
def packed(folders, tmp_path_factory):
    out = tmp_path_factory.mktemp("pack") / "packed"
    pack(folders, out, size=SIZE, shard_frames=5, show_progress=False)
    return out


def test_frames_of_training_size_give_the_same_snippets_under_all_augmentation(small, tmp_path):
    done = pack(small, tmp_path / "p", size=SIZE, shard_frames=5, show_progress=False)
    assert (done.frames, done.skipped) == ({"train": 16, "val": 4}, ())
    jitter = {"fit": True, "color_jitter": 1.0, "zoom": 1.3}
    assert_same(dataset(small, **jitter), dataset(tmp_path / "p", **jitter))


def test_larger_frames_give_the_same_snippets_where_no_zoom_asks_for_their_detail(folders, packed):
    assert_same(dataset(folders, zoom=1.0), dataset(packed, zoom=1.0))


def test_frames_for_validation_stay_as_they_are_with_their_truth(folders, packed):
    for split in ("val", "all"):
        ours, theirs = read_scenes(packed, split)[-1], read_scenes(folders, split)[-1]
        assert ours.image_size == theirs.image_size == (48, 96)
        assert ours.name == theirs.name == "c"
        assert ours.depth_units_per_metre == theirs.depth_units_per_metre == 1000
        assert (ours.intrinsics == theirs.intrinsics).all()
        assert (ours.timestamps == theirs.timestamps).all()
        for i in range(len(theirs)):
            assert (read_image(ours.images[i]) == read_image(theirs.images[i])).all()
            assert (read_depth(ours.depth[i], 1) == read_depth(theirs.depth[i], 1)).all()
            assert (read_mask(ours.motion_masks[i]) == read_mask(theirs.motion_masks[i])).all()
            assert ours.frame_name(i) == theirs.frame_name(i)
    assert [len(s) for s in read_scenes(packed, "all")] == [10, 6, 4]


def test_without_lists_the_last_tenth_is_packed_for_validation(small, tmp_path):
    for name in ("train.txt", "val.txt"):
        (small / name).rename(tmp_path / name)
    try:
        done = pack(small, tmp_path / "p", size=SIZE, show_progress=False)
    finally:
        for name in ("train.txt", "val.txt"):
            (tmp_path / name).rename(small / name)
    assert done.frames == {"train": 17, "val": 3}
    assert [len(s) for s in read_scenes(tmp_path / "p", "val")] == [1, 1, 1]
    with pytest.raises(ValueError, match="no scenes for 'test'"):
        read_scenes(tmp_path / "p", "test")


@pytest.mark.slow  # `make test` does not install webdataset
def test_other_tools_read_the_shards_from_front_to_back(packed):
    wds = pytest.importorskip("webdataset")
    scene = read_scenes(packed, "train")[0]
    with (packed / "train-000001.tar").open("rb") as shard:  # frames 5 to 9 of scene a
        files = wds.tariterators.tar_file_expander([{"url": "shard", "stream": shard}])
        samples = list(wds.autodecode.Decoder([wds.autodecode.basichandlers])(s)
                       for s in wds.tariterators.group_by_keys(files))  # fmt: skip
    assert [s["__key__"] for s in samples] == [f"a/{i:03d}" for i in range(5, 10)]
    assert (samples[2]["npy"] == read_image(scene.images[7])).all()
    steps = samples[2]["pseudo_depth.u16.npy"]
    assert np.allclose(steps / 60000, read_pseudo_depth(scene.pseudo_depth[7]))
    assert "pseudo_depth.u16.npy" not in samples[3]  # it had no label
    assert samples[1]["points.npy"].shape == (40, 3)


def test_a_stopped_run_of_packing_goes_on_with_the_same_shards(
    folders, packed, tmp_path, monkeypatch
):
    before = {path: path.stat().st_mtime_ns for path in packed.iterdir()}
    done = pack(folders, packed, size=SIZE, shard_frames=5, show_progress=False)  # finds it
    assert sum(done.frames.values()) == sum(map(len, read_scenes(packed, "all")))
    assert {path: path.stat().st_mtime_ns for path in packed.iterdir()} == before
    out = tmp_path / "stopped"
    with monkeypatch.context() as patch:
        patch.setattr(packing, "write_shard", stops_at("train-000002"))
        with pytest.raises(KeyboardInterrupt):
            pack(folders, out, size=SIZE, shard_frames=5, show_progress=False)
    before = (out / "train-000001.tar").stat().st_mtime_ns
    with pytest.raises(FileExistsError, match="was begun with other data or options"):
        pack(folders, out, size=(64, 64), shard_frames=5, show_progress=False)
    pack(folders, out, size=SIZE, shard_frames=5, show_progress=False)
    assert (out / "train-000001.tar").stat().st_mtime_ns == before
    names = names_in(packed)
    assert names_in(out) == names
    for name in names:
        assert (out / name).read_bytes() == (packed / name).read_bytes()
    with pytest.raises(FileExistsError, match="was packed from other data or options"):
        pack(folders, out, size=SIZE, show_progress=False)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"notes\.txt: was not written by ssmde"):
        pack(folders, out, size=(32, 32), overwrite=True, show_progress=False)
    (out / "notes.txt").unlink()
    pack(folders, out, size=(32, 32), overwrite=True, show_progress=False)
    assert read_scenes(out, "train")[0].image_size == (32, 32)
    assert len(list(out.glob("*.tar"))) == 2  # of the smaller shards none is left
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("mine")
    with pytest.raises(FileExistsError, match="is not empty"):
        pack(folders, tmp_path / "full", size=SIZE, overwrite=True, show_progress=False)


def stops_at(name):
    def write(out, shard, *rest):
        if shard == name:
            raise KeyboardInterrupt
        write_shard(out, shard, *rest)

    return write


def test_a_frame_that_cannot_be_read_keeps_its_place_and_is_reported(tmp_path):
    root = write_scenes(tmp_path / "data", SIZE, frames=(9, 5))
    (root / "a" / "004.png").write_bytes(b"broken")
    done = pack(root, tmp_path / "p", size=SIZE, show_progress=False)
    assert "004.png: cannot be read" in done.skipped[0]
    a, b = dataset(root), dataset(tmp_path / "p")
    assert (a[0, 0].names, a[0, 3].names) == (b[0, 0].names, b[0, 3].names)
    assert "was not there when the data was packed" not in b[0, 0].broken
    with pytest.raises(ImageError, match=r"004: no such file"):
        read_image(b.sequences[0].images[4])


def test_jpeg_is_a_tenth_and_close(folders, tmp_path):
    big = pack(folders, tmp_path / "raw", size=(96, 160), show_progress=False)
    done = pack(folders, tmp_path / "jpeg", size=(96, 160), codec="jpeg", show_progress=False)
    a, b = (read_scenes(tmp_path / n, "train")[0].images[2] for n in ("raw", "jpeg"))
    assert a.size > 10 * b.size
    assert done.bytes < big.bytes
    assert abs(read_image(a).astype(int) - read_image(b).astype(int)).mean() < 3


def test_what_is_no_packed_data_is_refused(tmp_path, packed, folders):
    assert is_packed(packed)
    assert not is_packed(folders)
    (tmp_path / "pack.json").write_text('{"format": "zip"}')
    with pytest.raises(ValueError, match="expected ssmde-pack of version 1, got 'zip'"):
        read_scenes(tmp_path, "train")
    with pytest.raises(ValueError, match="packed data already"):
        pack(packed, tmp_path / "p", size=SIZE)
    with pytest.raises(ValueError, match="is packed data, `ssmde label` works on scene folders"):
        refuse_packed(packed, "label")
    with pytest.raises(ValueError, match=r"size must be from 32 x 32 to 8192 x 8192.*\(8, 64\)"):
        pack(folders, tmp_path / "p", size=(8, 64))


def test_a_shard_that_is_cut_or_gone_is_named(packed, tmp_path):
    copy = shutil.copytree(packed, tmp_path / "copy")
    images = read_scenes(copy, "train")[0].images
    shard = copy / "train-000000.tar"
    shard.write_bytes(shard.read_bytes()[:1000])
    with pytest.raises(ImageError, match=r"train-000000\.tar ends too early: copy it again"):
        read_image(images[0])
    shard.unlink()
    with pytest.raises(ImageError, match=r"000\.npy: no such file"):
        read_image(images[0])
