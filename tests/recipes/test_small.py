"""The recipe of the released weights: one command from recordings to weights, that goes on."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import small
from ssmde.inference.loading import load
from ssmde.models.checkpoint import read_weights

RECIPE = Path(small.__file__)
MACHINE = ["--", "--train.accelerator", "cpu", "--train.threads", "1", "--data.workers", "0"]
SIZE = (96, 128)


def run(*words):
    command = [sys.executable, str(RECIPE), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def record(folder, frames, *, measured):
    """Noise, half of the frames with depth where it is measured."""
    rng = np.random.default_rng(0)
    (folder / "depth" if measured else folder).mkdir(parents=True)
    for number in range(frames):
        pixels = rng.integers(0, 255, (*SIZE, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03d}.png")
        if measured and number % 2 == 0:
            depth = rng.integers(900, 5000, SIZE).astype(np.uint16)
            Image.fromarray(depth).save(folder / "depth" / f"{number:03d}.png")
    (folder / "cam.txt").write_text("80 0 64\n0 80 48\n0 0 1\n")
    (folder / "scene.json").write_text('{"depth_units_per_metre": 1000}\n')


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    root = tmp_path_factory.mktemp("recordings")
    for source in small.SOURCES:
        record(root / source.at, 4, measured=source.measured)
    return root


@pytest.mark.slow
def test_one_command_makes_weights_of_recordings_and_then_nothing(tmp_path, recordings):
    """One step of each training."""
    before = {path: path.stat().st_mtime for path in recordings.rglob("*")}
    words = ("small", "--data", recordings, "--out", tmp_path, "--faster", 1e5, *MACHINE)
    assert re.findall(r"(?m)^ssmde (\w+)", run(*words)) == ["train", "train"]
    runs = tmp_path / "small" / "runs"
    assert load(runs / "detail").image_size == (192, 256)
    tensors, _ = read_weights(runs / "detail" / "last.safetensors")
    assert "depth_net.encoder._conv_stem.weight" in tensors
    assert {path: path.stat().st_mtime for path in recordings.rglob("*")} == before
    assert "ssmde" not in run(*words)
    said = run("small-open", *words[1:])
    assert re.findall(r"--name (\w+)", said) == ["detail"]  # both begin with the same network


def test_the_open_network_learns_from_open_recordings_but_their_ends(tmp_path, recordings):
    listed = {}
    for name in ("small", "small-open"):
        root = small.collect(small.Call(name=name, data=recordings, work=tmp_path))
        listed[name] = set((root / "train.txt").read_text().split())
        assert [path.stem for path in (root / "measured_hololens/depth").glob("*")] == ["000"]
        assert [path.stem for path in (root / "held_measured_hololens/depth").glob("*")] == ["002"]
        assert "held_measured_hololens" in (root / "val.txt").read_text().split()
    closed = {f"measured_{Path(s.at).name}" for s in small.SOURCES if s.measured and not s.open}
    assert closed
    assert listed["small"] - listed["small-open"] == closed
    assert "measured_bonn_crowd" not in listed["small"]
