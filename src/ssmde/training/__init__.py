"""Training: one stage or both, driven by Lightning; checkpoints, logs and validation."""

from ssmde.training.module import TrainingError
from ssmde.training.run import train

__all__ = ["TrainingError", "train"]
