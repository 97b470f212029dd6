"""The decoders: sizes, counts, that nothing lies idle, borders, the order of the sub-pixels."""

import inspect

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from ssmde.models import DepthDecoder, LightDecoder
from ssmde.models.decoder import mirror_border

R18 = (64, 64, 128, 256, 512)
R50 = (64, 256, 512, 1024, 2048)
NARROW = (8,) * 5
BOTH = pytest.mark.parametrize("decoder_class", [DepthDecoder, LightDecoder])


def make_features(height, width, channels=NARROW, batch=1):
    return [
        torch.randn(batch, c, height // 2**k, width // 2**k)
        for k, c in enumerate(channels, start=1)
    ]


@pytest.mark.parametrize(("channels", "millions"), [(R18, 3.153), (R50, 9.014)])
def test_four_scales_have_the_published_number_of_parameters(channels, millions):
    with torch.device("meta"):
        decoder = DepthDecoder(channels, scales=(0, 1, 2, 3))
    count = sum(p.numel() for p in decoder.parameters())
    assert round(count / 1e6, 3) == millions


@BOTH
@pytest.mark.parametrize("upsampling", ["nearest", "bilinear"])
@pytest.mark.parametrize(("batch", "height", "width"), [(1, 32, 96), (3, 96, 64), (2, 32, 32)])
def test_scale_k_has_the_image_size_divided_by_two_to_the_k_also_alone(
    decoder_class, upsampling, batch, height, width
):
    decoder = decoder_class(NARROW, scales=(0, 1, 2, 3), upsampling=upsampling).eval()
    features = make_features(height, width, batch=batch)
    maps = decoder(features)
    assert [m.shape for m in maps] == [(batch, 1, height >> k, width >> k) for k in (0, 1, 2, 3)]
    for k, expected in enumerate(maps):
        assert_close(decoder(features, (k,))[0], expected)
    assert_close(decoder(features, (2, 0)), (maps[2], maps[0]))


@pytest.mark.parametrize("scales", [(0,), (0, 2), (0, 1, 2, 3), (1, 3), (3,)])
def test_every_parameter_has_a_gradient_whatever_the_scales(scales):
    decoder = DepthDecoder(NARROW, scales=scales)
    sum(m.sum() for m in decoder(make_features(64, 64))).backward()
    idle = [name for name, p in decoder.named_parameters() if p.grad is None]
    assert not idle
    assert set(decoder.heads) == {str(k) for k in scales}


@pytest.mark.parametrize("upsampling", ["nearest", "bilinear"])
def test_the_decoder_is_the_published_chain_of_layers(upsampling):
    """Written out from the formulas of the paper: narrow, double, join, mix, five times."""
    decoder = DepthDecoder((3, 4, 5, 6, 7), scales=(0, 1), upsampling=upsampling)
    features = make_features(64, 96, channels=(3, 4, 5, 6, 7))
    weights = decoder.state_dict()

    def conv(name, x):
        padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
        return F.conv2d(padded, weights[f"{name}.weight"], weights[f"{name}.bias"])

    x, maps = features[4], {}
    for i in (4, 3, 2, 1, 0):
        x = F.elu(conv(f"stages.{i}.narrow", x))
        if upsampling == "nearest":
            x = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        else:
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        if i > 0:
            x = torch.cat([x, features[i - 1]], dim=1)
        x = F.elu(conv(f"stages.{i}.mix", x))
        if i in (0, 1):
            maps[i] = conv(f"heads.{i}", x)
    for found, k in zip(decoder(features), (0, 1), strict=True):
        assert_close(found, maps[k])


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_mirrored_border_and_its_gradient_are_those_of_pad_and_no_input_is_kept(layout):
    x = torch.rand(2, 3, 4, 5, dtype=torch.float64).contiguous(memory_format=layout)
    x.requires_grad_()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(kept.append, lambda none: none):
        found = mirror_border(x)
    assert kept == []
    expected = F.pad(x, (1, 1, 1, 1), mode="reflect")
    assert torch.equal(found, expected)
    chance = torch.rand_like(expected)
    assert torch.equal(*(torch.autograd.grad(y, x, chance)[0] for y in (found, expected)))


def test_the_four_values_of_a_pixel_begin_alike_and_are_the_four_of_full_size():
    decoder = LightDecoder(NARROW).eval()
    blocks = decoder(make_features(64, 96))[0].unfold(2, 2, 2).unfold(3, 2, 2).flatten(-2)
    assert_close(blocks, blocks[..., :1].expand_as(blocks))
    assert blocks[..., 0].std() > 0
    torch.nn.init.zeros_(decoder.heads["0"].weight)
    decoder.heads["0"].bias.data = torch.tensor([0.0, 1.0, 2.0, 3.0])
    maps = decoder(make_features(64, 96))
    assert_close(maps[0][0, 0, :2, :2], torch.tensor([[0.0, 1.0], [2.0, 3.0]]))


@BOTH
@pytest.mark.parametrize("scales", [(), (0, 0), (4,), (-1, 0)])
def test_scales_that_do_not_exist_are_refused(decoder_class, scales):
    with pytest.raises(ValueError, match=r"scales must be some of \(0, 1, 2, 3\)"):
        decoder_class(R18, scales=scales)


@BOTH
def test_an_unknown_upsampling_is_refused_with_its_name(decoder_class):
    build = inspect.unwrap(decoder_class.__init__)  # as users call it, without the type checks
    with pytest.raises(ValueError, match="got 'cubic'"):
        build(decoder_class.__new__(decoder_class), R18, upsampling="cubic")
