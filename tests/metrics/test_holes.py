"""A street with a person on it: seen right, as a hole, and where nothing can be said."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmde.metrics import MoverCounts, ground_depth, hole_counts, order_counts

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


def orders(depth, pseudo_depth) -> MoverCounts:
    return order_counts(depth, pseudo_depth, PERSON, np.random.default_rng(0))


def test_a_person_as_deep_as_the_wall_behind_is_deeper_than_the_ground_under_the_feet():
    right = hole_counts(seen_at(FEET), PERSON, GROUND)
    assert right == MoverCounts(moving=80, regions=1)
    found = hole_counts(STREET, PERSON, GROUND)
    deep = int((STREET[PERSON] > 1.25 * FEET).sum())
    assert 40 < deep < 80  # at the feet the street behind is as near as the person
    assert found == replace(right, beyond_ground=deep, holes=deep, hole_regions=1)
    both = found + right  # frames of a video add up
    assert (both.moving, both.regions, both.hole_rate) == (160, 2, deep / 160)


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


def test_regions_are_counted_apart_specks_not_at_all_and_nothing_moving_has_no_rate():
    movers = PERSON.copy()
    movers[12:25, 30:36] = True
    movers[0, 0] = True
    depth = seen_at(FEET, movers)
    depth[12:25, 30:36] = 80.0
    found = hole_counts(depth, movers, GROUND)
    assert (found.regions, found.hole_regions, found.moving) == (2, 1, 80 + 13 * 6)
    nothing = hole_counts(STREET, np.zeros_like(PERSON), GROUND)
    assert (nothing, nothing.hole_rate) == (MoverCounts(), None)
    everything = hole_counts(STREET, np.ones_like(PERSON), None)  # nothing static around it
    assert (everything.regions, everything.holes) == (1, 0)


def test_the_order_of_another_network_is_kept_violated_or_not_clear():
    right = seen_at(FEET)
    for wrong in (1 / right, np.full_like(right, 3.0)):
        found = orders(wrong, right)
        assert (found.pairs > 1000, found.order_rate) == (True, 1.0)
    assert 0.5 < orders(seen_at(80.0), right).order_rate <= 1.0
    assert orders(np.log(right) + 9, right).violated == 0
    for labels in (np.zeros_like(right), np.full_like(right, 2.0), np.where(PERSON, np.nan, right)):
        assert (orders(right, labels), orders(right, labels).order_rate) == (MoverCounts(), None)


@given(scale=st.floats(0.1, 10.0), shift=st.floats(0.0, 50.0), depth=st.floats(3.0, 60.0))
def test_holes_see_no_unit_and_the_order_no_scale_and_shift_of_labels(scale, shift, depth):
    seen, right = seen_at(depth), seen_at(FEET)
    assert hole_counts(scale * seen, PERSON, scale * GROUND) == hole_counts(seen, PERSON, GROUND)
    assert orders(seen, scale * right + shift) == orders(seen, right)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_a_depth_that_is_none_is_refused(bad):
    broken = STREET.copy()
    broken[3, 4] = bad
    for count in (lambda: hole_counts(broken, PERSON, GROUND), lambda: orders(broken, STREET)):
        with pytest.raises(ValueError, match="1 of 1200 pixels are not"):
            count()


def test_the_ground_is_found_under_furniture_and_what_comes_no_nearer_downwards_is_none():
    nothing = np.zeros_like(PERSON)
    street = seen_at(FEET)
    street[22:, 5:10] = 3.0  # stands on the ground, nearer than it
    found = ground_depth(street, PERSON)
    np.testing.assert_allclose(found, GROUND, rtol=1e-6)
    assert found[5, 5] == np.inf, "above the horizon there is no ground"
    for depth, movers in ((np.full_like(STREET, 3.0), nothing), (STREET[::-1], nothing),
                          (STREET, ~nothing)):  # fmt: skip
        assert ground_depth(depth, movers) is None
