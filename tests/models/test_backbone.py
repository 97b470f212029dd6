"""Encoders of transformers, from a configuration in a folder: no network, no downloaded weights."""

import json
import sys

import pytest
import torch

from ssmde.config import Config, DataConfig, ModelConfig, dump_config
from ssmde.data.images import write_image
from ssmde.exporting import drawn_pictures, export
from ssmde.inference.loading import load
from ssmde.inference.predictor import Predictor
from ssmde.models.backbone import BACKBONE_KEY, architecture_of, build_backbone
from ssmde.models.checkpoint import save_weights
from ssmde.models.depth_net import DepthNet

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.slow  # `make test` does not install it
SIZES = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}
STORED = {"model_type": "convnextv2", **SIZES}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    """A ConvNeXt V2 of a few thousand parameters."""
    path = tmp_path_factory.mktemp("convnext")
    transformers.ConvNextV2Config(**SIZES).save_pretrained(path)
    return str(path)


def test_a_backbone_gives_the_five_maps_of_an_encoder_and_learns(folder):
    net = DepthNet(encoder=f"hf:{folder}")
    assert net.encoder.channels == (32, 8, 16, 24, 32)
    maps = net.encode(torch.rand(2, 3, 64, 96))
    assert [tuple(x.shape) for x in maps] == [
        (2, width, 64 >> k, 96 >> k) for k, width in enumerate(net.encoder.channels, start=1)
    ]
    net(torch.rand(2, 3, 64, 96)).log().mean().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None] == []


def test_trained_weights_with_a_backbone_load_again(folder, tmp_path, monkeypatch):
    net = DepthNet(encoder=f"hf:{folder}").eval()
    config = Config(data=DataConfig(image_size=(64, 96)), model=ModelConfig(encoder=f"hf:{folder}"))
    metadata = {"format": "ssmde-depth", "version": "1", "config": dump_config(config)}
    tensors = {f"depth_net.{key}": value for key, value in net.state_dict().items()}
    file, image = tmp_path / "w.safetensors", torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        wanted = net(image)
        save_weights(file, tensors, metadata)
        found = load(file, device="cpu", trust=True).network(image)
        torch.testing.assert_close(found, wanted)
        # As `ssmde train` writes them: the architecture is in the file, and nobody is asked.
        stored = {BACKBONE_KEY: architecture_of(net.encoder.backbone)}
        save_weights(file, tensors, metadata | stored)
        monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", pytest.fail)
        found = load(file, device="cpu").network(image)
        torch.testing.assert_close(found, wanted)


def test_a_file_that_names_an_encoder_makes_nobody_ask_for_it(tmp_path, monkeypatch):
    config = Config(model=ModelConfig(encoder="hf:nobody/such-a-backbone"))
    metadata = {"format": "ssmde-depth", "version": "1", "config": dump_config(config)}
    save_weights(tmp_path / "w.safetensors", {"depth_net.a": torch.zeros(1)}, metadata)
    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", pytest.fail)
    with pytest.raises(ValueError, match=r"w\.safetensors: .* hf:nobody/such-a-backbone.*--trust"):
        load(tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        ({"model_type": "timm_backbone"}, "model_type 'timm_backbone' is none of"),
        ({"hidden_sizes": [8, 16, 24, 10**9]}, "hidden_sizes is out of bounds"),
        ({"depths": [10**6, 1, 1, 1]}, "depths is out of bounds"),
        ({"hidden_sizes": [9000] * 4, "depths": [9, 9, 9, 9]}, "more than 1e.09"),
        ({"hidden_sizes": "x"}, "cannot be built"),
    ],
)
def test_a_stored_architecture_out_of_bounds_is_not_built(odd, message):
    assert build_backbone(json.dumps(STORED)).channels == (32, 8, 16, 24, 32)
    with pytest.raises(ValueError, match=f"the stored backbone .*{message}"):
        build_backbone(json.dumps(STORED | odd))


def test_a_stored_architecture_leads_nowhere_else(monkeypatch):
    leads = {
        "attn_implementation": "somebody/kernel", "_attn_implementation": "somebody/kernel",
        "auto_map": {"AutoBackbone": "somebody/code--model.Net"}, "_name_or_path": "somebody/code",
    }  # fmt: skip
    config = build_backbone(json.dumps(STORED | leads)).backbone.config
    assert "somebody" not in config.to_json_string()
    assert "somebody" not in str(config._attn_implementation)


def test_a_backbone_whose_maps_do_not_fit_is_refused(tmp_path):
    transformers.ConvNextV2Config(**SIZES, patch_size=2).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"needs maps at 1/4, .* this\s+backbone gives"):
        build_backbone(str(tmp_path))


def test_what_cannot_be_had_is_named(tmp_path, monkeypatch):
    with pytest.raises(ConnectionError, match=r"cannot open the backbone .*nothing"):
        build_backbone(str(tmp_path / "nothing"))
    with pytest.raises(ValueError, match=r"must be none or hub, got x\.pth"):
        build_backbone(str(tmp_path), "x.pth")
    with pytest.raises(ValueError, match=r"model\.encoder must be resnet18, .* got 'vgg'"):
        ModelConfig(encoder="vgg")

    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match=r"pip install 'ssmde\[backbones\]'"):
        build_backbone(str(tmp_path))


@pytest.mark.parametrize("ending", [".onnx", ".xml"])
def test_an_exported_backbone_says_what_the_predictor_says(folder, tmp_path, ending):
    torch.manual_seed(1)
    net = DepthNet(encoder=f"hf:{folder}")
    torch.nn.init.normal_(net.decoder.heads["0"].weight, std=0.25)
    predictor = Predictor(net, (64, 96))
    write_image(tmp_path / "a.png", drawn_pictures(1)[0])
    depth = predictor.predict(tmp_path / "a.png").depth
    assert depth.std() / depth.mean() > 0.05
    report = export(predictor, tmp_path / f"net{ending}")
    assert max(d.most for d in report.differences) < 1e-3
