"""Depth edges by hand, and what no measure of edges may see."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmde.metrics import boundary_errors
from ssmde.metrics.boundary import STEPS

HEIGHT, WIDTH = 12, 30
ALL = np.ones((HEIGHT, WIDTH), dtype=bool)


def two_walls(column: int, near: float = 2.0, far: float = 4.0) -> np.ndarray:
    """A near wall on the left, a far one from `column` on."""
    return np.where(np.arange(WIDTH) < column, near, far)[None].repeat(HEIGHT, 0)


TWICE = two_walls(10)
TWICE[:, 13:] *= 2


@pytest.mark.parametrize(
    ("prediction", "precision", "recall"),
    [
        (two_walls(10), 1, 1),
        (two_walls(13), 0, 0),
        (two_walls(10, 3.0, 3.0), 0, 0),
        (TWICE, 0.5, 1),
        (two_walls(10, 4.0, 2.0), 0, 0),  # the other way round
        # A step of 1.15 is found by the ratios below it; the deeper ones, lost, weigh more.
        (two_walls(10, 2.0, 2.0 * 1.1501), 1, STEPS[:5].sum() / STEPS.sum()),
    ],
)
def test_edges_beside_those_of_two_walls_by_hand(prediction, precision, recall):
    found = boundary_errors(prediction, two_walls(10), ALL)
    assert found.recall == pytest.approx(recall)
    if recall in (0, 1):
        assert found.precision == precision
        assert found.f1 == pytest.approx(2 * precision * recall / max(precision + recall, 1))


def test_ratios_at_which_no_map_has_a_step_and_unknown_pixels_are_left_out():
    shallow = two_walls(10, 2.0, 2.4)
    assert boundary_errors(shallow, shallow, ALL).f1 == 1.0
    truth, known, prediction = two_walls(10), ALL.copy(), two_walls(10)
    truth[:3], known[:3], prediction[:3] = 0, False, np.nan
    prediction[1, 5] = 100
    assert boundary_errors(prediction, truth, known).f1 == 1.0


@given(seed=st.integers(0, 20), scale=st.floats(0.01, 100.0))
def test_edges_see_neither_which_way_the_image_is_turned_nor_the_scale(seed, scale):
    prediction, truth = np.random.default_rng(seed).uniform(1, 3, (2, HEIGHT, WIDTH))
    here = boundary_errors(prediction, truth, ALL)
    there = boundary_errors(prediction.T, truth.T, ALL.T)
    for name in ("f1", "precision", "recall"):
        assert getattr(there, name) == pytest.approx(getattr(here, name))
    scaled = boundary_errors(scale * prediction, truth, ALL)
    assert scaled.f1 == pytest.approx(here.f1, abs=1e-3)  # a step on a threshold may change sides


def test_truth_without_edges_or_of_scattered_points_is_not_measured():
    assert boundary_errors(two_walls(10), two_walls(10, 3.0, 3.0), ALL) is None
    scattered = np.random.default_rng(0).random(ALL.shape) < 0.4
    assert boundary_errors(two_walls(10), two_walls(10), scattered) is None
    assert boundary_errors(two_walls(10), two_walls(10), ~ALL) is None


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_a_depth_that_is_none_is_refused(bad):
    broken = two_walls(10)
    broken[3, 4] = bad
    for maps, name in (((broken, two_walls(10)), "prediction"), ((two_walls(10), broken), "truth")):
        with pytest.raises(ValueError, match=f"1 of 360 pixels of the {name} are not"):
            boundary_errors(*maps, ALL)
