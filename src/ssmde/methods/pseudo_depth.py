"""What a network learns from pseudo-depth: shape and order of another network's depth, fading."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ssmde.config import PseudoDepthConfig
from ssmde.losses.alignment import least_squares_to_depth
from ssmde.losses.distillation import log_depth_difference
from ssmde.losses.normals import edge_relative_normal, facing, normal_matching
from ssmde.losses.ranking import confident_depth_ranking, random_pair_ranking
from ssmde.methods.schedule import forgetting_factor
from ssmde.methods.self_supervised import Learnt
from ssmde.types import Batch

RELIABLE = 0.8  # 1 - depth inconsistency from which the network's own depth may fit the label
STATIC = 0.5  # of a weight; at least this counts as static where a yes or no is needed
LEAST_SHARE = 0.1  # a fitted label below this share of its image's median depth is left out


def pseudo_depth_terms(
    config: PseudoDepthConfig,
    batch: Batch,
    learnt: Learnt,
    progress: float,
    *,
    static: Float[Tensor, "b 1 h w"] | None = None,
) -> dict[str, Float[Tensor, ""]]:
    """Weighted terms by name: normals, ranking, relative normals and depth, times the factor.

    Sun et al., TPAMI 2023 (https://arxiv.org/abs/2211.03660) have the first three, over the whole
    image and with a constant weight. In SS-MDE the labels refine static areas and are forgotten.

    Args:
        config: Weights and switches.
        batch: Frames with `pseudo_depth`.
        learnt: What the views say.
        progress: Where the training stands, from 0 to 1.
        static: Weight of static areas for `region: static`; by default the reliability.

    Raises:
        ValueError: If terms are asked for and the batch has no labels.
    """
    if not config.wanted:
        return {}
    if batch.pseudo_depth is None:
        raise ValueError(
            f"pseudo_depth has weights above 0, but the scene of {batch.names[:1]} has no labels; "
            "`ssmde label` makes them"
        )
    factor = forgetting_factor(progress, config.forgetting)
    with torch.autocast(batch.target.device.type, enabled=False):
        where = torch.ones_like(learnt.depth)
        if config.region == "static":
            where = learnt.reliability if static is None else static
        terms = _terms(config, batch, learnt, where)
    return {name: factor * term for name, term in terms.items()}


def blend_with_label(
    prior: Float[Tensor, "b 1 h w"],
    label: Float[Tensor, "b 1 h w"],
    trusted: Bool[Tensor, "b 1 h w"],
    factor: float,
) -> Float[Tensor, "b 1 h w"]:
    """The depth label^g prior^(1 - g), with the label fitted to the prior; g is the factor.

    The other reading of the forgetting factor: the label itself is forgotten, not its weight. Where
    there is no label, or it cannot be fitted, it is the prior.

    Args:
        prior: Depth of the teacher; positive.
        label: Pseudo-depth with unknown scale and shift; 0 or less where unknown.
        trusted: Pixels at which it is fitted.
        factor: In [0, 1].
    """
    fit = least_squares_to_depth(label, prior, trusted)
    middle = prior.flatten(1).median(1).values[:, None, None, None]
    usable = fit.fitted[:, None, None, None] & (fit.depth > LEAST_SHARE * middle)
    mixed = torch.where(usable, fit.depth, prior) ** factor * prior ** (1 - factor)
    return torch.where(usable, mixed, prior)


def _terms(
    config: PseudoDepthConfig, batch: Batch, learnt: Learnt, where: Float[Tensor, "b 1 h w"]
) -> dict[str, Tensor]:
    """The terms, each times its weight."""
    depth, stored = learnt.depth, batch.pseudo_depth
    assert stored is not None
    fits = torch.ones_like(stored[:, :, :1, :1], dtype=torch.bool)
    aligned = stored  # as it is, or fitted by the loader
    if config.align == "least_squares_to_depth" or (config.align == "none" and config.depth > 0):
        reliable = learnt.visible & (learnt.reliability > RELIABLE)
        aligned, fitted = least_squares_to_depth(stored, depth.detach(), reliable)
        fits = fitted[:, None, None, None]
    label = stored
    if config.align == "least_squares_to_depth":
        label = torch.where(fits, aligned, torch.zeros_like(aligned))
    known = label > 0
    terms: dict[str, Tensor] = {}
    wanted = max(config.normals, config.edge_normals) > 0
    both = facing(depth, label, batch.intrinsics) if wanted else None
    if config.normals > 0:
        terms["pseudo_normals"] = config.normals * normal_matching(
            depth, label, batch.intrinsics, where, known_normals=both
        )
    if config.ranking > 0 and config.region == "static":
        terms["pseudo_ranking"] = config.ranking * random_pair_ranking(
            depth, label, known & (where >= STATIC), generator=None
        )
    elif config.ranking > 0:
        terms["pseudo_ranking"] = config.ranking * confident_depth_ranking(
            depth, label, learnt.reliability, known, generator=None
        )
    if config.edge_normals > 0:
        terms["pseudo_edge_normals"] = config.edge_normals * edge_relative_normal(
            depth, label, batch.target, batch.intrinsics,
            valid=known & (where >= STATIC), generator=None, known_normals=both,
        )  # fmt: skip
    if config.depth > 0:
        middle = depth.detach().flatten(1).median(1).values[:, None, None, None]
        sure = fits & (aligned > LEAST_SHARE * middle)
        terms["pseudo_depth"] = config.depth * log_depth_difference(depth, aligned, where * sure)
    return terms
