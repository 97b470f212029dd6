"""KITTI raw and odometry: the archives as they unpack become scenes; what is missing is named."""

import re

import numpy as np
import pytest
from PIL import Image

from kitti_archive import (
    BASELINE,
    CX,
    CY,
    FOCAL,
    HEIGHT,
    WIDTH,
    driving,
    make_drive,
    make_sequence,
    points,
    write_poses,
)
from recordings import DATA, needs_data
from ssmde.data.images import read_image
from ssmde.datasets.kitti import (
    drive_and_frame,
    imu_pose,
    index_kitti_odometry,
    index_kitti_raw,
)
from ssmde.datasets.record import ArchiveError, read_scene_lists

DRIVE = "2011_09_26_drive_0001_sync"


def write_list(path, *lines):
    path.write_text("".join(f"2011_09_26/{DRIVE} {line}\n" for line in lines))
    return path


def projected_by_hand(number, camera, *, shift, scanner_depth):
    """Depth image of a scan, point by point; the camera is 0.27 m before the scanner."""
    image = np.zeros((HEIGHT, WIDTH))
    for x, y, z, _ in points(number).astype(np.float64):
        ahead, right, down = x - 0.27, -y + BASELINE[camera], -z - 0.08
        if x < 0:
            continue
        column = round(FOCAL * right / ahead + CX) + shift
        row = round(FOCAL * down / ahead + CY) + shift
        if 0 <= column < WIDTH and 0 <= row < HEIGHT:
            depth = x if scanner_depth else ahead
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
    assert not archive.problems
    assert {frame.image.suffix for frame in archive.scenes[2].frames} == {".jpg"}
    scene = archive.scenes[0]
    assert not scene.problems
    assert scene.image_size == (HEIGHT, WIDTH)
    assert scene.intrinsics.tolist() == [[FOCAL, 0, CX], [0, FOCAL, CY], [0, 0, 1]]
    assert [frame.name for frame in scene.frames[:2]] == ["0000000000", "0000000001"]
    assert scene.fps == 10
    np.testing.assert_allclose(scene.timestamps, np.arange(5) / 10, atol=1e-9)


@pytest.mark.parametrize("camera", ["02", "03"])
@pytest.mark.parametrize("truth", ["camera", "eigen"])
def test_scans_project_as_point_by_point_in_both_conventions(tmp_path, camera, truth):
    """`eigen` is a pixel up and left, and the way along the scanner."""
    make_drive(tmp_path, cameras=(camera,))
    (scene,) = index_kitti_raw(tmp_path, truth=truth).scenes
    eigen = truth == "eigen"
    for number, frame in enumerate(scene.frames):
        expected = projected_by_hand(number, camera, shift=-eigen, scanner_depth=eigen)
        assert (expected > 0).sum() >= 2
        np.testing.assert_allclose(frame.depth(), expected, rtol=1e-6)


def test_a_turn_on_the_spot_moves_the_camera_around_the_imu(tmp_path):
    """A quarter turn to the left; x_velo = x_imu + 0.8, and the camera is at x_velo = 0.27."""
    folder = make_drive(tmp_path, frames=2, cameras=("02",))
    for number, yaw in enumerate((0.0, np.pi / 2)):
        line = " ".join(f"{x:.12f}" for x in [49.0, 8.4, 100.0, 0, 0, yaw, *[0] * 24])
        (folder / "oxts/data" / f"{number:010d}.txt").write_text(line)
    (scene,) = index_kitti_raw(tmp_path).scenes
    behind, left = 0.8 - 0.27, 0.06
    lever = np.array([-behind, left, 0.0])  # camera in the IMU's frame: forward, left, up
    turned = np.array([-left, -behind, 0.0])  # after the turn, in the frame it had before
    moved = turned - lever
    expected = np.array([-moved[1], 0.0, moved[0]])  # camera axes: right, down, forward
    np.testing.assert_allclose(scene.poses[1, :3, 3], expected, atol=1e-6)
    np.testing.assert_allclose(scene.poses[1, :3, 2], (-1, 0, 0), atol=1e-9)  # looks left


@pytest.mark.parametrize(("turn", "forward", "up"), [
    ((1, 0, 0), (1, 0, 0), (0, -1, 0)),
    ((0, 1, 0), (0, 0, -1), (1, 0, 0)),  # positive with the nose down, since y points left
    ((0, 0, 1), (0, 1, 0), (0, 0, 1)),
])  # fmt: skip
def test_roll_pitch_and_yaw_turn_about_forward_left_and_up(turn, forward, up):
    R = imu_pose((49.0, 8.4, 0.0, *(np.pi / 2 * np.array(turn))), 1.0)[:3, :3]
    np.testing.assert_allclose(R[:, [0, 2]].T, [forward, up], atol=1e-12)


