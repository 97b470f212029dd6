"""Motion of the camera: each way in which it teaches no depth is named, and a good walk is not."""

from dataclasses import replace

import numpy as np

from doctor_scenes import draw, names
from ssmde.diagnosis.motion import check_motion, suggested_gaps


def test_a_walk_through_a_room_is_fit_from_frame_to_frame(room_footage):
    assert check_motion(room_footage) == []
    assert suggested_gaps(room_footage)[0] == 1


def test_a_static_camera_is_blocking_although_people_walk_by(filmed):
    (finding,) = check_motion(filmed(draw(step=0.0, rotation=0.0, movers="across")))
    assert (finding.name, finding.severity, finding.scene) == ("static-camera", "blocking", "film")


def test_a_camera_that_only_turns_is_blocking(filmed):
    (finding,) = check_motion(filmed(draw(step=0.0, rotation=2.0)))
    assert (finding.name, finding.severity) == ("only-rotation", "blocking")
    assert "99%" in finding.what


def test_mostly_turning_asks_for_tracking_unless_the_poses_are_known(measured):
    turning = {1: {"motion": 0.1, "parallax": 0.005}}
    (finding,) = check_motion(measured(turning))
    assert (finding.name, finding.severity) == ("mostly-rotation", "note")
    assert finding.remedy == "train with --data.poses file"
    footage = measured(turning)
    unknown = replace(footage, sequence=replace(footage.sequence, poses=None))
    (finding,) = check_motion(unknown)
    assert finding.severity == "warning"
    assert finding.remedy.startswith("`ssmde track ")
    assert check_motion(measured({1: {"motion": 0.1, "parallax": 0.02}})) == []


def test_dense_frames_get_the_gaps_with_enough_parallax_that_still_show_the_same(measured):
    gaps = {
        1: {"parallax": 0.001}, 2: {"parallax": 0.002}, 3: {"parallax": 0.004},
        5: {"parallax": 0.007, "found": 0.8}, 8: {"parallax": 0.01, "found": 0.5},
    }  # fmt: skip
    footage = measured(gaps)
    assert suggested_gaps(footage) == (3, 5)
    (finding,) = check_motion(footage)
    assert finding.name == "frames-too-dense"
    assert "--data.frame-gaps 3 5," in finding.remedy
    assert "--data.scene-gaps room 3 room 5" in finding.remedy


def test_frames_far_apart_ask_for_more_of_them(measured):
    (finding,) = check_motion(measured({1: {"found": 0.4, "motion": 0.05}}))
    assert (finding.name, finding.severity) == ("frames-too-far-apart", "warning")
    (finding,) = check_motion(measured({1: {"found": 0.1, "motion": np.nan, "parallax": np.nan}}))
    assert (finding.name, finding.severity) == ("frames-too-far-apart", "blocking")


def test_a_cut_is_named_with_the_first_frame_behind_it(room, street, filmed):
    images = np.concatenate([room.images[:5], street.images[:7]])
    (finding,) = [f for f in check_motion(filmed(room, images=images)) if f.name == "scene-cuts"]
    assert finding.name == "scene-cuts"
    assert finding.frames == (5,)


def test_a_jump_within_a_place_is_named_and_a_steady_walk_has_none(room, filmed):
    images = room.images.copy()
    images[6:] = np.roll(images[6:], 26, axis=2)  # a fifth of the width
    (finding,) = [f for f in check_motion(filmed(room, images=images)) if f.name == "jumps"]
    assert finding.frames == (6,)


def test_a_rest_on_the_way_is_named(measured):
    motion = np.full(40, 0.03)
    motion[10:16] = 0.0
    motion[20:22] = 0.0  # too short to matter
    footage = measured({1: {"count": 40, "motion": motion}, 2: {}})
    (finding,) = check_motion(footage)
    assert (finding.name, finding.severity) == ("still-stretches", "note")
    assert finding.frames == tuple(range(10, 16))


def test_blank_images_are_said_to_show_nothing(room, filmed):
    (finding,) = check_motion(filmed(room, images=np.full_like(room.images, 90)))
    assert (finding.name, finding.severity) == ("no-texture", "blocking")


def test_a_street_has_no_blocking_motion_and_no_cut(street, filmed):
    found = check_motion(filmed(street))
    assert not {f.name for f in found if f.severity == "blocking"}
    assert "scene-cuts" not in names(found)
