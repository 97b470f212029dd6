"""The demo: a page that says what was measured, made safely, and the whole of it once."""

import json
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn

from ssmde import demo as demo_module
from ssmde.config import Config, DataConfig, LossConfig
from ssmde.data.drawn import draw_clip, write_clip
from ssmde.data.images import read_image
from ssmde.data.scene_folder import read_scene
from ssmde.demo import MARKER, demo, replacing
from ssmde.demonstration.curves import Curve, line_chart, read_curve, ticks
from ssmde.demonstration.gallery import hang_exhibits, make_film
from ssmde.demonstration.page import Story, in_words, write_page
from ssmde.demonstration.world import World
from ssmde.evaluate import evaluate
from ssmde.methods.teacher import build_teacher
from ssmde.pictures import colourise_error
from ssmde.prediction.predictor import Predictor

SIZE = (32, 64)
FRAMES = 5
VOID_TAGS = {"meta", "img", "source", "link", "br"}


class Knows(nn.Module):
    """A network that has the true depth of every image it will be shown."""

    def __init__(self, images: np.ndarray, depth: np.ndarray) -> None:
        super().__init__()
        self.truth = {int(image.sum()): d for image, d in zip(images, depth, strict=True)}
        self.nothing = nn.Parameter(torch.zeros(()))

    def forward(self, image: Tensor) -> Tensor:
        key = int((image * 255).round().sum())
        return torch.from_numpy(self.truth[key])[None, None] / 3


class Reading(HTMLParser):
    """What a browser would find: words, files, and whether every tag is closed."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.files: list[str] = []
        self.words = ""
        self.cells: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag not in VOID_TAGS:
            self.open.append(tag)
        self.files += [value for name, value in attrs if name in ("src", "srcset", "href")]
        if tag == "td":
            self.cells.append("")

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.words += data
        if self.open[-1:] == ["td"]:
            self.cells[-1] += data


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A page made from given results, and the story it tells."""
    folder = tmp_path_factory.mktemp("page")
    clip = draw_clip("room", frames=FRAMES, size=SIZE, movers="across", seed=1)
    write_clip(clip, folder / "data" / "held_out_1")
    scene = read_scene(folder / "data" / "held_out_1")
    config = Config(
        data=DataConfig(root=folder / "data", image_size=SIZE, workers=0),
        loss=LossConfig(geometry=0.1, weight_mask=True),
    )
    torch.manual_seed(0)
    teacher = build_teacher(config.model, config.loss).eval()
    predictor = Predictor(Knows(clip.images, clip.depth), SIZE)
    result = evaluate(predictor, [scene])
    hang = (folder, result, predictor)
    story = Story(
        config=config,
        world=World(train=("a", "b"), train_frames=80, held_out=("c",), fps=10.0),
        result=replace(result, notes=("a <note> & more",)),
        exhibits=hang_exhibits(*hang, teacher, [scene], config, count=2),
        film=make_film(*hang, "held_out_1", fps=10.0),
        curves=(Curve(title="loss", points=((1, 0.2), (9, 0.1))),),
        seconds={"drawing": 3.0, "training": 121.0},
    )
    return write_page(folder, story), story


def test_the_page_names_protocol_alignment_and_time(told):
    words = Reading(told[0]).words
    assert "Protocol generic (0.1 to 1000 m, whole image), alignment median" in words
    assert "Depth, learnt from plain video in 2 minutes" in words
    assert "a <note> & more" in words
    assert "ssmde prepare" in words


def test_the_table_holds_the_numbers_of_the_evaluation_and_its_baselines(told):
    page, story = told
    cells = Reading(page).cells
    assert "$" not in "".join(cells)
    regions = [story.result.full, story.result.static, story.result.dynamic]
    constant = story.result.baselines["constant"]
    regions += [constant.full, constant.static, constant.dynamic]
    expected = [
        f"{value:.3f}"
        for e in regions
        for value in (e.abs_rel, e.sq_rel, e.rmse, e.rmse_log, e.log10, e.d1, e.d2, e.d3)
    ]
    assert cells == expected
    assert cells[0] == "0.000"
    text = page.read_text(encoding="utf-8")
    assert '<td class="best">0.000</td>' in text  # errors: the smallest
    assert '<td class="best">1.000</td>' in text  # shares of right pixels: the largest
    assert text.split("</tbody>")[0].count('class="best"') == len(cells) / 2


def test_the_page_is_well_formed_and_all_its_files_are_beside_it(told):
    page, story = told
    reading = Reading(page)
    assert reading.open == []
    assert len(reading.files) == 2 + 7 * len(story.exhibits)
    for name in reading.files:
        with Image.open(page.parent / name) as image:
            image.load()


def test_a_right_prediction_looks_like_the_truth_and_has_no_error(told):
    page, story = told
    exhibit = story.exhibits[0]
    prediction, truth, error = (
        read_image(page.parent / file).astype(int)
        for file in (exhibit.prediction, exhibit.truth, exhibit.error)
    )
    assert np.abs(prediction - truth).max() <= 6  # a step or two of the colours
    no_error = colourise_error(np.ones((1, 1)), np.ones((1, 1)))[0, 0].astype(int)
    assert np.abs(error - no_error).max() <= 4


def test_the_motion_picture_is_the_motion_truth(told):
    page, story = told
    root = story.config.data.root
    for exhibit in story.exhibits:
        scene, frame = exhibit.name.split("/")
        truth = np.asarray(Image.open(root / scene / "motion_mask" / f"{frame}.png"))
        shown = read_image(page.parent / exhibit.motion)[..., 0]
        assert set(np.unique(shown)) <= {0, 255}
        assert shown.mean() == pytest.approx(truth.mean())  # six times as wide, in sharp squares


