"""How a benchmark measures: range, crop and alignment as data, and the one procedure for all.

The procedure: the prediction, resized to the truth, is aligned on the pixels that count (truth
inside the range and the crop), clipped to the range, and measured; static and moving pixels share
the alignment of the full image.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from ssmde.metrics.depth import (
    Alignment,
    AlignmentName,
    DepthErrors,
    align,
    error_sums,
    errors_from_sums,
)
from ssmde.metrics.regions import RegionErrors, band_edges, sorted_by, split_motion_mask


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

    def __str__(self) -> str:
        """Name, range and crop, as they stand over a table."""
        crop = "whole image" if self.crop is None else "cropped"
        return f"protocol {self.name} ({self.min_depth:g} to {self.max_depth:g} m, {crop})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """The errors of one image and the alignment they were measured under."""

    errors: RegionErrors
    bands: tuple[DepthErrors | None, ...] = ()
    """Errors by true distance, between `band_edges` of the protocol; None without a pixel."""
    alignment: Alignment | None = None
    """None if no pixel counts."""


def counted_pixels(truth: Float[np.ndarray, "h w"], protocol: Protocol) -> Bool[np.ndarray, "h w"]:
    """True where the truth, in metres, lies inside the range (ends excluded) and the crop."""
    valid = (truth > protocol.min_depth) & (truth < protocol.max_depth)  # False for NaN
    return valid if protocol.crop is None else valid & protocol.crop.mask(*truth.shape)


class Truth:
    """The truth of one image, ready to be held against several predictions; as for `measure`."""

    def __init__(
        self,
        depth: Float[np.ndarray, "h w"],
        protocol: Protocol,
        motion_mask: UInt8[np.ndarray, "h w"] | None = None,
    ) -> None:
        self.depth, self.protocol = depth, protocol
        self.counted = counted_pixels(depth, protocol)
        self.static: Bool[np.ndarray, "h w"] | None = None
        """Pixels known to stand still; None if nobody knows."""
        pixels = np.flatnonzero(self.counted)
        values = depth.ravel().take(pixels).astype(np.float64)
        edges = band_edges(protocol.min_depth, protocol.max_depth)
        self._bands = len(edges) - 1
        # Pixels are sorted by band, and in each band static, moving, then those of neither.
        cell = np.full(values.shape, 2, np.uint8)
        for edge in edges[1:-1]:
            cell += np.uint8(3) * (values >= edge)
        if motion_mask is not None and values.size:
            self.static, dynamic = split_motion_mask(motion_mask)
            cell -= np.uint8(2) * self.static.ravel().take(pixels)
            cell -= dynamic.ravel().take(pixels)
        order, self._starts = sorted_by(cell, 3 * self._bands)
        self._pixels, self._values = pixels[order], values[order]
        self._median = float(np.median(values)) if values.size else 0.0

    def measure(
        self,
        prediction: Float[np.ndarray, "h w"],
        align_by: AlignmentName | Alignment | None = None,
    ) -> Measurement:
        """Errors of one prediction; see `measure`."""
        if not self._values.size:
            return Measurement(errors=RegionErrors())
        alignment, p = align_by or self.protocol.align, self.protocol
        values = prediction.ravel().take(self._pixels)
        if not isinstance(alignment, Alignment):
            alignment = align(values, self._values, alignment, true_median=self._median)
        aligned = alignment.apply(values).clip(p.min_depth, p.max_depth)
        sums = error_sums(aligned, self._values, self._starts).reshape(self._bands, 3, -1)
        of_region = [errors_from_sums(row) for row in (sums.sum((0, 1)), *sums.sum(0)[:2])]
        return Measurement(
            errors=RegionErrors(full=of_region[0], static=of_region[1], dynamic=of_region[2]),
            bands=tuple(errors_from_sums(row) for row in sums.sum(1)),
            alignment=alignment,
        )


def measure(
    prediction: Float[np.ndarray, "h w"],
    truth: Float[np.ndarray, "h w"],
    protocol: Protocol,
    *,
    align_by: AlignmentName | Alignment | None = None,
    motion_mask: UInt8[np.ndarray, "h w"] | None = None,
) -> Measurement:
    """Errors of one image over all, static and moving pixels, by the procedure of this file.

    The prediction has the size of the truth, in any scale the alignment can undo; the truth is in
    metres, 0, NaN and infinity mean no value. `align_by` is an alignment that was found before, or
    its name, if not the protocol's own. In a motion mask 0 is static, 255 moving, 128 unknown.

    Raises:
        ValueError: If the prediction cannot be aligned or the mask holds strange values.
    """
    return Truth(truth, protocol, motion_mask).measure(prediction, align_by)
