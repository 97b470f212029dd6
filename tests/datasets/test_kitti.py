"""KITTI raw and odometry: the archives as they unpack become scenes; what is missing is named."""

import re

import numpy as np
import pytest
from PIL import Image

import kitti_archive as made
from kitti_archive import CX, FOCAL, HEIGHT, WIDTH, make_drive, make_sequence, write_poses
from ssmde.datasets.kitti import index_kitti_odometry, index_kitti_raw
from ssmde.datasets.record import ArchiveError

DRIVE = "2011_09_26_drive_0001_sync"


def write_list(path, *lines):
    path.write_text("".join(f"2011_09_26/{DRIVE} {line}\n" for line in lines))
    return path


def projected_by_hand(number, camera, *, published):
    """Depth image of a scan, point by point; the camera is 0.27 m before the scanner."""
    image, shift, turn = np.zeros((HEIGHT, WIDTH)), -published, published * made.TURN
    for x, y, z, _ in made.points(number).astype(np.float64):
        ahead, right, down = x - 0.27, -y, -z - 0.08
        if x < 0:
            continue
        across = np.cos(turn) * right - np.sin(turn) * down + made.BASELINE[camera]
        column = round(FOCAL * across / ahead + CX) + shift
        row = round(FOCAL * (np.sin(turn) * right + np.cos(turn) * down) / ahead + made.CY) + shift
        if 0 <= column < WIDTH and 0 <= row < HEIGHT:
            depth = x if published else ahead
            image[row, column] = min(depth, image[row, column] or np.inf)
    return image


def test_every_drive_and_camera_is_a_training_scene_without_lists(tmp_path):
    make_drive(tmp_path)
    second = make_drive(tmp_path, "2011_09_26_drive_0002_sync", frames=3, cameras=("02",))
    for file in list((second / "image_02/data").iterdir()):  # as JPEG copies have it
        Image.open(file).save(file.with_suffix(".jpg"))
        file.unlink()
    archive = index_kitti_raw(tmp_path)
    assert [(s.name, s.split, len(s.frames)) for s in archive.scenes] == [
        (f"{DRIVE}_02", "train", 5),
        (f"{DRIVE}_03", "train", 5),
        ("2011_09_26_drive_0002_sync_02", "train", 3),
    ]
    scene = archive.scenes[0]
    assert archive.problems == scene.problems == ()
    assert {frame.image.suffix for frame in archive.scenes[2].frames} == {".jpg"}
    assert scene.image_size == (HEIGHT, WIDTH)
    assert scene.intrinsics.tolist() == [[FOCAL, 0, CX], [0, FOCAL, made.CY], [0, 0, 1]]
    assert [frame.name for frame in scene.frames[:2]] == ["0000000000", "0000000001"]


def test_scans_project_point_by_point_a_pixel_up_and_left_with_the_scanner_s_depth(tmp_path):
    make_drive(tmp_path)
    for scene in index_kitti_raw(tmp_path).scenes:
        for number, frame in enumerate(scene.frames):
            expected = projected_by_hand(number, scene.name[-2:], published=True)
            assert (expected > 0).sum() >= 2
            np.testing.assert_allclose(frame.depth(), expected, rtol=1e-6)


def test_frames_of_lists_are_one_scene_for_testing_and_cut_at_large_holes_for_training(tmp_path):
    make_drive(tmp_path, frames=12)
    lists = {
        "train": write_list(tmp_path / "train", *(f"{n} r" for n in (9, 0, 1, 4, 5, 10)), "3 l"),
        "val": write_list(tmp_path / "val", "2 r"),
        "test": write_list(tmp_path / "test", "0000000000 l", "8 l", "2 l", "2 l"),
    }
    archive = index_kitti_raw(tmp_path, lists=lists)
    assert {(s.name, s.split): [int(f.name) for f in s.frames] for s in archive.scenes} == {
        (f"{DRIVE}_02", "train"): [3],
        (f"{DRIVE}_03_0000000000", "train"): [0, 1, 4, 5],
        (f"{DRIVE}_03_0000000009", "train"): [9, 10],
        (f"{DRIVE}_03_val", "val"): [2],
        (f"{DRIVE}_02_test", "test"): [0, 2, 8],
    }
    assert all(frame.depth().any() for frame in archive.scenes[-1].frames)


def test_frames_and_drives_a_list_names_and_that_are_missing_are_reported(tmp_path):
    make_drive(tmp_path, frames=3)
    test = write_list(tmp_path / "test.txt", "1 l", "77 l", "99 r")
    with test.open("a") as file:
        file.write("2011_09_26/2011_09_26_drive_0009_sync 5 l")
    archive = index_kitti_raw(tmp_path, lists={"test": test})
    (scene,) = archive.scenes
    assert [frame.name for frame in scene.frames] == ["0000000001"]
    (line,) = scene.problems
    assert re.search(r"image_02.data: no image 0000000077, which .*test\.txt names", line)
    drive, right = archive.problems
    assert re.search("no drive 2011_09_26_drive_0009_sync; .* names 1 frames", drive)
    assert "image_03/data: none of 1 images" in right


