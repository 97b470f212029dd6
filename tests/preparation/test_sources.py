"""Focal lengths from EXIF and from the tags of films."""

import numpy as np
import pytest
from PIL import Image

from ssmde.preparation.sources import camera_of_film, camera_of_photos

EQUIVALENT = 0xA405
SIZE = 240, 360  # height, width: the shape of film


def photo(path, tags, size=SIZE, orientation=None):
    exif = Image.Exif()
    exif.get_ifd(0x8769).update(tags)
    if orientation:
        exif[0x0112] = orientation
    Image.new("RGB", (size[1], size[0])).save(path, exif=exif)
    return path


def focal(found):
    """Of a pinhole matrix with square pixels and its point in the middle."""
    K, _ = found
    assert (K[1, 1], K[0, 1]) == (K[0, 0], 0)
    return K[0, 0]


def test_the_equivalent_focal_length_refers_to_the_diagonal_of_film(tmp_path):
    K, text = camera_of_photos([photo(tmp_path / "a.jpg", {EQUIVALENT: 36})], SIZE)
    np.testing.assert_allclose(K, [[360, 0, 179.5], [0, 360, 119.5], [0, 0, 1]], rtol=1e-4)
    assert text == "EXIF, 36 mm equivalent: focal length 360 pixels, a few percent uncertain"
    lying = photo(tmp_path / "a.jpg", {EQUIVALENT: 26}, orientation=6)
    assert focal(camera_of_photos([lying], (360, 240))) == pytest.approx(260, rel=1e-4)
    # 16:9 of the same diagonal: 26 mm still
    assert focal(camera_of_photos([lying], (1080, 1920))) == pytest.approx(1323.75, rel=1e-3)


def test_photos_that_disagree_or_say_nothing_or_are_broken_give_no_focal_length(tmp_path):
    one = photo(tmp_path / "a.jpg", {EQUIVALENT: 26})
    same = photo(tmp_path / "b.jpg", {EQUIVALENT: 26})
    zoomed = photo(tmp_path / "c.jpg", {EQUIVALENT: 52})
    silent = photo(tmp_path / "d.jpg", {})
    assert camera_of_photos([one, same], SIZE) is not None
    strange = [[photo(tmp_path / f"{v}.jpg", {EQUIVALENT: v})] for v in (0, 1, 30000)]  # no lens
    for files in ([one, zoomed], [one, silent], [silent], *strange):
        assert camera_of_photos(files, SIZE) is None
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    assert camera_of_photos([tmp_path / "a.jpg"], SIZE) is None


def test_a_phone_s_film_says_its_equivalent_focal_length():
    tag = "com.apple.quicktime.camera.focal_length.35mm_equivalent"
    for tags, expected in (
        ({"make": "Apple", tag: "36"}, 360),
        ({"FocalLengthIn35mmFilm": "26"}, 260),
    ):
        found = camera_of_film(tags, SIZE)
        assert focal(found) == pytest.approx(expected, rel=1e-4)
        assert found[1].startswith("video metadata, ")
    for tags in ({"FocalLengthIn35mmFilm": "much"}, {"make": "Apple"}):
        assert camera_of_film(tags, SIZE) is None
