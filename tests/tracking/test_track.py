"""Tracking: the motion of a drawn camera is found again, and what stands in the way is said."""

import sys
from pathlib import Path

import numpy as np
import pytest

from ssmde.cli import main
from ssmde.data.dataset import relative_motion
from ssmde.data.scene_folder import read_scene
from ssmde.synthetic import draw_clip, write_clip
from ssmde.tracking import track
from ssmde.tracking.parts import find_cuts


@pytest.fixture(scope="module")
def clip():
    return draw_clip("room", frames=12, size=(120, 160), seed=3, step=0.08)


@pytest.fixture
def data(clip, tmp_path):
    write_clip(clip, tmp_path / "room")
    return tmp_path


def degrees(a, b):
    cosine = (np.trace(a[:3, :3].T @ b[:3, :3]) - 1) / 2
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def test_the_motion_of_a_drawn_camera_is_found(clip, data):
    (found,) = track(data / "room", threads=1, show_progress=False)
    assert (found.scene, found.frames, found.found, found.parts) == ("room", 12, 12, 1)
    assert found.error < 0.5
    room = read_scene(data / "room")
    scales = []
    for frame in range(2, 12):
        (T,) = relative_motion(room.tracked_poses, frame, (frame - 2,), flip=False)
        (truth,) = relative_motion(room.poses, frame, (frame - 2,), flip=False)
        step, true_step = T[:3, 3], truth[:3, 3]
        scales.append(np.linalg.norm(true_step) / np.linalg.norm(step))
        assert degrees(T, truth) < 0.6
        assert step @ true_step / np.linalg.norm(step) / np.linalg.norm(true_step) > 0.99
    assert np.std(scales) < 0.1 * np.mean(scales), "one unit for the whole part"
    depth = np.median(clip.depth)
    assert 0.6 * depth < np.mean(scales) < 1.6 * depth, "the unit is the median depth"


def test_frames_with_hardly_a_point_in_common_are_parts_of_their_own():
    film = [set(range(10 * i, 10 * i + 100)) for i in range(20)]  # each shares 90 with the next
    other = [{point + 5000 for point in frame} for frame in film]
    assert find_cuts(film, [1.0] * 19, [0.5] * 19) == []
    assert find_cuts([*film, *other], [1.0] * 39, [0.5] * 39) == [20]
    chance = [*film[:-1], film[-1] | {5000, 5001, 5002}, *other]  # a few false matches
    assert find_cuts(chance, [1.0] * 39, [0.5] * 39) == [20]
    back = [*film, *other, *film]  # the first place again, after a cut
    assert find_cuts(back, [1.0] * 59, [0.5] * 59) == [20, 40]
    assert find_cuts(film[:1], [], []) == find_cuts([], [], []) == []


def test_a_leap_of_the_camera_with_few_points_is_a_cut():
    film = [set(range(10 * i, 10 * i + 100)) for i in range(40)]
    loose = [*film[:20], *({point + 70 for point in frame} for frame in film[20:])]
    leap = [1.0] * 19 + [6.0] + [1.0] * 19  # to frame 20
    assert find_cuts(loose, leap, [0.5] * 39) == [20]
    assert find_cuts(film, leap, [0.5] * 39) == []  # a run, with all points
    assert find_cuts(loose, [1.0] * 39, [0.5] * 39) == []  # a turn


def test_a_corner_that_came_out_wrong_is_a_cut():
    """As `kitti_odom00` at frame 203: half of the points, six steps, 18 in place of 4 degrees."""
    film = [set(range(10 * i, 10 * i + 100)) for i in range(40)]
    half = [*film[:20], *({point + 45 for point in frame} for frame in film[20:])]
    leap, spin = ([usual] * 19 + [most] + [usual] * 19 for usual, most in ((1.0, 6.0), (4.0, 18.0)))
    assert find_cuts(half, leap, spin) == [20]
    assert find_cuts(film, leap, spin) == []  # a jolt, with all points
    assert find_cuts(half, [1.0] * 39, spin) == []  # a turn on the spot
    assert find_cuts(half, leap, [4.0] * 39) == []  # faster, straight on


def test_a_scene_that_was_tracked_is_left_alone_unless_asked(data, monkeypatch):
    track(data, threads=1, show_progress=False)
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "pycolmap", None)
        assert track(data, show_progress=False) == [], "no COLMAP is needed"
    file = data / "room" / "tracked_poses.txt"
    kept = file.read_text()
    file.write_text(kept.replace("COLMAP", "by hand"))
    assert track(data, threads=1, show_progress=False) == []
    with pytest.raises(FileExistsError, match=r"tracked_poses\.txt: was not written by ssmde"):
        track(data, threads=1, show_progress=False, overwrite=True)
    assert "by hand" in file.read_text()
    file.write_text(kept)
    (data / "room" / "tracked_points.npz").unlink()
    track(data, threads=1, show_progress=False, overwrite=True)
    assert file.read_text() == kept, "one thread and one seed give one answer"
    sorted((data / "room").glob("*.png"))[0].unlink()
    (data / "room" / "poses.txt").unlink()
    with pytest.raises(ValueError, match=r"tracked_poses.txt.* 11 frames, got 12.*track .* again"):
        read_scene(data / "room")


def test_a_broken_frame_has_no_pose_and_the_others_do(data):
    broken = sorted((data / "room").glob("*.png"))[5]
    broken.write_bytes(broken.read_bytes()[:200])
    (found,) = track(data, threads=1, show_progress=False)
    assert found.found == 11
    poses = read_scene(data / "room").tracked_poses
    assert np.flatnonzero(np.isnan(poses[:, 0, 0])).tolist() == [5]


def test_a_scene_without_texture_is_said_to_have_no_motion(data):
    from PIL import Image

    for file in (data / "room").glob("*.png"):
        Image.new("RGB", (160, 120), (90, 90, 90)).save(file)
    (found,) = track(data, threads=1, show_progress=False)
    assert (found.found, found.parts) == (0, 0)
    assert np.isnan(found.error)


def test_a_missing_library_is_named(data, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pycolmap", None)
    with pytest.raises(ImportError, match=r"pip install 'ssmde\[motion\]'"):
        track(data, show_progress=False)
    assert main(["track", str(data)]) == 1
    assert capsys.readouterr().err.startswith("ssmde track: error: `ssmde track` needs pycolmap")


@pytest.mark.parametrize(
    "odd", [{"threads": -1}, {"threads": 10**6}, {"seed": -1}, {"seed": 1 << 40}]
)
def test_numbers_that_the_library_cannot_take_are_refused(odd):
    with pytest.raises(ValueError, match="threads must be from 0 to 1024 and seed from 0 to"):
        track(Path("data"), **odd)
