"""Scale and shift of one image, its errors by hand, and the rule that each image counts once."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmde.metrics import ALIGNMENTS, METRICS, DepthErrors, align, depth_errors, mean_errors


def values(*numbers: float) -> np.ndarray:
    return np.array(numbers, dtype=float)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("prediction", "truth", "scale"),
    [
        ((8, 1, 2, 4), (1, 1, 1, 1), 1 / 3),  # even: the mean of the two middle values
        ((1, 2, 30), (10, 4, 6), 6 / 2),  # a ratio of medians, not a median of ratios
        ((4, 4), (1, 3), 2 / 4),
    ],
)
def test_the_median_scale_by_hand(prediction, truth, scale, dtype):
    found = align(np.array(prediction, dtype), np.array(truth, dtype), "median")
    assert (found.scale, found.shift) == pytest.approx((scale, 0), rel=1e-15)


@given(scale=st.floats(0.1, 10), shift=st.floats(-5, 5))
def test_least_squares_takes_scale_and_shift_away_median_the_scale_and_none_nothing(scale, shift):
    truth, p = np.random.default_rng(2).uniform(1, 9, (2, 40))
    prediction = (truth - shift) / scale
    found = align(prediction, truth, "least-squares")
    np.testing.assert_allclose(found.apply(prediction), truth, rtol=1e-9)
    assert not np.allclose(align(truth + 1, truth, "median").apply(truth + 1), truth)
    expected = align(p, truth, "median").apply(p)
    np.testing.assert_allclose(align(scale * p, truth, "median").apply(scale * p), expected)
    np.testing.assert_array_equal(align(p, truth, "none").apply(p), p)


def test_least_squares_agrees_with_a_general_solver_and_of_a_constant_is_the_mean_truth():
    p, g = np.random.default_rng(3).uniform(1, 9, (2, 50))
    scale, shift = np.linalg.lstsq(np.stack([p, np.ones(50)], 1), g, rcond=None)[0]
    found = align(p, g, "least-squares")
    assert (found.scale, found.shift) == pytest.approx((scale, shift))
    flat = np.full(3, 4.0, dtype=np.float32)
    np.testing.assert_allclose(align(flat, values(1, 2, 6), "least-squares").apply(flat), 3.0)


@pytest.mark.parametrize(
    ("prediction", "truth", "hows", "says"),
    [
        ((1,), (1,), ("mean",), r"unknown alignment 'mean': .*there are median"),
        ((), (), ALIGNMENTS, "without truth"),
        ((1, np.nan, 2), (1, 1, 1), ALIGNMENTS, "1 of 3 pixels of the prediction are not finite"),
        ((1,), (1,), ("median-dataset",), "found over all images"),
        ((0, 0, 1), (1, 1, 1), ("median",), "positive medians, got 0"),
        ((0, 0, 0), (1, 1, 1), ("least-squares",), "not 0 everywhere"),
    ],
)
def test_what_cannot_be_aligned_is_refused(prediction, truth, hows, says):
    for how in hows:
        with pytest.raises(ValueError, match=says):
            align(values(*prediction), values(*truth), how)


def errors_of(prediction, truth) -> DepthErrors:
    found = depth_errors(np.array(prediction, dtype=float), np.array(truth, dtype=float))
    assert found is not None
    return found


def test_two_pixels_by_hand_and_a_perfect_prediction():
    found = errors_of([2.0, 5.0], [1.0, 4.0])  # factors 2 and 1.25
    assert found.abs_rel == pytest.approx((1 / 1 + 1 / 4) / 2)
    assert found.sq_rel == pytest.approx((1 / 1 + 1 / 4) / 2)
    assert found.rmse == pytest.approx(1.0)
    assert found.rmse_log == pytest.approx(math.sqrt((math.log(2) ** 2 + math.log(1.25) ** 2) / 2))
    assert found.log10 == pytest.approx((math.log10(2) + math.log10(1.25)) / 2)
    assert (found.d1, found.d2, found.d3) == (0.0, 0.5, 0.5)  # 1.25 is not below 1.25
    assert errors_of([1.0, 7.5], [1.0, 7.5]) == DepthErrors(d1=1.0, d2=1.0, d3=1.0)
    assert depth_errors(np.zeros(0), np.zeros(0)) is None


@pytest.mark.parametrize("factor", [1.2, 1 / 1.2])
def test_the_threshold_is_a_factor_in_both_directions(factor):
    shares = [errors_of([factor**power], [1.0]) for power in (1, 2, 3)]
    assert [(e.d1, e.d2, e.d3) for e in shares] == [(1, 1, 1), (0, 1, 1), (0, 0, 1)]
    for truth in ([1.0], [1.25]):  # 1.25 itself is not within 1.25, in either direction
        assert errors_of([2.25 - truth[0]], truth).d1 == 0.0


def test_errors_are_computed_in_double_precision():
    truth = np.full(100_000, 3.3, dtype=np.float32)
    found = depth_errors((truth * 1.1).astype(np.float32), truth)
    assert found is not None
    assert found.abs_rel == pytest.approx(0.1, abs=1e-7)


@given(scale=st.floats(0.01, 100.0))
def test_relative_errors_do_not_see_the_unit_of_both_depths(scale):
    p, g = np.random.default_rng(0).uniform(1, 9, (2, 20))
    here, there = errors_of(p, g), errors_of(scale * p, scale * g)
    for metric in METRICS:
        unit = scale if metric in ("rmse", "sq_rel") else 1
        assert getattr(there, metric) == pytest.approx(unit * getattr(here, metric))


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_a_depth_that_is_none_is_refused(bad):
    with pytest.raises(ValueError, match="1 of 2 pixels of the prediction are not"):
        depth_errors(np.array([1.0, bad]), np.ones(2))
    with pytest.raises(ValueError, match="1 of 2 pixels of the truth are not"):
        depth_errors(np.ones(2), np.array([1.0, bad]))


def test_each_image_counts_once_and_one_without_truth_poisons_nothing():
    small, large = errors_of([1.2], [1.0]), errors_of([1.6] * 99, [1.0] * 99)
    mean = mean_errors([small, None, large])
    assert mean is not None
    assert mean.abs_rel == pytest.approx((0.2 + 0.6) / 2)
    assert mean_errors([None]) is None
