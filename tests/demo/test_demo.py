"""The demo: a page that says what was measured, made safely, and the whole of it once."""

import json
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from folders import names_in
from ssmde.config import (
    Config,
    DataConfig,
    LossConfig,
    ModelConfig,
    StudentConfig,
)
from ssmde.data.images import read_depth, read_image
from ssmde.data.pseudo_labels import read_pseudo_depth
from ssmde.data.scene_folder import read_scene
from ssmde.demo import demo
from ssmde.demo.run import CAPTIONS as PRETRAINED_CAPTIONS
from ssmde.demo.run import (
    MARKER,
    Story,
    first_stage,
    in_words,
    make_film,
    pretrained_comparison,
    qualitative_examples,
    replacing,
    second_stage,
    with_steps,
    write_page,
)
from ssmde.demo.videos import Videos, distort, label_scene
from ssmde.evaluation import evaluate
from ssmde.inference.pictures import colorize_error
from ssmde.inference.predictor import Predictor
from ssmde.methods.self_supervised import SelfSupervised
from ssmde.methods.student import Student, TeacherNetworks
from ssmde.methods.teacher import build_networks
from ssmde.reporting.charts import Chart
from ssmde.reporting.examples import CAPTIONS
from ssmde.synthetic import draw_clip, write_clip

SIZE = (32, 64)
FRAMES = 5
VOID_TAGS = {"meta", "img", "source", "link", "br"}


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
    data = DataConfig(root=folder / "data", image_size=SIZE, workers=0)
    torch.manual_seed(0)
    own, taught = (
        build_networks(ModelConfig(encoder="resnet18_half"), LossConfig()) for _ in range(2)
    )
    networks = SelfSupervised(*own, LossConfig())
    student = Student(networks, TeacherNetworks(*taught), StudentConfig())
    predictors = tuple(Predictor(Knows(clip.images, clip.depth, p), SIZE) for p in (0.7, 1.0))
    teacher_result, result = (evaluate(predictor, [scene], out=None) for predictor in predictors)
    results = (teacher_result, replace(result, remarks=("a <note> & more",)))
    config = Config(data=data)
    story = Story(
        first=config,
        second=replace(config, method="student"),
        videos=Videos(
            train=("a", "b"), train_frames=80, held_out=("c",), fps=10.0, label_error=0.15
        ),
        results=results,
        examples=qualitative_examples(
            folder, results, predictors, student.eval(), [scene], data, count=2
        ),
        film=make_film(folder, result, predictors[1], "held_out_1", fps=10.0),
        charts=(Chart(title="loss", lines={"": ((1, 0.2), (9, 0.1))}),),
        pretrained="small",
        places=(pretrained_comparison(folder, "a room", [scene], predictors[1], predictors[0]),),
        seconds={"drawing": 3.0, "teacher": 61.0, "student": 60.0},
    )
    return write_page(folder, story), story


@pytest.mark.parametrize(
    "words",
    [
        "Protocol generic (0.1 to 1000 m, whole image), alignment median",
        "Depth of scenes that move, learned in 2 minutes",
        "a <note> & more",
        "ssmde prepare",
        "its labels are a stand-in: the drawn depth, distorted",
        "they are off by 15% themselves",
    ],
)
def test_the_page_says_how_it_was_made_and_measured(told, words):
    assert words in " ".join(Reading(told[0]).words.split())


def test_the_table_holds_the_numbers_of_both_stages_and_of_the_baselines(told):
    page, story = told
    cells = Reading(page).cells
    assert "$" not in "".join(cells)
    teacher, student = story.results
    expected = [
        f"{value:.3f}"
        for result in (teacher, student, student.baselines["constant"])
        for e in (result.full, result.static, result.dynamic)
        for value in (e.abs_rel, e.sq_rel, e.rmse, e.rmse_log, e.log10, e.d1, e.d2, e.d3)
    ]
    assert cells[: len(expected)] == expected
    rows = page.read_text(encoding="utf-8").split("<tbody>")[1:4]
    assert [row.count('class="best"') == 24 for row in rows] == [False, True, False]
    assert '<td class="best">0.000</td>' in rows[1]  # errors: the smallest
    assert '<td class="best">1.000</td>' in rows[1]  # shares of right pixels: the largest


