"""Training: one stage or both, driven by Lightning; checkpoints, logs and validation."""

from ssmde.training.both_stages import train_stages
from ssmde.training.module import TrainingError
from ssmde.training.single_stage import train

__all__ = ["TrainingError", "train", "train_stages"]
