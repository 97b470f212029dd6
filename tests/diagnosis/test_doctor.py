"""The doctor: what is found in a whole data folder, the worst first, and how it is said."""

import shutil

import pytest
from PIL import Image

from recordings import DATA, needs_data
from ssmde.data.scene_folder import read_scene
from ssmde.diagnosis import Diagnosis, Finding, doctor
from ssmde.diagnosis.video import check_video, video_statistics


def look(data, **options):
    return doctor(data, show_progress=False, **options)


def names(found):
    return [(f.name, f.severity, f.scene) for f in found.findings]


def test_a_good_clip_is_only_short(room_folder):
    found = look(room_folder, quick=True)
    assert names(found) == [("too-few-frames", "warning", "")]
    assert "12 frames" in found.findings[0].what
    assert not found.is_blocking
    assert found.summary == "doctor: 1 warning; this can be trained on"


def test_single_photos_are_not_taken_for_a_video(room, film):
    """Every second picture is of another place, as where a network learns from measured depth."""
    mixed = room.images.copy()
    mixed[1::2] = mixed[1::2, ::-1, ::-1]
    data = film(mixed)
    assert "frames-too-far-apart" in str(look(data, quick=True))
    assert "frames-too-far-apart" not in str(look(data, quick=True, photos=True))


def test_a_scene_that_is_refused_comes_first_and_hides_no_other_but_a_list_is_refused(film):
    (film(name="bad") / "poses.txt").write_text("1 2 3\n")
    found = look(film(name="good").parent, quick=True)
    assert found.is_blocking
    assert names(found) == [("files", "blocking", "bad"), ("too-few-frames", "warning", "")]
    assert found.summary == "doctor: 1 blocking, 1 warning"
    (film().parent / "train.txt").touch()
    with pytest.raises(ValueError, match="the list is empty"):
        look(film().parent, split="train")


def test_frames_of_a_part_are_counted_from_the_first_image(room_folder, tmp_path):
    for i in range(36):
        shutil.copyfile(room_folder / f"{i % 12:06d}.png", tmp_path / f"{i:06d}.png")
    (tmp_path / "000034.png").write_bytes(b"broken")
    found = look(tmp_path, split="val").findings
    assert [f.frames for f in found if f.name == "broken-images"] == [(34,)]


def test_a_look_that_fails_is_a_finding(tmp_path):
    for i in range(4):
        Image.new("RGB", (6, 4)).save(tmp_path / f"{i}.png")
    assert "not-checked" in str(look(tmp_path))


def test_the_table_says_what_was_found_and_what_to_do():
    cuts = Finding("scene-cuts", "warning", "cuts [here]", "split it", (7, 8, 30), "walk")
    shown = str(Diagnosis((cuts, Finding("x", "note", "w", "r"))))
    for words in ("scene-cuts", "walk", "7-8, 30", "cuts [here]", "-> split it", "all"):
        assert words in shown
    assert "doctor: 1 warning, 1 note; this can be trained on" in shown
    assert str(Diagnosis(())) == "doctor: nothing found"


@needs_data
@pytest.mark.parametrize("name", [
    "indoor/bonn_crowd", *(pytest.param(name, marks=pytest.mark.slow)
                           for name in ("indoor/redkitchen", "driving/kitti_odom00")),
])  # fmt: skip
def test_a_good_recording_has_no_cut_and_nothing_that_blocks(name):
    found = Diagnosis(tuple(check_video(video_statistics(read_scene(DATA / name), 20, 2))))
    assert "scene-cuts" not in str(found)
    assert not found.is_blocking
