"""Random pixels and pairs: where they lie, and that nothing else is drawn."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from seeds import drawn
from ssmde.losses import pairs
from ssmde.losses.pairs import (
    Pairs,
    draw_pixels,
    gather_pixels,
    join_pairs,
    keep_inside,
    pair_mean,
    sample_pairs,
    share_of_pixels,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def everywhere(batch: int = 1, height: int = 20, width: int = 30) -> torch.Tensor:
    return torch.ones(batch, 1, height, width, dtype=torch.bool)


@given(seed=st.integers(0, 1000))
def test_pixels_are_drawn_inside_the_mask_of_their_image(seed):
    mask = torch.rand(3, 1, 4, 5, generator=seeded(seed)) > 0.7
    found = gather_pixels(mask, drawn(draw_pixels, mask, 8, seed=seed))[:, 0]
    assert torch.equal(found.all(1), mask.flatten(1).any(1))
    assert torch.equal(found.any(1), mask.flatten(1).any(1))


def test_every_pixel_of_the_mask_is_as_likely_as_another():
    mask = torch.tensor([[[[True, False, True], [False, True, True]]]])
    share = drawn(draw_pixels, mask, 4000).flatten().bincount(minlength=6) / 4000
    assert_close(share, mask.flatten() / 4, atol=0.03, rtol=0)


@pytest.mark.parametrize("chance", [0.0, 1 - 2**-24])
def test_the_ends_of_the_unit_interval_stay_inside_the_mask(chance, monkeypatch):
    mask = everywhere(1, 1, 101)
    mask[..., :40] = mask[..., -1:] = False
    monkeypatch.setattr(pairs, "uniform_per_image", lambda size, **_: torch.full(size, chance))
    assert draw_pixels(mask, 1).item() == (40 if chance == 0 else 99)


def test_an_empty_mask_gives_pairs_that_are_not_used():
    mask = everywhere(2)
    none = mask.clone()
    none[0] = False
    for found in (
        sample_pairs(mask, none, 5),
        sample_pairs(none, mask, 5),
    ):
        assert found.used.tolist() == [[False] * 5, [True] * 5]
        assert found.first.max() < 600
        assert found.second.max() < 600


def test_pairs_lie_in_all_directions():
    first, second, _ = drawn(sample_pairs, everywhere(), everywhere(), 5000)
    rows, columns = (first // 30 - second // 30).abs(), (first % 30 - second % 30).abs()
    # Two independent places on a line of n pixels are (n^2 - 1) / 3n apart on average.
    assert rows.double().mean().item() == pytest.approx((20**2 - 1) / 60, rel=0.05)
    assert columns.double().mean().item() == pytest.approx((30**2 - 1) / 90, rel=0.05)


def test_each_image_has_its_own_pairs():
    pairs = drawn(sample_pairs, everywhere(2), everywhere(2), 100)
    assert (pairs.first[0] == pairs.first[1]).double().mean() < 0.1
    assert (pairs.second[0] == pairs.second[1]).double().mean() < 0.1


def test_a_place_is_row_times_width_plus_column():
    values = torch.arange(12.0).view(1, 2, 2, 3)
    assert gather_pixels(values, torch.tensor([[0, 5, 2]])).tolist() == [[[0, 5, 2], [6, 11, 8]]]


def test_a_pair_needs_both_ends_inside():
    mask = torch.tensor([[[[True, True, False, False]]]])
    pairs = Pairs(
        torch.tensor([[0, 0, 2, 2, 0]]),
        torch.tensor([[1, 2, 1, 3, 1]]),
        torch.tensor([[True, True, True, True, False]]),
    )
    assert keep_inside(pairs, mask).used.tolist() == [[True, False, False, False, False]]


def test_joined_pairs_are_all_pairs():
    a = sample_pairs(everywhere(2), everywhere(2), 3)
    b = sample_pairs(everywhere(2), everywhere(2), 4)
    joined = join_pairs(a, b)
    assert torch.equal(joined.first, torch.cat([a.first, b.first], dim=1))
    assert torch.equal(joined.second[:, 3:], b.second)
    assert joined.used.shape == (2, 7)


def test_the_mean_counts_used_pairs_of_each_image():
    values = torch.tensor([[1.0, 2.0], [5.0, 100.0]])
    used = torch.tensor([[True, True], [True, False]])
    assert pair_mean(values, used) == (1.5 + 5) / 2


def test_a_share_of_a_tiny_image_is_one_pair():
    assert share_of_pixels(torch.zeros(1, 3, 10, 20), 0.1) == 20
    assert share_of_pixels(torch.zeros(1, 3, 2, 2), 0.1) == 1
