"""Weights of other projects load strictly, and mean what their authors' formulas say.

The formulas are written out here, in plain operations on the tensors by their public names.
"""

import argparse
from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close

from ssmde.inference.loading import load
from ssmde.models.foreign import load_foreign
from ssmde.models.resnet import resnet18

WIDTHS = (16, 32, 64, 128, 256)  # of the decoder, fine to coarse


def resnet18_state(prefix: str) -> dict[str, Tensor]:
    """A ResNet-18 with classifier under torchvision's names; random, with statistics of its own."""
    state: dict[str, Tensor] = {}
    for key, value in resnet18().state_dict().items():
        if value.ndim == 4:
            value = torch.randn_like(value) / value[0].numel() ** 0.5
        elif key.endswith("running_var"):
            value = 0.5 + torch.rand_like(value)
        elif value.ndim == 1:  # of a normalization
            value = value + 0.1 * torch.randn_like(value)
        state[prefix + key] = value
    return state | {f"{prefix}fc.weight": torch.randn(10, 512), f"{prefix}fc.bias": torch.ones(10)}


def decoder_state(names: dict[tuple[str, int], str]) -> dict[str, Tensor]:
    """The decoder's tensors; `names` maps (upconv0 | upconv1 | disp, scale) to a public name."""
    skips = (0, 64, 64, 128, 256)
    state: dict[str, Tensor] = {}
    for (part, i), name in names.items():
        inside = WIDTHS[i] + (skips[i] if part == "upconv1" else 0)
        if part == "upconv0":
            inside = 512 if i == 4 else WIDTHS[i + 1]
        out, gain = (1, 6.0) if part == "disp" else (WIDTHS[i], 1.5)
        state[f"{name}.weight"] = gain * torch.randn(out, inside, 3, 3) / (9 * inside) ** 0.5
        state[f"{name}.bias"] = 0.1 * torch.randn(out)
    return state


MONODEPTH2 = {("disp", s): f"decoder.{10 + s}.conv" for s in range(4)}
SC_DEPTH = {("disp", s): f"depth_net.decoder.dispconvs.{s}.conv" for s in range(4)}
for k, i in product(range(2), range(5)):
    MONODEPTH2[f"upconv{k}", i] = f"decoder.{2 * (4 - i) + k}.conv.conv"
    SC_DEPTH[f"upconv{k}", i] = f"depth_net.decoder.upconvs{k}.{4 - i}.conv.conv"


def encode(state: dict[str, Tensor], prefix: str, x: Tensor) -> list[Tensor]:
    """Five maps of a ResNet-18, in evaluation mode."""

    def norm(name: str, x: Tensor) -> Tensor:
        keys = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(state[f"{prefix}{name}.{k}"].double() for k in keys))

    def conv(name: str, x: Tensor, stride: int, padding: int) -> Tensor:
        weight = state[f"{prefix}{name}.weight"].double()
        return F.conv2d(x, weight, stride=stride, padding=padding)

    x = norm("bn1", conv("conv1", x, 2, 3)).relu()
    maps = [x]
    x = F.max_pool2d(x, 3, 2, 1)
    for stage in range(1, 5):
        for block in range(2):
            name, stride = f"layer{stage}.{block}", 2 if block == 0 and stage > 1 else 1
            y = norm(f"{name}.bn1", conv(f"{name}.conv1", x, stride, 1)).relu()
            y = norm(f"{name}.bn2", conv(f"{name}.conv2", y, 1, 1))
            if stride == 2:
                x = norm(f"{name}.downsample.1", conv(f"{name}.downsample.0", x, 2, 0))
            x = (x + y).relu()
        maps.append(x)
    return maps


def decode(state, names, maps: list[Tensor], upsampling: str) -> Tensor:
    """The sigmoid at full size."""

    def conv(key: tuple[str, int], x: Tensor) -> Tensor:
        weight, bias = (state[f"{names[key]}.{kind}"].double() for kind in ("weight", "bias"))
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), weight, bias)

    x = maps[-1]
    for i in range(4, -1, -1):
        x = F.elu(conv(("upconv0", i), x))
        x = F.interpolate(x, scale_factor=2, mode=upsampling)
        x = torch.cat([x, maps[i - 1]], 1) if i > 0 else x
        x = F.elu(conv(("upconv1", i), x))
    return torch.sigmoid(conv(("disp", 0), x))


torch.manual_seed(3)  # of which both depths vary
ENCODER, MONODEPTH2_STATE = resnet18_state("encoder."), decoder_state(MONODEPTH2)
SC_DEPTH_STATE = {
    **{f"depth_net.encoder.{key}": value for key, value in ENCODER.items()},
    **decoder_state(SC_DEPTH),
    "pose_net.decoder.conv_squeeze.weight": torch.zeros(256, 512, 1, 1),
}


