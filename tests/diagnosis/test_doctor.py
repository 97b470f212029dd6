"""The doctor: what is found in a whole data folder, the worst first, and how it is said."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssmde.data.scene_folder import read_scene
from ssmde.diagnosis import Diagnosis, Finding, doctor
from ssmde.diagnosis.video import FULL, check_video, video_statistics

DATA = Path(os.environ.get("SSMDE_DATA", Path(__file__).parents[2] / "../shared/data"))
needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"no recordings in {DATA}; set SSMDE_DATA"
)


def names(data, **options):
    return [f.name for f in doctor(data, show_progress=False, **options).findings]


def test_a_good_clip_is_only_short(room_folder):
    found = doctor(room_folder, quick=True, show_progress=False)
    assert [finding.name for finding in found.findings] == ["too-few-frames"]
    assert not found.is_blocking


def test_single_photos_are_not_taken_for_a_video(room, film):
    """Every second picture is of another place, as where a network learns from measured depth."""
    mixed = room.images.copy()
    mixed[1::2] = mixed[1::2, ::-1, ::-1]
    data = film(mixed)
    assert "frames-too-far-apart" in names(data, quick=True)
    assert "frames-too-far-apart" not in names(data, quick=True, photos=True)


def test_a_faulty_scene_comes_first_and_its_pictures_are_looked_at_all_the_same(room, film):
    dark = film(np.zeros_like(room.images), name="dark")
    (dark / "cam.txt").write_text("0.8 0 0.5\n0 1.1 0.5\n0 0 1\n")
    found = doctor(film().parent, quick=True, show_progress=False)
    assert found.is_blocking
    assert [(f.name, f.scene) for f in found.findings] == [
        ("intrinsics", "dark"), ("no-texture", "dark"), ("too-few-frames", ""),
    ]  # fmt: skip


def test_frames_of_a_part_are_counted_from_the_first_image(room_folder, tmp_path):
    for i in range(36):
        shutil.copyfile(room_folder / f"{i % 12:06d}.png", tmp_path / f"{i:06d}.png")
    (tmp_path / "000034.png").write_bytes(b"broken")
    found = doctor(tmp_path, split="val", show_progress=False).findings
    assert [f.frames for f in found if f.name == "broken-images"] == [(34,)]


def test_a_look_that_fails_is_a_finding(tmp_path):
    for i in range(4):
        Image.new("RGB", (6, 4)).save(tmp_path / f"{i}.png")
    assert "not-checked" in names(tmp_path)


def test_the_table_says_what_was_found_and_what_to_do_and_the_summary_counts(capsys):
    findings = (
        Finding(name="scene-cuts", severity="warning", scene="walk", frames=(7, 8, 30),
                what="cuts [here]", remedy="split it"),
        Finding(name="jumps", severity="note", scene="", what="w", remedy="r"),
    )  # fmt: skip
    print(Diagnosis(findings))
    shown = capsys.readouterr().out
    for words in ("scene-cuts", "walk", "7-8, 30", "cuts [here]", "-> split it", "all"):
        assert words in shown
    assert "doctor: 1 warning, 1 note; this can be trained on" in shown
    one = Finding(name="x", severity="blocking", scene="", what="w", remedy="r")
    assert Diagnosis(()).summary == "doctor: nothing found"
    assert Diagnosis((one, one)).summary == "doctor: 2 blocking"


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize(("start", "near"), [(150, (160,)), (325, (332, 346))])
def test_the_jumps_of_the_hololens_recording_are_named(start, near):
    scene = read_scene(DATA / "indoor/hololens").part(start, start + 25)
    found = check_video(video_statistics(scene, FULL[0], 1))
    jumps = [start + frame for f in found if f.name == "jumps" for frame in f.frames]
    for frame in near:
        assert min(abs(jump - frame) for jump in jumps) <= 2


@needs_data
@pytest.mark.parametrize("name", [
    "indoor/bonn_crowd", *(pytest.param(name, marks=pytest.mark.slow)
                           for name in ("indoor/redkitchen", "driving/kitti_odom00")),
])  # fmt: skip
def test_a_good_recording_has_no_cut_and_nothing_that_blocks(name):
    found = list(check_video(video_statistics(read_scene(DATA / name), 20, 2)))
    assert not {"scene-cuts", "jumps"} & {f.name for f in found}
    assert not Diagnosis(tuple(found)).is_blocking
