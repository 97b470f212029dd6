"""Depth of what moves, from where it stands.

Neighboring views say nothing true about a person or a car that moves. But a static depth map and
the motion of the camera say *where* something moves: where no other view of the scene looks like
this one. And what moves stands on the ground: its depth is that of the ground at its lowest pixel.
A mover that the image cuts off at its lower edge stands nearer than the nearest ground in view.

This needs no label and no other network. It is ours, not the paper's (docs/decisions/0010).
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

MOVES = 0.12  # photometric error that even the best view leaves, in [0, 1]
NOISE = 4.0  # or so many times that of a calm quarter of the image, where that is more
HOLE = 0.04  # gaps up to this share of the width are closed, spots of half of it are dropped
REACH = 0.1  # a column may take its contact from columns this share of the width away
ROUNDS = 2  # up the columns, then across
GROUND_ROWS = 0.4  # share of the image, from below, in which the ground is looked for
REFITS = 8
KEPT = 0.6  # share of the pixels, those that fit the ground best, that a refit listens to
# Where a mover stands is not seen if the lower edge cuts it off. Were it anywhere on the ground
# between the camera and the nearest ground in view, with equal chance for equal area, its distance
# would be 2/3 of the latter on average.
CUT_SHARE = 2 / 3
LEAST_FALL = 0.1  # the ground's disparity rises at least so much, relative to its mean, downwards


def find_movers(error: Float[Tensor, "b 1 h w"]) -> Bool[Tensor, "b 1 h w"]:
    """True where even the best view differs: small holes closed, small spots dropped.

    Args:
        error: Of `methods.self_supervised.least_error`.
    """
    calm = error.flatten(1).quantile(0.25, dim=1)[:, None, None, None]
    moves = (error > (NOISE * calm).clamp(min=MOVES)).to(error)
    hole = _odd(HOLE * error.shape[-1])
    spot = _odd(HOLE / 2 * error.shape[-1])
    # A mask is eroded where its complement is dilated.
    closed = 1 - _dilate(1 - _dilate(moves, hole), hole)
    return _dilate(1 - _dilate(1 - closed, spot), spot) > 0.5


def ground_plane(
    depth: Float[Tensor, "1 1 h w"], movers: Bool[Tensor, "1 1 h w"]
) -> Float[Tensor, "1 1 h w"] | None:
    """Depth of the ground as if nothing stood on it; infinity above its horizon, None if not found.

    Args:
        depth: Static depth; positive.
        movers: True where it is not to be trusted.
    """
    plane = fit_ground(depth, movers)
    if plane is None:
        return None
    found = _pixels(depth) @ plane
    return torch.where(found > 0, 1 / found.clamp(min=1e-12), torch.inf)[None, None]


def fit_ground(
    depth: Float[Tensor, "1 1 h w"], movers: Bool[Tensor, "1 1 h w"]
) -> Float[Tensor, "3"] | None:
    """The ground as (a, b, c) with 1 / depth = a u + b v + c, u and v from -1 to 1; None if none.

    The disparity of a plane is linear in the pixel. It is fitted to the lower part of the image by
    least squares, again and again to the pixels that fit best, so that furniture and cars which
    stand still are left out. A plane that does not come nearer downwards is no ground.
    """
    height, width = depth.shape[-2:]
    low = torch.zeros_like(movers[0, 0])
    low[int((1 - GROUND_ROWS) * height) :] = True
    used = low & ~movers[0, 0]
    system, disparity = _pixels(depth)[used], 1 / depth[0, 0][used]
    if len(system) < 10 * width:
        return None
    kept = torch.ones_like(disparity, dtype=torch.bool)
    plane = torch.zeros(3, dtype=depth.dtype, device=depth.device)
    for _ in range(REFITS):
        plane = torch.linalg.lstsq(system[kept], disparity[kept][:, None]).solution[:, 0]
        off = (system @ plane - disparity).abs()
        kept = off <= off.kthvalue(int(KEPT * (len(off) - 1)) + 1).values
    return None if plane[1] < LEAST_FALL * disparity[kept].mean() else plane


def _pixels(depth: Float[Tensor, "1 1 h w"]) -> Float[Tensor, "h w 3"]:
    """(u, v, 1) of every pixel, u and v from -1 to 1."""
    v, u = torch.meshgrid(
        *(
            torch.linspace(-1, 1, n, dtype=depth.dtype, device=depth.device)
            for n in depth.shape[2:]
        ),
        indexing="ij",
    )
    return torch.stack([u, v, torch.ones_like(u)], dim=-1)


def stand_on_ground(
    depth: Float[Tensor, "1 1 h w"],
    movers: Bool[Tensor, "1 1 h w"],
    ground: Float[Tensor, "1 1 h w"],
) -> Float[Tensor, "1 1 h w"]:
    """The static depth, and on movers the depth of the ground they stand on where that is nearer.

    Args:
        depth: Static depth; on movers that of what is behind them.
        movers: True on what moves.
        ground: Of `ground_plane`.
    """
    height, width = depth.shape[-2:]
    rows = torch.arange(height, dtype=depth.dtype, device=depth.device)[:, None].expand(-1, width)
    contact = _lowest_row(movers, rows[None, None], reach=round(REACH * width))
    cut = contact >= height - 1 - _odd(HOLE * width) // 2
    at = contact.clamp(min=0).long()
    stands = ground.gather(2, at)
    stands = torch.where(cut, CUT_SHARE * ground[:, :, -1:].expand_as(stands), stands)
    return torch.where(movers, torch.minimum(depth, stands), depth)


def _lowest_row(
    movers: Bool[Tensor, "b 1 h w"], rows: Float[Tensor, "1 1 h w"], *, reach: int
) -> Float[Tensor, "b 1 h w"]:
    """For each pixel of a mover, the lowest row it is connected to; -1 elsewhere."""
    lowest = torch.where(movers, rows, -1.0)
    up, across = ((3, 1), rows.shape[2]), ((1, 3), reach)
    for (high, wide), steps in (*ROUNDS * (up, across), up):
        for _ in range(steps):  # the largest value walks over the movers, along one axis
            near = F.max_pool2d(lowest, (high, wide), 1, (high // 2, wide // 2))
            walked = torch.where(movers, near, -1.0)
            if torch.equal(walked, lowest):
                break
            lowest = walked
    return lowest


def _odd(side: float) -> int:
    """The odd number next to a side, at least 3."""
    return max(3, 2 * round((side - 1) / 2) + 1)


def _dilate(mask: Float[Tensor, "b 1 h w"], side: int) -> Float[Tensor, "b 1 h w"]:
    """The mask, grown to all pixels of a square around each of its pixels."""
    return F.max_pool2d(mask, side, 1, side // 2)
