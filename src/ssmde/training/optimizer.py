"""The optimiser of a method: Adam, with a rate of its own for the pose network."""

import torch
from torch import nn

from ssmde.config import TrainConfig


def build_optimizer(method: nn.Module, train: TrainConfig) -> torch.optim.Adam:
    """Adam over all that learns, in up to three groups: networks, pose network, encoder.

    Args:
        method: Parameters of `pose_net` and of the depth network's encoder by their names.
        train: Rates.
    """
    networks: list[nn.Parameter] = []
    pose: list[nn.Parameter] = []
    encoder: list[nn.Parameter] = []
    for name, parameter in method.named_parameters():
        if parameter.requires_grad:
            at_home = pose if "pose_net" in name else networks
            if train.encoder_lr_multiplier != 1 and "depth_net.encoder." in name:
                at_home = encoder
            at_home.append(parameter)
    groups = [
        {"params": networks, "lr": train.learning_rate},
        {"params": pose, "lr": train.learning_rate * train.pose_lr_multiplier},
    ]
    if encoder:
        groups.append({"params": encoder, "lr": train.learning_rate * train.encoder_lr_multiplier})
    # One pass over each parameter instead of ten; rounds a little differently.
    return torch.optim.Adam(groups, fused=True)
