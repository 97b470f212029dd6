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
    plain = module(0.0)  # without an average the network stays itself
    before = plain.method.depth_net[0].weight.item()
    with plain.averaged_weights():
        assert plain.method.depth_net[0].weight.item() == before


def test_a_run_keeps_the_average_and_learns_as_without(small_run):
    """That it goes on with it to the last bit is in test_stopping.py."""
    clock = replace(small_run.train, steps=6, average=0.9)
    averaged = train(replace(small_run, name="averaged", train=clock))
    plain = train(replace(small_run, name="plain", train=replace(clock, average=0.0)))
    a, own = (read_weights(folder / "last.safetensors")[0] for folder in (averaged, plain))
    assert losses(plain)[-1] == losses(averaged)[-1]  # what learns is the same
    assert any(not torch.equal(own[key], a[key]) for key in a)  # what is kept is not
    assert_close(own, a, rtol=0.1, atol=1e-3)
