"""The colour of points on surfaces, in linear light: noise, pattern and photo patch multiplied."""

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float32, Float64, Int64
from numpy import ndarray

from photographs.materials import Material
from photographs.patches import PatchBook, look_up
from ssmde.synthetic.shading import (
    MARK_GRAIN,
    PATTERNS,
    TABLE,
    Spots,
    fractal_noise,
    spots_of,
    value_noise,
)

GAMMA = 2.2
HUE_STEP = 0.37  # cells of noise between the colours of two neighbouring blocks, off the grid
FAINT = 0.035  # difference of the two colours under which nobody sees the grain
AGAIN = 0.37  # scale of the second look at a patch that gives the grain
TINT_REACH = 3.0  # a patch that only gives the grain brightens at most so much


def paint(
    materials: Sequence[Material],
    which: Int64[ndarray, " n"],
    coordinates: Float64[ndarray, "n 3"],
    footprint: Float64[ndarray, "n 3"],
    unrolled: Float64[ndarray, "n 4"],
    book: PatchBook,
) -> Float32[ndarray, "n 3"]:
    """Linear RGB of points on surfaces.

    Args:
        materials: What to paint with.
        which: Material of each point.
        coordinates: Across, down and which face, in metres; see `unfold`.
        footprint: Size of a pixel along the same three, in metres.
        unrolled: Where patches are put, across and down, and the size of a pixel there.
        book: Where the patches are.
    """

    def numbers(values: Iterable[object]) -> ndarray:
        return np.array(list(values), np.float32)[which]

    base, second, mark = (
        numbers(colours)
        for colours in zip(*((m.base, m.second, m.mark) for m in materials), strict=True)
    )
    mix = _grain(materials, which, coordinates, footprint)[:, None]
    colour = base + (second - base) * mix
    mark *= MARK_GRAIN + (1 - MARK_GRAIN) * (0.5 + 0.5 * mix)
    patterns = np.array([m.pattern for m in materials])
    for name, pattern in PATTERNS.items():
        rows = np.flatnonzero((patterns == name)[which])
        if len(rows):
            spots = spots_of(materials, which[rows], coordinates[rows], footprint[rows])
            weight, shade = (x.astype(np.float32)[:, None] for x in pattern(spots))
            colour[rows] *= 1 + shade
            if name in ("blocks", "windows"):
                colour[rows] *= _hues(materials, which[rows], spots)
            colour[rows] += (mark[rows] - colour[rows]) * weight
    colour = np.maximum(colour, 0.0) ** GAMMA
    if book.asked:
        _put_patches(colour, materials, which, unrolled, book)
    return colour


def _grain(
    materials: Sequence[Material],
    which: Int64[ndarray, " n"],
    coordinates: Float64[ndarray, "n 3"],
    footprint: Float64[ndarray, "n 3"],
) -> Float32[ndarray, " n"]:
    """Noise of each point, about in [0, 1]."""
    grainy = np.array([_contrast(m) > FAINT for m in materials])
    mix = np.full(len(which), 0.5, np.float32)
    rows = np.flatnonzero(grainy[which])
    if len(rows) == 0:
        return mix
    which, coordinates, footprint = which[rows], coordinates[rows], footprint[rows]
    cell = np.array([m.cell for m in materials])[which]
    stretch = np.array([m.stretch for m in materials])[which]
    origin = np.array([m.origin for m in materials])[which]
    # Octaves end where a pixel is as large as the grain is long in the shortest direction.
    seen = (footprint / stretch).max(axis=1)
    noise = fractal_noise(coordinates / (cell[:, None] * stretch) + origin, cell, seen)
    mix[rows] = (0.5 + 0.5 * noise).clip(-0.1, 1.1)
    return mix


def _contrast(material: Material) -> float:
    return max(abs(a - b) for a, b in zip(material.base, material.second, strict=True))


def _hues(
    materials: Sequence[Material], which: Int64[ndarray, " n"], spots: Spots
) -> Float32[ndarray, "n 3"]:
    """Factor on the colour of each block: books in a shelf differ in colour, not only in light."""
    strength = np.array([m.hues for m in materials], np.float32)[which]
    factor = np.ones((len(which), 3), np.float32)
    rows = np.flatnonzero(strength > 0)
    if len(rows) == 0:
        return factor
    t = np.floor(spots.t[rows] / spots.period[rows, 1])
    s = np.floor(spots.s[rows] / spots.period[rows, 0] + spots.shift[rows] * t)
    for channel in range(3):
        cells = np.stack([s, t, which[rows] + 7.0 * channel + HUE_STEP * channel], axis=1) + 0.0
        chance = value_noise((cells % TABLE).astype(np.float32))
        factor[rows, channel] = np.maximum(1 + 1.2 * strength[rows] * chance, 0.1)
    return factor


def _put_patches(
    colour: Float32[ndarray, "n 3"],
    materials: Sequence[Material],
    which: Int64[ndarray, " n"],
    unrolled: Float64[ndarray, "n 4"],
    book: PatchBook,
) -> None:
    """Multiply by the patches, in place."""
    numbers = np.array([m.patch for m in materials])
    rows = np.flatnonzero((numbers >= 0)[which])
    if len(rows) == 0:
        return
    used, slots = np.unique(numbers[numbers >= 0], return_inverse=True)
    slot = np.zeros(len(materials), np.int64)
    slot[numbers >= 0] = slots
    here = which[rows]
    size = np.array([m.patch_size for m in materials])[here]
    origin = np.array([m.origin for m in materials])[here]
    cuts = [book.cut(int(number)) for number in used]
    maps = np.concatenate([rip for rip, _ in cuts])
    places = unrolled[rows, :2] / size + origin[:, :2]
    texels = look_up(maps, slot[here], places, unrolled[rows, 2:] / size)
    means = np.stack([mean for _, mean in cuts])
    tinted = np.array([m.tinted for m in materials])[here, None]
    plain = np.flatnonzero(tinted[:, 0])
    if len(plain):
        # The same patch again, larger and turned, breaks the repetition of the first.
        again = look_up(
            maps, slot[here[plain]], AGAIN * places[plain, ::-1] + 0.3,
            AGAIN * unrolled[rows[plain], :1:-1] / size[plain, ::-1],
        )  # fmt: skip
        grain = 0.5 * (texels[plain] + again) / means[slot[here[plain]]]
        texels[plain] = np.minimum(grain, TINT_REACH)
    colour[rows] *= texels
