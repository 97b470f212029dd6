"""What a finished run makes of held-out frames, and the pictures of it."""

import io
from base64 import b64decode

import numpy as np
import pytest
import torch
from PIL import Image

from ssmde.config import Config, DataConfig, LossConfig, ModelConfig, StudentConfig
from ssmde.data.scene_folder import read_scene
from ssmde.methods.teacher import build_networks
from ssmde.models.checkpoint import save_weights
from ssmde.reporting.report import (
    DYNAMIC,
    PAINT,
    STATIC,
    UNKNOWN,
    StudentMaps,
    embedded,
    example,
    finished_student,
    regions_picture,
    student_maps,
)
from ssmde.synthetic import draw_clip, write_clip

SIZE = (32, 64)
MODEL = ModelConfig(encoder="resnet18_half")
LOG = "step,cpu_seconds,name,value\n5,1,train/filter_motion_threshold,0.3\n"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of stage 2 with networks that never learnt, and a held-out scene."""
    folder = tmp_path_factory.mktemp("run")
    write_clip(draw_clip("room", frames=7, size=SIZE, movers="across", seed=1), folder / "room")
    for number, name in enumerate(("teacher", "student")):
        torch.manual_seed(number)
        depth_net, pose_net = build_networks(MODEL, LossConfig())
        parts = {"depth_net.": depth_net, "pose_net.": pose_net}
        tensors = {p + k: v for p, net in parts.items() for k, v in net.state_dict().items()}
        save_weights(folder / f"{name}.safetensors", tensors, {})
    (folder / "log.csv").write_text(LOG + "9,2,train/filter_motion_threshold,0.5\n")
    config = Config(
        method="student",
        model=MODEL,
        data=DataConfig(root=folder, image_size=SIZE, workers=0, poses="tracked"),
        student=StudentConfig(teacher=folder / "teacher.safetensors"),
    )
    return folder, config


@pytest.fixture(scope="module")
def student(finished):
    folder, config = finished
    return finished_student(config, folder / "student.safetensors", folder / "log.csv")


def test_a_finished_student_has_its_own_weights_and_the_last_threshold(student):
    own, taught = student.depth_net.state_dict(), student.teacher.depth_net.state_dict()
    key = "encoder.conv1.weight"
    assert not torch.equal(own[key], taught[key])
    values, mask = torch.rand(1, 1, 4, 4), torch.ones(1, 1, 4, 4, dtype=torch.bool)
    assert float(student.mask_filter.threshold(values, mask)) == pytest.approx(0.5)
    assert not student.training
    assert student.pseudo_depth is None


def test_frames_are_looked_at_without_poses_where_held_out_scenes_have_none(finished, student):
    folder, config = finished
    scene = read_scene(folder / "room")
    looks = student_maps(student, config.data, [scene], count=2)
    assert len({look.name for look in looks}) == 2
    for look in looks:
        assert look.student.shape == look.teacher.shape == look.weight.shape == SIZE
        assert not (look.static & look.dynamic).any()
        assert 0 <= look.weight.min() <= look.weight.max() <= 1
    with pytest.raises(ValueError, match="room"):  # too short for a snippet
        student_maps(student, config.data, [scene.part(0, 2)], count=2)


def made_up() -> StudentMaps:
    static, dynamic = np.zeros(SIZE, bool), np.zeros(SIZE, bool)
    static[:, :20], dynamic[:, 20:40] = True, True
    depth = np.linspace(1, 4, SIZE[0] * SIZE[1], dtype=np.float32).reshape(SIZE)
    return StudentMaps(
        name="room/000001", teacher=depth / 7, student=depth, static=static, dynamic=dynamic,
        weight=static.astype(np.float32),
    )  # fmt: skip


def test_each_region_has_its_color_over_the_gray_frame():
    frame = np.full((64, 128, 3), 100, np.uint8)
    picture = regions_picture(made_up(), frame)
    for column, color in ((5, STATIC), (30, DYNAMIC), (50, UNKNOWN)):
        expected = PAINT * np.array(color) + (1 - PAINT) * 100
        np.testing.assert_allclose(picture[10, column], expected, atol=1)


def test_a_teacher_of_another_unit_looks_like_a_student_of_the_same_shape():
    shown = example(made_up(), np.zeros((64, 128, 3), np.uint8))
    assert set(shown.sources) == {"frame", "teacher", "student", "regions", "weight"}
    assert shown.sources["teacher"] == shown.sources["student"]
    assert shown.errors is None


def test_an_embedded_picture_is_the_picture():
    picture = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    head, data = embedded(picture).split(",")
    assert head == "data:image/png;base64"
    with Image.open(io.BytesIO(b64decode(data))) as image:
        np.testing.assert_array_equal(np.asarray(image), picture)
