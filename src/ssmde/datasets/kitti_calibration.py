"""Where KITTI's sensors are: calibration files, and the car's GPS and IMU readings (oxts).

The images are rectified: camera i sees x = K (R_rect_00 X + t_i), with P_rect_i = K [I | t_i] and X
in the unrectified camera 0. Frames: `T_a_b` maps points of frame b into frame a; `cam` is the
rectified camera of the images, `rect` the rectified camera 0.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from ssmde.data.sequence import Intrinsics, Poses, Size, check_pose
from ssmde.datasets.record import ArchiveError, readable
from ssmde.io import read_text

EARTH_RADIUS = 6378137.0  # metres, as in KITTI's devkit
OXTS_FIELDS = 30  # numbers of a reading; the first six are the place and the attitude

Numbers = dict[str, Float[np.ndarray, " _"]]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class KittiCamera:
    """One rectified camera, and where the other sensors are; None for a file that is missing."""

    intrinsics: Intrinsics  # in pixels of the rectified image
    image_size: Size | None = None
    """Height and width of the rectified image the matrix is for; odometry does not tell it."""
    T_cam_rect: Float[np.ndarray, "4 4"]  # the baseline between camera 0 and this one, in metres
    T_cam_velo: Float[np.ndarray, "4 4"] | None = None
    T_cam_imu: Float[np.ndarray, "4 4"] | None = None
    problems: tuple[str, ...] = ()  # what is missing or broken: one line for each file


def read_raw_camera(date: Path, camera: str) -> KittiCamera:
    """Camera `02` or `03` of all drives of one day, from the calib_*.txt of its folder."""
    path = date / "calib_cam_to_cam.txt"
    numbers = _read_calibration(path)
    intrinsics, T_cam_rect = _projection(path, numbers, f"P_rect_{camera}")
    T_rect_cam0 = _rigid(path, _entry(path, numbers, "R_rect_00", 9))
    size = _entry(path, numbers, f"S_rect_{camera}", 2)
    problems: list[str] = []
    T_cam0_velo = _read_motion(date / "calib_velo_to_cam.txt", problems)
    T_velo_imu = _read_motion(date / "calib_imu_to_velo.txt", problems)
    # Scanner to camera 0, then rectified, then along the baseline to this camera.
    T_cam_velo = None if T_cam0_velo is None else T_cam_rect @ T_rect_cam0 @ T_cam0_velo
    return KittiCamera(
        intrinsics=intrinsics, image_size=(int(size[1]), int(size[0])), T_cam_rect=T_cam_rect,
        T_cam_velo=T_cam_velo,
        T_cam_imu=None if T_cam_velo is None or T_velo_imu is None else T_cam_velo @ T_velo_imu,
        problems=tuple(problems),
    )  # fmt: skip


def read_odometry_camera(sequence: Path) -> KittiCamera:
    """Camera 2 of a sequence of KITTI odometry, from the calib.txt of its folder."""
    path = sequence / "calib.txt"
    numbers = _read_calibration(path)
    intrinsics, T_cam_rect = _projection(path, numbers, "P2")
    T_cam_velo = None
    if "Tr" in numbers:  # the archive of images without scans has none
        Tr = _entry(path, numbers, "Tr", 12).reshape(3, 4)
        T_cam_velo = T_cam_rect @ _rigid(path, Tr[:, :3], Tr[:, 3])
    return KittiCamera(intrinsics=intrinsics, T_cam_rect=T_cam_rect, T_cam_velo=T_cam_velo)


def read_oxts(path: Path) -> list[float]:
    """Latitude, longitude (degrees), altitude (metres), roll, pitch and yaw (radians)."""
    no_pose = "the frame has no pose"
    with readable(path, missing=no_pose, broken=no_pose):
        numbers = [float(word) for word in read_text(path).split()]
    if len(numbers) != OXTS_FIELDS or not all(map(math.isfinite, numbers)):
        raise ArchiveError(
            f"{path}: expected {OXTS_FIELDS} finite numbers, got {len(numbers)}; {no_pose}"
        )
    return numbers[:6]


def imu_pose(reading: Sequence[float], mercator_scale: float) -> Float[np.ndarray, "4 4"]:
    """IMU (x forward, y left, z up) to world (east, north, up), in metres, as the devkit has it.

    t = (s r lon, s r ln tan(45 deg + lat / 2), alt), R = R_z(yaw) R_y(pitch) R_x(roll), of what
    `read_oxts` gives; s is the cosine of the latitude of the first place.
    """
    latitude, longitude, altitude, roll, pitch, yaw = reading
    north = math.log(math.tan(math.pi / 4 + math.radians(latitude) / 2))
    T = np.eye(4)
    T[:3, :3] = Rotation.from_euler("ZYX", [yaw, pitch, roll]).as_matrix()
    T[:3, 3] = np.array([math.radians(longitude), north, 0]) * mercator_scale * EARTH_RADIUS
    T[2, 3] = altitude
    return T


def camera_poses(
    files: Sequence[Path], T_cam_imu: Float[np.ndarray, "4 4"], problems: list[str]
) -> Poses | None:
    """Camera-to-world matrices in metres, nan where unknown; None if none is known.

    There is one file of oxts/data a frame, in time order; broken ones are told. The world is the
    camera of the first frame whose pose is known.
    """
    poses = np.full((len(files), 4, 4), np.nan)
    scale = None
    for pose, file in zip(poses, files, strict=True):
        try:
            reading = read_oxts(file)
        except ArchiveError as error:
            problems.append(str(error))
            continue
        scale = math.cos(math.radians(reading[0])) if scale is None else scale
        # T_world_cam = T_world_imu T_imu_cam
        pose[:] = imu_pose(reading, scale) @ np.linalg.inv(T_cam_imu)
    return None if scale is None else from_first(poses)


def from_first(poses: Poses) -> Poses:
    """The same motion in the frame of the first pose that is known (not nan); one must be."""
    known = np.isfinite(poses).all(axis=(1, 2))
    return np.linalg.inv(poses[known][0]) @ poses


def _read_calibration(path: Path) -> Numbers:
    """The rows `KEY: numbers` of a file; rows of words, such as a date, are left out."""
    with readable(path, missing="unpack the calibration archive"):
        lines = read_text(path).splitlines()
    found: Numbers = {}
    for line in lines:
        key, _, row = line.partition(":")
        try:
            found[key.strip()] = np.array([float(word) for word in row.split()])
        except ValueError:
            continue
    return found


def _entry(path: Path, numbers: Numbers, key: str, count: int) -> Float[np.ndarray, " _"]:
    row = numbers.get(key)
    if row is None or len(row) != count or not np.isfinite(row).all():
        got = "no such row" if row is None else f"{len(row)} numbers"
        raise ArchiveError(f"{path}: expected '{key}:' and {count} finite numbers, got {got}")
    return row


def _projection(
    path: Path, numbers: Numbers, key: str
) -> tuple[Intrinsics, Float[np.ndarray, "4 4"]]:
    """K and `T_cam_rect`, a shift t in metres, of the row P = K [I | t]."""
    P = _entry(path, numbers, key, 12).reshape(3, 4)
    try:  # the fourth column is K t
        shift = np.linalg.solve(P[:, :3], P[:, 3])
    except np.linalg.LinAlgError as error:
        raise ArchiveError(f"{path}: '{key}:' is no camera matrix; unpack it again") from error
    T_cam_rect = np.eye(4)
    T_cam_rect[:3, 3] = shift
    return P[:, :3].copy(), T_cam_rect


def _rigid(
    path: Path, R: Float[np.ndarray, "..."], t: Float[np.ndarray, " 3"] | None = None
) -> Float[np.ndarray, "4 4"]:
    """The motion [R | t]; an `ArchiveError` if R is no rotation."""
    T = np.eye(4)
    T[:3, :3] = R.reshape(3, 3)
    T[:3, 3] = 0 if t is None else t
    try:
        check_pose(T, where=str(path))
    except ValueError as error:
        raise ArchiveError(str(error)) from error
    return T


def _read_motion(path: Path, problems: list[str]) -> Float[np.ndarray, "4 4"] | None:
    """Rigid motion of a file with R and T; None, and a line in `problems`, without one."""
    try:
        numbers = _read_calibration(path)
        return _rigid(path, _entry(path, numbers, "R", 9), _entry(path, numbers, "T", 3))
    except ArchiveError as error:
        problems.append(str(error))
        return None
