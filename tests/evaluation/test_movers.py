"""Cars of a drawn street: seen right, and put where the street is behind them."""

import json
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from ssmde.data.pseudo_labels import FOLDER, LabelInfo, write_labels
from ssmde.data.scene_files import write_tracked_points, write_tracked_poses
from ssmde.data.scene_folder import read_scene
from ssmde.evaluation import evaluate, evaluate_predictions
from ssmde.evaluation.movers import movers_text
from ssmde.inference.predictor import Predictor
from ssmde.synthetic import DrawnClip, draw_clip, write_clip
from tiny_networks import Brightness

FRAMES, SIZE, SKY, SEED = 12, (64, 96), 150.0, 1
UNIT = 12.0  # metres of the tracked motion's unit


@cache
def street(movers: str) -> DrawnClip:
    return draw_clip("street", frames=FRAMES, size=SIZE, seed=SEED, movers=movers, step=0.4)


@pytest.fixture
def empty() -> DrawnClip:
    return street("none")


@pytest.fixture(params=["across", "followed"])
def clip(request) -> DrawnClip:
    return street(request.param)


def write(clip: DrawnClip, folder: Path, *, leave_out: tuple[str, ...] = ()) -> Path:
    """The scene folder, its motion tracked without error, without some of its parts."""
    write_clip(clip, folder)
    poses, rng = clip.poses.copy(), np.random.default_rng(0)
    poses[:, :3, 3] /= UNIT
    write_tracked_poses(folder, poses, np.zeros(FRAMES), "drawn")
    points = {}
    for i, (depth, mask) in enumerate(zip(clip.depth, clip.motion_mask, strict=True)):
        rows, columns = np.nonzero((mask == 0) & (depth > 0))
        chosen = rng.choice(len(rows), 100, replace=False)
        at = np.stack([columns[chosen], rows[chosen]], 1).astype(np.float32)
        points[i] = at, depth[rows[chosen], columns[chosen]] / UNIT
    write_tracked_points(folder, points)
    for name in leave_out:
        shutil.rmtree(folder / name)
    return folder


def says(clip: DrawnClip, depth: np.ndarray, factor: float = 0.3):
    """Knows the depth of each frame, in a unit of its own."""
    known = np.where(depth > 0, depth, SKY) * factor

    def predict(pixels: np.ndarray) -> np.ndarray:
        apart = np.abs(clip.images.astype(np.int64) - pixels).sum((1, 2, 3))
        return known[int(apart.argmin())]

    return predict


def measure_movers(predict, scenes, max_frames=None):
    return evaluate_predictions(predict, scenes, details=True, max_frames=max_frames).movers


def test_cars_in_the_depth_of_what_is_behind_them_are_holes_and_the_truth_has_none(
    clip, empty, tmp_path
):
    scene = read_scene(write(clip, tmp_path / "street", leave_out=("depth",)))
    right, holes = (measure_movers(says(clip, d), [scene]) for d in (clip.depth, empty.depth))
    assert right.n_images == right.n_images_from_masks == holes.n_images > FRAMES // 2
    assert right.holes.pixel_rate < 0.1
    assert holes.holes.pixel_rate > 0.4
    assert right.order.pairs == 0


def test_without_masks_the_cars_are_found_by_the_motion_that_was_tracked(clip, empty, tmp_path):
    scene = read_scene(write(clip, tmp_path / "street", leave_out=("motion_mask", "depth")))
    right, holes = (measure_movers(says(clip, d), [scene]) for d in (clip.depth, empty.depth))
    assert holes.n_images > 0
    assert holes.n_images_from_masks == 0
    assert right.holes.holes < 0.6 * holes.holes.holes
    assert right.holes.hole_regions < 0.3 * holes.holes.hole_regions
    assert holes.holes.pixel_rate > 0.25


@pytest.mark.parametrize("kind", ["depth", "disparity"])
def test_labels_that_know_better_are_contradicted_by_holes(kind, empty, tmp_path):
    clip = street("followed")
    folder = write(clip, tmp_path / "street", leave_out=("depth",))
    far = np.where(clip.depth > 0, clip.depth, SKY)
    labels = far if kind == "depth" else 1 / far
    write_labels(
        folder / FOLDER,
        LabelInfo(source="drawn", kind=kind, affine=True, licence="MIT"),
        {f"{i:06d}": label.astype(np.float32) for i, label in enumerate(labels)},
    )
    scene = read_scene(folder)
    right, holes = (measure_movers(says(clip, d), [scene], 4) for d in (clip.depth, empty.depth))
    assert right.order.pairs > 1000
    assert right.order.rate < 0.01
    assert holes.order.rate > 0.02


def test_where_nobody_knows_what_moves_nothing_is_said(empty, tmp_path):
    folder = write(empty, tmp_path / "street")
    still = measure_movers(says(empty, empty.depth), [read_scene(folder)])
    assert still.to_dict() is None
    assert movers_text(still.to_dict()) == []
    (folder / "tracked_poses.txt").unlink()
    shutil.rmtree(folder / "motion_mask")
    assert measure_movers(says(empty, empty.depth), [read_scene(folder)]) is None


def test_a_prediction_that_is_no_depth_is_left_out(tmp_path):
    scene = read_scene(write(street("across"), tmp_path / "street", leave_out=("depth",)))
    assert measure_movers(lambda _: np.full(SIZE, np.nan), [scene], 3).n_images == 0


@pytest.mark.parametrize("truth", [True, False])
def test_the_verb_judges_movers_also_of_a_video_that_nobody_measured(truth, tmp_path):
    clip = street("across")
    write(clip, tmp_path / "street", leave_out=() if truth else ("depth",))
    predictor = Predictor(Brightness(), (64, 96), source="drawn")
    result = evaluate(predictor, tmp_path, split="all", max_frames=5, out=tmp_path / "out")
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert 0 <= written["movers"]["holes"] <= 1
    assert written["movers"]["n_images"] == result.movers.n_images > 0
    (line,) = movers_text(written["movers"])
    printed = str(result)
    assert line in printed
    assert (written["full"] is None) == ("only movers are judged" in printed) == (not truth)
    assert ("AbsRel by distance" in printed) == truth
