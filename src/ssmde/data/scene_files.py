"""The small files of scene folders: cam.txt, poses.txt, scene.json, tracked points, lists.

A ValueError names a file that is wrong, the line and the value. Most readers give None where there
is no file.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Float32

from ssmde.arrays import read_npz, write_npz
from ssmde.console import shorten
from ssmde.data import sequence
from ssmde.data.sequence import Intrinsics, PerFrame, Poses, Size
from ssmde.io import read_json, read_lines, write_json, write_text

TRACKED_POINTS, TRACKED_POSES = "tracked_points.npz", "tracked_poses.txt"
TRACKED_INFO = "tracked.json"  # how far the motion can be trusted
POINT_ARRAYS = ("frames", "counts", "pixels", "depth")
TrackedPoints = tuple[Float32[np.ndarray, "_ 2"], Float32[np.ndarray, "_"]]
"""Points (u, v) of a frame, in pixels, and their depth."""


def read_intrinsics(path: Path, image_size: Size, *, orientation: int = 1) -> Intrinsics | None:
    """Pinhole matrix for upright images of this size beside a cam.txt; None without one.

    It has nine numbers, row by row, on three lines or on one, in pixels as they are stored;
    `orientation` (EXIF, 1 to 8) is what turns these upright.
    """
    if not path.is_file():
        return None
    rows = [_numbers(f"{path}, line {number}", line) for number, line in read_lines(path)]
    if [len(row) for row in rows] not in ([3, 3, 3], [9]):
        got = ", ".join(str(len(row)) for row in rows) or "nothing"
        raise ValueError(
            f"{path}: expected 3 lines of 3 numbers (fx 0 cx, 0 fy cy, 0 0 1), got lines of {got}"
        )
    intrinsics = np.reshape(rows, (3, 3))
    stored = (image_size[1], image_size[0]) if orientation >= 5 else image_size
    sequence.check_intrinsics(intrinsics, stored, where=str(path))
    return sequence.turn_intrinsics(intrinsics, stored, orientation)


def read_poses(path: Path, frames: int) -> Poses | None:
    """Camera-to-world matrices of a poses.txt for so many frames, nan where unknown.

    One line a frame: 12 numbers, the upper rows of the matrix, or all 16. A line with a nan, or of
    zeros, as some write where tracking was lost, is an unknown pose.
    """
    if (rows := _rows(path, frames, (12, 16))) is None:
        return None
    poses = np.array([_pose(row[:12], where) for where, row in rows])
    for pose, (where, row) in zip(poses, rows, strict=True):
        if np.isfinite(pose).all() and not np.allclose(row[12:] or pose[3], pose[3]):
            got = f"{row[12:]}; write the matrix row by row"
            raise ValueError(f"{where}: a pose ends with 0 0 0 1, got {got}")
    return poses


def read_tracked_poses(path: Path, frames: int) -> tuple[Poses, PerFrame] | None:
    """Camera-to-world matrices and parts of a tracked_poses.txt for so many frames.

    One line a frame: the part of the video, then the upper rows of the matrix.
    """
    remedy = "; frames came or went: track the scene again"
    if (rows := _rows(path, frames, (13,), remedy=remedy)) is None:
        return None
    poses = np.array([_pose(row[1:], where) for where, row in rows])
    for pose, (where, (part, *_)) in zip(poses, rows, strict=True):
        if np.isfinite(pose).all() and not np.isfinite(part):
            raise ValueError(f"{where}: the part of the video is {part}")
    return poses, np.array([part for _, (part, *_) in rows])


def read_timestamps(path: Path, frames: int) -> PerFrame | None:
    """Times of a timestamps.txt for so many frames, in seconds; one number a line."""
    if (rows := _rows(path, frames, (1,), what="time")) is None:
        return None
    for where, (time,) in rows:
        if not np.isfinite(time):
            raise ValueError(f"{where}: expected one time in seconds, got {time}")
    return np.array([time for _, (time,) in rows])


def read_scene_info(path: Path) -> dict[str, Any]:
    """The object in a JSON file of a scene; empty if there is none."""
    return read_json(path) if path.exists() else {}


def positive_number(info: dict[str, Any], key: str, path: Path) -> float | None:
    """A positive number of a JSON object read from `path`; None if it is absent or null."""
    value = info.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e300:
        raise ValueError(f"{path}: {key} must be a positive number, got {shorten(repr(value))}")
    return float(value)


def read_tracked_points(path: Path) -> dict[int, TrackedPoints]:
    """Image points, in pixels, and their depth, by the index of their frame."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file; `ssmde track {path.parent.parent}` writes it")
    try:
        stored = read_npz(path, POINT_ARRAYS)
        frames, counts, pixels, depth = (stored[name] for name in POINT_ARRAYS)
        total = int(counts.sum())
        fits = frames.ndim == 1 and frames.shape == counts.shape and (counts >= 0).all()
        numbers = frames.dtype.kind + counts.dtype.kind == "ii"
        if not (fits and numbers and pixels.shape == (total, 2) and depth.shape == (total,)):
            raise ValueError("its arrays do not fit each other")
        pixels, depth = pixels.astype(np.float32), depth.astype(np.float32)
        if not (np.isfinite(pixels).all() and np.isfinite(depth).all()):
            raise ValueError("it holds numbers that are not finite")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: cannot be read ({error}); track the scene again") from error
    ends = np.cumsum(counts)[:-1]
    parts = zip(np.split(pixels, ends), np.split(depth, ends), strict=True)
    return dict(zip(frames.tolist(), parts, strict=True)) if len(frames) else {}


