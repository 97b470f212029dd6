"""How far a depth map is from the truth: alignment, standard errors, and how a benchmark measures.

A network trained on plain video knows depth up to one factor. How that factor is found changes the
numbers by a lot, so the name of the alignment stands beside every result. An error is averaged over
the pixels of an image, then over images: each image counts once, however many pixels have truth.

One procedure for all benchmarks, whose range, crop and alignment are data: the prediction, resized
to the truth, is aligned on the pixels that count (truth inside the range and the crop), clipped to
the range, and measured. Static and moving pixels, near and far ones are measured apart under that
one alignment: a mean hides that what moves, or is far, is worse.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, UInt8

from ssmde.console import did_you_mean

Values = Float[np.ndarray, "n"]
DepthMap = Float[np.ndarray, "h w"]
Mask = Bool[np.ndarray, "h w"]
AlignmentName = Literal["median", "median-dataset", "least-squares", "none"]
ALIGNMENTS: tuple[AlignmentName, ...] = get_args(AlignmentName)
FLAT = 1e-6  # a prediction that varies by less than this share of its mean is a constant
MotionMask = UInt8[np.ndarray, "h w"]
STATIC, UNKNOWN, MOVING = 0, 128, 255
"""Values of a motion mask; unknown pixels count in the full image only."""
LADDER = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)  # metres; a round step of about 2
# Eigen et al., NeurIPS 2014: right within a factor of 1.25, its square, its cube, ends excluded.
LOG_DELTAS = [power * float(np.log(1.25)) * (1 - 1e-12) for power in (1, 2, 3)]


def check_depths(name: str, depth: Float[np.ndarray, "..."]) -> None:
    """Refuse depths that are not positive and finite, by the name of their pixels."""
    if depth.size and not 0 < depth.min() <= depth.max() < np.inf:  # nan is the least of all
        wrong = depth.size - int(((depth > 0) & (depth < np.inf)).sum())
        raise ValueError(
            f"depths must be positive and finite, {wrong} of {depth.size} {name} are not"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Alignment:
    """Aligned depth = scale * depth + shift."""

    scale: float = 1.0
    shift: float = 0.0  # in the unit of the truth

    def apply(self, depth: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Depth in the scale of the truth, float64."""
        aligned = np.multiply(depth, self.scale, dtype=np.float64)
        return aligned + self.shift if self.shift else aligned


def align(
    prediction: Values, truth: Values, how: str, *, true_median: float | None = None
) -> Alignment:
    """Scale and shift that bring the prediction of one image to its truth.

    - `median`: scale = median(truth) / median(prediction), an even count taking the mean of the two
      middle values, as Zhou et al., CVPR 2017 (https://arxiv.org/abs/1704.07813).
    - `median-dataset`: one factor for all images, the median of theirs, which `evaluate` finds: a
      scale that drifts from image to image stays in the error.
    - `least-squares`: scale and shift with the smallest sum of (scale p + shift - g)^2, of networks
      that predict depth up to both (Yin et al., CVPR 2021, https://arxiv.org/abs/2012.09365). A
      shift is knowledge the network does not have: do not compare with median-scaled numbers.
    - `none`: the prediction is already in the unit of the truth.

    Both depths are of all the pixels that have truth; `true_median` is given if it is known. A
    ValueError if there is no pixel, a depth is not finite, or no positive factor exists.
    """
    if how not in ALIGNMENTS:  # a door: names come from files and command lines
        raise ValueError(f"unknown alignment {how!r}: {did_you_mean(how, ALIGNMENTS)}")
    if truth.size == 0:
        raise ValueError("an image without truth cannot be aligned: skip it")
    for name, values in (("prediction", prediction), ("truth", truth)):
        if not -np.inf < values.min() <= values.max() < np.inf:  # nan is the least of all
            wrong = values.size - int(np.isfinite(values).sum())
            raise ValueError(f"{wrong} of {values.size} pixels of the {name} are not finite")
    if how == "median-dataset":
        raise ValueError("median-dataset is found over all images: give the Alignment it found")
    if how == "none":
        return Alignment()
    if how == "least-squares":
        return _least_squares(*(np.asarray(v, np.float64) for v in (prediction, truth)))
    middle = median(prediction)
    true_median = median(truth) if true_median is None else true_median
    if middle <= 0 or true_median <= 0:
        raise ValueError(
            "median alignment needs positive medians, got "
            f"{middle:g} for the prediction and {true_median:g} for the truth"
        )
    return Alignment(scale=true_median / middle)