def test_the_page_is_well_formed_and_all_its_files_are_beside_it(told):
    page, story = told
    reading = Reading(page)
    assert reading.open == []
    places = story.places
    expected = 2 + len(CAPTIONS) * len(story.examples) + len(PRETRAINED_CAPTIONS) * len(places)
    assert len(reading.files) == len(set(reading.files)) == expected
    for name in reading.files:
        with Image.open(page.parent / name) as image:
            image.load()


def test_a_right_prediction_looks_like_the_truth_and_has_no_error(told):
    page, story = told
    sources = story.examples[0].sources
    student, teacher, truth, error, wrong = (
        read_image(page.parent / sources[name]).astype(int)
        for name in ("student", "teacher", "truth", "student_error", "teacher_error")
    )
    assert np.abs(student - truth).max() <= 6  # a step or two of the colours
    assert np.abs(teacher - truth).max() > 20
    no_error = colorize_error(np.ones((1, 1)), np.ones((1, 1)))[0, 0].astype(int)
    assert np.abs(error - no_error).max() <= 4
    assert np.abs(wrong - no_error).max() > 20


def test_the_network_of_the_package_stands_beside_the_student_with_protocol_and_alignment(told):
    page, story = told
    (place,) = story.places
    text = page.read_text(encoding="utf-8").split("<h2>The network in the package</h2>")[1]
    assert "<strong>small</strong> learned from drawn photos, measured" in text
    caption = text.split("<caption>")[1].split("</caption>")[0]
    assert "<strong>generic</strong> (0.1 to 1000 m, whole image)" in caption
    assert "alignment <strong>median</strong>" in caption
    cells = Reading(page).cells[-9:]
    results = (story.results[0], story.results[1], story.results[1].baselines["constant"])
    assert cells == [  # here the "teacher" plays the network of the package
        f"{value:.3f}" for r in results for value in (r.full.abs_rel, r.dynamic.abs_rel, r.full.d1)
    ]
    assert place.frame == f"held_out_1/{FRAMES // 2:06d}"
    truth, student, pretrained = (
        read_image(page.parent / place.sources[kind]).astype(int)
        for kind in ("truth", "student", "pretrained")
    )
    assert np.abs(student - truth).max() <= 6
    assert np.abs(pretrained - truth).max() > 20


def test_the_motion_picture_is_the_motion_truth(told):
    page, story = told
    root = story.first.data.root
    for exhibit in story.examples:
        scene, frame = exhibit.name.split("/")
        truth = np.asarray(Image.open(root / scene / "motion_mask" / f"{frame}.png"))
        shown = read_image(page.parent / exhibit.sources["motion"])[..., 0]
        assert set(np.unique(shown)) <= {0, 255}
        assert shown.mean() == pytest.approx(truth.mean())  # six times as wide, in sharp squares


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


def test_a_label_has_the_order_of_the_depth_and_not_its_scale():
    depth = np.repeat(np.linspace(2.0, 60.0, 96)[None], 64, axis=0)
    depth[:8] = 0
    label = distort(depth, np.random.default_rng(0))
    assert (label[:8] == 0).all()
    assert (label[8:] > 0).all()
    assert np.corrcoef(np.log(label[20, ::8]), np.log(depth[20, ::8]))[0, 1] > 0.95
    factor = label[8:] / depth[8:]
    assert factor.max() / factor.min() > 1.1
    again = distort(depth, np.random.default_rng(1))
    assert np.abs(again[8:] / label[8:] - 1).max() > 0.1  # each frame has a distortion of its own


