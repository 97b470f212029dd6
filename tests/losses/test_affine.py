"""Terms for depth without scale and shift in closed form, and laws of all terms with labels."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from maps import drawn, everywhere, finite_gradient, random_depth, random_map
from ssmde.geometry.camera import normals
from ssmde.losses import pairs
from ssmde.losses.affine import (
    multi_scale_slope,
    normalize_depth,
    normalized_regression,
    structure_guided_ranking,
)

SIZE = H, W = 32, 40


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


# Laws of all terms that compare a depth with labels

K = torch.tensor([[66.0, 0, (W - 1) / 2], [0, 66.0, (H - 1) / 2], [0, 0, 1]]).double()
K = K.expand(2, 3, 3)
FLAT, ROUGH = torch.full((2, 1, H, W), 3.0).double(), random_depth(0, SIZE)
EVERY = everywhere(SIZE)
RELIABILITY = random_map(8, SIZE).requires_grad_()
OF_PIXELS = {
    "regression": lambda d, g, v, _: normalized_regression(d, normalize_depth(g, v), v),
    "slope": lambda d, g, v, _: multi_scale_slope(d - normalize_depth(g, v), v.to(g), step=2),
    "guided pairs": lambda d, g, v, image: structure_guided_ranking(d, g, image, v),
    "random pairs": lambda d, g, v, _: pairs.random_pair_ranking(d, g, v),
    "confident pairs": lambda d, g, v, _: pairs.confident_depth_ranking(d, g, RELIABILITY, v),
}
TERMS = OF_PIXELS | {  # normals are of a pixel and its neighbors
    "normals": lambda d, g, v, _: pairs.normal_matching(
        normals(d, K), normals(g, K), pairs.known_normals(g) * v.to(g)
    ),
    "edges": lambda d, g, v, image: pairs.edge_relative_normal(
        normals(d, K), normals(g, K), g, image, v
    ),
}


def halves() -> torch.Tensor:
    image = torch.full((2, 3, H, W), 0.3, dtype=torch.float64)
    image[..., W // 2 :] = 0.6
    return image


@pytest.mark.parametrize("garbage", [0.0, 1e6])
@pytest.mark.parametrize("term", OF_PIXELS.values(), ids=OF_PIXELS)
def test_pixels_that_are_not_valid_do_not_matter(term, garbage):
    depth, label, valid = random_depth(1, SIZE), 2 + random_depth(2, SIZE), EVERY.clone()
    valid[..., 12:18] = False
    spoilt = (torch.where(valid, x, garbage) for x in (depth, label))
    assert_close(drawn(term, *spoilt, valid, halves()), drawn(term, depth, label, valid, halves()))


@pytest.mark.parametrize(
    ("depth", "label"),
    [(FLAT, FLAT), (FLAT, ROUGH), (ROUGH, FLAT), (ROUGH, 0 * FLAT), (-500 * ROUGH, ROUGH)],
)
@pytest.mark.parametrize("term", TERMS.values(), ids=TERMS)
def test_a_gradient_is_finite_whatever_is_compared_and_zero_where_nothing_is(term, depth, label):
    depth = depth.clone().requires_grad_()
    for image in (0 * halves(), halves()):
        finite_gradient(drawn(term, depth, label, EVERY, image), depth)
        nothing = drawn(term, depth, label, ~EVERY, image)
        assert nothing == 0
        assert not finite_gradient(nothing, depth).any()


@pytest.mark.parametrize("term", TERMS.values(), ids=TERMS)
def test_labels_learn_nothing(term):
    label = random_depth(1, SIZE).requires_grad_()
    assert not drawn(term, random_depth(0, SIZE), label, EVERY, halves()).requires_grad
