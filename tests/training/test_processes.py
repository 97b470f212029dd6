"""Several processes compute what one does, one that dies stops all, a killed run goes on."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from ssmde.config import Config, PseudoDepthConfig, StudentConfig, dump_config
from ssmde.data.pseudo_labels import LabelInfo, write_labels
from ssmde.models.checkpoint import read_weights
from ssmde.training import train
from tiny_networks import build_sideways_teacher

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

SCRIPT = """
import os, sys
from pathlib import Path
import ssmde.methods.student, ssmde.training.run
from ssmde.config import load_config
sys.path.append(sys.argv[2])
from tiny_networks import TinyDepthNet, TinyPoseNet, build_sideways_teacher
if __name__ == "__main__":
    Path(sys.argv[1]).with_suffix(".rank" + os.environ["RANK"]).write_text(str(os.getpid()))
    ssmde.training.run.build_teacher = build_sideways_teacher
    ssmde.methods.student.build_networks = lambda model, loss: (TinyDepthNet(), TinyPoseNet())
    ssmde.training.train(load_config(Path(sys.argv[1]).read_text()))
"""


@pytest.fixture
def small_run(small_run, monkeypatch):
    monkeypatch.setattr("ssmde.training.run.build_teacher", build_sideways_teacher)
    return small_run


def start(config: Config, tmp_path: Path):
    """The run in processes of its own; each writes its number beside the configuration."""
    (tmp_path / "run.py").write_text(SCRIPT)
    (tmp_path / f"{config.name}.yaml").write_text(dump_config(config))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={config.train.devices}", str(tmp_path / "run.py")]
    command += [str(tmp_path / f"{config.name}.yaml"), str(Path(__file__).parents[1])]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def on(config: Config, processes: int, name: str) -> Config:
    return replace(config, name=name, train=replace(config.train, devices=processes))


@pytest.fixture
def curve(losses):
    """Function: loss of every step of a run."""
    return lambda folder: torch.tensor([float(v) for _, v in sorted(dict(losses(folder)).items())])


@pytest.mark.distributed
def test_two_and_four_processes_learn_what_one_does_in_stage_2(small_run, tmp_path, curve):
    """Twenty steps with every term that looks at a whole batch or draws pairs."""
    scene, rng = small_run.data.root / "slide", np.random.default_rng(0)
    info = LabelInfo(source="test", kind="depth", affine=True, licence="none")
    ramp = 1 + np.linspace(0, 1, 64, dtype=np.float32)[None].repeat(32, 0)
    frames = sorted(scene.glob("*.png"))
    labels = {f.stem: ramp + rng.random((32, 64), np.float32) / 4 for f in frames}
    write_labels(scene / "pseudo_depth", info, labels)
    clock = replace(small_run.train, steps=20, batch_size=4, validate_every=20)
    teacher = train(replace(small_run, name="teacher", train=replace(clock, steps=2)))
    student_run = replace(
        small_run, method="student", train=clock,
        student=StudentConfig(teacher=teacher / "last.safetensors", learning_rate=1e-3),
        pseudo_depth=PseudoDepthConfig(structure=0.1, depth=0.1),
    )  # fmt: skip
    one = train(on(student_run, 1, "one"))
    for processes in (2, 4):
        several = on(student_run, processes, f"of{processes}")
        process = start(several, tmp_path)
        _, errors = process.communicate(timeout=280)
        assert process.returncode == 0, errors
        folder = student_run.output / several.name
        assert len(curve(folder)) == 20
        assert_close(curve(folder), curve(one), rtol=1e-5, atol=1e-6)
        found, expected = (read_weights(f / "last.safetensors")[0] for f in (folder, one))
        assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.distributed
def test_a_process_that_dies_stops_the_others_and_the_run_goes_on(small_run, tmp_path, curve):
    clock = replace(
        small_run.train, steps=4000, validate_every=4000, checkpoint_every=5, log_every=1,
        schedule="constant",
    )  # fmt: skip
    long = on(replace(small_run, train=clock), 2, "killed")
    process = start(long, tmp_path)
    folder = long.output / "killed"
    while not (folder / "last.ckpt").exists() or len(curve(folder)) < 10:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    first, last = (int((tmp_path / f"killed.rank{rank}").read_text()) for rank in range(2))
    os.kill(last, signal.SIGKILL)
    _, errors = process.communicate(timeout=120)  # well below the time-out of a collective
    assert process.returncode != 0
    assert "Signal 9" in errors
    assert not Path(f"/proc/{first}").exists(), "rank 0 is left behind"
    kept = torch.load(folder / "last.ckpt", weights_only=True)["global_step"]
    until = replace(long.train, steps=kept + 5, devices=1)
    train(replace(long, train=until), resume=True)
    whole = train(replace(long, name="whole", train=until))
    assert len(curve(folder)) == kept + 5
    assert_close(curve(folder), curve(whole), rtol=1e-5, atol=1e-6)
