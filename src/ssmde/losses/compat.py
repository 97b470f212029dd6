"""Three terms with the quirks of the released SC-DepthV3, for comparison only.

Chosen by `compat: sc_depth_pl`; see `normals.py` and `ranking.py` for the terms to train with.
Written from a description of what that code computes (Sun et al., TPAMI 2023,
https://arxiv.org/abs/2211.03660), with its defects kept. They wait for the device, since the
number of pairs depends on the images.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ssmde.geometry.surface import normals
from ssmde.losses.sampling import uniform

MARGIN = 1.15
UNRELIABLE_SHARE, RANDOM_SHARE = 0.2, 0.1
NO_DEPTH = 1e-8
STRONG, BORDER = 0.1, 5
NEAREST, FARTHEST = 3, 19


def released_normal_matching(
    depth: Float[Tensor, "b 1 h w"],
    pseudo_depth: Float[Tensor, "b 1 h w"],
    intrinsics: Float[Tensor, "b 3 3"],
) -> Float[Tensor, ""]:
    """Mean of |n(D) - n(P)| over all pixels, images and coordinates.

    Quirks: pixels without pseudo-depth count, with a normal of 0; no pixel can be left out.
    """
    return (normals(depth, intrinsics) - normals(pseudo_depth, intrinsics)).abs().mean()


def released_ranking(
    depth: Float[Tensor, "b 1 h w"],
    pseudo_depth: Float[Tensor, "b 1 h w"],
    reliability: Float[Tensor, "b 1 h w"],
    *,
    generator: torch.Generator | None,
) -> Float[Tensor, ""]:
    """Mean of log(1 + exp(-l (D_A - D_B))) over the ordered pairs of the batch.

    Quirks:
    - log(1 + exp(x)) is infinite in float32 for a gap above 88, and its gradient NaN.
    - No ordered pair gives 0 / 0, NaN.
    - The lowest fifth of the reliability is unreliable, also where all are equal.
    - Random pairs match two masks in raster order: both ends lie near the same row.
    - All images share one mask and one permutation of it.
    - A random pair is dropped only if *both* ends have no depth.
    - The margin itself is an order for the unreliable pixel in front, not for the others.
    - Pairs are averaged over the batch, so an image with more of them counts more.

    Args:
        depth: Predicted depth.
        pseudo_depth: Depth that gives the order, in any unit.
        reliability: High where the views agree.
        generator: Source of the draws; None takes torch's own.
    """
    found, labels = depth.flatten(1), pseudo_depth.flatten(1)
    groups = [_unreliable_pairs(r, generator) for r in reliability.flatten(1)]
    own_a, own_b = (torch.stack(ends) for ends in zip(*groups, strict=True))
    label = _label(labels.gather(1, own_a), labels.gather(1, own_b), inclusive=True).flatten()
    gap = (found.gather(1, own_a) - found.gather(1, own_b)).flatten()

    a, b = _raster_pairs(depth, generator)
    kept = ~((labels[:, a] <= NO_DEPTH) & (labels[:, b] <= NO_DEPTH))
    label = torch.cat([label, _label(labels[:, a], labels[:, b], inclusive=False)[kept]])
    gap = torch.cat([gap, (found[:, a] - found[:, b])[kept]])
    ordered = label != 0
    return (1 + (-label * gap)[ordered].exp()).log().mean()


def _unreliable_pairs(
    reliability: Float[Tensor, "n"], generator: torch.Generator | None
) -> tuple[Int[Tensor, "k"], Int[Tensor, "k"]]:
    """Every unreliable pixel of one image with a random reliable one."""
    ranked = reliability.argsort()
    unreliable, reliable = ranked.tensor_split([int(UNRELIABLE_SHARE * len(ranked))])
    chance = uniform((len(unreliable),), generator=generator, device=ranked.device)
    return unreliable, reliable[(chance * len(reliable)).long()]


def _raster_pairs(
    depth: Tensor, generator: torch.Generator | None
) -> tuple[Int[Tensor, "k"], Int[Tensor, "k"]]:
    """Pixels of a random mask and of a permutation of it, the k-th of both together."""
    size = (depth[0].numel(),)
    mask = uniform(size, generator=generator, device=depth.device) < RANDOM_SHARE
    permutation = uniform(size, generator=generator, device=depth.device).argsort()
    return mask.nonzero()[:, 0], mask[permutation].nonzero()[:, 0]


def _label(a: Tensor, b: Tensor, *, inclusive: bool) -> Tensor:
    """1 where a is farther, -1 where b is, else 0; a ratio of 0 / 0 is no order."""
    ratio, inverse = a / b, b / a
    farther = ratio >= MARGIN if inclusive else ratio > MARGIN
    return torch.where(farther, 1, torch.where(inverse > MARGIN, -1, 0)).to(a)


def released_edge_relative_normal(
    depth: Float[Tensor, "b 1 h w"],
    pseudo_depth: Float[Tensor, "b 1 h w"],
    image: Float[Tensor, "b 3 h w"],
    intrinsics: Float[Tensor, "b 3 3"],
    *,
    generator: torch.Generator | None,
) -> Float[Tensor, ""]:
    """Mean of | |n_A . n_B| - |m_A . m_B| | over pairs at edges, float64.

    Quirks:
    - Edges of the image are those of its red channel.
    - A jump of the pseudo-depth is a tenth of the largest of the *batch*: one image with a large
      jump uncovers the jumps of the others.
    - An image without any edge is all edge.
    - Points lie along (|cos|, |sin|): for half of the directions along the edge, not across.
    - Points outside the image are moved to its border; no pixel counts as invalid.
    - As many samples as edge pixels, without bound, in float64.
    - All pairs of the batch are averaged, so an image with more edges counts more.

    Args:
        depth: Predicted depth.
        pseudo_depth: Depth of another network.
        image: RGB.
        intrinsics: Pinhole matrix for this image size, in pixels.
        generator: Source of the draws; None takes torch's own.
    """
    label, found = normals(pseudo_depth, intrinsics), normals(depth, intrinsics)
    jump_u, jump_v = _released_sobel(pseudo_depth)
    jump = (jump_u**2 + jump_v**2).sqrt()
    jump = F.max_pool2d((jump >= STRONG * jump.max()).float(), 3, 1, 1) > 0
    errors: list[Tensor] = []
    for values in (image[:, :1], label):
        du, dv = _released_sobel(values)
        strength = (du**2 + dv**2).sqrt()
        strength = F.pad(strength[..., BORDER:-BORDER, BORDER:-BORDER], (BORDER,) * 4)
        strength = strength.masked_fill(jump, 0)
        sits = strength >= STRONG * strength.amax((2, 3), keepdim=True)
        for i in range(len(depth)):
            angle = torch.atan2(dv[i, 0], du[i, 0])
            v, u = _points(sits[i, 0], angle, generator)
            n, m = found[i, :, v, u].double(), label[i, :, v, u].double()
            errors.append((_neighbour_cosine(n) - _neighbour_cosine(m)).abs().flatten())
    return torch.cat(errors).mean().to(depth.dtype)


def _neighbour_cosine(normal: Float[Tensor, "3 4 n"]) -> Float[Tensor, "3 n"]:
    """|cos| between (a, b), (b, c) and (c, d)."""
    return (normal[:, :-1] * normal[:, 1:]).sum(0).abs()


def _released_sobel(
    values: Float[Tensor, "b c h w"],
) -> tuple[Float[Tensor, "b 1 h w"], Float[Tensor, "b 1 h w"]]:
    """Mean over the channels of the absolute derivatives along u and v."""
    smooth = torch.tensor([1.0, 2.0, 1.0], dtype=values.dtype, device=values.device)
    across = torch.tensor([-1.0, 0.0, 1.0], dtype=values.dtype, device=values.device)
    kernel = smooth[:, None] * across / 8
    padded = F.pad(values, (1, 1, 1, 1), mode="replicate").flatten(0, 1)[:, None]
    du, dv = F.conv2d(padded, torch.stack([kernel, kernel.T])[:, None]).abs().split(1, dim=1)
    du, dv = (x.unflatten(0, values.shape[:2]).mean(1) for x in (du, dv))
    return du, dv


def _points(
    sits: Bool[Tensor, "h w"], angle: Float[Tensor, "h w"], generator: torch.Generator | None
) -> tuple[Int[Tensor, "4 n"], Int[Tensor, "4 n"]]:
    """Rows and columns of four points for as many random anchors as there are edge pixels."""
    height, width = sits.shape
    edge = sits.nonzero()
    chance = uniform((5, len(edge)), generator=generator, device=sits.device).double()
    v, u = edge[(chance[4] * len(edge)).long()].unbind(1)
    distance = NEAREST + (chance[:4] * (FARTHEST - NEAREST + 1)).floor()
    distance[:2] *= -1
    theta = angle[v, u].double()
    u = u + (distance * theta.cos().abs()).round().long()
    v = v + (distance * theta.sin().abs()).round().long()
    return v.clamp(0, height - 1), u.clamp(0, width - 1)
