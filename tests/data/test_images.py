"""Files of images, depth and masks: what comes out, and what a broken one says."""

import resource
import struct
import subprocess
import sys
import zipfile
import zlib
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin
from scipy import sparse

from ssmde.data import images
from ssmde.data.images import (
    MOST_PIXELS,
    ImageError,
    ShapeError,
    check_shape,
    decode_jpeg,
    gray_levels,
    read_depth,
    read_image,
    read_image_bytes,
    read_map,
    read_mask,
    read_orientation,
    read_size,
    resize_image,
    write_image,
    write_png16,
)
from ssmde.data.scene_folder import read_scene, read_scenes
from ssmde.diagnosis.files import open_scenes
from ssmde.evaluation.benchmarks import open_predictions
from ssmde.evaluation.frames import frames_with_truth
from ssmde.labeling import LabelRequest, open_source
from texture import noise

ORIENTATION = 0x0112  # EXIF tag
SIZE = (96, 128)


def save(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


# Colors


def test_a_png_comes_back_as_written_and_may_be_written_into(tmp_path):
    pixels = noise(5, 7)
    write_image(tmp_path / "a.png", pixels)
    image = read_image(tmp_path / "a.png")
    assert (image == pixels).all()
    image[0, 0] = 0
    with pytest.raises(ValueError, match=r"a\.gif: images are written as \.jpg"):
        write_image(tmp_path / "a.gif", pixels)


def test_reduced_images_and_tiff_are_turned_upright_as_well(tmp_path):
    pixels, exif = noise(16, 24), Image.Exif()
    for mark, quarters in ((1, 0), (3, 2), (6, -1)):
        exif[ORIENTATION] = mark
        jpg = save(tmp_path / "a.jpg", pixels, exif=exif)
        assert read_image(jpg, reduction=2).shape == ((12, 8, 3) if mark == 6 else (8, 12, 3))
        tif = save(tmp_path / "a.tif", pixels, tiffinfo={ORIENTATION: mark})
        assert (read_image(tif) == np.rot90(pixels, quarters)).all()


@pytest.mark.parametrize("mark", [9, 0, 6])
def test_odd_exif_is_no_error_and_a_mark_that_is_none_counts_as_upright(tmp_path, mark):
    # An orientation, and the maker of the camera as a fraction, which the standard has as text.
    entries = struct.pack("<HHHLHH", 2, 0x010F, 5, 1, 38, 0)
    entries += struct.pack("<HHLHH", ORIENTATION, 3, 1, mark, 0)
    odd = b"Exif\0\0II*\0\x08\0\0\0" + entries + bytes(4) + struct.pack("<LL", 7, 2)
    path = save(tmp_path / "a.png", noise(4, 6), exif=odd)
    assert read_size(path) == ((6, 4) if mark == 6 else (4, 6)) == read_image(path).shape[:2]


def test_gray_of_16_bits_takes_one_stretch_for_its_source(tmp_path):
    for i, low in enumerate((7300, 7800)):
        ramp = np.tile(np.arange(low, low + 500, dtype=np.uint16), (4, 1))
        write_png16(tmp_path / f"{i}.png", ramp)
    levels = gray_levels([tmp_path / "0.png", tmp_path / "1.png"])
    assert levels == (7300, 8299)
    for read in (lambda p: read_image(p, levels=levels), read_image):  # files, or their folder
        first, second = (read(tmp_path / f"{i}.png")[0, :, 0].astype(int) for i in (0, 1))
        assert (first[0], second[-1]) == (0, 255)
        assert abs(second[0] - first[-1]) <= 1  # the same brightness in both
        assert len(np.unique(first)) > 100
    whole = np.tile(np.array([0, 300, 0x12FF, 65535], np.uint16), (4, 1))
    write_png16(tmp_path / "2.png", whole)
    assert gray_levels([tmp_path / "2.png"]) is None
    assert read_image(tmp_path / "2.png", levels=None)[0, :, 0].tolist() == [0, 1, 0x12, 255]


@pytest.mark.parametrize("options", [
    {"subsampling": 0}, {"subsampling": 2}, {"progressive": True}, "L", "CMYK",
], ids=str)  # fmt: skip
def test_both_decoders_of_jpeg_give_the_same_pixels(tmp_path, monkeypatch, options):
    rows, columns = np.mgrid[:117, :93]
    waves = np.stack([np.sin(columns / 9 + rows / 5 + phase) for phase in (0, 2, 4)], axis=-1)
    photo = 128 + 90 * waves + np.random.default_rng(0).normal(0, 12, waves.shape)
    mode, options = (options, {}) if isinstance(options, str) else ("RGB", options)
    path = tmp_path / "a.jpg"
    for height, width in ((112, 88), (117, 93), (9, 7)):
        image = Image.fromarray(photo[:height, :width].clip(0, 255).astype(np.uint8))
        image.convert(mode).save(path, quality=90, **options)
        for reduction in (1, 2, 4, 8):
            with monkeypatch.context() as patch:
                short = read_image(path, reduction=reduction)
                if mode != "CMYK":
                    assert decode_jpeg(path.read_bytes(), (height, width), reduction) is not None
                patch.setattr(images, "decode_jpeg", lambda *_: None)
                assert (short == read_image(path, reduction=reduction)).all()
            assert short.shape == (height // reduction, width // reduction, 3)


def test_resizing_agrees_with_pillow():
    pixels = noise(48, 64)
    ours = resize_image(pixels, (20, 33)).astype(int)
    theirs = Image.fromarray(pixels).resize((33, 20), Image.Resampling.BILINEAR)
    assert abs(ours - np.asarray(theirs).astype(int)).max() <= 1
    assert (resize_image(pixels, (48, 64)) == pixels).all()


# What is refused


@pytest.mark.parametrize("read", [read_image, read_size, read_mask, read_depth, read_orientation])
def test_missing_empty_and_foreign_files_name_themselves(tmp_path, read):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("not an image")
    for name, says in (
        ("none", "no such file"), ("empty", "the file is empty"), ("text", "cannot be read"),
    ):  # fmt: skip
        with pytest.raises(ImageError, match=rf"{name}\.png: {says}"):
            read(tmp_path / f"{name}.png")


def test_truncated_images_floats_and_pictures_that_need_ghostscript_are_refused(tmp_path):
    for kind in ("jpg", "png"):
        path = save(tmp_path / f"cut.{kind}", noise(64, 64))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert decode_jpeg((tmp_path / "cut.jpg").read_bytes(), (64, 64), 1) is None
    Image.new("F", (3, 2)).save(tmp_path / "a.tif")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "photo.png")
    (tmp_path / "phone.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    for name, says in (
        ("cut.jpg", "cannot be read .*truncated"), ("cut.png", "cannot be read "),
        ("a.tif", "floating-point.*8 or 16 bits"), ("photo.png", "EPS needs other programs"),
        ("phone.jpg", "HEIC or AVIF, which is not read: save it as JPEG or PNG"),
    ):  # fmt: skip
        with pytest.raises(ImageError, match=f"{name}: {says}"):
            read_image(tmp_path / name)


def png_that_claims(path, width, height, bits=1):
    """A sound head, and next to nothing behind it."""
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
        PngImagePlugin.putchunk(file, b"IHDR", size + bytes([bits, 0, 0, 0, 0]))
        PngImagePlugin.putchunk(file, b"IDAT", zlib.compress(bytes(1000)))
        PngImagePlugin.putchunk(file, b"IEND", b"")
    return path


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    ("width", "height"), [(MOST_PIXELS // 2 + 1, 2), (13_300, 13_300), (60_000, 60_000)]
)
def test_a_picture_with_more_than_phones_take_is_refused_by_its_header(tmp_path, width, height):
    assert read_size(png_that_claims(tmp_path / "a.png", 12_000, 9_000)) == (9_000, 12_000)
    path = png_that_claims(tmp_path / "large.png", width, height, 16)
    for read in (read_image, read_size, read_mask, lambda p: read_depth(p, 1),
                 lambda p: read_image_bytes(p.read_bytes(), "large.png")):  # fmt: skip
        with pytest.raises(ImageError, match=r"large\.png: has .*the limit is 110 million: make"):
            read(path)


@pytest.mark.slow
def test_the_largest_picture_stays_under_four_gibibytes(tmp_path):
    Image.new("1", (12_000, 9_000)).save(tmp_path / "photo.png")
    words = ["predict", "photo.png", "out", "--format", "png16,color,normals"]
    done = subprocess.run([sys.executable, "-m", "ssmde", *words], cwd=tmp_path, check=False)
    assert done.returncode == 0
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 4 << 20  # KiB


# Depth and masks


def test_depth_is_meters_and_zero_where_there_is_none_and_arrays_need_no_unit(tmp_path):
    stored = np.array([[2500, 65535, 0, 65534]], np.uint16)
    write_png16(tmp_path / "a.png", stored)
    depth = read_depth(tmp_path / "a.png", 1000)
    assert (depth.dtype, depth.tolist()) == (np.float32, [[2.5, 0, 0, pytest.approx(65.534)]])
    np.save(tmp_path / "b.npy", stored[:, :3])
    assert read_depth(tmp_path / "b.npy").tolist() == [[2500, 0, 0]]
    # The largest number of a network's map is its nearest pixel.
    assert read_map(tmp_path / "a.png", 1).tolist() == [[2500, 65535, 0, 65534]]
    stored = np.array([[2.5, np.inf, 65504, 1e10, -1, np.nan]])
    np.save(tmp_path / "a.npy", stored)
    np.savez(tmp_path / "a.npz", depth=stored, other=stored)
    np.savez(tmp_path / "b.npz", stored[None])
    for name in ("a.npy", "a.npz", "b.npz"):
        assert read_depth(tmp_path / name).tolist() == [[2.5, 0, 0, 0, 0, 0]]


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_sparse_depth_is_read_as_scipy_saves_it(tmp_path, share):
    rng = np.random.default_rng(0)
    dense = np.where(rng.random((4, 6)) < share, rng.random((4, 6)) + 1, 0).astype(np.float32)
    sparse.save_npz(tmp_path / "a.npz", sparse.csr_matrix(dense))
    assert (read_depth(tmp_path / "a.npz") == dense).all()


def test_what_is_no_depth_map_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MOST_PIXELS", 3_000_000)
    write_png16(tmp_path / "a.png", np.ones((2, 2), np.uint16))
    save(tmp_path / "rgb.png", noise(4, 4))
    np.save(tmp_path / "points.npy", np.ones((10, 4, 3)))
    np.savez(tmp_path / "one.npz", depth=np.float64(1))
    np.savez(tmp_path / "two.npz", a=np.ones((2, 2)), b=np.ones((2, 2)))
    np.savez_compressed(tmp_path / "large.npz", depth=np.zeros((1, 3_000_001), np.uint8))
    sparse.save_npz(tmp_path / "coo.npz", sparse.coo_matrix(np.eye(2)))
    places = {"data": np.ones(1), "indices": [5], "indptr": [0, 1, 1]}
    np.savez(tmp_path / "off.npz", shape=(2, 2), **places)
    np.savez(tmp_path / "huge.npz", shape=[60_000, 60_000], **places)
    head = {"descr": "<f4", "fortran_order": False, "shape": (60_000, 1_500)}
    with (tmp_path / "cut.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, head)
        file.write(bytes(100))
    with zipfile.ZipFile(tmp_path / "cut.npz", "w") as archive:
        archive.write(tmp_path / "cut.npy", "depth.npy")
    for name, units, says in (
        ("a.png", None, r"the unit.*scene\.json.*depth_units_per_metre"),
        ("rgb.png", 1000, "a depth PNG has 16 bits .* got mode RGB"),
        ("points.npy", None, r".* shape \(10, 4, 3\)"),
        ("one.npz", None, r".* shape \(\)"),
        ("two.npz", None, r".* \['a', 'b'\]"),
        ("large.npz", None, "has 3 million pixels .*the limit is"),
        ("coo.npz", None, "sparse depth must be csr, got coo"),
        ("off.npz", None, "cannot be read .*out of bounds"),
        ("huge.npz", None, "a sparse .* is not read, the limit"),
        ("cut.npy", None, ".*its head claims float32 "),
        ("cut.npz", None, ".*its head claims float32 "),
    ):
        with pytest.raises(ImageError, match=rf"{name}: {says}"):
            read_depth(tmp_path / name, units)


# Maps of another shape than their image: refused at each door, never stretched over it


@pytest.fixture
def scene(tmp_path):
    """Folder of three frames and nothing beside them."""
    folder = tmp_path / "room"
    folder.mkdir()
    for i in range(3):
        Image.new("RGB", SIZE[::-1]).save(folder / f"{i}.png")
    return folder


def write_maps(folder, shape, ending=".npy", frames=range(3)):
    folder.mkdir(parents=True, exist_ok=True)
    for i in frames:
        if ending == ".npy":
            np.save(folder / f"{i}.npy", np.ones(shape, np.float32))
        else:
            write_png16(folder / f"{i}.png", np.ones(shape, np.uint16))


@pytest.mark.parametrize(("shape", "image", "why"), [
    ((12, 16), (96, 128), None),
    ((13, 16), (96, 128), None),  # a pixel is rounding
    ((320, 1024), (375, 1242), None),  # as networks see KITTI
    ((192, 640), (376, 1241), None),
    ((480, 640), (481, 640), None),
    ((128, 96), (96, 128), "swapped"),
    ((64, 48), (96, 128), "swapped"),
    ((96, 96), (96, 128), "cut or stretched"),
    ((352, 1216), (375, 1242), "cut or stretched"),  # of KITTI
    ((465, 640), (480, 640), "cut or stretched"),  # 3 %
])  # fmt: skip
def test_another_resolution_of_a_view_fits_and_another_shape_does_not(tmp_path, shape, image, why):
    said = rf"map.png: has {shape[1]} x {shape[0]} pixels, its image {image[1]} x {image[0]}"
    with pytest.raises(ShapeError, match=f"{said}: .*{why}") if why else nullcontext():
        check_shape(tmp_path / "map.png", shape, image)


@pytest.mark.parametrize(
    ("kind", "ending"), [("depth", ".npy"), ("pseudo_depth", ".png"), ("motion_mask", ".png")]
)
def test_a_scene_with_turned_maps_is_refused_and_named_by_the_doctor(scene, kind, ending):
    write_maps(scene / kind, SIZE[::-1], ending)
    for read in (read_scene, lambda folder: read_scenes(folder.parent, "all")):
        with pytest.raises(ShapeError, match="96 x 128 pixels, its image 128 x 96"):
            read(scene)
    _, (finding,) = open_scenes(scene.parent, "all")
    assert (finding.name, finding.severity) == ("files", "blocking")
    write_maps(scene / kind, (48, 64), ending)
    read_scene(scene)


def test_maps_among_good_ones_labels_and_predictions_of_others_are_refused(scene, tmp_path):
    write_maps(scene / "depth", SIZE)
    write_maps(scene / "depth", SIZE[::-1], frames=[1])
    write_maps(tmp_path / "theirs", (96, 96))
    sequence = read_scene(scene)
    frames = frames_with_truth([sequence])
    assert frames[0].read_truth()[0].shape == SIZE
    request = LabelRequest(kind="depth", device=torch.device("cpu"), scenes=("room",))
    labels = open_source(f"folder:{tmp_path / 'theirs'}", request)
    predicted = open_predictions(tmp_path / "theirs", frames)
    for says, read in (
        ("swapped", frames[1].read_truth),
        ("96 x 96 pixels, its image 128 x 96", lambda: labels.read(sequence, 0)),
        ("96 x 96 pixels, its image 128 x 96",
         lambda: predicted(frames[0], np.zeros((*SIZE, 3), np.uint8))),
    ):  # fmt: skip
        with pytest.raises(ShapeError, match=says):
            read()
