"""Geometry inconsistency: exact cases and laws."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.testing import assert_close

from ssmde.losses.photometric import geometry_inconsistency


def depth(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 1, 4, 6, generator=generator, dtype=torch.float64) + 0.1


def test_three_times_the_depth_is_half_inconsistent():
    assert_close(geometry_inconsistency(3 * depth(0), depth(0)), torch.full_like(depth(0), 0.5))


@given(scale=st.floats(0.01, 100.0))
def test_inconsistency_does_not_see_the_scale_of_the_video(scale):
    a, b = depth(1), depth(2)
    assert_close(geometry_inconsistency(scale * a, scale * b), geometry_inconsistency(a, b))


@given(seed=st.integers(0, 1000))
def test_inconsistency_is_symmetric_and_below_one(seed):
    a, b = depth(seed), depth(seed + 1)
    found = geometry_inconsistency(a, b)
    assert_close(found, geometry_inconsistency(b, a))
    assert found.min() >= 0
    assert found.max() < 1


def test_gradients_match_finite_differences():
    assert gradcheck(geometry_inconsistency, (depth(3).requires_grad_(), depth(4).requires_grad_()))
