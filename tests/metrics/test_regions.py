"""Static and moving pixels, each image by its own mask, and bands of the true distance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmde.metrics import (
    DepthErrors,
    Protocol,
    RegionErrors,
    RegionSums,
    band_edges,
    measure,
    split_motion_mask,
)


def test_unknown_pixels_are_neither_static_nor_moving():
    static, dynamic = split_motion_mask(np.array([[0, 128, 255]], dtype=np.uint8))
    np.testing.assert_array_equal(static, [[True, False, False]])
    np.testing.assert_array_equal(dynamic, [[False, False, True]])


def test_a_mask_of_zeros_and_ones_is_refused():
    with pytest.raises(ValueError, match=r"255 \(moving\).*got 1"):
        split_motion_mask(np.array([[0, 1]], dtype=np.uint8))


def test_frames_with_movers_enter_the_full_mean_once():
    still = RegionErrors(full=DepthErrors(abs_rel=0.1), static=DepthErrors(abs_rel=0.1))
    moving = RegionErrors(
        full=DepthErrors(abs_rel=0.5),
        static=DepthErrors(abs_rel=0.3),
        dynamic=DepthErrors(abs_rel=0.9),
    )
    sums = RegionSums().add(still).add(moving)
    means = [part.mean().abs_rel for part in (sums.full, sums.static, sums.dynamic)]
    assert means == pytest.approx([0.3, 0.2, 0.9])
    assert (sums.full.n_images, sums.static.n_images, sums.dynamic.n_images) == (2, 2, 1)


def test_regions_of_two_processes_merge():
    errors = RegionErrors(full=DepthErrors(abs_rel=0.5), dynamic=DepthErrors(abs_rel=0.9))
    merged = RegionSums().add(errors) + RegionSums().add(errors).add(RegionErrors())
    assert (merged.full.n_images, merged.full.n_skipped) == (2, 1)
    assert (merged.static.n_images, merged.dynamic.n_images) == (0, 2)


def bands_of(prediction, truth, mask=None):
    """Errors by distance between 1, 2, 5 and 8 m, under no alignment, and the whole."""
    protocol = Protocol(name="bands", min_depth=0.9, max_depth=8.0, align="none")
    found = measure(prediction[None], truth[None], protocol, motion_mask=mask)
    return found.bands, found.errors


def test_each_pixel_counts_in_the_band_of_its_true_distance():
    truth = np.array([1.0, 2.0, 5.0, 5.5, 9.0])
    prediction = np.array([1.1, 2.4, 8.0, 5.5, 1.0])  # 10 %, 20 %, 60 % and 0 % wrong
    bands, _ = bands_of(prediction, truth)
    assert bands[0] is None, "a band without a pixel has no errors"
    assert [band.abs_rel for band in bands[1:]] == pytest.approx([0.1, 0.2, 0.3])


@given(seed=st.integers(0, 100))
def test_bands_weighted_by_their_pixels_make_the_whole(seed):
    prediction, truth = np.random.default_rng(seed).uniform(1, 8, (2, 50))
    mask = np.random.default_rng(seed).choice([0, 128, 255], (1, 50)).astype(np.uint8)
    bands, errors = bands_of(prediction, truth, mask)
    sizes = np.histogram(truth, (0.9, 1.0, 2.0, 5.0, 8.0))[0]
    parts = [0.0 if e is None else e.abs_rel for e in bands]
    assert np.average(parts, weights=sizes) == pytest.approx(errors.full.abs_rel)
    static = (mask == 0)[0]
    by_hand = np.mean(np.abs(prediction.clip(0.9, 8.0) - truth)[static] / truth[static])
    assert errors.static.abs_rel == pytest.approx(by_hand)


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
