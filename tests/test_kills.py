"""kill -9 at any moment: originals stay, no name holds a half, the same command makes the rest."""

import gc
import os
import random
import shutil
import signal
import time
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file

from films import write_mp4
from ssmde.cli import main
from ssmde.data.video import read_frames
from ssmde.outputs import RECORD
from texture import sliding
from tiny_networks import build_tiny_teacher

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

PATIENCE = 120.0  # seconds for a command that takes one or two
SIZE = 32, 64
GROWING = (".csv", ".yaml", ".ckpt")  # of a run: they differ while it goes on


def make_originals(folder: Path) -> None:
    """A film, photos, scenes with a camera, labels of others, and a user's notes."""
    for place in ("photos", "scenes/a", "scenes/b", "labels/a", "labels/b"):
        (folder / place).mkdir(parents=True)
        for n in range(14):
            label = np.full(SIZE, 100 + n, np.uint16)
            image = Image.fromarray(label if place.startswith("labels") else sliding(n, SIZE, 3))
            image.save(folder / place / f"{n:03d}.png")
        if place.startswith("scenes"):
            (folder / place / "cam.txt").write_text("50 0 31.5\n0 50 15.5\n0 0 1\n")
    write_mp4(folder / "walk.mp4", [sliding(number, SIZE, 3) for number in range(24)])
    (folder / "scenes" / "notes.txt").write_text("mine")


TRAIN = """
    train photometric --data.root scenes --output data --name run --data.image-size 32 64
    --data.workers 0 --train.steps 12 --train.batch-size 2 --train.checkpoint-every 3
    --train.log-every 1 --train.validate-every 5 --train.accelerator cpu --train.threads 1
"""
# Each with the modules that are imported once, before all children.
COMMANDS = {
    "prepare photos": ("prepare photos data --step 1", "ssmde.preparation"),
    "prepare": ("prepare walk.mp4 data --step 1", "ssmde.preparation"),
    "pack": ("prepare scenes data --pack --size 32 64", "ssmde.preparation.packing"),
    "predict": ("predict walk.mp4 data --format video,npz,png16 --resolution 32 64",
                "ssmde.inference"),
    "label": ("label scenes --source folder:labels --kind depth --batch-size 2", "ssmde.labeling"),
    "export": ("export small data/x.onnx --resolution 32 64",
               "ssmde.exporting torch.onnx onnxscript onnxruntime"),
    "train": (TRAIN, "ssmde.training.run ssmde.diagnosis"),
}  # fmt: skip
LONG = {"export": 6, "train": 10}  # tries of commands that take seconds


def run(folder: Path, words: tuple[str, ...], kill_after: float | None = None) -> int:
    """Exit status of a command in a child of this process, which may be killed."""
    child = os.fork()
    if child == 0:
        status = 70
        gc.freeze()  # a film of the parent, freed here, would wait for threads that are not here
        try:
            os.chdir(folder)
            log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(log, 1)
            os.dup2(log, 2)
            torch.set_num_threads(1)  # threads of the parent are not here
            if words[0] == "train":
                import_module("ssmde.training.run").build_teacher = build_tiny_teacher
            status = main(words)
        finally:
            os._exit(status)
    end = time.monotonic() + (PATIENCE if kill_after is None else kill_after)
    while time.monotonic() < end:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert kill_after is not None, f"{words} takes longer than {PATIENCE} s"
    return -signal.SIGKILL


def content(path: Path) -> object:
    """What a file holds, without what two equal runs differ in."""
    if path.suffix == ".mp4":
        return len(list(read_frames(path)))
    if path.suffix == ".safetensors":
        return {name: array.tobytes() for name, array in load_file(path).items()}
    if path.name == "log.csv":
        rows = [row.split(",") for row in path.read_text().splitlines()]
        return [row[:1] + row[2:] for row in rows]  # without the seconds
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return {name: (arrays[name].shape, arrays[name].tobytes()) for name in arrays}
    return path.suffix == ".ckpt" or path.read_bytes()


def state(folder: Path) -> dict[str, object]:
    """Content by name; of TensorBoard's own files nothing is said."""
    return {
        str(path.relative_to(folder)): content(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != RECORD and "tensorboard" not in path.parts
    }


def check_killed(folder: Path, out: Path, wanted: dict[str, object]) -> None:
    """No final name holds anything else than it does after an undisturbed run."""
    for path, value in (state(out) if out.exists() else {}).items():
        passing = path.endswith(GROWING) or path in ("plan.json", "log.txt")
        if passing or any(part.startswith(".") for part in Path(path).parts):
            continue
        best = path.startswith("run/best")  # a run keeps the best few of those so far
        assert best or value == wanted.get(path), f"{folder}: {path} is half"


def kill_and_compare(name: str, tmp_path: Path, tries: int, seed: int = 0) -> int:
    """Kill a command at random moments, give it again, and compare with an undisturbed run.

    How often it was killed before its end.
    """
    words, modules = (tuple(text.split()) for text in COMMANDS[name])
    out, moments = "scenes" if name == "label" else "data", random.Random(seed)
    for module in modules:
        import_module(module)
    originals, whole = tmp_path / "originals", tmp_path / "whole"
    make_originals(originals)
    before = state(originals)
    for folder in (tmp_path / "first", whole):  # the first one is slow: it compiles what it imports
        shutil.copytree(originals, folder)
        began = time.monotonic()
        assert run(folder, words) == 0, (folder / "log.txt").read_text()
        seconds = time.monotonic() - began
    wanted, killed = state(whole / out), 0
    for number in range(tries):
        folder = tmp_path / f"try{number}"
        shutil.copytree(originals, folder)
        status = run(folder, words, kill_after=moments.uniform(0, 1.05 * seconds))
        killed += status == -signal.SIGKILL
        assert before.items() <= state(folder).items()
        check_killed(folder, folder / out, wanted)
        begun = (folder / "data" / "run" / "config.yaml").exists()
        again = (*words, "--resume") if begun else words
        assert run(folder, again) == 0, (folder / "log.txt").read_text()
        assert state(folder / out) == wanted
        assert before.items() <= state(folder).items()
        assert not [path for path in folder.rglob(".*") if path.name != RECORD]
        shutil.rmtree(folder)
    print(f"{name}: {killed} of {tries} killed within {seconds:.1f} s")
    return killed


def test_a_killed_prepare_leaves_nothing_half_and_goes_on(tmp_path):
    # The first moment of this seed is a seventh of the way.
    assert kill_and_compare("prepare photos", tmp_path, tries=1, seed=1) == 1


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_killed_command_leaves_nothing_half_and_goes_on(name, tmp_path):
    tries = int(os.environ.get("SSMDE_KILLS", LONG.get(name, 20)))
    # Kills that come after the end would show nothing.
    assert kill_and_compare(name, tmp_path, tries) > tries // 3
