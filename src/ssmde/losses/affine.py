"""Training terms of a network whose depth has no scale and no shift, from true depth.

LeReS of Yin et al., CVPR 2021 (https://arxiv.org/abs/2012.09365). The prediction is held against
the normalized truth, so truth of many sources, in any unit, can be mixed.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ssmde.losses import pairs as p
from ssmde.losses.masks import masked_mean, weighted_mean
from ssmde.types import RGB, Map, Mask, Scalar

TRIMMED = 0.1  # share of the depths of an image left out at either end; LeReS
TANH_SCALE = 0.01  # LeReS
SCALES = 4  # of the slopes, each half the size of the one before
SAME_DEPTH = 1.03  # depths within this ratio should be equal; Xian et al., CVPR 2020
FLAT = 1e-6  # a depth that varies by less than this share of its mean is a constant


@torch.no_grad()
def normalize_depth(depth: Map, valid: Mask) -> Map:
    """(D - mean) / deviation for each image, both without the tenth at either end; no gradient.

    A constant depth becomes 0. Values outside `valid` mean nothing.
    """
    # What is not valid sorts behind all depths.
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


def normalized_regression(prediction: Map, truth: Map, valid: Mask) -> Scalar:
    """Mean of |p - g| + |tanh(p / 100) - tanh(g / 100)| with g the normalized depth; at least 0.

    The truth of each image is moved and scaled by its own middle (`normalize_depth`), which
    outliers do not reach; the second part bounds what a far outlier can cost.
    """
    squashed = (TANH_SCALE * prediction).tanh() - (TANH_SCALE * truth).tanh()
    return masked_mean((prediction - truth).abs() + squashed.abs(), valid)


def multi_scale_slope(residual: Map, weight: Map, *, step: int, scales: int = SCALES) -> Scalar:
    """Sum over the scales of the mean |dx R| + |dy R|; at least 0, and 0 for a constant R.

    R, the difference of two maps, should change nowhere. Scale k takes every 2^k-th pixel; `step`
    is the distance of the two ends in such pixels. A difference weighs what the lighter of its two
    ends does. The multi-scale gradient term of Li and Snavely, CVPR 2018
    (https://arxiv.org/abs/1804.00607).
    """
    terms: list[Tensor] = []
    for k in range(scales):
        r, w = (x[..., :: 2**k, :: 2**k] for x in (residual, weight))
        for size, dim in ((r.shape[2], 2), (r.shape[3], 3)):
            length = max(0, size - step)  # an image too small for a step has no slope
            ends = [min(step, size), 0]
            (r_far, r_near), (w_far, w_near) = (
                [x.narrow(dim, start, length) for start in ends] for x in (r, w)
            )
            terms.append(weighted_mean((r_far - r_near).abs(), torch.minimum(w_far, w_near)))
    return torch.stack(terms).sum()


def structure_guided_ranking(prediction: Map, depth: Map, image: RGB, valid: Mask) -> Scalar:
    """Mean over pairs of softplus(-l (p_A - p_B)), or (p_A - p_B)^2 where the truth is equal.

    Half of the pairs lie across edges of the image, half anywhere. Depths within 3 % of each other
    are equal (Xian et al., CVPR 2020, https://doi.org/10.1109/CVPR42600.2020.00069). The
    prediction is a depth up to scale and shift, the truth is positive where valid; both ends of a
    pair are.
    """
    valid = valid & (depth > 0)
    across = p.pairs_across(p.gray(image), valid, p.half_of_edge_pairs(image))
    anywhere = p.sample_pairs(valid, valid, across.used.shape[1])
    pairs = p.keep_inside(p.join_pairs(across, anywhere), valid)
    label = p.order(depth, pairs, margin=SAME_DEPTH)
    first, second = p.at_both_ends(prediction, pairs)
    difference = first - second
    ordered = F.softplus(-label * difference)
    return p.pair_mean(torch.where(label == 0, difference.square(), ordered), pairs.used)
