"""Stage 1: views held against each other, the terms of the loss, and the warm-up."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.testing import assert_close

from ssmde.config import Config, LossConfig, ModelConfig
from ssmde.geometry.camera import rigid_motion
from ssmde.methods.self_supervised import compare, join_sources
from ssmde.methods.teacher import (
    TURN_BLURS,
    Teacher,
    build_teacher,
    motion_error,
    plane_error,
    rotation_only,
    upright_depth,
)
from ssmde.synthetic import draw_clip
from ssmde.types import Batch
from tiny_networks import TinyDepthNet, TinyPoseNet, random_batch

# Views, on a scene whose geometry is a formula

H, W, F = 8, 12, 10.0
K = torch.tensor([[[F, 0, 5.5], [0, F, 3.5], [0, 0, 1]]], dtype=torch.float64)


def test_the_true_depth_and_motion_explain_a_sideways_step():
    wide = torch.rand(1, 3, H, W + 2, dtype=torch.float64)
    view, other = wide[..., :W], wide[..., 2:]  # the other camera stands two pixels to the right
    wall, T = torch.full((1, 1, H, W), 2.0).double(), torch.eye(4).double()[None]
    T[0, 0, 3] = -2 * 2.0 / F
    error, _, visible = compare(view, other, wall, T, K)
    assert visible.sum() == H * (W - 2)
    seen = error[visible]  # also beside the unseen columns: they darken no window
    assert_close(seen, torch.zeros_like(seen), atol=1e-6, rtol=0)
    wrong, *_ = compare(view, other, wall, T.inverse(), K)
    assert wrong[..., 3:-3].mean() > 0.2  # the same step taken backwards explains nothing


@pytest.mark.parametrize(("visible", "joined"), [(True, (0.2, 0.7)), (False, (0.0, 0.0))])
def test_the_best_source_brings_its_own_inconsistency(visible, joined):
    pixel = ((0.4, 0.2), (0.1, 0.7), (visible, visible))  # in two sources
    found = join_sources(tuple(torch.tensor(two).view(2, 1, 1, 1) for two in pixel), 2)
    assert [value.item() for value in found] == pytest.approx([*joined, visible])


# Terms

EVERYTHING = LossConfig(geometry=0.5, scales=(0, 1, 2, 3))
ONE_SIZE = LossConfig(geometry=0.5)


def teacher(loss: LossConfig = ONE_SIZE) -> Teacher:
    torch.manual_seed(0)
    return Teacher(TinyDepthNet(), TinyPoseNet(), loss)


def test_the_loss_is_the_sum_of_its_named_terms_and_every_weight_learns():
    method = build_teacher(Config(model=ModelConfig(encoder="resnet18_half"), loss=EVERYTHING))
    out = method(random_batch(), 0.0)
    assert set(out.terms) == {"photometric", "geometry", "smoothness"}
    assert_close(out.loss.detach(), torch.stack(list(out.terms.values())).sum())
    assert set(out.maps) == {"depth", "photometric_error", "auto_mask", "weight_mask"}
    assert all(m.shape == (2, 1, 32, 64) and not m.requires_grad for m in out.maps.values())
    out.loss.backward()
    assert [name for name, p in method.named_parameters() if p.grad is None] == []
    thrice = teacher(replace(ONE_SIZE, geometry=1.5))(random_batch(), 0.0).terms["geometry"]
    assert_close(thrice, 3 * teacher()(random_batch(), 0.0).terms["geometry"])
    alone = teacher(LossConfig(geometry=0.0, smoothness=0.0))(random_batch(), 0.0)
    assert set(alone.terms) == {"photometric"}
    with torch.autocast("cpu", torch.bfloat16):
        out = method(random_batch(), 0.0)
    assert out.loss.dtype == torch.float32
    assert torch.isfinite(out.loss)


def test_the_loss_of_a_batch_is_the_mean_of_its_images_and_the_order_of_sources_does_not_matter():
    method, whole = teacher().eval(), random_batch(2)
    together = method(whole, 0.0).loss
    alone = [
        method(Batch(target=t[None], sources=s[None], intrinsics=K[None]), 0.0).loss
        for t, s, K in zip(whole.target, whole.sources, whole.intrinsics, strict=True)
    ]
    assert_close(together, torch.stack(alone).mean(), rtol=1e-4, atol=1e-6)
    assert_close(together, method(replace(whole, sources=whole.sources.flip(1)), 0.0).loss)


@pytest.mark.parametrize("fault", ["black frames", "nothing in sight"])
def test_where_no_pixel_counts_the_gradient_is_finite(fault):
    method, batch = teacher(LossConfig()), random_batch(step=0.02)
    if fault == "black frames":
        batch = replace(batch, target=0 * batch.target, sources=0 * batch.sources)
    else:
        batch.T_src_tgt[..., 2, 3] = -1e4  # every point lies behind the sources
    out = method(batch, 0.0)
    out.loss.backward()
    assert torch.isfinite(out.loss)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in method.parameters())
    assert out.terms["photometric"] == 0  # every pixel stands still, or none is seen


def test_the_networks_see_jittered_colours_and_the_loss_does_not():
    method, whole = teacher(LossConfig()).eval(), random_batch()
    identity = torch.eye(3, 4).expand(2, 3, 4)
    assert_close(method(replace(whole, color=identity), 0.0).loss, method(whole, 0.0).loss)
    out = method(replace(whole, color=torch.zeros(2, 3, 4)), 0.0)
    assert_close(out.maps["depth"][0], out.maps["depth"][1])  # both looked at black
    assert out.terms["photometric"] > 0  # while the loss compared the real frames


def test_known_motion_takes_the_place_of_the_networks_and_is_learnt_by_it():
    method = teacher(replace(ONE_SIZE, warmup=0.5)).eval()
    known, other = method(random_batch(step=0.02), 0.0), method(random_batch(step=0.2), 0.0)
    assert set(known.terms) == {"photometric", "geometry", "smoothness", "pose"}
    assert known.terms["photometric"] != other.terms["photometric"]
    for parameter in method.pose_net.parameters():
        nn.init.zeros_(parameter)
    still = method(random_batch(step=0.02), 0.0)
    assert_close(still.terms["photometric"], known.terms["photometric"])
    assert_close(still.terms["pose"], torch.tensor(0.02 / 3))


def test_tracked_points_pull_the_depth_to_theirs():
    known = random_batch(step=0.02)
    sparse = torch.zeros_like(known.target[:, :1])
    sparse[:, :, ::8, ::8] = 2.0
    method = teacher(replace(ONE_SIZE, sparse_depth=0.5)).eval()
    terms = method(replace(known, sparse_depth=sparse), 0.5).terms
    (depth,) = method.predict_depth(method.network_images(known), posed=True)
    off = (depth[:, 0, :, ::8, ::8] / 2).log().abs().mean()
    assert_close(terms["sparse_depth"], 0.5 * off.detach())
    assert "sparse_depth" not in method(known, 0.5).terms
    nothing = replace(known, sparse_depth=torch.zeros_like(sparse))
    assert method(nothing, 0.5).terms["sparse_depth"] == 0


# Warm-up

ROLL = math.radians(8)


@cache
def turning_camera() -> tuple[torch.Tensor, ...]:
    """A frame, the frame it was before the camera turned, the turn by hand, and the intrinsics.

    Pillow turns the picture against the clock; with v pointing down the target pixel (u, v) about
    the centre was (u cos a - v sin a, u sin a + v cos a): a turn of +a about z.
    """
    source = draw_clip("room", frames=1, size=(64, 96), seed=2).images[0]
    target = np.array(Image.fromarray(source).rotate(math.degrees(ROLL), Image.Resampling.BILINEAR))
    images = torch.from_numpy(np.stack([target, source])).permute(0, 3, 1, 2).float() / 255
    K = torch.tensor([[[80.0, 0, 47.5], [0, 80.0, 31.5], [0, 0, 1]]])
    T = rigid_motion(torch.tensor([[0.0, 0.0, ROLL]]), torch.zeros(1, 3))
    return images[:1], images[1:], T, K


def rotation_error(T_src_tgt):
    """Error of the turn alone, as in the first phase."""
    target, source, _, K = turning_camera()
    turn, anywhere = rotation_only(T_src_tgt), torch.ones_like(target[:, :1])
    return motion_error(target, source, anywhere, turn, K, blurs=TURN_BLURS)


def test_translation_changes_nothing_and_gets_no_gradient():
    moved = turning_camera()[2].clone()
    moved[:, :3, 3] += 7.0
    error = rotation_error(moved.requires_grad_())
    assert_close(error, rotation_error(turning_camera()[2]))
    (gradient,) = torch.autograd.grad(error, moved)
    assert [bool(part.any()) for part in gradient[:, :3].split((3, 1), 2)] == [True, False]


def test_the_turn_is_found_from_nothing_by_descent():
    turn = torch.zeros(1, 3, requires_grad=True)
    optimizer = torch.optim.Adam([turn], 0.01)
    for _ in range(40):
        optimizer.zero_grad()
        rotation_error(rigid_motion(turn, torch.zeros(1, 3))).backward()
        optimizer.step()
    assert (turn - torch.tensor([[0.0, 0.0, ROLL]])).norm() < 0.1 * ROLL


def test_the_plane_is_nearer_below_and_one_in_the_middle():
    depth = upright_depth(torch.zeros(2, 3, 5, 4))
    assert depth.shape == (2, 1, 5, 4)
    assert depth[0, 0, 2].tolist() == [1.0] * 4
    assert (depth.diff(dim=2) < 0).all()
    assert plane_error(depth) == 0
    assert plane_error(math.e * depth).item() == pytest.approx(1.0)


@pytest.mark.parametrize(("progress", "terms"), [(0.2, {"motion"}), (0.3, {"motion", "upright"})])
def test_the_depth_network_rests_until_the_plane_is_learnt(progress, terms):
    method = teacher(LossConfig(warmup=0.25, geometry=0.1))
    out = method(random_batch(1), progress)
    out.loss.backward()
    assert set(out.terms) == terms
    for net, rests in ((method.depth_net, progress < 0.25), (method.pose_net, False)):
        assert all(p.grad is not None for p in net.parameters())
        assert any(p.grad.any() for p in net.parameters()) != rests
    assert set(method(random_batch(1), 1.0).terms) == {"photometric", "geometry", "smoothness"}


def test_normalised_depth_makes_the_loss_blind_to_its_scale():
    method, batch = teacher().eval(), random_batch(1)
    honest, first = method.depth_net.pyramid, method(batch, 1.0).loss
    method.depth_net.pyramid = lambda image: tuple(7 * d for d in honest(image))
    assert_close(method(batch, 1.0).loss, first)
