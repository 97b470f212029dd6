"""The doctor: what is found in a whole data folder, the worst first, and how it is said."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from doctor_scenes import draw, names
from ssmde.data.scene_folder import read_scene
from ssmde.diagnosis import Diagnosis, Finding, doctor
from ssmde.diagnosis.video import FULL, QUICK, check_motion, video_statistics
from ssmde.synthetic import write_clip

DATA = Path(os.environ.get("SSMDE_DATA", Path(__file__).parents[2] / "../shared/data"))
needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"no recordings in {DATA}; set SSMDE_DATA"
)


def test_a_good_clip_is_only_short(room, tmp_path):
    write_clip(room, tmp_path / "room")
    found = doctor(tmp_path, quick=True, show_progress=False)
    assert names(found.findings) == ["too-few-frames"]
    assert not found.is_blocking


def test_single_photos_are_not_taken_for_a_video(room, tmp_path):
    """Every second picture is of another place, as where a network learns from measured depth."""
    elsewhere = draw(seed=5)
    mixed = room.images.copy()
    mixed[1::2] = elsewhere.images[1::2]
    write_clip(replace(room, images=mixed), tmp_path / "room")
    assert "frames-too-far-apart" in names(
        doctor(tmp_path, quick=True, show_progress=False).findings
    )
    found = doctor(tmp_path, quick=True, photos=True, show_progress=False)
    assert not found.is_blocking
    assert "frames-too-far-apart" not in names(found.findings)


def test_a_faulty_scene_comes_first_and_its_pictures_are_looked_at_all_the_same(room, tmp_path):
    images = room.images.copy()
    images[:, :12] = 0
    write_clip(replace(room, images=images), tmp_path / "dark")
    (tmp_path / "dark" / "cam.txt").write_text("0.8 0 0.5\n0 1.1 0.5\n0 0 1\n")
    write_clip(room, tmp_path / "room")
    found = doctor(tmp_path, quick=True, show_progress=False)
    assert names(found.findings) == ["intrinsics", "too-few-frames", "bars"]
    assert [finding.scene for finding in found.findings] == ["dark", "", "dark"]
    assert found.is_blocking


def test_frames_of_a_part_are_counted_from_the_first_image(room, tmp_path):
    many = replace(
        room, **{f: np.concatenate([getattr(room, f)] * 3) for f in
                 ("images", "depth", "poses", "motion_mask")}
    )  # fmt: skip
    write_clip(many, tmp_path / "room")
    (tmp_path / "room" / "000034.png").write_bytes(b"broken")
    (finding,) = [
        f
        for f in doctor(tmp_path, split="val", show_progress=False).findings
        if f.name == "broken-images"
    ]
    assert finding.frames == (34,)


def test_the_table_says_what_was_found_and_what_to_do_and_the_summary_counts(capsys):
    findings = (
        Finding(name="scene-cuts", severity="warning", scene="walk", frames=(7, 8, 30),
                what="cuts [here]", remedy="split it"),
        Finding(name="blur", severity="note", scene="", what="w", remedy="r"),
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
@pytest.mark.parametrize(("start", "near"), [(150, (160,)), (325, (332, 346))])
def test_the_jumps_of_the_hololens_recording_are_named(start, near):
    scene = read_scene(DATA / "indoor/hololens").part(start, start + 25)
    jumps = [
        start + frame
        for finding in check_motion(video_statistics(scene, FULL._replace(pairs=1)))
        if finding.name == "jumps"
        for frame in finding.frames
    ]
    for frame in near:
        assert min(abs(jump - frame) for jump in jumps) <= 2


@needs_data
@pytest.mark.parametrize("name", ["indoor/bonn_crowd", "indoor/redkitchen", "driving/kitti_odom00"])
def test_a_good_recording_has_no_cut_and_nothing_that_blocks(name):
    scene = read_scene(DATA / name)
    found = list(check_motion(video_statistics(scene, QUICK._replace(pairs=2))))
    assert not {"scene-cuts", "jumps"} & set(names(found))
    assert not Diagnosis(tuple(found)).is_blocking
