"""Textures by formula: noise, blocks and stripes, blurred to the size of a pixel.

A texture lives in the coordinates of its object, in metres, so it moves with the object, and two
frames show the same colour at the same point. Detail finer than about two pixels fades out, so
nothing flickers when the camera moves.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int64
from numpy import ndarray

Colour = tuple[float, float, float]
Pattern = Literal["plain", "stripes", "checks", "blocks", "windows", "lanes", "cap"]

TABLE = 32  # the noise repeats after this many cells
OCTAVES = 6  # each has cells half as wide as the one before
PERSISTENCE = 0.72  # strength of an octave relative to the coarser one
NOISE_GAIN = 1.4  # brings the sum of octaves to about [-1, 1]
FADE_CELLS = (1.5, 3.0)  # an octave fades in while its cells grow over these sizes in pixels
MARK_GRAIN = 0.55  # brightness of a mark where the noise is darkest
FILTER_PIXELS = 1.3  # width of the box filter on patterns


@dataclass(frozen=True, kw_only=True, slots=True)
class Texture:
    """Colours of one surface: two mixed by noise, a third put on by a pattern."""

    base: Colour
    """RGB in [0, 1]."""
    second: Colour
    """Noise mixes this one into `base`."""
    mark: Colour = (1.0, 1.0, 1.0)
    """Colour of the pattern: the joints of blocks, the glass of windows, the paint of lanes."""
    pattern: Pattern = "plain"
    period: tuple[float, float] = (1.0, 1.0)
    """Size of a repeat along the surface: across and down (ground: across and ahead), metres."""
    duty: tuple[float, float] = (0.5, 0.5)
    """Share of a period that is marked, in both directions."""
    variation: float = 0.0
    """How much neighbouring blocks or windows differ in brightness, from 0 to 1."""
    shift: float = 0.0
    """How far each row of blocks is moved, as a share of a period: 0.5 for bricks."""
    cell: float = 1.0
    """Size of the coarsest grain of the noise, in metres."""
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Where in the endless noise this texture lies, in cells."""


@lru_cache(maxsize=1)
def _noise_table() -> Float32[ndarray, " t"]:
    values = np.random.default_rng(20).uniform(-1, 1, TABLE**3)
    return values.astype(np.float32)


def value_noise(cells: Float32[ndarray, "n 3"]) -> Float32[ndarray, " n"]:
    """Random values in [-1, 1] on the whole numbers, smoothly interpolated between."""
    table = _noise_table()
    floor = np.floor(cells)
    low = floor.astype(np.int32) & (TABLE - 1)
    high = (low + 1) & (TABLE - 1)
    share = cells - floor
    share = share * share * (3 - 2 * share)
    a, b, c = share[:, 0], share[:, 1], share[:, 2]
    total = np.zeros(len(cells), np.float32)
    for x, wx in ((low[:, 0], 1 - a), (high[:, 0], a)):
        for y, wy in ((low[:, 1], 1 - b), (high[:, 1], b)):
            row, weight = (x * TABLE + y) * TABLE, wx * wy
            near, far = table[row + low[:, 2]], table[row + high[:, 2]]
            total += weight * (near + c * (far - near))
    return total


def fractal_noise(
    coordinates: Float64[ndarray, "n 3"],
    cell: Float64[ndarray, " n"],
    footprint: Float64[ndarray, " n"],
) -> Float32[ndarray, " n"]:
    """Grain of many sizes, about in [-1, 1]: octaves of value noise, none finer than the pixel.

    Args:
        coordinates: Points on the surface, in cells of the coarsest octave.
        cell: Size of that cell, in metres.
        footprint: Size of a pixel on the surface, in metres.
    """
    pixels = cell / np.maximum(footprint, 1e-9)
    total = np.zeros(len(cell), np.float32)
    gain = NOISE_GAIN / np.sqrt(sum(PERSISTENCE ** (2 * k) for k in range(OCTAVES)))
    for octave in range(OCTAVES):
        share = (pixels / 2**octave - FADE_CELLS[0]) / (FADE_CELLS[1] - FADE_CELLS[0])
        seen = np.flatnonzero(share > 0)
        if len(seen) == 0:
            break
        # An odd shift a octave, so that the grids do not lie on each other.
        cells = coordinates[seen] * 2**octave + 5.17 * octave
        weight = (gain * PERSISTENCE**octave * share[seen].clip(0, 1)).astype(np.float32)
        total[seen] += weight * value_noise((cells % TABLE).astype(np.float32))
    return total


class Spots(NamedTuple):
    """Points that share a pattern, with the numbers of their textures."""

    s: Float64[ndarray, " n"]
    """Across, in metres."""
    t: Float64[ndarray, " n"]
    """Down (on the ground: ahead), in metres."""
    width: Float64[ndarray, "n 2"]
    """Width of the filter along both, in metres."""
    period: Float64[ndarray, "n 2"]
    duty: Float64[ndarray, "n 2"]
    variation: Float64[ndarray, " n"]
    shift: Float64[ndarray, " n"]


Weights = tuple[Float64[ndarray, " n"], Float64[ndarray, " n"]]


def _pulse(
    x: Float64[ndarray, " n"], duty: Float64[ndarray, "#n"], width: Float64[ndarray, " n"]
) -> Float64[ndarray, " n"]:
    """Mean over `width` of a wave that is 1 on the first `duty` of every whole number, else 0."""
    width = np.maximum(width, 1e-3)
    low, high = x - width / 2, x + width / 2
    low_floor, high_floor = np.floor(low), np.floor(high)
    area = (high_floor - low_floor) * duty
    area += np.minimum(high - high_floor, duty) - np.minimum(low - low_floor, duty)
    return area / width


