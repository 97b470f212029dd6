"""LiDAR: files of points in, depth maps of a camera out.

A pixel that several points hit takes the nearest one: the farther ones are hidden, and depths are
never mixed.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32

from ssmde.data.archives.record import ArchiveError, read_archive_file

POINT_BYTES = 16  # x, y, z and reflectance, 32-bit floats each


def read_velodyne(path: Path) -> Float32[np.ndarray, "n 4"]:
    """Points of a KITTI scan: x forward, y left, z up, in metres, and reflectance in [0, 1].

    Points that are not finite are left out.

    Args:
        path: A .bin file of little-endian 32-bit floats.

    Raises:
        ArchiveError: If the file is missing, empty, or ends within a point.
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
    points: Float[np.ndarray, "n 3"],
    intrinsics: Float[np.ndarray, "3 3"],
    image_size: tuple[int, int],
    *,
    depth: Float[np.ndarray, " n"] | None = None,
    shift: int = 0,
) -> Float32[np.ndarray, "h w"]:
    """Depth map of points seen by a camera, in the unit of the points; 0 where no point falls.

    A point falls into the pixel whose centre is nearest: (u, v) is rounded, halves to even. The
    nearest of several points counts. Points at or behind the plane of the camera are not seen.

    Args:
        points: In the camera: x right, y down, z forward.
        intrinsics: Pinhole matrix, in pixels.
        image_size: Size (height, width) of the depth map.
        depth: What to store for each point; its z if absent.
        shift: Added to column and row after rounding; points that leave the image are dropped.

    Example:
        >>> K = np.array([[2.0, 0.0, 1.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0]])
        >>> depth_image(np.array([[0.0, 0.0, 5.0], [0.1, 0.0, 4.0], [1.0, 0.0, 2.0]]), K, (1, 3))
        array([[0., 4., 2.]], dtype=float32)
    """
    height, width = image_size
    values = points[:, 2] if depth is None else depth
    front = (points[:, 2] > 0) & (values > 0)
    homogeneous = points[front].astype(np.float64) @ intrinsics.T
    pixels = np.round(homogeneous[:, :2] / homogeneous[:, 2:]) + shift
    inside = ((pixels >= 0) & (pixels < (width, height))).all(axis=1)
    columns, rows = pixels[inside].astype(np.int64).T
    seen = values[front][inside].astype(np.float32)
    order = np.argsort(-seen, kind="stable")  # the nearest is written last, and stays
    image = np.zeros(image_size, np.float32)
    image[rows[order], columns[order]] = seen[order]
    return image
