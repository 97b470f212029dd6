"""Where something moves, and the plane of the ground in a depth map.

A static depth map and the motion of the camera say where something moves: where no other view of
the scene looks like this one.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

MOVES = 0.12  # photometric error that even the best view leaves, in [0, 1]
NOISE = 4.0  # or so many times that of a calm quarter of the image, where that is more
HOLE = 0.04  # gaps up to this share of the width are closed, spots of half of it are dropped
GROUND_ROWS = 0.4  # share of the image, from below, in which the ground is looked for
REFITS = 8
KEPT = 0.6  # share of the pixels, those that fit the ground best, that a refit listens to
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


def _odd(side: float) -> int:
    """The odd number next to a side, at least 3."""
    return max(3, 2 * round((side - 1) / 2) + 1)


def _dilate(mask: Float[Tensor, "b 1 h w"], side: int) -> Float[Tensor, "b 1 h w"]:
    """The mask, grown to all pixels of a square around each of its pixels."""
    return F.max_pool2d(mask, side, 1, side // 2)
