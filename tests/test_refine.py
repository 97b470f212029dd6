"""Refinement: a copy of the weights learns from the clip; the file does not change."""

import numpy as np
import pytest
import torch

from ssmde.config import Config, DataConfig, ModelConfig, dump_config
from ssmde.data.drawn import draw_clip
from ssmde.data.video import write_video
from ssmde.methods.teacher import build_networks
from ssmde.models.load import save_weights
from ssmde.prediction.camera import AskedCamera
from ssmde.prediction.loading import load
from ssmde.refine import refine

SIZE = (64, 96)
CONFIG = Config(
    data=DataConfig(image_size=SIZE), model=ModelConfig(pretrained="none", initial_depth=3.0)
)
CAMERA = AskedCamera(hfov_degrees=65.0)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    depth_net, pose_net = build_networks(CONFIG.model, CONFIG.loss)
    tensors = {f"depth_net.{k}": v for k, v in depth_net.state_dict().items()}
    tensors |= {f"pose_net.{k}": v for k, v in pose_net.state_dict().items()}
    path = tmp_path_factory.mktemp("run") / "best.safetensors"
    about = {"format": "ssmde-depth", "version": "1", "config": dump_config(CONFIG)}
    save_weights(path, tensors, about)
    return path


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    clip = draw_clip("wall", frames=9, size=SIZE, seed=1)
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    with write_video(path, 10.0) as append:
        for image in clip.images:
            append(image)
    return path


@pytest.mark.slow
def test_the_clip_is_learnt_from_and_the_file_stays_as_it_was(weights, film, capsys):
    before = weights.read_bytes()
    refined = refine(weights, film, steps=12, camera=CAMERA, learning_rate=3e-4)
    assert weights.read_bytes() == before
    image = np.full((*SIZE, 3), 90, np.uint8)
    original = load(weights, device="cpu").predict(image).depth
    assert np.abs(refined.predict(image).depth / original - 1).max() > 0.01
    assert "refined 12 steps" in refined.source
    said = capsys.readouterr().err
    first, last = (float(said.split("loss ")[1].split()[i]) for i in (0, 3))
    assert last < first
    assert "65 degrees wide" in said


def test_the_same_seed_gives_the_same_weights(weights, film):
    a, b = (refine(weights, film, steps=2, camera=CAMERA, seed=3) for _ in range(2))
    for x, y in zip(a.network.parameters(), b.network.parameters(), strict=True):
        assert torch.equal(x, y)


def test_a_clip_too_short_and_weights_without_motion_are_refused(weights, film, tmp_path):
    with pytest.raises(ValueError, match="a clip of at least 3 frames, got 2"):
        refine(weights, film, steps=2, max_frames=2)
    with pytest.raises(ValueError, match="1 step or more, got 0"):
        refine(weights, film, steps=0)
    about = {"format": "ssmde-depth", "version": "1", "config": dump_config(CONFIG)}
    save_weights(tmp_path / "alone.safetensors", {"depth_net.a": torch.zeros(2)}, about)
    with pytest.raises(ValueError, match="holds no pose network"):
        refine(tmp_path / "alone.safetensors", film, steps=1)
