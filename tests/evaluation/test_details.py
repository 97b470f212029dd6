"""Evaluation by distance, at edges and from frame to frame: from files to `metrics.json`."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from measured_scene import HEIGHT, UNITS, WIDTH, knows, write_scene
from ssmde.evaluation import evaluate, evaluate_predictions
from ssmde.evaluation.report import details_text
from ssmde.inference.predictor import Predictor
from ssmde.metrics import METRICS
from tiny_networks import Brightness

K = np.array([[25.0, 0, 14.5], [0, 25.0, 9.5], [0, 0, 1]])
STEPS = np.array([0.0, 0.1, 0.2])
# A wall at 4 m and, on the right, one at 8 m, seen by a camera that steps towards them.
VIEWS = [np.where(np.arange(WIDTH) < 15, 4.0 - z, 8.0 - z)[None].repeat(HEIGHT, 0) for z in STEPS]


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


def test_the_verb_writes_and_prints_the_details_with_their_alignment(scene, tmp_path):
    network = Predictor(Brightness(), (32, 32), source="drawn")
    printed = str(evaluate(network, [scene], protocol="bonn", out=tmp_path))
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert set(written["per_distance"][0]) == {"from", "to", "n_images", *METRICS}
    assert (written["boundary"]["n_images"], written["temporal"]["n_pairs"]) == (3, 2)
    lines = details_text(written, "median")
    assert len(lines) == 3
    assert all(line in printed and "median" in line for line in lines)