def write_intrinsics(folder: Path, intrinsics: Intrinsics) -> None:
    """Write a pinhole matrix, in pixels of the stored images, to the scene's cam.txt."""
    _write(folder / "cam.txt", [_words(row) for row in intrinsics])


def write_poses(folder: Path, poses: Poses) -> None:
    """Write camera-to-world matrices, in meters, to the scene's poses.txt."""
    _write(folder / "poses.txt", [_words(pose[:3]) for pose in poses])


def write_tracked_poses(folder: Path, poses: Poses, parts: PerFrame, note: str) -> None:
    """Write what `read_tracked_poses` reads to the scene's tracked_poses.txt, under a note."""
    rows = [f"{part:.0f} {_words(pose[:3])}" for pose, part in zip(poses, parts, strict=True)]
    _write(folder / TRACKED_POSES, [f"# {note}", *rows])


def write_tracked_points(
    folder: Path, points: Mapping[int, tuple[Float[np.ndarray, "_ 2"], Float[np.ndarray, "_"]]]
) -> None:
    """Write image points, in pixels, and their depth, by the index of their frame."""
    frames = sorted(points)
    pixels = np.concatenate([np.zeros((0, 2)), *(points[i][0] for i in frames)])
    depth = np.concatenate([np.zeros(0), *(points[i][1] for i in frames)])
    counts = np.array([len(points[i][1]) for i in frames], np.int64)
    values = np.array(frames, np.int64), counts, pixels.astype(np.float32), depth.astype(np.float32)
    write_npz(folder / TRACKED_POINTS, dict(zip(POINT_ARRAYS, values, strict=True)))


def write_scene_info(folder: Path, info: Mapping[str, Any]) -> None:
    """Write source, licence, fps, depth_units_per_metre and notes to the scene's scene.json."""
    write_json(folder / "scene.json", dict(info))


def write_list(root: Path, split: Literal["train", "val", "test"], names: list[str]) -> None:
    """Write the names of the scenes of one part, one a line."""
    _write(root / f"{split}.txt", names)


def _rows(
    path: Path, count: int, lengths: tuple[int, ...], *, what: str = "line", remedy: str = ""
) -> list[tuple[str, list[float]]] | None:
    """Place and numbers of each of so many lines, one a frame, but remarks; None without a file."""
    if not path.is_file():
        return None
    lines = [(number, line) for number, line in read_lines(path) if line[0] != "#"]
    if len(lines) != count:
        said = f"expected one {what} for each of {count} frames, got {len(lines)}"
        raise ValueError(f"{path}: {said}{remedy}")
    places = ((f"{path}, line {number}", line) for number, line in lines)
    rows = [(where, _numbers(where, line)) for where, line in places]
    for where, row in rows:
        if len(row) not in lengths:
            expected = " or ".join(map(str, lengths))
            raise ValueError(f"{where}: has {len(row)} numbers, expected {expected}")
    return rows


def _numbers(where: str, line: str) -> list[float]:
    try:
        return [float(word) for word in line.replace(",", " ").split()]
    except ValueError as error:
        raise ValueError(f"{where}: expected numbers, got {shorten(line)!r}") from error


def _pose(numbers: list[float], where: str) -> Float[np.ndarray, "4 4"]:
    """A pose of its upper rows; these are nan where it is unknown, which some write as zeros."""
    pose = np.vstack([np.reshape(numbers, (3, 4)), (0, 0, 0, 1)])
    if np.isnan(pose[:3]).all() or not pose[:3].any():
        pose[:3] = np.nan
    else:
        sequence.check_pose(pose, where=where)
    return pose


def _words(numbers: Float[np.ndarray, "..."]) -> str:
    return " ".join(f"{x:.9g}" for x in numbers.ravel())


def _write(path: Path, lines: list[str]) -> None:
    write_text(path, "".join(f"{line}\n" for line in lines))
