"""Depths in one unit: known scale and shift are found, nonsense is not; what is left costs."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from maps import everywhere, finite_gradient, random_depth, random_map, seeded
from ssmde.losses.alignment import least_squares_to_depth, log_depth_difference, log_scale

SIZE = (20, 25)
EVERY = everywhere(SIZE)


def full() -> torch.Tensor:
    return torch.ones(2, 1, *SIZE, dtype=torch.float64)


@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-0.9, 100.0))
def test_a_depth_whose_images_are_scaled_and_shifted_is_found_again(scale, shift):
    depth = random_depth(0, SIZE)
    moved = torch.cat([scale * (depth[:1] + shift), 0.05 * depth[1:] + 3])
    found, fitted = least_squares_to_depth(moved, depth, EVERY)
    assert fitted.all()
    assert_close(found, depth)
    labels = (60000 * (depth + 0.4) / (depth + 0.4).amax()).round().float()  # 16 bits
    found, _ = least_squares_to_depth(labels, depth.float(), EVERY)
    assert_close(found, depth.float(), rtol=1e-4, atol=1e-4)


def test_a_tenth_of_gross_errors_does_little_harm():
    depth = random_depth(0, SIZE)
    noise = 0.01 * torch.randn(depth.shape, generator=seeded(0), dtype=torch.float64)
    noisy = torch.where(random_map(9, SIZE) < 0.1, 30.0, depth + noise)
    found, _ = least_squares_to_depth(depth / 2 - 0.3, noisy, EVERY)
    assert (found - depth).abs().max() < 0.1


@pytest.mark.parametrize("garbage", [0.0, 1e6, torch.nan])
def test_pixels_that_are_not_valid_do_not_matter(garbage):
    depth, valid = random_depth(0, SIZE), EVERY.clone()
    valid[..., :9] = False
    found, fitted = least_squares_to_depth(3 * depth + 1, depth.where(valid, garbage), valid)
    assert fitted.all()
    assert_close(found, depth)


def test_what_is_unknown_or_falls_behind_the_camera_is_unknown():
    depth = random_depth(0, SIZE)
    pseudo_depth = depth / 2 + 5
    pseudo_depth[..., 3] = 0
    pseudo_depth[:, :, 0, 0] = 1.0  # would be at -8
    found, fitted = least_squares_to_depth(pseudo_depth, depth, EVERY)
    assert fitted.all()
    assert not found[..., 3].any()
    assert not found[:, :, 0, 0].any()
    assert found.min() == 0
    assert_close(found[..., 4:], depth[..., 4:])


def test_what_cannot_be_fitted_comes_back_as_it_came():
    depth = random_depth(0, SIZE, batch=4)
    pseudo_depth, valid = depth.clone(), everywhere(SIZE, batch=4)
    pseudo_depth[0] = 9 - depth[0]  # runs against the depth
    pseudo_depth[1] = 3.3  # constant
    valid[2].flatten()[9:] = False  # nine pixels
    found, fitted = least_squares_to_depth(pseudo_depth, depth, valid)
    assert fitted.tolist() == [False, False, False, True]
    assert torch.equal(found[:3], pseudo_depth[:3])
    assert not least_squares_to_depth(pseudo_depth, depth, valid & False)[1].any()


@given(factor=st.floats(0.01, 100.0))
def test_a_factor_costs_its_logarithm_and_is_found_from_most_of_the_trusted_pixels(factor):
    teacher, weight = random_depth(0, SIZE), full()
    for pair in ((factor * teacher, teacher), (teacher, factor * teacher)):
        difference = log_depth_difference(*pair, weight)
        assert difference.item() == pytest.approx(abs(math.log(factor)), abs=1e-9)
    student = factor * teacher
    student[..., :8] *= 50  # a third is wrong
    weight[..., 20:] = 0.5  # not trusted
    student[..., 20:] = 0
    assert log_scale(student, teacher, weight).item() == pytest.approx(math.log(factor), abs=1e-9)


@pytest.mark.parametrize("depth", [0.0, math.inf, math.nan])
@pytest.mark.parametrize("columns", [slice(4, 5), slice(None)])
def test_a_pixel_counts_by_its_weight_and_without_one_is_never_looked_at(depth, columns):
    student, teacher = torch.tensor([[[[1.0, 2.0]]]]), torch.ones(1, 1, 1, 2)
    found = log_depth_difference(student, teacher, torch.tensor([[[[1.0, 0.5]]]]))
    assert found.item() == pytest.approx(0.5 * math.log(2) / 1.5)
    student, teacher, weight = random_depth(0, SIZE), random_depth(1, SIZE), full()
    weight[..., columns] = 0
    expected = log_depth_difference(student, teacher, weight)
    student[..., columns] = teacher[..., columns] = depth
    found = log_depth_difference(student.requires_grad_(), teacher, weight)
    assert_close(found, expected)
    assert weight.any() or found == 0
    assert not finite_gradient(found, student)[..., columns].any()


def test_no_label_teacher_or_weight_learns():
    student, teacher, weight = (random_depth(i, SIZE).requires_grad_() for i in range(3))
    assert not least_squares_to_depth(student, teacher, EVERY)[0].requires_grad
    assert not log_scale(student, teacher, weight).requires_grad
    assert not log_depth_difference(student.detach(), teacher, weight).requires_grad


def test_one_scale_serves_the_whole_batch_and_without_trust_it_is_left_alone():
    teacher = full()
    student = torch.cat([2 * teacher[:1], 8 * teacher[1:]])
    student[1, ..., 0] = 2  # the first image and a little more: the majority
    assert log_scale(student, teacher, full()).item() == pytest.approx(math.log(2))
    assert log_scale(student, teacher, 0.5 * full()) == 0
