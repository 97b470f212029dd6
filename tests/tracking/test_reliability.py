"""Motion that explains the matches is told from motion that does not, and labels from points."""

import numpy as np
import pytest
from PIL import Image

from ssmde.data.pseudo_labels import LabelInfo, write_labels
from ssmde.data.scene_files import write_tracked_points
from ssmde.synthetic import poses
from ssmde.tracking.colmap import Pair
from ssmde.tracking.reliability import (
    doubt_about_points,
    explained_shares,
    find_standing,
    trusted_frames,
)

FOCAL, SIDE, FRAMES = 130.0, 160, 10


def drive(followed=0.0, step=0.6):
    """Poses of a drive straight ahead, and the matches of points, some of which drive along."""
    rng = np.random.default_rng(0)
    points = rng.uniform((-6, -3, 12), (6, 1.6, 30), (200, 3))
    along = rng.random(200) < followed
    path = np.zeros((FRAMES, 3))
    path[:, 2] = step * np.arange(FRAMES)
    seen = [points + along[:, None] * place - place for place in path]
    rays = [at[:, :2] / at[:, 2:] for at in seen]
    gaps = [(i, i + gap) for gap in (1, 2, 4, 8) for i in range(FRAMES - gap)]
    pairs = [Pair(i, j, rays[i], rays[j]) for i, j in gaps]
    return poses(path, np.zeros((FRAMES, 3))), pairs


def test_right_motion_explains_all_matches_and_a_turn_in_its_place_does_not():
    right, pairs = drive()
    assert explained_shares(right, pairs, FOCAL, SIDE).min() > 0.99
    aside = right.copy()
    aside[:, 0, 3] = aside[:, 2, 3]  # to the right in place of ahead
    aside[:, 2, 3] = 0
    assert explained_shares(aside, pairs, FOCAL, SIDE).max() < 0.8
    unknown = right.copy()
    unknown[3] = np.nan
    assert np.flatnonzero(np.isnan(explained_shares(unknown, pairs, FOCAL, SIDE))).tolist() == [3]
    shares = explained_shares(*drive(step=0.01), FOCAL, SIDE)  # what hardly moves tells nothing
    assert np.isnan(shares).all()
    assert trusted_frames(shares).all()


def test_the_camera_stands_where_three_quarters_of_the_matches_do():
    _, moving = drive(followed=0.6, step=1.0)
    assert not find_standing(moving, FRAMES, FOCAL).any()
    _, still = drive(step=0.0)
    assert find_standing(still, FRAMES, FOCAL).tolist() == [False] + [True] * (FRAMES - 1)
    _, creeping = drive(step=0.1)  # a frame moves less than half a pixel, four frames more
    found = find_standing(creeping, FRAMES, FOCAL)
    assert np.flatnonzero(found).max() < 4


def test_a_part_that_is_wrong_goes_and_so_does_a_stretch_of_a_good_one():
    assert trusted_frames(np.full(40, 0.9)).all()
    assert not trusted_frames(np.full(40, 0.75)).any()  # behind three cars, drawn
    crowd = np.r_[np.full(30, 0.92), (0.76, 0.71, 0.67, 0.76, 0.71, 0.69, 0.66, 0.73)]
    assert trusted_frames(crowd).all()  # bonn_crowd, whose motion is right
    assert trusted_frames(np.r_[0.5, np.full(30, 0.95)]).all()  # one frame, were it the first
    stretch = np.r_[np.full(30, 0.95), np.full(12, 0.5), np.full(30, 0.95)]
    lost = np.flatnonzero(~trusted_frames(stretch))
    assert lost.tolist() == list(range(30, 42))
    stretch[::5] = np.nan
    assert trusted_frames(stretch).sum() == pytest.approx(60, abs=2)


@pytest.mark.parametrize(("change", "doubt"), [
    (lambda _, depth: depth, ""),
    (lambda _, depth: 1 / depth, "tracked points and its own depth have a rank correlation of -1"),
    (lambda i, depth: depth * 2 ** (i / 2), "the unit of tracked points changes "),
    (None, ""),
])  # fmt: skip
def test_points_in_another_order_or_changing_units_are_doubted(tmp_path, change, doubt):
    rng, points, labels = np.random.default_rng(0), {}, {}
    for i in range(6):
        name, depth = f"{i:06d}", rng.uniform(0.5, 2, (24, 32)).astype("f4")
        Image.new("RGB", (64, 48)).save(tmp_path / f"{name}.png")
        labels[name] = 3 * depth  # in another unit, and at half the size
        rows, columns = rng.integers(0, 24, 60), rng.integers(0, 32, 60)
        if change:
            at = np.stack([2 * columns, 2 * rows], 1).astype("f4")
            points[i] = at, change(i, depth[rows, columns])
    info = LabelInfo(source="test", kind="depth", affine=False, licence="none")
    write_labels(tmp_path / "pseudo_depth", info, labels)
    write_tracked_points(tmp_path, points)
    found = doubt_about_points(tmp_path)
    assert found.startswith(doubt)
    assert bool(found) == bool(doubt)
