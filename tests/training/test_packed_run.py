"""A run on packed data is the run on the folders it was made of."""

import csv
from dataclasses import replace

import pytest

from ssmde.config import Config
from ssmde.preparation.packing import pack
from ssmde.training import train
from tiny_networks import build_tiny_teacher

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def logged(folder, name):
    with (folder / "log.csv").open(newline="") as file:
        return [(row["step"], row["value"]) for row in csv.DictReader(file) if row["name"] == name]


def test_losses_are_the_same_to_the_last_bit_also_after_going_on(
    small_run: Config, tmp_path, monkeypatch
):
    monkeypatch.setattr("ssmde.training.run.build_teacher", build_tiny_teacher)
    root = small_run.data.root
    size = small_run.data.image_size
    done = pack(root, tmp_path / "packed", size=size, shard_frames=4, show_progress=False)
    assert done.frames == {"train": 14, "val": 14}
    packed = replace(small_run.data, root=tmp_path / "packed")
    folders = train(small_run)
    half = replace(small_run, name="packed", data=packed)
    half = replace(half, train=replace(half.train, steps=8))

    class StopError(Exception):
        pass

    def stop(trainer, *_):
        if trainer.global_step == 5:  # in the middle of an epoch: 12 targets, 2 a step
            raise StopError

    with monkeypatch.context() as stopping:
        stopping.setattr("ssmde.training.log.RunLog.on_train_batch_start", lambda _, t, *r: stop(t))
        with pytest.raises(StopError):
            train(half)
    resumed = train(half, resume=True)
    for name in ("train/loss", "val/photometric"):
        values = logged(resumed, name)
        assert values == logged(folders, name)  # every step once
        assert len(values) > 1
