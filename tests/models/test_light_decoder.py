"""The light decoder: sizes, borders of what a pixel sees, refusals, the order of the sub-pixels."""

import pytest
import torch
from torch.testing import assert_close

from ssmde.models.depth_net import DepthNet, depth_to_logit
from ssmde.models.light_decoder import LightDecoder

CHANNELS = (16, 24, 40, 112, 320)


def features(height=64, width=96, batch=1):
    torch.manual_seed(0)
    return [
        torch.randn(batch, c, height // 2**k, width // 2**k)
        for k, c in enumerate(CHANNELS, start=1)
    ]


def test_every_scale_has_its_size_and_one_scale_alone_is_the_same():
    decoder = LightDecoder(CHANNELS, scales=(0, 1, 2, 3)).eval()
    maps = decoder(features())
    assert [tuple(m.shape) for m in maps] == [
        (1, 1, 64, 96), (1, 1, 32, 48), (1, 1, 16, 24), (1, 1, 8, 12),
    ]  # fmt: skip
    for k, expected in enumerate(maps):
        assert_close(decoder(features(), (k,))[0], expected)


def test_scales_may_leave_out_full_size_and_then_nothing_finer_exists():
    decoder = LightDecoder(CHANNELS, scales=(2,))
    assert set(decoder.heads) == {"2"}
    assert decoder(features())[0].shape == (1, 1, 16, 24)


def test_the_four_values_of_a_pixel_are_the_four_of_full_size():
    decoder = LightDecoder(CHANNELS)
    torch.nn.init.zeros_(decoder.heads["0"].weight)
    decoder.heads["0"].bias.data = torch.tensor([0.0, 1.0, 2.0, 3.0])
    assert_close(decoder(features())[0][0, 0, :2, :2], torch.tensor([[0.0, 1.0], [2.0, 3.0]]))


def test_start_at_sets_the_depth_of_the_untrained_network():
    net = DepthNet(encoder="efficientnet_lite0", initial_depth=3.0).eval()
    for head in net.decoder.heads.values():
        torch.nn.init.zeros_(head.weight)
    assert depth_to_logit(3.0, net.depth_range) == pytest.approx(
        net.decoder.heads["0"].bias[0].item(), rel=1e-6
    )
    assert_close(net(torch.rand(1, 3, 32, 32)), torch.full((1, 1, 32, 32), 3.0))


def test_the_network_normalises_as_the_published_weights_want_it():
    net = DepthNet(encoder="efficientnet_lite0").eval()
    seen = []
    net.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    net(torch.full((1, 3, 32, 32), 200 / 255))
    assert_close(seen[0], torch.full((1, 3, 32, 32), (200 - 127) / 128))


@pytest.mark.parametrize("scales", [(), (0, 0), (4,)])
def test_scales_that_do_not_exist_are_refused(scales):
    with pytest.raises(ValueError, match="scales must be some of"):
        LightDecoder(CHANNELS, scales=scales)


def test_before_it_learns_the_four_of_a_pixel_are_alike():
    torch.manual_seed(3)
    depth = LightDecoder(CHANNELS).eval()(features())[0]
    blocks = depth.unfold(2, 2, 2).unfold(3, 2, 2).flatten(-2)
    assert_close(blocks, blocks[..., :1].expand_as(blocks))
    assert blocks[..., 0].std() > 0
