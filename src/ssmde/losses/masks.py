"""Which pixels count, and the mean over them.

A mask is bool, a weight is a float in [0, 1]; neither carries a gradient.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

MIN_VALID_SHARE = 0.01  # an image with fewer valid pixels counts for less, not for as much


def masked_mean(
    values: Float[Tensor, "b 1 h w"], mask: Bool[Tensor, "b 1 h w"]
) -> Float[Tensor, ""]:
    """Mean of `values` over the valid pixels of each image, then over the images.

    The loss of a batch is the mean of the losses of its images, so it is the same for one process
    or many. Fewer than 1 % valid pixels are divided by 1 % of the image; none at all gives 0 with
    a gradient of 0.
    """
    inside = torch.where(mask, values, torch.zeros_like(values))  # 0 * inf would be NaN
    valid = mask.sum((1, 2, 3)).to(values.dtype)
    fewest = max(1.0, MIN_VALID_SHARE * values[0].numel())
    return (inside.sum((1, 2, 3)) / valid.clamp(min=fewest)).mean()


def auto_mask(
    error: Float[Tensor, "b 1 h w"], identity_error: Float[Tensor, "b 1 h w"]
) -> Bool[Tensor, "b 1 h w"]:
    """True where the warped source explains the target better than the unmoved one.

    False on pixels that stand still in the image: a camera at rest, or an object that moves with
    it (Godard et al., ICCV 2019, https://arxiv.org/abs/1806.01260).
    """
    return error < identity_error


def weight_mask(inconsistency: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
    """1 - depth inconsistency, in (0, 1], detached: low on movers, occlusions, wrong depth.

    The self-discovered mask of Bian et al., NeurIPS 2019 (https://arxiv.org/abs/1908.10553).
    """
    return (1 - inconsistency).detach()


class BestView(NamedTuple):
    """Per pixel of the target, the source that rebuilds it best."""

    error: Float[Tensor, "b 1 h w"]
    """Smallest error over the sources that see the pixel."""
    chosen: Bool[Tensor, "b s h w"]
    """True for that source."""
    visible: Bool[Tensor, "b 1 h w"]
    """True where at least one source sees the pixel."""


def minimum_reprojection(
    errors: Float[Tensor, "b s h w"], visible: Bool[Tensor, "b s h w"]
) -> BestView:
    """Choose, per pixel of the target, the source with the smallest error.

    All maps lie on the target's own pixel grid. A pixel hidden in one source is usually seen by
    the other (Godard et al., ICCV 2019, https://arxiv.org/abs/1806.01260).

    Args:
        errors: Error of the target rebuilt from each source.
        visible: True where that source sees the pixel.
    """
    hidden = torch.full_like(errors, torch.finfo(errors.dtype).max)
    error, best = torch.where(visible, errors, hidden).min(1, keepdim=True)
    any_visible = visible.any(1, keepdim=True)
    chosen = torch.zeros_like(visible).scatter(1, best, True) & any_visible
    return BestView(torch.where(any_visible, error, torch.zeros_like(error)), chosen, any_visible)


def weighted_mean(
    values: Float[Tensor, "b 1 h w"], weight: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, ""]:
    """Mean of `values` by weight over each image, then over the images.

    The soft form of `masked_mean`: weights that sum to less than 1 % of the pixels are divided by
    1 % of the image; none at all gives 0 with a gradient of 0. Values without weight are never
    looked at.
    """
    weight = weight.detach()
    inside = torch.where(weight > 0, values, torch.zeros_like(values)) * weight
    fewest = max(1.0, MIN_VALID_SHARE * values[0].numel())
    return (inside.sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp(min=fewest)).mean()


def multi_scale_slope(
    residual: Float[Tensor, "b 1 h w"],
    weight: Float[Tensor, "b 1 h w"],
    *,
    scales: int = 4,
    step: int = 1,
) -> Float[Tensor, ""]:
    """Sum over the scales of the mean |dx R| + |dy R|; at least 0, and 0 for a constant R.

    Scale k takes every 2^k-th pixel. A difference weighs what the lighter of its two ends does.
    The multi-scale gradient term of Li and Snavely, CVPR 2018 (https://arxiv.org/abs/1804.00607).

    Args:
        residual: What should change nowhere: the difference of two maps.
        weight: Weight of each pixel.
        scales: How many scales; at least 1.
        step: Distance of the two ends, in pixels of the scale.

    Raises:
        ValueError: If `scales` is below 1.
    """
    if scales < 1:
        raise ValueError(f"scales must be at least 1, got {scales}")
    terms: list[Tensor] = []
    for k in range(scales):
        r, w = (x[..., :: 2**k, :: 2**k] for x in (residual, weight))
        for size, dim in ((r.shape[2], 2), (r.shape[3], 3)):
            length = max(0, size - step)
            ends = [min(step, size), 0]
            (r_far, r_near), (w_far, w_near) = (
                [x.narrow(dim, start, length) for start in ends] for x in (r, w)
            )
            terms.append(weighted_mean((r_far - r_near).abs(), torch.minimum(w_far, w_near)))
    return torch.stack(terms).sum()