def test_single_test_frames_far_apart_are_one_scene_with_their_times(tmp_path):
    make_drive(tmp_path, frames=9)
    test = write_list(tmp_path / "test.txt", "0000000000 l", "8 l", "2 l", "2 l")
    archive = index_kitti_raw(tmp_path, lists={"test": test})
    (scene,) = archive.scenes
    assert (scene.name, scene.split) == (f"{DRIVE}_02_test", "test")
    assert [frame.name for frame in scene.frames] == ["0000000000", "0000000002", "0000000008"]
    assert scene.fps is None
    np.testing.assert_allclose(scene.timestamps, (0, 0.2, 0.8), atol=1e-9)
    assert all(frame.depth().any() for frame in scene.frames)
    np.testing.assert_allclose(scene.poses[:, 2, 3], (0, 2, 8), atol=1e-5)


def test_a_training_list_steps_over_small_holes_and_is_cut_at_large_ones(tmp_path):
    make_drive(tmp_path, frames=12)
    train = write_list(tmp_path / "train.txt", *(f"{n} r" for n in (0, 1, 4, 5, 9, 10)), "3 l")
    val = write_list(tmp_path / "val.txt", "2 r")
    archive = index_kitti_raw(tmp_path, lists={"train": train, "val": val})
    assert {(s.name, s.split): [int(f.name) for f in s.frames] for s in archive.scenes} == {
        (f"{DRIVE}_02", "train"): [3],
        (f"{DRIVE}_03_0000000000", "train"): [0, 1, 4, 5],
        (f"{DRIVE}_03_0000000009", "train"): [9, 10],
        (f"{DRIVE}_03_val", "val"): [2],
    }


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
    right, drive = archive.problems
    assert "image_03/data: none of 1 images" in right
    assert "no drive 2011_09_26_drive_0009_sync" in drive
    assert "names 1 frames" in drive


def test_improved_maps_replace_the_scans_and_frames_without_one_are_counted(tmp_path):
    make_drive(tmp_path / "raw", frames=4, cameras=("02",))
    maps = tmp_path / "maps/val" / DRIVE / "proj_depth/groundtruth/image_02"
    maps.mkdir(parents=True)
    for number in (1, 2):
        values = np.full((HEIGHT, WIDTH), 256 * number + 1, np.uint16)
        values[0, 0] = 0
        Image.fromarray(values).save(maps / f"{number:010d}.png")
    archive = index_kitti_raw(tmp_path / "raw", improved=tmp_path / "maps")
    (scene,) = archive.scenes
    assert [frame.depth is None for frame in scene.frames] == [True, False, False, True]
    assert scene.frames[1].depth()[0, :2].tolist() == [0.0, 257 / 256]
    assert scene.depth_units_per_metre == 256
    assert "2 of 4 frames have no improved depth" in scene.problems[0]


def test_a_missing_calibration_costs_what_hangs_on_it_and_is_named(tmp_path):
    folder = make_drive(tmp_path, cameras=("02",))
    (folder.parent / "calib_imu_to_velo.txt").unlink()
    (scene,) = index_kitti_raw(tmp_path).scenes
    assert scene.poses is None
    assert scene.frames[0].depth().any()
    assert "calib_imu_to_velo.txt: no such file" in scene.problems[0]
    (folder.parent / "calib_velo_to_cam.txt").write_text("R: 1 2 3\n")
    (scene,) = index_kitti_raw(tmp_path).scenes
    assert scene.frames[0].depth is None
    assert scene.intrinsics is not None
    assert "calib_velo_to_cam.txt: expected 'R:' and 9 finite numbers, got 3" in scene.problems[0]
    (folder.parent / "calib_cam_to_cam.txt").unlink()
    (scene,) = index_kitti_raw(tmp_path).scenes
    assert scene.intrinsics is None
    assert "calib_cam_to_cam.txt: no such file" in scene.problems[0]
    assert len(scene.frames) == 5


