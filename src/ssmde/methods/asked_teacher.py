"""What a teacher says of the clean images of a batch: its depths, features and motion."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ssmde.methods.filtering.records import FilterInput
from ssmde.models.depth_net import DepthNet
from ssmde.types import Batch


class TeacherNetworks(nn.Module):
    """Networks that are looked at and never trained: always in evaluation mode, no gradient."""

    def __init__(self, depth_net: DepthNet, pose_net: nn.Module) -> None:
        super().__init__()
        self.depth_net: DepthNet = depth_net
        self.pose_net: nn.Module = pose_net
        self.requires_grad_(False)
        super().train(False)

    def train(self, mode: bool = True) -> "TeacherNetworks":
        """Stay in evaluation mode."""
        return self


class _Said(NamedTuple):
    """Of the depth network."""

    own: Float[Tensor, "b n 1 h w"]
    """Depth of all views."""
    mirrored: Float[Tensor, "b 1 h w"]
    """Depth of the mirrored target, mirrored back."""
    levels: tuple[Float[Tensor, "b _ _ _"], ...] | None
    """Features of the target, where they are asked for."""


@torch.no_grad()
def ask_teacher(
    teacher: TeacherNetworks, batch: Batch, *, normalise: bool, features: bool
) -> FilterInput:
    """Depths, features, and motion if none is known, without a gradient.

    Args:
        teacher: The networks.
        batch: The frames.
        normalise: Divide the depths of a snippet by the scale of their mean disparity, where the
            motion is that of the pose network: it is in this unit.
        features: Whether features are wanted.
    """
    said = _depths(teacher, batch, features)
    own, mirrored, T_src_tgt = said.own, said.mirrored, batch.T_src_tgt
    if T_src_tgt is None:
        target = batch.target[:, None].expand_as(batch.sources).flatten(0, 1)
        motion = teacher.pose_net(target, batch.sources.flatten(0, 1))
        T_src_tgt = motion.unflatten(0, batch.sources.shape[:2])
        if normalise:
            mean_disparity = (1 / own).mean((1, 2, 3, 4), keepdim=True)
            own, mirrored = own * mean_disparity, mirrored * mean_disparity[:, 0]
    return FilterInput(
        target=batch.target,
        sources=batch.sources,
        depth=own[:, 0],
        source_depth=own[:, 1:],
        flipped_depth=mirrored,
        T_src_tgt=T_src_tgt,
        intrinsics=batch.intrinsics,
        features=said.levels,
        # Until the student's own error is known; only the variant `photo_sdfa` reads it.
        student_error=torch.full_like(own[:, 0], torch.inf),
    )


def _depths(teacher: TeacherNetworks, batch: Batch, features: bool) -> _Said:
    """All views and the mirrored target, in one pass."""
    images = torch.cat([batch.target[:, None], batch.sources], dim=1)
    shape = images.shape[:2]
    count = shape[0] * shape[1]
    found = teacher.depth_net.encode(torch.cat([images.flatten(0, 1), batch.target.flip(-1)]))
    (depth,) = teacher.depth_net.decode(found, (0,))
    levels = tuple(f[:count].unflatten(0, shape)[:, 0].float() for f in found[1:])
    return _Said(
        depth[:count].unflatten(0, shape), depth[count:].flip(-1), levels if features else None
    )
