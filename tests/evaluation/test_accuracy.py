"""Evaluation from files to numbers: which frames count, how often, and what stands beside them.

That the numbers are those of each protocol: `test_benchmarks.py`, `tests/agreement/test_numbers.py`
"""

import json
from dataclasses import replace

import numpy as np
import pytest

from folders import names_in
from measured_scene import HEIGHT, UNITS, WIDTH, knows, write_scene
from recordings import DATA, needs_data
from ssmde.data.scene_folder import read_scene
from ssmde.evaluation import evaluate, evaluate_predictions, frames_with_truth
from ssmde.evaluation.accuracy import mean_depth_map
from ssmde.inference.predictor import Predictor
from ssmde.metrics import METRICS
from tiny_networks import Brightness


def ramp(seed: int = 0) -> np.ndarray:
    """Depth in whole millimetres: far at the top, 2 to 6 m, a little different in each frame."""
    v = np.linspace(6, 2, HEIGHT)[:, None] + 0.1 * np.random.default_rng(seed).random((1, WIDTH))
    return np.round(v * UNITS) / UNITS


RAMPS = [ramp(i) for i in range(3)]


def mask_of(columns: slice, value: int = 255) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:, columns] = value
    return mask


@pytest.mark.parametrize(("how", "times"), [("median", 1), ("median-dataset", 2)])
def test_a_perfect_prediction_up_to_scale_has_no_error(how, times, tmp_path):
    scene = write_scene(tmp_path / "scene", RAMPS, [mask_of(slice(0, 9))] * 3)
    predict, asked = knows([7 * t for t in RAMPS]), list[int]()
    result = evaluate_predictions(
        lambda pixels: asked.append(int(pixels[0, 0, 0])) or predict(pixels),
        [scene], "bonn", how, details=True,
    )  # fmt: skip
    assert asked == times * [0, 1, 2]
    assert result.full.abs_rel == pytest.approx(0, abs=1e-6)
    assert (result.full.d1, result.n_images, len(result.pictures)) == (1.0, 3, 3)
    assert (result.protocol.name, result.align) == ("bonn", how)
    assert result.to_dict()["scale"]["median"] == pytest.approx(1 / 7)


def test_the_alignment_asked_for_is_used_and_named(tmp_path):
    scene = write_scene(tmp_path / "scene", [ramp()])
    for how, least, most in (("least-squares", 0, 1e-5), ("median", 0.1, 1), ("none", 1, 9)):
        found = evaluate_predictions(knows([ramp() + 5]), [scene], align=how)
        assert least <= found.full.abs_rel < most
        assert found.to_dict()["align"] == how
        head = f"protocol generic (0.1 to 1000 m, whole image), alignment {how}"
        named = str(replace(found, weights="runs/a")).split("\n")
        assert str(found).split("\n")[0].strip() == head
        assert [line.strip() for line in named[:2]] == ["runs/a", head]


def test_a_frame_without_truth_that_counts_is_counted_and_poisons_nothing(tmp_path):
    far = np.full((HEIGHT, WIDTH), 60.0)  # beyond the 10 m of the protocol
    truths = [ramp(), None, np.zeros((HEIGHT, WIDTH)), far]
    scene = write_scene(tmp_path / "scene", truths, [mask_of(slice(0, 9))] * 4)
    result = evaluate_predictions(knows([ramp()] * 4), [scene], protocol="bonn")
    assert (result.n_images, result.to_dict()["n_images_without_truth"]) == (1, 2)
    assert result.full.abs_rel == pytest.approx(0, abs=1e-6)
    assert "in no mean, for want of truth that counts: 2 images" in str(result)


@pytest.mark.parametrize("how", ["median", "median-dataset"])
def test_unreadable_files_are_left_out_and_named(how, tmp_path):
    scene = write_scene(tmp_path / "scene", RAMPS)
    scene.images[0].write_text("no image")
    depth = scene.depth[2]
    depth.write_bytes(depth.read_bytes()[:40])
    result = evaluate_predictions(knows(RAMPS), [scene], align=how)
    assert result.n_images == 1
    assert [name.split(":")[0] for name in result.broken] == [str(scene.images[0]), str(depth)]
    assert f"2 unreadable images are in no mean: {scene.images[0]}" in str(result)


def test_few_frames_are_spread_evenly_over_all_scenes(tmp_path):
    scenes = [write_scene(tmp_path / name, [ramp(i) for i in range(5)]) for name in "ab"]
    names = [frame.name for frame in frames_with_truth(scenes, 5)]
    assert names == ["a/001", "a/003", "b/000", "b/002", "b/004"]
    with pytest.raises(ValueError, match="max_frames must be at least 1, got 0"):
        frames_with_truth(scenes, 0)


GOOD, NAN, ZEROS = ramp(), np.full((HEIGHT, WIDTH), np.nan), np.zeros((HEIGHT, WIDTH))


