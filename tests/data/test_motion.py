"""Poses that come with the frames: which pairs they allow, and the motion between two frames."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssmde.config import DataConfig
from ssmde.data.dataset import SnippetDataset, known_poses, usable_gaps
from ssmde.data.motion import tile_flow
from ssmde.data.sequence import FrameSequence
from texture import texture, view

TRACKED = DataConfig(poses="tracked")


def a_walk(parts=(0.0,) * 7):
    """Seven frames along the x axis of the world."""
    poses = np.tile(np.eye(4), (7, 1, 1))
    poses[:, 0, 3] = range(7)
    return FrameSequence(
        name="walk", images=tuple(Path(f"walk/{i}.png") for i in range(7)), image_size=(32, 64),
        intrinsics=np.diag((60.0, 60.0, 1.0)), tracked_poses=poses,
        tracked_parts=np.array(parts, float),
    )  # fmt: skip


def lost(*place):
    walk = a_walk()
    walk.tracked_poses[place] = np.nan
    return walk


@pytest.mark.parametrize(("walk", "data", "gap", "targets"), [
    (a_walk(), DataConfig(), 2, [2, 3, 4]),
    *((a_walk(), data, gap, [3] if gap == 3 else [])
      for gap in (3, 4, 7, 9) for data in (DataConfig(), TRACKED)),
    (a_walk(parts=[0.0] * 4 + [1.0] * 3), TRACKED, 1, [1, 2, 5]),  # never from part to part
    (lost(3), TRACKED, 1, [1, 5]),
    (lost(3, 0, 0), TRACKED, 1, [1, 5]),  # the place is known, the orientation is not
])  # fmt: skip
def test_targets_have_sources_on_both_sides_with_known_poses(walk, data, gap, targets):
    usable = usable_gaps(walk, replace(data, frame_gaps=(gap,)))
    assert np.flatnonzero(usable[:, 0]).tolist() == targets


def test_poses_that_are_not_there_are_asked_for_with_the_way_to_get_them():
    bare = FrameSequence(name="bare", images=(Path("d/bare/0.png"),), image_size=(32, 32))
    assert known_poses(bare, DataConfig()) is None
    with pytest.raises(ValueError, match=r"'bare': .*tracked_poses.txt does not.*ssmde track d"):
        known_poses(bare, TRACKED)
    with pytest.raises(ValueError, match=r"'bare': .*poses.txt does not exist.*ssmde track"):
        known_poses(bare, DataConfig(poses="file"))
    with pytest.raises(ValueError, match=r"no frame .*data.poses tracked.* at gaps \(1,\)"):
        SnippetDataset([a_walk(parts=range(7))], TRACKED, seed=0, augment=False)


# Of the image

PATTERNS = [texture(seed, size=200) for seed in range(3)]


def shown(dx=0.0, dy=0.0, seed=0):
    """A picture whose content is moved by (dx, dy) pixels."""
    return (view(PATTERNS[seed], 40 - dx, 40 - dy, (96, 72)) / 255).astype(np.float32)


def test_shifts_are_found_with_their_sign_and_tiles_that_move_apart_told_apart():
    a = np.random.default_rng(1).random((48, 64), dtype=np.float32)
    flow = tile_flow(a, np.roll(a, (3, -5), (0, 1)))
    assert np.median(flow.motion[flow.found], 0) == pytest.approx((-5, 3), abs=0.05)
    a, b = shown(), shown(3.0, 0.0)
    b[:, :48] = shown(-3.0, 0.0)[:, :48]
    flow = tile_flow(a, b)
    left, right = flow.centers[:, 0] < 24, flow.centers[:, 0] > 72
    assert np.allclose(np.median(flow.motion[left], 0), (-3, 0), atol=0.1)
    assert np.allclose(np.median(flow.motion[right], 0), (3, 0), atol=0.1)


@settings(max_examples=5)
@given(dx=st.floats(-9.0, 9.0), dy=st.floats(-9.0, 9.0))
def test_tiles_move_by_the_fraction_of_a_pixel_that_the_texture_does(dx, dy):
    flow = tile_flow(shown(), shown(dx, dy))
    there = flow.centers + np.array([dx, dy])
    inside = ((there > 16) & (there < (79, 55))).all(1)
    error = np.abs(flow.motion - (dx, dy))[flow.found & inside]
    assert len(error) >= 3
    assert np.median(error) < 0.02
    assert flow.found_share > 0.5


def test_brightness_is_told_and_what_is_blank_or_foreign_is_not_found():
    flow = tile_flow(shown(), 0.7 * shown(1.5, 0.0))
    assert np.allclose(np.median(flow.motion, 0), (1.5, 0), atol=0.03)
    assert np.median(flow.gain) == pytest.approx(0.7, abs=0.02)
    blank = np.full((64, 64), 0.5, np.float32)
    flow = tile_flow(blank, blank)
    assert not flow.found.any()
    assert np.isnan(flow.found_share)
    assert tile_flow(shown(seed=1), shown(seed=2)).found_share < 0.2


def test_images_of_two_sizes_or_too_small_ones_are_refused():
    a, b = np.zeros((16, 16), np.float32), np.zeros((16, 20), np.float32)
    for one, other in ((a, b), (a[:4, :4], a[:4, :4])):
        with pytest.raises(ValueError, match=r"one size of at least 8 x 8, got \((16, 16|4, 4)\)"):
            tile_flow(one, other)
