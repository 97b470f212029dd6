"""Reading data: images a second from packed frames, and the index of many frames.

`python benchmarks/reading_data.py` compares folders of JPEG with packed data, CPU seconds of one
thread, interleaved. `--index 1000000` makes a data folder of so many frames (links to one small
file), lists it in a process of its own as `ssmde train` does, and removes it.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from PIL import Image

from ssmde.data.dataset import SnippetDataset, SnippetSampler
from ssmde.data.images import resize_image
from ssmde.data.scene_folder import read_scenes
from ssmde.preparation.packing import pack
from ssmde.presets import PRESETS
from ssmde.synthetic import draw_clip

SIZE, STORED, FRAMES, PER_SCENE = (256, 320), (640, 480), 24, 1000


def cpu_seconds(step: Callable[[], object]) -> float:
    start = time.process_time()
    step()
    return time.process_time() - start


def write_clip(root: Path) -> None:
    scene = root / "room"
    (scene / "pseudo_depth").mkdir(parents=True)
    clip = draw_clip("room", frames=FRAMES, size=(120, 160), seed=0)
    far = Image.fromarray(np.linspace(1, 60000, 480 * 640).reshape(480, 640).astype(np.uint16))
    for i, image in enumerate(clip.images):
        Image.fromarray(image).resize(STORED).save(scene / f"{i:03d}.jpg", quality=92)
        far.save(scene / "pseudo_depth" / f"{i:03d}.png")
    (scene / "cam.txt").write_text("540 0 320\n0 540 240\n0 0 1\n")
    (root / "train.txt").write_text("room\n")
    (root / "val.txt").write_text("room\n")


def time_reading(rounds: int) -> None:
    """Images a second, folders beside packed data, with all augmentation and without zoom."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_clip(root / "data")
        pack(root / "data", root / "packed", size=SIZE, show_progress=False)
        paths = read_scenes(root / "data", "train")[0].images

        def bare(index: int) -> None:
            for path in paths[index : index + 3]:
                with Image.open(path) as image:
                    resize_image(np.array(image.convert("RGB")), SIZE)

        steps: dict[str, Callable[[int], object]] = {"bare decoding and resizing": bare}
        looks: list[tuple[str, bool, dict[str, Any]]] = [
            (source, labels, {"zoom": zoom})
            for source in ("data", "packed")
            for labels in (False, True)
            for zoom in (1.15, 1.0)
        ]
        for source, labels, look in looks:
            data = replace(PRESETS["consistent"].data, image_size=SIZE, **look)
            dataset = SnippetDataset(
                read_scenes(root / source, "train"), data, seed=0, augment=True, labels=labels
            )
            said = ", ".join(f"{key} {value}" for key, value in look.items())
            name = f"{source}{', labels' if labels else ''}, {said}"
            steps[name] = lambda i, d=dataset: d[0, i]
        seconds: dict[str, list[float]] = {name: [] for name in steps}
        for number in range(rounds):
            for name, step in steps.items():
                seconds[name].append(cpu_seconds(lambda s=step, n=number: s(n % (FRAMES - 2))))
    print(f"{'read':32}{'images/s':>10}{'best':>8}{'/ bare':>8}")
    for name, taken in seconds.items():
        bare_taken = seconds["bare decoding and resizing"]
        ratio = statistics.median(b / a for a, b in zip(taken, bare_taken, strict=True))
        rate, best = 3 / statistics.median(taken), 3 / min(taken)
        print(f"{name:32}{rate:10.0f}{best:8.0f}{ratio:8.2f}")


def write_many(root: Path, frames: int) -> None:
    """Scenes of a thousand frames with labels; all are links to one image and one label."""
    image, label = Image.new("RGB", (64, 48)), Image.fromarray(np.full((48, 64), 60000, np.uint16))
    for scene in range(-(-frames // PER_SCENE)):
        folder = root / f"scene_{scene:05d}"
        (folder / "pseudo_depth").mkdir(parents=True)
        image.save(folder / "000000.jpg")
        label.save(folder / "pseudo_depth" / "000000.png")
        for i in range(1, min(PER_SCENE, frames - scene * PER_SCENE)):
            os.link(folder / "000000.jpg", folder / f"{i:06d}.jpg")
            os.link(
                folder / "pseudo_depth" / "000000.png", folder / "pseudo_depth" / f"{i:06d}.png"
            )
        (folder / "cam.txt").write_text("60 0 31.5\n0 60 23.5\n0 0 1\n")


def print_index(root: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, wall = time.process_time(), time.perf_counter()
    data = replace(PRESETS["consistent"].data, image_size=(32, 64))
    scenes = read_scenes(root, "train")
    dataset = SnippetDataset(scenes, data, seed=0, augment=True, labels=True)
    next(iter(SnippetSampler(len(dataset), batch_size=4, seed=0)))
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(
        f"{len(dataset)} targets: {time.process_time() - start:.2f} s of CPU, "
        f"{time.perf_counter() - wall:.2f} s in all, {more:.0f} MiB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--index", type=int, nargs="+", help="frames of made data folders")
    parser.add_argument("--list", type=Path, help="list this data folder and stop")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.list:
        print_index(arguments.list)
        return
    for frames in arguments.index or []:
        with tempfile.TemporaryDirectory() as folder:
            write_many(Path(folder), frames)
            subprocess.run([sys.executable, __file__, "--list", folder], check=True)
    if not arguments.index:
        time_reading(arguments.rounds)


if __name__ == "__main__":
    main()
