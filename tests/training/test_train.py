"""Whole runs: what they leave behind, how they go on, and how they stop."""

import csv
import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close
from torch.utils.data import DataLoader

from ssmde.config import Config, dump_config, load_config
from ssmde.inference.loading import load
from ssmde.methods.teacher import Teacher
from ssmde.models.checkpoint import read_weights
from ssmde.training import train
from ssmde.training.checkpoints import write_config
from ssmde.training.module import TrainingError
from ssmde.types import Batch
from tiny_networks import build_tiny_teacher

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

SCRIPT = """
import sys
from pathlib import Path
import ssmde.training.run
from ssmde.config import load_config
sys.path.append(sys.argv[3])
from tiny_networks import build_tiny_teacher
if __name__ == "__main__":
    ssmde.training.run.build_teacher = build_tiny_teacher
    ssmde.training.train(load_config(Path(sys.argv[1]).read_text()), resume=sys.argv[2] == "resume")
"""


def losses(folder: Path, name: str = "train/loss") -> list[tuple[int, str]]:
    """(step, loss as written) of a run; written with all digits, so equal text is equal bits."""
    with (folder / "log.csv").open(newline="") as file:
        return [(int(r["step"]), r["value"]) for r in csv.DictReader(file) if r["name"] == name]


def start(config: Config, tmp_path: Path, *, mode: str = "new", processes: int = 1):
    """The run in processes of its own."""
    (tmp_path / "run.py").write_text(SCRIPT)
    (tmp_path / f"{config.name}.yaml").write_text(dump_config(config))
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command += [str(tmp_path / "run.py"), str(tmp_path / f"{config.name}.yaml"), mode]
    command += [str(Path(__file__).parents[1])]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.fixture(autouse=True)
def quick_networks(monkeypatch, request):
    """Networks of a few thousand parameters, but for the tests that ask for the real ones."""
    if "real_networks" not in request.fixturenames:
        monkeypatch.setattr("ssmde.training.run.build_teacher", build_tiny_teacher)


@pytest.fixture
def real_networks():
    """Asks for the networks of the configuration."""


@pytest.mark.usefixtures("real_networks")
def test_a_run_leaves_weights_that_predict_and_a_curve(small_run):
    small_run = replace(small_run, model=replace(small_run.model, encoder="resnet18_half"))
    folder = train(small_run)
    names = {path.name for path in folder.iterdir()}
    assert {"config.yaml", "last.ckpt", "best.safetensors", "last.safetensors", "log.csv"} <= names
    assert load_config((folder / "config.yaml").read_text()) == small_run
    assert [step for step, _ in losses(folder)] == list(range(1, 9))
    assert [step for step, _ in losses(folder, "val/photometric")] == [4, 8]
    assert load(folder).predict(torch.rand(3, 40, 50)).depth.shape == (40, 50)
    assert not [path for path in folder.rglob("*") if path.name.endswith(".partial")]


def test_only_the_best_few_weights_are_kept(small_run):
    often = replace(small_run.train, steps=5, validate_every=1)
    folder = train(replace(small_run, train=often))
    kept = sorted((folder / "best").iterdir())
    assert len(kept) == 3
    scores = sorted(float(value) for _, value in losses(folder, "val/photometric"))
    found = sorted(float(path.stem.rsplit("-", 1)[1]) for path in kept)
    assert found == pytest.approx(scores[:3], abs=1e-4)


@pytest.mark.slow  # by default: a run that an error ends, in test_packed_run.py
def test_a_killed_run_goes_on_as_if_it_had_never_stopped(small_run, tmp_path):
    clock = replace(small_run.train, steps=40, validate_every=40, checkpoint_every=10)
    slow_enough = replace(small_run, train=clock)
    whole = train(replace(slow_enough, name="whole"))
    killed = slow_enough.output / "killed"
    process = start(replace(slow_enough, name="killed"), tmp_path)
    while not (killed / "last.ckpt").exists() or not losses(killed) or losses(killed)[-1][0] < 14:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    reached = losses(killed)[-1][0]
    assert reached < 40, "the run ended before it was killed"
    train(replace(slow_enough, name="killed"), resume=True)
    assert losses(killed) == losses(whole)  # every step once, the same to the last bit
    assert_same_weights(killed, whole)


def assert_same_weights(a: Path, b: Path) -> None:
    first, second = (read_weights(folder / "last.safetensors")[0] for folder in (a, b))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow  # by default: the loader alone, in tests/data/test_dataset.py
def test_the_number_of_workers_changes_nothing(small_run):
    short = replace(small_run, train=replace(small_run.train, steps=4))
    one = train(replace(short, name="one"))
    data = replace(short.data, workers=2)
    assert losses(train(replace(short, name="two", data=data))) == losses(one)


@pytest.mark.distributed
def test_two_processes_equal_one_with_the_same_batch(small_run, tmp_path):
    one = train(replace(small_run, name="one"))
    pair = replace(small_run, name="pair", train=replace(small_run.train, devices=2))
    process = start(pair, tmp_path, processes=2)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    together = small_run.output / "pair"
    expected = torch.tensor([float(value) for _, value in losses(one)])
    found = torch.tensor([float(value) for _, value in losses(together)])
    assert len(found) == 8
    assert_close(found, expected, rtol=1e-5, atol=1e-6)


