"""Paths of the camera: errors that a hand can compute, both sources, and what is printed."""

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ssmde.data.scene_files import write_poses, write_tracked_poses
from ssmde.data.scene_folder import read_scene
from ssmde.evaluation import odometry
from ssmde.evaluation.camera_path import CameraPath, path_errors, tracked_paths
from ssmde.inference.loading import MotionPredictor
from ssmde.synthetic import draw_clip, write_clip

FRAMES = 8


@pytest.fixture(scope="module")
def clip():
    return draw_clip("room", frames=FRAMES, size=(32, 64), seed=2)


@pytest.fixture
def data(clip, tmp_path):
    write_clip(clip, tmp_path / "data" / "room")
    return tmp_path / "data"


def turned(poses, angle=0.7, scale=1.0):
    """The same path in another world, and in another unit."""
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = Rotation.from_euler("y", angle).as_matrix(), (1.0, 2.0, 3.0)
    moved = T @ poses
    moved[:, :3, 3] *= scale
    return moved


def places(*xz):
    """A camera that looks along z at each of these places."""
    poses = np.tile(np.eye(4), (len(xz), 1, 1))
    poses[:, :3:2, 3] = xz
    return poses


SQUARE = places((1, 1), (-1, 1), (-1, -1), (1, -1))
IN_AND_OUT = places((1.5, 1.5), (-0.5, 0.5), (-1.5, -1.5), (0.5, -0.5))


def errors_of(poses, true, frames=(0, 1, 2, 3)):
    return path_errors(CameraPath("x", poses, np.array(frames)), true)


def test_errors_are_those_of_a_hand_and_a_hole_is_no_step():
    found = errors_of(IN_AND_OUT, SQUARE)
    assert found.scale == pytest.approx(0.8)  # 1 / (1 + 0.5^2): corners off by 0.2 and 0.6 of them
    assert found.ate == pytest.approx(0.4**0.5)  # 2 (0.2^2 + 0.6^2) / 2
    assert found.rpe_translation == pytest.approx(0.8**0.5)  # at right angles
    assert (found.metres, found.rpe_degrees) == (6, pytest.approx(0, abs=1e-5))
    off = turned(SQUARE.copy(), scale=0.2)
    off[3, :3, :3] = off[3, :3, :3] @ Rotation.from_euler("y", 3, degrees=True).as_matrix()
    found = errors_of(off, SQUARE)
    assert (found.scale, found.ate) == (pytest.approx(5), pytest.approx(0, abs=1e-9))
    assert found.rpe_degrees == pytest.approx(3 / 3**0.5)
    assert errors_of(off, SQUARE, (0, 1, 2, 6)).rpe_degrees == pytest.approx(0, abs=1e-5)
    assert np.isnan(errors_of(off, SQUARE, (0, 2, 4, 6)).rpe_degrees)


@pytest.mark.parametrize(("poses", "says"), [
    (places((0, 0), (0, 1), (0, 2), (0, 3)), "lies on a straight line"),
    (places(*[(0, 0)] * 4), "the estimated path stands still"),
])  # fmt: skip
def test_what_cannot_be_aligned_says_why(poses, says):
    with pytest.raises(ValueError, match=says):
        errors_of(poses, SQUARE)


def test_tracked_motion_is_measured_part_by_part_and_written(data, clip, tmp_path):
    parts = np.array([0, 0, 0, 0, 1, 1, 1, -1], dtype=float)
    poses = turned(clip.poses, scale=0.5)
    poses[4:] = turned(clip.poses[4:], angle=-1, scale=3.0)
    poses[7] = np.nan
    write_tracked_poses(data / "room", poses, parts, "drawn")
    write_clip(clip, data / "not_tracked")
    result = odometry("tracked", data, out=tmp_path / "out")
    found = result.paths
    assert [(r.name, r.frames) for r in found] == [("room, part 0", 4), ("room, part 1", 3)]
    assert [r.scale for r in found] == pytest.approx([2, 1 / 3], rel=1e-5)
    assert all(r.ate < 1e-6 for r in found)
    said = str(result)
    assert f"numbers: {tmp_path / 'out' / 'odometry.json'}" in said
    assert all(word in said for word in ("sim3", "scale", "ATE m", "RPE deg", "room, part 1"))
    stored = json.loads((tmp_path / "out" / "odometry.json").read_text())
    assert (stored["source"], stored["paths"][0]["scale"]) == ("tracked", found[0].scale)


@pytest.mark.parametrize("gap", [1, 2])
def test_a_pose_network_is_asked_in_steps_of_its_gap(gap, data, clip, monkeypatch):
    T, asked = clip.poses, []

    class Motion(MotionPredictor):
        def __init__(self, source):
            self.gap = gap

        def see(self, pixels):
            return pixels

        def __call__(self, target, source):
            i = gap * len(asked)
            asked.append((target, source))
            here = np.linalg.inv(T[i + gap]) @ T[i]
            here[:3, 3] /= 4
            return here

    monkeypatch.setattr("ssmde.evaluation.camera_path.MotionPredictor", Motion)
    [found] = odometry("w.safetensors", data, out=None).paths
    assert (found.frames, found.step) == (FRAMES // gap, gap)
    assert np.array_equal(asked[1], [clip.images[gap], clip.images[2 * gap]])
    assert (found.ate, found.scale) == (pytest.approx(0, abs=1e-6), pytest.approx(4))


def test_what_cannot_be_measured_says_why(data, clip):
    room = data / "room"

    def refused(says, source="tracked"):
        with pytest.raises(ValueError, match=says):
            odometry(source, data, out=None)

    refused("small: holds no pose network; give weights of", "small")
    refused(r"tracked_poses\.txt does not exist; `ssmde track")
    write_tracked_poses(room, np.full_like(clip.poses, np.nan), np.full(FRAMES, -1.0), "x")
    assert list(tracked_paths(read_scene(room))) == []
    refused("no path has 3 frames with a true pose")
    write_tracked_poses(room, clip.poses, np.zeros(FRAMES), "x")
    write_poses(room, np.tile(np.eye(4), (FRAMES, 1, 1)))
    refused("room: the true path stands still")
    (room / "poses.txt").unlink()
    refused(r"no scene has a poses\.txt")
