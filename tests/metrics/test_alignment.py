"""Scale and shift of one image: exact cases, laws, and input that cannot be aligned."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmde.metrics.alignment import ALIGNMENTS, Alignment, align


def values(*numbers: float) -> np.ndarray:
    return np.array(numbers, dtype=float)


def test_an_even_count_takes_the_mean_of_the_two_middle_values():
    found = align(values(1, 2, 4, 8), values(1, 1, 1, 1), "median")
    assert found.scale == pytest.approx(1 / 3)  # the lower median would give 1 / 2


def test_the_median_is_a_ratio_of_medians_and_not_a_median_of_ratios():
    found = align(values(1, 2, 30), values(10, 4, 6), "median")
    assert found == Alignment(scale=6 / 2)


def test_none_changes_nothing():
    p = values(1, 2, 3)
    np.testing.assert_array_equal(align(p, values(9, 9, 9), "none").apply(p), p)


@pytest.mark.parametrize("how", ["median", "least-squares"])
@given(scale=st.floats(1e-3, 1e3))
def test_the_scale_of_the_prediction_does_not_matter(how, scale):
    p, g = np.random.default_rng(1).uniform(0.5, 9, (2, 31))
    expected = align(p, g, how).apply(p)
    np.testing.assert_allclose(align(scale * p, g, how).apply(scale * p), expected, rtol=1e-9)


@given(scale=st.floats(0.1, 10), shift=st.floats(-5, 5))
def test_least_squares_takes_scale_and_shift_away(scale, shift):
    truth = np.random.default_rng(2).uniform(1, 9, 40)
    prediction = (truth - shift) / scale
    found = align(prediction, truth, "least-squares")
    np.testing.assert_allclose(found.apply(prediction), truth, rtol=1e-9)


def test_median_does_not_take_a_shift_away():
    truth = values(1, 2, 3)
    assert not np.allclose(align(truth + 1, truth, "median").apply(truth + 1), truth)


def test_least_squares_agrees_with_a_general_solver():
    p, g = np.random.default_rng(3).uniform(1, 9, (2, 50))
    scale, shift = np.linalg.lstsq(np.stack([p, np.ones(50)], 1), g, rcond=None)[0]
    found = align(p, g, "least-squares")
    assert (found.scale, found.shift) == pytest.approx((scale, shift))


def test_least_squares_of_a_constant_is_the_mean_truth():
    flat = np.full(3, 4.0, dtype=np.float32)
    found = align(flat, values(1, 2, 6), "least-squares")
    np.testing.assert_allclose(found.apply(flat), 3.0)


def test_an_unknown_alignment_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown alignment 'mean': .*there are median"):
        align(values(1), values(1), "mean")


@pytest.mark.parametrize("how", ALIGNMENTS)
def test_an_image_without_truth_is_refused(how):
    with pytest.raises(ValueError, match="without truth"):
        align(values(), values(), how)


@pytest.mark.parametrize("how", ALIGNMENTS)
def test_a_prediction_with_nan_is_refused_with_its_count(how):
    with pytest.raises(ValueError, match="1 of 3 pixels of the prediction are not finite"):
        align(values(1, np.nan, 2), values(1, 1, 1), how)


def test_a_prediction_of_zeros_is_refused():
    with pytest.raises(ValueError, match="positive medians, got 0"):
        align(values(0, 0, 1), values(1, 1, 1), "median")
    with pytest.raises(ValueError, match="not 0 everywhere"):
        align(values(0, 0, 0), values(1, 1, 1), "least-squares")
