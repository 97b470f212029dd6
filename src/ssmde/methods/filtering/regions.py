"""Which pixels stand still, move, or cannot be told: the evidence of all sources joined."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from ssmde.losses.sampling import MAX_SAMPLES, thin
from ssmde.methods.filtering.evidence import Evidence
from ssmde.methods.filtering.threshold import masked_quantile

RETURN_SCALE = 1.0  # fall-off of the reliability with the way back, pixels of an image 320 wide
IDENTITY_FLOOR = 0.02  # keeps the ratio of errors finite, and small where nothing changes at all
TEXTURE_FLOOR = 0.02  # where the images differ by less, nothing can be said of motion
FEWEST_FOR_TWO = 4  # from so many sources on, two must agree

ERODE, DILATE, MAJORITY = 3, 7, 5  # windows of the spatial filter, in pixels


class Regions(NamedTuple):
    """Three masks; each pixel lies in one of them."""

    static: Bool[Tensor, "b 1 h w"]
    """Stands still in the world, and the depths of the views agree."""
    dynamic: Bool[Tensor, "b 1 h w"]
    """Moves by itself."""
    unknown: Bool[Tensor, "b 1 h w"]
    """Everything else."""


def depth_reliability(evidence: Evidence, *, sigma_depth: float) -> Float[Tensor, "b 1 h w"]:
    """Trust of the best source in the depth, in [0, 1]; 0 where none sees the pixel.

    max_s V exp(-e_d / sigma) exp(-e_px^2 / 2). The best and not the mean: what one neighbour in
    time cannot see is usually in sight of the other.

    Args:
        evidence: What the sources say.
        sigma_depth: Relative depth difference at which the trust falls to 1 / e.
    """
    depth_part = torch.exp(-evidence.depth_difference.abs() / sigma_depth)
    way_part = torch.exp(-0.5 * (evidence.return_error / RETURN_SCALE).square())
    return (depth_part * way_part * evidence.visible).amax(1, keepdim=True)


def depths_agree(
    evidence: Evidence, *, tau_depth: float, tau_pixels: float
) -> Bool[Tensor, "b 1 h w"]:
    """True where enough sources confirm the depth: one of up to three, two of four or more.

    Args:
        evidence: What the sources say.
        tau_depth: Largest relative depth difference |z - D| / (z + D).
        tau_pixels: Largest way between a pixel and its return, in pixels of an image 320 wide.
    """
    close = evidence.depth_difference.abs() < tau_depth
    agree = evidence.visible & close & (evidence.return_error < tau_pixels)
    fewest = 1 if agree.shape[1] < FEWEST_FOR_TWO else 2
    return agree.sum(1, keepdim=True) >= fewest


def motion_ratio(evidence: Evidence) -> Float[Tensor, "b 1 h w"]:
    """Smallest ratio over the sources of the rebuilt to the unmoved error; inf where none sees.

    e_ph / (e_id + 0.02): small where camera motion and depth explain the change of the image,
    near 1 or above where they do not.

    Args:
        evidence: What the sources say.
    """
    ratio = evidence.error / (evidence.identity_error + IDENTITY_FLOOR)
    return ratio.masked_fill(~evidence.visible, torch.inf).amin(1, keepdim=True)


def motion_candidates(
    evidence: Evidence,
    ratio: Float[Tensor, "b 1 h w"],
    threshold: Float[Tensor, ""],
    *,
    tau_depth: float,
) -> Bool[Tensor, "b 1 h w"]:
    """True where the images change and the camera's motion does not explain it.

    Not where every source that sees the pixel's place has a nearer surface there: a hidden pixel
    is not a moving one.

    Args:
        evidence: What the sources say.
        ratio: `motion_ratio` of the evidence.
        threshold: Ratio from which on a change counts as unexplained.
        tau_depth: Signed relative depth difference above which a point is hidden.
    """
    in_sight = evidence.visible & ~(evidence.depth_difference > tau_depth)
    textured = evidence.identity_error.amax(1, keepdim=True) > TEXTURE_FLOOR
    return in_sight.any(1, keepdim=True) & textured & (ratio >= threshold)


def split_regions(candidates: Bool[Tensor, "b 1 h w"], agree: Bool[Tensor, "b 1 h w"]) -> Regions:
    """Clean both masks of specks, then divide the image.

    Motion: what is left after erosion by 3 x 3, grown by 7 x 7. Agreement: only where most of the
    5 x 5 pixels around agree too. Pixels outside the image have no say in either.

    Args:
        candidates: Pixels that seem to move.
        agree: Pixels whose depth is confirmed.
    """
    dynamic = _grow(~_grow(~candidates, ERODE), DILATE)
    share = F.avg_pool2d(
        agree.to(torch.float32), MAJORITY, 1, MAJORITY // 2, count_include_pad=False
    )
    static = agree & (share > 0.5) & ~dynamic
    return Regions(static, dynamic, ~(static | dynamic))


def _grow(mask: Bool[Tensor, "b 1 h w"], window: int) -> Bool[Tensor, "b 1 h w"]:
    """True where any pixel of the window is; rows and columns apart, which is the same."""
    values, half = mask.to(torch.float32), window // 2
    rows = F.max_pool2d(values, (1, window), 1, (0, half))
    return F.max_pool2d(rows, (window, 1), 1, (half, 0)) > 0


def drop_lowest(
    weight: Float[Tensor, "b 1 h w"], region: Bool[Tensor, "b 1 h w"], share: float
) -> Float[Tensor, "b 1 h w"]:
    """The weight with the lowest values of the region set to 0, image by image.

    Values equal to the quantile stay: where all are the same, none is the lowest.

    Args:
        weight: Trust in the depth.
        region: Pixels among which the lowest are sought; the others keep their weight.
        share: Share of the region to drop, in [0, 1).
    """
    limit = MAX_SAMPLES * weight.shape[0]
    values, chosen = thin(weight, limit).flatten(1), thin(region, limit).flatten(1)
    lowest = masked_quantile(values, chosen, share)[:, None, None, None]
    return weight.masked_fill(region & (weight < lowest), 0)
