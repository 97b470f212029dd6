"""Pairs of pixels, their ranking, edges and normals: by hand, and what may not matter."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from maps import drawn, everywhere, finite_gradient, random_depth, random_map
from ssmde.geometry.camera import normals, pixel_grid
from ssmde.losses import pairs as p

SMALL = 12, 16
EVERY = everywhere(SMALL)
H, W = 48, 56
SLOPE = 0.6
ACROSS = (1 - SLOPE**2) / (1 + SLOPE**2)  # cosine of the normals of both sides of the roof
RIDGE = (1 - ACROSS) / 3  # what a roof seen as a wall costs: one pair of three crosses the ridge
K = torch.tensor([[90.0, 0, (W - 1) / 2], [0, 90.0, (H - 1) / 2], [0, 0, 1]]).double()[None]
RAYS = (pixel_grid(H, W, like=K)[..., 0] - K[0, 0, 2]) / K[0, 0, 0]
ROOF = (2 / (1 - SLOPE * RAYS.abs()))[None, None]  # two walls meet in the middle: z = 2 + SLOPE |x|


def row(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).view(1, 1, 1, -1)


def all_used(first: list[int], second: list[int]) -> p.Pairs:
    a, b = torch.tensor([first]), torch.tensor([second])
    return p.Pairs(a, b, torch.ones_like(a, dtype=torch.bool))


def test_every_pixel_of_the_mask_of_its_image_is_as_likely_as_another():
    mask = torch.tensor([[[[True, False, True], [False, True, True]]], [[[False] * 3] * 2]])
    places = drawn(p.draw_pixels, mask, 4000)
    assert_close(places[0].bincount(minlength=6) / 4000, mask[0].flatten() / 4, atol=0.03, rtol=0)
    assert not p.gather_pixels(mask, places)[1].any()
    assert places.max() < 6


@pytest.mark.parametrize("chance", [0.0, 1 - 2**-24])
def test_the_ends_of_the_unit_interval_stay_inside_the_mask(chance, monkeypatch):
    mask = everywhere((1, 101), batch=1)
    mask[..., :40] = mask[..., -1:] = False
    monkeypatch.setattr(p, "uniform_per_image", lambda size, **_: torch.full(size, chance))
    assert p.draw_pixels(mask, 1).item() == (40 if chance == 0 else 99)


def test_each_image_and_each_end_has_pixels_of_its_own():
    mask = everywhere((20, 30))
    first, second, _ = drawn(p.sample_pairs, mask, mask, 5000)
    for a, b in ((first[0], first[1]), (second[0], second[1]), (first, second)):
        assert (a == b).double().mean() < 0.1
    none = mask.clone()
    none[0] = False  # an empty mask gives pairs that are not used
    for found in (p.sample_pairs(mask, none, 5), p.sample_pairs(none, mask, 5)):
        assert found.used.tolist() == [[False] * 5, [True] * 5]


def test_a_place_is_row_times_width_plus_column_and_a_pair_needs_both_inside():
    values = torch.arange(12.0).view(1, 2, 2, 3)
    assert p.gather_pixels(values, torch.tensor([[0, 5, 2]])).tolist() == [[[0, 5, 2], [6, 11, 8]]]
    mask = torch.tensor([[[[True, True, False, False]]]])
    pairs = all_used([0, 0, 2, 2, 0], [1, 2, 1, 3, 1])
    pairs.used[..., -1] = False
    assert p.keep_inside(pairs, mask).used.tolist() == [[True, False, False, False, False]]
    joined = p.join_pairs(pairs, all_used([3], [2]))
    assert joined.first.tolist() == [[0, 0, 2, 2, 0, 3]]
    assert joined.used.tolist() == [[True] * 4 + [False, True]]


def test_a_pair_costs_the_softplus_of_its_gap_and_an_order_needs_more_than_the_margin():
    for labels, gap in (((10.0, 5.0), -2), ((5.0, 10.0), 2)):
        found = p.ranking(row(3.0, 1.0), row(*labels), all_used([0], [1]))
        assert found.item() == pytest.approx(math.log(1 + math.exp(gap)))
    labels = row(1.0, 1.25, 1.26, 0.0)
    pairs = all_used([0, 1, 0, 2, 0, 3], [1, 0, 2, 0, 3, 0])
    assert p.order(labels, pairs, margin=1.25).tolist() == [[0, 0, -1, 1, 0, 0]]
    pairs = all_used([0, 0, 0], [1, 2, 3])  # only the ordered ones are in the mean
    found = p.ranking(row(3.0, 1.0, 8.0, 8.0), row(10.0, 5.0, 10.5, 0.0), pairs)
    assert found.item() == pytest.approx(math.log(1 + math.exp(-2)))
    depth = torch.tensor([0.1, 1000.0]).view(1, 1, 1, 2).requires_grad_()  # a gap of any size
    term = p.ranking(depth, row(2.0, 1.0).float(), all_used([0], [1]))
    assert term.item() == pytest.approx(999.9)
    assert finite_gradient(term, depth).flatten().tolist() == [-1.0, 1.0]


@given(scale=st.floats(1e-3, 6e4))
def test_the_scale_of_the_labels_and_the_order_of_the_ends_do_not_matter(scale):
    pairs = drawn(p.sample_pairs, EVERY, EVERY, 50)
    labels = torch.exp2((5 * random_map(1, SMALL)).floor())
    expected = p.ranking(random_depth(0, SMALL), labels, pairs)
    swapped = p.Pairs(pairs.second, pairs.first, pairs.used)
    assert_close(p.ranking(random_depth(0, SMALL), scale * labels, swapped), expected)


def test_labels_that_are_unknown_or_all_alike_order_nothing():
    depth, same = random_depth(0, SMALL).requires_grad_(), torch.ones(2, 1, *SMALL).double()
    for term in (
        p.random_pair_ranking(depth, 0 * same, EVERY),
        p.confident_depth_ranking(depth, same, random_depth(2, SMALL), EVERY),
    ):
        assert term == 0
        assert not finite_gradient(term, depth).any()


def test_the_least_reliable_pixels_are_the_lowest_of_each_image():
    values = torch.tensor([[5.0, 1, 4, 3, 2], [50.0, 40, 10, 30, 20]]).view(2, 1, 1, 5)
    valid = everywhere((1, 5))
    found = p.least_reliable(values, valid, 0.4)[:, 0, 0].int()
    assert found.tolist() == [[0, 1, 0, 0, 1], [0, 0, 1, 0, 1]]
    valid[0, ..., 1] = False  # 40 % of four pixels is one
    assert p.least_reliable(values, valid, 0.4)[0].flatten().int().tolist() == [0, 0, 0, 0, 1]
    assert not p.least_reliable(torch.ones(2, 1, 1, 5), valid, 0.4).any()  # none is worse


def test_unreliable_pixels_get_partners_from_the_rest_of_the_image():
    reliability = torch.ones(1, 1, *SMALL).double()
    reliability[..., :2, :6] = 0
    labels = 0.5 + 0.5 * reliability
    depth = torch.full_like(labels, 2.0).requires_grad_()
    inputs = depth, labels, reliability, everywhere(SMALL, batch=1)
    towards = -finite_gradient(drawn(p.confident_depth_ranking, *inputs), depth)
    moving = reliability == 0
    assert (towards[moving] < 0).all()  # each is pulled to the front
    assert (towards[~moving] >= 0).all()
    assert (towards[~moving] > 0).double().mean() > 0.1


# Edges and normals


def half_plane(angle: float, low: float = 0.2, high: float = 0.8) -> torch.Tensor:
    """Two gray halves; the change points along `angle`, in radians from u to v."""
    v, u = torch.meshgrid(torch.arange(H) - H / 2, torch.arange(W) - W / 2, indexing="ij")
    far = u * math.cos(angle) + v * math.sin(angle) > 0
    return torch.where(far, high, low)[None, None]


def all_of(like: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(like[:, :1], dtype=torch.bool)


def slanted(a: float) -> torch.Tensor:
    """Depth of the wall z = 2 + a x."""
    return (2 / (1 - a * RAYS))[None, None]


def halves(low: float, high: float, channel: int | None = None) -> torch.Tensor:
    """An image whose two halves meet where the roof folds; in one color or in gray."""
    image = torch.full((1, 3, H, W), low).double()
    image[:, slice(None) if channel is None else channel, :, W // 2 :] = high
    return image


def bumps(seed: int) -> torch.Tensor:
    coarse = random_map(seed, (5, 6), batch=1)
    return 2 + torch.nn.functional.interpolate(coarse, (H, W), mode="bicubic")


def matching(depth: torch.Tensor, label: torch.Tensor, weight=1.0) -> torch.Tensor:
    known = p.known_normals(label)
    return p.normal_matching(normals(depth, K), normals(label, K), known * weight)


def relative(depth, label, image, valid=None) -> torch.Tensor:
    valid, n, m = all_of(depth) if valid is None else valid, normals(depth, K), normals(label, K)
    return drawn(p.edge_relative_normal, n, m, label, image, valid)


def test_a_ramp_has_its_slope_as_strength_and_its_direction_whatever_the_sign_of_a_channel():
    v, u = torch.meshgrid(torch.arange(9.0), torch.arange(9.0), indexing="ij")
    ramp = (3 * u - 4 * v)[None, None]
    for channels, strength in ((ramp, 5), (torch.cat([ramp, -ramp], 1), 5 * math.sqrt(2))):
        found, across = p.find_edges(channels)
        assert found[0, 0, 4, 4].item() == pytest.approx(strength)
        direction = across[0, :, 4, 4]
        assert_close(direction * direction[0].sign(), torch.tensor([0.6, -0.8]))
    image = torch.zeros(1, 3, H, W)
    image[:, 2:] = half_plane(0.0)  # an edge of one color
    assert p.find_edges(p.gray(image))[0].max() > 0
    assert_close(p.gray(half_plane(0.3).expand(-1, 3, -1, -1)), half_plane(0.3))


@given(angle=st.floats(-math.pi, math.pi), seed=st.integers(0, 100))
@settings(max_examples=10)
def test_pairs_lie_across_an_edge_of_any_direction(angle, seed):
    image = half_plane(angle)
    pairs = drawn(p.pairs_across, image, all_of(image), 90, seed=seed)
    a, b = (p.gather_pixels(image, end)[0, 0].view(3, -1) for end in (pairs.first, pairs.second))
    used = pairs.used[0].view(3, -1)
    assert used[1].sum() > 10
    assert (a[1] != b[1])[used[1]].all()  # the middle pair crosses
    for same in (0, 2):  # the outer pairs stay on their side
        assert (a[same] == b[same])[used[same]].all()


def test_the_strongest_edge_is_that_of_its_own_image_where_edges_are_allowed():
    images = torch.cat([half_plane(0.0, 0.50, 0.51), half_plane(0.0, 0.0, 1.0)])
    found = p.strong(p.find_edges(images)[0], all_of(images))
    assert torch.equal(found[0], found[1])
    assert found[0].any()
    images[:1, ..., :10] = 100
    allowed = all_of(images)
    allowed[..., :12] = False
    assert torch.equal(p.strong(p.find_edges(images)[0], allowed), found & allowed)


@pytest.mark.parametrize("size", [(1, 1), (2, 30), (2 * p.BORDER, 2 * p.BORDER), (H, W)])
def test_an_image_that_changes_nowhere_or_is_tiny_gives_unused_pairs_inside(size):
    flat = torch.full((2, 1, *size), 0.3)
    for image in (flat, torch.rand(2, 1, *size)):
        pairs = p.pairs_across(image, all_of(image), 100)
        assert pairs.used.shape == (2, 99)
        assert torch.minimum(pairs.first, pairs.second).min() >= 0
        assert torch.maximum(pairs.first, pairs.second).max() < size[0] * size[1]
        assert not pairs.used.any() or (image is not flat and min(size) > 2 * p.BORDER)


def test_anchors_stand_where_they_may_and_points_at_most_nineteen_pixels_away():
    image = half_plane(0.0)
    upper = all_of(image)
    upper[:, :, H // 2 :] = False
    pairs = drawn(p.pairs_across, image, upper, 300)
    assert pairs.used.any()
    assert torch.equal(p.keep_inside(pairs, upper).used, pairs.used)  # the edge is upright
    columns = torch.stack([pairs.first % W, pairs.second % W])[:, pairs.used]
    assert (columns - W // 2).abs().max() <= p.FARTHEST + 1
    assert torch.equal((pairs.first // W)[pairs.used], (pairs.second // W)[pairs.used])
    border = image.roll(p.BORDER - W // 2, 3)  # the edge stands just inside the border
    pairs = drawn(p.pairs_across, border, all_of(border), 3000)
    left = torch.minimum(pairs.first % W, pairs.second % W)[pairs.used]
    assert 0 < pairs.used.double().mean() < 0.9  # those that leave the image are not used
    assert not (left == 0).double().mean() > 0.2  # nor piled up on the border


def test_a_step_is_a_depth_edge_and_a_wall_a_slant_or_a_hole_is_none():
    wall, ramp = torch.full((1, 1, 12, 12), 5.0), torch.arange(1.0, 25.0).expand(1, 1, 12, 24)
    assert p.away_from_depth_edges(wall).all()
    assert p.away_from_depth_edges(ramp).all()
    kept = p.away_from_depth_edges(ramp + 20 * (ramp > 12))[0, 0, 6]
    assert kept.tolist() == [True] * 10 + [False] * 4 + [True] * 10
    hole = torch.full((1, 1, 12, 24), 5.0)
    hole[..., 16:] = 5.5
    hole[..., 4] = 0
    kept = p.away_from_depth_edges(hole)[0, 0, 6]  # the hole is left out and hides no jump
    assert kept.tolist() == [True] * 2 + [False] * 5 + [True] * 7 + [False] * 4 + [True] * 6


@given(scale=st.floats(1e-3, 1e4))
def test_depth_edges_of_an_image_do_not_depend_on_its_scale_or_its_neighbors(scale):
    depth, other = (random_map(seed, (10, 12), batch=1) + 1 for seed in (1, 2))
    depth[..., 6:] += 5
    together = p.away_from_depth_edges(torch.cat([scale * depth, other]))
    assert torch.equal(together, p.away_from_depth_edges(torch.cat([depth, other])))
    assert torch.equal(together[:1], p.away_from_depth_edges(depth))


def test_two_walls_differ_by_the_mean_of_their_normals_which_see_a_shift_but_no_scale():
    steep = torch.tensor([-0.5, 0, 1], dtype=torch.float64) / math.sqrt(1.25)
    expected = (steep - torch.tensor([0, 0, 1.0])).abs().sum() / 3
    assert_close(matching(slanted(0.5), slanted(0.0)), expected)
    weight = torch.zeros(1, 1, H, W).double()
    weight[..., : W // 2 - 2] = 1
    assert matching(slanted(-SLOPE), ROOF, weight) < 1e-12  # the left wall of the roof
    assert matching(slanted(-SLOPE), ROOF, 1 - weight) > 0.1
    assert_close(matching(bumps(0), 6e4 * bumps(1)), matching(1e-3 * bumps(0), bumps(1)))
    assert matching(slanted(0.5), slanted(0.5) + slanted(0.5).median()) > 0.05


def test_a_hole_is_left_out_with_its_neighbors():
    hole = bumps(0)
    hole[..., 10:13, 20] = 0
    assert matching(bumps(0), hole) == 0
    assert relative(bumps(0), hole, halves(0.2, 0.8)).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("image", [0 * halves(0, 1), halves(0.3, 0.5, 1)])
def test_a_roof_seen_as_a_wall_costs_the_angle_of_its_sides_also_in_the_dark(image):
    assert relative(slanted(0.0), ROOF, image).item() == pytest.approx(RIDGE)


def test_an_edge_of_the_image_alone_counts_and_a_jump_or_an_end_that_is_not_valid_does_not():
    image = torch.zeros(1, 3, H, W).double()
    image[..., W // 2 + 21 :] = 1  # its points stay on one wall of the pseudo-depth
    assert 0.3 * RIDGE < relative(slanted(0.0), ROOF, image) < 0.9 * RIDGE
    label = torch.full((1, 1, H, W), 2.0).double()
    label[..., W // 2 :] = 6  # two parallel walls: the normals on the jump mean nothing
    assert relative(bumps(0), label, halves(0.0, 1.0)) == 0
    valid = torch.ones(1, 1, H, W, dtype=torch.bool)
    valid[..., W // 2 + 4 :] = False  # only pairs on one side of the ridge are left, and few more
    spoilt = ROOF.clone()
    spoilt[..., W // 2 + 4 :] = 2 + torch.rand(H, W // 2 - 4).double()
    assert relative(slanted(0.0), spoilt, halves(0.3, 0.5), valid) < 0.9 * RIDGE
