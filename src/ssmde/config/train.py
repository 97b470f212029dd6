"""The optimiser, the clock and the machine."""

from dataclasses import dataclass
from typing import Literal

from ssmde.config.section import Section, refuse


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
    recompute_activations: bool = False
    """Compute the features of each block of the networks again for the backward pass instead of
    keeping them: less memory, a longer step, the same numbers."""
    compile: bool = False
    """Run networks and warp through `torch.compile`: a minute or more at the start, then faster
    steps on a GPU; the same numbers up to rounding."""

    def __post_init__(self) -> None:
        """Refuse counts that cannot be counted."""
        for name in ("steps", "batch_size", "validate_every", "checkpoint_every", "keep_best"):
            value = getattr(self, name)
            refuse(value < 1, f"train.{name} must be at least 1, got {value}")
        for name in ("devices", "nodes", "validation_frames", "log_every"):
            value = getattr(self, name)
            refuse(value < 1, f"train.{name} must be at least 1, got {value}")
        refuse(self.pose_rate <= 0, f"train.pose_rate must be positive, got {self.pose_rate}")
        refuse(
            self.learning_rate <= 0,
            f"train.learning_rate must be positive, got {self.learning_rate}",
        )
        refuse(
            self.compile and self.recompute_activations,
            "train.compile keeps what it wants of the features: leave out "
            "train.recompute_activations, or train.compile",
        )
        refuse(
            self.batch_size % (self.devices * self.nodes) != 0,
            f"train.batch_size {self.batch_size} must divide evenly over "
            f"{self.devices * self.nodes} processes",
        )
