"""Poses as archives write them, a position and a quaternion, as matrices."""

import numpy as np
from jaxtyping import Float

UNIT_TOLERANCE = 0.01  # written quaternions are rounded; one further from length 1 is no rotation


def pose_matrices(
    positions: Float[np.ndarray, "n 3"], quaternions: Float[np.ndarray, "n 4"]
) -> Float[np.ndarray, "n 4 4"]:
    """Rigid motions [R | position] of unit quaternions; nan where a quaternion is no rotation.

    R = I + 2 w [v] + 2 [v]^2, with [v] the cross product matrix of v = (x, y, z).

    Args:
        positions: Translation, in metres.
        quaternions: (x, y, z, w): the scalar comes last. Length 1 but for rounding.

    Example:
        >>> half = np.sqrt(0.5)
        >>> turn = pose_matrices(np.zeros((1, 3)), np.array([[0.0, 0.0, half, half]]))
        >>> turn[0, :3, 0].round().astype(int).tolist()  # a quarter turn about z takes x to y
        [0, 1, 0]
    """
    lengths = np.linalg.norm(quaternions, axis=1, keepdims=True)
    lengths[~(np.abs(lengths - 1) <= UNIT_TOLERANCE)] = np.nan
    x, y, z, w = (quaternions / lengths).T
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)
    poses = np.tile(np.eye(4), (len(positions), 1, 1))
    poses[:, :3, :3] += 2 * (w[:, None, None] * cross + cross @ cross)
    poses[:, :3, 3] = positions
    poses[np.isnan(poses).any(axis=(1, 2))] = np.nan
    return poses
