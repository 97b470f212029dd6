"""What the mask filter finds in a drawn scene whose truth is known.

The bounds hold for errors that are independent from image to image. Those of a network are not, so
they say that the filter works, not how much it gains.
"""

from dataclasses import replace
from functools import cache

import pytest
import torch
from torch.testing import assert_close

from mask_scene import MaskScene, draw_scene
from ssmde.methods.filtering.evidence import gather_evidence
from ssmde.methods.mask_filter import FilterOutput, MaskFilter

MOVERS = ("lateral", "oblique", "towards")
scene = cache(draw_scene)


def test_off_trusts_everything_and_still_names_the_regions():
    inputs = scene("lateral").inputs
    off, soft = MaskFilter(variant="off")(inputs), MaskFilter()(inputs)
    assert (off.weight == 1).all()
    assert torch.equal(off.dynamic, soft.dynamic)
    assert soft.dynamic.any()


def test_strict_is_soft_without_anything_outside_the_static_region():
    inputs = scene("lateral").inputs
    strict, soft = MaskFilter(variant="strict")(inputs), MaskFilter()(inputs)
    assert (strict.weight[~strict.static] == 0).all()
    assert torch.equal(strict.weight[strict.static], soft.weight[soft.static])
    assert (soft.weight[soft.dynamic] > 0).any()
    # Depths that every view contradicts get nothing, pixels that no view sees get a little.
    seen = gather_evidence(inputs).visible.any(1, keepdim=True)
    assert (soft.weight[soft.unknown & seen] == 0).all()
    assert (soft.weight[soft.unknown & ~seen] > 0).all()


def test_moving_and_unseen_pixels_are_weighted_by_the_mirrored_prediction():
    inputs = scene("lateral").inputs
    out = MaskFilter(beta_dynamic=0.8, beta_unknown=0.4)(inputs)
    a, b = inputs.depth, inputs.flipped_depth
    agreement = torch.exp(-(a - b).abs() / (a + b) / 0.05)
    unseen = out.unknown & ~gather_evidence(inputs).visible.any(1, keepdim=True)
    assert unseen.any()
    assert_close(out.weight[unseen], 0.4 * agreement[unseen])
    kept = out.dynamic & (out.weight > 0)
    assert_close(out.weight[kept], 0.8 * agreement[kept])
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


@pytest.mark.parametrize("kind", ["still", "lateral"])
def test_a_higher_quantile_flags_less_of_what_stands_still(kind):
    assert mean_over_seeds(lambda s, out: share(out.dynamic, ~s.box), kind, 0.95) < 0.10


def test_agreeing_depths_do_not_tell_that_a_box_moves():
    drawn = scene("lateral")
    out = MaskFilter()(
        replace(drawn.inputs, sources=drawn.inputs.target[:, None].repeat(1, 2, 1, 1, 1))
    )
    # With pictures that never change only depth is left to judge by, and it lets the box pass.
    assert share(out.static, drawn.box) > 0.3
