"""Compiled code: the same losses, the same names, and nothing compiled in a copy."""

import copy
import os
from dataclasses import replace
from functools import partial

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.testing import assert_close

from ssmde.config import LossConfig, StudentConfig
from ssmde.methods.self_supervised import SelfSupervised
from ssmde.methods.student import Student, TeacherNetworks
from ssmde.methods.teacher import Teacher
from ssmde.models.depth_net import DepthNet
from ssmde.training import train
from ssmde.training.module import compile_method
from tiny_networks import TinyPoseNet, random_batch

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning",
    "ignore::FutureWarning",
    "ignore:The .grad attribute of a Tensor:UserWarning",  # the compiler hides it from users
)
LOSS = LossConfig(geometry=0.1)
# The graphs as they were found, without many minutes of a C++ compiler; with
# SSMDE_TEST_COMPILER=inductor as a training runs them.
BACKEND = os.environ.get("SSMDE_TEST_COMPILER", "aot_eager")


def networks(seed: int) -> tuple[DepthNet, TinyPoseNet]:
    torch.manual_seed(seed)
    return DepthNet(encoder="resnet18_half"), TinyPoseNet()


def small_student() -> Student:
    own = SelfSupervised(*networks(0), LOSS)
    return Student(own, TeacherNetworks(*networks(1)), StudentConfig())


def losses_of(method: nn.Module, steps: int) -> list[float]:
    optimizer = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], 1e-2)
    found = []
    for step in range(steps):
        torch.manual_seed(step)
        optimizer.zero_grad()
        loss = method(random_batch(seed=step), 0.5 + step / 20).loss
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


@pytest.mark.compile
def test_names_stay_and_a_copy_is_not_compiled():
    method = Teacher(*networks(0), LOSS)
    names = list(method.state_dict())
    compile_method(method)
    assert list(method.state_dict()) == names
    compiled = [n for n, m in method.named_modules() if m._compiled_call_impl is not None]
    assert compiled == ["depth_net.encoder", "depth_net.decoder", "pose_net"]
    again = copy.deepcopy(method)
    assert not [m for m in again.modules() if m._compiled_call_impl is not None]
    assert again.depth_net.encoder.conv1.weight is not method.depth_net.encoder.conv1.weight


@pytest.mark.compile
def test_a_student_learns_the_same_in_one_graph_a_part():
    plain, compiled = small_student(), small_student()
    compile_method(compiled, backend=BACKEND)
    torch._dynamo.utils.counters.clear()
    wanted, found = losses_of(plain, 4), losses_of(compiled, 4)
    counted = torch._dynamo.utils.counters
    assert counted["stats"]["unique_graphs"] >= 6
    assert not counted["graph_break"]
    assert_close(torch.tensor(found), torch.tensor(wanted), rtol=1e-4, atol=0)
    with torch.no_grad():
        assert_close(
            copy.deepcopy(compiled).depth_net(random_batch(seed=9).target),
            plain.depth_net(random_batch(seed=9).target), rtol=1e-3, atol=0,
        )  # fmt: skip


@pytest.mark.compile
def test_a_compiled_run_goes_on_and_its_weights_have_usual_names(small_run, monkeypatch, losses):
    def build(config):
        return Teacher(*networks(0), config.loss, config.pseudo_depth)

    monkeypatch.setattr("ssmde.training.run.build_teacher", build)
    quick = partial(compile_method, backend=BACKEND)
    monkeypatch.setattr("ssmde.training.module.compile_method", quick)
    small_run = replace(small_run, train=replace(small_run.train, schedule="constant"))
    compiled = replace(small_run, train=replace(small_run.train, compile=True))
    plain = train(replace(small_run, name="plain"))
    train(replace(compiled, train=replace(compiled.train, steps=2)))
    folder = train(compiled, resume=True)
    found, wanted = (torch.tensor([float(v) for _, v in losses(f)]) for f in (folder, plain))
    assert_close(found, wanted, rtol=1e-4, atol=0)
    names = load_file(folder / "last.safetensors").keys()
    assert names == load_file(plain / "last.safetensors").keys()
