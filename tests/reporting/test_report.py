"""What a finished run makes of held-out frames, the pictures of it, and its curves."""

import re

import numpy as np
import pytest
import torch

from ssmde.config import Config, DataConfig, LossConfig, ModelConfig, StudentConfig
from ssmde.data.scene_folder import read_scene
from ssmde.methods.teacher import build_networks
from ssmde.models.checkpoint import save_weights
from ssmde.reporting import report
from ssmde.synthetic import draw_clip, write_clip

SIZE = (32, 64)
MODEL = ModelConfig(encoder="resnet18_half")
HEAD = "step,cpu_seconds,name,value\n"


def test_a_finished_student_has_its_own_weights_and_the_last_threshold(tmp_path):
    write_clip(draw_clip("room", frames=7, size=SIZE, movers="across", seed=1), tmp_path / "room")
    for number, name in enumerate(("teacher", "student")):
        torch.manual_seed(number)
        depth_net, pose_net = build_networks(MODEL, LossConfig())
        parts = {"depth_net.": depth_net, "pose_net.": pose_net}
        tensors = {p + k: v for p, net in parts.items() for k, v in net.state_dict().items()}
        save_weights(tmp_path / f"{name}.safetensors", tensors, {})
    curve = "5,1,train/filter_motion_threshold,0.3\n9,2,train/filter_motion_threshold,0.5\n"
    (tmp_path / "log.csv").write_text(HEAD + curve)
    config = Config(
        method="student", model=MODEL,
        data=DataConfig(root=tmp_path, image_size=SIZE, workers=0, poses="tracked"),
        student=StudentConfig(teacher=tmp_path / "teacher.safetensors"),
    )  # fmt: skip
    weights, log = tmp_path / "student.safetensors", tmp_path / "log.csv"
    student = report.finished_student(config, weights, log)
    own, taught = student.depth_net.state_dict(), student.teacher.depth_net.state_dict()
    assert not torch.equal(own["encoder.conv1.weight"], taught["encoder.conv1.weight"])
    values, mask = torch.rand(1, 1, 4, 4), torch.ones(1, 1, 4, 4, dtype=torch.bool)
    assert float(student.mask_filter.threshold(values, mask)) == pytest.approx(0.5)
    assert not student.training
    assert student.pseudo_depth is None
    # The held-out scene has no tracked poses.
    scene = read_scene(tmp_path / "room")
    found = dict(report.student_maps(student, config.data, [scene], count=2))
    assert len(found) == 2
    for maps in found.values():
        assert maps["depth"].shape == maps["teacher_depth"].shape == SIZE
        assert not (maps["static"] * maps["dynamic"]).any()
        assert 0 <= maps["teacher_weight"].min() <= maps["teacher_weight"].max() <= 1
    with pytest.raises(ValueError, match="room"):  # too short for a snippet
        list(report.student_maps(student, config.data, [scene.part(0, 2)], count=2))


def test_a_teacher_of_another_unit_looks_like_a_student_of_the_same_shape():
    depth = np.linspace(1, 4, SIZE[0] * SIZE[1], dtype=np.float32).reshape(SIZE)
    static, dynamic = np.zeros(SIZE, np.float32), np.zeros(SIZE, np.float32)
    static[:, :20], dynamic[:, 20:40] = 1, 1
    maps = {"teacher_depth": depth / 7, "depth": depth, "teacher_weight": static}
    frame = np.full((64, 128, 3), 100, np.uint8)
    pictures = report.frame_pictures(maps | {"static": static, "dynamic": dynamic}, frame)
    assert set(pictures) == {"frame", "teacher", "student", "regions", "weight"}
    np.testing.assert_array_equal(pictures["teacher"], pictures["student"])
    np.testing.assert_array_equal(pictures["weight"][..., 0], 255 * static)
    regions = report.regions_picture(static > 0, dynamic > 0, frame)
    np.testing.assert_array_equal(pictures["regions"], regions)
    for column, color in ((5, report.STATIC), (30, report.DYNAMIC), (50, report.UNKNOWN)):
        expected = report.PAINT * np.array(color) + (1 - report.PAINT) * 100
        np.testing.assert_allclose(regions[10, column], expected, atol=1)


def test_a_log_that_is_none_is_named(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text(f'step,name\n"{"x" * 200_000}')
    with pytest.raises(ValueError, match=r"log\.csv: cannot be read as CSV"):
        report.read_curve(log, "train/loss")
    log.write_text("step,name,value\none,train/loss,1\n")
    with pytest.raises(ValueError, match=r"log\.csv: no log of a training"):
        report.read_curve(log, "train/loss")


def test_the_second_stage_comes_behind_the_first(tmp_path):
    logs = {
        "teacher": "5,1,train/loss,0.5\n10,2,train/loss,0.4\n10,2,val/static_abs_rel,0.3\n",
        "student": "3,1,train/loss,0.2\n3,1,train/forgetting_factor,0.05\n"
        "3,1,train/filter_static,0.6\n3,1,val/static_abs_rel,0.2\n",
    }
    for name, text in logs.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "log.csv").write_text(HEAD + text)
    loss, factor, error, regions = report.stage_curves(*(tmp_path / name for name in logs)).values()
    assert loss == {"teacher": ((5, 0.5), (10, 0.4)), "student": ((13, 0.2),)}
    assert factor == {"student": ((13, 0.05),)}
    assert error == {"teacher": ((10, 0.3),), "student": ((13, 0.2),)}
    assert regions == {"static": ((3, 0.6),)}


def test_lines_have_names_and_share_their_axes():
    lines = {"a": ((0, 1.0), (4, 3.0)), "b<": ((0, 3.0), (4, 1.0))}
    svg = report.line_chart("x", lines)
    assert svg == report.line_chart("x", lines)
    assert svg.startswith('<svg role="img" aria-label="x"')
    first, second = (
        [float(y) for y in re.findall(r"[ML] [\d.]+ ([\d.]+)", group.split("</g>")[0])[:2]]
        for group in (svg.split(f'id="{name}"')[1] for name in ("a", "b&lt;"))
    )
    assert first == pytest.approx(second[::-1])
    assert ">b&lt;</text>" in svg
