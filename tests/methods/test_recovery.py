"""Training on a drawn static wall recovers its depth, and the wrong direction does not.

Each frame has a free depth map in place of a network, so nothing but the method is tested. The
camera is known, so the depth must come out in metres, without any alignment.
"""

import numpy as np
import pytest
import torch
from torch import nn

from ssmde.config import LossConfig
from ssmde.geometry.camera import invert_motion
from ssmde.methods.teacher import Teacher
from ssmde.models.depth_net import DepthNet
from ssmde.synthetic import DrawnClip, draw_clip
from ssmde.types import Batch

H, W, STEPS = 32, 64, 250
PHOTOMETRIC = LossConfig(smoothness=1e-4)
CONSISTENT = LossConfig(geometry=0.1, smoothness=1e-4)


class FreeDepth(DepthNet):
    """A coarse map of disparity for each known frame; a plane is linear in it."""

    def __init__(self, images: torch.Tensor) -> None:
        nn.Module.__init__(self)  # none of the parts of a DepthNet
        self.images = images
        self.log_disparity = nn.Parameter(torch.full((len(images), 1, 3, 5), -1.0))

    def encode(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (image,)

    def decode(self, features, scales=None) -> tuple[torch.Tensor, ...]:
        (image,) = features
        index = torch.cdist(image.flatten(1), self.images.flatten(1)).argmin(1)
        size = image.shape[-2:]
        coarse = self.log_disparity[index].exp()
        return (1 / nn.functional.interpolate(coarse, size, mode="bilinear", align_corners=True),)


class KnownPose(nn.Module):
    """The true motion between known frames, or its inverse."""

    def __init__(self, clip: DrawnClip, images: torch.Tensor, *, exchanged: bool) -> None:
        super().__init__()
        self.images, self.exchanged = images, exchanged
        self.T_world_cam = torch.from_numpy(clip.poses).float()

    def forward(self, target: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        t, s = (
            torch.cdist(view.flatten(1), self.images.flatten(1)).argmin(1)
            for view in (target, source)
        )
        T_src_tgt = invert_motion(self.T_world_cam[s]) @ self.T_world_cam[t]
        return invert_motion(T_src_tgt) if self.exchanged else T_src_tgt


def error_after_training(loss: LossConfig, *, exchanged: bool = False) -> float:
    """AbsRel of the middle frame, in metres as they are."""
    clip = draw_clip("slanted_wall", frames=3, size=(H, W), seed=1, step=0.25, rotation=0.2)
    images = torch.from_numpy(clip.images).permute(0, 3, 1, 2).float() / 255
    batch = Batch(
        target=images[1:2],
        sources=images[[0, 2]][None],
        intrinsics=torch.from_numpy(np.array(clip.intrinsics)).float()[None],
    )
    method = Teacher(
        FreeDepth(images), KnownPose(clip, images, exchanged=exchanged), loss, normalize=False
    )
    optimizer = torch.optim.Adam(method.parameters(), 0.03)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for step in range(STEPS):
        optimizer.zero_grad()
        method(batch, step / STEPS).loss.backward()
        optimizer.step()
        schedule.step()
    truth = torch.from_numpy(clip.depth[1])
    predicted = method.depth_net(images[1:2])[0, 0].detach()
    return float(((predicted - truth).abs() / truth).mean())


LOSSES = pytest.mark.parametrize(
    "loss",
    [
        pytest.param(PHOTOMETRIC, id="photometric"),
        pytest.param(CONSISTENT, id="consistent", marks=pytest.mark.slow),
    ],
)


@LOSSES
def test_training_on_a_static_wall_recovers_its_depth_in_metres(loss):
    assert error_after_training(loss) < 0.01


@LOSSES
def test_with_source_and_target_exchanged_the_wall_is_not_recovered(loss):
    assert error_after_training(loss, exchanged=True) > 0.1
