"""Tracking: the motion of a drawn camera is found again, and what stands in the way is said."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssmde.cli import main
from ssmde.data.dataset import relative_motion
from ssmde.data.motion import turn_degrees
from ssmde.data.scene_folder import read_scene
from ssmde.synthetic import draw_clip, write_clip
from ssmde.tracking import track
from ssmde.tracking.colmap import find_cuts


@pytest.fixture(scope="module")
def tracked(tmp_path_factory):
    """A drawn room, one frame of it broken, that was tracked: data folder, clip, what was found."""
    clip = draw_clip("room", frames=12, size=(120, 160), seed=3, step=0.08)
    folder = tmp_path_factory.mktemp("tracked")
    write_clip(clip, folder / "room")
    broken = sorted((folder / "room").glob("*.png"))[0]
    broken.write_bytes(broken.read_bytes()[:200])
    return folder, clip, track(folder / "room", threads=1, show_progress=False)


@pytest.fixture
def data(tracked, tmp_path):
    return shutil.copytree(tracked[0], tmp_path / "data")


def test_the_motion_of_a_drawn_camera_is_found_but_for_a_broken_frame(tracked):
    folder, clip, (found,) = tracked
    assert (found.scene, found.frames, found.found, found.parts) == ("room", 12, 11, 1)
    assert found.error < 0.5
    room = read_scene(folder / "room")
    assert np.flatnonzero(np.isnan(room.tracked_poses[:, 0, 0])).tolist() == [0]
    scales = []
    for frame in range(3, 12):
        (T,) = relative_motion(room.tracked_poses, frame, (frame - 2,), flip=False)
        (truth,) = relative_motion(room.poses, frame, (frame - 2,), flip=False)
        step, true_step = T[:3, 3], truth[:3, 3]
        scales.append(np.linalg.norm(true_step) / np.linalg.norm(step))
        assert turn_degrees(T[:3, :3].T @ truth[:3, :3]) < 0.6
        assert step @ true_step / np.linalg.norm(step) / np.linalg.norm(true_step) > 0.99
    assert np.std(scales) < 0.1 * np.mean(scales), "one unit for the whole part"
    depth = np.median(clip.depth)
    assert 0.6 * depth < np.mean(scales) < 1.6 * depth, "the unit is the median depth"


FILM = [set(range(10 * i, 10 * i + 100)) for i in range(20)]  # each shares 90 with the next
OTHER = [{point + 5000 for point in frame} for frame in FILM]


@pytest.mark.parametrize(("film", "cuts"), [
    (FILM, []),
    ([*FILM[:-1], FILM[-1] | {5000, 5001, 5002}, *OTHER], [20]),  # a few false matches
    (FILM + OTHER + FILM, [20, 40]),  # the first place again, after a cut
    (FILM[:1], []),
    ([], []),
])  # fmt: skip
def test_frames_with_hardly_a_point_in_common_are_parts_of_their_own(film, cuts):
    steps = max(0, len(film) - 1)
    assert find_cuts(film, [1.0] * steps, [0.5] * steps) == cuts


@pytest.mark.parametrize(("lost", "step", "turns", "cuts"), [
    (70, 6.0, (0.5, 0.5), [20]),  # a leap with few points
    (0, 6.0, (0.5, 0.5), []),  # a run, with all points
    (70, 1.0, (0.5, 0.5), []),  # a turn
    # As `kitti_odom00` at frame 203: half of the points, six steps, 18 in place of 4 degrees.
    (45, 6.0, (4.0, 18.0), [20]),
    (0, 6.0, (4.0, 18.0), []),  # a jolt, with all points
    (45, 1.0, (4.0, 18.0), []),  # a turn on the spot
    (45, 6.0, (4.0, 4.0), []),  # faster, straight on
])  # fmt: skip
def test_a_leap_with_few_points_and_a_corner_that_came_out_wrong_are_cuts(lost, step, turns, cuts):
    film = [{10 * i + k + lost * (i >= 20) for k in range(100)} for i in range(40)]
    steps, spins = ([usual] * 19 + [most] + [usual] * 19 for usual, most in ((1.0, step), turns))
    assert find_cuts(film, steps, spins) == cuts


def test_a_scene_that_was_tracked_is_left_alone_unless_asked(data, monkeypatch, capsys):
    file = data / "room" / "tracked_poses.txt"
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "pycolmap", None)
        assert track(data, show_progress=False) == [], "no COLMAP is needed"
        assert main(["track", str(data), "--overwrite"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("ssmde track: error: `ssmde track` needs pycolmap")
    assert said.endswith("pip install 'ssmde[motion]'\n")
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


def test_a_scene_without_texture_is_said_to_have_no_motion(data):
    for file in (data / "room").glob("*.png"):
        Image.new("RGB", (160, 120), (90, 90, 90)).save(file)
    (found,) = track(data, threads=1, show_progress=False, overwrite=True)
    assert (found.found, found.parts) == (0, 0)
    assert np.isnan(found.error)


@pytest.mark.parametrize("odd", [{"threads": -1}, {"threads": 1025}, {"seed": -1}, {"seed": 2**40}])
def test_numbers_that_the_library_cannot_take_are_refused(odd):
    with pytest.raises(ValueError, match="threads must be from 0 to 1024 and seed from 0 to"):
        track(Path("data"), **odd)
