"""What the demo does: draw, look, adapt, judge; after each part the page is written anew."""

import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ssmde.config import AffineConfig, Config
from ssmde.console import import_extra
from ssmde.data.scene_files import write_list
from ssmde.data.scene_folder import read_scenes
from ssmde.demo.page import Story, look, see, write_page
from ssmde.demo.videos import SIZE, draw_films
from ssmde.evaluation import evaluate
from ssmde.inference.loading import load
from ssmde.labeling import label, write_corrected
from ssmde.models.registry import follow_start
from ssmde.outputs import check_replaceable, hidden_folder, move_into_place, record_tree, sweep
from ssmde.presets import AFFINE_INDOOR
from ssmde.reporting.report import line_chart, read_curve
from ssmde.tracking import track
from ssmde.training import train
from ssmde.weights import DEFAULT_WEIGHTS

MARKER = ".ssmde-demo"  # a folder with this file was made here, and may be replaced
RUN, LAST = "adapted", "last.safetensors"
LABELS = "labels"  # folder of the scenes that the network learns from
# Frames are labeled larger than the network is used: people come out less far away. A third larger,
# `bonn_crowd_val`, a real film, goes from .110 to .101 static and .277 to .272 moving (AbsRel); the
# rest is for these rooms.
LABEL_ZOOM = 1.7
STEPS, BATCH, RATE = 24, 4, 3e-4  # few and gentle: the network knows drawn rooms already
TERMS = {"log_depth": "difference of log depth", "log_gradient": "difference of its slopes"}
PARTS = {
    "draw": "two films of rooms in which people walk; their depth is known by formula",
    "before": f"what {DEFAULT_WEIGHTS}, the network of the package, sees later in these films",
    "track": "how the camera moved, and how far away what stands still is, from the frames alone",
    "learn": f"{DEFAULT_WEIGHTS} learns from its own depth, corrected by the tracked points",
    "judge": "both networks later in the films, against the depth these were drawn with",
}


def run_demo(out: Path, *, seed: int, steps: int = STEPS) -> Path:
    """Write the folder of a demo in place of an earlier one; give its page.

    The folder holds `index.html` with its pictures, the films (`data/`), what the network learned
    from (`labels/`), the run with its weights (`adapted/`) and the evaluation (`evaluation/`).
    """
    import_extra("pycolmap", "`ssmde demo`", "ssmde[motion]")
    begun, seconds = time.monotonic(), dict[str, float]()

    @contextmanager
    def part(name: str) -> Generator[None]:
        """Say what begins, and note how long it took."""
        start = time.monotonic()
        minutes, rest = divmod(int(start - begun), 60)
        number = list(PARTS).index(name) + 1
        print(f"[{number}/{len(PARTS)}] {minutes}:{rest:02d} {PARTS[name]}", flush=True)
        yield
        seconds[name] = time.monotonic() - start

    page = out / "index.html"
    with replacing(out) as folder:
        with part("draw"):
            draw_films(folder / "data", seed)
        with part("before"):
            small = load(DEFAULT_WEIGHTS, device="cpu")
            # Beside a constant depth and the mean map of the first parts.
            before = evaluate(small, folder / "data", protocol="generic", out=None)
            seen = {"before": see(before, small)}
            story = look(folder, Story(seed=seed, seconds=seconds, before=before), seen)
        write_page(folder, story)
    print(f"      The page is {page.resolve()}: open it now, it grows", flush=True)
    folder = out.resolve()
    try:
        with part("track"):
            track(folder / "data", seed=seed, show_progress=False)
        with part("learn"):
            size = small.size_for(SIZE)
            frames = correct_labels(folder, size)
            train(training(folder, size, seed, steps))
            log = folder / RUN / "log.csv"
            lines = {word: read_curve(log, f"train/{name}") for name, word in TERMS.items()}
            story = replace(story, frames=frames, steps=steps, losses=line_chart("Loss", lines))
        write_page(folder, story)
        with part("judge"):
            network, judged = load(folder / RUN / LAST, device="cpu"), folder / "evaluation"
            after = evaluate(network, folder / "data", protocol="generic", out=judged)
            story = replace(story, after=after)
            story = look(folder, story, seen | {"after": see(after, network)})
        write_page(folder, replace(story, done=True))
        print(story.table())
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


def correct_labels(folder: Path, size: tuple[int, int]) -> int:
    """Label the films, and write scenes with labels that the tracked points correct: how many.

    Frames are labeled `LABEL_ZOOM` times as large as they are used, in whole steps of the network.
    """
    data, root = folder / "data", folder / LABELS
    height, width = (32 * round(LABEL_ZOOM * n / 32) for n in size)
    label(data, source=f"ssmde:{DEFAULT_WEIGHTS}", size=(height, width), device="cpu",
          show_progress=False)  # fmt: skip
    root.mkdir()
    found = {
        scene.name: write_corrected(scene.images[0].parent, root / scene.name)
        for scene in read_scenes(data, "train")
    }
    write_list(root, "train", [name for name, frames in found.items() if frames])
    return sum(found.values())


def training(folder: Path, size: tuple[int, int], seed: int, steps: int) -> Config:
    """The training of `ssmde adapt`, gentler, at the size at which the network sees the films.

    Frames are hardly cropped: in so few steps the network would learn crops, and lose whole views.
    With statistics of its batches in place of the loaded ones its depth is three times as far off
    at the first step, and the training would be over before that is mended.
    """
    data = replace(AFFINE_INDOOR.data, root=folder / LABELS, image_size=size, zoom=1.1,
                   color_jitter=0.2, workers=0)  # fmt: skip
    return follow_start(replace(
        AFFINE_INDOOR, name=RUN, output=folder, data=data,
        model=replace(AFFINE_INDOOR.model, start=DEFAULT_WEIGHTS, freeze_batch_norm=True),
        affine=AffineConfig(leres=0.0, log_depth=1.0, log_gradient=1.0),
        train=replace(
            AFFINE_INDOOR.train, steps=steps, validate_every=steps, batch_size=BATCH,
            learning_rate=RATE, warmup_steps=5, average=0.9, encoder_lr_multiplier=0.3, seed=seed,
            accelerator="cpu",
        ),
    ))  # fmt: skip
