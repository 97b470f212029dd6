"""DDAD: scans land on the right pixels although scanner and camera saw at different times."""

import numpy as np
import pytest

from archives import DDAD_SIZE as SIZE
from archives import POINTS, make_ddad, make_scene
from recordings import DATA, needs_data
from ssmde.datasets.ddad import index_ddad
from ssmde.datasets.record import ArchiveError


def test_scenes_come_with_camera_poses_times_and_their_part(tmp_path):
    make_ddad(tmp_path)
    archive = index_ddad(tmp_path)
    train, val = archive.scenes
    assert archive.problems == train.problems == val.problems == ()
    assert (train.name, train.split) == ("000000_CAMERA_01", "train")
    assert (val.name, val.split) == ("000150_CAMERA_01", "val")
    assert [f.name for f in train.frames] == ["15560", "15561"]  # by time, not as written
    assert train.image_size == SIZE
    np.testing.assert_allclose(train.intrinsics, [[20, 0, 15.5], [0, 20, 11.5], [0, 0, 1]])
    expected = [[0, 0, 1, 11], [-1, 0, 0, 0], [0, -1, 0, 1], [0, 0, 0, 1]]
    np.testing.assert_allclose(train.poses[1], expected, atol=1e-12)
    for frame in train.frames:
        depth = frame.depth()
        # The camera is 1 m further on when it sees what the scanner saw: 10 m ahead are 9, 5 m are
        # 4; 1 m to the left is 5 px left.
        assert (depth.shape, depth.dtype) == (SIZE, np.float32)
        assert {(v, u): float(depth[v, u]) for v, u in np.argwhere(depth)} == {
            (12, 16): 9.0,  # (15.5, 11.5), halves to even
            (12, 10): 4.0,
        }
    # The columns of a scan are as the scene says.
    path = tmp_path / "000000/scene_0123.json"
    text = path.read_text()
    path.write_text(text.replace('"X", "Y", "Z", "INTENSITY"', '"INTENSITY", "Z", "Y", "X"'))
    np.savez(tmp_path / "000000/point_cloud/LIDAR/1.npz", data=POINTS[:, ::-1])
    np.testing.assert_array_equal(index_ddad(tmp_path).scenes[0].frames[1].depth(), depth)


def test_what_is_missing_or_broken_is_told_and_the_rest_goes_through(tmp_path):
    make_ddad(tmp_path, frames=4)
    folder = tmp_path / "000000"
    (folder / "rgb/CAMERA_01/15560.png").unlink()
    (folder / "point_cloud/LIDAR/1.npz").unlink()
    scan = folder / "point_cloud/LIDAR/2.npz"
    scan.write_bytes(scan.read_bytes()[:100])
    np.savez(folder / "point_cloud/LIDAR/3.npz", data=np.zeros((5, 2)))
    (tmp_path / "000150/scene_0123.json").replace(tmp_path / "000150/scene_9.json")
    train = index_ddad(tmp_path).scenes[0]
    assert [f.name for f in train.frames] == ["15561", "15562", "15563"]
    assert [p.partition(": ")[2] for p in train.problems] == [
        "no such file, but the scene names it",
        "no such file; a frame has no depth",
    ]
    assert train.frames[0].depth is None
    with pytest.raises(ArchiveError, match=r"2\.npz: cannot be read"):
        train.frames[1].depth()
    with pytest.raises(ArchiveError, match=r"one point a row, got float64 of shape \(5, 2\)"):
        train.frames[2].depth()
    assert "000150/scene_0123.json: no such file" in index_ddad(tmp_path).problems[0]
    make_ddad(tmp_path / "side", cameras=("CAMERA_05",))
    problem, _ = index_ddad(tmp_path / "side").problems
    assert problem.endswith("no frame of CAMERA_01 can be used")
    scene = folder / "scene_0123.json"
    scene.write_text(scene.read_text().replace('"qw": 1.0', '"qw": 0.2'))
    with pytest.raises(ArchiveError, match="is no rotation"):
        index_ddad(tmp_path).scenes[0].frames[2].depth()


@pytest.mark.parametrize(("file", "old", "new", "problem"), [
    ("calibration/abc", "{", "", "abc.json: cannot be read"),
    ("calibration/abc", '"fx": 20.0', '"fx": -20.0',
     "abc.json: focal lengths must be positive, got fx -20"),
    ("calibration/abc", "CAMERA_01", "CAMERA_02",
     "knows no camera CAMERA_01, only LIDAR, CAMERA_02"),
    ("scene_0123", '"datum_keys"', '"keys"', "(KeyError 'datum_keys'); unpack it again"),
    ("scene_0123", '"abc"', '"def"',
     "15561.png: another calibration than the first frame; left out"),
])  # fmt: skip
def test_a_faulty_file_costs_a_frame_or_the_scene(tmp_path, file, old, new, problem):
    folder = make_scene(tmp_path, "000000", frames=2)
    text = (folder / "calibration/abc.json").read_text()
    (folder / "calibration/def.json").write_text(text.replace("20.0", "21.0"))
    path = folder / f"{file}.json"
    path.write_text(path.read_text().replace(old, new, 1))
    archive = index_ddad(tmp_path)
    problems = [*archive.problems, *(line for scene in archive.scenes for line in scene.problems)]
    assert problem in problems[0]
    assert len(archive.scenes) == ("left out" in problem)


@needs_data
def test_the_recorded_scan_lies_on_the_car_ahead_and_not_on_the_sky():
    archive = index_ddad(DATA / "dgp_scene/test_scene")
    assert archive.problems == ()
    street, other = archive.scenes
    assert (street.name, len(street.frames), len(other.frames)) == ("scene_01_CAMERA_01", 3, 3)
    assert (street.image_size, street.intrinsics[0, 0]) == ((1216, 1936), pytest.approx(2167.6926))
    depth = street.frames[1].depth()
    car = depth[700:960, 820:1280]  # the back of a red car, looked up in the image
    assert np.ptp(np.percentile(car[car > 0], (5, 95))) < 3
    assert 5 < np.median(car[car > 0]) < 15
    assert not depth[:300, :1200].any()  # left of the trees
    assert (depth > 0).sum() > 4000
