"""Truth, poses and labels: shifted, reversed, inverted or foreign ones are named, good ones not."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from doctor_scenes import names
from ssmde.data.pseudo_labels import LabelInfo, write_labels
from ssmde.data.scene_files import (
    TRACKED_INFO,
    write_scene_info,
    write_tracked_points,
    write_tracked_poses,
)
from ssmde.data.scene_folder import read_scene
from ssmde.diagnosis.depth import check_labels, check_truth, rank_correlation
from ssmde.diagnosis.poses import check_poses, check_tracking
from ssmde.io import write_json

MOST = 8


def test_the_figure_of_tracked_motion_is_shown_and_what_cannot_be_trusted_named(tmp_path):
    for number in range(40):
        Image.new("RGB", (8, 6)).save(tmp_path / f"{number:02d}.png")
    write_tracked_poses(tmp_path, np.tile(np.eye(4), (40, 1, 1)), np.zeros(40), "test")
    assert not list(check_tracking(read_scene(tmp_path)))  # tracked before there were figures
    info = {"frames": 40, "found": 40, "standing": 0, "doubtful": 0, "explained": 0.96}
    write_json(tmp_path / TRACKED_INFO, info)
    (finding,) = check_tracking(read_scene(tmp_path))
    assert (finding.name, finding.severity) == ("tracked-motion", "note")
    assert "explains 96% of the matches" in finding.what
    write_json(tmp_path / TRACKED_INFO, info | {"explained": 0.64, "doubtful": 28, "standing": 12})
    (finding,) = check_tracking(read_scene(tmp_path))
    assert (finding.name, finding.severity) == ("tracked-motion-doubtful", "warning")
    assert "28 frames of 40 are left out" in finding.what
    assert "stands in 12 frames" in finding.what
    assert "without --data.poses tracked" in finding.remedy


def test_good_truth_is_fine(room_video):
    assert not list(check_truth(room_video.sequence, MOST))


@pytest.mark.parametrize(("right", "down"), [(-5, 0), (4, -3)])
def test_truth_that_was_moved_is_moved_back(room, film, right, down):
    moved = np.roll(room.depth, (-down, -right), (1, 2))
    (finding,) = check_truth(film(room, depth=moved), MOST)
    assert finding.name == "truth-register"
    assert f"moved {right} pixels to the right and {down} down" in finding.what


def test_truth_of_another_focal_length_is_enlarged_and_of_other_images_unlike(room, film, street):
    middle = (np.array(room.depth.shape[1:]) - 1) / 2
    rows, columns = (
        np.rint((np.arange(n) - c) * 1.1 + c).astype(int).clip(0, n - 1)
        for n, c in zip(room.depth.shape[1:], middle, strict=True)
    )
    smaller = room.depth[:, rows[:, None], columns]  # each thing looks 1.1 times smaller
    (finding,) = check_truth(film(room, depth=smaller), MOST)
    assert finding.name == "truth-register"
    assert "enlarged by 1.1" in finding.what
    (finding,) = check_truth(film(room, depth=street.depth[:, :, ::-1]), MOST)
    assert finding.name in ("truth-unlike", "truth-register")


def test_a_depth_of_kilometres_is_a_wrong_unit(room, film):
    folder = film(room).images[0].parent
    write_scene_info(folder, {"depth_units_per_metre": 1})
    (finding,) = check_truth(read_scene(folder), MOST)
    assert finding.name == "depth-unit"
    assert "which is 1: 1000 if the PNGs hold millimetres" in finding.remedy
    write_scene_info(folder, {})
    (finding,) = check_truth(read_scene(folder), MOST)
    assert finding.name == "depth-unit"
    assert "unknown" in finding.what


def test_numbers_that_stand_for_no_depth_and_broken_truth_are_named(room, film):
    depth = room.depth.copy()
    depth[:, :, -len(depth[0, 0]) // 5 :] = 60
    (finding,) = [f for f in check_truth(film(room, depth=depth), MOST) if "ceiling" in f.name]
    assert finding.what.startswith("20% of the measured depth is exactly 60 metres")
    sequence = film(room)
    sequence.depth[2].write_bytes(b"no depth")
    (finding,) = check_truth(sequence, 12)
    assert (finding.name, finding.frames) == ("broken-truth", (2,))


@pytest.mark.parametrize("truth", [True, False])
def test_good_poses_are_fine(room_video, truth):
    sequence = room_video.sequence
    known = sequence if truth else replace(sequence, depth=None)
    assert not list(check_poses(replace(room_video, sequence=known), MOST))


@pytest.mark.parametrize("truth", [True, False])
@pytest.mark.parametrize(("change", "what"), [
    (np.linalg.inv, "from world to camera"),
    (lambda poses: poses @ np.diag([1, -1, -1, 1]), "with y up and z backward"),
], ids=["reversed", "opengl"])  # fmt: skip
def test_poses_that_mean_something_else_are_told(room_video, change, what, truth):
    sequence = replace(room_video.sequence, poses=change(room_video.sequence.poses))
    if not truth:
        sequence = replace(sequence, depth=None)
    (finding,) = check_poses(replace(room_video, sequence=sequence), MOST)
    assert (finding.name, finding.severity) == ("pose-direction", "blocking")
    assert what in finding.what


def test_poses_of_another_unit_or_another_video_are_told_and_none_are_fine(room_video):
    sequence = replace(room_video.sequence, depth_units_per_metre=200.0)  # it is 1000
    (finding,) = check_poses(replace(room_video, sequence=sequence), MOST)
    assert finding.name == "depth-unit"
    assert "depth_units_per_metre in scene.json to about 1000" in finding.remedy
    poses = room_video.sequence.poses[::-1].copy()
    poses[:, :3, 3] *= -3
    sequence = replace(room_video.sequence, poses=poses)
    found = names(check_poses(replace(room_video, sequence=sequence), MOST))
    assert found in (["poses-unlike"], ["pose-direction"])
    sequence = replace(room_video.sequence, poses=None)
    assert not list(check_poses(replace(room_video, sequence=sequence), MOST))


@pytest.fixture
def labelled(room, film):
    """Function: the room with labels, and what is said about them."""

    def make(maps, kind="depth", *, truth=True):
        folder = film(room).images[0].parent
        info = LabelInfo(source="test", kind=kind, affine=True, licence="MIT")
        labels = {f"{i:06d}": m.astype(np.float32) for i, m in enumerate(maps)}
        write_labels(folder / "pseudo_depth", info, labels)
        sequence = read_scene(folder)
        return sequence if truth else replace(sequence, depth=None)

    return make


@pytest.mark.parametrize(
    ("kind", "change"),
    [("depth", lambda depth: 2 + 3 * depth), ("disparity", lambda depth: 1 / depth)],
    ids=["depth", "disparity"],
)
def test_good_labels_are_fine(room, labelled, kind, change):
    assert not list(check_labels(labelled(change(room.depth), kind), MOST))


def test_disparity_taken_for_depth_is_blocking_by_the_truth(room, labelled):
    (finding,) = check_labels(labelled(1 / room.depth), MOST)
    assert (finding.name, finding.severity) == ("labels-inverted", "blocking")
    assert 'set "kind": "disparity"' in finding.remedy


def test_depth_taken_for_disparity_is_blocking_by_tracked_points(room, labelled):
    sequence = labelled(room.depth, "disparity", truth=False)
    rng = np.random.default_rng(0)
    points = {}
    for frame in range(12):
        u, v = rng.integers(0, 128, 60), rng.integers(0, 96, 60)
        pixels = np.stack([u, v], 1).astype(float)
        points[frame] = (pixels, room.depth[frame, v, u].astype(float))
    write_tracked_points(sequence.images[0].parent, points)
    (finding,) = check_labels(sequence, MOST)
    assert (finding.name, finding.severity) == ("labels-inverted", "blocking")
    assert "tracked points" in finding.what


@pytest.mark.parametrize("down", [True, False])
def test_without_truth_the_floor_tells_with_less_certainty(labelled, down):
    ramp = np.linspace(1, 5, 96)[:, None] if down else np.linspace(5, 1, 96)[:, None]
    ramp = np.broadcast_to(ramp, (12, 96, 128))
    found = check_labels(labelled(ramp, truth=False), MOST)
    severities = [f.severity for f in found if f.name == "labels-inverted"]
    assert severities == (["warning"] if down else [])


def test_an_order_that_cannot_be_told_is_a_note(labelled):
    ramp = np.broadcast_to(np.linspace(1, 5, 128)[None], (12, 96, 128))
    found = check_labels(labelled(ramp, truth=False), MOST)
    (finding,) = [f for f in found if f.name == "labels-order"]
    assert finding.severity == "note"
    assert "cannot be told" in finding.what


def test_labels_of_other_images_are_unlike(room, labelled):
    finding = next(check_labels(labelled(room.depth[:, :, ::-1]), MOST))
    assert finding.name == "labels-unlike"
    assert "--overwrite" in finding.remedy


@pytest.mark.parametrize("empty", [True, False])
def test_labels_that_cannot_be_used_are_named(room, labelled, empty):
    sequence = labelled(room.depth)
    if empty:
        Image.fromarray(np.zeros((4, 6), np.uint16)).save(sequence.pseudo_depth[3])
    else:
        sequence.pseudo_depth[3].write_bytes(b"no label")
    (finding,) = check_labels(sequence, 12)
    assert (finding.name, finding.frames) == ("broken-labels", (3,))


def test_rank_correlation_is_that_of_the_order():
    a = np.arange(40.0)
    assert rank_correlation(a, np.exp(a / 10)) == pytest.approx(1)
    assert rank_correlation(a, 1e6 - a**3) == pytest.approx(-1)
    assert np.isnan(rank_correlation(a[:5], a[:5]))
    assert np.isnan(rank_correlation(a, np.ones(40)))
