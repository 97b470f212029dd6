"""Both stages in one call: each in its place, finished ones left, labels made or asked for."""

import re
import shutil
from dataclasses import replace
from functools import cache
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from ssmde.config import (
    Config,
    DataConfig,
    ModelConfig,
    PseudoDepthConfig,
    StudentConfig,
    TrainConfig,
    load_config,
)
from ssmde.data.pseudo_labels import LabelInfo, write_labels
from ssmde.inference.loading import load
from ssmde.synthetic import draw_clip, write_clip
from ssmde.training import train

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

drawn = cache(draw_clip)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of both stages on a tiny drawn room, with its truth for labels."""
    monkeypatch.setattr("ssmde.training.validation.PANEL_HEIGHT", 32)
    scene = tmp_path / "data" / "room"
    write_clip(drawn("room", frames=12, size=(32, 64), seed=1), scene)
    depth = {f.stem: 1.0 + np.random.rand(32, 64).astype("f4") for f in scene.glob("*.png")}
    info = LabelInfo(source="test", kind="depth", affine=True, licence="none")
    write_labels(scene / "pseudo_depth", info, depth)
    return Config(
        name="both", output=tmp_path / "runs", method="both",
        data=DataConfig(root=tmp_path / "data", image_size=(32, 64), workers=0, poses="file"),
        model=ModelConfig(encoder="resnet18_half"), pseudo_depth=PseudoDepthConfig(structure=0.1),
        student=StudentConfig(steps=1, learning_rate=3e-5),
        train=TrainConfig(steps=2, batch_size=1, validate_every=5, threads=1, accelerator="cpu"),
    )  # fmt: skip


def test_both_stages_leave_weights_an_evaluation_and_a_report(run, capsys, monkeypatch):
    write_clip(drawn("room", frames=6, size=(32, 64), seed=2), run.data.root / "other")
    for split, name in (("train", "room"), ("val", "other")):
        (run.data.root / f"{split}.txt").write_text(name)
    with monkeypatch.context() as patch:
        patch.setattr("ssmde.training.run.build_student", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train(run)
    folder = train(run, resume=True)
    said = capsys.readouterr().out
    assert "stage teacher: finished before" in said  # it is not trained again
    assert "stage student\n" in said
    for name in ("teacher/last.safetensors", "student/last.safetensors", "best.safetensors"):
        assert (folder / name).is_file(), name
    assert (folder / "evaluation" / "metrics.json").is_file()
    best = (folder / "best.safetensors").read_bytes()
    assert best == (folder / "student" / "best.safetensors").read_bytes()
    assert load(folder).image_size == (32, 64)
    assert load_config((folder / "teacher" / "config.yaml").read_text()).method == "teacher"
    page = (folder / "report.html").read_text()
    for words in ("teacher, stage 1", "student, stage 2", "mean_map", "Forgetting factor"):
        assert words in page
    sources = [part.split('"')[0] for part in page.split('src="')[1:]]
    assert len(sources) == 4 * 6  # with truth: also depth
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert all(place.startswith("#") for place in re.findall(r'href="([^"]*)', page))
    written = (folder / "student" / "last.safetensors").stat().st_mtime_ns
    with pytest.raises(ValueError, match=r"already holds a run of both stages \(teacher, student"):
        train(run)
    (folder / "best.safetensors").unlink()
    monkeypatch.setattr("ssmde.training.run.frames_with_truth", lambda *_: [])
    monkeypatch.setattr("ssmde.training.run.write_report", lambda *_: folder)
    for rank in ("1", "0"):  # only the first process hands over and reports
        monkeypatch.setenv("RANK", rank)
        train(run, resume=True)
        assert (folder / "best.safetensors").exists() == (rank == "0")
    assert (folder / "student" / "last.safetensors").stat().st_mtime_ns == written


@pytest.mark.slow
def test_a_video_without_any_truth_poses_or_labels_to_validate_on_is_trained(run):
    other = run.data.root / "other"
    write_clip(drawn("room", frames=8, size=(32, 64), seed=2), other)
    for scene in (run.data.root / "room", other):
        shutil.rmtree(scene / "depth")
    (other / "poses.txt").unlink()
    (run.data.root / "train.txt").write_text("room\n")
    (run.data.root / "val.txt").write_text("other\n")
    folder = train(run)
    assert "val/photometric" in (folder / "student" / "log.csv").read_text()
    assert (folder / "best.safetensors").is_file()
    assert not (folder / "evaluation").exists()
    page = (folder / "report.html").read_text()
    assert "No held-out frame has measured depth." in page


def test_a_pseudo_depth_network_is_trained_and_judged_on_measured_depth(run):
    affine = replace(run, name="affine", method="affine_depth")
    folder = train(affine)
    assert "train/log_depth" in (folder / "log.csv").read_text()
    assert "val/abs_rel" in (folder / "log.csv").read_text()
    assert load(folder).predict(torch.rand(3, 40, 50)).depth.shape == (40, 50)
    other = run.data.root / "other"
    write_clip(drawn("room", frames=8, size=(32, 64), seed=2), other)
    shutil.rmtree(other / "depth")
    (run.data.root / "val.txt").write_text("other\n")
    with pytest.raises(ValueError, match="no validation scene has measured depth"):
        train(replace(affine, name="again"))


def test_one_process_makes_motion_and_labels_of_the_named_source(run, monkeypatch):
    pair = replace(run, train=replace(run.train, devices=2, batch_size=2))
    tracked = replace(pair, data=replace(run.data, poses="tracked"))
    with pytest.raises(ValueError, match=r"'room' has no tracked motion, .*`ssmde track .*data"):
        train(tracked)
    shutil.rmtree(run.data.root / "room" / "pseudo_depth")
    with pytest.raises(ValueError, match=r"'room' has no pseudo-depth, .*run `ssmde label .*data"):
        train(pair)
    with pytest.raises(ValueError, match=r"'room' has no pseudo-depth: run `ssmde label .*source"):
        train(run)
    ask = Mock(side_effect=KeyboardInterrupt)
    monkeypatch.setattr("ssmde.training.run.track", ask)
    monkeypatch.setattr("ssmde.training.run.label", ask)
    run = replace(run, pseudo_depth=replace(run.pseudo_depth, source="midas"))
    tracked = replace(run, data=replace(run.data, poses="tracked"))
    for asked, options in ((run, {"source": "midas"}), (tracked, {"threads": 1})):
        with pytest.raises(KeyboardInterrupt):
            train(asked)
        ask.assert_called_with(run.data.root, **options)
