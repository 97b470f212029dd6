"""LeReS: the official blocks and names, depth up to scale and shift, and every file of weights."""

import hashlib
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch.testing import assert_close

from ssmde.models import leres

COUNTER = "num_batches_tracked"
NAME = "decoder_modules.ffm1.ftb2.conv1.weight"


@cache
def empty_network(backbone):
    with torch.device("meta"):
        return leres.LeReS(backbone)


def shake_norms(module):
    """Statistics and weights that are no identity, as if trained."""
    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(layer.running_var, 0.5, 2.0)
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
            torch.nn.init.uniform_(layer.bias, -0.5, 0.5)
    return module.eval()


# What the official code computes, written down with functions and the names of its weights.


def conv(x, weights, name):
    return F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1)


def norm(x, weights, name):
    keys = ("running_mean", "running_var", "weight", "bias")
    return F.batch_norm(x, *(weights[f"{name}.{key}"] for key in keys))


def official_ftb(x, weights, name, *, in_place=True):
    skip = conv(x, weights, f"{name}conv1")
    # nn.ReLU(inplace=True) is the first layer of the branch: it writes into the skip
    branch = F.relu_(skip) if in_place else F.relu(skip)
    branch = conv(branch, weights, f"{name}conv_branch.1")
    branch = norm(branch, weights, f"{name}conv_branch.2").clamp(min=0)
    return F.relu(skip + conv(branch, weights, f"{name}conv_branch.4"))


def official_decoder(maps, weights):
    def double(x):
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)

    x = double(conv(official_ftb(maps[3], weights, "conv."), weights, "conv1"))
    for name, lateral in (("ffm2", maps[2]), ("ffm1", maps[1]), ("ffm0", maps[0])):
        x = official_ftb(lateral, weights, f"{name}.ftb1.") + x
        x = double(official_ftb(x, weights, f"{name}.ftb2."))
    x = norm(conv(x, weights, "outconv.adapt_conv.0"), weights, "outconv.adapt_conv.1")
    return double(conv(x.clamp(min=0), weights, "outconv.adapt_conv.3"))


def test_a_transfer_block_is_the_official_one_with_its_rectifier_in_place():
    block = shake_norms(leres.TransferBlock(5, 6)).double()
    x = torch.randn(2, 5, 4, 7, dtype=torch.float64)
    assert_close(block(x), official_ftb(x, block.state_dict(), ""))
    other = official_ftb(x, block.state_dict(), "", in_place=False)
    assert (block(x) - other).abs().max() > 0.1  # the difference is not a small one


@pytest.mark.parametrize(
    ("backbone", "tensors", "millions", "digest"),
    [("resnet50", 406, 52.13, "79e3566d363085f7"), ("resnext101", 712, 115.36, "e0d073d194411501")],
)
def test_names_and_number_of_weights_are_the_official_ones(backbone, tensors, millions, digest):
    state = empty_network(backbone).state_dict()
    assert len(state) == tensors
    assert round(sum(p.numel() for p in empty_network(backbone).parameters()) / 1e6, 2) == millions
    names = "\n".join(sorted(state)).encode()
    assert hashlib.sha256(names).hexdigest().startswith(digest)  # of the released files


@pytest.fixture(scope="module")
def net():
    """A whole network of numbers that cost no time to draw."""
    with torch.device("meta"):
        net = leres.LeReS()
    net.to_empty(device="cpu")
    wave = torch.arange(997.0).sin().repeat(9500)
    for key, value in net.state_dict().items():
        if value.ndim == 4:
            value.copy_(wave[: value.numel()].view(value.shape) / value[0].numel() ** 0.5)
        else:
            value.fill_(1 if key.endswith(("var", "weight")) else 0)
    return shake_norms(net)


def test_the_decoder_gets_the_maps_of_the_normalized_image_and_adds_no_activation(net):
    image = torch.rand(1, 3, 64, 32)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.no_grad():
        maps = net.encoder_modules["encoder"]((image - mean) / std)[1:]
        raw = official_decoder(maps, net.decoder_modules.state_dict())
        assert_close(net(image), raw)
        bias = net.decoder_modules.outconv.adapt_conv[3].bias
        bias -= 2 * raw.abs().max()
        assert (net(image) < 0).all()  # neither rectified nor squashed
        bias += 2 * raw.abs().max()
    with pytest.raises(ValueError, match="multiples of 32, got 64 x 40"):
        net.predict_depth(image, size=(64, 40))


