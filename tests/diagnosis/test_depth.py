"""Truth, poses and labels: reversed, inverted or foreign ones are named, good ones not."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

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
TURNS = np.tile(np.eye(4), (12, 1, 1))  # of every second frame, by 20 degrees
TURNS[::2, :3, :3] = Rotation.from_euler("y", 20, degrees=True).as_matrix()


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
    assert "stands in 12 frames; 28 frames of 40 are left out" in finding.what
    assert "without --data.poses tracked" in finding.remedy


def test_good_truth_is_fine_and_that_of_other_images_unlike(room, room_video, film):
    assert not list(check_truth(room_video.sequence, MOST))
    (finding,) = check_truth(read_scene(film(depth=room.depth[:, :, ::-1])), MOST)
    assert finding.name == "truth-unlike"


def test_a_depth_of_kilometres_is_a_wrong_unit(film):
    folder = film()
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
    sequence = read_scene(film(depth=depth))
    (finding,) = [f for f in check_truth(sequence, MOST) if "ceiling" in f.name]
    assert finding.what.startswith("20% of the measured depth is exactly 60 metres")
    sequence.depth[2].write_bytes(b"no depth")
    (finding,) = [f for f in check_truth(sequence, 12) if "broken" in f.name]
    assert (finding.name, finding.frames) == ("broken-truth", (2,))


@pytest.mark.parametrize(("change", "name", "what"), [
    (lambda poses: poses, None, ""),
    (lambda poses: None, None, ""),
    (np.linalg.inv, "pose-direction", "from world to camera"),
    (lambda poses: poses @ np.diag([1, -1, -1, 1]), "pose-direction", "with y up and z backward"),
    (lambda poses: poses @ TURNS, "poses-unlike", "how the image moves"),
], ids=["good", "none", "reversed", "opengl", "of-other-frames"])  # fmt: skip
def test_poses_that_mean_something_else_are_told(room_video, change, name, what):
    sequence = replace(room_video.sequence, poses=change(room_video.sequence.poses))
    found = list(check_poses(replace(room_video, sequence=sequence), MOST))
    assert [finding.name for finding in found] == ([name] if name else [])
    assert all(what in finding.what for finding in found)


@pytest.fixture
def labelled(film):
    """Function: the room with labels, without truth if asked for."""

    def make(maps, kind="depth", *, truth=True):
        folder = film()
        if not truth:
            shutil.rmtree(folder / "depth")
        info = LabelInfo(source="test", kind=kind, affine=True, licence="MIT")
        labels = {f"{i:06d}": m.astype(np.float32) for i, m in enumerate(maps)}
        write_labels(folder / "pseudo_depth", info, labels)
        return read_scene(folder)

    return make


@pytest.mark.parametrize(
    ("kind", "change", "name"),
    [("depth", lambda depth: 2 + 3 * depth, None), ("disparity", lambda depth: 1 / depth, None),
     ("depth", lambda depth: 1 / depth, "labels-inverted"),
     ("depth", lambda depth: depth[:, :, ::-1], "labels-unlike")],
    ids=["depth", "disparity", "inverted", "of-other-images"],
)  # fmt: skip
def test_good_labels_are_fine_inverted_and_foreign_ones_are_named(
    room, labelled, kind, change, name
):
    found = list(check_labels(labelled(change(room.depth), kind), MOST))
    assert [f.name for f in found][:1] == ([name] if name else [])
    if name == "labels-inverted":
        assert found[0].severity == "blocking"
        assert 'set "kind": "disparity"' in found[0].remedy


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


def test_without_truth_the_floor_tells_with_less_certainty(labelled):
    ramp = np.linspace(1, 5, 96)[:, None] * np.ones((12, 1, 128))
    for maps, severities in ((ramp, ["warning"]), (ramp[:, ::-1], [])):
        found = check_labels(labelled(maps, truth=False), MOST)
        assert [f.severity for f in found if f.name == "labels-inverted"] == severities


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
