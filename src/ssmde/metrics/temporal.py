"""Whether the depths of two frames tell of the same points: a video that flickers does not.

It says nothing of right or wrong: a depth that is wrong in the same way in every frame is
consistent. It stands beside AbsRel, never alone.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ssmde.geometry.pose import invert_motion
from ssmde.geometry.warp import Reprojection, reproject, sample

TOLERANCE = 0.05  # relative difference up to which two true depths are of one point


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

    Args:
        target: Depth of one frame, positive, in the unit of the translation. Both maps under one
            alignment: a scale of each its own hides flicker.
        source: Depth of the other frame, likewise.
        T_src_tgt: Motion from the target camera to the source camera; true or estimated.
        intrinsics: Pinhole matrix of both, in pixels of these maps.
        target_counts: Pixels of the target to compare; without movers. All if not given.
        source_counts: The same for the source.

    Raises:
        ValueError: If a depth or the motion is not positive or not finite.
    """
    for name, depth in (("target", target), ("source", source)):
        wrong = int((~(np.isfinite(depth) & (depth > 0))).sum())
        if wrong:
            raise ValueError(
                f"depths must be positive and finite, {wrong} of {depth.size} pixels of the "
                f"{name} are not"
            )
    _check_motion(T_src_tgt)
    there = _one_way(target, source, T_src_tgt, intrinsics, target_counts)
    motion = torch.from_numpy(T_src_tgt.astype(np.float64))
    back = _one_way(source, target, invert_motion(motion).numpy(), intrinsics, source_counts)
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
    tolerance: float = TOLERANCE,
) -> Bool[np.ndarray, "h w"]:
    """Pixels of the target whose point the source sees as well, by true depth and true motion.

    There the true source has the depth of the moved point, to the tolerance. What is hidden, what
    moved and what has no truth is left out. The nearest pixel is read, so that sparse truth serves.

    Args:
        true_target: True depth of the target; 0 or not finite: none.
        true_source: True depth of the source, likewise.
        T_src_tgt: Motion from the target camera to the source camera, in the unit of the depth.
        intrinsics: Pinhole matrix of both, in pixels of these maps.
        tolerance: Relative difference up to which the two depths are of one point.

    Raises:
        ValueError: If the motion is not finite.
    """
    _check_motion(T_src_tgt)
    known, known_there = (np.isfinite(d) & (d > 0) for d in (true_target, true_source))
    found = _reproject(np.where(known, true_target, 1.0), T_src_tgt, intrinsics)
    height, width = true_target.shape
    u, v = found.pixels[0].round().unbind(-1)
    column = u.clamp(0, width - 1).long().numpy()
    row = v.clamp(0, height - 1).long().numpy()
    depth, read = found.depth[0, 0].numpy(), true_source[row, column]
    compared = known & found.visible[0, 0].numpy() & known_there[row, column]
    agrees = np.zeros_like(known)
    agrees[compared] = np.abs(depth - read)[compared] <= tolerance * read[compared]
    return agrees


def _one_way(
    view: Float[np.ndarray, "h w"],
    other: Float[np.ndarray, "h w"],
    T_other_view: Float[np.ndarray, "4 4"],
    intrinsics: Float[np.ndarray, "3 3"],
    counts: Bool[np.ndarray, "h w"] | None,
) -> Float[np.ndarray, " n"]:
    """|a - b| / b of the points of the view that the other one has in its image."""
    found = _reproject(view, T_other_view, intrinsics)
    disparity = sample(1 / _as_map(other), found.pixels)
    where = found.visible & (disparity > 0)
    if counts is not None:
        where &= torch.from_numpy(counts)
    return (found.depth * disparity - 1).abs()[where].numpy()


def _reproject(
    depth: Float[np.ndarray, "h w"],
    motion: Float[np.ndarray, "4 4"],
    intrinsics: Float[np.ndarray, "3 3"],
) -> Reprojection:
    T, K = (torch.from_numpy(m.astype(np.float64))[None] for m in (motion, intrinsics))
    return reproject(_as_map(depth), T, K)


def _as_map(depth: Float[np.ndarray, "h w"]) -> Float[Tensor, "1 1 h w"]:
    return torch.from_numpy(depth.astype(np.float64))[None, None]


def _check_motion(motion: Float[np.ndarray, "4 4"]) -> None:
    if not np.isfinite(motion).all():
        raise ValueError("the motion between two frames must be finite: leave such a pair out")
