"""Behind cars as fast as the camera tracking may go wrong: then it says so and keeps nothing."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from ssmde.data.scene_files import read_tracked_points
from ssmde.data.scene_folder import read_scene
from ssmde.data.sequence import from_hfov
from ssmde.synthetic import DrawnClip, poses, write_clip
from ssmde.synthetic.raycast import render
from ssmde.synthetic.scene import Track
from ssmde.tracking import track
from streets import LANE, car, crossings, street

pytestmark = pytest.mark.slow
STANDS, FRAMES, SIZE = 12, 44, (120, 160)
PLACES = ((LANE, 0.0), (0.3 - LANE, 1.0), (LANE, 8.0))  # of the cars: metres to the right, ahead


def draw_traffic(cars: int, *, seed: int, distance: float, step: float) -> DrawnClip:
    """The camera stands 12 frames, then drives `step` metres a frame; the cars keep `distance`."""
    frame = np.arange(FRAMES + 1)
    ahead = np.cumsum(np.clip((frame - STANDS) / 6, 0, 1) * step)
    sway, height, still = np.sin(ahead / 6), np.full_like(ahead, -1.6), np.zeros_like(ahead)
    T_world_cam = poses(
        np.stack([LANE + 0.1 * sway, height, ahead], 1),
        np.stack([0.5 * np.sin(ahead / 5), still, still], 1),
    )
    rng = np.random.default_rng([seed, 0])
    at = crossings(rng, ahead[-1] + 80)
    scene = street(rng, float(ahead[-1]), at)
    for number, (x, farther) in enumerate(PLACES[:cars]):
        place = np.stack([still + x, still, ahead + distance + farther], 1)
        track = Track(times=frame / 10, positions=place, headings=still)
        body = car(np.random.default_rng([seed, 3, number]), track)
        scene = replace(scene, bodies=(*scene.bodies, body))
    K = from_hfov(SIZE, 65.0)
    seen = [render(scene, T, K, SIZE, i / 10) for i, T in enumerate(T_world_cam[:FRAMES])]
    return DrawnClip(
        source="drawn: traffic", fps=10.0, images=np.stack([one.image for one in seen]),
        depth=np.stack([one.depth for one in seen]), poses=T_world_cam[:FRAMES], intrinsics=K,
        motion_mask=np.stack([one.moving for one in seen]),
    )  # fmt: skip


def track_traffic(folder, cars, **how):
    clip = draw_traffic(cars, **how)
    write_clip(clip, folder)
    (found,) = track(folder, threads=1, show_progress=False)
    assert found.standing >= STANDS - 4
    info = json.loads((folder / "tracked.json").read_text())
    assert info["explained"] == pytest.approx(found.explained, abs=1e-3)
    return clip, found, read_tracked_points(folder / "tracked_points.npz")


def test_behind_one_car_the_street_tells_the_motion_and_the_car_has_no_points(tmp_path):
    clip, found, points = track_traffic(tmp_path / "good", 1, seed=1, distance=5.0, step=0.5)
    assert found.explained > 0.9
    assert found.doubtful == 0
    assert len(points) >= 30
    orders, units = [], []
    for frame, (pixels, depth) in points.items():
        columns, rows = np.rint(pixels).astype(int).T
        truth = clip.depth[frame, rows, columns]
        orders.append(spearmanr(truth, depth)[0])
        assert (clip.motion_mask[frame, rows, columns] == 255).mean() < 0.02
        units.append(np.median(truth / depth))
    assert np.median(orders) > 0.85
    assert min(orders) > 0.7
    assert max(units) < 1.1 * min(units)


def test_behind_three_cars_that_fill_a_third_of_the_view_nothing_is_kept(tmp_path):
    _, found, points = track_traffic(tmp_path / "bad", 3, seed=2, distance=4.0, step=0.4)
    assert found.explained < 0.8
    assert found.doubtful >= 30
    assert (found.found, points) == (0, {})
    assert "cannot be trusted" in str(found)
    assert np.isnan(read_scene(tmp_path / "bad").tracked_poses[:, 0, 0]).all()
