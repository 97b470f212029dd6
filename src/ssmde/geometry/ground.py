"""Where something moves.

A static depth map and the motion of the camera say where something moves: where no other view of
the scene looks like this one.
"""

import torch
import torch.nn.functional as F

from ssmde.types import Map, Mask

MOVES = 0.12  # photometric error that even the best view leaves, in [0, 1]
NOISE = 4.0  # or so many times that of a calm quarter of the image, where that is more
HOLE = 0.04  # gaps up to this share of the width are closed, spots of half of it are dropped


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
