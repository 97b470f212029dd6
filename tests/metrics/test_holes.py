"""A street with a person on it: seen right, as a hole, and where nothing can be said."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmde.metrics import HoleCounts, OrderCounts, hole_counts, order_counts

HEIGHT, WIDTH, HORIZON = 30, 40, 9.5
ROWS = np.arange(HEIGHT)[:, None].repeat(WIDTH, 1)
# A camera 1.5 m over the ground, focal length 40 pixels; a wall 20 m away stands on it.
GROUND = np.where(ROWS > HORIZON, 60 / np.maximum(ROWS - HORIZON, 0.5), np.inf)
STREET = np.minimum(GROUND, 20.0)
PERSON = np.zeros((HEIGHT, WIDTH), dtype=bool)
PERSON[4:20, 15:20] = True  # stands on row 19: 60 / 9.5 = 6.3 m away
FEET = 60 / 9.5


def seen_at(depth: float, movers: np.ndarray = PERSON) -> np.ndarray:
    return np.where(movers, depth, STREET)


def test_a_person_as_deep_as_the_wall_behind_is_deeper_than_the_ground_under_the_feet():
    assert hole_counts(seen_at(FEET), PERSON, GROUND) == HoleCounts(moving=80, regions=1)
    found = hole_counts(STREET, PERSON, GROUND)
    deep = int((STREET[PERSON] > 1.25 * FEET).sum())
    assert 40 < deep < 80  # at the feet the street behind is as near as the person
    assert found == HoleCounts(moving=80, beyond_ground=deep, holes=deep, regions=1, hole_regions=1)
    assert (found.pixel_rate, found.region_rate) == (deep / 80, 1.0)


def test_a_person_farther_than_everything_around_is_a_hole_even_without_ground():
    for ground, beyond in ((None, 0), (GROUND, 80)):
        found = hole_counts(seen_at(80.0), PERSON, ground)
        assert (found.beyond_ground, found.beyond_surround, found.holes) == (beyond, 80, 80)
    assert hole_counts(seen_at(20.0), PERSON, None).holes == 0


ARM, CUT_OFF, BIRD = PERSON.copy(), np.zeros_like(PERSON), np.zeros_like(PERSON)
ARM[8:10, 20:24] = True  # ends above the horizon, within reach of the body
CUT_OFF[10:, 5:15] = True  # stands nearer than the last row
BIRD[2:6, 5:10] = True  # does not stand on the ground
LAST = GROUND[-1, 0]


@pytest.mark.parametrize(
    ("movers", "depth", "are_holes"),
    [(ARM, 20.0, True), (CUT_OFF, 1.2 * LAST, False), (CUT_OFF, 1.3 * LAST, True),
     (BIRD, 19.0, False)],
)  # fmt: skip
def test_a_region_stands_where_its_lowest_pixels_nearby_are(movers, depth, are_holes):
    found = hole_counts(seen_at(depth, movers), movers, GROUND)
    assert found.beyond_ground == found.holes == are_holes * movers.sum()


def test_regions_are_counted_apart_and_specks_not_at_all():
    movers = PERSON.copy()
    movers[12:25, 30:36] = True
    movers[0, 0] = True
    depth = seen_at(FEET, movers)
    depth[12:25, 30:36] = 80.0
    found = hole_counts(depth, movers, GROUND)
    assert (found.regions, found.hole_regions) == (2, 1)
    assert found.moving == 80 + 13 * 6


@given(scale=st.floats(0.01, 100.0), depth=st.floats(3.0, 60.0))
def test_holes_do_not_see_the_unit(scale, depth):
    here = hole_counts(seen_at(depth), PERSON, GROUND)
    assert hole_counts(scale * seen_at(depth), PERSON, scale * GROUND) == here


def test_nothing_moving_has_no_rate():
    nothing = hole_counts(STREET, np.zeros_like(PERSON), GROUND)
    assert nothing == HoleCounts()
    assert nothing.pixel_rate is None
    assert nothing.region_rate is None
    everything = hole_counts(STREET, np.ones_like(PERSON), None)  # nothing static around it
    assert (everything.regions, everything.holes) == (1, 0)


def test_frames_of_a_video_add_up():
    one = hole_counts(seen_at(FEET), PERSON, GROUND)
    other = hole_counts(seen_at(80.0), PERSON, GROUND)
    both = one + other
    assert (both.moving, both.holes, both.regions, both.hole_regions) == (160, 80, 2, 1)
    assert both.pixel_rate == 0.5
    pairs = OrderCounts(pairs=3, violated=1) + OrderCounts(pairs=1, violated=1)
    assert pairs.rate == 0.5


def test_the_order_of_another_network_is_kept_or_violated():
    right = seen_at(FEET)
    every = order_counts(1 / right, right, PERSON, np.random.default_rng(0))
    assert every.pairs > 1000
    assert every.rate == 1.0
    flat = np.full_like(right, 3.0)
    assert order_counts(flat, right, PERSON, np.random.default_rng(0)).rate == 1.0
    rng = np.random.default_rng(0)
    rate = order_counts(seen_at(80.0), right, PERSON, rng, margin=0.3).rate
    assert rate is not None
    assert 0.5 < rate < 1.0  # it really is farther than the ground before it


@given(scale=st.floats(0.1, 10.0), shift=st.floats(0.0, 50.0))
def test_the_order_does_not_see_scale_and_shift_of_the_pseudo_depth(scale, shift):
    right, wrong = seen_at(FEET), seen_at(80.0)
    here = order_counts(wrong, right, PERSON, np.random.default_rng(0), margin=0.3)
    other = scale * right + shift
    there = order_counts(wrong, other, PERSON, np.random.default_rng(0), margin=0.3)
    assert there == here
    assert order_counts(np.log(right) + 9, right, PERSON, np.random.default_rng(0)).violated == 0


def test_pairs_without_pseudo_depth_or_without_a_clear_order_drop_out():
    rng = np.random.default_rng(0)
    nowhere = order_counts(STREET, np.zeros_like(STREET), PERSON, rng)
    assert nowhere == OrderCounts()
    assert nowhere.rate is None
    assert order_counts(STREET, np.full_like(STREET, 2.0), PERSON, rng).pairs == 0
    unknown = np.where(PERSON, np.nan, STREET)
    assert order_counts(STREET, unknown, PERSON, rng).pairs == 0


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_a_depth_that_is_none_is_refused(bad):
    broken = STREET.copy()
    broken[3, 4] = bad
    with pytest.raises(ValueError, match="1 of 1200 pixels are not"):
        hole_counts(broken, PERSON, GROUND)
    with pytest.raises(ValueError, match="1 of 1200 pixels are not"):
        order_counts(broken, STREET, PERSON, np.random.default_rng(0))
