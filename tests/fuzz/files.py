"""A whole small file of every kind that a verb reads, and the commands that read it."""

import contextlib
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

import archives
from films import write_mp4
from kitti_archive import driving, make_drive, make_sequence
from kitti_archive import write_poses as write_poses_of_kitti
from packed_scenes import write_scenes
from ssmde.cli import main
from ssmde.data.scene_files import write_poses
from ssmde.preparation.packing import pack
from texture import sliding

SIZE, FRAMES = (64, 96), 10
METRES = (1.5 + np.mgrid[: SIZE[0], : SIZE[1]][0] / 20).astype(np.float32)  # of a floor
NETWORK = "small"
SMALL = ("--resolution", "64", "96", "--format", "npz")
TRAIN = (
    "--train.steps", "1", "--train.batch-size", "1", "--data.image-size", "64", "96",
    "--data.workers", "0", "--train.accelerator", "cpu", "--train.threads", "1",
    "--model.pretrained", "none",
)  # fmt: skip


class Kind(NamedTuple):
    """A file that is changed, what it needs beside it, and commands, of which one is run."""

    file: str
    beside: tuple[str, ...]
    commands: tuple[tuple[str, ...], ...]


def write_more(scene: Path) -> None:
    """What a scene folder may hold besides: depth in all three forms, a JPEG, poses and times."""
    for name in ("depth/001.png", "depth/002.png", "003.png"):
        (scene / name).unlink()
    np.save(scene / "depth" / "001.npy", METRES)
    np.savez(scene / "depth" / "002.npz", depth=METRES)
    Image.fromarray(sliding(3, SIZE, 3)).save(scene / "003.jpg")
    poses = np.tile(np.eye(4), (FRAMES, 1, 1))
    poses[:, 0, 3], poses[:, 2, 3] = 0.1 * np.arange(FRAMES), 0.02 * np.arange(FRAMES) ** 2
    write_poses(scene, poses)
    (scene / "timestamps.txt").write_text("".join(f"{n / 10}\n" for n in range(FRAMES)))


def write_all(root: Path) -> None:
    """The whole files, below a folder that is there."""
    images = root / "images"
    images.mkdir()
    for ending in ("jpg", "png", "webp", "gif", "bmp", "tif", "ppm"):
        Image.fromarray(sliding(0, SIZE, 3)).save(images / f"photo.{ending}")
    np.save(images / "pixels.npy", sliding(0, SIZE, 3))
    (root / "points.csv").write_text("image,u,v,metres\nimages/photo.jpg,20,30,2.5\n")
    write_mp4(root / "film.mp4", [sliding(n, SIZE, 3) for n in range(FRAMES)])
    for scene in map(write_scenes(root / "data", SIZE, (FRAMES, FRAMES)).joinpath, "ab"):
        write_more(scene)
    theirs = root / "theirs" / "b"
    theirs.mkdir(parents=True)
    for n in range(FRAMES):
        np.savez(theirs / f"{n:03d}.npz", depth=METRES)
    (root / "theirs" / "depth.json").write_text('{"png16_units_per_metre": 1000}')
    archives.make_ddad(root / "ddad")
    archives.make_tum(root / "tum")
    make_drive(root / "kitti_raw")
    make_sequence(root / "kitti_odometry")
    write_poses_of_kitti(root / "kitti_odometry", "00", driving())
    torch.save({"conv1.weight": torch.zeros(8, 3, 7, 7)}, root / "encoder.pth")
    torch.save({"state_dict": {"depth_net.decoder.up": torch.zeros(2)}}, root / "other.ckpt")
    (root / "run.yaml").write_text(
        "name: again\ndata: {root: data, image_size: [64, 96], workers: 0}\n"
        "model: {pretrained: none}\ntrain: {steps: 1, batch_size: 1, accelerator: cpu}\n"
    )
    pack(root / "data", root / "pack", size=(64, 96), show_progress=False)
    with contextlib.chdir(root), contextlib.redirect_stdout(io.StringIO()):
        in_child("train", "photometric", "--data.root", "data", "--output", ".", *TRAIN)
        (root / "photometric" / "last.safetensors").rename(root / "weights.safetensors")
        (root / "photometric" / "best.safetensors").unlink()
        for ending in ("onnx", "xml"):
            in_child("export", "weights.safetensors", f"net.{ending}", *SMALL[:3], "--overwrite")


