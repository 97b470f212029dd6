"""Drawn clips: their truth rebuilds one frame from the next, and survives the disk."""

import json
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import streets  # noqa: F401 - the kind "street" of draw_clip
from ssmde.geometry.warp import reproject, sample
from ssmde.synthetic import draw_clip, poses, wander, write_clip

SIZE = (48, 64)
FIELDS = ("images", "depth", "poses", "motion_mask")


@cache
def drawn(kind, movers, seed=1):
    step = 0.1 if kind == "room" and movers != "followed" else 0.5
    return draw_clip(kind, frames=2, size=SIZE, seed=seed, movers=movers, step=step)


def rebuilt(clip):
    """The first frame and what the next one says of it, each with where that can be said.

    Gives the target, its reconstruction, the next frame unmoved, |depth ratio - 1|, what both see
    and what moves in neither.
    """
    images = torch.tensor(clip.images).permute(0, 3, 1, 2).double() / 255
    depth = torch.tensor(clip.depth)[:, None].double()
    moving = torch.tensor(clip.motion_mask)[:, None].double()
    T = torch.tensor(np.linalg.inv(clip.poses[1]) @ clip.poses[0])[None]
    met = depth[:1] > 0
    warp = reproject(depth[:1].where(met, 1.0), T, torch.tensor(clip.intrinsics)[None])
    # Inverse depth is linear on planes, so reading it between pixels is exact there.
    inverse = sample(torch.where(depth[1:] > 0, 1 / depth[1:], 0.0), warp.pixels)
    relative = (warp.depth * inverse - 1).abs()
    static = (moving[:1] == 0) & (sample(moving[1:], warp.pixels) == 0)
    seen = met & warp.visible
    return images[:1], sample(images[1:], warp.pixels), images[1:], relative, seen, static


@pytest.mark.parametrize(("kind", "movers"), [("room", "across"), ("street", "mixed")])
def test_the_truth_rebuilds_the_static_pixels_of_the_next_frame(kind, movers):
    target, moved, unmoved, relative, seen, static = rebuilt(drawn(kind, movers))
    visible = (seen & static & (relative < 0.02)).expand(-1, 3, -1, -1)
    error = (target - moved).abs()[visible].mean()
    assert error < 0.03
    assert error < 0.8 * (target - unmoved).abs()[visible].mean()
    assert (relative < 1e-3)[seen & static].double().mean() > 0.75
    assert relative[seen & static].median() < 1e-5


@pytest.mark.parametrize("kind", ["room", "street"])
def test_what_is_followed_keeps_its_depth_and_so_disagrees_with_the_motion(kind):
    clip = drawn(kind, "followed")
    depths = [np.median(d[m > 0]) for d, m in zip(clip.depth, clip.motion_mask, strict=True)]
    np.testing.assert_allclose(depths, depths[0], rtol=0.02)
    *_, relative, seen, _ = rebuilt(clip)
    moving = seen & torch.tensor(clip.motion_mask[:1] > 0)[:, None]
    assert moving.sum() > 20
    assert (relative[moving] > 0.02).double().mean() > 0.8


@given(st.integers(0, 1000))
@settings(max_examples=3)
def test_paths_keep_the_step_they_are_asked_for(seed):
    path = wander(np.random.default_rng(seed), 800, (0.7, 0.1, 0.5), 0.1)
    assert np.linalg.norm(np.diff(path, axis=0), axis=1).mean() == pytest.approx(0.1, rel=0.1)
    assert np.abs(path).max() < 1.65 * 0.7  # the waves add up to at most 1.65


def test_headings_turn_to_the_right_pitches_up_and_rolls_clockwise():
    right, up, roll = poses(np.zeros((3, 3)), np.diag([90.0, 90.0, 90.0]))[:, :3, :3]
    np.testing.assert_allclose(right @ [0, 0, 1], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(up @ [0, 0, 1], [0, -1, 0], atol=1e-12)
    np.testing.assert_allclose(roll @ [1, 0, 0], [0, 1, 0], atol=1e-12)


def test_the_seed_alone_decides_and_other_movers_show_the_same_place():
    busy = drawn("room", "mixed")
    assert 0.003 < (busy.motion_mask > 0).mean() < 0.6
    again, empty, other = (
        draw_clip("room", frames=1, size=SIZE, seed=seed, movers=movers, step=0.1)
        for seed, movers in ((1, "mixed"), (1, "none"), (8, "none"))
    )
    assert all(np.array_equal(getattr(busy, f)[:1], getattr(again, f)) for f in FIELDS)
    static = busy.motion_mask[0] == 0
    np.testing.assert_array_equal(empty.depth[0][static], busy.depth[0][static])
    assert not any(np.array_equal(getattr(empty, f), getattr(other, f)) for f in FIELDS[:3])
    still = draw_clip("room", frames=2, size=(16, 20), step=0.0, rotation=0.0)
    np.testing.assert_array_equal(still.images[0], still.images[1])
    assert not still.motion_mask.any()


@pytest.mark.parametrize(("kind", "unit"), [("room", 1000), ("street", 256)])
def test_a_written_clip_reads_back_the_same(tmp_path, kind, unit):
    clip = drawn(kind, "followed")
    write_clip(clip, tmp_path)
    info = json.loads((tmp_path / "scene.json").read_text())
    assert info["depth_units_per_metre"] == unit
    assert {"source", "licence", "fps", "notes"} <= set(info)
    np.testing.assert_allclose(np.loadtxt(tmp_path / "cam.txt"), clip.intrinsics, rtol=1e-9)
    stored_poses = np.loadtxt(tmp_path / "poses.txt").reshape(-1, 3, 4)
    np.testing.assert_allclose(stored_poses, clip.poses[:, :3], atol=1e-8)
    image, depth, moving = (
        np.asarray(Image.open(tmp_path / name / "000001.png"))
        for name in ("", "depth", "motion_mask")
    )
    np.testing.assert_array_equal(image, clip.images[1])
    assert depth.dtype == np.uint16
    np.testing.assert_allclose(depth / unit, clip.depth[1], atol=0.51 / unit)
    np.testing.assert_array_equal(moving, clip.motion_mask[1])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kind": "roam"}, "unknown kind 'roam': closest match is 'room'"),
        ({"movers": "folowed"}, "unknown movers 'folowed': closest match is 'followed'"),
        ({"frames": 0}, "frames must be at least 1, got 0"),
        ({"size": (1, 40)}, "size must be at least 2 x 2"),
        ({"seed": -1}, "seed must be"),
        ({"step": -0.1}, "step must be 0 or more, got -0.1"),
        ({"rotation": float("nan")}, "rotation must be 0 or more"),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_name(wrong, message):
    with pytest.raises(ValueError, match=message):
        draw_clip(**{"kind": "room"} | wrong)
