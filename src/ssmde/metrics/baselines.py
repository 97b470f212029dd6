"""What a result must beat: predictors that do not look at the image."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool, Float


def constant_depth() -> Float[np.ndarray, "1 1"]:
    """Depth 1 everywhere, as a map of one pixel; the alignment gives it its scale."""
    return np.ones((1, 1), dtype=np.float32)


def mean_depth_map(
    truths: Iterable[Float[np.ndarray, "_ _"]], size: tuple[int, int]
) -> Float[np.ndarray, "h w"] | None:
    """Mean true depth at each place of the image, in metres; None if there is no truth at all.

    Each map is read at the pixel nearest to the centre of each cell, so that holes stay holes;
    places without truth in any map take the mean of their neighbours, growing inwards.

    Args:
        truths: Depth maps of training frames in metres, of any size; 0 or not finite: no value.
        size: Height and width of the result.
    """
    height, width = size
    total, count = np.zeros(size), np.zeros(size)
    for truth in truths:
        rows = ((np.arange(height) + 0.5) * truth.shape[0] / height).astype(int)
        columns = ((np.arange(width) + 0.5) * truth.shape[1] / width).astype(int)
        values = truth[rows[:, None], columns[None, :]]
        valid = np.isfinite(values) & (values > 0)
        total += np.where(valid, values, 0)
        count += valid
    if not count.any():
        return None
    return _fill_holes(total / np.maximum(count, 1), count > 0).astype(np.float32)


def _fill_holes(
    values: Float[np.ndarray, "h w"], known: Bool[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w"]:
    """Replace unknown values by the mean of their known neighbours, ring after ring."""
    values, known = np.where(known, values, 0.0), known.copy()
    while not known.all():
        around, weight = _sum_of_neighbours(values), _sum_of_neighbours(known.astype(np.float64))
        reached = ~known & (weight > 0)
        values[reached] = around[reached] / weight[reached]
        known |= reached
    return values


def _sum_of_neighbours(values: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    height, width = values.shape
    padded = np.pad(values, 1)
    steps = [(y, x) for y in range(3) for x in range(3) if (y, x) != (1, 1)]
    shifted = [padded[y : y + height, x : x + width] for y, x in steps]
    return np.sum(shifted, axis=0)
