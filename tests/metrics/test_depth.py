"""Scale and shift of one image, its errors by hand, and the rule that each image counts once."""

import math
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmde.metrics import (
    ALIGNMENTS,
    METRICS,
    Alignment,
    DepthErrors,
    DepthSums,
    align,
    common_alignment,
    depth_errors,
)


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


def test_none_changes_nothing_and_one_factor_for_all_is_the_median_of_theirs():
    p = values(1, 2, 3)
    np.testing.assert_array_equal(align(p, values(9, 9, 9), "none").apply(p), p)
    found = common_alignment([Alignment(scale=scale) for scale in (1.0, 9.0, 2.0)])
    assert (found, common_alignment([])) == (Alignment(scale=2.0), Alignment())


@pytest.mark.parametrize("how", ["median", "least-squares"])
@given(scale=st.floats(1e-3, 1e3))
def test_the_scale_of_the_prediction_does_not_matter(how, scale):
    p, g = np.random.default_rng(1).uniform(0.5, 9, (2, 31))
    expected = align(p, g, how).apply(p)
    np.testing.assert_allclose(align(scale * p, g, how).apply(scale * p), expected, rtol=1e-9)


@given(scale=st.floats(0.1, 10), shift=st.floats(-5, 5))
def test_least_squares_takes_scale_and_shift_away_and_median_no_shift(scale, shift):
    truth = np.random.default_rng(2).uniform(1, 9, 40)
    prediction = (truth - shift) / scale
    found = align(prediction, truth, "least-squares")
    np.testing.assert_allclose(found.apply(prediction), truth, rtol=1e-9)
    assert not np.allclose(align(truth + 1, truth, "median").apply(truth + 1), truth)


def test_least_squares_agrees_with_a_general_solver_and_of_a_constant_is_the_mean_truth():
    p, g = np.random.default_rng(3).uniform(1, 9, (2, 50))
    scale, shift = np.linalg.lstsq(np.stack([p, np.ones(50)], 1), g, rcond=None)[0]
    found = align(p, g, "least-squares")
    assert (found.scale, found.shift) == pytest.approx((scale, shift))
    flat = np.full(3, 4.0, dtype=np.float32)
    np.testing.assert_allclose(align(flat, values(1, 2, 6), "least-squares").apply(flat), 3.0)


def test_an_unknown_alignment_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown alignment 'mean': .*there are median"):
        align(values(1), values(1), "mean")


@pytest.mark.parametrize("how", ALIGNMENTS)
def test_an_image_without_truth_or_with_nan_is_refused(how):
    with pytest.raises(ValueError, match="without truth"):
        align(values(), values(), how)
    with pytest.raises(ValueError, match="1 of 3 pixels of the prediction are not finite"):
        align(values(1, np.nan, 2), values(1, 1, 1), how)
    with pytest.raises(ValueError, match="found over all images"):
        align(values(1), values(1), "median-dataset")


def test_a_prediction_of_zeros_is_refused():
    with pytest.raises(ValueError, match="positive medians, got 0"):
        align(values(0, 0, 1), values(1, 1, 1), "median")
    with pytest.raises(ValueError, match="not 0 everywhere"):
        align(values(0, 0, 0), values(1, 1, 1), "least-squares")


def errors_of(prediction, truth) -> DepthErrors:
    found = depth_errors(np.array(prediction, dtype=float), np.array(truth, dtype=float))
    assert found is not None
    return found


def test_two_pixels_by_hand():
    found = errors_of([2.0, 5.0], [1.0, 4.0])  # factors 2 and 1.25
    assert found.abs_rel == pytest.approx((1 / 1 + 1 / 4) / 2)
    assert found.sq_rel == pytest.approx((1 / 1 + 1 / 4) / 2)
    assert found.rmse == pytest.approx(1.0)
    assert found.rmse_log == pytest.approx(math.sqrt((math.log(2) ** 2 + math.log(1.25) ** 2) / 2))
    assert found.log10 == pytest.approx((math.log10(2) + math.log10(1.25)) / 2)
    assert (found.d1, found.d2, found.d3) == (0.0, 0.5, 0.5)  # 1.25 is not below 1.25


def test_a_perfect_prediction_has_no_error():
    found = errors_of([1.0, 7.5, 80.0], [1.0, 7.5, 80.0])
    assert found == DepthErrors(d1=1.0, d2=1.0, d3=1.0)
    assert depth_errors(np.zeros(0), np.zeros(0)) is None


@pytest.mark.parametrize("factor", [1.2, 1 / 1.2])
def test_the_threshold_is_a_factor_in_both_directions(factor):
    assert errors_of([factor], [1.0]).d1 == 1.0
    assert errors_of([factor**2], [1.0]).d1 == 0.0
    assert errors_of([factor**2], [1.0]).d2 == 1.0
    assert errors_of([factor**3], [1.0]).d3 == 1.0


def test_errors_are_computed_in_double_precision():
    truth = np.full(100_000, 3.3, dtype=np.float32)
    found = depth_errors((truth * 1.1).astype(np.float32), truth)
    assert found is not None
    assert found.abs_rel == pytest.approx(0.1, abs=1e-7)


@given(scale=st.floats(0.01, 100.0))
def test_relative_errors_do_not_see_the_unit_of_both_depths(scale):
    p, g = np.random.default_rng(0).uniform(1, 9, (2, 20))
    here, there = errors_of(p, g), errors_of(scale * p, scale * g)
    for metric in ("abs_rel", "rmse_log", "log10", "d1", "d2", "d3"):
        assert getattr(there, metric) == pytest.approx(getattr(here, metric))
    assert there.rmse == pytest.approx(scale * here.rmse)
    assert there.sq_rel == pytest.approx(scale * here.sq_rel)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_a_depth_that_is_none_is_refused(bad):
    with pytest.raises(ValueError, match="1 of 2 pixels of the prediction are not"):
        depth_errors(np.array([1.0, bad]), np.ones(2))
    with pytest.raises(ValueError, match="1 of 2 pixels of the truth are not"):
        depth_errors(np.ones(2), np.array([1.0, bad]))


def test_each_image_counts_once_and_one_without_truth_poisons_nothing():
    small, large = errors_of([1.2], [1.0]), errors_of([1.6] * 99, [1.0] * 99)
    sums = DepthSums().add(small).add(None).add(large)
    mean = sums.mean()
    assert mean is not None
    assert mean.abs_rel == pytest.approx((0.2 + 0.6) / 2)
    assert (sums.n_images, sums.n_skipped) == (2, 1)
    assert DepthSums().mean() is None
    assert DepthSums().add(None).mean() is None


@given(cut=st.integers(0, 7), seed=st.integers(0, 100))
def test_sums_of_two_processes_merge_to_the_sum_of_one(cut, seed):
    images = [errors_of(*pair) for pair in np.random.default_rng(seed).uniform(1, 9, (6, 2, 5))]
    everything = [*images[:3], None, *images[3:]]
    parts = (everything, everything[:cut], everything[cut:])
    whole, *two = (reduce(DepthSums.add, part, DepthSums()) for part in parts)
    merged = two[0] + two[1]
    assert (merged.n_images, merged.n_skipped) == (whole.n_images, whole.n_skipped)
    for metric in METRICS:
        assert getattr(merged.total, metric) == pytest.approx(getattr(whole.total, metric))
