"""EfficientNet-Lite: the published arithmetic, held against an independent implementation."""

from itertools import pairwise

import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet
from torch.testing import assert_close

from ssmde.models.efficientnet_lite import EfficientNetLite, SameConv
from ssmde.models.registry import build_encoder, installed_weights

EVEN = 224  # the oracle pads for one size; at 224 every map has even sides, as ours always have


def oracle_maps(oracle: EfficientNet, image: torch.Tensor) -> list[torch.Tensor]:
    """What comes out of the last block of each size."""
    x = oracle._swish(oracle._bn0(oracle._conv_stem(image)))
    outputs = []
    for block in oracle._blocks:
        x = block(x)
        outputs.append(x)
    last_of_a_size = [a for a, b in pairwise(outputs) if a.shape[-1] != b.shape[-1]]
    return [*last_of_a_size, outputs[-1]]


def shaken(oracle: EfficientNet) -> EfficientNet:
    """Random statistics and weights of the normalisations too, so that each of them counts."""
    torch.manual_seed(0)
    for module in oracle.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.3)
    return oracle.double().eval()


def assert_maps_agree(net, oracle):
    image = torch.randn(1, 3, 96, 160, dtype=torch.float64)
    with torch.no_grad():
        ours, theirs = net(image), oracle_maps(oracle, image)
    assert [m.shape[-1] for m in ours] == [80, 40, 20, 10, 5]
    for a, b in zip(ours, theirs, strict=True):
        assert_close(a, b, rtol=1e-5, atol=1e-5 * float(b.abs().max()))


@pytest.mark.parametrize("size", [0, 1, 2])
def test_random_weights_of_the_oracle_give_its_five_maps(size):
    oracle = shaken(EfficientNet.from_name(f"efficientnet-lite{size}", image_size=EVEN))
    net = build_encoder(f"efficientnet_lite{size}").double().eval()
    weights = {
        k: v
        for k, v in oracle.state_dict().items()
        if not k.startswith(EfficientNetLite.classifier)
    }
    net.load_state_dict(weights, strict=True)
    assert_maps_agree(net, oracle)


@pytest.mark.slow
@pytest.mark.parametrize("size", [0, 1, 2])
def test_the_published_weights_give_the_maps_of_the_oracle(size):
    name = f"efficientnet_lite{size}"
    oracle = EfficientNet.from_name(name.replace("_", "-"), image_size=EVEN)
    oracle.load_state_dict(torch.load(installed_weights(name), weights_only=True))
    assert_maps_agree(build_encoder(name, "imagenet").double().eval(), oracle.double().eval())


@pytest.mark.parametrize(("kernel", "first"), [(3, 0), (5, 1)])
def test_a_strided_convolution_pads_as_tensorflow_does(kernel, first):
    """The window of output 0 begins `first` pixels before the map, so `first` taps see nothing."""
    conv = SameConv(1, 1, kernel, 2)
    torch.nn.init.ones_(conv.weight)
    row = torch.zeros(1, 1, 8, 8)
    row[..., 0] = 1  # the first column: seen by output 0 through one column of taps
    out = conv(row)
    assert out.shape == (1, 1, 4, 4)
    assert out[0, 0, 1, 0] == kernel
    assert out[0, 0, 0, 0] == kernel - first
    assert out[0, 0, 1, 1] == 0
