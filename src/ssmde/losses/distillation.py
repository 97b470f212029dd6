"""The student should see what a frozen teacher sees, where the teacher can be trusted.

No term passes a gradient to the teacher or to a weight. Depths without weight are never looked at.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ssmde.losses.processes import join_images, place
from ssmde.losses.sampling import MAX_SAMPLES, thin
from ssmde.losses.weighted import multi_scale_slope, weighted_mean


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


def gradient_matching(
    student: Float[Tensor, "b 1 h w"],
    teacher: Float[Tensor, "b 1 h w"],
    weight: Float[Tensor, "b 1 h w"],
    scales: int = 4,
) -> Float[Tensor, ""]:
    """Slopes of log D^S - log D^T, summed over scales; 0 for depths equal up to one factor.

    Keeps the teacher's structure also where the scales of both differ; see `multi_scale_slope`.

    Args:
        student: Predicted depth; positive.
        teacher: Depth of the teacher, in any unit; positive where it has weight.
        weight: Trust in the teacher, in [0, 1].
        scales: How many scales, each half the size of the one before.
    """
    return multi_scale_slope(_log_ratio(student, teacher, weight), weight, scales=scales)


def feature_similarity(
    student_features: Sequence[Float[Tensor, "b _c _h _w"]],
    teacher_features: Sequence[Float[Tensor, "b _c _h _w"]],
    weights: Sequence[Float[Tensor, "b 1 _h _w"]],
) -> Float[Tensor, ""]:
    """Weighted mean of 1 - cos(F^S, F^T) over the pixels of each level, in [0, 2].

    Only the direction of a feature counts, not its length. Levels count alike, whatever their
    size.

    Args:
        student_features: One map for each level of the encoder.
        teacher_features: The same of the teacher, of the same shapes.
        weights: Trust in the teacher, in [0, 1], one map for each level, of its size.

    Raises:
        ValueError: If the three do not have the same number of levels, or have none.
    """
    levels = len(student_features), len(teacher_features), len(weights)
    if len(set(levels)) > 1 or 0 in levels:
        raise ValueError(
            "student, teacher and weights need one map for each level, "
            f"got {levels[0]}, {levels[1]} and {levels[2]}"
        )
    terms = [
        weighted_mean(1 - F.cosine_similarity(student, teacher.detach(), dim=1)[:, None], weight)
        for student, teacher, weight in zip(
            student_features, teacher_features, weights, strict=True
        )
    ]
    return torch.stack(terms).mean()


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
    return join_images(trusted).flatten().nanmedian().nan_to_num(nan=0.0)
