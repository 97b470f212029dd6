"""`ssmde demo`: videos are drawn, learnt from and predicted, and a page shows how well."""

import os
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from ssmde.config import Config, DataConfig, LossConfig, ModelConfig, TrainConfig, dump_config
from ssmde.data.scene_folder import read_scenes
from ssmde.data.sequence import FrameSequence
from ssmde.demonstration.curves import Curve, read_curve
from ssmde.demonstration.gallery import hang_exhibits, make_film
from ssmde.demonstration.pace import seconds_per_step
from ssmde.demonstration.page import Story, write_page
from ssmde.demonstration.world import SIZE, draw_world
from ssmde.evaluate import evaluate, evaluate_predictions
from ssmde.methods.teacher import Teacher, build_teacher
from ssmde.metrics.baselines import constant_depth
from ssmde.models.load import load_weights_into, read_weights, save_weights
from ssmde.prediction.predictor import Predictor
from ssmde.train import train

MARKER = ".ssmde-demo"  # a folder with this file was made here, and may be replaced
RUN = "demo"
LOSS = "train/photometric"  # its name in log.csv
MOST_THREADS = 4  # more do not help with pictures this small
FEWEST_STEPS = 4
CURVE_POINTS = 60
VALIDATIONS = 8
VALIDATION_FRAMES = 16
EXHIBITS = 4


def demo(out: Path = Path("demo"), *, minutes: int | float = 2.0, seed: int = 0) -> Path:
    """Draw videos, train on them, evaluate on held-out ones, and write a page about it.

    The folder holds `index.html` with its pictures, the videos (`data/`), the run (`runs/demo/`)
    and the evaluation (`evaluation/`). It appears when it is complete, in place of the demo that
    was there.

    Args:
        out: Folder to write: a new one, or that of an earlier demo.
        minutes: Time for the training; the number of steps follows from the pace of the machine.
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
        FileExistsError: If something else is there.
    """
    if (out.exists() or out.is_symlink()) and not (out / MARKER).is_file():
        raise FileExistsError(
            f"{out} exists and holds no demo (no {MARKER} in it): choose another folder with "
            "--out, or move it away"
        )
    out = out.resolve()
    out.parent.mkdir(parents=True, exist_ok=True)
    new, old = (out.with_name(f".{out.name}.{os.getpid()}.{end}") for end in ("new", "old"))
    new.mkdir()
    try:
        (new / MARKER).write_text("made by `ssmde demo`, which may replace this folder\n")
        yield new
        if out.exists():
            out.rename(old)
        new.rename(out)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        if old.exists() and not out.exists():
            old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _play(folder: Path, out: Path, *, minutes: int | float, seed: int) -> Story:
    """Every stage in turn, in `folder`; what is written names `out`, where the folder will be."""
    seconds: dict[str, float] = {}
    with _stage(1, "drawing", "videos of streets with people and cars that move", seconds):
        world = draw_world(folder / "data", seed)
    with _stage(2, "pace", "a few steps, to see how fast this machine is", seconds):
        config = _configuration(folder, seed)
        pace = seconds_per_step(config)
        config = _with_steps(config, max(FEWEST_STEPS, int(60 * minutes / pace)))
    about = f"{config.train.steps} steps at {pace:.2f} s, about {60 * minutes:.0f} s"
    with _stage(3, "training", about, seconds):
        run = train(config)
        teacher = _trained(config, run / "last.safetensors")
    final = replace(config, output=out / "runs", data=replace(config.data, root=out / "data"))
    _tidy(run, final)
    with _stage(4, "evaluation", "held-out videos against the depth they were drawn from", seconds):
        predictor = Predictor(
            teacher.depth_net, config.data.image_size, depth_range=config.model.depth_range,
            source=str(final.output / RUN / "last.safetensors"),
        )  # fmt: skip
        result = evaluate(predictor, folder / "data", protocol="generic", out=folder / "evaluation")
    with _stage(5, "page", "pictures, a short film and the page", seconds):
        held_out = read_scenes(folder / "data", "val")
        hang = (folder, result, predictor)
        return Story(
            config=final,
            world=world,
            result=result,
            exhibits=hang_exhibits(*hang, teacher, held_out, config, count=EXHIBITS),
            film=make_film(*hang, held_out[0].name, fps=world.fps),
            curves=_curves(run, held_out),
            seconds=seconds,
        )


@contextmanager
def _stage(number: int, name: str, what: str, seconds: dict[str, float]) -> Generator[None]:
    """Say what begins, and note how long it took."""
    print(f"[{number}/5] {name}: {what}", flush=True)
    start = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - start


def _configuration(folder: Path, seed: int) -> Config:
    """The photometric core with small networks on small pictures, from random weights."""
    return Config(
        name=RUN,
        output=folder / "runs",
        data=DataConfig(root=folder / "data", image_size=SIZE, frame_gaps=(1, 2), workers=0),
        model=ModelConfig(depth_range=(0.1, 100.0)),
        # Without the warm-up two minutes end far from the truth: abs_rel 0.55 instead of 0.22. The
        # depth of the sources, for geometry consistency, would cost half of the steps.
        loss=LossConfig(rotation_first=0.03, upright_first=0.12, normalise_depth=True),
        train=TrainConfig(
            batch_size=4,
            learning_rate=4e-4,
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


def _with_steps(config: Config, steps: int) -> Config:
    return replace(
        config,
        train=replace(
            config.train,
            steps=steps,
            validate_every=max(1, steps // VALIDATIONS),
            checkpoint_every=steps,
            log_every=max(1, steps // CURVE_POINTS),
        ),
    )


def _trained(config: Config, weights: Path) -> Teacher:
    """The method with the networks of a weights file; it shows the weight mask as well."""
    teacher = build_teacher(config.model, replace(config.loss, weight_mask=True))
    tensors, _ = read_weights(weights)
    load_weights_into(teacher.depth_net, tensors, "depth_net.", origin=str(weights))
    load_weights_into(teacher.pose_net, tensors, "pose_net.", origin=str(weights))
    return teacher.eval()


def _tidy(run: Path, final: Config) -> None:
    """Keep of a run what the page speaks of, with the paths where it will be.

    The best of several validations goes too: it was chosen by the truth of the held-out videos,
    and the page measures the last weights.
    """
    shutil.rmtree(run / "best", ignore_errors=True)
    for name in ("best.safetensors", "last.ckpt"):
        (run / name).unlink(missing_ok=True)
    (run / "config.yaml").write_text(dump_config(final))
    tensors, metadata = read_weights(run / "last.safetensors")
    save_weights(run / "last.safetensors", tensors, metadata | {"config": dump_config(final)})


def _curves(run: Path, held_out: list[FrameSequence]) -> tuple[Curve, ...]:
    """The loss, and the error on a few held-out frames beside that of a constant depth."""
    log = run / "log.csv"
    constant = evaluate_predictions(
        lambda _: constant_depth(), held_out, max_frames=VALIDATION_FRAMES
    )
    which, name, errors = "all", "abs_rel", constant.full
    if constant.static is not None:
        which, name, errors = "static", "static_abs_rel", constant.static
    curves = (
        Curve(title="Difference between frame and copy", points=read_curve(log, LOSS)),
        Curve(
            title=f"Error (AbsRel) of {which} pixels, held-out frames",
            points=read_curve(log, f"val/{name}"),
            reference=("one constant depth", errors.abs_rel),
            dots=True,
        ),
    )
    return tuple(curve for curve in curves if curve.points)
