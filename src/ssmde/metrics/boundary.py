"""Whether the edges of a depth map are where those of the truth are, and are as sharp.

Two published measures. The F1 of depth steps between neighboring pixels (Bochkovskii et al., Depth
Pro, 2024) asks for the exact place. Accuracy and completeness in pixels (Koch et al., 2018) say how
far away the edges are. Both need dense truth: a map of scattered LiDAR points has no edges.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial import KDTree

from ssmde.metrics.depth import check_depths

STEPS = np.linspace(1.05, 1.25, 10)  # depth ratios of Depth Pro; each weighs as much as it is large
EDGE = 1.15  # the ratio in their middle makes the edges whose distance is measured
REACH = 10  # Koch et al.: pixels; an edge farther away than this is another edge
DENSE = 0.5  # share of known pixels, where there is truth at all, below which nothing is an edge


@dataclass(frozen=True, kw_only=True, slots=True)
class BoundaryErrors:
    """How the depth edges of one image agree with the true ones, or the mean over images."""

    f1: float
    """Mean over the depth ratios of 2 P R / (P + R), in [0, 1]; 1 is best."""
    precision: float
    """Mean share of the predicted steps that are true, in [0, 1]."""
    recall: float
    """Mean share of the true steps that are predicted, in [0, 1]."""
    accuracy: float
    """Mean distance of predicted edge pixels to the true edge, in pixels; those not within 10
    pixels of one are left out, 10 if that leaves none."""
    completeness: float
    """Mean distance of true edge pixels to the predicted edge, cut at 10, in pixels."""


def boundary_errors(
    prediction: Float[np.ndarray, "h w"],
    truth: Float[np.ndarray, "h w"],
    known: Bool[np.ndarray, "h w"],
) -> BoundaryErrors | None:
    """Agreement of the depth edges of one image; None if the truth has no edge, or is not dense.

    A step of ratio t lies between two neighboring pixels, in a row or a column, if one is more
    than t times as deep as the other. It is found if the prediction has a step of t at the same
    place in the same direction: precision P(t), recall R(t), F1(t); their mean over ten t from
    1.05 to 1.25 is weighted by t (Bochkovskii et al., 2024, https://arxiv.org/abs/2410.02073). As
    in the paper, rows and columns are counted together; the released code takes a mean of four
    directions and counts a direction without edges as 0. A ratio at which neither map has a step
    is left out.

    Accuracy and completeness are the depth boundary errors of Koch et al., ECCV-W 2018
    (https://arxiv.org/abs/1805.01328), on edge pixels found the same way in both maps: the nearer
    one of each step of 1.15. Theirs are drawn by hand and found by Canny: do not compare the
    numbers. Nothing here sees the scale of the prediction.

    Raises:
        ValueError: If a depth where it is known is not positive and finite.
    """
    check_depths(
        ("known pixels of the prediction", prediction[known]),
        ("known pixels of the truth", truth[known]),
    )
    if not _is_dense(known):
        return None
    predicted, true = _log_steps(prediction, known), _log_steps(truth, known)
    true_edge, predicted_edge = _near_side(*true), _near_side(*predicted)
    if not true_edge.any():
        return None
    flat = (np.concatenate([step.ravel() for step in steps]) for steps in (predicted, true))
    precision, recall, f1 = _scores(*flat)
    to_true = distances(predicted_edge, true_edge, REACH)
    near = to_true[to_true < REACH]
    return BoundaryErrors(
        f1=f1,
        precision=precision,
        recall=recall,
        accuracy=float(near.mean()) if near.size else float(REACH),
        completeness=float(distances(true_edge, predicted_edge, REACH).mean()),
    )


def distances(
    pixels: Bool[np.ndarray, "h w"], edges: Bool[np.ndarray, "h w"], reach: int
) -> Float[np.ndarray, " n"]:
    """Distance of each True pixel to the nearest edge pixel, in pixels, cut at `reach`."""
    if not edges.any():
        return np.full(int(pixels.sum()), float(reach))
    found, _ = KDTree(np.argwhere(edges)).query(np.argwhere(pixels), distance_upper_bound=reach)
    return np.minimum(found, reach)  # infinite where none is within reach


def _is_dense(known: Bool[np.ndarray, "h w"]) -> bool:
    """Whether most pixels are known in the rectangle around all that are."""
    sides = [np.flatnonzero(known.any(axis)) for axis in (1, 0)]
    if not sides[0].size:
        return False
    return int(known.sum()) >= DENSE * math.prod(int(np.ptp(side)) + 1 for side in sides)


def _log_steps(
    depth: Float[np.ndarray, "h w"], known: Bool[np.ndarray, "h w"]
) -> tuple[Float[np.ndarray, "h k"], Float[np.ndarray, "m w"]]:
    """Logarithm of (next pixel / this one) along rows and down columns; 0 where not known."""
    log = np.log(np.where(known, depth, 1).astype(np.float64))
    across = np.where(known[:, 1:] & known[:, :-1], np.diff(log, axis=1), 0.0)
    down = np.where(known[1:] & known[:-1], np.diff(log, axis=0), 0.0)
    return across, down


def _near_side(
    across: Float[np.ndarray, "h k"], down: Float[np.ndarray, "m w"]
) -> Bool[np.ndarray, "h w"]:
    """True on the nearer pixel of every step: the contour of what stands before the other."""
    found, least = np.zeros((across.shape[0], down.shape[1]), dtype=bool), np.log(EDGE)
    found[:, :-1] |= across > least
    found[:, 1:] |= across < -least
    found[:-1] |= down > least
    found[1:] |= down < -least
    return found


def _scores(
    predicted: Float[np.ndarray, " n"], true: Float[np.ndarray, " n"]
) -> tuple[float, float, float]:
    """Precision, recall and F1, each the weighted mean over the ratios."""
    logs = np.log(STEPS)
    same = np.minimum(np.abs(predicted), np.abs(true)) * (predicted * true > 0)
    found, expected, both = (_larger(x, logs) for x in (np.abs(predicted), np.abs(true), same))
    some = found + expected > 0
    found, expected, both, weights = found[some], expected[some], both[some], STEPS[some]
    scores = (
        both / np.maximum(found, 1),
        both / np.maximum(expected, 1),
        2 * both / (found + expected),  # equal to 2 P R / (P + R)
    )
    # Summed exactly, so that a mean of ones is 1 and not a little more.
    precision, recall, f1 = (math.fsum(weights * s) / math.fsum(weights) for s in scores)
    return precision, recall, f1


def _larger(sizes: Float[np.ndarray, " n"], least: Float[np.ndarray, " k"]) -> np.ndarray:
    """How many are larger than each of some increasing numbers."""
    place = np.searchsorted(least, sizes[sizes > least[0]], side="left")
    return np.bincount(place, minlength=len(least) + 1)[::-1].cumsum()[::-1][1:]
