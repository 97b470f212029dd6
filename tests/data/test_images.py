"""Files of images, depth and masks: what comes out, and what a broken one says."""

import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageOps

from ssmde.data.images import (
    ImageError,
    gray_levels,
    read_depth,
    read_image,
    read_map,
    read_mask,
    read_orientation,
    read_size,
    resize_image,
    whole_file,
    write_image,
    write_png16,
)

ORIENTATION = 0x0112  # EXIF tag

one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def spot(height, width, u, v, sigma):
    """A bright spot in the dark, at (u, v)."""
    rows, columns = np.mgrid[:height, :width]
    light = 250 * np.exp(-((columns - u) ** 2 + (rows - v) ** 2) / (2 * sigma**2))
    return np.repeat(light.round().astype(np.uint8)[..., None], 3, axis=2)


def centre_of(pixels):
    weights = np.clip(pixels[..., 1].astype(float) - 10, 0, None)
    rows, columns = np.mgrid[: weights.shape[0], : weights.shape[1]]
    return [(weights * columns).sum() / weights.sum(), (weights * rows).sum() / weights.sum()]


def save(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


def sparse_arrays(dense):
    """What scipy saves for a sparse matrix row by row, made by hand."""
    rows = [np.flatnonzero(row) for row in dense]
    return {
        "data": dense[dense != 0],
        "indices": np.concatenate(rows).astype(np.int32),
        "indptr": np.cumsum([0] + [len(row) for row in rows]).astype(np.int32),
        "shape": np.array(dense.shape),
    }


def test_a_png_comes_back_as_written(tmp_path):
    pixels = noise(5, 7)
    write_image(tmp_path / "a.png", pixels)
    assert (read_image(tmp_path / "a.png") == pixels).all()
    assert read_size(tmp_path / "a.png") == (5, 7)
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_an_image_may_be_written_into(tmp_path):
    image = read_image(save(tmp_path / "a.png", noise(4, 4)))
    image[0, 0] = 0
    assert image[0, 0].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("mode", "stored", "red"),
    [("L", 70, 70), ("LA", (70, 9), 70), ("RGBA", (70, 0, 0, 9), 70), ("1", 1, 255)],
)
def test_grey_transparent_and_black_and_white_become_rgb(tmp_path, mode, stored, red):
    Image.new(mode, (3, 2), stored).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.shape == (2, 3, 3)
    assert image.dtype == np.uint8
    assert (image[..., 0] == red).all()


def test_sixteen_bits_become_eight(tmp_path):
    write_png16(tmp_path / "a.png", np.array([[0, 0x12FF, 0xFFFF]], np.uint16))
    assert read_image(tmp_path / "a.png")[0, :, 1].tolist() == [0, 0x12, 0xFF]


def test_floating_point_pixels_are_refused(tmp_path):
    Image.new("F", (3, 2)).save(tmp_path / "a.tif")
    with pytest.raises(ImageError, match=r"a\.tif: floating-point.*8 or 16 bits"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_the_orientation_mark_of_a_camera_is_applied(tmp_path, kind):
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:8, :8] = 255
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # turn clockwise to see it upright: top left goes to top right
    path = save(tmp_path / f"a.{kind}", pixels, exif=exif)
    image = read_image(path)
    assert read_size(path) == image.shape[:2] == (32, 16)
    assert read_orientation(path) == 6
    assert (image[:7, 9:] > 200).all()
    assert (image[:7, :7] < 50).all()
    assert read_image(path, reduction=2).shape == (16, 8, 3)


@pytest.mark.parametrize("kind", ["jpg", "png"])
@pytest.mark.parametrize("reduction", [1, 2, 4, 8])
@pytest.mark.parametrize(("height", "width"), [(375, 501), (241, 323), (256, 320)])
def test_reduced_decoding_puts_pixels_where_the_formula_says(
    tmp_path, kind, reduction, height, width
):
    u, v = 0.4 * width, 0.55 * height
    options = {"quality": 95} if kind == "jpg" else {}
    path = save(tmp_path / f"a.{kind}", spot(height, width, u, v, 12), **options)
    image = read_image(path, reduction=reduction)
    assert image.shape == (height // reduction, width // reduction, 3)
    expected = [(u + 0.5) / reduction - 0.5, (v + 0.5) / reduction - 0.5]
    assert centre_of(image) == pytest.approx(expected, abs=0.03)


def test_a_truncated_image_names_its_file(tmp_path):
    path = save(tmp_path / "cut.jpg", noise(64, 64))
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ImageError, match=r"cut\.jpg: cannot be read .*truncated"):
        read_image(path)
    path = save(tmp_path / "cut.png", noise(64, 64))
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ImageError, match=r"cut\.png: cannot be read"):
        read_image(path)


