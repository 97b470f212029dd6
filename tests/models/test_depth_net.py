"""The depth network: any size, any batch, nothing kept, depth within its range."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from ssmde.models.depth_net import DepthNet, depth_to_logit, disparity_to_depth


@pytest.fixture(scope="module")
def trained_net():
    """A network after one step of training, with all scales."""
    torch.manual_seed(0)
    net = DepthNet(scales=(0, 1, 2, 3))
    optimiser = torch.optim.SGD(net.parameters(), lr=1e-3)
    sum(depth.mean() for depth in net.pyramid(torch.rand(2, 3, 64, 64))).backward()
    optimiser.step()
    return net


@pytest.mark.parametrize(
    ("batch", "height", "width"), [(1, 32, 32), (2, 32, 96), (3, 96, 64), (1, 64, 160)]
)
def test_any_size_in_multiples_of_32_and_any_batch_comes_back_at_its_size(
    trained_net, batch, height, width
):
    depth = trained_net.eval()(torch.rand(batch, 3, height, width))
    assert depth.shape == (batch, 1, height, width)
    assert depth.isfinite().all()


@pytest.mark.parametrize("batch", [1, 2])
def test_a_training_step_reaches_every_parameter(batch):
    net = DepthNet(scales=(0, 1, 2, 3))
    sum(depth.mean() for depth in net.pyramid(torch.rand(batch, 3, 64, 64))).backward()
    idle = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert not idle


def test_a_deep_copy_after_a_training_step_predicts_the_same_and_leaves_the_image(trained_net):
    twin = copy.deepcopy(trained_net)
    image = torch.rand(1, 3, 32, 64)
    before = image.clone()
    assert_close(twin.eval()(image), trained_net.eval()(image), rtol=0, atol=0)
    assert torch.equal(image, before)


@pytest.mark.parametrize(("near", "far"), [(0.1, 100.0), (1 / 10.01, 100.0), (0.5, 20.0)])
def test_sigmoid_0_is_far_and_sigmoid_1_is_near(near, far):
    depth = disparity_to_depth(torch.tensor([0.0, 1.0]), (near, far))
    assert_close(depth, torch.tensor([far, near]), rtol=3e-7, atol=0)
    sigmoid = torch.linspace(0, 1, 11, dtype=torch.float64)
    sc_depth = disparity_to_depth(sigmoid, (1 / 10.01, 100.0))
    assert_close(sc_depth, 1 / (10 * sigmoid + 0.01))  # as its code has it


@given(sigmoid=st.floats(0, 1), near=st.floats(0.01, 1), ratio=st.floats(1.1, 1e4))
def test_depth_lies_in_its_range_and_falls_with_the_sigmoid(sigmoid, near, ratio):
    depth = disparity_to_depth(
        torch.tensor([sigmoid, min(sigmoid + 0.1, 1.0)], dtype=torch.float64), (near, near * ratio)
    )
    assert near * (1 - 1e-12) <= depth[0] <= near * ratio * (1 + 1e-12)
    assert depth[1] <= depth[0]


def test_depth_under_bf16_autocast_is_float32_and_not_in_coarse_steps(trained_net):
    net, image = trained_net.eval(), torch.rand(1, 3, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        depth = net(image)
    assert depth.dtype == torch.float32
    rounded = disparity_to_depth(
        ((1 / depth - 0.01) / 9.99).logit().bfloat16().sigmoid(), (0.1, 100.0)
    )
    assert not torch.isclose(depth, rounded, rtol=1e-5).all()
    assert_close(depth, net(image), rtol=0.1, atol=0)


@pytest.mark.parametrize(
    ("size", "nearest"), [((250, 832), "256 x 832"), ((64, 100), "64 x 96"), ((8, 32), "32 x 32")]
)
def test_a_side_that_is_no_multiple_of_32_is_refused_with_the_nearest_size(
    trained_net, size, nearest
):
    message = rf"multiples of 32, got {size[0]} x {size[1]} .* nearest size is {nearest}"
    with pytest.raises(ValueError, match=message):
        trained_net(torch.rand(1, 3, *size))


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        ({"scales": (1, 2)}, r"must hold 0, the full size, got \(1, 2\)"),
        ({"depth_range": (0.0, 10.0)}, "depth_range must be 0 < near < far"),
        ({"depth_range": (5.0, 1.0)}, "depth_range must be 0 < near < far"),
        ({"initial_depth": 100.0}, "a depth must lie inside the range"),
    ],
)
def test_what_fits_no_network_is_refused(odd, message):
    with pytest.raises(ValueError, match=message):
        DepthNet(**odd)


def test_start_at_sets_the_depth_of_the_untrained_network():
    net = DepthNet(encoder="efficientnet_lite0", initial_depth=3.0).eval()
    for head in net.decoder.heads.values():
        torch.nn.init.zeros_(head.weight)
    assert depth_to_logit(3.0, net.depth_range) == pytest.approx(
        net.decoder.heads["0"].bias[0].item(), rel=1e-6
    )
    assert_close(net(torch.rand(1, 3, 32, 32)), torch.full((1, 1, 32, 32), 3.0))


def test_the_network_normalizes_as_the_published_weights_want_it():
    net = DepthNet(encoder="efficientnet_lite0").eval()
    seen = []
    net.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    net(torch.full((1, 3, 32, 32), 200 / 255))
    assert_close(seen[0], torch.full((1, 3, 32, 32), (200 - 127) / 128))


def test_the_half_network_has_half_the_channels_throughout_and_a_quarter_of_the_weights():
    whole, half = DepthNet(), DepthNet(encoder="resnet18_half")
    for key, value in whole.state_dict().items():
        expected = tuple(size // 2 if size > 7 else size for size in value.shape)  # 7: a kernel
        assert half.state_dict()[key].shape == expected, key
    assert half.eval()(torch.rand(1, 3, 64, 96)).shape == (1, 1, 64, 96)
