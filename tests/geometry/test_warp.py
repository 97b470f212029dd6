"""Reprojection and sampling: exact cases first, then laws that must hold for any input."""

from pathlib import Path

import kornia.geometry.depth as kornia
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.testing import assert_close

import ssmde
from maps import random_map
from ssmde.geometry import (
    backproject,
    invert_motion,
    normals,
    pixel_grid,
    project,
    reproject,
    rigid_motion,
    sample,
)
from ssmde.geometry.warp import EDGE_TOLERANCE

H, W, F = 6, 8, 10.0
vectors = st.tuples(*[st.floats(-1, 1)] * 3).map(lambda v: torch.tensor([v], dtype=torch.float64))


def make_intrinsics(cx: float = (W - 1) / 2, cy: float = (H - 1) / 2) -> torch.Tensor:
    return torch.tensor([[[F, 0, cx], [0, F, cy], [0, 0, 1]]], dtype=torch.float64)


def make_motion(*, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> torch.Tensor:
    return rigid_motion(torch.zeros(1, 3).double(), torch.tensor([[x, y, z]]).double())


def random_image(seed: int = 0, channels: int = 3) -> torch.Tensor:
    return random_map(seed, (H, W), batch=1, channels=channels)


def plane(depth: float) -> torch.Tensor:
    return torch.full((1, 1, H, W), depth, dtype=torch.float64)


@pytest.mark.parametrize("shift", [0, 1, 3])
def test_sideways_motion_in_front_of_a_wall_shifts_whole_pixels(shift):
    image, depth = random_image(), 2.0
    found = reproject(plane(depth), make_motion(x=shift * depth / F), make_intrinsics())
    warped = sample(image, found.pixels)
    assert_close(warped[..., : W - shift], image[..., shift:])
    assert found.visible.sum() == H * (W - shift)


def test_a_point_of_the_world_lands_where_the_source_camera_sees_it():
    """The direction of T_src_tgt, from two camera-to-world poses."""
    here, there = torch.tensor([[0.1, -0.2, 0.0]]), torch.tensor([[0.05, 0.1, 0.1]])
    T_world_tgt = rigid_motion(there.double(), here.double())
    T_world_src = rigid_motion(-there.double(), -here.double())
    depth, K = plane(4.0), make_intrinsics()

    homogeneous = torch.cat([backproject(depth, K), torch.ones(1, H, W, 1).double()], dim=-1)
    world = homogeneous @ T_world_tgt[0].T
    in_source = world @ torch.linalg.inv(T_world_src[0]).T
    found = reproject(depth, invert_motion(T_world_src) @ T_world_tgt, K)
    assert_close(found.pixels, project(in_source[..., :3], K))
    assert_close(found.depth[0, 0], in_source[0, ..., 2])


@pytest.mark.parametrize("size", [(2, 4096), (48, 1242)])
def test_a_camera_at_rest_keeps_every_pixel_visible_in_float32(size):
    height, width = size
    depth = 0.1 + 80 * torch.rand(1, 1, height, width)
    image = torch.rand(1, 3, height, width)
    cx, cy = 0.47 * width + 0.321, 0.53 * height + 0.123
    K = torch.tensor([[[0.7 * width, 0, cx], [0, 0.7 * width, cy], [0, 0, 1]]])
    found = reproject(depth, torch.eye(4)[None], K)
    assert found.visible.all()
    assert_close(sample(image, found.pixels), image, atol=1e-3, rtol=0)


@pytest.mark.parametrize(("axis", "side"), [("x", H), ("y", W)])
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_pixel_is_lost_once_it_leaves_the_outermost_centres(axis, side, sign):
    for tolerances, lost in ((0.5, 0), (2, side)):
        motion = make_motion(**{axis: sign * tolerances * EDGE_TOLERANCE * 2.0 / F})
        assert (~reproject(plane(2.0), motion, make_intrinsics()).visible).sum() == lost


def test_points_behind_the_source_camera_or_at_no_number_are_not_visible():
    on_axis = make_intrinsics(4, 3)  # this pixel's ray stays inside the image
    found = reproject(plane(1.0), make_motion(z=-2.0), on_axis)
    assert not found.visible.any()
    assert torch.isfinite(found.pixels).all()
    depth = plane(2.0)
    depth[..., 0, 0], depth[..., 1, 1] = torch.nan, torch.inf
    visible = reproject(depth, make_motion(x=0.01), make_intrinsics()).visible
    assert not visible[0, 0, [0, 1], [0, 1]].any()


@given(rotation=vectors, translation=vectors, seed=st.integers(0, 100))
@settings(max_examples=20)
def test_two_depths_of_a_point_never_differ_by_more_than_their_sum(rotation, translation, seed):
    """Depth inconsistency stays below 1 for any motion, also for points behind the camera."""
    depth, K = random_image(seed, channels=1) + 0.1, make_intrinsics()
    depth.requires_grad_()
    found = reproject(depth, rigid_motion(3 * rotation, 2 * translation), K)
    seen = sample(depth, found.pixels)
    inconsistency = (found.depth - seen).abs() / (found.depth + seen)
    assert (found.depth > 0).all()
    assert (inconsistency <= 1).all()
    assert (inconsistency < 1)[found.visible & (seen > 0)].all()
    assert torch.autograd.grad(inconsistency.sum(), depth)[0].isfinite().all()
    with torch.no_grad():  # only the ratio of depth and translation matters
        far = reproject(7 * depth, rigid_motion(3 * rotation, 14 * translation), K, min_depth=7e-3)
    assert_close(found.pixels, far.pixels)
    assert_close(7 * found.depth, far.depth)


def test_each_image_of_a_batch_gives_what_it_gives_alone():
    batch, size = 3, (4, 10)
    depth = 1 + torch.rand(batch, 1, *size, dtype=torch.float64)
    image = torch.rand(batch, 3, *size, dtype=torch.float64)
    T = rigid_motion(0.1 * torch.randn(batch, 3).double(), 0.1 * torch.randn(batch, 3).double())
    K = make_intrinsics().repeat(batch, 1, 1)
    K[:, 0, 0] += torch.arange(batch)
    together = reproject(depth, T, K)
    for one in (slice(i, i + 1) for i in range(batch)):
        alone = reproject(depth[one], T[one], K[one])
        assert_close([x[one] for x in together], list(alone))
        warped = sample(image, together.pixels)[one]
        assert_close(warped, sample(image[one], alone.pixels))


def test_warping_agrees_with_kornia():
    image, depth = torch.rand(2, 3, H, W).double(), 2 + torch.rand(2, 1, H, W).double()
    turn = 0.05 * torch.randn(2, 3).double()
    T, K = rigid_motion(turn, 0.2 * torch.randn(2, 3).double()), make_intrinsics().repeat(2, 1, 1)
    ours = sample(image, reproject(depth, T, K).pixels)
    assert_close(ours, kornia.warp_frame_depth(image, depth, T, K), atol=1e-6, rtol=0)


def test_gradients_match_finite_differences():
    def warp(depth, T, K, image):
        found = reproject(depth, T, K)
        aside = project(backproject(depth, K) + 0.1, K)
        return sample(image, found.pixels), found.depth, aside

    depth = (random_image(1, channels=1) + 1.0).requires_grad_()
    T = make_motion(x=0.137, y=-0.071, z=0.05).requires_grad_()
    image = random_image(channels=1).requires_grad_()
    K = make_intrinsics().requires_grad_()
    assert gradcheck(warp, (depth, T, K, image), fast_mode=True)


def test_reduced_precision_of_matrix_products_does_not_touch_the_warp():
    image, depth, K = (x.float() for x in (random_image(), plane(2.0), make_intrinsics()))
    turn = torch.tensor([[0.01, 0.02, 0.03]])

    def compute():
        T = invert_motion(rigid_motion(turn, 5 * turn))
        return T, sample(image, reproject(depth, T, K).pixels), normals(2 + image[:, :1], K)

    with torch.autocast("cpu", torch.bfloat16):
        inside = compute()
    assert all(torch.equal(a, b) for a, b in zip(inside, compute(), strict=True))


def test_between_two_pixels_lies_their_mean_and_outside_lies_zero():
    image = torch.tensor([[[[1.0, 3.0], [5.0, 7.0]]]])
    pixels = torch.tensor([[[[0.5, 0.0], [0.0, 0.5], [0.5, 0.5], [-1.0, 0.0], [1e9, -1e9]]]])
    assert sample(image, pixels).flatten().tolist() == [2, 3, 4, 0, 0]
    grid = pixel_grid(3, 5, like=pixels).permute(2, 0, 1)[None]  # a map of another size
    pixels = torch.rand(1, H, W, 2) * torch.tensor([4.0, 2.0])
    assert_close(sample(grid, pixels), pixels.permute(0, 3, 1, 2))


def test_a_one_pixel_source_is_refused_with_its_size():
    with pytest.raises(ValueError, match="at least 2 x 2 pixels to interpolate, got 1 x 8"):
        sample(random_image()[..., :1, :], torch.zeros(1, H, W, 2, dtype=torch.float64))


def test_no_other_module_samples_an_image():
    package = Path(next(iter(ssmde.__path__)))
    users = [p.name for p in package.rglob("*.py") if "F.grid_sample(" in p.read_text("utf-8")]
    assert users == ["warp.py"]
