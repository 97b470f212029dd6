"""Surface normals: planes by hand, then what may and may not change them."""

import kornia.geometry.depth as kornia
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.testing import assert_close

from ssmde.geometry import flip_intrinsics, normals, pixel_grid

H, W = 6, 8
slopes = st.floats(-0.8, 0.8)


def make_intrinsics(batch: int = 1) -> torch.Tensor:
    K = torch.tensor([[12.0, 0, 3.2], [0, 10.0, 2.9], [0, 0, 1]], dtype=torch.float64)
    return K.repeat(batch, 1, 1)


def slanted_wall(a: float, b: float) -> torch.Tensor:
    """Depth of the wall z = 2 + a x + b y."""
    K = make_intrinsics()[0]
    u, v = pixel_grid(H, W, like=K).unbind(-1)
    ray_x, ray_y = (u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1]
    return (2 / (1 - a * ray_x - b * ray_y))[None, None]


def bumps(batch: int = 1) -> torch.Tensor:
    return 2 + torch.rand(batch, 1, H, W, dtype=torch.float64)


@given(a=slopes, b=slopes)
def test_a_slanted_wall_has_one_normal_of_length_one_up_to_the_border(a, b):
    found = normals(slanted_wall(a, b), make_intrinsics())
    expected = torch.tensor([-a, -b, 1.0], dtype=torch.float64)
    assert_close(found, (expected / expected.norm())[None, :, None, None].expand_as(found))


@given(scale=st.floats(1e-3, 1e4))
def test_normals_do_not_see_the_scale_of_the_depth_but_its_shift(scale):
    depth, K = bumps().float(), make_intrinsics().float()
    assert_close(normals(scale * depth, K), normals(depth, K), atol=1e-4, rtol=0)
    depth, K = slanted_wall(0.5, 0.0), make_intrinsics()
    assert (normals(depth + 2.0, K) - normals(depth, K)).abs().mean() > 0.05


def test_a_mirrored_surface_has_mirrored_normals():
    depth, K = bumps(), make_intrinsics()
    mirrored = normals(depth.flip(-1), flip_intrinsics(K, W)).flip(-1)
    sign = torch.tensor([-1.0, 1, 1], dtype=torch.float64)[None, :, None, None]
    assert_close(mirrored, sign * normals(depth, K))


def test_normals_of_each_image_agree_with_kornia_and_finite_differences():
    depth, K = bumps(3), make_intrinsics(3)
    K[1, 0, 0], K[2, 1, 2] = 20.0, 1.0
    assert_close(normals(depth, K), kornia.depth_to_normals(depth, K), atol=1e-6, rtol=0)
    assert gradcheck(normals, (depth[:1, :, :4, :4].clone().requires_grad_(), K[:1]))


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
    assert bool(found.any()) == bool(depth.grad.any()) == (columns < W)
