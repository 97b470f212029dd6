"""Image motion: how far the picture moved between two frames, as a whole and tile by tile.

Phase correlation (Kuglin and Hines, 1975) on grey images of some hundred pixels, from coarse to
fine; the last fraction of a pixel by least squares (Lucas and Kanade, IJCAI 1981). Grey values are
*signed* floating point: a difference of bytes wraps. (u, v) is (column, row), and a motion says
where what is seen in the first image went in the second.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int
from numpy.lib.stride_tricks import sliding_window_view

TILE = 32  # pixels of a small image
TILES = 60  # about so many in an image
COARSEST = 24  # shorter side, in pixels, below which an image is not halved again
FLAT = 2.0 / 255  # spread of grey values below which a tile has nothing to follow
REFITS = 3  # steps of least squares
FARTHEST_REFIT = 1.5  # pixels the least squares may go from the peak of the correlation
SAME = 0.75  # correlation of two tiles from which they show the same


class Shift(NamedTuple):
    """Motion of a whole image."""

    dx: float
    """Columns to the right, in pixels."""
    dy: float
    """Rows down, in pixels."""
    peak: float
    """Height of the correlation peak, in [0, 1]: 1 for a copy that was moved in a circle, below
    0.1 for images that have nothing in common."""


class TileFlow(NamedTuple):
    """Motion of the tiles of an image."""

    centres: Float32[np.ndarray, "n 2"]
    """(u, v) of each tile in the first image, in pixels."""
    motion: Float32[np.ndarray, "n 2"]
    """(dx, dy) of each tile, in pixels."""
    likeness: Float32[np.ndarray, "n"]
    """Correlation of the tile with where it went, in [-1, 1]; nan for a tile without texture."""
    gain: Float32[np.ndarray, "n"]
    """Brightness where it went, divided by that of the tile."""

    @property
    def found(self) -> Bool[np.ndarray, "n"]:
        """True for tiles that were found again."""
        return self.likeness > SAME  # False for nan

    @property
    def found_share(self) -> float:
        """Share of the tiles with texture that were found again; nan if none has texture."""
        textured = np.isfinite(self.likeness)
        return float(self.found.sum() / textured.sum()) if textured.any() else float("nan")


def shift_between(a: Float32[np.ndarray, "_ _"], b: Float32[np.ndarray, "_ _"]) -> Shift:
    """Motion of the whole image from `a` to `b`, by phase correlation.

    Args:
        a: Grey values.
        b: Those of the other frame.

    Raises:
        ValueError: If the images differ in size.
    """
    if a.shape != b.shape:
        raise ValueError(f"images must be of one size, got {a.shape} and {b.shape}")
    motion, peak = _correlate(a[None], b[None])
    return Shift(float(motion[0, 0]), float(motion[0, 1]), float(peak[0]))


def tile_flow(
    a: Float32[np.ndarray, "_ _"], b: Float32[np.ndarray, "_ _"], *, tile: int = TILE
) -> TileFlow:
    """Motion of about 60 tiles from `a` to `b`, to about a twentieth of a pixel.

    Coarse to fine: the image as a whole, then tiles of ever smaller parts of the image, each from
    where the tiles around it went.

    Args:
        a: Grey values.
        b: Those of the other frame, of the same size.
        tile: Side of a tile, in pixels; at most that of the image.

    Raises:
        ValueError: If the images differ in size, or are smaller than 8 pixels.
    """
    if a.shape != b.shape or min(a.shape) < 8:
        raise ValueError(
            f"images must be of one size of at least 8 x 8, got {a.shape} and {b.shape}"
        )
    pyramid = [(a, b)]
    while min(pyramid[-1][0].shape) >= 2 * COARSEST:
        pyramid.append((_halve(pyramid[-1][0]), _halve(pyramid[-1][1])))
    whole = shift_between(*pyramid[-1])
    origin, unknown = np.zeros((1, 2), np.float32), np.full(1, np.nan, np.float32)
    flow = TileFlow(origin, np.array([whole[:2]], np.float32), unknown, unknown)
    for a_level, b_level in reversed(pyramid):
        side = min(tile, *a_level.shape)
        here = _grid(a_level.shape, side)
        if a_level is not pyramid[-1][0]:  # from the pixels of the level before to those of this
            flow = flow._replace(
                centres=2 * flow.centres + np.float32(0.5),
                motion=2 * _mend(flow.motion, flow.likeness),
            )
        motion = _nearest(flow.centres, flow.motion, here)
        flow = _follow(a_level, b_level, here, motion, side)
    return flow


def _follow(
    a: Float32[np.ndarray, "h w"],
    b: Float32[np.ndarray, "h w"],
    centres: Float32[np.ndarray, "n 2"],
    motion: Float32[np.ndarray, "n 2"],
    side: int,
) -> TileFlow:
    """Motion of the tiles at one level, from a first guess."""
    first, b = _cut(_padded(a, side), centres, side), _padded(b, side)
    motion = np.rint(motion)
    second = _cut(b, centres + motion, side)
    likeness = _likeness(first, second)
    for _ in range(2):  # the second time nearly the whole tile overlaps
        found = np.rint(_correlate(first, second)[0])
        if not found.any():
            break
        there = _cut(b, centres + motion + found, side)
        likeness_there = _likeness(first, there)
        better = likeness_there > likeness
        motion = np.where(better[:, None], motion + found, motion)
        second = np.where(better[:, None, None], there, second)
        likeness = np.maximum(likeness, likeness_there)
    motion, second = _refine(first, b, centres, motion, side)
    likeness = _likeness(first, second)
    likeness[np.minimum(first.std((1, 2)), second.std((1, 2))) < FLAT] = np.nan
    gain = (second.mean((1, 2)) + FLAT) / (first.mean((1, 2)) + FLAT)
    return TileFlow(centres, motion, likeness, gain)


def _correlate(
    a: Float32[np.ndarray, "n h w"], b: Float32[np.ndarray, "n h w"]
) -> tuple[Float32[np.ndarray, "n 2"], Float32[np.ndarray, "n"]]:
    """(dx, dy) at the peak of the phase correlation of each pair, and its height in [0, 1].

    cos(pi x / w) windows keep the border, where what leaves meets what enters, from speaking.
    """
    n, height, width = a.shape
    window = _window(height, width)
    spectra = [
        np.fft.rfft2((x - x.mean((1, 2), keepdims=True)) * window).astype(np.complex64)
        for x in (a, b)
    ]
    cross = spectra[1] * spectra[0].conj()
    size = np.abs(cross)
    cross /= size + 1e-3 * size.max((1, 2), keepdims=True) + 1e-12  # what is only noise stays small
    surface = np.fft.irfft2(cross, (height, width)).astype(np.float32)
    at = surface.reshape(n, -1).argmax(1)
    rows, columns = at // width, at % width
    which = np.arange(n)
    peak = surface[which, rows, columns]
    parts = []
    for before, after in (
        (surface[which, rows, columns - 1], surface[which, rows, (columns + 1) % width]),
        (surface[which, rows - 1, columns], surface[which, (rows + 1) % height, columns]),
    ):
        bend = 2 * peak - before - after
        parts.append(0.5 * (after - before) / np.where(bend > 0, bend, 1))
    dx = (columns + width // 2) % width - width // 2 + parts[0]
    dy = (rows + height // 2) % height - height // 2 + parts[1]
    return np.stack([dx, dy], 1).astype(np.float32), peak.clip(0, 1)


def _refine(
    first: Float32[np.ndarray, "n s s"],
    b: Float32[np.ndarray, "k m"],
    centres: Float32[np.ndarray, "n 2"],
    motion: Float32[np.ndarray, "n 2"],
    side: int,
) -> tuple[Float32[np.ndarray, "n 2"], Float32[np.ndarray, "n s s"]]:
    """Motion with the least squared difference near the guess, and the tiles of `b` there.

    `b` is padded. Brightness may differ by a factor and an offset.
    """
    start, window = motion, _window(side, side)
    normal = _normalised(first)
    gy, gx = np.gradient(normal, axis=(1, 2))
    gx, gy = gx * window, gy * window
    xx, yy, xy = (gx * gx).sum((1, 2)), (gy * gy).sum((1, 2)), (gx * gy).sum((1, 2))
    floor = 1e-3 * (xx + yy) + 1e-9  # an edge says nothing about the motion along it
    xx, yy = xx + floor, yy + floor
    for _ in range(REFITS):
        left = (_normalised(_cut(b, centres + motion, side)) - normal) * window
        ex, ey = (gx * left).sum((1, 2)), (gy * left).sum((1, 2))
        determinant = xx * yy - xy * xy
        step = np.stack([yy * ex - xy * ey, xx * ey - xy * ex], 1) / determinant[:, None]
        motion = motion - step.clip(-1, 1).astype(np.float32)
    far = np.abs(motion - start).max(1) > FARTHEST_REFIT
    motion = np.where(far[:, None], start, motion)
    return motion, _cut(b, centres + motion, side)


def _normalised(tiles: Float32[np.ndarray, "n s s"]) -> Float32[np.ndarray, "n s s"]:
    """Grey values with mean 0 and spread 1."""
    moved = tiles - tiles.mean((1, 2), keepdims=True)
    return moved / (moved.std((1, 2), keepdims=True) + FLAT / 2)


def _likeness(
    a: Float32[np.ndarray, "n s s"], b: Float32[np.ndarray, "n s s"]
) -> Float32[np.ndarray, "n"]:
    """Correlation of each pair of tiles, in [-1, 1]."""
    a, b = (x - x.mean((1, 2), keepdims=True) for x in (a, b))
    both = (a * a).sum((1, 2)) * (b * b).sum((1, 2))
    return (a * b).sum((1, 2)) / np.sqrt(both + 1e-12)


def _padded(image: Float32[np.ndarray, "h w"], side: int) -> Float32[np.ndarray, "k m"]:
    """The image with its border repeated, so that a tile may lie anywhere."""
    return np.pad(image, side + 1, mode="edge")


def _cut(
    padded: Float32[np.ndarray, "h w"], centres: Float[np.ndarray, "n 2"], side: int
) -> Float32[np.ndarray, "n s s"]:
    """Tiles about real-valued centres of a padded image, bilinear."""
    corner = centres.astype(np.float64) - (side - 1) / 2
    whole = np.floor(corner).astype(int)
    part = (corner - whole).astype(np.float32)
    border = side + 1
    at = (whole + border).clip(0, np.array(padded.shape)[::-1] - border)
    if not part.any():
        return sliding_window_view(padded, (side, side))[at[:, 1], at[:, 0]]
    wide = sliding_window_view(padded, (side + 1, side + 1))[at[:, 1], at[:, 0]]
    fx, fy = part.T[:, :, None, None]
    upper = wide[:, :, :-1] + fx * (wide[:, :, 1:] - wide[:, :, :-1])
    return upper[:, :-1] + fy * (upper[:, 1:] - upper[:, :-1])


def _grid(shape: tuple[int, ...], side: int) -> Float32[np.ndarray, "n 2"]:
    """Centres of about 60 tiles that fill the image evenly and overlap by no more than half."""
    stride = min(max(side / 2, np.sqrt(np.prod(shape) / TILES)), side)
    v, u = (
        np.rint(np.linspace(0, n - side, max(1, int((n - side) / stride + 1)))) + (side - 1) / 2
        for n in shape
    )
    return np.stack(np.meshgrid(u, v), -1).reshape(-1, 2).astype(np.float32)


def _nearest(
    centres: Float32[np.ndarray, "n 2"],
    motion: Float32[np.ndarray, "n 2"],
    here: Float32[np.ndarray, "m 2"],
) -> Float32[np.ndarray, "m 2"]:
    """Motion of the nearest tile of the coarser level."""
    distance: Float64[np.ndarray, "m n"] = np.square(here[:, None] - centres).sum(-1)
    nearest: Int[np.ndarray, " m"] = distance.argmin(1)
    return motion[nearest]


def _mend(
    motion: Float32[np.ndarray, "n 2"], likeness: Float32[np.ndarray, "n"]
) -> Float32[np.ndarray, "n 2"]:
    """Tiles that were not found go where the others go, in the median."""
    found = likeness > SAME
    if not found.any():
        return motion
    return np.where(found[:, None], motion, np.median(motion[found], 0)).astype(np.float32)


def _halve(image: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "k m"]:
    """Mean of every 2 x 2 pixels; an odd last row or column is dropped."""
    height, width = (n // 2 * 2 for n in image.shape)
    pairs = image[:height, :width].reshape(height // 2, 2, width // 2, 2)
    return pairs.mean((1, 3), dtype=np.float32)


@lru_cache
def _window(height: int, width: int) -> Float32[np.ndarray, "h w"]:
    """Falls to the border as a cosine."""
    v, u = (np.cos(np.pi * ((np.arange(n) + 0.5) / n - 0.5)) for n in (height, width))
    return np.outer(v, u).astype(np.float32)
