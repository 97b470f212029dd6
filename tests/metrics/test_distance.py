"""Errors in bands of the true distance."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmde.metrics.depth import depth_errors
from ssmde.metrics.distance import band_edges, band_errors


def test_each_pixel_counts_in_the_band_of_its_true_distance():
    truth = np.array([1.0, 2.0, 4.0, 4.5])
    prediction = np.array([1.1, 2.4, 8.0, 4.5])  # 10 %, 20 %, 100 % and 0 % wrong
    first, second, third = band_errors(prediction, truth, (1.0, 2.0, 4.0, 10.0))
    assert first is not None
    assert second is not None
    assert third is not None
    assert first.abs_rel == pytest.approx(0.1)
    assert second.abs_rel == pytest.approx(0.2)  # 2 belongs to the band that starts there
    assert third.abs_rel == pytest.approx(0.5)


def test_a_band_without_a_pixel_has_no_errors():
    assert band_errors(np.ones(1), np.ones(1), (2.0, 3.0, 4.0)) == (None, None)


@given(seed=st.integers(0, 100))
def test_bands_weighted_by_their_pixels_make_the_whole(seed):
    prediction, truth = np.random.default_rng(seed).uniform(1, 9, (2, 50))
    edges = (1.0, 3.0, 5.0, 9.0)
    whole = depth_errors(prediction, truth)
    assert whole is not None
    sizes = np.histogram(truth, edges)[0]
    parts = [0.0 if e is None else e.abs_rel for e in band_errors(prediction, truth, edges)]
    assert np.average(parts, weights=sizes) == pytest.approx(whole.abs_rel)


@pytest.mark.parametrize(
    ("least", "most", "expected"),
    [
        (0.1, 10.0, (0.1, 1.0, 2.0, 5.0, 10.0)),
        (0.1, 80.0, (0.1, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 80.0)),
        (3.0, 4.0, (3.0, 4.0)),
    ],
)
def test_bands_have_round_edges_inside_the_range(least, most, expected):
    assert band_edges(least, most) == expected


@pytest.mark.parametrize("edges", [(), (1.0,), (1.0, 1.0), (2.0, 1.0), (1.0, math.nan)])
def test_edges_that_make_no_band_are_refused(edges):
    with pytest.raises(ValueError, match="two or more increasing edges, got"):
        band_errors(np.ones(1), np.ones(1), edges)
