"""Whether the depths of two frames tell of the same points: a video that flickers does not.

It says nothing of right or wrong, for what is wrong alike in every frame is consistent: it stands
beside AbsRel, never alone.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float

from ssmde.geometry.camera import MIN_DEPTH
from ssmde.geometry.warp import EDGE_TOLERANCE, sample
from ssmde.metrics.depth import DepthMap, Mask, Values, check_depths, median

Matrix4 = Float[np.ndarray, "4 4"]
Matrix3 = Float[np.ndarray, "3 3"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TemporalErrors:
    """How the depths of two frames disagree, or the mean over pairs."""

    abs_rel: float  # mean of |a - b| / b over the points compared; 0 is best
    median: float  # median of the same: what is left out of the reach of occluded points and edges
    compared: float  # share of the pixels of both frames that could be compared, in (0, 1]


def temporal_errors(
    target: DepthMap,
    source: DepthMap,
    T_src_tgt: Matrix4,
    intrinsics: Matrix3,
    *,
    target_counts: Mask | None = None,
    source_counts: Mask | None = None,
) -> TemporalErrors | None:
    """Disagreement of two depth maps about the same points; None if nothing can be compared.

    Each pixel of one frame is moved into the other; a is its depth there, b what the other map
    says at that place. Both ways, as the temporal alignment error of Yang et al., Depth Any Video,
    2024 (https://arxiv.org/abs/2410.10815). Between pixels the inverse of the depth is read, which
    is linear on a plane. Points outside the other image or behind its camera are left out; leave
    movers, and points hidden in the other frame, out by the masks of what counts.

    Depths are in the unit of the translation, both under one alignment: a scale of each its own
    hides flicker. They are of one dtype, in which all is computed. The pinhole matrix of both is in
    pixels of these maps. A ValueError if a depth or the motion is not positive or not finite.
    """
    check_depths("pixels of the target", target)
    check_depths("pixels of the source", source)
    there = _one_way(target, source, T_src_tgt, intrinsics, target_counts)
    back = _one_way(source, target, np.linalg.inv(T_src_tgt), intrinsics, source_counts)
    both = np.concatenate([there, back])
    if both.size == 0:
        return None
    return TemporalErrors(
        abs_rel=float(both.mean(dtype=np.float64)), median=median(both),
        compared=both.size / (target.size + source.size),
    )  # fmt: skip


def seen_in_both(
    true_target: DepthMap,
    true_source: DepthMap,
    T_src_tgt: Matrix4,
    intrinsics: Matrix3,
    *,
    tolerance: float = 0.05,
) -> Mask:
    """Pixels of the target whose point the source sees as well, by true depth and true motion.

    There the true source has the depth of the moved point, to the relative `tolerance`. What is
    hidden, what moved and what has no truth (0 or not finite) is left out. The nearest pixel is
    read, so that sparse truth serves. A ValueError if the motion is not finite.
    """
    seen = np.isfinite(true_target) & (true_target > 0)
    u, v, depth, visible = _move(true_target, T_src_tgt, intrinsics, seen)
    height, width = true_source.shape
    # Cut to the image: a visible pixel may lie a rounding outside.
    rows = np.rint(v).clip(0, height - 1).astype(np.int32)
    columns = np.rint(u).clip(0, width - 1).astype(np.int32)
    read = true_source.ravel().take(rows * width + columns)
    seen[seen] = visible & (np.abs(depth - read) <= tolerance * read) & (read < np.inf)
    return seen


def _one_way(
    view: DepthMap, other: DepthMap, T_other_view: Matrix4, intrinsics: Matrix3, counts: Mask | None
) -> Values:
    """|a - b| / b of the points of the view that the other one has in its image."""
    u, v, depth, visible = _move(view, T_other_view, intrinsics, counts)
    inverse = torch.from_numpy(1 / other)[None, None]
    pixels = np.resize(np.stack([u, v], 1), (1, -(-u.size // 1024), 1024, 2))  # rows are faster
    disparity = sample(inverse, torch.from_numpy(pixels)).numpy().ravel()[: u.size]
    return np.abs(depth * disparity - 1)[visible & (disparity > 0)]


def _move(
    view: DepthMap, T_other_view: Matrix4, intrinsics: Matrix3, counts: Mask | None
) -> tuple[Values, Values, Values, Bool[np.ndarray, " n"]]:
    """Pixels that count in the other camera: u, v, depth, and whether it has them in its image.

    As `geometry.warp.reproject`, of some pixels: z [u v 1] = K R K^-1 [u v 1] depth + K t.
    """
    if not np.isfinite(T_other_view).all():
        raise ValueError("the motion between two frames must be finite: leave such a pair out")
    height, width = view.shape
    points = (np.arange(view.size) if counts is None else np.flatnonzero(counts)).astype(np.int32)
    rows = points // width  # many times as fast as divmod
    K, T = intrinsics.astype(np.float64), T_other_view.astype(np.float64)
    rays, shift = (K @ T[:3, :3] @ np.linalg.inv(K)).astype(view.dtype), K @ T[:3, 3:]
    moved = rays @ np.stack([points - rows * width, rows, np.ones_like(rows)]).astype(view.dtype)
    moved *= view.ravel().take(points)
    moved += shift.astype(view.dtype)
    u, v = moved[:2] / np.maximum(moved[2], MIN_DEPTH)
    visible = (moved[2] > MIN_DEPTH) & (u >= -EDGE_TOLERANCE) & (v >= -EDGE_TOLERANCE)
    visible &= (u <= width - 1 + EDGE_TOLERANCE) & (v <= height - 1 + EDGE_TOLERANCE)
    return u, v, moved[2], visible
