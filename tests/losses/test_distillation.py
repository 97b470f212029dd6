"""Distillation: closed forms, what a factor may change, and depths that cannot be trusted."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.testing import assert_close

from ssmde.losses.alignment import log_depth_difference, log_scale

H, W = 9, 10


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_depth(seed: int) -> torch.Tensor:
    return 0.5 + torch.rand(2, 1, H, W, generator=seeded(seed), dtype=torch.float64)


def full() -> torch.Tensor:
    return torch.ones(2, 1, H, W, dtype=torch.float64)


@given(factor=st.floats(0.01, 100.0))
def test_a_factor_costs_its_logarithm(factor):
    student = random_depth(0)
    difference = log_depth_difference(factor * student, student, full())
    assert difference.item() == pytest.approx(abs(math.log(factor)), abs=1e-9)


def test_student_and_teacher_may_be_swapped():
    a, b, weight = random_depth(0), random_depth(1), random_depth(2) - 0.5
    assert_close(log_depth_difference(a, b, weight), log_depth_difference(b, a, weight))


def test_a_pixel_counts_by_its_weight():
    student, teacher = torch.tensor([[[[1.0, 2.0]]]]), torch.ones(1, 1, 1, 2)
    found = log_depth_difference(student, teacher, torch.tensor([[[[1.0, 0.5]]]]))
    assert found.item() == pytest.approx(0.5 * math.log(2) / 1.5)


@pytest.mark.parametrize("depth", [0.0, -1.0, math.inf, math.nan])
def test_depths_without_weight_are_never_looked_at(depth):
    student, teacher, weight = random_depth(0), random_depth(1), full()
    weight[..., 4] = 0
    expected = log_depth_difference(student, teacher, weight)
    student[..., 4] = teacher[..., 4] = depth
    student.requires_grad_()
    found = log_depth_difference(student, teacher, weight)
    found.backward()
    assert_close(found, expected)
    assert student.grad is not None
    assert student.grad.isfinite().all()
    assert not student.grad[..., 4].any()


def test_no_trust_gives_zero_with_a_gradient_of_zero():
    student = random_depth(0).requires_grad_()
    found = log_depth_difference(student, 0 * full(), 0 * full())
    found.backward()
    assert found == 0
    assert student.grad is not None
    assert not student.grad.any()


def test_the_teacher_and_the_weight_learn_nothing():
    assert not log_depth_difference(
        random_depth(0), random_depth(1).requires_grad_(), full().requires_grad_()
    ).requires_grad


def test_gradients_of_depth_terms_match_finite_differences():
    teacher, weight = random_depth(1), random_depth(2) - 0.5
    student = random_depth(0).requires_grad_()
    assert gradcheck(lambda d: log_depth_difference(d, teacher, weight), (student,), fast_mode=True)


@given(factor=st.floats(0.01, 100.0))
def test_the_scale_is_found_from_most_of_the_trusted_pixels(factor):
    teacher, weight = random_depth(0), full()
    student = factor * teacher
    student[..., :3] *= 50  # a third is wrong
    weight[..., 8:] = 0.5  # not above the least weight
    student[..., 8:] = 0
    found = log_scale(student, teacher, weight)
    assert found.item() == pytest.approx(math.log(factor), abs=1e-9)


def test_one_scale_serves_the_whole_batch():
    teacher = full()
    student = torch.cat([2 * teacher[:1], 8 * teacher[1:]])
    student[1, ..., 0] = 2  # the first image and a little more: the majority
    assert log_scale(student, teacher, full()).item() == pytest.approx(math.log(2))


def test_without_a_trusted_pixel_the_scale_is_left_alone():
    assert log_scale(random_depth(0), random_depth(1), 0.5 * full()) == 0
    assert log_scale(random_depth(0), random_depth(1), 0.5 * full(), least=0.4) != 0


def test_the_scale_learns_nothing():
    assert not log_scale(random_depth(0).requires_grad_(), random_depth(1), full()).requires_grad
