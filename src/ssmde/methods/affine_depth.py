"""A pseudo-depth network of one's own: depth up to scale and shift, from recordings with depth.

The terms are those LeReS is trained with (Yin et al., CVPR 2021, https://arxiv.org/abs/2012.09365).
The depth network of all methods here predicts a positive depth: it is normalized image by image
where LeReS's is free.
"""

import torch
from torch import Tensor, nn

from ssmde.config import AffineConfig
from ssmde.data.augment import apply_color
from ssmde.losses.affine import (
    SCALES,
    multi_scale_slope,
    normalize_depth,
    normalized_regression,
    structure_guided_ranking,
)
from ssmde.losses.alignment import log_ratio
from ssmde.losses.masks import masked_mean
from ssmde.models.depth_net import DepthNet
from ssmde.types import Batch, Map, Mask, Scalar, StepOutput

GRADIENT = 0.5  # weight of the slopes beside the others; LeReS
SLOPE_STEP = 2  # pixels between the ends of a slope; LeReS
TINY = 1e-12  # the slope of a root at 0 is infinite: an image without any valid pixel
LEAST_SPREAD = 1e-3  # of a prediction, as a share of its mean, before it is divided by


class AffineDepth(nn.Module):
    """A depth network trained on measured depth, the batch's `gt_depth`."""

    def __init__(self, depth_net: DepthNet, weights: AffineConfig) -> None:
        super().__init__()
        self.depth_net, self.weights = depth_net, weights

    def forward(self, batch: Batch, progress: float) -> StepOutput:
        """Compute the loss of one batch; `progress` changes nothing."""
        truth, image, w = batch.gt_depth, batch.target, self.weights
        if truth is None:
            raise ValueError(f"frames {batch.names[:1]} have no measured depth to learn from")
        depth = self.depth_net(image if batch.color is None else apply_color(image, batch.color))
        valid = truth > 0
        terms: dict[str, Tensor] = {}
        with torch.autocast(image.device.type, enabled=False):
            if w.leres > 0:
                # Both normalized image by image: what is left is neither scale nor shift (LeReS).
                p, g = normalize_prediction(depth, valid), normalize_depth(truth, valid)
                slopes = multi_scale_slope(p - g, valid.to(p), step=SLOPE_STEP)
                terms["regression"] = w.leres * normalized_regression(p, g, valid)
                terms["gradient"] = w.leres * GRADIENT * slopes
                terms["ranking"] = w.leres * structure_guided_ranking(p, truth, image, valid)
            if w.log_depth > 0:
                terms["log_depth"] = w.log_depth * log_depth_error(depth, truth, valid)
            if w.log_gradient > 0:
                terms["log_gradient"] = w.log_gradient * log_depth_slope(depth, truth, valid)
        return StepOutput.of(terms, maps={"depth": depth.detach()})


def normalize_prediction(depth: Map, valid: Mask) -> Map:
    """(D - mean) / deviation over the valid pixels of each image, with a gradient."""
    count = valid.sum((1, 2, 3), keepdim=True).clamp(min=1)
    mean = (depth * valid).sum((1, 2, 3), keepdim=True) / count
    variance = ((depth - mean).square() * valid).sum((1, 2, 3), keepdim=True) / count
    return (depth - mean) / (variance + (LEAST_SPREAD * mean).square() + TINY).sqrt()


def log_depth_error(depth: Map, truth: Map, valid: Mask) -> Scalar:
    """Mean |log D - log truth - their median|: blind to the scale of each image; at least 0."""
    ratio = log_ratio(depth, truth, valid)
    known = torch.where(valid, ratio.detach(), torch.full_like(ratio, torch.nan))
    middle = known.flatten(1).nanmedian(dim=1).values.nan_to_num(nan=0.0)
    return masked_mean((ratio - middle[:, None, None, None]).abs(), valid)


def log_depth_slope(depth: Map, truth: Map, valid: Mask) -> Scalar:
    """Mean over four sizes of the slopes of log D - log truth; 0 where only the scale is wrong.

    The matching loss of MegaDepth (Li and Snavely, CVPR 2018, https://arxiv.org/abs/1804.00607) on
    neighboring pixels: at full size an edge that is blurred, or a pixel off, costs most.
    """
    ratio = log_ratio(depth, truth, valid)
    return multi_scale_slope(ratio, valid.to(ratio), step=1) / SCALES
