"""Scale and shift of a label, from points whose depth was found by tracking.

A label is known up to scale and shift, differently in each frame. Fitting it to the depth a network
has at the moment keeps the range that network has: a compressed depth stays compressed. The points
that `ssmde track` followed through the video have depths of their own, in one unit for all frames.
"""

import numpy as np
from jaxtyping import Bool, Float32

FEWEST = 20  # points of a frame; two unknowns and outliers
REFITS = 5
KEPT = 0.8  # share of the points, those that fit best, that a refit listens to
# Points outside this range, in median depths of the scene, were seen under too small an angle. On a
# hand-held
# recording (bonn_crowd) this takes the error of fitted labels from 0.114 to 0.054.
POINT_RANGE = (0.2, 4.0)
NEAREST = 0.1  # a fitted depth below this share of the nearest point's is no depth


def plausible(depth: Float32[np.ndarray, "n"]) -> Bool[np.ndarray, "n"]:
    """True for points that were seen under a fair angle, which the others' depth tells.

    Args:
        depth: In the unit of `ssmde track`, the median depth of a scene. The median of one frame
            would do less well: on a frame of `bonn_crowd` half of the points lie on people.
    """
    near, far = POINT_RANGE
    return (depth > near) & (depth < far)


def fit_to_points(
    values: Float32[np.ndarray, "h w"],
    pixels: Float32[np.ndarray, "n 2"],
    depth: Float32[np.ndarray, "n"],
    stored: tuple[int, int],
    *,
    affine: bool = True,
) -> Float32[np.ndarray, "h w"]:
    """The label in the unit of the points; 0 where it has no value, or everywhere without a fit.

    Least squares of the *relative* depth error, repeated on the four fifths of the points that fit
    best: points on what moves are not depths of this frame's label.

    Args:
        values: Label, up to scale, and shift where it is affine; 0 where unknown.
        pixels: Points (u, v), in pixels of the stored frame.
        depth: Their depth, positive.
        stored: Size (height, width) of the stored frame.
        affine: Whether the label has an unknown shift. Where it has none, none is fitted: with
            points at about one depth, a noisy label would become flat.
    """
    height, width = values.shape
    columns = ((pixels[:, 0] + 0.5) * width / stored[1]).astype(int).clip(0, width - 1)
    rows = ((pixels[:, 1] + 0.5) * height / stored[0]).astype(int).clip(0, height - 1)
    label = values[rows, columns].astype(np.float64)
    good = (label > 0) & plausible(depth)
    label, depth = label[good], depth[good].astype(np.float64)
    nothing = np.zeros_like(values)
    if len(label) < FEWEST:
        return nothing
    kept = np.ones(len(label), dtype=bool)
    scale = shift = 0.0
    for _ in range(REFITS):
        unknowns = [label, np.ones_like(label)] if affine else [label]
        system = np.stack(unknowns, axis=1) / depth[:, None]
        solution, *_ = np.linalg.lstsq(system[kept], np.ones(kept.sum()), rcond=None)
        scale, shift = solution if affine else (solution[0], 0.0)
        error = np.abs((scale * label + shift) / depth - 1)
        kept = error <= np.quantile(error, KEPT)
    if not scale > 0:
        return nothing
    fitted = scale * values + shift
    sure = (values > 0) & (fitted > NEAREST * depth.min())
    return np.where(sure, fitted, 0).astype(np.float32)
