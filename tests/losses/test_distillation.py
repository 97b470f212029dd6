"""Distillation: closed forms, what a factor may change, and depths that cannot be trusted."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.testing import assert_close

from ssmde.losses.distillation import (
    feature_similarity,
    gradient_matching,
    log_depth_difference,
    log_scale,
)

H, W = 9, 10
DEPTH_TERMS = [log_depth_difference, gradient_matching]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_depth(seed: int) -> torch.Tensor:
    return 0.5 + torch.rand(2, 1, H, W, generator=seeded(seed), dtype=torch.float64)


def full() -> torch.Tensor:
    return torch.ones(2, 1, H, W, dtype=torch.float64)


def features(seed: int) -> list[torch.Tensor]:
    sizes = ((4, 6, 6), (7, 3, 3))
    return [torch.randn(2, *size, generator=seeded(seed + i)) for i, size in enumerate(sizes)]


def level_weights() -> list[torch.Tensor]:
    return [torch.ones(2, 1, 6, 6), torch.ones(2, 1, 3, 3)]


@given(factor=st.floats(0.01, 100.0))
def test_a_factor_costs_its_logarithm_and_no_slope(factor):
    student = random_depth(0)
    difference = log_depth_difference(factor * student, student, full())
    assert difference.item() == pytest.approx(abs(math.log(factor)), abs=1e-9)
    assert gradient_matching(factor * student, student, full()).item() < 1e-9


def test_a_step_costs_its_logarithm_where_it_stands():
    student = torch.ones(1, 1, 4, 5)
    student[..., 3:] = math.e
    found = gradient_matching(student, torch.ones(1, 1, 4, 5), torch.ones(1, 1, 4, 5), scales=1)
    assert found.item() == pytest.approx(1 / 4)  # one of four steps in a row


@pytest.mark.parametrize("term", DEPTH_TERMS)
def test_student_and_teacher_may_be_swapped(term):
    a, b, weight = random_depth(0), random_depth(1), random_depth(2) - 0.5
    assert_close(term(a, b, weight), term(b, a, weight))


def test_a_pixel_counts_by_its_weight():
    student, teacher = torch.tensor([[[[1.0, 2.0]]]]), torch.ones(1, 1, 1, 2)
    found = log_depth_difference(student, teacher, torch.tensor([[[[1.0, 0.5]]]]))
    assert found.item() == pytest.approx(0.5 * math.log(2) / 1.5)


@pytest.mark.parametrize("term", DEPTH_TERMS)
@pytest.mark.parametrize("depth", [0.0, -1.0, math.inf, math.nan])
def test_depths_without_weight_are_never_looked_at(term, depth):
    student, teacher, weight = random_depth(0), random_depth(1), full()
    weight[..., 4] = 0
    expected = term(student, teacher, weight)
    student[..., 4] = teacher[..., 4] = depth
    student.requires_grad_()
    found = term(student, teacher, weight)
    found.backward()
    assert_close(found, expected)
    assert student.grad is not None
    assert student.grad.isfinite().all()
    assert not student.grad[..., 4].any()


@pytest.mark.parametrize("term", DEPTH_TERMS)
def test_no_trust_gives_zero_with_a_gradient_of_zero(term):
    student = random_depth(0).requires_grad_()
    found = term(student, 0 * full(), 0 * full())
    found.backward()
    assert found == 0
    assert student.grad is not None
    assert not student.grad.any()


@pytest.mark.parametrize("term", DEPTH_TERMS)
def test_the_teacher_and_the_weight_learn_nothing(term):
    assert not term(
        random_depth(0), random_depth(1).requires_grad_(), full().requires_grad_()
    ).requires_grad


@pytest.mark.parametrize("term", DEPTH_TERMS)
def test_gradients_of_depth_terms_match_finite_differences(term):
    teacher, weight = random_depth(1), random_depth(2) - 0.5
    student = random_depth(0).requires_grad_()
    assert gradcheck(lambda d: term(d, teacher, weight), (student,), fast_mode=True)


@given(length=st.floats(1e-3, 1e3))
def test_features_are_compared_by_direction(length):
    equal = [length * f for f in features(0)]
    assert feature_similarity(equal, features(0), level_weights()).item() < 1e-6
    opposite = [-length * f for f in features(0)]
    assert feature_similarity(opposite, features(0), level_weights()).item() == pytest.approx(2)


def test_levels_count_alike_whatever_their_size():
    student = features(0)
    student[1] = -student[1]
    assert feature_similarity(student, features(0), level_weights()).item() == pytest.approx(1)


def test_features_count_by_the_weight_of_their_pixel():
    student, weights = features(0), level_weights()
    student[0][..., :3] *= -1
    weights[0][..., :3] = 0
    assert feature_similarity(student, features(0), weights).item() < 1e-6


def test_features_of_zero_have_a_finite_gradient():
    student = [torch.zeros_like(f).requires_grad_() for f in features(0)]
    feature_similarity(student, features(0), level_weights()).backward()
    for level in student:
        assert level.grad is not None
        assert level.grad.isfinite().all()


def test_the_features_of_the_teacher_learn_nothing():
    teacher = [f.requires_grad_() for f in features(1)]
    assert not feature_similarity(features(0), teacher, level_weights()).requires_grad


def test_no_trusted_feature_gives_zero_with_a_gradient_of_zero():
    student = [f.requires_grad_() for f in features(0)]
    term = feature_similarity(student, features(1), [0 * w for w in level_weights()])
    term.backward()
    assert term == 0
    assert student[0].grad is not None
    assert not student[0].grad.any()


def test_gradients_of_features_match_finite_differences():
    student, teacher = (f[0][:1, :, :2, :2].double() for f in (features(0), features(1)))
    weight = torch.ones(1, 1, 2, 2).double()
    assert gradcheck(
        lambda f: feature_similarity([f], [teacher], [weight]), (student.requires_grad_(),)
    )


def test_levels_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="one map for each level, got 2, 1 and 2"):
        feature_similarity(features(0), features(0)[:1], level_weights())
    with pytest.raises(ValueError, match="got 0, 0 and 0"):
        feature_similarity([], [], [])


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
