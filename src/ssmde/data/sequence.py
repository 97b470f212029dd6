"""A sequence: frames of one camera in time order, and what is known about them."""

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, UInt8

from ssmde.console import shorten
from ssmde.geometry.camera import scale_intrinsics

Paths = Sequence[Path | None]
Size = tuple[int, int]  # height and width of an image, in pixels
Pixels = UInt8[np.ndarray, "h w 3"]  # an image, RGB
DepthMap = Float32[np.ndarray, "h w"]  # depth of each pixel; 0 where there is none
Intrinsics = Float[np.ndarray, "3 3"]
Poses = Float[np.ndarray, "n 4 4"]
PerFrame = Float[np.ndarray, " n"]

# Fields with one entry a frame, beside the images.
PER_FRAME = (
    "depth", "poses", "tracked_poses", "tracked_parts", "tracked_points", "motion_masks",
    "pseudo_depth", "timestamps",
)  # fmt: skip
ROTATION_SLACK = 0.01  # of R R^T from the identity: numbers are written with few digits
NORMALIZED_FOCAL = 10.0  # a focal length below this many pixels is a share of the image size
MOST_FOCAL = 1e5  # of the longer side, and its inverse: 0.0006 and 179.998 degrees


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FrameSequence:
    """Frames of one camera in time order; everything with one entry a frame has `len` entries."""

    name: str  # name of the scene, for messages and lists
    images: Sequence[Path]  # image files in time order, all of one size
    image_size: Size  # size (height, width) of the images, in pixels
    intrinsics: Intrinsics | None = None  # pinhole matrix in pixels of the images; None if unknown
    depth: Paths | None = None  # measured depth, None where a frame has none
    depth_units_per_metre: int | float | None = None  # what 1 m is in a depth PNG; None if unknown
    poses: Poses | None = None  # camera to world, in metres; nan where unknown
    tracked_poses: Poses | None = None  # the same as found in the video, in median depths
    tracked_parts: PerFrame | None = None  # of the video, by number: each has its world and unit
    tracked_points: Sequence[Any] | None = None
    """Points (u, v) and depth of what was tracked; only of packed data, else a file has them."""
    motion_masks: Paths | None = None  # images: 255 where something moves, 0 static, 128 unknown
    pseudo_depth: Paths | None = None  # depth labels made by another network
    pseudo_depth_kind: Literal["depth", "disparity"] | None = None  # what the labels hold
    pseudo_depth_affine: bool = True  # true if scale and shift of the labels are unknown
    pseudo_depth_source: str = ""  # network and version that made the labels
    timestamps: PerFrame | None = None  # time of each frame, in seconds; increasing

    def __post_init__(self) -> None:
        where, units, times = f"scene '{self.name}'", self.depth_units_per_metre, self.timestamps
        if not self.images:
            raise ValueError(f"{where} has no images")
        if min(self.image_size) < 1:
            raise ValueError(f"{where}: image size {self.image_size} must be positive")
        for name in PER_FRAME:
            values = getattr(self, name)
            if values is not None and len(values) != len(self.images):
                entries = f"{len(values)} entries for {len(self.images)} images"
                raise ValueError(f"{where}: {name} has {entries}; give one for each")
        if units is not None and not 0 < units < float("inf"):
            raise ValueError(f"{where}: depth_units_per_metre must be positive, got {units}")
        if times is not None and not np.all(np.diff(times) > 0):
            raise ValueError(f"{where}: timestamps must increase from frame to frame")
        if self.intrinsics is not None:
            check_intrinsics(self.intrinsics, self.image_size, where=where)

    def __len__(self) -> int:
        return len(self.images)

    def frame_name(self, index: int) -> str:
        """`scene/frame`, for messages and file names."""
        return f"{self.name}/{self.images[index].stem}"

    def part(self, start: int, stop: int) -> "FrameSequence":
        """The frames from `start` up to, not including, `stop`."""
        values = {name: getattr(self, name) for name in ("images", *PER_FRAME)}
        return replace(self, **{k: v[start:stop] for k, v in values.items() if v is not None})


class Files(Sequence[Any]):
    """Files of a folder, one a frame; None where the name is empty.

    A `Path` takes half a kilobyte, and every worker copies the objects it looks at. So the names
    lie in one array of bytes, a million in a few megabytes, and become paths when asked for.
    """

    def __init__(self, folder: Path, names: Iterable[str | bytes]) -> None:
        self.folder, self.names = folder, np.array([os.fsencode(name) for name in names])

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return Files(self.folder, self.names[index])
        name = os.fsdecode(bytes(self.names[index]))
        return self.folder / name if name else None


