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
from ssmde.data.sequence import from_hfov
from ssmde.geometry.camera import invert_motion
from ssmde.methods.self_supervised import SelfSupervised
from ssmde.methods.student import Student, TeacherNetworks
from ssmde.methods.teacher import Teacher
from ssmde.models.depth_net import DepthNet
from ssmde.presets import PHOTOMETRIC, SS_MDE
from ssmde.synthetic import poses
from ssmde.synthetic.bodies import textured
from ssmde.synthetic.raycast import render
from ssmde.synthetic.scene import Body, Part, Plane, Scene, Track, stand
from ssmde.types import Batch
from streets import LANE, car, crossings, street

H, W = 64, 96
FOCAL = 75.0  # pixels; 65 degrees across
EYE = 1.6  # metres above the road
START = 12.0  # metres, the depth before any training
HOLE = 1.3  # depth of the car over that of the road it stands on
SEED = 1  # of three streets the auto mask keeps the car out of the hole in one, seed 0
POINTS = 100  # tracked points of a frame


class FreeDepth(DepthNet):
    """A coarse map of disparity for each known frame, and its mirror image for mirrored frames."""

    def __init__(self, images: torch.Tensor, grid: tuple[int, int], start: float) -> None:
        nn.Module.__init__(self)  # none of the parts of a DepthNet
        self.images = torch.cat([images, images.flip(-1)])
        first = torch.full((len(images), 1, *grid), -float(np.log(start)))
        self.log_disparity = nn.Parameter(first)

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


