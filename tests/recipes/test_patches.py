"""Patches of photos as textures: filtered to the pixel, mirrored, and cut from a few photos."""

import numpy as np
import pytest
from PIL import Image

from photographs.materials import Stock
from photographs.painting import paint
from photographs.patches import LEVELS, SIDE, PatchBook, image_files, look_up, rip_map


def noise(seed=0):
    return np.random.default_rng(seed).uniform(0, 1, (SIDE, SIDE, 3)).astype(np.float32)


def look(patch, places, footprint):
    places = np.atleast_2d(np.array(places, np.float64))
    footprint = np.broadcast_to(np.array(footprint, np.float64), places.shape)
    return look_up(rip_map(patch), np.zeros(len(places), np.int64), places, footprint)


def folder(path, count=3, size=(120, 160)):
    path.mkdir()
    for number in range(count):
        image = np.random.default_rng(number).integers(0, 256, (*size, 3)).astype(np.uint8)
        Image.fromarray(image).save(path / f"{number}.png")
    return path


@pytest.mark.parametrize("level", range(LEVELS))
def test_the_mean_colour_stays_at_every_distance(level):
    patch, step = noise(), 2.0**level / SIDE
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


def test_a_patch_that_gives_the_grain_leaves_the_mean_colour_to_the_material(tmp_path):
    book = PatchBook(folders=[image_files([folder(tmp_path / "a")])])
    stock = Stock(rng=np.random.default_rng(0), book=book, share=1.0)
    material = stock.material((0.5, 0.5, 0.5), contrast=0.0, patch=1.0, own_colour=0.0)
    assert material.patch >= 0
    assert material.tinted
    places = np.random.default_rng(2).uniform(-5, 5, (400, 3))
    far = np.full((400, 3), 40.0)
    unrolled = np.concatenate([places[:, :2], far[:, :2]], axis=1)
    colour = paint([material], np.zeros(400, np.int64), places, far, unrolled, book)
    expected = np.mean(material.base) ** 2.2
    assert colour.mean() == pytest.approx(expected, rel=0.05)


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no \.jpg or \.png picture in .*a"):
        image_files([tmp_path / "a"])
