"""Training terms of a network whose depth has no scale and no shift, from true depth.

LeReS of Yin et al., CVPR 2021 (https://arxiv.org/abs/2012.09365). The prediction is held against
the normalized truth, so truth of many sources, in any unit, can be mixed.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from ssmde.losses.masks import masked_mean, weighted_mean
from ssmde.losses.pairs import (
    at_both_ends,
    gray,
    half_of_edge_pairs,
    join_pairs,
    keep_inside,
    order,
    pair_mean,
    pairs_across,
    sample_pairs,
)

TRIMMED = 0.1  # share of the depths of an image left out at either end; LeReS
TANH_SCALE = 0.01  # LeReS
SLOPE_STEP = 2  # pixels between the ends of a slope; LeReS
SAME_DEPTH = 1.03  # depths within this ratio should be equal; Xian et al., CVPR 2020
FLAT = 1e-6  # a depth that varies by less than this share of its mean is a constant


@torch.no_grad()
def normalize_depth(
    depth: Float[Tensor, "b 1 h w"], valid: Bool[Tensor, "b 1 h w"]
) -> Float[Tensor, "b 1 h w"]:
    """(D - mean) / deviation for each image, both without the tenth at either end; no gradient.

    A constant depth becomes 0. Values outside `valid` mean nothing.
    """
    values = torch.where(valid, depth, torch.full_like(depth, torch.inf)).flatten(1)
    values = values.sort(dim=1).values
    count = valid.flatten(1).sum(1, keepdim=True)
    cut = (TRIMMED * count).long()
    rank = torch.arange(values.shape[1], device=depth.device)
    middle = (rank >= cut) & (rank < count - cut)
    kept = middle.sum(1, keepdim=True).clamp(min=1)
    mean = torch.where(middle, values, 0).sum(1, keepdim=True) / kept
    deviation = (torch.where(middle, values - mean, 0).square().sum(1, keepdim=True) / kept).sqrt()
    centered = depth - mean[..., None, None]
    flat = (deviation <= FLAT * mean.abs())[..., None, None]
    safe = torch.where(flat, 1, deviation[..., None, None])
    return torch.where(flat, torch.zeros_like(centered), centered / safe)


def normalized_regression(
    prediction: Float[Tensor, "b 1 h w"],
    depth: Float[Tensor, "b 1 h w"],
    valid: Bool[Tensor, "b 1 h w"],
) -> Float[Tensor, ""]:
    """Mean of |p - g| + |tanh(p / 100) - tanh(g / 100)| with g the normalized depth; at least 0.

    See `normalize_depth`. The truth of each image is moved and scaled by its own middle, which
    outliers do not reach; the second part bounds what a far outlier can cost.

    Args:
        prediction: Depth up to scale and shift, in no unit; may be negative.
        depth: True depth, in any unit.
        valid: Pixels with truth.
    """
    truth = normalize_depth(depth, valid)
    squashed = (TANH_SCALE * prediction).tanh() - (TANH_SCALE * truth).tanh()
    return masked_mean((prediction - truth).abs() + squashed.abs(), valid)


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


def multi_scale_gradient(
    prediction: Float[Tensor, "b 1 h w"],
    depth: Float[Tensor, "b 1 h w"],
    valid: Bool[Tensor, "b 1 h w"],
    scales: int = 4,
) -> Float[Tensor, ""]:
    """Slopes of p - g over two pixels, summed over scales; 0 where only a shift is left.

    g is the normalized depth; see `multi_scale_slope`.

    Args:
        prediction: Depth up to scale and shift, in no unit.
        depth: True depth, in any unit.
        valid: Pixels with truth; a slope needs both ends.
        scales: How many scales, each half the size of the one before.
    """
    residual = prediction - normalize_depth(depth, valid)
    return multi_scale_slope(residual, valid.to(residual), scales=scales, step=SLOPE_STEP)


def structure_guided_ranking(
    prediction: Float[Tensor, "b 1 h w"],
    depth: Float[Tensor, "b 1 h w"],
    image: Float[Tensor, "b 3 h w"],
    valid: Bool[Tensor, "b 1 h w"],
) -> Float[Tensor, ""]:
    """Mean over pairs of softplus(-l (p_A - p_B)), or (p_A - p_B)^2 where the truth is equal.

    Half of the pairs lie across edges of the image, half anywhere. Depths within 3 % of each other
    are equal (Xian et al., CVPR 2020, https://doi.org/10.1109/CVPR42600.2020.00069).

    Args:
        prediction: Depth up to scale and shift, in no unit.
        depth: True depth; positive where valid.
        image: RGB in [0, 1].
        valid: Pixels with truth; both ends of a pair lie in here.
    """
    valid = valid & (depth > 0)
    across = pairs_across(gray(image), valid, half_of_edge_pairs(image))
    anywhere = sample_pairs(valid, valid, across.used.shape[1])
    pairs = keep_inside(join_pairs(across, anywhere), valid)
    label = order(depth, pairs, margin=SAME_DEPTH)
    first, second = at_both_ends(prediction, pairs)
    difference = first - second
    ordered = F.softplus(-label * difference)
    return pair_mean(torch.where(label == 0, difference.square(), ordered), pairs.used)
