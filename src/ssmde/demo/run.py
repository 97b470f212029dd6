"""What the demo does: draw, train both stages, evaluate, compare, and write the page of it."""

import os
import shutil
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from ssmde.config import (
    Config,
    DataConfig,
    LossConfig,
    ModelConfig,
    PseudoDepthConfig,
    StudentConfig,
    TrainConfig,
    dump_config,
)
from ssmde.data.scene_folder import read_scenes
from ssmde.data.sequence import FrameSequence
from ssmde.demo.videos import SIZE, Videos, draw_room, draw_videos
from ssmde.evaluation import Evaluation, constant_depth, evaluate, evaluate_predictions
from ssmde.inference.loading import load
from ssmde.inference.pictures import colorize, depth_range, write_png
from ssmde.inference.predictor import Predictor
from ssmde.io import whole_file, write_text
from ssmde.methods.student import Student
from ssmde.models.checkpoint import read_weights, save_weights
from ssmde.outputs import check_replaceable, hidden_folder, move_into_place, record_tree, sweep
from ssmde.pace import seconds_per_step
from ssmde.reporting.charts import Chart, stage_charts
from ssmde.reporting.examples import (
    WIDTH,
    Example,
    MeasuredFrame,
    Picture,
    finished_student,
    measured_example,
    measured_frame,
    resize,
    size_of_width,
    student_maps,
)
from ssmde.reporting.report import errors_of_log, render
from ssmde.training import train
from ssmde.weights import DEFAULT_WEIGHTS, RELEASED

MARKER = ".ssmde-demo"  # a folder with this file was made here, and may be replaced
PARTS = 6
EXAMPLES = 4
NAME = "demo"  # of the folder in runs/ that holds both stages
LAST = "last.safetensors"
ROOM = "room"  # folder of its clip, beside the data: nothing trains on it
MOST_THREADS = 4  # more do not help with pictures this small
FEWEST_STEPS = 4
CURVE_POINTS = 60
VALIDATIONS = 5
VALIDATION_FRAMES = 16
RATES = (4e-4, 2e-4)  # learning rates of the stages; short trainings want them high
FOLDER = "pictures"  # inside the folder of the page
FILM_WIDTH = 288  # pixels of each of the pictures
GAP = 8  # transparent pixels between them
QUALITY = 82  # of WebP, 1 to 100
CAPTIONS = {
    "frame": "frame",
    "truth": "true depth",
    "pretrained": "depth of {}",
    "student": "depth of the student",
}


