"""Predicting at the size of the image."""

import numpy as np
import pytest
import torch

from ssmde.inference.predictor import Predictor
from texture import noise
from tiny_networks import Brightness

SIZE = (64, 96)


@pytest.mark.parametrize("size", [(1, 1), (33, 47), (64, 96), (241, 320)])
def test_depth_has_the_size_of_the_image_which_stays_as_it_was(size):
    pixels = noise(*size)
    pixels.flags.writeable = False
    found = Predictor(Brightness(), SIZE).predict(pixels)
    assert found.depth.shape == size
    assert found.depth.dtype == np.float32
    np.testing.assert_array_equal(pixels, noise(*size))


def test_depth_lies_where_the_image_is():
    pixels = np.zeros((65, 97, 3), np.uint8)
    pixels[:32, :48] = 255
    depth = Predictor(Brightness(), SIZE).predict(pixels).depth
    np.testing.assert_allclose(depth[:30, :46], 2, atol=1e-5)
    np.testing.assert_allclose(depth[34:, :], 1, atol=1e-5)
    np.testing.assert_allclose(depth[:, 50:], 1, atol=1e-5)


def test_many_images_of_many_sizes_give_what_each_gives_alone():
    predictor = Predictor(Brightness(), SIZE, more_sizes=((96, 64),))
    images = [noise(h, w, seed=h) for h, w in [(60, 90), (90, 60), (61, 90), (91, 60), (92, 61)]]
    for image, found in zip(images, predictor.predict_many(images, batch_size=2), strict=True):
        np.testing.assert_allclose(found.depth, predictor.predict(image).depth, rtol=1e-6)


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
    assert predictor.predict(noise(*shape)).depth.shape == shape
    assert predictor.network_depth(noise(*shape)).shape == seen
    assert sizes == [seen, seen]
    predictor.at((32, 32)).predict(noise(*shape))
    assert sizes[-1] == (32, 32)  # a size that is asked for is the only one


def test_a_batch_is_predicted_image_by_image():
    predictor, images = Predictor(Brightness(), SIZE), torch.rand(3, 3, 40, 50)
    alone = [predictor.predict(image).depth for image in images]
    np.testing.assert_allclose(predictor.predict(images).depth, alone, rtol=1e-6)
    array = (255 * images.permute(0, 2, 3, 1)).byte().numpy()
    assert predictor.predict(array).depth.shape == (3, 40, 50)
    with pytest.raises(ValueError, match="at least one image"):
        predictor.predict(images[:0])
    with pytest.raises(ValueError, match="multiples of 32, got 60 x 96"):
        Predictor(Brightness(), (60, 96))
