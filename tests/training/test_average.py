"""The exponential average of the weights: by hand, and where it is used."""

import csv
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ssmde.config import TrainConfig
from ssmde.models.checkpoint import read_weights
from ssmde.training import train
from ssmde.training.module import TrainingModule
from tiny_networks import build_tiny_teacher

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(autouse=True)
def quick_networks(monkeypatch):
    """Networks of a few thousand parameters."""
    monkeypatch.setattr("ssmde.training.run.build_teacher", build_tiny_teacher)


def losses(folder):
    with (folder / "log.csv").open(newline="") as file:
        return [(r["step"], r["value"]) for r in csv.DictReader(file) if r["name"] == "train/loss"]


class Line(nn.Module):
    """One weight and a normalisation, as a depth network."""

    def __init__(self):
        super().__init__()
        self.depth_net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))


def module(share):
    return TrainingModule(Line(), TrainConfig(average=share))


def test_the_average_is_the_sum_by_hand_and_its_first_steps_count_more():
    m = module(0.9)
    weight, expected = m.method.depth_net[0].weight, 0.0
    for step in range(200):
        weight.data.fill_(float(step))
        m.averaged.update(m.method.depth_net)
        kept = min(0.9, step / (step + 9))
        expected = kept * expected + (1 - kept) * step
    assert m.averaged.network[0].weight.item() == pytest.approx(expected, rel=1e-5)


def test_statistics_are_averaged_and_counters_are_not():
    m = module(0.5)
    norm = m.method.depth_net[1]
    for step in range(3):
        norm.running_mean.fill_(float(step))
        norm.num_batches_tracked.fill_(step)
        m.averaged.update(m.method.depth_net)
    assert 0 < m.averaged.network[1].running_mean.item() < 2
    assert m.averaged.network[1].num_batches_tracked == 2


def test_inside_the_network_is_the_average_and_afterwards_itself_even_after_an_error():
    m = module(0.9)
    weight = m.method.depth_net[0].weight
    m.averaged.network[0].weight.data.fill_(5.0)
    weight.data.fill_(1.0)
    with m.averaged_weights():
        assert weight.item() == 5.0
    assert weight.item() == 1.0

    def fail():
        with m.averaged_weights():
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert weight.item() == 1.0


def test_the_average_learns_nothing_by_itself():
    assert not any(p.requires_grad for p in module(0.9).averaged.parameters())


def test_without_an_average_the_network_stays_itself():
    m = module(0.0)
    weight = m.method.depth_net[0].weight.item()
    with m.averaged_weights():
        assert m.method.depth_net[0].weight.item() == weight


def test_a_run_keeps_the_average_and_goes_on_with_it_to_the_last_bit(small_run):
    clock = replace(small_run.train, steps=6, average=0.9, checkpoint_every=4)
    whole = train(replace(small_run, name="whole", train=clock))
    parts = train(replace(small_run, name="parts", train=clock))
    (parts / "last.safetensors").unlink()
    train(replace(small_run, name="parts", train=clock), resume=True)  # from step 4
    assert losses(parts)[-1] == losses(whole)[-1]
    a, b = (read_weights(folder / "last.safetensors")[0] for folder in (whole, parts))
    assert all(torch.equal(a[key], b[key]) for key in a)
    plain = train(replace(small_run, name="plain", train=replace(clock, average=0.0)))
    own = read_weights(plain / "last.safetensors")[0]
    assert losses(plain)[-1] == losses(whole)[-1]  # what learns is the same
    assert any(not torch.equal(own[key], a[key]) for key in a)  # what is kept is not
    assert_close(own, a, rtol=0.1, atol=1e-3)
