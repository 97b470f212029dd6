"""Evaluation by distance, at edges, from frame to frame and of what moves, from files."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from measured_scene import HEIGHT, UNITS, WIDTH, knows, write_scene
from ssmde.data.pseudo_labels import FOLDER, LabelInfo, write_labels
from ssmde.data.scene_folder import read_scene
from ssmde.evaluation import evaluate, evaluate_predictions
from ssmde.inference.predictor import Predictor
from ssmde.metrics import METRICS
from ssmde.synthetic import write_clip
from streets import draw_street
from tiny_networks import Brightness

K = np.array([[25.0, 0, 14.5], [0, 25.0, 9.5], [0, 0, 1]])
STEPS = np.array([0.0, 0.1, 0.2])
# A wall at 4 m and, on the right, one at 8 m, seen by a camera that steps towards them.
VIEWS = [np.where(np.arange(WIDTH) < 15, 4.0 - z, 8.0 - z)[None].repeat(HEIGHT, 0) for z in STEPS]
SKY = 150.0


def poses(z: np.ndarray) -> np.ndarray:
    """Camera to world of a camera that stands at each z and looks along it."""
    found = np.tile(np.eye(4), (len(z), 1, 1))
    found[:, 2, 3] = z
    return found


@pytest.fixture
def scene(tmp_path):
    return replace(write_scene(tmp_path / "scene", VIEWS), intrinsics=K, poses=poses(STEPS))


def found_for(scene, depths=VIEWS, **asked) -> dict:
    scenes = scene if isinstance(scene, list) else [scene]
    asked = {"details": True} | asked
    return evaluate_predictions(knows(depths), scenes, "bonn", **asked).to_dict()


def test_a_perfect_prediction_has_perfect_details_where_they_are_asked_for(scene):
    found = found_for(scene, details=False)
    assert (found["boundary"], found["per_distance"], found["temporal"]) == (None, [], None)
    found = found_for(scene, [7 * depth for depth in VIEWS])
    assert (found["boundary"]["f1"], found["boundary"]["n_images"]) == (1.0, 3)
    bands = [(b["from"], b["to"], b["n_images"]) for b in found["per_distance"]]
    assert bands == [(2.0, 5.0, 3), (5.0, 10.0, 3)]
    assert all(b["abs_rel"] < 1e-6 for b in found["per_distance"])
    assert found["temporal"]["n_pairs"] == 2
    assert found["temporal"]["abs_rel"] < 1e-3  # but for the edge, which no grid holds exactly
    assert found["temporal"]["median"] < 1e-6


def test_a_flicker_that_the_alignment_of_each_image_hides_is_seen_and_the_direction_matters(scene):
    flickers = found_for(scene, [VIEWS[0], 1.2 * VIEWS[1], VIEWS[2]])
    assert flickers["full"]["abs_rel"] == pytest.approx(0, abs=1e-6)
    assert flickers["temporal"]["median"] == pytest.approx(0.2, abs=0.04)  # 1.2 - 1 and 1 - 1 / 1.2
    # Only the far wall is compared: of the near one the truth contradicts the motion by 5 %.
    assert found_for(replace(scene, poses=poses(-STEPS)))["temporal"]["median"] > 0.02


def test_only_frames_that_follow_each_other_with_known_motion_and_camera_make_a_pair(scene):
    gap = {"depth": (scene.depth[0], None, scene.depth[2])}
    lost = {"poses": np.full((3, 4, 4), np.nan)}
    for unknown in (gap, lost, {"poses": None}, {"intrinsics": None}):
        found = found_for(replace(scene, **unknown))
        assert (found["temporal"], found["boundary"]["f1"]) == (None, 1.0)
    assert found_for(scene, max_frames=1)["temporal"] is None
    assert found_for([scene, replace(scene, name="other")])["temporal"]["n_pairs"] == 4


def test_a_prediction_that_is_not_finite_where_nothing_counts_stops_nothing(scene):
    holed, broken = VIEWS[0].copy(), VIEWS[0].copy()
    holed[:3], broken[0] = 0, np.nan
    Image.fromarray((holed * UNITS).astype(np.uint16)).save(scene.depth[0])
    found = found_for(scene, [broken, *VIEWS[1:]])
    assert found["temporal"]["n_pairs"] == 1
    assert found["full"]["abs_rel"] < 1e-6


def test_movers_are_left_out_between_frames(scene, tmp_path):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:, :15] = 255
    masks = write_scene(tmp_path / "masked", VIEWS, [mask] * 3).motion_masks
    whole, part = (found_for(s)["temporal"] for s in (scene, replace(scene, motion_masks=masks)))
    assert part["compared"] < 0.6 * whole["compared"]


# Cars of a drawn street, seen right, and put far behind where they are


@pytest.fixture(scope="module")
def street():
    """Cars keep their distance from the camera."""
    return draw_street(frames=8, size=(64, 96), seed=1, movers="followed", step=0.4)


@pytest.fixture
def folder(street, tmp_path):
    write_clip(street, tmp_path / "street")
    return tmp_path / "street"


@pytest.fixture
def count(street):
    """What is found of the movers of a scene: right and wrong depth, in a unit of its own."""
    right = np.where(street.depth > 0, street.depth, SKY) * 0.3
    wrong = np.where(street.motion_mask > 0, 5 * right, right)

    def measure(scene, max_frames=None):
        def predict(depth):
            return lambda pixels: depth[
                np.abs(street.images.astype(np.int64) - pixels).sum((1, 2, 3)).argmin()
            ]

        found = (evaluate_predictions(predict(depth), [scene], details=True, max_frames=max_frames)
                 for depth in (right, wrong, np.full_like(right, np.nan)))  # fmt: skip
        return [result.movers for result in found]

    return measure


def test_cars_behind_where_they_are_are_holes_and_the_truth_has_none(count, folder):
    right, holes, nothing = count(replace(read_scene(folder), depth=None))
    assert right.n_images == holes.n_images > 4
    assert right.hole_rate < 0.1
    assert holes.hole_rate > 0.4
    assert (right.pairs, nothing.n_images) == (0, 0)


@pytest.mark.parametrize("kind", ["depth", "disparity"])
def test_labels_that_know_better_are_contradicted_by_holes(kind, street, count, folder):
    depth = np.where(street.depth > 0, street.depth, SKY)
    info = LabelInfo(source="drawn", kind=kind, affine=True, licence="MIT")
    labels = (depth if kind == "depth" else 1 / depth).astype(np.float32)
    write_labels(folder / FOLDER, info, {f"{i:06d}": label for i, label in enumerate(labels)})
    right, holes, _ = count(replace(read_scene(folder), depth=None), 3)
    assert right.pairs > 1000
    assert right.order_rate < 0.01
    assert holes.order_rate > 0.02


def test_where_nothing_moves_nothing_is_said(folder, tmp_path):
    Image.new("L", (96, 64)).save(tmp_path / "still.png")
    scene = read_scene(folder)
    still = replace(scene, motion_masks=(tmp_path / "still.png",) * len(scene))
    found = evaluate(Predictor(Brightness(), (64, 96)), [still], max_frames=2, out=None)
    assert found.to_dict()["movers"] is None
    assert "movers" not in str(found)


@pytest.mark.parametrize("truth", [True, False])
def test_the_verb_writes_and_prints_the_details_movers_also_without_truth(truth, folder, tmp_path):
    scene = read_scene(folder) if truth else replace(read_scene(folder), depth=None)
    network = Predictor(Brightness(), (64, 96), source="drawn")
    result = evaluate(network, [scene], max_frames=4, out=tmp_path)
    written, printed = json.loads((tmp_path / "metrics.json").read_text()), str(result)
    assert 0 <= written["movers"]["holes"] <= 1
    assert written["movers"]["n_images"] == result.movers.n_images > 0
    assert "movers without truth, no alignment: " in printed
    assert (written["full"] is None) == ("only movers are judged" in printed) == (not truth)
    for line in ("AbsRel by distance, alignment median: ", "depth edges, alignment median: F1 "):
        assert (line in printed) == truth
    if truth:
        assert set(written["per_distance"][0]) == {"from", "to", "n_images", *METRICS}
        assert written["boundary"]["n_images"] == 4
