"""Photometric error, depth inconsistency, smoothness: exact cases, laws, a second opinion."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from maps import random_map
from ssmde.losses.photometric import (
    geometry_inconsistency,
    photometric_error,
    smoothness,
    structural_dissimilarity,
)


def image(seed: int = 0, size: tuple[int, int] = (6, 7), channels: int = 3) -> torch.Tensor:
    return random_map(seed, size, batch=1, channels=channels)


def depth(seed: int = 0) -> torch.Tensor:
    return image(seed, channels=1) + 0.1


def test_one_window_agrees_with_ssim_written_in_numpy():
    a, b = image(2, (3, 3)), image(3, (3, 3))
    x, y = (t[0, 0].numpy().ravel() for t in (a, b))
    cov = np.cov(x, y, bias=True)
    ssim = ((2 * x.mean() * y.mean() + 1e-4) * (2 * cov[0, 1] + 9e-4)) / (
        (x.mean() ** 2 + y.mean() ** 2 + 1e-4) * (cov[0, 0] + cov[1, 1] + 9e-4)
    )
    assert structural_dissimilarity(a, b)[0, 0, 1, 1].item() == pytest.approx((1 - ssim) / 2)


@given(seed=st.integers(0, 1000))
@pytest.mark.parametrize("error", [photometric_error, geometry_inconsistency])
def test_an_error_is_symmetric_in_the_unit_interval_and_zero_between_equals(error, seed):
    make = image if error is photometric_error else depth
    assert error(make(seed), make(seed)).max() < 1e-12
    found = error(make(seed), make(seed + 1))
    assert_close(found, error(make(seed + 1), make(seed)))
    assert found.min() >= 0
    assert found.max() <= 1


@pytest.mark.parametrize("size", [(2, 2), (2, 5), (7, 3)])
def test_error_and_gradient_are_those_of_the_formula_written_with_pools(size):
    a, b = (torch.rand(3, 3, *size, dtype=torch.float64, requires_grad=True) for _ in range(2))
    chance = torch.rand(3, 1, *size, dtype=torch.float64)
    plain = 0.85 * structural_dissimilarity(a, b).mean(1, True)
    plain = plain + 0.15 * (a - b).abs().mean(1, True)
    assert_close(photometric_error(a, b), plain)
    expected = torch.autograd.grad((plain * chance).sum(), (a, b))
    error = (photometric_error(a, b) * chance).sum()
    assert_close(torch.autograd.grad(error, (a, b)), expected)
    alone = (photometric_error(a.detach(), b) * chance).sum()
    assert_close(torch.autograd.grad(alone, b)[0], expected[1])
    black = torch.zeros(1, 3, *size, requires_grad=True)
    photometric_error(black, torch.zeros(1, 3, *size)).sum().backward()
    assert black.grad.isfinite().all()


@given(scale=st.floats(0.01, 100.0))
def test_the_scale_of_the_video_does_not_matter(scale):
    a, b = depth(1), depth(2)
    assert_close(geometry_inconsistency(scale * a, scale * b), geometry_inconsistency(a, b))
    assert_close(smoothness(scale * a, image()), smoothness(a, image()))
    assert_close(geometry_inconsistency(3 * a, a), torch.full_like(a, 0.5))


def test_a_step_costs_less_where_the_image_has_an_edge():
    def step(low: float, high: float, channels: int) -> torch.Tensor:
        return torch.tensor([low, low, high, high]).expand(1, channels, 2, 4).clone()

    disparity = step(1.0, 3.0, 1)  # mean 2: normalized step of 1
    assert smoothness(disparity, step(0.5, 0.5, 3)).item() == pytest.approx(1 / 3)  # one of three
    assert smoothness(disparity, step(0.0, 1.0, 3)).item() == pytest.approx(math.exp(-1) / 3)
    assert smoothness(torch.ones_like(disparity), step(0.0, 1.0, 3)) == 0
