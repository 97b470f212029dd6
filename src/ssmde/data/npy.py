"""Arrays from the bytes of a .npy, without parsing the same header for every frame."""

import math
from functools import lru_cache
from io import BufferedIOBase, BytesIO
from typing import Any

import numpy as np
from jaxtyping import Shaped, UInt8

LENGTH = slice(8, 10)  # bytes that hold the length of the header, in version 1 of the format
HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
"""Readers of a header by version of the format; version 3 names fields, which no map has."""
FIRST_VERSION = b"\x93NUMPY\x01"


def check_header(file: BufferedIOBase, length: int, most: int) -> None:
    """Refuse an array by its header, before memory is taken for it.

    Args:
        file: Open at the begin of a .npy.
        length: Bytes of the file.
        most: Numbers that an array may have.

    Raises:
        ValueError: If it claims more numbers, or more bytes than the file has.
    """
    version = np.lib.format.read_magic(file)
    if version not in HEADERS:
        raise ValueError(f"a .npy of version {version}")
    shape, _, dtype = HEADERS[version](file)
    count = math.prod(shape)
    if count > most:
        raise ValueError(f"claims {count / 1e6:,.0f} million numbers, the limit is {most / 1e6:g}")
    if not dtype.hasobject and count * dtype.itemsize > length - file.tell():
        raise ValueError("claims more numbers than it holds")


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
