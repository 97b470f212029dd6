"""Evidence of several sources joined, on rows of pixels small enough to count."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from ssmde.methods.mask_filter import (
    Evidence,
    depth_reliability,
    depths_agree,
    drop_lowest,
    motion_candidates,
    motion_ratio,
    split_regions,
)


def says(
    *,
    visible: bool = True,
    difference: float = 0.0,
    way: float = 0.0,
    error: float = 0.0,
    identity: float = 0.0,
) -> Evidence:
    """One source, one pixel."""
    floats = (torch.full((1, 1, 1, 1), v) for v in (difference, way, error, identity))
    return Evidence(torch.full((1, 1, 1, 1), visible), *floats)


def together(*sources: Evidence) -> Evidence:
    return Evidence(*(torch.cat(parts, 1) for parts in zip(*sources, strict=True)))


def reliability(*sources: Evidence) -> float:
    return depth_reliability(together(*sources)).item()


def test_reliability_falls_with_depth_difference_and_way_back():
    assert reliability(says()) == 1
    e = torch.tensor(torch.e).item()
    assert abs(reliability(says(difference=0.05)) - 1 / e) < 1e-6
    assert abs(reliability(says(difference=-0.05)) - 1 / e) < 1e-6
    assert abs(reliability(says(difference=0.05, way=2.0)) - 1 / e**3) < 1e-6


def test_reliability_is_that_of_the_best_source_that_sees():
    assert reliability(says(difference=0.5), says(), says(difference=0.1)) == 1
    assert reliability(says(visible=False), says(visible=False)) == 0
    assert (
        abs(reliability(says(visible=False), says(way=2.0)) - torch.exp(torch.tensor(-2.0))) < 1e-6
    )


def agree(*sources: Evidence) -> bool:
    return bool(depths_agree(together(*sources)))


def test_agreement_needs_sight_depth_and_way_back_in_one_of_three_sources_or_two_of_four():
    yes, no = says(difference=0.04, way=0.9), says(difference=0.06)
    for wrong in (no, says(difference=-0.06), says(way=1.1), says(visible=False)):
        assert not agree(wrong)
    assert agree(yes)
    assert agree(no, no, yes)
    assert not agree(no, no, no, yes)
    assert agree(no, yes, no, yes)


def test_the_ratio_is_the_smallest_of_the_sources_that_see():
    far, near = says(error=0.3, identity=0.28), says(error=0.1, identity=0.18)
    assert_close(motion_ratio(together(far, near)).item(), 0.5)
    assert_close(motion_ratio(together(far, says(visible=False))).item(), 1.0)
    assert motion_ratio(says(visible=False)).isinf().all()
    assert motion_ratio(says()).item() == 0  # nothing changes: nothing to explain


def moves(*sources: Evidence, threshold: float = 0.5) -> bool:
    evidence = together(*sources)
    found = motion_candidates(evidence, motion_ratio(evidence), torch.tensor(threshold))
    return bool(found)


def test_an_unexplained_change_is_motion():
    assert moves(says(error=0.2, identity=0.2))
    assert not moves(says(error=0.05, identity=0.2))
    assert not moves(says(error=0.2, identity=0.2), says(error=0.05, identity=0.2))
    # where the images hardly differ nothing moves
    assert not moves(says(error=0.019, identity=0.019), threshold=0.25)
    assert moves(says(error=0.021, identity=0.021), threshold=0.25)


def test_a_pixel_hidden_in_every_source_that_could_see_it_is_not_moving():
    change = {"error": 0.2, "identity": 0.2}
    hidden, before = says(difference=0.1, **change), says(difference=-0.1, **change)
    out = says(visible=False, **change)
    assert not moves(hidden)
    assert not moves(hidden, hidden)
    assert not moves(hidden, out)
    assert not moves(out)
    assert moves(hidden, says(**change))
    assert moves(before)  # the source sees a farther surface: something left, or came


def block(size: int, *, height: int = 15, width: int = 15, at: tuple[int, int] = (6, 6)):
    mask = torch.zeros(1, 1, height, width, dtype=torch.bool)
    mask[..., at[0] : at[0] + size, at[1] : at[1] + size] = True
    return mask


def test_specks_of_motion_vanish_and_blocks_grow_by_two_pixels():
    nowhere = torch.zeros(1, 1, 15, 15, dtype=torch.bool)
    assert not split_regions(block(2), nowhere)[1].any()
    assert torch.equal(split_regions(block(3), nowhere)[1], block(7, at=(4, 4)))


def test_motion_at_the_border_is_not_eaten_from_outside():
    nowhere = torch.zeros(1, 1, 15, 15, dtype=torch.bool)
    # 2 x 2 pixels in the corner: only the corner itself survives the erosion, and grows by 3.
    assert torch.equal(split_regions(block(2, at=(0, 0)), nowhere)[1], block(4, at=(0, 0)))


def test_agreement_counts_where_most_of_the_neighbourhood_agrees():
    nothing = torch.zeros(1, 1, 15, 15, dtype=torch.bool)
    assert not split_regions(nothing, block(3))[0].any()  # 9 of 25
    static = split_regions(nothing, block(5))[0]
    assert static[0, 0, 8, 8]
    assert static[0, 0, 8, 6]  # 15 of 25
    assert not static[0, 0, 6, 6]  # a corner: 9 of 25
    everywhere = ~nothing
    assert split_regions(nothing, everywhere)[0].all()  # the border has no say from outside
    hole = everywhere & ~block(1)
    assert torch.equal(split_regions(nothing, hole)[0], hole)  # nothing is filled in


@given(seed=st.integers(0, 1000), height=st.integers(1, 12), width=st.integers(1, 12))
def test_regions_are_disjoint_and_static_ones_agree(seed, height, width):
    generator = torch.Generator().manual_seed(seed)
    candidates, agree = (torch.rand(2, 2, 1, height, width, generator=generator) > 0.3).unbind()
    static, dynamic = split_regions(candidates, agree)
    assert not (static & dynamic).any()
    assert not (static & ~agree).any()


def test_the_lowest_tenth_of_a_region_is_dropped_image_by_image():
    weight = torch.stack([torch.arange(1.0, 21.0), torch.arange(101.0, 121.0)])[:, None, None]
    region = torch.zeros_like(weight, dtype=torch.bool)
    region[..., 5:] = True  # 15 values each; their 0.1 quantile lies between the 2nd and the 3rd
    dropped = drop_lowest(weight, region, 0.1)
    expected = weight.clone()
    expected[..., 5:7] = 0
    assert torch.equal(dropped, expected)
    assert weight.min() == 1  # the argument is left as it came


def test_equal_weights_have_no_lowest():
    weight = torch.full((1, 1, 4, 5), 0.5)
    assert torch.equal(drop_lowest(weight, weight > 0, 0.1), weight)
    assert torch.equal(drop_lowest(weight, weight < 0, 0.1), weight)  # an empty region
