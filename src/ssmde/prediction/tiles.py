"""Large images in parts: each part seen at the network's size, all of them joined without a seam.

A network says each part in a scale of its own. So the image as a whole decides what is coarse, and
the parts what is fine: each part is multiplied by a smooth map that makes its coarse content that
of the whole. Parts overlap by half, and fade out towards their borders.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32, UInt8
from torch import Tensor

from ssmde.data.images import resize_image

CELLS = 4
"""What is coarser than a quarter of a part is decided by the whole image."""
MOST_TILES = 16

Depths = Callable[[list[UInt8[np.ndarray, "_ _ 3"]]], Float32[np.ndarray, "b h w"]]


def tiled_depth(
    depths_of: Depths,
    pixels: UInt8[np.ndarray, "h w 3"],
    size: tuple[int, int],
    tiles: int,
) -> Float32[np.ndarray, "k m"]:
    """Depth of an image at `tiles` times the network's size.

    (2 tiles - 1)^2 parts and the whole image are shown to the network.

    Args:
        depths_of: Depth of images of the network's size, at that size.
        pixels: RGB.
        size: The network's size (height, width).
        tiles: Parts side by side along each side of the image; 2 or more.
    """
    height, width = size
    whole = depths_of([resize_image(pixels, size)])[0]
    canvas = resize_image(pixels, (height * tiles, width * tiles))
    guide = _resize(_log(whole), canvas.shape[:2])
    total, weight = torch.zeros_like(guide), torch.zeros_like(guide)
    fade = _fade(height, width)
    for top in range(0, height * tiles - height // 2, height // 2):
        for left in range(0, width * tiles - width // 2, width // 2):
            here = (..., slice(top, top + height), slice(left, left + width))
            part = np.ascontiguousarray(canvas[top : top + height, left : left + width])
            fine = _log(depths_of([part])[0])
            total[here] += fade * (fine + _coarse(guide[here] - fine))
            weight[here] += fade
    return (total / weight).exp()[0, 0].numpy()


def check_tiles(tiles: int) -> None:
    """Refuse a number that makes no sense or takes for ever."""
    if not 1 <= tiles <= MOST_TILES:
        raise ValueError(
            f"tiles must be from 1 to {MOST_TILES}, got {tiles}: the image is seen in "
            "(2 tiles - 1)^2 parts"
        )


def _coarse(difference: Tensor) -> Tensor:
    """The smooth part of a map: means of cells, joined by straight lines between their middles."""
    return _resize(F.adaptive_avg_pool2d(difference, CELLS), difference.shape[-2:])


def _resize(values: Tensor, size: tuple[int, ...]) -> Tensor:
    return F.interpolate(values, tuple(size), mode="bilinear", align_corners=False)


def _log(depth: Float32[np.ndarray, "h w"]) -> Tensor:
    return torch.from_numpy(np.require(depth, np.float32, "W")).log()[None, None]


def _fade(height: int, width: int) -> Tensor:
    """Weights of a part: 1 in its middle, almost 0 at its border; two neighbours add up to 1."""
    v, u = (
        torch.sin(torch.pi * (torch.arange(n, dtype=torch.float32) + 0.5) / n) ** 2
        for n in (height, width)
    )
    return (v[:, None] * u)[None, None]