def test_a_missing_scan_or_reading_is_named_and_costs_one_depth_or_pose(tmp_path):
    folder = make_drive(tmp_path, cameras=("02",))
    (folder / "velodyne_points/data/0000000001.bin").unlink()
    (folder / "oxts/data/0000000000.txt").unlink()
    (folder / "oxts/data/0000000003.txt").write_text("1 2 3")
    (folder / "oxts/data/0000000004.txt").write_bytes(b"\xff\xff")
    (folder / "velodyne_points/data/0000000004.bin").write_bytes(b"0" * 33)
    (folder / "image_02/timestamps.txt").write_text("2011-09-26 13:02:25\nyesterday\n")
    (scene,) = index_kitti_raw(tmp_path).scenes
    assert [frame.depth is None for frame in scene.frames] == [False, True, False, False, False]
    assert np.isnan(scene.poses).any((1, 2)).tolist() == [True, False, False, True, True]
    np.testing.assert_allclose(scene.poses[1], np.eye(4), atol=1e-9)
    text = "\n".join(scene.problems)
    assert "0000000001.bin: no such file" in text
    assert "0000000000.txt: no such file" in text
    assert "0000000003.txt: cannot be read (expected 30 finite numbers, got 3)" in text
    assert "0000000004.txt: cannot be read" in text
    assert scene.timestamps is None
    assert "timestamps.txt: cannot be used" in text
    with pytest.raises(ArchiveError, match=r"0000000004\.bin: 33 bytes"):
        scene.frames[4].depth()


def test_images_of_another_size_than_the_calibration_are_refused(tmp_path):
    folder = make_drive(tmp_path, cameras=("02",))
    for file in (folder / "image_02/data").iterdir():
        Image.new("RGB", (20, 6)).save(file)
    archive = index_kitti_raw(tmp_path)
    assert not archive.scenes
    assert "20 x 6 pixels, but the camera is published for 40 x 12" in archive.problems[0]


def test_a_folder_without_drives_is_refused_with_the_layout(tmp_path):
    with pytest.raises(FileNotFoundError, match="no drives such as 2011_09_26/2011_09_26_drive"):
        index_kitti_raw(tmp_path)
    make_drive(tmp_path)
    with pytest.raises(FileNotFoundError, match="no sequences such as sequences/00"):
        index_kitti_odometry(tmp_path)
    with pytest.raises(FileNotFoundError, match="data_depth_annotated"):
        index_kitti_raw(tmp_path, improved=tmp_path)
    with pytest.raises(ValueError, match="lists are for train, val and test, got testing"):
        index_kitti_raw(tmp_path, lists={"testing": tmp_path / "x"})


