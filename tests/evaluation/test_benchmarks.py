"""Benchmarks: what stands in a table, from which files, and what is refused.

That the protocols are those of the literature is checked in `tests/agreement/test_numbers.py`.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from measured_scene import HEIGHT, WIDTH, write_scene
from ssmde.data.scene_files import write_list
from ssmde.datasets import PROTOCOLS
from ssmde.evaluation import benchmark
from ssmde.evaluation.benchmarks import TABLES
from ssmde.inference.input import resize_depth
from ssmde.metrics import METRICS, measure


def make(root: Path, table: str) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """A prepared data set of one scene, with stored predictions: those, the truth and the masks."""
    rng, theirs = np.random.default_rng(len(table)), root / "theirs" / "s"
    depth = rng.uniform(0.05, 12, (2, HEIGHT, WIDTH)).round(3)
    depth[rng.random(depth.shape) < 0.3] = 0  # no value
    masks = rng.choice(np.array([0, 0, 128, 255], np.uint8), depth.shape)
    predictions = rng.uniform(0.25, 9, (2, HEIGHT // 2, WIDTH // 2)).astype(np.float32)
    write_scene(root / "data" / "s", list(depth), list(masks))
    write_list(root / "data", TABLES[table]["split"], ["s"])
    theirs.mkdir(parents=True)
    for i, prediction in enumerate(predictions):
        np.savez(theirs / f"{i:03d}_depth.npz", depth=prediction)
    return list(zip(predictions, depth, masks, strict=True))


@pytest.mark.parametrize("table", TABLES)
def test_the_numbers_of_a_table_are_those_of_its_protocol(table, tmp_path):
    stored, protocol = make(tmp_path, table), PROTOCOLS[table]
    found = benchmark(table, tmp_path / "data", [tmp_path / "theirs"], out=None)
    rows = {row.pixels: row for row in found.rows if row.method == "theirs"}
    assert set(rows) == {"full", "static", "dynamic"}
    alone = [
        measure(resize_depth(p, t.shape), t, protocol, align_by="median", motion_mask=m)
        for p, t, m in stored
    ]
    for region, row in rows.items():
        means = {n: np.mean([getattr(getattr(e, region), n) for e in alone]) for n in METRICS}
        assert row.numbers == pytest.approx(means, rel=1e-4)
        assert (row.kind, row.images) == ("measured", 2)


def test_the_table_is_printed_with_what_makes_it_a_number(tmp_path):
    make(tmp_path, "kitti")
    methods, out = [f"mine={tmp_path / 'theirs'}", "small"], tmp_path / "out"
    found = benchmark("kitti", tmp_path / "data", methods, max_frames=1, out=out)
    said = " ".join(str(found).split())
    assert f"table: {out / 'kitti'}.json and .md" in said
    assert "protocol kitti (0.1 to 80 m, cropped), alignment median" in said
    assert all(word in said for word in ("mine", "constant depth", "measured", "Monodepth2"))
    assert "not the published set of images, which are 697 (Eigen test, scans), 652" in said
    stored = json.loads((out / "kitti.json").read_text())
    assert (stored["protocol"], stored["align"], stored["split"]) == ("kitti", "median", "test")
    rows = stored["rows"]
    measured = [row["method"] for row in rows if row["kind"] == "measured"]
    assert list(dict.fromkeys(measured)) == ["mine", "small", "constant depth"]
    figures = {row["method"]: row for row in rows if row["kind"] == "published"}
    assert figures["SS-MDE"]["numbers"]["abs_rel"] == 0.111
    assert figures["SS-MDE"]["source"] == "Hu et al., Sensors 2024, abstract"
    assert figures["SS-MDE"]["numbers"]["rmse"] is None
    assert (out / "kitti.md").read_text().count("\n|") == len(rows) + 2


def test_files_may_be_named_and_stored_in_each_way(tmp_path):
    stored = make(tmp_path, "tum")
    npy, png, disparity = (tmp_path / kind for kind in ("npy", "png", "disparity"))
    for folder in (npy, png, disparity):
        folder.mkdir()
    for name, (prediction, _, _) in zip(("000", "001"), stored, strict=True):
        np.save(npy / f"{name}.npy", prediction)
        steps = (prediction * 5000).round().astype(np.uint16)
        Image.fromarray(steps).save(png / f"{name}_depth.png")
        np.save(disparity / f"{name}.npy", 1 / prediction)
    (png / "depth.json").write_text('{"png16_units_per_metre": 5000}')

    def numbers(*methods, **how):
        found = benchmark("tum", tmp_path / "data", methods, align="none", out=None, **how)
        return [row.numbers["abs_rel"] for row in found.rows if row.pixels == "full"]

    theirs, of_npy, of_png, *_ = numbers(tmp_path / "theirs", npy, png)
    assert of_npy == theirs
    assert of_png == pytest.approx(theirs, rel=1e-3)
    assert numbers(disparity, kind="disparity")[0] == pytest.approx(theirs, rel=1e-5)


@pytest.mark.parametrize(
    ("second", "fault", "says"),
    [
        (None, FileNotFoundError, r"1 of 2 frames have no prediction, first 's/001'"),
        (np.where(np.eye(4, 6, dtype=bool), np.nan, 1).astype(np.float32), ValueError,
         r"001\.npy: 4 of 24 pixels are not positive and finite"),
        (b"nothing", ValueError, "prediction cannot be read"),
    ],
)  # fmt: skip
def test_a_method_needs_a_good_prediction_for_each_frame(second, fault, says, tmp_path):
    make(tmp_path, "bonn")
    (tmp_path / "theirs" / "s" / "001_depth.npz").unlink()
    path = tmp_path / "theirs" / "s" / "001.npy"
    if isinstance(second, bytes):
        path.write_bytes(second)
    elif second is not None:
        np.save(path, second)
    with pytest.raises(fault, match=says):
        benchmark("bonn", tmp_path / "data", [tmp_path / "theirs"], out=None)


@pytest.mark.parametrize(("table", "methods", "says"), [
    ("kity", ["theirs"], "unknown benchmark 'kity': closest match is 'kitti'"),
    ("bonn", [], "needs at least one method"),
    ("bonn", ["theirs", "theirs"], "two methods are called 'theirs': write NAME=PATH"),
    ("bonn", ["small", "x=nowhere"], "nowhere: no such weights file"),
])  # fmt: skip
def test_what_is_asked_wrongly_says_what_would_be_right(table, methods, says, tmp_path):
    make(tmp_path, "bonn")
    paths = [str(tmp_path / "theirs") if method == "theirs" else method for method in methods]
    with pytest.raises((ValueError, FileNotFoundError), match=says):
        benchmark(table, tmp_path / "data", paths, out=None)


def test_published_figures_are_those_of_metrics_in_their_range():
    for table in TABLES.values():
        for figures in table["figures"]:
            metrics = figures["metrics"].split()
            assert figures["source"]
            assert set(metrics) <= set(METRICS)
            for words in figures["rows"].values():
                numbers = dict(zip(metrics, words.split(), strict=True))
                found = {name: float(number) for name, number in numbers.items() if number != "-"}
                assert 0 < found["abs_rel"] < 1
                assert 0.5 < found["d1"] < found.get("d2", 1) < found.get("d3", 1.1)
