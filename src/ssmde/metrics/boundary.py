"""Whether the edges of a depth map are where those of the truth are, and are as sharp.

It needs dense truth: a map of scattered LiDAR points has no edges.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import KDTree

from ssmde.metrics.depth import DepthMap, Mask, check_depths

Places = Int[np.ndarray, " n"]
Values = Float[np.ndarray, " n"]
STEPS = np.linspace(1.05, 1.25, 10)  # depth ratios of Depth Pro; each weighs as much as it is large
EDGE = 1.15  # the ratio in their middle makes the edges whose distance is measured
REACH = 10  # Koch et al.: pixels; an edge farther away than this is another edge
DENSE = 0.5  # share of known pixels, where there is truth at all, below which nothing is an edge
FLAT = np.float32(0.99 * (1 - 1 / STEPS[0]))  # relative difference that is surely no step


@dataclass(frozen=True, kw_only=True, slots=True)
class BoundaryErrors:
    """How the depth edges of one image agree with the true ones, or the mean over images."""

    f1: float  # mean over the depth ratios of 2 P R / (P + R), in [0, 1]; 1 is best
    precision: float  # mean share of the predicted steps that are true, in [0, 1]
    recall: float  # mean share of the true steps that are predicted, in [0, 1]
    accuracy: float
    """Mean distance of predicted edge pixels to the true edge, in pixels; those not within 10
    pixels of one are left out, 10 if that leaves none."""
    completeness: float
    """Mean distance of true edge pixels to the predicted edge, cut at 10, in pixels."""


def boundary_errors(prediction: DepthMap, truth: DepthMap, known: Mask) -> BoundaryErrors | None:
    """Agreement of the depth edges of one image; None if the truth has no edge, or is not dense.

    A step of ratio t lies between two neighboring pixels, in a row or a column, if one is more
    than t times as deep as the other. It is found if the prediction has a step of t at the same
    place in the same direction: precision P(t), recall R(t), F1(t); their mean over ten t from
    1.05 to 1.25 is weighted by t (Bochkovskii et al., 2024, https://arxiv.org/abs/2410.02073).
    Rows and columns are counted together; a ratio at which neither map has a step is left out.

    Accuracy and completeness are those of Koch et al., ECCV-W 2018
    (https://arxiv.org/abs/1805.01328), on the nearer pixels of the steps of 1.15 in both maps.
    Theirs are drawn by hand and found by Canny: do not compare the numbers. Nothing here sees the
    scale of the prediction. A ValueError if a known depth is not positive and finite.
    """
    maps = [np.where(known, depth, depth.dtype.type(1)) for depth in (prediction, truth)]
    for name, depth in zip(("prediction", "truth"), maps, strict=True):
        if not 0 < depth.min() <= depth.max() < np.inf:
            check_depths(f"known pixels of the {name}", depth[known])
    sides = [np.flatnonzero(known.any(axis)) for axis in (1, 0)]  # of the rectangle around all
    if known.sum() < DENSE * math.prod(np.ptp(s) + 1 if s.size else np.inf for s in sides):
        return None
    first, second = _places_of_steps(maps, known)
    flat = [depth.ravel() for depth in maps]  # logarithms of (next pixel / this one):
    logs = [np.log(np.float64(d[second])) - np.log(np.float64(d[first])) for d in flat]
    edges = [_near_side(log, first, second, known.shape) for log in logs]
    if not edges[1].any():
        return None
    precision, recall, f1 = _scores(*logs)
    to_true = distances(edges[0], edges[1])
    near = to_true[to_true < REACH]
    return BoundaryErrors(
        f1=f1, precision=precision, recall=recall,
        accuracy=float(near.mean()) if near.size else float(REACH),
        completeness=float(distances(edges[1], edges[0]).mean()),
    )  # fmt: skip


def distances(pixels: Mask, edges: Mask) -> Values:
    """Distance of each True pixel to the nearest edge pixel, in pixels, cut at `REACH`."""
    if not edges.any():
        return np.full(int(pixels.sum()), float(REACH))
    # The places of a flat map are found several times as fast as those of one of two axes.
    here, there = (
        np.stack(np.divmod(np.flatnonzero(mask), mask.shape[1]), axis=1) for mask in (pixels, edges)
    )
    found, _ = KDTree(there).query(here, distance_upper_bound=REACH)
    return np.minimum(found, REACH)  # infinite where none is within reach


def _places_of_steps(maps: list[DepthMap], known: Mask) -> tuple[Places, Places]:
    """Flat indices of two known neighbors between which a map may step: this one, the next one."""
    # Single precision finds them, and some more; how large they are is told from the maps.
    found, width = list[Int[np.ndarray, " _"]](), known.shape[1]
    single = [depth.astype(np.float32, copy=False) for depth in maps]
    least = [FLAT * depth for depth in single]
    for here, there in (np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:]):
        steps = np.zeros(known.shape, dtype=bool)
        for depth, much in zip(single, least, strict=True):
            difference = depth[here] - depth[there]
            steps[here] |= np.abs(difference, out=difference) > much[here]
        steps[here] &= known[here] & known[there]
        found.append(np.flatnonzero(steps))
    return np.concatenate(found), np.concatenate([found[0] + 1, found[1] + width])


def _near_side(log: Values, first: Places, second: Places, shape: tuple[int, ...]) -> Mask:
    """True on the nearer pixel of every step: the contour of what stands before the other."""
    found, least = np.zeros(shape, dtype=bool), np.log(EDGE)
    found.ravel()[first[log > least]] = True
    found.ravel()[second[log < -least]] = True
    return found


def _scores(predicted: Values, true: Values) -> list[float]:
    """Precision, recall and F1, each the weighted mean over the ratios."""
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
    return [math.fsum(weights * (both / share)) / math.fsum(weights) for share in shares]
