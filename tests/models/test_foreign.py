"""Weights of other projects load strictly, and mean what their authors' formulas say.

The formulas are written out here, in plain operations on the tensors by their public names.
"""

import argparse

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
    return state | {f"{prefix}fc.weight": torch.randn(1000, 512), f"{prefix}fc.bias": torch.ones(1)}


def decoder_state(names: dict[tuple[str, int], str]) -> dict[str, Tensor]:
    """The decoder's tensors; `names` maps (upconv0 | upconv1 | disp, scale) to a public name."""
    skips = (0, 64, 64, 128, 256)
    state: dict[str, Tensor] = {}
    for (part, i), name in names.items():
        out = 1 if part == "disp" else WIDTHS[i]
        inside = WIDTHS[i]
        if part == "upconv0":
            inside = 512 if i == 4 else WIDTHS[i + 1]
        if part == "upconv1":
            inside += skips[i]
        gain = 6.0 if part == "disp" else 1.5
        state[f"{name}.weight"] = gain * torch.randn(out, inside, 3, 3) / (9 * inside) ** 0.5
        state[f"{name}.bias"] = 0.1 * torch.randn(out)
    return state


MONODEPTH2 = {
    **{("upconv0", i): f"decoder.{2 * (4 - i)}.conv.conv" for i in range(5)},
    **{("upconv1", i): f"decoder.{2 * (4 - i) + 1}.conv.conv" for i in range(5)},
    **{("disp", s): f"decoder.{10 + s}.conv" for s in range(4)},
}
SC_DEPTH = {
    **{("upconv0", i): f"depth_net.decoder.upconvs0.{4 - i}.conv.conv" for i in range(5)},
    **{("upconv1", i): f"depth_net.decoder.upconvs1.{4 - i}.conv.conv" for i in range(5)},
    **{("disp", s): f"depth_net.decoder.dispconvs.{s}.conv" for s in range(4)},
}


def encode(state: dict[str, Tensor], prefix: str, x: Tensor) -> list[Tensor]:
    """Five maps of a ResNet-18, in evaluation mode."""

    def norm(name: str, x: Tensor) -> Tensor:
        s = [
            state[f"{prefix}{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias")
        ]
        mean, var, weight, bias = (value.double()[:, None, None] for value in s)
        return (x - mean) / (var + 1e-5).sqrt() * weight + bias

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


@pytest.fixture
def monodepth2(tmp_path):
    encoder = resnet18_state("encoder.")
    decoder = decoder_state(MONODEPTH2)
    extra = {"height": 96, "width": 128, "use_stereo": False}
    torch.save({**encoder, **extra}, tmp_path / "encoder.pth")
    torch.save(decoder, tmp_path / "depth.pth")
    return tmp_path, encoder, decoder


@pytest.fixture
def sc_depth(tmp_path):
    state = {
        **resnet18_state("depth_net.encoder.encoder."),
        **decoder_state(SC_DEPTH),
        "pose_net.decoder.conv_squeeze.weight": torch.zeros(256, 512, 1, 1),
    }
    options = argparse.Namespace(dataset_name="ddad", resnet_layers=18, lr=1e-4)
    content = {"epoch": 99, "state_dict": state, "hyper_parameters": {"hparams": options}}
    torch.save(content, tmp_path / "ddad.ckpt")
    return tmp_path / "ddad.ckpt", state


def assert_depth(found, image: Tensor, wanted: Tensor) -> None:
    assert wanted.log().std() > 0.3  # else much would pass
    with torch.no_grad():
        assert_close(found.network.double().eval()(image), wanted, rtol=1e-6, atol=0)


def test_monodepth2_weights_give_the_depth_of_its_formula(monodepth2):
    folder, encoder, decoder = monodepth2
    found, x = load_foreign(folder), torch.rand(2, 3, 96, 128).double()
    maps = encode(encoder, "encoder.", (x - 0.45) / 0.225)
    disparity = decode(decoder, MONODEPTH2, maps, "nearest")
    assert_depth(found, x, 1 / (1 / 100 + (1 / 0.1 - 1 / 100) * disparity))
    assert (found.image_size, found.project) == ((96, 128), "Monodepth2")


def test_sc_depth_weights_give_the_depth_of_its_formula(sc_depth):
    path, state = sc_depth
    found, x = load_foreign(path), torch.rand(2, 3, 96, 128).double()
    maps = encode(state, "depth_net.encoder.encoder.", (x - 0.45) / 0.225)
    assert_depth(found, x, 1 / (10 * decode(state, SC_DEPTH, maps, "bilinear") + 0.01))
    assert (found.image_size, found.project) == ((384, 640), "SC-Depth")
    torch.save({"state_dict": state}, path)
    assert load_foreign(path).image_size == (256, 320)  # of an unknown data set: the usual one


def test_both_load_as_weights_of_this_project_do(monodepth2, sc_depth):
    pixels = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    for path, size in ((monodepth2[0], (96, 128)), (monodepth2[0] / "depth.pth", (96, 128))):
        predictor = load(path, device="cpu")
        assert predictor.image_size == size
        assert predictor.depth_range == (0.1, 100.0)
        assert predictor.predict(pixels).depth.shape == (70, 90)
    predictor = load(sc_depth[0], resolution=(64, 96), device="cpu")
    assert predictor.image_size == (64, 96)
    assert predictor.depth_range == (1 / 10.01, 100.0)


def test_a_fault_is_named_as_the_file_names_it(monodepth2, sc_depth):
    folder, _, decoder = monodepth2
    weight = decoder.pop("decoder.3.conv.conv.weight")
    torch.save(decoder | {"decoder.14.conv.weight": weight}, folder / "depth.pth")
    with pytest.raises(ValueError, match=r"depth\.pth does not fit") as caught:
        load_foreign(folder)
    assert "missing: decoder.3.conv.conv.weight" in str(caught.value)
    assert "unexpected: decoder.14.conv.weight" in str(caught.value)
    path, state = sc_depth
    name = "depth_net.decoder.dispconvs.2.conv.bias"
    torch.save({"state_dict": state | {name: torch.zeros(3)}}, path)
    with pytest.raises(ValueError, match=rf"{name} is \(3,\) instead of \(1,\)"):
        load_foreign(path)
    torch.save({"state_dict": state | {"depth_net.encoder.encoder.extra": torch.zeros(3)}}, path)
    with pytest.raises(ValueError, match=r"unexpected: depth_net\.encoder\.encoder\.extra"):
        load_foreign(path)


def test_an_encoder_alone_is_told_where_it_belongs(tmp_path):
    torch.save(resnet18_state(""), tmp_path / "resnet18.pth")
    with pytest.raises(ValueError, match=r"without a decoder.*--model\.pretrained"):
        load(tmp_path / "resnet18.pth")
    torch.save({"state_dict": {"a.b": torch.zeros(1)}}, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match=r"no depth network of Monodepth2 .* it holds a\.b"):
        load(tmp_path / "other.ckpt")


def test_a_missing_half_or_an_encoder_of_another_kind_is_refused(monodepth2):
    torch.save({"encoder.layer3.0.x": torch.zeros(1)}, monodepth2[0] / "encoder.pth")
    with pytest.raises(ValueError, match="its encoder is no ResNet-18, -34 or -50"):
        load_foreign(monodepth2[0])
    (monodepth2[0] / "encoder.pth").unlink()
    with pytest.raises(FileNotFoundError, match=r"encoder\.pth"):
        load(monodepth2[0])
