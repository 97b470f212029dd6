"""Training on a scene whose camera nobody measured: learnt, kept, taken over, reported."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch

from ssmde.config import LossConfig, PseudoDepthConfig, StudentConfig
from ssmde.data.scene_folder import read_scenes
from ssmde.methods.student import Student, TeacherNetworks
from ssmde.methods.teacher import NO_PSEUDO_DEPTH, build_teacher
from ssmde.models.camera import LearnedCameras, stored_cameras
from ssmde.models.load import read_weights, save_weights
from ssmde.prediction.loading import load
from ssmde.train import train
from ssmde.training.cameras import build_cameras, describe_cameras, with_learned_cameras
from ssmde.training.module import TrainingModule
from ssmde.training.validation import write_weights
from ssmde.types import Batch
from tiny_networks import TinyDepthNet, TinyPoseNet, build_tiny_teacher

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
HEIGHT, WIDTH = 32, 64


@pytest.fixture(autouse=True)
def quick_networks(monkeypatch):
    monkeypatch.setattr("ssmde.train.build_teacher", build_tiny_teacher)


@pytest.fixture
def unmeasured(small_run, video):
    """The short run on a scene without cam.txt, with its camera to be learnt."""
    (video / "slide" / "cam.txt").unlink()
    return replace(small_run, model=replace(small_run.model, intrinsics="learned"))


def tiny_teacher(loss=LossConfig(), pseudo_depth=PseudoDepthConfig()):  # noqa: B008
    method = build_tiny_teacher(None, loss, pseudo_depth)
    method.cameras = LearnedCameras({"slide": 0}, [(HEIGHT, WIDTH)], hfov_degrees=60.0)
    return method


def batch(*, labels=False):
    frames = torch.rand(2, 3, 3, HEIGHT, WIDTH)
    frames = torch.nn.functional.avg_pool2d(frames.flatten(0, 1), 5, 1, 2).unflatten(0, (2, 3))
    return Batch(
        target=frames[:, 0],
        sources=frames[:, 1:],
        intrinsics=torch.full((2, 3, 3), torch.nan),
        camera=torch.zeros(2, dtype=torch.int64),
        framing=torch.eye(3).expand(2, 3, 3),
        pseudo_depth=1 + torch.rand(2, 1, HEIGHT, WIDTH) if labels else None,
    )


def test_a_scene_without_camera_trains_and_its_camera_is_kept_logged_and_said(unmeasured, capsys):
    folder = train(unmeasured)
    assert "learnt camera of 'slide': fx " in capsys.readouterr().out
    with (folder / "log.csv").open(newline="") as file:
        curve = [float(r["value"]) for r in csv.DictReader(file) if r["name"] == "train/fx_slide"]
    start = 0.5 * WIDTH / np.tan(np.radians(65) / 2)
    assert curve[0] == pytest.approx(start)
    assert len(set(curve)) == 8
    tensors, metadata = read_weights(folder / "last.safetensors")
    kept = stored_cameras(metadata)["slide"]
    assert kept[0, 0] == pytest.approx(curve[-1], rel=1e-3)
    assert kept[0, 0] == kept[1, 1]
    assert {name.split(".")[0] for name in tensors} == {"depth_net", "pose_net"}


def test_weights_with_a_learnt_camera_still_predict(unmeasured, tmp_path):
    method = build_teacher(unmeasured.model, unmeasured.loss)
    method.cameras = tiny_teacher().cameras
    write_weights(tmp_path / "a.safetensors", unmeasured, method, None, 1)
    assert list(stored_cameras(read_weights(tmp_path / "a.safetensors")[1])) == ["slide"]
    image = torch.rand(3, 40, 50)
    assert load(tmp_path / "a.safetensors").predict(image).depth.shape == (40, 50)


def test_a_resumed_run_goes_on_with_its_camera(unmeasured):
    constant = replace(unmeasured.train, schedule="constant", steps=6, validate_every=6)
    long = replace(unmeasured, name="whole", train=constant)
    whole = train(long)
    train(replace(long, name="half", train=replace(constant, steps=4)))
    resumed = train(replace(long, name="half"), resume=True)
    assert kept_cameras(resumed) == kept_cameras(whole)


def kept_cameras(folder):
    return read_weights(folder / "last.safetensors")[1]["cameras"]


def test_without_the_option_the_scene_is_refused_by_its_name(unmeasured):
    given = replace(unmeasured, model=replace(unmeasured.model, intrinsics="given"))
    with pytest.raises(ValueError, match=r"scene 'slide'.*--model.intrinsics learned"):
        train(given)


def test_cameras_that_are_known_are_not_learnt_unless_all_are_to_be(small_run, video):
    scenes = read_scenes(video, "train")
    learned = replace(small_run, model=replace(small_run.model, intrinsics="learned"))
    assert build_cameras(small_run, scenes) is None
    assert build_cameras(learned, scenes) is None
    every = replace(small_run, model=replace(small_run.model, intrinsics="all_learned"))
    cameras = build_cameras(every, scenes)
    assert cameras.scenes == {"slide": 0}
    (filled,) = with_learned_cameras(scenes, cameras)
    assert filled.intrinsics[0, 0] == pytest.approx(0.5 * WIDTH / np.tan(np.radians(65) / 2))


def test_scenes_of_one_camera_share_it_if_their_images_have_one_size(unmeasured, video):
    (slide,) = read_scenes(video, "train")
    model = replace(unmeasured.model, shared_camera=True, initial_hfov_degrees=90.0)
    config = replace(unmeasured, model=model)
    pair = [replace(slide, name="zebra"), slide]
    cameras = build_cameras(config, pair)
    assert cameras.scenes == {"slide": 0, "zebra": 0}
    assert cameras.log_focal.shape == (1,)
    assert describe_cameras(cameras).startswith(
        "learnt camera of 'slide' and 1 more: fx 32.0 fy 32.0 cx 31.5 cy 15.5 in pixels of 64 x 32"
    )
    assert build_cameras(unmeasured, pair).scenes == {"slide": 0, "zebra": 1}
    other = replace(slide, name="wide", image_size=(32, 96))
    with pytest.raises(ValueError, match=r"one size: scene 'slide' has .*\(32, 64\), scene 'wide'"):
        build_cameras(config, [slide, other])


def test_a_network_of_single_frames_learns_no_camera(unmeasured, video):
    with pytest.raises(ValueError, match="affine_depth sees single frames"):
        build_cameras(replace(unmeasured, method="affine_depth"), read_scenes(video, "train"))


def test_a_student_goes_on_from_the_camera_of_its_teacher(unmeasured, video, tmp_path):
    learnt = LearnedCameras({"slide": 0, "gone": 1}, [(32, 64)] * 2, hfov_degrees=100.0)
    save_weights(tmp_path / "best.safetensors", {}, {"cameras": learnt.to_text()})
    config = replace(unmeasured, method="student", student=StudentConfig(teacher=tmp_path))
    cameras = build_cameras(config, read_scenes(video, "train"))
    assert cameras.scenes == {"slide": 0}
    assert cameras.of_scene("slide") == pytest.approx(learnt.of_scene("slide"), rel=1e-5)


def test_a_lens_that_hardly_is_one_is_pointed_out():
    usual, unusual = (
        LearnedCameras({"a": 0}, [(32, 64)], hfov_degrees=degrees) for degrees in (60.0, 12.0)
    )
    assert "unusual" not in describe_cameras(usual)
    assert "unusual: where a camera hardly turns" in describe_cameras(unusual)


def test_a_validation_that_can_say_nothing_is_refused_at_once(unmeasured, video):
    (video / "other").mkdir()
    for file in sorted((video / "slide").glob("*.png")):
        (video / "other" / file.name).write_bytes(file.read_bytes())
    (video / "val.txt").write_text("other\n")
    with pytest.raises(ValueError, match=r"no validation scene has measured depth, a cam.txt"):
        train(unmeasured)


def test_cameras_have_a_learning_rate_of_their_own(unmeasured):
    config = replace(unmeasured.train, learning_rate=1e-3, pose_rate=2.0, camera_rate=5.0)
    optimizer = TrainingModule(tiny_teacher(), config).configure_optimizers()["optimizer"]
    rates = [group["initial_lr"] for group in optimizer.param_groups]
    assert rates == pytest.approx([1e-3, 2e-3, 5e-3])
    assert [tuple(p.shape) for p in optimizer.param_groups[2]["params"]] == [(1,), (1, 2)]
    given = tiny_teacher()
    given.cameras = None
    assert len(TrainingModule(given, config).configure_optimizers()["optimizer"].param_groups) == 2


def test_the_views_teach_the_camera():
    method = tiny_teacher()
    out = method(batch(), 0.5)
    out.loss.backward()
    assert method.cameras.log_focal.grad.abs().item() > 0
    assert (method.cameras.shift.grad.abs() > 0).all()
    assert out.statistics["fx_slide"].item() == pytest.approx(0.5 * WIDTH / np.tan(np.radians(30)))


def test_labels_do_not_teach_the_camera():
    loss = LossConfig(photometric=0.0, smoothness=0.0)
    method = tiny_teacher(loss, PseudoDepthConfig(normals=1.0, edge_normals=1.0))
    out = method(batch(labels=True), 0.0)
    out.loss.backward()
    assert out.terms["pseudo_normals"] > 0
    assert method.cameras.log_focal.grad.tolist() == [0]


def test_a_student_learns_the_camera_and_its_teacher_does_not_mind():
    networks = tiny_teacher(LossConfig(geometry=0.1, both_directions=True))
    teacher = TeacherNetworks(TinyDepthNet(), TinyPoseNet())
    method = Student(networks, teacher, StudentConfig(features=0.0, pseudo_depth=NO_PSEUDO_DEPTH))
    method.cameras = networks.cameras
    out = method(batch(), 0.5)
    out.loss.backward()
    assert out.loss.isfinite()
    assert method.cameras.log_focal.grad.abs().item() > 0
    assert "fx_slide" in out.statistics


def test_during_the_warm_up_the_camera_rests_and_stays_in_the_graph():
    method = tiny_teacher(LossConfig(rotation_first=0.2, upright_first=0.2))
    for progress in (0.1, 0.3):
        method.zero_grad(set_to_none=True)
        method(batch(), progress).loss.backward()
        assert method.cameras.log_focal.grad.tolist() == [0]
