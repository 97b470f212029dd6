"""Patches of real photos as textures: cut at random, filtered to the size of a pixel.

Each patch is kept at every combination of halved widths and heights ("rip map"), so a floor seen
at a flat angle stays sharp across and does not flicker along.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8
from numpy import ndarray
from numpy.random import Generator
from PIL import Image

SIDE = 128  # pixels of a patch, both ways
LEVELS = 8  # halvings until one pixel is left, and the whole
SUFFIXES = (".jpg", ".jpeg", ".png")
EVEN_CROP, CROP = (40, 130), (80, 260)
"""Smallest and largest side of a cut of a surface, and of one with things on it, in pixels."""
SOURCES = 7  # photos that the patches of one drawn photo come from
TRIES = 14  # cuts of which the most even is taken where a surface should be even
DARKEST = 0.04  # mean of a patch under which its colours are noise


def image_files(folders: Sequence[Path]) -> list[Path]:
    """All pictures directly in the folders, sorted.

    Raises:
        ValueError: If a folder holds no picture.
    """
    files: list[Path] = []
    for folder in folders:
        found = sorted(p for p in folder.glob("*") if p.suffix.lower() in SUFFIXES)
        if not found:
            raise ValueError(f"no .jpg or .png picture in {folder}")
        files += found
    return files


@dataclass(kw_only=True, slots=True)
class PatchBook:
    """Patches for one drawn photo; each is cut when it is first seen."""

    folders: Sequence[Sequence[Path]] = ()
    """Files of each folder; every folder is as likely, however many files it has."""
    asked: list[tuple[int, bool]] = field(default_factory=list)
    """Seed of each patch, and whether it is to show an even surface."""
    sources: list[Path] = field(default_factory=list)
    """The few photos that the patches of this one come from."""

    def ask(self, rng: Generator, *, even: bool) -> int:
        """The number of one more patch.

        Args:
            rng: Where photo and place come from.
            even: Prefer a cut of one surface to one with things on it.
        """
        if not self.sources:
            for _ in range(SOURCES):
                files = self.folders[int(rng.integers(len(self.folders)))]
                self.sources.append(files[int(rng.integers(len(files)))])
        self.asked.append((int(rng.integers(2**31)), even))
        return len(self.asked) - 1

    def cut(self, number: int) -> tuple[Float32[ndarray, "t 3"], Float32[ndarray, " 3"]]:
        """Rip map and mean colour of a patch, in linear light."""
        seed, even = self.asked[number]
        rng = np.random.default_rng(seed)
        image = _open(self.sources[int(rng.integers(len(self.sources)))])
        cuts = [
            _frame(rng, image, EVEN_CROP if even else CROP) for _ in range(TRIES if even else 2)
        ]
        best = min if even else max
        patch = _resized(image, best(cuts, key=lambda cut: _unevenness(image, cut)))
        linear = np.maximum((patch.astype(np.float32) / 255) ** 2.2, 0.002)
        if rng.random() < 0.5:
            linear = linear[:, ::-1]
        return rip_map(linear), linear.mean(axis=(0, 1), dtype=np.float32)


_OPENED: dict[Path, UInt8[ndarray, "h w 3"]] = {}
KEPT = 600  # photos that stay in memory


def _open(path: Path) -> UInt8[ndarray, "h w 3"]:
    if path not in _OPENED:
        if len(_OPENED) >= KEPT:
            _OPENED.clear()
        with Image.open(path) as image:
            _OPENED[path] = np.asarray(image.convert("RGB"))
    return _OPENED[path]


def _frame(
    rng: Generator, image: UInt8[ndarray, "h w 3"], sides: tuple[int, int]
) -> tuple[slice, slice]:
    """Rows and columns of a random cut."""
    height, width = image.shape[:2]
    most = min(sides[1], height, width)
    low = min(sides[0], most)
    side = round(low * (most / low) ** rng.random())
    tall, wide = min(max(2, round(side * rng.uniform(0.75, 1.33))), height), min(side, width)
    top, left = rng.integers(height - tall + 1), rng.integers(width - wide + 1)
    return slice(int(top), int(top) + tall), slice(int(left), int(left) + wide)


def _resized(image: UInt8[ndarray, "h w 3"], cut: tuple[slice, slice]) -> UInt8[ndarray, "s s 3"]:
    piece = Image.fromarray(image[cut])
    return np.asarray(piece.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def _unevenness(image: UInt8[ndarray, "h w 3"], cut: tuple[slice, slice]) -> float:
    """Spread of pixels here and there, relative to the brightness; black counts as uneven."""
    rows, columns = (np.linspace(s.start, s.stop - 1, 9).astype(np.int64) for s in cut)
    some = image[rows[:, None], columns] / 255.0
    mean = float(some.mean())
    return float(some.std(axis=(0, 1)).mean()) / mean if mean > DARKEST else 10.0


def _offsets() -> tuple[Int64[ndarray, "k k"], int]:
    """Where each level (down, across) begins in a rip map, and how long the whole is."""
    sizes = np.array([[SIDE >> down << 16 | SIDE >> across for across in range(LEVELS)]
                      for down in range(LEVELS)])  # fmt: skip
    areas = (sizes >> 16) * (sizes & 0xFFFF)
    ends = np.cumsum(areas).reshape(LEVELS, LEVELS)
    return ends - areas, int(ends[-1, -1])


OFFSETS, TEXELS = _offsets()


def rip_map(patch: Float32[ndarray, "s s 3"]) -> Float32[ndarray, "t 3"]:
    """Every halving of a patch down and across, one after the other."""
    levels: list[ndarray] = []
    tall = patch
    for _ in range(LEVELS):
        wide = tall
        for _ in range(LEVELS):
            levels.append(wide.reshape(-1, 3))
            wide = (wide[:, ::2] + wide[:, 1::2]) / 2 if wide.shape[1] > 1 else wide
        tall = (tall[::2] + tall[1::2]) / 2 if tall.shape[0] > 1 else tall
    return np.concatenate(levels)


def look_up(
    maps: Float32[ndarray, "k 3"],
    which: Int64[ndarray, " n"],
    places: Float64[ndarray, "n 2"],
    footprint: Float64[ndarray, "n 2"],
) -> Float32[ndarray, "n 3"]:
    """Colour of the patches at points, each a mean over about one pixel.

    Args:
        maps: Rip maps, one after the other.
        which: Number of the patch of each point.
        places: Across and down, in patches; beyond [0, 1] the patch is mirrored, without end.
        footprint: Size of a pixel across and down, in patches.
    """
    level = np.log2(np.maximum(footprint * SIDE, 1.0))
    level = np.minimum(np.rint(level), LEVELS - 1).astype(np.int64)
    size = SIDE >> level
    # Mirrored at the whole numbers: a saw becomes a zigzag.
    wrapped = np.abs((places + 1) % 2 - 1)
    at = wrapped * size - 0.5
    low = np.floor(at)
    share = (at - low).astype(np.float32)
    low = low.astype(np.int64)
    high = np.minimum(low + 1, size - 1)
    low = np.maximum(low, 0)
    start = which * TEXELS + OFFSETS[level[:, 1], level[:, 0]]
    rows = (start + low[:, 1] * size[:, 0], start + high[:, 1] * size[:, 0])
    across, down = share[:, :1], share[:, 1:]
    top, bottom = (
        maps[row + low[:, 0]] * (1 - across) + maps[row + high[:, 0]] * across for row in rows
    )
    return top * (1 - down) + bottom * down
