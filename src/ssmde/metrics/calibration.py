"""Whether a confidence tells where a depth is wrong: sparsification, and a table by confidence.

Neither looks at the unit of the confidence, only at its order: it need not be a probability.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Float

STEPS = 20  # shares of the pixels that are taken away: 0, 5, ... 95 %
BINS = 10  # rows of the table, each a tenth of the pixels


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """How the confidence of one image orders its errors, or the mean over images."""

    ause: float
    """Area between the sparsification curve and the best possible one, as a share of the error over
    all pixels; 0 is best."""
    random: float
    """The same of a confidence that knows nothing: what to compare `ause` with."""
    curve: tuple[float, ...]
    """Mean relative error after the least sure 0, 5, ... 95 % of the pixels are taken away."""
    best: tuple[float, ...]
    """The same if the pixels of the largest error are taken away."""
    table: tuple[float, ...]
    """Mean relative error in each tenth of the pixels, the least sure first."""


def confidence_calibration(
    prediction: Float[np.ndarray, " n"],
    truth: Float[np.ndarray, " n"],
    confidence: Float[np.ndarray, " n"],
) -> Calibration | None:
    """Sparsification of the relative error |p - g| / g of one image; None if nothing can be told.

    The area under the sparsification error (Ilg et al., ECCV 2018, https://arxiv.org/abs/1802.07095)
    for depth (Poggi et al., CVPR 2020, https://arxiv.org/abs/2005.06209), here by the trapezoidal
    rule and relative to the error of the whole image, so that images compare. Pixels of equal
    confidence share their mean error: a constant confidence gets exactly what a random one gets.

    All are of the pixels that count; depths positive, aligned and clipped, a larger confidence is
    surer.

    Raises:
        ValueError: If a confidence is not finite.
    """
    wrong = int((~np.isfinite(confidence)).sum())
    if wrong:
        raise ValueError(f"confidence must be finite, {wrong} of {confidence.size} pixels are not")
    error = np.abs(prediction.astype(np.float64) - truth) / truth
    if error.size < STEPS or not error.mean() > 0:
        return None
    order = np.argsort(confidence, kind="stable")
    # The pixels of a run of equal confidence share their mean error.
    _, run, count = np.unique(confidence[order], return_inverse=True, return_counts=True)
    by_confidence = (np.bincount(run, weights=error[order]) / count)[run]
    kept = [round(k * error.size / STEPS) for k in range(STEPS)]
    curve = np.array([by_confidence[k:].mean() for k in kept])
    largest_first = -np.sort(-error)
    best = np.array([largest_first[k:].mean() for k in kept])
    whole = float(error.mean())
    return Calibration(
        ause=float(np.trapezoid(curve - best, dx=1 / STEPS)) / whole,
        random=float(np.trapezoid(whole - best, dx=1 / STEPS)) / whole,
        curve=tuple(curve.tolist()),
        best=tuple(best.tolist()),
        table=tuple(float(part.mean()) for part in np.array_split(by_confidence, BINS)),
    )


def mean_calibration(found: Sequence[Calibration]) -> dict[str, Any] | None:
    """Mean over images as plain values, each image once; None if there is none."""
    if not found:
        return None
    means = {
        field.name: np.mean([getattr(c, field.name) for c in found], axis=0).tolist()
        for field in fields(Calibration)
    }
    return {**means, "n_images": len(found)}