def poison(monkeypatch, step: int, *, gradient: bool = False) -> None:
    """Make the depth of one step no number, or only its gradient."""
    honest, calls = Teacher.forward, []

    def forward(self, batch, progress):
        out = honest(self, batch, progress)
        calls.extend([progress] if self.training else [])
        if len(calls) != step:
            return out
        if gradient:
            zero = next(self.parameters()).flatten()[0] * 0
            return replace(out, loss=out.loss + (zero.abs() ** 0.5))  # 0, with a gradient of NaN
        spoilt = {**out.terms, "smoothness": out.terms["smoothness"] * float("nan")}
        return replace(out, loss=out.loss * float("nan"), terms=spoilt)

    monkeypatch.setattr(Teacher, "forward", forward)


def test_a_loss_that_is_no_number_stops_the_run_by_name(small_run, monkeypatch):
    poison(monkeypatch, step=6)
    with pytest.raises(TrainingError, match=r"nan at step 6: smoothness = nan; frames slide/"):
        train(small_run)
    kept = torch.load(small_run.output / "small" / "last.ckpt", weights_only=True)
    assert kept["global_step"] == 4
    assert all(torch.isfinite(t).all() for t in kept["state_dict"].values())


def test_a_gradient_that_is_no_number_stops_the_run_before_it_reaches_the_weights(
    small_run, monkeypatch
):
    poison(monkeypatch, step=3, gradient=True)
    with pytest.raises(TrainingError, match=r"the gradient is nan at step 3, frames slide/"):
        train(small_run)


def test_a_full_disk_keeps_the_former_checkpoint(small_run, monkeypatch):
    honest, calls = torch.save, []

    def save(checkpoint, file):
        calls.append(0)
        if len(calls) == 2:
            file.write(b"half a checkpoint")
            raise OSError(28, "No space left on device")
        honest(checkpoint, file)

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(TrainingError, match=r"no space left on the disk for .*last.ckpt"):
        train(small_run)
    folder = small_run.output / "small"
    assert torch.load(folder / "last.ckpt", weights_only=True)["global_step"] == 2
    assert not list(folder.glob(".*partial"))


def test_running_out_of_memory_is_one_clear_message(small_run, monkeypatch):
    def forward(self, batch, progress):
        raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(Teacher, "forward", forward)
    with pytest.raises(TrainingError, match=r"out of memory with train.batch_size 2 .*32, 64"):
        train(small_run)


def test_an_unreadable_frame_is_skipped_and_reported(small_run, capsys):
    broken = small_run.data.root / "slide" / "006.png"
    broken.write_bytes(broken.read_bytes()[:200])
    train(small_run)
    assert "1 unreadable frames were skipped" in capsys.readouterr().out


