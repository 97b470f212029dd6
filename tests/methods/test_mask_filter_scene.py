"""What the mask filter finds in a drawn scene whose truth is known.

The bounds hold for errors that are independent from image to image. Those of a network are not, so
they say that the filter works, not how much it gains.
"""

from functools import cache

import pytest
import torch
from torch.testing import assert_close

from mask_scene import MaskScene, draw_scene
from ssmde.methods.mask_filter import FilterOutput, MaskFilter, gather_evidence

MOVERS = ("lateral", "oblique", "towards")
scene = cache(draw_scene)


def test_moving_and_unseen_pixels_are_weighted_by_the_mirrored_prediction():
    inputs = scene("lateral").inputs
    out = MaskFilter()(inputs)
    a, b = inputs.depth, inputs.flipped_depth
    agreement = torch.exp(-(a - b).abs() / (a + b) / 0.05)
    seen = gather_evidence(inputs).visible.any(1, keepdim=True)
    unseen = out.unknown & ~seen
    assert unseen.any()
    assert_close(out.weight[unseen], 0.25 * agreement[unseen])
    assert (out.weight[out.unknown & seen] == 0).all()  # every view contradicts the depth
    kept = out.dynamic & (out.weight > 0)
    assert_close(out.weight[kept], 0.5 * agreement[kept])
    assert abs(kept.sum() / out.dynamic.sum() - 0.9) < 0.01  # the lowest tenth is dropped
    kept_static = (out.static & (out.weight > 0)).sum() / out.static.sum()
    assert abs(kept_static - 0.9) < 0.01


@cache
def filtered(kind: str, seed: int, quantile: float) -> tuple[MaskScene, FilterOutput]:
    return scene(kind, seed=seed), MaskFilter(quantile=quantile)(scene(kind, seed=seed).inputs)


def share(mask: torch.Tensor, among: torch.Tensor) -> float:
    return mask[among].float().mean().item()


def mean_over_seeds(measure, kind: str, quantile: float = 0.80) -> float:
    return sum(measure(*filtered(kind, seed, quantile)) for seed in range(3)) / 3


@pytest.mark.parametrize("kind", MOVERS)
def test_most_of_what_stands_still_is_found_static(kind):
    assert mean_over_seeds(lambda s, out: share(out.static, ~s.box), kind) > 0.65
    assert mean_over_seeds(lambda s, out: share(out.dynamic, ~s.box), kind) < 0.20


@pytest.mark.parametrize(("kind", "bound"), [("lateral", 0.85), ("oblique", 0.6), ("towards", 0.6)])
def test_most_of_what_moves_is_found_moving(kind, bound):
    assert mean_over_seeds(lambda s, out: share(out.dynamic, s.box), kind) > bound
    assert mean_over_seeds(lambda s, out: share(out.static, s.box), kind) < 0.22


@pytest.mark.parametrize("kind", MOVERS)
def test_the_weight_takes_two_fifths_off_the_error_of_the_teacher(kind):
    def gain(drawn: MaskScene, out: FilterOutput) -> float:
        error = (drawn.inputs.depth - drawn.depth).abs() / drawn.depth
        return ((out.weight * error).sum() / out.weight.sum() / error.mean()).item()

    assert mean_over_seeds(gain, kind) < 0.6
    assert mean_over_seeds(lambda s, out: (out.weight > 0).float().mean().item(), kind) > 0.7
