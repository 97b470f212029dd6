"""Tiles: the detail of the parts, the coarse shape of the whole, and no seam between them."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ssmde.prediction.predictor import Predictor
from ssmde.prediction.tiles import tiled_depth

SIZE = (32, 64)


class Brightness(nn.Module):
    """Depth 1 + mean of the colours."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.ones(()))

    def forward(self, image: Tensor) -> Tensor:
        return self.one + image.mean(dim=1, keepdim=True)


class OwnScale(Brightness):
    """The same in a scale that depends on the mean of what is seen, as networks have it."""

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image) * (1 + image.mean((1, 2, 3), keepdim=True))


def smooth(height=128, width=256):
    """A picture with a gentle ramp."""
    v, u = np.mgrid[:height, :width]
    level = 60 + 60 * v / height + 90 * u / width
    return np.repeat(level[..., None], 3, 2).round().astype(np.uint8)


def fine(height=128, width=256):
    """Stripes of two pixels, which a network that sees the whole at SIZE cannot tell apart."""
    level = np.tile(np.repeat([40, 200], 2), width // 4)
    return np.repeat(np.broadcast_to(level, (height, width))[..., None], 3, 2).astype(np.uint8)


def test_tiles_show_detail_that_the_whole_image_does_not():
    predictor = Predictor(Brightness(), SIZE)
    whole, tiled = (predictor.predict(fine(), tiles=n).depth for n in (1, 4))
    truth = 1 + fine().mean(2) / 255
    assert whole.std() < 0.02
    np.testing.assert_allclose(tiled[4:-4, 4:-4].std(), truth.std(), rtol=0.1)
    assert np.abs(tiled - truth)[4:-4, 4:-4].mean() < 0.15 * np.abs(whole - truth).mean()


def test_parts_that_have_a_scale_of_their_own_leave_no_seam():
    predictor = Predictor(OwnScale(), SIZE)
    whole, tiled = (predictor.predict(smooth(), tiles=n).depth for n in (1, 4))
    np.testing.assert_allclose(tiled, whole, rtol=0.02)
    steps = np.abs(np.diff(np.log(tiled), axis=1))
    assert steps.max() < 4 * np.abs(np.diff(np.log(whole), axis=1)).max()


def test_a_tile_would_be_seen_without_the_coarse_shape_of_the_whole():
    """What the test above would miss: the network does say neighbouring parts in other scales."""
    network = OwnScale().requires_grad_(False)
    left, right = (
        torch.from_numpy(smooth()[:32, at : at + 64]).permute(2, 0, 1)[None].float() / 255
        for at in (0, 192)
    )
    apart = network(left)[..., -1].mean() / network(right)[..., 0].mean()
    brightness = (1 + left[..., -1].mean()) / (1 + right[..., 0].mean())
    assert abs(float(apart / brightness) - 1) > 0.1


@pytest.mark.parametrize("tiles", [2, 3])
def test_every_pixel_of_the_canvas_is_covered(tiles):
    found = tiled_depth(
        lambda images: np.full((len(images), *SIZE), 5, np.float32), smooth(50, 70), SIZE, tiles
    )
    assert found.shape == (SIZE[0] * tiles, SIZE[1] * tiles)
    np.testing.assert_allclose(found, 5, rtol=1e-5)


def test_a_number_of_tiles_that_takes_for_ever_is_refused():
    with pytest.raises(ValueError, match="from 1 to 16, got 0"):
        Predictor(Brightness(), SIZE).predict(smooth(), tiles=0)
