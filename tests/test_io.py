"""Files are there whole or not at all; what cannot be read is refused at once, by its name."""

import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmde import io
from ssmde.arrays import read_npz
from ssmde.data.images import read_depth, read_image, read_mask, read_size
from ssmde.datasets.record import read_archive_file
from ssmde.training.checkpoints import read_checkpoint

# Writing


def test_a_file_appears_when_it_is_whole_and_on_the_disk(tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr("os.fsync", lambda fd: done.append(os.fstat(fd).st_ino))
    with io.whole_file(tmp_path / "a.txt") as part:
        part.write_text("whole")
        assert not (tmp_path / "a.txt").exists()
    assert (tmp_path / "a.txt").read_text() == "whole"
    assert done == [(tmp_path / "a.txt").stat().st_ino]
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt(), OSError(28, "full")])
def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path, error):
    io.write_text(tmp_path / "a.txt", "old")

    def fail():
        with io.whole_file(tmp_path / "a.txt") as part:
            part.write_text("half")
            raise error

    with pytest.raises(type(error)) as caught:
        fail()
    assert getattr(caught.value, "filename", None) in (None, str(tmp_path / "a.txt"))
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_what_the_system_refuses_names_the_file_that_was_asked_for(tmp_path):
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "absent" / "a.txt", tmp_path / "folder"):
        with pytest.raises(OSError, match=path.name) as caught:
            io.write_text(path, "")
        assert caught.value.filename == str(path)
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("name", ["x" * 251 + ".png", "ü" * 125 + ".png"])
def test_the_longest_name_can_be_written(tmp_path, name):
    io.write_text(tmp_path / name, "here")
    assert [p.name for p in tmp_path.iterdir()] == [name]


# What is no plain file


@pytest.fixture(params=["pipe", "socket", "device", "folder"])
def no_file(request, tmp_path):
    path = tmp_path / "a.json"
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    elif request.param == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    return path, request.param


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "read",
    [io.check_file, io.read_bytes, io.read_text, io.read_json, read_npz, read_image, read_depth,
     read_mask, read_size, read_checkpoint, read_archive_file],
)  # fmt: skip
def test_what_is_no_plain_file_is_refused_at_once(no_file, read):
    path, kind = no_file
    with pytest.raises(ValueError, match=rf"a\.json is a {kind}, expected a \w+$"):
        read(path)


@pytest.mark.parametrize(
    "read", [io.check_file, io.read_bytes, io.read_text, io.read_json, read_npz]
)
def test_what_is_not_there_is_named(tmp_path, read):
    for path in (tmp_path / "a.json", tmp_path / "file" / "a.json"):
        (tmp_path / "file").touch()
        with pytest.raises(FileNotFoundError, match=r"a\.json: no such file"):
            read(path)


def test_more_than_the_limit_is_not_read(tmp_path):
    with (tmp_path / "a").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ValueError, match=r"/a: has 1,099,511,627,776 bytes, 1,073,741,824 are"):
        io.read_bytes(tmp_path / "a")


# Text


@pytest.mark.parametrize(
    "form", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le with a mark", "utf-16-be with a mark"]
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_text_is_read_however_it_was_saved(tmp_path, form, end):
    text = f"größe{end}{end} 東京 {end}"
    plain = form.split()[0]
    mark = "\ufeff" if form != plain else ""
    (tmp_path / "a.txt").write_bytes((mark + text).encode(plain))
    assert io.read_text(tmp_path / "a.txt") == "größe\n\n 東京 \n"
    assert io.read_lines(tmp_path / "a.txt") == [(1, "größe"), (3, "東京")]


def test_other_text_is_refused_by_its_name(tmp_path):
    for content in ("größe".encode("latin-1"), "ab".encode("utf-16-le"), b"\xff"):
        (tmp_path / "a.txt").write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.txt: is no text in UTF-8 .*; save it as UTF-8"):
            io.read_text(tmp_path / "a.txt")


# JSON


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "[" * 200 + "]" * 200, "1" * 5000, ""])
def test_what_is_no_json_names_the_file(text):
    with pytest.raises(ValueError, match=r"^a\.json: not valid JSON"):
        io.parse_json(text, "a.json")


def test_what_is_written_as_json_is_read_back(tmp_path):
    io.write_json(tmp_path / "a.json", {"a": [1, None, "ü"], "b": {"c": 0.1}})
    assert io.read_json(tmp_path / "a.json") == {"a": [1, None, "ü"], "b": {"c": 0.1}}
    io.write_json(tmp_path / "a.json", [0] * 1000)
    with pytest.raises(ValueError, match=r"a\.json: expected an object .*, got list$"):
        io.read_json(tmp_path / "a.json")


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1))
def test_a_name_is_kept_or_cut_to_what_names_may_have(stem):
    name, longer = (io.fitting_name(each, 10) for each in (stem, stem * 300))
    assert name == (stem if len(os.fsencode(stem)) <= 245 else io.fitting_name(stem, 10))
    assert len(os.fsencode(longer)) <= 245
    assert longer != io.fitting_name(stem * 299, 10) or len(os.fsencode(stem * 300)) < 240
