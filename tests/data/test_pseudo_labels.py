"""Label files: what is written comes back, and labels of two sources are never mixed."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from folders import names_in
from ssmde.config import Config, DataConfig, LossConfig
from ssmde.data.dataset import SnippetDataset
from ssmde.data.images import ImageError
from ssmde.data.pseudo_labels import (
    LabelInfo,
    fit_to_points,
    labels_fit,
    read_pseudo_depth,
    write_labels,
    write_pseudo_depth,
)
from ssmde.data.scene_files import TRACKED_POINTS, read_tracked_points, write_tracked_points
from ssmde.data.scene_folder import read_scene

AFFINE = LabelInfo(source="drawn", version="1", kind="depth", affine=True, licence="MIT")
DISPARITY = LabelInfo(source="drawn", kind="disparity", affine=True, licence="MIT")
METRIC = LabelInfo(source="drawn", kind="depth", affine=False, licence="MIT")
NAN, INF = float("nan"), float("inf")


def as_map(*rows):
    return np.array(rows, np.float32)


# By hand


@pytest.mark.parametrize(("values", "info", "steps"), [
    ([[1, 2], [4, 8]], AFFINE, [[7500, 15000], [30000, 60000]]),
    ([[NAN, INF, -INF, 0], [-3, 2, 1, 1e-9]], AFFINE, [[0, 0, 0, 0], [0, 60000, 30000, 1]]),
    ([[NAN, -0.1, 0, 2]], DISPARITY, [[0, 1, 1, 60000]]),  # 0 is far away and not unknown
])  # fmt: skip
def test_the_largest_value_of_an_image_is_stored_as_60000(tmp_path, values, info, steps):
    write_pseudo_depth(tmp_path / "a.png", as_map(*values), info)
    with Image.open(tmp_path / "a.png") as image:
        assert (image.mode, np.array(image).tolist()) == ("I;16", steps)
    np.testing.assert_allclose(read_pseudo_depth(tmp_path / "a.png"), np.divide(steps, 60000))


@given(
    values=arrays.arrays(np.float32, (3, 4), elements=st.floats(np.float32(1e-6), 1e6, width=32)),
    info=st.sampled_from([AFFINE, METRIC, DISPARITY]),
)
def test_a_label_comes_back_within_a_60000th_of_its_largest_value(values, info, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "label.png"
    write_pseudo_depth(path, values, info)
    read = read_pseudo_depth(path).astype(np.float64)
    largest = float(values.max())
    read *= largest if info.affine else 1
    assert np.abs(read - values).max() < largest / 60000 * (1 + 1e-5)
    assert (read > 0).all()


@pytest.mark.parametrize(("change", "says"), [
    ({"source": "leres"}, "source of the labels is 'leres', now it would be 'drawn'"),
    ({"version": "2"}, "version of the labels is '2', now it would be '1'"),
    ({"kind": "disparity"}, "kind of the labels is 'disparity'"),
    ({"affine": False}, "affine of the labels is False"),
    ({"network_size": [64, 96]}, r"network_size of the labels is \[64, 96\]"),
])  # fmt: skip
def test_labels_of_something_else_are_not_mixed_with_new_ones(change, says, tmp_path):
    write_labels(tmp_path / "p", AFFINE, {"a": as_map([1, 2])})
    file = tmp_path / "p" / "label.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(ValueError, match=rf"label\.json: {says}.*--overwrite"):
        labels_fit(tmp_path / "p", AFFINE)


def test_what_a_label_json_does_not_say_is_no_difference_and_without_one_labels_are_left(tmp_path):
    assert labels_fit(tmp_path / "nothing", AFFINE)
    (tmp_path / "000000.png").touch()
    with pytest.raises(ValueError, match=r"unknown source, without label\.json; .*--overwrite"):
        labels_fit(tmp_path, AFFINE)
    (tmp_path / "label.json").write_text('{"source": "drawn", "version": ""}')
    assert labels_fit(tmp_path, AFFINE)


def test_labels_of_another_source_go_when_the_first_new_ones_are_there(tmp_path):
    folder = tmp_path / "p"
    with pytest.raises(ValueError, match="finite, positive depth"):
        write_labels(folder, AFFINE, {"a": as_map([NAN, 0])})
    assert list(tmp_path.iterdir()) == []
    for name in "ab":
        write_labels(folder, AFFINE, {name: as_map([1, 2])})
    info = json.loads((folder / "label.json").read_text())
    assert "60000" in info.pop("values")
    assert info == {
        "source": "drawn", "version": "1", "kind": "depth", "affine": True, "licence": "MIT",
        "network_size": None,
    }  # fmt: skip
    assert not labels_fit(folder, DISPARITY, overwrite=True)
    with pytest.raises(ValueError, match="a label needs a pixel"):
        write_labels(folder, DISPARITY, {"a": as_map([NAN, 0])})
    assert names_in(folder) == ["a.png", "b.png", "label.json"]
    write_labels(folder, DISPARITY, {"a": as_map([1, 2])})
    assert (names_in(folder), names_in(tmp_path)) == (["a.png", "label.json"], ["p"])


@pytest.mark.parametrize("name", ["notes.txt", "a.png", "label.json"])
def test_labels_of_others_are_never_replaced(tmp_path, name):
    write_labels(tmp_path / "p", AFFINE, {"a": as_map([1, 2])})
    (tmp_path / "p" / name).write_text("{}")
    with pytest.raises(FileExistsError, match=f"{name}: was not written by ssmde"):
        labels_fit(tmp_path / "p", DISPARITY, overwrite=True)


def test_a_senseless_scale_of_a_label_is_refused(tmp_path):
    text = PngInfo()
    text.add_text("steps_per_unit", "-3")
    Image.fromarray(np.ones((2, 2), np.uint16)).save(tmp_path / "b.png", pnginfo=text)
    with pytest.raises(ImageError, match=r"b\.png: steps_per_unit must be a positive .* '-3'"):
        read_pseudo_depth(tmp_path / "b.png")


# In the unit of tracked points

SIZE = (48, 64)
DEPTH = (1 + np.add.outer(np.linspace(0, 2, 48), np.linspace(0, 1, 64))).astype(np.float32)


def some_points(count=200, seed=0):
    rng = np.random.default_rng(seed)
    pixels = np.stack([rng.integers(0, 64, count), rng.integers(0, 48, count)], axis=1)
    return pixels.astype(np.float32), DEPTH[pixels[:, 1], pixels[:, 0]].copy()


@given(scale=st.floats(0.1, 10.0), shift=st.floats(-0.5, 5.0))
def test_scale_and_shift_of_a_label_are_found(scale, shift):
    label = (scale * (DEPTH + shift)).astype(np.float32)
    pixels, depth = some_points()
    np.testing.assert_allclose(fit_to_points(label, pixels, depth, SIZE), DEPTH, rtol=1e-3)


def test_a_noisy_label_without_unknown_shift_keeps_its_range():
    """Points on one wall, people in front of it: with a shift the people would join the wall."""
    rng = np.random.default_rng(0)
    truth = np.where(np.arange(64) < 20, 1.5, 3.0) * np.ones(SIZE)  # no points on what is near
    label = (2 * truth * np.exp(rng.normal(0, 0.2, SIZE))).astype(np.float32)
    pixels = np.stack([rng.integers(20, 64, 300), rng.integers(0, 48, 300)], axis=1)
    depth = rng.normal(3.0, 0.1, 300).astype(np.float32)
    fitted = fit_to_points(label, pixels.astype(np.float32), depth, SIZE, affine=False)
    wall, people = np.median(fitted[:, 20:]), np.median(fitted[:, :20])
    assert (wall / people, wall) == (pytest.approx(2, rel=0.05), pytest.approx(3, rel=0.1))


def test_points_are_fitted_whatever_moves_or_the_size_of_the_label_and_holes_stay():
    pixels, depth = some_points(400)
    depth[:30] *= 3
    np.testing.assert_allclose(fit_to_points(2 * DEPTH, pixels, depth, SIZE), DEPTH, rtol=1e-2)
    pixels, depth = some_points()
    small = DEPTH.reshape(24, 2, 32, 2).mean((1, 3))
    np.testing.assert_allclose(fit_to_points(small, pixels, depth, SIZE), small, rtol=0.02)
    label = DEPTH.copy()
    label[:, :10] = 0
    fitted = fit_to_points(label, pixels, depth, SIZE)
    assert (fitted[:, :10] == 0).all()
    assert (fitted[:, 10:] > 0).all()
    # Too few points, and a label upside down.
    assert not fit_to_points(DEPTH, pixels[:10], depth[:10], SIZE).any()
    assert not fit_to_points(5 - DEPTH, pixels, depth, SIZE).any()


def test_points_are_read_as_they_were_written_and_asked_for_where_broken(tmp_path):
    path, (pixels, depth) = tmp_path / TRACKED_POINTS, some_points(7)
    nothing = (np.zeros((0, 2), np.float32), np.zeros(0, np.float32))
    write_tracked_points(tmp_path, {5: (pixels, depth), 2: nothing})
    found = read_tracked_points(path)
    assert (sorted(found), len(found[2][1])) == ([2, 5], 0)
    np.testing.assert_array_equal(found[5][0], pixels)
    np.testing.assert_array_equal(found[5][1], depth)
    write_tracked_points(tmp_path, {})
    assert read_tracked_points(path) == {}
    path.write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"cannot be read .* track the scene again"):
        read_tracked_points(path)


def test_a_slow_error_is_mended_and_what_moves_keeps_the_scale_of_the_image():
    slow = np.exp(np.linspace(-0.3, 0.3, 64))[None].astype(np.float32)
    pixels, depth = some_points(1200)
    mover = np.zeros(SIZE, bool)
    mover[15:35, 26:38] = True
    truth = np.where(mover, 0.6 * DEPTH, DEPTH)
    still = ~mover[pixels[:, 1].astype(int), pixels[:, 0].astype(int)]
    fitted = fit_to_points(truth * slow, pixels[still], depth[still], SIZE, affine=False)
    error = np.abs(fitted / truth - 1)
    assert error[~mover].mean() < 0.03  # 0.15 with one factor for all
    assert error[mover].mean() < 0.05


# In a snippet: framed as the image is, turned into depth, fitted where asked

PLAIN = DataConfig(image_size=(32, 64), flip=0.0, zoom=1.0, color_jitter=0.0)


def labeled(folder, clip, kind="depth", change=lambda depth: depth):
    info = LabelInfo(source="test", kind=kind, affine=True, licence="none")
    names = sorted(f.stem for f in folder.glob("*.png"))
    maps = {n: change(d).astype(np.float32) for n, d in zip(names, clip.depth, strict=True)}
    write_labels(folder / "pseudo_depth", info, maps)
    return read_scene(folder)


def snippets(scene, data=PLAIN, *, labels=True, **asked):
    return SnippetDataset([scene], data, seed=0, augment=True, labels=labels, **asked)


def test_a_label_is_framed_as_its_image_and_a_disparity_becomes_a_depth(room, clip):
    scene = labeled(room, clip)
    plain, mirrored = snippets(scene)[0], snippets(scene, replace(PLAIN, flip=1.0))[0]
    expected = clip.depth[1] / clip.depth[1].max()
    np.testing.assert_allclose(plain.pseudo_depth[0, 0], expected, atol=2e-5)
    np.testing.assert_array_equal(mirrored.pseudo_depth[0, 0], plain.pseudo_depth[0, 0].flip(-1))
    shutil.rmtree(room / "pseudo_depth")
    scene = labeled(room, clip, "disparity", lambda depth: 1 / depth)
    found = snippets(scene)[0].pseudo_depth[0, 0].numpy().ravel()
    assert (np.diff(found[np.argsort(clip.depth[1].ravel())]) >= -1e-3).all()
    assert found.max() < 60


def test_a_fitted_label_is_in_the_unit_of_the_tracked_points_and_asks_for_them(room, clip):
    scene = labeled(room, clip, change=lambda depth: 0.3 * depth + 1)
    with pytest.raises(ValueError, match=r"tracked_points.npz: no such file; `ssmde track"):
        snippets(scene, fit_labels=True)
    with pytest.raises(ValueError, match=r"loss.sparse_depth .* data.poses tracked, got none"):
        Config(loss=LossConfig(sparse_depth=0.5))
    with pytest.raises(ValueError, match=r"'room': there is no .*pseudo_depth; `ssmde label"):
        snippets(replace(scene, pseudo_depth=None))
    u, v = np.random.default_rng(0).integers(0, ((64,), (32,)), (2, 80))
    pixels = np.stack([u, v], axis=1).astype(np.float32)
    write_tracked_points(room, {i: (pixels, clip.depth[i][v, u] / 5) for i in (1, 2)})
    data = snippets(scene, fit_labels=True)
    np.testing.assert_allclose(data[0].pseudo_depth[0, 0], clip.depth[1] / 5, rtol=2e-3)
    assert not data[2].pseudo_depth.any(), "frame 3 has no points to fit to"


def test_tracked_points_come_as_a_sparse_map_of_the_framed_image(room):
    pixels = np.array([(3, 5), (3, 5), (60, 20), (30, 10)], dtype=np.float32)
    depth = np.array([0.9, 0.7, 1.5, 0.01], dtype=np.float32)  # the last is no depth of this scene
    write_tracked_points(room, {1: (pixels, depth)})
    data = snippets(read_scene(room), labels=False, with_points=True)
    found = data[0].sparse_depth
    assert found.shape == (1, 1, 32, 64)
    assert found[0, 0, 5, 3] == np.float32(0.7), "the nearest of two points hides the other"
    assert (found[0, 0, 20, 60], (found > 0).sum()) == (np.float32(1.5), 2)
    assert not data[1].sparse_depth.any(), "frame 2 has no points"
