"""Which frames are kept: by what is measured on them, and by rules seen alone on drawn numbers."""

import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssmde.data.video import GrayFrame
from ssmde.preparation import selection
from ssmde.preparation.selection import choose_frames, is_blurred, measure, sharpness
from texture import SIZE, blurred, noisy, texture, view

WIDTH = SIZE[0]
PATTERN, OTHER = texture(0, size=1000), texture(1, size=1000)
NAN = float("nan")


def motion(before, after):
    return selection.image_motion(*map(selection.motion_picture, (before, after)))


def frames(pictures):
    return [GrayFrame(number=i, time=None, gray=p) for i, p in enumerate(pictures)]


@settings(max_examples=5)
@given(dx=st.floats(0, 80), dy=st.floats(0, 40))
def test_a_pan_is_measured_to_half_a_pixel(dx, dy):
    moved = motion(view(PATTERN, 100, 100), view(PATTERN, 100 + dx, 100 + dy))
    assert moved * WIDTH == pytest.approx(np.hypot(dx, dy), abs=0.5)


def test_noise_brightness_and_somebody_who_walks_by_are_no_motion_but_a_fast_pan_is():
    still = view(PATTERN, 100, 100)
    before, after = still.copy(), still.copy()
    before[60:, 200:360] = after[60:, 240:400] = view(OTHER, 0, 0, (160, 300))
    dark = (still * 0.8 + 10).astype(np.uint8)
    for pair in ((still, noisy(still, 8, 1)), (still, dark), (before, after)):
        assert motion(*pair) * WIDTH < 0.5
    assert motion(still, view(PATTERN, 300, 100)) * WIDTH == pytest.approx(200, abs=1)


def test_two_places_and_empty_pictures_have_nothing_in_common_with_others():
    grey = np.full((360, 640), 90, np.uint8)
    assert motion(grey, grey) == 0
    for before, after in (
        (grey, grey + np.uint8(100)), (grey, view(PATTERN, 0, 0)),
        (view(PATTERN, 100, 100), view(OTHER, 50, 200)),
    ):  # fmt: skip
        assert np.isnan(motion(before, after))


def test_the_way_adds_up_over_slow_frames_and_after_a_cut_and_trembling_adds_nothing():
    slow = [view(PATTERN, 100 + 0.8 * i, 100) for i in range(9)]
    measured = measure(frames(slow), 0.005)
    assert measured.way[-1] * WIDTH == pytest.approx(6.4, abs=0.8)
    trembling = [noisy(view(PATTERN, 100 + i % 2, 100), 4, i) for i in range(8)]
    assert measure(frames(trembling), 0.005).way.max() < 0.005
    pictures = [view(PATTERN, 100 + 5 * i, 100) for i in range(3)]
    pictures += [view(OTHER, 100 + 5 * i, 100) for i in range(3)]
    measured = measure(frames(pictures), 0.005)
    assert np.isnan(measured.moved).tolist() == [False, False, False, True, False, False]
    assert np.isfinite(measured.way).all()
    assert (measured.way[5] - measured.way[3]) * WIDTH == pytest.approx(10, abs=0.6)


