"""Whether the depths of two frames tell of the same points: a video that flickers does not.

It says nothing of right or wrong, for what is wrong alike in every frame is consistent: it stands
beside AbsRel, never alone.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from ssmde.geometry.warp import Reprojection, reproject, sample
from ssmde.metrics.depth import DepthMap, Mask, check_depths

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
        abs_rel=float(both.mean(dtype=np.float64)), median=float(np.median(both)),
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
    known, known_there = (np.isfinite(d) & (d > 0) for d in (true_target, true_source))
    found = _reproject(np.where(known, true_target, 1), T_src_tgt, intrinsics)
    height, width = known.shape
    # Cut to the image: a visible pixel may lie a rounding outside.
    u, v = found.pixels[0].round().unbind(-1)
    places = v.clamp(0, height - 1).long() * width + u.clamp(0, width - 1).long()
    read = np.where(known_there, true_source, 0).ravel().take(places.numpy())
    agree = np.abs(found.depth[0, 0].numpy() - read) <= tolerance * read
    return known & found.visible[0, 0].numpy() & agree


def _one_way(
    view: DepthMap, other: DepthMap, T_other_view: Matrix4, intrinsics: Matrix3, counts: Mask | None
) -> Float[np.ndarray, " n"]:
    """|a - b| / b of the points of the view that the other one has in its image."""
    found = _reproject(view, T_other_view, intrinsics)
    seen = found.visible[0, 0].numpy()
    points = np.flatnonzero(seen if counts is None else seen & counts)
    pixels = torch.from_numpy(found.pixels.numpy().reshape(-1, 2).take(points, axis=0))
    disparity = sample(torch.from_numpy(1 / other)[None, None], pixels[None, None]).numpy().ravel()
    errors = np.abs(found.depth.numpy().ravel().take(points) * disparity - 1)
    return errors[disparity > 0]


def _reproject(depth: DepthMap, T_other_view: Matrix4, intrinsics: Matrix3) -> Reprojection:
    if not np.isfinite(T_other_view).all():
        raise ValueError("the motion between two frames must be finite: leave such a pair out")
    maps = torch.from_numpy(depth)[None, None]
    T, K = (torch.from_numpy(matrix).to(maps)[None] for matrix in (T_other_view, intrinsics))
    return reproject(maps, T, K)