def test_improved_maps_replace_the_scans_and_frames_without_one_are_counted(tmp_path):
    make_drive(tmp_path / "raw", frames=4, cameras=("02",))
    maps = tmp_path / "maps/val" / DRIVE / "proj_depth/groundtruth/image_02"
    maps.mkdir(parents=True)
    for number in (1, 2):
        values = np.full((HEIGHT, WIDTH), 256 * number + 1, np.uint16)
        values[0, 0] = 0
        Image.fromarray(values).save(maps / f"{number:010d}.png")
    (scene,) = index_kitti_raw(tmp_path / "raw", improved=tmp_path / "maps").scenes
    assert [frame.depth is None for frame in scene.frames] == [True, False, False, True]
    assert scene.frames[1].depth()[0, :2].tolist() == [0.0, 257 / 256]
    assert scene.depth_units_per_metre == 256
    assert "2 of 4 frames have no improved depth" in scene.problems[0]
    with pytest.raises(FileNotFoundError, match="no maps of data_depth_annotated"):
        index_kitti_raw(tmp_path / "raw", improved=tmp_path / "raw")


def test_a_missing_scan_costs_a_depth_and_a_calibration_of_other_images_the_drive(tmp_path):
    folder = make_drive(tmp_path, cameras=("02",))
    (folder / "velodyne_points/data/0000000001.bin").unlink()
    (folder / "velodyne_points/data/0000000004.bin").write_bytes(b"0" * 33)
    (scene,) = index_kitti_raw(tmp_path).scenes
    assert [frame.depth is None for frame in scene.frames] == [False, True, False, False, False]
    assert scene.problems == (f"{folder}/velodyne_points/data: 1 of 5 frames have no scan",)
    with pytest.raises(ArchiveError, match=r"0000000004\.bin: 33 bytes"):
        scene.frames[4].depth()
    for text, says in (
        ("R: 1 2 3\n", "expected 'R:' and 9 finite numbers, got 3"),
        ("", "expected 'R:' and 9 finite numbers, got 0"),
        (f"R: {'1 ' * 9}\nT: 0 0 0\n", "no rigid motion"),
    ):
        (folder.parent / "calib_velo_to_cam.txt").write_text(text)
        archive = index_kitti_raw(tmp_path)
        assert archive.scenes == ()
        assert f"calib_velo_to_cam.txt: {says}" in archive.problems[0]
    path = make_drive(tmp_path / "other", cameras=("02",)).parent / "calib_cam_to_cam.txt"
    path.write_text(path.read_text().replace("S_rect_02: 4.0", "S_rect_02: 2.0"))
    (problem,) = index_kitti_raw(tmp_path / "other").problems
    assert "40 x 12 pixels, but the camera is published for 20 x 12" in problem
    path.unlink()
    (problem,) = index_kitti_raw(tmp_path / "other").problems
    assert "calib_cam_to_cam.txt: no such file; unpack the calibration archive" in problem


def test_a_line_of_a_list_in_another_format_is_refused(tmp_path):
    path = tmp_path / "list.txt"
    for text, says in (
        (f"2011_09_26/{DRIVE} 5 l\r\n2011_09_26 {DRIVE} 0000000386\n",
         r"list\.txt, line 2: expected a drive, a frame and a side"),
        ("\n", "the list is empty"),
    ):  # fmt: skip
        path.write_text(text)
        with pytest.raises(ValueError, match=says):
            index_kitti_raw(tmp_path, lists={"test": path})


def test_nine_sequences_train_and_the_others_test(tmp_path):
    names = ("00", "08", "09", "10", "11", "21")
    for name in names:
        make_sequence(tmp_path, name, frames=1)
        if name not in ("10", "11"):  # the poses of 11 to 21 are not published
            write_poses(tmp_path, name, made.driving(1))
    archive = index_kitti_odometry(tmp_path)
    splits = {name: "train" if name < "09" else "test" for name in names}
    assert {s.name[-2:]: s.split for s in archive.scenes} == splits
    assert not archive.problems
    (problem,) = (line for scene in archive.scenes for line in scene.problems)
    assert "poses/10.txt: no such file" in problem


def test_a_sequence_has_the_poses_of_camera_2_which_swings(tmp_path):
    """Camera 0 turns a quarter to the right on the spot; camera 2 is 0.06 m to its left."""
    make_sequence(tmp_path, frames=3)
    turned = np.eye(4)
    turned[:3, :3] = [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]  # z (forward) becomes the old x (right)
    write_poses(tmp_path, "00", [np.eye(4), turned, turned])
    (scene,) = index_kitti_odometry(tmp_path).scenes
    assert scene.intrinsics.tolist() == [[FOCAL, 0, CX], [0, FOCAL, made.CY], [0, 0, 1]]
    assert [frame.name for frame in scene.frames] == ["000000", "000001", "000002"]
    expected = projected_by_hand(2, "02", published=False)
    np.testing.assert_allclose(scene.frames[2].depth(), expected, rtol=1e-6)
    np.testing.assert_allclose(scene.poses[0], np.eye(4), atol=1e-12)
    # From 0.06 m left of camera 0 to 0.06 m in front of it.
    np.testing.assert_allclose(scene.poses[1, :3, 3], (0.06, 0, 0.06), atol=1e-12)
    np.testing.assert_allclose(scene.poses[1, :3, :3], turned[:3, :3], atol=1e-12)


def test_what_is_missing_of_a_sequence_is_named_and_the_rest_goes_through(tmp_path):
    make_sequence(tmp_path)
    make_sequence(tmp_path, "01")
    (tmp_path / "sequences/02").mkdir()
    write_poses(tmp_path, "00", made.driving(3))
    (tmp_path / "sequences/01/calib.txt").unlink()
    archive = index_kitti_odometry(tmp_path)
    (first,) = archive.scenes
    assert np.isnan(first.poses).any((1, 2)).tolist() == [False, False, False, True]
    assert "00.txt: 3 poses, but images up to 3" in first.problems[0]
    assert "01/calib.txt: no such file" in archive.problems[0]
    assert "02/image_2: no images" in archive.problems[1]
