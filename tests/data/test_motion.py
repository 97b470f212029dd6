"""Poses that come with the frames: which pairs they allow, and the motion between two frames."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from ssmde.config import DataConfig
from ssmde.data.motion import known_poses, relative_motion, usable_gaps
from ssmde.data.sequence import FrameSequence
from ssmde.geometry.camera import flip_intrinsics
from ssmde.geometry.warp import reproject

TRACKED = DataConfig(poses="tracked")


def a_walk(ways=(0, 1, 2, 3, 4, 5, 6), parts=None, turn=0.0):
    """Frames along the x axis of the world, at the given places, each turned a little more."""
    poses = np.tile(np.eye(4), (len(ways), 1, 1))
    for i, (pose, way) in enumerate(zip(poses, ways, strict=True)):
        cos, sin = np.cos(turn * i), np.sin(turn * i)
        pose[:3, :3] = [(cos, 0, sin), (0, 1, 0), (-sin, 0, cos)]
        pose[0, 3] = way
    return FrameSequence(
        name="walk",
        images=tuple(Path(f"walk/{i}.png") for i in range(len(ways))),
        image_size=(32, 64),
        tracked_poses=poses,
        tracked_parts=np.array(parts or [0.0] * len(ways)),
    )


def frames(usable):
    return np.flatnonzero(usable[:, 0]).tolist()


def test_without_poses_every_frame_with_neighbours_is_a_target():
    assert frames(usable_gaps(a_walk(), DataConfig(), (2,))) == [2, 3, 4]


def test_a_gap_as_long_as_the_video_has_no_target():
    for gap in (3, 4, 7, 9):
        assert frames(usable_gaps(a_walk(), DataConfig(), (gap,))) == ([3] if gap == 3 else [])
        assert frames(usable_gaps(a_walk(), TRACKED, (gap,))) == ([3] if gap == 3 else [])


def test_a_pair_never_joins_two_parts_of_a_video():
    assert frames(usable_gaps(a_walk(parts=[0.0] * 4 + [1.0] * 3), TRACKED, (1,))) == [1, 2, 5]


def test_a_frame_without_a_pose_is_neither_target_nor_source():
    walk = a_walk()
    walk.tracked_poses[3] = np.nan
    assert frames(usable_gaps(walk, TRACKED, (1,))) == [1, 5]
    walk = a_walk()
    walk.tracked_poses[3, 0, 0] = np.nan  # the place is known, the orientation is not
    assert frames(usable_gaps(walk, TRACKED, (1,))) == [1, 5]


def test_the_motion_takes_points_of_the_target_into_the_source():
    walk = a_walk(turn=0.1)
    T = relative_motion(walk.tracked_poses, 3, (2, 4), flip=False)
    point = np.array([0.3, -0.2, 5.0, 1.0])
    for T_src_tgt, source in zip(T, (2, 4), strict=True):
        world = walk.tracked_poses[3] @ point
        np.testing.assert_allclose(walk.tracked_poses[source] @ T_src_tgt @ point, world)


def test_a_mirrored_pair_moves_as_the_mirror_image():
    T = torch.from_numpy(relative_motion(a_walk(turn=0.02).tracked_poses, 3, (2,), flip=False))
    mirrored = torch.from_numpy(
        relative_motion(a_walk(turn=0.02).tracked_poses, 3, (2,), flip=True)
    )
    K = torch.tensor([[[60.0, 0, 29], [0, 60, 15.5], [0, 0, 1]]], dtype=torch.float64)
    depth = 5 + torch.rand(1, 1, 32, 64, dtype=torch.float64)
    here = reproject(depth, T, K).pixels
    there = reproject(depth.flip(-1), mirrored, flip_intrinsics(K, 64)).pixels.flip(2)
    assert_close(torch.stack([63 - there[..., 0], there[..., 1]], -1), here)


def test_poses_that_are_not_there_are_asked_for_with_the_way_to_get_them():
    bare = FrameSequence(name="bare", images=(Path("d/bare/0.png"),), image_size=(32, 32))
    assert known_poses(bare, DataConfig()) is None
    with pytest.raises(ValueError, match=r"'bare': .*tracked_poses.txt does not.*ssmde track d"):
        known_poses(bare, TRACKED)
    with pytest.raises(ValueError, match=r"'bare': .*poses.txt does not exist.*ssmde track"):
        known_poses(bare, DataConfig(poses="file"))
