"""Blending over time: steadier, not wronger, and without ghosts."""

import numpy as np
import pytest
import torch

from ssmde.inference.smoothing import Smoother
from ssmde.synthetic import draw_clip

SIZE = (96, 128)


@pytest.fixture(scope="module")
def clip():
    return draw_clip("room", frames=8, size=SIZE, seed=3, movers="across", step=0.05)


def enlarged(values):
    tensor = torch.from_numpy(values)[None]
    return torch.nn.functional.interpolate(tensor, SIZE, mode="bicubic")[0].numpy()


def noisy(depth):
    """Every frame with a scale and a lumpy error of its own, as networks have them."""
    random, found = np.random.default_rng(0), []
    for d in depth:
        lumps = enlarged(random.normal(0, 0.08, (1, 6, 8)))[0]
        found.append((d * np.exp(lumps + random.normal(0, 0.05))).astype(np.float32))
    return np.stack(found)


def smoothed(images, depth):
    smoother = Smoother(SIZE)
    return np.stack([smoother.smooth(i, d) for i, d in zip(images, depth, strict=True)])


def flicker(prediction, truth):
    """Mean change of the error from frame to frame."""
    return np.abs(np.diff(np.log(prediction / truth), axis=0)).mean()


def abs_rel(prediction, truth):
    scale = np.median(truth, (1, 2)) / np.median(prediction, (1, 2))
    return (np.abs(scale[:, None, None] * prediction - truth) / truth).mean()


def test_depth_becomes_steadier_and_not_wronger_and_right_depth_stays_right(clip):
    raw = noisy(clip.depth)
    steady = smoothed(clip.images, raw)
    assert flicker(steady, clip.depth) < 0.65 * flicker(raw, clip.depth)
    assert abs_rel(steady, clip.depth) < 0.95 * abs_rel(raw, clip.depth)
    assert abs_rel(smoothed(clip.images, clip.depth), clip.depth) < 0.015  # the camera walks on


def picture(seed):
    coarse = np.random.default_rng(seed).uniform(0, 255, (3, 24, 32))
    return enlarged(coarse).clip(0, 255).transpose(1, 2, 0).astype(np.uint8)


def flat(depth):
    return np.full(SIZE, depth, np.float32)


def test_nothing_is_carried_over_a_cut():
    first, second = picture(1), picture(2)
    found = smoothed([first, first, second], [flat(2), flat(2), flat(2.3)])
    np.testing.assert_allclose(found[2], 2.3, rtol=1e-6)


def test_what_goes_by_leaves_no_ghost():
    """A near square moves over a far picture: behind it the far depth is back at once."""
    far, near = picture(1), picture(2)
    images, depths = [], []
    for i in range(4):
        image, depth = far.copy(), flat(4.0)
        here = np.s_[30:60, 20 + 16 * i : 50 + 16 * i]
        image[here], depth[here] = near[here], 1.5
        images.append(image)
        depths.append(depth)
    found = smoothed(images, depths)
    np.testing.assert_allclose(np.median(found[3][32:58, 22:50]), 4.0, rtol=0.02)
    np.testing.assert_allclose(np.median(found[3][32:58, 70:96]), 1.5, rtol=0.02)
