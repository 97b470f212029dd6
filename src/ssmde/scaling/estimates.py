"""Many estimates of one factor, joined to a number with an error bar."""

import math
from collections.abc import Sequence

import numpy as np

from ssmde.models.checkpoint import MetricScale

BLOCKS = 10  # parts in time whose medians are compared: neighbouring frames err alike
FEWEST_BLOCKS = 3  # for a standard error; with fewer the spread stands for it
MIDDLE = (0.16, 0.84)  # quantiles: one standard deviation to either side of a normal distribution


def join_estimates(estimates: Sequence[float], source: str) -> MetricScale:
    """The median of the estimates, with its standard error and their spread.

    Spread: half of the logarithmic width of the middle 68 %. Standard error: estimates of
    neighbouring frames share their mistakes, so the n estimates are no n measurements; they are cut
    in time into ten blocks of equal length, and the standard error is that of the mean of the
    blocks' medians, of which 1.25 (sqrt(pi / 2)) is that of their median.

    Args:
        estimates: Metres per scene unit, in the order of time; positive.
        source: What they come from, in words.

    Raises:
        ValueError: If there are none, or one is not positive and finite.
    """
    values = np.asarray(estimates, dtype=np.float64)
    if not values.size:
        raise ValueError(f"no estimate of the scale from {source}")
    if not (np.isfinite(values) & (values > 0)).all():
        raise ValueError("estimates of the scale must be positive and finite")
    spread = error = None
    if values.size > 1:
        low, high = np.quantile(np.log(values), MIDDLE)
        spread = float(np.expm1((high - low) / 2))
        error = _standard_error(values, spread)
    return MetricScale(
        metres_per_unit=float(np.median(values)),
        error=error,
        spread=spread,
        estimates=int(values.size),
        source=source,
    )


def _standard_error(values: np.ndarray, spread: float) -> float:
    parts = np.array_split(np.log(values), min(BLOCKS, values.size))
    if len(parts) < FEWEST_BLOCKS:
        return spread
    medians = [float(np.median(part)) for part in parts]
    return float(math.sqrt(math.pi / 2) * np.std(medians, ddof=1) / math.sqrt(len(medians)))
