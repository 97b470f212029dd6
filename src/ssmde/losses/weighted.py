"""Means of a map, and of its slopes, where every pixel has a weight.

A weight is a float in [0, 1] and carries no gradient.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from ssmde.losses.masks import MIN_VALID_SHARE


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
