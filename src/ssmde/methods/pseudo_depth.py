"""What a network learns from pseudo-depth: shape and order of another network's depth, fading."""

import torch
from torch import Tensor

from ssmde.config import Forgetting, PseudoDepthConfig
from ssmde.geometry.camera import normals
from ssmde.losses.alignment import least_squares_to_depth, log_depth_difference
from ssmde.losses.pairs import (
    confident_depth_ranking,
    edge_relative_normal,
    known_normals,
    normal_matching,
    random_pair_ranking,
)
from ssmde.methods.self_supervised import SelfSupervisedOutput
from ssmde.types import Batch, Map, Scalar

RELIABLE = 0.8  # 1 - depth inconsistency from which the network's own depth may fit the label
STATIC = 0.5  # of a weight; at least this counts as static where a yes or no is needed
LEAST_SHARE = 0.1  # a fitted label below this share of its image's median depth is left out
FORGOTTEN = 0.05  # what is left of the weight of the labels at the end


def forgetting_factor(progress: float, form: Forgetting) -> float:
    """Weight of pseudo-depth over the training, in [0, 1]: 1, or 0.05^progress.

    The paper names a forgetting factor that lessens the dependency on pseudo-depth and gives no
    formula. In adaptive filters the word means an exponential; that the paper means it is an
    inference. A `progress` outside [0, 1] counts as the nearer end.
    """
    return FORGOTTEN ** min(1.0, max(0.0, progress)) if form == "exponential" else 1.0


def pseudo_depth_terms(
    config: PseudoDepthConfig,
    batch: Batch,
    views: SelfSupervisedOutput,
    *,
    static: Map | None = None,
) -> dict[str, Scalar]:
    """Weighted terms by name: normals, ranking, relative normals and depth.

    Sun et al., TPAMI 2023 (https://arxiv.org/abs/2211.03660) have the first three, over the whole
    image. In SS-MDE the labels refine static areas and are forgotten.

    Args:
        config: Weights.
        batch: Frames with `pseudo_depth`; a ValueError if terms are asked for and it has none.
        views: What the views teach.
        static: Weight of each pixel, where the terms act on static areas alone.
    """
    if not config.wanted:
        return {}
    label = batch.pseudo_depth
    if label is None:
        raise ValueError(
            f"pseudo_depth has weights above 0, but the scene of {batch.names[:1]} has no labels; "
            "`ssmde label` makes them"
        )
    terms: dict[str, Scalar] = {}
    with torch.autocast(batch.target.device.type, enabled=False):
        depth, known = views.depth, label > 0
        where = torch.ones_like(depth) if static is None else static
        if config.structure > 0:
            sure = known & (where >= STATIC)
            found, wanted = (normals(d, batch.intrinsics) for d in (depth, label))
            structure = {
                "pseudo_normals": normal_matching(found, wanted, known_normals(label) * where),
                "pseudo_ranking": random_pair_ranking(depth, label, sure)
                if static is not None  # reliability is in the weight already
                else confident_depth_ranking(depth, label, views.reliability, known),
                "pseudo_edge_normals": edge_relative_normal(
                    found, wanted, label, batch.target, sure
                ),
            }
            terms |= {name: config.structure * term for name, term in structure.items()}
        if config.depth > 0:
            terms["pseudo_depth"] = config.depth * _depth_term(batch, views, where, label)
    return terms


def _depth_term(batch: Batch, views: SelfSupervisedOutput, where: Map, label: Map) -> Tensor:
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
