"""The demo: a page that says what was measured and grows, made safely, and the whole of it once."""

import base64
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from folders import names_in
from ssmde.data.scene_files import write_list
from ssmde.data.scene_folder import read_scenes
from ssmde.demo import demo
from ssmde.demo.page import Story, look, point_cloud, see, write_page
from ssmde.demo.run import MARKER, replacing, run_demo
from ssmde.demo.videos import draw_films
from ssmde.evaluation import evaluate
from ssmde.inference.predictor import Predictor
from ssmde.reporting.report import MeasuredFrame, line_chart
from ssmde.synthetic import draw_clip, write_clip

SIZE = (32, 64)
FRAMES = 4


class Knows(nn.Module):
    """A network that has the true depth of every image it will be shown, or a power of it."""

    def __init__(self, images: np.ndarray, depth: np.ndarray, power: float = 1.0) -> None:
        super().__init__()
        self.power = power
        self.truth = {int(image.sum()): d for image, d in zip(images, depth, strict=True)}
        self.nothing = nn.Parameter(torch.zeros(()))

    def forward(self, image: Tensor) -> Tensor:
        key = int((image * 255).round().sum())
        return torch.from_numpy(self.truth[key])[None, None] ** self.power / 3


def files_of(text):
    """What a browser would fetch for a page."""
    return re.findall(r'(?:src|srcset|href)="([^"#]*)"', text)


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """The first and the last page of given results, and the stories they tell."""
    folder = tmp_path_factory.mktemp("page")
    clip = draw_clip("room", frames=FRAMES, size=SIZE, movers="across", seed=1)
    for split, name in (("train", "street_1"), ("val", "held_out_1")):
        write_clip(clip, folder / "data" / name)
        write_list(folder / "data", split, [name])
    networks = [Predictor(Knows(clip.images, clip.depth, p), SIZE) for p in (0.7, 1.0)]
    before, after = (evaluate(network, folder / "data", out=None) for network in networks)
    seen = {"before": see(before, networks[0])}
    first = look(folder, Story(seed=0, seconds={"draw": 3.0}, before=before), seen)
    early = write_page(folder, first).read_text(encoding="utf-8")
    seen["after"] = see(after, networks[1])
    last = look(folder, replace(first, after=after, frames=9), seen)
    last = replace(last, losses=line_chart("Loss", {"a": ((1, 0.2), (9, 0.1))}), done=True)
    return write_page(folder, last), last, early


def test_the_table_holds_the_numbers_of_both_networks_and_of_the_baselines(told):
    page, story, _ = told
    constant, mean_map = (story.before.baselines[name] for name in ("constant", "mean_map"))
    expected: list[str] = []
    for result in (story.before, story.after, constant, mean_map):
        holes = result.movers and result.movers.hole_rate
        values = (result.static.abs_rel, result.dynamic.abs_rel, holes, result.full.d1)
        expected += ["" if value is None else f"{value:.3f}" for value in values]
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"<td[^>]*>(.*?)</td>", text) == expected
    rows = text.split("<tbody>")[1].split("</tr>")
    ties = expected[2] == expected[6] == "0.000"  # neither has holes, and both are marked
    assert [row.count('class="best"') for row in rows[:2]] == [int(ties), 4]
    assert "On what moves the adapted network beats all the others" in text
    lines = [line.split()[-4:] for line in story.table().splitlines()]
    assert lines[1:3] == [expected[:4], expected[4:8]]
    worse = replace(story, before=story.after, after=story.before)
    text = write_page(page.parent / "pictures", worse).read_text(encoding="utf-8")
    assert "the adapted network does not beat: small, before" in text
    assert worse.verdicts()[1] in worse.table()


def test_the_page_grows_and_all_its_files_are_beside_it(told):
    page, story, early = told
    late = page.read_text(encoding="utf-8")
    for words, where in (
        ("This page grows", [True, False]), ('http-equiv="refresh"', [True, False]),
        ("after adaptation", [False, True]), ("ssmde adapt walk.mp4 here", [True, True]),
    ):  # fmt: skip
        assert [words in text for text in (early, late)] == where
    assert "://" not in early.replace("http://www.w3.org", "")
    sheets = list(story.film.values())
    assert [f"url({name})" in late for name in sheets] == [True] * 4
    files = files_of(late)
    assert len(files) == len(set(files)) == 1 + 7 * len(story.examples)
    for name in [*files, *sheets]:
        with Image.open(page.parent / name) as image:
            image.load()
    with Image.open(page.parent / story.film["truth"]) as sheet:
        assert sheet.height == FRAMES * round(sheet.width * SIZE[0] / SIZE[1])


