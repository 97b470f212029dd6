"""Which pixels count, and the mean over them, for one process or many.

A mask is bool, a weight a float in [0, 1]; neither carries a gradient. Several processes draw and
measure what a single one would: each holds a run of images of the batch, in order of rank.
"""

import math
from collections.abc import Sequence

import torch
import torch.distributed as dist
from jaxtyping import Bool, Float
from torch import Tensor

from ssmde.types import Map, Mask, Scalar

MAX_SAMPLES = 2**16  # values a quantile is taken of; more cost time and tell nothing new
MIN_VALID_SHARE = 0.01  # an image with fewer valid pixels counts for less, not for as much


def weighted_mean(values: Map, weight: Map) -> Scalar:
    """Mean of `values` by weight over each image, then over the images.

    The loss of a batch is the mean of the losses of its images, so it is the same for one process
    or many. Weights that sum to less than 1 % of the pixels are divided by 1 % of the image; none
    at all gives 0 with a gradient of 0. Values without weight are never looked at.
    """
    weight = weight.detach()
    inside = torch.where(weight > 0, values, torch.zeros_like(values)) * weight  # 0 * inf is NaN
    fewest = max(1.0, MIN_VALID_SHARE * values[0].numel())
    return (inside.sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp(min=fewest)).mean()


def masked_mean(values: Map, mask: Mask) -> Scalar:
    """Mean of `values` over the valid pixels of each image, then over the images (the same)."""
    return weighted_mean(values, mask.to(values.dtype))


def auto_mask(error: Map, identity_error: Map) -> Mask:
    """True where the warped source explains the target better than the unmoved one.

    False on pixels that stand still in the image: a camera at rest, or an object that moves with
    it (Godard et al., ICCV 2019, https://arxiv.org/abs/1806.01260).
    """
    return error < identity_error


def weight_mask(inconsistency: Map) -> Map:
    """1 - depth inconsistency, in (0, 1], detached: low on movers, occlusions, wrong depth.

    The self-discovered mask of Bian et al., NeurIPS 2019 (https://arxiv.org/abs/1908.10553).
    """
    return (1 - inconsistency).detach()


def minimum_reprojection(
    errors: Float[Tensor, "b s h w"], visible: Bool[Tensor, "b s h w"]
) -> tuple[Map, Bool[Tensor, "b s h w"], Mask]:
    """The smallest error over the sources that see a pixel, which one it is, and if one sees it.

    All maps lie on the target's own pixel grid. A pixel hidden in one source is usually seen by
    the other (Godard et al., ICCV 2019, https://arxiv.org/abs/1806.01260).
    """
    hidden = torch.full_like(errors, torch.finfo(errors.dtype).max)
    error, best = torch.where(visible, errors, hidden).min(1, keepdim=True)
    any_visible = visible.any(1, keepdim=True)
    chosen = torch.zeros_like(visible).scatter(1, best, True) & any_visible
    return torch.where(any_visible, error, torch.zeros_like(error)), chosen, any_visible


def thin(values: Tensor, limit: float | int) -> Tensor:
    """Every k-th row and column of maps (..., h, w), k the smallest that leaves `limit` values."""
    step = math.ceil(math.sqrt(values.numel() / limit))
    return values[..., ::step, ::step]


def rank_and_world() -> tuple[int, int]:
    """Rank of this process, from 0, and number of processes; 0 of 1 where it is alone."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def all_gather_batch(values: Float[Tensor, "b *shape"]) -> Float[Tensor, "world_b *shape"]:
    """The values of all processes, image after image, without a gradient; all must call it.

    All processes have as many images.
    """
    _, world = rank_and_world()
    if world == 1:
        return values
    parts = [torch.empty_like(values, memory_format=torch.contiguous_format) for _ in range(world)]
    dist.all_gather(parts, values.detach().contiguous())
    return torch.cat(parts)


def uniform_per_image(size: Sequence[int], *, device: torch.device) -> Float[Tensor, "..."]:
    """Numbers in [0, 1) for each image, the same whether its batch is in one process or in many.

    Each process draws for the whole batch and keeps its part, so that torch's own generators, which
    start alike, stay alike. `size` is the number of images in this process, then what each needs.
    """
    images, *rest = size
    rank, world = rank_and_world()
    drawn = torch.rand((world * images, *rest), device=device)
    return drawn[rank * images : (rank + 1) * images]
