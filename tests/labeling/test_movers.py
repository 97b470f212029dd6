"""What moves comes forward to the ground it stands on; nothing else changes."""

import numpy as np
import pytest

from ssmde.data.scene_files import read_tracked_points, write_tracked_points, write_tracked_poses
from ssmde.data.scene_folder import read_scene
from ssmde.labeling.movers import CUT_OFF, LEAST, SLACK, bring_movers_forward, ground_factor
from ssmde.synthetic import draw_clip, write_clip

HEIGHT, WIDTH = 48, 64
HORIZON = 20  # row
FLOOR = (4.0 * (HEIGHT - HORIZON) / np.maximum(np.arange(HEIGHT) - HORIZON, 1e-9))[:, None]


def scene_with(rows, columns, depth):
    """A floor that goes off to a wall at 16, and a region of that depth in front of it."""
    found = np.broadcast_to(np.minimum(FLOOR, 16.0), (HEIGHT, WIDTH)).astype(np.float32).copy()
    movers = np.zeros(found.shape, dtype=bool)
    movers[rows, columns] = True
    found[movers] = np.broadcast_to(depth, (HEIGHT, WIDTH))[movers]
    return found, movers


@pytest.mark.parametrize(
    ("rows", "columns", "depth", "expected"),
    [
        (slice(10, 35), slice(20, 30), 14.0, SLACK * 8 / 14),  # stands on the floor at 8
        (slice(10, 35), slice(20, 30), 6.0, 1.0),  # nearer already
        (slice(10, 48), slice(20, 34), 8.0, CUT_OFF / 2),  # cut off by the edge
        (slice(10, 48), slice(20, 34), 15.9, LEAST),  # as far as it goes
        (slice(36, 48), slice(10, 40), FLOOR, 1.0),  # a patch of the floor
        (slice(10, 35), slice(20, 21), 14.0, 1.0),  # too small
        (slice(4, 16), slice(20, 34), 14.0, 1.0),  # above the horizon
    ],
)
def test_a_mover_is_no_deeper_than_where_it_stands(rows, columns, depth, expected):
    found, movers = scene_with(rows, columns, depth)
    factor = ground_factor(found, movers)
    np.testing.assert_allclose(factor[movers], expected, rtol=0.06)
    assert (factor[~movers] == 1).all()


def test_where_no_ground_is_in_view_nothing_changes():
    _, movers = scene_with(slice(10, 40), slice(20, 34), 14.0)
    assert (ground_factor(np.full((HEIGHT, WIDTH), 9.0, np.float32), movers) == 1).all()


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """People who cross a room, as a tracked scene and what was drawn."""
    clip = draw_clip("room", frames=14, size=(72, 96), seed=1, movers="across")
    folder = tmp_path_factory.mktemp("data") / "room"
    write_clip(clip, folder)
    write_tracked_poses(folder, clip.poses, np.zeros(len(clip.poses)), "drawn")
    points, rng = {}, np.random.default_rng(0)
    for i, (depth, mask) in enumerate(zip(clip.depth, clip.motion_mask, strict=True)):
        rows, columns = np.nonzero((mask == 0) & (depth > 0))
        chosen = rng.choice(len(rows), 200, replace=False)
        at = np.stack([columns[chosen], rows[chosen]], 1).astype(np.float32)
        points[i] = at, depth[rows[chosen], columns[chosen]]
    write_tracked_points(folder, points)
    return read_scene(folder), read_tracked_points(folder / "tracked_points.npz"), clip


def test_people_who_are_labeled_too_far_come_forward_and_the_room_stays(room):
    scene, points, clip = room
    before, after, changed = [], [], []
    for i in range(0, len(scene), 3):
        true = np.where(clip.depth[i] > 0, clip.depth[i], 150.0).astype(np.float32)
        moving = clip.motion_mask[i] == 255
        if moving.mean() < 0.03:
            continue
        label = np.where(moving, 1.8 * true, true).astype(np.float32)
        found = bring_movers_forward(label, scene, i, points[i])
        before.append(np.abs(label[moving] / true[moving] - 1).mean())
        after.append(np.abs(found[moving] / true[moving] - 1).mean())
        changed.append((found != label)[~moving].mean())
    assert len(before) > 3
    assert np.mean(after) < 0.6 * np.mean(before)
    assert np.mean(changed) < 0.05


def test_a_label_with_gaps_or_of_a_scene_without_motion_comes_back_as_it_is(room):
    scene, points, clip = room
    label = np.full(clip.depth[0].shape, 5.0, np.float32)
    label[0, 0] = 0
    assert bring_movers_forward(label, scene, 0, points[0]) is label
