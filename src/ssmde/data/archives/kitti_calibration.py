"""KITTI's calibration files: pinhole matrices, and where camera, scanner and IMU are.

The images are rectified: camera i sees x = K (R_rect_00 X + t_i), with P_rect_i = K [I | t_i] and X
in the unrectified camera 0. Frames: `T_a_b` maps points of frame b into frame a; `cam` is the
rectified camera of the images.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ssmde.data.archives.record import ArchiveError
from ssmde.data.sequence import check_pose
from ssmde.io import read_text


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class KittiCamera:
    """One rectified camera, and where the other sensors are; None for a file that is missing."""

    intrinsics: Float[np.ndarray, "3 3"]
    """Pinhole matrix, in pixels of the rectified image."""
    image_size: tuple[int, int] | None = None
    """Size (height, width) of the rectified image the matrix is for."""
    T_cam_rect: Float[np.ndarray, "4 4"]
    """Rectified camera 0 to this camera: the baseline between them, in metres."""
    T_cam_velo: Float[np.ndarray, "4 4"] | None = None
    """Scanner to camera, in metres."""
    T_cam_imu: Float[np.ndarray, "4 4"] | None = None
    """IMU to camera, in metres."""
    problems: tuple[str, ...] = ()
    """What is missing or broken: one line for each file."""


def read_raw_camera(date: Path, camera: str) -> KittiCamera:
    """Camera `02` or `03` of all drives of one day, from calib_*.txt.

    Args:
        date: Folder of a day, such as 2011_09_26.
        camera: Number of the camera, as in image_02.

    Raises:
        ArchiveError: If calib_cam_to_cam.txt is missing or broken.
    """
    path = date / "calib_cam_to_cam.txt"
    numbers = read_calibration(path)
    intrinsics, T_cam_rect = _projection(path, numbers, f"P_rect_{camera}")
    T_rect_cam0 = np.eye(4)
    T_rect_cam0[:3, :3] = _entry(path, numbers, "R_rect_00", 9).reshape(3, 3)
    _check_rigid(path, T_rect_cam0)
    size = _entry(path, numbers, f"S_rect_{camera}", 2)
    problems: list[str] = []
    T_cam0_velo = _read_motion(date / "calib_velo_to_cam.txt", problems)
    T_velo_imu = _read_motion(date / "calib_imu_to_velo.txt", problems)
    T_cam_velo = None if T_cam0_velo is None else T_cam_rect @ T_rect_cam0 @ T_cam0_velo
    T_cam_imu = None if T_cam_velo is None or T_velo_imu is None else T_cam_velo @ T_velo_imu
    return KittiCamera(
        intrinsics=intrinsics,
        image_size=(int(size[1]), int(size[0])),
        T_cam_rect=T_cam_rect,
        T_cam_velo=T_cam_velo,
        T_cam_imu=T_cam_imu,
        problems=tuple(problems),
    )


def read_odometry_camera(sequence: Path, camera: str = "2") -> KittiCamera:
    """Camera of a sequence of KITTI odometry, from its calib.txt; the size of the image is absent.

    Args:
        sequence: Folder of a sequence, such as sequences/00.
        camera: Number of the camera, as in image_2.

    Raises:
        ArchiveError: If calib.txt is missing or has no matrix of the camera.
    """
    path = sequence / "calib.txt"
    numbers = read_calibration(path)
    intrinsics, T_cam_rect = _projection(path, numbers, f"P{camera}")
    if "Tr" not in numbers:  # the archive of images without scans has none
        return KittiCamera(intrinsics=intrinsics, T_cam_rect=T_cam_rect)
    T_rect_velo = np.eye(4)
    T_rect_velo[:3] = _entry(path, numbers, "Tr", 12).reshape(3, 4)
    _check_rigid(path, T_rect_velo)
    return KittiCamera(
        intrinsics=intrinsics, T_cam_rect=T_cam_rect, T_cam_velo=T_cam_rect @ T_rect_velo
    )


def read_calibration(path: Path) -> dict[str, Float[np.ndarray, " _"]]:
    """The rows `KEY: numbers` of a calibration file; rows of words, such as a date, are left out.

    Raises:
        ArchiveError: If the file is missing or no text.
    """
    try:
        lines = read_text(path).splitlines()
    except FileNotFoundError as error:
        raise ArchiveError(f"{path}: no such file; unpack the calibration archive") from error
    except (OSError, ValueError) as error:
        raise ArchiveError(f"{path}: cannot be read ({error}); unpack it again") from error
    found: dict[str, Float[np.ndarray, " _"]] = {}
    for line in lines:
        key, _, row = line.partition(":")
        try:
            found[key.strip()] = np.array([float(word) for word in row.split()])
        except ValueError:
            continue
    return found


def split_projection(
    row: Float[np.ndarray, " 12"],
) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "4 4"]]:
    """Pinhole matrix K and `T_cam_rect`, the shift from camera 0, of P = K [I | t].

    Args:
        row: The 3 x 4 matrix P, row by row; t is in metres.
    """
    matrix = row.reshape(3, 4)
    T_cam_rect = np.eye(4)
    T_cam_rect[:3, 3] = np.linalg.solve(matrix[:, :3], matrix[:, 3])
    return matrix[:, :3].copy(), T_cam_rect


def transform(
    T: Float[np.ndarray, "4 4"], points: Float[np.ndarray, "n 3"]
) -> Float[np.ndarray, "n 3"]:
    """Points in another frame: T x."""
    return points @ T[:3, :3].T + T[:3, 3]


def _entry(
    path: Path, numbers: dict[str, Float[np.ndarray, " _"]], key: str, count: int
) -> Float[np.ndarray, " _"]:
    row = numbers.get(key)
    if row is None or len(row) != count or not np.isfinite(row).all():
        got = "no such row" if row is None else f"{len(row)} numbers"
        raise ArchiveError(f"{path}: expected '{key}:' and {count} finite numbers, got {got}")
    return row


def _projection(
    path: Path, numbers: dict[str, Float[np.ndarray, " _"]], key: str
) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "4 4"]]:
    """What `split_projection` makes of a row; refuses one with which no camera sees."""
    try:
        return split_projection(_entry(path, numbers, key, 12))
    except np.linalg.LinAlgError as error:
        raise ArchiveError(f"{path}: '{key}:' is no camera matrix; unpack it again") from error


def _check_rigid(path: Path, T: Float[np.ndarray, "4 4"]) -> None:
    try:
        check_pose(T, where=str(path))
    except ValueError as error:
        raise ArchiveError(str(error)) from error


def _read_motion(path: Path, problems: list[str]) -> Float[np.ndarray, "4 4"] | None:
    """Rigid motion of a file with R and T; None, and a line in `problems`, without one."""
    try:
        numbers = read_calibration(path)
        T = np.eye(4)
        T[:3, :3] = _entry(path, numbers, "R", 9).reshape(3, 3)
        T[:3, 3] = _entry(path, numbers, "T", 3)
        _check_rigid(path, T)
    except ArchiveError as error:
        problems.append(str(error))
        return None
    return T
