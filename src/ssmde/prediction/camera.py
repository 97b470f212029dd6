"""The camera that lifts depth into space: given, or a stated guess."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from ssmde.data.sequence import check_intrinsics, from_hfov, intrinsics_at

DEFAULT_HFOV_DEGREES = 60.0
"""Between a laptop's camera and a phone's in video mode; wrong for wide lenses."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AskedCamera:
    """What the user says of the camera; nothing by default."""

    intrinsics: tuple[float | int, float | int, float | int, float | int] | None = None
    """fx, fy, cx, cy, in pixels of the upright image."""
    of_size: tuple[int, int] | None = None
    """Size (height, width) of the image they belong to; None: of whatever is asked about."""
    hfov_degrees: float | int | None = None
    """Instead: horizontal field of view; the principal point is the middle."""

    def __post_init__(self) -> None:
        """Refuse two answers, and angles that no pinhole has."""
        if self.intrinsics is not None and self.hfov_degrees is not None:
            raise ValueError("give intrinsics or hfov_degrees, not both")
        if self.hfov_degrees is not None and not 0 < self.hfov_degrees < 180:
            raise ValueError(
                f"hfov_degrees must be between 0 and 180, such as 65, got {self.hfov_degrees:g}"
            )


class CameraError(ValueError):
    """A camera that is not that of an image."""


def size_of_camera(
    intrinsics: tuple[float | int, float | int, float | int, float | int],
    sizes: Sequence[tuple[int, int]],
) -> tuple[int, int] | None:
    """The size (height, width) that fx, fy, cx, cy belong to: its middle is nearest to (cx, cy).

    None where there are no sizes.
    """

    def off(size: tuple[int, int]) -> float:
        height, width = size
        _, _, cx, cy = intrinsics
        return math.hypot((cx + 0.5) / width - 0.5, (cy + 0.5) / height - 0.5)

    return min(sizes, key=off, default=None)


def find_camera(
    size: tuple[int, int], asked: AskedCamera
) -> tuple[Float64[np.ndarray, "3 3"], str]:
    """Pinhole matrix for an image, and where it comes from, in words.

    What the user says comes first. Else the field of view is taken to be 60 degrees.

    Args:
        size: Size (height, width) of the image.
        asked: What the user says.

    Raises:
        CameraError: If the numbers given cannot be of an image of this size, or are of an image of
            another shape.
    """
    height, width = size
    if asked.intrinsics is not None:
        of_size = asked.of_size or size
        fx, fy, cx, cy = asked.intrinsics
        matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], np.float64)
        try:
            check_intrinsics(matrix, of_size, where=f"image of {of_size[1]} x {of_size[0]}")
        except ValueError as error:
            raise CameraError(str(error)) from error
        scaled = intrinsics_at(matrix, of_size, size)
        if scaled is None:
            raise CameraError(
                f"{width} x {height} pixels, but the camera given is that of {of_size[1]} x "
                f"{of_size[0]}, another shape: predict it with a camera of its own"
            )
        return scaled, "given" if of_size == size else f"given for {of_size[1]} x {of_size[0]}"
    if asked.hfov_degrees is not None:
        return from_hfov(size, asked.hfov_degrees), f"given, {asked.hfov_degrees:g} degrees wide"
    return (
        from_hfov(size, DEFAULT_HFOV_DEGREES),
        f"a guess of {DEFAULT_HFOV_DEGREES:g} degrees wide: --hfov-degrees or --intrinsics "
        "says what it is",
    )
