"""How a benchmark measures: range, crop and alignment as data, and the one procedure for all.

The procedure: the prediction, resized to the truth, is aligned on the pixels that count (truth
inside the range and the crop), clipped to the range, and measured. Static and moving pixels, and
near and far ones, are measured apart under that one alignment: a mean over all hides that what
moves, and what is far, is measured worse.
"""

from dataclasses import dataclass, field, fields

import numpy as np
from jaxtyping import UInt8

from ssmde.metrics.depth import (
    Alignment,
    AlignmentName,
    DepthErrors,
    DepthMap,
    DepthSums,
    Mask,
    Summable,
    align,
    error_sums,
    errors_from_sums,
    median,
)

MotionMask = UInt8[np.ndarray, "h w"]
STATIC, UNKNOWN, MOVING = 0, 128, 255
"""Values of a motion mask; unknown pixels count in the full image only."""
LADDER = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)  # metres; a round step of about 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Crop:
    """The rows top to bottom and columns left to right (ends excluded) of an image of size `of`.

    Other sizes are cropped in proportion, rounded towards 0. Of (1, 1) the numbers are fractions.
    """

    top: float
    bottom: float
    left: float
    right: float
    of: tuple[int, int] = (1, 1)

    def mask(self, height: int, width: int) -> Mask:
        """True inside the crop."""
        rows = [int(side * height / self.of[0]) for side in (self.top, self.bottom)]
        columns = [int(side * width / self.of[1]) for side in (self.left, self.right)]
        inside = np.zeros((height, width), dtype=bool)
        inside[slice(*rows), slice(*columns)] = True
        return inside


@dataclass(frozen=True, kw_only=True, slots=True)
class Protocol:
    """What counts in an image, and how the prediction is aligned unless asked otherwise.

    Pixels whose truth lies at an end of the range, in metres, or beyond do not count; predictions
    are clipped to it.
    """

    name: str
    min_depth: float
    max_depth: float
    crop: Crop | None = None  # part of the image that counts; None for all of it
    align: AlignmentName = "median"
    note: str = ""  # where the numbers come from

    def __str__(self) -> str:
        """Name, range and crop, as they stand over a table."""
        crop = "whole image" if self.crop is None else "cropped"
        return f"protocol {self.name} ({self.min_depth:g} to {self.max_depth:g} m, {crop})"


@dataclass(frozen=True, kw_only=True, slots=True)
class RegionErrors:
    """Errors of one image; None for a region without a pixel that has truth."""

    full: DepthErrors | None = None
    static: DepthErrors | None = None
    dynamic: DepthErrors | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RegionSums(Summable):
    """Errors added up over images, one sum per region; each image enters each region once."""

    full: DepthSums = field(default_factory=DepthSums)
    static: DepthSums = field(default_factory=DepthSums)
    dynamic: DepthSums = field(default_factory=DepthSums)

    def add(self, errors: RegionErrors) -> "RegionSums":
        """Sums with one more image."""
        names = [one.name for one in fields(self)]
        return RegionSums(**{n: getattr(self, n).add(getattr(errors, n)) for n in names})


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """The errors of one image and the alignment they were measured under."""

    errors: RegionErrors
    bands: tuple[DepthErrors | None, ...] = ()
    """Errors by true distance, between `band_edges` of the protocol; None without a pixel."""
    alignment: Alignment | None = None  # None if no pixel counts


def counted_pixels(truth: DepthMap, protocol: Protocol) -> Mask:
    """True where the truth, in metres, lies inside the range (ends excluded) and the crop."""
    valid = (truth > protocol.min_depth) & (truth < protocol.max_depth)  # False for NaN
    return valid if protocol.crop is None else valid & protocol.crop.mask(*truth.shape)


def split_motion_mask(motion_mask: MotionMask) -> tuple[Mask, Mask]:
    """Which pixels of one image stand still, and which move; neither where it is not known.

    A ValueError if the mask holds anything but 0 static, 255 moving and 128 unknown.
    """
    static, dynamic = motion_mask == STATIC, motion_mask == MOVING
    if not (static | dynamic | (motion_mask == UNKNOWN)).all():
        strange = sorted(set(np.unique(motion_mask).tolist()) - {STATIC, UNKNOWN, MOVING})
        raise ValueError(
            "a motion mask holds 0 (static), 255 (moving) and 128 (unknown), "
            f"got {', '.join(map(str, strange[:5]))}"
        )
    return static, dynamic


def band_edges(min_depth: float, max_depth: float) -> tuple[float, ...]:
    """Edges of distance bands over a range, in metres: 1, 2, 5, 10 ... between its ends.

    Band i holds edges[i] <= truth < edges[i + 1], as the distance-related assessment of Koch et
    al., ECCV-W 2018 (https://arxiv.org/abs/1805.01328).

    Example:
        >>> band_edges(0.1, 10.0)
        (0.1, 1.0, 2.0, 5.0, 10.0)
    """
    return (min_depth, *(e for e in LADDER if min_depth < e < max_depth), max_depth)


class Truth:
    """The truth of one image, ready to be held against several predictions; as for `measure`."""

    def __init__(
        self, depth: DepthMap, protocol: Protocol, motion_mask: MotionMask | None = None
    ) -> None:
        self.depth, self.protocol = depth, protocol
        self.counted = counted_pixels(depth, protocol)
        self.static: Mask | None = None
        """Pixels known to stand still; None if nobody knows."""
        pixels = np.flatnonzero(self.counted)
        values = depth.ravel().take(pixels)
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
        counts = np.bincount(cell, minlength=3 * self._bands)
        if counts.max() < values.size:
            order = cell.argsort(kind="stable")
            pixels, values = pixels[order], values[order]
        self._starts = [0, *np.cumsum(counts).tolist()]
        self._pixels, self._values = pixels, values.astype(np.float64)
        self._median = median(values) if values.size else 0.0

    def measure(
        self, prediction: DepthMap, align_by: AlignmentName | Alignment | None = None
    ) -> Measurement:
        """Errors of one prediction; see `measure`."""
        if not self._values.size:
            return Measurement(errors=RegionErrors())
        alignment, p = align_by or self.protocol.align, self.protocol
        values = prediction.ravel().take(self._pixels)
        if not isinstance(alignment, Alignment):
            alignment = align(values, self._values, alignment, true_median=self._median)
        aligned = alignment.apply(values)
        np.clip(aligned, p.min_depth, p.max_depth, out=aligned)
        sums = error_sums(aligned, self._values, self._starts).reshape(self._bands, 3, -1)
        of_region = [errors_from_sums(row) for row in (sums.sum((0, 1)), *sums.sum(0)[:2])]
        return Measurement(
            errors=RegionErrors(full=of_region[0], static=of_region[1], dynamic=of_region[2]),
            bands=tuple(errors_from_sums(row) for row in sums.sum(1)),
            alignment=alignment,
        )


def measure(
    prediction: DepthMap,
    truth: DepthMap,
    protocol: Protocol,
    *,
    align_by: AlignmentName | Alignment | None = None,
    motion_mask: MotionMask | None = None,
) -> Measurement:
    """Errors of one image over all, static and moving pixels, by the procedure of this file.

    The prediction has the size of the truth, in any scale the alignment can undo; the truth is in
    metres, 0, NaN and infinity mean no value. `align_by` is an alignment that was found before, or
    its name, if not the protocol's own. In a motion mask 0 is static, 255 moving, 128 unknown. A
    ValueError if the prediction cannot be aligned or the mask holds strange values.
    """
    return Truth(truth, protocol, motion_mask).measure(prediction, align_by)