def test_a_smear_takes_sharpness_away_in_its_direction_only_and_contrast_does_not():
    sharp = view(texture(2, size=700, cell=8), 10, 10)
    down, along = sharpness(blurred(sharp, 4))
    assert along < 0.5 * sharpness(sharp)[1]
    assert down > 0.6 * sharpness(sharp)[0]
    assert sharpness(blurred(sharp.T, 4).T)[0] < 0.5 * sharpness(sharp)[0]
    assert sharpness(sharp // 4 * 2) == pytest.approx(sharpness(sharp // 4 * 4), rel=0.1)
    for height in (20, 2):
        assert sharpness(np.zeros((height, 30), np.uint8)) == (0, 0)
    stripes = np.tile(np.array([0, 255], np.uint8), (8, 50))
    assert sharpness(stripes)[1] == pytest.approx(4, rel=1e-3)


def test_after_a_pause_and_at_another_size_another_place_begins_and_nothing_is_no_place():
    small, large = np.zeros((40, 60), np.uint8), np.zeros((60, 40), np.uint8)
    found = measure([
        GrayFrame(number=0, time=None, gray=small),
        GrayFrame(number=3, time=None, gray=small, begins=True),
        GrayFrame(number=4, time=None, gray=large, begins=True),
    ], 0.005)  # fmt: skip
    assert found.numbers.tolist() == [0, 3, 4]
    assert np.isnan(found.moved).tolist() == [False, True, True]
    assert (np.diff(found.way) > 0).all()
    assert len(measure([], 0.005).moved) == 0


def test_measuring_holds_a_few_frames_and_never_the_whole_video():
    alive = set()

    def video():
        for i in range(8):
            picture = view(PATTERN, 20 * i, 0, (64, 64))
            alive.add(i)
            weakref.finalize(picture, alive.discard, i)
            yield GrayFrame(time=None, gray=picture)
            assert len(alive) <= 3

    assert len(measure(video(), 0.005).moved) == 8


def measured(moved, sharpness=None):
    """Numbers of frames that each moved so far since the one before."""
    moved = np.array([0.0, *moved])
    count = len(moved)
    sharpness = np.full(count, 2.0) if sharpness is None else sharpness
    way = np.cumsum(np.nan_to_num(moved, nan=0.01))
    return selection.Measured(np.arange(count), moved, way, both(sharpness))


def both(sharpness):
    """The same sharpness in both directions."""
    return np.stack([np.array(sharpness, float)] * 2, axis=1)


@pytest.mark.parametrize(("moved", "sharpness", "fewest", "scenes", "dropped", "splits"), [
    ([0.004] * 9, None, 2, ([0, 3, 6, 9],), {"close": (1, 2, 4, 5, 7, 8)}, ()),
    ([0.02] * 3 + [0.0] * 40 + [0.02] * 3, None, 2, ([0, 1, 2, 3, 44, 45, 46],),
     {"still": tuple(range(4, 44))}, ()),
    # A blurred frame gives way to the next sharp one: 2 would have been the next step.
    ([0.005] * 8, [2, 2, 0.5, 2, 2, 2, 2, 2, 2], 2, ([0, 3, 5, 7],),
     {"blurred": (2,), "close": (1, 4, 6, 8)}, ()),
    # A cut and a jump begin a new scene, and so does a pan that blur hides.
    ([0.02, 0.02, NAN, 0.02, 0.02, 0.3, 0.02], None, 2, ([0, 1, 2], [3, 4, 5], [6, 7]), {}, (3, 6)),
    ([0.06] * 19, [2] * 8 + [0.3] * 4 + [2] * 8, 2,
     (list(range(8)), list(range(12, 20))), {"blurred": (8, 9, 10, 11)}, (12,)),
    ([0.02, NAN, 0.02, 0.02, 0.02, NAN, NAN, 0.02, 0.02], None, 3, ([2, 3, 4, 5], [7, 8, 9]),
     {"short": (0, 1, 6)}, (2, 6, 7)),
    ([], None, 2, (), {"short": (0,)}, ()),
])  # fmt: skip
def test_what_becomes_of_frames(moved, sharpness, fewest, scenes, dropped, splits):
    choice = choose_frames(measured(moved, sharpness), least_motion=0.01, fewest_frames=fewest)
    assert (choice.scenes, choice.dropped, choice.splits) == (scenes, dropped, splits)


def test_a_blur_is_told_by_the_frames_around_it_in_either_direction():
    sharp = both(np.repeat([3.0, 0.6, 3.0, 0.8], (60, 12, 60, 90)))
    sharp[30, 1] = 1.5
    # At the end comes another scene, softer as a whole.
    assert np.flatnonzero(is_blurred(sharp[:132])).tolist() == [30, *range(60, 72)]
    assert not is_blurred(sharp)[165:].any()


@given(
    moved=st.lists(st.one_of(st.floats(0, 0.3), st.just(NAN)), max_size=60), seed=st.integers(0, 9)
)
def test_every_frame_is_kept_once_or_dropped_for_one_reason(moved, seed):
    sharpness = np.random.default_rng(seed).uniform(0.5, 2, len(moved) + 1)
    numbers = measured(moved, sharpness=sharpness)
    choice = choose_frames(numbers, least_motion=0.01, fewest_frames=3)
    kept = [i for scene in choice.scenes for i in scene]
    dropped = [i for group in choice.dropped.values() for i in group]
    assert sorted(kept + dropped) == list(range(len(numbers.moved)))
    for scene in choice.scenes:
        steps = np.diff(numbers.way[scene])
        assert (steps >= 0.01 - 1e-7).all()
        assert (steps <= 0.15).all()
        assert not np.isnan(numbers.moved[scene[0] + 1 : scene[-1] + 1]).any()
