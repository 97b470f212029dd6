"""Ranking: pairs by hand, labels that may and may not matter, and gaps of any size."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.testing import assert_close

from seeds import drawn
from ssmde.losses import pairs as module
from ssmde.losses.pairs import (
    Pairs,
    confident_depth_ranking,
    least_reliable,
    order,
    random_pair_ranking,
    ranking,
    sample_pairs,
)

H, W = 12, 16


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_depth(seed: int, batch: int = 2) -> torch.Tensor:
    generator = seeded(seed)
    return 1 + 4 * torch.rand(batch, 1, H, W, generator=generator, dtype=torch.float64)


def everywhere(batch: int = 2) -> torch.Tensor:
    return torch.ones(batch, 1, H, W, dtype=torch.bool)


def row(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).view(1, 1, 1, -1)


def all_used(first: list[int], second: list[int]) -> Pairs:
    a, b = torch.tensor([first]), torch.tensor([second])
    return Pairs(a, b, torch.ones_like(a, dtype=torch.bool))


def gradient_of(term: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
    (gradient,) = torch.autograd.grad(term, depth)
    assert term.isfinite()
    assert gradient.isfinite().all()
    return gradient


def test_a_pair_costs_the_softplus_of_its_gap():
    found = ranking(row(3.0, 1.0), row(10.0, 5.0), all_used([0], [1]))
    assert found.item() == pytest.approx(math.log(1 + math.exp(-2)))
    found = ranking(row(3.0, 1.0), row(5.0, 10.0), all_used([0], [1]))
    assert found.item() == pytest.approx(math.log(1 + math.exp(2)))


def test_swapping_the_ends_changes_nothing():
    pairs = drawn(sample_pairs, everywhere(), everywhere(), 50)
    swapped = Pairs(pairs.second, pairs.first, pairs.used)
    a, b = (ranking(random_depth(0), random_depth(1), p) for p in (pairs, swapped))
    assert_close(a, b)


def test_an_order_needs_more_than_the_margin():
    labels = row(1.0, 1.25, 1.26, 0.0)
    pairs = all_used([0, 1, 0, 2, 0, 3], [1, 0, 2, 0, 3, 0])
    assert order(labels, pairs, margin=1.25).tolist() == [[0, 0, -1, 1, 0, 0]]


def test_only_ordered_pairs_are_in_the_mean():
    pairs = all_used([0, 0, 0], [1, 2, 3])
    found = ranking(row(3.0, 1.0, 8.0, 8.0), row(10.0, 5.0, 10.5, 0.0), pairs)
    assert found.item() == pytest.approx(math.log(1 + math.exp(-2)))


def test_a_gap_of_any_size_has_a_finite_loss_and_gradient():
    depth = torch.tensor([0.1, 1000.0]).view(1, 1, 1, 2).requires_grad_()
    term = ranking(depth, row(2.0, 1.0).float(), all_used([0], [1]))
    assert term.item() == pytest.approx(999.9)
    assert gradient_of(term, depth).flatten().tolist() == [-1.0, 1.0]


@given(scale=st.floats(1e-3, 6e4))
def test_the_scale_of_the_labels_does_not_matter(scale):
    pairs = drawn(sample_pairs, everywhere(), everywhere(), 50)
    labels = torch.exp2(torch.randint(0, 5, (2, 1, H, W), generator=seeded(1)).double())
    expected = ranking(random_depth(0), labels, pairs)
    assert_close(ranking(random_depth(0), scale * labels, pairs), expected)


@given(power=st.floats(0.2, 4.0))
def test_a_map_that_keeps_the_order_of_ratios_does_not_matter(power):
    pairs = drawn(sample_pairs, everywhere(), everywhere(), 50)
    labels = torch.exp2(torch.randint(0, 5, (2, 1, H, W), generator=seeded(1)).double())
    found = ranking(random_depth(0), labels**power, pairs, margin=1.15**power)
    assert_close(found, ranking(random_depth(0), labels, pairs))


def test_labels_learn_nothing():
    labels = random_depth(1).requires_grad_()
    assert not random_pair_ranking(random_depth(0), labels, everywhere()).requires_grad


def test_nothing_ordered_gives_zero_with_a_gradient_of_zero():
    depth, same = random_depth(0).requires_grad_(), torch.ones(2, 1, H, W).double()
    labels, none = random_depth(1), ~everywhere()
    for term in (
        random_pair_ranking(depth, same, everywhere()),
        random_pair_ranking(depth, 0 * same, everywhere()),
        random_pair_ranking(depth, labels, none),
        confident_depth_ranking(depth, labels, same, none),
        confident_depth_ranking(depth, same, random_depth(2), everywhere()),
    ):
        assert term == 0
        assert not gradient_of(term, depth).any()


@pytest.mark.parametrize("seed", range(3))
def test_pixels_that_are_not_valid_do_not_matter(seed):
    depth, labels, reliability = random_depth(0), random_depth(1), random_depth(2)
    valid = torch.rand(2, 1, H, W, generator=seeded(seed)) > 0.4
    for garbage in (0.0, 1e6):
        spoilt = [torch.where(valid, x, garbage) for x in (depth, labels, reliability)]
        assert_close(
            drawn(random_pair_ranking, *spoilt[:2], valid),
            drawn(random_pair_ranking, depth, labels, valid),
        )
        assert_close(
            drawn(confident_depth_ranking, *spoilt, valid),
            drawn(confident_depth_ranking, depth, labels, reliability, valid),
        )


@pytest.mark.parametrize("dim", [2, 3])
def test_vertical_and_horizontal_order_are_learnt(dim):
    ramp = torch.linspace(1.0, 9.0, (H, W)[dim - 2], dtype=torch.float64)
    labels = (ramp[:, None] if dim == 2 else ramp).expand(2, 1, H, W)
    depth = torch.full_like(labels, 5.0).requires_grad_()
    for term in (
        drawn(random_pair_ranking, depth, labels, everywhere(), share=3.0),
        drawn(confident_depth_ranking, depth, labels, random_depth(3), everywhere()),
    ):
        assert term.item() == pytest.approx(math.log(2))
        step = -gradient_of(term, depth)
        nearer, farther = step.tensor_split(2, dim)
        assert nearer.sum() < 0 < farther.sum()


def test_each_image_is_ranked_by_its_own_pairs():
    depth = random_depth(0)[:1].expand(2, -1, -1, -1).clone().requires_grad_()
    labels = random_depth(1)[:1].expand(2, -1, -1, -1)
    term = drawn(random_pair_ranking, depth, labels, everywhere())
    first, second = gradient_of(term, depth)
    assert not torch.equal(first != 0, second != 0)


def test_the_least_reliable_pixels_are_the_lowest_of_each_image():
    values = torch.tensor([[5.0, 1, 4, 3, 2], [50.0, 40, 10, 30, 20]]).view(2, 1, 1, 5)
    valid = torch.ones(2, 1, 1, 5, dtype=torch.bool)
    assert least_reliable(values, valid, 0.4)[:, 0, 0].int().tolist() == [
        [0, 1, 0, 0, 1],
        [0, 0, 1, 0, 1],
    ]
    valid[0, ..., 1] = False  # 40 % of four pixels is one
    assert least_reliable(values, valid, 0.4)[0].flatten().int().tolist() == [0, 0, 0, 0, 1]


def test_where_all_are_equally_reliable_none_is_unreliable():
    assert not least_reliable(torch.ones(1, 1, H, W), everywhere(1), 0.2).any()


@given(share=st.floats(0.01, 0.99), seed=st.integers(0, 1000))
def test_at_most_the_share_of_the_valid_pixels_is_unreliable(share, seed):
    valid = torch.rand(2, 1, H, W, generator=seeded(seed)) > 0.5
    found = least_reliable(torch.rand(2, 1, H, W, generator=seeded(seed + 1)), valid, share)
    assert not (found & ~valid).any()
    count, all_valid = found.sum((1, 2, 3)), valid.sum((1, 2, 3))
    assert torch.equal(count, (share * all_valid).long())


def test_unreliable_pixels_get_partners_from_the_rest_of_the_image():
    reliability = torch.ones(1, 1, H, W).double()
    reliability[..., :2, :6] = 0
    labels = torch.ones_like(reliability)
    labels[..., :2, :6] = 0.5
    depth = torch.full_like(labels, 2.0).requires_grad_()
    inputs = depth, labels, reliability, everywhere(1)
    towards = -gradient_of(drawn(confident_depth_ranking, *inputs), depth)
    moving = reliability == 0
    assert (towards[moving] < 0).all()  # each is pulled to the front
    assert (towards[~moving] >= 0).all()
    assert (towards[~moving] > 0).double().mean() > 0.1


def test_unreliable_pixels_are_not_partners_of_each_other(monkeypatch):
    asked: list[tuple[torch.Tensor, torch.Tensor]] = []

    def spy(first, second, count):
        asked.append((first, second))
        return sample_pairs(first, second, count)

    monkeypatch.setattr(module, "sample_pairs", spy)
    valid = torch.rand(2, 1, H, W, generator=seeded()) > 0.3
    confident_depth_ranking(*(random_depth(i) for i in range(3)), valid)
    unreliable, rest = asked[0]
    assert not (unreliable & rest).any()
    assert torch.equal(unreliable | rest, valid)
    assert all(torch.equal(mask, valid) for mask in asked[1])


def test_gradients_match_finite_differences():
    depth, labels, reliability = (random_depth(i)[..., :4, :5] for i in range(3))
    valid = everywhere()[..., :4, :5]
    depth = depth.clone().requires_grad_()
    assert gradcheck(
        lambda d: drawn(confident_depth_ranking, d, labels, reliability, valid),
        (depth,),
        fast_mode=True,
    )


def test_a_margin_below_one_is_refused():
    with pytest.raises(ValueError, match=r"margin is a ratio .* at least 1, got 0\.9"):
        ranking(row(1.0, 2.0), row(1.0, 2.0), all_used([0], [1]), margin=0.9)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.2])
def test_a_share_outside_the_unit_interval_is_refused(share):
    with pytest.raises(ValueError, match=f"share must lie between 0 and 1, got {share}"):
        least_reliable(random_depth(0), everywhere(), share)