def test_the_point_cloud_has_the_colors_and_places_of_the_frame_and_no_jumps():
    depth = np.full((8, 12), 2.0, np.float32)
    depth[:, 6:], depth[0] = 4.0, 50.0
    image = np.arange(8 * 12 * 3).reshape(8, 12, 3).astype(np.uint8)
    points = np.frombuffer(
        base64.b64decode(point_cloud(MeasuredFrame(image, depth, depth, None))), "<i2"
    ).reshape(-1, 6)
    assert set(points[:, 2]) == {40, 80}  # thousandths of the far end, 50
    rows = {tuple(color) for color in image[1:].reshape(-1, 3)}
    assert {tuple(color) for color in points[:, 3:]} < rows
    assert len(points) == 7 * 12 - 7  # without the column beside the jump


def test_later_parts_of_the_same_films_judge(tmp_path):
    draw_films(tmp_path / "data", 0, size=(16, 24))
    learned, judged = (read_scenes(tmp_path / "data", part) for part in ("train", "val"))
    assert [(len(a), len(b)) for a, b in zip(learned, judged, strict=True)] == [(20, 10)] * 2
    for first, later in zip(learned, judged, strict=True):
        assert later.name == f"{first.name}_later"
        step = np.linalg.norm(later.poses[0, :3, 3] - first.poses[-1, :3, 3])
        assert 0 < step < 0.5  # metres: the film goes on


def test_a_folder_no_demo_made_and_a_seed_below_zero_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("ssmde.demo.run.draw_films", lambda *_: pytest.fail("it drew"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match=r"mine exists and holds no demo \(no \.ssmde-demo"):
        demo(out=tmp_path / "mine")
    assert [f.name for f in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    with pytest.raises(ValueError, match="seed must be at least 0, got -1"):
        demo(out=tmp_path / "out", seed=-1)
    assert [f.name for f in tmp_path.iterdir()] == ["mine"]


def fill(out: Path, text: str) -> None:
    with replacing(out) as folder:
        (folder / "index.html").write_text(text)


def test_a_new_demo_takes_the_place_of_the_old_one_once_it_is_whole(tmp_path):
    out = tmp_path / "some" / "demo"
    fill(out, "first")
    (out / "notes.txt").touch()
    with pytest.raises(FileExistsError, match=r"notes\.txt: was not written by ssmde"):
        fill(out, "second")
    assert (out / "index.html").read_text() == "first"
    (out / "notes.txt").unlink()
    fill(out, "second")
    with pytest.raises(KeyboardInterrupt), replacing(out):
        raise KeyboardInterrupt
    assert names_in(out) == [MARKER, "index.html"]
    assert (out / "index.html").read_text() == "second"
    assert [f.name for f in out.parent.iterdir()] == ["demo"]
    (tmp_path / "link").symlink_to(out)
    fill(tmp_path / "link", "third")
    assert (tmp_path / "link").is_symlink()
    assert (out / "index.html").read_text() == "third"


@pytest.mark.slow
def test_the_whole_demo_runs(tmp_path, capfd):
    page = run_demo(tmp_path / "demo", seed=0, steps=2)
    assert page == tmp_path / "demo" / "index.html"
    for name in files_of(page.read_text(encoding="utf-8")):
        assert (page.parent / name).stat().st_size > 0
    run = page.parent / "adapted"
    assert (run / "last.safetensors").is_file()
    metrics = json.loads((page.parent / "evaluation" / "metrics.json").read_text())
    assert set(metrics["baselines"]) == {"constant", "mean_map"}
    printed = capfd.readouterr().out
    assert [f"[{i}/5]" in printed for i in range(1, 6)] == [True] * 5
    assert f"The page is {page}" in printed
    assert "mean depth map of the films" in printed
    with replacing(page.parent) as folder:  # its files are all its own
        (folder / "index.html").touch()
