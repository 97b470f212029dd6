"""A pseudo-depth network of one's own: depth up to scale and shift, from recordings with depth.

The terms are those LeReS is trained with (Yin et al., CVPR 2021, https://arxiv.org/abs/2012.09365).
The network is the depth network of all methods here, which says a positive depth: its prediction is
normalized image by image where LeReS's is free. Labels of such a network may be used under the
terms of the recordings it saw.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ssmde.config import AffineConfig
from ssmde.data.augment import apply_color
from ssmde.losses.affine import (
    multi_scale_gradient,
    multi_scale_slope,
    normalized_regression,
    structure_guided_ranking,
)
from ssmde.losses.masks import masked_mean
from ssmde.models.depth_net import DepthNet
from ssmde.types import Batch, StepOutput

GRADIENT = 0.5  # weight of the slopes beside the others; LeReS
SLOPE_SIZES = 4  # each half of the one before
TINY = 1e-12  # the slope of a root at 0 is infinite: an image without any valid pixel
LEAST_SPREAD = 1e-3  # of a prediction, as a share of its mean, before it is divided by


class AffineDepth(nn.Module):
    """A depth network trained on measured depth, the batch's `gt_depth`."""

    def __init__(self, depth_net: DepthNet, weights: AffineConfig) -> None:
        super().__init__()
        self.depth_net, self.weights = depth_net, weights

    def forward(self, batch: Batch, progress: float) -> StepOutput:
        """Compute the loss of one batch; `progress` changes nothing.

        Raises:
            ValueError: If the batch has no measured depth.
        """
        truth = batch.gt_depth
        if truth is None:
            raise ValueError(f"frames {batch.names[:1]} have no measured depth to learn from")
        image = batch.target
        seen = image if batch.color is None else apply_color(image, batch.color)
        depth = self.depth_net(seen)
        with torch.autocast(image.device.type, enabled=False):
            terms = self._terms(depth, truth, batch)
        return StepOutput(
            loss=torch.stack(list(terms.values())).sum(),
            terms={name: term.detach() for name, term in terms.items()},
            maps={"depth": depth.detach()},
        )

    def _terms(
        self, depth: Float[Tensor, "b 1 h w"], truth: Float[Tensor, "b 1 h w"], batch: Batch
    ) -> dict[str, Tensor]:
        """Weighted terms by name."""
        w, valid = self.weights, truth > 0
        normalized = normalize_prediction(depth, valid)
        terms: dict[str, Tensor] = {}
        if w.leres > 0:
            terms["regression"] = w.leres * normalized_regression(normalized, truth, valid)
            terms["gradient"] = w.leres * GRADIENT * multi_scale_gradient(normalized, truth, valid)
            terms["ranking"] = w.leres * structure_guided_ranking(
                normalized, truth, batch.target, valid
            )
        if w.log_depth > 0:
            terms["log_depth"] = w.log_depth * log_depth_error(depth, truth, valid)
        if w.log_gradient > 0:
            terms["log_gradient"] = w.log_gradient * log_depth_slope(depth, truth, valid)
        return terms


def normalize_prediction(
    depth: Float[Tensor, "b 1 h w"], valid: Bool[Tensor, "b 1 h w"]
) -> Float[Tensor, "b 1 h w"]:
    """(D - mean) / deviation over the valid pixels of each image, with a gradient."""
    count = valid.sum((1, 2, 3), keepdim=True).clamp(min=1)
    mean = (depth * valid).sum((1, 2, 3), keepdim=True) / count
    variance = ((depth - mean).square() * valid).sum((1, 2, 3), keepdim=True) / count
    return (depth - mean) / (variance + (LEAST_SPREAD * mean).square() + TINY).sqrt()


def log_depth_error(
    depth: Float[Tensor, "b 1 h w"],
    truth: Float[Tensor, "b 1 h w"],
    valid: Bool[Tensor, "b 1 h w"],
) -> Float[Tensor, ""]:
    """Mean |log D - log truth - their median|: blind to the scale of each image; at least 0."""
    ratio = log_ratio(depth, truth, valid)
    known = torch.where(valid, ratio.detach(), torch.full_like(ratio, torch.nan))
    middle = known.flatten(1).nanmedian(dim=1).values.nan_to_num(nan=0.0)
    return masked_mean((ratio - middle[:, None, None, None]).abs(), valid)


def log_depth_slope(
    depth: Float[Tensor, "b 1 h w"],
    truth: Float[Tensor, "b 1 h w"],
    valid: Bool[Tensor, "b 1 h w"],
) -> Float[Tensor, ""]:
    """Mean over four sizes of the slopes of log D - log truth; 0 where only the scale is wrong.

    The matching loss of MegaDepth (Li and Snavely, CVPR 2018, https://arxiv.org/abs/1804.00607) on
    neighboring pixels: at full size an edge that is blurred, or a pixel off, costs most.
    """
    ratio = log_ratio(depth, truth, valid)
    return multi_scale_slope(ratio, valid.to(ratio), scales=SLOPE_SIZES, step=1) / SLOPE_SIZES


def log_ratio(
    depth: Float[Tensor, "b 1 h w"],
    truth: Float[Tensor, "b 1 h w"],
    valid: Bool[Tensor, "b 1 h w"],
) -> Float[Tensor, "b 1 h w"]:
    """Log of the depth over the truth; without truth, of the depth."""
    return depth.log() - torch.where(valid, truth, torch.ones_like(truth)).log()
