"""Arrays in .npy and .npz files: written whole or not at all, read within bounds."""

import math
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from ssmde.io import ARRAY_LIMIT, check_file, whole_file

KINDS = "biufcSU"  # of an array: numbers and text, no objects, dates or records
# What zipfile raises on bytes of another kind, encrypted ones and such that it cannot unpack.
BROKEN_ZIP = (
    zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, KeyError, OverflowError, struct.error,
)  # fmt: skip


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays by name, compressed, whole or not at all; the folder exists."""
    with whole_file(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **dict[str, Any](arrays))


def read_npy(content: bytes | bytearray) -> Shaped[np.ndarray, "..."]:
    """The array in the bytes of a .npy; it lies in them, and is as writable as they are.

    A ValueError where they hold no plain array, or less than their head claims.
    """
    if bytes(content[:6]) != b"\x93NUMPY" or len(content) < 12:
        raise ValueError("it is no .npy file")
    start = 10 if content[6] == 1 else 12  # behind the length of the head, 2 bytes or 4
    start += int.from_bytes(content[8:start], "little")
    shape, fortran, dtype = _layout(bytes(content[:start]))
    needed = math.prod(shape) * dtype.itemsize
    if needed > len(content) - start:
        raise ValueError(f"its head claims {dtype} {shape}, {len(content) - start:,} bytes follow")
    values = np.frombuffer(content, dtype, count=math.prod(shape), offset=start)
    return values.reshape(shape, order="F" if fortran else "C")


def read_npz(
    content: bytes | bytearray | Path,
    names: Iterable[str] | None = None,
    *,
    limit: int = ARRAY_LIMIT,
) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Arrays by name, of the bytes of a .npz or of such a file; names it lacks are left out.

    A ValueError, which names a file, comes where it is no whole .npz, one is no plain array, or all
    are larger than the limit, in bytes: nothing is unpacked then.
    """
    if isinstance(content, Path):
        check_file(content)
        where, source = f"{content}: ", content
    else:
        where, source = "", BytesIO(content)
    wanted = None if names is None else {f"{name}.npy" for name in names}
    try:
        with zipfile.ZipFile(source) as archive:
            found = [i for i in archive.infolist() if wanted is None or i.filename in wanted]
            if (total := sum(info.file_size for info in found)) > limit:
                raise ValueError(
                    f"its arrays have {total:,} bytes, {limit:,} are the most that is read"
                )
            return {
                info.filename.removesuffix(".npy"): read_npy(bytearray(archive.read(info)))
                for info in found
            }
    except BROKEN_ZIP as error:
        raise ValueError(f"{where}it is no whole .npz ({error})") from error
    except ValueError as error:
        raise ValueError(f"{where}{error}") from error


@lru_cache(maxsize=64)  # parsing a head takes longer than all else of a small frame
def _layout(head: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and kind of values that the head of a .npy claims."""
    file, npy = BytesIO(head), np.lib.format
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"it is a .npy of version {version}, 1 and 2 are read")
    try:
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(file)
    except Exception as error:  # it is parsed as Python, which fails in any way
        raise ValueError(f"its head cannot be read ({type(error).__name__})") from error
    sides = all(type(side) is int and side >= 0 for side in shape)
    if dtype.kind not in KINDS or not dtype.itemsize or not sides:
        raise ValueError("it holds no plain array of numbers")
    return shape, fortran, dtype
