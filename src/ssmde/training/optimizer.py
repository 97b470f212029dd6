"""The optimiser of a method: Adam, with a rate of its own for the pose network."""

import torch
from torch import nn

from ssmde.config import TrainConfig


def build_optimizer(method: nn.Module, train: TrainConfig) -> torch.optim.Adam:
    """Adam over everything that learns, in two groups: depth network and the rest, pose network.

    Args:
        method: Parameters of `pose_net` are known by their names.
        train: Rates.
    """
    networks: list[nn.Parameter] = []
    pose: list[nn.Parameter] = []
    for name, parameter in method.named_parameters():
        if parameter.requires_grad:
            (pose if "pose_net" in name else networks).append(parameter)
    groups = [
        {"params": networks, "lr": train.learning_rate},
        {"params": pose, "lr": train.learning_rate * train.pose_rate},
    ]
    # One pass over each parameter instead of ten; rounds a little differently.
    return torch.optim.Adam(groups, fused=True)
