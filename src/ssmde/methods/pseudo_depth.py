"""What a network learns from pseudo-depth: shape and order of another network's depth, fading."""

import torch
from jaxtyping import Float
from torch import Tensor

from ssmde.config import Forgetting, PseudoDepthConfig
from ssmde.losses.alignment import least_squares_to_depth, log_depth_difference
from ssmde.losses.pairs import (
    both_normals,
    confident_depth_ranking,
    edge_relative_normal,
    normal_matching,
    random_pair_ranking,
)
from ssmde.methods.self_supervised import SelfSupervisedOutput
from ssmde.types import Batch

RELIABLE = 0.8  # 1 - depth inconsistency from which the network's own depth may fit the label
STATIC = 0.5  # of a weight; at least this counts as static where a yes or no is needed
LEAST_SHARE = 0.1  # a fitted label below this share of its image's median depth is left out
FORGOTTEN = 0.05  # what is left of the weight of the labels at the end


def forgetting_factor(progress: float, form: Forgetting) -> float:
    """Weight of pseudo-depth over the training, in [0, 1]: 1, or 0.05^progress.

    The paper names a forgetting factor that lessens the dependency on pseudo-depth and gives no
    formula. In adaptive filters the word means an exponential; that the paper means it is an
    inference.

    Args:
        progress: Where the training stands; values outside [0, 1] count as the nearer end.
        form: `constant` or `exponential`.
    """
    return FORGOTTEN ** min(1.0, max(0.0, progress)) if form == "exponential" else 1.0


def pseudo_depth_terms(
    config: PseudoDepthConfig,
    batch: Batch,
    views: SelfSupervisedOutput,
    *,
    static: Float[Tensor, "b 1 h w"] | None = None,
) -> dict[str, Float[Tensor, ""]]:
    """Weighted terms by name: normals, ranking, relative normals and depth.

    Sun et al., TPAMI 2023 (https://arxiv.org/abs/2211.03660) have the first three, over the whole
    image. In SS-MDE the labels refine static areas and are forgotten.

    Args:
        config: Weights.
        batch: Frames with `pseudo_depth`.
        views: What the views teach.
        static: Weight of each pixel, where the terms act on static areas alone.

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
    with torch.autocast(batch.target.device.type, enabled=False):
        return _terms(config, batch, views, static, batch.pseudo_depth)


def _terms(
    config: PseudoDepthConfig,
    batch: Batch,
    views: SelfSupervisedOutput,
    static: Float[Tensor, "b 1 h w"] | None,
    label: Float[Tensor, "b 1 h w"],
) -> dict[str, Tensor]:
    """The terms, each times its weight."""
    depth, known = views.depth, label > 0
    where = torch.ones_like(depth) if static is None else static
    terms: dict[str, Tensor] = {}
    if config.structure > 0:
        both = both_normals(depth, label, batch.intrinsics)
        terms["pseudo_normals"] = normal_matching(
            depth, label, batch.intrinsics, where, known_normals=both
        )
        if static is None:
            terms["pseudo_ranking"] = confident_depth_ranking(
                depth, label, views.reliability, known
            )
        else:
            terms["pseudo_ranking"] = random_pair_ranking(depth, label, known & (where >= STATIC))
        terms["pseudo_edge_normals"] = edge_relative_normal(
            depth, label, batch.target, batch.intrinsics,
            valid=known & (where >= STATIC), known_normals=both,
        )  # fmt: skip
        terms = {name: config.structure * term for name, term in terms.items()}
    if config.depth > 0:
        terms["pseudo_depth"] = config.depth * _depth_term(batch, views, where, label)
    return terms


def _depth_term(
    batch: Batch,
    views: SelfSupervisedOutput,
    where: Float[Tensor, "b 1 h w"],
    label: Float[Tensor, "b 1 h w"],
) -> Tensor:
    """Difference of log depth to the label in the unit of the network.

    With known motion the loader has brought the label to the unit of the poses. Else its scale and
    shift follow from the network's own depth where the views agree on it.
    """
    depth = views.depth
    fits = torch.ones_like(label[:, :, :1, :1], dtype=torch.bool)
    if batch.T_src_tgt is None:
        reliable = views.visible & (views.reliability > RELIABLE)
        label, fitted = least_squares_to_depth(label, depth.detach(), reliable)
        fits = fitted[:, None, None, None]
    middle = depth.detach().flatten(1).median(1).values[:, None, None, None]
    sure = fits & (label > LEAST_SHARE * middle)
    return log_depth_difference(depth, label, where * sure)
