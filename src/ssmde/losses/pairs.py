"""Random pixels and pairs of pixels, drawn for each image by itself, and pairs across an edge.

A pixel is its place in the flattened image, row * width + column. Draws come from the generator
that is given, never from one made here; it may live on another device than the images. Several
processes of one training draw and measure what a single one would: a process holds a run of images
of the batch, in order of rank. Nothing here but `gather_pixels` carries a gradient.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ssmde.losses.masks import masked_mean

MAX_SAMPLES = 2**16  # values a quantile is taken of; more cost time and tell nothing new
GRAY = (0.299, 0.587, 0.114)  # luma of ITU-R BT.601
STRONG = 0.1  # share of an image's strongest edge; Xian et al., CVPR 2020
BORDER = 5  # pixels along the image border that are no anchors; SC-DepthV3
NEAREST, FARTHEST = 3, 19  # distance of a point from its anchor, in pixels; SC-DepthV3
JUMP = 4.0  # times the median slope of an image; a slanted surface stays below
PAIRS_OF_AN_ANCHOR = 3


class Place(NamedTuple):
    """Where this process stands among the others."""

    rank: int
    """From 0."""
    world: int
    """Number of processes."""


def place() -> Place:
    """Rank and number of processes; 0 of 1 where nothing is distributed."""
    if dist.is_available() and dist.is_initialized():
        return Place(dist.get_rank(), dist.get_world_size())
    return Place(0, 1)


def all_gather_batch(values: Float[Tensor, "b *shape"]) -> Float[Tensor, "world_b *shape"]:
    """The values of all processes, image after image, without a gradient; all must call it.

    Args:
        values: Of the images of this process; all processes have as many.
    """
    world = place().world
    if world == 1:
        return values
    parts = [torch.empty_like(values, memory_format=torch.contiguous_format) for _ in range(world)]
    dist.all_gather(parts, values.detach().contiguous())
    return torch.cat(parts)


def uniform_per_image(
    size: Sequence[int], *, generator: torch.Generator | None, device: torch.device
) -> Float[Tensor, "..."]:
    """Numbers in [0, 1) for each image, the same whether its batch is in one process or in many.

    Each process draws for the whole batch and keeps its part, so torch's own generators, which
    start alike, stay alike. With a generator it draws for its own images alone.

    Args:
        size: Number of images in this process, then what each of them needs.
        generator: Source of the draws, may live on another device; None takes torch's own.
        device: Where the numbers are wanted.
    """
    images, *rest = size
    rank, world = place() if generator is None else Place(0, 1)
    drawn_on = device if generator is None else generator.device
    drawn = torch.rand((world * images, *rest), generator=generator, device=drawn_on)
    return drawn[rank * images : (rank + 1) * images].to(device)


class Pairs(NamedTuple):
    """Pairs of pixels of each image."""

    first: Int[Tensor, "b n"]
    """Place of one end."""
    second: Int[Tensor, "b n"]
    """Place of the other end."""
    used: Bool[Tensor, "b n"]
    """False for pairs that do not count; their ends are still places inside the image."""


def uniform(
    size: Sequence[int], *, generator: torch.Generator | None, device: torch.device
) -> Float[Tensor, "..."]:
    """Numbers in [0, 1), drawn on the generator's device and brought to `device`."""
    drawn_on = device if generator is None else generator.device
    return torch.rand(tuple(size), generator=generator, device=drawn_on).to(device)


def draw_pixels(
    mask: Bool[Tensor, "b 1 h w"], count: int, *, generator: torch.Generator | None
) -> Int[Tensor, "b n"]:
    """`count` pixels of each image, uniform over those where `mask` is True, with replacement.

    An image with no such pixel gives places where `mask` is False. Nothing waits for the device.
    """
    so_far = mask.flatten(1).cumsum(1)
    chance = uniform_per_image((len(mask), count), generator=generator, device=mask.device)
    rank = (chance * so_far[:, -1:]).long()
    place = torch.searchsorted(so_far, rank, right=True)  # first pixel with more than `rank` so far
    return place.clamp(max=so_far.shape[1] - 1)


