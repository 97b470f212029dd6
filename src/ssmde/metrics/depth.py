"""How far a depth map is from the truth: its alignment, and the standard errors of the field.

A network trained on plain video knows depth up to one factor. How that factor is found changes the
numbers by a lot, so the name of the alignment stands beside every result. An error is averaged over
the pixels of an image, then over images: each image counts once, however many pixels have truth.
"""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Literal, TypeVar, get_args

import numpy as np
from jaxtyping import Bool, Float

from ssmde.console import did_you_mean

Values = Float[np.ndarray, "n"]
DepthMap = Float[np.ndarray, "h w"]
Mask = Bool[np.ndarray, "h w"]
AlignmentName = Literal["median", "median-dataset", "least-squares", "none"]
Sums = TypeVar("Sums", bound="Summable")
ALIGNMENTS: tuple[AlignmentName, ...] = get_args(AlignmentName)
FLAT = 1e-6  # a prediction that varies by less than this share of its mean is a constant
LOG_DELTA = math.log(1.25)  # Eigen et al., NeurIPS 2014: right within 1.25, its square, its cube
ADVICE = ": align and clip before measuring"


def check_depths(*maps: tuple[str, Float[np.ndarray, "..."]], advice: str = "") -> None:
    """Refuse depths that are not positive and finite, by the name of their map."""
    for name, depth in maps:
        if depth.size and not 0 < depth.min() <= depth.max() < np.inf:  # nan is the least of all
            wrong = depth.size - int(((depth > 0) & (depth < np.inf)).sum())
            raise ValueError(
                f"depths must be positive and finite, {wrong} of {depth.size} {name} are not"
                f"{advice}"
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

    - `median`: scale = median(truth) / median(prediction), with the true median (an even count
      takes the mean of the two middle values), as Zhou et al., CVPR 2017
      (https://arxiv.org/abs/1704.07813).
    - `median-dataset`: one factor for all images, the median of theirs: see `common_alignment`.
    - `least-squares`: scale and shift with the smallest sum of (scale p + shift - g)^2, fitted in
      depth, as for networks that predict depth up to scale and shift (Yin et al., CVPR 2021,
      https://arxiv.org/abs/2012.09365). A shift is knowledge the network does not have: these
      numbers do not compare with median-scaled ones. A constant prediction gets a scale only.
    - `none`: the prediction is already in the unit of the truth.

    Both depths are of all the pixels that have truth. `true_median` is given if it is known. A
    ValueError if there is no pixel, a depth is not finite, no positive factor exists, or the
    alignment is one of many images.
    """
    if how not in ALIGNMENTS:  # a door: names come from files and command lines
        raise ValueError(f"unknown alignment {how!r}: {did_you_mean(how, ALIGNMENTS)}")
    if truth.size == 0:
        raise ValueError("an image without truth cannot be aligned: skip it")
    for name, values in (("prediction", prediction), ("truth", truth)):
        if not np.isfinite(values.sum(dtype=np.float64)):
            wrong = values.size - int(np.isfinite(values).sum())
            raise ValueError(f"{wrong} of {values.size} pixels of the {name} are not finite")
    if how == "median-dataset":
        raise ValueError("median-dataset is found over all images: give common_alignment's result")
    if how == "none":
        return Alignment()
    if how == "least-squares":
        return _least_squares(*(v.astype(np.float64, copy=False) for v in (prediction, truth)))
    middle = median(prediction)
    true_median = median(truth) if true_median is None else true_median
    if middle <= 0 or true_median <= 0:
        raise ValueError(
            "median alignment needs positive medians, got "
            f"{middle:g} for the prediction and {true_median:g} for the truth"
        )
    return Alignment(scale=true_median / middle)


def median(values: Values) -> float:
    """The middle value, or the mean of the two middle ones in float64."""
    if values[0] == values[-1] and values.min() == values.max():
        return float(values[0])  # of a baseline: nothing to sort
    middle = [(values.size - 1) // 2, values.size // 2]
    return float(np.partition(values, middle)[middle].mean(dtype=np.float64))


def common_alignment(alignments: Iterable[Alignment]) -> Alignment:
    """One factor for a whole data set, the median of those of its images, each by its `median`.

    A scale that drifts from image to image stays in the error.
    """
    scales = [alignment.scale for alignment in alignments]
    return Alignment(scale=float(np.median(scales))) if scales else Alignment()


def _least_squares(p: Values, g: Values) -> Alignment:
    mean, true_mean = float(p.mean()), float(g.mean())
    variance = float(np.mean((p - mean) ** 2))
    if variance > (FLAT * mean) ** 2:
        scale = float(np.mean((p - mean) * (g - true_mean))) / variance
        return Alignment(scale=scale, shift=true_mean - scale * mean)
    if mean == 0:
        raise ValueError("least-squares alignment needs a prediction that is not 0 everywhere")
    return Alignment(scale=true_mean / mean)


@dataclass(frozen=True, kw_only=True, slots=True)
class Summable:
    """A record whose fields add up, as over images or over processes: `a + b`."""

    def __add__(self: Sums, other: Sums) -> Sums:
        """The sum of each field."""
        names = [field.name for field in fields(self)]
        return type(self)(**{name: getattr(self, name) + getattr(other, name) for name in names})


@dataclass(frozen=True, kw_only=True, slots=True)
class DepthErrors(Summable):
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
    check_depths(
        ("pixels of the prediction", prediction), ("pixels of the truth", truth), advice=ADVICE
    )
    return errors_from_sums(error_sums(prediction, truth, [0, truth.size])[0])


def error_sums(
    prediction: Values, truth: Values, starts: list[int]
) -> Float[np.ndarray, "groups 9"]:
    """The number of pixels, and the sums over them behind each of `METRICS`, of groups of pixels.

    The pixels of a group lie side by side; `starts` says where each begins and the last one ends.
    The truth is positive and finite. A ValueError if the prediction is not.
    """
    p, g = (values.astype(np.float64, copy=False) for values in (prediction, truth))
    with np.errstate(divide="ignore", invalid="ignore"):
        sums = np.array([_sums(p[start:end], g[start:end]) for start, end in pairwise(starts)])
    if not np.isfinite(sums).all():
        check_depths(("pixels of the prediction", p), advice=ADVICE)
    return sums


def _sums(p: Values, g: Values) -> list[float]:
    difference, relative = p - g, p / g
    log_ratio = np.log(relative)
    relative -= 1
    squares = (difference @ relative, difference @ difference, log_ratio @ log_ratio)
    np.abs(relative, out=relative)
    np.abs(log_ratio, out=log_ratio)
    right = (np.count_nonzero(log_ratio < k * LOG_DELTA) for k in (1, 2, 3))
    return [float(v) for v in (p.size, relative.sum(), *squares, log_ratio.sum(), *right)]


def errors_from_sums(sums: Float[np.ndarray, "9"]) -> DepthErrors | None:
    """Errors of one group of `error_sums`, or of several added up; None without a pixel."""
    count, *rest = sums.tolist()
    if not count:
        return None
    means = dict(zip(METRICS, (value / count for value in rest), strict=True))
    means["rmse"], means["rmse_log"] = means["rmse"] ** 0.5, means["rmse_log"] ** 0.5
    return DepthErrors(**means | {"log10": means["log10"] / float(np.log(10))})


@dataclass(frozen=True, kw_only=True, slots=True)
class DepthSums(Summable):
    """Errors added up over images; an image without a pixel to measure never enters the divisor."""

    total: DepthErrors = DepthErrors()
    n_images: int = 0  # measured: the divisor of the means
    n_skipped: int = 0  # without a pixel to measure

    def add(self, errors: DepthErrors | None) -> "DepthSums":
        """Sums with one more image; None counts as skipped."""
        one = DepthSums(n_skipped=1) if errors is None else DepthSums(total=errors, n_images=1)
        return self + one

    def mean(self) -> DepthErrors | None:
        """Mean over the images measured; None, not NaN, if there was none."""
        if self.n_images == 0:
            return None
        return DepthErrors(**{m: v / self.n_images for m, v in asdict(self.total).items()})
