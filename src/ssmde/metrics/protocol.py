"""How a benchmark measures: range, crop and alignment as data, and the one procedure for all.

The procedure: the prediction, resized to the truth, is aligned on the pixels that count (truth
inside the range and the crop), clipped to the range, and measured; static and moving pixels share
the alignment of the full image.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from ssmde.metrics.alignment import Alignment, AlignmentName, align
from ssmde.metrics.depth import grouped_depth_errors
from ssmde.metrics.regions import RegionErrors, split


@dataclass(frozen=True, kw_only=True, slots=True)
class Crop:
    """The rows top to bottom and columns left to right (ends excluded) of an image of size `of`.

    Other sizes are cropped in proportion, rounded towards 0.
    """

    top: float
    bottom: float
    left: float
    right: float
    of: tuple[int, int] = (1, 1)
    """Height and width the numbers refer to; (1, 1) means they are fractions."""

    def mask(self, height: int, width: int) -> Bool[np.ndarray, "h w"]:
        """True inside the crop."""
        rows = [int(side * height / self.of[0]) for side in (self.top, self.bottom)]
        columns = [int(side * width / self.of[1]) for side in (self.left, self.right)]
        inside = np.zeros((height, width), dtype=bool)
        inside[slice(*rows), slice(*columns)] = True
        return inside


@dataclass(frozen=True, kw_only=True, slots=True)
class Protocol:
    """What counts in an image, and how the prediction is aligned unless asked otherwise."""

    name: str
    min_depth: float
    """Pixels with truth at or below this do not count; predictions are clipped to it. Metres."""
    max_depth: float
    """Pixels with truth at or above this do not count; predictions are clipped to it. Metres."""
    crop: Crop | None = None
    """Part of the image that counts; None for all of it."""
    align: AlignmentName = "median"
    note: str = ""
    """Where the numbers come from."""


REGIONS = ("static", "dynamic")


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """The errors of one image and the alignment they were measured under."""

    errors: RegionErrors
    alignment: Alignment | None
    """None if no pixel counts."""


def counted_pixels(truth: Float[np.ndarray, "h w"], protocol: Protocol) -> Bool[np.ndarray, "h w"]:
    """True where the truth lies inside the range (ends excluded) and the crop.

    Args:
        truth: Depth in metres; 0, NaN and infinity mean no value.
        protocol: What counts.
    """
    valid = (truth > protocol.min_depth) & (truth < protocol.max_depth)  # False for NaN
    return valid if protocol.crop is None else valid & protocol.crop.mask(*truth.shape)


def measure(
    prediction: Float[np.ndarray, "h w"],
    truth: Float[np.ndarray, "h w"],
    protocol: Protocol,
    *,
    align_by: AlignmentName | Alignment | None = None,
    motion_mask: UInt8[np.ndarray, "h w"] | None = None,
) -> Measurement:
    """Errors of one image over all, static and moving pixels, by the procedure of this file.

    Args:
        prediction: Depth at the size of the truth, in any scale the alignment can undo.
        truth: Depth in metres; 0, NaN and infinity mean no value.
        protocol: Range and crop.
        align_by: Alignment, if not the protocol's own; one that was found before, or its name.
        motion_mask: 0 static, 255 moving, 128 unknown; of this image.

    Raises:
        ValueError: If the prediction cannot be aligned or the mask holds strange values.
    """
    counted = counted_pixels(truth, protocol)
    if not counted.any():
        return Measurement(errors=RegionErrors(), alignment=None)
    alignment = align_by or protocol.align
    if not isinstance(alignment, Alignment):
        alignment = align(prediction[counted], truth[counted], alignment)
    aligned = alignment.apply(prediction[counted]).clip(protocol.min_depth, protocol.max_depth)
    group = np.full(aligned.shape, len(REGIONS), np.uint8)
    if motion_mask is not None:
        parts = split(motion_mask)
        group[parts.static[counted]], group[parts.dynamic[counted]] = 0, 1
    static, dynamic, full = grouped_depth_errors(aligned, truth[counted], group, len(REGIONS))
    errors = RegionErrors(full=full, static=static, dynamic=dynamic)
    return Measurement(errors=errors, alignment=alignment)
