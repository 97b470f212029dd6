"""Of two pixels, the one that a label puts farther away should be farther away.

Only the order is learnt, so labels may have any scale. A shift of the labels moves their ratios:
far pairs, small ratios. A depth of 0 or less in a label is unknown.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from ssmde.losses.pairs import (
    Pairs,
    gather_pixels,
    join_pairs,
    keep_inside,
    pair_mean,
    sample_pairs,
    share_of_pixels,
)

MARGIN = 1.15  # smallest ratio of two depths that counts as an order; SC-DepthV3
UNRELIABLE_SHARE = 0.2  # share of an image that is looked at as moving; SC-DepthV3
RANDOM_SHARE = 0.1  # random pairs, as a share of the pixels; SC-DepthV3


def order(
    labels_depth: Float[Tensor, "b 1 h w"], pairs: Pairs, *, margin: float = MARGIN
) -> Float[Tensor, "b n"]:
    """1 where the first end is farther by more than `margin`, -1 where nearer, else 0.

    Pairs that are not used, or have an end without a label, are 0 too.

    Raises:
        ValueError: If `margin` is below 1: a pair would be ordered both ways.
    """
    if margin < 1:
        raise ValueError(f"margin is a ratio of depths and must be at least 1, got {margin}")
    labels = labels_depth.detach()
    pairs = keep_inside(pairs, labels > 0)
    first, second = (gather_pixels(labels, end)[:, 0] for end in (pairs.first, pairs.second))
    farther, nearer = first > margin * second, second > margin * first
    return (farther.to(labels) - nearer.to(labels)) * pairs.used


def ranking(
    depth: Float[Tensor, "b 1 h w"],
    labels_depth: Float[Tensor, "b 1 h w"],
    pairs: Pairs,
    *,
    margin: float = MARGIN,
) -> Float[Tensor, ""]:
    """Mean of softplus(-l (D_A - D_B)) over the ordered pairs; positive, 0 without such a pair.

    l is 1 where the label puts A farther than B by more than `margin`, -1 where nearer; other
    pairs do not count (Chen et al., NeurIPS 2016, https://arxiv.org/abs/1604.03901).

    Args:
        depth: Predicted depth, in the unit of the scene: the unit decides how soon a pair is
            content.
        labels_depth: Depth that gives the order, in any unit; 0 or less where unknown.
        pairs: Which pixels to compare.
        margin: Smallest ratio of two labels that is an order, at least 1.

    Raises:
        ValueError: If `margin` is below 1.
    """
    label = order(labels_depth, pairs, margin=margin)
    difference = gather_pixels(depth, pairs.first)[:, 0] - gather_pixels(depth, pairs.second)[:, 0]
    return pair_mean(F.softplus(-label * difference), label != 0)


def confident_depth_ranking(
    depth: Float[Tensor, "b 1 h w"],
    pseudo_depth: Float[Tensor, "b 1 h w"],
    reliability: Float[Tensor, "b 1 h w"],
    valid: Bool[Tensor, "b 1 h w"],
    *,
    generator: torch.Generator | None,
    share: float = UNRELIABLE_SHARE,
    margin: float = MARGIN,
) -> Float[Tensor, ""]:
    """Ranking of the least reliable pixels against the others, and of random pairs.

    The pixels of each image with the lowest reliability are mostly those that move; each gets a
    partner anywhere in the rest. Random pairs keep the whole image in order. Sun et al., TPAMI
    2023 (https://arxiv.org/abs/2211.03660).

    Args:
        depth: Predicted depth, in the unit of the scene.
        pseudo_depth: Depth that gives the order, in any unit; 0 or less where unknown.
        reliability: How well the views agree, high where they do, like `weight_mask`.
        valid: Both ends of a pair lie in here.
        generator: Source of the draws; None takes torch's own.
        share: Share of the valid pixels that is least reliable, in (0, 1).
        margin: Smallest ratio of two labels that is an order, at least 1.

    Raises:
        ValueError: If `share` is not in (0, 1), or `margin` below 1.
    """
    unreliable = least_reliable(reliability, valid, share)
    count, at_random = (share_of_pixels(depth, s) for s in (share, RANDOM_SHARE))
    pairs = join_pairs(
        sample_pairs(unreliable, valid & ~unreliable, count, generator=generator),
        sample_pairs(valid, valid, at_random, generator=generator),
    )
    return ranking(depth, pseudo_depth, pairs, margin=margin)


@torch.no_grad()
def least_reliable(
    reliability: Float[Tensor, "b 1 h w"], valid: Bool[Tensor, "b 1 h w"], share: float
) -> Bool[Tensor, "b 1 h w"]:
    """True for at most a share of the valid pixels of each image: those with the lowest values.

    Pixels equal to the first one that is spared are spared: where all are equal, none is worse.

    Args:
        reliability: High where a pixel is reliable.
        valid: Pixels to choose from.
        share: In (0, 1).

    Raises:
        ValueError: If `share` is not in (0, 1).
    """
    if not 0 < share < 1:
        raise ValueError(f"share must lie between 0 and 1, got {share}")
    values = torch.where(valid, reliability, torch.full_like(reliability, torch.inf)).flatten(1)
    spared = (share * valid.flatten(1).sum(1, keepdim=True)).long()
    # At most the share of all pixels: the rest need not be sorted.
    lowest = values.topk(int(share * values.shape[1]) + 1, dim=1, largest=False).values
    limit = lowest.gather(1, spared)
    return (values < limit).view_as(valid)


def random_pair_ranking(
    depth: Float[Tensor, "b 1 h w"],
    pseudo_depth: Float[Tensor, "b 1 h w"],
    valid: Bool[Tensor, "b 1 h w"],
    *,
    generator: torch.Generator | None,
    share: float = RANDOM_SHARE,
    margin: float = MARGIN,
) -> Float[Tensor, ""]:
    """Ranking of random pairs with both ends valid; see `ranking`.

    Args:
        depth: Predicted depth, in the unit of the scene.
        pseudo_depth: Depth that gives the order, in any unit; 0 or less where unknown.
        valid: Both ends of a pair lie in here: the static area, for labels of static areas.
        generator: Source of the draws; None takes torch's own.
        share: Pairs of an image, as a share of its pixels.
        margin: Smallest ratio of two labels that is an order, at least 1.
    """
    count = share_of_pixels(depth, share)
    pairs = sample_pairs(valid, valid, count, generator=generator)
    return ranking(depth, pseudo_depth, pairs, margin=margin)
