"""Depths in one unit: known scale and shift are found, nonsense is not; what is left costs."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.testing import assert_close

from ssmde.losses.alignment import (
    least_squares_to_depth,
    log_depth_difference,
    log_scale,
    scale_and_shift,
)

H, W = 20, 25


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_depth(seed: int, batch: int = 2) -> torch.Tensor:
    return 1 + 4 * torch.rand(batch, 1, H, W, generator=seeded(seed), dtype=torch.float64)


def everywhere(batch: int = 2) -> torch.Tensor:
    return torch.ones(batch, 1, H, W, dtype=torch.bool)


def full() -> torch.Tensor:
    return torch.ones(2, 1, H, W, dtype=torch.float64)


@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-0.9, 100.0))
def test_a_scaled_and_shifted_depth_is_found_again(scale, shift):
    depth = random_depth(0)
    found, fitted = least_squares_to_depth(scale * (depth + shift), depth, everywhere())
    assert fitted.all()
    assert_close(found, depth)


def test_each_image_has_its_own_scale_and_shift():
    depth = random_depth(0)
    scale, shift = torch.tensor([0.5, 20.0]).double(), torch.tensor([3.0, -0.5]).double()
    moved = (depth - shift.view(2, 1, 1, 1)) / scale.view(2, 1, 1, 1)
    fit = scale_and_shift(moved, depth, everywhere())
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
    found, fitted = least_squares_to_depth(3 * depth + 1, spoilt, valid)
    assert fitted.all()
    assert_close(found, depth)


def test_what_is_unknown_or_falls_behind_the_camera_is_unknown():
    depth = random_depth(0)
    pseudo_depth = depth / 2 + 5
    pseudo_depth[..., 3] = 0
    pseudo_depth[:, :, 0, 0] = 1.0  # would be at -8
    found, fitted = least_squares_to_depth(pseudo_depth, depth, everywhere())
    assert fitted.all()
    assert not found[..., 3].any()
    assert not found[:, :, 0, 0].any()
    assert found.min() == 0
    assert_close(found[..., 4:], depth[..., 4:])


def test_what_cannot_be_fitted_comes_back_as_it_came():
    depth = random_depth(0, 4)
    pseudo_depth, valid = depth.clone(), everywhere(4)
    pseudo_depth[0] = 9 - depth[0]  # runs against the depth
    pseudo_depth[1] = 3.3  # constant
    valid[2].flatten()[9:] = False  # nine pixels
    found, fitted = least_squares_to_depth(pseudo_depth, depth, valid)
    assert fitted.tolist() == [False, False, False, True]
    assert torch.equal(found[:3], pseudo_depth[:3])
    fit = scale_and_shift(pseudo_depth, depth, valid & ~everywhere(4))
    assert not fit.fitted.any()
    assert fit.scale.tolist() == [1.0] * 4
    assert fit.shift.tolist() == [0.0] * 4


def test_sixteen_bit_labels_in_single_precision_are_fitted():
    depth = random_depth(0).float()
    pseudo_depth = (60000 * (depth + 0.4) / (depth + 0.4).amax()).round()
    found, _ = least_squares_to_depth(pseudo_depth, depth, everywhere())
    assert_close(found, depth, rtol=1e-4, atol=1e-4)


def test_no_label_teacher_or_weight_learns():
    one, two, weight = (random_depth(i).requires_grad_() for i in range(3))
    assert not least_squares_to_depth(one, two, everywhere())[0].requires_grad
    assert not log_scale(one, two, weight).requires_grad
    assert not log_depth_difference(random_depth(0), two, weight).requires_grad


@given(factor=st.floats(0.01, 100.0))
def test_a_factor_costs_its_logarithm_and_is_found_from_most_of_the_trusted_pixels(factor):
    teacher, weight = random_depth(0), full()
    difference = log_depth_difference(factor * teacher, teacher, weight)
    assert difference.item() == pytest.approx(abs(math.log(factor)), abs=1e-9)
    student = factor * teacher
    student[..., :8] *= 50  # a third is wrong
    weight[..., 20:] = 0.5  # not trusted
    student[..., 20:] = 0
    assert log_scale(student, teacher, weight).item() == pytest.approx(math.log(factor), abs=1e-9)


def test_student_and_teacher_may_be_swapped_and_a_pixel_counts_by_its_weight():
    a, b, weight = random_depth(0), random_depth(1), random_depth(2) - 0.5
    assert_close(log_depth_difference(a, b, weight), log_depth_difference(b, a, weight))
    student, teacher = torch.tensor([[[[1.0, 2.0]]]]), torch.ones(1, 1, 1, 2)
    found = log_depth_difference(student, teacher, torch.tensor([[[[1.0, 0.5]]]]))
    assert found.item() == pytest.approx(0.5 * math.log(2) / 1.5)


@pytest.mark.parametrize("depth", [0.0, -1.0, math.inf, math.nan])
@pytest.mark.parametrize("columns", [slice(4, 5), slice(None)])
def test_depths_without_weight_are_never_looked_at(depth, columns):
    student, teacher, weight = random_depth(0), random_depth(1), full()
    weight[..., columns] = 0
    expected = log_depth_difference(student, teacher, weight)
    student[..., columns] = teacher[..., columns] = depth
    student.requires_grad_()
    found = log_depth_difference(student, teacher, weight)
    found.backward()
    assert_close(found, expected)
    assert weight.any() or found == 0
    assert student.grad is not None
    assert student.grad.isfinite().all()
    assert not student.grad[..., columns].any()


def test_gradients_match_finite_differences():
    teacher, weight = random_depth(1), random_depth(2) - 0.5
    student = random_depth(0).requires_grad_()
    assert gradcheck(lambda d: log_depth_difference(d, teacher, weight), (student,), fast_mode=True)


def test_one_scale_serves_the_whole_batch_and_without_trust_it_is_left_alone():
    teacher = full()
    student = torch.cat([2 * teacher[:1], 8 * teacher[1:]])
    student[1, ..., 0] = 2  # the first image and a little more: the majority
    assert log_scale(student, teacher, full()).item() == pytest.approx(math.log(2))
    assert log_scale(student, teacher, 0.5 * full()) == 0
