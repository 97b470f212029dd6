"""Whether the depths of two frames tell of the same points: a video that flickers does not.

It says nothing of right or wrong: a depth that is wrong in the same way in every frame is
consistent. It stands beside AbsRel, never alone.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from ssmde.geometry.camera import MIN_DEPTH, invert_motion
from ssmde.geometry.warp import EDGE_TOLERANCE, sample
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
    is linear on a plane. Points outside the other image or behind its camera are left out. Points
    hidden in the other frame are not known without truth: leave them out by the masks.

    Depths are positive and in the unit of the translation, both under one alignment: a scale of
    each its own hides flicker. The pinhole matrix of both is in pixels of these maps. All pixels
    are compared, or those that `target_counts` and `source_counts` say, without movers. A
    ValueError if a depth or the motion is not positive or not finite.
    """
    check_depths(("pixels of the target", target), ("pixels of the source", source))
    motion = _checked(T_src_tgt)
    back = invert_motion(torch.from_numpy(motion)).numpy()
    there = _one_way(target, source, motion, intrinsics, target_counts)
    back = _one_way(source, target, back, intrinsics, source_counts)
    both = np.concatenate([there, back])
    if both.size == 0:
        return None
    return TemporalErrors(
        abs_rel=float(both.mean()),
        median=float(np.median(both)),
        compared=both.size / (target.size + source.size),
    )


def seen_in_both(
    true_target: DepthMap,
    true_source: DepthMap,
    T_src_tgt: Matrix4,
    intrinsics: Matrix3,
    *,
    tolerance: float = 0.05,
) -> Mask:
    """Pixels of the target whose point the source sees as well, by true depth and true motion.

    There the true source has the depth of the moved point, to the tolerance. What is hidden, what
    moved and what has no truth is left out. The nearest pixel is read, so that sparse truth serves.

    Depth is 0 or not finite where there is none. Up to the relative difference `tolerance` two
    depths are of one point. A ValueError if the motion is not finite.
    """
    known, known_there = (np.isfinite(d) & (d > 0) for d in (true_target, true_source))
    found = _move(np.where(known, true_target, 1.0), _checked(T_src_tgt), intrinsics)
    height, width = known.shape
    # Cut to the image: a visible pixel may lie a rounding outside.
    places = np.rint(found.v).clip(0, height - 1) * width + np.rint(found.u).clip(0, width - 1)
    read = np.where(known_there, true_source, 0).ravel().take(places.astype(np.int64))
    return known & found.visible & (np.abs(found.z - read) <= tolerance * read)


def _one_way(
    view: DepthMap, other: DepthMap, T_other_view: Matrix4, intrinsics: Matrix3, counts: Mask | None
) -> Float[np.ndarray, " n"]:
    """|a - b| / b of the points of the view that the other one has in its image."""
    found = _move(view, T_other_view, intrinsics)
    points = np.flatnonzero(found.visible if counts is None else found.visible & counts)
    u, v, z = (values.ravel().take(points) for values in (found.u, found.v, found.z))
    inverse = torch.from_numpy(1 / other.astype(np.float64))[None, None]
    pixels = torch.from_numpy(np.stack([u, v], axis=-1))[None, None]
    disparity = sample(inverse, pixels).numpy().ravel()
    return np.abs(z * disparity - 1)[disparity > 0]


class Moved(NamedTuple):
    """Where each pixel lands in the other view, and its depth there."""

    u: DepthMap
    v: DepthMap
    z: DepthMap
    visible: Mask  # in front of the other camera, and inside its image


def _move(depth: DepthMap, T_other_view: Matrix4, intrinsics: Matrix3) -> Moved:
    """As `geometry.warp.reproject`, in half the time: z [u v 1] = K R K^-1 [u v 1] depth + K t."""
    height, width = depth.shape
    K = intrinsics.astype(np.float64)
    rays, shift = K @ T_other_view[:3, :3] @ np.linalg.inv(K), K @ T_other_view[:3, 3]
    across, down = np.arange(width), np.arange(height)[:, None]
    maps = list[DepthMap]()
    for (a, b, c), d in zip(rays, shift, strict=True):
        value = a * across + (b * down + c)
        value *= depth
        value += d
        maps.append(value)
    u, v, z = maps
    visible = z > MIN_DEPTH
    np.maximum(z, MIN_DEPTH, out=z)
    for values, last in ((u, width - 1), (v, height - 1)):
        values /= z
        visible &= (values >= -EDGE_TOLERANCE) & (values <= last + EDGE_TOLERANCE)
    return Moved(u, v, z, visible)


def _checked(motion: Matrix4) -> Float[np.ndarray, "4 4"]:
    if not np.isfinite(motion).all():
        raise ValueError("the motion between two frames must be finite: leave such a pair out")
    return motion.astype(np.float64)