def test_the_labels_of_a_scene_say_that_they_are_a_stand_in(tmp_path):
    folder = tmp_path / "street"
    write_clip(draw_clip("street", frames=3, size=(32, 64), seed=0), folder)
    error = label_scene(folder, read_scene(folder), 0)
    assert 0.02 < error < 0.4
    info = json.loads((folder / "pseudo_depth" / "label.json").read_text())
    assert info["source"] == "stand-in of the demo: drawn depth, distorted"
    scene = read_scene(folder)
    label, truth = read_pseudo_depth(scene.pseudo_depth[0]), read_depth(scene.depth[0], 256)
    assert ((label > 0) == (truth > 0)).all()


def test_the_student_of_the_lesson_learns_from_the_last_weights_of_the_teacher(tmp_path):
    first = with_steps(first_stage(tmp_path, 3), 50)
    second = with_steps(second_stage(first), 30)
    assert (first.method, second.method) == ("teacher", "student")
    assert second.student.teacher == tmp_path / "runs" / "demo" / "teacher" / "last.safetensors"
    assert (first.train.steps, second.student.steps, second.train.steps) == (50, 30, 30)
    assert (second.student.labels, second.student.forgetting) == ("static", "exponential")


def test_a_folder_no_demo_made_is_refused_before_anything_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr("ssmde.demo.run.draw_videos", lambda *_: pytest.fail("it drew"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match=r"mine exists and holds no demo \(no \.ssmde-demo"):
        demo(out=tmp_path / "mine")
    assert [f.name for f in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    assert [f.name for f in tmp_path.iterdir()] == ["mine"]


def test_a_time_or_seed_that_is_none_is_refused(tmp_path):
    with pytest.raises(ValueError, match="minutes must be positive, got 0"):
        demo(out=tmp_path / "out", minutes=0)
    with pytest.raises(ValueError, match="seed must be at least 0, got -1"):
        demo(out=tmp_path / "out", seed=-1)


def fill(out: Path, text: str) -> None:
    with replacing(out) as folder:
        (folder / "index.html").write_text(text)


def test_a_new_demo_takes_the_place_of_the_old_one(tmp_path):
    out = tmp_path / "some" / "demo"
    fill(out, "first")
    (out / "notes.txt").touch()
    with pytest.raises(FileExistsError, match=r"notes\.txt: was not written by ssmde"):
        fill(out, "second")
    assert (out / "index.html").read_text() == "first"
    (out / "notes.txt").unlink()
    fill(out, "second")
    assert names_in(out) == [MARKER, "index.html"]
    assert (out / "index.html").read_text() == "second"
    assert [f.name for f in out.parent.iterdir()] == ["demo"]


def interrupt(folder):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("fail", "fault"), [(interrupt, KeyboardInterrupt), (shutil.rmtree, FileNotFoundError)]
)
def test_a_demo_that_fails_leaves_the_old_one_and_nothing_else(tmp_path, fail, fault):
    fill(tmp_path / "demo", "first")
    with pytest.raises(fault), replacing(tmp_path / "demo") as folder:
        fail(folder)
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
    page = demo(out=tmp_path / "demo", minutes=0.05).page
    assert page == tmp_path / "demo" / "index.html"
    reading = Reading(page)
    assert reading.open == []
    for name in reading.files:
        assert (page.parent / name).stat().st_size > 0
    texts = [page.read_text(encoding="utf-8")]
    for stage in ("teacher", "student"):
        run = page.parent / "runs" / "demo" / stage
        assert sorted(f.name for f in run.glob("*.safetensors")) == ["last.safetensors"]
        texts.append((run / "config.yaml").read_text())
    for text in texts:
        assert str(tmp_path / "demo" / "data") in text
        assert ".new" not in text
    metrics = json.loads((page.parent / "evaluation" / "metrics.json").read_text())
    assert set(metrics["baselines"]) == {"constant", "mean_map"}
    for title in ("Forgetting factor", "Regions of the mask filter", "a room, 6 frames"):
        assert title in reading.words
    printed = capfd.readouterr().out
    assert [f"[{i}/6]" in printed for i in range(1, 7)] == [True] * 6
    assert str(page) in printed
