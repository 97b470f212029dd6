"""How far a depth map is from the truth: the standard errors of the field, as sums and counts.

The convention of the field: an error is averaged over the pixels of an image, then over images,
so that each image counts once however many of its pixels have truth.
"""

from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Shaped, UInt8

DELTA = (
    1.25  # Eigen et al., NeurIPS 2014: a pixel is right within this factor, its square, its cube
)


@dataclass(frozen=True, kw_only=True, slots=True)
class DepthErrors:
    """The errors of one image, or their mean over images; p is the prediction, g the truth."""

    abs_rel: float = 0.0
    """Mean of |p - g| / g."""
    sq_rel: float = 0.0
    """Mean of (p - g)^2 / g, in the unit of the depth."""
    rmse: float = 0.0
    """Root of the mean of (p - g)^2, in the unit of the depth."""
    rmse_log: float = 0.0
    """Root of the mean of (ln p - ln g)^2."""
    log10: float = 0.0
    """Mean of |log10 p - log10 g|."""
    d1: float = 0.0
    """Share of pixels with max(p / g, g / p) < 1.25, in [0, 1]."""
    d2: float = 0.0
    """The same with 1.25^2."""
    d3: float = 0.0
    """The same with 1.25^3."""


METRICS = tuple(field.name for field in fields(DepthErrors))


def depth_errors(
    prediction: Float[np.ndarray, "n"], truth: Float[np.ndarray, "n"]
) -> DepthErrors | None:
    """Errors of one image, each a mean over its pixels; None if there is no pixel.

    The measures of Eigen et al., NeurIPS 2014 (https://arxiv.org/abs/1406.2283), and log10,
    computed in float64.

    Args:
        prediction: Depth of the pixels that have truth; positive, aligned and clipped.
        truth: True depth of the same pixels; positive.

    Raises:
        ValueError: If a depth is not positive and finite.
    """
    return grouped_depth_errors(prediction, truth, np.zeros(truth.shape, np.uint8), 1)[0]


def grouped_depth_errors(
    prediction: Float[np.ndarray, "n"],
    truth: Float[np.ndarray, "n"],
    group: UInt8[np.ndarray, "n"],
    n_groups: int,
) -> list[DepthErrors | None]:
    """The errors of several groups of pixels, then of all pixels; None for those without a pixel.

    Args:
        prediction: As for `depth_errors`.
        truth: As for `depth_errors`.
        group: Number of the group of each pixel, from 0 on; `n_groups` for a pixel of none.
        n_groups: How many there are.

    Raises:
        ValueError: If a depth is not positive and finite.
    """
    p, g = prediction.astype(np.float64), truth.astype(np.float64)
    for name, values in (("prediction", p), ("truth", g)):
        wrong = int((~(np.isfinite(values) & (values > 0))).sum())
        if wrong:
            raise ValueError(
                f"depths must be positive and finite, {wrong} of {values.size} pixels of the "
                f"{name} are not: align and clip before measuring"
            )

    order = np.argsort(group, kind="stable")  # the pixels of a group lie side by side
    p, g = p[order], g[order]
    ends = np.searchsorted(group[order], np.arange(n_groups + 1))
    parts = [*(slice(*pair) for pair in pairwise(ends)), slice(None)]

    def sums(values: Shaped[np.ndarray, "n"]) -> Float[np.ndarray, "groups"]:
        return np.array([values[part].sum() for part in parts], dtype=np.float64)

    counts = [len(p[part]) for part in parts]
    some = np.maximum(counts, 1)
    difference, log_ratio, ratio = p - g, np.log(p / g), np.maximum(p / g, g / p)
    relative = difference / g
    means = {
        "abs_rel": sums(np.abs(relative)) / some,
        "sq_rel": sums(difference * relative) / some,
        "rmse": np.sqrt(sums(difference**2) / some),
        "rmse_log": np.sqrt(sums(log_ratio**2) / some),
        "log10": sums(np.abs(log_ratio)) / some / np.log(10),
    } | {f"d{k}": sums(ratio < DELTA**k) / some for k in (1, 2, 3)}
    return [
        DepthErrors(**{name: float(mean[k]) for name, mean in means.items()}) if count else None
        for k, count in enumerate(counts)
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class DepthSums:
    """Errors added up over images; an image without a pixel to measure never enters the divisor."""

    total: DepthErrors = DepthErrors()
    """Sum over the images measured."""
    n_images: int = 0
    """Images measured: the divisor of the means."""
    n_skipped: int = 0
    """Images without a pixel to measure."""

    def add(self, errors: DepthErrors | None) -> "DepthSums":
        """Sums with one more image; None counts as skipped."""
        if errors is None:
            return DepthSums(total=self.total, n_images=self.n_images, n_skipped=self.n_skipped + 1)
        return self.merge(DepthSums(total=errors, n_images=1))

    def merge(self, other: "DepthSums") -> "DepthSums":
        """Sums over the images of both, as from two processes."""
        total = {m: getattr(self.total, m) + getattr(other.total, m) for m in METRICS}
        return DepthSums(
            total=DepthErrors(**total),
            n_images=self.n_images + other.n_images,
            n_skipped=self.n_skipped + other.n_skipped,
        )

    def mean(self) -> DepthErrors | None:
        """Mean over the images measured; None, not NaN, if there was none."""
        if self.n_images == 0:
            return None
        return DepthErrors(**{m: getattr(self.total, m) / self.n_images for m in METRICS})
