"""The optimiser, the clock and the machine."""

import math
from dataclasses import dataclass
from typing import Literal

from ssmde.config.section import Section, refuse

MOST = {"batch_size": 65536, "devices": 1024, "nodes": 65536, "threads": 1024}  # a typing error


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig(Section):
    """The optimiser, the clock and the machine."""

    steps: int = 100_000
    """Optimiser steps."""
    batch_size: int = 4
    """Snippets a step, over all processes together."""
    learning_rate: float = 1e-4
    """Adam's step size."""
    pose_rate: float = 1.0
    """Factor on the learning rate for the pose network; depth can only be learnt from a motion
    that is right, so the motion may hurry ahead."""
    encoder_rate: float = 1.0
    """Factor on the learning rate for the encoder of the depth network; below 1 where it begins
    with weights worth keeping."""
    average: float = 0.0
    """Share of the old weights that an average over the steps keeps in each step, such as 0.998.
    The average of the depth network is what is validated and kept; 0: there is none."""
    schedule: Literal["constant", "step", "cosine"] = "step"
    """Learning rate over the training: step divides it by 10 at three quarters."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises from 0."""
    clip_gradient: float = 1.0
    """Largest norm of the gradient; 0 turns clipping off."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Arithmetic of the networks; losses and geometry stay in fp32."""
    seed: int = 0
    """Start of every random number of the run."""
    validate_every: int = 1000
    """Steps between two validations."""
    protocol: str = "generic"
    """Protocol of the validation: range and crop of the pixels that count."""
    validation_frames: int = 200
    """Largest number of frames a validation looks at, spread evenly."""
    checkpoint_every: int = 500
    """Steps between two checkpoints of the whole run."""
    keep_best: int = 3
    """Number of best weights to keep, by validation."""
    log_every: int = 50
    """Steps over which the logged losses are averaged."""
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    """Kind of device."""
    devices: int = 1
    """Processes on this machine; each has a device of its own."""
    nodes: int = 1
    """Machines."""
    threads: int = 0
    """CPU threads of a process; 0 leaves torch's own choice."""
    channels_last: bool = True
    """Keep weights and features with the channels innermost: faster convolutions, the same
    numbers up to rounding."""
    compile: bool = False
    """Run networks and warp through `torch.compile`: a minute or more at the start, then faster
    steps on a GPU; the same numbers up to rounding."""

    def __post_init__(self) -> None:
        """Refuse counts that cannot be counted."""
        Section.__post_init__(self)
        for name in ("steps", "batch_size", "validate_every", "checkpoint_every", "keep_best"):
            value = getattr(self, name)
            refuse(value < 1, f"train.{name} must be at least 1, got {value}")
        for name in ("devices", "nodes", "validation_frames", "log_every"):
            value = getattr(self, name)
            refuse(value < 1, f"train.{name} must be at least 1, got {value}")
        for name, most in MOST.items():
            value = getattr(self, name)
            refuse(value > most, f"train.{name} must be at most {most}, got {value}")
        for name in ("learning_rate", "pose_rate", "encoder_rate"):
            value = getattr(self, name)
            refuse(not 0 < value < math.inf, f"train.{name} must be positive, got {value}")
        for name in ("warmup_steps", "threads", "seed"):
            value = getattr(self, name)
            refuse(value < 0, f"train.{name} must be at least 0, got {value}")
        refuse(
            not 0 <= self.clip_gradient < math.inf,
            f"train.clip_gradient must be at least 0, which turns it off, got {self.clip_gradient}",
        )
        refuse(not 0 <= self.average < 1, f"train.average must be in [0, 1), got {self.average}")
        refuse(
            self.batch_size % (self.devices * self.nodes) != 0,
            f"train.batch_size {self.batch_size} must divide evenly over "
            f"{self.devices * self.nodes} processes",
        )
