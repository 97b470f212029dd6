"""Whole runs of tiny networks: what they leave behind, how they go on, and what they refuse."""

import json
import re
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from ssmde.config import PseudoDepthConfig, TrainConfig, load_config
from ssmde.data.pseudo_labels import LabelInfo, write_labels
from ssmde.methods.teacher import Teacher
from ssmde.models.checkpoint import read_weights
from ssmde.preparation.packing import pack
from ssmde.training import train
from ssmde.training.checkpoints import write_config
from ssmde.training.module import TrainingError, TrainingModule

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def with_clock(config, **clock):
    return replace(config, train=replace(config.train, **clock))


class StopError(Exception):
    pass


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


@pytest.mark.parametrize(
    ("gradient", "message"),
    [(False, r"nan at step 4, frames slide/.*: smoothness = nan"),
     (True, r"the gradient is nan at step 4, frames slide/")],
)  # fmt: skip
def test_what_is_no_number_stops_the_run_by_name(small_run, monkeypatch, gradient, message):
    poison(monkeypatch, step=4, gradient=gradient)
    with pytest.raises(TrainingError, match=message):
        train(small_run)
    kept = torch.load(small_run.output / "small" / "last.ckpt", weights_only=True)
    assert kept["global_step"] == 2


def test_a_full_disk_keeps_the_former_checkpoint(small_run, monkeypatch):
    honest = torch.save

    def save(checkpoint, file):
        if checkpoint["global_step"] == 4:
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


