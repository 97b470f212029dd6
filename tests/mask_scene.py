"""A drawn scene for the mask filter: wall, floor, a box at rest and a box that moves.

Every pixel is a ray that meets planes and boxes, so images, depth and motion masks are formulas.
The teacher's depth is the truth with the faults of a network: smooth noise and wrong patches, drawn
anew for every image, and a little smooth noise that all images share.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ssmde.geometry.camera import invert_motion, rigid_motion
from ssmde.methods.mask_filter import TeacherPrediction

WALL, FLOOR = 7.0, 1.2  # metres from the first camera, forward and down
RESTING = ((-2.0, 0.0, 4.2), (-0.8, 1.2, 5.2))  # two corners of a box
MOVING = ((-0.1, 0.0, 2.9), (0.9, 1.0, 3.7))
STEPS = {  # of the moving box, metres per frame
    "still": (0.0, 0.0, 0.0), "lateral": (0.22, 0.0, 0.0), "oblique": (0.15, 0.0, 0.20),
    "towards": (0.0, 0.0, -0.30),
}  # fmt: skip
CAMERA_STEP = (0.12, 0.02, 0.08)  # metres per frame
CAMERA_TURN = (0.004, -0.010, 0.003)  # radians per frame
GAINS = (1.0, 1.03, 0.97)  # exposure of the target and its two neighbours


class MaskScene(NamedTuple):
    """What the filter gets, and the truth it should find; maps are (1, 1, h, w)."""

    inputs: TeacherPrediction
    depth: Tensor  # of the target
    box: Tensor  # True on the box that moves, unless the scene is `still`


def draw_scene(kind: str, *, seed: int = 0, height: int = 128, width: int = 160) -> MaskScene:
    """Three frames, the target in the middle."""
    generator = torch.Generator().manual_seed(seed)
    waves = _waves(generator)
    focal, size = 0.9 * width, (height, width)
    K = torch.tensor([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
    frames = [_draw(waves, STEPS[kind], time, K, size) for time in (0, -1, 1)]
    images = [  # each with its own exposure and noise
        (gain * frame[0] + 0.01 * torch.randn(frame[0].shape, generator=generator)).clamp(0, 1)
        for frame, gain in zip(frames, GAINS, strict=True)
    ]
    common = 1 + 0.02 * _smooth(size, generator)
    truths = [frames[i][1] for i in (0, 1, 2, 0)]  # the last for the mirrored target
    teacher = [common * _as_a_network_sees_it(truth, generator) for truth in truths]
    T = torch.stack([_pose(time) @ invert_motion(_pose(0)) for time in (-1, 1)])
    error = rigid_motion(
        0.0005 * torch.randn(2, 3, generator=generator),
        0.003 * torch.randn(2, 3, generator=generator),
    )
    inputs = TeacherPrediction(
        target=images[0][None], sources=torch.stack(images[1:])[None],
        depth=teacher[0][None, None], source_depth=torch.stack(teacher[1:3])[None, :, None],
        flipped_depth=teacher[3][None, None], T_src_tgt=(error @ T)[None], intrinsics=K[None],
    )  # fmt: skip
    return MaskScene(inputs, frames[0][1][None, None], (frames[0][2] == 3)[None, None])


def _pose(time: int) -> Tensor:
    """`T_cam_world` at a time; the camera at 0 is the world."""
    turn, step = torch.tensor(CAMERA_TURN), torch.tensor(CAMERA_STEP)
    return invert_motion(rigid_motion(time * turn, time * step))


def _draw(waves, step, time: int, K: Tensor, size: tuple[int, int]) -> tuple[Tensor, ...]:
    """Color (3, h, w), depth (h, w) and the number of the body (h, w) at a time."""
    v, u = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in size), indexing="ij")
    rays = torch.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], torch.ones_like(u)], -1)
    T_world_cam = invert_motion(_pose(time))
    start, rays = T_world_cam[:3, 3], rays @ T_world_cam[:3, :3].T
    shift = time * torch.tensor(step)

    def meet_box(corners: Tensor) -> Tensor:
        """Depth at which rays enter a box, inf where they miss it."""
        first, second = ((corner - start) / rays for corner in corners)
        near, far = torch.minimum(first, second).amax(-1), torch.maximum(first, second).amin(-1)
        return torch.where((near < far) & (near > 0), near, torch.inf)

    floor = torch.where(rays[..., 1] > 0, (FLOOR - start[1]) / rays[..., 1], torch.inf)
    boxes = meet_box(torch.tensor(RESTING)), meet_box(torch.tensor(MOVING) + shift)
    depth, body = torch.stack([(WALL - start[2]) / rays[..., 2], floor, *boxes]).min(0)
    points = start + rays * depth[..., None]
    points = torch.where((body == 3)[..., None], points - shift, points)
    color = torch.zeros(3, *size)
    for number, (directions, phases, amplitudes) in enumerate(waves):
        here = points[body == number]
        color[:, body == number] = (amplitudes * (here @ directions + phases).sin()).sum(-1)
    return (0.5 + color).clamp(0, 1), depth, body


def _waves(generator: torch.Generator, count: int = 16) -> list[tuple[Tensor, Tensor, Tensor]]:
    """For each of the four bodies and three colors, plane waves of 0.25 to 2 metres."""
    found = []
    for _ in range(4):
        directions = F.normalize(torch.randn(3, 3, count, generator=generator), dim=1)
        length = 0.25 * 8 ** torch.rand(count, generator=generator)
        phases = 2 * math.pi * torch.rand(3, 1, count, generator=generator)
        amplitudes = 0.06 * (0.5 + torch.rand(3, 1, count, generator=generator))
        found.append((directions * (2 * math.pi / length), phases, amplitudes))
    return found


def _as_a_network_sees_it(depth: Tensor, generator: torch.Generator) -> Tensor:
    """The truth times 3 % smooth noise, and 30 % too near or too far in patches on 15 %."""
    size = (depth.shape[0], depth.shape[1])
    noise = 1 + 0.03 * _smooth(size, generator)
    where, sign = (_smooth(size, generator) for _ in range(2))
    patches = torch.where(where > where.quantile(0.85), 0.3 * sign.sign(), 0.0)
    return depth * noise * (1 + patches)


def _smooth(size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Noise of mean 0 and deviation 1 that varies over 8 x 10 cells."""
    coarse = torch.randn(1, 1, 8, 10, generator=generator)
    fine = F.interpolate(coarse, size, mode="bicubic", align_corners=True)[0, 0]
    return (fine - fine.mean()) / fine.std()
