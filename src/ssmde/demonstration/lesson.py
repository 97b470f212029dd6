"""What the demo trains: both stages of `ss_mde` with small networks on small pictures."""

from dataclasses import replace
from pathlib import Path

import torch

from ssmde.config import (
    Config,
    DataConfig,
    LossConfig,
    ModelConfig,
    PseudoDepthConfig,
    StudentConfig,
    TrainConfig,
)
from ssmde.demonstration.world import SIZE

NAME = "demo"  # of the folder in runs/ that holds both stages
MOST_THREADS = 4  # more do not help with pictures this small
FEWEST_STEPS = 4
CURVE_POINTS = 60
VALIDATIONS = 5
VALIDATION_FRAMES = 16
RATES = (4e-4, 2e-4)  # learning rates of the stages; short trainings want them high


def first_stage(folder: Path, seed: int) -> Config:
    """The teacher, from random weights: views, whose motion it finds too, and labels.

    Args:
        folder: Of the demo, with `data`.
        seed: Start of every random number.
    """
    # Tracked points would give labels their unit, but in pictures this small there are some 25 a
    # frame, and labels fitted to those are off by 0.4 to 0.8 instead of 0.15. Without a unit a
    # ranking is never content and stretches the depth: little of it.
    labels = PseudoDepthConfig(normals=0.1, ranking=0.02, edge_normals=0.1)
    return Config(
        name=f"{NAME}/teacher",
        output=folder / "runs",
        data=DataConfig(root=folder / "data", image_size=SIZE, frame_gaps=(1, 2), workers=0),
        # Half the channels take more steps in the same time: 437, abs_rel 0.26; with all, on a
        # busier machine, 202 and 0.48.
        model=ModelConfig(encoder="resnet18_half", depth_range=(0.1, 100.0)),
        # Without the warm-up two minutes end far from the truth: abs_rel 0.55 instead of 0.22. The
        # depth of the sources, for geometry consistency, would cost half of the steps.
        loss=LossConfig(rotation_first=0.03, upright_first=0.12, normalise_depth=True),
        pseudo_depth=labels,
        student=StudentConfig(
            pseudo_depth=replace(labels, region="static", forgetting="exponential")
        ),
        train=TrainConfig(
            batch_size=4,
            learning_rate=RATES[0],
            pose_rate=3.0,
            schedule="cosine",
            warmup_steps=20,
            seed=seed,
            validation_frames=VALIDATION_FRAMES,
            keep_best=1,
            accelerator="cpu",
            threads=min(MOST_THREADS, torch.get_num_threads()),
        ),
    )


def second_stage(first: Config) -> Config:
    """The student, which starts as the teacher.

    Its teacher has the last weights of stage 1: the best of several validations were chosen by the
    truth of the held-out videos, which nobody may look at before the end.
    """
    weights = first.output / first.name / "last.safetensors"
    return replace(
        first,
        name=f"{NAME}/student",
        method="student",
        student=replace(first.student, teacher=weights, learning_rate=RATES[1]),
        train=replace(first.train, learning_rate=RATES[1]),
    )


def with_steps(config: Config, steps: int) -> Config:
    """The run over so many steps, with a few validations and a log fine enough for curves."""
    return replace(
        config,
        student=replace(config.student, steps=steps),
        train=replace(
            config.train,
            steps=steps,
            validate_every=max(1, steps // VALIDATIONS),
            checkpoint_every=steps,
            log_every=max(1, steps // CURVE_POINTS),
        ),
    )
