"""Evaluation by distance, at edges and from frame to frame: from files to `metrics.json`."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from measured_scene import HEIGHT, UNITS, WIDTH, knows, write_scene
from ssmde.data.sequence import FrameSequence
from ssmde.evaluation import evaluate, evaluate_predictions
from ssmde.evaluation.details import details_text
from ssmde.inference.predictor import Predictor
from ssmde.metrics import METRICS
from tiny_networks import Brightness

K = np.array([[25.0, 0, 14.5], [0, 25.0, 9.5], [0, 0, 1]])


def poses(*z: float) -> np.ndarray:
    """Camera to world of a camera that stands at each z and looks along it."""
    found = np.tile(np.eye(4), (len(z), 1, 1))
    found[:, 2, 3] = z
    return found


def view(z: float) -> np.ndarray:
    """A wall at 4 m and, on the right, one at 8 m, seen from z."""
    return np.where(np.arange(WIDTH) < 15, 4.0 - z, 8.0 - z)[None].repeat(HEIGHT, 0)


STEPS = (0.0, 0.1, 0.2)
VIEWS = [view(z) for z in STEPS]


@pytest.fixture
def scene(tmp_path: Path) -> FrameSequence:
    return replace(write_scene(tmp_path / "scene", VIEWS), intrinsics=K, poses=poses(*STEPS))


def found_for(scene, depths, **asked) -> dict:
    result = evaluate_predictions(knows(depths), [scene], "bonn", details=True, **asked)
    return result.to_dict()


def test_a_perfect_prediction_has_perfect_details_where_they_are_asked_for(scene):
    found = evaluate_predictions(knows(VIEWS), [scene], "bonn").to_dict()
    assert (found["boundary"], found["per_distance"], found["temporal"]) == (None, [], None)
    found = found_for(scene, [7 * depth for depth in VIEWS])
    assert found["boundary"]["f1"] == 1.0
    assert found["boundary"]["n_images"] == 3
    bands = [(b["from"], b["to"], b["n_images"]) for b in found["per_distance"]]
    assert bands == [(2.0, 5.0, 3), (5.0, 10.0, 3)]
    assert all(b["abs_rel"] < 1e-6 for b in found["per_distance"])
    assert found["temporal"]["n_pairs"] == 2
    assert found["temporal"]["abs_rel"] < 1e-3  # but for the edge, which no grid holds exactly
    assert found["temporal"]["median"] < 1e-6


def test_a_flicker_that_the_alignment_of_each_image_hides_is_seen_from_frame_to_frame(scene):
    steady = found_for(scene, VIEWS)
    flickers = found_for(scene, [VIEWS[0], 1.2 * VIEWS[1], VIEWS[2]])
    assert flickers["full"]["abs_rel"] == pytest.approx(steady["full"]["abs_rel"], abs=1e-6)
    assert flickers["temporal"]["median"] == pytest.approx(0.2, abs=0.04)  # 1.2 - 1 and 1 - 1 / 1.2


def test_the_direction_of_the_poses_matters(scene):
    backwards = replace(scene, poses=poses(*(-z for z in STEPS)))
    # Only the far wall is compared: of the near one the truth contradicts the motion by 5 %.
    assert found_for(backwards, VIEWS)["temporal"]["median"] > 0.02
    assert found_for(scene, VIEWS)["temporal"]["median"] < 1e-6


def test_frames_that_do_not_follow_each_other_make_no_pair(scene):
    assert found_for(scene, VIEWS, max_frames=1)["temporal"] is None
    gap = replace(scene, depth=(scene.depth[0], None, scene.depth[2]))
    assert found_for(gap, VIEWS)["temporal"] is None
    two = [scene, replace(scene, name="other")]
    result = evaluate_predictions(knows(VIEWS), two, "bonn", details=True)
    assert result.to_dict()["temporal"]["n_pairs"] == 4


def test_without_motion_or_camera_nothing_is_compared_between_frames(scene):
    lost = np.full((3, 4, 4), np.nan)
    for unknown in ({"poses": None}, {"intrinsics": None}, {"poses": lost}):
        found = found_for(replace(scene, **unknown), VIEWS)
        assert found["temporal"] is None
        assert found["boundary"]["f1"] == 1.0


def test_a_prediction_that_is_not_finite_where_nothing_counts_stops_nothing(scene):
    holed = VIEWS[0].copy()
    holed[:3] = 0
    Image.fromarray((holed * UNITS).astype(np.uint16)).save(scene.depth[0])
    broken = VIEWS[0].copy()
    broken[0] = np.nan
    found = found_for(scene, [broken, *VIEWS[1:]])
    assert found["temporal"]["n_pairs"] == 1
    assert found["full"]["abs_rel"] < 1e-6


def test_movers_are_left_out_between_frames(scene, tmp_path):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:, :15] = 255
    masked = write_scene(tmp_path / "masked", VIEWS, [mask] * 3)
    masked = replace(scene, motion_masks=masked.motion_masks)
    whole, part = found_for(scene, VIEWS)["temporal"], found_for(masked, VIEWS)["temporal"]
    assert part["compared"] < 0.6 * whole["compared"]


def test_the_verb_writes_and_prints_the_details_with_their_alignment(scene, tmp_path):
    network = Predictor(Brightness(), (32, 32), source="drawn")
    printed = str(evaluate(network, [scene], protocol="bonn", out=tmp_path))
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert set(written["per_distance"][0]) == {"from", "to", "n_images", *METRICS}
    assert written["boundary"]["n_images"] == 3
    assert written["temporal"]["n_pairs"] == 2
    for line in details_text(written, "median"):
        assert line in printed
        assert "median" in line
    assert len(details_text(written, "median")) == 3
    assert details_text({"per_distance": [], "boundary": None, "temporal": None}, "median") == []
