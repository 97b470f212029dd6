"""Normals against those of a pseudo-depth: walls and roofs by hand, then what may not matter."""

import math

import pytest
import torch
from torch.autograd import gradcheck
from torch.testing import assert_close

from seeds import drawn
from ssmde.geometry.camera import pixel_grid
from ssmde.losses.pairs import edge_relative_normal, normal_matching

H, W = 48, 56
SLOPE = 0.6
ACROSS = (1 - SLOPE**2) / (1 + SLOPE**2)  # cosine of the normals of both sides of the roof


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


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
    """An image whose two halves meet where the roof folds; in one colour or in grey."""
    image = torch.full((1, 3, H, W), low).double()
    image[:, slice(None) if channel is None else channel, :, W // 2 :] = high
    return image


def bumps(seed: int, size: tuple[int, int] = (H, W)) -> torch.Tensor:
    coarse = torch.rand(1, 1, 5, 6, generator=seeded(seed), dtype=torch.float64)
    return 2 + torch.nn.functional.interpolate(coarse, size, mode="bicubic")


def finite_gradient(term: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
    (gradient,) = torch.autograd.grad(term, depth)
    assert term.isfinite()
    assert gradient.isfinite().all()
    return gradient


def test_two_walls_differ_by_the_mean_of_their_normals():
    steep = torch.tensor([-0.5, 0, 1], dtype=torch.float64) / math.sqrt(1.25)
    expected = (steep - torch.tensor([0, 0, 1.0])).abs().sum() / 3
    assert_close(normal_matching(slanted(0.5), slanted(0.0), make_intrinsics()), expected)


def test_a_weight_chooses_the_pixels_that_count():
    weight = torch.zeros(1, 1, H, W).double()
    weight[..., : W // 2 - 2] = 1
    left_wall = slanted(-SLOPE)
    assert normal_matching(left_wall, roof(), make_intrinsics(), weight) < 1e-12
    assert normal_matching(left_wall, roof(), make_intrinsics(), 1 - weight) > 0.1


@pytest.mark.parametrize("scale", [1e-3, 0.7, 6e4])
def test_the_scale_of_a_pseudo_depth_does_not_matter(scale):
    depth, label = bumps(0), bumps(1)
    expected = normal_matching(depth, label, make_intrinsics())
    assert_close(normal_matching(depth, scale * label, make_intrinsics()), expected)
    assert_close(normal_matching(scale * depth, label, make_intrinsics()), expected)


def test_the_shift_of_a_pseudo_depth_does_matter():
    median = slanted(0.5).median()
    assert normal_matching(slanted(0.5), slanted(0.5) + median, make_intrinsics()) > 0.05


def test_a_hole_in_the_pseudo_depth_is_left_out_with_its_neighbours():
    label = bumps(0)
    label[..., 10:13, 20] = 0
    assert normal_matching(bumps(0), label, make_intrinsics()) == 0
    assert edge_relative_normal(
        bumps(0), label, halves(0.2, 0.8), make_intrinsics()
    ) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("label", [torch.zeros(1, 1, H, W).double(), bumps(1)])
def test_nothing_to_compare_gives_zero_with_a_gradient_of_zero(label):
    depth = bumps(0).requires_grad_()
    none = torch.zeros(1, 1, H, W).double()
    matching = normal_matching(depth, label, make_intrinsics(), none)
    relative = edge_relative_normal(
        depth, label, halves(0.2, 0.8), make_intrinsics(), valid=none.bool()
    )
    for term in (matching, relative):
        assert term == 0
        assert not finite_gradient(term, depth).any()


@pytest.mark.parametrize("depth", [torch.full((1, 1, H, W), 3.0).double(), bumps(0)])
@pytest.mark.parametrize("image", [torch.zeros(1, 3, H, W).double(), halves(0.2, 0.8)])
def test_flat_depths_and_black_images_have_finite_gradients(depth, image):
    depth = depth.clone().requires_grad_()
    for label in (torch.full_like(depth, 3.0).detach(), bumps(1)):
        for term in (
            normal_matching(depth, label, make_intrinsics()),
            edge_relative_normal(depth, label, image, make_intrinsics()),
        ):
            assert finite_gradient(term, depth).shape == depth.shape


@pytest.mark.parametrize("channel", [None, 0, 1, 2])
def test_a_roof_seen_as_a_wall_costs_the_angle_of_its_sides(channel):
    term = drawn(
        edge_relative_normal, slanted(0.0), roof(), halves(0.3, 0.5, channel), make_intrinsics()
    )
    assert term.item() == pytest.approx((1 - ACROSS) / 3)  # one pair of three crosses the ridge


def test_a_black_image_leaves_the_edges_of_the_normals():
    black = torch.zeros(1, 3, H, W).double()
    term = drawn(edge_relative_normal, slanted(0.0), roof(), black, make_intrinsics())
    assert term.item() == pytest.approx((1 - ACROSS) / 3)


def test_an_edge_of_the_image_alone_is_looked_at_too():
    image = torch.zeros(1, 3, H, W).double()
    image[..., W // 2 + 21 :] = 1  # its points stay on one wall of the pseudo-depth
    term = drawn(edge_relative_normal, slanted(0.0), roof(), image, make_intrinsics())
    assert 0.3 * (1 - ACROSS) / 3 < term < 0.9 * (1 - ACROSS) / 3


def test_one_image_does_not_take_the_edges_of_another():
    images = torch.cat([halves(0.50, 0.51), halves(0.0, 1.0)])
    jump = roof()
    jump[..., -14:, :] *= 3  # the same normals above and below it
    labels = torch.cat([jump, 1000 * jump])
    depth = slanted(0.0).expand(2, -1, -1, -1).clone().requires_grad_()
    term = drawn(edge_relative_normal, depth, labels, images, make_intrinsics(2))
    assert term.item() == pytest.approx((1 - ACROSS) / 3)
    first, second = finite_gradient(term, depth).abs().sum((1, 2, 3))
    assert 0.3 < first / second < 3


def test_a_jump_of_the_pseudo_depth_is_no_place_to_compare():
    label = torch.full((1, 1, H, W), 2.0).double()
    label[..., W // 2 :] = 6  # two parallel walls: the normals on the jump mean nothing
    depth = bumps(0).requires_grad_()
    term = drawn(edge_relative_normal, depth, label, halves(0.0, 1.0), make_intrinsics())
    assert term == 0
    assert not finite_gradient(term, depth).any()


def test_pairs_with_an_end_that_is_not_valid_do_not_count():
    valid = torch.ones(1, 1, H, W, dtype=torch.bool)
    valid[..., W // 2 + 4 :] = False  # only pairs on one side of the ridge are left, and few more
    label = roof()
    label[..., W // 2 + 4 :] = 2 + torch.rand(H, W // 2 - 4).double()
    term = drawn(
        edge_relative_normal, slanted(0.0), label, halves(0.3, 0.5), make_intrinsics(), valid=valid
    )
    clean = drawn(
        edge_relative_normal, slanted(0.0), roof(), halves(0.3, 0.5), make_intrinsics(), valid=valid
    )
    assert clean < 0.9 * (1 - ACROSS) / 3
    assert term < 0.9 * (1 - ACROSS) / 3


def test_the_pseudo_depth_learns_nothing():
    label = bumps(1).requires_grad_()
    inputs = bumps(0), label
    assert not normal_matching(*inputs, make_intrinsics()).requires_grad
    assert not edge_relative_normal(*inputs, halves(0.2, 0.8), make_intrinsics()).requires_grad


def test_gradients_match_finite_differences():
    size = (12, 13)
    depth, label = bumps(5, size).requires_grad_(), bumps(6, size)
    image = torch.rand(1, 3, *size, dtype=torch.float64)
    K = make_intrinsics()
    assert gradcheck(lambda d: normal_matching(d, label, K), (depth,), fast_mode=True)
    assert gradcheck(
        lambda d: drawn(edge_relative_normal, d, label, image, K),
        (depth,),
        fast_mode=True,
    )
