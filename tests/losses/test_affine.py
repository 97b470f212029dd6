"""Terms for depth without scale and shift: closed forms, and what truth may not change."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from maps import everywhere, finite_gradient, random_depth, random_map
from seeds import drawn
from ssmde.losses import pairs
from ssmde.losses.affine import (
    multi_scale_slope,
    normalize_depth,
    normalized_regression,
    structure_guided_ranking,
)

SIZE = H, W = 32, 40


def halves() -> torch.Tensor:
    image = torch.full((2, 3, H, W), 0.3, dtype=torch.float64)
    image[..., W // 2 :] = 0.6
    return image


def every_term(prediction, depth, valid, image) -> list[torch.Tensor]:
    truth = normalize_depth(depth, valid)
    return [
        normalized_regression(prediction, truth, valid),
        multi_scale_slope(prediction - truth, valid.to(truth), step=2),
        drawn(structure_guided_ranking, prediction, depth, image, valid),
    ]


def test_normalized_depth_has_the_middle_of_numpy():
    depth, valid = random_depth(0, SIZE), random_map(1, SIZE) > 0.3
    depth[..., :1, :] = 1e5  # outliers do not reach it
    for d, v, normalized in zip(depth, valid, normalize_depth(depth, valid), strict=True):
        ordered = np.sort(d[v].numpy())
        cut = int(0.1 * len(ordered))
        middle = ordered[cut : len(ordered) - cut]
        assert_close(normalized, (d - middle.mean()) / middle.std())
    for constant in (3.3, 1e-4, 6e4):
        assert not normalize_depth(torch.full_like(depth, constant), valid).any()


@given(scale=st.floats(1e-3, 1e4), shift=st.floats(0.0, 100.0))
def test_normalized_depth_sees_neither_scale_nor_shift(scale, shift):
    depth, valid = random_depth(0, (5, 6)), everywhere((5, 6))
    assert_close(normalize_depth(scale * (depth + shift), valid), normalize_depth(depth, valid))


def test_the_regression_has_its_closed_form():
    truth, every = normalize_depth(random_depth(0, SIZE), everywhere(SIZE)), everywhere(SIZE)
    assert normalized_regression(truth, truth, every) == 0
    away = truth + 2.0
    expected = 2 + ((0.01 * away).tanh() - (0.01 * truth).tanh()).mean()
    assert_close(normalized_regression(away, truth, every), expected)


def test_a_ramp_is_twice_as_steep_at_every_scale():
    ramp = 2 * torch.arange(16, dtype=torch.float64).expand(1, 1, 16, 16)
    full = torch.ones_like(ramp)
    for same in (ramp, ramp.mT, 7 - ramp):
        assert multi_scale_slope(same, full, step=1, scales=3) == 2 + 4 + 8
    assert multi_scale_slope(ramp, full, step=2, scales=1) == 4
    assert multi_scale_slope(ramp, full, step=2) == 4 + 8 + 16  # at scale 8 no two pixels apart


def test_a_step_counts_with_the_weight_of_both_ends_and_not_in_too_small_an_image():
    residual = torch.tensor([[[[0.0, 0.0, 0.0, 7.0, 7.0]]]]).expand(1, 1, 4, 5)
    weight = torch.ones(1, 1, 4, 5)
    assert multi_scale_slope(residual, weight, step=1, scales=1) == 7 / 4
    weight[..., 3] = 0
    assert multi_scale_slope(residual, weight, step=1, scales=1) == 0
    tiny = random_depth(5, (2, 3)).requires_grad_()
    full = torch.ones_like(tiny)
    six, two = (multi_scale_slope(tiny, full, step=1, scales=n) for n in (6, 2))
    assert_close(six, two)
    none = multi_scale_slope(tiny[..., :1, :1], full[..., :1, :1], step=2)
    assert not finite_gradient(none, tiny).any()


def test_ranking_is_softplus_on_an_order_and_a_square_on_equals(monkeypatch):
    depth = torch.tensor([4.0, 2.0, 2.05]).double().view(1, 1, 1, 3)
    prediction = torch.tensor([0.5, 1.0, 3.0]).double().view(1, 1, 1, 3)
    used = torch.ones(1, 2, dtype=torch.bool)
    two = pairs.Pairs(torch.tensor([[0, 1]]), torch.tensor([[1, 2]]), used)
    monkeypatch.setattr(pairs, "pairs_across", lambda *_: two)
    monkeypatch.setattr(pairs, "sample_pairs", lambda *_: two._replace(used=~used))
    term = structure_guided_ranking(prediction, depth, torch.zeros(1, 3, 1, 3).double(), depth > 0)
    assert term.item() == pytest.approx((math.log(1 + math.exp(0.5)) + 2.0**2) / 2)


@pytest.mark.parametrize("garbage", [0.0, 1e6])
def test_pixels_without_truth_do_not_matter(garbage):
    valid = everywhere(SIZE)
    valid[..., 12:18] = False
    depth, prediction = 2 + random_depth(2, SIZE), random_depth(1, SIZE)
    spoilt = torch.where(valid, depth, garbage)
    a, b = (every_term(prediction, truth, valid, halves()) for truth in (depth, spoilt))
    assert_close(a, b)


@pytest.mark.parametrize("prediction", [random_depth(1, SIZE), -500 * random_depth(0, SIZE)])
@pytest.mark.parametrize("truth", [torch.full((2, 1, H, W), 3.0).double(), random_depth(0, SIZE)])
@pytest.mark.parametrize("valid", [everywhere(SIZE), ~everywhere(SIZE)])
def test_flat_truth_black_images_wide_gaps_and_empty_masks_have_finite_gradients(
    prediction, truth, valid
):
    prediction = prediction.clone().requires_grad_()
    for image in (torch.zeros(2, 3, H, W).double(), halves()):
        for term in every_term(prediction, truth, valid, image):
            gradient = finite_gradient(term, prediction)
            assert valid.any() or (term == 0 and not gradient.any())


def test_the_truth_learns_nothing():
    truth, image = random_depth(1, SIZE).requires_grad_(), random_map(9, SIZE, channels=3)
    terms = every_term(random_depth(0, SIZE), truth, everywhere(SIZE), image)
    assert not any(term.requires_grad for term in terms)