@pytest.mark.parametrize("read", [read_image, read_size, read_mask, read_depth, read_orientation])
def test_missing_empty_and_foreign_files_name_themselves(tmp_path, read):
    with pytest.raises(ImageError, match=r"none\.png: no such file"):
        read(tmp_path / "none.png")
    (tmp_path / "empty.png").touch()
    with pytest.raises(ImageError, match=r"empty\.png: the file is empty"):
        read(tmp_path / "empty.png")
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(ImageError, match=r"text\.png: cannot be read"):
        read(tmp_path / "text.png")


def test_depth_is_metres_and_zero_where_there_is_none(tmp_path):
    write_png16(tmp_path / "a.png", np.array([[0, 5000, 65534]], np.uint16))
    depth = read_depth(tmp_path / "a.png", 5000)
    assert depth.dtype == np.float32
    assert depth.tolist() == [[0, 1, pytest.approx(13.1068)]]


def test_depth_of_npy_and_npz_needs_no_unit(tmp_path):
    stored = np.array([[2.5, np.nan, np.inf, -1.0]])
    np.save(tmp_path / "a.npy", stored)
    np.savez(tmp_path / "a.npz", depth=stored, other=stored)
    np.savez(tmp_path / "b.npz", stored[None])
    for name in ("a.npy", "a.npz", "b.npz"):
        assert read_depth(tmp_path / name).tolist() == [[2.5, 0, 0, 0]]


@one_folder
@given(dense=arrays(np.float32, (4, 6), elements=st.sampled_from([0, 0, 0.5, 7])))
def test_sparse_depth_is_read_as_scipy_saves_it(tmp_path, dense):
    path = tmp_path / "a.npz"
    np.savez(path, **sparse_arrays(dense))
    assert (read_depth(path) == dense).all()
    np.savez(path, **sparse_arrays(dense), format=np.array(b"csr"))
    assert (read_depth(path) == dense).all()
    by_column = sparse_arrays(dense.T) | {"shape": np.array(dense.shape)}
    np.savez(path, **by_column, format=np.array(b"csc"))
    assert (read_depth(path) == dense).all()
    row, col = np.nonzero(dense)
    np.savez(path, row=row, col=col, data=dense[row, col], shape=dense.shape)
    assert (read_depth(path) == dense).all()


def test_depth_without_a_unit_says_where_to_write_it(tmp_path):
    write_png16(tmp_path / "a.png", np.ones((2, 2), np.uint16))
    with pytest.raises(ImageError, match=r"a\.png: the unit.*scene\.json.*depth_units_per_metre"):
        read_depth(tmp_path / "a.png")


def test_what_is_no_depth_map_is_refused(tmp_path):
    save(tmp_path / "rgb.png", noise(4, 4))
    with pytest.raises(ImageError, match=r"rgb\.png: a depth PNG has 16 bits .* got mode RGB"):
        read_depth(tmp_path / "rgb.png", 1000)
    np.save(tmp_path / "points.npy", np.ones((10, 4, 3)))
    with pytest.raises(ImageError, match=r"points\.npy: .* shape \(10, 4, 3\)"):
        read_depth(tmp_path / "points.npy")
    np.savez(tmp_path / "two.npz", a=np.ones((2, 2)), b=np.ones((2, 2)))
    with pytest.raises(ImageError, match=r"two\.npz: .* \['a', 'b'\]"):
        read_depth(tmp_path / "two.npz")
    np.savez(tmp_path / "dia.npz", data=np.ones(2), offsets=np.ones(2), shape=(2, 2))
    with pytest.raises(ImageError, match=r"dia\.npz: sparse depth must be csr, csc or coo"):
        read_depth(tmp_path / "dia.npz")


