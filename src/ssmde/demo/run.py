"""What the demo does: draw, look, track, learn, judge; after each part the page is written anew."""

import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float32

from ssmde.config import AffineConfig, Config
from ssmde.console import import_extra
from ssmde.data.images import read_depth, read_mask, write_png16
from ssmde.data.scene_files import write_list
from ssmde.data.scene_folder import read_scene, read_scenes
from ssmde.demo.page import Lesson, Story, lesson_pictures, look, write_page
from ssmde.demo.videos import SIZE, draw_films
from ssmde.evaluation import Evaluation, evaluate
from ssmde.geometry.ground import ground_plane, stand_on_ground
from ssmde.inference.loading import load
from ssmde.inference.predictor import Predictor
from ssmde.labeling import label, write_corrected
from ssmde.models.registry import follow_start
from ssmde.outputs import check_replaceable, hidden_folder, move_into_place, record_tree, sweep
from ssmde.pace import seconds_per_step
from ssmde.presets import AFFINE_INDOOR
from ssmde.reporting.charts import Chart, read_curve
from ssmde.tracking import track
from ssmde.training import train
from ssmde.weights import DEFAULT_WEIGHTS

MARKER = ".ssmde-demo"  # a folder with this file was made here, and may be replaced
RUN, LAST = "adapted", "last.safetensors"
LABELS = "labels"  # folder of the scenes that the network learns from
FEWEST_STEPS, MOST_STEPS = 20, 160
JUDGING = 1.3  # the last part takes so many times as long as the first look
BATCH, RATE = 8, 2e-4
TERMS = {"log_depth": "difference of log depth", "log_gradient": "difference of its slopes"}
PARTS = {
    "draw": "five films of streets in which people and cars move; their depth is known by formula",
    "before": f"what {DEFAULT_WEIGHTS}, the network of the package, sees in streets it never saw",
    "track": "how the camera moved, and how far away what stands still is, from the frames alone",
    "learn": f"{DEFAULT_WEIGHTS} learns from its own depth, corrected by the tracked points",
    "judge": "both networks on the held-out films, against the depth these were drawn with",
}


