"""Confidence: higher where the network says the same of the same image seen in another way."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ssmde.prediction.confidence import smaller_size, view_agreement
from ssmde.prediction.predictor import Predictor


class Guessing(nn.Module):
    """Depth 2 wherever the image is dark; where it is bright, a ramp from the image's left."""

    def __init__(self) -> None:
        super().__init__()
        self.two = nn.Parameter(torch.tensor(2.0))

    def forward(self, image: Tensor) -> Tensor:
        bright = image.mean(1, keepdim=True)
        ramp = torch.linspace(-0.5, 0.5, image.shape[-1]).view(1, 1, 1, -1)
        return self.two * (1 + bright * ramp)


def test_agreement_is_the_ratio_of_the_smaller_to_the_larger_depth():
    depth = np.full((3, 4), 2.0)
    other = depth.copy()
    other[1, 2], other[2, 3] = 2.5, 1.6
    found = view_agreement(depth, [other])
    np.testing.assert_allclose(found[1, 2], 2 / 2.5, rtol=1e-6)
    np.testing.assert_allclose(found[2, 3], 1.6 / 2, rtol=1e-6)
    assert found[0, 0] == 1
    assert found.dtype == np.float32


def test_the_scale_of_a_look_does_not_count():
    depth = np.random.default_rng(0).uniform(1, 5, (6, 7))
    np.testing.assert_allclose(view_agreement(depth, [depth * 3, depth / 7]), 1, rtol=1e-6)


def test_several_looks_are_averaged_in_log_depth():
    depth = np.ones((3, 3))
    a, b = depth.copy(), depth.copy()
    a[1, 1] = np.exp(0.2)
    np.testing.assert_allclose(view_agreement(depth, [a, b])[1, 1], np.exp(-0.1), rtol=1e-6)
    assert (view_agreement(depth, []) == 1).all()


@pytest.mark.parametrize("size", [(256, 320), (96, 128), (32, 32), (32, 64)])
def test_the_second_look_has_another_size_the_network_can_take(size):
    found = smaller_size(size)
    assert found != size
    assert all(side % 32 == 0 and side >= 32 for side in found)


def test_where_the_network_guesses_it_is_less_sure():
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[:32] = 255
    found = Predictor(Guessing(), (64, 96)).predict(pixels, confidence=True)
    sure = found.confidence
    assert sure is not None
    assert sure.shape == (64, 96)
    assert sure.dtype == np.float32
    assert 0 <= sure.min() <= sure.max() <= 1
    # The ramp and its mirror image differ by |log((1 - r) / (1 + r))| at distance r of the middle.
    assert sure[40:].min() > 0.99
    outer = sure[10, [0, -1]]
    np.testing.assert_allclose(outer, np.exp(-0.5 * np.log(1.5 / 0.5)), atol=0.02)
    assert outer.max() < sure[10, 47]  # surest in the middle, where both say the same


def test_confidence_costs_nothing_unless_it_is_asked_for():
    calls = []

    class Counting(Guessing):
        def forward(self, image: Tensor) -> Tensor:
            calls.append(image.shape)
            return super().forward(image)

    predictor = Predictor(Counting(), (64, 96))
    assert predictor.predict(np.zeros((50, 60, 3), np.uint8)).confidence is None
    assert len(calls) == 1


def test_the_order_of_many_images_is_kept_with_confidence():
    images = [np.full((40 + i, 50, 3), 40 * i, np.uint8) for i in range(5)]
    predictor = Predictor(Guessing(), (64, 96))
    for image, found in zip(
        images, predictor.predict_many(images, batch_size=2, confidence=True), strict=True
    ):
        alone = predictor.predict(image, confidence=True)
        assert found.confidence is not None
        np.testing.assert_allclose(found.confidence, alone.confidence, rtol=1e-5)
