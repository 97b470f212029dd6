"""Pairs of pixels and their ranking: pairs by hand, what may not matter, and gaps of any size."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.testing import assert_close

from maps import everywhere, finite_gradient, random_depth, random_map
from seeds import drawn
from ssmde.losses import pairs as module
from ssmde.losses.pairs import (
    Pairs,
    confident_depth_ranking,
    draw_pixels,
    gather_pixels,
    join_pairs,
    keep_inside,
    least_reliable,
    order,
    random_pair_ranking,
    ranking,
    sample_pairs,
)

SIZE = H, W = 12, 16
EVERY = everywhere(SIZE)


def row(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).view(1, 1, 1, -1)


def all_used(first: list[int], second: list[int]) -> Pairs:
    a, b = torch.tensor([first]), torch.tensor([second])
    return Pairs(a, b, torch.ones_like(a, dtype=torch.bool))


@given(seed=st.integers(0, 1000))
def test_pixels_are_drawn_inside_the_mask_of_their_image(seed):
    mask = random_map(seed, (4, 5), batch=3) > 0.7
    found = gather_pixels(mask, drawn(draw_pixels, mask, 8, seed=seed))[:, 0]
    assert torch.equal(found.all(1), mask.flatten(1).any(1))
    assert torch.equal(found.any(1), mask.flatten(1).any(1))


def test_every_pixel_of_the_mask_is_as_likely_as_another():
    mask = torch.tensor([[[[True, False, True], [False, True, True]]]])
    share = drawn(draw_pixels, mask, 4000).flatten().bincount(minlength=6) / 4000
    assert_close(share, mask.flatten() / 4, atol=0.03, rtol=0)


@pytest.mark.parametrize("chance", [0.0, 1 - 2**-24])
def test_the_ends_of_the_unit_interval_stay_inside_the_mask(chance, monkeypatch):
    mask = everywhere((1, 101), batch=1)
    mask[..., :40] = mask[..., -1:] = False
    monkeypatch.setattr(module, "uniform_per_image", lambda size, **_: torch.full(size, chance))
    assert draw_pixels(mask, 1).item() == (40 if chance == 0 else 99)


def test_pairs_lie_in_all_directions_and_each_image_has_its_own():
    mask = everywhere((20, 30))
    first, second, _ = drawn(sample_pairs, mask, mask, 5000)
    rows, columns = (first // 30 - second // 30).abs(), (first % 30 - second % 30).abs()
    # Two independent places on a line of n pixels are (n^2 - 1) / 3n apart on average.
    assert rows.double().mean().item() == pytest.approx((20**2 - 1) / 60, rel=0.05)
    assert columns.double().mean().item() == pytest.approx((30**2 - 1) / 90, rel=0.05)
    assert (first[0] == first[1]).double().mean() < 0.1
    assert (second[0] == second[1]).double().mean() < 0.1
    none = mask.clone()
    none[0] = False  # an empty mask gives pairs that are not used
    for found in (sample_pairs(mask, none, 5), sample_pairs(none, mask, 5)):
        assert found.used.tolist() == [[False] * 5, [True] * 5]
        assert torch.maximum(found.first, found.second).max() < 20 * 30


def test_a_place_is_row_times_width_plus_column_and_a_pair_needs_both_inside():
    values = torch.arange(12.0).view(1, 2, 2, 3)
    assert gather_pixels(values, torch.tensor([[0, 5, 2]])).tolist() == [[[0, 5, 2], [6, 11, 8]]]
    mask = torch.tensor([[[[True, True, False, False]]]])
    pairs = all_used([0, 0, 2, 2, 0], [1, 2, 1, 3, 1])
    pairs.used[..., -1] = False
    assert keep_inside(pairs, mask).used.tolist() == [[True, False, False, False, False]]
    joined = join_pairs(pairs, all_used([3], [2]))
    assert joined.first.tolist() == [[0, 0, 2, 2, 0, 3]]
    assert joined.used.tolist() == [[True] * 4 + [False, True]]


def test_a_pair_costs_the_softplus_of_its_gap_and_an_order_needs_more_than_the_margin():
    for labels, gap in (((10.0, 5.0), -2), ((5.0, 10.0), 2)):
        found = ranking(row(3.0, 1.0), row(*labels), all_used([0], [1]))
        assert found.item() == pytest.approx(math.log(1 + math.exp(gap)))
    labels = row(1.0, 1.25, 1.26, 0.0)
    pairs = all_used([0, 1, 0, 2, 0, 3], [1, 0, 2, 0, 3, 0])
    assert order(labels, pairs, margin=1.25).tolist() == [[0, 0, -1, 1, 0, 0]]
    pairs = all_used([0, 0, 0], [1, 2, 3])  # only the ordered ones are in the mean
    found = ranking(row(3.0, 1.0, 8.0, 8.0), row(10.0, 5.0, 10.5, 0.0), pairs)
    assert found.item() == pytest.approx(math.log(1 + math.exp(-2)))
    depth = torch.tensor([0.1, 1000.0]).view(1, 1, 1, 2).requires_grad_()  # a gap of any size
    term = ranking(depth, row(2.0, 1.0).float(), all_used([0], [1]))
    assert term.item() == pytest.approx(999.9)
    assert finite_gradient(term, depth).flatten().tolist() == [-1.0, 1.0]


@given(scale=st.floats(1e-3, 6e4))
def test_the_scale_of_the_labels_and_the_order_of_the_ends_do_not_matter(scale):
    pairs = drawn(sample_pairs, EVERY, EVERY, 50)
    labels = torch.exp2((5 * random_map(1, SIZE)).floor())
    expected = ranking(random_depth(0, SIZE), labels, pairs)
    swapped = Pairs(pairs.second, pairs.first, pairs.used)
    assert_close(ranking(random_depth(0, SIZE), scale * labels, swapped), expected)


def test_nothing_ordered_gives_zero_with_a_gradient_of_zero():
    depth, same = random_depth(0, SIZE).requires_grad_(), torch.ones(2, 1, H, W).double()
    labels, none = random_depth(1, SIZE), ~EVERY
    for term in (
        random_pair_ranking(depth, same, EVERY),
        random_pair_ranking(depth, 0 * same, EVERY),
        random_pair_ranking(depth, labels, none),
        confident_depth_ranking(depth, labels, same, none),
        confident_depth_ranking(depth, same, random_depth(2, SIZE), EVERY),
    ):
        assert term == 0
        assert not finite_gradient(term, depth).any()


@pytest.mark.parametrize("seed", range(2))
def test_pixels_that_are_not_valid_do_not_matter(seed):
    inputs = [random_depth(i, SIZE) for i in range(3)]  # depth, labels, reliability
    valid = random_map(seed, SIZE) > 0.4
    for garbage in (0.0, 1e6):
        spoilt = [torch.where(valid, x, garbage) for x in inputs]
        for term, used in ((random_pair_ranking, 2), (confident_depth_ranking, 3)):
            assert_close(drawn(term, *spoilt[:used], valid), drawn(term, *inputs[:used], valid))


@pytest.mark.parametrize("dim", [2, 3])
def test_vertical_and_horizontal_order_are_learned(dim):
    ramp = torch.linspace(1.0, 9.0, (H, W)[dim - 2], dtype=torch.float64)
    labels = (ramp[:, None] if dim == 2 else ramp).expand(2, 1, H, W)
    depth = torch.full_like(labels, 5.0).requires_grad_()
    for term in (
        drawn(random_pair_ranking, depth, labels, EVERY),
        drawn(confident_depth_ranking, depth, labels, random_depth(3, SIZE), EVERY),
    ):
        assert term.item() == pytest.approx(math.log(2))
        nearer, farther = (-finite_gradient(term, depth)).tensor_split(2, dim)
        assert nearer.sum() < 0 < farther.sum()


def test_the_least_reliable_pixels_are_the_lowest_of_each_image():
    values = torch.tensor([[5.0, 1, 4, 3, 2], [50.0, 40, 10, 30, 20]]).view(2, 1, 1, 5)
    valid = everywhere((1, 5))
    found = least_reliable(values, valid, 0.4)[:, 0, 0].int()
    assert found.tolist() == [[0, 1, 0, 0, 1], [0, 0, 1, 0, 1]]
    valid[0, ..., 1] = False  # 40 % of four pixels is one
    assert least_reliable(values, valid, 0.4)[0].flatten().int().tolist() == [0, 0, 0, 0, 1]
    assert not least_reliable(torch.ones(2, 1, 1, 5), valid, 0.4).any()  # none is worse


@given(share=st.floats(0.01, 0.99), seed=st.integers(0, 1000))
def test_at_most_the_share_of_the_valid_pixels_is_unreliable(share, seed):
    valid = random_map(seed, SIZE) > 0.5
    found = least_reliable(random_map(seed + 1, SIZE), valid, share)
    assert not (found & ~valid).any()
    assert torch.equal(found.sum((1, 2, 3)), (share * valid.sum((1, 2, 3))).long())


def test_unreliable_pixels_get_partners_from_the_rest_of_the_image():
    reliability = torch.ones(1, 1, H, W).double()
    reliability[..., :2, :6] = 0
    labels = torch.ones_like(reliability)
    labels[..., :2, :6] = 0.5
    depth = torch.full_like(labels, 2.0).requires_grad_()
    inputs = depth, labels, reliability, everywhere(SIZE, batch=1)
    towards = -finite_gradient(drawn(confident_depth_ranking, *inputs), depth)
    moving = reliability == 0
    assert (towards[moving] < 0).all()  # each is pulled to the front
    assert (towards[~moving] >= 0).all()
    assert (towards[~moving] > 0).double().mean() > 0.1


def test_gradients_match_finite_differences_and_labels_learn_nothing():
    depth, labels, reliability = (random_depth(i, SIZE)[..., :4, :5] for i in range(3))
    valid, depth = everywhere((4, 5)), depth.clone().requires_grad_()
    assert gradcheck(
        lambda d: drawn(confident_depth_ranking, d, labels, reliability, valid),
        (depth,),
        fast_mode=True,
    )
    fixed = depth.detach(), labels.clone().requires_grad_(), valid
    assert not random_pair_ranking(*fixed).requires_grad