def gather_pixels(values: Tensor, pixels: Int[Tensor, "b n"]) -> Tensor:
    """Values (b, c, h, w) of any type at the given pixels, as (b, c, n); passes gradients on."""
    at = pixels[:, None].expand(-1, values.shape[1], -1)
    return values.flatten(2).gather(2, at)


def sample_pairs(
    first: Bool[Tensor, "b 1 h w"],
    second: Bool[Tensor, "b 1 h w"],
    count: int,
    *,
    generator: torch.Generator | None,
) -> Pairs:
    """`count` pairs of each image, both ends drawn independently over the whole of their mask.

    Every image has its own pairs, and they lie in all directions. Where one of the masks of an
    image is empty, none of its pairs is used.

    Args:
        first: Where the first end may lie.
        second: Where the second end may lie.
        count: Pairs of an image, at least 1.
        generator: Source of the draws; None takes torch's own.
    """
    a = draw_pixels(first, count, generator=generator)
    b = draw_pixels(second, count, generator=generator)
    return Pairs(a, b, gather_pixels(first, a)[:, 0] & gather_pixels(second, b)[:, 0])


def join_pairs(*groups: Pairs) -> Pairs:
    """All pairs of several groups, image by image."""
    return Pairs(*(torch.cat(parts, dim=1) for parts in zip(*groups, strict=True)))


def keep_inside(pairs: Pairs, mask: Bool[Tensor, "b 1 h w"]) -> Pairs:
    """The pairs, of which only those with *both* ends inside `mask` are still used."""
    both = gather_pixels(mask, pairs.first)[:, 0] & gather_pixels(mask, pairs.second)[:, 0]
    return pairs._replace(used=pairs.used & both)


def pair_mean(values: Float[Tensor, "b n"], used: Bool[Tensor, "b n"]) -> Float[Tensor, ""]:
    """Mean over the used pairs of each image, then over the images; see `masked_mean`."""
    return masked_mean(values[:, None, None], used[:, None, None])


def share_of_pixels(image: Tensor, share: float) -> int:
    """How many pairs make up a share of the pixels of an image; at least 1."""
    return max(1, int(share * image.shape[-2] * image.shape[-1]))


def thin(values: Tensor, limit: float | int) -> Tensor:
    """Every k-th row and column of maps (..., h, w), k the smallest that leaves `limit` values."""
    step = math.ceil(math.sqrt(values.numel() / limit))
    return values[..., ::step, ::step]


class Edges(NamedTuple):
    """Edges of a map."""

    strength: Float[Tensor, "b 1 h w"]
    """Length of the derivative over all channels, per pixel; at least 0."""
    across: Float[Tensor, "b 2 h w"]
    """Unit vector (u, v) along which the map changes most; v and -v mean the same."""


def gray(image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
    """Luma of an RGB image, in the range of the image."""
    weights = torch.tensor(GRAY, dtype=image.dtype, device=image.device)
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
    cos, sin = gather_pixels(edges.across, anchor).split(1, dim=1)
    u = (anchor % width)[:, None] + (distance * cos).round().long()
    v = (anchor // width)[:, None] + (distance * sin).round().long()
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height) & gather_pixels(sits, anchor)
    pixel = v.clamp(0, height - 1) * width + u.clamp(0, width - 1)
    both = inside[:, :-1] & inside[:, 1:]
    return Pairs(*(x.flatten(1) for x in (pixel[:, :-1], pixel[:, 1:], both)))


def _inner(mask: Bool[Tensor, "b 1 h w"]) -> Bool[Tensor, "b 1 h w"]:
    """True except along the border of the image."""
    inner = torch.zeros_like(mask)
    inner[..., BORDER:-BORDER, BORDER:-BORDER] = True
    return inner
