"""Points in space: by hand, by an independent numpy search, and laws."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssmde.metrics.point_cloud import PointCloudErrors, cloud_errors, point_cloud_errors

K = np.array([[10.0, 0, 5.5], [0, 10.0, 3.5], [0, 0, 1]])
SIZE = (8, 12)
ALL = np.ones(SIZE, dtype=bool)


def of_clouds(predicted, true, near: float = 0.05) -> PointCloudErrors:
    found = cloud_errors(np.array(predicted, dtype=float), np.array(true, dtype=float), near=near)
    assert found is not None
    return found


def test_three_points_by_hand():
    true = [[0, 0, 10], [3, 0, 10]]
    predicted = [[0, 0, 10.4], [0, 0, 11], [3, 4, 10]]  # 0.4, 1 and 4 from the nearest true one
    found = of_clouds(predicted, true)  # within 5 % of 10: 0.5
    assert found.precision == pytest.approx(1 / 3)
    assert found.recall == pytest.approx(1 / 2)
    assert found.f_score == pytest.approx(2 * (1 / 3) * (1 / 2) / (1 / 3 + 1 / 2))
    assert found.accuracy == pytest.approx((0.4 + 1 + 4) / 3)
    assert found.completeness == pytest.approx((0.4 + math.hypot(3, 0.4)) / 2)
    assert found.chamfer == pytest.approx((found.accuracy + found.completeness) / 2)


def test_the_threshold_grows_with_the_true_depth_and_not_with_the_predicted_one():
    assert of_clouds([[0, 0, 10.4]], [[0, 0, 10]]).f_score == 1.0
    assert of_clouds([[0, 0, 1.4]], [[0, 0, 1]]).f_score == 0.0
    assert of_clouds([[0, 0, 10.51]], [[0, 0, 10]]).f_score == 0.0  # 5 % of 10.51 is more than 0.51


def test_nothing_near_scores_zero_and_not_nan():
    assert of_clouds([[0, 0, 1]], [[0, 0, 9]]).f_score == 0.0


def test_a_perfect_map_has_all_its_points_right():
    depth = np.random.default_rng(0).uniform(1, 9, SIZE)
    found = point_cloud_errors(depth, depth, K, ALL)
    assert found == PointCloudErrors(
        f_score=1.0, precision=1.0, recall=1.0, accuracy=0.0, completeness=0.0, chamfer=0.0
    )


def test_a_wall_moved_along_the_axis_is_that_far_away():
    near, far = np.full(SIZE, 4.0), np.full(SIZE, 4.4)
    found = point_cloud_errors(far, near, K, ALL)
    assert found is not None
    assert 0.4 <= found.accuracy < 0.45  # the points also spread sideways, by 10 %
    assert found.f_score == 0.0


@given(seed=st.integers(0, 1000))
def test_distances_are_those_of_an_independent_search(seed):
    rng = np.random.default_rng(seed)
    predicted, true = rng.uniform(1, 9, (7, 3)), rng.uniform(1, 9, (9, 3))
    between = np.sqrt(((predicted[:, None] - true[None]) ** 2).sum(-1))
    found = of_clouds(predicted, true, near=0.5)
    assert found.accuracy == pytest.approx(between.min(1).mean())
    assert found.completeness == pytest.approx(between.min(0).mean())
    right = between.min(1) < 0.5 * true[between.argmin(1), 2]
    assert found.precision == pytest.approx(right.mean())
    assert found.recall == pytest.approx((between.min(0) < 0.5 * true[:, 2]).mean())


@settings(max_examples=15)
@given(scale=st.floats(0.01, 100.0))
def test_the_score_does_not_see_the_unit_and_distances_are_in_it(scale):
    prediction, truth = np.random.default_rng(1).uniform(3, 5, (2, *SIZE))
    here = point_cloud_errors(prediction, truth, K, ALL)
    there = point_cloud_errors(scale * prediction, scale * truth, K, ALL)
    assert here is not None
    assert there is not None
    assert there.f_score == pytest.approx(here.f_score)
    assert there.chamfer == pytest.approx(scale * here.chamfer)


def test_only_counted_pixels_become_points():
    truth = np.full(SIZE, 4.0)
    prediction, counted = truth.copy(), ALL.copy()
    prediction[0], truth[0], counted[0] = np.nan, 0.0, False
    found = point_cloud_errors(prediction, truth, K, counted)
    assert found is not None
    assert found.f_score == 1.0
    assert point_cloud_errors(prediction, truth, K, ~ALL) is None


def test_few_points_are_spread_over_the_image():
    truth = np.full(SIZE, 4.0)
    prediction = truth.copy()
    prediction[4:] = 9.0  # the lower half is wrong
    found = point_cloud_errors(prediction, truth, K, ALL, max_points=20)
    assert found is not None
    assert found.precision == pytest.approx(0.5)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_a_depth_that_is_none_is_refused(bad):
    broken = np.full(SIZE, 4.0)
    broken[2, 2] = bad
    with pytest.raises(ValueError, match="1 of 96 predicted points are not"):
        point_cloud_errors(broken, np.full(SIZE, 4.0), K, ALL)
    with pytest.raises(ValueError, match="1 of 96 true points are not"):
        point_cloud_errors(np.full(SIZE, 4.0), broken, K, ALL)


@pytest.mark.parametrize("near", [0.0, -0.1, math.nan])
def test_a_threshold_that_is_none_is_refused(near):
    with pytest.raises(ValueError, match=r"near must be positive.*0\.05, got"):
        of_clouds([[0, 0, 1]], [[0, 0, 1]], near=near)
    with pytest.raises(ValueError, match="max_points must be 1 or more, got 0"):
        point_cloud_errors(np.ones(SIZE), np.ones(SIZE), K, ALL, max_points=0)
