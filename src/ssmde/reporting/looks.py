"""What the student of a finished run makes of held-out frames: depths, regions, weight."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float

from ssmde.config import Config, DataConfig, PseudoDepthConfig
from ssmde.data.dataset import SnippetDataset, spread
from ssmde.data.sequence import FrameSequence
from ssmde.methods.student import Student, build_student
from ssmde.models.load import load_networks
from ssmde.reporting.curves import read_curve

THRESHOLD = "train/filter_motion_threshold"  # its name in log.csv
POSES = {"tracked": "tracked_poses", "file": "poses"}  # fields of a sequence


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """Maps of one frame, at the size the networks see."""

    name: str
    """`scene/frame`."""
    teacher: Float[np.ndarray, "h w"]
    """Depth, in the unit of the teacher."""
    student: Float[np.ndarray, "h w"]
    """Depth, in the unit of the student."""
    static: Bool[np.ndarray, "h w"]
    """What the filter says stands still; neither static nor dynamic is unknown."""
    dynamic: Bool[np.ndarray, "h w"]
    """What the filter says moves."""
    weight: Float[np.ndarray, "h w"]
    """Trust in the teacher's depth, in [0, 1]."""


def finished_student(config: Config, weights: Path, log: Path) -> Student:
    """The student of a run, its teacher, and the filter with the threshold the training ended with.

    It asks for no labels: held-out frames have none.

    Args:
        config: The run of stage 2; `student.teacher` names the weights of stage 1.
        weights: Weights of stage 2.
        log: `log.csv` of stage 2.
    """
    # After a training with poses nothing is in the unit of a mean disparity.
    normalise = config.loss.normalise_depth and config.data.poses == "none"
    student = build_student(
        replace(
            config,
            model=replace(config.model, pretrained="none"),
            loss=replace(config.loss, normalise_depth=normalise),
            student=replace(config.student, pseudo_depth=PseudoDepthConfig()),
        )
    )
    load_networks(weights, depth_net=student.depth_net, pose_net=student.pose_net)
    if points := read_curve(log, THRESHOLD):
        threshold = student.mask_filter.threshold
        threshold.total.fill_(points[-1][1])
        threshold.weight.fill_(1)
    return student.eval()


def look_at(
    student: Student, data: DataConfig, sequences: Sequence[FrameSequence], *, count: int
) -> tuple[Look, ...]:
    """A few frames that have both neighbours, evenly spread.

    Args:
        student: Of `finished_student`.
        data: Size and frame gaps; poses are used where every sequence has them.
        sequences: Held-out sequences.
        count: Number of frames.

    Raises:
        ValueError: If intrinsics are unknown, or no sequence is long enough for a snippet.
    """
    field = POSES.get(data.poses)
    if field is None or any(getattr(sequence, field) is None for sequence in sequences):
        data = replace(data, poses="none", least_baseline=0.0)
    snippets = SnippetDataset(sequences, data, seed=0, augment=False)
    return tuple(_look(student, snippets, index) for index in spread(len(snippets), count))


def _look(student: Student, snippets: SnippetDataset, index: int) -> Look:
    batch = snippets[index].to_batch()
    with torch.no_grad():
        maps = {name: values[0, 0].numpy() for name, values in student(batch, 1.0).maps.items()}
    return Look(
        name=batch.names[0],
        teacher=maps["teacher_depth"],
        student=maps["depth"],
        static=maps["static"] > 0,
        dynamic=maps["dynamic"] > 0,
        weight=maps["teacher_weight"],
    )
