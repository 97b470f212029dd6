"""Focal lengths from EXIF and from the tags of films."""

import numpy as np
import pytest
from PIL import Image

from ssmde.preparation.sources import focal_of_film, focal_of_photos

EQUIVALENT = 0xA405
FOCAL, PLANE_X, PLANE_UNIT, EXIF_WIDTH, EXIF_HEIGHT = 0x920A, 0xA20E, 0xA210, 0xA002, 0xA003
SIZE = 240, 360  # height, width: the shape of film


def photo(path, tags, size=SIZE, orientation=None):
    exif = Image.Exif()
    exif.get_ifd(0x8769).update(tags)
    if orientation:
        exif[0x0112] = orientation
    Image.new("RGB", (size[1], size[0])).save(path, exif=exif)
    return path


def test_the_equivalent_focal_length_refers_to_the_diagonal_of_film(tmp_path):
    hint = focal_of_photos([photo(tmp_path / "a.jpg", {EQUIVALENT: 36})], SIZE)
    assert hint == (pytest.approx(360, rel=1e-4), "EXIF, 36 mm equivalent")  # for 360 pixels
    lying = photo(tmp_path / "a.jpg", {EQUIVALENT: 26}, orientation=6)
    assert focal_of_photos([lying], (360, 240))[0] == pytest.approx(260, rel=1e-4)
    # 16:9 of the same diagonal: 26 mm still
    assert focal_of_photos([lying], (1080, 1920))[0] == pytest.approx(1323.75, rel=1e-3)


def test_the_sensor_s_resolution_gives_pixels_a_millimetre(tmp_path):
    # 50 mm, 2540 pixels an inch are 100 a mm: 5000 pixels in a photo of 3600, 500 in one of 360.
    tags = {FOCAL: 50.0, PLANE_X: 2540.0, PLANE_UNIT: 2, EXIF_WIDTH: 3600, EXIF_HEIGHT: 2400}
    hint = focal_of_photos([photo(tmp_path / "a.jpg", tags)], SIZE)
    assert hint == (pytest.approx(500), "EXIF, 50 mm and the sensor's resolution")
    centimetres = tags | {PLANE_X: 1000.0, PLANE_UNIT: 3}
    assert focal_of_photos([photo(tmp_path / "b.jpg", centimetres)], SIZE)[0] == 500
    cropped = tags | {EXIF_HEIGHT: 3600}
    assert focal_of_photos([photo(tmp_path / "c.jpg", cropped)], SIZE) is None


def test_photos_that_disagree_or_say_nothing_or_are_broken_give_no_focal_length(tmp_path):
    one = photo(tmp_path / "a.jpg", {EQUIVALENT: 26})
    same = photo(tmp_path / "b.jpg", {EQUIVALENT: 26})
    zoomed = photo(tmp_path / "c.jpg", {EQUIVALENT: 52})
    silent = photo(tmp_path / "d.jpg", {})
    assert focal_of_photos([one, same], SIZE) is not None
    assert focal_of_photos([one, zoomed], SIZE) is None
    assert focal_of_photos([one, silent], SIZE) is None
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    assert focal_of_photos([tmp_path / "a.jpg"], SIZE) is None


@pytest.mark.parametrize("value", [0, 1, 30000])
def test_what_is_no_lens_is_not_believed(tmp_path, value):
    assert focal_of_photos([photo(tmp_path / "a.jpg", {EQUIVALENT: value})], SIZE) is None


def test_a_phone_s_film_says_its_equivalent_focal_length():
    tags = {"make": "Apple", "com.apple.quicktime.camera.focal_length.35mm_equivalent": "36"}
    expected = pytest.approx(360, rel=1e-4), "video metadata, 36 mm equivalent"
    assert focal_of_film(tags, SIZE) == expected
    assert focal_of_film({"make": "Apple"}, SIZE) is None
    assert focal_of_film({"FocalLengthIn35mmFilm": "much"}, SIZE) is None
    assert np.isfinite(focal_of_film({"FocalLengthIn35mmFilm": "26"}, SIZE)[0])
