"""NYU Depth V2: the labelled set and raw recordings, each in its own layout."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.io import savemat

from archives import NYU_START as START
from archives import Labelled, make_recording, write_pgm
from ssmde.data.images import ImageError
from ssmde.datasets import nyuv2 as raw
from ssmde.datasets.nyuv2 import index_nyuv2, read_matlab5
from ssmde.datasets.record import ArchiveError


@pytest.fixture
def labelled(tmp_path, monkeypatch):
    """A folder with a labelled set of three images, read through a stand-in for h5py."""
    monkeypatch.setitem(sys.modules, "h5py", SimpleNamespace(File=Labelled))
    (tmp_path / "nyu_depth_v2_labeled.mat").write_bytes(b"whole")
    return tmp_path


def test_the_labelled_set_gives_the_images_a_list_names_with_filled_depth(labelled):
    listed = labelled / "list.txt"
    listed.write_text("0003\n2\n9\n")
    archive = index_nyuv2(labelled, lists={"test": listed})
    (scene,) = archive.scenes
    assert (scene.name, scene.split) == ("nyu_depth_v2_labeled_test", "test")
    assert [f.name for f in scene.frames] == ["0002", "0003"]
    image, depth = scene.frames[0].image(), scene.frames[0].depth()
    assert (image.shape, image[5, 7].tolist(), image.sum()) == ((480, 640, 3), [200, 0, 0], 200)
    assert (depth[5, 7], depth[0, 0], depth[9, 9], depth.dtype) == (4.0, 0.0, 2.5, np.float32)
    assert scene.problems == (
        f"{labelled / 'nyu_depth_v2_labeled.mat'}: {listed} names image 9, but there are 3",
    )
    # The toolbox counts pixels from 1.
    np.testing.assert_allclose(scene.intrinsics[:2, 2], [324.58244941, 252.73616633])


def test_splits_mat_beside_it_says_what_is_test(labelled):
    path, numbers = labelled / "splits.mat", {"testNdxs": [[1], [3]], "trainNdxs": [[2.0]]}
    savemat(path, numbers)
    (scene,) = index_nyuv2(labelled).scenes
    assert [f.name for f in scene.frames] == ["0001", "0003"]
    train, test = index_nyuv2(labelled, lists={"train": path, "test": path}).scenes
    assert (train.split, [f.name for f in train.frames]) == ("train", ["0002"])
    assert (test.split, len(test.frames)) == ("test", 2)
    with pytest.raises(ValueError, match="has no list for val"):
        index_nyuv2(labelled, lists={"val": path})


def test_broken_matlab_files_are_named(tmp_path):
    path = tmp_path / "s.mat"
    with pytest.raises(ArchiveError, match=r"s\.mat: no such file"):
        read_matlab5(path, "testNdxs")
    savemat(path, {"testNdxs": np.ones(9)}, do_compression=True)
    whole = path.read_bytes()
    for content in (whole[:-24], whole[:140] + b"\0" * 40, b"\x89HDF\r\n"):
        path.write_bytes(content)
        with pytest.raises(ArchiveError, match=r"s\.mat: no whole MATLAB 5 file .* save it with"):
            read_matlab5(path, "testNdxs")


def test_a_labelled_set_that_cannot_be_read_is_named(labelled, monkeypatch):
    archive = index_nyuv2(labelled)
    assert archive.scenes == ()
    assert "left out, for no list names its images" in archive.problems[0]
    (labelled / "nyu_depth_v2_labeled.mat").write_bytes(b"half")
    (labelled / "l.txt").write_text("2")
    make_recording(labelled, "bathroom_0007", images=(0.0,))
    archive = index_nyuv2(labelled, lists={"test": labelled / "l.txt"})
    assert [scene.name for scene in archive.scenes] == ["bathroom_0007"]
    (problem,) = archive.problems
    assert "cannot be read (Unable to open file (truncated file))" in problem
    monkeypatch.setitem(sys.modules, "h5py", None)  # as if it were not installed
    with pytest.raises(ImportError, match=r"needs h5py.*pip install 'ssmde\[nyuv2\]'"):
        index_nyuv2(labelled, lists={"test": labelled / "l.txt"})


def test_recordings_in_rooms_of_test_images_are_not_for_training_unless_a_list_says_so(labelled):
    for name in ("kitchen_0028b", "kitchen_0029"):
        make_recording(labelled / "raw", name, images=(0.0,))
    lists = {"test": labelled / "list.txt"}
    lists["test"].write_text("2\n")
    archive = index_nyuv2(labelled, lists=lists)
    assert [s.name for s in archive.scenes] == ["nyu_depth_v2_labeled_test", "kitchen_0029"]
    assert "kitchen_0028b: test images were taken in this room; left out" in archive.problems[0]
    lists["train"] = labelled / "train.txt"
    lists["train"].write_text("kitchen_0028b\n")
    scenes = index_nyuv2(labelled, lists=lists).scenes
    assert [s.name for s in scenes] == ["nyu_depth_v2_labeled_test", "kitchen_0028b"]
    assert scenes[1].split == "train"


def test_a_recording_gives_rectified_frames_and_depth_within_20_ms(tmp_path):
    make_recording(tmp_path)
    archive = index_nyuv2(tmp_path)
    (scene,) = archive.scenes
    assert archive.problems == scene.problems == ()
    assert (scene.name, scene.split) == ("kitchen_0028b", "train")
    assert [f.name for f in scene.frames] == [f"{START + t:.6f}" for t in (0.0, 0.04, 0.08, 0.12)]
    assert [f.depth is not None for f in scene.frames] == [True, True, False, False]
    image, depth = scene.frames[0].image(), scene.frames[0].depth()
    assert image[240, 320].tolist() == [10, 20, 30]
    assert image[240, 0].tolist() == [255, 255, 255]  # the rectified camera sees past the image
    assert image[240, 40].tolist() == [10, 20, 30]
    inside = depth[60:420, 80:560]
    assert (inside > 0).mean() > 0.999
    expected = 351.3 / (1092.5 - round(1092.5 - 351.3 / 2))
    np.testing.assert_allclose(inside[inside > 0], expected, rtol=0.006)  # the cameras are turned


def toolbox_pixel(u, v, stored):
    """Pixel and depth in the colour camera as the toolbox computes them: pixels from 1, R and T."""
    listed = -np.array([
        9.9997798940829263e-01, 5.0518419386157446e-03, 4.3011152014118693e-03,
        -5.0359919480810989e-03, 9.9998051861143999e-01, -3.6879781309514218e-03,
        -4.3196624923060242e-03, 3.6662365748484798e-03, 9.9998394948385538e-01,
    ])  # fmt: skip
    R = np.linalg.inv(listed.reshape(3, 3, order="F").T)
    T = np.array([2.5031875059141302e-02, -2.9342312935846411e-04, 6.6238747008330102e-04])
    depth = 351.3 / (1092.5 - stored)
    X = (u - 3.1304475870804731e02) * depth / 5.8262448167737955e02
    Y = (v - 2.3844389626620386e02) * depth / 5.8269103270988637e02
    x, y, z = R @ [X, Y, depth] + T
    column = x * 5.1885790117450188e02 / z + 3.2558244941119034e02
    return column, y * 5.1946961112127485e02 / z + 2.5373616633400465e02, -z


@pytest.mark.parametrize(("column", "row"), [(312, 237), (290, 225)])
def test_a_depth_pixel_lands_where_the_toolbox_puts_it(tmp_path, column, row):
    # Near the middle, where the lens bends by less than a tenth of a pixel.
    values = np.full((480, 640), 2047, np.uint16)
    values[row, column] = 900
    write_pgm(tmp_path / "d.pgm", values)
    depth = raw.read_registered_depth(tmp_path / "d.pgm")
    u, v, z = toolbox_pixel(column + 1, row + 1, 900)
    ((found_v, found_u),) = np.argwhere(depth)
    assert abs(found_u + 1 - u) < 0.6
    assert abs(found_v + 1 - v) < 0.6
    assert depth[found_v, found_u] == pytest.approx(z, rel=1e-5)
    values[:, :200] = 599  # below what the toolbox takes
    values[:, 200:] = 1058  # 10.2 m
    write_pgm(tmp_path / "d.pgm", values)
    assert not raw.read_registered_depth(tmp_path / "d.pgm").any()


@given(x=st.floats(-0.6, 0.6), y=st.floats(-0.45, 0.45))
def test_undistorting_undoes_the_lens(x, y):
    for lens in (raw.COLOR_LENS, raw.DEPTH_LENS):
        straight = raw.undistort(np.array([[x], [y]]), lens)
        np.testing.assert_allclose(raw.distort(straight, lens), [[x], [y]], atol=1e-7)


def test_the_lens_bends_as_its_formula_says():
    k1, k2, p1, p2, k3 = 0.1, 0.2, 0.01, 0.02, 0.3
    x, y, square = 0.3, 0.4, 0.25  # 3 4 5
    radial = 1 + k1 * square + k2 * square**2 + k3 * square**3
    expected = (
        x * radial + 2 * p1 * x * y + p2 * (square + 2 * x * x),
        y * radial + p1 * (square + 2 * y * y) + 2 * p2 * x * y,
    )
    found = raw.distort(np.array([[x], [y]]), (k1, k2, p1, p2, k3))
    np.testing.assert_allclose(found.ravel(), expected)


def test_a_rectified_pixel_has_the_colour_the_lens_shows_there(tmp_path):
    ramp = np.zeros((480, 640, 3), np.uint8)
    ramp[..., 0] = np.arange(640) * 0.35
    ramp[..., 1] = np.arange(480)[:, None] * 0.5
    path = tmp_path / "r.ppm"
    Image.fromarray(ramp).save(path)
    image = raw.read_color(path)
    focal, middle = np.array([518.857901, 519.469611]), np.array([324.582449, 252.736166])
    for u, v in ((100, 80), (550, 400), (320, 240), (60, 420)):
        straight = (np.array([u, v]) - middle) / focal
        seen = raw.distort(straight[:, None], raw.COLOR_LENS).ravel() * focal + middle
        np.testing.assert_allclose(image[v, u, :2], seen * (0.35, 0.5), atol=1.1)
    Image.fromarray(ramp[:240]).save(path)
    with pytest.raises(ArchiveError, match="640 x 240 pixels, expected 640 x 480"):
        raw.read_color(path)


def test_truncated_files_of_a_recording_cost_one_frame(tmp_path):
    folder = make_recording(tmp_path)
    image, depths = min(folder.glob("r-*")), sorted(folder.glob("d-*"))
    image.write_bytes(image.read_bytes()[:1000])
    depths[0].write_bytes(depths[0].read_bytes()[:5000])
    depths[1].write_bytes(b"P2 1 1 5\n1")
    first, second, *_ = index_nyuv2(tmp_path).scenes[0].frames
    with pytest.raises(ImageError, match="cannot be read"):
        first.image()
    with pytest.raises(ArchiveError, match=r"4983 bytes for 640 x 480 pixels, expected 614400"):
        first.depth()
    with pytest.raises(ArchiveError, match="no 16-bit PGM"):
        second.depth()


def test_what_is_no_part_of_the_data_set_is_refused(tmp_path):
    folder = make_recording(tmp_path, images=(0.0,))
    Image.new("RGB", (320, 240)).save(next(folder.glob("r-*")))
    (tmp_path / "sync/bathroom_0007").mkdir(parents=True)
    (tmp_path / "sync/bathroom_0007/sync_depth_00045.png").write_bytes(b"")
    pack, size = index_nyuv2(tmp_path).problems
    assert "bathroom_0007: packs (rgb_*.jpg, sync_depth_*.png) are no longer" in pack
    assert "name the depth like the images" in pack
    assert "320 x 240 pixels, but the camera is published for 640 x 480" in size
