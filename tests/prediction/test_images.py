"""Everything an image may come as becomes the same bytes; sizes change about pixel centres."""

import numpy as np
import pytest
import torch
from PIL import Image

from ssmde.data.images import ImageError
from ssmde.prediction.images import resize_depth, to_pixels


def picture(height: int = 5, width: int = 7) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_file_an_array_a_tensor_and_a_pil_image_are_the_same_image(tmp_path):
    pixels = picture()
    Image.fromarray(pixels).save(tmp_path / "a.png")
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    ways = [tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(pixels), pixels, tensor]
    ways += [(tmp_path / "a.png").read_bytes(), pixels / 255, (pixels / 255).astype(np.float32)]
    for way in [*ways, tensor.float() / 255, tensor.double() / 255]:
        np.testing.assert_array_equal(to_pixels(way), pixels)


def test_a_grey_image_has_three_equal_channels():
    grey = picture()[..., 0]
    ways = [grey, grey[..., None], torch.from_numpy(grey), torch.from_numpy(grey)[None]]
    for way in [*ways, Image.fromarray(grey)]:
        np.testing.assert_array_equal(to_pixels(way), np.stack([grey] * 3, axis=-1))


def test_the_orientation_of_a_camera_is_followed():
    image = Image.fromarray(picture(4, 6))
    exif = image.getexif()
    exif[0x0112] = 6  # the camera lay on its side: turn clockwise
    image.info["exif"] = exif.tobytes()
    found = to_pixels(image)
    np.testing.assert_array_equal(found, np.rot90(picture(4, 6), -1))


def test_16_bits_become_8_by_their_upper_half_wherever_they_come_from(tmp_path):
    grey = np.array([[0, 255, 256, 65535]], np.uint16)
    Image.fromarray(grey).save(tmp_path / "a.png")
    tensor = torch.from_numpy(grey.astype(np.int32)).to(torch.uint16)
    for way in (grey, Image.fromarray(grey), tmp_path / "a.png", tensor):
        assert to_pixels(way)[..., 1].tolist() == [[0, 0, 1, 255]]


def test_transparency_is_dropped_wherever_it_stands(tmp_path):
    pixels = picture()
    clear = np.dstack([pixels, np.zeros(pixels.shape[:2], np.uint8)])
    Image.fromarray(clear).save(tmp_path / "a.png")
    tensor = torch.from_numpy(clear).permute(2, 0, 1)
    for way in (clear, Image.fromarray(clear), tmp_path / "a.png", tensor):
        np.testing.assert_array_equal(to_pixels(way), pixels)


def test_the_orientation_is_followed_in_bytes_as_well(tmp_path):
    image = Image.fromarray(picture(8, 16))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.png", exif=exif)
    found = to_pixels((tmp_path / "a.png").read_bytes())
    np.testing.assert_array_equal(found, np.rot90(picture(8, 16), -1))


def test_bytes_that_are_no_image_are_refused():
    with pytest.raises(ImageError, match=r"^bytes of an image: cannot be read as an image"):
        to_pixels(b"hello")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros((4, 5, 3), np.int64), r"got int64 \(4, 5, 3\)"),
        (np.zeros((3, 4, 5), np.uint8), r"got uint8 \(3, 4, 5\)"),
        (np.zeros((4, 5, 2), np.uint8), r"got uint8 \(4, 5, 2\)"),
        (np.full((4, 5, 3), 255.0), r"must be in \[0, 1\], got 255 to 255"),
        (np.zeros((0, 5, 3), np.uint8), "at least one pixel"),
        (torch.zeros(5, 5, 3, dtype=torch.uint8), r"got torch.uint8 \(5, 5, 3\)"),
        (torch.full((3, 4, 5), 255.0), r"must be in \[0, 1\], got 255 to 255"),
        (torch.full((3, 4, 5), torch.nan), r"must be in \[0, 1\]"),
        (Image.new("F", (4, 4)), "mode F has no known range"),
    ],
)
def test_what_is_no_image_is_refused_with_its_shape(bad, message):
    with pytest.raises(ValueError, match=message):
        to_pixels(bad)


def test_a_missing_file_is_refused_with_its_name():
    with pytest.raises(ImageError, match=r"gone\.png: no such file"):
        to_pixels("gone.png")


def test_depth_is_resized_about_pixel_centres():
    # Centres of four pixels in the grid of two: -0.25, 0.25, 0.75, 1.25, cut at the border.
    found = resize_depth(np.array([[0.0, 4.0]]), (1, 4))
    np.testing.assert_allclose(found, [[0.0, 1.0, 3.0, 4.0]])


def test_depth_made_smaller_reads_two_neighbours_and_no_mean():
    found = resize_depth(np.array([[1.0, 2, 3, 4, 5, 6, 7, 8]]), (1, 2))
    np.testing.assert_allclose(found, [[2.5, 6.5]])
