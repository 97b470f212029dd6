"""The student should see what a frozen teacher sees, where the teacher can be trusted.

No term passes a gradient to the teacher or to a weight. Depths without weight are never looked at.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from ssmde.losses.masks import weighted_mean
from ssmde.losses.pairs import MAX_SAMPLES, all_gather_batch, place, thin


def _log_ratio(student: Tensor, teacher: Tensor, weight: Tensor) -> Tensor:
    """Log of D^S / D^T, and 0 where there is no weight: log 0 would spoil the gradient."""
    one = torch.ones_like(student)
    student = torch.where(weight > 0, student, one)
    return student.log() - torch.where(weight > 0, teacher.detach(), one).log()


def log_depth_difference(
    student: Float[Tensor, "b 1 h w"],
    teacher: Float[Tensor, "b 1 h w"],
    weight: Float[Tensor, "b 1 h w"],
) -> Float[Tensor, ""]:
    """Weighted mean of |log D^S - log D^T|; 0 for equal depths, log 2 for twice the depth.

    Args:
        student: Predicted depth; positive.
        teacher: Depth of the teacher in the unit of the student, see `log_scale`; positive where
            it has weight.
        weight: Trust in the teacher, in [0, 1].
    """
    return weighted_mean(_log_ratio(student, teacher, weight).abs(), weight)


@torch.no_grad()
def log_scale(
    student: Float[Tensor, "b 1 h w"],
    teacher: Float[Tensor, "b 1 h w"],
    weight: Float[Tensor, "b 1 h w"],
    least: float = 0.5,
) -> Float[Tensor, ""]:
    """Median of log D^S - log D^T over the trusted pixels of the batch; 0 if there is none.

    exp of it brings the teacher's depth to the unit of the student. One number for a batch, over
    all processes, keeps the scale the teacher has from frame to frame. Of a large batch every k-th
    row and column is looked at; of an even count the lower of both middle values is taken.

    Args:
        student: Predicted depth; positive.
        teacher: Depth of the teacher; positive where it has weight.
        weight: Trust in the teacher, in [0, 1].
        least: Pixels with more weight than this are trusted.
    """
    limit = MAX_SAMPLES / place().world
    student, teacher, weight = (thin(values, limit) for values in (student, teacher, weight))
    ratio = _log_ratio(student, teacher, weight)
    trusted = torch.where(weight > least, ratio, torch.full_like(ratio, torch.nan))
    return all_gather_batch(trusted).flatten().nanmedian().nan_to_num(nan=0.0)
