"""Paths of the camera: errors that a hand can compute, both sources, and what is printed."""

import json

import numpy as np
import pytest
from PIL import Image

from ssmde.data.scene_files import write_poses, write_tracked_poses
from ssmde.data.scene_folder import read_scene
from ssmde.evaluation import odometry
from ssmde.evaluation.camera_path import align_path, path_errors, tracked_paths
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
    T[:3, :3], T[:3, 3] = rotation(angle), (1.0, 2.0, 3.0)
    moved = T @ poses
    moved[:, :3, 3] *= scale
    return moved


def rotation(angle):
    c, s = np.cos(angle), np.sin(angle)
    return [[c, 0, s], [0, 1, 0], [-s, 0, c]]


def along(*z, last_x=0.0):
    """A camera that stands at each z and looks along it, aside at the end."""
    poses = np.tile(np.eye(4), (len(z), 1, 1))
    poses[:, 2, 3], poses[-1, 0, 3] = z, last_x
    return poses


STRAIGHT, BENT = along(0, 1, 2, 3), along(0, 1, 2, 3, last_x=2)


def numbers(estimated, true, how):
    aligned, factor = align_path(estimated, true, how)
    return path_errors(aligned, true, np.arange(len(true))) | {"scale": factor}


@pytest.mark.parametrize("how", ["sim3", "scale"])
def test_a_path_in_another_world_and_unit_has_no_error(clip, how):
    found = numbers(turned(clip.poses, scale=0.2), clip.poses, how)
    assert found["scale"] == pytest.approx(5)
    assert [found[n] for n in ("ate", "rpe_translation")] == pytest.approx([0, 0], abs=1e-9)
    assert found["rpe_degrees"] == pytest.approx(0, abs=1e-5)


def test_errors_are_those_of_a_hand():
    found = numbers(BENT, STRAIGHT, "none")
    assert found["ate"] == pytest.approx(1)  # sqrt(2^2 / 4)
    assert found["rpe_translation"] == pytest.approx(2 / 3**0.5)
    assert (found["rpe_degrees"], found["scale"]) == (pytest.approx(0), 1.0)
    # The factor that brings (0 0 1), (0 0 2), (2 0 3) nearest to the truth is 14 / 18.
    scaled = numbers(BENT, STRAIGHT, "scale")
    assert scaled["scale"] == pytest.approx(14 / 18)
    rest = ((14 / 18 * np.array([1, 2, 3]) - [1, 2, 3]) ** 2).sum() + (2 * 14 / 18) ** 2
    assert scaled["ate"] == pytest.approx((rest / 4) ** 0.5)
    true = along(0, 1, 2, 3, last_x=1)
    assert numbers(BENT, true, "sim3")["ate"] < numbers(BENT, true, "scale")["ate"]


def test_errors_of_a_step_are_those_of_a_hand_and_a_hole_is_no_step():
    turned_last = STRAIGHT.copy()
    turned_last[3, :3, :3] = rotation(np.radians(3))
    assert numbers(turned_last, STRAIGHT, "none")["rpe_degrees"] == pytest.approx(3 / 3**0.5)
    off = along(0, 1, 5, 6)
    holed = path_errors(off, STRAIGHT, np.array([0, 1, 5, 6]))
    assert holed["rpe_translation"] == pytest.approx(0, abs=1e-12)
    assert path_errors(off, STRAIGHT, np.arange(4))["rpe_translation"] == pytest.approx(3**0.5)
    assert np.isnan(path_errors(off, STRAIGHT, np.arange(0, 8, 2))["rpe_degrees"])


@pytest.mark.parametrize(
    ("estimated", "true", "how", "says"),
    [
        (BENT, STRAIGHT, "sim3", "lies on a straight line"),
        (along(0, -1, -2, -3), STRAIGHT, "scale", "leads away from the true one"),
        (np.tile(np.eye(4), (4, 1, 1)), BENT, "sim3", "the estimated path stands still"),
        (BENT * 1.06, BENT, "none", "away from a rotation"),
    ],
)
def test_what_cannot_be_aligned_says_why(estimated, true, how, says):
    with pytest.raises(ValueError, match=says):
        align_path(estimated, true, how)


def test_rotations_that_a_text_file_has_rounded_are_measured(clip):
    found = numbers(clip.poses.round(4), clip.poses, "none")
    assert found["rpe_degrees"] == pytest.approx(0, abs=0.02)


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
    assert [e.align for e in found[0].errors] == ["sim3", "scale"]
    assert [r.errors[0].scale for r in found] == pytest.approx([2, 1 / 3], rel=1e-5)
    assert all(e.ate < 1e-6 for r in found for e in r.errors)
    said = str(result)
    assert f"numbers: {tmp_path / 'out' / 'odometry.json'}" in said
    assert all(word in said for word in ("sim3", "scale", "ATE m", "RPE deg", "room, part 1"))
    stored = json.loads((tmp_path / "out" / "odometry.json").read_text())
    assert stored["source"] == "tracked"
    assert stored["paths"][0]["errors"][1]["align"] == "scale"
    with Image.open(tmp_path / "out" / "room-part-0.png") as picture:
        assert picture.size == (600, 600)


HEAD = '{"metres_per_unit": 4.0, "error": 0.1, "spread": 0.2, "estimates": 9, "source": "x"}'


@pytest.mark.parametrize(("gap", "metres"), [(2, 1.0), (1, 4.0)])
def test_a_pose_network_is_asked_in_steps_of_its_gap_and_in_its_own_metres(
    gap, metres, data, clip, monkeypatch
):
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
            here[:3, 3] /= metres
            return here

    head = {} if metres == 1 else {"metric_scale": HEAD}
    module = "ssmde.evaluation.camera_path"
    monkeypatch.setattr(f"{module}.MotionPredictor", Motion)
    monkeypatch.setattr(f"{module}.find_weights", lambda path: path)
    monkeypatch.setattr(f"{module}.read_weights", lambda path: ({}, head))
    [found] = odometry("w.safetensors", data, out=None).paths
    assert (found.frames, found.step) == (FRAMES // gap, gap)
    assert np.array_equal(asked[1], [clip.images[gap], clip.images[2 * gap]])
    assert [e.align for e in found.errors] == ["sim3", "scale", "none"][: 2 if metres == 1 else 3]
    assert all(e.ate < 1e-6 for e in found.errors)
    assert found.errors[1].scale == pytest.approx(metres)


def refused(says, source, data):
    with pytest.raises(ValueError, match=says):
        odometry(source, data, out=None)


def test_what_cannot_be_measured_says_why(data, clip):
    room = data / "room"
    refused("small: holds no pose network; give weights of", "small", data)
    refused(r"tracked_poses\.txt does not exist; `ssmde track", "tracked", data)
    write_tracked_poses(room, np.full_like(clip.poses, np.nan), np.full(FRAMES, -1.0), "x")
    assert list(tracked_paths(read_scene(room))) == []
    refused("no path has 3 frames with a true pose", "tracked", data)
    write_tracked_poses(room, clip.poses, np.zeros(FRAMES), "x")
    write_poses(room, np.tile(np.eye(4), (FRAMES, 1, 1)))
    refused("room: the true path stands still", "tracked", data)
    (room / "poses.txt").unlink()
    refused(r"no scene has a poses\.txt", "tracked", data)
