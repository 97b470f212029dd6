"""What a run without measured depth is judged by, and what is no score."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ssmde.config import Config, DataConfig
from ssmde.data.images import write_png16
from ssmde.data.scene_files import write_scene_info
from ssmde.geometry.camera import rigid_motion
from ssmde.methods.teacher import Teacher
from ssmde.signals import LateStop
from ssmde.synthetic import draw_clip, write_clip
from ssmde.training import train
from ssmde.training.log import RunLog
from ssmde.training.module import TrainingError
from ssmde.training.validation import Validation
from tiny_networks import TinyDepthNet, TinyPoseNet

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def judge(loss):
    return SimpleNamespace(photometric_loss=lambda batch: torch.tensor(loss))


@pytest.mark.parametrize(
    ("frames", "held_out"), [pytest.param(40, 4, marks=pytest.mark.slow), (12, 12)]
)
def test_a_held_out_part_too_short_for_the_gaps_gets_a_smaller_one(tmp_path, frames, held_out):
    scene = tmp_path / "data" / "room"
    write_clip(draw_clip("room", frames=frames, size=(32, 64)), scene)
    shutil.rmtree(scene / "depth")
    data = DataConfig(root=tmp_path / "data", image_size=(32, 64), frame_gaps=(8, 12), workers=0)
    validation = Validation(tmp_path, Config(data=data), object.__new__(RunLog), LateStop())
    assert sum(len(s) for s in validation.sequences) in (held_out, held_out - 1)
    found = validation.photometric_score(judge(0.5), torch.device("cpu"))
    assert found == {"photometric": 0.5}


class RunAway(TinyPoseNet):
    """Leads so far away that no view sees what another saw."""

    def forward(self, target, source):
        six = self.layer(torch.cat([target, source], dim=1)).mean((2, 3))
        return rigid_motion(six[:, :3], six[:, 3:] + 1000)


@pytest.mark.parametrize("fault", ["empty", "no unit"])
def test_held_out_truth_of_no_pixel_leaves_the_photometric_loss(small_run, capsys, fault):
    folder = small_run.data.root / "slide" / "depth"
    folder.mkdir()
    for i in range(14):
        write_png16(folder / f"{i:03d}.png", np.ones((32, 64), np.uint16))
    if fault == "empty":
        write_scene_info(folder.parent, {"depth_units_per_metre": 100})  # 1 cm is too near
    run = train(replace(small_run, train=replace(small_run.train, steps=2)))
    assert "val/photometric" in (run / "log.csv").read_text()
    assert (run / "best.safetensors").is_file()
    said = capsys.readouterr().out
    assert said.count("validation by the photometric loss: no held-out depth map") == 1
    assert ("hold nothing between 0.1 and 1000 m" if fault == "empty" else "the unit") in said


def test_weights_whose_views_have_nothing_in_common_are_never_the_best(small_run, capsys):
    validation = Validation(small_run.output, small_run, object.__new__(RunLog), LateStop())
    nothing = validation.photometric_score(judge(np.nan), torch.device("cpu"))
    assert nothing == {}
    assert "these weights do not count" in capsys.readouterr().err
    validation.keep(torch.nn.Identity(), nothing, 4)
    assert validation.best == np.inf


def test_a_motion_that_runs_away_is_warned_of_and_ends_the_run(small_run, monkeypatch, capsys):
    monkeypatch.setattr(
        "ssmde.training.run.build_teacher",
        lambda config: Teacher(TinyDepthNet(), RunAway(), config.loss, config.pseudo_depth),
    )
    with pytest.raises(TrainingError, match=r"hardly a pixel .* at step 5, .*train.learning_rate"):
        train(replace(small_run, train=replace(small_run.train, steps=5)))
    assert not (small_run.output / "small" / "best.safetensors").exists()
    assert capsys.readouterr().err.count("warning: hardly a pixel is seen in both views") == 1
