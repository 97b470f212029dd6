"""Rotation and parallax: how much of an image motion a turn of the camera explains.

Under a rotation R a pixel p moves to K R K^-1 p, whatever its depth; only what is left over, the
parallax, tells of depth.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Float64

from ssmde.data.image_motion import TileFlow

FEWEST = 8  # tiles; three unknowns, and movers
STEPS = 8
ASSUMED_FOCAL = 0.8  # of the longer side, where the camera is unknown: 64 degrees


class Turn(NamedTuple):
    """The rotation that explains most of an image motion."""

    rotation: Float64[np.ndarray, "3 3"]
    """Points of the first camera into the second."""
    rest: Float32[np.ndarray, "n"]
    """Pixels of motion that it leaves over at each tile; infinite where none was found."""


def fit_turn(flow: TileFlow, intrinsics: Float[np.ndarray, "3 3"]) -> Turn | None:
    """The rotation with the least sum of distances to the motion of the tiles.

    Distances, not squares (reweighted least squares), so that what moves by itself has little say.

    Args:
        flow: Motion of tiles; those that were not found do not count.
        intrinsics: Pinhole matrix, in pixels of the flow.

    Returns:
        None if fewer than 8 tiles were found.
    """
    if flow.found.sum() < FEWEST:
        return None
    focal, centre = np.diag(intrinsics)[:2], intrinsics[:2, 2]
    before = (flow.centres[flow.found] - centre) / focal
    after = (flow.centres + flow.motion)[flow.found] - centre
    rays = np.concatenate([before, np.ones((len(before), 1))], 1)
    turn = np.eye(3)
    for _ in range(STEPS):
        left, slope = _step(turn, rays, after, focal)
        weight = 1 / np.sqrt(np.square(left).sum(1) + 0.01)[:, None, None]  # 0.1 pixels are none
        square = (weight * slope).transpose(0, 2, 1) @ slope
        aim = (weight * slope * left[..., None]).sum((0, 1))
        turn = rotation_matrix(np.linalg.solve(square.sum(0), aim)) @ turn
    rest = np.full(len(flow.motion), np.inf, np.float32)
    rest[flow.found] = np.linalg.norm(_step(turn, rays, after, focal)[0], axis=1)
    return Turn(turn, rest)


def assumed_intrinsics(size: tuple[int, int]) -> Float64[np.ndarray, "3 3"]:
    """Camera of an everyday lens, for images of this size (height, width)."""
    height, width = size
    focal = ASSUMED_FOCAL * max(size)
    return np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1.0]])


def rotation_matrix(axis_angle: Float64[np.ndarray, " 3"]) -> Float64[np.ndarray, "3 3"]:
    """Rodrigues' formula."""
    angle = float(np.linalg.norm(axis_angle))
    x, y, z = axis_angle / max(angle, 1e-12)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def _step(
    turn: Float64[np.ndarray, "3 3"],
    rays: Float64[np.ndarray, "n 3"],
    after: Float64[np.ndarray, "n 2"],
    focal: Float64[np.ndarray, " 2"],
) -> tuple[Float64[np.ndarray, "n 2"], Float64[np.ndarray, "n 2 3"]]:
    """What is left over of the motion, in pixels, and its derivative by a small further turn."""
    x, y, z = turn @ rays.T
    x, y = x / np.maximum(z, 1e-6), y / np.maximum(z, 1e-6)
    slope = np.stack([-x * y, 1 + x * x, -y, -1 - y * y, x * y, x], 1).reshape(-1, 2, 3)
    return after - focal * np.stack([x, y], 1), focal[:, None] * slope
