"""Depth edges by hand, against brute force, and what no measure of edges may see."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssmde.metrics import BoundaryErrors, boundary_errors
from ssmde.metrics.boundary import REACH, STEPS, distances

HEIGHT, WIDTH = 12, 30
ALL = np.ones((HEIGHT, WIDTH), dtype=bool)


def two_walls(column: int, near: float = 2.0, far: float = 4.0) -> np.ndarray:
    """A near wall on the left, a far one from `column` on."""
    return np.where(np.arange(WIDTH) < column, near, far)[None].repeat(HEIGHT, 0)


def errors_of(prediction, truth, known=ALL) -> BoundaryErrors:
    found = boundary_errors(prediction, truth, known)
    assert found is not None
    return found


TWICE = two_walls(10)
TWICE[:, 13:] *= 2


@pytest.mark.parametrize(
    ("prediction", "precision", "recall", "accuracy", "completeness"),
    [
        (two_walls(10), 1, 1, 0, 0),
        (two_walls(13), 0, 0, 3, 3),
        (two_walls(10, 3.0, 3.0), 0, 0, REACH, REACH),  # a lost edge costs the whole reach
        (two_walls(25), 0, 0, REACH, REACH),  # a far one is another edge
        (TWICE, 0.5, 1, 1.5, 0),  # half on the edge, half 3 off
        (two_walls(10, 4.0, 2.0), 0, 0, 1, 1),  # the contour lies on the other pixel of the step
        # A step of 1.15 is found by the ratios below it; the deeper ones, lost, weigh more.
        (two_walls(10, 2.0, 2.0 * 1.1501), 1, STEPS[:5].sum() / STEPS.sum(), 0, 0),
    ],
)
def test_edges_beside_those_of_two_walls_by_hand(
    prediction, precision, recall, accuracy, completeness
):
    found = errors_of(prediction, two_walls(10))
    assert found.recall == pytest.approx(recall)
    assert (found.accuracy, found.completeness) == (accuracy, completeness)
    if recall in (0, 1):
        assert found.precision == precision
        assert found.f1 == pytest.approx(2 * precision * recall / max(precision + recall, 1))


def test_ratios_at_which_no_map_has_a_step_and_unknown_pixels_are_left_out():
    shallow = two_walls(10, 2.0, 2.4)
    assert errors_of(shallow, shallow).f1 == 1.0
    truth, known, prediction = two_walls(10), ALL.copy(), two_walls(10)
    truth[:3], known[:3], prediction[:3] = 0, False, np.nan
    prediction[1, 5] = 100
    assert errors_of(prediction, truth, known).f1 == 1.0


@given(seed=st.integers(0, 20), scale=st.floats(0.01, 100.0))
def test_edges_see_neither_which_way_the_image_is_turned_nor_the_scale(seed, scale):
    prediction, truth = np.random.default_rng(seed).uniform(1, 3, (2, HEIGHT, WIDTH))
    here, there = errors_of(prediction, truth), errors_of(prediction.T, truth.T, ALL.T)
    for name in ("f1", "precision", "recall", "accuracy", "completeness"):
        assert getattr(there, name) == pytest.approx(getattr(here, name))
    scaled = errors_of(scale * prediction, truth)
    assert scaled.f1 == pytest.approx(here.f1, abs=1e-3)  # a step on a threshold may change sides
    assert scaled.accuracy == pytest.approx(here.accuracy, abs=1e-2)


def test_truth_without_edges_or_of_scattered_points_is_not_measured():
    assert boundary_errors(two_walls(10), two_walls(10, 3.0, 3.0), ALL) is None
    scattered = np.random.default_rng(0).random(ALL.shape) < 0.4
    assert boundary_errors(two_walls(10), two_walls(10), scattered) is None
    assert boundary_errors(two_walls(10), two_walls(10), ~ALL) is None


@settings(max_examples=15)
@given(seed=st.integers(0, 1000), share=st.floats(0.0, 0.1))
def test_the_distance_is_that_of_brute_force(seed, share):
    edges = np.random.default_rng(seed).random((9, 14)) < share
    expected = np.full(edges.shape, float(REACH))
    for row, column in np.ndindex(*edges.shape):
        for y, x in np.argwhere(edges):
            distance = math.hypot(row - y, column - x)
            expected[row, column] = min(expected[row, column], distance)
    found = distances(np.ones_like(edges), edges).reshape(edges.shape)
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_a_depth_that_is_none_is_refused(bad):
    broken = two_walls(10)
    broken[3, 4] = bad
    with pytest.raises(ValueError, match="1 of 360 known pixels of the prediction are not"):
        boundary_errors(broken, two_walls(10), ALL)
    with pytest.raises(ValueError, match="1 of 360 known pixels of the truth are not"):
        boundary_errors(two_walls(10), broken, ALL)
