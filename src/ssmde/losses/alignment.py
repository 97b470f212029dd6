"""Depths in one unit, and what is left between them: scale, shift and the difference of logarithms.

A pseudo-depth comes with a scale and a shift of each image, a teacher with one scale. No term
passes a gradient to a label, a teacher or a weight.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ssmde.losses import masks
from ssmde.losses.masks import thin, weighted_mean
from ssmde.types import Map, Mask, Scalar

KEPT = 0.8  # share of the pixels, those that fit best, that a refit listens to
REFITS = 2
MIN_PIXELS = 10  # two unknowns of one image
TRUSTED = 0.5  # pixels with more weight than this tell the scale of a teacher
FLAT = 1e-6  # a pseudo-depth that varies by less than this share of its mean is a constant


@torch.no_grad()
def least_squares_to_depth(
    pseudo_depth: Map, depth: Map, valid: Mask
) -> tuple[Map, Bool[Tensor, "b"]]:
    """Pseudo-depth in the unit of the depth, and which images are fitted; no gradient.

    Scale and shift of each image have the least sum of (scale P + shift - D)^2, repeated on the
    80 % of the pixels that fit best (steps towards the least trimmed squares of Rousseeuw, 1984,
    https://doi.org/10.1080/01621459.1984.10477105): up to a tenth of gross errors does little harm.

    The result is 0 where the pseudo-depth is unknown (0 or less) or falls behind the camera, and as
    it came where the image is not fitted: no positive scale was found, or there are too few pixels.
    `valid` is where the depth can be trusted.
    """
    known = pseudo_depth > 0
    valid = valid & known
    scale, shift, spread = _least_squares(pseudo_depth, depth, valid)
    for _ in range(REFITS):
        error = (_wide(scale) * pseudo_depth + _wide(shift) - depth).abs()
        error = torch.where(valid, error, torch.full_like(error, torch.inf)).flatten(1)
        last = (KEPT * valid.flatten(1).sum(1, keepdim=True)).long().clamp(max=error.shape[1] - 1)
        limit = error.sort(dim=1).values.gather(1, last)  # of the residuals, image by image
        best = (error <= limit).view_as(valid) & valid
        scale, shift, spread = _least_squares(pseudo_depth, depth, best)
    fewest = max(MIN_PIXELS, masks.MIN_VALID_SHARE * depth[0].numel())
    enough = (valid.sum((1, 2, 3)) >= fewest) & spread & scale.isfinite() & shift.isfinite()
    fitted = enough & (scale > 0)
    moved = pseudo_depth * _wide(scale) + _wide(shift)
    in_front = torch.where(known, moved.clamp(min=0), torch.zeros_like(moved))
    return torch.where(_wide(fitted), in_front, pseudo_depth), fitted


def _least_squares(
    prediction: Tensor, depth: Tensor, valid: Tensor
) -> tuple[Float[Tensor, "b"], Float[Tensor, "b"], Bool[Tensor, "b"]]:
    """Scale, shift, and whether the prediction varies, by closed form about the means."""
    count = valid.sum((1, 2, 3)).clamp(min=1)

    def mean(values: Tensor) -> Tensor:
        return torch.where(valid, values, torch.zeros_like(values)).sum((1, 2, 3)) / count

    p_mean, d_mean = mean(prediction), mean(depth)
    p = prediction - _wide(p_mean)
    variance = mean(p * p)
    spread = variance > (FLAT * p_mean) ** 2
    scale = mean(p * (depth - _wide(d_mean))) / torch.where(spread, variance, 1)
    return scale, d_mean - scale * p_mean, spread


def _wide(values: Tensor) -> Tensor:
    """One number for each image, shaped to meet maps."""
    return values[:, None, None, None]


def log_ratio(depth: Map, other: Map, known: Mask) -> Map:
    """Log of a depth over another, and 0 where either is not known: log 0 spoils the gradient."""
    one = torch.ones_like(depth)
    return torch.where(known, depth, one).log() - torch.where(known, other.detach(), one).log()


def log_depth_difference(student: Map, teacher: Map, weight: Map) -> Scalar:
    """Weighted mean of |log D^S - log D^T|, of depths in one unit, positive where they weigh."""
    return weighted_mean(log_ratio(student, teacher, weight > 0).abs(), weight)


@torch.no_grad()
def log_scale(student: Map, teacher: Map, weight: Map) -> Scalar:
    """Median of log D^S - log D^T over the trusted pixels of the batch; 0 if there is none.

    exp of it brings the teacher's depth to the unit of the student. One number for a batch, over
    all processes, keeps the scale the teacher has from frame to frame. Of a large batch every k-th
    row and column is looked at.
    """
    limit = masks.MAX_SAMPLES / masks.rank_and_world()[1]
    student, teacher, weight = (thin(values, limit) for values in (student, teacher, weight))
    ratio = log_ratio(student, teacher, weight > 0)
    trusted = torch.where(weight > TRUSTED, ratio, torch.full_like(ratio, torch.nan))
    return masks.all_gather_batch(trusted).flatten().nanmedian().nan_to_num(nan=0.0)
