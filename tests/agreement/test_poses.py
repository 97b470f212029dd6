"""Poses by hand: which way they point, along which axes, and what mirroring does to them."""

import numpy as np
import pytest
import torch
from PIL import Image

from ssmde.config import DataConfig
from ssmde.data.dataset import SnippetDataset
from ssmde.data.scene_folder import read_scene
from ssmde.geometry.camera import invert_motion

POINT = np.array([0.3, -0.2, 5.0, 1.0])  # of the world: right, up, ahead


def walk():
    """Camera to world: it steps to the right and ahead, and turns to the right."""
    poses = np.tile(np.eye(4), (5, 1, 1))
    for i, pose in enumerate(poses):
        c, s = np.cos(0.1 * i), np.sin(0.1 * i)
        pose[:3, :3] = [[c, 0, s], [0, 1, 0], [-s, 0, c]]
        pose[:3, 3] = [0.2 * i, 0, 0.1 * i]
    return poses


@pytest.fixture
def scene(tmp_path):
    for i in range(5):
        Image.new("RGB", (64, 32)).save(tmp_path / f"{i}.png")
    rows = [" ".join(map(str, pose[:3].ravel())) for pose in walk()]
    (tmp_path / "poses.txt").write_text("\n".join(rows))
    (tmp_path / "cam.txt").write_text("50 0 31.5 0 50 15.5 0 0 1")
    return read_scene(tmp_path)


def seen(camera):
    """The point in a camera: x = R^T (X - t), written out."""
    pose = walk()[camera]
    return pose[:3, :3].T @ (POINT[:3] - pose[:3, 3])


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_point_of_the_target_is_moved_to_where_each_source_sees_it(scene, mirrored):
    look = {"flip": float(mirrored), "zoom": 1.0, "color_jitter": 0.0}
    data = DataConfig(image_size=(32, 64), poses="file", **look)
    snippets = SnippetDataset([scene], data, seed=0, augment=True)[1]
    target = int(snippets.names[0].rpartition("/")[2])
    side = np.array([-1.0 if mirrored else 1.0, 1, 1])
    for T, source in zip(snippets.T_src_tgt[0].double(), (target - 1, target + 1), strict=True):
        moved = T @ torch.tensor([*(side * seen(target)), 1.0]).double()
        np.testing.assert_allclose(moved[:3], side * seen(source), atol=1e-5)
        back = invert_motion(T) @ moved
        np.testing.assert_allclose(back[:3], side * seen(target), atol=1e-5)
