"""What the demo does: draw, train both stages, evaluate, compare, and write the page."""

import os
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

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
from ssmde.demo.report import (
    Story,
    make_film,
    pretrained_comparison,
    qualitative_examples,
    write_page,
)
from ssmde.demo.videos import SIZE, draw_room, draw_videos
from ssmde.evaluate import evaluate, evaluate_predictions
from ssmde.inference.loading import load
from ssmde.inference.predictor import Predictor
from ssmde.metrics.baselines import constant_depth
from ssmde.models.checkpoint import read_weights, save_weights
from ssmde.outputs import check_replaceable, hidden_folder, move_into_place, record_tree, sweep
from ssmde.pace import seconds_per_step
from ssmde.reporting.charts import stage_charts
from ssmde.reporting.examples import finished_student
from ssmde.reporting.report import errors_of_log
from ssmde.train import train
from ssmde.weights import DEFAULT_WEIGHTS

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


def demo(out: Path = Path("demo"), *, minutes: int | float = 3.0, seed: int = 0) -> Path:
    """Draw videos, train both stages on them, evaluate on held-out ones, and write a page about it.

    The folder holds `index.html` with its pictures, the videos (`data/`), the runs (`runs/demo/`)
    and the evaluation (`evaluation/`). It appears when it is complete, in place of the demo that
    was there.

    Args:
        out: Folder to write: a new one, or that of an earlier demo.
        minutes: Time for the training, half of it for each stage; the numbers of steps follow from
            the pace of the machine.
        seed: Start of every random number.

    Returns:
        The page.

    Raises:
        FileExistsError: If `out` exists and no demo made it.
        ValueError: If `minutes` is not positive, or `seed` is negative.
    """
    if not 0 < minutes < float("inf"):
        raise ValueError(f"minutes must be positive, got {minutes}")
    if seed < 0:
        raise ValueError(f"seed must be at least 0, got {seed}")
    with replacing(out) as folder:
        write_page(folder, _play(folder, out, minutes=minutes, seed=seed))
    page = out / "index.html"
    print(f"The page is {page.resolve()}", flush=True)
    return page


@contextmanager
def replacing(out: Path) -> Generator[Path]:
    """An empty folder beside `out` that takes its place when the block ends well.

    When the block fails the new folder goes and `out` stays as it was.

    Args:
        out: Where the folder is to be; it may hold an earlier demo.

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
    """The teacher, from random weights: views, whose motion it finds too, and labels.

    Args:
        folder: Of the demo, with `data`.
        seed: Start of every random number.
    """
    # Tracked points would give labels their unit, but in pictures this small there are some 25 a
    # frame, and labels fitted to those are off by 0.4 to 0.8 instead of 0.15. Without a unit a
    # ranking is never content and stretches the depth: little of it.
    labels = PseudoDepthConfig(normals=0.1, ranking=0.02, edge_normals=0.1)
    return Config(
        name=f"{NAME}/teacher",
        output=folder / "runs",
        data=DataConfig(root=folder / "data", image_size=SIZE, frame_gaps=(1, 2), workers=0),
        # Half the channels take more steps in the same time: 437, abs_rel 0.26; with all, on a
        # busier machine, 202 and 0.48.
        model=ModelConfig(encoder="resnet18_half", depth_range=(0.1, 100.0)),
        # Without the warm-up two minutes end far from the truth: abs_rel 0.55 instead of 0.22. The
        # depth of the sources, for geometry consistency, would cost half of the steps.
        loss=LossConfig(rotation_first=0.03, upright_first=0.12, normalise_depth=True),
        pseudo_depth=labels,
        student=StudentConfig(
            pseudo_depth=replace(labels, region="static", forgetting="exponential")
        ),
        train=TrainConfig(
            batch_size=4,
            learning_rate=RATES[0],
            pose_rate=3.0,
            schedule="cosine",
            warmup_steps=20,
            seed=seed,
            validation_frames=VALIDATION_FRAMES,
            keep_best=1,
            accelerator="cpu",
            threads=min(MOST_THREADS, torch.get_num_threads()),
        ),
    )


def second_stage(first: Config) -> Config:
    """The student, which starts as the teacher.

    Its teacher has the last weights of stage 1: the best of several validations were chosen by the
    truth of the held-out videos, which nobody may look at before the end.
    """
    return replace(
        first,
        name=f"{NAME}/student",
        method="student",
        student=replace(
            first.student, teacher=first.output / first.name / LAST, learning_rate=RATES[1]
        ),
        train=replace(first.train, learning_rate=RATES[1]),
    )


def with_steps(config: Config, steps: int) -> Config:
    """The run over so many steps, with a few validations and a log fine enough for curves."""
    return replace(
        config,
        student=replace(config.student, steps=steps),
        train=replace(
            config.train,
            steps=steps,
            validate_every=max(1, steps // VALIDATIONS),
            checkpoint_every=steps,
            log_every=max(1, steps // CURVE_POINTS),
        ),
    )


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
