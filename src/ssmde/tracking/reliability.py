"""Can tracked motion be trusted? By matches of frames far apart, and by the depth of a network.

A reconstruction explains the points that it kept. Where cars ahead drive as fast as the camera it
may keep theirs, turn the camera until some of the street fits as well, and drop the rest: parallax,
reprojection error and the agreement of independent halves of the frames all stay good. So all
verified matches are asked, kept or not: does the other frame see them on their epipolar line?
Figures: `docs/experiments.md`, "Motion that can be trusted".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float64
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
LEAST_ORDER = 0.4  # rank correlation; good clips .67 to .92, bad ones .11 and .43
LARGEST_DRIFT = 3.0  # good clips up to 1.3; eightfold was seen


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
    """Share of the matches of each frame that lie on their epipolar lines; nan if none tells.

    Poses are in one world, nan where unknown; focal length and longer side of the images in pixels.
    """
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
    """Which frames of a part have poses that can be trusted; none if it is wrong as a whole.

    Shares are those of `explained_shares`, in the order of time. If all are nan, the image hardly
    moves, and nothing speaks against it.
    """
    known = np.isfinite(shares)
    if not known.any():
        return np.ones(len(shares), dtype=bool)
    filled = np.interp(np.arange(len(shares)), np.flatnonzero(known), shares[known])
    good = median_filter(filled, AROUND, mode="reflect") >= LEAST_IN_FRAME
    return good & (np.median(shares[known]) >= LEAST_EXPLAINED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """How the tracked points of a scene compare with depth labels."""

    frames: int  # that were compared
    order: float  # rank correlation of point depth and label in a frame, the median
    drift: float  # nine tenths of the frames need factors between the two within this ratio

    @property
    def doubt(self) -> str:
        """Why the points are not to be believed; empty if they are."""
        if self.order < LEAST_ORDER:
            return f"tracked points and its own depth have a rank correlation of {self.order:.2f}"
        if self.drift > LARGEST_DRIFT:
            return f"the unit of tracked points changes {self.drift:.1f}-fold along the film"
        return ""


def compare_with_labels(folder: Path) -> Agreement | None:
    """Tracked points of a scene beside its labels, which are depth; None if no frame has both."""
    from scipy.stats import spearmanr  # slow to import, and not for the help

    scene = read_scene(folder)
    points = read_tracked_points(folder / TRACKED_POINTS)
    orders: list[float] = []
    units: list[float] = []
    for i, (pixels, depth) in points.items():
        label = scene.pseudo_depth[i] if scene.pseudo_depth else None
        sure = plausible(depth)
        if label is None or sure.sum() < FEWEST_POINTS:
            continue
        values = _values_at(read_pseudo_depth(label), pixels[sure], scene.image_size)
        seen = values > 0
        if seen.sum() >= FEWEST_POINTS:
            flat = np.ptp(values[seen]) == 0 or np.ptp(depth[sure][seen]) == 0
            order: Any = 0.0 if flat else spearmanr(values[seen], depth[sure][seen])[0]
            orders.append(float(order))
            units.append(float(np.log(depth[sure][seen] / values[seen]).mean()))
    if not orders:
        return None
    low, high = np.quantile(units, (0.05, 0.95))
    return Agreement(
        frames=len(orders), order=float(np.median(orders)), drift=float(np.exp(high - low))
    )


def _values_at(
    label: Float[np.ndarray, "h w"], pixels: Float[np.ndarray, "n 2"], stored: tuple[int, int]
) -> Float[np.ndarray, "n"]:
    """Values of a label of any size at pixels of the stored frame."""
    scale = np.array(label.shape[::-1]) / np.array(stored[::-1])
    columns, rows = ((pixels + 0.5) * scale).astype(int).T
    return label[rows.clip(0, label.shape[0] - 1), columns.clip(0, label.shape[1] - 1)]
