"""Where the car of KITTI raw was: GPS and IMU readings (oxts) to poses in metres.

The devkit's convention: latitude and longitude become metres in a Mercator projection with the
scale of the first place, and roll, pitch and yaw turn about x (forward), y (left) and z (up).
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ssmde.data.archives.record import ArchiveError
from ssmde.io import read_text

EARTH_RADIUS = 6378137.0  # metres, as in KITTI's devkit
FIELDS = 30  # numbers of a reading; the first six are the place and the attitude


def read_oxts(path: Path) -> tuple[float, float, float, float, float, float]:
    """Latitude, longitude (degrees), altitude (metres), roll, pitch and yaw (radians).

    Args:
        path: One file of oxts/data.

    Raises:
        ArchiveError: If the file is missing or holds other than 30 finite numbers.
    """
    try:
        words = read_text(path).split()
        numbers = [float(word) for word in words]
    except FileNotFoundError as error:
        raise ArchiveError(f"{path}: no such file; the frame has no pose") from error
    except (OSError, ValueError) as error:
        raise ArchiveError(f"{path}: cannot be read ({error}); the frame has no pose") from error
    if len(numbers) != FIELDS or not all(map(math.isfinite, numbers)):
        raise ArchiveError(
            f"{path}: expected {FIELDS} finite numbers, got {len(numbers)}; the frame has no pose"
        )
    latitude, longitude, altitude, roll, pitch, yaw = numbers[:6]
    return latitude, longitude, altitude, roll, pitch, yaw


def imu_pose(
    reading: tuple[float, float, float, float, float, float], mercator_scale: float
) -> Float[np.ndarray, "4 4"]:
    """IMU to world (east, north, up), in metres.

    t = (s r lon, s r ln tan(45 deg + lat / 2), alt), R = R_z(yaw) R_y(pitch) R_x(roll).

    Args:
        reading: What `read_oxts` gives.
        mercator_scale: s, the cosine of the latitude of the first place.
    """
    latitude, longitude, altitude, roll, pitch, yaw = reading
    east = mercator_scale * EARTH_RADIUS * math.radians(longitude)
    north = math.log(math.tan(math.pi / 4 + math.radians(latitude) / 2))
    T = np.eye(4)
    T[:3, :3] = _turn(2, yaw) @ _turn(1, pitch) @ _turn(0, roll)
    T[:3, 3] = east, mercator_scale * EARTH_RADIUS * north, altitude
    return T


def camera_poses(
    files: Sequence[Path], T_cam_imu: Float[np.ndarray, "4 4"]
) -> tuple[Float[np.ndarray, "n 4 4"] | None, list[str]]:
    """Camera-to-world matrices in metres, nan where unknown, and a line for each broken file.

    The world is the camera of the first frame whose pose is known. None if none is.

    Args:
        files: One file of oxts/data a frame, in time order.
        T_cam_imu: IMU to camera.
    """
    poses = np.full((len(files), 4, 4), np.nan)
    problems: list[str] = []
    scale = None
    for pose, file in zip(poses, files, strict=True):
        try:
            reading = read_oxts(file)
        except ArchiveError as error:
            problems.append(str(error))
            continue
        scale = math.cos(math.radians(reading[0])) if scale is None else scale
        pose[:] = imu_pose(reading, scale) @ np.linalg.inv(T_cam_imu)
    return (None, problems) if scale is None else (from_first(poses), problems)


def from_first(poses: Float[np.ndarray, "n 4 4"]) -> Float[np.ndarray, "n 4 4"]:
    """The same motion in the frame of the first pose that is known, which becomes the identity.

    Args:
        poses: Camera to world; nan where unknown; at least one is known.
    """
    known = np.isfinite(poses).all(axis=(1, 2))
    return np.linalg.inv(poses[known][0]) @ poses


def _turn(axis: int, angle: float) -> Float[np.ndarray, "3 3"]:
    """Right-handed rotation about one axis, by an angle in radians."""
    i, j = (axis + 1) % 3, (axis + 2) % 3
    R = np.eye(3)
    R[i, i] = R[j, j] = math.cos(angle)
    R[j, i] = math.sin(angle)
    R[i, j] = -math.sin(angle)
    return R
