"""Pairs of pixels that lie across an edge.

Shared by the terms that compare two sides of an edge. Nothing here carries a gradient.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from ssmde.losses.processes import uniform_per_image
from ssmde.losses.sampling import Pairs, draw_pixels, read

GREY = (0.299, 0.587, 0.114)  # luma of ITU-R BT.601
STRONG = 0.1  # share of an image's strongest edge; Xian et al., CVPR 2020
BORDER = 5  # pixels along the image border that are no anchors; SC-DepthV3
NEAREST, FARTHEST = 3, 19  # distance of a point from its anchor, in pixels; SC-DepthV3
JUMP = 4.0  # times the median slope of an image; a slanted surface stays below
PAIRS_OF_AN_ANCHOR = 3


class Edges(NamedTuple):
    """Edges of a map."""

    strength: Float[Tensor, "b 1 h w"]
    """Length of the derivative over all channels, per pixel; at least 0."""
    across: Float[Tensor, "b 2 h w"]
    """Unit vector (u, v) along which the map changes most; v and -v mean the same."""


def grey(image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
    """Luma of an RGB image, in the range of the image."""
    weights = torch.tensor(GREY, dtype=image.dtype, device=image.device)
    return (image * weights[:, None, None]).sum(1, keepdim=True)


@torch.no_grad()
def find_edges(values: Float[Tensor, "b c h w"]) -> Edges:
    """Strength and direction of the edges of a map with one channel or several.

    Sobel derivatives with the border repeated. Over several channels the direction is the main
    axis of sum_c g_c g_c^T, so channels of opposite sign do not cancel; for one channel it is the
    direction of its gradient.
    """
    du, dv = _sobel(values)
    uu, vv, uv = (x.sum(1, keepdim=True) for x in (du * du, dv * dv, du * dv))
    angle = torch.atan2(2 * uv, uu - vv) / 2
    return Edges((uu + vv).sqrt(), torch.cat([angle.cos(), angle.sin()], dim=1))


def _sobel(
    values: Float[Tensor, "b c h w"],
) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b c h w"]]:
    """Derivatives along u and v, per pixel."""
    padded = F.pad(values, (1, 1, 1, 1), mode="replicate")
    along_v = padded[..., :-2, :] + 2 * padded[..., 1:-1, :] + padded[..., 2:, :]
    along_u = padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]
    return (
        (along_v[..., 2:] - along_v[..., :-2]) / 8,
        (along_u[..., 2:, :] - along_u[..., :-2, :]) / 8,
    )


@torch.no_grad()
def shrink(mask: Bool[Tensor, "b 1 h w"], radius: int = 1) -> Bool[Tensor, "b 1 h w"]:
    """True where the whole window around a pixel is True; the outside of the image counts as True.

    Args:
        mask: What to shrink.
        radius: The window has 2 * radius + 1 pixels a side.
    """
    inside = mask
    for dim in (-2, -1):
        before, inside = inside, inside.clone()
        for step in range(1, min(radius, mask.shape[dim] - 1) + 1):
            length = mask.shape[dim] - step
            inside.narrow(dim, step, length).logical_and_(before.narrow(dim, 0, length))
            inside.narrow(dim, 0, length).logical_and_(before.narrow(dim, step, length))
    return inside


@torch.no_grad()
def away_from_depth_edges(depth: Float[Tensor, "b 1 h w"]) -> Bool[Tensor, "b 1 h w"]:
    """True where depth is known two pixels around and does not jump one pixel around.

    A jump is a derivative of at least a tenth of the largest in the *same* image, and of four times
    the median: without the second, a room without jumps would consist of them. Normals across a
    jump compare two objects, not two faces of one.

    Args:
        depth: Depth in any unit; 0 or less where unknown.
    """
    known = shrink(depth > 0, 2)
    slope = find_edges(depth).strength
    inside = torch.where(known, slope, torch.full_like(slope, torch.nan))
    usual = inside.flatten(1).nanmedian(1).values[:, None, None, None]
    return known & shrink(~(strong(slope, known) & (slope >= JUMP * usual)))


def strong(
    strength: Float[Tensor, "b 1 h w"], allowed: Bool[Tensor, "b 1 h w"]
) -> Bool[Tensor, "b 1 h w"]:
    """True for the allowed pixels with at least a tenth of the strength of the strongest of them.

    Each image has its own strongest edge. A map that changes nowhere has none.
    """
    inside = torch.where(allowed, strength, torch.zeros_like(strength))
    return (inside > 0) & (inside >= STRONG * inside.amax((1, 2, 3), keepdim=True))


@torch.no_grad()
def pairs_across(
    edges: Edges,
    allowed: Bool[Tensor, "b 1 h w"],
    count: int,
    *,
    generator: torch.Generator | None,
) -> Pairs:
    """Three pairs for each of about `count` / 3 anchors on strong edges of each image.

    Four points lie on the line through the anchor across the edge, two on either side, 3 to 19
    pixels away: (a, b) and (c, d) stay on one side, (b, c) crosses. Pairs with an end outside the
    image are not used. Edge-guided sampling of Xian et al., CVPR 2020
    (https://doi.org/10.1109/CVPR42600.2020.00069).

    Args:
        edges: Edges to sit on.
        allowed: Where an anchor may lie.
        count: Pairs of an image.
        generator: Source of the draws; None takes torch's own.
    """
    height, width = allowed.shape[-2:]
    sits = strong(edges.strength, allowed & _inner(allowed))
    anchor = draw_pixels(sits, max(1, count // PAIRS_OF_AN_ANCHOR), generator=generator)
    size = (len(anchor), 4, anchor.shape[1])
    chance = uniform_per_image(size, generator=generator, device=anchor.device)
    distance = NEAREST + (chance * (FARTHEST - NEAREST + 1)).floor()
    distance[:, :2] *= -1
    cos, sin = read(edges.across, anchor).split(1, dim=1)
    u = (anchor % width)[:, None] + (distance * cos).round().long()
    v = (anchor // width)[:, None] + (distance * sin).round().long()
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height) & read(sits, anchor)
    pixel = v.clamp(0, height - 1) * width + u.clamp(0, width - 1)
    both = inside[:, :-1] & inside[:, 1:]
    return Pairs(*(x.flatten(1) for x in (pixel[:, :-1], pixel[:, 1:], both)))


def _inner(mask: Bool[Tensor, "b 1 h w"]) -> Bool[Tensor, "b 1 h w"]:
    """True except along the border of the image."""
    inner = torch.zeros_like(mask)
    inner[..., BORDER:-BORDER, BORDER:-BORDER] = True
    return inner