def test_depth_has_the_size_of_the_image_and_the_nearest_pixel_of_each_gets_a_hundredth(net):
    assert leres.INFERENCE_SIZE == (448, 448)  # what LeReS was trained on
    images = torch.rand(2, 3, 32, 64)
    raw = net(images).detach()
    lowest = raw.amin((1, 2, 3), keepdim=True)
    assert_close(net.predict_depth(images, size=(32, 64)), raw - lowest + 0.01)
    depth = net.predict_depth(torch.rand(2, 3, 37, 51), size=(32, 64))
    assert depth.shape == (2, 1, 37, 51)
    assert not depth.requires_grad
    assert (depth >= 0.01 - 1e-6).all()


# Files


def make_state(backbone="resnet50", prefix="depth_model."):
    """State dict of the official layout; tensor i is full of i, and takes no room."""
    return {
        prefix + key: torch.tensor(i, dtype=t.dtype).expand(t.shape)
        for i, (key, t) in enumerate(empty_network(backbone).state_dict().items())
    }


def save(path, content, **options):
    torch.save(content, path, **options)
    return path


@pytest.mark.parametrize("module", ["", "module."])
@pytest.mark.parametrize("layout", ["official", "self-trained", "bare"])
def test_every_layout_gives_the_tensors_of_the_network(layout, module):
    state = make_state("resnext101", prefix="")
    given = {f"{module}depth_model.{key}": value for key, value in state.items()}
    content = given
    if layout == "official":
        content = {"depth_model": given, "shift_model": {}, "focal_model": {}}
    elif layout == "self-trained":
        given[f"{module}depth_model.auxi_modules.conv.weight"] = torch.ones(2)
        given[f"{module}losses.weight"] = torch.ones(1)
        content = {"step": 7, "model_state_dict": given, "optimizer": {"param_groups": [{}]}}
    tensors = leres.network_tensors(content, origin="file")
    assert list(tensors) == list(state)
    assert all(tensors[key] is value for key, value in state.items())
    assert leres.find_backbone(tensors, origin="file") == "resnext101"


def test_a_file_becomes_its_network_in_evaluation_mode(tmp_path):
    state = make_state(prefix="module.depth_model.")
    net = leres.load_leres(save(tmp_path / "leres.pth", {"depth_model": state}))
    for i, (key, tensor) in enumerate(net.state_dict().items()):
        assert tensor.flatten()[[0, -1]].tolist() == [i, i], key
    assert not any(module.training for module in net.modules())


def test_a_file_from_before_pytorch_1_6_and_one_of_half_precision_are_read(tmp_path):
    state = {key: t for key, t in make_state().items() if not key.endswith(COUNTER)}
    content = {"depth_model": state}
    old = save(tmp_path / "old.pth", content, _use_new_zipfile_serialization=False)
    found = leres.load_leres(old).state_dict()
    assert found[NAME].flatten()[0] == state[f"depth_model.{NAME}"].flatten()[0]
    assert all(t == 0 for key, t in found.items() if key.endswith(COUNTER))
    half = {key: t.half() if t.is_floating_point() else t for key, t in found.items()}
    save_file(half, tmp_path / "leres.safetensors")
    net = leres.load_leres(tmp_path / "leres.safetensors")
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    assert torch.equal(net.state_dict()[NAME], found[NAME])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.ones(1)], "file must hold .*'model_state_dict', got a list"),
        ({"depth_model": 3}, "file must hold .*'model_state_dict', got a int"),
        ({"shift_model": {"a": torch.ones(1)}, "epoch": 3}, "got also shift_model, epoch"),
        ({"x.layer3.35.bn": torch.ones(1)}, r"no LeReS .* 23 \(resnext101\) blocks, got 1; it hol"),
        ({}, "got 0; it holds nothing"),
    ],
)
def test_what_is_no_leres_is_refused(content, message):
    with pytest.raises(ValueError, match=message):
        leres.find_backbone(leres.network_tensors(content, origin="file"), origin="file")
