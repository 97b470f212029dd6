"""Files of a folder: their order, and that a path exists only while somebody looks at it."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ssmde.data.scene_folder import Files, files_of, list_names, read_scene, sort_names, stem
from ssmde.io import natural_order

names = st.lists(
    st.from_regex(r"[a-b]{0,2}[0-9]{1,3}\.(jpg|png)", fullmatch=True), unique_by=stem, max_size=8
)


@given(names=names)
def test_names_are_in_the_order_of_their_numbers(tmp_path_factory, names):
    ordered = sort_names(tmp_path_factory.getbasetemp(), names)
    assert ordered == sorted(names, key=lambda name: natural_order(stem(name)))


@given(digits=st.lists(st.integers(0, 999), unique=True, max_size=8))
def test_names_of_one_shape_need_no_numbers_to_be_sorted(tmp_path_factory, digits):
    names = [f"a_{number:03d}_b.jpg" for number in digits]
    ordered = sort_names(tmp_path_factory.getbasetemp(), names)
    assert [int(name[2:5]) for name in ordered] == sorted(digits)


def test_files_are_a_sequence_of_paths(tmp_path):
    files = files_of(tmp_path, ["a.jpg", "", "ü é.jpg", "dd.jpg"])
    assert len(files) == 4
    assert list(files) == [tmp_path / "a.jpg", None, tmp_path / "ü é.jpg", tmp_path / "dd.jpg"]
    assert files[-1] == tmp_path / "dd.jpg"
    assert files[1:3] == (None, tmp_path / "ü é.jpg")
    assert files != (tmp_path / "a.jpg",)
    assert pickle.loads(pickle.dumps(files)) == files
    with pytest.raises(IndexError):
        files[4]


def test_a_frame_takes_little_more_than_its_name(tmp_path):
    files = files_of(tmp_path, [f"{i:06d}.jpg" for i in range(1000)])
    assert isinstance(files, Files)
    assert files.names.nbytes == 10 * 1000


def test_hidden_and_foreign_files_do_not_count(tmp_path):
    for name in ("b10.JPG", "b9.png", ".b8.jpg", "cam.txt", ".jpg"):
        (tmp_path / name).touch()
    assert list_names(tmp_path, (".jpg", ".png")) == ["b9.png", "b10.JPG"]


def test_a_scene_of_many_frames_is_read_without_opening_them(tmp_path):
    pixels = Image.fromarray(np.zeros((8, 8, 3), np.uint8))
    for i in range(7):
        (tmp_path / f"{i}.png").touch()
    for i in (0, 3, 6):
        pixels.save(tmp_path / f"{i}.png")
    Image.new("RGB", (6, 8)).save(tmp_path / "4.png")
    assert read_scene(tmp_path).image_size == (8, 8)  # three are opened, the others when needed
    with pytest.raises(ValueError, match=r"4\.png: 6 x 8 pixels, but 0\.png has 8 x 8"):
        read_scene(tmp_path, every_size=True)
    for i in (0, 3, 6):
        (tmp_path / f"{i}.png").write_bytes(b"")
    assert read_scene(tmp_path).image_size == (8, 6)


@pytest.mark.parametrize("names", [
    ["0.05", "0.333", "0.5", "1.0", "1.25", "10.125"],
    ["t0.5", "t1", "t1.25", "t1.5"],
    ["1403636579.76355", "1403636579.763555527", "1403636579.8"],
    ["1.1", "1.2", "1.9", "1.10", "1.11"],  # the tenth frame, no decimals
    ["1.80", "1.90", "2.05"],
])  # fmt: skip
def test_decimal_names_sort_by_their_value(names):
    files = [f"{name}.jpg" for name in names]
    assert sort_names(Path(), files[::-1]) == files
