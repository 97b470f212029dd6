"""Whether the edges of a depth map are where those of the truth are, and are as sharp.

It needs dense truth: a map of scattered LiDAR points has no edges.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ssmde.metrics.depth import DepthMap, Mask, check_depths

STEPS = np.linspace(1.05, 1.25, 10)  # depth ratios of Depth Pro; each weighs as much as it is large
EDGE = 1.15  # a truth without a step of the ratio in their middle has no edge
NEARLY = np.float32(np.log(STEPS[0]) - 1e-4)  # what is more in single precision may be a step
DENSE = 0.5  # share of known pixels, where there is truth at all, below which nothing is an edge


@dataclass(frozen=True, kw_only=True, slots=True)
class BoundaryErrors:
    """How the depth edges of one image agree with the true ones, or the mean over images."""

    f1: float  # mean over the depth ratios of 2 P R / (P + R), in [0, 1]; 1 is best
    precision: float  # mean share of the predicted steps that are true, in [0, 1]
    recall: float  # mean share of the true steps that are predicted, in [0, 1]


def boundary_errors(prediction: DepthMap, truth: DepthMap, known: Mask) -> BoundaryErrors | None:
    """Agreement of the depth edges of one image; None if the truth has no edge, or is not dense.

    A step of ratio t lies between two neighboring pixels, in a row or a column, if one is more
    than t times as deep as the other. It is found if the prediction has a step of t at the same
    place in the same direction: precision P(t), recall R(t), F1(t); their mean over ten t from
    1.05 to 1.25 is weighted by t (Bochkovskii et al., 2024, https://arxiv.org/abs/2410.02073).
    Rows and columns are counted together; a ratio at which neither map has a step is left out.

    It does not see the scale of the prediction. A ValueError if a known depth is not positive and
    finite.
    """
    check_depths("pixels of the prediction", prediction[known])
    check_depths("pixels of the truth", truth[known])
    rows, columns = (np.flatnonzero(known.any(axis)) for axis in (1, 0))
    if not rows.size or known.sum() < DENSE * (np.ptp(rows) + 1) * (np.ptp(columns) + 1):
        return None
    predicted, true = _steps([prediction, truth], known)
    if not (np.abs(true) > np.log(EDGE)).any():
        return None
    same = np.minimum(np.abs(predicted), np.abs(true)) * (predicted * true > 0)
    found, expected, both = (
        np.array([np.count_nonzero(size > least) for least in np.log(STEPS)])
        for size in (np.abs(predicted), np.abs(true), same)
    )
    some = found + expected > 0
    found, expected, both, weights = found[some], expected[some], both[some], STEPS[some]
    # Twice what both have, over the sum, is 2 P R / (P + R).
    shares = (np.maximum(found, 1), np.maximum(expected, 1), (found + expected) / 2)
    # Summed exactly, so that a mean of ones is 1 and not a little more.
    precision, recall, f1 = (
        math.fsum(weights * (both / share)) / math.fsum(weights) for share in shares
    )
    return BoundaryErrors(f1=f1, precision=precision, recall=recall)


@np.errstate(divide="ignore", invalid="ignore")  # of the logarithms of what is not known
def _steps(maps: list[DepthMap], known: Mask) -> list[Float[np.ndarray, " n"]]:
    """Logarithms of (next pixel / this one), by map, wherever one of the maps may have a step."""
    found = [[np.zeros(0)] for _ in maps]
    single = [np.log(depth, dtype=np.float32) for depth in maps]
    for down, right in ((0, 1), (1, 0)):
        here, there = np.s_[: -down or None, : -right or None], np.s_[down:, right:]
        steps = np.maximum(*(np.abs(log[there] - log[here]) for log in single)) > NEARLY
        places = np.flatnonzero(steps & known[here] & known[there])  # in two dimensions it is slow
        rows, columns = np.unravel_index(places, steps.shape)
        for depth, logs in zip(maps, found, strict=True):
            ends = depth[rows + down, columns + right], depth[rows, columns]
            logs.append(np.subtract(*(np.log(end, dtype=np.float64) for end in ends)))
    return [np.concatenate(logs) for logs in found]