@pytest.mark.parametrize(
    ("prediction", "truths", "mask", "changes", "says"),
    [
        (NAN, [GOOD], None, {}, r"s/000: 600 of 600 pixels of the prediction are not"),
        (GOOD, [GOOD], np.zeros((3, 3), np.uint8), {}, r"000\.png: a motion mask has the size"),
        (GOOD, [GOOD], mask_of(slice(0, 3), value=1), {}, r"s/000: a motion mask holds 0"),
        (GOOD, [None, None], None, {}, r"no frame has measured depth \('s'\)"),
        (GOOD, [ZEROS], None, {}, r"1 have no depth between 0\.1 and 10 m inside the crop"),
        (GOOD, [GOOD], None, {"depth_units_per_metre": None}, r"1 cannot be read.*unit of this"),
    ],
)
def test_what_cannot_be_measured_says_why(prediction, truths, mask, changes, says, tmp_path):
    scene = write_scene(tmp_path / "s", truths, None if mask is None else [mask])
    with pytest.raises(ValueError, match=says):
        evaluate_predictions(knows([prediction]), [replace(scene, **changes)], "bonn", details=True)


ROW = [[1.0, 9.0, 1.0, 1.0, 7.0, 1.0]]


@pytest.mark.parametrize(
    ("maps", "size", "expected"),
    [
        ([[[2.0, 4.0]], [[6.0, 0.0]]], (1, 2), [[4.0, 4.0]]),  # over those that have truth there
        ([[[2.0, np.nan]], [[np.inf, 3.0]], [[-1.0, 5.0]]], (1, 2), [[2.0, 4.0]]),
        ([[[2.0, 0.0, 0.0, 4.0, 0.0]]], (1, 5), [[2.0, 2.0, 4.0, 4.0, 4.0]]),  # holes are filled
        ([ROW], (1, 2), [[9.0, 7.0]]),  # the pixel at the center of a cell
        ([np.transpose(ROW)], (2, 1), [[9.0], [7.0]]),
        ([[[0.0] * 4] * 4], (2, 2), None),
        ([], (2, 2), None),
    ],
)
def test_a_mean_map_by_hand(maps, size, expected):
    found = mean_depth_map([np.array(values) for values in maps], size)
    assert (None if found is None else found.tolist()) == expected


@pytest.fixture
def predictor() -> Predictor:
    return Predictor(Brightness(), (32, 32), source="drawn")


def test_files_table_and_baselines(tmp_path, predictor):
    data, out = tmp_path / "data", tmp_path / "out"
    write_scene(data / "two", [ramp(i) for i in range(12)], [mask_of(slice(0, 5))] * 12)
    write_scene(data / "one", [ramp(i) for i in range(20, 24)])
    (data / "train.txt").write_text("one\n")
    (data / "val.txt").write_text("two\n")
    (data / "one" / "depth" / "003.png").write_text("broken")  # a mean over the rest is as good
    result = evaluate(predictor, data, protocol="bonn", out=out)
    assert [frame.frame.name for frame in result.frames] == [f"two/{i:03d}" for i in range(12)]
    written = json.loads((out / "metrics.json").read_text())
    assert list(written)[:6] == ["protocol", "align", "n_images", "full", "static", "dynamic"]
    assert (written["protocol"], written["align"], written["n_images"]) == ("bonn", "median", 12)
    for region in ("full", "static", "dynamic"):
        assert set(written[region]) == set(METRICS)
    assert written["full"]["abs_rel"] == result.full.abs_rel
    assert written["weights"] == "drawn"
    # The training frames look like the others, so their mean map is the hardest to beat.
    constant, mean_map = (written["baselines"][name] for name in ("constant", "mean_map"))
    assert mean_map["full"]["abs_rel"] < 0.05 < constant["full"]["abs_rel"]
    assert names_in(out / "worst") == [f"{i:02d}.png" for i in range(1, 11)]
    errors = [frame["abs_rel"] for frame in written["worst"]]
    assert errors == sorted(errors, reverse=True)
    titles = [f"{w['frame']}  AbsRel {w['abs_rel']:.3f}" for w in written["worst"]]
    assert [picture.title for picture in result.pictures] == titles
    shown = str(result)
    assert all(word in shown for word in ("protocol bonn", "alignment median", "mean_map"))
    assert shown.endswith(f"numbers: {out}/metrics.json, worst frames: {out}/worst")
    evaluate(predictor, data, out=out, max_frames=2)  # leaves no picture of the first
    assert names_in(out / "worst") == ["01.png", "02.png"]
    (data / "one" / "001.png").rename(data / "one" / "000.jpg")
    result = evaluate(predictor, data, out=None, max_frames=1)
    assert set(result.baselines) == {"constant"}
    assert "training scenes cannot be read" in str(result)


@pytest.mark.parametrize("name", ["metrics.json", "worst/10.png"])
def test_results_of_others_stay(tmp_path, predictor, name):
    scene = write_scene(tmp_path / "val", RAMPS)
    mine = tmp_path / "out" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(FileExistsError, match=f"{name}: was not written by ssmde"):
        evaluate(predictor, [scene], out=tmp_path / "out")
    assert [p for p in (tmp_path / "out").rglob("*") if p.is_file()] == [mine]
    assert mine.read_text() == "mine"


@needs_data
@pytest.mark.slow
def test_a_constant_on_a_real_dynamic_scene_scores_what_other_codes_measured():
    folder = DATA / "indoor" / "bonn_crowd_val"
    found = evaluate_predictions(
        lambda _: np.ones((1, 1), np.float32), [read_scene(folder)], protocol="bonn"
    )
    regions = (found.full, found.static, found.dynamic)
    assert [round(e.abs_rel, 3) for e in regions] == [0.420, 0.251, 0.770]
    assert [round(e.d1, 3) for e in regions] == [0.408, 0.455, 0.175]