@dataclass
class Clock:
    """How long each part took, and what is left."""

    minutes: float
    seconds: dict[str, float] = field(default_factory=dict)
    begun: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds."""
        return 60 * self.minutes - (time.monotonic() - self.begun)

    @contextmanager
    def part(self, name: str) -> Generator[None]:
        """Say what begins and why, and note how long it took."""
        passed = int(time.monotonic() - self.begun)
        at = f"{passed // 60}:{passed % 60:02d}"
        number = list(PARTS).index(name) + 1
        print(f"[{number}/{len(PARTS)}] {at} {name}: {PARTS[name]}", flush=True)
        start = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - start


def run_demo(out: Path, *, minutes: float, seed: int) -> Path:
    """Write the folder of a demo in place of an earlier one; give its page.

    The folder holds `index.html` with its pictures, the films (`data/`), what the network learned
    from (`labels/`), the run with its weights (`adapted/`) and the evaluation (`evaluation/`).
    """
    import_extra("pycolmap", "`ssmde demo`", "ssmde[motion]")
    clock = Clock(minutes)
    page = out / "index.html"
    with replacing(out) as folder:
        with clock.part("draw"):
            draw_films(folder / "data", seed)
        with clock.part("before"):
            small = load(DEFAULT_WEIGHTS, device="cpu")
            before = _judge(small, folder, None)
            story = look(folder, Story(seed=seed, seconds=clock.seconds, before=before), small)
        write_page(folder, story)
    print(f"The page is {page.resolve()}: open it now, it grows", flush=True)
    folder = out.resolve()
    try:
        with clock.part("track"):
            track(folder / "data", seed=seed)
            label(folder / "data", source=f"ssmde:{DEFAULT_WEIGHTS}", device="cpu",
                  show_progress=False)  # fmt: skip
            lessons = correct_labels(folder / "data", folder / LABELS)
            story = replace(story, lessons=lesson_pictures(folder, lessons), frames=len(lessons))
        write_page(folder, story)
        with clock.part("learn"):
            config = training(folder, small.size_for(SIZE), seed)
            pace = seconds_per_step(config)
            left = clock.left - JUDGING * clock.seconds["before"]
            config = with_steps(config, int(left / pace))
            print(f"{config.train.steps} steps at {pace:.2f} s", flush=True)
            train(config)
            story = replace(story, config=config, losses=loss_chart(folder / RUN / "log.csv"))
        write_page(folder, story)
        with clock.part("judge"):
            after = load(folder / RUN / LAST, device="cpu")
            story = replace(story, after=_judge(after, folder, folder / "evaluation"))
            story = look(folder, story, small, after)
        write_page(folder, replace(story, done=True))
        print(story.after)
    finally:
        record_tree(folder, "demo")  # what was stopped may be replaced as well
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


def _judge(network: Predictor, folder: Path, out: Path | None) -> Evaluation:
    """The held-out films, beside a constant depth and the mean depth map of the others."""
    return evaluate(network, folder / "data", protocol="generic", out=out)


def correct_labels(data: Path, root: Path) -> list[Lesson]:
    """Scene folders to learn from: labels that points correct, and what moves stands on the ground.

    What moves has no points. Where it moves the drawing tells, as a motion mask of a scene would;
    how far away it is follows from the ground below it.
    """
    lessons: list[Lesson] = []
    names: list[str] = []
    root.mkdir()
    for scene in read_scenes(data, "train"):
        folder = scene.images[0].parent
        if not write_corrected(folder, root / scene.name):
            continue
        names.append(scene.name)
        learned = read_scene(root / scene.name)
        assert learned.depth is not None
        for image, file in zip(learned.images, learned.depth, strict=True):
            assert file is not None
            unit = learned.depth_units_per_metre
            depth = read_depth(file, unit)
            moves = read_mask(folder / "motion_mask" / f"{image.stem}.png") == 255
            write_png16(file, np.rint(ground_movers(depth, moves) * unit).astype(np.uint16))
            lessons.append(Lesson(folder, image, file, unit))
    write_list(root, "train", names)
    return lessons


def ground_movers(
    depth: Float32[np.ndarray, "h w"], moves: Bool[np.ndarray, "h w"]
) -> Float32[np.ndarray, "h w"]:
    """The depth, and on movers at most that of the ground they stand on; 0 without a ground."""
    static, movers = (torch.from_numpy(x)[None, None] for x in (depth, moves))
    ground = ground_plane(static.clamp(min=1e-3), movers | (static <= 0))
    if ground is None:
        return np.where(moves, np.float32(0), depth)
    return stand_on_ground(static, movers, ground)[0, 0].numpy()


def training(folder: Path, size: tuple[int, int], seed: int) -> Config:
    """The training of `ssmde adapt`, at the size at which the network sees the films."""
    data = replace(AFFINE_INDOOR.data, root=folder / LABELS, image_size=size, zoom=1.5,
                   color_jitter=0.5, workers=0)  # fmt: skip
    config = replace(
        AFFINE_INDOOR, name=RUN, output=folder, data=data,
        model=replace(AFFINE_INDOOR.model, start=DEFAULT_WEIGHTS),
        affine=AffineConfig(leres=0.0, log_depth=1.0, log_gradient=1.0),
        train=replace(
            AFFINE_INDOOR.train, batch_size=BATCH, learning_rate=RATE, warmup_steps=10,
            average=0.95, encoder_lr_multiplier=0.3, seed=seed, accelerator="cpu",
        ),
    )  # fmt: skip
    return follow_start(with_steps(config, FEWEST_STEPS))


def with_steps(config: Config, steps: int) -> Config:
    """The run over so many steps, as far as that is sensible."""
    steps = max(FEWEST_STEPS, min(steps, MOST_STEPS))
    return replace(config, train=replace(config.train, steps=steps, validate_every=steps))


def loss_chart(log: Path) -> Chart:
    """The terms of the loss over the steps."""
    return Chart(
        title="Loss",
        lines={word: read_curve(log, f"train/{name}") for name, word in TERMS.items()},
    )
