"""Rotation first: exact on a pure turn, blind to translation, and it learns the turn."""

import torch
from torch.testing import assert_close

from ssmde.config import LossConfig, ModelConfig
from ssmde.data.drawn import draw_clip
from ssmde.geometry.pose import invert_motion, matrix_to_axis_angle, rigid_motion
from ssmde.methods.rotation import rotation_error, rotation_only
from ssmde.methods.schedule import ramp
from ssmde.methods.teacher import build_teacher
from ssmde.types import Batch


def turning_camera() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two frames of a room between which the camera turns much and moves little, and the truth."""
    clip = draw_clip("room", frames=5, size=(64, 96), seed=2, step=0.002, rotation=1.5)
    images = torch.from_numpy(clip.images[[0, 3]]).permute(0, 3, 1, 2).float() / 255
    poses = torch.from_numpy(clip.poses[[0, 3]]).float()
    T_src_tgt = invert_motion(poses[1:]) @ poses[:1]
    return images, T_src_tgt, torch.from_numpy(clip.intrinsics).float()[None]


def test_the_true_turn_explains_the_frame_better_than_none_or_its_inverse():
    (target, source), T, K = turning_camera()
    view = target[None], source[None]
    true = rotation_error(*view, T, K)
    assert true < 0.5 * rotation_error(*view, torch.eye(4)[None], K)
    assert true < 0.5 * rotation_error(*view, invert_motion(T), K)


def test_translation_changes_nothing_and_gets_no_gradient():
    (target, source), T, K = turning_camera()
    moved = T.clone()
    moved[:, :3, 3] += 7.0
    moved.requires_grad_()
    error = rotation_error(target[None], source[None], moved, K)
    assert_close(error, rotation_error(target[None], source[None], T, K))
    (gradient,) = torch.autograd.grad(error, moved)
    assert gradient[:, :3, 3].abs().max() == 0
    assert gradient[:, :3, :3].abs().max() > 0
    assert rotation_only(moved)[0, :3, 3].tolist() == [0, 0, 0]


def test_the_turn_is_found_from_nothing_by_descent():
    (target, source), T, K = turning_camera()
    turn = torch.zeros(1, 3, requires_grad=True)
    optimizer = torch.optim.Adam([turn], 0.004)
    for _ in range(60):
        optimizer.zero_grad()
        found = rigid_motion(turn, torch.zeros(1, 3))
        rotation_error(target[None], source[None], found, K).backward()
        optimizer.step()
    truth = matrix_to_axis_angle(T[:, :3, :3])
    assert truth.norm() > 0.06  # radians, about six pixels here
    assert (turn - truth).norm() < 0.2 * truth.norm()


def test_while_the_rotation_is_learnt_the_depth_network_rests():
    torch.manual_seed(0)
    method = build_teacher(ModelConfig(), LossConfig(rotation_first=0.5, geometry=0.1))
    frames = torch.rand(1, 3, 3, 32, 64)
    K = torch.tensor([[[40.0, 0, 31.5], [0, 40.0, 15.5], [0, 0, 1]]])
    batch = Batch(target=frames[:, 0], sources=frames[:, 1:], intrinsics=K)
    out = method(batch, 0.49)
    out.loss.backward()
    assert set(out.terms) == {"rotation"}
    assert all(p.grad is not None and not p.grad.any() for p in method.depth_net.parameters())
    assert any(p.grad is not None and p.grad.any() for p in method.pose_net.parameters())
    assert set(method(batch, 0.5).terms) == {"photometric", "geometry", "smoothness"}


def test_a_ramp_rises_in_a_line_and_stays():
    assert [ramp(p, 0.5) for p in (0.0, 0.25, 0.5, 1.0)] == [0.0, 0.5, 1.0, 1.0]
    assert ramp(0.0, 0.0) == 1.0
