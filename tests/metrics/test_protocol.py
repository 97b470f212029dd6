"""What counts in an image, and its errors over regions and distances.

That each protocol says what a second implementation says: `tests/agreement/test_numbers.py`.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmde.datasets import PROTOCOLS, find_protocol
from ssmde.metrics import (
    Measurement,
    Protocol,
    band_edges,
    counted_pixels,
    measure,
    split_motion_mask,
)

BONN = PROTOCOLS["bonn"]


@pytest.mark.parametrize(
    ("name", "size", "ends"),
    [("kitti", (375, 1242), (153, 371, 44, 1197)), ("nyuv2", (480, 640), (45, 471, 41, 601))],
)
def test_the_crops_of_the_field_in_their_own_sizes(name, size, ends):
    rows, columns = np.nonzero(PROTOCOLS[name].crop.mask(*size))
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == ends


def test_the_ends_of_the_range_do_not_count():
    truth = np.array([[0.0, 0.1, 0.2, 9.9, 10.0, 11.0, np.nan, np.inf]])
    np.testing.assert_array_equal(
        counted_pixels(truth, BONN), [[False, False, True, True, False, False, False, False]]
    )


def test_predictions_are_clipped_after_they_are_aligned():
    protocol = Protocol(name="short", min_depth=1.0, max_depth=10.0)
    truth = np.array([[2.0, 4.0, 9.0]])
    found = measure(np.array([[0.01, 1.0, 900.0]]), truth, protocol).full
    assert found is not None  # scale 4: 0.04, 4, 3600 -> 1, 4, 10
    assert found.abs_rel == pytest.approx((1 / 2 + 0 + 1 / 9) / 3)


def test_the_scale_comes_from_the_full_image_and_pixels_without_truth_make_no_error():
    truth, prediction = np.full((1, 4), 2.0), np.array([[1.0, 1.0, 1.0, 3.0]])
    mask = np.array([[0, 0, 128, 255]], dtype=np.uint8)
    found = measure(prediction, truth, BONN, motion_mask=mask)
    # Movers: 3 * 2 / 1; a scale of their own would make it 0.
    assert [e.abs_rel for e in (found.static, found.dynamic, found.full)] == [0.0, 2.0, 0.5]
    truth[0, 3] = 0
    found = measure(prediction, truth, BONN, motion_mask=mask)
    assert (found.dynamic, found.static.abs_rel) == (None, 0.0)
    assert measure(prediction, np.zeros((1, 4)), BONN) == Measurement()


def test_an_unknown_protocol_is_refused_with_the_closest():
    with pytest.raises(ValueError, match="unknown protocol 'kity': closest match is 'kitti'"):
        find_protocol("kity")
    with pytest.raises(ValueError, match="there are kitti, nyuv2"):
        find_protocol("?")


def test_unknown_pixels_are_neither_static_nor_moving_and_a_mask_of_zeros_and_ones_is_refused():
    static, dynamic = split_motion_mask(np.array([[0, 128, 255]], dtype=np.uint8))
    assert (static.tolist(), dynamic.tolist()) == ([[True, False, False]], [[False, False, True]])
    with pytest.raises(ValueError, match=r"255 \(moving\).*got 1"):
        split_motion_mask(np.array([[0, 1]], dtype=np.uint8))


BANDS = Protocol(name="bands", min_depth=0.9, max_depth=8.0, align="none")


def test_each_pixel_counts_in_the_band_of_its_true_distance():
    truth = np.array([[1.0, 2.0, 5.0, 5.5, 9.0]])
    prediction = np.array([[1.1, 2.4, 8.0, 5.5, 1.0]])  # 10 %, 20 %, 60 % and 0 % wrong
    bands = measure(prediction, truth, BANDS).bands
    assert bands[0] is None, "a band without a pixel has no errors"
    assert [band.abs_rel for band in bands[1:]] == pytest.approx([0.1, 0.2, 0.3])


@given(seed=st.integers(0, 100))
def test_bands_weighted_by_their_pixels_make_the_whole(seed):
    prediction, truth = np.random.default_rng(seed).uniform(1, 8, (2, 1, 50))
    mask = np.random.default_rng(seed).choice([0, 128, 255], (1, 50)).astype(np.uint8)
    found = measure(prediction, truth, BANDS, motion_mask=mask)
    parts = [0.0 if e is None else e.abs_rel for e in found.bands]
    sizes = np.histogram(truth, band_edges(BANDS))[0]
    assert np.average(parts, weights=sizes) == pytest.approx(found.full.abs_rel)
    static, error = mask == 0, np.abs(prediction.clip(0.9, 8.0) - truth) / truth
    assert found.static.abs_rel == pytest.approx(error[static].mean())


@pytest.mark.parametrize(
    ("near", "far", "expected"),
    [
        (0.1, 80.0, (0.1, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 80.0)),
        (3.0, 4.0, (3.0, 4.0)),
    ],
)
def test_bands_have_round_edges_inside_the_range(near, far, expected):
    assert band_edges(Protocol(name="x", min_depth=near, max_depth=far)) == expected
