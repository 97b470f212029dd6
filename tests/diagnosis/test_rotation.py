"""Rotation: a turn leaves nothing over, a step leaves the parallax, and movers have no say."""

import numpy as np

from ssmde.data.image_motion import TileFlow
from ssmde.diagnosis.rotation import assumed_intrinsics, fit_turn, rotation_matrix

K = np.array([[90.0, 0, 63.5], [0, 95.0, 47.5], [0, 0, 1]])


def flow(T, depth, *, movers=0):
    """What tiles do when the camera moves by T; the first ones also move by themselves."""
    u, v = np.meshgrid(np.linspace(15, 112, 7), np.linspace(15, 80, 6))
    centres = np.stack([u, v], -1).reshape(-1, 2)
    rays = np.concatenate([centres, np.ones((len(centres), 1))], 1) @ np.linalg.inv(K).T
    there = ((rays * depth[:, None]) @ T[:3, :3].T + T[:3, 3]) @ K.T
    motion = there[:, :2] / there[:, 2:] - centres
    motion[:movers] += 6.0
    like = np.ones(len(centres), np.float32)
    return TileFlow(centres.astype(np.float32), motion.astype(np.float32), like, like)


def turned(axis_angle, step=(0.0, 0.0, 0.0)):
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = rotation_matrix(np.array(axis_angle)), step
    return T


DEPTH = np.random.default_rng(0).uniform(2, 6, 42)


def test_a_large_turn_is_found_and_leaves_nothing_over():
    T = turned((0.1, -0.2, 0.15))
    turn = fit_turn(flow(T, DEPTH), K)
    assert np.allclose(turn.rotation, T[:3, :3], atol=1e-5)
    assert turn.rest.max() < 1e-2


def test_movers_have_little_say():
    T = turned((0.02, 0.03, 0.0))
    turn = fit_turn(flow(T, DEPTH, movers=12), K)
    assert np.median(turn.rest) < 0.15
    assert turn.rest[:12].min() > 5


def test_a_step_leaves_the_parallax():
    turn = fit_turn(flow(turned((0.02, 0.03, 0.0), (0.2, 0.0, 0.0)), DEPTH), K)
    assert np.median(turn.rest) > 0.5


def test_too_few_tiles_are_no_turn():
    found = flow(turned((0.0, 0.1, 0.0)), DEPTH)
    likeness = np.where(np.arange(42) < 7, np.float32(1), np.float32(np.nan))
    assert fit_turn(found._replace(likeness=likeness), K) is None


def test_a_quarter_turn_about_z_takes_x_to_y():
    R = rotation_matrix(np.array([0.0, 0.0, np.pi / 2]))
    assert np.allclose(R @ (1, 0, 0), (0, 1, 0))


def test_an_unknown_camera_is_an_everyday_lens():
    K = assumed_intrinsics((96, 128))
    assert 60 < np.degrees(2 * np.arctan(64 / K[0, 0])) < 70
    assert K[:2, 2].tolist() == [63.5, 47.5]
