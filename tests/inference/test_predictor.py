"""Predicting at the size of the image, and large images in tiles."""

import numpy as np
import pytest
import torch
from torch import Tensor

from ssmde.inference.predictor import Predictor
from tiny_networks import Brightness

SIZE = (64, 96)


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(1, 1), (33, 47), (64, 96), (241, 320)])
def test_depth_has_the_size_of_the_image_which_stays_as_it_was(size):
    pixels = picture(*size)
    pixels.flags.writeable = False
    found = Predictor(Brightness(), SIZE).predict(pixels)
    assert found.depth.shape == size
    assert found.depth.dtype == np.float32
    np.testing.assert_array_equal(pixels, picture(*size))


def test_depth_lies_where_the_image_is():
    pixels = np.zeros((65, 97, 3), np.uint8)
    pixels[:32, :48] = 255
    depth = Predictor(Brightness(), SIZE).predict(pixels).depth
    np.testing.assert_allclose(depth[:30, :46], 2, atol=1e-5)
    np.testing.assert_allclose(depth[34:, :], 1, atol=1e-5)
    np.testing.assert_allclose(depth[:, 50:], 1, atol=1e-5)


def test_many_images_of_many_sizes_give_what_each_gives_alone():
    predictor = Predictor(Brightness(), SIZE, more_sizes=((96, 64),))
    images = [picture(h, w, seed=h) for h, w in [(60, 90), (90, 60), (61, 90), (91, 60), (92, 61)]]
    many = list(predictor.predict_many(iter(images), batch_size=2))
    for image, found in zip(images, many, strict=True):
        np.testing.assert_allclose(found.depth, predictor.predict(image).depth, rtol=1e-6)


def test_a_size_the_network_cannot_take_and_tiles_that_take_for_ever_are_refused():
    with pytest.raises(ValueError, match="multiples of 32, got 60 x 96"):
        Predictor(Brightness(), (60, 96))
    with pytest.raises(ValueError, match="from 1 to 16, got 0"):
        Predictor(Brightness(), SIZE).predict(smooth(), tiles=0)


@pytest.mark.parametrize(
    ("shape", "seen"),
    [((480, 640), (64, 96)), ((640, 480), (96, 64)), ((100, 400), (32, 128)), ((64, 96), (64, 96))],
)
def test_an_image_is_seen_at_the_size_whose_proportions_are_nearest(shape, seen):
    sizes = []

    class Looking(Brightness):
        def forward(self, image):
            sizes.append(tuple(image.shape[-2:]))
            return super().forward(image)

    predictor = Predictor(Looking(), SIZE, more_sizes=((96, 64), (32, 128)))
    assert predictor.predict(picture(*shape)).depth.shape == shape
    assert predictor.network_depth(picture(*shape)).shape == seen
    assert sizes == [seen, seen]
    predictor.at((32, 32)).predict(picture(*shape))
    assert sizes[-1] == (32, 32)  # a size that is asked for is the only one


def test_a_batch_is_predicted_image_by_image_and_a_predictor_moves():
    predictor = Predictor(Brightness(), SIZE).to("cpu")
    images = torch.rand(3, 3, 40, 50)
    found = predictor.predict(images)
    assert found.depth.shape == (3, 40, 50)
    for image, depth in zip(images, found.depth, strict=True):
        np.testing.assert_allclose(predictor.predict(image).depth, depth, rtol=1e-6)
    array = (255 * images.permute(0, 2, 3, 1)).byte().numpy()
    assert predictor.predict(array).depth.shape == (3, 40, 50)
    with pytest.raises(ValueError, match="at least one image"):
        predictor.predict(images[:0])


class OwnScale(Brightness):
    """The same in a scale that depends on the mean of what is seen, as networks have it."""

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image) * (1 + image.mean((1, 2, 3), keepdim=True))


def smooth(height=128, width=256):
    """A picture with a gentle ramp."""
    v, u = np.mgrid[:height, :width]
    level = 60 + 60 * v / height + 90 * u / width
    return np.repeat(level[..., None], 3, 2).round().astype(np.uint8)


def test_tiles_show_detail_that_the_whole_image_does_not():
    # Stripes of two pixels, which a network that sees the whole at this size cannot tell apart.
    level = np.broadcast_to(np.tile(np.repeat([40, 200], 2), 64), (128, 256))
    fine = np.repeat(level[..., None], 3, 2).astype(np.uint8)
    predictor = Predictor(Brightness(), (32, 64))
    whole, tiled = (predictor.predict(fine, tiles=n).depth for n in (1, 4))
    truth = 1 + fine.mean(2) / 255
    assert whole.std() < 0.02
    np.testing.assert_allclose(tiled[4:-4, 4:-4].std(), truth.std(), rtol=0.1)
    assert np.abs(tiled - truth)[4:-4, 4:-4].mean() < 0.15 * np.abs(whole - truth).mean()


def test_parts_that_have_a_scale_of_their_own_leave_no_seam():
    predictor = Predictor(OwnScale(), (32, 64))
    whole, tiled = (predictor.predict(smooth(), tiles=n).depth for n in (1, 4))
    np.testing.assert_allclose(tiled, whole, rtol=0.02)
    steps = np.abs(np.diff(np.log(tiled), axis=1))
    assert steps.max() < 4 * np.abs(np.diff(np.log(whole), axis=1)).max()
    # Without that: the network does say neighboring parts in other scales.
    left, right = (predictor.network_depth(smooth()[:32, at : at + 64]) for at in (0, 192))
    bright = [1 + smooth()[:32, at].mean() / 255 for at in (63, 192)]
    apart = (left[:, -1].mean() / right[:, 0].mean()) / (bright[0] / bright[1])
    assert abs(apart - 1) > 0.1
