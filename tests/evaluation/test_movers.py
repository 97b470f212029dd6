"""Cars of a drawn street: seen right, and put far behind where they are."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from ssmde.data.pseudo_labels import FOLDER, LabelInfo, write_labels
from ssmde.data.scene_files import write_tracked_points, write_tracked_poses
from ssmde.data.scene_folder import read_scene
from ssmde.evaluation import evaluate, evaluate_predictions
from ssmde.evaluation.movers import movers_means, movers_text
from ssmde.inference.predictor import Predictor
from ssmde.synthetic import DrawnClip, write_clip
from streets import draw_street
from tiny_networks import Brightness

SKY = 150.0
UNIT = 12.0  # metres of the tracked motion's unit


@pytest.fixture(scope="module")
def street() -> DrawnClip:
    """Cars keep their distance from the camera."""
    return draw_street(frames=8, size=(64, 96), seed=1, movers="followed", step=0.4)


@pytest.fixture(scope="module")
def depths(street) -> tuple[np.ndarray, np.ndarray]:
    """The true depth in a unit of its own, and the same with cars far behind where they are."""
    right = np.where(street.depth > 0, street.depth, SKY) * 0.3
    return right, np.where(street.motion_mask > 0, 5 * right, right)


@pytest.fixture(scope="module")
def folder(street, tmp_path_factory):
    """The scene folder, its motion tracked without error."""
    folder = tmp_path_factory.mktemp("data") / "street"
    write_clip(street, folder)
    poses, rng = street.poses.copy(), np.random.default_rng(0)
    poses[:, :3, 3] /= UNIT
    write_tracked_poses(folder, poses, np.zeros(len(poses)), "drawn")
    points = {}
    for i, (depth, mask) in enumerate(zip(street.depth, street.motion_mask, strict=True)):
        rows, columns = np.nonzero((mask == 0) & (depth > 0))
        chosen = rng.choice(len(rows), 100, replace=False)
        at = np.stack([columns[chosen], rows[chosen]], 1).astype(np.float32)
        points[i] = at, depth[rows[chosen], columns[chosen]] / UNIT
    write_tracked_points(folder, points)
    return folder


@pytest.fixture(scope="module")
def scene(folder):
    """Without measured depth."""
    return replace(read_scene(folder), depth=None)


@pytest.fixture
def count(street):
    """What is found in a scene when this depth is said of each frame."""

    def measure(depth, scene, max_frames=None):
        def predict(pixels):
            apart = np.abs(street.images.astype(np.int64) - pixels).sum((1, 2, 3))
            return depth[int(apart.argmin())]

        return evaluate_predictions(predict, [scene], details=True, max_frames=max_frames).movers

    return measure


def test_cars_behind_where_they_are_are_holes_and_the_truth_has_none(depths, count, scene):
    right, holes = (count(depth, scene) for depth in depths)
    assert right.n_images == right.n_images_from_masks == holes.n_images > len(scene) // 2
    assert right.hole_rate < 0.1
    assert holes.hole_rate > 0.4
    assert right.pairs == 0
    assert count(np.full_like(depths[0], np.nan), scene, 2).n_images == 0


def test_without_masks_the_cars_are_found_by_the_motion_that_was_tracked(depths, count, scene):
    scene = replace(scene, motion_masks=None)
    right, holes = (count(depth, scene) for depth in depths)
    assert holes.n_images > 0
    assert holes.n_images_from_masks == 0
    assert right.holes < 0.75 * holes.holes
    assert right.hole_regions < 0.5 * holes.hole_regions
    assert holes.hole_rate > 0.25


@pytest.mark.parametrize("kind", ["depth", "disparity"])
def test_labels_that_know_better_are_contradicted_by_holes(kind, street, depths, count, tmp_path):
    write_clip(street, tmp_path / "street")
    labels = depths[0] if kind == "depth" else 1 / depths[0]
    write_labels(
        tmp_path / "street" / FOLDER,
        LabelInfo(source="drawn", kind=kind, affine=True, licence="MIT"),
        {f"{i:06d}": label.astype(np.float32) for i, label in enumerate(labels)},
    )
    labeled = replace(read_scene(tmp_path / "street"), depth=None)
    right, holes = (count(depth, labeled, 3) for depth in depths)
    assert right.pairs > 1000
    assert right.order_rate < 0.01
    assert holes.order_rate > 0.02


def test_where_nothing_moves_or_nobody_knows_what_nothing_is_said(
    depths, count, scene, folder, tmp_path
):
    Image.new("L", (96, 64)).save(tmp_path / "still.png")
    still = replace(scene, motion_masks=(tmp_path / "still.png",) * len(scene))
    assert movers_means(count(depths[0], still, 2)) is None
    assert movers_text(None) == []
    unknown = replace(read_scene(folder), motion_masks=None, tracked_poses=None)
    assert count(depths[0], unknown, 2) is None


@pytest.mark.parametrize("truth", [True, False])
def test_the_verb_judges_movers_also_of_a_video_that_nobody_measured(
    truth, scene, folder, tmp_path
):
    predictor = Predictor(Brightness(), (64, 96), source="drawn")
    chosen = read_scene(folder) if truth else scene
    result = evaluate(predictor, [chosen], max_frames=2, out=tmp_path / "out")
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert 0 <= written["movers"]["holes"] <= 1
    assert written["movers"]["n_images"] == result.movers.n_images > 0
    (line,) = movers_text(written["movers"])
    printed = str(result)
    assert line in printed
    assert (written["full"] is None) == ("only movers are judged" in printed) == (not truth)
    assert ("AbsRel by distance" in printed) == truth