def test_lists_may_end_their_lines_in_any_way_but_a_line_in_another_format_is_refused(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes(f"2011_09_26/{DRIVE} 5 l\r\n2011_09_26/{DRIVE} 12 r".encode())
    (found,) = read_scene_lists({"test": path}, drive_and_frame).values()
    assert found.rows == {f"{DRIVE} 02": (("5",),), f"{DRIVE} 03": (("12",),)}
    for text, says in (
        (f"2011_09_26/{DRIVE} 5 l\n2011_09_26 {DRIVE} 0000000386\n",
         r"list\.txt, line 2: expected a drive, a frame and a side"),
        ("\n", "the list is empty"),
    ):  # fmt: skip
        path.write_text(text)
        with pytest.raises(ValueError, match=says):
            read_scene_lists({"test": path}, drive_and_frame)


def test_nine_sequences_train_and_the_others_test_unless_a_list_says_otherwise(tmp_path):
    names = ("00", "08", "09", "10", "11", "21")
    for name in names:
        make_sequence(tmp_path, name, frames=1)
        if name not in ("10", "11"):  # the poses of 11 to 21 are not published
            write_poses(tmp_path, name, driving(1))
    archive = index_kitti_odometry(tmp_path)
    splits = {name: "train" if name < "09" else "test" for name in names}
    assert {s.name[-2:]: s.split for s in archive.scenes} == splits
    assert not archive.problems
    (problem,) = (line for scene in archive.scenes for line in scene.problems)
    assert "poses/10.txt: no such file" in problem
    (tmp_path / "val.txt").write_text("00\n07")
    archive = index_kitti_odometry(tmp_path, lists={"val": tmp_path / "val.txt"})
    assert {s.name[-2:]: s.split for s in archive.scenes} == splits | {"00": "val"}
    assert "no scene '07'" in archive.problems[0]
    (tmp_path / "val.txt").write_text("00 5\n")
    with pytest.raises(ValueError, match="line 1: expected the name of a scene alone, got '00 5'"):
        index_kitti_odometry(tmp_path, lists={"val": tmp_path / "val.txt"})


def test_a_sequence_has_the_times_of_its_files_and_poses_of_camera_2_which_swings(tmp_path):
    """Camera 0 turns a quarter to the right on the spot; camera 2 is 0.06 m to its left."""
    make_sequence(tmp_path, frames=3)
    turned = np.eye(4)
    turned[:3, :3] = [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]  # z (forward) becomes the old x (right)
    write_poses(tmp_path, "00", [np.eye(4), turned, turned])
    (scene,) = index_kitti_odometry(tmp_path).scenes
    assert scene.intrinsics.tolist() == [[FOCAL, 0, CX], [0, FOCAL, CY], [0, 0, 1]]
    assert [frame.name for frame in scene.frames] == ["000000", "000001", "000002"]
    np.testing.assert_allclose(scene.timestamps, np.arange(3) * 0.1036)
    expected = projected_by_hand(2, "02", shift=0, scanner_depth=False)
    np.testing.assert_allclose(scene.frames[2].depth(), expected, rtol=1e-6)
    np.testing.assert_allclose(scene.poses[0], np.eye(4), atol=1e-12)
    # From 0.06 m left of camera 0 to 0.06 m in front of it.
    np.testing.assert_allclose(scene.poses[1, :3, 3], (0.06, 0, 0.06), atol=1e-12)
    np.testing.assert_allclose(scene.poses[1, :3, :3], turned[:3, :3], atol=1e-12)


def test_what_is_missing_of_a_sequence_is_named_and_the_rest_goes_through(tmp_path):
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


@needs_data
@pytest.mark.parametrize(("name", "drives", "frames", "cameras"), [
    ("kitti_eigen_test", 28, 697, {"02"}),
    ("kitti_eigen_benchmark_test", 28, 652, {"02"}),
    ("kitti_eigen_zhou_train", 32, 39810, {"02", "03"}),
    ("kitti_eigen_zhou_val", 31, 4424, {"02", "03"}),
])  # fmt: skip
def test_the_published_lists_are_read_whole(name, drives, frames, cameras):
    lists = {"test": DATA / "splits" / f"{name}.txt"}
    rows = read_scene_lists(lists, drive_and_frame)["test"].rows
    assert len({drive.split()[0] for drive in rows}) == drives
    assert (sum(map(len, rows.values())), {drive.split()[1] for drive in rows}) == (frames, cameras)


@needs_data
@pytest.mark.parametrize("camera", ["02", "03"])
def test_points_of_the_recorded_depth_come_back_through_the_real_calibration(tmp_path, camera):
    """Its (row, column, z), lifted by hand into the scanner's frame, give the same map again."""
    source = DATA / "tiny_kitti_nuscenes/tiny_kitti/2011_09_26" / DRIVE
    folder = tmp_path / "2011_09_26" / DRIVE
    (folder / "image_02").mkdir(parents=True)  # which every drive has
    (folder / f"image_{camera}").mkdir(exist_ok=True)
    (folder / f"image_{camera}/data").symlink_to(source / f"image_{camera}/rgb/original")
    for calibration in source.glob("calib_*.txt"):
        (folder.parent / calibration.name).symlink_to(calibration)
    rows, columns, z = np.load(source / f"image_{camera}/depth/0000000000.npy").T
    numbers = {}
    for file in source.glob("calib_*.txt"):
        for line in file.read_text().splitlines():
            key, _, rest = line.partition(": ")
            if "calib_time" not in key and (file.name != "calib_imu_to_velo.txt"):
                numbers[key] = np.array(rest.split(), float)
    P = numbers[f"P_rect_{camera}"].reshape(3, 4)
    # z of the camera is w of the projection: P X = z (u, v, 1).
    rect = np.linalg.solve(P[:, :3], z * np.stack([columns, rows, np.ones_like(z)]) - P[:, 3:])
    cam0 = np.linalg.solve(numbers["R_rect_00"].reshape(3, 3), rect)
    velo = np.linalg.solve(numbers["R"].reshape(3, 3), cam0 - numbers["T"][:, None])
    scan = np.concatenate([velo, np.zeros((1, len(z)))]).T.astype(np.float32)
    (folder / "velodyne_points/data").mkdir(parents=True)
    (folder / "velodyne_points/data/0000000000.bin").write_bytes(scan.tobytes())
    (scene,) = index_kitti_raw(tmp_path, truth="camera").scenes
    expected = (721.5377, 609.5593, 172.854)
    np.testing.assert_allclose(scene.intrinsics[[0, 0, 1], [0, 2, 2]], expected)
    assert read_image(scene.frames[0].image).shape == (375, 1242, 3)
    expected = np.zeros((375, 1242))
    expected[rows.astype(int), columns.astype(int)] = z
    np.testing.assert_allclose(scene.frames[0].depth(), expected, atol=1e-4)
    assert (expected > 0).mean() > 0.03