@pytest.fixture
def monodepth2(tmp_path):
    extra = {"height": 96, "width": 128, "use_stereo": False}
    torch.save(ENCODER | extra, tmp_path / "encoder.pth")
    torch.save(MONODEPTH2_STATE, tmp_path / "depth.pth")
    return tmp_path


@pytest.fixture
def sc_depth(tmp_path):
    options = argparse.Namespace(dataset_name="ddad", resnet_layers=18, lr=1e-4)
    content = {"state_dict": SC_DEPTH_STATE, "hyper_parameters": {"hparams": options}, "epoch": 99}
    torch.save(content, tmp_path / "ddad.ckpt")
    return tmp_path / "ddad.ckpt"


def assert_depth(network, image: Tensor, wanted: Tensor) -> None:
    assert wanted.log().std() > 0.3  # else much would pass
    with torch.no_grad():
        assert_close(network.double().eval()(image), wanted, rtol=1e-6, atol=0)


def test_monodepth2_weights_give_the_depth_of_its_formula_and_load_as_ours(monodepth2):
    (network, size), x = load_foreign(monodepth2), torch.rand(1, 3, 64, 96).double()
    maps = encode(ENCODER, "encoder.", (x - 0.45) / 0.225)
    disparity = decode(MONODEPTH2_STATE, MONODEPTH2, maps, "nearest")
    assert_depth(network, x, 1 / (1 / 100 + (1 / 0.1 - 1 / 100) * disparity))
    assert size == (96, 128)
    predictor = load(monodepth2 / "depth.pth", device="cpu")
    assert (predictor.image_size, predictor.depth_range) == ((96, 128), (0.1, 100.0))
    assert predictor.predict(np.zeros((70, 90, 3), np.uint8)).depth.shape == (70, 90)


def test_sc_depth_weights_give_the_depth_of_its_formula_and_load_as_ours(sc_depth):
    (network, size), x = load_foreign(sc_depth), torch.rand(1, 3, 64, 96).double()
    maps = encode(SC_DEPTH_STATE, "depth_net.encoder.encoder.", (x - 0.45) / 0.225)
    assert_depth(network, x, 1 / (10 * decode(SC_DEPTH_STATE, SC_DEPTH, maps, "bilinear") + 0.01))
    assert size == (384, 640)
    predictor = load(sc_depth, resolution=(64, 96), device="cpu")
    assert (predictor.image_size, predictor.depth_range) == ((64, 96), (1 / 10.01, 100.0))
    torch.save({"state_dict": SC_DEPTH_STATE}, sc_depth)
    assert load_foreign(sc_depth)[1] == (256, 320)  # of an unknown data set: the usual one


def test_a_fault_is_named_as_the_file_names_it(monodepth2, sc_depth):
    decoder = dict(MONODEPTH2_STATE)
    weight = decoder.pop("decoder.3.conv.conv.weight")
    torch.save(decoder | {"decoder.14.conv.weight": weight}, monodepth2 / "depth.pth")
    with pytest.raises(ValueError, match=r"depth\.pth does not fit") as caught:
        load_foreign(monodepth2)
    assert "missing: decoder.3.conv.conv.weight" in str(caught.value)
    assert "unexpected: decoder.14.conv.weight" in str(caught.value)
    name, extra = "depth_net.decoder.dispconvs.2.conv.bias", "depth_net.encoder.encoder.extra"
    odd = {name: torch.zeros(3), extra: torch.zeros(3)}
    torch.save({"state_dict": SC_DEPTH_STATE | odd}, sc_depth)
    message = rf"unexpected: {extra}; wrong shape: {name} is \(3,\) instead of \(1,\)"
    with pytest.raises(ValueError, match=message):
        load_foreign(sc_depth)


def test_an_encoder_alone_a_missing_half_and_an_encoder_of_another_kind_are_refused(tmp_path):
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "resnet18.pth")
    with pytest.raises(ValueError, match=r"without a decoder.*--model\.pretrained"):
        load(tmp_path / "resnet18.pth")
    torch.save({"state_dict": {"a.b": torch.zeros(1)}}, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match=r"no depth network of Monodepth2 .* it holds a\.b"):
        load(tmp_path / "other.ckpt")
    torch.save({"encoder.layer3.0.x": torch.zeros(1)}, tmp_path / "encoder.pth")
    with pytest.raises(ValueError, match="its encoder is no ResNet-18, -34 or -50"):
        load_foreign(tmp_path)
    (tmp_path / "encoder.pth").rename(tmp_path / "depth.pth")
    with pytest.raises(FileNotFoundError, match=r"encoder\.pth"):
        load(tmp_path)
