"""Benchmarks: our numbers are those of an independent numpy version of each published protocol."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssmde.data.scene_files import write_list, write_scene_info
from ssmde.datasets import PROTOCOLS
from ssmde.evaluation import benchmark
from ssmde.evaluation.published import TABLES
from ssmde.metrics import METRICS

# Size of the truth, size of the predictions, farthest depth: small, but where a crop counts pixels.
# Predictions are half as large and multiples of 1/64, so that resizing them is exact in float32
# too: no pixel falls on the other side of a threshold by rounding.
SIZES = {
    "kitti": ((94, 310), (47, 155), 90.0),
    "nyuv2": ((480, 640), (240, 320), 12.0),
    "ddad": ((60, 96), (30, 48), 220.0),
    "bonn": ((48, 64), (24, 32), 12.0),
    "tum": ((48, 64), (48, 64), 12.0),
}
FRAMES = 2


def make(root: Path, table: str) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """A prepared data set of one scene, with stored predictions; prediction, truth and mask."""
    size, small, far = SIZES[table]
    scene, found = root / "data" / "s", {}
    for folder in (scene / "depth", scene / "motion_mask", root / "theirs" / "s"):
        folder.mkdir(parents=True)
    rng = np.random.default_rng(len(table))
    for i in range(FRAMES):
        truth = np.round(rng.uniform(0.05, far, size) * 250) / 250
        truth[rng.random(size) < 0.3] = 0  # no value
        mask = np.where(rng.random(size) < 0.2, 255, 0).astype(np.uint8)
        mask[:, :2] = 128
        prediction = rng.integers(16, 576, small).astype(np.float32) / 64
        name = f"{i:03d}"
        Image.fromarray(rng.integers(0, 255, (*size, 3), dtype=np.uint8)).save(
            scene / f"{name}.png"
        )
        Image.fromarray((truth * 250).round().astype(np.uint16)).save(
            scene / "depth" / f"{name}.png"
        )
        Image.fromarray(mask).save(scene / "motion_mask" / f"{name}.png")
        np.savez(root / "theirs" / "s" / f"{name}_depth.npz", depth=prediction)
        found[name] = (prediction, truth, mask)
    write_scene_info(scene, {"depth_units_per_metre": 250})
    write_list(root / "data", TABLES[table].split, ["s"])
    return found


def enlarged(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear between pixel centres, the border repeated, as OpenCV resizes; by hand."""
    places = []
    for new, old in zip(size, image.shape, strict=True):
        x = ((np.arange(new) + 0.5) * old / new - 0.5).clip(0, old - 1)
        low = np.floor(x).astype(int).clip(max=old - 1)
        places.append((low, np.minimum(low + 1, old - 1), x - low))
    (top, bottom, down), (left, right, across) = places
    rows = image[top] * (1 - down)[:, None] + image[bottom] * down[:, None]
    return rows[:, left] * (1 - across) + rows[:, right] * across


def published_mask(table: str, truth: np.ndarray) -> np.ndarray:
    """What counts, as the code published with each table has it."""
    height, width = truth.shape
    low, high = {"kitti": (0.1, 80), "ddad": (0.1, 200)}.get(table, (0.1, 10))
    inside = np.zeros_like(truth, dtype=bool)
    if table == "kitti":
        crop = np.array(
            [0.40810811 * height, 0.99189189 * height, 0.03594771 * width, 0.96405229 * width]
        ).astype(np.int32)
        inside[crop[0] : crop[1], crop[2] : crop[3]] = True
    elif table == "nyuv2":
        inside[45:471, 41:601] = True
    else:
        inside[:] = True
    return inside & (truth > low) & (truth < high)


def published_errors(gt: np.ndarray, pred: np.ndarray) -> dict[str, float]:
    thresh = np.maximum(gt / pred, pred / gt)
    return {
        "abs_rel": np.mean(np.abs(gt - pred) / gt),
        "sq_rel": np.mean((gt - pred) ** 2 / gt),
        "rmse": np.sqrt(np.mean((gt - pred) ** 2)),
        "rmse_log": np.sqrt(np.mean((np.log(gt) - np.log(pred)) ** 2)),
        "log10": np.mean(np.abs(np.log10(gt) - np.log10(pred))),
        "d1": (thresh < 1.25).mean(),
        "d2": (thresh < 1.25**2).mean(),
        "d3": (thresh < 1.25**3).mean(),
    }


def published_numbers(table: str, stored, region: str) -> dict[str, float]:
    """Mean over images of the errors under one median scale an image, clipped to the range."""
    low, high = {"kitti": (0.1, 80), "ddad": (0.1, 200)}.get(table, (0.1, 10))
    rows = []
    for prediction, truth, motion in stored.values():
        pred, valid = (
            enlarged(prediction.astype(np.float64), truth.shape),
            published_mask(table, truth),
        )
        pred = pred * np.median(truth[valid]) / np.median(pred[valid])
        pred[pred < low], pred[pred > high] = low, high
        valid = valid & {"full": True, "static": motion == 0, "dynamic": motion == 255}[region]
        rows.append(published_errors(truth[valid], pred[valid]))
    return {metric: float(np.mean([row[metric] for row in rows])) for metric in METRICS}


