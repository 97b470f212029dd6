"""The self-supervised core, with networks small enough to reason about."""

import copy
from dataclasses import replace

import torch
from torch import nn
from torch.testing import assert_close

from ssmde.config import Config, DataConfig, LossConfig, ModelConfig
from ssmde.methods.teacher import Teacher, build_teacher
from ssmde.types import Batch
from tiny_networks import random_batch

H, W = 32, 64
MODEL = ModelConfig(encoder="resnet18_half")
EVERYTHING = LossConfig(geometry=0.5, scales=(0, 1, 2, 3))


def teacher(loss: LossConfig = EVERYTHING) -> Teacher:
    torch.manual_seed(0)
    poses = "tracked" if loss.sparse_depth > 0 else "none"
    return build_teacher(Config(model=MODEL, loss=loss, data=DataConfig(poses=poses)))


def test_the_loss_is_the_sum_of_its_named_terms():
    method = teacher()
    out = method(random_batch(), 0.0)
    assert set(out.terms) == {"photometric", "geometry", "smoothness"}
    assert_close(out.loss.detach(), torch.stack(list(out.terms.values())).sum())
    assert set(out.maps) == {"depth", "photometric_error", "auto_mask", "weight_mask"}
    assert all(m.shape == (2, 1, H, W) and not m.requires_grad for m in out.maps.values())
    out.loss.backward()
    assert [name for name, p in method.named_parameters() if p.grad is None] == []
    copied = copy.deepcopy(method)  # nothing of a step is kept
    assert_close(copied(random_batch(), 0.0).loss, method(random_batch(), 0.0).loss)


def test_weights_multiply_their_terms_and_one_of_zero_leaves_its_term_out():
    once, thrice = teacher(EVERYTHING), teacher(replace(EVERYTHING, geometry=1.5))
    first, second = once(random_batch(), 0.0).terms, thrice(random_batch(), 0.0).terms
    assert_close(second["geometry"], 3 * first["geometry"])
    assert_close(second["photometric"], first["photometric"])
    out = teacher(LossConfig(geometry=0.0, smoothness=0.0))(random_batch(), 0.0)
    assert set(out.terms) == {"photometric"}


def test_in_evaluation_mode_the_loss_of_a_batch_is_the_mean_of_its_images():
    method = teacher().eval()
    together, whole = method(random_batch(2), 0.0).loss, random_batch(2)
    alone = [
        method(Batch(target=t[None], sources=s[None], intrinsics=K[None]), 0.0).loss
        for t, s, K in zip(whole.target, whole.sources, whole.intrinsics, strict=True)
    ]
    assert_close(together, torch.stack(alone).mean(), rtol=1e-4, atol=1e-6)


def test_the_order_of_the_sources_does_not_matter():
    method, whole = teacher().eval(), random_batch()
    swapped = replace(whole, sources=whole.sources.flip(1))
    assert_close(method(whole, 0.0).loss, method(swapped, 0.0).loss)


def test_black_frames_and_no_motion_leave_a_finite_gradient():
    method, whole = teacher(), random_batch()
    black = replace(
        whole, target=torch.zeros_like(whole.target), sources=torch.zeros_like(whole.sources)
    )
    out = method(black, 0.0)
    out.loss.backward()
    assert torch.isfinite(out.loss)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in method.parameters())
    assert out.terms["photometric"] == 0  # every pixel stands still


class FarAway(nn.Module):
    """A pose network that says every source looks from behind the scene."""

    def __init__(self) -> None:
        super().__init__()
        self.z = nn.Parameter(torch.tensor(-1e4))

    def forward(self, target: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        T = torch.eye(4).repeat(target.shape[0], 1, 1)
        return T + self.z * (torch.arange(16).view(4, 4) == 11)


def test_when_no_pixel_is_valid_the_loss_is_zero_with_a_gradient():
    loss = replace(EVERYTHING, geometry=0.0, smoothness=0.0)
    method = Teacher(teacher().depth_net, FarAway(), loss)
    out = method(random_batch(), 0.0)
    out.loss.backward()
    assert out.loss == 0
    assert all(p.grad is not None and p.grad.isfinite().all() for p in method.parameters())


def test_the_networks_see_jittered_colours_and_the_loss_does_not():
    method, whole = teacher(LossConfig()).eval(), random_batch()
    identity = torch.eye(3, 4).expand(2, 3, 4)
    assert_close(method(replace(whole, color=identity), 0.0).loss, method(whole, 0.0).loss)
    black = torch.zeros(2, 3, 4)
    out = method(replace(whole, color=black), 0.0)
    assert_close(out.maps["depth"][0], out.maps["depth"][1])  # both looked at black
    assert out.terms["photometric"] > 0  # while the loss compared the real frames


def test_bf16_networks_leave_losses_in_fp32():
    with torch.autocast("cpu", torch.bfloat16):
        out = teacher()(random_batch(), 0.0)
    assert out.loss.dtype == torch.float32
    assert torch.isfinite(out.loss)


def test_known_motion_takes_the_place_of_the_networks_and_is_learnt_by_it():
    method = teacher(replace(EVERYTHING, warmup=0.5)).eval()
    known, other = method(random_batch(step=0.02), 0.0), method(random_batch(step=0.2), 0.0)
    assert set(known.terms) == {"photometric", "geometry", "smoothness", "pose"}
    assert known.terms["photometric"] != other.terms["photometric"]
    with torch.no_grad():
        for parameter in method.pose_net.parameters():
            parameter.zero_()
    still = method(random_batch(step=0.02), 0.0)
    assert_close(still.terms["photometric"], known.terms["photometric"])
    assert_close(still.terms["pose"], torch.tensor(0.02 / 3))


def test_tracked_points_pull_the_depth_to_theirs():
    known = random_batch(step=0.02)
    sparse = torch.zeros_like(known.target[:, :1])
    sparse[:, :, ::8, ::8] = 2.0
    with_points = replace(known, sparse_depth=sparse)
    method = teacher(replace(EVERYTHING, sparse_depth=0.5)).eval()
    terms = method(with_points, 0.5).terms
    depth = method.predict_depth(method.network_images(known), posed=True)
    off = torch.stack([(d[:, 0, :, ::8, ::8] / 2).log().abs().mean() for d in depth]).mean()
    torch.testing.assert_close(terms["sparse_depth"], 0.5 * off.detach())
    assert "sparse_depth" not in method(known, 0.5).terms
    none = method(replace(known, sparse_depth=torch.zeros_like(sparse)), 0.5).terms["sparse_depth"]
    assert none == 0
