"""Ctrl-C and SIGTERM: a run is saved where it stands, and goes on as if it had never stopped."""

import signal
from dataclasses import replace

import pytest
import torch

from ssmde.config import StudentConfig
from ssmde.models.checkpoint import read_weights
from ssmde.signals import Stopped
from ssmde.training import train, validation
from ssmde.training.checkpoints import read_checkpoint
from ssmde.training.module import TrainingModule

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
CLOCK = {"steps": 4, "validate_every": 2, "checkpoint_every": 3}
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}
# What is called while a step is computed, or its frames are looked at, and when it is that step.
IN_STEP = (
    TrainingModule,
    "configure_gradient_clipping",
    lambda step, self, *_: self.global_step == step - 1,
)
IN_VALIDATION = validation, "write_png", lambda step, path, _: path.stem == f"step-{step:07d}"


def send(monkeypatch, number, place, step):
    """Make a signal come at a place of this step."""
    owner, name, is_now = place
    honest = getattr(owner, name)

    def interrupted(*args, **kwargs):
        if is_now(step, *args):
            signal.raise_signal(number)
        return honest(*args, **kwargs)

    monkeypatch.setattr(owner, name, interrupted)


def stop_and_go_on(config, number, place, step, monkeypatch):
    before = [signal.getsignal(each) for each in STATUS]
    with monkeypatch.context() as patch:
        send(patch, number, place, step)
        with pytest.raises(Stopped, match=f"saved at step {step}") as e:
            train(config)
    assert e.value.status == STATUS[number]
    assert [signal.getsignal(each) for each in STATUS] == before
    folder = config.output / config.name
    assert read_checkpoint(folder / "last.ckpt")["global_step"] == step
    assert not (folder / "last.safetensors").exists()
    return train(config, resume=True)


def assert_same_run(first, second):
    one, two = ((folder / "log.csv").read_text().splitlines() for folder in (first, second))
    without_seconds = [[line.split(",")[::2] for line in lines] for lines in (one, two)]
    assert sorted(without_seconds[0]) == sorted(without_seconds[1])
    for name in ("best.safetensors", "last.safetensors"):
        a, b = (read_weights(folder / name)[0] for folder in (first, second))
        assert all(torch.equal(a[key], b[key]) for key in a), name
    a, b = (read_checkpoint(folder / "last.ckpt")["state_dict"] for folder in (first, second))
    assert all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize(
    ("number", "place", "step"),
    [
        (signal.SIGTERM, IN_VALIDATION, 2),
        pytest.param(signal.SIGINT, IN_STEP, 1, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, IN_STEP, 4, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, IN_VALIDATION, 4, marks=pytest.mark.slow),
    ],
)
def test_a_stopped_run_goes_on_as_if_it_had_not(small_run, monkeypatch, number, place, step):
    averaged = replace(small_run, train=replace(small_run.train, **CLOCK, average=0.9))
    whole = train(replace(averaged, name="whole"))
    stopped = stop_and_go_on(averaged, number, place, step, monkeypatch)
    assert_same_run(stopped, whole)


@pytest.mark.slow
@pytest.mark.parametrize(("place", "step"), [(IN_STEP, 3), (IN_VALIDATION, 2)])
def test_a_stopped_student_goes_on_with_the_same_teacher(small_run, monkeypatch, place, step):
    short = replace(small_run.train, steps=2, batch_size=1)
    teacher = train(replace(small_run, name="teacher", train=short)) / "last.safetensors"
    student = replace(
        small_run, method="student", student=StudentConfig(teacher=teacher),
        train=replace(short, **CLOCK),
    )  # fmt: skip
    whole = train(replace(student, name="whole"))
    assert_same_run(stop_and_go_on(student, signal.SIGTERM, place, step, monkeypatch), whole)


def test_a_second_ctrl_c_does_not_wait_for_the_step(small_run, monkeypatch):
    def twice(*_, **__):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(TrainingModule, "configure_gradient_clipping", twice)
    with pytest.raises(SystemExit) as stopped:
        train(small_run)
    assert isinstance(stopped.value.__context__, Stopped)
    assert signal.getsignal(signal.SIGINT) is before
