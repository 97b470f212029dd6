"""Views held against each other, on a scene whose geometry is a formula."""

import torch
from torch.testing import assert_close

from ssmde.methods.self_supervised import Comparison, compare, join_sources

H, W, F = 8, 12, 10.0
K = torch.tensor([[[F, 0, 5.5], [0, F, 3.5], [0, 0, 1]]], dtype=torch.float64)


def wall(depth: float) -> torch.Tensor:
    return torch.full((1, 1, H, W), depth, dtype=torch.float64)


def image(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 3, H, W, generator=generator, dtype=torch.float64)


def step(x: float = 0.0, z: float = 0.0) -> torch.Tensor:
    T = torch.eye(4, dtype=torch.float64)[None].clone()
    T[0, 0, 3], T[0, 2, 3] = x, z
    return T


def test_the_true_depth_and_motion_explain_a_sideways_step():
    wide = torch.rand(1, 3, H, W + 2, dtype=torch.float64)
    view, other = wide[..., :W], wide[..., 2:]  # the other camera stands two pixels to the right
    T = step(x=-2 * 2.0 / F)
    found = compare(view, other, wall(2.0), T, K, other_depth=wall(2.0))
    assert found.visible.sum() == H * (W - 2)
    seen = found.error[found.visible]  # also beside the unseen columns: they darken no window
    assert_close(seen, torch.zeros_like(seen))
    wrong = compare(view, other, wall(2.0), step(x=2 * 2.0 / F), K)
    assert wrong.error[..., 3:-3].mean() > 0.2  # the same step taken backwards explains nothing


def test_walking_forward_makes_an_unmoved_depth_inconsistent():
    found = compare(image(), image(), wall(3.0), step(z=-1.0), K, other_depth=wall(3.0))
    expected = torch.full_like(found.error, 1 / 5)  # computed 2, sampled 3
    assert_close(found.inconsistency[found.visible], expected[found.visible])


def test_points_behind_the_other_camera_are_not_visible_and_stay_bounded():
    found = compare(image(), image(), wall(1.0), step(z=-2.0), K, other_depth=wall(1.0))
    assert not found.visible.any()
    assert found.inconsistency.min() >= 0
    assert found.inconsistency.max() < 1


def maps(*values: tuple[float, float, bool]) -> Comparison:
    """One pixel seen from several sources, as (error, inconsistency, visible)."""
    error, inconsistency, visible = zip(*values, strict=True)
    shape = (len(values), 1, 1, 1)
    return Comparison(
        torch.tensor(error).view(shape),
        torch.tensor(inconsistency).view(shape),
        torch.tensor(visible).view(shape),
    )


def test_the_best_source_brings_its_own_inconsistency():
    joined = join_sources(maps((0.4, 0.1, True), (0.2, 0.7, True)), 2)
    assert_close(joined.error.item(), 0.2, check_dtype=False, atol=1e-6, rtol=0)
    assert_close(joined.inconsistency.item(), 0.7, check_dtype=False, atol=1e-6, rtol=0)
    unseen = join_sources(maps((0.4, 0.1, False), (0.2, 0.7, False)), 2)
    assert not unseen.visible.any()
    assert unseen.error.item() == 0
