"""Photometric error: exact cases, laws, gradients, and a second opinion."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from kornia.metrics import ssim as kornia_ssim
from torch.autograd import gradcheck
from torch.testing import assert_close

from ssmde.losses.photometric import photometric_error, structural_dissimilarity


def image(seed: int = 0, size: tuple[int, int] = (6, 7)) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 3, *size, generator=generator, dtype=torch.float64)


def test_equal_images_have_no_error():
    assert_close(photometric_error(image(), image()), torch.zeros(1, 1, 6, 7, dtype=torch.float64))


def test_two_flat_images_differ_by_the_closed_formula():
    a, b = (torch.full((1, 3, 5, 5), gray, dtype=torch.float64) for gray in (0.2, 0.6))
    ssim = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)  # no variance: contrast term is 1
    expected = 0.85 * (1 - ssim) / 2 + 0.15 * 0.4
    assert photometric_error(a, b).numpy() == pytest.approx(expected)


def test_without_ssim_it_is_the_mean_absolute_difference():
    a, b = image(0), image(1)
    assert_close(photometric_error(a, b, ssim_share=0.0), (a - b).abs().mean(1, keepdim=True))


def test_one_window_agrees_with_ssim_written_in_numpy():
    a, b = image(2, (3, 3)), image(3, (3, 3))
    x, y = (t[0, 0].numpy().ravel() for t in (a, b))
    cov = np.cov(x, y, bias=True)
    ssim = ((2 * x.mean() * y.mean() + 1e-4) * (2 * cov[0, 1] + 9e-4)) / (
        (x.mean() ** 2 + y.mean() ** 2 + 1e-4) * (cov[0, 0] + cov[1, 1] + 9e-4)
    )
    assert structural_dissimilarity(a, b)[0, 0, 1, 1].item() == pytest.approx((1 - ssim) / 2)


def test_flat_windows_agree_with_kornia():
    a = torch.full((1, 3, 9, 9), 0.3, dtype=torch.float64)
    b = torch.full((1, 3, 9, 9), 0.5, dtype=torch.float64)
    expected = (1 - kornia_ssim(a, b, window_size=3, eps=0.0)) / 2
    assert_close(structural_dissimilarity(a, b), expected, atol=1e-6, rtol=1e-6)


@given(seed=st.integers(0, 1000))
def test_the_error_is_symmetric_and_in_the_unit_interval(seed):
    a, b = image(seed), image(seed + 1)
    error = photometric_error(a, b)
    assert_close(error, photometric_error(b, a))
    assert error.min() >= 0
    assert error.max() <= 1


def test_gradients_match_finite_differences():
    a, b = image(4, (4, 4)).requires_grad_(), image(5, (4, 4)).requires_grad_()
    assert gradcheck(photometric_error, (a, b))


def test_black_images_give_a_finite_gradient():
    black = torch.zeros(1, 3, 5, 5, requires_grad=True)
    photometric_error(black, torch.zeros(1, 3, 5, 5)).sum().backward()
    assert black.grad is not None
    assert torch.isfinite(black.grad).all()


@pytest.mark.parametrize("size", [(2, 2), (2, 5), (7, 3)])
def test_error_and_gradient_are_those_of_the_formula_written_with_pools(size):
    a, b = (torch.rand(3, 3, *size, dtype=torch.float64, requires_grad=True) for _ in range(2))
    chance = torch.rand(3, 1, *size, dtype=torch.float64)
    plain = 0.7 * structural_dissimilarity(a, b).mean(1, True) + 0.3 * (a - b).abs().mean(1, True)
    assert_close(photometric_error(a, b, ssim_share=0.7), plain)
    expected = torch.autograd.grad((plain * chance).sum(), (a, b))
    error = (photometric_error(a, b, ssim_share=0.7) * chance).sum()
    assert_close(torch.autograd.grad(error, (a, b)), expected)
    alone = (photometric_error(a.detach(), b, ssim_share=0.7) * chance).sum()
    assert_close(torch.autograd.grad(alone, b)[0], expected[1])
