"""Speed and memory of a training step, and of the loader: `make bench`.

Prints CPU seconds of one thread, medians of interleaved rounds in one process, because the wall
clock of a shared machine says little. "networks" is the forward and backward pass of the bare depth
and pose networks on the same images; the ratio is what the method adds. Peak memory is that of a
process of its own. Results with hardware and date are in `benchmarks/results.md`.
"""

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from PIL import Image

from ssmde.data.dataset import SnippetDataset
from ssmde.data.drawn import draw_clip
from ssmde.data.images import resize_image
from ssmde.data.scene_folder import read_scene
from ssmde.methods.self_supervised import SelfSupervised
from ssmde.methods.student import Student, TeacherNetworks
from ssmde.methods.teacher import build_networks, build_teacher
from ssmde.presets import PRESETS
from ssmde.types import Batch

BATCH, SIZE = 4, (256, 320)
STAGE_2 = "ss_mde stage 2"
RUNS = ("photometric", "consistent", "sc_depth_v3", STAGE_2)  # sc_depth_v3 is stage 1 of ss_mde
FRAME_SIZE = (640, 480)  # width and height of the JPEG files the loader reads


def make_batch() -> Batch:
    """Smooth random frames; the time of a step does not depend on what they show."""
    frames = torch.rand(BATCH, 3, 3, *SIZE)
    K = torch.tensor([[270.0, 0, 159.5], [0, 270.0, 127.5], [0, 0, 1]]).expand(BATCH, 3, 3)
    labels = 1 + torch.rand(BATCH, 1, *SIZE)
    return Batch(target=frames[:, 0], sources=frames[:, 1:], intrinsics=K, pseudo_depth=labels)


def build(run: str) -> SelfSupervised:
    """The method of a run; stage 2 with a teacher of random weights."""
    torch.manual_seed(0)
    config = PRESETS["ss_mde" if run == STAGE_2 else run]
    method = build_teacher(config.model, config.loss, config.pseudo_depth)
    if run == STAGE_2:
        teacher = TeacherNetworks(*build_networks(config.model, config.loss))
        method = Student(method, teacher, config.student)
    return method.to(memory_format=torch.channels_last)


def full_step(method: SelfSupervised) -> Callable[[], None]:
    """Forward, backward and Adam, as in a training."""
    optimizer = torch.optim.Adam([p for p in method.parameters() if p.requires_grad], 1e-4)
    batch = make_batch()

    def step() -> None:
        optimizer.zero_grad()
        method(batch, 0.5).loss.backward()
        optimizer.step()

    return step


def bare_networks(method: SelfSupervised) -> Callable[[], None]:
    """The same network passes without geometry, losses and optimiser."""
    batch, w = make_batch(), method.weights
    images = torch.cat([batch.target[:, None], batch.sources], dim=1)
    all_views = w.geometry > 0 or w.weight_mask or w.both_directions
    views = (images if all_views else images[:, :1]).flatten(0, 1)
    target = batch.target[:, None].expand_as(batch.sources).flatten(0, 1)

    def step() -> None:
        method.zero_grad()
        depth = sum(d.mean() for d in method.depth_net.pyramid(views))
        motion = method.pose_net(target, batch.sources.flatten(0, 1)).mean()
        (depth + motion).backward()

    return step


def cpu_seconds(step: Callable[[], None]) -> float:
    start = time.process_time()
    step()
    return time.process_time() - start


def time_presets(rounds: int) -> None:
    # First, while this process is small: Linux counts the parent's peak into that of a child.
    peaks = {run: peak_memory(run) for run in RUNS}
    steps = {
        (run, part): make(build(run))
        for run in RUNS
        for part, make in (("step", full_step), ("networks", bare_networks))
    }
    seconds = {name: [] for name in steps}
    for number in range(rounds + 1):
        for name, step in steps.items():  # interleaved: each round sees the same machine
            taken = cpu_seconds(step)
            if number:
                seconds[name].append(taken)
    print(f"{'run':16}{'step s':>9}{'networks s':>12}{'ratio':>8}{'peak GiB':>10}")
    for run in RUNS:
        step, networks = seconds[run, "step"], seconds[run, "networks"]
        ratio = statistics.median(a / b for a, b in zip(step, networks, strict=True))
        print(
            f"{run:16}{statistics.median(step):9.2f}{statistics.median(networks):12.2f}"
            f"{ratio:8.2f}{peaks[run]:10.2f}"
        )
    stages = zip(seconds[STAGE_2, "step"], seconds["sc_depth_v3", "step"], strict=True)
    print(f"stage 2 / stage 1: {statistics.median(a / b for a, b in stages):.2f}")


def peak_memory(preset: str) -> float:
    """GiB of a process that takes three steps."""
    command = [sys.executable, __file__, "--memory-of", preset]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_memory(preset: str) -> None:
    step = full_step(build(preset))
    for _ in range(3):
        step()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


def time_loader(snippets: int) -> None:
    """Images a second of one core: 640 x 480 JPEG to augmented 256 x 320 snippets of three.

    "bare" is Pillow's decoding and the resizing of whole frames, which nothing can leave out that
    reads them with Pillow.
    """
    data = replace(PRESETS["consistent"].data, image_size=SIZE, colour_jitter=1.0)
    with tempfile.TemporaryDirectory() as folder:
        clip = draw_clip("room", frames=24, size=(120, 160), seed=0)
        for i, image in enumerate(clip.images):
            Image.fromarray(image).resize(FRAME_SIZE).save(f"{folder}/{i:03d}.jpg", quality=92)
        Path(folder, "cam.txt").write_text("540 0 320\n0 540 240\n0 0 1\n")
        dataset = SnippetDataset([read_scene(Path(folder))], data, seed=0, augment=True)

        def bare(index: int) -> None:
            for path in dataset.sequences[0].images[index : index + 3]:
                with Image.open(path) as image:
                    resize_image(np.array(image.convert("RGB")), SIZE)

        read, plain = [], []
        for number in range(snippets):
            index = number % len(dataset)
            read.append(cpu_seconds(lambda i=index: dataset[0, i]))
            plain.append(cpu_seconds(lambda i=index: bare(i)))
    ratio = statistics.median(b / a for a, b in zip(read, plain, strict=True))
    print(
        f"loader: {3 / statistics.median(read):.0f} images/s a core (640 x 480 JPEG, augmented); "
        f"bare decoding and resizing: {3 / statistics.median(plain):.0f}; ratio {ratio:.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--loader", action="store_true", help="time the loader alone")
    parser.add_argument("--memory-of", choices=RUNS, help="print peak GiB of a preset and stop")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.memory_of:
        print_memory(arguments.memory_of)
        return
    print(f"torch {torch.__version__}, Python {platform.python_version()}, {platform.machine()}")
    print(f"batch {BATCH}, {SIZE[0]} x {SIZE[1]}, fp32, one thread, {arguments.rounds} rounds")
    if not arguments.loader:
        time_presets(arguments.rounds)
    time_loader(150)


if __name__ == "__main__":
    main()
