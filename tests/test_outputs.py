"""What ssmde did not write is never replaced or deleted; what it wrote is known again."""

import json
import os

import pytest

from ssmde import outputs
from ssmde.io import FileError, held, hidden_part, whole_file, write_text


def write_own(path, text="ours", mark="m"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with outputs.recorded(mark):
        write_text(path, text)
    return path


def test_a_file_is_known_by_its_name_its_content_and_its_mark(tmp_path):
    path = write_own(tmp_path / "a.txt")
    assert outputs.mark_at(path) == "m"
    path.write_text("edited")
    assert outputs.mark_at(path) is None
    path.write_text("ours")
    assert outputs.mark_at(path) == "m"
    (tmp_path / "b.txt").write_text("ours")
    assert outputs.mark_at(tmp_path / "b.txt") is None


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("mine", path)])
def test_a_record_that_is_no_file_is_named_and_not_waited_for(tmp_path, make):
    (tmp_path / "mine").write_text("mine")
    make(tmp_path / outputs.RECORD)
    assert outputs.mark_at(tmp_path / "mine") is None
    with pytest.raises(FileError, match=rf"{outputs.RECORD} is a .*, expected .*delete it"):
        write_own(tmp_path / "a.txt")
    assert not (tmp_path / "a.txt").exists()
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_users_file_is_never_written_over(tmp_path):
    (tmp_path / "a.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"a\.txt: was not written by ssmde"):
        write_own(tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_text() == "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize(
    "torn",
    [b'{"name": "b.txt", "dig', b"\0\0\0", b"[1]\n", b"\xff\n",
     b'{"name": [], "digest": "x", "mark": "m"}\n'],
)  # fmt: skip
def test_a_broken_line_of_the_record_is_passed_over(tmp_path, torn):
    write_own(tmp_path / "a.txt")
    with (tmp_path / outputs.RECORD).open("ab") as file:
        file.write(torn)
    write_own(tmp_path / "ü\n.txt")
    assert outputs.mark_at(tmp_path / "a.txt") == outputs.mark_at(tmp_path / "ü\n.txt") == "m"
    last = (tmp_path / outputs.RECORD).read_bytes().splitlines()[-1]
    assert json.loads(last)["name"] == "ü\n.txt"


def test_same_mark_is_done_another_needs_a_word_and_a_stranger_stays(tmp_path):
    ours, absent, mine = (tmp_path / name for name in ("a", "b", "c"))
    write_own(ours)
    mine.write_text("mine")
    assert outputs.done_or_free([ours], "m", overwrite=False)
    assert not outputs.done_or_free([ours, absent], "m", overwrite=False)
    with pytest.raises(FileExistsError, match="replace it with --overwrite"):
        outputs.done_or_free([ours], "n", overwrite=False)
    assert not outputs.done_or_free([ours], "n", overwrite=True)
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match="was not written by ssmde"):
            outputs.done_or_free([absent, mine], "m", overwrite=overwrite)
    link = tmp_path / "link"
    link.symlink_to(ours)
    with pytest.raises(FileExistsError):
        outputs.done_or_free([link], "m", overwrite=True)


def make_folder(path, mark="m"):
    (path / "depth").mkdir(parents=True)
    (path / "1.jpg").write_text("1")
    (path / "depth" / "1.png").write_text("2")
    outputs.record_tree(path, mark)
    return path


def test_a_folder_with_a_users_file_or_an_input_is_not_replaceable(tmp_path):
    folder = make_folder(tmp_path / "data" / "scene")
    outputs.check_replaceable(folder, [tmp_path / "film.mp4"])
    other = tmp_path / "link"
    other.symlink_to(folder)
    inputs = [folder, other, folder / "1.jpg", folder / "depth" / ".." / "1.jpg", tmp_path / "data",
              other / "depth"]  # fmt: skip
    for source in inputs:
        with pytest.raises(FileExistsError, match="is, holds or lies in the input"):
            outputs.check_replaceable(folder, [source])
    with pytest.raises(FileExistsError, match="is no folder that ssmde made"):
        outputs.check_replaceable(other, [])
    write_own(folder / "labels" / "1.png")
    outputs.check_replaceable(folder, [])
    for name in ("notes.txt", "depth/notes.txt", "1.jpg"):
        (folder / name).write_text("mine")
        with pytest.raises(FileExistsError, match=rf"{name}: was not written by ssmde"):
            outputs.check_replaceable(folder, [])
        (folder / name).unlink()


def test_a_folder_that_cannot_be_moved_leaves_the_old_one(tmp_path):
    folder = make_folder(tmp_path / "scene")
    with pytest.raises(FileNotFoundError):
        outputs.move_into_place(tmp_path / "absent", folder)
    assert (folder / "1.jpg").read_text() == "1"
    assert [p.name for p in tmp_path.iterdir()] == ["scene"]


def test_parts_of_killed_runs_go_and_those_of_running_ones_stay(tmp_path):
    (tmp_path / ".a.1.part").write_text("half")
    (tmp_path / ".b.1.part").mkdir()
    (tmp_path / ".b.1.part" / "x").write_text("half")
    (tmp_path / ".mine.1.part").write_text("of another program")
    os.mkfifo(tmp_path / ".a.2.part")
    make_folder(tmp_path / ".c.old.7.part")
    with held(tmp_path / ".a.3.part"), whole_file(tmp_path / "b"):
        running = [".a.3.part", hidden_part(tmp_path / "b").name]
        outputs.sweep(tmp_path, {"a", "b", "c"}.__contains__)
        left = sorted(p.name for p in tmp_path.iterdir())
        (tmp_path / hidden_part(tmp_path / "b").name).write_text("b")
    assert left == sorted([*running, ".mine.1.part", "c"])  # and what was put aside came back
    outputs.sweep(tmp_path / "absent", lambda _: True)
