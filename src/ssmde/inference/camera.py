"""The camera of images: what the user says of it, or a guess that says so."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float64

from ssmde.data.sequence import check_intrinsics, from_hfov, intrinsics_at

DEFAULT_HFOV_DEGREES = 60.0  # between a laptop's camera and a phone's; wrong for wide lenses
OTHER_SHAPE = 0.02  # relative difference of width / height
Size = tuple[int, int]
"""Height and width, in pixels."""
Pinhole = tuple[float | int, float | int, float | int, float | int]


@dataclass(frozen=True, kw_only=True, slots=True)
class CameraSpec:
    """What the user says of the camera; nothing by default."""

    intrinsics: Pinhole | None = None  # fx, fy, cx, cy, in pixels of the upright image
    of_size: Size | None = None  # of the image they belong to; None: of whatever is asked about
    hfov_degrees: float | int | None = None  # instead; the principal point is the middle

    def __post_init__(self) -> None:
        if self.intrinsics is not None and self.hfov_degrees is not None:
            raise ValueError("give intrinsics or hfov_degrees, not both")
        if self.hfov_degrees is not None and not 0 < self.hfov_degrees < 180:
            raise ValueError(
                f"hfov_degrees must be between 0 and 180, such as 65, got {self.hfov_degrees:g}"
            )


def size_of_camera(intrinsics: Pinhole, sizes: Sequence[Size]) -> Size | None:
    """The size that fx, fy, cx, cy belong to: its middle is nearest to (cx, cy). None of none."""
    cx, cy = intrinsics[2:]
    return min(
        sizes,
        key=lambda size: math.hypot((cx + 0.5) / size[1] - 0.5, (cy + 0.5) / size[0] - 0.5),
        default=None,
    )


def find_camera(size: Size, spec: CameraSpec) -> tuple[Float64[np.ndarray, "3 3"], str]:
    """Pinhole matrix for an image, and where it comes from, in words: given, or a guess.

    A ValueError where the numbers given are those of an image of another shape.
    """
    if spec.intrinsics is None:
        degrees = spec.hfov_degrees or DEFAULT_HFOV_DEGREES
        origin = f"given, {degrees:g} degrees wide"
        if spec.hfov_degrees is None:
            origin = (
                f"a guess of {degrees:g} degrees wide: --hfov-degrees or --intrinsics says what "
                "it is"
            )
        return from_hfov(size, degrees), origin
    height, width = of_size = spec.of_size or size
    fx, fy, cx, cy = spec.intrinsics
    matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], np.float64)
    check_intrinsics(matrix, of_size, where=f"image of {width} x {height}")
    scaled = intrinsics_at(matrix, of_size, size)
    if scaled is None:
        raise ValueError(
            f"{size[1]} x {size[0]} pixels, but the camera given is that of {width} x {height}, "
            "another shape: predict it with a camera of its own"
        )
    degrees = 2 * math.degrees(math.atan(0.5 * width / fx))
    scaling = "" if of_size == size else ", scaled for images of other sizes"
    return scaled, f"given for {width} x {height}, {degrees:.1f} degrees wide{scaling}"


@dataclass(kw_only=True)
class ToldCamera:
    """The camera of each image, told in a line where it is first used and where images differ."""

    spec: CameraSpec
    say: Callable[[str], None] | None = None  # None where nobody needs a camera
    _told: set[str] = field(default_factory=set)
    _shape: float = 0.0  # width / height of the image before

    def matrix(self, size: Size) -> Float64[np.ndarray, "3 3"] | None:
        """Pinhole matrix for an image; none fits: None, or a ValueError where one is needed."""
        if self.spec.intrinsics is not None and self.spec.of_size is None:
            self.spec = replace(self.spec, of_size=size)  # of a video: that of its first frame
        try:
            matrix, line = find_camera(size, self.spec)
        except ValueError:
            if self.say is not None:
                raise
            return None  # better none than a wrong one
        before, self._shape = self._shape, size[1] / size[0]
        if before and abs(before / self._shape - 1) > OTHER_SHAPE:
            line = "images of several shapes are taken to have this field of view"
        if self.say is not None and line not in self._told:
            self._told.add(line)
            self.say(f"camera: {line}")
        return matrix