def fit(method: nn.Module, batch: Batch, steps: int, rate: float = 0.05) -> None:
    """Train on one batch."""
    torch.manual_seed(0)
    optimizer = torch.optim.Adam([p for p in method.parameters() if p.requires_grad], rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        optimizer.zero_grad()
        method(batch, step / steps).loss.backward()
        optimizer.step()
        schedule.step()


def render_three(scene: Scene, T_world_cam: np.ndarray, K: np.ndarray, size: tuple[int, int]):
    """What is seen in the middle one of three frames, their images, and the batch of them."""
    seen = [render(scene, T, K, size, i / 10) for i, T in enumerate(T_world_cam)]
    images = torch.from_numpy(np.stack([s.image for s in seen])).movedim(3, 1) / 255
    T = torch.from_numpy(T_world_cam).float()
    batch = Batch(
        target=images[1:2], sources=images[[0, 2]][None],
        intrinsics=torch.from_numpy(K).float()[None],
        T_src_tgt=(invert_motion(T[[0, 2]]) @ T[1])[None],
    )  # fmt: skip
    return seen[1], images, batch


# A wall

LOSSES = {
    "photometric": LossConfig(smoothness=1e-4),
    "consistent": LossConfig(geometry=0.1, smoothness=1e-4),
}


@pytest.mark.parametrize(
    ("loss", "exchanged"),
    [
        ("photometric", False),
        pytest.param("consistent", False, marks=pytest.mark.slow),
        pytest.param("photometric", True, marks=pytest.mark.slow),
        pytest.param("consistent", True, marks=pytest.mark.slow),
    ],
)
def test_a_static_wall_gets_its_depth_unless_the_views_are_exchanged(loss, exchanged):
    rng = np.random.default_rng(1)
    checks = textured(rng, (0.8, 0.7, 0.6), 1.3, 0.25, "checks", (0.2, 0.5, 0.8))
    wall = Body((Part(Plane(2), checks, casts_shadow=False),), stand(0.0, 4.0, heading=0.5))
    scene = Scene((wall,), light=(0.36, -0.48, -0.8), ambient=0.6)
    step, x = 0.25, np.arange(3.0)  # along the wall, swaying and turning a little
    path = step * np.stack([np.cos(0.5) * x, 0.1 * np.sin(2 * x), -np.sin(0.5) * x], axis=1)
    T_world_cam = poses(path, 0.2 * np.stack([np.sin(x), np.cos(x), 0 * x], axis=1))
    K = from_hfov((32, 64), 65.0)
    seen, images, batch = render_three(scene, T_world_cam, K, (32, 64))
    says = Says(invert_motion(batch.T_src_tgt) if exchanged else batch.T_src_tgt)
    free = FreeDepth(images, (3, 5), np.e)
    method = Teacher(free, says, LOSSES[loss], normalize=False)
    fit(method, replace(batch, T_src_tgt=None), 150, 0.05)
    truth = torch.from_numpy(seen.depth)
    error = ((free(images[1:2])[0, 0].detach() - truth).abs() / truth).mean()
    assert error > 0.1 if exchanged else error < 0.01


# A car


class Drive:
    """Three frames of a street with a car ahead; the middle one is the target."""

    def __init__(self, closing: float) -> None:
        """Draw it; the camera gets nearer by `closing` of what it drives, a metre a frame."""
        z = np.arange(4.0)
        path = np.stack([np.full(4, LANE), np.full(4, -EYE), z], axis=1)
        T_world_cam = poses(path, np.zeros_like(path))
        rng = np.random.default_rng([SEED, 0])
        scene = street(rng, 3.0, crossings(rng, 83.0))
        ahead = np.stack([np.full(4, LANE), 0 * z, z + 9 - closing * (z - 1)], axis=1)
        track = Track(times=z / 10, positions=ahead, headings=0 * z)
        scene = replace(scene, bodies=(*scene.bodies, car(np.random.default_rng([SEED, 3]), track)))
        K = np.array([[FOCAL, 0, (W - 1) / 2], [0, FOCAL, (H - 1) / 2], [0, 0, 1]])
        seen, self.images, self.batch = render_three(scene, T_world_cam[:3], K, (H, W))
        self.truth, self.car = seen.depth, seen.moving == 255
        self.row = int(np.nonzero(self.car.any(1))[0].max())  # where its wheels stand

    def with_label(self) -> Batch:
        """The target with a label, fitted to points of what stands still as `ss_mde` does it."""
        rng = np.random.default_rng(SEED)
        still = np.argwhere((self.truth > 0) & (self.truth < 40) & ~self.car)
        points = still[rng.choice(len(still), POINTS, replace=False)]
        depth = self.truth[points[:, 0], points[:, 1]]
        unit = np.median(depth)
        seen = np.where(self.truth > 0, 0.7 * (self.truth**0.9 + 0.1 * unit), 0).astype("f4")
        label = fit_to_points(seen, points[:, ::-1].astype("f4"), depth / unit, (H, W))
        return replace(self.batch, pseudo_depth=torch.from_numpy(label * unit)[None, None])

    def judge(self, net: DepthNet) -> tuple[float, float]:
        """Median depth of the car over that of the road under its wheels; error elsewhere."""
        with torch.no_grad():
            depth = net(self.batch.target)[0, 0].numpy()
        road = FOCAL * EYE / (self.row - (H - 1) / 2)
        still = (self.truth > 0) & ~self.car
        error = np.abs(depth - self.truth)[still] / self.truth[still]
        return float(np.median(depth[self.car])) / road, float(np.median(error))

    def network(self) -> FreeDepth:
        return FreeDepth(self.images, (16, 24), START)


drawn = cache(Drive)


def test_the_car_stands_on_the_road_in_the_truth_and_the_auto_mask_leaves_it_out():
    drive = drawn(0.0)
    assert 200 < drive.car.sum() < 400
    assert np.median(drive.truth[drive.car]) < 9
    label = drive.with_label().pseudo_depth[0, 0].numpy()
    assert np.median(label[drive.car]) < HOLE * 8
    method = Teacher(drive.network(), Says(drive.batch.T_src_tgt), PHOTOMETRIC.loss)
    mask = method(drive.batch, 1.0).maps["auto_mask"][0, 0].numpy()
    assert mask[drive.car].mean() < 0.2
    assert mask[~drive.car].mean() > 0.4


@pytest.mark.slow
def test_with_photometric_a_car_a_little_slower_than_the_camera_falls_into_a_hole():
    drive = drawn(0.1)
    method = Teacher(drive.network(), Says(drive.batch.T_src_tgt), PHOTOMETRIC.loss)
    fit(method, drive.batch, 100)
    hole, elsewhere = drive.judge(method.depth_net)
    assert hole > HOLE
    assert elsewhere < 0.25


@pytest.mark.slow
@pytest.mark.parametrize("closing", [0.1, 0.0])
def test_with_ss_mde_the_car_stands_on_the_road_in_both_stages(closing):
    drive = drawn(closing)
    batch, says = drive.with_label(), Says(drive.batch.T_src_tgt)
    teacher = Teacher(drive.network(), says, SS_MDE.loss, SS_MDE.pseudo_depth)
    fit(teacher, batch, 60)
    own = SelfSupervised(copy.deepcopy(teacher.depth_net), says, SS_MDE.loss)
    taught = TeacherNetworks(copy.deepcopy(teacher.depth_net), says)
    student = Student(own, taught, SS_MDE.student, SS_MDE.pseudo_depth)
    fit(student, batch, 30)
    for method in (teacher, student):
        over_road, elsewhere = drive.judge(method.depth_net)
        assert over_road < 1.1
        assert elsewhere < 0.1