def in_child(*words: str) -> None:
    """A command in a process of its own: what starts threads must not run before a fork."""
    if not (pid := os.fork()):
        os._exit(main(words))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, words


DAY, DRIVE = "kitti_raw/2011_09_26", "2011_09_26_drive_0001_sync"
SCENE = (
    "cam.txt", "poses.txt", "timestamps.txt", "scene.json", "depth/000.png", "depth/001.npy",
    "depth/002.npz", "motion_mask/000.png", "pseudo_depth/002.png", "pseudo_depth/label.json",
    "003.jpg",
)  # fmt: skip
ARCHIVES = (
    f"{DAY}/calib_cam_to_cam.txt", f"{DAY}/calib_velo_to_cam.txt",
    f"{DAY}/{DRIVE}/velodyne_points/data/0000000001.bin",
    "kitti_odometry/sequences/00/calib.txt", "kitti_odometry/poses/00.txt",
    f"tum/{archives.TUM_NAME}/rgb.txt", f"tum/{archives.TUM_NAME}/groundtruth.txt",
    "ddad/ddad.json", "ddad/000000/calibration/abc.json",
)  # fmt: skip
SHORT = {
    "SMALL": " ".join(SMALL), "TRAIN": " ".join(TRAIN), "PHOTO": "images/photo.jpg",
    "EVALUATE": f"evaluate {NETWORK} data --split", "PACK": "prepare data out --pack --size 64 96",
    "DOCTOR": "doctor data --quick", "WEIGHTS": "weights.safetensors", "NET": NETWORK,
    "BENCHMARK": "benchmark bonn data theirs --split val",
    "SCALE": "scale weights.safetensors --points points.csv --out w.safetensors",
    "RESUME": f"train photometric --data.root data --output . {' '.join(TRAIN)} --resume",
}  # fmt: skip
KINDS = (
    *(f"images/photo.{ending} | | predict NET FILE out SMALL"
      for ending in ("jpg", "png", "webp", "gif", "bmp", "tif", "ppm")),
    "images/pixels.npy | | predict NET FILE out SMALL",
    "film.mp4 | | predict NET FILE out SMALL --max-frames 2 | prepare film.mp4 out --step 1",
    *(f"data/b/{name} | data | EVALUATE all --max-frames 4 | PACK | DOCTOR" for name in SCENE),
    "data/a/tracked_poses.txt | data | odometry tracked data | PACK | DOCTOR",
    "data/a/tracked_points.npz | data | PACK",
    "data/a/pseudo_depth/label.json | data | train sc_depth_v3 --data.root data TRAIN | PACK",
    "data/val.txt | data | PACK | DOCTOR | EVALUATE val",
    "theirs/b/000.npz | data theirs | BENCHMARK",
    "theirs/depth.json | data theirs | BENCHMARK --align none",
    "run.yaml | data | train --config run.yaml --output out",
    "theirs/b/001.npz | data theirs | label data --source folder:theirs --kind depth --split val "
    "--overwrite",
    "WEIGHTS | images points.csv | predict WEIGHTS PHOTO out SMALL | SCALE",
    "points.csv | images WEIGHTS | SCALE",
    *(f"{file} | PHOTO{more} | predict FILE PHOTO out --format npz"
      for file, more in (("encoder.pth", ""), ("other.ckpt", ""), ("net.onnx", ""),
                         ("net.xml", " net.bin"))),
    *(f"photometric/{name} | data photometric | RESUME --train.steps 2"
      for name in ("last.ckpt", "config.yaml", "log.csv")),
    *(f"pack/{name} | pack | evaluate NET pack --split all --max-frames 2"
      for name in ("pack.json", "frames.npz", "val-000000.npz", "val-000000.tar")),
    *(f"{file} | {(name := file.partition('/')[0])} | prepare {name} out --dataset {name}"
      for file in ARCHIVES),
)  # fmt: skip
"""A file, what it needs beside it, and the commands."""


def kinds() -> Iterator[Kind]:
    """Every kind of file."""
    for line in KINDS:
        words = re.sub("[A-Z]{3,}", lambda found: SHORT.get(found[0], found[0]), line)
        file, beside, *commands = words.split("|")
        ready = (command.replace("FILE", file.strip()).split() for command in commands)
        yield Kind(file.strip(), tuple(beside.split()), tuple(map(tuple, ready)))
