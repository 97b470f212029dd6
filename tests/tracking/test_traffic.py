"""Behind cars as fast as the camera tracking may go wrong: then it says so and keeps nothing."""

import json

import numpy as np
import pytest
from scipy.stats import spearmanr

from ssmde.data.scene_files import read_tracked_points
from ssmde.data.scene_folder import read_scene
from ssmde.synthetic import write_clip
from ssmde.tracking import track
from traffic import STANDS, draw_traffic

pytestmark = pytest.mark.slow


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
