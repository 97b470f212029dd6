"""Edges, pairs across them, and normals against a pseudo-depth's: halves, walls, roofs by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.testing import assert_close

from maps import finite_gradient, random_map
from seeds import drawn
from ssmde.geometry.camera import normals, pixel_grid
from ssmde.losses.pairs import (
    BORDER,
    FARTHEST,
    away_from_depth_edges,
    edge_relative_normal,
    find_edges,
    gather_pixels,
    gray,
    keep_inside,
    known_normals,
    normal_matching,
    pairs_across,
    strong,
)

H, W = 48, 56
SLOPE = 0.6
ACROSS = (1 - SLOPE**2) / (1 + SLOPE**2)  # cosine of the normals of both sides of the roof
RIDGE = (1 - ACROSS) / 3  # what a roof seen as a wall costs: one pair of three crosses the ridge


def half_plane(angle: float, low: float = 0.2, high: float = 0.8) -> torch.Tensor:
    """Two gray halves; the change points along `angle`, in radians from u to v."""
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
@settings(max_examples=15)
def test_pairs_lie_across_an_edge_of_any_direction(angle, seed):
    image = half_plane(angle)
    pairs = drawn(pairs_across, image, everywhere(image), 90, seed=seed)
    a, b = (gather_pixels(image, end)[0, 0].view(3, -1) for end in (pairs.first, pairs.second))
    used = pairs.used[0].view(3, -1)
    assert used[1].sum() > 10
    assert (a[1] != b[1])[used[1]].all()  # the middle pair crosses
    for same in (0, 2):  # the outer pairs stay on their side
        assert (a[same] == b[same])[used[same]].all()


def test_channels_of_opposite_sign_do_not_cancel_and_one_color_is_an_edge_of_the_gray():
    edge = half_plane(0.3)
    both, across_both = find_edges(torch.cat([edge, -edge], dim=1))
    one, across = find_edges(edge)
    assert_close(both, math.sqrt(2) * one)
    seen = one > 0
    sign = (across_both * across).sum(1, keepdim=True).sign()
    assert_close((sign * across_both * seen), across * seen)
    image = torch.zeros(1, 3, H, W)
    image[:, 2:] = half_plane(0.0)
    assert find_edges(gray(image))[0].max() > 0
    assert_close(gray(half_plane(0.3).expand(-1, 3, -1, -1)), half_plane(0.3))


def test_the_strongest_edge_is_that_of_its_own_image_where_edges_are_allowed():
    images = torch.cat([half_plane(0.0, 0.50, 0.51), half_plane(0.0, 0.0, 1.0)])
    found = strong(find_edges(images)[0], everywhere(images))
    assert torch.equal(found[0], found[1])
    assert found[0].any()
    images[:1, ..., :10] = 100
    allowed = everywhere(images)
    allowed[..., :12] = False
    assert torch.equal(strong(find_edges(images)[0], allowed), found & allowed)


@pytest.mark.parametrize("size", [(1, 1), (2, 30), (2 * BORDER, 2 * BORDER), (H, W)])
def test_an_image_that_changes_nowhere_or_is_tiny_gives_unused_pairs_inside(size):
    flat = torch.full((2, 1, *size), 0.3)
    for image in (flat, torch.rand(2, 1, *size)):
        pairs = pairs_across(image, everywhere(image), 100)
        assert pairs.used.shape == (2, 99)
        assert torch.minimum(pairs.first, pairs.second).min() >= 0
        assert torch.maximum(pairs.first, pairs.second).max() < size[0] * size[1]
        assert not pairs.used.any() or (image is not flat and min(size) > 2 * BORDER)


def test_anchors_stand_where_they_may_and_points_at_most_nineteen_pixels_away():
    image = half_plane(0.0)
    upper = everywhere(image)
    upper[:, :, H // 2 :] = False
    pairs = drawn(pairs_across, image, upper, 300)
    assert pairs.used.any()
    assert torch.equal(keep_inside(pairs, upper).used, pairs.used)  # the edge is upright
    columns = torch.stack([pairs.first % W, pairs.second % W])[:, pairs.used]
    assert (columns - W // 2).abs().max() <= FARTHEST + 1
    assert torch.equal((pairs.first // W)[pairs.used], (pairs.second // W)[pairs.used])
    border = image.roll(BORDER - W // 2, 3)  # the edge stands just inside the border
    pairs = drawn(pairs_across, border, everywhere(border), 3000)
    left = torch.minimum(pairs.first % W, pairs.second % W)[pairs.used]
    assert 0 < pairs.used.double().mean() < 0.9  # those that leave the image are not used
    assert not (left == 0).double().mean() > 0.2  # nor piled up on the border


def test_a_step_is_a_depth_edge_and_a_wall_a_slant_or_a_hole_is_none():
    wall, ramp = torch.full((1, 1, 12, 12), 5.0), torch.arange(1.0, 25.0).expand(1, 1, 12, 24)
    assert away_from_depth_edges(wall).all()
    assert away_from_depth_edges(ramp).all()
    kept = away_from_depth_edges(ramp + 20 * (ramp > 12))[0, 0, 6]
    assert kept.tolist() == [True] * 10 + [False] * 4 + [True] * 10
    hole = torch.full((1, 1, 12, 24), 5.0)
    hole[..., 16:] = 5.5
    hole[..., 4] = 0
    kept = away_from_depth_edges(hole)[0, 0, 6]  # the hole is left out and does not hide the jump
    assert kept.tolist() == [True] * 2 + [False] * 5 + [True] * 7 + [False] * 4 + [True] * 6


@given(scale=st.floats(1e-3, 1e4))
def test_depth_edges_of_an_image_do_not_depend_on_its_scale_or_its_neighbors(scale):
    depth, other = (random_map(seed, (10, 12), batch=1) + 1 for seed in (1, 2))
    depth[..., 6:] += 5
    together = away_from_depth_edges(torch.cat([scale * depth, other]))
    assert torch.equal(together, away_from_depth_edges(torch.cat([depth, other])))
    assert torch.equal(together[:1], away_from_depth_edges(depth))


def make_intrinsics(batch: int = 1) -> torch.Tensor:
    K = torch.tensor([[90.0, 0, (W - 1) / 2], [0, 90.0, (H - 1) / 2], [0, 0, 1]])
    return K.double().repeat(batch, 1, 1)


def rays() -> torch.Tensor:
    K = make_intrinsics()[0]
    return (pixel_grid(H, W, like=K)[..., 0] - K[0, 2]) / K[0, 0]


def slanted(a: float) -> torch.Tensor:
    """Depth of the wall z = 2 + a x."""
    return (2 / (1 - a * rays()))[None, None]


def roof() -> torch.Tensor:
    """Two walls that meet in the middle column: z = 2 + SLOPE |x|."""
    return (2 / (1 - SLOPE * rays().abs()))[None, None]


def halves(low: float, high: float, channel: int | None = None) -> torch.Tensor:
    """An image whose two halves meet where the roof folds; in one color or in gray."""
    image = torch.full((1, 3, H, W), low).double()
    image[:, slice(None) if channel is None else channel, :, W // 2 :] = high
    return image


def bumps(seed: int, size: tuple[int, int] = (H, W)) -> torch.Tensor:
    coarse = random_map(seed, (5, 6), batch=1)
    return 2 + torch.nn.functional.interpolate(coarse, size, mode="bicubic")


def matching(depth: torch.Tensor, label: torch.Tensor, weight=1.0) -> torch.Tensor:
    K = make_intrinsics(len(depth))
    return normal_matching(normals(depth, K), normals(label, K), known_normals(label) * weight)


def relative(depth, label, image, valid=None) -> torch.Tensor:
    K = make_intrinsics(len(depth))
    valid = everywhere(depth) if valid is None else valid
    return drawn(edge_relative_normal, normals(depth, K), normals(label, K), label, image, valid)


def test_two_walls_differ_by_the_mean_of_their_normals():
    steep = torch.tensor([-0.5, 0, 1], dtype=torch.float64) / math.sqrt(1.25)
    expected = (steep - torch.tensor([0, 0, 1.0])).abs().sum() / 3
    assert_close(matching(slanted(0.5), slanted(0.0)), expected)
    weight = torch.zeros(1, 1, H, W).double()
    weight[..., : W // 2 - 2] = 1
    assert matching(slanted(-SLOPE), roof(), weight) < 1e-12  # the left wall of the roof
    assert matching(slanted(-SLOPE), roof(), 1 - weight) > 0.1


@pytest.mark.parametrize("scale", [1e-3, 0.7, 6e4])
def test_the_scale_of_a_pseudo_depth_does_not_matter_and_its_shift_does(scale):
    depth, label = bumps(0), bumps(1)
    expected = matching(depth, label)
    assert_close(matching(depth, scale * label), expected)
    assert_close(matching(scale * depth, label), expected)
    assert matching(slanted(0.5), slanted(0.5) + slanted(0.5).median()) > 0.05


def test_nothing_to_compare_gives_zero_and_flat_depths_and_black_images_a_finite_gradient():
    flat, none = torch.full((1, 1, H, W), 3.0).double(), torch.zeros(1, 1, H, W).double()
    depth, image = bumps(0).requires_grad_(), halves(0.2, 0.8)
    for label in (none, bumps(1)):
        for term in (matching(depth, label, none), relative(depth, label, image, none.bool())):
            assert term == 0
            assert not finite_gradient(term, depth).any()
    for depth, label in ((flat, flat), (flat, bumps(1)), (bumps(0), flat)):
        depth = depth.clone().requires_grad_()
        for term in (matching(depth, label), relative(depth, label, 0 * image)):
            assert finite_gradient(term, depth).shape == depth.shape
    hole = bumps(0)
    hole[..., 10:13, 20] = 0  # left out with its neighbors
    assert matching(bumps(0), hole) == 0
    assert relative(bumps(0), hole, image).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("image", [0 * halves(0, 1), halves(0.3, 0.5), halves(0.3, 0.5, 1)])
def test_a_roof_seen_as_a_wall_costs_the_angle_of_its_sides_also_in_the_dark(image):
    assert relative(slanted(0.0), roof(), image).item() == pytest.approx(RIDGE)


def test_an_edge_of_the_image_alone_is_looked_at_too():
    image = torch.zeros(1, 3, H, W).double()
    image[..., W // 2 + 21 :] = 1  # its points stay on one wall of the pseudo-depth
    assert 0.3 * RIDGE < relative(slanted(0.0), roof(), image) < 0.9 * RIDGE


def test_one_image_does_not_take_the_edges_of_another():
    images = torch.cat([halves(0.50, 0.51), halves(0.0, 1.0)])
    jump = roof()
    jump[..., -14:, :] *= 3  # the same normals above and below it
    depth = slanted(0.0).expand(2, -1, -1, -1).clone()
    term = relative(depth, torch.cat([jump, 1000 * jump]), images)
    assert term.item() == pytest.approx(RIDGE)


def test_pairs_on_a_jump_of_the_pseudo_depth_or_with_an_end_that_is_not_valid_do_not_count():
    label = torch.full((1, 1, H, W), 2.0).double()
    label[..., W // 2 :] = 6  # two parallel walls: the normals on the jump mean nothing
    assert relative(bumps(0), label, halves(0.0, 1.0)) == 0
    valid = torch.ones(1, 1, H, W, dtype=torch.bool)
    valid[..., W // 2 + 4 :] = False  # only pairs on one side of the ridge are left, and few more
    spoilt = roof()
    spoilt[..., W // 2 + 4 :] = 2 + torch.rand(H, W // 2 - 4).double()
    for label in (roof(), spoilt):
        assert relative(slanted(0.0), label, halves(0.3, 0.5), valid) < 0.9 * RIDGE


def test_the_pseudo_depth_learns_nothing_and_gradients_match_finite_differences():
    size = (12, 13)
    image, K = torch.rand(1, 3, *size, dtype=torch.float64), make_intrinsics()
    depth, label = bumps(5, size).requires_grad_(), bumps(6, size).requires_grad_()
    valid, known = everywhere(depth), torch.ones(1, 1, *size, dtype=torch.float64)

    def terms(d: torch.Tensor) -> list[torch.Tensor]:
        n, m = normals(d, K), normals(label, K)
        across = drawn(edge_relative_normal, n, m, label.detach(), image, valid)
        return [normal_matching(n, m, known), across]

    assert not any(term.requires_grad for term in terms(depth.detach()))
    assert all(gradcheck(lambda d, i=i: terms(d)[i], (depth,), fast_mode=True) for i in (0, 1))
