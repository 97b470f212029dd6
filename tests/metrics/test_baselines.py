"""Predictors that do not look at the image."""

import numpy as np
import pytest

from ssmde.metrics.baselines import mean_depth_map


def test_each_place_is_a_mean_over_the_maps_that_have_truth_there():
    first, second = np.array([[2.0, 4.0]]), np.array([[6.0, 0.0]])
    np.testing.assert_array_equal(mean_depth_map([first, second], (1, 2)), [[4.0, 4.0]])


def test_values_that_are_no_depth_do_not_enter():
    maps = [np.array([[2.0, np.nan]]), np.array([[np.inf, 3.0]]), np.array([[-1.0, 5.0]])]
    np.testing.assert_array_equal(mean_depth_map(maps, (1, 2)), [[2.0, 4.0]])


def test_a_hole_takes_the_mean_of_its_known_neighbours():
    found = mean_depth_map([np.array([[2.0, 0.0, 4.0, 0.0, 0.0]])], (1, 5))
    np.testing.assert_array_equal(found, [[2.0, 3.0, 4.0, 4.0, 4.0]])


@pytest.mark.parametrize("size", [(3, 5), (6, 10), (12, 20)])
def test_a_map_of_another_size_keeps_its_layout(size):
    truth = np.repeat(np.arange(1.0, 7.0)[:, None], 10, axis=1)
    found = mean_depth_map([truth], size)
    assert found is not None
    assert found.shape == size
    assert (np.diff(found, axis=0) >= 0).all()
    assert found[0, 0] < 3 < found[-1, -1]


def test_a_cell_reads_the_pixel_at_its_centre():
    truth = np.array([[1.0, 9.0, 1.0, 1.0, 7.0, 1.0]])
    np.testing.assert_array_equal(mean_depth_map([truth], (1, 2)), [[9.0, 7.0]])
    np.testing.assert_array_equal(mean_depth_map([truth.T], (2, 1)), [[9.0], [7.0]])


def test_no_truth_gives_no_map():
    assert mean_depth_map([], (2, 2)) is None
    assert mean_depth_map([np.zeros((4, 4))], (2, 2)) is None
