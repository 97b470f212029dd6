"""Label files: what is written comes back, and labels of two sources are never mixed."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from folders import names_in
from ssmde.data.images import ImageError
from ssmde.data.pseudo_labels import (
    LabelInfo,
    labels_fit,
    read_pseudo_depth,
    write_labels,
    write_pseudo_depth,
)

AFFINE = LabelInfo(source="drawn", version="1", kind="depth", affine=True, licence="MIT")
DISPARITY = LabelInfo(source="drawn", kind="disparity", affine=True, licence="MIT")
METRIC = LabelInfo(source="drawn", kind="depth", affine=False, licence="MIT")
NAN, INF = float("nan"), float("inf")


def as_map(*rows):
    return np.array(rows, np.float32)


def stored(path):
    with Image.open(path) as image:
        assert image.mode == "I;16"
        return np.array(image)


# By hand


def test_the_largest_value_of_an_image_is_stored_as_60000(tmp_path):
    write_pseudo_depth(tmp_path / "a.png", as_map([1, 2], [4, 8]), AFFINE)
    assert stored(tmp_path / "a.png").tolist() == [[7500, 15000], [30000, 60000]]
    np.testing.assert_allclose(
        read_pseudo_depth(tmp_path / "a.png"), [[1 / 8, 2 / 8], [4 / 8, 1]], rtol=1e-6
    )


def test_what_is_no_depth_becomes_0(tmp_path):
    values = as_map([NAN, INF, -INF, 0], [-3, 2, 1, 1e-9])
    write_pseudo_depth(tmp_path / "a.png", values, AFFINE)
    assert stored(tmp_path / "a.png").tolist() == [[0, 0, 0, 0], [0, 60000, 30000, 1]]


def test_a_disparity_of_0_is_far_away_and_not_unknown(tmp_path):
    write_pseudo_depth(tmp_path / "a.png", as_map([NAN, -0.1, 0, 2]), DISPARITY)
    assert stored(tmp_path / "a.png").tolist() == [[0, 1, 1, 60000]]


def test_labels_that_are_not_affine_come_back_in_units_of_the_source(tmp_path):
    for name, deepest in (("near", 2.0), ("far", 500.0)):
        values = np.linspace(0.5, deepest, 12, dtype=np.float32).reshape(3, 4)
        write_pseudo_depth(tmp_path / f"{name}.png", values, METRIC)
        read = read_pseudo_depth(tmp_path / f"{name}.png")
        np.testing.assert_allclose(read, values, atol=deepest / 60000, rtol=0)


def test_arrays_are_read_as_they_are(tmp_path):
    np.save(tmp_path / "a.npy", as_map([1, NAN]))
    assert read_pseudo_depth(tmp_path / "a.npy").tolist() == [[1, 0]]


# A law


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


# What is said about them


def test_the_folder_appears_with_label_json_and_the_first_labels(tmp_path):
    folder = tmp_path / "pseudo_depth"
    write_labels(folder, AFFINE, {"000000": as_map([1, 2])})
    write_labels(folder, AFFINE, {"000001": as_map([3, 4])})
    assert names_in(folder) == ["000000.png", "000001.png", "label.json"]
    info = json.loads((folder / "label.json").read_text())
    values = info.pop("values")
    assert "60000" in values
    assert info == {
        "source": "drawn", "version": "1", "kind": "depth", "affine": True, "licence": "MIT",
        "network_size": None,
    }  # fmt: skip
    assert [f.name for f in tmp_path.iterdir()] == ["pseudo_depth"]


def test_a_stop_before_the_first_label_leaves_nothing_behind(tmp_path):
    with pytest.raises(ValueError, match="finite, positive depth"):
        write_labels(tmp_path / "pseudo_depth", AFFINE, {"a": as_map([NAN, 0])})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"source": "leres"}, "source of the labels is 'leres', now it would be 'drawn'"),
        ({"version": "2"}, "version of the labels is '2', now it would be '1'"),
        ({"kind": "disparity"}, "kind of the labels is 'disparity'"),
        ({"affine": False}, "affine of the labels is False"),
        ({"network_size": [64, 96]}, r"network_size of the labels is \[64, 96\]"),
    ],
)
def test_labels_of_something_else_are_not_mixed_with_new_ones(change, says, tmp_path):
    write_labels(tmp_path / "p", AFFINE, {"a": as_map([1, 2])})
    labels_fit(tmp_path / "p", AFFINE)
    file = tmp_path / "p" / "label.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(ValueError, match=rf"label\.json: {says}.*--overwrite"):
        labels_fit(tmp_path / "p", AFFINE)


def test_what_a_label_json_does_not_say_is_no_difference(tmp_path):
    assert labels_fit(tmp_path / "nothing", AFFINE)
    (tmp_path / "label.json").write_text('{"source": "drawn", "version": ""}')
    assert labels_fit(tmp_path, AFFINE)


def test_labels_without_a_label_json_are_left_alone(tmp_path):
    (tmp_path / "000000.png").touch()
    with pytest.raises(ValueError, match=r"unknown source, without label\.json; .*--overwrite"):
        labels_fit(tmp_path, AFFINE)


def test_labels_of_another_source_go_when_the_first_new_ones_are_there(tmp_path):
    folder = tmp_path / "p"
    write_labels(folder, AFFINE, {"a": as_map([1, 2]), "b": as_map([1, 2])})
    assert not labels_fit(folder, DISPARITY, overwrite=True)
    with pytest.raises(ValueError, match="a label needs a pixel"):
        write_labels(folder, DISPARITY, {"a": as_map([NAN, 0])})
    assert names_in(folder) == ["a.png", "b.png", "label.json"]
    write_labels(folder, DISPARITY, {"a": as_map([1, 2])})
    assert names_in(folder) == ["a.png", "label.json"]
    assert names_in(tmp_path) == ["p"]


@pytest.mark.parametrize("name", ["notes.txt", "a.png", "label.json"])
def test_labels_of_others_are_never_replaced(tmp_path, name):
    write_labels(tmp_path / "p", AFFINE, {"a": as_map([1, 2])})
    (tmp_path / "p" / name).write_text("{}")
    with pytest.raises(FileExistsError, match=f"{name}: was not written by ssmde"):
        labels_fit(tmp_path / "p", DISPARITY, overwrite=True)


def test_a_file_that_is_no_label_is_named(tmp_path):
    from PIL.PngImagePlugin import PngInfo

    (tmp_path / "a.png").write_bytes(b"nothing")
    with pytest.raises(ImageError, match=r"a\.png: cannot be read"):
        read_pseudo_depth(tmp_path / "a.png")
    text = PngInfo()
    text.add_text("steps_per_unit", "-3")
    Image.fromarray(np.ones((2, 2), np.uint16)).save(tmp_path / "b.png", pnginfo=text)
    with pytest.raises(ImageError, match=r"b\.png: steps_per_unit must be a positive .* '-3'"):
        read_pseudo_depth(tmp_path / "b.png")
