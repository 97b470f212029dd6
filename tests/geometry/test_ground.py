"""Movers are found by other views."""

import torch

from ssmde.geometry.ground import find_movers
from ssmde.methods.self_supervised import least_error

HEIGHT, WIDTH, HORIZON = 48, 64, 10.0
ROWS = torch.arange(HEIGHT).float()[:, None].expand(-1, WIDTH)
GROUND = 60.0 / (ROWS - HORIZON).clamp(min=1e-3)  # depth of a flat ground
WALL = 4.0
STATIC = torch.minimum(GROUND.where(ROWS > HORIZON, WALL), torch.tensor(WALL))[None, None]
K = torch.tensor([[[60.0, 0, 31.5], [0, 60.0, 23.5], [0, 0, 1]]])


def box(top, bottom, left, right):
    mask = torch.zeros(1, 1, HEIGHT, WIDTH, dtype=torch.bool)
    mask[..., top:bottom, left:right] = True
    return mask


def views(generator):
    """A textured wall, and one view of it with something before it that the other does not show."""
    texture = torch.rand(1, 3, HEIGHT // 4, WIDTH // 4, generator=generator)
    wall = torch.nn.functional.interpolate(texture, (HEIGHT, WIDTH), mode="bilinear")
    here = wall.clone()
    here[..., 10:40, 20:36] = torch.rand(1, 3, 30, 16, generator=generator)
    return here, wall


def test_what_no_other_view_shows_is_a_mover_unless_few_see_it():
    here, wall = views(torch.Generator().manual_seed(0))
    others = torch.cat([wall, wall, here, wall])
    depth, T = torch.full_like(STATIC, 3.0), torch.eye(4).expand(4, 4, 4).clone()
    error = least_error(here, others[[0, 1, 3]], depth, T[:3], K)
    found, truth = find_movers(error), box(10, 40, 20, 36)
    assert (found & truth).sum() > 0.95 * truth.sum()
    assert not (found & ~box(7, 43, 17, 39)).any(), "the windows of the error reach 3 pixels"
    assert not find_movers(least_error(here, others, depth, T, K)).any(), "one view shows it"
    T[1:, 0, 3] = 100.0  # three of four see nothing of it
    assert not least_error(here, wall.expand(4, -1, -1, -1), depth, T, K).any()


def test_a_wall_at_a_wrong_depth_is_no_mover():
    texture = torch.rand(1, 3, HEIGHT // 4, WIDTH // 2, generator=torch.Generator().manual_seed(0))
    wall = torch.nn.functional.interpolate(texture, (HEIGHT, 2 * WIDTH), mode="bilinear")
    starts = (32, 20, 44, 26)  # columns; K has fx 60, the wall is 3 away: 20 columns a metre
    here, *others = (wall[..., start : start + WIDTH] for start in starts)
    T = torch.eye(4).repeat(3, 1, 1)
    T[:, 0, 3] = -torch.tensor([(start - starts[0]) / 20.0 for start in starts[1:]])
    args = here, torch.cat(others)
    right, wrong = torch.full_like(STATIC, 3.0), torch.full_like(STATIC, 3.6)
    assert not find_movers(least_error(*args, right, T, K, shares=(1.0,))).any()
    assert find_movers(least_error(*args, wrong, T, K, shares=(1.0,))).float().mean() > 0.1
    assert not find_movers(least_error(*args, wrong, T, K)).any()
