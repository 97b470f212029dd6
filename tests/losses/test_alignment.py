"""Alignment of a pseudo-depth: known scale and shift are found, and nonsense is not fitted."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from ssmde.losses.alignment import least_squares_to_depth, scale_and_shift

H, W = 20, 25


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_depth(seed: int, batch: int = 2) -> torch.Tensor:
    return 1 + 4 * torch.rand(batch, 1, H, W, generator=seeded(seed), dtype=torch.float64)


def everywhere(batch: int = 2) -> torch.Tensor:
    return torch.ones(batch, 1, H, W, dtype=torch.bool)


@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-0.9, 100.0))
def test_a_scaled_and_shifted_depth_is_found_again(scale, shift):
    depth = random_depth(0)
    found = least_squares_to_depth(scale * (depth + shift), depth, everywhere())
    assert found.fitted.all()
    assert_close(found.depth, depth)


def test_each_image_has_its_own_scale_and_shift():
    depth = random_depth(0)
    scale, shift = torch.tensor([0.5, 20.0]).double(), torch.tensor([3.0, -0.5]).double()
    fit = scale_and_shift((depth - shift.view(2, 1, 1, 1)) / scale.view(2, 1, 1, 1), depth,
                          everywhere())  # fmt: skip
    assert_close(fit.scale, scale)
    assert_close(fit.shift, shift)


def test_without_refits_it_is_the_line_numpy_fits():
    prediction, depth = random_depth(0, 1), random_depth(1, 1)
    depth += prediction
    valid = torch.rand(1, 1, H, W, generator=seeded(2)) > 0.3
    slope, offset = np.polyfit(prediction[valid].numpy(), depth[valid].numpy(), 1)
    fit = scale_and_shift(prediction, depth, valid, refits=0)
    assert fit.scale.item() == pytest.approx(slope)
    assert fit.shift.item() == pytest.approx(offset)


@pytest.mark.parametrize("seed", range(3))
def test_a_tenth_of_gross_errors_does_little_harm(seed):
    depth = random_depth(seed)
    pseudo_depth = depth / 2 - 0.3
    noise = 0.01 * torch.randn(depth.shape, generator=seeded(seed), dtype=torch.float64)
    wrong = torch.rand(depth.shape, generator=seeded(seed + 9)) < 0.1
    fit = scale_and_shift(pseudo_depth, torch.where(wrong, 30.0, depth + noise), everywhere())
    assert_close(fit.scale, torch.full_like(fit.scale, 2.0), rtol=0.02, atol=0)
    assert_close(fit.shift, torch.full_like(fit.shift, 0.6), rtol=0, atol=0.05)


@pytest.mark.parametrize("garbage", [0.0, 1e6, torch.nan])
def test_pixels_that_are_not_valid_do_not_matter(garbage):
    depth, valid = random_depth(0), everywhere()
    valid[..., :9] = False
    spoilt = torch.where(valid, depth, garbage)
    found = least_squares_to_depth(3 * depth + 1, spoilt, valid)
    assert found.fitted.all()
    assert_close(found.depth, depth)


def test_an_unknown_pseudo_depth_stays_unknown_and_does_not_matter():
    depth = random_depth(0)
    pseudo_depth = depth / 2 + 5
    pseudo_depth[..., 3] = 0
    found = least_squares_to_depth(pseudo_depth, depth, everywhere())
    assert not found.depth[..., 3].any()
    assert_close(found.depth[..., 4:], depth[..., 4:])


def test_what_falls_behind_the_camera_becomes_unknown():
    depth = random_depth(0)
    pseudo_depth = depth / 2 + 5
    pseudo_depth[:, :, 0, 0] = 1.0  # would be at -8
    found = least_squares_to_depth(pseudo_depth, depth, everywhere())
    assert found.fitted.all()
    assert not found.depth[:, :, 0, 0].any()
    assert found.depth.min() == 0


def test_what_cannot_be_fitted_comes_back_as_it_came():
    depth = random_depth(0, 4)
    pseudo_depth, valid = depth.clone(), everywhere(4)
    pseudo_depth[0] = 9 - depth[0]  # runs against the depth
    pseudo_depth[1] = 3.3  # constant
    valid[2].flatten()[9:] = False  # nine pixels
    found = least_squares_to_depth(pseudo_depth, depth, valid)
    assert found.fitted.tolist() == [False, False, False, True]
    assert torch.equal(found.depth[:3], pseudo_depth[:3])
    fit = scale_and_shift(pseudo_depth, depth, valid & ~everywhere(4))
    assert not fit.fitted.any()
    assert fit.scale.tolist() == [1.0] * 4
    assert fit.shift.tolist() == [0.0] * 4


def test_sixteen_bit_labels_in_single_precision_are_fitted():
    depth = random_depth(0).float()
    pseudo_depth = (60000 * (depth + 0.4) / (depth + 0.4).amax()).round()
    found = least_squares_to_depth(pseudo_depth, depth, everywhere())
    assert_close(found.depth, depth, rtol=1e-4, atol=1e-4)


def test_nothing_learns():
    inputs = random_depth(0).requires_grad_(), random_depth(1).requires_grad_()
    assert not least_squares_to_depth(*inputs, everywhere()).depth.requires_grad
