"""A label in the unit of tracked points: what video knows of geometry, where it knows it.

A label is known up to scale, or scale and shift, differently in each frame, and its far wall may be
too near. The points that `ssmde track` followed through the video have depths of their own, in one
unit for all frames, but only where the scene stands still. So a label is brought to them by scale
and shift first, and then by a factor that changes slowly over the image. What moves has no points
and gets the factor of the static pixels around it: it keeps its depth relative to them.
"""

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int

FEWEST = 20  # points of a frame; two unknowns and outliers
REFITS = 5
KEPT = 0.8  # share of the points, those that fit best, that a refit listens to
# Points outside this range, in median depths of the scene, were seen under too small an angle. On a
# hand-held
# recording (bonn_crowd) this takes the error of fitted labels from 0.114 to 0.054.
POINT_RANGE = (0.2, 4.0)
NEAREST = 0.1  # a fitted depth below this share of the nearest point's is no depth
# The slow factor. On 17 frames of a kitchen (redkitchen) that the labelling network never saw, it
# takes the error of its labels from 0.178 to 0.121, delta1 from 0.66 to 0.85; a grid that spans
# depth as well, or twice as fine, does no better.
GRID = (6, 8)  # its nodes: rows, columns
STIFF = 2.0  # what a step of the log factor from node to node costs, beside the error of one point
ROUNDS = 6  # of weights for the points, by how well they fit
SPREAD = 0.4  # error of a point that quarters its weight, as a share of depth


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
    best: points on what moves are not depths of this frame's label. Then the slow factor, from
    points weighted by Geman and McClure's function of their error.

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
    if not sure.any():
        return nothing
    factor = _slow_factor(np.where(sure, fitted, 0), rows[good], columns[good], depth)
    return np.where(sure, factor * fitted, 0).astype(np.float32)


def _slow_factor(
    fitted: Float64[np.ndarray, "h w"],
    rows: Int[np.ndarray, "n"],
    columns: Int[np.ndarray, "n"],
    depth: Float64[np.ndarray, "n"],
) -> Float64[np.ndarray, "h w"]:
    """What a fitted label is to be multiplied by, so that it meets the points.

    Args:
        fitted: Label in the unit of the points; 0 where unknown.
        rows: Pixel of each point.
        columns: Pixel of each point.
        depth: Its depth.
    """
    seen = fitted[rows, columns] > 0
    rows, columns = rows[seen], columns[seen]
    wanted = np.log(depth[seen] / fitted[rows, columns])
    # The share of each node in each row and column, in each point: linear from node to node.
    down, across = (_shares(n, nodes) for n, nodes in zip(fitted.shape, GRID, strict=True))
    system = (down[rows][:, :, None] * across[columns][:, None]).reshape(len(rows), -1)
    nodes = np.arange(np.prod(GRID)).reshape(GRID)
    stiffness = 1e-3 * np.eye(nodes.size)
    for axis in (0, 1):
        pair = np.delete(nodes, -1, axis).ravel(), np.delete(nodes, 0, axis).ravel()
        for one, other in (pair, pair[::-1]):
            stiffness[one, one] += STIFF
            stiffness[one, other] -= STIFF
    log_factor = np.zeros(nodes.size)
    for _ in range(ROUNDS):
        error = wanted - system @ log_factor
        weighted = system / (1 + (error / SPREAD) ** 2)[:, None] ** 2
        log_factor = np.linalg.solve(system.T @ weighted + stiffness, weighted.T @ wanted)
    return np.exp(down @ log_factor.reshape(GRID) @ across.T)


def _shares(pixels: int, nodes: int) -> Float64[np.ndarray, "pixels nodes"]:
    """How much of each node is in each pixel of a row that they span evenly."""
    places = np.linspace(0, nodes - 1, pixels)
    return (1 - np.abs(places[:, None] - np.arange(nodes))).clip(0)
