"""Terms for depth without scale and shift: closed forms, and what truth may not change."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.testing import assert_close

from seeds import drawn
from ssmde.geometry.camera import pixel_grid
from ssmde.losses import affine as module
from ssmde.losses.affine import (
    multi_scale_slope,
    normalize_depth,
    normalized_regression,
    structure_guided_ranking,
)
from ssmde.losses.pairs import Pairs

H, W = 40, 48
SLOPE = 0.6
ACROSS = (1 - SLOPE**2) / (1 + SLOPE**2)  # cosine of the normals of both sides of the roof


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_depth(seed: int, size: tuple[int, int] = (H, W)) -> torch.Tensor:
    return 1 + 4 * torch.rand(2, 1, *size, generator=seeded(seed), dtype=torch.float64)


def everywhere(size: tuple[int, int] = (H, W)) -> torch.Tensor:
    return torch.ones(2, 1, *size, dtype=torch.bool)


def random_image(size: tuple[int, int] = (H, W)) -> torch.Tensor:
    return torch.rand(2, 3, *size, generator=seeded(9), dtype=torch.float64)


def make_intrinsics() -> torch.Tensor:
    K = torch.tensor([[70.0, 0, (W - 1) / 2], [0, 70.0, (H - 1) / 2], [0, 0, 1]])
    return K.double().repeat(2, 1, 1)


def roof() -> torch.Tensor:
    """Two walls that meet in the middle column: z = 2 + SLOPE |x|."""
    K = make_intrinsics()[0]
    ray = (pixel_grid(H, W, like=K)[..., 0] - K[0, 2]) / K[0, 0]
    return (2 / (1 - SLOPE * ray.abs())).expand(2, 1, H, W)


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
    depth, valid = random_depth(0), torch.rand(2, 1, H, W, generator=seeded(1)) > 0.3
    found = normalize_depth(depth, valid)
    for d, v, normalized in zip(depth, valid, found, strict=True):
        ordered = np.sort(d[v].numpy())
        cut = int(0.1 * len(ordered))
        middle = ordered[cut : len(ordered) - cut]
        assert_close(normalized, (d - middle.mean()) / middle.std())


@given(scale=st.floats(1e-3, 1e4), shift=st.floats(0.0, 100.0))
def test_normalized_depth_sees_neither_scale_nor_shift(scale, shift):
    depth, valid = random_depth(0, (5, 6)), everywhere((5, 6))
    assert_close(normalize_depth(scale * (depth + shift), valid), normalize_depth(depth, valid))


def test_outliers_do_not_reach_the_normalization():
    depth = random_depth(0)
    spoilt = depth.clone()
    depth[..., :2, :] = 6.0
    spoilt[..., :2, :] = 1e5  # one in twenty
    kept = everywhere()[..., 2:, :]
    a, b = (normalize_depth(d, everywhere())[..., 2:, :] for d in (depth, spoilt))
    assert_close(a[kept], b[kept])


@pytest.mark.parametrize("value", [3.3, 1e-4, 6e4])
def test_a_constant_depth_is_normalized_to_zero(value):
    constant = torch.full((2, 1, H, W), value)
    assert not normalize_depth(constant, everywhere()).any()


def test_the_regression_has_its_closed_form():
    depth = random_depth(0)
    truth = normalize_depth(depth, everywhere())
    assert normalized_regression(truth, truth, everywhere()) == 0
    away = truth + 2.0
    expected = 2 + ((0.01 * away).tanh() - (0.01 * truth).tanh()).mean()
    assert_close(normalized_regression(away, truth, everywhere()), expected)


def ramp(height: int = 16, width: int = 16) -> torch.Tensor:
    """A map that grows by 2 with each column."""
    return 2 * torch.arange(width, dtype=torch.float64).expand(1, 1, height, width)


def test_a_ramp_is_twice_as_steep_at_every_scale():
    full = torch.ones_like(ramp())
    assert multi_scale_slope(ramp(), full, step=1, scales=3) == 2 + 4 + 8
    assert multi_scale_slope(ramp().mT, full, step=1, scales=3) == 2 + 4 + 8
    assert multi_scale_slope(ramp(), full, step=2, scales=1) == 4
    assert multi_scale_slope(ramp(), full, step=2) == 4 + 8 + 16  # at scale 8 no two pixels apart


@given(shift=st.floats(-100.0, 100.0), sign=st.sampled_from([-1.0, 1.0]))
def test_a_slope_sees_neither_a_shift_nor_a_sign(shift, sign):
    residual, weight = random_depth(3, (9, 10)), random_depth(4, (9, 10)) - 1
    expected = multi_scale_slope(residual, weight, step=1)
    assert_close(multi_scale_slope(sign * residual + shift, weight, step=1), expected)


def test_a_step_does_not_count_when_one_end_has_no_weight():
    residual = torch.tensor([[[[0.0, 0.0, 0.0, 7.0, 7.0]]]]).expand(1, 1, 4, 5)
    weight = torch.ones(1, 1, 4, 5)
    assert multi_scale_slope(residual, weight, step=1, scales=1) == 7 / 4
    weight[..., 3] = 0
    assert multi_scale_slope(residual, weight, step=1, scales=1) == 0


def test_an_image_too_small_for_a_scale_adds_nothing_there():
    residual = random_depth(5, (2, 3)).requires_grad_()
    full = torch.ones_like(residual)
    six, two = (multi_scale_slope(residual, full, step=1, scales=n) for n in (6, 2))
    assert_close(six, two)
    multi_scale_slope(residual[..., :1, :1], full[..., :1, :1], step=2).backward()
    assert residual.grad is not None
    assert not residual.grad.any()


def test_ranking_is_softplus_on_an_order_and_a_square_on_equals(monkeypatch):
    depth = torch.tensor([4.0, 2.0, 2.05]).double().view(1, 1, 1, 3)
    prediction = torch.tensor([0.5, 1.0, 3.0]).double().view(1, 1, 1, 3)
    first, second = torch.tensor([[0, 1]]), torch.tensor([[1, 2]])
    two = Pairs(first, second, torch.ones(1, 2, dtype=torch.bool))
    monkeypatch.setattr(module, "pairs_across", lambda *_, **__: two)
    none = two._replace(used=~two.used)
    monkeypatch.setattr(module, "sample_pairs", lambda *_, **__: none)
    term = structure_guided_ranking(prediction, depth, torch.zeros(1, 3, 1, 3).double(), depth > 0)
    assert term.item() == pytest.approx((math.log(1 + math.exp(0.5)) + 2.0**2) / 2)


def test_a_gap_of_any_size_has_a_finite_ranking_and_gradient():
    depth = random_depth(0).float()
    prediction = (-500 * depth).requires_grad_()
    image = random_image().float()
    term = structure_guided_ranking(prediction, depth, image, everywhere())
    term.backward()
    assert 100 < term < 5000
    assert prediction.grad is not None
    assert prediction.grad.isfinite().all()


@pytest.mark.parametrize("garbage", [0.0, 1e6])
def test_pixels_without_truth_do_not_matter(garbage):
    valid = everywhere()
    valid[..., 12:18] = False
    depth = 2 + roof() ** 2
    spoilt = torch.where(valid, depth, garbage)
    for a, b in zip(
        every_term(random_depth(1), depth, valid, halves()),
        every_term(random_depth(1), spoilt, valid, halves()),
        strict=True,
    ):
        assert_close(a, b)


@pytest.mark.parametrize("truth", [torch.full((2, 1, H, W), 3.0).double(), random_depth(0)])
@pytest.mark.parametrize("image", [torch.zeros(2, 3, H, W).double(), random_image()])
@pytest.mark.parametrize("valid", [everywhere(), ~everywhere()])
def test_flat_truth_black_images_and_empty_masks_have_finite_gradients(truth, image, valid):
    for prediction in (random_depth(1), torch.ones(2, 1, H, W).double()):
        prediction = prediction.clone().requires_grad_()
        for term in every_term(prediction, truth, valid, image):
            (gradient,) = torch.autograd.grad(term, prediction)
            assert term.isfinite()
            assert gradient.isfinite().all()
            if not valid.any():
                assert term == 0
                assert not gradient.any()


def test_the_truth_learns_nothing():
    depth = random_depth(0).requires_grad_()
    assert not any(
        t.requires_grad for t in every_term(random_depth(1), depth, everywhere(), halves())
    )


def test_gradients_match_finite_differences():
    size = (13, 14)
    prediction, depth = random_depth(0, size).requires_grad_(), random_depth(1, size)
    valid = torch.rand(2, 1, *size, generator=seeded(2)) > 0.1
    for i in range(3):
        assert gradcheck(
            lambda p, i=i: every_term(p, depth, valid, random_image(size))[i],
            (prediction,),
            fast_mode=True,
        )