def _least_squares(p: Values, g: Values) -> Alignment:
    mean, true_mean = float(p.mean()), float(g.mean())
    variance = float(np.mean((p - mean) ** 2))
    if variance > (FLAT * mean) ** 2:
        scale = float(np.mean((p - mean) * (g - true_mean))) / variance
        return Alignment(scale=scale, shift=true_mean - scale * mean)
    if mean == 0:
        raise ValueError("least-squares alignment needs a prediction that is not 0 everywhere")
    return Alignment(scale=true_mean / mean)


def median(values: Values) -> float:
    """The middle value, or the mean of the two middle ones in float64."""
    if values[0] == values[-1] and values.min() == values.max():
        return float(values[0])  # of a baseline: nothing to sort
    middle = np.array([(values.size - 1) // 2, values.size // 2])
    # A few tell between which values the middle ones are: the others need not be sorted.
    low, high = np.quantile(values[:: 1 + values.size // 4096], (0.47, 0.53)).astype(values.dtype)
    near, below = values[(low <= values) & (values <= high)], np.count_nonzero(values < low)
    if below <= middle[0] and middle[1] < below + near.size:
        values, middle = near, middle - below
    return float(np.partition(values, middle)[middle].mean(dtype=np.float64))


@dataclass(frozen=True, kw_only=True, slots=True)
class DepthErrors:
    """The errors of one image, or their mean over images; p is the prediction, g the truth."""

    abs_rel: float = 0.0  # mean of |p - g| / g
    sq_rel: float = 0.0  # mean of (p - g)^2 / g, in the unit of the depth
    rmse: float = 0.0  # root of the mean of (p - g)^2, in the unit of the depth
    rmse_log: float = 0.0  # root of the mean of (ln p - ln g)^2
    log10: float = 0.0  # mean of |log10 p - log10 g|
    d1: float = 0.0  # share of pixels with max(p / g, g / p) < 1.25, in [0, 1]
    d2: float = 0.0  # the same with 1.25^2
    d3: float = 0.0  # the same with 1.25^3


METRICS = tuple(field.name for field in fields(DepthErrors))


def depth_errors(prediction: Values, truth: Values) -> DepthErrors | None:
    """Errors of one image, each a mean over its pixels; None if there is no pixel.

    The measures of Eigen et al., NeurIPS 2014 (https://arxiv.org/abs/1406.2283), and log10,
    computed in float64. Depths are positive, the prediction is aligned and clipped. A ValueError if
    a depth is not positive and finite.
    """
    check_depths("pixels of the truth", truth)
    p, g = (values.astype(np.float64, copy=False) for values in (prediction, truth))
    return _errors(_error_sums(p, g, 1 / g, np.log(g), [0, g.size])[0])


def mean_errors(images: Iterable[DepthErrors | None]) -> DepthErrors | None:
    """Mean over images, each once; those without errors are left out, None if that leaves none."""
    found = [[getattr(e, name) for name in METRICS] for e in images if e is not None]
    if not found:
        return None
    return DepthErrors(**dict(zip(METRICS, np.mean(found, axis=0).tolist(), strict=True)))


def _error_sums(
    prediction: Values, truth: Values, inverse: Values, log: Values, starts: list[int]
) -> Float[np.ndarray, "groups 9"]:
    """The number of pixels, and the sums behind each of `METRICS`, of groups of pixels.

    The pixels of a group lie side by side; `starts` says where each begins and the last one ends.
    Beside the truth stand its inverse and its logarithm.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        log_ratio, relative = np.log(prediction) - log, prediction * inverse - 1
    difference = prediction - truth
    sums = list[list[float]]()
    for here in map(slice, starts[:-1], starts[1:]):
        d, r, ratio = difference[here], relative[here], log_ratio[here]
        squares = (d @ r, d @ d, ratio @ ratio)
        r, ratio = np.abs(r), np.abs(ratio)
        right = [np.count_nonzero(ratio < delta) for delta in LOG_DELTAS]
        means = (r.sum(dtype=np.float64), *squares, ratio.sum(dtype=np.float64))
        sums.append([float(value) for value in (d.size, *means, *right)])
    if not np.isfinite(sums).all():
        check_depths("pixels of the prediction", prediction)
    return np.array(sums)


def _errors(sums: Float[np.ndarray, "9"]) -> DepthErrors | None:
    """Errors of one group of `_error_sums`, or of several added up; None without a pixel."""
    count, *rest = sums.tolist()
    if not count:
        return None
    means = dict(zip(METRICS, (value / count for value in rest), strict=True))
    means["rmse"], means["rmse_log"] = means["rmse"] ** 0.5, means["rmse_log"] ** 0.5
    return DepthErrors(**means | {"log10": means["log10"] / float(np.log(10))})


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
class Measurement:
    """The errors of one image; None for a region or a band without a pixel that counts."""

    full: DepthErrors | None = None
    static: DepthErrors | None = None
    dynamic: DepthErrors | None = None
    bands: tuple[DepthErrors | None, ...] = ()
    """Errors by true distance, between `band_edges` of the protocol."""
    alignment: Alignment | None = None  # under which they were measured; None if no pixel counts


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


def band_edges(protocol: Protocol) -> tuple[float, ...]:
    """Edges of distance bands over the range of a protocol, in metres: its ends, and 1, 2, 5, 10...

    Band i holds edges[i] <= truth < edges[i + 1], as the distance-related assessment of Koch et
    al., ECCV-W 2018 (https://arxiv.org/abs/1805.01328).
    """
    near, far = protocol.min_depth, protocol.max_depth
    return (near, *(edge for edge in LADDER if near < edge < far), far)


class Truth:
    """The truth of one image, ready to be held against several predictions; as for `measure`."""

    def __init__(
        self, depth: DepthMap, protocol: Protocol, motion_mask: MotionMask | None = None
    ) -> None:
        self.depth, self.protocol = depth, protocol
        self.counted = counted_pixels(depth, protocol)
        self.static: Mask | None = None
        """Pixels known to stand still; None if nobody knows."""
        # Pixels are sorted by band, and in each band static, moving, then those of neither.
        edges = band_edges(protocol)
        cell = np.full(depth.shape, 2, np.uint8)
        for edge in edges[1:-1]:
            cell += np.uint8(3) * (depth >= edge)
        if motion_mask is not None and self.counted.any():
            self.static, dynamic = split_motion_mask(motion_mask)
            cell -= np.uint8(2) * self.static + dynamic
        groups = [np.flatnonzero(self.counted & (cell == i)) for i in range(3 * len(edges) - 3)]
        self._starts = [0, *np.cumsum([group.size for group in groups]).tolist()]
        self._pixels = np.concatenate(groups)
        self._values = values = depth.ravel().take(self._pixels)
        self._inverse, self._log = 1 / values, np.log(values)
        self._median = median(values) if values.size else 0.0

    def measure(
        self, prediction: DepthMap, align_by: AlignmentName | Alignment | None = None
    ) -> Measurement:
        """Errors of one prediction; see `measure`."""
        if not self._values.size:
            return Measurement()
        alignment, p = align_by or self.protocol.align, self.protocol
        values = prediction.ravel().take(self._pixels)
        if not isinstance(alignment, Alignment):
            alignment = align(values, self._values, alignment, true_median=self._median)
        aligned = alignment.apply(values).clip(p.min_depth, p.max_depth).astype(self.depth.dtype)
        sums = _error_sums(aligned, self._values, self._inverse, self._log, self._starts)
        sums = sums.reshape(-1, 3, 9)
        regions = (sums.sum((0, 1)), *sums.sum(0)[:2])
        full, static, dynamic, *bands = map(_errors, (*regions, *sums.sum(1)))
        return Measurement(
            full=full, static=static, dynamic=dynamic, bands=tuple(bands), alignment=alignment
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
    metres, 0, NaN and infinity mean no value. `align_by` is an alignment or its name, if not the
    protocol's own. A ValueError if the prediction cannot be aligned or the mask is none.
    """
    return Truth(truth, protocol, motion_mask).measure(prediction, align_by)
