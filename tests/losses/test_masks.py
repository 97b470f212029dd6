"""Masks and the means over them: exact cases, laws, and empty masks."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from maps import random_map
from ssmde.losses import masks


def test_the_mean_counts_valid_pixels_only_or_each_by_its_weight():
    values = torch.tensor([[[[1.0, 3.0, 50.0]]]])
    assert masks.masked_mean(values, values < 9) == 2
    weight = torch.tensor([[[[0.5, 1.0, 0.0]]]], requires_grad=True)
    found = masks.weighted_mean(values, weight)
    assert found.item() == pytest.approx((0.5 * 1 + 3) / 1.5)
    assert not found.requires_grad


def test_no_valid_pixel_gives_zero_with_a_gradient_of_zero_and_a_single_one_counts_for_less():
    values = torch.full((2, 1, 4, 4), torch.nan, requires_grad=True)
    found = masks.masked_mean(values, torch.zeros(2, 1, 4, 4, dtype=torch.bool))
    found.backward()
    assert found == 0
    assert values.grad is not None
    assert not values.grad.any()
    inside = torch.ones(1, 1, 4, 4)
    inside[..., 0] = torch.inf  # 0 * inf would be nan
    assert masks.masked_mean(inside, inside.isfinite()) == 1
    mask = torch.zeros(1, 1, 20, 20, dtype=torch.bool)
    mask[..., 0, 0] = True
    assert masks.masked_mean(torch.ones(1, 1, 20, 20), mask) == 0.25  # 1 of 400 pixels; 1 % are 4


@given(seed=st.integers(0, 1000))
def test_the_mean_of_a_batch_is_the_mean_of_its_images(seed):
    values, weight = random_map(seed, (5, 6), batch=3), random_map(seed + 1, (5, 6), batch=3)
    alone = [masks.weighted_mean(values[i : i + 1], weight[i : i + 1]) for i in range(3)]
    assert_close(masks.weighted_mean(values, weight), torch.stack(alone).mean())
    mask = weight > 0.5
    assert_close(masks.weighted_mean(values, mask.double()), masks.masked_mean(values, mask))


def test_still_pixels_are_masked_and_the_weight_is_one_minus_the_inconsistency():
    error, identity = torch.tensor([[[[0.1, 0.3, 0.2]]]]), torch.tensor([[[[0.2, 0.2, 0.2]]]])
    assert masks.auto_mask(error, identity).tolist() == [[[[True, False, False]]]]
    weight = masks.weight_mask(torch.tensor([[[[0.0, 0.25]]]], requires_grad=True))
    assert weight.tolist() == [[[[1.0, 0.75]]]]
    assert not weight.requires_grad


def test_each_pixel_takes_its_best_visible_source_and_teaches_it_alone():
    errors = torch.tensor([[[[0.1, 0.5, 0.1, 0.7]], [[0.3, 0.2, 0.4, 0.7]]]], requires_grad=True)
    visible = torch.tensor([[[[True, True, False, False]], [[True, True, True, False]]]])
    error, chosen, seen = masks.minimum_reprojection(errors, visible)
    assert_close(error, torch.tensor([[[[0.1, 0.2, 0.4, 0.0]]]]))
    assert chosen.int().tolist() == [[[[1, 0, 0, 0]], [[0, 1, 1, 0]]]]
    assert seen.tolist() == [[[[True, True, True, False]]]]
    error.sum().backward()
    assert errors.grad is not None
    assert torch.equal(errors.grad, chosen.float())
