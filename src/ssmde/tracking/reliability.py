"""Can tracked motion be trusted? By matches of frames far apart, and by the depth of a network.

A reconstruction explains the points that it kept. Where cars ahead drive as fast as the camera it
may keep theirs, turn the camera until some of the street fits as well, and drop the rest. So all
verified matches are asked, kept or not: does the other frame see them on their epipolar line?
Figures: `docs/experiments.md`, "Motion that can be trusted".
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64
from scipy.ndimage import median_filter

from ssmde.data.pseudo_labels import plausible, read_pseudo_depth
from ssmde.data.scene_files import TRACKED_POINTS, read_tracked_points
from ssmde.data.scene_folder import read_scene
from ssmde.tracking.colmap import Pair

NEAR = 1 / 320  # of the longer side, at least a pixel: so far from its epipolar line a match fits
MOVED = 0.04  # of the longer side: motion of a pair that tells something; below, any pose fits
FEWEST_MATCHES = 15  # of a pair; COLMAP's own least
# Share of the matches that the motion has to explain. Medians of clips: .94 to .99 good ones, .84
# the most crowded frames of `bonn_crowd`, in single ones .66; .42, .64 and .75 bad clips.
LEAST_EXPLAINED = 0.8  # median of a part
LEAST_IN_FRAME = 0.65  # median of a frame and those around it
AROUND = 9  # frames, over which the share is smoothed: a median
STILL = 0.5  # pixels that three quarters of a frame's matches move at most where the camera stands
STILL_FRAMES = 4  # frames apart; hand-held video that creeps moves more in that time
FEWEST_POINTS = 20  # of a frame, to compare with a label
LEAST_ORDER = 0.4  # rank correlation, the median of the frames; good clips .67 to .92, bad .11, .43
LARGEST_DRIFT = 3.0  # of the unit, over nine tenths of the frames; good clips 1.3, bad eightfold


def find_standing(pairs: Sequence[Pair], frames: int, focal: float) -> Bool[np.ndarray, "frames"]:
    """Of so many frames, those in which the camera stands, as it did in the frame before."""
    still, moving = np.zeros(frames, dtype=bool), np.zeros(frames, dtype=bool)
    for pair in pairs:
        if pair.second - pair.first > STILL_FRAMES or len(pair.before) < FEWEST_MATCHES:
            continue
        moves = focal * np.quantile(pair.motion, 0.75) > STILL
        moving[pair.second] |= moves
        still[pair.second] |= not moves and pair.second == pair.first + 1
    return still & ~moving


def explained_shares(
    T_world_cam: Float64[np.ndarray, "n 4 4"], pairs: Sequence[Pair], focal: float, longer_side: int
) -> Float64[np.ndarray, "n"]:
    """Share of the matches of each frame that lie on their epipolar lines; nan if none tells."""
    fit, total = np.zeros(len(T_world_cam)), np.zeros(len(T_world_cam))
    near = max(1.0, NEAR * longer_side) / focal
    for pair in pairs:
        poses = T_world_cam[[pair.first, pair.second]]
        if len(pair.before) < FEWEST_MATCHES or not np.isfinite(poses).all():
            continue
        if focal * np.quantile(pair.motion, 0.9) < MOVED * longer_side:
            continue
        distance = epipolar_distance(np.linalg.inv(poses[1]) @ poses[0], pair)
        for frame in (pair.first, pair.second):
            fit[frame] += (distance < near).mean()
            total[frame] += 1
    return np.divide(fit, total, out=np.full(len(fit), np.nan), where=total > 0)


def epipolar_distance(T: Float64[np.ndarray, "4 4"], pair: Pair) -> Float64[np.ndarray, "m"]:
    """Distance of matches from their epipolar lines (Sampson), for a focal length of 1.

    `T` moves points of the first camera into the second.
    """
    x, y, z = T[:3, 3]
    essential = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ T[:3, :3]
    before, after = (np.c_[rays, np.ones(len(rays))] for rays in (pair.before, pair.after))
    lines, others = before @ essential.T, after @ essential
    slope = (lines[:, :2] ** 2).sum(1) + (others[:, :2] ** 2).sum(1)
    return np.abs((after * lines).sum(1)) / np.sqrt(slope + 1e-18)


def trusted_frames(shares: Float64[np.ndarray, "n"]) -> Bool[np.ndarray, "n"]:
    """Which frames of a part have poses that can be trusted; none if it is wrong as a whole."""
    known = np.isfinite(shares)
    if not known.any():  # the image hardly moves, and nothing speaks against it
        return np.ones(len(shares), dtype=bool)
    filled = np.interp(np.arange(len(shares)), np.flatnonzero(known), shares[known])
    good = median_filter(filled, AROUND, mode="reflect") >= LEAST_IN_FRAME
    return good & (np.median(shares[known]) >= LEAST_EXPLAINED)


def doubt_about_points(folder: Path) -> str:
    """Why tracked points do not fit the labels of their scene, which are depth; else empty."""
    from scipy.stats import spearmanr  # slow to import, and not for the help

    scene = read_scene(folder)
    orders: list[float] = []
    units: list[float] = []
    for i, (pixels, depth) in read_tracked_points(folder / TRACKED_POINTS).items():
        file, sure = scene.pseudo_depth[i] if scene.pseudo_depth else None, plausible(depth)
        if file is None or sure.sum() < FEWEST_POINTS:
            continue
        label = read_pseudo_depth(file)  # of any size
        scale = np.array(label.shape[::-1]) / np.array(scene.image_size[::-1])
        columns, rows = ((pixels[sure] + 0.5) * scale).astype(int).T
        values = label[rows.clip(0, label.shape[0] - 1), columns.clip(0, label.shape[1] - 1)]
        points, labels = depth[sure][values > 0], values[values > 0]
        if len(labels) >= FEWEST_POINTS:
            flat = np.ptp(labels) == 0 or np.ptp(points) == 0
            order: Any = 0.0 if flat else spearmanr(labels, points)[0]
            orders.append(float(order))
            units.append(float(np.log(points / labels).mean()))
    if not orders:
        return ""
    if (middle := float(np.median(orders))) < LEAST_ORDER:
        return f"tracked points and its own depth have a rank correlation of {middle:.2f}"
    low, high = np.quantile(units, (0.05, 0.95))
    if (drift := float(np.exp(high - low))) > LARGEST_DRIFT:
        return f"the unit of tracked points changes {drift:.1f}-fold along the film"
    return ""
