"""What counts in an image, its alignment, its errors by hand; and that each image counts once.

That each protocol and alignment says what a second implementation says:
`tests/agreement/test_numbers.py`.
"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmde import metrics
from ssmde.datasets import PROTOCOLS, find_protocol

BONN = PROTOCOLS["bonn"]
BANDS = metrics.Protocol(name="bands", min_depth=0.9, max_depth=8.0, align="none")


def values(*numbers: float) -> np.ndarray:
    return np.array(numbers, dtype=float)


# Alignment


@given(scale=st.floats(0.1, 10), shift=st.floats(-5, 5))
def test_least_squares_takes_scale_and_shift_away_median_the_scale_and_none_nothing(scale, shift):
    truth, p = np.random.default_rng(2).uniform(1, 9, (2, 40))
    prediction = (truth - shift) / scale
    found = metrics.align(prediction, truth, "least-squares")
    np.testing.assert_allclose(found.apply(prediction), truth, rtol=1e-9)
    expected = metrics.align(p, truth, "median").apply(p)
    np.testing.assert_allclose(metrics.align(scale * p, truth, "median").apply(scale * p), expected)
    np.testing.assert_array_equal(metrics.align(p, truth, "none").apply(p), p)
    flat = metrics.align(np.full(3, 4.0, np.float32), values(1, 2, 6), "least-squares")
    assert flat.apply(values(4.0)) == pytest.approx(3.0)  # of a constant it is the mean truth


@pytest.mark.parametrize("count", [1, 2, 7, 50_000, 50_001])
def test_the_median_is_that_of_all_values_also_where_a_few_mislead(count):
    random = np.random.default_rng(count).random(count) + 1
    every = 1 + count // 4096  # the few that are looked at first
    misled = np.where(np.arange(count) % every == 0, 9.0, random)
    for found in (random, np.sort(random), misled, random.round(1)):
        scale = metrics.align(found, np.ones(count), "median").scale
        assert scale == pytest.approx(1 / np.median(found), rel=1e-15)


@pytest.mark.parametrize(
    ("prediction", "truth", "hows", "says"),
    [
        ((1,), (1,), ("mean",), r"unknown alignment 'mean': .*there are median"),
        ((), (), metrics.ALIGNMENTS, "without truth"),
        (
            (1, np.nan, 2),
            (1, 1, 1),
            metrics.ALIGNMENTS,
            "1 of 3 pixels of the prediction are not finite",
        ),
        ((1,), (1,), ("median-dataset",), "found over all images"),
        ((0, 0, 1), (1, 1, 1), ("median",), "positive medians, got 0"),
        ((0, 0, 0), (1, 1, 1), ("least-squares",), "not 0 everywhere"),
    ],
)
def test_what_cannot_be_aligned_is_refused(prediction, truth, hows, says):
    for how in hows:
        with pytest.raises(ValueError, match=says):
            metrics.align(values(*prediction), values(*truth), how)


# Errors


def errors_of(prediction, truth) -> metrics.DepthErrors:
    return metrics.depth_errors(np.array(prediction, dtype=float), np.array(truth, dtype=float))


def test_two_pixels_by_hand_and_a_perfect_prediction():
    found = errors_of([2.0, 5.0], [1.0, 4.0])  # factors 2 and 1.25
    assert found.abs_rel == pytest.approx((1 / 1 + 1 / 4) / 2)
    assert found.sq_rel == pytest.approx((1 / 1 + 1 / 4) / 2)
    assert found.rmse == pytest.approx(1.0)
    assert found.rmse_log == pytest.approx(math.sqrt((math.log(2) ** 2 + math.log(1.25) ** 2) / 2))
    assert found.log10 == pytest.approx((math.log10(2) + math.log10(1.25)) / 2)
    assert (found.d1, found.d2, found.d3) == (0.0, 0.5, 0.5)  # 1.25 is not below 1.25
    assert errors_of([1.0, 7.5], [1.0, 7.5]) == metrics.DepthErrors(d1=1.0, d2=1.0, d3=1.0)
    assert metrics.depth_errors(np.zeros(0), np.zeros(0)) is None


@given(scale=st.floats(0.01, 100.0))
def test_relative_errors_do_not_see_the_unit_of_both_depths(scale):
    p, g = np.random.default_rng(0).uniform(1, 9, (2, 20))
    here, there = errors_of(p, g), errors_of(scale * p, scale * g)
    for metric in metrics.METRICS:
        unit = scale if metric in ("rmse", "sq_rel") else 1
        assert getattr(there, metric) == pytest.approx(unit * getattr(here, metric))


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_a_depth_that_is_none_is_refused(bad):
    for maps, name in (((values(1, bad), np.ones(2)), "prediction"),
                       ((np.ones(2), values(1, bad)), "truth")):  # fmt: skip
        with pytest.raises(ValueError, match=f"1 of 2 pixels of the {name} are not"):
            metrics.depth_errors(*maps)


def test_each_image_counts_once_and_one_without_truth_poisons_nothing():
    small, large = errors_of([1.2], [1.0]), errors_of([1.6] * 99, [1.0] * 99)
    assert metrics.mean_errors([small, None, large]).abs_rel == pytest.approx((0.2 + 0.6) / 2)
    assert metrics.mean_errors([None]) is None


# Protocols, regions, distances


def test_the_ends_of_the_range_do_not_count_and_predictions_are_clipped_once_aligned():
    truth = np.array([[0.0, 0.1, 0.2, 9.9, 10.0, 11.0, np.nan, np.inf]])
    counts = [[False, False, True, True, False, False, False, False]]
    assert metrics.counted_pixels(truth, BONN).tolist() == counts
    protocol = metrics.Protocol(name="short", min_depth=1.0, max_depth=10.0)
    depth, true = values(0.01, 1.0, 900.0), values(2.0, 4.0, 9.0)
    found = metrics.measure(depth[None], true[None], protocol).full
    assert found.abs_rel == pytest.approx((1 / 2 + 0 + 1 / 9) / 3)  # 0.04, 4, 3600 -> 1, 4, 10


def test_the_scale_comes_from_the_full_image_and_pixels_without_truth_make_no_error():
    truth, prediction = np.full((1, 4), 2.0), np.array([[1.0, 1.0, 1.0, 3.0]])
    mask = np.array([[0, 0, 128, 255]], dtype=np.uint8)
    found = metrics.measure(prediction, truth, BONN, motion_mask=mask)
    # Movers: 3 * 2 / 1; a scale of their own would make it 0.
    assert [e.abs_rel for e in (found.static, found.dynamic, found.full)] == [0.0, 2.0, 0.5]
    truth[0, 3] = 0
    found = metrics.measure(prediction, truth, BONN, motion_mask=mask)
    assert (found.dynamic, found.static.abs_rel) == (None, 0.0)
    assert metrics.measure(prediction, np.zeros((1, 4)), BONN) == metrics.Measurement()


def test_what_is_no_protocol_or_no_mask_is_refused():
    for name, says in (("kity", "'kity': closest match is 'kitti'"), ("?", "there are kitti, ny")):
        with pytest.raises(ValueError, match=says):
            find_protocol(name)
    with pytest.raises(ValueError, match=r"255 \(moving\).*got 1"):
        metrics.split_motion_mask(np.array([[0, 1]], dtype=np.uint8))


def test_each_pixel_counts_in_the_band_of_its_true_distance():
    truth = np.array([[1.0, 2.0, 5.0, 5.5, 9.0]])
    prediction = np.array([[1.1, 2.4, 8.0, 5.5, 1.0]])  # 10 %, 20 %, 60 % and 0 % wrong
    bands = metrics.measure(prediction, truth, BANDS).bands
    assert bands[0] is None, "a band without a pixel has no errors"
    assert [band.abs_rel for band in bands[1:]] == pytest.approx([0.1, 0.2, 0.3])
    kitti = (0.1, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 80.0)
    for near, far, edges in ((0.1, 80.0, kitti), (3.0, 4.0, (3.0, 4.0))):
        limits = metrics.Protocol(name="x", min_depth=near, max_depth=far)
        assert metrics.band_edges(limits) == edges


@given(seed=st.integers(0, 100))
def test_bands_weighted_by_their_pixels_make_the_whole(seed):
    prediction, truth = np.random.default_rng(seed).uniform(1, 8, (2, 1, 50))
    mask = np.random.default_rng(seed).choice([0, 128, 255], (1, 50)).astype(np.uint8)
    found = metrics.measure(prediction, truth, BANDS, motion_mask=mask)
    parts = [0.0 if e is None else e.abs_rel for e in found.bands]
    sizes = np.histogram(truth, metrics.band_edges(BANDS))[0]
    assert np.average(parts, weights=sizes) == pytest.approx(found.full.abs_rel)
    static, error = mask == 0, np.abs(prediction.clip(0.9, 8.0) - truth) / truth
    assert found.static.abs_rel == pytest.approx(error[static].mean())
