"""`ssmde demo`: videos are drawn, both stages learn from them, and a page shows how well."""

import os
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ssmde.config import Config, dump_config
from ssmde.data.scene_folder import read_scenes
from ssmde.data.sequence import FrameSequence
from ssmde.demonstration.film import make_film
from ssmde.demonstration.gallery import hang_exhibits
from ssmde.demonstration.lesson import (
    FEWEST_STEPS,
    NAME,
    VALIDATION_FRAMES,
    first_stage,
    second_stage,
    with_steps,
)
from ssmde.demonstration.page import Story, write_page
from ssmde.demonstration.shipped import ROOM, Shipped, draw_room, visit
from ssmde.demonstration.world import draw_world
from ssmde.evaluate import evaluate, evaluate_predictions
from ssmde.evaluation.result import Evaluation
from ssmde.inference.loading import load
from ssmde.inference.predictor import Predictor
from ssmde.metrics.baselines import constant_depth
from ssmde.models.load import read_weights, save_weights
from ssmde.outputs import check_replaceable, hidden_folder, move_into_place, record_tree, sweep
from ssmde.pace import seconds_per_step
from ssmde.reporting.curves import Chart
from ssmde.reporting.looks import finished_student
from ssmde.reporting.stage_curves import stage_charts
from ssmde.train import train
from ssmde.weights import DEFAULT_WEIGHTS

MARKER = ".ssmde-demo"  # a folder with this file was made here, and may be replaced
PARTS = 6
EXHIBITS = 4
LAST = "last.safetensors"


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
        world = draw_world(folder / "data", seed)
    half = 30 * minutes
    first = _train(2, "teacher", "stage 1", first_stage(folder, seed), half, seconds)
    second = _train(3, "student", "stage 2", second_stage(first), half, seconds)
    trained = _Trained(folder, first, second)
    with _part(4, "evaluation", "held-out videos against the depth they were drawn from", seconds):
        held_out = read_scenes(folder / "data", "val")
        predictors = (_predictor(trained.runs[0], out), _predictor(trained.runs[1], out))
        results = _evaluate(predictors, held_out, folder)
    with _part(
        5, "shipped", f"{DEFAULT_WEIGHTS}, which comes with the package, beside it", seconds
    ):
        shipped = _shipped(folder, held_out, predictors[1], seed)
    with _part(6, "page", "pictures, a short film and the page", seconds):
        student = finished_student(second, trained.runs[1] / LAST, trained.runs[1] / "log.csv")
        exhibits = hang_exhibits(
            folder, results, predictors, student, held_out, second.data, count=EXHIBITS
        )
        charts = _charts(trained, held_out)
        film = make_film(folder, results[1], predictors[1], held_out[0].name, fps=world.fps)
    first, second = trained.move(out)
    return Story(
        first=first,
        second=second,
        world=world,
        results=results,
        exhibits=exhibits,
        film=film,
        charts=charts,
        shipped=shipped,
        seconds=seconds,
    )


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


@dataclass(frozen=True, slots=True)
class _Trained:
    """Both runs, in the folder where they were made."""

    folder: Path
    first: Config
    second: Config

    @property
    def runs(self) -> tuple[Path, Path]:
        """Their folders."""
        first, second = (self.folder / "runs" / c.name for c in (self.first, self.second))
        return first, second

    def move(self, out: Path) -> tuple[Config, Config]:
        """Keep of the runs what the page speaks of, with the paths where they will be.

        The best of several validations goes too: it was chosen by the truth of the held-out
        videos, and the page measures the last weights.
        """
        moved: list[Config] = []
        for run, config in zip(self.runs, (self.first, self.second), strict=True):
            student = config.student
            if student.teacher is not None:
                weights = out / student.teacher.relative_to(self.folder)
                student = replace(student, teacher=weights)
            data = replace(config.data, root=out / "data")
            final = replace(config, output=out / "runs", data=data, student=student)
            shutil.rmtree(run / "best", ignore_errors=True)
            for name in ("best.safetensors", "last.ckpt"):
                (run / name).unlink(missing_ok=True)
            (run / "config.yaml").write_text(dump_config(final))
            tensors, metadata = read_weights(run / LAST)
            save_weights(run / LAST, tensors, metadata | {"config": dump_config(final)})
            moved.append(final)
        return moved[0], moved[1]


def _predictor(run: Path, out: Path) -> Predictor:
    """The last weights of a run, under the name they will have."""
    found = load(run / LAST, device="cpu")
    return Predictor(
        found.network, found.image_size, depth_range=found.depth_range,
        source=str(out / "runs" / NAME / run.name / LAST),
    )  # fmt: skip


def _evaluate(
    predictors: tuple[Predictor, Predictor], held_out: list[FrameSequence], folder: Path
) -> tuple[Evaluation, Evaluation]:
    """The teacher in silence, the student with its files, both over all held-out frames."""
    teacher, student = predictors
    return (
        evaluate_predictions(teacher.network_depth, held_out, "generic"),
        evaluate(student, folder / "data", protocol="generic", out=folder / "evaluation"),
    )


def _shipped(folder: Path, streets: list[FrameSequence], student: Predictor, seed: int) -> Shipped:
    """The network of the package and the student, in streets and in a room."""
    ours = load(DEFAULT_WEIGHTS, device="cpu")
    places = {"held-out streets": streets, "a room": [draw_room(folder / ROOM, seed)]}
    return Shipped(
        name=DEFAULT_WEIGHTS,
        places=tuple(visit(folder, n, clips, student, ours) for n, clips in places.items()),
    )


def _charts(trained: _Trained, held_out: list[FrameSequence]) -> tuple[Chart, ...]:
    """Curves of both stages, beside a constant depth on the frames of the validations."""
    constant = evaluate_predictions(
        lambda _: constant_depth(), held_out, max_frames=VALIDATION_FRAMES
    )
    regions = {"": constant.full, "static_": constant.static, "dynamic_": constant.dynamic}
    references = {f"val/{name}abs_rel": e.abs_rel for name, e in regions.items() if e is not None}
    return stage_charts(*trained.runs, references=references)
