"""From an official archive to a number: prepare, doctor, ten steps, evaluate, benchmark."""

import math
from pathlib import Path

import pytest
from PIL import Image

import archives
import kitti_archive
from ssmde.config import Config, DataConfig, TrainConfig
from ssmde.data.scene_folder import read_scenes
from ssmde.diagnosis import doctor
from ssmde.evaluation import benchmark, evaluate
from ssmde.preparation.archives import prepare_dataset
from ssmde.training import train
from texture import sliding

SIZE = (32, 64)
FRAMES = 12
# What the doctor must not find in what prepare wrote; that noise does not move like a video it may.
OF_FILES = ("broken-images", "broken-truth", "mixed-sizes", "intrinsics", "no-intrinsics")


def film(folder: Path, pattern: str) -> None:
    """Put a texture that slides past into the images, as large as they were."""
    for i, path in enumerate(sorted(folder.glob(pattern))):
        with Image.open(path) as image:
            width, height = image.size
        Image.fromarray(sliding(i, (height, width))).save(path)


def kitti_raw(root):
    drives = [f"2011_09_26_drive_{n:04d}_sync" for n in (1, 2)]
    lists = {}
    for part, drive in zip(("train", "test"), drives, strict=True):
        film(kitti_archive.make_drive(root, drive, FRAMES), "image_0?/data/*.png")
        lines = [f"2011_09_26/{drive} {n:010d} l\n" for n in range(FRAMES)]
        lists[part] = root / f"{part}.txt"
        lists[part].write_text("".join(lines))
    return lists


def kitti_odometry(root):
    for name in ("00", "09"):
        film(kitti_archive.make_sequence(root, name, FRAMES), "image_2/*.png")
        kitti_archive.write_poses(root, name, kitti_archive.driving(FRAMES))


def nyuv2(root):
    pytest.importorskip("h5py")
    archives.labelled_h5(root)
    times = [k / 30 for k in range(FRAMES)]
    film(archives.make_recording(root, "bedroom_0029", images=times, depth=times), "r-*.ppm")
    (root / "list.txt").write_text("2\n3\n")
    return {"test": root / "list.txt"}


def ddad(root):
    archives.make_ddad(root, frames=9)  # its clock has no tenth second
    for name in ("000000", "000150"):
        film(root / name, "rgb/*/*.png")


def rgbd(root):
    times = [k / 10 for k in range(9)]  # depth k is k + 1 metres, and 10 are the most
    names = [f"rgbd_dataset_freiburg3_{n}" for n in ("walking_xyz", "sitting_xyz")]
    for name in names:
        film(archives.make_tum(root, name, images=times, depth=times), "rgb/*.png")
    (root / "test.txt").write_text(names[1])
    return {"test": root / "test.txt"}


ARCHIVES = {
    "kitti_raw": (kitti_raw, "kitti", "test"), "kitti_odometry": (kitti_odometry, "kitti", "test"),
    "nyuv2": (nyuv2, "nyuv2", "test"), "ddad": (ddad, "ddad", "val"),
    "tum": (rgbd, "tum", "test"), "bonn": (rgbd, "bonn", "test"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHIVES)
def test_an_official_archive_becomes_a_number(name, tmp_path):
    make, table, split = ARCHIVES[name]
    archive, data = tmp_path / "archive", tmp_path / "data"
    archive.mkdir()
    lists = make(archive)
    written = prepare_dataset(name, archive, data, lists=lists)
    assert {scene.split for scene in written.scenes} >= {"train", split}
    assert all(scene.intrinsics is not None for scene in read_scenes(data, "all"))

    findings = doctor(data, split="train", show_progress=False).findings
    assert not [f for f in findings if f.name in OF_FILES and f.severity == "blocking"]

    config = Config(
        output=tmp_path / "runs", data=DataConfig(root=data, image_size=SIZE, workers=0),
        train=TrainConfig(
            steps=10, batch_size=2, validate_every=10, checkpoint_every=10,
            accelerator="cpu", threads=1, protocol=table,
        ),
    )  # fmt: skip
    folder = train(config)
    found = evaluate(folder, data, split=split, protocol=table, out=tmp_path / "evaluation")
    assert found.n_images > 0
    assert not found.broken
    assert math.isfinite(found.full.abs_rel)

    rows = benchmark(table, data, [f"mine={folder}"], split=split, out=None).rows
    mine = next(row for row in rows if row.method == "mine")
    assert (mine.numbers["abs_rel"], mine.images) == (found.full.abs_rel, found.n_images)
