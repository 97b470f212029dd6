"""Smoothness: exact cases and laws."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.testing import assert_close

from ssmde.losses.photometric import smoothness


def maps(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    disparity = torch.rand(1, 1, 4, 6, generator=generator, dtype=torch.float64) + 0.1
    return disparity, torch.rand(1, 3, 4, 6, generator=generator, dtype=torch.float64)


def step_at_the_middle(low: float, high: float, channels: int) -> torch.Tensor:
    values = torch.tensor([low, low, high, high], dtype=torch.float64)
    return values.expand(1, channels, 2, 4).clone()


def test_a_flat_disparity_is_smooth():
    assert smoothness(torch.full((1, 1, 4, 6), 0.7), torch.rand(1, 3, 4, 6)) == 0


def test_a_step_costs_less_where_the_image_has_an_edge():
    disparity = step_at_the_middle(1.0, 3.0, 1)  # mean 2: normalised step of 1
    plain = step_at_the_middle(0.5, 0.5, 3)
    edge = step_at_the_middle(0.0, 1.0, 3)
    assert smoothness(disparity, plain).item() == pytest.approx(1 / 3)  # one of three steps
    assert smoothness(disparity, edge).item() == pytest.approx(math.exp(-1) / 3)


@given(scale=st.floats(0.01, 100.0))
def test_smoothness_does_not_see_the_scale_of_the_video(scale):
    disparity, image = maps(0)
    assert_close(smoothness(scale * disparity, image), smoothness(disparity, image))


def test_gradients_match_finite_differences():
    disparity, image = maps(1)
    assert gradcheck(smoothness, (disparity.requires_grad_(), image))
