"""Changed files in front of every reader: numbers, or a refusal that names the file.

`make fuzz` does it with whole commands, for longer.
"""

import random
import resource
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import archives
from films import write_mp4
from fuzz.files import picture, write_scene
from fuzz.mutations import mutate
from kitti_archive import make_drive
from ssmde.config import Config, dump_config, read_config
from ssmde.data.images import read_depth, read_image, read_mask
from ssmde.data.pseudo_labels import read_pseudo_depth
from ssmde.data.scene_files import read_tracked_points
from ssmde.data.scene_folder import read_scene, read_scenes
from ssmde.data.video import read_frames
from ssmde.datasets.ddad import index_ddad
from ssmde.datasets.kitti import index_kitti_raw
from ssmde.datasets.tum_bonn import index_tum
from ssmde.evaluation.metres import read_points
from ssmde.models.checkpoint import (
    WEIGHTS_FORMAT,
    WEIGHTS_VERSION,
    read_tensors,
    read_weights,
    save_weights,
    stored_config,
    stored_scale,
)
from ssmde.preparation.packing import pack
from ssmde.training.checkpoints import read_checkpoint

ROUNDS = 5
MEMORY = 1 << 20  # KiB that all of it may take more than before


def read_head(path: Path) -> None:
    metadata = read_weights(path)[1]
    stored_config(path, metadata)
    stored_scale(metadata, origin=str(path))


READERS: dict[str, Callable[[Path], Any]] = {
    **{f"photo.{end}": read_image for end in ("jpg", "png", "gif", "tif", "webp", "npy")},
    "film.mp4": lambda path: list(islice(read_frames(path), 3)),
    **{f"data/room/{name}": lambda path: read_scene(path.parent) for name in
       ("cam.txt", "poses.txt", "tracked_poses.txt", "timestamps.txt", "scene.json")},
    **{f"data/room/depth/{name}": lambda path: read_depth(path, 1000) for name in
       ("0.png", "1.npy", "2.npz")},
    "data/room/motion_mask/0.png": read_mask,
    "data/room/pseudo_depth/0.png": read_pseudo_depth,
    "data/room/pseudo_depth/label.json": lambda path: read_scene(path.parents[1]),
    "data/room/tracked_points.npz": read_tracked_points,
    "data/train.txt": lambda path: [read_scenes(path.parent, s) for s in ("train", "val")],
    **{f"pack/{name}": lambda path: read_image(read_scenes(path.parent, "all")[0].images[0])
       for name in
       ("pack.json", "frames.npz", "train-000000.npz", "train-000000.tar")},
    "run.yaml": read_config, "points.csv": read_points,
    "w.safetensors": read_head, "other.pth": read_tensors, "last.ckpt": read_checkpoint,
    "kitti/2011_09_26/calib_cam_to_cam.txt": lambda path: index_kitti_raw(path.parents[1]),
    f"tum/{archives.TUM_NAME}/groundtruth.txt": lambda path: index_tum(path.parents[1]),
    "ddad/ddad.json": lambda path: index_ddad(path.parent),
    "ddad/000000/scene_0123.json": lambda path: index_ddad(path.parents[1]),
}  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A folder with a whole file of each kind."""
    root = tmp_path_factory.mktemp("whole")
    for name in READERS:
        if name.startswith("photo.") and not name.endswith("npy"):
            Image.fromarray(picture(0)).save(root / name)
    np.save(root / "photo.npy", picture(0))
    (root / "points.csv").write_text("image,u,v,metres\nphoto.jpg,20,30,2.5\n")
    write_mp4(root / "film.mp4", [picture(number) for number in range(4)])
    write_scene(root / "data" / "room")
    (root / "data" / "train.txt").write_text("room\n")
    pack(root / "data", root / "pack", size=(64, 96), show_progress=False)
    config = dump_config(Config())
    (root / "run.yaml").write_text(config)
    head = {"format": WEIGHTS_FORMAT, "version": WEIGHTS_VERSION, "config": config}
    save_weights(root / "w.safetensors", {"depth_net.x": torch.zeros(3)}, head)
    torch.save({"conv1.weight": torch.zeros(3)}, root / "other.pth")
    torch.save({"global_step": 3, "state_dict": {"x": torch.zeros(3)}}, root / "last.ckpt")
    make_drive(root / "kitti")
    archives.make_tum(root / "tum")
    archives.make_ddad(root / "ddad")
    return root


def is_finite(found: Any) -> bool:
    """Whether arrays hold no nan; other results are not looked into."""
    if isinstance(found, list | tuple):
        return all(map(is_finite, found))
    return not isinstance(found, np.ndarray) or bool(np.isfinite(found).all())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", READERS)
def test_a_changed_file_gives_numbers_or_is_refused_by_name(whole, name):
    path, read = whole / name, READERS[name]
    content = path.read_bytes()
    read(path)  # the whole one
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        for number in range(ROUNDS):
            change = mutate(random.Random(f"{name}/{number}"), path)
            try:
                assert is_finite(read(path)), f"{change}, round {number}"
            except (ValueError, OSError) as error:
                said = str(error)
                named = path.name in said or path.parent.name in said
                assert named, f"{change}, round {number}: {said}"
            path.write_bytes(content)
    finally:
        path.write_bytes(content)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY
