"""The focal length of an unknown camera: found where the video tells it, else said not to be."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ssmde.cli import main
from ssmde.data.dataset import relative_motion
from ssmde.data.scene_folder import read_scene
from ssmde.synthetic import draw_clip, write_clip
from ssmde.tracking import track
from ssmde.tracking.camera import Estimate, doubt_about, join_estimates
from ssmde.tracking.colmap import Refined

SIZE = (120, 160)


def film(folder, *, cut=(0, 0), step=0.08, **how):
    """A drawn room without cam.txt; its view of 65 degrees is narrower where borders are cut."""
    (height, width), (y, x) = SIZE, cut
    clip = draw_clip("room", size=(height + 2 * y, width + 2 * x), step=step, **how)
    maps = {name: getattr(clip, name) for name in ("images", "depth", "motion_mask")}
    inside = {name: values[:, y : y + height, x : x + width] for name, values in maps.items()}
    K = clip.intrinsics - np.array([[0, 0, x], [0, 0, y], [0, 0, 0]])
    clip = replace(clip, intrinsics=K, **inside)
    write_clip(clip, folder)
    (folder / "cam.txt").unlink()
    return clip


@pytest.mark.slow
def test_a_camera_that_turns_and_moves_tells_its_focal_length(tmp_path, capsys):
    clip = film(tmp_path / "turns", cut=(30, 40), frames=12, seed=4, rotation=3.0)
    assert main(["track", str(tmp_path), "--threads", "1"]) == 0
    said = capsys.readouterr().out
    scene = read_scene(tmp_path / "turns")
    focal = scene.intrinsics[0, 0]
    assert focal == pytest.approx(clip.intrinsics[0, 0], rel=0.03)
    assert scene.intrinsics.tolist() == [[focal, 0, 79.5], [0, focal, 59.5], [0, 0, 1]]
    for frame in range(3, 12):
        (found,) = relative_motion(scene.tracked_poses, frame, (frame - 3,), flip=False)
        (truth,) = relative_motion(clip.poses, frame, (frame - 3,), flip=False)
        assert np.degrees(np.linalg.norm(found[:3, :3] - truth[:3, :3]) / np.sqrt(2)) < 0.6
    info = json.loads((tmp_path / "turns" / "scene.json").read_text())
    assert info["camera"].startswith("found by ssmde track, COLMAP 4")
    assert f"focal length {focal:.1f} pixels" in info["camera"]
    assert info["source"].startswith("drawn: room"), "what was there stays"
    assert f"turns: camera found: focal length {focal:.1f} pixels +- " in said
    assert track(tmp_path, show_progress=False) == [], "a stopped run goes on"


@pytest.mark.slow  # by default: each reason for a refusal, below
def test_a_video_that_does_not_tell_is_refused_and_the_others_are_tracked(tmp_path):
    film(tmp_path / "slides", frames=12, seed=3, rotation=0.0)
    film(tmp_path / "stands", frames=10, seed=3, rotation=0.0, step=0.0)
    write_clip(draw_clip("room", size=SIZE, frames=10, seed=3, step=0.08), tmp_path / "known")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match="its camera is unknown") as refusal:
        track(tmp_path, threads=1, show_progress=False)
    slides, stands = str(refusal.value).splitlines()
    assert slides.startswith("scene 'slides': ")
    assert "different focal lengths (" in slides
    assert "0 of 10 frames" in stands
    for line in (slides, stands):
        assert "`ssmde prepare`, --hfov-degrees 65" in line
        assert line.endswith("cam.txt")
    new = sorted(str(f.relative_to(tmp_path)) for f in set(tmp_path.rglob("*")) - set(before))
    made = [".ssmde.jsonl", "tracked.json", "tracked_points.npz", "tracked_poses.txt"]
    assert new == [f"known/{name}" for name in made]


@pytest.mark.parametrize(
    ("found", "doubt"),
    [
        (Refined(9, 900, 128.0), "found in 9 of 20 frames, and 10 are needed"),
        (Refined(20, 280, 128.0), "a frame sees 14.0 points of known depth in the mean, and 15"),
        (Refined(20, 900, 700.0), "700 pixels, a field of view of 13 degrees"),
        (Refined(20, 900, 30.0), "30 pixels, a field of view of 139 degrees"),
        (Refined(20, 300, 128.0), ""),
    ],
)
def test_what_a_reconstruction_must_hold_to_be_believed(found, doubt):
    said = doubt_about(found, 20, max(SIZE))
    assert doubt in said
    assert bool(said) == bool(doubt)


def test_the_median_of_the_frames_decides_between_stretches_of_a_video():
    long = Estimate(frames=400, focals=(500.0, 505.0, 490.0))
    short = Estimate(frames=100, focals=(510.0, 520.0, 515.0))
    turned_away = Estimate(frames=500, doubt="it stood still")
    found = join_estimates([short, long, turned_away])
    assert (found.focal, found.frames) == (500.0, 500)
    assert found.spread == pytest.approx(0.04)
    assert str(found) == "focal length 500.0 pixels +- 4.0 %, from 500 frames"
    assert join_estimates([turned_away, Estimate(frames=3, doubt="short")]) == "it stood still"


def test_stretches_that_disagree_are_no_camera():
    wide = Estimate(frames=300, focals=(500.0, 505.0, 490.0))
    zoomed = Estimate(frames=100, focals=(600.0, 610.0, 590.0))
    assert "490" in (said := join_estimates([wide, zoomed]))
    assert "610" in said
    half = Estimate(frames=300, focals=(500.0, float("nan"), 500.0))
    assert "500, none, 500" in join_estimates([half])