def _stripes(at: Spots) -> Weights:
    period = at.period[:, 0]
    stripes = _pulse(at.s / period, at.duty[:, 0], at.width[:, 0] / period)
    return stripes, np.zeros_like(stripes)


def _checks(at: Spots) -> Weights:
    half = np.full(1, 0.5)
    across = _pulse(at.s / at.period[:, 0], half, at.width[:, 0] / at.period[:, 0])
    down = _pulse(at.t / at.period[:, 1], half, at.width[:, 1] / at.period[:, 1])
    return 0.5 + 0.5 * (2 * across - 1) * (2 * down - 1), np.zeros_like(across)


def _lanes(at: Spots) -> Weights:
    """A dashed line in the middle, solid ones at +-period[0]; lines as wide as duty[0] metres."""
    width, line, side = np.maximum(at.width[:, 0], 1e-3), at.duty[:, 0], at.period[:, 0]

    def stroke(centre: Float64[ndarray, "#n"]) -> Float64[ndarray, " n"]:
        low = np.maximum(at.s - width / 2, centre - line / 2)
        high = np.minimum(at.s + width / 2, centre + line / 2)
        return np.maximum(high - low, 0) / width

    dash = at.period[:, 1]
    dashes = _pulse(at.t / dash, at.duty[:, 1], at.width[:, 1] / dash)
    paint = stroke(np.zeros(1)) * dashes + stroke(-side) + stroke(side)
    return paint.clip(0, 1), np.zeros_like(paint)


def _cap(at: Spots) -> Weights:
    """Everything above the height t = period[1]."""
    above = (at.period[:, 1] - at.t) / np.maximum(at.width[:, 1], 1e-3)
    return (above + 0.5).clip(0, 1), np.zeros_like(above)


def _grid(at: Spots) -> tuple[ndarray, ndarray, Float64[ndarray, " n"]]:
    """Marked share across and down, and how much brighter or darker each block is."""
    s, t = at.s / at.period[:, 0], at.t / at.period[:, 1]
    ws, wt = at.width[:, 0] / at.period[:, 0], at.width[:, 1] / at.period[:, 1]
    row = np.floor(t)
    s = s + at.shift * row
    x, y = (index.astype(np.int64) & (TABLE - 1) for index in (np.floor(s), row))
    chance = _noise_table()[(x * TABLE + y) * TABLE]
    sharp = (1.5 - 2 * np.maximum(ws, wt)).clip(0, 1)  # blocks of under two pixels are evened out
    across, down = _pulse(s, at.duty[:, 0], ws), _pulse(t, at.duty[:, 1], wt)
    return across, down, at.variation * sharp * chance


def _blocks(at: Spots) -> Weights:
    across, down, shade = _grid(at)
    joints = np.maximum(across, down)
    return joints, shade * (1 - joints)


def _windows(at: Spots) -> Weights:
    across, down, shade = _grid(at)
    return across * down, shade * across * down


PATTERNS: dict[Pattern, Callable[[Spots], Weights]] = {
    "stripes": _stripes,
    "checks": _checks,
    "blocks": _blocks,
    "windows": _windows,
    "lanes": _lanes,
    "cap": _cap,
}


def paint(
    textures: Sequence[Texture],
    which: Int64[ndarray, " n"],
    coordinates: Float64[ndarray, "n 3"],
    footprint: Float64[ndarray, "n 3"],
) -> Float64[ndarray, "n 3"]:
    """RGB, about in [0, 1], of points on textured surfaces.

    Args:
        textures: What to paint with.
        which: Texture of each point.
        coordinates: Across, down and which face, in metres; x, y, z on curved surfaces.
        footprint: Size of a pixel along the same three, in metres.
    """

    def numbers(values: Iterable[object]) -> ndarray:
        return np.array(list(values), np.float64)[which]

    cell, origin = numbers(t.cell for t in textures), numbers(t.origin for t in textures)
    noise = fractal_noise(coordinates / cell[:, None] + origin, cell, footprint.max(axis=1))
    mix = (0.5 + 0.5 * noise.astype(np.float64)).clip(-0.1, 1.1)[:, None]
    base, second, mark = (
        numbers(colours)
        for colours in zip(*((t.base, t.second, t.mark) for t in textures), strict=True)
    )
    colour = base + (second - base) * mix
    mark *= MARK_GRAIN + (1 - MARK_GRAIN) * mix
    spots = Spots(
        s=coordinates[:, 0],
        t=coordinates[:, 1],
        width=FILTER_PIXELS * footprint[:, :2],
        period=numbers(t.period for t in textures),
        duty=numbers(t.duty for t in textures),
        variation=numbers(t.variation for t in textures),
        shift=numbers(t.shift for t in textures),
    )
    patterns = np.array([t.pattern for t in textures])[which]
    for name, pattern in PATTERNS.items():
        rows = np.flatnonzero(patterns == name)
        if len(rows):
            weight, shade = pattern(Spots(*(field[rows] for field in spots)))
            colour[rows] += (mark[rows] - colour[rows]) * weight[:, None]
            colour[rows] *= 1 + shade[:, None]
    return colour


def unfold(
    points: Float64[ndarray, "n 3"], axis: Int64[ndarray, " n"], third: Float64[ndarray, " n"]
) -> Float64[ndarray, "n 3"]:
    """Coordinates on the surface: (across, down, `third`) on flat faces, x, y, z on curved ones.

    Args:
        points: Points, or vectors, in the frame of the shape.
        axis: Axis across the face, or -1 on a curved surface.
        third: What to put in the third place on flat faces.
    """
    flat = axis >= 0
    across = np.where(axis == 0, points[:, 2], points[:, 0])
    down = np.where(axis == 1, points[:, 2], points[:, 1])
    return np.stack([across, down, np.where(flat, third, points[:, 2])], axis=1)
