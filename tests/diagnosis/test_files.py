"""Files and camera: what the reader refuses is a finding, all else is read on."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from ssmde.data.scene_folder import read_scene
from ssmde.diagnosis.files import check_camera, few_frames, open_scene, open_scenes


@pytest.fixture
def folder(film):
    return film()


def test_a_good_folder_has_no_finding_and_its_parts_count_from_the_first_image(folder):
    (opened,) = open_scenes(folder.parent, "all")
    assert (opened.findings, len(opened.sequence)) == ([], 12)
    (opened,) = open_scenes(folder.parent, "val")
    assert (len(opened.sequence), opened.offset) == (1, 11)


@pytest.mark.parametrize(("matrix", "what", "remedy"), [
    ("100 0 63.5 0 -100 47.5 0 0 1", "must be positive, got fx 100, fy -100", "drop the sign"),
    ("0.8 0 0.5 0 1.1 0.5 0 0 1", "look normalised", "multiply the first row by the width 128"),
    ("100 0 640 0 100 47.5 0 0 1", "lies outside the image", "as they are stored"),
])  # fmt: skip
def test_a_refused_camera_is_blocking_and_the_rest_is_read(folder, matrix, what, remedy):
    (folder / "cam.txt").write_text(matrix)
    sequence, _, (finding,) = open_scene(folder)
    assert (finding.name, finding.severity, finding.scene) == ("intrinsics", "blocking", "room")
    assert what in finding.what
    assert remedy in finding.remedy
    assert sequence.intrinsics is None
    assert len(sequence.poses) == 12


def test_images_of_two_sizes_are_named_by_their_frames(folder):
    for frame in (3, 4):
        Image.new("RGB", (64, 48)).save(folder / f"{frame:06d}.png")
    sequence, _, (finding,) = open_scene(folder)
    assert (finding.name, finding.frames) == ("mixed-sizes", (3, 4))
    assert "10 images have 128 x 96 pixels, 2 have 64 x 48" in finding.what
    assert sequence.image_size == (96, 128)


def test_several_faults_are_all_named(folder):
    (folder / "cam.txt").write_text("1 2 3")
    (folder / "poses.txt").write_text("1 2 3\n")
    (folder / "scene.json").write_text(json.dumps({"depth_units_per_metre": -5}))
    found = [finding.name for finding in open_scene(folder).findings]
    assert found == ["intrinsics", "poses", "scene-file"]


def test_a_fault_beside_them_is_told_in_the_words_of_the_reader(folder):
    for file in (folder / "depth").iterdir():
        file.unlink()
    sequence, _, (finding,) = open_scene(folder)
    assert (finding.name, finding.severity) == ("files", "blocking")
    assert "depth" in finding.what
    assert finding.remedy == "fill or delete the folder"
    assert sequence is not None


def test_one_faulty_scene_does_not_hide_the_others(film, folder):
    film(name="second")
    (folder / "cam.txt").write_text("nonsense")
    first, second = open_scenes(folder.parent, "all")
    assert (first.sequence.name, second.sequence.name) == ("room", "second")
    assert first.findings
    assert second.findings == []


def test_a_scene_without_a_single_image_that_opens_is_a_finding(folder):
    for file in folder.glob("*.png"):
        file.write_bytes(b"no image")
    sequence, _, (finding,) = open_scene(folder)
    assert sequence is None
    assert finding.severity == "blocking"


def test_no_data_at_all_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such data folder"):
        open_scenes(tmp_path / "nowhere", "all")
    with pytest.raises(ValueError, match="no folder in it holds images"):
        open_scenes(tmp_path, "all")


def test_few_frames_are_named_and_enough_are_not(room_video):
    scene = room_video.sequence
    (finding,) = few_frames([scene])
    assert (finding.name, finding.severity, finding.scene) == ("too-few-frames", "warning", "")
    assert "12 frames" in finding.what
    assert not list(few_frames([scene] * 17))
    short, whole = few_frames([scene.part(0, 2)])
    assert ((short.scene, short.severity), whole.severity) == (("room", "warning"), "blocking")


def camera(sequence, **changes):
    fx, fy, cx, cy = ({"fx": 100.0, "fy": 100.0, "cx": 63.5, "cy": 47.5} | changes).values()
    return replace(sequence, intrinsics=np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]))


def test_a_fair_camera_is_fine(room_video):
    assert not list(check_camera(room_video.sequence))
    assert not list(check_camera(camera(room_video.sequence, cx=70.0, fy=110.0)))


@pytest.mark.parametrize(("changes", "what"), [
    ({"fx": 10.0, "fy": 10.0}, "fx 10 at a width of 128 is a field of view of 162 degrees"),
    ({"fx": 2000.0, "fy": 2000.0}, "a field of view of 4 degrees"),
    ({"fy": 200.0}, "differ by a factor of 2.00"),
    ({"cx": 31.5, "cy": 23.5}, "(31.5, 23.5) is far from the middle of 128 x 96 pixels"),
])  # fmt: skip
def test_an_unlikely_camera_is_named(room_video, changes, what):
    (finding,) = check_camera(camera(room_video.sequence, **changes))
    assert (finding.name, finding.severity) == ("intrinsics", "warning")
    assert what in finding.what


def test_an_unknown_camera_is_named(folder):
    (folder / "cam.txt").unlink()
    (finding,) = check_camera(read_scene(folder))
    assert finding.name == "no-intrinsics"
    assert "--hfov-degrees" in finding.remedy
