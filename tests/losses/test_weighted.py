"""Weighted means: exact cases, laws, gradients, and no weight at all."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.testing import assert_close

from ssmde.losses.affine import multi_scale_slope
from ssmde.losses.masks import masked_mean, weighted_mean


def random_map(seed: int, batch: int = 2, size: tuple[int, int] = (5, 6)) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, 1, *size, generator=generator, dtype=torch.float64)


def ramp(height: int = 16, width: int = 16) -> torch.Tensor:
    """A map that grows by 2 with each column."""
    return 2 * torch.arange(width, dtype=torch.float64).expand(1, 1, height, width)


def test_a_pixel_counts_by_its_weight():
    values, weight = torch.tensor([[[[1.0, 3.0, 50.0]]]]), torch.tensor([[[[0.5, 1.0, 0.0]]]])
    assert weighted_mean(values, weight).item() == pytest.approx((0.5 * 1 + 3) / 1.5)


def test_hardly_any_weight_counts_for_less_than_an_image():
    weight = torch.zeros(1, 1, 20, 20)
    weight[..., 0, 0] = 1  # 1 of 400 pixels; 1 % are 4
    assert weighted_mean(torch.ones(1, 1, 20, 20), weight) == 0.25


@given(seed=st.integers(0, 1000))
def test_weights_of_zero_and_one_are_a_mask(seed):
    values, mask = random_map(seed), random_map(seed + 1) > 0.5
    assert_close(weighted_mean(values, mask.double()), masked_mean(values, mask))


@given(seed=st.integers(0, 1000))
def test_the_mean_of_a_batch_is_the_mean_of_its_images(seed):
    values, weight = random_map(seed, 3), random_map(seed + 1, 3)
    alone = [weighted_mean(values[i : i + 1], weight[i : i + 1]) for i in range(3)]
    assert_close(weighted_mean(values, weight), torch.stack(alone).mean())


def test_no_weight_gives_zero_with_a_gradient_of_zero():
    values = torch.full((2, 1, 4, 4), torch.nan, requires_grad=True)
    mean = weighted_mean(values, torch.zeros(2, 1, 4, 4))
    mean.backward()
    assert mean == 0
    assert values.grad is not None
    assert_close(values.grad, torch.zeros_like(values))


def test_a_weight_learns_nothing():
    weight = random_map(0).requires_grad_()
    assert not weighted_mean(random_map(1), weight).requires_grad


def test_a_ramp_is_twice_as_steep_at_every_scale():
    full = torch.ones_like(ramp())
    assert multi_scale_slope(ramp(), full, scales=3) == 2 + 4 + 8
    assert multi_scale_slope(ramp().mT, full, scales=3) == 2 + 4 + 8
    assert multi_scale_slope(ramp(), full, scales=1, step=2) == 4


@given(shift=st.floats(-100.0, 100.0), sign=st.sampled_from([-1.0, 1.0]))
def test_a_slope_sees_neither_a_shift_nor_a_sign(shift, sign):
    residual, weight = random_map(3, size=(9, 10)), random_map(4, size=(9, 10))
    expected = multi_scale_slope(residual, weight)
    assert_close(multi_scale_slope(sign * residual + shift, weight), expected)


def test_a_step_does_not_count_when_one_end_has_no_weight():
    residual = torch.tensor([[[[0.0, 0.0, 0.0, 7.0, 7.0]]]]).expand(1, 1, 4, 5)
    weight = torch.ones(1, 1, 4, 5)
    weight[..., 3] = 0
    assert multi_scale_slope(residual, weight, scales=1) == 0
    assert multi_scale_slope(residual, torch.ones(1, 1, 4, 5), scales=1) == 7 / 4


def test_an_image_too_small_for_a_scale_adds_nothing_there():
    residual = random_map(5, size=(2, 3)).requires_grad_()
    full = torch.ones_like(residual)
    assert_close(
        multi_scale_slope(residual, full, scales=6), multi_scale_slope(residual, full, scales=2)
    )
    multi_scale_slope(residual[..., :1, :1], full[..., :1, :1], step=2).backward()
    assert residual.grad is not None
    assert not residual.grad.any()


def test_gradients_match_finite_differences():
    values, weight = random_map(6).requires_grad_(), random_map(7)
    assert gradcheck(lambda v: weighted_mean(v, weight), (values,))
    assert gradcheck(lambda v: multi_scale_slope(v, weight, scales=2), (values,))


def test_no_scale_is_refused():
    with pytest.raises(ValueError, match="scales must be at least 1, got 0"):
        multi_scale_slope(ramp(), ramp(), scales=0)
