"""Surface normals: planes by hand, then what may and may not change them."""

import kornia.geometry.depth as kornia
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.testing import assert_close

from ssmde.geometry.camera import flip_intrinsics, pixel_grid
from ssmde.geometry.surface import normals

H, W = 6, 8
slopes = st.floats(-0.8, 0.8)


def make_intrinsics(batch: int = 1) -> torch.Tensor:
    K = torch.tensor([[12.0, 0, 3.2], [0, 10.0, 2.9], [0, 0, 1]], dtype=torch.float64)
    return K.repeat(batch, 1, 1)


def slanted_wall(a: float, b: float, height: int = H, width: int = W) -> torch.Tensor:
    """Depth of the wall z = 2 + a x + b y."""
    K = make_intrinsics()[0]
    u, v = pixel_grid(height, width, like=K).unbind(-1)
    ray_x, ray_y = (u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1]
    return (2 / (1 - a * ray_x - b * ray_y))[None, None]


def bumps(batch: int = 1) -> torch.Tensor:
    return 2 + torch.rand(batch, 1, H, W, dtype=torch.float64)


def test_a_wall_straight_ahead_looks_along_the_view():
    flat = normals(torch.full((1, 1, H, W), 3.0, dtype=torch.float64), make_intrinsics())
    ahead = torch.tensor([0.0, 0, 1], dtype=torch.float64)
    assert_close(flat, ahead[None, :, None, None].expand_as(flat))


@given(a=slopes, b=slopes)
def test_a_slanted_wall_has_one_normal_up_to_the_border(a, b):
    found = normals(slanted_wall(a, b), make_intrinsics())
    expected = torch.tensor([-a, -b, 1.0], dtype=torch.float64)
    expected = expected / expected.norm()
    assert_close(found, expected[None, :, None, None].expand_as(found))


@given(scale=st.floats(1e-3, 1e4))
def test_normals_do_not_see_the_scale_of_the_depth(scale):
    depth, K = bumps().float(), make_intrinsics().float()
    assert_close(normals(scale * depth, K), normals(depth, K), atol=1e-4, rtol=0)


def test_normals_see_a_shift_of_the_depth():
    depth, K = slanted_wall(0.5, 0.0), make_intrinsics()
    assert (normals(depth + 2.0, K) - normals(depth, K)).abs().mean() > 0.05


def test_normals_have_length_one():
    assert_close(normals(bumps(2), make_intrinsics(2)).norm(dim=1), torch.ones(2, H, W).double())


def test_a_mirrored_surface_has_mirrored_normals():
    depth, K = bumps(), make_intrinsics()
    mirrored = normals(depth.flip(-1), flip_intrinsics(K, W)).flip(-1)
    sign = torch.tensor([-1.0, 1, 1], dtype=torch.float64)[None, :, None, None]
    assert_close(mirrored, sign * normals(depth, K))


def test_normals_agree_with_kornia():
    depth, K = bumps(2), make_intrinsics(2)
    assert_close(normals(depth, K), kornia.depth_to_normals(depth, K), atol=1e-6, rtol=0)


def test_gradients_of_normals_match_finite_differences():
    assert gradcheck(normals, (bumps()[..., :4, :4].clone().requires_grad_(), make_intrinsics()))


@pytest.mark.parametrize("columns", [W, W // 2, 1])
def test_a_surface_without_depth_has_no_normal_and_a_finite_gradient(columns):
    depth = bumps().float()
    depth[..., :columns] = 0
    depth.requires_grad_()
    found = normals(depth, make_intrinsics().float())
    found.square().sum().backward()
    assert found.isfinite().all()
    assert depth.grad is not None
    assert depth.grad.isfinite().all()
    if columns == W:
        assert not found.any()
        assert not depth.grad.any()


def test_any_batch_size_gives_what_each_image_gives_alone():
    depth, K = bumps(3), make_intrinsics(3)
    K[1, 0, 0], K[2, 1, 2] = 20.0, 1.0
    alone = [normals(depth[i : i + 1], K[i : i + 1]) for i in range(3)]
    assert_close(normals(depth, K), torch.cat(alone))


def test_reduced_precision_of_convolutions_does_not_touch_normals():
    depth, K = bumps().float(), make_intrinsics().float()
    with torch.autocast("cpu", torch.bfloat16):
        inside = normals(depth, K)
    assert torch.equal(inside, normals(depth, K))