def test_the_masks_are_those_of_the_method(told):
    page, story = told
    exhibit = story.exhibits[0]
    auto = np.unique(read_image(page.parent / exhibit.auto_mask))
    assert set(auto) == {0, 255}
    weight = read_image(page.parent / exhibit.weight_mask)
    assert weight.min() > 0
    assert weight.max() == 255


def test_the_film_has_a_picture_for_every_held_out_frame(told):
    page, story = told
    with Image.open(page.parent / story.film.moving) as film:
        assert film.n_frames == FRAMES
        assert film.size == story.film.size[::-1]
        assert film.info["loop"] == 0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "a second"),
        (19.4, "19 seconds"),
        (58, "a minute"),
        (95, "1.5 minutes"),
        (121, "2 minutes"),
    ],
)
def test_lengths_of_time_are_said_in_words(seconds, words):
    assert in_words(seconds) == words


def test_a_curve_is_read_by_its_name(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text(
        "step,cpu_seconds,name,value\n1,0.1,train/loss,0.5\n1,0.1,lr,1\n2,0.2,train/loss,0.25\n"
    )
    assert read_curve(log, "train/loss") == ((1, 0.5), (2, 0.25))
    assert read_curve(log, "val/abs_rel") == ()


def test_a_curve_that_meets_its_reference_is_drawn_on_it():
    curve = Curve(title="x", points=((0, 2.0), (10, 1.0)), reference=("goal", 1.0))
    svg = line_chart(curve)
    last = svg.split('points="')[1].split('"')[0].split()[-1]
    assert f'class="reference" x1="52" x2="468" y1="{last.split(",")[1]}"' in svg
    assert 'aria-label="x: 2 at step 0, 1 at step 10; goal 1"' in svg


def test_a_curve_without_points_is_refused():
    with pytest.raises(ValueError, match="the curve 'x' needs at least one point"):
        line_chart(Curve(title="x", points=()))


@given(low=st.floats(-1e3, 1e3), span=st.floats(1e-3, 1e4))
def test_ticks_are_a_few_even_numbers_inside_the_range(low, span):
    found = ticks(low, low + span)
    assert 2 <= len(found) <= 7
    assert low - 1e-6 * span <= found[0]
    assert found[-1] <= low + span * (1 + 1e-6)
    np.testing.assert_allclose(np.diff(found), found[1] - found[0], atol=1e-8)


def test_a_folder_no_demo_made_is_refused_before_anything_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(demo_module, "draw_world", lambda *_: pytest.fail("it drew"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match=r"mine exists and holds no demo \(no \.ssmde-demo"):
        demo(tmp_path / "mine")
    assert [f.name for f in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    assert [f.name for f in tmp_path.iterdir()] == ["mine"]


def test_a_time_or_seed_that_is_none_is_refused(tmp_path):
    with pytest.raises(ValueError, match="minutes must be positive, got 0"):
        demo(tmp_path / "out", minutes=0)
    with pytest.raises(ValueError, match="seed must be at least 0, got -1"):
        demo(tmp_path / "out", seed=-1)


def fill(out: Path, text: str) -> None:
    with replacing(out) as folder:
        (folder / "index.html").write_text(text)


def test_a_new_demo_takes_the_place_of_the_old_one(tmp_path):
    out = tmp_path / "some" / "demo"
    fill(out, "first")
    (out / "left_over.png").touch()
    fill(out, "second")
    assert {f.name for f in out.iterdir()} == {MARKER, "index.html"}
    assert (out / "index.html").read_text() == "second"
    assert [f.name for f in out.parent.iterdir()] == ["demo"]


def test_a_demo_that_fails_leaves_the_old_one_and_nothing_else(tmp_path):
    fill(tmp_path / "demo", "first")
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "demo"):
        raise KeyboardInterrupt
    assert (tmp_path / "demo" / "index.html").read_text() == "first"
    assert [f.name for f in tmp_path.iterdir()] == ["demo"]


def test_a_new_demo_that_cannot_be_moved_in_leaves_the_old_one(tmp_path):
    fill(tmp_path / "demo", "first")
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "demo") as folder:
        shutil.rmtree(folder)
    assert (tmp_path / "demo" / "index.html").read_text() == "first"
    assert [f.name for f in tmp_path.iterdir()] == ["demo"]


def test_a_link_to_a_demo_stays_a_link(tmp_path):
    fill(tmp_path / "real", "first")
    (tmp_path / "link").symlink_to("real")
    fill(tmp_path / "link", "second")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "index.html").read_text() == "second"


@pytest.mark.slow
def test_the_whole_demo_runs(tmp_path, capfd):
    page = demo(tmp_path / "demo", minutes=0.05)
    assert page == tmp_path / "demo" / "index.html"
    reading = Reading(page)
    assert reading.open == []
    for name in reading.files:
        assert (page.parent / name).stat().st_size > 0
    run = page.parent / "runs" / "demo"
    assert (run / "last.safetensors").is_file()
    for text in ((run / "config.yaml").read_text(), page.read_text(encoding="utf-8")):
        assert str(tmp_path / "demo" / "data") in text
        assert ".new" not in text
    metrics = json.loads((page.parent / "evaluation" / "metrics.json").read_text())
    assert set(metrics["baselines"]) == {"constant", "mean_map"}
    printed = capfd.readouterr().out
    assert [f"[{i}/5]" in printed for i in range(1, 6)] == [True] * 5
    assert str(page) in printed
