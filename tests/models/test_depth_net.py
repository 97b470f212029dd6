"""The depth network and its decoders: sizes, range, borders, published layers, nothing idle."""

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from ssmde.models import depth_net

NARROW = (8,) * 5


def make_features(height, width, channels=NARROW, batch=1):
    return [
        torch.randn(batch, c, height // 2**k, width // 2**k)
        for k, c in enumerate(channels, start=1)
    ]


@pytest.fixture(scope="module")
def net():
    """A small network after one step of training, with all scales, that reached every parameter."""
    torch.manual_seed(0)
    net = depth_net.DepthNet(encoder="resnet18_half", scales=(0, 1, 2, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
    sum(depth.mean() for depth in net.pyramid(torch.rand(2, 3, 64, 64))).backward()
    assert not [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    optimizer.step()
    return net.eval()


@pytest.mark.parametrize(("batch", "height", "width"), [(1, 32, 32), (2, 64, 96)])
def test_any_multiple_of_32_and_any_batch_comes_back_at_its_size(net, batch, height, width):
    image = torch.rand(batch, 3, height, width)
    before, depth = image.clone(), net(image)
    assert depth.shape == (batch, 1, height, width)
    assert depth.isfinite().all()
    assert_close(copy.deepcopy(net)(image), depth, rtol=0, atol=0)
    assert torch.equal(image, before)


@given(sigmoid=st.floats(0, 1), near=st.floats(0.01, 1), ratio=st.floats(1.1, 1e4))
def test_depth_lies_in_its_range_and_falls_with_the_sigmoid(sigmoid, near, ratio):
    two = torch.tensor([sigmoid, min(sigmoid + 0.1, 1.0)], dtype=torch.float64)
    depth = depth_net.disparity_to_depth(two, (near, near * ratio))
    assert near * (1 - 1e-12) <= depth[0] <= near * ratio * (1 + 1e-12)
    assert depth[1] <= depth[0]
    assert_close(
        depth_net.disparity_to_depth(two, (1 / 10.01, 100.0)), 1 / (10 * two + 0.01)
    )  # SC-Depth's


def test_depth_under_bf16_autocast_is_float32_and_not_in_coarse_steps(net):
    image = torch.rand(1, 3, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        depth = net(image)
    assert depth.dtype == torch.float32
    rounded = depth_net.disparity_to_depth(
        ((1 / depth - 0.01) / 9.99).logit().bfloat16().sigmoid(), (0.1, 100.0)
    )
    assert not torch.isclose(depth, rounded, rtol=1e-5).all()
    assert_close(depth, net(image), rtol=0.1, atol=0)


@pytest.mark.parametrize(
    ("size", "nearest"), [((250, 832), "256 x 832"), ((64, 100), "64 x 96"), ((8, 32), "32 x 32")]
)
def test_a_side_that_is_no_multiple_of_32_is_refused_with_the_nearest_size(net, size, nearest):
    message = rf"multiples of 32, got {size[0]} x {size[1]} .* nearest size is {nearest}"
    with pytest.raises(ValueError, match=message):
        net(torch.rand(1, 3, *size))


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        *(({"scales": s}, r"scales must be 0 and any") for s in ((), (1, 2), (0, 0), (0, 4))),
        ({"depth_range": (0.0, 10.0)}, "depth_range must be 0 < near < far"),
        ({"depth_range": (5.0, 1.0)}, "depth_range must be 0 < near < far"),
        ({"initial_depth": 100.0}, "a depth must lie inside the range"),
    ],
)
def test_what_fits_no_network_is_refused(odd, message):
    with pytest.raises(ValueError, match=message):
        depth_net.DepthNet(encoder="resnet18_half", **odd)


def test_the_light_network_starts_at_a_depth_and_normalizes_as_its_published_weights_want_it():
    net = depth_net.DepthNet(encoder="efficientnet_lite0", initial_depth=3.0).eval()
    seen = []
    net.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    torch.nn.init.zeros_(net.decoder.heads["0"].weight)
    depth = net(torch.full((1, 3, 32, 32), 200 / 255))
    assert_close(depth, torch.full((1, 1, 32, 32), 3.0))
    assert_close(seen[0], torch.full((1, 3, 32, 32), (200 - 127) / 128))


# Decoders


@pytest.mark.parametrize("decoder_class", [depth_net.DepthDecoder, depth_net.LightDecoder])
@pytest.mark.parametrize("upsampling", ["nearest", "bilinear"])
def test_scale_k_has_the_image_size_divided_by_two_to_the_k_also_alone(decoder_class, upsampling):
    decoder = decoder_class(NARROW, scales=(0, 1, 2, 3), upsampling=upsampling).eval()
    features = make_features(96, 32, batch=3)
    maps = decoder(features)
    assert [m.shape for m in maps] == [(3, 1, 96 >> k, 32 >> k) for k in (0, 1, 2, 3)]
    for k, expected in enumerate(maps):
        assert_close(decoder(features, (k,))[0], expected)
    assert_close(decoder(features, (2, 0)), (maps[2], maps[0]))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_mirrored_border_and_its_gradient_are_those_of_pad_and_no_input_is_kept(layout):
    x = torch.rand(2, 3, 4, 5, dtype=torch.float64).contiguous(memory_format=layout)
    x.requires_grad_()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(kept.append, lambda none: none):
        found = depth_net.mirror_border(x)
    assert kept == []
    expected = F.pad(x, (1, 1, 1, 1), mode="reflect")
    assert torch.equal(found, expected)
    chance = torch.rand_like(expected)
    assert torch.equal(*(torch.autograd.grad(y, x, chance)[0] for y in (found, expected)))


def test_the_four_values_of_a_pixel_begin_alike_and_are_the_four_of_full_size():
    decoder = depth_net.LightDecoder(NARROW).eval()
    blocks = decoder(make_features(64, 96))[0].unfold(2, 2, 2).unfold(3, 2, 2).flatten(-2)
    assert_close(blocks, blocks[..., :1].expand_as(blocks))
    assert blocks[..., 0].std() > 0
    torch.nn.init.zeros_(decoder.heads["0"].weight)
    decoder.heads["0"].bias.data = torch.tensor([0.0, 1.0, 2.0, 3.0])
    maps = decoder(make_features(64, 96))
    assert_close(maps[0][0, 0, :2, :2], torch.tensor([[0.0, 1.0], [2.0, 3.0]]))