@dataclass(frozen=True, slots=True)
class Film:
    """A held-out clip: frame, prediction and truth side by side."""

    moving: str  # file of the animation, named relative to the page
    still: str  # file of its first picture, for readers who want no motion
    size: tuple[int, int]  # height and width, in pixels


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """What the network of the package, that of the demo, and a constant depth make of a place."""

    name: str
    constant: Evaluation
    student: Evaluation
    pretrained: Evaluation
    frame: str  # the frame of the pictures, as `scene/frame`
    ends: tuple[float, float]  # metres of the brightest and of the darkest color
    sources: dict[str, str]
    """File of each picture, by its name in `CAPTIONS`, named relative to the page."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """What happened, from the drawing to the pictures."""

    first: Config  # the training run of stage 1
    second: Config  # that of stage 2
    videos: Videos
    results: tuple[Evaluation, Evaluation]  # of the held-out frames: teacher and student
    examples: tuple[Example, ...]
    film: Film
    charts: tuple[Chart, ...]
    pretrained: str  # name of the network of the package
    places: tuple[Place, ...]  # that network beside the one of the demo
    seconds: dict[str, float]
    """Wall-clock time of each step, by its name; `teacher` and `student` are the trainings."""


def run_demo(out: Path, *, minutes: int | float, seed: int) -> Path:
    """Write the folder of a demo, whole or not at all, in place of an earlier one; give its page.

    The folder holds `index.html` with its pictures, the videos (`data/`), the runs (`runs/demo/`)
    and the evaluation (`evaluation/`). Each stage gets half of the minutes; the numbers of steps
    follow from the pace of the machine.
    """
    with replacing(out) as folder:
        write_page(folder, _play(folder, out, minutes=minutes, seed=seed))
    page = out / "index.html"
    print(f"The page is {page.resolve()}", flush=True)
    return page


@contextmanager
def replacing(out: Path) -> Generator[Path]:
    """An empty folder beside `out` that takes its place, and that of an earlier demo there.

    When the block fails the new folder goes and `out` stays as it was.

    Raises:
        FileExistsError: If something else is there, or in it.
    """
    if os.path.lexists(out):
        if not (out / MARKER).is_file():
            raise FileExistsError(
                f"{out} exists and holds no demo (no {MARKER} in it): choose another folder with "
                "--out, or move it away"
            )
        check_replaceable(out.resolve(), [], "choose another folder with --out")
    out = out.resolve()
    sweep(out.parent, out.name.__eq__)
    with hidden_folder(out) as new:
        (new / MARKER).write_text("made by `ssmde demo`, which may replace this folder\n")
        yield new
        record_tree(new, "demo")
        move_into_place(new, out)


def _play(folder: Path, out: Path, *, minutes: int | float, seed: int) -> Story:
    """Every part in turn, in `folder`; what is written names `out`, where the folder will be."""
    seconds: dict[str, float] = {}
    with _part(1, "drawing", "streets with people and cars that move, and their labels", seconds):
        videos = draw_videos(folder / "data", seed)
    half = 30 * minutes
    first = _train(2, "teacher", "stage 1", first_stage(folder, seed), half, seconds)
    second = _train(3, "student", "stage 2", second_stage(first), half, seconds)
    runs = (folder / "runs" / first.name, folder / "runs" / second.name)
    with _part(4, "evaluation", "held-out videos against the depth they were drawn from", seconds):
        held_out = read_scenes(folder / "data", "val")
        teacher, student = _predictor(runs[0], out), _predictor(runs[1], out)
        results = (
            evaluate_predictions(teacher.network_depth, held_out, "generic"),
            evaluate(student, folder / "data", protocol="generic", out=folder / "evaluation"),
        )
        print(results[1])
    beside = f"{DEFAULT_WEIGHTS}, which comes with the package, beside it"
    with _part(5, "pretrained", beside, seconds):
        pretrained = load(DEFAULT_WEIGHTS, device="cpu")
        clips = {"held-out streets": held_out, "a room": [draw_room(folder / ROOM, seed)]}
        places = tuple(
            pretrained_comparison(folder, name, scenes, student, pretrained)
            for name, scenes in clips.items()
        )
    with _part(6, "page", "pictures, a short film and the page", seconds):
        method = finished_student(second, runs[1] / LAST, runs[1] / "log.csv")
        examples = qualitative_examples(
            folder, results, (teacher, student), method, held_out, second.data, count=EXAMPLES
        )
        # A constant depth on the frames of the validations.
        constant = evaluate_predictions(
            lambda _: constant_depth(), held_out, max_frames=VALIDATION_FRAMES
        )
        charts = stage_charts(*runs, references=errors_of_log(constant))
        film = make_film(folder, results[1], student, held_out[0].name, fps=videos.fps)
    return Story(
        first=_moved(first, folder, out), second=_moved(second, folder, out), videos=videos,
        results=results, examples=examples, film=film, charts=charts, pretrained=DEFAULT_WEIGHTS,
        places=places, seconds=seconds,
    )  # fmt: skip


@contextmanager
def _part(number: int, name: str, what: str, seconds: dict[str, float]) -> Generator[None]:
    """Say what begins, and note how long it took."""
    print(f"[{number}/{PARTS}] {name}: {what}", flush=True)
    start = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - start


def _train(
    number: int, name: str, what: str, config: Config, time_left: float, seconds: dict[str, float]
) -> Config:
    """Train as many steps as this machine makes in the time, and return the run."""
    pace = seconds_per_step(config)
    config = with_steps(config, max(FEWEST_STEPS, int(time_left / pace)))
    about = f"{what}, {config.train.steps} steps at {pace:.2f} s, about {time_left:.0f} s"
    with _part(number, name, about, seconds):
        train(config)
    return config


def first_stage(folder: Path, seed: int) -> Config:
    """The teacher, from random weights: views, whose motion it finds too, and labels."""
    # Tracked points would give labels their unit, but in pictures this small there are some 25 a
    # frame, and labels fitted to those are off by 0.4 to 0.8 instead of 0.15. Without a unit a
    # ranking is never content and stretches the depth: little of it.
    labels = PseudoDepthConfig(structure=0.1)
    return Config(
        name=f"{NAME}/teacher",
        output=folder / "runs",
        data=DataConfig(root=folder / "data", image_size=SIZE, frame_gaps=(1, 2), workers=0),
        # Half the channels take more steps in the same time: 437, abs_rel 0.26; with all, on a
        # busier machine, 202 and 0.48.
        model=ModelConfig(encoder="resnet18_half", depth_range=(0.1, 100.0)),
        # Without the warm-up two minutes end far from the truth: abs_rel 0.55 instead of 0.22. The
        # depth of the sources, for geometry consistency, would cost half of the steps.
        loss=LossConfig(warmup=0.1),
        pseudo_depth=labels,
        student=StudentConfig(labels="static", forgetting="exponential"),
        train=TrainConfig(
            batch_size=4, learning_rate=RATES[0], pose_lr_multiplier=3.0, schedule="cosine",
            warmup_steps=20, seed=seed,
            accelerator="cpu", threads=min(MOST_THREADS, torch.get_num_threads()),
        ),
    )  # fmt: skip


def second_stage(first: Config) -> Config:
    """The student, which starts as the teacher.

    Its teacher has the last weights of stage 1: the best of several validations were chosen by the
    truth of the held-out videos, which nobody may look at before the end.
    """
    teacher, rate = first.output / first.name / LAST, RATES[1]
    return replace(
        first, name=f"{NAME}/student", method="student",
        student=replace(first.student, teacher=teacher, learning_rate=rate),
        train=replace(first.train, learning_rate=rate),
    )  # fmt: skip


def with_steps(config: Config, steps: int) -> Config:
    """The run over so many steps, with a few validations."""
    train = replace(
        config.train, steps=steps, validate_every=max(1, steps // VALIDATIONS),
        checkpoint_every=steps,
    )  # fmt: skip
    return replace(config, student=replace(config.student, steps=steps), train=train)


def _predictor(run: Path, out: Path) -> Predictor:
    """The last weights of a run, under the name they will have."""
    found = load(run / LAST, device="cpu")
    return Predictor(
        found.network, found.image_size, depth_range=found.depth_range,
        source=str(out / "runs" / NAME / run.name / LAST),
    )  # fmt: skip


def _moved(config: Config, folder: Path, out: Path) -> Config:
    """Keep of a run what the page speaks of, with the paths where they will be.

    The best of several validations goes too: it was chosen by the truth of the held-out videos,
    and the page measures the last weights.
    """
    run, student = folder / "runs" / config.name, config.student
    if student.teacher is not None:
        student = replace(student, teacher=out / student.teacher.relative_to(folder))
    data = replace(config.data, root=out / "data")
    final = replace(config, output=out / "runs", data=data, student=student)
    shutil.rmtree(run / "best", ignore_errors=True)
    for name in ("best.safetensors", "last.ckpt"):
        (run / name).unlink(missing_ok=True)
    (run / "config.yaml").write_text(dump_config(final))
    tensors, metadata = read_weights(run / LAST)
    save_weights(run / LAST, tensors, metadata | {"config": dump_config(final)})
    return final


def write_page(folder: Path, story: Story) -> Path:
    """Write `index.html` into the folder that holds the pictures, and return it."""
    trained = in_words(story.seconds["teacher"] + story.seconds["student"])
    text = render(
        "ssmde.demo", "page.html", story=story, trained=trained,
        summary=RELEASED[story.pretrained].summary,
        captions={kind: words.format(story.pretrained) for kind, words in CAPTIONS.items()},
    )  # fmt: skip
    page = folder / "index.html"
    write_text(page, text)
    return page


def in_words(seconds: int | float) -> str:
    """A length of time for a sentence: `38 seconds`, `a minute`, `2.5 minutes`."""
    if seconds < 55:
        return f"{max(1, round(seconds))} seconds" if round(seconds) > 1 else "a second"
    minutes = round(2 * seconds / 60) / 2
    return "a minute" if minutes == 1 else f"{minutes:g} minutes"


def qualitative_examples(
    page: Path,
    results: tuple[Evaluation, Evaluation],
    predictors: tuple[Predictor, Predictor],
    student: Student,
    sequences: Sequence[FrameSequence],
    data: DataConfig,
    *,
    count: int,
) -> tuple[Example, ...]:
    """Write the pictures of a few measured frames, evenly spread; colors are in metres.

    The results are of teacher and student, like the predictors, on the held-out `sequences`;
    `student` is the method, whose filter is shown, and `data` that of its training.
    """
    examples: list[Example] = []
    for number, maps in enumerate(student_maps(student, data, sequences, count=count), start=1):

        def store(kind: str, picture: Picture, number: int = number) -> str:
            file = f"{FOLDER}/{number:02d}_{kind}.png"
            write_png(page / file, picture)
            return file

        examples.append(measured_example(maps, results, predictors, store))
    return tuple(examples)


def make_film(
    page: Path, result: Evaluation, predictor: Predictor, scene: str, *, fps: float
) -> Film:
    """Write a looping animation of the measured frames of a scene; one range of colors for all."""
    found = [f for f in result.frames if f.frame.name.split("/")[0] == scene]
    frames = [measured_frame(f, predictor, result.protocol) for f in found]
    near, far = depth_range(np.concatenate([frame.truth for frame in frames])) or (1.0, 2.0)
    pictures = [Image.fromarray(_strip(frame, near, far)) for frame in frames]
    film, still = f"{FOLDER}/film.webp", f"{FOLDER}/film.png"
    (page / FOLDER).mkdir(parents=True, exist_ok=True)
    with whole_file(page / still) as part:
        pictures[0].save(part, "PNG")
    with whole_file(page / film) as part:
        pictures[0].save(
            part, "WEBP", save_all=True, append_images=pictures[1:], duration=round(1000 / fps),
            loop=0, quality=QUALITY,
        )  # fmt: skip
    return Film(film, still, (pictures[0].height, pictures[0].width))


def _strip(frame: MeasuredFrame, near: float, far: float) -> UInt8[np.ndarray, "h w 4"]:
    """RGBA: frame, prediction and truth of a moment, with see-through gaps between them."""
    size = size_of_width(frame.truth.shape, FILM_WIDTH)
    strip = np.zeros((size[0], 3 * FILM_WIDTH + 2 * GAP, 4), np.uint8)
    depths = (colorize(depth, near=near, far=far) for depth in (frame.prediction, frame.truth))
    for place, picture in enumerate((frame.image, *depths)):
        left = place * (FILM_WIDTH + GAP)
        strip[:, left : left + FILM_WIDTH, :3] = resize(picture, size)
        strip[:, left : left + FILM_WIDTH, 3] = 255
    return strip


def pretrained_comparison(
    page: Path,
    name: str,
    sequences: Sequence[FrameSequence],
    student: Predictor,
    pretrained: Predictor,
) -> Place:
    """Measure both networks on all frames of a place, and show the frame in the middle."""
    constant = evaluate_predictions(lambda _: constant_depth(), sequences)
    ours, theirs = (evaluate_predictions(p.network_depth, sequences) for p in (student, pretrained))
    middle = len(ours.frames) // 2
    mine, other = (
        measured_frame(result.frames[middle], predictor, result.protocol)
        for result, predictor in ((ours, student), (theirs, pretrained))
    )
    near, far = depth_range(mine.truth) or (1.0, 2.0)
    depths = {"truth": mine.truth, "pretrained": other.prediction, "student": mine.prediction}
    pictures = {kind: colorize(depth, near=near, far=far) for kind, depth in depths.items()}
    sources: dict[str, str] = {}
    for kind, picture in {"frame": mine.image, **pictures}.items():
        sources[kind] = f"{FOLDER}/pretrained_{name.replace(' ', '_')}_{kind}.png"
        write_png(page / sources[kind], resize(picture, size_of_width(mine.truth.shape, WIDTH)))
    return Place(
        name=name, constant=constant, student=ours, pretrained=theirs,
        frame=ours.frames[middle].frame.name, ends=(near, far), sources=sources,
    )  # fmt: skip
