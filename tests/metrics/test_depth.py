"""The errors by hand, their sums, and the rule that each image counts once."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmde.metrics.depth import METRICS, DepthErrors, DepthSums, depth_errors


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


def test_no_pixel_gives_no_errors():
    assert depth_errors(np.zeros(0), np.zeros(0)) is None


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_a_depth_that_is_none_is_refused(bad):
    with pytest.raises(ValueError, match="1 of 2 pixels of the prediction are not"):
        depth_errors(np.array([1.0, bad]), np.ones(2))
    with pytest.raises(ValueError, match="1 of 2 pixels of the truth are not"):
        depth_errors(np.ones(2), np.array([1.0, bad]))


def test_each_image_counts_once_however_many_pixels_it_has():
    small, large = errors_of([1.2], [1.0]), errors_of([1.6] * 99, [1.0] * 99)
    mean = DepthSums().add(small).add(large).mean()
    assert mean is not None
    assert mean.abs_rel == pytest.approx((0.2 + 0.6) / 2)


def test_an_image_without_truth_is_counted_apart_and_poisons_nothing():
    sums = DepthSums().add(errors_of([1.5], [1.0])).add(None)
    mean = sums.mean()
    assert mean is not None
    assert mean.abs_rel == 0.5
    assert (sums.n_images, sums.n_skipped) == (1, 1)


def test_no_image_has_no_mean():
    assert DepthSums().mean() is None
    assert DepthSums().add(None).mean() is None


@given(cut=st.integers(0, 7), seed=st.integers(0, 100))
def test_sums_of_two_processes_merge_to_the_sum_of_one(cut, seed):
    images = [errors_of(*pair) for pair in np.random.default_rng(seed).uniform(1, 9, (6, 2, 5))]
    everything = [*images[:3], None, *images[3:]]

    def sums_of(part):
        sums = DepthSums()
        for image in part:
            sums = sums.add(image)
        return sums

    merged = sums_of(everything[:cut]).merge(sums_of(everything[cut:]))
    whole = sums_of(everything)
    assert (merged.n_images, merged.n_skipped) == (whole.n_images, whole.n_skipped)
    for metric in METRICS:
        assert getattr(merged.total, metric) == pytest.approx(getattr(whole.total, metric))
