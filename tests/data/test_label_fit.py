"""Labels in the unit of tracked points: scale and shift are found, outliers and holes are not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmde.data.pseudo_labels import fit_to_points
from ssmde.data.scene_files import TRACKED_POINTS, read_tracked_points, write_tracked_points

SIZE = (48, 64)
DEPTH = (1 + np.add.outer(np.linspace(0, 2, 48), np.linspace(0, 1, 64))).astype(np.float32)


def some_points(count=200, seed=0):
    rng = np.random.default_rng(seed)
    pixels = np.stack([rng.integers(0, 64, count), rng.integers(0, 48, count)], axis=1)
    return pixels.astype(np.float32), DEPTH[pixels[:, 1], pixels[:, 0]].copy()


@given(scale=st.floats(0.1, 10.0), shift=st.floats(-0.5, 5.0))
def test_scale_and_shift_of_a_label_are_found(scale, shift):
    label = (scale * (DEPTH + shift)).astype(np.float32)
    pixels, depth = some_points()
    np.testing.assert_allclose(fit_to_points(label, pixels, depth, SIZE), DEPTH, rtol=1e-3)


def test_a_noisy_label_without_unknown_shift_keeps_its_range():
    """Points on one wall, people in front of it: with a shift the people would join the wall."""
    rng = np.random.default_rng(0)
    truth = np.full(SIZE, 3.0, np.float32)
    truth[:, :20] = 1.5  # no points there: it moves
    label = (2 * truth * np.exp(rng.normal(0, 0.2, SIZE))).astype(np.float32)
    pixels = np.stack([rng.integers(20, 64, 300), rng.integers(0, 48, 300)], axis=1)
    depth = rng.normal(3.0, 0.1, 300).astype(np.float32)
    fitted = fit_to_points(label, pixels.astype(np.float32), depth, SIZE, affine=False)
    assert np.median(fitted[:, 20:]) / np.median(fitted[:, :20]) == pytest.approx(2, rel=0.05)
    assert np.median(fitted[:, 20:]) == pytest.approx(3, rel=0.1)


def test_points_on_what_moves_do_no_harm():
    pixels, depth = some_points()
    depth[:30] *= 3
    np.testing.assert_allclose(fit_to_points(2 * DEPTH, pixels, depth, SIZE), DEPTH, rtol=1e-2)


def test_a_label_of_another_size_is_read_at_the_same_places():
    pixels, depth = some_points()
    small = DEPTH.reshape(24, 2, 32, 2).mean((1, 3))
    np.testing.assert_allclose(fit_to_points(small, pixels, depth, SIZE), small, rtol=0.02)


def test_where_a_label_has_no_value_it_gets_none():
    pixels, depth = some_points()
    label = DEPTH.copy()
    label[:, :10] = 0
    fitted = fit_to_points(label, pixels, depth, SIZE)
    assert (fitted[:, :10] == 0).all()
    assert (fitted[:, 10:] > 0).all()


def test_too_few_points_and_a_label_upside_down_give_no_label():
    pixels, depth = some_points()
    assert not fit_to_points(DEPTH, pixels[:10], depth[:10], SIZE).any()
    assert not fit_to_points(5 - DEPTH, pixels, depth, SIZE).any()


def test_points_are_read_as_they_were_written(tmp_path):
    pixels, depth = some_points(7)
    nothing = (np.zeros((0, 2), np.float32), np.zeros(0, np.float32))
    write_tracked_points(tmp_path, {5: (pixels, depth), 2: nothing})
    found = read_tracked_points(tmp_path / TRACKED_POINTS)
    assert sorted(found) == [2, 5]
    np.testing.assert_array_equal(found[5][0], pixels)
    np.testing.assert_array_equal(found[5][1], depth)
    assert len(found[2][1]) == 0
    write_tracked_points(tmp_path, {})
    assert read_tracked_points(tmp_path / TRACKED_POINTS) == {}


def test_points_that_are_missing_or_broken_are_asked_for(tmp_path):
    with pytest.raises(ValueError, match=r"no such file; `ssmde track .* writes it"):
        read_tracked_points(tmp_path / TRACKED_POINTS)
    (tmp_path / TRACKED_POINTS).write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"cannot be read .* track the scene again"):
        read_tracked_points(tmp_path / TRACKED_POINTS)


def test_a_slow_error_is_mended_and_what_moves_goes_with_what_stands_around_it():
    slow = np.exp(np.linspace(-0.3, 0.3, 64))[None].astype(np.float32)
    pixels, depth = some_points(400)
    mover = np.zeros(SIZE, bool)
    mover[15:35, 26:38] = True
    truth = np.where(mover, 0.6 * DEPTH, DEPTH)
    still = ~mover[pixels[:, 1].astype(int), pixels[:, 0].astype(int)]
    fitted = fit_to_points(truth * slow, pixels[still], depth[still], SIZE, affine=False)
    error = np.abs(fitted / truth - 1)
    assert error[~mover].mean() < 0.03  # 0.15 with one factor for all
    assert error[mover].mean() < 0.05
