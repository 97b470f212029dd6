"""The camera that lifts depth into space: given, learnt with the weights, or a stated guess."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64

from ssmde.data.sequence import check_intrinsics
from ssmde.geometry.camera import scale_intrinsics
from ssmde.models.camera import METADATA_KEY

DEFAULT_HFOV_DEGREES = 60.0
"""Between a laptop's camera and a phone's in video mode; wrong for wide lenses."""
SAME_SHAPE = 0.02  # relative difference of two aspect ratios


@dataclass(frozen=True, kw_only=True, slots=True)
class LearntCamera:
    """A camera that was learnt with the weights."""

    intrinsics: Float64[np.ndarray, "3 3"]
    """Pinhole matrix, in pixels of its images."""
    image_size: tuple[int, int]
    """Size (height, width) of these images."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AskedCamera:
    """What the user says of the camera; nothing by default."""

    intrinsics: tuple[float | int, float | int, float | int, float | int] | None = None
    """fx, fy, cx, cy, in pixels of the upright image."""
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


def find_camera(
    size: tuple[int, int], asked: AskedCamera, learnt: Sequence[LearntCamera] = ()
) -> tuple[Float64[np.ndarray, "3 3"], str]:
    """Pinhole matrix for an image, and where it comes from, in words.

    What the user says comes first, then what was learnt, if one camera was. Else the field of view
    is taken to be 60 degrees.

    Args:
        size: Size (height, width) of the image.
        asked: What the user says.
        learnt: Cameras that came with the weights.

    Raises:
        ValueError: If the numbers given cannot be of an image of this size.
    """
    height, width = size
    if asked.intrinsics is not None:
        fx, fy, cx, cy = asked.intrinsics
        matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], np.float64)
        check_intrinsics(matrix, size, where=f"image of {width} x {height}")
        return matrix, "given"
    if asked.hfov_degrees is not None:
        return from_hfov(size, asked.hfov_degrees), f"given, {asked.hfov_degrees:g} degrees wide"
    if (found := known_camera(size, learnt)) is not None:
        return found, "learnt with the weights"
    more = f"; the weights learnt {len(learnt)} different cameras" if learnt else ""
    return (
        from_hfov(size, DEFAULT_HFOV_DEGREES),
        f"a guess of {DEFAULT_HFOV_DEGREES:g} degrees wide{more}: --hfov-degrees or --intrinsics "
        "says what it is",
    )


def known_camera(
    size: tuple[int, int], learnt: Sequence[LearntCamera]
) -> Float64[np.ndarray, "3 3"] | None:
    """Matrix, for an image, of the one camera that was learnt; None if none or several were."""
    return rescale(learnt[0], size) if learnt and _all_alike(learnt) else None


def learnt_cameras(metadata: Mapping[str, str]) -> tuple[LearntCamera, ...]:
    """The cameras in the head of a weights file.

    Args:
        metadata: As `read_weights` gives it.
    """
    content: dict[str, Any] = json.loads(metadata.get(METADATA_KEY, "{}"))
    return tuple(
        LearntCamera(
            intrinsics=np.array(found["intrinsics"], np.float64),
            image_size=(int(found["image_size"][0]), int(found["image_size"][1])),
        )
        for found in content.values()
    )


def from_hfov(size: tuple[int, int], hfov_degrees: float | int) -> Float64[np.ndarray, "3 3"]:
    """Pinhole matrix with square pixels and the principal point in the middle.

    Example:
        >>> from_hfov((100, 200), 90.0)[0].round(6).tolist()
        [100.0, 0.0, 99.5]
    """
    height, width = size
    focal = 0.5 * width / math.tan(math.radians(hfov_degrees) / 2)
    return np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])


def rescale(camera: LearntCamera, size: tuple[int, int]) -> Float64[np.ndarray, "3 3"]:
    """Its matrix for an image of another size.

    An image of another shape was cut, above and below or at the sides, about its middle: then the
    field of view along the longer side stays.
    """
    (height, width), (old_height, old_width) = size, camera.image_size
    if abs(width * old_height / (height * old_width) - 1) < SAME_SHAPE:
        matrix = torch.from_numpy(camera.intrinsics)
        return scale_intrinsics(matrix, width / old_width, height / old_height).numpy()
    scale = max(size) / max(camera.image_size)
    fx, fy = scale * camera.intrinsics[0, 0], scale * camera.intrinsics[1, 1]
    return np.array([[fx, 0, (width - 1) / 2], [0, fy, (height - 1) / 2], [0, 0, 1]])


def _all_alike(cameras: Sequence[LearntCamera]) -> bool:
    """True if they are one camera: within 2 % of each other for images of one width."""
    focal = [c.intrinsics[0, 0] / c.image_size[1] for c in cameras]
    return bool(max(focal) <= 1.02 * min(focal))
