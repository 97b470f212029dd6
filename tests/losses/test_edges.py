"""Edges: what is one, which way it runs, and that pairs cross it."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from seeds import drawn
from ssmde.losses.masks import erode
from ssmde.losses.pairs import (
    BORDER,
    FARTHEST,
    away_from_depth_edges,
    find_edges,
    gather_pixels,
    gray,
    keep_inside,
    pairs_across,
    strong,
)

H, W = 64, 72


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def half_plane(angle: float, low: float = 0.2, high: float = 0.8) -> torch.Tensor:
    """Two grey halves; the change points along `angle`, in radians from u to v."""
    v, u = torch.meshgrid(torch.arange(H) - H / 2, torch.arange(W) - W / 2, indexing="ij")
    far = u * math.cos(angle) + v * math.sin(angle) > 0
    return torch.where(far, high, low)[None, None]


def everywhere(like: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(like[:, :1], dtype=torch.bool)


def test_a_ramp_has_its_slope_as_strength_and_its_direction():
    v, u = torch.meshgrid(torch.arange(9.0), torch.arange(9.0), indexing="ij")
    strength, across = find_edges((3 * u - 4 * v)[None, None])
    assert strength[0, 0, 4, 4] == 5
    direction = across[0, :, 4, 4]
    assert_close(direction * direction[0].sign(), torch.tensor([0.6, -0.8]))


@given(angle=st.floats(-math.pi, math.pi), seed=st.integers(0, 100))
def test_pairs_lie_across_an_edge_of_any_direction(angle, seed):
    image = half_plane(angle)
    pairs = drawn(pairs_across, image, everywhere(image), 90, seed=seed)
    a, b = (gather_pixels(image, end)[0, 0].view(3, -1) for end in (pairs.first, pairs.second))
    used = pairs.used[0].view(3, -1)
    assert used[1].sum() > 10
    assert (a[1] != b[1])[used[1]].all()  # the middle pair crosses
    for same in (0, 2):  # the outer pairs stay on their side
        assert (a[same] == b[same])[used[same]].all()


def test_an_edge_of_one_colour_is_an_edge():
    image = torch.zeros(1, 3, H, W)
    image[:, 2:] = half_plane(0.0)
    assert find_edges(gray(image))[0].max() > 0
    assert find_edges(gray(image.flip(1)))[0].max() > 0


def test_white_is_one_and_the_grey_of_a_grey_image_is_itself():
    image = torch.rand(1, 1, 4, 5)
    assert_close(gray(image.expand(-1, 3, -1, -1)), image)


def test_channels_of_opposite_sign_do_not_cancel():
    edge = half_plane(0.3)
    both, across_both = find_edges(torch.cat([edge, -edge], dim=1))
    one, across = find_edges(edge)
    assert_close(both, math.sqrt(2) * one)
    seen = one > 0
    sign = (across_both * across).sum(1, keepdim=True).sign()
    assert_close((sign * across_both * seen), across * seen)


def test_a_weak_edge_counts_beside_an_image_with_a_strong_one():
    images = torch.cat([half_plane(0.0, 0.50, 0.51), half_plane(0.0, 0.0, 1.0)])
    found = strong(find_edges(images)[0], everywhere(images))
    assert torch.equal(found[0], found[1])
    assert found[0].any()


def test_the_strongest_edge_is_looked_for_where_edges_are_allowed():
    image = half_plane(0.0, 0.50, 0.51)
    image[..., :10] = 100
    allowed = everywhere(image)
    allowed[..., :12] = False
    found = strong(find_edges(image)[0], allowed)
    assert found.any()
    assert not found[..., :12].any()


def test_an_image_that_changes_nowhere_has_no_edge_and_no_pair():
    flat = torch.full((2, 1, H, W), 0.3)
    assert not strong(find_edges(flat)[0], everywhere(flat)).any()
    pairs = pairs_across(flat, everywhere(flat), 30)
    assert not pairs.used.any()
    assert pairs.first.min() >= 0
    assert pairs.first.max() < H * W


def test_pairs_that_leave_the_image_are_not_used():
    image = half_plane(0.0).roll(BORDER - W // 2, 3)  # the edge stands just inside the border
    pairs = drawn(pairs_across, image, everywhere(image), 3000)
    left = torch.minimum(pairs.first % W, pairs.second % W)[pairs.used]
    assert 0 < pairs.used.double().mean() < 0.9
    assert not (left == 0).double().mean() > 0.2  # not piled up on the border
    tiny = image[..., : 2 * BORDER, : 2 * BORDER]
    assert not pairs_across(tiny, everywhere(tiny), 30).used.any()


def test_points_are_at_most_nineteen_pixels_from_their_anchor():
    image = half_plane(0.0)
    pairs = drawn(pairs_across, image, everywhere(image), 300)
    columns = torch.stack([pairs.first % W, pairs.second % W])[:, pairs.used]
    assert (columns - W // 2).abs().max() <= FARTHEST + 1
    assert torch.equal((pairs.first // W)[pairs.used], (pairs.second // W)[pairs.used])


def test_the_number_of_pairs_is_bounded():
    image = torch.rand(2, 1, H, W)
    assert pairs_across(image, everywhere(image), 100).used.shape == (
        2,
        99,
    )


def test_anchors_stand_where_they_are_allowed():
    image = half_plane(0.0)
    upper = everywhere(image)
    upper[:, :, H // 2 :] = False
    pairs = drawn(pairs_across, image, upper, 300)
    assert pairs.used.any()
    assert torch.equal(keep_inside(pairs, upper).used, pairs.used)  # the edge is upright


def test_a_window_with_one_false_is_false():
    mask = torch.ones(1, 1, 5, 6, dtype=torch.bool)
    mask[..., 0, 0] = False
    expected = torch.ones(5, 6, dtype=torch.bool)
    expected[:2, :2] = False
    assert torch.equal(erode(mask, 3)[0, 0], expected)
    expected[:3, :3] = False
    assert torch.equal(erode(mask, 5)[0, 0], expected)


def test_a_wall_has_no_depth_edge_and_a_step_has():
    wall = torch.full((1, 1, 12, 12), 5.0)
    assert away_from_depth_edges(wall).all()
    wall[..., 6:] = 9.0
    kept = away_from_depth_edges(wall)[0, 0, 6]
    assert kept.tolist() == [True] * 4 + [False] * 4 + [True] * 4


def test_a_slanted_surface_is_no_jump_but_a_step_in_it_is():
    ramp = torch.arange(1.0, 25.0).expand(1, 1, 12, 24).clone()
    assert away_from_depth_edges(ramp).all()
    ramp[..., 12:] += 20
    kept = away_from_depth_edges(ramp)[0, 0, 6]
    assert kept.tolist() == [True] * 10 + [False] * 4 + [True] * 10


@given(scale=st.floats(1e-3, 1e4))
def test_depth_edges_of_an_image_do_not_depend_on_its_scale_or_its_neighbours(scale):
    depth = torch.rand(1, 1, 10, 12, generator=seeded(1)) + 1
    depth[..., 6:] += 5
    other = torch.rand(1, 1, 10, 12, generator=seeded(2)) + 1
    together = away_from_depth_edges(torch.cat([scale * depth, other]))
    assert torch.equal(together, away_from_depth_edges(torch.cat([depth, other])))
    assert torch.equal(together[:1], away_from_depth_edges(depth))


def test_a_hole_is_left_out_and_does_not_hide_a_jump():
    depth = torch.full((1, 1, 12, 24), 5.0)
    depth[..., 16:] = 5.5
    depth[..., 4] = 0
    kept = away_from_depth_edges(depth)[0, 0, 6]
    expected = [True] * 2 + [False] * 5 + [True] * 7 + [False] * 4 + [True] * 6
    assert kept.tolist() == expected


@pytest.mark.parametrize("size", [(1, 1), (2, 30), (11, 11)])
def test_any_size_gives_pairs_inside_the_image(size):
    image = torch.rand(2, 1, *size)
    pairs = pairs_across(image, everywhere(image), 30)
    assert pairs.second.min() >= 0
    assert pairs.second.max() < size[0] * size[1]
