"""One view seen through another: the maps every self-supervised term is made of."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from ssmde.geometry.camera import MIN_DEPTH
from ssmde.geometry.warp import reproject, sample
from ssmde.losses.consistency import geometry_inconsistency
from ssmde.losses.masks import minimum_reprojection
from ssmde.losses.photometric import photometric_error

# Depths at which a pixel may be where it is in another view, as shares of the one that is known. A
# static pixel whose depth is wrong looks alike at one of them, a pixel on a mover at none.
DEPTH_SHARES = (1.0, 0.6, 0.72, 0.85, 1.18, 1.4, 1.65)
FEWEST_VIEWS = 3  # that must see a pixel before they may say that it moves


class Comparison(NamedTuple):
    """One view seen through another: maps on the pixel grid of each view."""

    error: Float[Tensor, "b 1 h w"]
    """Photometric error of the view rebuilt from the other one, in [0, 1]."""
    inconsistency: Float[Tensor, "b 1 h w"]
    """Relative difference of the two depths, in [0, 1); 0 where the other depth is not given."""
    visible: Bool[Tensor, "b 1 h w"]
    """True where the pixel lies in front of the other camera and inside its image."""


def compare(
    view: Float[Tensor, "b 3 h w"],
    other: Float[Tensor, "b 3 h w"],
    depth: Float[Tensor, "b 1 h w"],
    T_other_view: Float[Tensor, "b 4 4"],
    intrinsics: Float[Tensor, "b 3 3"],
    *,
    other_depth: Float[Tensor, "b 1 h w"] | None = None,
) -> Comparison:
    """Rebuild `view` from `other` and hold both images and both depths against each other.

    Args:
        view: RGB in [0, 1]; its pixel grid is that of the result.
        other: RGB in [0, 1]; the view that is read.
        depth: Depth of `view`.
        T_other_view: Motion from the camera of `view` to that of `other`.
        intrinsics: Pinhole matrix of both, in pixels.
        other_depth: Depth of `other`; without it no inconsistency is measured.
    """
    found = reproject(depth, T_other_view, intrinsics)
    readable = other if other_depth is None else torch.cat([other, other_depth], dim=1)
    sampled = sample(readable, found.pixels)
    # Unseen pixels are black in `sampled`; they must not darken the SSIM windows of their
    # neighbors.
    error = photometric_error(torch.where(found.visible, sampled[:, :3], view), view)
    if other_depth is None:
        return Comparison(error, torch.zeros_like(error), found.visible)
    computed, stored = found.depth.clamp(min=MIN_DEPTH), sampled[:, 3:].clamp(min=MIN_DEPTH)
    return Comparison(error, geometry_inconsistency(computed, stored), found.visible)


def join_sources(maps: Comparison, sources: int) -> Comparison:
    """Reduce the comparisons of a target with each of its sources to one, on the target's grid.

    Each pixel is taken from the source with the smallest error (Monodepth2, eq. 4).

    Args:
        maps: Comparisons of (target, source) pairs; the sources of a target follow each other.
        sources: Number of sources of each target.
    """
    error, inconsistency, visible = (m.unflatten(0, (-1, sources)).squeeze(2) for m in maps)
    best = minimum_reprojection(error, visible)
    chosen = torch.where(best.chosen, inconsistency, torch.zeros_like(inconsistency))
    return Comparison(best.error, chosen.sum(1, keepdim=True), best.visible)


def least_error(
    view: Float[Tensor, "1 3 h w"],
    others: Float[Tensor, "n 3 h w"],
    depth: Float[Tensor, "1 1 h w"],
    T_other_view: Float[Tensor, "n 4 4"],
    intrinsics: Float[Tensor, "1 3 3"],
    *,
    shares: tuple[float, ...] = DEPTH_SHARES,
) -> Float[Tensor, "1 1 h w"]:
    """Photometric error of the view by the best of the others, in [0, 1]; 0 where few see it.

    A static pixel looks alike in at least one view where nothing stands before it, at its depth or,
    where that is wrong, at one near it. A pixel on a mover does not: there the others show what is
    behind.

    Args:
        view: RGB in [0, 1].
        others: RGB in [0, 1]; other frames of the video, near and far in time.
        depth: Depth of the view as if nothing moved.
        T_other_view: Motion from the camera of the view to that of each other one.
        intrinsics: Pinhole matrix of all, in pixels.
        shares: The depth times each of these is tried; the first one says who sees a pixel.
    """
    n = len(others)
    least, seen = torch.full_like(depth, torch.inf), torch.ones_like(depth, dtype=torch.bool)
    for number, share in enumerate(shares):
        maps = compare(
            view.expand(n, -1, -1, -1), others, (share * depth).expand(n, -1, -1, -1),
            T_other_view, intrinsics.expand(n, -1, -1),
        )  # fmt: skip
        blurred = F.avg_pool2d(maps.error, 3, 1, 1, count_include_pad=False)
        best = torch.where(maps.visible, blurred, torch.inf).amin(0, keepdim=True)
        enough = maps.visible.sum(0, keepdim=True) >= min(FEWEST_VIEWS, n)
        seen = enough if number == 0 else seen
        least = torch.where(enough, torch.minimum(least, best), least)
    return torch.where(seen, least, torch.zeros_like(least))
