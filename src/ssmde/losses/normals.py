"""Surfaces should face where those of the pseudo-depth do.

Normals do not see the unknown scale of a pseudo-depth, but they do see its unknown shift. Pixels
where a pseudo-depth is 0 or less are unknown and are left out, with their neighbours.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ssmde.geometry.camera import normals
from ssmde.losses.masks import weighted_mean
from ssmde.losses.pairs import (
    Pairs,
    away_from_depth_edges,
    find_edges,
    gather_pixels,
    gray,
    join_pairs,
    keep_inside,
    pair_mean,
    pairs_across,
    share_of_pixels,
    shrink,
)

MOST_PAIRS = 20_000  # bound on the pairs of a large image
SHARE_OF_PAIRS = 0.2  # pairs of a small image, as a share of its pixels


class Facing(NamedTuple):
    """Where the surfaces face, as `normals` says it."""

    found: Float[Tensor, "b 3 h w"]
    """Of the prediction, with a gradient."""
    label: Float[Tensor, "b 3 h w"]
    """Of the pseudo-depth."""


def facing(
    depth: Float[Tensor, "b 1 h w"],
    pseudo_depth: Float[Tensor, "b 1 h w"],
    intrinsics: Float[Tensor, "b 3 3"],
) -> Facing:
    """Normals of a prediction and of its label, for terms that share them.

    Args:
        depth: Predicted depth, positive, in any unit.
        pseudo_depth: Depth of another network, in any unit; 0 or less where unknown.
        intrinsics: Pinhole matrix for this image size, in pixels.
    """
    return Facing(normals(depth, intrinsics), normals(pseudo_depth.detach(), intrinsics))


def normal_matching(
    depth: Float[Tensor, "b 1 h w"],
    pseudo_depth: Float[Tensor, "b 1 h w"],
    intrinsics: Float[Tensor, "b 3 3"],
    weight: Float[Tensor, "b 1 h w"] | None = None,
    *,
    known_normals: Facing | None = None,
) -> Float[Tensor, ""]:
    """Weighted mean of |n(D) - n(P)|_1 / 3, in [0, 1.16); 0 for surfaces that face the same way.

    Sun et al., TPAMI 2023 (https://arxiv.org/abs/2211.03660), with a weight for each pixel. It
    pulls on every normal, but not on the depth where two surfaces meet.

    Args:
        depth: Predicted depth, positive, in any unit.
        pseudo_depth: Depth of another network, in any unit; 0 or less where unknown.
        intrinsics: Pinhole matrix for this image size, in pixels.
        weight: Weight of each pixel, in [0, 1]; None counts all.
        known_normals: Of these two depths, where they are known; None computes them.
    """
    found, label = known_normals or facing(depth, pseudo_depth, intrinsics)
    difference = (found - label).abs().mean(1, keepdim=True)
    known = shrink(pseudo_depth > 0).to(depth.dtype)  # a normal reads 3 x 3 pixels
    return weighted_mean(difference, known if weight is None else known * weight)


def edge_relative_normal(
    depth: Float[Tensor, "b 1 h w"],
    pseudo_depth: Float[Tensor, "b 1 h w"],
    image: Float[Tensor, "b 3 h w"],
    intrinsics: Float[Tensor, "b 3 3"],
    *,
    valid: Bool[Tensor, "b 1 h w"] | None = None,
    generator: torch.Generator | None,
    most_pairs: int = MOST_PAIRS,
    known_normals: Facing | None = None,
) -> Float[Tensor, ""]:
    """Mean of | |n_A . n_B| - |m_A . m_B| | over pairs across edges, in [0, 1].

    n are the normals of the prediction, m those of the pseudo-depth. Half of the pairs lie across
    grey-level edges of the image, half across edges of m; none sits on a jump of the pseudo-depth.
    Sun et al., TPAMI 2023 (https://arxiv.org/abs/2211.03660).

    Args:
        depth: Predicted depth, positive, in any unit.
        pseudo_depth: Depth of another network, in any unit; 0 or less where unknown.
        image: RGB in [0, 1].
        intrinsics: Pinhole matrix for this image size, in pixels.
        valid: Both ends of a pair and its anchor lie in here; None allows all pixels.
        generator: Source of the draws; None takes torch's own.
        most_pairs: Bound on the pairs of an image; a fifth of its pixels is the other.
        known_normals: Of these two depths, where they are known; None computes them.
    """
    pseudo_depth = pseudo_depth.detach()
    prediction, label = known_normals or facing(depth, pseudo_depth, intrinsics)
    known, anchors = shrink(pseudo_depth > 0), away_from_depth_edges(pseudo_depth)
    if valid is not None:
        known, anchors = known & valid, anchors & valid
    half = min(most_pairs, share_of_pixels(image, SHARE_OF_PAIRS)) // 2
    groups = [
        pairs_across(find_edges(values), anchors, half, generator=generator)
        for values in (gray(image), label)
    ]
    pairs = keep_inside(join_pairs(*groups), known)
    found, wanted = (pair_cosine(n, pairs).abs() for n in (prediction, label))
    return pair_mean((found - wanted).abs(), pairs.used)


def pair_cosine(normal: Float[Tensor, "b 3 h w"], pairs: Pairs) -> Float[Tensor, "b n"]:
    """Cosine of the angle between the normals at both ends, in [-1, 1]."""
    return (gather_pixels(normal, pairs.first) * gather_pixels(normal, pairs.second)).sum(1)
