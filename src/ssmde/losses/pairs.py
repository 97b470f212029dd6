"""Terms over pairs of pixels: which of two is farther, and how two surfaces meet.

A depth learns from a pseudo-depth (0 or less: unknown) only what the unknown scale of the latter
leaves. A pixel is its place in the flattened image, row * width + column; each image has pairs of
its own, drawn from torch's own generator. Nothing but `gather_pixels` carries a gradient.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ssmde.geometry.camera import sobel
from ssmde.geometry.ground import erode
from ssmde.losses.masks import masked_mean, uniform_per_image, weighted_mean
from ssmde.types import RGB, Map, Mask, Scalar

MARGIN = 1.15  # smallest ratio of two depths that counts as an order; SC-DepthV3
UNRELIABLE_SHARE = 0.2  # share of an image that is looked at as moving; SC-DepthV3
RANDOM_SHARE = 0.1  # random pairs, as a share of the pixels; SC-DepthV3
EDGE_SHARE, MOST_PAIRS = 0.2, 20_000  # pairs across edges: share of the pixels, and their bound
GRAY = (0.299, 0.587, 0.114)  # luma of ITU-R BT.601
STRONG = 0.1  # share of an image's strongest edge; Xian et al., CVPR 2020
BORDER = 5  # pixels along the image border that are no anchors; SC-DepthV3
NEAREST, FARTHEST = 3, 19  # distance of a point from its anchor, in pixels; SC-DepthV3
JUMP = 4.0  # times the median slope of an image; a slanted surface stays below
PAIRS_OF_AN_ANCHOR = 3

Normals = Float[Tensor, "b 3 h w"]  # unit vectors


class Pairs(NamedTuple):
    """Pairs of pixels of each image."""

    first: Int[Tensor, "b n"]  # place of one end
    second: Int[Tensor, "b n"]  # place of the other end
    used: Bool[Tensor, "b n"]  # False for pairs that do not count; their ends are places, too


def draw_pixels(mask: Mask, count: int) -> Int[Tensor, "b n"]:
    """`count` pixels of each image, uniform over those where `mask` is True, with replacement.

    An image with no such pixel gives places where `mask` is False.
    """
    so_far = mask.flatten(1).cumsum(1)
    chance = uniform_per_image((len(mask), count), device=mask.device)
    rank = (chance * so_far[:, -1:]).long()
    place = torch.searchsorted(so_far, rank, right=True)  # first pixel with more than `rank` so far
    return place.clamp(max=so_far.shape[1] - 1)


def gather_pixels(values: Tensor, pixels: Int[Tensor, "b n"]) -> Tensor:
    """Values (b, c, h, w) of any type at the given pixels, as (b, c, n); passes gradients on."""
    at = pixels[:, None].expand(-1, values.shape[1], -1)
    return values.flatten(2).gather(2, at)


def at_both_ends(values: Tensor, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """Values of a map or mask (b, 1, h, w) at the first and at the second ends, each (b, n)."""
    return gather_pixels(values, pairs.first)[:, 0], gather_pixels(values, pairs.second)[:, 0]


def sample_pairs(first: Mask, second: Mask, count: int) -> Pairs:
    """`count` pairs of each image, both ends drawn over their mask; not used where one is empty."""
    a, b = draw_pixels(first, count), draw_pixels(second, count)
    return Pairs(a, b, gather_pixels(first, a)[:, 0] & gather_pixels(second, b)[:, 0])


def join_pairs(*groups: Pairs) -> Pairs:
    """All pairs of several groups."""
    return Pairs(*(torch.cat(parts, dim=1) for parts in zip(*groups, strict=True)))


def keep_inside(pairs: Pairs, mask: Mask) -> Pairs:
    """The pairs, of which only those with *both* ends inside `mask` are still used."""
    first, second = at_both_ends(mask, pairs)
    return pairs._replace(used=pairs.used & first & second)


def pair_mean(values: Float[Tensor, "b n"], used: Bool[Tensor, "b n"]) -> Scalar:
    """Mean over the used pairs of each image, then over the images; see `masked_mean`."""
    return masked_mean(values[:, None, None], used[:, None, None])


def share_of_pixels(image: Tensor, share: float) -> int:
    """How many pairs make up a share of the pixels of an image; at least 1."""
    return max(1, int(share * image.shape[-2] * image.shape[-1]))


def half_of_edge_pairs(image: Tensor) -> int:
    """A tenth of the pixels of an image, at most 10,000: one of two groups of pairs."""
    return min(MOST_PAIRS, share_of_pixels(image, EDGE_SHARE)) // 2


def gray(image: RGB) -> Map:
    """Luma of an RGB image, in the range of the image."""
    return (image * image.new_tensor(GRAY)[:, None, None]).sum(1, keepdim=True)


@torch.no_grad()
def find_edges(values: Float[Tensor, "b c h w"]) -> tuple[Map, Float[Tensor, "b 2 h w"]]:
    """Length of the derivative over all channels, and the unit vector (u, v) of most change.

    The latter, up to its sign, is the main axis of sum_c g_c g_c^T, so that channels of opposite
    sign do not cancel.
    """
    du, dv = sobel(values)
    uu, vv, uv = (x.sum(1, keepdim=True) for x in (du * du, dv * dv, du * dv))
    angle = torch.atan2(2 * uv, uu - vv) / 2
    return (uu + vv).sqrt(), torch.cat([angle.cos(), angle.sin()], dim=1)


def strong(strength: Map, allowed: Mask) -> Mask:
    """True for the allowed pixels with a tenth of the strength of the strongest in their image."""
    inside = torch.where(allowed, strength, torch.zeros_like(strength))
    return (inside > 0) & (inside >= STRONG * inside.amax((1, 2, 3), keepdim=True))


@torch.no_grad()
def away_from_depth_edges(depth: Map) -> Mask:
    """True where depth is known two pixels around and does not jump one pixel around.

    A jump is a derivative of at least a tenth of the largest in the *same* image, and of four times
    the median: without the second, a room without jumps would consist of them. Normals across a
    jump compare two objects, not two faces of one.
    """
    known, (slope, _) = erode(depth > 0, 5), find_edges(depth)
    inside = torch.where(known, slope, torch.full_like(slope, torch.nan))
    usual = inside.flatten(1).nanmedian(1).values[:, None, None, None]
    return known & erode(~(strong(slope, known) & (slope >= JUMP * usual)), 3)


@torch.no_grad()
def pairs_across(values: Float[Tensor, "b c h w"], allowed: Mask, count: int) -> Pairs:
    """Three pairs for each of about `count` / 3 anchors on strong edges of a map.

    Four points lie on the line through the anchor across the edge, two on either side, 3 to 19
    pixels away: (a, b) and (c, d) stay on one side, (b, c) crosses. Anchors lie where allowed,
    pairs with an end outside the image are not used. Edge-guided sampling of Xian et al., CVPR
    2020 (https://doi.org/10.1109/CVPR42600.2020.00069).
    """
    height, width = allowed.shape[-2:]
    strength, across = find_edges(values)
    inner = torch.zeros_like(allowed)
    inner[..., BORDER:-BORDER, BORDER:-BORDER] = True
    sits = strong(strength, allowed & inner)
    anchor = draw_pixels(sits, max(1, count // PAIRS_OF_AN_ANCHOR))
    chance = uniform_per_image((len(anchor), 4, anchor.shape[1]), device=anchor.device)
    distance = NEAREST + (chance * (FARTHEST - NEAREST + 1)).floor()
    distance[:, :2] *= -1  # a and b on one side of the edge, c and d on the other
    cos, sin = gather_pixels(across, anchor).split(1, dim=1)
    u = (anchor % width)[:, None] + (distance * cos).round().long()
    v = (anchor // width)[:, None] + (distance * sin).round().long()
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height) & gather_pixels(sits, anchor)
    pixel = v.clamp(0, height - 1) * width + u.clamp(0, width - 1)
    both = inside[:, :-1] & inside[:, 1:]
    return Pairs(*(x.flatten(1) for x in (pixel[:, :-1], pixel[:, 1:], both)))


def order(labels_depth: Map, pairs: Pairs, *, margin: float = MARGIN) -> Float[Tensor, "b n"]:
    """1 where the first end is farther by more than `margin`, -1 where nearer, else 0.

    Pairs that are not used, or have an end without a label, are 0 too. The margin is a ratio.
    """
    pairs = keep_inside(pairs, labels_depth > 0)
    first, second = at_both_ends(labels_depth.detach(), pairs)
    farther, nearer = first > margin * second, second > margin * first
    return (farther.to(first) - nearer.to(first)) * pairs.used


def ranking(depth: Map, labels_depth: Map, pairs: Pairs) -> Scalar:
    """Mean of softplus(-l (D_A - D_B)) over the ordered pairs; positive, 0 without such a pair.

    l is the `order` of the labels; other pairs do not count (Chen et al., NeurIPS 2016,
    https://arxiv.org/abs/1604.03901). The unit of the predicted depth decides how soon a pair is
    content, that of the labels does not matter.
    """
    label = order(labels_depth, pairs)
    first, second = at_both_ends(depth, pairs)
    return pair_mean(F.softplus(-label * (first - second)), label != 0)


def random_pair_ranking(depth: Map, pseudo_depth: Map, valid: Mask) -> Scalar:
    """Ranking of random pairs, as many as a tenth of the pixels, with both ends valid."""
    pairs = sample_pairs(valid, valid, share_of_pixels(depth, RANDOM_SHARE))
    return ranking(depth, pseudo_depth, pairs)


def confident_depth_ranking(depth: Map, pseudo_depth: Map, reliability: Map, valid: Mask) -> Scalar:
    """Ranking of the least reliable pixels against the others, and of random pairs.

    The fifth of each image with the lowest reliability (how well the views agree, like
    `weight_mask`) is mostly what moves; each of its pixels gets a partner in the rest. Both
    ends of a pair are valid. Sun et al., TPAMI 2023 (https://arxiv.org/abs/2211.03660).
    """
    unreliable = least_reliable(reliability, valid, UNRELIABLE_SHARE)
    count, at_random = (share_of_pixels(depth, s) for s in (UNRELIABLE_SHARE, RANDOM_SHARE))
    against_rest = sample_pairs(unreliable, valid & ~unreliable, count)
    pairs = join_pairs(against_rest, sample_pairs(valid, valid, at_random))
    return ranking(depth, pseudo_depth, pairs)


@torch.no_grad()
def least_reliable(reliability: Map, valid: Mask, share: float) -> Mask:
    """True for at most a share, in (0, 1), of the valid pixels of each image: the lowest ones.

    Pixels equal to the first one that is spared are spared: where all are equal, none is worse.
    """
    values = torch.where(valid, reliability, torch.full_like(reliability, torch.inf)).flatten(1)
    spared = (share * valid.flatten(1).sum(1, keepdim=True)).long()
    # At most the share of all pixels: the rest need not be sorted.
    lowest = values.topk(int(share * values.shape[1]) + 1, dim=1, largest=False).values
    return (values < lowest.gather(1, spared)).view_as(valid)


def normal_matching(found: Normals, label: Normals, weight: Map) -> Scalar:
    """Weighted mean of |n - m|_1 / 3, in [0, 1.16); 0 for surfaces that face the same way.

    n are the normals of the prediction, m those of the pseudo-depth (Sun et al., TPAMI 2023,
    https://arxiv.org/abs/2211.03660).
    """
    return weighted_mean((found - label.detach()).abs().mean(1, keepdim=True), weight)


def edge_relative_normal(
    found: Normals, label: Normals, pseudo_depth: Map, image: RGB, valid: Mask
) -> Scalar:
    """Mean of | |n_A . n_B| - |m_A . m_B| | over pairs across edges, in [0, 1].

    n are the normals of the prediction, m those of the pseudo-depth. Half of the pairs lie across
    gray-level edges of the image, half across edges of m; none sits on a jump of the pseudo-depth
    that m belongs to (0 where unknown). Both ends of a pair and its anchor are valid. Sun et al.,
    TPAMI 2023 (https://arxiv.org/abs/2211.03660).
    """
    label = label.detach()
    anchors = away_from_depth_edges(pseudo_depth) & valid
    half = half_of_edge_pairs(image)
    groups = [pairs_across(values, anchors, half) for values in (gray(image), label)]
    pairs = keep_inside(join_pairs(*groups), known_normals(pseudo_depth) & valid)
    cosines, wanted = (
        (gather_pixels(n, pairs.first) * gather_pixels(n, pairs.second)).sum(1).abs()
        for n in (found, label)
    )
    return pair_mean((cosines - wanted).abs(), pairs.used)


def known_normals(pseudo_depth: Map) -> Mask:
    """True where a pseudo-depth has a normal: it is known at all 3 x 3 pixels that this reads."""
    return erode(pseudo_depth > 0, 3)
