"""Static and moving pixels, each image by its own mask."""

import numpy as np
import pytest

from ssmde.metrics.depth import DepthErrors
from ssmde.metrics.regions import RegionErrors, RegionSums, split


def test_unknown_pixels_are_neither_static_nor_moving():
    regions = split(np.array([[0, 128, 255]], dtype=np.uint8))
    np.testing.assert_array_equal(regions.static, [[True, False, False]])
    np.testing.assert_array_equal(regions.dynamic, [[False, False, True]])


def test_a_mask_of_zeros_and_ones_is_refused():
    with pytest.raises(ValueError, match=r"255 \(moving\).*got 1"):
        split(np.array([[0, 1]], dtype=np.uint8))


def test_frames_with_movers_enter_the_full_mean_once():
    still = RegionErrors(full=DepthErrors(abs_rel=0.1), static=DepthErrors(abs_rel=0.1))
    moving = RegionErrors(
        full=DepthErrors(abs_rel=0.5),
        static=DepthErrors(abs_rel=0.3),
        dynamic=DepthErrors(abs_rel=0.9),
    )
    sums = RegionSums().add(still).add(moving)
    full, static, dynamic = sums.full.mean(), sums.static.mean(), sums.dynamic.mean()
    assert full is not None
    assert static is not None
    assert dynamic is not None
    assert full.abs_rel == pytest.approx(0.3)
    assert static.abs_rel == pytest.approx(0.2)
    assert dynamic.abs_rel == 0.9
    assert (sums.full.n_images, sums.static.n_images, sums.dynamic.n_images) == (2, 2, 1)


def test_regions_of_two_processes_merge():
    errors = RegionErrors(full=DepthErrors(abs_rel=0.5), dynamic=DepthErrors(abs_rel=0.9))
    merged = RegionSums().add(errors).merge(RegionSums().add(errors).add(RegionErrors()))
    assert (merged.full.n_images, merged.full.n_skipped) == (2, 1)
    assert (merged.static.n_images, merged.dynamic.n_images) == (0, 2)
