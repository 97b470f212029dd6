"""Blending over time: steadier, not wronger, and without ghosts."""

import numpy as np
import pytest
import torch

from ssmde.geometry.camera import invert_motion
from ssmde.inference.smoothing import Smoother
from ssmde.metrics import seen_in_both, temporal_errors
from ssmde.synthetic import DrawnClip, draw_clip

SIZE = (96, 128)


def noisy(depth, seed=0, scale=0.05, local=0.08):
    """Every frame with a scale and a lumpy error of its own, as networks have them."""
    random, found = np.random.default_rng(seed), []
    for d in depth:
        lumps = torch.from_numpy(random.normal(0, local, (1, 1, 6, 8)))
        lumps = torch.nn.functional.interpolate(lumps, d.shape, mode="bicubic")[0, 0].numpy()
        found.append((d * np.exp(lumps + random.normal(0, scale))).astype(np.float32))
    return np.stack(found)


def smoothed(images, depth):
    smoother = Smoother(SIZE)
    return np.stack([smoother.smooth(i, d) for i, d in zip(images, depth, strict=True)])


def flicker(prediction, clip: DrawnClip):
    """Mean disagreement of neighboring frames about points that do not move."""
    found = []
    for i in range(1, len(prediction)):
        motion = torch.from_numpy(np.linalg.inv(clip.poses[i - 1]) @ clip.poses[i])
        there, back = motion.numpy(), invert_motion(motion).numpy()
        d, mask, K = clip.depth, clip.motion_mask, clip.intrinsics
        errors = temporal_errors(
            prediction[i], prediction[i - 1], there, K,
            target_counts=seen_in_both(d[i], d[i - 1], there, K) & (mask[i] == 0),
            source_counts=seen_in_both(d[i - 1], d[i], back, K) & (mask[i - 1] == 0),
        )  # fmt: skip
        assert errors is not None
        found.append(errors.abs_rel)
    return float(np.mean(found))


def abs_rel(prediction, clip: DrawnClip):
    found = []
    for p, g in zip(prediction, clip.depth, strict=True):
        known = g > 0
        scale = np.median(g[known]) / np.median(p[known])
        found.append((np.abs(scale * p - g)[known] / g[known]).mean())
    return float(np.mean(found))


@pytest.mark.parametrize(
    ("kind", "step"), [("room", 0.05), pytest.param("street", 0.5, marks=pytest.mark.slow)]
)
def test_depth_becomes_steadier_and_not_wronger(kind, step):
    clip = draw_clip(kind, frames=10, size=SIZE, seed=3, movers="across", step=step)
    depth = np.where(clip.depth > 0, clip.depth, np.float32(80))
    raw = noisy(depth)
    steady = smoothed(clip.images, raw)
    assert flicker(steady, clip) < 0.65 * flicker(raw, clip)
    assert abs_rel(steady, clip) < 0.95 * abs_rel(raw, clip)


def test_depth_that_is_right_stays_right_while_the_camera_walks_on():
    clip = draw_clip("room", frames=10, size=SIZE, seed=3, movers="across")
    assert abs_rel(smoothed(clip.images, clip.depth), clip) < 0.015


def picture(seed):
    coarse = torch.from_numpy(np.random.default_rng(seed).uniform(0, 255, (1, 3, 24, 32)))
    fine = torch.nn.functional.interpolate(coarse, SIZE, mode="bicubic").clamp(0, 255)
    return fine[0].permute(1, 2, 0).numpy().astype(np.uint8)


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
