"""Masks and the mean over them: exact cases, laws, and empty masks."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from ssmde.losses.masks import auto_mask, masked_mean, minimum_reprojection, weight_mask


def test_the_mean_counts_valid_pixels_only():
    values = torch.tensor([[[[1.0, 2.0], [30.0, 40.0]]]])
    mask = torch.tensor([[[[True, True], [False, False]]]])
    assert masked_mean(values, mask) == 1.5


def test_no_valid_pixel_gives_zero_with_a_gradient_of_zero():
    values = torch.rand(2, 1, 4, 4, requires_grad=True)
    mean = masked_mean(values, torch.zeros(2, 1, 4, 4, dtype=torch.bool))
    mean.backward()
    assert mean == 0
    assert values.grad is not None
    assert_close(values.grad, torch.zeros_like(values))


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_masked_pixel_that_is_no_number_does_not_spoil_the_mean(value):
    values = torch.ones(1, 1, 4, 4)
    values[..., 0] = value
    assert masked_mean(values, torch.isfinite(values)) == 1


def test_a_single_valid_pixel_counts_for_less_than_a_full_image():
    values = torch.ones(1, 1, 100, 100)
    mask = torch.zeros_like(values, dtype=torch.bool)
    mask[..., 0, 0] = True
    assert masked_mean(values, mask).item() == pytest.approx(1 / 100)  # 1 of 100 = 1 % of pixels


@given(seed=st.integers(0, 1000))
def test_the_mean_of_a_batch_is_the_mean_of_its_images(seed):
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(4, 1, 5, 5, generator=generator)
    mask = torch.rand(4, 1, 5, 5, generator=generator) > 0.7
    alone = torch.stack([masked_mean(values[i : i + 1], mask[i : i + 1]) for i in range(4)])
    assert_close(masked_mean(values, mask), alone.mean())


def test_still_pixels_are_masked():
    error = torch.tensor([[[[0.1, 0.3, 0.2]]]])
    identity = torch.tensor([[[[0.2, 0.2, 0.2]]]])
    assert auto_mask(error, identity).tolist() == [[[[True, False, False]]]]


def test_the_weight_is_one_minus_the_inconsistency_and_carries_no_gradient():
    inconsistency = torch.tensor([[[[0.0, 0.25]]]], requires_grad=True)
    weight = weight_mask(inconsistency)
    assert weight.tolist() == [[[[1.0, 0.75]]]]
    assert not weight.requires_grad


def test_each_pixel_takes_its_best_visible_source():
    errors = torch.tensor([0.1, 0.5, 0.1, 0.7]).view(1, 1, 1, 4)
    errors = torch.cat([errors, torch.tensor([0.3, 0.2, 0.4, 0.7]).view(1, 1, 1, 4)], dim=1)
    visible = torch.tensor([[[[True, True, False, False]], [[True, True, True, False]]]])
    error, chosen, seen = minimum_reprojection(errors, visible)
    assert_close(error, torch.tensor([[[[0.1, 0.2, 0.4, 0.0]]]]))
    assert chosen.int().tolist() == [[[[1, 0, 0, 0]], [[0, 1, 1, 0]]]]
    assert seen.tolist() == [[[[True, True, True, False]]]]


def test_the_gradient_reaches_the_chosen_source_only():
    errors = torch.tensor([[[[0.1]], [[0.3]]]], requires_grad=True)
    minimum_reprojection(errors, torch.ones(1, 2, 1, 1, dtype=torch.bool))[0].sum().backward()
    assert errors.grad is not None
    assert errors.grad.flatten().tolist() == [1.0, 0.0]
