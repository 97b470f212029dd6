"""Random pixels and pairs of pixels, drawn for each image by itself.

A pixel is its place in the flattened image, row * width + column. Draws come from the generator
that is given, never from one made here; it may live on another device than the images.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ssmde.losses.masks import masked_mean
from ssmde.losses.processes import uniform_per_image

MAX_SAMPLES = 2**16  # values a quantile is taken of; more cost time and tell nothing new


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


def read(values: Tensor, pixels: Int[Tensor, "b n"]) -> Tensor:
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
    return Pairs(a, b, read(first, a)[:, 0] & read(second, b)[:, 0])


def join_pairs(*groups: Pairs) -> Pairs:
    """All pairs of several groups, image by image."""
    return Pairs(*(torch.cat(parts, dim=1) for parts in zip(*groups, strict=True)))


def keep_inside(pairs: Pairs, mask: Bool[Tensor, "b 1 h w"]) -> Pairs:
    """The pairs, of which only those with *both* ends inside `mask` are still used."""
    both = read(mask, pairs.first)[:, 0] & read(mask, pairs.second)[:, 0]
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
