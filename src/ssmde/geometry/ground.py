"""Where something moves, and the plane of the ground in a depth map.

A static depth map and the motion of the camera say where something moves: where no other view of
the scene looks like this one.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ssmde.types import Map, Mask

MOVES = 0.12  # photometric error that even the best view leaves, in [0, 1]
NOISE = 4.0  # or so many times that of a calm quarter of the image, where that is more
HOLE = 0.04  # gaps up to this share of the width are closed, spots of half of it are dropped
GROUND_ROWS = 0.4  # share of the image, from below, in which the ground is looked for
REFITS = 8
KEPT = 0.6  # share of the pixels, those that fit the ground best, that a refit listens to
LEAST_FALL = 0.1  # the ground's disparity rises at least so much, relative to its mean, downwards


def dilate(mask: Mask, window: int) -> Mask:
    """True where any pixel of the square window is; rows and columns apart, which is the same."""
    values, half = mask.to(torch.float32), window // 2
    rows = F.max_pool2d(values, (1, window), 1, (0, half))
    return F.max_pool2d(rows, (window, 1), 1, (half, 0)) > 0


def erode(mask: Mask, window: int) -> Mask:
    """True where all pixels of the square window are; the outside of the image has no say."""
    return ~dilate(~mask, window)


def find_movers(error: Map) -> Mask:
    """True where even the best view differs: small holes closed, small spots dropped.

    `error` is that of `methods.self_supervised.least_error`.
    """
    calm = error.flatten(1).quantile(0.25, dim=1)[:, None, None, None]
    moves = error > (NOISE * calm).clamp(min=MOVES)
    # Odd sides, at least 3.
    hole, spot = (max(3, 2 * round((s * error.shape[-1] - 1) / 2) + 1) for s in (HOLE, HOLE / 2))
    closed = erode(dilate(moves, hole), hole)
    return dilate(erode(closed, spot), spot)


def ground_plane(depth: Map, movers: Mask) -> Map | None:
    """Depth of the ground as if nothing stood on it; infinity above its horizon, None if not found.

    Of one static depth map, which is positive and not trusted where there are movers.
    """
    plane = fit_ground(depth, movers)
    if plane is None:
        return None
    found = _pixels(depth) @ plane
    return torch.where(found > 0, 1 / found.clamp(min=1e-12), torch.inf)[None, None]


def fit_ground(depth: Map, movers: Mask) -> Float[Tensor, "3"] | None:
    """The ground as (a, b, c) with 1 / depth = a u + b v + c, u and v from -1 to 1; None if none.

    The disparity of a plane is linear in the pixel. It is fitted to the lower part of the image by
    least squares, again and again to the pixels that fit best, so that furniture and cars which
    stand still are left out. A plane that does not come nearer downwards is no ground.
    """
    height, width = depth.shape[-2:]
    used = ~movers[0, 0]
    used[: int((1 - GROUND_ROWS) * height)] = False
    system, disparity = _pixels(depth)[used].double(), 1 / depth[0, 0][used].double()
    if len(system) < 10 * width:
        return None
    kept = torch.ones_like(disparity, dtype=torch.bool)
    plane = torch.zeros_like(system[0])
    for _ in range(REFITS):
        some = system[kept]  # the normal equations of three numbers, in float64, are exact enough
        plane = torch.linalg.pinv(some.T @ some, hermitian=True) @ (some.T @ disparity[kept])
        off = (system @ plane - disparity).abs()
        kept = off <= off.kthvalue(int(KEPT * (len(off) - 1)) + 1).values
    if plane[1] < LEAST_FALL * disparity[kept].mean():
        return None
    return plane.to(depth.dtype)


def _pixels(depth: Map) -> Float[Tensor, "h w 3"]:
    """(u, v, 1) of every pixel, u and v from -1 to 1."""
    lines = (torch.linspace(-1, 1, n, dtype=depth.dtype, device=depth.device)
             for n in depth.shape[2:])  # fmt: skip
    v, u = torch.meshgrid(*lines, indexing="ij")
    return torch.stack([u, v, torch.ones_like(u)], dim=-1)
