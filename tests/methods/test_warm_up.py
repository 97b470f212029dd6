"""Warm-up: exact on a pure turn, blind to translation while turning, then upright."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from ssmde.config import Config, LossConfig, ModelConfig
from ssmde.geometry.camera import invert_motion, rigid_motion
from ssmde.methods.teacher import (
    TURN_BLURS,
    build_teacher,
    motion_error,
    plane_error,
    rotation_only,
    upright_depth,
)
from ssmde.synthetic import draw_clip
from tiny_networks import random_batch

ROLL = math.radians(8)
MODEL = ModelConfig(encoder="resnet18_half")


def turning_camera() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A frame, the same frame turned about its centre by Pillow, and the motion by hand.

    Pillow turns the picture against the clock; with v pointing down the target pixel (u, v) about
    the centre was (u cos a - v sin a, u sin a + v cos a): a turn of +a about z.
    """
    source = draw_clip("room", frames=1, size=(64, 96), seed=2).images[0]
    target = np.array(Image.fromarray(source).rotate(math.degrees(ROLL), Image.Resampling.BILINEAR))
    images = torch.from_numpy(np.stack([target, source])).permute(0, 3, 1, 2).float() / 255
    K = torch.tensor([[[80.0, 0, 47.5], [0, 80.0, 31.5], [0, 0, 1]]])
    turn = torch.tensor([[0.0, 0.0, ROLL]])
    return images, rigid_motion(turn, torch.zeros(1, 3)), K


def rotation_error(target, source, T_src_tgt, intrinsics):
    """Error of the turn alone, as in the first phase."""
    turn, anywhere = rotation_only(T_src_tgt), torch.ones_like(target[:, :1])
    return motion_error(target, source, anywhere, turn, intrinsics, blurs=TURN_BLURS)


def test_the_true_turn_explains_the_frame_better_than_none_or_its_inverse():
    (target, source), T, K = turning_camera()
    view = target[None], source[None]
    true = rotation_error(*view, T, K)
    assert true < 0.3 * rotation_error(*view, torch.eye(4)[None], K)
    assert true < 0.2 * rotation_error(*view, invert_motion(T), K)


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
    (target, source), _, K = turning_camera()
    turn = torch.zeros(1, 3, requires_grad=True)
    optimizer = torch.optim.Adam([turn], 0.01)
    for _ in range(40):
        optimizer.zero_grad()
        found = rigid_motion(turn, torch.zeros(1, 3))
        rotation_error(target[None], source[None], found, K).backward()
        optimizer.step()
    assert (turn - torch.tensor([[0.0, 0.0, ROLL]])).norm() < 0.1 * ROLL


def test_while_the_rotation_is_learnt_the_depth_network_rests():
    torch.manual_seed(0)
    method = build_teacher(Config(model=MODEL, loss=LossConfig(warmup=0.5, geometry=0.1)))
    batch = random_batch(1)
    out = method(batch, 0.49)
    out.loss.backward()
    assert set(out.terms) == {"motion"}
    assert all(p.grad is not None and not p.grad.any() for p in method.depth_net.parameters())
    assert any(p.grad is not None and p.grad.any() for p in method.pose_net.parameters())
    assert set(method(batch, 1.0).terms) == {"photometric", "geometry", "smoothness"}


def test_the_plane_is_nearer_below_and_one_in_the_middle():
    depth = upright_depth(torch.zeros(2, 3, 5, 4))
    assert depth.shape == (2, 1, 5, 4)
    assert depth[0, 0, 2].tolist() == [1.0] * 4
    assert (depth.diff(dim=2) < 0).all()
    assert plane_error(depth) == 0
    assert plane_error(math.e * depth).item() == pytest.approx(1.0)


def test_before_the_plane_both_networks_learn():
    torch.manual_seed(0)
    method = build_teacher(Config(model=MODEL, loss=LossConfig(warmup=0.25)))
    out = method(random_batch(1), 0.3)
    out.loss.backward()
    assert set(out.terms) == {"motion", "upright"}
    for net in (method.depth_net, method.pose_net):
        assert all(p.grad is not None for p in net.parameters())
        assert any(p.grad is not None and p.grad.any() for p in net.parameters())


def test_normalised_depth_makes_the_loss_blind_to_its_scale():
    loss = LossConfig(geometry=0.1)
    torch.manual_seed(0)
    method, batch = build_teacher(Config(model=MODEL, loss=loss)).eval(), random_batch(1)
    honest = method.depth_net.pyramid
    first = method(batch, 1.0).loss
    method.depth_net.pyramid = lambda image: tuple(7 * d for d in honest(image))
    assert_close(method(batch, 1.0).loss, first)
