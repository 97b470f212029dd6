"""What the sources say, on walls whose geometry is a formula."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from ssmde.methods.mask_filter import TeacherPrediction, gather_evidence

H, W, F = 8, 12, 10.0
K = torch.tensor([[[F, 0, 5.5], [0, F, 3.5], [0, 0, 1]]])


def look(depth: float, source_depth: float, *, x: float = 0.0, z: float = 0.0) -> TeacherPrediction:
    """Two walls of the same random picture, and a step between the cameras."""
    image = torch.rand(1, 3, H, W)
    T = torch.eye(4).repeat(1, 1, 1, 1)
    T[..., 0, 3], T[..., 2, 3] = x, z
    return TeacherPrediction(
        target=image,
        sources=image[:, None],
        depth=torch.full((1, 1, H, W), depth),
        source_depth=torch.full((1, 1, 1, H, W), source_depth),
        flipped_depth=torch.full((1, 1, H, W), depth),
        T_src_tgt=T,
        intrinsics=K,
    )


def everywhere(value: float) -> torch.Tensor:
    return torch.full((1, 1, H, W), value)


def test_views_that_agree_differ_in_nothing():
    found = gather_evidence(look(3.0, 3.0))
    assert found.visible.all()
    for part in found[1:]:
        assert_close(part, everywhere(0.0), atol=2e-5, rtol=0)


@pytest.mark.parametrize(("seen", "difference"), [(2.0, 0.2), (4.5, -0.2)])
def test_the_difference_is_positive_where_the_source_sees_a_nearer_surface(seen, difference):
    found = gather_evidence(look(3.0, seen))
    assert_close(found.depth_difference, everywhere(difference))


def test_walking_forward_brings_the_wall_nearer():
    found = gather_evidence(look(3.0, 2.0, z=-1.0))
    assert found.visible.any()
    assert found.depth_difference.abs().max() < 1e-6
    assert found.return_error[found.visible].max() < 1e-4


def test_a_source_with_twice_the_depth_sends_the_pixel_half_the_way_back():
    # The step moves the wall by 0.4 / 2 * 10 = 2 pixels, and points twice as far by only one.
    found = gather_evidence(look(2.0, 4.0, x=-0.4))
    assert found.visible.sum() == H * (W - 2)
    returned = found.return_error[found.visible]
    assert_close(returned, torch.full_like(returned, 320 / W), rtol=1e-4, atol=0)


def test_a_pixel_that_would_return_behind_the_camera_is_infinitely_far():
    found = gather_evidence(look(3.0, 1.0, z=1.5))  # 1 m before a camera that went back 1.5 m
    assert found.visible.any()
    assert found.return_error[found.visible].isinf().all()


def test_points_behind_the_source_are_not_visible():
    found = gather_evidence(look(1.0, 1.0, z=-2.0))
    assert not found.visible.any()
    assert all((part == 0).all() for part in (found.depth_difference, found.return_error))
    assert (found.error == 0).all()


@pytest.mark.parametrize("value", [torch.nan, torch.inf, 0.0, -1.0])
def test_what_is_no_depth_or_no_motion_is_seen_by_nobody_and_confirms_nothing(value):
    inputs = look(3.0, 3.0)
    inputs.depth[0, 0, 2, 3] = value
    found = gather_evidence(inputs)
    assert torch.equal(found.visible[0, 0], inputs.depth[0, 0] == 3)
    lost = gather_evidence(replace(inputs, T_src_tgt=inputs.T_src_tgt * torch.nan))
    assert not lost.visible.any()
    assert all(part.isfinite().all() for part in (*found, *lost))
    inputs.source_depth[0, 0, 0, 4, 5] = value
    found = gather_evidence(inputs)
    assert found.depth_difference[0, 0, 4, 5] > 0.9
    assert found.depth_difference.abs().gt(0.01).sum() == 1


def test_unseen_pixels_do_not_darken_the_windows_of_their_neighbours():
    wide = torch.rand(1, 3, H, W + 2)
    inputs = replace(look(2.0, 2.0, x=-0.4), target=wide[..., :W], sources=wide[:, None, ..., 2:])
    found = gather_evidence(inputs)
    assert found.visible.sum() == H * (W - 2)
    assert found.error.max() < 1e-4
    assert found.identity_error.mean() > 0.2
