"""Stage 2 with what the teacher said kept on disk."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch

from ssmde.config import FilterConfig, PseudoDepthConfig, StudentConfig
from ssmde.methods.student import Student, TeacherNetworks
from ssmde.train import train
from tiny_networks import TinyDepthNet, TinyPoseNet, build_tiny_teacher

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def build_tiny_student(config):
    torch.manual_seed(0)
    teacher = TeacherNetworks(TinyDepthNet(), TinyPoseNet())
    return Student(build_tiny_teacher(config.model, config.loss), teacher, config.student)


def logged(folder):
    with (folder / "log.csv").open(newline="") as file:
        return [float(r["value"]) for r in csv.DictReader(file) if r["name"] == "train/loss"]


def test_a_run_with_the_depths_kept_loses_as_one_that_asks_at_every_step(
    small_run, monkeypatch, capsys
):
    monkeypatch.setattr("ssmde.train.build_student", build_tiny_student)
    terms = StudentConfig(  # without masks: 16 bits move pixels over their thresholds
        features=0.0, dynamic_ranking=0.0, mask_dynamic=False, pseudo_depth=PseudoDepthConfig(),
        filter=FilterConfig(variant="off"),
    )  # fmt: skip
    asking = replace(
        small_run, method="student", student=terms, data=replace(small_run.data, zoom=1.0)
    )
    keeping = replace(asking, name="kept", student=replace(terms, cache=True))
    wanted, folder = logged(train(asking)), train(keeping)
    np.testing.assert_allclose(logged(folder), wanted, rtol=1e-3)
    assert len(list((folder / "teacher_depth" / "slide").glob("*.npy"))) == 14


def test_a_teacher_that_changes_cannot_be_kept():
    with pytest.raises(ValueError, match=r"student\.cache keeps what .* frozen, got ema"):
        StudentConfig(cache=True, teacher_mode="ema")
