"""Small files that claim much: refused by their header, with the limit and the file's name."""

import resource
import subprocess
import sys
import zlib

import av
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

import ssmde.data.images
from ssmde.data.images import (
    MOST_PIXELS,
    ImageError,
    read_depth,
    read_image,
    read_image_bytes,
    read_mask,
    read_size,
)
from ssmde.data.video import VideoError, read_frames, read_gray_frames, video_info


def png_that_claims(path, width, height, bits=1):
    """A sound head, and next to nothing behind it."""
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
        PngImagePlugin.putchunk(file, b"IHDR", size + bytes([bits, 0, 0, 0, 0]))
        PngImagePlugin.putchunk(file, b"IDAT", zlib.compress(bytes(1000)))
        PngImagePlugin.putchunk(file, b"IEND", b"")
    return path


SIZES = [(MOST_PIXELS // 2 + 1, 2), (13_300, 13_300), (60_000, 60_000)]


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("read", [read_image, read_size, read_mask, lambda p: read_depth(p, 1)])
def test_a_picture_with_too_many_pixels_is_refused_by_its_header(tmp_path, read, width, height):
    path = png_that_claims(tmp_path / "large.png", width, height, 16)
    with pytest.raises(ImageError, match=r"large\.png: has .*the limit is 110 million: make it"):
        read(path)
    with pytest.raises(ImageError, match=r"an address: has .*the limit is 110 million: make it"):
        read_image_bytes(path.read_bytes(), "an address")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_the_photo_of_a_phone_with_108_million_pixels_is_none(tmp_path):
    assert read_size(png_that_claims(tmp_path / "photo.png", 12_000, 9_000)) == (9_000, 12_000)


def test_a_picture_that_needs_ghostscript_is_refused_under_any_name(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "photo.png")
    with pytest.raises(ImageError, match=r"photo\.png: EPS needs other programs"):
        read_image(tmp_path / "photo.png")


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_arrays_that_claim_more_than_they_hold_are_refused(tmp_path, suffix):
    head = {"descr": "<f4", "fortran_order": False, "shape": (60_000, 1_500)}
    path = tmp_path / "depth.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, head)
        file.write(bytes(100))
    if suffix == ".npz":
        import zipfile

        with zipfile.ZipFile(path.with_suffix(suffix), "w") as archive:
            archive.write(path, "depth.npy")
    with pytest.raises(ImageError, match=rf"depth\{suffix}: .*its head claims float32 "):
        read_depth(path.with_suffix(suffix))


def test_arrays_with_too_many_numbers_are_refused(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", depth=np.zeros((1, MOST_PIXELS + 1), np.uint8))
    assert (tmp_path / "a.npz").stat().st_size < 200_000
    with pytest.raises(ImageError, match=r"a\.npz: has 110 million pixels .*the limit is 110"):
        read_depth(tmp_path / "a.npz")
    sparse = {"data": np.ones(1), "row": np.zeros(1, int), "col": np.zeros(1, int)}
    np.savez(tmp_path / "b.npz", shape=np.array([60_000, 60_000]), format=b"coo", **sparse)
    with pytest.raises(ImageError, match=r"b\.npz: a sparse .* is not read, the limit"):
        read_depth(tmp_path / "b.npz")


def film(path, *sizes):
    """A frame of each size (height, width), as PNG in MOV: a frame may have any size of its own."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png", rate=10)
        stream.height, stream.width = sizes[0]
        stream.pix_fmt = "monob"
        for number, (height, width) in enumerate(sizes):
            encoder = av.CodecContext.create("png", "w")
            encoder.height, encoder.width, encoder.pix_fmt = height, width, "monob"
            encoder.time_base = stream.time_base or 1
            for packet in encoder.encode(av.VideoFrame(width, height, "monob")):
                packet.stream, packet.pts, packet.dts = stream, number, number
                packet.time_base = encoder.time_base
                container.mux(packet)
    return path


def test_a_film_with_too_many_pixels_is_refused_before_its_first_frame(tmp_path, monkeypatch):
    path = film(tmp_path / "film.mov", (40, 60), (40, 60))
    assert len(list(read_frames(path))) == 2
    monkeypatch.setattr(ssmde.data.images, "MOST_PIXELS", 2000)
    for read in (
        video_info,
        lambda p: next(read_frames(p)),
        lambda p: next(read_gray_frames(p, 8)),
    ):
        with pytest.raises(VideoError, match=r"film\.mov: a frame has .* pixels \(60 x 40\), the"):
            read(path)


def test_a_film_whose_frames_grow_ends_there(tmp_path, monkeypatch):
    path = film(tmp_path / "film.mov", (40, 60), (80, 60))
    monkeypatch.setattr(ssmde.data.images, "MOST_PIXELS", 3000)
    frames = read_frames(path)
    next(frames)
    with pytest.raises(VideoError, match=r"film\.mov: a frame has .* pixels \(60 x 80\), the"):
        next(frames)


@pytest.mark.slow
def test_the_largest_picture_stays_under_four_gibibytes(tmp_path):
    Image.new("1", (12_000, 9_000)).save(tmp_path / "photo.png")
    words = ["predict", "photo.png", "out", "--format", "png16,color,normals"]
    done = subprocess.run([sys.executable, "-m", "ssmde", *words], cwd=tmp_path, check=False)
    assert done.returncode == 0
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 4 << 20  # KiB
