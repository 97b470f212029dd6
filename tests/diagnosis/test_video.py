"""The frames of a scene: what is measured of them, and what is found; good ones have no finding."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from ssmde.data.motion import TileFlow
from ssmde.data.scene_files import TRACKED_INFO, write_tracked_poses
from ssmde.data.scene_folder import read_scene
from ssmde.diagnosis.video import (
    check_poses,
    check_tracking,
    check_video,
    fit_turn,
    suggested_gaps,
    video_statistics,
)
from ssmde.io import write_json

K = np.array([[90.0, 0, 63.5], [0, 95.0, 47.5], [0, 0, 1]])
DEPTH = np.random.default_rng(0).uniform(2, 6, 42)


def flow(axis_angle, step=(0.0, 0.0, 0.0), *, movers=0):
    """What tiles do when the camera moves; the first ones also move by themselves."""
    R = Rotation.from_rotvec(axis_angle).as_matrix()
    u, v = np.meshgrid(np.linspace(15, 112, 7), np.linspace(15, 80, 6))
    centers = np.stack([u, v], -1).reshape(-1, 2)
    rays = np.concatenate([centers, np.ones((len(centers), 1))], 1) @ np.linalg.inv(K).T
    there = ((rays * DEPTH[:, None]) @ R.T + step) @ K.T
    motion = there[:, :2] / there[:, 2:] - centers
    motion[:movers] += 6.0
    like = np.ones(len(centers), np.float32)
    return TileFlow(centers.astype(np.float32), motion.astype(np.float32), like, like)


def test_a_turn_is_found_and_what_moves_by_itself_or_by_a_step_is_left_over():
    assert fit_turn(flow((0.1, -0.2, 0.15)), K).max() < 1e-2
    rest = fit_turn(flow((0.02, 0.03, 0.0), movers=12), K)
    assert np.median(rest) < 0.15
    assert rest[:12].min() > 5
    assert np.median(fit_turn(flow((0.02, 0.03, 0.0), (0.2, 0.0, 0.0)), K)) > 0.5
    likeness = np.where(np.arange(42) < 7, np.float32(1), np.float32(np.nan))
    assert fit_turn(flow((0.0, 0.1, 0.0))._replace(likeness=likeness), K) is None


def test_a_static_camera_and_blank_images_block_a_good_walk_does_not(room, room_video, filmed):
    assert not list(check_video(room_video))
    assert suggested_gaps(room_video)[0] == 1
    (finding,) = check_video(filmed([room.images[0]] * 12))
    assert (finding.name, finding.severity) == ("static-camera", "blocking")
    (finding,) = check_video(filmed(np.full_like(room.images, 90)))
    assert (finding.name, finding.severity) == ("no-texture", "blocking")


def test_turning_is_blocking_or_asks_for_tracking_unless_the_poses_are_known(measured):
    (finding,) = check_video(measured({1: {"motion": 0.1, "parallax": 0.001}}))
    assert (finding.name, finding.severity) == ("only-rotation", "blocking")
    assert "99%" in finding.what
    video = measured({1: {"motion": 0.1, "parallax": 0.005}})
    (finding,) = check_video(video)
    assert (finding.name, finding.severity) == ("mostly-rotation", "note")
    assert finding.remedy == "train with --data.poses file"
    (finding,) = check_video(replace(video, sequence=replace(video.sequence, poses=None)))
    assert finding.severity == "warning"
    assert finding.remedy.startswith("`ssmde track ")
    assert not list(check_video(measured({1: {"motion": 0.1, "parallax": 0.02}})))


def test_dense_frames_get_the_gaps_with_enough_parallax_that_still_show_the_same(measured):
    gaps = {
        1: {"parallax": 0.001}, 2: {"parallax": 0.002}, 3: {"parallax": 0.004},
        5: {"parallax": 0.007, "found": 0.8}, 8: {"parallax": 0.01, "found": 0.5},
    }  # fmt: skip
    video = measured(gaps)
    assert suggested_gaps(video) == (3, 5)
    (finding,) = check_video(video)
    assert finding.name == "frames-too-dense"
    assert "--data.frame-gaps 3 5," in finding.remedy
    assert "--data.scene-gaps room 3 room 5" in finding.remedy


def test_frames_far_apart_ask_for_more_of_them(measured):
    (finding,) = check_video(measured({1: {"found": 0.4, "motion": 0.05}}))
    assert (finding.name, finding.severity) == ("frames-too-far-apart", "warning")
    (finding,) = check_video(measured({1: {"found": 0.1, "motion": np.nan, "parallax": np.nan}}))
    assert (finding.name, finding.severity) == ("frames-too-far-apart", "blocking")


def test_a_cut_is_named_with_the_first_frame_behind_it(room, filmed):
    images = room.images.copy()
    images[3:] = images[3:, ::-1, ::-1]
    assert {f.name: f.frames for f in check_video(filmed(images))} == {"scene-cuts": (3,)}


def test_images_that_cannot_be_used_are_named(film):
    sequence = read_scene(film())
    content = sequence.images[4].read_bytes()
    sequence.images[4].write_bytes(content[:300])
    (finding,) = check_video(video_statistics(sequence, 11, 0))
    assert (finding.name, finding.frames) == ("broken-images", (4,))
    assert "000004.png" in finding.what
    gone = replace(sequence, images=tuple(p.with_suffix(".gone") for p in sequence.images))
    (finding,) = check_video(video_statistics(gone, 11, 0))
    assert finding.frames == tuple(range(12))


@pytest.mark.parametrize(("change", "what"), [
    (lambda poses: poses, None),
    (lambda poses: None, None),
    (np.linalg.inv, "from world to camera"),
    (lambda poses: poses @ np.diag([1, -1, -1, 1]), "with y up and z backward"),
], ids=["good", "none", "reversed", "opengl"])  # fmt: skip
def test_poses_that_mean_something_else_are_told(room_video, change, what):
    sequence = replace(room_video.sequence, poses=change(room_video.sequence.poses))
    found = list(check_poses(replace(room_video, sequence=sequence), 8))
    assert [finding.name for finding in found] == ["pose-direction"] * (what is not None)
    assert all(what in finding.what for finding in found)


def test_tracked_motion_that_cannot_be_trusted_is_named(tmp_path):
    for number in range(40):
        Image.new("RGB", (8, 6)).save(tmp_path / f"{number:02d}.png")
    write_tracked_poses(tmp_path, np.tile(np.eye(4), (40, 1, 1)), np.zeros(40), "test")
    assert not list(check_tracking(read_scene(tmp_path)))  # tracked before there were figures
    info = {"frames": 40, "found": 40, "standing": 12, "doubtful": 28, "explained": 0.64}
    write_json(tmp_path / TRACKED_INFO, info | {"doubtful": 0, "explained": 0.96})
    assert not list(check_tracking(read_scene(tmp_path)))
    write_json(tmp_path / TRACKED_INFO, info)
    (finding,) = check_tracking(read_scene(tmp_path))
    assert (finding.name, finding.severity) == ("tracked-motion-doubtful", "warning")
    assert "64% of the matches" in finding.what
    assert "stands in 12 frames; 28 frames of 40 are left out" in finding.what
    assert "without --data.poses tracked" in finding.remedy