def test_opening_a_depth_file_runs_no_code(tmp_path):
    np.save(tmp_path / "evil.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ImageError, match=r"evil\.npy"):
        read_depth(tmp_path / "evil.npy")


def test_a_mask_keeps_its_values(tmp_path):
    values = np.array([[0, 128, 255]], np.uint8)
    assert (read_mask(save(tmp_path / "a.png", values)) == values).all()


def test_a_failed_write_leaves_nothing_and_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail():
        with whole_file(path) as part:
            part.write_text("half")
            raise RuntimeError("full disk")

    with pytest.raises(RuntimeError, match="full disk"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_images_are_not_written_under_a_foreign_ending(tmp_path):
    with pytest.raises(ValueError, match=r"a\.gif: images are written as \.jpg"):
        write_image(tmp_path / "a.gif", noise(2, 2))


def test_resizing_to_the_same_size_changes_nothing():
    pixels = noise(6, 9)
    assert (resize_image(pixels, (6, 9)) == pixels).all()


def test_resizing_agrees_with_pillow():
    pixels = noise(48, 64)
    ours = resize_image(pixels, (20, 33)).astype(int)
    theirs = Image.fromarray(pixels).resize((33, 20), Image.Resampling.BILINEAR)
    assert abs(ours - np.asarray(theirs).astype(int)).max() <= 1


def test_a_fine_checkerboard_becomes_grey_instead_of_aliasing():
    board = np.indices((64, 64)).sum(axis=0)[..., None] % 2 * np.full(3, 255)
    small = resize_image(board.astype(np.uint8), (16, 16))
    assert abs(small[2:-2, 2:-2].astype(int) - 127).max() <= 2


@pytest.mark.parametrize("mark", range(1, 9))
def test_every_orientation_mark_is_applied_as_pillow_does(tmp_path, mark):
    exif = Image.Exif()
    exif[ORIENTATION] = mark
    image = Image.fromarray(np.random.randint(0, 255, (4, 6, 3), np.uint8))
    image.save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as stored:
        expected = np.asarray(ImageOps.exif_transpose(stored))
    image.save(tmp_path / "a.tif", tiffinfo={ORIENTATION: mark})
    for path in (tmp_path / "a.png", tmp_path / "a.tif"):
        assert np.array_equal(read_image(path), expected)
        assert read_size(path) == expected.shape[:2]


def test_grey_of_16_bits_takes_one_stretch_for_its_source(tmp_path):
    for i, low in enumerate((7300, 7800)):
        write_png16(
            tmp_path / f"{i}.png", np.tile(np.arange(low, low + 500, dtype=np.uint16), (4, 1))
        )
    levels = gray_levels([tmp_path / "0.png", tmp_path / "1.png"])
    assert levels == (7300, 8299)
    for read in (lambda p: read_image(p, levels=levels), read_image):  # files, or their folder
        first, second = (read(tmp_path / f"{i}.png")[0, :, 0].astype(int) for i in (0, 1))
        assert (first[0], second[-1]) == (0, 255)
        assert abs(second[0] - first[-1]) <= 1  # the same brightness in both
        assert len(np.unique(first)) > 100
    whole = np.tile(np.array([0, 300, 65535], np.uint16), (4, 1))
    write_png16(tmp_path / "2.png", whole)
    assert gray_levels([tmp_path / "2.png"]) is None
    assert read_image(tmp_path / "2.png", levels=None)[0, :, 0].tolist() == [0, 1, 255]


def test_odd_exif_is_no_error_and_a_mark_that_is_none_counts_as_upright(tmp_path):
    pixels = np.random.randint(0, 255, (4, 6, 3), np.uint8)
    for mark in (9, 0, 6):
        Image.fromarray(pixels).save(tmp_path / "a.png", exif=odd_exif(mark))
        assert read_size(tmp_path / "a.png") == ((6, 4) if mark == 6 else (4, 6))
        assert read_image(tmp_path / "a.png").shape[:2] == read_size(tmp_path / "a.png")


def odd_exif(mark: int) -> bytes:
    """An orientation, and the maker of the camera as a fraction, which the standard has as text."""
    entries = struct.pack("<HHHLHH", 2, 0x010F, 5, 1, 38, 0) + struct.pack(
        "<HHLHH", 0x0112, 3, 1, mark, 0
    )
    return b"Exif\0\0II*\0\x08\0\0\0" + entries + bytes(4) + struct.pack("<LL", 7, 2)


def test_what_stands_for_no_depth_is_none(tmp_path):
    stored = np.array([[2500, 65535, 0]], np.uint16)
    write_png16(tmp_path / "a.png", stored)
    np.save(tmp_path / "b.npy", stored)
    np.save(tmp_path / "c.npy", np.array([[2.5, np.inf, 65504, 1e10, -1, np.nan]]))
    assert read_depth(tmp_path / "a.png", 1000).tolist() == [[2.5, 0, 0]]
    assert read_depth(tmp_path / "b.npy").tolist() == [[2500, 0, 0]]
    assert read_depth(tmp_path / "c.npy").tolist() == [[2.5, 0, 0, 0, 0, 0]]
    # The largest number of a network's map is its nearest pixel.
    assert read_map(tmp_path / "a.png", 1).tolist() == [[2500, 65535, 0]]
