"""Patches of photos as textures, filtered to the pixel."""

import numpy as np
import pytest

from photographs.patches import LEVELS, SIDE, image_files, look_up, rip_map


def look(patch, places, footprint):
    places = np.atleast_2d(np.array(places, np.float64))
    footprint = np.broadcast_to(np.array(footprint, np.float64), places.shape)
    return look_up(rip_map(patch), np.zeros(len(places), np.int64), places, footprint)


@pytest.mark.parametrize("level", range(LEVELS))
def test_the_mean_colour_stays_at_every_distance(level):
    patch = np.random.default_rng(0).uniform(0, 1, (SIDE, SIDE, 3)).astype(np.float32)
    step = 2.0**level / SIDE
    middles = (np.arange(SIDE >> level) + 0.5) * step
    places = np.stack(np.meshgrid(middles, middles), axis=-1).reshape(-1, 2)
    mean = pytest.approx(patch.mean(axis=(0, 1)), abs=1e-4)
    assert look(patch, places, step).mean(axis=0) == mean
    assert look(patch, (0.7, -2.4), 1.5)[0] == mean  # smaller than a pixel


def test_a_floor_seen_at_a_flat_angle_is_blurred_only_along():
    stripes = np.zeros((SIDE, SIDE, 3), np.float32)
    stripes[:, ::2] = 1.0  # columns
    places = np.array([[(2 * k + 0.5) / SIDE, 0.4] for k in range(5)])
    assert look(stripes, places, (1 / SIDE, 0.5)) == pytest.approx(1.0)
    assert look(stripes, places, (0.5, 1 / SIDE)) == pytest.approx(0.5)


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no \.jpg or \.png picture in .*a"):
        image_files([tmp_path / "a"])
