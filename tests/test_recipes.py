"""The recipe of the released weights: one command from recordings to weights, that goes on."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from packed_scenes import write_scenes
from ssmde.models.load import read_weights
from ssmde.prediction.loading import load

RECIPE = Path(__file__).parents[1] / "recipes" / "small_weights.py"
MACHINE = ["--", "--train.accelerator", "cpu", "--train.threads", "1", "--data.workers", "0"]
NAMES = ("bonn_crowd", "redkitchen", "hololens", "bonn_crowd_val")


def run(*words):
    command = [sys.executable, str(RECIPE), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_recordings_become_weights_with_one_command_and_again_with_nothing_to_do(tmp_path):
    """One step of each training, on noise with everything a recording has."""
    indoor = tmp_path / "recordings" / "indoor"
    write_scenes(indoor, (96, 128), frames=(40, 12, 8, 6))
    for letter, name in zip("abcd", NAMES, strict=True):
        shutil.move(indoor / letter, indoor / name)
        shutil.rmtree(indoor / name / "pseudo_depth")
    before = {path: path.stat().st_mtime for path in indoor.rglob("*")}
    words = ("indoor", "--data", tmp_path / "recordings", "--out", tmp_path / "work")
    said = run(*words, "--faster", 1e5, *MACHINE)
    assert re.findall(r"(?m)^ssmde (\w+)", said) == ["train", "track", "label", "train", "train"]
    folder = tmp_path / "work" / "runs" / "detail"
    assert load(folder).image_size == (192, 256)
    tensors, _ = read_weights(folder / "last.safetensors")
    assert "depth_net.encoder.conv1.weight" in tensors
    assert {path: path.stat().st_mtime for path in indoor.rglob("*")} == before
    again = run(*words, "--faster", 1e5, *MACHINE)
    assert re.findall(r"(?m)^ssmde (\w+)", again) == ["track", "label"]
    run(*words, "--faster", 1e5, "--recipe", "photometric", "--seed", 1, *MACHINE)
    assert load(tmp_path / "work" / "runs" / "photometric-1").image_size == (96, 128)