def check_intrinsics(intrinsics: Intrinsics, image_size: Size, *, where: str) -> None:
    """Refuse a matrix that is no pinhole camera of this size; `where` is the file it came from."""
    height, width = image_size
    (fx, skew, cx), (_, fy, cy) = intrinsics[:2].tolist()
    longest, got = max(width, height), _row(intrinsics)
    is_affine = np.allclose(intrinsics[2], (0, 0, 1)) and not abs(intrinsics[1, 0]) > 0
    in_range = longest / MOST_FOCAL <= min(fx, fy) <= max(fx, fy) <= longest * MOST_FOCAL
    is_share = max(fx, fy) < NORMALIZED_FOCAL and 0 <= cx <= 1 and 0 <= cy <= 1 < min(width, height)
    is_inside = -0.5 <= cx <= width - 0.5 and -0.5 <= cy <= height - 0.5
    for wrong, what in (
        (not np.isfinite(intrinsics).all(), f"intrinsics must be finite, got {got}"),
        (not is_affine, f"intrinsics must be [fx 0 cx; 0 fy cy; 0 0 1], got {got}"),
        (fx <= 0 or fy <= 0, f"focal lengths must be positive, got fx {fx:g}, fy {fy:g}; "
         "drop the sign if the image's rows run downwards"),
        (not in_range, f"focal lengths are in pixels of an image of {width} x {height}, got fx "
         f"{fx:g}, fy {fy:g}"),
        (is_share, f"intrinsics look normalised to an image of size 1 (fx {fx:g}, cx {cx:g}); give "
         f"pixels: multiply the first row by the width {width}, the second by the height {height}"),
        (abs(skew) > 1e-6 * fx, f"skew must be 0, got {skew:g}; undistort the images first"),
        (not is_inside, f"principal point ({cx:g}, {cy:g}) lies outside the image of "
         f"{width} x {height} pixels; give the matrix of the images as they are stored"),
    ):  # fmt: skip
        if wrong:
            raise ValueError(f"{where}: {what}")


def intrinsics_at(intrinsics: Intrinsics, of_size: Size, size: Size) -> Intrinsics | None:
    """The pinhole matrix of an image for the same view at another size; None for another shape."""
    y, x = size[0] / of_size[0], size[1] / of_size[1]
    if abs(size[1] - of_size[1] * y) > 1 and abs(size[0] - of_size[0] * x) > 1:  # a pixel: rounding
        return None
    return scaled_intrinsics(intrinsics, x, y)


def scaled_intrinsics(intrinsics: Intrinsics, x: float, y: float) -> Float64[np.ndarray, "3 3"]:
    """The pinhole matrix of an image that becomes x times as wide and y times as high."""
    return scale_intrinsics(torch.from_numpy(np.float64(intrinsics)), x, y).numpy()


def turn_intrinsics(intrinsics: Intrinsics, size: Size, orientation: int) -> Intrinsics:
    """The pinhole matrix after an image of this stored size is set upright (EXIF, 1 to 8)."""
    height, width = size
    (fx, _, cx), (_, fy, cy) = intrinsics[:2].tolist()
    if orientation in (2, 3, 7, 8):  # the columns run the other way
        cx = width - 1 - cx
    if orientation in (3, 4, 6, 7):  # the rows do
        cy = height - 1 - cy
    if orientation >= 5:  # and they change places
        fx, fy, cx, cy = fy, fx, cy, cx
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])


def from_hfov(size: Size, hfov_degrees: float | int) -> Float64[np.ndarray, "3 3"]:
    """Pinhole matrix with square pixels and the principal point in the middle."""
    height, width = size
    focal = 0.5 * width / math.tan(math.radians(hfov_degrees) / 2)
    return np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])


def check_pose(pose: Float[np.ndarray, "_ 4"], *, where: str) -> None:
    """Refuse a matrix, or its upper rows, that is no rigid motion; `where` is the line it is of."""
    R = pose[:3, :3]
    if not np.isfinite(pose).all():
        raise ValueError(f"{where}: a pose must be finite, got {shorten(_row(pose[:3]))}")
    with np.errstate(over="ignore", invalid="ignore"):
        off, volume = np.abs(R @ R.T - np.eye(3)).max(), float(np.linalg.det(R))
    if not off <= ROTATION_SLACK:
        raise ValueError(
            f"{where}: no rigid motion, its first three columns are no rotation (lengths are "
            f"multiplied by {np.cbrt(abs(volume)):.3g}); divide them by that scale"
        )
    if volume < 0:
        raise ValueError(
            f"{where}: no rigid motion, it mirrors; axes are x right, y down, z forward"
        )


def _row(matrix: Float[np.ndarray, "_ _"]) -> str:
    return " ".join(f"{number:g}" for number in matrix.ravel())