@pytest.mark.parametrize("table", TABLES)
def test_our_numbers_are_those_of_the_published_protocol(table, tmp_path):
    stored = make(tmp_path, table)
    found = benchmark(table, tmp_path / "data", [tmp_path / "theirs"], out=None)
    rows = {row.pixels: row for row in found.rows if row.method == "theirs"}
    assert set(rows) == {"full", "static", "dynamic"}
    for region, row in rows.items():
        expected = published_numbers(table, stored, region)
        assert row.numbers == pytest.approx(expected, rel=1e-6, abs=1e-6)
        assert (row.kind, row.images) == ("measured", FRAMES)


def test_the_table_is_printed_with_what_makes_it_a_number(tmp_path):
    make(tmp_path, "kitti")
    methods, out = [f"mine={tmp_path / 'theirs'}"], tmp_path / "out"
    said = " ".join(str(benchmark("kitti", tmp_path / "data", methods, out=out)).split())
    assert f"table: {out / 'kitti'}.csv, .json and .md" in said
    assert "protocol kitti (0.1 to 80 m, cropped), alignment median" in said
    assert all(word in said for word in ("mine", "constant depth", "measured", "Monodepth2"))
    assert "not the published set of images, which are 697 (Eigen test, scans), 652" in said
    stored = json.loads((tmp_path / "out" / "kitti.json").read_text())
    assert (stored["protocol"], stored["align"], stored["split"]) == ("kitti", "median", "test")
    with (tmp_path / "out" / "kitti.csv").open() as file:
        rows = list(csv.DictReader(file))
    by_kind = {kind: [r for r in rows if r["kind"] == kind] for kind in ("measured", "published")}
    assert {r["method"] for r in by_kind["measured"]} == {"mine", "constant depth"}
    figures = {r["method"]: r for r in by_kind["published"]}
    assert float(figures["SS-MDE"]["abs_rel"]) == 0.111
    assert figures["SS-MDE"]["source"] == "Hu et al., Sensors 2024, abstract"
    assert figures["SS-MDE"]["rmse"] == ""
    page = (tmp_path / "out" / "kitti.md").read_text()
    assert "| SS-MDE | published | full | - | 0.111 | - |" in page
    assert page.count("\n|") == len(rows) + 2


def test_files_may_be_named_and_stored_in_each_way(tmp_path):
    stored = make(tmp_path, "tum")
    paths = {kind: tmp_path / kind for kind in ("npy", "png", "disparity")}
    for folder in paths.values():
        folder.mkdir()
    for name, (prediction, _, _) in stored.items():
        np.save(paths["npy"] / f"{name}.npy", prediction)
        steps = (prediction * 5000).round().astype(np.uint16)
        Image.fromarray(steps).save(paths["png"] / f"{name}_depth.png")
        np.save(paths["disparity"] / f"{name}.npy", 1 / prediction)
    (paths["png"] / "depth.json").write_text('{"png16_units_per_metre": 5000}')
    given = [paths["npy"], paths["png"], tmp_path / "theirs"]
    found = benchmark("tum", tmp_path / "data", given, align="none", out=None)
    numbers = [r.numbers["abs_rel"] for r in found.rows if r.pixels == "full"]
    assert numbers[0] == numbers[2]
    assert numbers[1] == pytest.approx(numbers[0], rel=1e-3)
    turned = benchmark(
        "tum", tmp_path / "data", [paths["disparity"]], align="none", kind="disparity", out=None
    )
    assert turned.rows[0].numbers["abs_rel"] == pytest.approx(numbers[0], rel=1e-5)


def test_a_method_without_a_prediction_for_each_frame_is_refused(tmp_path):
    make(tmp_path, "bonn")
    given = "bonn", tmp_path / "data", [tmp_path / "theirs"]
    (tmp_path / "theirs" / "s" / "001_depth.npz").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of 2 frames have no prediction, first 's/001'"):
        benchmark(*given, out=None)
    hole = np.ones((4, 4), np.float32)
    hole[1, 1] = np.nan
    np.save(tmp_path / "theirs" / "s" / "001.npy", hole)
    with pytest.raises(ValueError, match=r"001\.npy: 1 of 16 pixels are not positive and finite"):
        benchmark(*given, out=None)
    (tmp_path / "theirs" / "s" / "001.npy").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="prediction cannot be read"):
        benchmark(*given, out=None)


def test_what_is_asked_wrongly_says_what_would_be_right(tmp_path):
    make(tmp_path, "bonn")
    data, theirs = tmp_path / "data", tmp_path / "theirs"
    for table, methods, says in (
        ("kity", [theirs], "unknown benchmark 'kity': closest match is 'kitti'"),
        ("bonn", [], "needs at least one method"),
        ("bonn", [theirs, theirs], "two methods are called 'theirs': write NAME=PATH"),
        ("bonn", ["small", "x=nowhere"], "nowhere: no such weights file"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=says):
            benchmark(table, data, methods, out=None)


def test_released_weights_are_a_method(tmp_path):
    make(tmp_path, "tum")
    found = benchmark("tum", tmp_path / "data", ["small"], max_frames=1, out=None)
    assert [(row.method, row.images) for row in found.rows[:1]] == [("small", 1)]


def test_every_table_has_a_protocol_and_figures_that_can_be_traced():
    for name, table in TABLES.items():
        assert PROTOCOLS[table.protocol].name == name
        for figure in table.figures:
            assert figure.source
            numbers = figure.numbers
            assert numbers.keys() <= set(METRICS)
            assert 0 < numbers["abs_rel"] < 1
            assert 0.5 < numbers["d1"] < numbers.get("d2", 1) < numbers.get("d3", 1.1)
