"""TUM and Bonn: files find their partners by time, and poses point the way they should."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from archives import TUM_NAME as NAME
from archives import TUM_START as START
from archives import make_tum
from recordings import DATA, needs_data
from ssmde.data.images import ImageError
from ssmde.datasets.tum_bonn import BONN_SCALE, T_MARKERS, T_ROS, bonn_poses, index_bonn, index_tum


def test_a_sequence_gives_images_depth_poses_and_times(tmp_path):
    make_tum(tmp_path)
    archive = index_tum(tmp_path)
    (scene,) = archive.scenes
    assert archive.problems == scene.problems == ()
    assert (scene.name, scene.split, scene.image_size) == (NAME, "train", (480, 640))
    assert [f.name for f in scene.frames] == [f"{START + t:.6f}" for t in (0.0, 0.1, 0.2, 0.3)]
    np.testing.assert_allclose(scene.intrinsics, [[535.4, 0, 320.1], [0, 539.2, 247.6], [0, 0, 1]])
    assert scene.depth_units_per_metre == 5000
    assert "no lens distortion" in scene.source
    depths = [f.depth and float(f.depth()[3, 5]) for f in scene.frames]
    assert depths == [1.0, 2.0, None, 3.0]  # the third is 90 ms from the nearest depth
    poses = index_tum(tmp_path / NAME).scenes[0].poses
    # A quarter turn about z: what is right of the camera lies along the world's y.
    expected = [[0, -1, 0, 0.005], [1, 0, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]]
    np.testing.assert_allclose(poses[0], expected, atol=1e-9)
    np.testing.assert_allclose(poses[:3, 0, 3], [0.005, 0.095, 0.2])
    assert np.isnan(poses[3]).all()  # none is near


@pytest.mark.parametrize(("name", "fx", "note"), [
    ("rgbd_dataset_freiburg1_xyz", 517.3, "0.2624 -0.9531 -0.0054 0.0026 1.1633 is not"),
    ("rgbd_dataset_freiburg2_desk_with_person", 520.9, "0.2312 -0.7849 -0.0033"),
    ("my_own", 525.0, "ROS' default camera"),
])  # fmt: skip
def test_the_camera_follows_from_the_name_and_its_distortion_is_told(tmp_path, name, fx, note):
    make_tum(tmp_path, name, images=(0.0,), depth=())
    (scene,) = index_tum(tmp_path).scenes
    assert scene.intrinsics[0, 0] == fx
    assert note in scene.source


def test_clocks_that_do_not_meet_are_named_with_both_ranges(tmp_path):
    folder = make_tum(tmp_path)
    truth = folder / "groundtruth.txt"
    lines = [line.split() for line in truth.read_text().splitlines()[1:]]
    truth.write_text("".join(f"{float(t) * 1e9:.0f} {' '.join(rest)}\n" for t, *rest in lines))
    (scene,) = index_tum(tmp_path).scenes
    assert scene.poses is None
    (problem,) = scene.problems
    assert "groundtruth.txt: none of the 4 frames of rgb.txt" in problem
    assert "1341846313.000000 to 1341846313.300000 s here" in problem
    assert "1341846313200000000.000000 s there" in problem


def test_a_list_names_sequences(tmp_path):
    make_tum(tmp_path, images=(0.0,), depth=())
    make_tum(tmp_path, "rgbd_dataset_freiburg1_xyz", images=(0.0,), depth=())
    listed = tmp_path / "list.txt"
    listed.write_text(f"{NAME}\nabsent\n")
    archive = index_tum(tmp_path, lists={"test": listed})
    assert [(scene.name, scene.split) for scene in archive.scenes] == [
        ("rgbd_dataset_freiburg1_xyz", "train"),  # what no list names is for training
        (NAME, "test"),
    ]
    (problem,) = archive.problems
    assert problem == f"{listed}: no scene 'absent' in {tmp_path}; unpack its archive there"
    only = index_tum(tmp_path, lists={"test": listed, "train": listed})
    assert {s.name for s in only.scenes} == {f"{NAME}_test", f"{NAME}_train"}
    with pytest.raises(ValueError, match=r"x\.txt: no such list"):
        index_tum(tmp_path, lists={"test": tmp_path / "x.txt"})
    listed.write_text(f"{NAME} rgb/a.png\n")
    with pytest.raises(ValueError, match=r"list\.txt, line 1: expected SEQUENCE or SEQUENCE rgb/T"):
        index_tum(tmp_path, lists={"test": listed})


def test_a_list_of_pairs_takes_these_frames_with_their_depth_and_poses(tmp_path):
    make_tum(tmp_path)
    listed = tmp_path / "pairs.txt"
    first, last, never = (f"{START + t:.6f}" for t in (0.1, 0.3, 0.9))
    listed.write_text(
        f"{NAME} rgb/{last}.png\n{NAME} rgb/{first}.png depth/{START + 0.09:.6f}.png\n"
        f"{NAME} rgb/{never}.png\n"
    )
    (scene,) = index_tum(tmp_path, lists={"test": listed}).scenes
    assert (scene.name, scene.split) == (f"{NAME}_test", "test")
    assert [frame.name for frame in scene.frames] == [first, last]
    assert [float(frame.depth()[0, 0]) for frame in scene.frames] == [2.0, 3.0]
    np.testing.assert_allclose(scene.poses[0, 0, 3], 0.095)
    assert scene.problems == (f"{tmp_path / NAME}: no image of {never} s, which {listed} names",)


@needs_data
def test_the_published_list_of_dynamic_frames_is_read(tmp_path):
    make_tum(tmp_path, "rgbd_dataset_freiburg2_desk_with_person", images=(0.0,), depth=())
    lists = {"test": DATA / "splits" / "tum_dynamic_pairs.txt"}
    told = "\n".join(index_tum(tmp_path, lists=lists).problems)
    assert told.count("no scene 'rgbd_dataset_freiburg3_") == 8  # nine sequences, 2,500 frames
    assert told.count("rgbd_dataset_freiburg2_desk_with_person: no image of 13118") == 413


def test_what_is_missing_or_broken_is_told_and_the_rest_goes_through(tmp_path):
    folder = make_tum(tmp_path)
    stamp = [f"{START + t:.6f}" for t in (0.0, 0.1, 0.2, 0.3)]
    (folder / f"rgb/{stamp[0]}.png").unlink()
    whole = (folder / f"rgb/{stamp[1]}.png").read_bytes()
    (folder / f"rgb/{stamp[1]}.png").write_bytes(whole[:300])
    (folder / f"depth/{START + 0.11:.6f}.png").write_bytes(b"")
    with (folder / "rgb.txt").open("a") as file:
        file.write(f"soon rgb/x.png\n{stamp[3]} rgb/{stamp[3]}.png\n")
    (folder / "groundtruth.txt").write_text(
        f"{START} 0 0 0 0 0 0 0\n{START + 0.1} 1 2 3\n{START + 0.2} 0 0 0 0 0 zero 1\n"
    )
    (scene,) = index_tum(tmp_path).scenes
    assert [f.name for f in scene.frames] == stamp[1:]
    assert [line.removeprefix(f"{folder}/").partition(", got")[0] for line in scene.problems] == [
        f"rgb/{stamp[0]}.png: no such file, but rgb.txt names it",
        "rgb.txt, line 7: expected a time and a file",
        f"rgb/{stamp[3]}.png: a second file of the same time; left out",
        "groundtruth.txt, line 2: expected a time and 7 numbers",
        "groundtruth.txt, line 3: expected a time and 7 numbers",
    ]
    assert np.isnan(scene.poses).all()  # a quaternion of length 0 is no rotation
    with pytest.raises(ImageError, match="file is empty"):
        scene.frames[0].depth()


def test_lost_text_files_leave_the_images(tmp_path):
    folder = make_tum(tmp_path)
    (folder / "depth.txt").unlink()
    (folder / "groundtruth.txt").unlink()
    (scene,) = index_bonn(tmp_path).scenes
    assert scene.poses is None
    assert all(frame.depth is None for frame in scene.frames)
    missing = [Path(p.partition(": ")[0]).name for p in scene.problems]
    assert missing == ["depth.txt", "groundtruth.txt"]
    (folder / "rgb.txt").unlink()
    archive = index_bonn(tmp_path)
    assert archive.scenes == ()
    assert "rgb.txt: no such file" in archive.problems[0]


def test_bonn_poses_are_rigid_and_the_markers_are_turned_into_its_camera(tmp_path):
    assert pytest.approx(1.0593, abs=5e-5) == BONN_SCALE
    markers = np.tile(np.eye(4), (6, 1, 1))
    markers[:, :3, :3] = Rotation.random(6, random_state=0).as_matrix()
    markers[:, :3, 3] = np.random.default_rng(0).uniform(-2, 2, (6, 3))
    poses = bonn_poses(markers)
    turns = poses[:, :3, :3]
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1), [np.eye(3)] * 6, atol=1e-9)
    # The site's motion, as it stands, takes what each sensor measures to the one point of the room.
    point = np.array([0.4, 1.3, -2.0, 1.0])
    for marker, pose in zip(markers, poses, strict=True):
        measured = np.linalg.solve(T_ROS @ marker @ T_ROS @ T_MARKERS, point)
        np.testing.assert_allclose((pose @ measured)[:3] * BONN_SCALE, point[:3], atol=2e-3)
    folder = make_tum(tmp_path, "rgbd_bonn_crowd")
    (folder / "groundtruth.txt").write_text(f"{START} 1 2 3 0 0 0 1\n")
    (scene,) = index_bonn(tmp_path).scenes
    # T_ros swaps y and z and turns x round, and T_m's offset adds: by hand, without rotation.
    hand = np.array([-1 + 0.0113, 3 - 0.0098, 2 + 0.0111]) / 1.0593
    np.testing.assert_allclose(scene.poses[0, :3, 3], hand, atol=1e-4)
    forward = np.array([-0.2389, -0.6413, -0.8085]) / 1.0593
    np.testing.assert_allclose(scene.poses[0, :3, 2], forward, atol=1e-3)
    assert scene.intrinsics[0, 0] == 542.822841
    assert "0.039903 -0.099343 -0.00073 -0.000144 0 is not removed" in scene.source
