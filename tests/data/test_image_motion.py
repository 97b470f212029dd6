"""Image motion: shifts are found, signed and to a fraction of a pixel, whatever the brightness."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssmde.data.motion import tile_flow


def texture(dx=0.0, dy=0.0, size=(72, 96), seed=0):
    """Smooth noise by formula, its content moved by (dx, dy) pixels."""
    rng = np.random.default_rng(seed)
    v, u = np.indices(size).astype(float)
    image = np.zeros(size)
    for _ in range(30):
        fu, fv = rng.uniform(-0.12, 0.12, 2)
        image += np.cos(2 * np.pi * (fu * (u - dx) + fv * (v - dy)) + rng.uniform(0, 7))
    return (0.5 + image / 30).astype(np.float32)


def test_a_shift_by_whole_pixels_is_found_with_its_sign():
    a = np.random.default_rng(1).random((48, 64), dtype=np.float32)
    flow = tile_flow(a, np.roll(a, (3, -5), (0, 1)))
    assert np.median(flow.motion[flow.found], 0) == pytest.approx((-5, 3), abs=0.05)


@settings(max_examples=8)
@given(dx=st.floats(-9.0, 9.0), dy=st.floats(-9.0, 9.0))
def test_tiles_move_by_the_fraction_of_a_pixel_that_the_texture_does(dx, dy):
    flow = tile_flow(texture(), texture(dx, dy))
    there = flow.centers + np.array([dx, dy])
    inside = ((there > 16) & (there < (79, 55))).all(1)
    error = np.abs(flow.motion - (dx, dy))[flow.found & inside]
    assert len(error) >= 3
    assert np.median(error) < 0.02
    assert flow.found_share > 0.5


def test_tiles_that_move_apart_are_told_apart():
    a, b = texture(), texture(3.0, 0.0)
    b[:, :48] = texture(-3.0, 0.0)[:, :48]
    flow = tile_flow(a, b)
    left, right = flow.centers[:, 0] < 24, flow.centers[:, 0] > 72
    assert np.allclose(np.median(flow.motion[left], 0), (-3, 0), atol=0.1)
    assert np.allclose(np.median(flow.motion[right], 0), (3, 0), atol=0.1)


def test_brightness_does_not_move_the_image_and_is_told():
    flow = tile_flow(texture(), 0.7 * texture(1.5, 0.0))
    assert np.allclose(np.median(flow.motion, 0), (1.5, 0), atol=0.03)
    assert np.median(flow.gain) == pytest.approx(0.7, abs=0.02)


def test_tiles_without_texture_say_nothing():
    blank = np.full((64, 64), 0.5, np.float32)
    flow = tile_flow(blank, blank)
    assert not flow.found.any()
    assert np.isnan(flow.found_share)


def test_images_without_anything_in_common_are_not_found():
    assert tile_flow(texture(seed=1), texture(seed=2)).found_share < 0.2


def test_images_of_two_sizes_or_too_small_ones_are_refused():
    a, b = np.zeros((16, 16), np.float32), np.zeros((16, 20), np.float32)
    for one, other in ((a, b), (a[:4, :4], a[:4, :4])):
        with pytest.raises(ValueError, match=r"one size of at least 8 x 8, got \((16, 16|4, 4)\)"):
            tile_flow(one, other)
