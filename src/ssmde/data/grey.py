"""16-bit grey as 8 bits: one stretch from the lowest to the highest value of a whole source."""

import os
import struct
import zlib
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Integer, UInt8

from ssmde.data.opening import open_image

SIXTEEN_BIT = ("I", "I;16", "I;16B", "I;16L", "I;16N")  # Pillow's names for 16 bits a pixel
FULL = 65535
SUFFIXES = (".png", ".tif", ".tiff", ".pgm")  # of files that may hold them
MOST_ASKED = 32  # images that tell the levels of a source
OUTLIERS = (0.1, 99.9)  # percent
BROKEN = (OSError, SyntaxError, ValueError, EOFError, KeyError, struct.error, zlib.error)


def grey_levels(files: Sequence[Path]) -> tuple[int, int] | None:
    """Lowest and highest value that 16-bit grey images of one source use.

    None where they use more than half of what 16 bits hold, or where there are none: a thermal
    camera uses a hundredth, of which the upper 8 bits alone would leave four greys.

    Args:
        files: The images; evenly spread ones are asked, 32 at most.
    """
    ends: list[tuple[int, int]] = []
    asked = [path for path in files if path.suffix.lower() in SUFFIXES]
    for path in filter(is_grey16, asked[:: max(1, -(-len(asked) // MOST_ASKED))]):
        with suppress(*BROKEN), open_image(path, path) as image:
            ends.append(_ends(np.asarray(image)))
    return _levels(ends)


def is_grey16(path: Path) -> bool:
    """Whether a file is grey of 16 bits; False for what cannot be opened."""
    if path.suffix.lower() not in SUFFIXES:
        return False
    with suppress(*BROKEN), open_image(path, path) as image:
        return image.mode in SIXTEEN_BIT
    return False


def array_levels(values: Integer[np.ndarray, "..."]) -> tuple[int, int] | None:
    """The same of one image."""
    return _levels([_ends(values)] if values.size else [])


def _ends(values: np.ndarray) -> tuple[int, int]:
    low, high = np.percentile(values, OUTLIERS)  # dead and hot pixels are no range
    return int(low), int(high)


def _levels(ends: list[tuple[int, int]]) -> tuple[int, int] | None:
    low = min((low for low, _ in ends), default=0)
    high = max((high for _, high in ends), default=FULL)
    return (low, max(high, low + 1)) if high - low < FULL // 2 else None


@lru_cache(maxsize=1024)
def folder_levels(folder: Path, changed: int) -> tuple[int, int] | None:
    """The levels of all images of a folder, as it was when it changed last."""
    names = sorted(n for n in os.listdir(folder) if n.lower().endswith(SUFFIXES))
    return grey_levels([folder / name for name in names])


def grey_to_bytes(
    values: Integer[np.ndarray, "..."], levels: tuple[int, int] | None
) -> UInt8[np.ndarray, "..."]:
    """16-bit values as 8 bits: from the lowest to the highest level, or the upper 8 bits."""
    if levels is None:
        return (values >> 8).clip(0, 255).astype(np.uint8)
    low, high = levels
    share = (values.astype(np.float32) - low) / (high - low)
    return (255 * share.clip(0, 1)).round().astype(np.uint8)


def stretch_note(levels: tuple[int, int] | None) -> list[str]:
    """What to say of levels: a line, or nothing."""
    return [f"16-bit grey, {levels[0]} to {levels[1]} become 0 to 255"] if levels else []
