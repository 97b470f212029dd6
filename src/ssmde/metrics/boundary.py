"""Whether the edges of a depth map are where those of the truth are, and are as sharp.

Two published measures. The F1 of depth steps between neighbouring pixels (Bochkovskii et al., Depth
Pro, 2024) asks for the exact place. Accuracy and completeness in pixels (Koch et al., 2018) say how
far away the edges are. Both need dense truth: a map of scattered LiDAR points has no edges.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial import KDTree

STEPS = np.linspace(1.05, 1.25, 10)  # depth ratios of Depth Pro; each weighs as much as it is large
EDGE = 1.15  # the ratio in their middle makes the edges whose distance is measured
REACH = 10  # Koch et al.: pixels; an edge farther away than this is another edge
DENSE = (
    0.5  # share of known pixels, in the part of the image that has truth, below which no edge is
)


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

    A step of ratio t lies between two neighbouring pixels, in a row or a column, if one is more
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

    Args:
        prediction: Depth; positive where known.
        truth: True depth; positive where known.
        known: Pixels that have truth and count.

    Raises:
        ValueError: If a known depth is not positive and finite.
    """
    for name, depth in (("prediction", prediction), ("truth", truth)):
        wrong = int((~(np.isfinite(depth[known]) & (depth[known] > 0))).sum())
        if wrong:
            raise ValueError(
                f"depths must be positive and finite, {wrong} of {int(known.sum())} known pixels "
                f"of the {name} are not"
            )
    if not _is_dense(known):
        return None
    predicted, true = _log_steps(prediction, known), _log_steps(truth, known)
    true_edge, predicted_edge = _near_side(*true), _near_side(*predicted)
    if not true_edge.any():
        return None
    precision, recall, f1 = _scores(_flat(*predicted), _flat(*true))
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
    """Euclidean distance of each True pixel to the nearest edge pixel, in pixels, cut at `reach`.

    Args:
        pixels: From where.
        edges: True on an edge.
        reach: In pixels; positive.
    """
    if not edges.any():
        return np.full(int(pixels.sum()), float(reach))
    found, _ = KDTree(np.argwhere(edges)).query(np.argwhere(pixels), distance_upper_bound=reach)
    return np.minimum(found, reach)  # infinite where none is within reach


def _is_dense(known: Bool[np.ndarray, "h w"]) -> bool:
    """Whether most pixels are known in the rectangle around all that are."""
    rows, columns = np.flatnonzero(known.any(1)), np.flatnonzero(known.any(0))
    if not rows.size:
        return False
    part = known[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return float(part.mean()) >= DENSE


def _log_steps(
    depth: Float[np.ndarray, "h w"], known: Bool[np.ndarray, "h w"]
) -> tuple[Float[np.ndarray, "h k"], Float[np.ndarray, "m w"]]:
    """Logarithm of (next pixel / this one) along rows and down columns; 0 where not known."""
    log = np.log(np.where(known, depth, 1).astype(np.float64))
    across = np.where(known[:, 1:] & known[:, :-1], np.diff(log, axis=1), 0.0)
    down = np.where(known[1:] & known[:-1], np.diff(log, axis=0), 0.0)
    return across, down


def _flat(
    across: Float[np.ndarray, "h k"], down: Float[np.ndarray, "m w"]
) -> Float[np.ndarray, " n"]:
    return np.concatenate([across.ravel(), down.ravel()])


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
    rows, weights = list[tuple[float, float, float]](), list[float]()
    for k, ratio in enumerate(STEPS):
        n_found, n_true, n_both = found[k], expected[k], both[k]
        if n_found + n_true == 0:
            continue
        f1 = 2 * n_both / (n_found + n_true)  # equal to 2 P R / (P + R)
        rows.append((n_both / max(n_found, 1), n_both / max(n_true, 1), f1))
        weights.append(float(ratio))
    # Summed exactly, so that a mean of ones is 1 and not a little more.
    precision, recall, f1 = (
        math.fsum(w * x for w, x in zip(weights, column, strict=True)) / math.fsum(weights)
        for column in zip(*rows, strict=True)
    )
    return precision, recall, f1


def _larger(sizes: Float[np.ndarray, " n"], least: Float[np.ndarray, " k"]) -> list[int]:
    """How many are larger than each of some increasing numbers."""
    place = np.searchsorted(least, sizes[sizes > least[0]], side="left")
    return np.bincount(place, minlength=len(least) + 1)[::-1].cumsum()[::-1][1:].tolist()
