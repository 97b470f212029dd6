"""What stands in a weights file becomes a predictor, and what is none is refused by its name."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ssmde.config import Config, DataConfig, LossConfig, ModelConfig, dump_config
from ssmde.inference import load
from ssmde.models.checkpoint import save_weights
from ssmde.models.depth_net import DepthNet

SIZE = (64, 96)
CONFIG = Config(
    data=DataConfig(image_size=SIZE),
    model=ModelConfig(encoder="resnet18_half", pretrained="hub", depth_range=(0.5, 20.0)),
    loss=LossConfig(scales=(0, 2)),
)


@pytest.fixture(scope="module")
def network() -> DepthNet:
    torch.manual_seed(1)
    model, scales = CONFIG.model, CONFIG.loss.scales
    return DepthNet(encoder=model.encoder, depth_range=model.depth_range, scales=scales).eval()


def metadata(**changes: str) -> dict[str, str]:
    return {"format": "ssmde-depth", "version": "1", "config": dump_config(CONFIG)} | changes


@pytest.fixture(scope="module")
def run(tmp_path_factory, network) -> Path:
    folder = tmp_path_factory.mktemp("run")
    tensors = {f"depth_net.{key}": value for key, value in network.state_dict().items()}
    tensors["pose_net.convolution.weight"] = torch.zeros(2)
    save_weights(folder / "last.safetensors", tensors, metadata())
    return folder


def test_loaded_weights_say_what_the_network_said(run, network):
    predictor = load(run, device="cpu")
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        expected = network(image)[0, 0].numpy()
    np.testing.assert_allclose(predictor.predict(pixels).depth, expected, rtol=1e-5)
    assert predictor.image_size == SIZE
    assert predictor.depth_range == (0.5, 20.0)
    assert predictor.source == str(run)


def test_a_run_folder_gives_its_best_weights_before_its_last(run, tmp_path):
    (tmp_path / "last.safetensors").write_text("not read")
    (tmp_path / "best.safetensors").write_bytes((run / "last.safetensors").read_bytes())
    assert load(tmp_path).image_size == SIZE


def test_stored_sizes_are_those_of_the_training_unless_one_is_asked_for(tmp_path, network):
    config = replace(CONFIG, data=replace(CONFIG.data, more_sizes=((96, 64),)))
    tensors = {f"depth_net.{key}": value for key, value in network.state_dict().items()}
    save_weights(tmp_path / "w.safetensors", tensors, metadata(config=dump_config(config)))
    assert load(tmp_path / "w.safetensors", device="cpu").size_for((640, 480)) == (96, 64)
    asked = load(tmp_path / "w.safetensors", resolution=(32, 32), device="cpu")
    assert asked.size_for((640, 480)) == (32, 32)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "pt"}, r"no depth network of this project \(format 'pt'"),
        ({"version": "2"}, "is of format version 2, this package reads version 1"),
        ({"config": "model: {depth: 3}"}, r"stored configuration cannot be read.*model\.depth"),
        ({}, "does not fit this DepthNet: missing: depth_net"),
    ],
)
def test_weights_of_another_kind_are_refused(tmp_path, changes, message):
    save_weights(tmp_path / "bad.safetensors", {"a": torch.zeros(2)}, metadata(**changes))
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "bad.safetensors")


def test_what_is_no_weights_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file or folder; give a"):
        load(tmp_path / "gone")
    with pytest.raises(FileNotFoundError, match=r"holds neither best\.safetensors nor last"):
        load(tmp_path)
    (tmp_path / "a.safetensors").write_text("hello")
    with pytest.raises(ValueError, match="is not a whole safetensors file"):
        load(tmp_path / "a.safetensors")