def test_a_run_is_not_overwritten_goes_on_and_is_named_if_broken(small_run, capsys, losses):
    """Also where its last step is none at which checkpoints are written."""
    small_run = with_clock(small_run, steps=3)
    folder = train(small_run)
    before = {path: path.read_bytes() for path in folder.rglob("*.safetensors")}
    with pytest.raises(ValueError, match="already holds a run: go on with --resume"):
        train(small_run)
    with pytest.raises(ValueError, match=r"cannot change train.learning_rate"):
        train(with_clock(small_run, learning_rate=1.0), resume=True)
    assert train(with_clock(small_run, steps=2), resume=True) == folder
    assert "is at step 3 already, 2 were asked for: nothing to do" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in folder.rglob("*.safetensors")} == before
    (folder / "last.safetensors").unlink()
    with pytest.raises(ValueError, match=r"at step 3 already, train\.steps is 2: give 3 or more"):
        train(with_clock(small_run, steps=2), resume=True)
    more = with_clock(small_run, steps=5)
    train(more, resume=True)
    assert [step for step, _ in losses(folder)] == [1, 2, 3, 4, 5]  # none is taken twice
    assert load_config((folder / "config.yaml").read_text()).train.steps == 5
    assert read_weights(folder / "last.safetensors")[1]["step"] == "5"
    whole = (folder / "last.ckpt").read_bytes()
    for content in (b"", b"\0" * 500, b"garbage", whole[: len(whole) // 2]):
        (folder / "last.ckpt").write_bytes(content)
        with pytest.raises(ValueError, match=r"last\.ckpt: the checkpoint .* is broken .*--model"):
            train(with_clock(more, steps=6), resume=True)
        assert (folder / "last.safetensors").is_file()


@pytest.mark.parametrize("name", ["config.yaml", "best.safetensors", "log.csv"])
def test_a_folder_with_files_of_others_is_no_place_for_a_run(small_run, name):
    mine = small_run.output / "small" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(FileExistsError, match=f"{name}: .*choose another --name"):
        train(small_run)
    assert [path.read_text() for path in mine.parent.iterdir()] == ["mine"]


def test_without_a_checkpoint_it_begins_again_and_reports_unreadable_frames(small_run, capsys):
    folder = small_run.output / "small"
    folder.mkdir(parents=True)
    write_config(folder, small_run)  # and then it was killed
    (folder / ".last.ckpt.1.part").write_text("half")
    with pytest.raises(FileExistsError, match="of something else than this run"):
        train(with_clock(small_run, learning_rate=1.0))
    for broken in list((small_run.data.root / "slide").glob("*.png"))[::4]:
        broken.write_bytes(broken.read_bytes()[:200])
    train(small_run, resume=True)
    said = capsys.readouterr().out
    assert "has no checkpoint yet: it begins again" in said
    assert "unreadable frames were skipped" in said
    assert not list(folder.glob(".*.part"))


def test_what_cannot_be_trained_or_resumed_is_said_before_anything_is_written(small_run):
    folder = small_run.output / "small"
    with pytest.raises(ValueError, match=r"nothing to resume: .* leave --resume away"):
        train(small_run, resume=True)
    data = replace(small_run.data, scene_gaps=(("slyde", 1),))
    with pytest.raises(ValueError, match=r"scene_gaps names scene 'slyde', .* has slide"):
        train(replace(small_run, data=data))
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match=r"accelerator 'gpu' with 1 devices cannot run here"):
            train(with_clock(small_run, accelerator="gpu"))
    assert not folder.exists()
    folder.mkdir(parents=True)
    (folder / "last.safetensors").touch()  # a run that was copied without it
    with pytest.raises(ValueError, match=r"nothing to resume: .*last.ckpt.*--model.start .*small"):
        train(small_run, resume=True)


def test_a_validation_with_truth_scores_depth_and_shows_it(small_run, losses):
    scene = small_run.data.root / "slide"
    (scene / "depth").mkdir()
    for i in range(0, 14, 2):
        np.save(scene / "depth" / f"{i:03d}.npy", np.full((32, 64), 2.0, np.float32))
    folder = train(small_run)
    assert [step for step, _ in losses(folder, "val/abs_rel")] == [2, 4]
    assert losses(folder, "val/photometric") == []
    with Image.open(folder / "panels" / "step-0000004.png") as picture:
        assert picture.width >= 4 * 64  # frame, prediction, truth and error beside each other
    _, metadata = read_weights(folder / "best.safetensors")
    best = json.loads(metadata["metrics"])
    assert best["abs_rel"] == min(float(v) for _, v in losses(folder, "val/abs_rel"))


def test_labels_without_a_value_are_warned_of_once(small_run, capsys):
    info = LabelInfo(source="test", kind="depth", affine=True, licence="none")
    last = {"013": np.ones((32, 64), np.float32)}  # which is the target of no snippet
    write_labels(small_run.data.root / "slide" / "pseudo_depth", info, last)
    train(replace(small_run, pseudo_depth=PseudoDepthConfig(depth=0.1)))
    said = capsys.readouterr().err
    assert re.findall(r"the labels have no value at step (\d), frames slide", said) == ["1"]


# The average of the weights


def averaging(share):
    """One weight and a normalization, as a depth network."""
    method = nn.Module()
    method.depth_net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    return TrainingModule(method, TrainConfig(average=share))


def test_the_average_is_the_sum_by_hand_and_its_first_steps_count_more():
    m = averaging(0.9)
    (linear, norm), expected = m.method.depth_net, 0.0
    for step in range(200):
        linear.weight.data.fill_(float(step))
        norm.running_mean.fill_(float(step))
        norm.num_batches_tracked.fill_(step)
        m.averaged.update(m.method.depth_net)
        kept = min(0.9, step / (step + 9))
        expected = kept * expected + (1 - kept) * step
    assert m.averaged.network[0].weight.item() == pytest.approx(expected, rel=1e-5)
    assert m.averaged.network[1].running_mean.item() == pytest.approx(expected, rel=1e-5)
    assert m.averaged.network[1].num_batches_tracked == 199  # a counter is not averaged
    assert not any(p.requires_grad for p in m.averaged.parameters())


def test_inside_the_network_is_the_average_and_afterwards_itself_even_after_an_error():
    for share, within in ((0.9, 5.0), (0.0, 1.0)):  # without an average it stays itself
        m = averaging(share)
        weight = m.method.depth_net[0].weight
        weight.data.fill_(1.0)
        if m.averaged is not None:
            m.averaged.network[0].weight.data.fill_(5.0)
        with suppress(StopError), m.averaged_weights():
            assert weight.item() == within
            raise StopError
        assert weight.item() == 1.0


@pytest.mark.slow  # by default: the same snippets, in tests/preparation/test_packing.py
def test_packed_data_gives_the_same_losses_to_the_bit(small_run, tmp_path, monkeypatch, losses):
    small_run = replace(small_run, train=replace(small_run.train, validate_every=1))
    root, size = small_run.data.root, small_run.data.image_size
    pack(root, tmp_path / "packed", size=size, shard_frames=4, show_progress=False)
    whole = train(small_run)
    half = replace(small_run, name="packed", data=replace(small_run.data, root=tmp_path / "packed"))

    def stop(_, trainer, *__):
        if trainer.global_step == 3:  # after a checkpoint, in the middle of an epoch
            raise StopError

    with monkeypatch.context() as stopping:
        stopping.setattr("ssmde.training.log.RunLog.on_train_batch_start", stop)
        with pytest.raises(StopError):
            train(half)
    resumed = train(half, resume=True)
    for name in ("train/loss", "val/photometric"):
        values = losses(resumed, name)
        assert values == losses(whole, name)
        assert [step for step, _ in values] == [1, 2, 3, 4]  # every step once
