"""Packed data: the same snippets as from folders."""

import os
import shutil
import tarfile
from dataclasses import fields

import pytest
import torch
from torch import Tensor

from folders import names_in
from packed_scenes import write_scenes
from ssmde.config import DataConfig
from ssmde.data.dataset import SnippetDataset
from ssmde.data.images import ImageError, read_depth, read_image, read_mask
from ssmde.data.scene_folder import read_scenes
from ssmde.data.shards import is_packed, refuse_packed
from ssmde.preparation import packing
from ssmde.preparation.packing import pack, write_shard

SIZE = (32, 64)


def make(root, out, size=SIZE, **options):
    return pack(root, out, size=size, show_progress=False, **options)


def dataset(root, *, fit=False, **data):
    config = DataConfig(image_size=SIZE, frame_gaps=(1, 2), poses="tracked", **data)
    return SnippetDataset(
        read_scenes(root, "train"), config, seed=3, augment=True, labels=True,
        with_points=True, fit_labels=fit,
    )  # fmt: skip


def assert_same(folders, packed):
    assert len(folders) == len(packed)
    for key in [(epoch, index) for epoch in range(2) for index in range(epoch, len(folders), 2)]:
        for name in (f.name for f in fields(folders[key])):
            one, other = (getattr(data[key], name) for data in (folders, packed))
            if isinstance(one, Tensor):
                assert one.dtype == other.dtype
                assert torch.equal(one, other), (key, name)
            else:
                assert one == other


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return write_scenes(tmp_path_factory.mktemp("scenes") / "data", frames=(10, 6, 4))


@pytest.fixture(scope="module")
def packed(folders, tmp_path_factory):
    out = tmp_path_factory.mktemp("pack") / "packed"
    make(folders, out, shard_frames=5)
    return out


def test_frames_of_training_size_give_the_same_snippets_under_all_augmentation(tmp_path):
    small = write_scenes(tmp_path / "data", SIZE, frames=(10, 6, 4), seed=1)
    done = make(small, tmp_path / "p", shard_frames=5)
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


def test_without_lists_the_last_tenth_is_packed_for_validation(tmp_path):
    root = write_scenes(tmp_path / "data", SIZE, frames=(10, 6, 4))
    for split in ("train", "val"):
        (root / f"{split}.txt").unlink()
    assert make(root, tmp_path / "p").frames == {"train": 17, "val": 3}
    assert [len(s) for s in read_scenes(tmp_path / "p", "val")] == [1, 1, 1]
    with pytest.raises(ValueError, match="no scenes for 'test'"):
        read_scenes(tmp_path / "p", "test")


def test_the_shards_are_laid_out_as_webdataset_has_them(packed):
    with tarfile.open(packed / "train-000001.tar") as shard:  # frames 5 to 9 of scene a
        names = shard.getnames()
    keys = [name.partition(".")[0] for name in names]
    assert list(dict.fromkeys(keys)) == [f"a/{i:03d}" for i in range(5, 10)]
    endings = [name.removeprefix("a/006.") for name in names if name[:6] == "a/006."]
    assert endings == ["npy", "pseudo_depth.u16.npy", "points.npy", "depth.png", "motion_mask.png"]


def test_stopped_packing_goes_on_with_the_same_shards(folders, packed, tmp_path, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in packed.iterdir()}
    done = make(folders, packed, shard_frames=5)  # finds it
    assert sum(done.frames.values()) == sum(map(len, read_scenes(packed, "all")))
    assert {path: path.stat().st_mtime_ns for path in packed.iterdir()} == before
    out = tmp_path / "stopped"

    def stop(folder, shard, *rest):
        if shard == "train-000002":
            raise KeyboardInterrupt
        write_shard(folder, shard, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(packing, "write_shard", stop)
        with pytest.raises(KeyboardInterrupt):
            make(folders, out, shard_frames=5)
    before = (out / "train-000001.tar").stat().st_mtime_ns
    with pytest.raises(FileExistsError, match="was packed from other data or options"):
        make(folders, out, (64, 64), shard_frames=5)
    make(folders, out, shard_frames=5)
    assert (out / "train-000001.tar").stat().st_mtime_ns == before
    assert names_in(out) == names_in(packed)
    for name in names_in(packed):
        assert (out / name).read_bytes() == (packed / name).read_bytes()
    (out / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"notes\.txt: was not written by ssmde"):
        make(folders, out, (32, 32), overwrite=True)
    (out / "notes.txt").unlink()
    make(folders, out, (32, 32), overwrite=True)
    assert read_scenes(out, "train")[0].image_size == (32, 32)
    assert len(list(out.glob("*.tar"))) == 2  # of the smaller shards none is left
    with pytest.raises(FileExistsError, match="is not empty"):
        make(folders, folders, overwrite=True)


def test_a_frame_that_cannot_be_read_keeps_its_place_and_is_reported(tmp_path):
    root = write_scenes(tmp_path / "data", SIZE, frames=(9, 5))
    (root / "a" / "004.png").write_bytes(b"broken")
    assert "004.png: cannot be read" in make(root, tmp_path / "p").skipped[0]
    a, b = dataset(root), dataset(tmp_path / "p")
    assert (a[0, 0].names, a[0, 3].names) == (b[0, 0].names, b[0, 3].names)
    with pytest.raises(ImageError, match=r"004: no such file"):
        read_image(b.sequences[0].images[4])


def test_what_is_no_packed_data_is_refused(tmp_path, packed, folders):
    assert is_packed(packed)
    assert not is_packed(folders)
    (tmp_path / "pack.json").write_text('{"format": "zip"}')
    with pytest.raises(ValueError, match="expected ssmde-pack of version 1, got 'zip'"):
        read_scenes(tmp_path, "train")
    with pytest.raises(ValueError, match="packed data already"):
        make(packed, tmp_path / "p")
    with pytest.raises(ValueError, match="is packed data, `ssmde label` works on scene folders"):
        refuse_packed(packed, "label")
    with pytest.raises(ValueError, match=r"size must be from 32 x 32 to 8192 x 8192.*\(8, 64\)"):
        make(folders, tmp_path / "p", (8, 64))


@pytest.mark.parametrize("way", ["preadv", "seek"])
def test_a_shard_cut_or_gone_is_named_and_a_new_one_read(packed, tmp_path, monkeypatch, way):
    if way == "seek":  # as on Windows
        monkeypatch.delattr(os, "preadv")
    copy = shutil.copytree(packed, tmp_path / "copy")
    shard = copy / "train-000000.tar"
    (image, *_), content = read_scenes(copy, "train")[0].images, shard.read_bytes()
    pixels = read_image(image)
    shard.write_bytes(content[:1000])
    with pytest.raises(ImageError, match=r"train-000000\.tar ends too early: copy it again"):
        read_image(image)
    shard.unlink()
    shard.write_bytes(content)
    (image, *_) = read_scenes(copy, "train")[0].images
    assert (read_image(image) == pixels).all()
    shard.unlink()
    (image, *_) = read_scenes(copy, "train")[0].images
    with pytest.raises(ImageError, match=r"000\.npy: no such file"):
        read_image(image)
