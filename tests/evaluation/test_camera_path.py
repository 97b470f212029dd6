"""Paths of the camera: errors that a hand can compute, both sources, and what is printed."""

import json

import numpy as np
import pytest
from PIL import Image

from ssmde.data.scene_files import write_poses, write_tracked_poses
from ssmde.data.scene_folder import read_scene
from ssmde.evaluation import odometry
from ssmde.evaluation.camera_path import align_path, chain, path_errors, tracked_paths
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


def turned(poses, angle=0.7, scale=1.0, shift=(1.0, 2.0, 3.0)):
    """The same path in another world, and in another unit."""
    c, s = np.cos(angle), np.sin(angle)
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = [[c, 0, s], [0, 1, 0], [-s, 0, c]], shift
    moved = T @ poses
    moved[:, :3, 3] *= scale
    return moved


def straight(*positions):
    poses = np.tile(np.eye(4), (len(positions), 1, 1))
    poses[:, :3, 3] = positions
    return poses


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
    true = straight((0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 0, 3))
    bent = straight((0, 0, 0), (0, 0, 1), (0, 0, 2), (2, 0, 3))
    found = numbers(bent, true, "none")
    assert found["ate"] == pytest.approx(1)  # sqrt(2^2 / 4)
    assert found["rpe_translation"] == pytest.approx(2 / 3**0.5)
    assert (found["rpe_degrees"], found["scale"]) == (pytest.approx(0), 1.0)
    # The factor that brings (0 0 1), (0 0 2), (2 0 3) nearest to the truth is 14 / 18.
    scaled = numbers(bent, true, "scale")
    assert scaled["scale"] == pytest.approx(14 / 18)
    rest = ((14 / 18 * np.array([1, 2, 3]) - [1, 2, 3]) ** 2).sum() + (2 * 14 / 18) ** 2
    assert scaled["ate"] == pytest.approx((rest / 4) ** 0.5)
    true = straight((0, 0, 0), (0, 0, 1), (0, 0, 2), (1, 0, 3))
    assert numbers(bent, true, "sim3")["ate"] < numbers(bent, true, "scale")["ate"]
    with pytest.raises(ValueError, match="lies on a straight line"):
        numbers(bent, straight((0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 0, 3)), "sim3")
    with pytest.raises(ValueError, match="leads away from the true one"):
        numbers(straight((0, 0, 0), (0, 0, -1), (0, 0, -2), (0, 0, -3)), true, "scale")


def test_errors_of_a_step_are_those_of_a_hand_and_a_hole_is_no_step():
    true = straight((0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 0, 3))
    turned_last, a = true.copy(), np.radians(3)
    turned_last[3, :3, :3] = [[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]]
    assert numbers(turned_last, true, "none")["rpe_degrees"] == pytest.approx(3 / 3**0.5)
    off = straight((0, 0, 0), (0, 0, 1), (0, 0, 5), (0, 0, 6))
    holed = path_errors(off, true, np.array([0, 1, 5, 6]))
    assert holed["rpe_translation"] == pytest.approx(0, abs=1e-12)
    assert path_errors(off, true, np.arange(4))["rpe_translation"] == pytest.approx(3**0.5)
    assert np.isnan(path_errors(off, true, np.arange(0, 8, 2))["rpe_degrees"])


def test_rotations_that_a_text_file_has_rounded_are_measured_and_others_refused(clip):
    found = numbers(clip.poses.round(4), clip.poses, "none")
    assert found["rpe_degrees"] == pytest.approx(0, abs=0.02)
    wrong = clip.poses.copy()
    wrong[:, :3, :3] *= 1.06
    with pytest.raises(ValueError, match="away from a rotation"):
        numbers(wrong, clip.poses, "none")


def test_motions_are_chained_from_target_to_source(clip):
    motions = [np.linalg.inv(clip.poses[i + 1]) @ clip.poses[i] for i in range(FRAMES - 1)]
    np.testing.assert_allclose(
        chain(motions), np.linalg.inv(clip.poses[0]) @ clip.poses, atol=1e-12
    )


def test_tracked_motion_is_measured_part_by_part_and_written(data, clip, tmp_path):
    parts = np.array([0, 0, 0, 0, 1, 1, 1, -1], dtype=float)
    poses = turned(clip.poses, scale=0.5)
    poses[4:] = turned(clip.poses[4:], angle=-1, scale=3.0)
    poses[7] = np.nan
    write_tracked_poses(data / "room", poses, parts, "drawn")
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

    def start(self, path, device=None):
        self.gap, self.image_size = gap, (32, 64)

    def motion(self, target, source):
        i = gap * len(asked)
        asked.append((target, source))
        here = np.linalg.inv(T[i + gap]) @ T[i]
        here[:3, 3] /= metres
        return here

    monkeypatch.setattr(MotionPredictor, "__init__", start)
    monkeypatch.setattr(MotionPredictor, "__call__", motion)
    head = {} if metres == 1 else {"metric_scale": HEAD}
    monkeypatch.setattr("ssmde.evaluation.camera_path.find_weights", lambda path: path)
    monkeypatch.setattr("ssmde.evaluation.camera_path.read_weights", lambda path: ({}, head))
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
    refused("small: holds no pose network; give weights of", "small", data)
    refused(r"tracked_poses\.txt does not exist; `ssmde track", "tracked", data)
    still = np.tile(np.eye(4), (FRAMES, 1, 1))
    with pytest.raises(ValueError, match="the estimated path stands still"):
        align_path(still, clip.poses, "sim3")
    with pytest.raises(ValueError, match="at least 3 frames with true poses, got 2"):
        align_path(clip.poses[:2], clip.poses[:2], "sim3")
    write_poses(data / "room", still)
    write_tracked_poses(data / "room", clip.poses, np.zeros(FRAMES), "x")
    refused("room: the true path stands still", "tracked", data)
    (data / "room" / "poses.txt").unlink()
    refused(r"no scene has a poses\.txt", "tracked", data)


def test_what_was_not_tracked_is_left_out(data, clip):
    write_clip(clip, data / "other")
    write_tracked_poses(data / "room", clip.poses, np.zeros(FRAMES), "x")
    assert [path.name for path in odometry("tracked", data, out=None).paths] == ["room"]
    poses = np.full_like(clip.poses, np.nan)
    write_tracked_poses(data / "room", poses, np.full(FRAMES, -1.0), "x")
    assert list(tracked_paths(read_scene(data / "room"))) == []
    refused("no path has 3 frames with a true pose", "tracked", data)
