"""What there is to predict, and the names of its outputs."""

from pathlib import Path

import pytest

from ssmde.prediction.inputs import name_listed


def write_list(folder: Path, *lines: str) -> Path:
    path = folder / "list.txt"
    path.write_text("\n".join(lines))
    return path


def test_a_list_names_its_images_below_the_folder_they_share(tmp_path):
    found = name_listed(
        write_list(tmp_path, "# mine", "clips/a/1.jpg", "", "clips/b/1.jpg", "clips/a/1.jpg")
    )
    assert found == {
        "a/1": tmp_path / "clips/a/1.jpg",
        "b/1": tmp_path / "clips/b/1.jpg",
    }


def test_a_list_may_mix_paths_and_addresses(tmp_path):
    found = name_listed(
        write_list(tmp_path, "https://host/x/1.jpg", "https://host/y/2.png?size=3", "/data/3.jpg")
    )
    assert list(found) == ["host/x/1", "host/y/2", "data/3"]
    assert list(found.values()) == [
        "https://host/x/1.jpg", "https://host/y/2.png?size=3", Path("/data/3.jpg"),
    ]  # fmt: skip


def test_no_two_images_of_a_list_get_one_name(tmp_path):
    lines = ["http://h/1.jpg", "http://h/1.png", "http://h/1.jpg?a", "http://h/1.jpg?b"]
    found = name_listed(write_list(tmp_path, *lines))
    assert list(found.values()) == lines
    assert list(found) == ["1.jpg", "1.png", "1.jpg_2", "1.jpg_3"]


def test_no_name_of_a_list_leads_out_of_the_output(tmp_path):
    found = name_listed(write_list(tmp_path, "http://h/../../etc/1.jpg", "http://h/2.jpg"))
    assert list(found) == ["etc/1", "h/2"]


def test_an_empty_list_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"list\.txt: lists no image"):
        name_listed(write_list(tmp_path, "# nothing"))
