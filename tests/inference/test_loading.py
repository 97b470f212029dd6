"""What stands in a weights file becomes a predictor, and what is none is refused by its name."""

import pytest
import torch

from ssmde.config import Config, DataConfig, LossConfig, ModelConfig, dump_config
from ssmde.inference import load
from ssmde.models.checkpoint import save_weights
from ssmde.models.depth_net import DepthNet

CONFIG = Config(
    data=DataConfig(image_size=(64, 96), more_sizes=((96, 64),)),
    model=ModelConfig(encoder="resnet18_half", pretrained="hub", depth_range=(0.5, 20.0)),
    loss=LossConfig(scales=(0, 2)),
)
HEAD = {"format": "ssmde-depth", "version": "1", "config": dump_config(CONFIG)}


def test_the_best_weights_of_a_run_are_loaded_before_its_last_as_they_were_saved(tmp_path):
    torch.manual_seed(1)
    model = CONFIG.model
    network = DepthNet(encoder=model.encoder, depth_range=model.depth_range, scales=(0, 2)).eval()
    tensors = {f"depth_net.{key}": value for key, value in network.state_dict().items()}
    save_weights(tmp_path / "best.safetensors", {**tensors, "pose_net.x": torch.zeros(2)}, HEAD)
    (tmp_path / "last.safetensors").write_text("not read")
    predictor, image = load(tmp_path, device="cpu"), torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(predictor.network(image), network(image))
    assert (predictor.image_size, predictor.depth_range) == ((64, 96), (0.5, 20.0))
    assert predictor.source == str(tmp_path)
    assert predictor.size_for((640, 480)) == (96, 64)
    asked = load(tmp_path, resolution=(32, 32), device="cpu")
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
    save_weights(tmp_path / "bad.safetensors", {"a": torch.zeros(2)}, HEAD | changes)
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "bad.safetensors")


def test_what_is_no_weights_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file or folder; give a"):
        load(tmp_path / "gone")
    with pytest.raises(FileNotFoundError, match=r"holds neither best\.safetensors nor last"):
        load(tmp_path)
