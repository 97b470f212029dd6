"""Small grey images: what the motion between two frames is measured on."""

from pathlib import Path

import numpy as np
from jaxtyping import Float32

from ssmde.data.images import REDUCTIONS, read_image

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
SHORT_SIDE = 96  # fewest rows or columns of a small grey image, where the frame has them


def read_small_grey(path: Path, size: tuple[int, int]) -> Float32[np.ndarray, "h w"]:
    """Grey values of a frame in [0, 1], reduced until its shorter side is near 96 pixels.

    Args:
        path: The image.
        size: Its size (height, width), in pixels.

    Raises:
        ImageError: If it cannot be read.
    """
    return read_image(path, reduction=small_reduction(size)) @ (LUMA / 255)


def small_reduction(size: tuple[int, int]) -> int:
    """How many pixels of a frame (height, width) make one of its small grey image, each way."""
    return next((r for r in REDUCTIONS if min(size) // r >= SHORT_SIDE), 1)
