"""The frames of a scene: what is measured of them, and what is found; good ones have no finding."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from doctor_scenes import BRIEF, draw, names
from ssmde.data.motion import TileFlow
from ssmde.diagnosis.video import (
    check_motion,
    check_pictures,
    fit_turn,
    read_small_gray,
    reduction_to,
    sharpness,
    small_intrinsics,
    suggested_gaps,
    video_statistics,
)
from ssmde.geometry.camera import axis_angle_to_matrix

K = np.array([[90.0, 0, 63.5], [0, 95.0, 47.5], [0, 0, 1]])


def flow(T, depth, *, movers=0):
    """What tiles do when the camera moves by T; the first ones also move by themselves."""
    u, v = np.meshgrid(np.linspace(15, 112, 7), np.linspace(15, 80, 6))
    centres = np.stack([u, v], -1).reshape(-1, 2)
    rays = np.concatenate([centres, np.ones((len(centres), 1))], 1) @ np.linalg.inv(K).T
    there = ((rays * depth[:, None]) @ T[:3, :3].T + T[:3, 3]) @ K.T
    motion = there[:, :2] / there[:, 2:] - centres
    motion[:movers] += 6.0
    like = np.ones(len(centres), np.float32)
    return TileFlow(centres.astype(np.float32), motion.astype(np.float32), like, like)


def turned(axis_angle, step=(0.0, 0.0, 0.0)):
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = (
        axis_angle_to_matrix(torch.tensor(axis_angle, dtype=torch.float64)).numpy(),
        step,
    )
    return T


DEPTH = np.random.default_rng(0).uniform(2, 6, 42)


def test_a_turn_is_found_and_what_moves_by_itself_or_by_a_step_is_left_over():
    T = turned((0.1, -0.2, 0.15))
    turn = fit_turn(flow(T, DEPTH), K)
    assert np.allclose(turn.rotation, T[:3, :3], atol=1e-5)
    assert turn.rest.max() < 1e-2
    rest = fit_turn(flow(turned((0.02, 0.03, 0.0)), DEPTH, movers=12), K).rest
    assert np.median(rest) < 0.15
    assert rest[:12].min() > 5
    turn = fit_turn(flow(turned((0.02, 0.03, 0.0), (0.2, 0.0, 0.0)), DEPTH), K)
    assert np.median(turn.rest) > 0.5
    found = flow(turned((0.0, 0.1, 0.0)), DEPTH)
    likeness = np.where(np.arange(42) < 7, np.float32(1), np.float32(np.nan))
    assert fit_turn(found._replace(likeness=likeness), K) is None


def test_an_unknown_camera_is_an_everyday_lens(room_video):
    K = small_intrinsics(replace(room_video.sequence, intrinsics=None))
    assert 60 < np.degrees(2 * np.arctan(64 / K[0, 0])) < 70
    assert K[:2, 2].tolist() == [63.5, 47.5]


def test_gray_values_are_signed_and_small(tmp_path):
    for name, level in (("a", 10), ("b", 12)):
        Image.new("RGB", (400, 300), (level, level, level)).save(tmp_path / f"{name}.png")
    a, b = (read_small_gray(tmp_path / f"{name}.png", (300, 400)) for name in "ab")
    assert a.shape == (150, 200)
    assert np.allclose(a - b, -2 / 255, atol=1e-6)


@pytest.mark.parametrize(("size", "reduction"), [((480, 640), 4), ((128, 416), 1), ((50, 60), 1)])
def test_the_shorter_side_stays_above_96(size, reduction):
    assert reduction_to(96, size) == reduction


def test_a_good_walk_has_no_finding(room_video):
    assert not list(check_motion(room_video))
    assert suggested_gaps(room_video)[0] == 1
    assert not list(check_pictures(room_video))


def test_a_static_camera_and_one_that_only_turns_are_blocking(filmed):
    (finding,) = check_motion(filmed(draw(step=0.0, rotation=0.0, movers="across")))
    assert (finding.name, finding.severity) == ("static-camera", "blocking")
    (finding,) = check_motion(filmed(draw(step=0.0, rotation=2.0)))
    assert (finding.name, finding.severity) == ("only-rotation", "blocking")
    assert "99%" in finding.what


def test_mostly_turning_asks_for_tracking_unless_the_poses_are_known(measured):
    turning = {1: {"motion": 0.1, "parallax": 0.005}}
    (finding,) = check_motion(measured(turning))
    assert (finding.name, finding.severity) == ("mostly-rotation", "note")
    assert finding.remedy == "train with --data.poses file"
    video = measured(turning)
    unknown = replace(video, sequence=replace(video.sequence, poses=None))
    (finding,) = check_motion(unknown)
    assert finding.severity == "warning"
    assert finding.remedy.startswith("`ssmde track ")
    assert not list(check_motion(measured({1: {"motion": 0.1, "parallax": 0.02}})))


def test_dense_frames_get_the_gaps_with_enough_parallax_that_still_show_the_same(measured):
    gaps = {
        1: {"parallax": 0.001}, 2: {"parallax": 0.002}, 3: {"parallax": 0.004},
        5: {"parallax": 0.007, "found": 0.8}, 8: {"parallax": 0.01, "found": 0.5},
    }  # fmt: skip
    video = measured(gaps)
    assert suggested_gaps(video) == (3, 5)
    (finding,) = check_motion(video)
    assert finding.name == "frames-too-dense"
    assert "--data.frame-gaps 3 5," in finding.remedy
    assert "--data.scene-gaps room 3 room 5" in finding.remedy


def test_frames_far_apart_ask_for_more_of_them(measured):
    (finding,) = check_motion(measured({1: {"found": 0.4, "motion": 0.05}}))
    assert (finding.name, finding.severity) == ("frames-too-far-apart", "warning")
    (finding,) = check_motion(measured({1: {"found": 0.1, "motion": np.nan, "parallax": np.nan}}))
    assert (finding.name, finding.severity) == ("frames-too-far-apart", "blocking")


def test_cuts_and_jumps_are_named_with_the_first_frame_behind_them(room, street, filmed):
    images = np.concatenate([room.images[:5], street.images[:7]])
    (finding,) = [f for f in check_motion(filmed(room, images=images)) if f.name == "scene-cuts"]
    assert (finding.name, finding.frames) == ("scene-cuts", (5,))
    images = room.images.copy()
    images[6:] = np.roll(images[6:], 26, axis=2)  # a fifth of the width
    (finding,) = [f for f in check_motion(filmed(room, images=images)) if f.name == "jumps"]
    assert finding.frames == (6,)


def test_a_rest_on_the_way_is_named(measured):
    motion = np.full(40, 0.03)
    motion[10:16] = 0.0
    motion[20:22] = 0.0  # too short to matter
    video = measured({1: {"count": 40, "motion": motion}, 2: {}})
    (finding,) = check_motion(video)
    assert (finding.name, finding.severity) == ("still-stretches", "note")
    assert finding.frames == tuple(range(10, 16))


def test_blank_images_are_said_to_show_nothing(room, filmed):
    (finding,) = check_motion(filmed(room, images=np.full_like(room.images, 90)))
    assert (finding.name, finding.severity) == ("no-texture", "blocking")


def test_a_street_has_no_blocking_motion_and_no_cut(street, filmed):
    found = check_motion(filmed(street))
    assert not {f.name for f in found if f.severity == "blocking"}
    assert "scene-cuts" not in names(found)


def test_repeated_blurred_and_darker_frames_are_named(room, filmed):
    images = room.images.copy()
    images[4] = images[3]
    (finding,) = check_pictures(filmed(room, images=images))
    assert (finding.name, finding.frames) == ("duplicates", (4,))
    images = room.images.copy()
    images[6] = np.asarray(Image.fromarray(images[6]).filter(ImageFilter.BoxBlur(3)))
    (finding,) = check_pictures(filmed(room, images=images))
    assert (finding.name, finding.frames) == ("blur", (6,))
    images = room.images.copy()
    images[5:] = images[5:] * 0.6
    (finding,) = check_pictures(filmed(room, images=images))
    assert (finding.name, finding.frames) == ("exposure-jumps", (5,))
    assert "6" in finding.what


def test_two_frames_that_wrap_in_bytes_are_no_difference(measured):
    """|10 - 12| is 2 levels, not 254."""
    video = measured({1: {"change": np.array([2.0, *[50.0] * 19])}})
    (finding,) = check_pictures(video)
    assert (finding.name, finding.frames) == ("duplicates", (1,))


def test_blur_of_one_direction_counts():
    image = np.random.default_rng(0).random((40, 40)).astype(np.float32)
    smeared = np.mean([np.roll(image, k, 1) for k in range(7)], 0).astype(np.float32)
    assert sharpness(smeared) < 0.6 * sharpness(image)
    assert sharpness(smeared.T.copy()) == pytest.approx(sharpness(smeared), rel=0.05)


def test_black_bars_are_measured_and_a_dark_corner_is_none(room, filmed):
    images = room.images.copy()
    images[:, :10] = 0
    images[:, -12:] = 3
    (finding,) = check_pictures(filmed(room, images=images))
    assert finding.name == "bars"
    assert "10 rows above, 12 below, 0 columns left and 0 right" in finding.what
    corner = room.images.copy()
    corner[:, :10, :40] = 0
    assert "bars" not in names(check_pictures(filmed(room, images=corner)))


def test_a_logo_over_all_frames_is_found_where_it_is(room, filmed):
    images = room.images.copy()
    images[:, 80:90, 100:124] = (np.indices((10, 24)).sum(0) % 6 < 3)[..., None] * 200
    (finding,) = check_pictures(filmed(room, images=images))
    assert finding.name == "overlay"
    rows, columns = finding.what.split("within rows ")[1].split(" and columns ")
    assert 79 <= int(rows.split()[0]) <= int(rows.split()[2]) <= 91
    assert 99 <= int(columns.split()[0]) <= int(columns.split()[2]) <= 125


def test_a_street_and_a_static_camera_have_no_overlay(room, street, filmed):
    assert not list(check_pictures(filmed(street)))
    still = np.repeat(room.images[:1], len(room.images), 0)
    assert "overlay" not in names(check_pictures(filmed(room, images=still)))


def test_images_that_cannot_be_read_are_named_and_none_at_all_are_no_video(room, film):
    sequence = film(room)
    sequence.images[4].write_bytes(sequence.images[4].read_bytes()[:300])
    video = video_statistics(sequence, BRIEF)
    (finding,) = check_pictures(video)
    assert (finding.name, finding.frames) == ("broken-images", (4,))
    assert "000004.png" in finding.what
    assert len(video.frames) == 11
    sequence = film(room)
    sequence = replace(sequence, images=tuple(p.with_suffix(".gone") for p in sequence.images))
    assert video_statistics(sequence, BRIEF) is None
