"""Sensors of a recording brought together: by time, by pose, and LiDAR points into the camera."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, Int
from scipy.spatial.transform import Rotation

from ssmde.console import counted
from ssmde.data.sequence import DepthMap, Intrinsics, PerFrame, Poses, Size
from ssmde.datasets.record import ArchiveError, read_archive_file

LONGEST_GAP = 0.02  # seconds; as the TUM benchmark associates its files
NAME_DIGITS = 17  # ten before the point, six behind it: names sort as their times do
POINT_BYTES = 16  # x, y, z and reflectance, 32-bit floats each
UNIT_TOLERANCE = 0.01  # written quaternions are rounded; one further from length 1 is no rotation


def time_name(seconds: float) -> str:
    """Name of a frame taken at this time, such as 1341846313.550000; names sort as times do."""
    return f"{seconds:0{NAME_DIGITS}.6f}"


def clock_problem(of: str, times: PerFrame, other: str, others: np.ndarray, met: int) -> list[str]:
    """A line where no time (in seconds) of the file `other` is near one of `of`; else none."""
    if not len(times) or len(others) < 2 or met:
        return []
    first, second = (f"{t.min():.6f} to {t.max():.6f} s" for t in (times, others))
    return [
        f"{other}: none of the {counted(len(times), 'frame')} of {of} has a time near one of it, "
        f"{first} here and {second} there; the clocks do not meet: give both the same one, in "
        "seconds"
    ]


def in_time_order(
    files: Iterable[tuple[float, Path]], problems: list[str]
) -> tuple[PerFrame, list[Path]]:
    """Files by their times in seconds; a second one of the same time is left out and told."""
    found: dict[str, tuple[float, Path]] = {}
    for time, path in files:
        if found.setdefault(time_name(time), (time, path))[1] is not path:
            problems.append(f"{path}: a second file of the same time; left out")
    ordered = sorted(found.values())
    return np.array([time for time, _ in ordered], np.float64), [path for _, path in ordered]


def match_times(first: PerFrame, second: Float[np.ndarray, " m"]) -> dict[int, int]:
    """Index in `second` for indices of `first`, one to one; the nearest pairs are made first.

    Both are increasing, in seconds; the times of a pair are at most `LONGEST_GAP` apart.
    """
    # Times are sorted, so the partners of one lie in a stretch: no table of all pairs is needed.
    starts = np.searchsorted(second, first - LONGEST_GAP, "left").tolist()
    stops = np.searchsorted(second, first + LONGEST_GAP, "right").tolist()
    pairs = [
        (abs(float(first[i] - second[j])), i, j)
        for i in range(len(first))
        for j in range(starts[i], stops[i])
    ]
    found: dict[int, int] = {}
    taken: set[int] = set()
    for _, i, j in sorted(pairs):
        if i not in found and j not in taken:
            found[i] = j
            taken.add(j)
    return found


def nearest_times(first: PerFrame, second: Float[np.ndarray, " m"]) -> Int[np.ndarray, " n"]:
    """Index in `second`, which increases, of the nearest time for each of `first`; -1 if none."""
    # The nearest of all is one of the two neighbors in time.
    after = np.searchsorted(second, first).clip(0, len(second) - 1)
    before = (after - 1).clip(0)
    nearer = np.abs(first - second[before]) <= np.abs(first - second[after])
    nearest = np.where(nearer, before, after)
    return np.where(np.abs(first - second[nearest]) <= LONGEST_GAP, nearest, -1)


def pose_matrices(
    positions: Float[np.ndarray, "n 3"], quaternions: Float[np.ndarray, "n 4"]
) -> Poses:
    """Rigid motions [R | position] of unit quaternions; nan where a quaternion is no rotation.

    Quaternions are (x, y, z, w), the scalar last, of length 1 but for rounding.
    """
    known = np.abs(np.linalg.norm(quaternions, axis=1) - 1) <= UNIT_TOLERANCE  # False for nan
    known &= np.isfinite(positions).all(axis=1)
    poses = np.where(known[:, None, None], np.eye(4), np.nan)
    poses[known, :3, :3] = Rotation.from_quat(quaternions[known]).as_matrix()
    poses[known, :3, 3] = positions[known]
    return poses


def transform(
    T: Float[np.ndarray, "4 4"], points: Float[np.ndarray, "n 3"]
) -> Float[np.ndarray, "n 3"]:
    """Points in another frame: T x."""
    return points @ T[:3, :3].T + T[:3, 3]


def read_velodyne(path: Path) -> Float32[np.ndarray, "n 4"]:
    """Points of a KITTI scan: x forward, y left, z up, in metres, and reflectance in [0, 1].

    Points that are not finite are left out. An empty file, or one that ends in a point, is refused.
    """
    content = read_archive_file(path)
    if not content or len(content) % POINT_BYTES:
        raise ArchiveError(
            f"{path}: {len(content)} bytes, but a scan has {POINT_BYTES} for each point; "
            "extract it again"
        )
    points = np.frombuffer(content, "<f4").astype(np.float32, copy=False).reshape(-1, 4)
    return points[np.isfinite(points).all(axis=1)]


def depth_image(
    points: Float[np.ndarray, "n 3"], intrinsics: Intrinsics, image_size: Size, *,
    depth: PerFrame | None = None, shift: int = 0,
) -> DepthMap:  # fmt: skip
    """Depth map of points seen by a camera, in the unit of the points; 0 where no point falls.

    A point falls into the pixel whose center is nearest: (u, v) is rounded, halves to even. The
    nearest of several points counts, for it hides the others. Points at or behind the plane of the
    camera are not seen. `depth` is what to store instead of z; `shift` is added to column and row
    after rounding.
    """
    height, width = image_size
    values = points[:, 2] if depth is None else depth
    front = (points[:, 2] > 0) & (values > 0)
    # (u, v, 1) ~ K x; z is positive for every point that is left, so nothing is divided by 0.
    homogeneous = points[front].astype(np.float64) @ intrinsics.T
    pixels = np.round(homogeneous[:, :2] / homogeneous[:, 2:]) + shift
    inside = ((pixels >= 0) & (pixels < (width, height))).all(axis=1)
    columns, rows = pixels[inside].astype(np.int64).T
    seen = values[front][inside].astype(np.float32)
    order = np.argsort(-seen, kind="stable")  # the nearest is written last, and stays
    image = np.zeros(image_size, np.float32)
    image[rows[order], columns[order]] = seen[order]
    return image
