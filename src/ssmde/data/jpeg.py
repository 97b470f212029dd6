"""JPEG bytes to pixels by the shortest way, where `simplejpeg` is installed.

Pillow and simplejpeg wrap the same decoder, libjpeg-turbo, and give the same pixels; Pillow keeps
them in four bytes each and copies them twice on the way to an array, which takes as long as the
decoding itself.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import UInt8


def decode_jpeg(
    content: bytes | bytearray, stored: tuple[int, int], reduction: int
) -> UInt8[np.ndarray, "h w 3"] | None:
    """Pixels of a JPEG, RGB, as the file stores them; None where Pillow has to do it.

    Args:
        content: The whole file.
        stored: Size (height, width) its header says.
        reduction: Decode at a half, a quarter or an eighth of the size: 2, 4 or 8. The last row
            and column may hold a part of a pixel: the size is rounded up.
    """
    decode = _decoder()
    if decode is None:
        return None
    height, width = (-(-side // reduction) for side in stored)
    smallest = {"min_height": height, "min_width": width} if reduction > 1 else {}
    try:
        pixels = decode(content, "RGB", **smallest)
    except ValueError:  # broken or of a rare kind: Pillow reads it, or says what is wrong
        return None
    return pixels if pixels.shape[:2] == (height, width) else None


@cache
def _decoder() -> Callable[..., Any] | None:
    try:
        from simplejpeg import decode_jpeg as decode
    except ImportError:
        return None
    return decode
