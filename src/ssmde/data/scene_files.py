"""The small text files of scene folders: cam.txt, poses.txt, scene.json and lists of scenes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Float32

from ssmde.data.sequence import check_intrinsics
from ssmde.io import read_json, read_lines, read_npz, whole_file, write_json, write_text

RIGID = 0.01  # by which a rotation may miss: files have four digits, or float32


def read_intrinsics(path: Path, image_size: tuple[int, int]) -> Float[np.ndarray, "3 3"] | None:
    """Pinhole matrix of a cam.txt, in pixels; None if the file does not exist.

    Args:
        path: Nine numbers, row by row, on three lines or on one.
        image_size: Size (height, width) of the images it belongs to.

    Raises:
        ValueError: If it does not hold a pinhole matrix of such images.
    """
    if not path.is_file():
        return None
    rows = [_numbers(path, i, line) for i, line in read_lines(path)]
    if [len(row) for row in rows] not in ([3, 3, 3], [9]):
        raise ValueError(
            f"{path}: expected 3 lines of 3 numbers (fx 0 cx, 0 fy cy, 0 0 1), "
            f"got lines of {', '.join(str(len(row)) for row in rows) or 'nothing'}"
        )
    intrinsics = np.reshape(rows, (3, 3))
    check_intrinsics(intrinsics, image_size, where=str(path))
    return intrinsics


def read_poses(path: Path, frames: int) -> Float[np.ndarray, "n 4 4"] | None:
    """Camera-to-world matrices of a poses.txt, nan where unknown; None if there is no file.

    Args:
        path: One line a frame: 12 numbers, the upper rows of the matrix, or all 16. A line with a
            nan, or of zeros, as some write where tracking was lost, is an unknown pose.
        frames: Number of frames it must have.

    Raises:
        ValueError: If a line or their number is wrong, or a pose is no rotation and position.
    """
    if not path.is_file():
        return None
    lines = list(read_lines(path))
    if len(lines) != frames:
        raise ValueError(f"{path}: expected one line for each of {frames} frames, got {len(lines)}")
    poses = np.tile(np.eye(4), (frames, 1, 1))
    for pose, (number, line) in zip(poses, lines, strict=True):
        row = _numbers(path, number, line)
        if len(row) not in (12, 16):
            raise ValueError(f"{path}, line {number}: expected 12 or 16 numbers, got {len(row)}")
        pose[:3] = _rigid(path, number, row[:12])
        known = not np.isnan(pose).any()
        if known and len(row) == 16 and not np.allclose(row[12:], (0, 0, 0, 1)):
            raise ValueError(
                f"{path}, line {number}: a pose ends with 0 0 0 1, got {row[12:]}; "
                "write the matrix row by row"
            )
    return poses


def _rigid(path: Path, number: int, row: list[float]) -> Float[np.ndarray, "3 4"]:
    """Rotation and position of a line; nan where it says that they are unknown.

    Raises:
        ValueError: If it is no rigid motion; it has the line and the reason.
    """
    pose = np.reshape(row, (3, 4))
    if np.isnan(pose).any() or not pose.any():
        return np.full((3, 4), np.nan)
    R = pose[:, :3]
    scale = float(np.cbrt(abs(np.linalg.det(R)))) if np.isfinite(R).all() else 0.0
    if not np.isfinite(pose).all():
        reason = "a number is infinite; write nan where the pose is unknown"
    elif scale == 0 or np.abs(R @ R.T - scale**2 * np.eye(3)).max() > RIGID * scale**2:
        reason = f"{R.ravel().tolist()} is no rotation; write R and t of the camera row by row"
    elif abs(scale - 1) > RIGID:
        reason = f"it scales by {scale:.4g}; divide the rotation by it, or normalise the quaternion"
    elif np.linalg.det(R) < 0:
        reason = "it mirrors; write a rotation, of axes x right, y down, z forward"
    else:
        return pose
    raise ValueError(f"{path}, line {number}: the pose is no rigid motion, {reason}")


def read_tracked_poses(
    path: Path, frames: int
) -> tuple[Float[np.ndarray, "n 4 4"], Float[np.ndarray, " n"]] | None:
    """Camera-to-world matrices and parts of a tracked_poses.txt; None if there is no file.

    Args:
        path: One line a frame: the part of the video, then the upper rows of the matrix.
        frames: Number of frames it must have.

    Raises:
        ValueError: If a line or their number is wrong.
    """
    if not path.is_file():
        return None
    lines = [(i, line) for i, line in read_lines(path) if not line.startswith("#")]
    if len(lines) != frames:
        raise ValueError(
            f"{path}: expected one line for each of {frames} frames, got {len(lines)}; "
            "frames came or went: track the scene again"
        )
    rows = [_numbers(path, number, line) for number, line in lines]
    for (number, _), row in zip(lines, rows, strict=True):
        if len(row) != 13:
            raise ValueError(f"{path}, line {number}: expected 13 numbers, got {len(row)}")
    poses = np.tile(np.eye(4), (frames, 1, 1))
    poses[:, :3] = [
        _rigid(path, number, row[1:]) for (number, _), row in zip(lines, rows, strict=True)
    ]
    return poses, np.array([row[0] for row in rows])


def read_timestamps(path: Path, frames: int) -> Float[np.ndarray, " n"] | None:
    """Times of a timestamps.txt, in seconds; None if there is no file.

    Args:
        path: One number a frame; a line that begins with # is a remark.
        frames: Number of frames it must have.

    Raises:
        ValueError: If a line or their number is wrong.
    """
    if not path.is_file():
        return None
    rows = [(i, _numbers(path, i, line)) for i, line in read_lines(path) if line[0] != "#"]
    for number, row in rows:
        if len(row) != 1 or not np.isfinite(row[0]):
            raise ValueError(f"{path}, line {number}: expected one time in seconds, got {row}")
    if len(rows) != frames:
        raise ValueError(f"{path}: expected one time for each of {frames} frames, got {len(rows)}")
    return np.array([row[0] for _, row in rows])


def read_scene_info(path: Path) -> dict[str, Any]:
    """The object in a JSON file of a scene; empty if there is none.

    Raises:
        ValueError: If it is no JSON object.
    """
    return read_json(path) if path.exists() else {}


def positive_number(info: dict[str, Any], key: str, path: Path) -> float | None:
    """A number of a JSON object; None if it is absent or null.

    Raises:
        ValueError: If it is no positive number.
    """
    value = info.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ValueError(f"{path}: {key} must be a positive number, got {value!r}")
    return float(value)


def write_intrinsics(folder: Path, intrinsics: Float[np.ndarray, "3 3"]) -> None:
    """Write a pinhole matrix, in pixels of the stored images, to the scene's cam.txt."""
    _write(folder / "cam.txt", [" ".join(f"{x:.9g}" for x in row) for row in intrinsics])


