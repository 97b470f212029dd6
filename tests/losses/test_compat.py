"""The released terms: that each quirk is there, and none of them in the terms to train with."""

import math

import pytest
import torch
from torch.testing import assert_close

from ssmde.losses import compat
from ssmde.losses.compat import (
    BORDER,
    released_edge_relative_normal,
    released_normal_matching,
    released_ranking,
)
from ssmde.losses.normals import edge_relative_normal, normal_matching
from ssmde.losses.ranking import confident_depth_ranking

H, W = 48, 56


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_map(seed: int, channels: int = 1) -> torch.Tensor:
    coarse = torch.rand(2, channels, 5, 6, generator=seeded(seed))
    return 1 + torch.nn.functional.interpolate(coarse, (H, W), mode="bilinear")


def make_intrinsics() -> torch.Tensor:
    K = torch.tensor([[90.0, 0, (W - 1) / 2], [0, 90.0, (H - 1) / 2], [0, 0, 1]])
    return K.repeat(2, 1, 1)


def ordered_wrongly() -> tuple[torch.Tensor, torch.Tensor]:
    """Depth and labels in opposite order, 100 apart."""
    labels = torch.ones(2, 1, H, W)
    labels[..., : W // 2] = 2
    return 100 * (2 - labels) + 1, labels


def test_without_holes_normals_are_matched_alike():
    inputs = random_map(0), random_map(1), make_intrinsics()
    assert_close(released_normal_matching(*inputs), normal_matching(*inputs))


def test_released_normals_count_holes_too():
    depth, label = random_map(0), random_map(0)
    label[..., 10:20, 10:20] = 0
    assert released_normal_matching(depth, label, make_intrinsics()) > 0.01
    assert normal_matching(depth, label, make_intrinsics()) == 0


def test_released_ranking_overflows_and_ours_does_not():
    depth, labels = ordered_wrongly()
    reliability = random_map(2)
    assert released_ranking(depth, labels, reliability, generator=seeded()) == math.inf
    ours = confident_depth_ranking(depth, labels, reliability, labels > 0, generator=seeded())
    assert ours.item() == pytest.approx(100)


def test_released_ranking_without_an_order_is_no_number_and_ours_is_zero():
    depth, labels = random_map(0), torch.ones(2, 1, H, W)
    assert released_ranking(depth, labels, random_map(2), generator=None).isnan()
    assert confident_depth_ranking(depth, labels, random_map(2), labels > 0, generator=None) == 0


def test_released_ranking_costs_the_logarithm_of_the_gap():
    labels = ordered_wrongly()[1]
    found = released_ranking(labels / 2, labels, random_map(2), generator=seeded())
    assert found.item() == pytest.approx(math.log(1 + math.exp(-0.5)))


def test_released_random_pairs_lie_on_nearly_the_same_row():
    first, second = compat._raster_pairs(random_map(0), seeded())
    assert len(first) == len(second)
    assert 0.05 < len(first) / (H * W) < 0.15
    assert (first // W - second // W).abs().double().mean() < H / 12  # by chance: H / 3


def test_released_ranking_keeps_random_pairs_with_one_unknown_end(monkeypatch):
    nowhere = torch.zeros(1, dtype=torch.long)
    monkeypatch.setattr(compat, "_unreliable_pairs", lambda *_: (nowhere, nowhere))
    depth, labels = ordered_wrongly()
    labels = (labels > 1.5).float()  # half of the image is unknown
    found = released_ranking(depth / 100, labels, random_map(2), generator=seeded())
    assert found.item() == pytest.approx(math.log(1 + math.e))  # ordered by a ratio to nothing
    assert confident_depth_ranking(depth, labels, depth, labels > 0, generator=None) == 0


def test_the_margin_itself_is_an_order_for_the_unreliable_pixel_in_front():
    far, near = torch.tensor([1.15]), torch.tensor([1.0])
    assert compat._label(far, near, inclusive=True) == 1
    assert compat._label(far, near, inclusive=False) == 0
    assert compat._label(near, far, inclusive=True) == 0


def test_released_edges_are_those_of_the_red_channel():
    depth, label, image = random_map(0), random_map(1), random_map(2, 3)
    other = image.clone()
    other[:, 1:] = random_map(3, 2)
    a, b = (
        released_edge_relative_normal(depth, label, i, make_intrinsics(), generator=seeded())
        for i in (image, other)
    )
    assert a == b
    a, b = (
        edge_relative_normal(depth, label, i, make_intrinsics(), generator=seeded())
        for i in (image, other)
    )
    assert a != b


def test_released_points_lie_along_half_of_the_edges():
    edge = torch.zeros(H, W, dtype=torch.bool)
    edge[H // 2, W // 2] = True
    for angle, across in ((math.pi / 4, True), (-math.pi / 4, False), (3 * math.pi / 4, False)):
        v, u = compat._points(edge, torch.full((H, W), angle), seeded())
        along_gradient = ((u - W // 2) * math.cos(angle) + (v - H // 2) * math.sin(angle)).abs()
        assert bool((along_gradient > 2).all()) == across


def test_released_points_that_leave_the_image_stop_at_its_border():
    edge = torch.zeros(H, W, dtype=torch.bool)
    edge[:, 1] = True
    _, u = compat._points(edge, torch.zeros(H, W), seeded())
    assert u[:2].max() == 0
    assert u.shape == (4, H)  # as many as edge pixels


def test_released_depth_edges_are_relative_to_the_batch(monkeypatch):
    anchors: list[torch.Tensor] = []
    points = compat._points
    monkeypatch.setattr(compat, "_points", lambda s, *args: anchors.append(s) or points(s, *args))
    label, image, K = random_map(1), torch.zeros(2, 3, H, W), make_intrinsics()
    label[..., W // 2 :] += 3
    image[..., W // 4 :] = 1  # without this edge the image would be all edge
    image[..., W // 2 :] = 2
    depth = random_map(0)
    released_edge_relative_normal(depth[:1], label[:1], image[:1], K[:1], generator=None)
    label[1] *= 1000  # the jump of the first image is no longer one
    term = released_edge_relative_normal(depth, label, image, K, generator=None)
    alone, together = anchors[0], anchors[2]
    assert not alone[BORDER:-BORDER, W // 2].any()
    assert together[BORDER:-BORDER, W // 2].all()
    assert term.dtype == torch.float32


def test_released_terms_have_gradients():
    depth = random_map(0).requires_grad_()
    label, K = random_map(1), make_intrinsics()
    for term in (
        released_normal_matching(depth, label, K),
        released_ranking(depth, label, random_map(2), generator=None),
        released_edge_relative_normal(depth, label, random_map(3, 3), K, generator=None),
    ):
        (gradient,) = torch.autograd.grad(term, depth)
        assert gradient.isfinite().all()
        assert gradient.any()