def test_a_run_is_not_overwritten_does_not_become_another_and_a_broken_one_is_named(small_run):
    small_run = replace(small_run, train=replace(small_run.train, steps=2))
    folder = train(small_run)
    with pytest.raises(ValueError, match="already holds a run: go on with --resume"):
        train(small_run)
    other = replace(small_run, train=replace(small_run.train, learning_rate=1.0))
    with pytest.raises(ValueError, match=r"cannot change train.learning_rate"):
        train(other, resume=True)
    more = replace(small_run, train=replace(small_run.train, steps=3))
    whole = (folder / "last.ckpt").read_bytes()
    for content in (b"", b"\0" * 500, b"garbage", whole[: len(whole) // 2]):
        (folder / "last.ckpt").write_bytes(content)
        with pytest.raises(ValueError, match=r"last\.ckpt: the checkpoint .* is broken .*--model"):
            train(more, resume=True)
        assert (folder / "last.safetensors").is_file()


@pytest.mark.parametrize("name", ["config.yaml", "best.safetensors", "log.csv"])
def test_a_folder_with_files_of_others_is_no_place_for_a_run(small_run, name):
    mine = small_run.output / "small" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(FileExistsError, match=f"{name}: .*choose another --name"):
        train(small_run)
    assert [path.read_text() for path in mine.parent.iterdir()] == ["mine"]


def test_a_run_without_a_checkpoint_begins_again_and_no_other_takes_its_place(small_run, capsys):
    folder = small_run.output / "small"
    folder.mkdir(parents=True)
    write_config(folder, small_run)  # and then it was killed
    (folder / ".last.ckpt.1.part").write_text("half")
    other = replace(small_run, train=replace(small_run.train, learning_rate=1.0))
    with pytest.raises(FileExistsError, match="of something else than this run"):
        train(other)
    train(small_run, resume=True)
    assert "has no checkpoint yet: it begins again" in capsys.readouterr().out
    assert not list(folder.glob(".*.part"))
    assert [step for step, _ in losses(folder)] == list(range(1, 9))


def test_nothing_to_resume_is_said(small_run):
    with pytest.raises(ValueError, match=r"nothing to resume: .* leave --resume away"):
        train(small_run, resume=True)
    (small_run.output / "small").mkdir(parents=True)
    (small_run.output / "small" / "last.safetensors").touch()  # a run that was copied without it
    with pytest.raises(ValueError, match=r"nothing to resume: .*last.ckpt.*--model.start .*small"):
        train(small_run, resume=True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="here is a GPU")
def test_a_device_that_is_not_there_is_refused(small_run):
    elsewhere = replace(small_run.train, accelerator="gpu")
    with pytest.raises(ValueError, match=r"train.accelerator 'gpu' with 1 devices cannot run here"):
        train(replace(small_run, train=elsewhere))
    assert not (small_run.output / "small").exists()


def test_gaps_of_an_unknown_scene_are_refused(small_run):
    data = replace(small_run.data, scene_gaps=(("slyde", 1),))
    with pytest.raises(ValueError, match=r"scene_gaps names scene 'slyde', .* has slide"):
        train(replace(small_run, data=data))


def test_a_validation_with_truth_scores_depth_and_shows_it(small_run):
    scene = small_run.data.root / "slide"
    (scene / "depth").mkdir()
    for i in range(0, 14, 2):
        np.save(scene / "depth" / f"{i:03d}.npy", np.full((32, 64), 2.0, np.float32))
    folder = train(small_run)
    assert [step for step, _ in losses(folder, "val/abs_rel")] == [4, 8]
    assert losses(folder, "val/photometric") == []
    with Image.open(folder / "panels" / "step-0000008.png") as picture:
        assert picture.width >= 4 * 64  # frame, prediction, truth and error beside each other
    _, metadata = read_weights(folder / "best.safetensors")
    assert set(json.loads(metadata["metrics"])) >= {"abs_rel", "d1"}


def test_a_finished_run_leaves_a_checkpoint_from_which_more_steps_are_taken(small_run):
    """Also where its last step is none at which checkpoints are written."""
    clock = replace(small_run.train, steps=5, checkpoint_every=4)
    folder = train(replace(small_run, train=clock))
    train(replace(small_run, train=replace(clock, steps=7)), resume=True)
    assert [step for step, _ in losses(folder)] == list(range(1, 8))  # none is taken twice
    assert load_config((folder / "config.yaml").read_text()).train.steps == 7
    assert read_weights(folder / "last.safetensors")[1]["step"] == "7"


def test_fewer_steps_than_were_taken_leave_everything_as_it_is(small_run, capsys):
    folder = train(small_run)
    before = {path: path.read_bytes() for path in folder.rglob("*.safetensors")}
    fewer = replace(small_run, train=replace(small_run.train, steps=3))
    assert train(fewer, resume=True) == folder
    assert "is at step 8 already, 3 were asked for: nothing to do" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in folder.rglob("*.safetensors")} == before
    assert load_config((folder / "config.yaml").read_text()).train.steps == 8
    (folder / "last.safetensors").unlink()
    with pytest.raises(ValueError, match=r"at step 8 already, train\.steps is 3: give 8 or more"):
        train(fewer, resume=True)


class RandomSnippets(pl.LightningDataModule):
    """Batches that come from no folder."""

    def batches(self, count):
        random = torch.Generator().manual_seed(0)
        shape = (count, 2, 3, 3, 32, 64)
        camera = torch.tensor([[50.0, 0, 31.5], [0, 50, 15.5], [0, 0, 1]])
        return [
            Batch(
                target=frames[:, 0],
                sources=frames[:, 1:],
                intrinsics=camera.repeat(2, 1, 1),
                color=torch.eye(3, 4).repeat(2, 1, 1),
                names=("own/0", "own/1"),
            )
            for frames in torch.randint(0, 256, shape, dtype=torch.uint8, generator=random)
        ]

    def train_dataloader(self):
        return DataLoader(self.batches(8), batch_size=None)


def test_labels_without_a_value_are_warned_of_once(small_run, tmp_path, capsys):
    class Unlabelled(RandomSnippets):
        def batches(self, count):
            empty = torch.zeros(2, 1, 32, 64)
            return [replace(snippets, pseudo_depth=empty) for snippets in super().batches(count)]

    away = replace(small_run, data=replace(small_run.data, root=tmp_path / "none"))
    train(away, data=Unlabelled())
    said = capsys.readouterr().err
    assert said.count("the labels of frames own/0, own/1 have no value at step 1") == 1


class ValidatedSnippets(RandomSnippets):
    def val_dataloader(self):
        return DataLoader(self.batches(1), batch_size=None)


def test_a_data_module_of_ones_own_trains(small_run, tmp_path):
    away = replace(small_run, data=replace(small_run.data, root=tmp_path / "none"))
    folder = train(away, data=RandomSnippets())
    assert [step for step, _ in losses(folder)] == list(range(1, 9))
    assert (folder / "last.safetensors").is_file()
    assert not (folder / "best.safetensors").exists()
    folder = train(replace(away, name="validated"), data=ValidatedSnippets())
    assert [step for step, _ in losses(folder, "val/photometric")] == [4, 8]
    assert (folder / "best.safetensors").is_file()
