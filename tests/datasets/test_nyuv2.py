"""NYU Depth V2: the labelled set, raw recordings and packs, each in its own layout."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.io import savemat

from archives import NYU_START as START
from archives import Labelled, labelled_h5, make_pack, make_recording, write_pgm
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
    listed.write_text("color 0003 l\ncolor 0002 l\ncolor 0009 l\n")
    archive = index_nyuv2(labelled, lists={"test": listed})
    (scene,) = archive.scenes
    assert (scene.name, scene.split) == ("nyu_depth_v2_labeled_test", "test")
    assert [f.name for f in scene.frames] == ["0002", "0003"]
    image, depth = scene.frames[0].image(), scene.frames[0].depth()
    assert (image.shape, image[5, 7].tolist(), image.sum()) == ((480, 640, 3), [200, 0, 0], 200)
    assert ((depth[5, 7], depth[0, 0], depth[9, 9]), depth.dtype) == ((4.0, 0.0, 2.5), np.float32)
    assert scene.problems == (
        f"{labelled / 'nyu_depth_v2_labeled.mat'}: {listed} names image 9, but there are 3",
    )
    # The toolbox counts pixels from 1.
    np.testing.assert_allclose(scene.intrinsics[:2, 2], [324.58244941, 252.73616633])


def test_splits_mat_beside_it_says_what_is_test(labelled):
    numbers = {"testNdxs": np.array([[1], [3]], "<u2"), "trainNdxs": np.array([[2.0]])}
    savemat(labelled / "splits.mat", numbers)
    (scene,) = index_nyuv2(labelled).scenes
    assert [f.name for f in scene.frames] == ["0001", "0003"]
    both = dict.fromkeys(("train", "test"), labelled / "splits.mat")
    train, test = index_nyuv2(labelled, lists=both).scenes
    assert (train.split, [f.name for f in train.frames]) == ("train", ["0002"])
    assert (test.split, len(test.frames)) == ("test", 2)
    with pytest.raises(ValueError, match="has no list for val"):
        index_nyuv2(labelled, lists={"val": labelled / "splits.mat"})


@pytest.mark.parametrize("change", [
    lambda content: content[:-24],
    lambda content: content[:140] + b"\0" * 40,
    lambda _: b"\x89HDF\r\n",
])  # fmt: skip
def test_broken_matlab_files_are_named(tmp_path, change):
    path = tmp_path / "s.mat"
    savemat(path, {"testNdxs": np.ones(9)}, do_compression=True)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ArchiveError, match=r"s\.mat: no whole MATLAB 5 file .* save it with"):
        read_matlab5(path, ["testNdxs"])
    with pytest.raises(ArchiveError, match=r"absent\.mat: no such file"):
        read_matlab5(tmp_path / "absent.mat", ["n"])


def test_a_labelled_set_that_cannot_be_read_is_named(labelled, monkeypatch):
    archive = index_nyuv2(labelled)
    assert archive.scenes == ()
    assert "left out, for no list names its images" in archive.problems[0]
    (labelled / "nyu_depth_v2_labeled.mat").write_bytes(b"half")
    (labelled / "l.txt").write_text("2")
    make_pack(labelled / "sync/bathroom_0007")
    archive = index_nyuv2(labelled, lists={"test": labelled / "l.txt"})
    assert [scene.name for scene in archive.scenes] == ["bathroom_0007"]
    assert "cannot be read (Unable to open file (truncated file))" in archive.problems[0]
    monkeypatch.setitem(sys.modules, "h5py", None)  # as if it were not installed
    with pytest.raises(ImportError, match=r"needs h5py.*pip install 'ssmde\[nyuv2\]'"):
        index_nyuv2(labelled, lists={"test": labelled / "l.txt"})


@pytest.mark.slow  # `make test` does not install it
def test_h5py_itself_shows_the_labelled_set_as_the_stand_in_does(tmp_path):
    pytest.importorskip("h5py")
    labelled_h5(tmp_path)
    make_pack(tmp_path / "kitchen_0028b")
    (tmp_path / "l.txt").write_text("2")
    archive = index_nyuv2(tmp_path, lists={"test": tmp_path / "l.txt"})
    (scene,) = archive.scenes
    assert scene.frames[0].image()[5, 7].tolist() == [200, 0, 0]
    assert scene.frames[0].depth()[5, 7] == 4.0
    assert "test images were taken in this room" in archive.problems[0]


def test_recordings_in_rooms_of_test_images_are_not_for_training(labelled):
    for name in ("kitchen_0028b", "kitchen_0029"):
        make_pack(labelled / "sync" / name)
    (labelled / "list.txt").write_text("2\n")
    archive = index_nyuv2(labelled, lists={"test": labelled / "list.txt"})
    assert [s.name for s in archive.scenes] == ["nyu_depth_v2_labeled_test", "kitchen_0029"]
    assert "kitchen_0028b: test images were taken in this room; left out" in archive.problems[0]
    (labelled / "train.txt").write_text("/kitchen_0028b/rgb_00002.jpg /kitchen_0028b/x.png 518.8\n")
    lists = {"test": labelled / "list.txt", "train": labelled / "train.txt"}
    scenes = index_nyuv2(labelled, lists=lists).scenes
    assert scenes[1].name == "kitchen_0028b_train"  # a list is the last word
    assert [f.name for f in scenes[1].frames] == ["00002"]


def test_packs_give_images_and_millimetres_in_the_order_of_their_numbers(tmp_path):
    folder = make_pack(tmp_path / "sync/bathroom_0007")
    make_pack(tmp_path / "official_splits/test/bathroom", (44,))
    make_pack(tmp_path / "official_splits/train/bathroom", (43,))  # single images: no video
    Image.new("RGB", (640, 480)).save(folder / "rgb_00011.jpg")
    test, train = sorted(index_nyuv2(tmp_path).scenes, key=lambda scene: scene.split)
    assert (test.name, test.split, len(test.frames)) == ("bathroom", "test", 1)
    assert (train.name, train.split) == ("bathroom_0007", "train")
    assert [f.name for f in train.frames] == ["00002", "00010", "00011"]
    assert train.frames[1].image == folder / "rgb_00010.jpg"
    assert train.frames[1].depth()[3, 3] == np.float32(1.01)
    assert train.frames[2].depth is None
    assert train.problems == (f"{folder}/sync_depth_00011.png: no such file; a frame has no depth",)
    assert train.depth_units_per_metre == 1000


def test_a_recording_gives_rectified_frames_and_depth_within_20_ms(tmp_path):
    make_recording(tmp_path)
    archive = index_nyuv2(tmp_path)
    (scene,) = archive.scenes
    assert archive.problems == scene.problems == ()
    assert (scene.name, scene.split) == ("kitchen_0028b", "train")
    assert [f.name for f in scene.frames] == [f"{START + t:.6f}" for t in (0.0, 0.04, 0.08, 0.12)]
    assert scene.fps == pytest.approx(25, abs=0.01)
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
@settings(deadline=None, max_examples=20)
def test_undistorting_undoes_the_lens(x, y):
    for lens in (raw.COLOR_LENS, raw.DEPTH_LENS):
        straight = raw.undistort(np.array([x]), np.array([y]), lens)
        np.testing.assert_allclose(np.ravel(raw.distort(*straight, lens)), [x, y], atol=1e-7)


def test_the_lens_bends_as_its_formula_says():
    k1, k2, p1, p2, k3 = 0.1, 0.2, 0.01, 0.02, 0.3
    x, y, square = 0.3, 0.4, 0.25  # 3 4 5
    radial = 1 + k1 * square + k2 * square**2 + k3 * square**3
    expected = (
        x * radial + 2 * p1 * x * y + p2 * (square + 2 * x * x),
        y * radial + p1 * (square + 2 * y * y) + 2 * p2 * x * y,
    )
    found = raw.distort(np.array([x]), np.array([y]), (k1, k2, p1, p2, k3))
    np.testing.assert_allclose(np.ravel(found), expected)


def test_a_rectified_pixel_has_the_colour_the_lens_shows_there(tmp_path):
    ramp = np.zeros((480, 640, 3), np.uint8)
    ramp[..., 0] = np.arange(640) * 0.35
    ramp[..., 1] = np.arange(480)[:, None] * 0.5
    path = tmp_path / "r.ppm"
    Image.fromarray(ramp).save(path)
    image = raw.read_color(path)
    for u, v in ((100, 80), (550, 400), (320, 240), (60, 420)):
        fx, fy, (cx, cy) = 518.857901, 519.469611, (324.582449, 252.736166)
        seen = raw.distort(np.array([(u - cx) / fx]), np.array([(v - cy) / fy]), raw.COLOR_LENS)
        assert abs(image[v, u, 0] - 0.35 * (seen[0][0] * fx + cx)) < 1.1
        assert abs(image[v, u, 1] - 0.5 * (seen[1][0] * fy + cy)) < 1.1
    Image.fromarray(ramp[:240]).save(path)
    with pytest.raises(ArchiveError, match="640 x 240 pixels, expected 640 x 480"):
        raw.read_color(path)


def test_truncated_and_missing_files_of_a_recording_cost_one_frame(tmp_path):
    folder = make_recording(tmp_path)
    images, depths = sorted(folder.glob("r-*")), sorted(folder.glob("d-*"))
    images[0].write_bytes(images[0].read_bytes()[:1000])
    images[3].write_bytes(b"")
    depths[0].write_bytes(depths[0].read_bytes()[:5000])
    depths[1].write_bytes(b"P2 1 1 5\n1")
    (scene,) = index_nyuv2(tmp_path).scenes
    assert [f.name for f in scene.frames] == [f"{START + t:.6f}" for t in (0.0, 0.04, 0.08)]
    assert scene.problems == (f"{images[3]}: the file is empty; left out",)
    with pytest.raises(ImageError, match="cannot be read"):
        scene.frames[0].image()
    with pytest.raises(ArchiveError, match=r"4983 bytes for 640 x 480 pixels, expected 614400"):
        scene.frames[0].depth()
    with pytest.raises(ArchiveError, match="no 16-bit PGM"):
        scene.frames[1].depth()
    (tmp_path / "l.txt").write_text("kitchen_0028b/rgb_00001.jpg")
    archive = index_nyuv2(tmp_path, lists={"test": tmp_path / "l.txt"})
    assert "a raw recording, but" in archive.problems[0]


def test_what_is_no_part_of_the_data_set_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no nyu_depth_v2_labeled\.mat, no scene with"):
        index_nyuv2(tmp_path)
    folder = make_pack(tmp_path / "bathroom_0007", (1,))
    Image.new("RGB", (320, 240)).save(folder / "rgb_00001.jpg")
    archive = index_nyuv2(tmp_path)
    assert "320 x 240 pixels, but the camera is published for 640 x 480" in archive.problems[0]
    listed = tmp_path / "l.txt"
    for line in ("bathroom/photo.jpg", "kitchen_0028b second"):
        listed.write_text(line)
        with pytest.raises(ValueError, match=r"l\.txt, line 1: expected a scene, `color 0045 l`"):
            index_nyuv2(tmp_path, lists={"test": listed})
