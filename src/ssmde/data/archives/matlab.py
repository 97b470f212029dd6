"""Arrays of numbers in MATLAB's own file format before HDF5 (version 5), such as splits.mat."""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Num

from ssmde.data.archives.record import ArchiveError, read_archive_file

HEADER_BYTES = 128
MATRIX, COMPRESSED = 14, 15
# Codes of the format's numbers (MathWorks, MAT-File Format, table 1-1), little-endian.
NUMBERS = {
    1: "<i1",
    2: "<u1",
    3: "<i2",
    4: "<u2",
    5: "<i4",
    6: "<u4",
    7: "<f4",
    9: "<f8",
    12: "<i8",
    13: "<u8",
}


def read_matlab5(path: Path) -> dict[str, Num[np.ndarray, " _"]]:
    """Numbers of every variable, by its name, column by column; others are left out.

    Args:
        path: A little-endian .mat file of version 5, compressed or not.

    Raises:
        ArchiveError: If the file is missing, broken, or of another version.
    """
    content = read_archive_file(path)
    if content[:6] != b"MATLAB" or content[124:128] != b"\x00\x01IM":
        raise ArchiveError(f"{path}: expected a MATLAB 5 file; save it with `save -v7`")
    found: dict[str, Num[np.ndarray, " _"]] = {}
    try:
        for kind, data in _elements(content[HEADER_BYTES:]):
            if kind == COMPRESSED:
                kind, data = next(_elements(zlib.decompress(data)))
            if kind == MATRIX:
                _flags, _size, name, *numbers = _elements(data)
                if numbers and numbers[0][0] in NUMBERS:
                    values = np.frombuffer(numbers[0][1], NUMBERS[numbers[0][0]])
                    found[name[1].decode("ascii")] = values
    except (struct.error, zlib.error, ValueError, StopIteration) as error:
        raise ArchiveError(f"{path}: broken ({error}); download it again") from error
    return found


def _elements(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and data of one element after the other."""
    at = 0
    while at < len(content):
        kind, size = struct.unpack_from("<II", content, at)
        if kind >> 16:  # up to four bytes stand within the tag
            kind, size, start = kind & 0xFFFF, kind >> 16, at + 4
            end = at + 8
        else:
            start = at + 8
            padding = 0 if kind == COMPRESSED else -size % 8
            end = start + size + padding
        if start + size > len(content):
            raise ValueError("it ends too early")
        yield kind, content[start : start + size]
        at = end
