"""KITTI odometry: sequences with the poses of their own camera; what is missing is named."""

import numpy as np
import pytest

from kitti_archive import CX, CY, FOCAL, HEIGHT, WIDTH, make_sequence, points
from ssmde.data.archives.kitti_odometry import index_kitti_odometry


def write_poses(root, name, poses):
    (root / "poses").mkdir(exist_ok=True)
    lines = [" ".join(f"{x:.12e}" for x in pose[:3].ravel()) for pose in poses]
    (root / "poses" / f"{name}.txt").write_text("\n".join(lines))


def driving(frames=4):
    poses = np.tile(np.eye(4), (frames, 1, 1))
    poses[:, 2, 3] = range(frames)
    return poses


def test_the_first_nine_sequences_train_and_the_others_test(tmp_path):
    for name in ("00", "08", "09", "10", "11", "21"):
        make_sequence(tmp_path, name, frames=1)
        write_poses(tmp_path, name, driving(1))
    archive = index_kitti_odometry(tmp_path)
    assert {s.name: s.split for s in archive.scenes} == {
        "odometry_00": "train",
        "odometry_08": "train",
        "odometry_09": "test",
        "odometry_10": "test",
        "odometry_11": "test",
        "odometry_21": "test",
    }
    assert not archive.problems
    assert not any(scene.problems for scene in archive.scenes)


def test_a_sequence_has_the_camera_and_the_times_of_its_files(tmp_path):
    make_sequence(tmp_path)
    write_poses(tmp_path, "00", driving())
    (scene,) = index_kitti_odometry(tmp_path).scenes
    assert scene.intrinsics.tolist() == [[FOCAL, 0, CX], [0, FOCAL, CY], [0, 0, 1]]
    assert [frame.name for frame in scene.frames] == ["000000", "000001", "000002", "000003"]
    np.testing.assert_allclose(scene.timestamps, np.arange(4) * 0.1036)
    np.testing.assert_allclose(scene.poses, driving(), atol=1e-12)


def test_poses_are_those_of_camera_2_which_swings_around_camera_0(tmp_path):
    """Camera 0 turns a quarter to the right on the spot; camera 2 is 0.06 m to its left."""
    make_sequence(tmp_path, frames=2)
    turned = np.eye(4)
    turned[:3, :3] = [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]  # z (forward) becomes the old x (right)
    write_poses(tmp_path, "00", [np.eye(4), turned])
    (scene,) = index_kitti_odometry(tmp_path).scenes
    np.testing.assert_allclose(scene.poses[0], np.eye(4), atol=1e-12)
    # From 0.06 m left of camera 0 to 0.06 m in front of it.
    np.testing.assert_allclose(scene.poses[1, :3, 3], (0.06, 0, 0.06), atol=1e-12)
    np.testing.assert_allclose(scene.poses[1, :3, :3], turned[:3, :3], atol=1e-12)


def test_scans_give_z_at_the_nearest_pixel(tmp_path):
    make_sequence(tmp_path)
    write_poses(tmp_path, "00", driving())
    (scene,) = index_kitti_odometry(tmp_path).scenes
    expected = np.zeros((HEIGHT, WIDTH))
    for x, y, z, _ in points(2).astype(np.float64)[:3]:
        ahead = x - 0.27
        column, row = (
            round(FOCAL * (0.06 - y) / ahead + CX),
            round(FOCAL * (-z - 0.08) / ahead + CY),
        )
        expected[row, column] = ahead
    np.testing.assert_allclose(scene.frames[2].depth(), expected, rtol=1e-6)


def test_a_list_names_the_sequences_of_a_split(tmp_path):
    for name in ("00", "09"):
        make_sequence(tmp_path, name, frames=1)
        write_poses(tmp_path, name, driving(1))
    (tmp_path / "val.txt").write_text("00\n07")
    archive = index_kitti_odometry(tmp_path, lists={"val": tmp_path / "val.txt"})
    assert {s.name: s.split for s in archive.scenes} == {
        "odometry_00": "val",
        "odometry_09": "test",
    }
    assert "no scene '07'" in archive.problems[0]
    (tmp_path / "val.txt").write_text("00 5\n")
    with pytest.raises(ValueError, match="line 1: expected a sequence such as 09, got '00 5'"):
        index_kitti_odometry(tmp_path, lists={"val": tmp_path / "val.txt"})


def test_what_is_missing_is_named_and_the_rest_goes_through(tmp_path):
    folder = make_sequence(tmp_path)
    make_sequence(tmp_path, "01")
    (tmp_path / "sequences/02").mkdir()
    write_poses(tmp_path, "00", driving(3))
    (folder / "times.txt").write_text("0\n0\n0\n0\n")
    (tmp_path / "sequences/01/calib.txt").unlink()
    archive = index_kitti_odometry(tmp_path)
    first, second = archive.scenes
    assert np.isnan(first.poses).any((1, 2)).tolist() == [False, False, False, True]
    assert first.timestamps is None
    assert "00.txt: 3 poses, but images up to 3" in first.problems[0]
    assert "times.txt: time does not increase" in first.problems[1]
    assert second.intrinsics is None
    assert second.poses is None
    assert second.frames[0].depth is None
    assert "01/calib.txt: no such file" in second.problems[0]
    assert "02/image_2: no images" in archive.problems[0]


def test_missing_poses_are_named_for_the_sequences_that_have_some(tmp_path):
    make_sequence(tmp_path, "10", frames=1)
    make_sequence(tmp_path, "11", frames=1)
    ten, eleven = index_kitti_odometry(tmp_path).scenes
    assert "poses/10.txt: no such file" in ten.problems[0]
    assert not eleven.problems


def test_a_folder_without_sequences_is_refused_with_the_layout(tmp_path):
    with pytest.raises(FileNotFoundError, match="no sequences such as sequences/00"):
        index_kitti_odometry(tmp_path)
