"""The focal length of an unknown camera: found where the video tells it, else said not to be."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ssmde.cli import main
from ssmde.data.dataset import relative_motion
from ssmde.data.scene_folder import read_scene
from ssmde.data.sequence import FrameSequence
from ssmde.synthetic import draw_clip, write_clip
from ssmde.tracking import track
from ssmde.tracking.colmap import Piece, Refined, find_camera

SIZE = (120, 160)


def film(folder, *, cut=(0, 0), step=0.08, **how):
    """A drawn room without cam.txt; its view of 65 degrees is narrower where borders are cut."""
    (height, width), (y, x) = SIZE, cut
    clip = draw_clip("room", size=(height + 2 * y, width + 2 * x), step=step, **how)
    inside = {
        name: getattr(clip, name)[:, y : y + height, x : x + width]
        for name in ("images", "depth", "motion_mask")
    }
    write_clip(replace(clip, **inside), folder)
    (folder / "cam.txt").unlink()
    return clip


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
    assert re.match(f"found by ssmde track, COLMAP 4.*length {focal:.1f} pixels", info["camera"])
    assert info["source"].startswith("drawn: room"), "what was there stays"
    assert f"turns: camera found: focal length {focal:.1f} pixels +- " in said
    assert track(tmp_path, show_progress=False) == [], "a stopped run goes on"


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
    ("found", "said"),
    [
        ([Refined(9, 900, 128.0)], "found in 9 of 20 frames, and 10 are needed"),
        ([Refined(20, 280, 128.0)], "a frame sees 14.0 points of known depth in the mean, and 15"),
        ([Refined(20, 900, 700.0)], "700 pixels, a field of view of 13 degrees"),
        ([Refined(20, 900, 30.0)], "30 pixels, a field of view of 139 degrees"),
        ([Refined(20, 300, f) for f in (100, np.nan, 100)], "lengths (100, none, 100 pixels)"),
        ([Refined(20, 300, f) for f in (100, 111, 100)], "lengths (100, 111, 100 pixels)"),
        (
            [Refined(20, 300, f) for f in (100, 104, 99)],
            "focal length 100.0 pixels +- 4.0 %, from 20 frames",
        ),
    ],
)
def test_a_camera_is_believed_that_both_halves_of_the_frames_tell(monkeypatch, found, said):
    answers = iter(found)
    monkeypatch.setattr(Piece, "fill", lambda self, guess: None)
    monkeypatch.setattr(Piece, "refine", lambda self, names, start: next(answers))
    scene = FrameSequence(name="a", images=[Path(f"{i}.png") for i in range(20)], image_size=SIZE)
    piece = Piece(
        colmap=None, threads=1, seed=0, scene=scene, database=Path("db"), advance=lambda _: None
    )
    assert said in str(find_camera(piece))
