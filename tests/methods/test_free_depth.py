"""A free depth map in place of a network, so that nothing but the method is tested.

Training on a drawn static wall recovers its depth in metres; the wrong direction does not. A car
ahead that drives as fast as the camera hardly changes in the image, as only what is infinitely far
does: the views call it far away, `ss_mde` does not. The camera is known, so depth is in metres; the
labels are the truth with another scale, shift and contrast, as a labeling network sees it.
"""

import copy
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from ssmde.config import LossConfig
from ssmde.data.pseudo_labels import fit_to_points
from ssmde.geometry.camera import invert_motion
from ssmde.methods.self_supervised import SelfSupervised
from ssmde.methods.student import Student, TeacherNetworks
from ssmde.methods.teacher import Teacher
from ssmde.models.depth_net import DepthNet
from ssmde.presets import PHOTOMETRIC, SS_MDE
from ssmde.synthetic import DrawnClip, draw_clip
from ssmde.types import Batch
from traffic import draw_traffic

SIZE = (64, 96)
EYE = 1.6  # metres above the road
START = 12.0  # metres, the depth before any training
POINTS = 100  # tracked points of a frame


class FreeDepth(DepthNet):
    """A coarse map of disparity for each known frame, and its mirror image for mirrored frames."""

    def __init__(self, batch: Batch, grid: tuple[int, int], start: float) -> None:
        nn.Module.__init__(self)  # none of the parts of a DepthNet
        self.images = torch.cat([batch.images[0], batch.images[0].flip(-1)])
        self.log_disparity = nn.Parameter(torch.full((3, 1, *grid), -float(np.log(start))))

    def encode(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (image,)

    def decode(self, features, scales=None) -> tuple[torch.Tensor, ...]:
        (image,) = features
        which = torch.cdist(image.flatten(1), self.images.flatten(1)).argmin(1)
        maps = torch.cat([self.log_disparity, self.log_disparity.flip(-1)])[which].exp()
        size = image.shape[-2:]
        return (1 / nn.functional.interpolate(maps, size, mode="bilinear", align_corners=True),)


class Says(nn.Module):
    """A pose network that says what it was told."""

    def __init__(self, T_src_tgt: torch.Tensor) -> None:
        super().__init__()
        self.T_src_tgt = T_src_tgt

    def forward(self, target: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        return self.T_src_tgt[0]


def batch_of(clip: DrawnClip, at: int) -> Batch:
    """A frame with the one before and the one after it, and the true motion."""
    images = torch.from_numpy(clip.images[[at, at - 1, at + 1]]).movedim(3, 1) / 255
    T = torch.from_numpy(clip.poses).float()
    return Batch(
        target=images[:1], sources=images[None, 1:],
        intrinsics=torch.from_numpy(np.array(clip.intrinsics)).float()[None],
        T_src_tgt=(invert_motion(T[[at - 1, at + 1]]) @ T[at])[None],
    )  # fmt: skip


def fit(method: nn.Module, batch: Batch, steps: int) -> None:
    """Train on one batch."""
    torch.manual_seed(0)
    optimizer = torch.optim.Adam([p for p in method.parameters() if p.requires_grad], 0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        optimizer.zero_grad()
        method(batch, step / steps).loss.backward()
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize(
    ("geometry", "exchanged"),
    [
        (0.0, False),
        pytest.param(0.1, False, marks=pytest.mark.slow),
        pytest.param(0.1, True, marks=pytest.mark.slow),
    ],
)
def test_training_on_a_static_wall_recovers_its_depth_unless_the_views_are_exchanged(
    geometry, exchanged
):
    clip = draw_clip("slanted_wall", frames=3, size=(32, 64), seed=1, step=0.25, rotation=0.2)
    batch = batch_of(clip, 1)
    T = batch.T_src_tgt
    says, batch = Says(invert_motion(T) if exchanged else T), replace(batch, T_src_tgt=None)
    free, loss = FreeDepth(batch, (3, 5), np.e), LossConfig(geometry=geometry, smoothness=1e-4)
    fit(Teacher(free, says, loss, normalize=False), batch, 150)
    truth = torch.from_numpy(clip.depth[1])
    error = ((free(batch.target)[0, 0].detach() - truth).abs() / truth).mean()
    assert error > 0.1 if exchanged else error < 0.01


@cache
def drive() -> tuple[Batch, np.ndarray, np.ndarray]:
    """A street with a car ahead as fast as the camera: a batch, the true depth, the car's pixels.

    The label is fitted to points of what stands still, as `ss_mde` does it.
    """
    at, rng = 20, np.random.default_rng(0)
    clip = draw_traffic(1, seed=1, distance=9.0, step=1.0, frames=at + 2, size=SIZE)
    truth, car = clip.depth[at], clip.motion_mask[at] == 255
    still = np.argwhere((truth > 0) & (truth < 40) & ~car)
    rows, columns = rng.permutation(still)[:POINTS].T
    unit = np.median(truth[rows, columns])
    seen = np.where(truth > 0, 0.7 * (truth**0.9 + 0.1 * unit), 0).astype("f4")
    pixels = np.stack([columns, rows], 1).astype("f4")
    label = unit * fit_to_points(seen, pixels, truth[rows, columns] / unit, SIZE)
    return replace(batch_of(clip, at), pseudo_depth=torch.from_numpy(label)[None, None]), truth, car


def test_the_auto_mask_leaves_a_car_out_that_is_as_fast_as_the_camera():
    batch, _, car = drive()
    free = FreeDepth(batch, (16, 24), START)
    mask = Teacher(free, Says(batch.T_src_tgt), PHOTOMETRIC.loss)(batch, 1.0).maps["auto_mask"]
    assert mask[0, 0, car].mean() < 0.2
    assert mask[0, 0, ~car].mean() > 0.4


@pytest.mark.slow
def test_with_ss_mde_the_car_stands_on_the_road_in_both_stages():
    batch, truth, car = drive()
    says = Says(batch.T_src_tgt)
    free = FreeDepth(batch, (16, 24), START)
    teacher = Teacher(free, says, SS_MDE.loss, SS_MDE.pseudo_depth)
    fit(teacher, batch, 60)
    own = SelfSupervised(copy.deepcopy(free), says, SS_MDE.loss)
    taught = TeacherNetworks(copy.deepcopy(free), says)
    student = Student(own, taught, SS_MDE.student, SS_MDE.pseudo_depth)
    fit(student, batch, 30)
    row = np.nonzero(car.any(1))[0].max()  # where its wheels stand
    road = float(batch.intrinsics[0, 1, 1]) * EYE / (row - (SIZE[0] - 1) / 2)
    still = (truth > 0) & ~car
    for method in (teacher, student):
        depth = method.depth_net(batch.target)[0, 0].detach().numpy()
        assert np.median(depth[car]) < 1.1 * road
        assert np.median(np.abs(depth - truth)[still] / truth[still]) < 0.1
