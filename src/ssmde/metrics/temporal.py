"""Whether the depths of two frames tell of the same points: a video that flickers does not.

It says nothing of right or wrong: a depth that is wrong in the same way in every frame is
consistent. It stands beside AbsRel, never alone.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ssmde.geometry.camera import invert_motion
from ssmde.geometry.warp import Reprojection, reproject, sample
from ssmde.metrics.depth import check_depths


@dataclass(frozen=True, kw_only=True, slots=True)
class TemporalErrors:
    """How the depths of two frames disagree, or the mean over pairs."""

    abs_rel: float
    """Mean of |a - b| / b over the points compared; 0 is best."""
    median: float
    """Median of the same: what is left out of the reach of occluded points and edges."""
    compared: float
    """Share of the pixels of both frames that could be compared, in (0, 1]."""


def temporal_errors(
    target: Float[np.ndarray, "h w"],
    source: Float[np.ndarray, "h w"],
    T_src_tgt: Float[np.ndarray, "4 4"],
    intrinsics: Float[np.ndarray, "3 3"],
    *,
    target_counts: Bool[np.ndarray, "h w"] | None = None,
    source_counts: Bool[np.ndarray, "h w"] | None = None,
) -> TemporalErrors | None:
    """Disagreement of two depth maps about the same points; None if nothing can be compared.

    Each pixel of one frame is moved into the other; a is its depth there, b what the other map
    says at that place. Both ways, as the temporal alignment error of Yang et al., Depth Any Video,
    2024 (https://arxiv.org/abs/2410.10815). Between pixels the inverse of the depth is read, which
    is linear on a plane. Points outside the other image or behind its camera are left out. Points
    hidden in the other frame are not known without truth: leave them out by the masks.

    Depths are positive and in the unit of the translation, both under one alignment: a scale of
    each its own hides flicker. The pinhole matrix of both is in pixels of these maps. All pixels
    are compared, or those that `target_counts` and `source_counts` say, without movers.

    Raises:
        ValueError: If a depth or the motion is not positive or not finite.
    """
    check_depths(("pixels of the target", target), ("pixels of the source", source))
    motion = _checked(T_src_tgt)
    there = _one_way(target, source, motion, intrinsics, target_counts)
    back = _one_way(source, target, invert_motion(motion), intrinsics, source_counts)
    both = np.concatenate([there, back])
    if both.size == 0:
        return None
    return TemporalErrors(
        abs_rel=float(both.mean()),
        median=float(np.median(both)),
        compared=both.size / (target.size + source.size),
    )


def seen_in_both(
    true_target: Float[np.ndarray, "h w"],
    true_source: Float[np.ndarray, "h w"],
    T_src_tgt: Float[np.ndarray, "4 4"],
    intrinsics: Float[np.ndarray, "3 3"],
    *,
    tolerance: float = 0.05,
) -> Bool[np.ndarray, "h w"]:
    """Pixels of the target whose point the source sees as well, by true depth and true motion.

    There the true source has the depth of the moved point, to the tolerance. What is hidden, what
    moved and what has no truth is left out. The nearest pixel is read, so that sparse truth serves.

    Depth is 0 or not finite where there is none. Up to the relative difference `tolerance` two
    depths are of one point.

    Raises:
        ValueError: If the motion is not finite.
    """
    known, known_there = (np.isfinite(d) & (d > 0) for d in (true_target, true_source))
    found = _reproject(np.where(known, true_target, 1.0), _checked(T_src_tgt), intrinsics)
    points = np.flatnonzero(known & found.visible[0, 0].numpy())
    column, row = found.pixels[0].numpy().reshape(-1, 2).take(points, 0).round().astype(np.int64).T
    height, width = known.shape  # a visible pixel may lie a rounding outside
    there = row.clip(0, height - 1) * width + column.clip(0, width - 1)
    depth, read = found.depth.numpy().ravel().take(points), true_source.ravel().take(there)
    agrees = np.zeros(known.size, dtype=bool)
    with np.errstate(invalid="ignore"):
        agrees[points] = np.abs(depth - read) <= tolerance * read
    agrees[points] &= known_there.ravel().take(there)
    return agrees.reshape(known.shape)


def _one_way(
    view: Float[np.ndarray, "h w"],
    other: Float[np.ndarray, "h w"],
    T_other_view: Float[Tensor, "4 4"],
    intrinsics: Float[np.ndarray, "3 3"],
    counts: Bool[np.ndarray, "h w"] | None,
) -> Float[np.ndarray, " n"]:
    """|a - b| / b of the points of the view that the other one has in its image."""
    found = _reproject(view, T_other_view, intrinsics)
    visible = found.visible[0, 0].numpy()
    points = np.flatnonzero(visible if counts is None else visible & counts)
    pixels = torch.from_numpy(found.pixels.numpy().reshape(-1, 2).take(points, 0))
    inverse = torch.from_numpy(1 / other.astype(np.float64))[None, None]
    disparity = sample(inverse, pixels[None, None]).numpy().ravel()
    errors = np.abs(found.depth.numpy().ravel().take(points) * disparity - 1)
    return errors[disparity > 0]


def _reproject(
    depth: Float[np.ndarray, "h w"],
    motion: Float[Tensor, "4 4"],
    intrinsics: Float[np.ndarray, "3 3"],
) -> Reprojection:
    as_map = torch.from_numpy(depth.astype(np.float64, copy=False))[None, None]
    K = torch.from_numpy(intrinsics.astype(np.float64))
    return reproject(as_map, motion[None], K[None])


def _checked(motion: Float[np.ndarray, "4 4"]) -> Float[Tensor, "4 4"]:
    if not np.isfinite(motion).all():
        raise ValueError("the motion between two frames must be finite: leave such a pair out")
    return torch.from_numpy(motion.astype(np.float64))
