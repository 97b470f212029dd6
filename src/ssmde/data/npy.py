"""Arrays from the bytes of a .npy, without parsing the same header for every frame."""

from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
from jaxtyping import Shaped, UInt8

LENGTH = slice(8, 10)  # bytes that hold the length of the header, in version 1 of the format
FIRST_VERSION = b"\x93NUMPY\x01"


def read_npy(content: bytes | bytearray) -> Shaped[np.ndarray, "..."]:
    """The array in the bytes of a .npy; it lies in them, and is as writable as they are.

    Raises:
        ValueError: If they hold no plain array.
    """
    start = 10 + int.from_bytes(content[LENGTH], "little")
    if bytes(content[:7]) != FIRST_VERSION:
        return np.load(BytesIO(content), allow_pickle=False)
    shape, dtype = _layout(bytes(content[:start]))
    return np.frombuffer(content, dtype, offset=start).reshape(shape)


def read_pixels(content: bytes | bytearray) -> UInt8[np.ndarray, "h w 3"]:
    """Pixels of an image in the bytes of a .npy.

    Raises:
        ValueError: If they hold something else.
    """
    pixels = read_npy(content)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"pixels are bytes, height x width x 3, got {pixels.dtype} {pixels.shape}")
    return pixels if pixels.flags.writeable else pixels.copy()


@lru_cache(maxsize=64)
def _layout(header: bytes) -> tuple[tuple[int, ...], np.dtype[Any]]:
    file = BytesIO(header)
    np.lib.format.read_magic(file)
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    if fortran or dtype.hasobject:
        raise ValueError("an array of objects or in the order of Fortran")
    return shape, dtype