def write_poses(folder: Path, poses: Float[np.ndarray, "n 4 4"]) -> None:
    """Write camera-to-world matrices, in metres, to the scene's poses.txt."""
    rows = [" ".join(f"{x:.9g}" for x in pose[:3].ravel()) for pose in poses]
    _write(folder / "poses.txt", rows)


def write_tracked_poses(
    folder: Path, poses: Float[np.ndarray, "n 4 4"], parts: Float[np.ndarray, " n"], note: str
) -> None:
    """Write what `read_tracked_poses` reads to the scene's tracked_poses.txt, under a note."""
    rows = [
        f"{part:.0f} " + " ".join(f"{x:.9g}" for x in pose[:3].ravel())
        for pose, part in zip(poses, parts, strict=True)
    ]
    _write(folder / TRACKED_POSES, [f"# {note}", *rows])


def write_timestamps(folder: Path, times: Float[np.ndarray, " n"]) -> None:
    """Write the time of each frame, in seconds, to the scene's timestamps.txt."""
    _write(folder / "timestamps.txt", [f"{time:.6f}" for time in times])


TRACKED_POINTS, TRACKED_POSES = "tracked_points.npz", "tracked_poses.txt"


def write_tracked_points(
    folder: Path, points: Mapping[int, tuple[Float[np.ndarray, "_ 2"], Float[np.ndarray, "_"]]]
) -> None:
    """Write image points, in pixels, and their depth, by the index of their frame."""
    frames = sorted(points)
    empty = (np.zeros((0, 2)), np.zeros(0))
    pixels, depth = (
        np.concatenate([points[i][k] for i in frames] or [empty[k]]).astype(np.float32)
        for k in (0, 1)
    )
    counts = np.array([len(points[i][1]) for i in frames], dtype=np.int64)
    with whole_file(folder / TRACKED_POINTS) as part, part.open("wb") as file:
        np.savez_compressed(
            file, frames=np.array(frames, np.int64), counts=counts, pixels=pixels, depth=depth
        )


def read_tracked_points(
    path: Path,
) -> dict[int, tuple[Float32[np.ndarray, "_ 2"], Float32[np.ndarray, "_"]]]:
    """Image points, in pixels, and their depth, by the index of their frame.

    Raises:
        ValueError: If the file does not exist, or is broken.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file; `ssmde track {path.parent.parent}` writes it")
    try:
        stored = read_npz(path)
        ends = np.cumsum(stored["counts"])[:-1]
        pixels, depth = (np.split(stored[name], ends) for name in ("pixels", "depth"))
        frames = stored["frames"].tolist()
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{path}: cannot be read ({error}); track the scene again") from error
    return dict(zip(frames, zip(pixels, depth, strict=True), strict=True)) if frames else {}


def write_scene_info(folder: Path, info: Mapping[str, Any]) -> None:
    """Write source, licence, fps, depth_units_per_metre and notes to the scene's scene.json."""
    write_json(folder / "scene.json", dict(info))


def write_list(root: Path, split: Literal["train", "val", "test"], names: list[str]) -> None:
    """Write the names of the scenes of one part, one a line."""
    _write(root / f"{split}.txt", names)


def _write(path: Path, lines: list[str]) -> None:
    write_text(path, "".join(f"{line}\n" for line in lines))


def _numbers(path: Path, number: int, line: str) -> list[float]:
    try:
        return [float(word) for word in line.replace(",", " ").split()]
    except ValueError as error:
        raise ValueError(f"{path}, line {number}: expected numbers, got '{line}'") from error
