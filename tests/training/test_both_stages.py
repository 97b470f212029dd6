"""Both stages in one call: each in its place, finished ones left, labels made or asked for."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from ssmde.config import (
    Config,
    DataConfig,
    PseudoDepthConfig,
    StudentConfig,
    TrainConfig,
)
from ssmde.data.images import read_depth
from ssmde.data.pseudo_labels import LabelInfo, write_labels
from ssmde.inference.loading import load
from ssmde.synthetic import draw_clip, write_clip
from ssmde.tracking import Tracked
from ssmde.tracking.camera import FoundCamera
from ssmde.training import train, train_stages

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture
def run(tmp_path):
    """A run of both stages on a tiny drawn room, with its truth for labels."""
    scene = tmp_path / "data" / "room"
    write_clip(draw_clip("room", frames=12, size=(32, 64), seed=1), scene)
    depth = {f.stem: 1.0 + np.random.rand(32, 64).astype("f4") for f in scene.glob("*.png")}
    info = LabelInfo(source="test", kind="depth", affine=True, licence="none")
    write_labels(scene / "pseudo_depth", info, depth)
    return Config(
        name="both",
        output=tmp_path / "runs",
        method="both",
        data=DataConfig(root=tmp_path / "data", image_size=(32, 64), workers=0, poses="file"),
        pseudo_depth=PseudoDepthConfig(structure=0.1),
        student=StudentConfig(steps=1, learning_rate=3e-5),
        train=TrainConfig(steps=2, batch_size=1, validate_every=5, threads=1, accelerator="cpu"),
    )


def test_both_stages_leave_weights_an_evaluation_and_a_report(run, capsys):
    write_clip(draw_clip("room", frames=6, size=(32, 64), seed=2), run.data.root / "other")
    (run.data.root / "train.txt").write_text("room\n")
    (run.data.root / "val.txt").write_text("other\n")
    folder = train(run)  # from Python, one call trains both
    for name in ("teacher/last.safetensors", "student/last.safetensors", "best.safetensors"):
        assert (folder / name).is_file(), name
    assert (folder / "evaluation" / "metrics.json").is_file()
    assert (folder / "best.safetensors").read_bytes() == (
        folder / "student" / "best.safetensors"
    ).read_bytes()
    assert load(folder).image_size == (32, 64)
    log = (folder / "student" / "log.csv").read_text()
    assert "train/forgetting_factor" in log
    assert "train/filter_dynamic" in log
    assert "1,0." not in log.splitlines()[0]
    page = (folder / "report.html").read_text()
    assert "teacher, stage 1" in page
    assert "student, stage 2" in page
    assert "Forgetting factor" in page
    sources = [part.split('"')[0] for part in page.split('src="')[1:]]
    assert len(sources) == 4 * 9  # with truth: also depth, motion, and both errors
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert all(place.startswith("#") for place in re.findall(r'href="([^"]*)', page))
    capsys.readouterr()
    written = (folder / "student" / "last.safetensors").stat().st_mtime_ns
    with pytest.raises(ValueError, match=r"already holds a run of both stages \(teacher, student"):
        train_stages(run)
    train_stages(run, resume=True)
    assert "stage teacher: finished before" in capsys.readouterr().out
    assert (folder / "student" / "last.safetensors").stat().st_mtime_ns == written


@pytest.mark.slow
def test_a_video_without_any_truth_poses_or_labels_to_validate_on_is_trained(run):
    import shutil

    room = run.data.root / "room"
    other = run.data.root / "other"
    write_clip(draw_clip("room", frames=8, size=(32, 64), seed=2), other)
    for scene in (room, other):
        shutil.rmtree(scene / "depth")
    (other / "poses.txt").unlink()
    (run.data.root / "train.txt").write_text("room\n")
    (run.data.root / "val.txt").write_text("other\n")
    folder = train_stages(run)
    assert "val/photometric" in (folder / "student" / "log.csv").read_text()
    assert (folder / "best.safetensors").is_file()
    assert not (folder / "evaluation").exists()
    page = (folder / "report.html").read_text()
    assert "No held-out frame has measured depth." in page
    assert page.count("<img") == 4 * 5  # frame, both depths, regions and weight


def test_a_pseudo_depth_network_is_trained_and_judged_on_measured_depth(run):
    import shutil

    affine = replace(run, name="affine", method="affine_depth")
    folder = train_stages(affine)
    assert "train/log_depth" in (folder / "log.csv").read_text()
    assert "val/abs_rel" in (folder / "log.csv").read_text()
    assert load(folder).image_size == (32, 64)
    other = run.data.root / "other"
    write_clip(draw_clip("room", frames=8, size=(32, 64), seed=2), other)
    shutil.rmtree(other / "depth")
    (run.data.root / "val.txt").write_text("other\n")
    with pytest.raises(ValueError, match="no validation scene has measured depth"):
        train_stages(replace(affine, name="again"))


def test_a_stopped_student_goes_on_and_its_teacher_is_not_trained_again(run, monkeypatch):
    import ssmde.training.both_stages as stages

    ran = []
    real = stages.train

    def train(config, *, resume=False, data=None):
        ran.append((config.name, config.method, resume))
        if config.method == "student" and len(ran) == 2:
            raise KeyboardInterrupt
        return real(config, resume=resume)

    monkeypatch.setattr(stages, "train", train)
    with pytest.raises(KeyboardInterrupt):
        train_stages(run)
    page = train_stages(run, resume=True) / "report.html"
    assert "No pictures: " in page.read_text()  # the one held-out frame has no neighbours
    assert [name for name, _, _ in ran] == ["both/teacher", "both/student", "both/student"]


def test_labels_are_made_by_the_named_source_or_asked_for(run, monkeypatch):
    import shutil

    import ssmde.training.both_stages as stages

    shutil.rmtree(run.data.root / "room" / "pseudo_depth")
    with pytest.raises(ValueError, match=r"'room' has no pseudo-depth: run `ssmde label .*source"):
        train_stages(run)
    asked = []
    monkeypatch.setattr(stages, "label", lambda data, *, source: asked.append((data, source)))
    monkeypatch.setattr(stages, "train", lambda config, *, resume=False, data=None: config.output)
    monkeypatch.setattr(stages, "_hand_over", lambda student, folder: None)
    monkeypatch.setattr(stages, "_report", lambda teacher, student, folder: None)
    named = replace(run, pseudo_depth=replace(run.pseudo_depth, source="midas"))
    train_stages(named)
    assert asked == [(run.data.root, "midas")]


def test_motion_is_tracked_first_where_the_run_wants_it(run, monkeypatch, capsys):
    import ssmde.training.both_stages as stages

    asked = []

    def tracked(data, *, threads):
        asked.append((data, threads))
        camera = FoundCamera(focal=500.0, spread=0.01, frames=12)
        return [Tracked(scene="room", frames=12, found=12, parts=1, error=0.2, camera=camera)]

    monkeypatch.setattr(stages, "track", tracked)
    monkeypatch.setattr(stages, "train", lambda config, *, resume=False, data=None: config.output)
    monkeypatch.setattr(stages, "_hand_over", lambda student, folder: None)
    monkeypatch.setattr(stages, "_report", lambda teacher, student, folder: None)
    train_stages(run)
    assert asked == []
    train_stages(replace(run, data=replace(run.data, poses="tracked")))
    assert asked == [(run.data.root, 1)]
    assert "room: camera found: focal length 500.0 pixels" in capsys.readouterr().out


def test_several_processes_do_not_all_make_what_one_can_make_before(run):
    pair = replace(run, train=replace(run.train, devices=2, batch_size=2))
    tracked = replace(pair, data=replace(run.data, poses="tracked"))
    with pytest.raises(
        ValueError, match=r"'room' has no tracked motion, .*run `ssmde track .*data"
    ):
        train_stages(tracked)
    shutil.rmtree(run.data.root / "room" / "pseudo_depth")
    with pytest.raises(ValueError, match=r"'room' has no pseudo-depth, .*run `ssmde label .*data"):
        train_stages(pair)


def test_only_the_first_process_hands_over_and_reports(run, monkeypatch):
    import ssmde.training.both_stages as stages

    monkeypatch.setattr(stages, "train", lambda config, *, resume=False, data=None: config.output)
    done = []
    monkeypatch.setattr(stages, "_hand_over", lambda student, folder: done.append("weights"))
    monkeypatch.setattr(stages, "_report", lambda teacher, student, folder: done.append("report"))
    monkeypatch.setenv("RANK", "1")
    train_stages(run)
    assert done == []
    monkeypatch.setenv("RANK", "0")
    train_stages(run)
    assert done == ["weights", "report"]


def test_truth_is_never_read_as_a_label(run):
    scene = run.data.root / "room"
    frame = next(scene.glob("*.png")).stem
    assert read_depth(scene / "depth" / f"{frame}.png", 1).max() > 0
    label = scene / "pseudo_depth" / f"{frame}.png"
    label.unlink()
    from ssmde.data.dataset import SnippetDataset
    from ssmde.data.scene_folder import read_scenes

    data = SnippetDataset(
        read_scenes(run.data.root, "train"), run.data, seed=0, augment=False, labels=True
    )
    empty = [i for i in range(len(data)) if data[i].names[0].endswith(frame)]
    assert all(float(data[i].pseudo_depth.abs().max()) == 0 for i in empty)
