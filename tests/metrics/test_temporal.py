"""Two frames of one scene: what agrees, what flickers, and what no frame can say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssmde.metrics import TemporalErrors, seen_in_both, temporal_errors

HEIGHT, WIDTH = 16, 24
K = np.array([[20.0, 0, 11.5], [0, 20.0, 7.5], [0, 0, 1]])
STILL = np.eye(4)


def moved(x: float = 0.0, z: float = 0.0) -> np.ndarray:
    """Motion that adds (x, 0, z) to the coordinates of a point."""
    motion = np.eye(4)
    motion[:3, 3] = x, 0, z
    return motion


def wall(depth: float) -> np.ndarray:
    return np.full((HEIGHT, WIDTH), depth)


def slanted_wall(z: float = 0.0, slope: float = 0.4) -> np.ndarray:
    """Depth of the plane Z = 4 + slope X, seen by a camera `z` nearer to it."""
    x = (np.arange(WIDTH) - K[0, 2]) / K[0, 0]
    return np.broadcast_to((4 - z) / (1 - slope * x), (HEIGHT, WIDTH)).copy()


def errors_of(target, source, motion=STILL, **counts) -> TemporalErrors:
    found = temporal_errors(target, source, motion, K, **counts)
    assert found is not None
    return found


def test_a_camera_that_comes_nearer_sees_a_wall_as_much_nearer_exactly_between_pixels():
    assert errors_of(wall(5.0), wall(4.0), moved(z=-1.0)).abs_rel == pytest.approx(0, abs=1e-12)
    # The other way round they contradict each other: 6 against 4; back, in part of the image, 3
    # against 5.
    wrong = errors_of(wall(5.0), wall(4.0), moved(z=1.0))
    assert wrong.median == pytest.approx(0.5)
    assert 0.4 < wrong.abs_rel < 0.5
    found = errors_of(slanted_wall(), slanted_wall(z=0.3), moved(z=-0.3))
    assert found.abs_rel == pytest.approx(0, abs=1e-12)
    assert 0.5 < found.compared < 1.0


@settings(max_examples=10)
@given(scale=st.floats(0.01, 100.0), flicker=st.floats(0.5, 2.0))
def test_a_flicker_of_the_scale_is_seen_both_ways_and_the_unit_of_the_video_is_not(scale, flicker):
    found = errors_of(scale * wall(3.0), scale * flicker * wall(3.0))
    assert found.abs_rel == pytest.approx((abs(1 / flicker - 1) + abs(flicker - 1)) / 2)
    assert found.compared == 1.0


def test_points_outside_the_other_image_or_behind_its_camera_are_not_compared():
    found = errors_of(wall(2.0), wall(2.0), moved(x=0.5))  # 5 columns
    assert found.compared == pytest.approx((WIDTH - 5) / WIDTH)
    for motion, counts in ((moved(x=90.0), None), (moved(z=-3.0), wall(0) > 0)):
        assert temporal_errors(wall(2.0), wall(2.0), motion, K, source_counts=counts) is None
    source, keep = wall(3.0), np.arange(WIDTH) * np.ones((HEIGHT, 1)) >= 6
    source[:, :6] = 9.0  # a mover, left out by the masks
    assert errors_of(wall(3.0), source).abs_rel > 0.1
    found = errors_of(wall(3.0), source, target_counts=keep, source_counts=keep)
    assert (found.abs_rel < 1e-12, found.compared) == (True, 18 / 24)


def test_truth_says_which_points_both_frames_see():
    # A post 2 m away in columns 10 to 13, a wall 4 m away. The camera steps 0.4 m to the left: the
    # post moves by 4 columns, the wall by 2.
    target, source = wall(4.0), wall(4.0)
    target[:, 10:14], source[:, 14:18] = 2.0, 2.0
    seen = seen_in_both(target, source, moved(x=0.4), K)
    # Wall column u lands on u + 2, where the post stands on 14 to 17: columns 14 and 15 are hidden.
    # Columns 22 and 23 leave the image.
    expected = np.ones(WIDTH, dtype=bool)
    expected[[14, 15, 22, 23]] = False
    np.testing.assert_array_equal(seen, np.broadcast_to(expected, seen.shape))


def test_what_moves_by_itself_or_lacks_truth_is_not_seen_in_both():
    target, source = wall(4.0), wall(4.0)
    target[0], target[1], source[2], source[3] = 0, np.nan, 0, np.inf
    source[5:9, 5:9] = 4.4
    expected = np.broadcast_to(np.arange(HEIGHT)[:, None] >= 4, source.shape).copy()
    np.testing.assert_array_equal(seen_in_both(target, source, STILL, K, tolerance=0.2), expected)
    expected[5:9, 5:9] = False
    np.testing.assert_array_equal(seen_in_both(target, source, STILL, K), expected)


def test_a_depth_or_a_motion_that_is_none_is_refused():
    broken, good, lost = wall(2.0), wall(2.0), np.full((4, 4), np.nan)
    broken[0, 0] = 0.0
    for maps, name in (((broken, good), "target"), ((good, broken), "source")):
        with pytest.raises(ValueError, match=f"1 of 384 pixels of the {name} are not"):
            temporal_errors(*maps, STILL, K)
    for function in (temporal_errors, seen_in_both):
        with pytest.raises(ValueError, match="motion between two frames must be finite"):
            function(good, good, lost, K)
