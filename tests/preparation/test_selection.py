"""Which frames are kept: decided on drawn numbers, so each rule can be seen alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmde.preparation.selection import Measured, choose_frames, is_blurred

NAN = float("nan")


def measured(moved, sharpness=None, difference=None):
    """Numbers of frames that each moved so far since the one before."""
    moved = np.array([0.0, *moved])
    count = len(moved)
    return Measured(
        numbers=np.arange(count),
        moved=moved,
        way=np.cumsum(np.nan_to_num(moved, nan=0.01)),
        sharpness=both(np.full(count, 2.0) if sharpness is None else sharpness),
        difference=np.full(count, 0.05) if difference is None else np.array(difference),
    )


def both(sharpness):
    """The same sharpness in both directions."""
    return np.stack([np.array(sharpness, float)] * 2, axis=1)


def choose(numbers, **options):
    given = {"least_motion": 0.01, "most_motion": 0.2, "fewest_frames": 2} | options
    return choose_frames(numbers, **given)


def test_frames_that_lie_a_step_apart_are_kept():
    choice = choose(measured([0.01] * 5))
    assert choice.scenes == ([0, 1, 2, 3, 4, 5],)
    assert choice.dropped == {}
    assert choice.splits == ()


def test_a_slow_camera_keeps_every_so_many_th_frame():
    choice = choose(measured([0.004] * 9))
    assert choice.scenes == ([0, 3, 6, 9],)
    assert choice.dropped == {"close": (1, 2, 4, 5, 7, 8)}


def test_a_long_stretch_without_motion_is_still_and_a_repeated_frame_a_duplicate():
    choice = choose(measured([0.02] * 3 + [0.0] * 40 + [0.02] * 3))
    assert choice.scenes == ([0, 1, 2, 3, 44, 45, 46],)
    assert choice.dropped == {"still": tuple(range(4, 44))}
    again = choose(measured([0.02, 0.0, 0.02, 0.02], difference=[0, 0.05, 0, 0.05, 0.05]))
    assert again.scenes == ([0, 1, 3, 4],)
    assert again.dropped == {"duplicate": (2,)}


def test_a_blurred_frame_gives_way_to_the_next_sharp_one():
    choice = choose(measured([0.005] * 8, sharpness=[2, 2, 0.5, 2, 2, 2, 2, 2, 2]))
    assert choice.scenes == ([0, 3, 5, 7],)  # 2 would have been the next step
    assert choice.dropped["blurred"] == (2,)


def test_a_cut_and_a_jump_begin_a_new_scene():
    choice = choose(measured([0.02, 0.02, NAN, 0.02, 0.02, 0.3, 0.02]))
    assert choice.scenes == ([0, 1, 2], [3, 4, 5], [6, 7])
    assert choice.splits == (3, 6)


def test_a_pan_hidden_in_blur_begins_a_new_scene():
    sharpness = [2] * 8 + [0.3] * 4 + [2] * 8
    choice = choose(measured([0.06] * 19, sharpness=sharpness))
    assert choice.scenes == (list(range(8)), list(range(12, 20)))
    assert choice.splits == (12,)
    assert choice.dropped == {"blurred": (8, 9, 10, 11)}


def test_a_scene_of_too_few_frames_is_dropped():
    choice = choose(measured([0.02, NAN, 0.02, 0.02, 0.02, NAN, NAN, 0.02, 0.02]), fewest_frames=3)
    assert choice.scenes == ([2, 3, 4, 5], [7, 8, 9])
    assert choice.dropped == {"short": (0, 1, 6)}
    assert choice.splits == (2, 6, 7)


def test_a_blurred_stretch_is_told_by_the_frames_around_it_not_by_a_number():
    sharp = np.concatenate([np.full(60, 3.0), np.full(12, 0.6), np.full(60, 3.0), np.full(90, 0.8)])
    blurred = is_blurred(both(sharp))
    assert blurred[60:72].all()
    assert not blurred[:60].any()
    assert not blurred[165:].any()  # another scene, softer as a whole


def test_a_smear_along_one_direction_is_a_blur():
    sharp = both([2.0] * 20)
    sharp[7, 1] = 0.9
    assert np.flatnonzero(is_blurred(sharp)).tolist() == [7]


def test_nothing_is_chosen_from_nothing():
    empty = measured([])
    assert choose(empty).dropped == {"short": (0,)}


@given(
    moved=st.lists(st.one_of(st.floats(0, 0.3), st.just(NAN)), max_size=60),
    seed=st.integers(0, 9),
)
def test_every_frame_is_kept_once_or_dropped_for_one_reason(moved, seed):
    sharpness = np.random.default_rng(seed).uniform(0.5, 2, len(moved) + 1)
    numbers = measured(moved, sharpness=sharpness)
    choice = choose(numbers, fewest_frames=3)
    kept = [i for scene in choice.scenes for i in scene]
    dropped = [i for group in choice.dropped.values() for i in group]
    assert sorted(kept + dropped) == list(range(len(numbers.moved)))
    for scene in choice.scenes:
        steps = np.diff(numbers.way[scene])
        assert (steps >= 0.01 - 1e-7).all()
        assert (steps <= 0.2).all()
        assert not np.isnan(numbers.moved[scene[0] + 1 : scene[-1] + 1]).any()


@pytest.mark.parametrize("least", [0.005, 0.02])
def test_a_larger_step_keeps_fewer_frames(least):
    choice = choose(measured([0.005] * 20), least_motion=least)
    assert len(choice.scenes[0]) == 1 + int(20 * 0.005 / least)
