"""Whatever an image may come as becomes the same bytes; names of outputs, cameras."""

import threading
import time

import numpy as np
import pytest
import torch
from PIL import Image

import films
from ssmde.data.images import ImageError
from ssmde.data.video import VideoError
from ssmde.inference import input as source
from texture import noise


def test_a_file_an_array_a_tensor_and_a_pil_image_are_the_same_image(tmp_path):
    pixels, path = noise(5, 7), tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    floats = [pixels / 255, (pixels / 255).astype(np.float32), tensor.float() / 255]
    files = [path, str(path), path.read_bytes(), Image.fromarray(pixels)]
    for way in [*files, *floats, pixels, tensor, tensor.double() / 255]:
        np.testing.assert_array_equal(source.to_pixels(way), pixels)


def test_gray_images_have_three_equal_channels_of_8_bits_and_transparency_is_dropped():
    gray, clear = noise(5, 7)[..., 0], noise(5, 7, channels=4)
    for way in (gray, gray[..., None], torch.from_numpy(gray), Image.fromarray(gray)):
        np.testing.assert_array_equal(source.to_pixels(way), np.stack([gray] * 3, axis=-1))
    sixteen = np.array([[0, 255, 256, 65535]], np.uint16)  # their upper half
    for way in (sixteen, Image.fromarray(sixteen), torch.from_numpy(sixteen)):
        assert source.to_pixels(way)[..., 1].tolist() == [[0, 0, 1, 255]]
    for way in (clear, Image.fromarray(clear), torch.from_numpy(clear).permute(2, 0, 1)):
        np.testing.assert_array_equal(source.to_pixels(way), clear[..., :3])


def test_the_orientation_of_a_camera_is_followed():
    image = Image.fromarray(noise(8, 16))
    exif = image.getexif()
    exif[0x0112] = 6  # the camera lay on its side: turn clockwise
    image.info["exif"] = exif.tobytes()
    np.testing.assert_array_equal(source.to_pixels(image), np.rot90(noise(8, 16), -1))


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
        (b"hello", "^bytes of an image: cannot be read as an image"),
        ("gone.png", r"gone\.png: no such file"),
    ],
)
def test_what_is_no_image_is_refused(bad, message):
    with pytest.raises(ImageError if isinstance(bad, bytes | str) else ValueError, match=message):
        source.to_pixels(bad)


def test_depth_is_resized_about_pixel_centers_from_two_neighbors():
    # Centers of four pixels in the grid of two: -0.25, 0.25, 0.75, 1.25, cut at the border.
    np.testing.assert_allclose(
        source.resize_depth(np.array([[0.0, 4.0]]), (1, 4)), [[0.0, 1.0, 3.0, 4.0]]
    )
    smaller = source.resize_depth(np.array([[1.0, 2, 3, 4, 5, 6, 7, 8]]), (1, 2))
    np.testing.assert_allclose(smaller, [[2.5, 6.5]])  # and no mean


@pytest.mark.parametrize(("share", "most"), [(0.0, 8), (0.1, 8), (0.3, 3), (0.6, 1), (2.0, 1)])
def test_what_is_read_ahead_comes_in_order_and_of_large_images_little(share, most):
    begun, gate = [], threading.Event()

    def read(i):
        begun.append(i)
        gate.wait(5)
        return i

    found = source.read_ahead(range(20), read, lambda _: int(share * source.AHEAD), threads=4)
    first = threading.Thread(target=lambda: next(found))
    first.start()
    gate.set()
    first.join()
    assert len(begun) <= most  # nothing was asked for but the first
    assert list(found) == list(range(1, 20))


def test_a_number_and_an_rtsp_address_are_cameras():
    assert all(source.is_live(s) for s in ("0", "12", "rtsp://a/b", "RTSPS://a/b"))
    assert not any(source.is_live(s) for s in ("walk.mp4", "http://a/b.mp4", "0.png", "-1", ""))


@pytest.mark.parametrize(
    ("address", "platform", "message"),
    [("77", "", r"webcam 77: (cannot be opened|this PyAV was built)"),
     ("rtsp://127.0.0.1:9/x", "", r"rtsp://127\.0\.0\.1:9/x: cannot be opened"),
     ("0", "win32", "webcam 0: webcams are read on Linux and macOS only")],
)  # fmt: skip
def test_a_camera_that_is_not_there_is_named(monkeypatch, address, platform, message):
    if platform:
        monkeypatch.setattr("sys.platform", platform)
    with pytest.raises(VideoError, match=message):
        next(source.read_live(address))


def test_frames_nobody_took_are_dropped(tmp_path, monkeypatch):
    """A network slower than the camera sees the newest frame, not an ever older one."""
    films.write(tmp_path / "long0.mkv", films.grey_frames([0] * 200, (24, 32)))
    webcams = {source.sys.platform: (None, f"{tmp_path}/long{{}}.mkv")}
    monkeypatch.setattr(source, "WEBCAMS", webcams)
    numbers = []
    for frame in source.read_live("0"):
        numbers.append(frame.number)
        time.sleep(0.02)
    assert numbers == sorted(set(numbers))
    assert numbers[-1] - numbers[0] > len(numbers)
