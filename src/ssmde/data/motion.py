"""Motion between the frames of a sequence: of its known poses, and of the image itself.

Image motion is phase correlation (Kuglin and Hines, 1975) on gray images of some hundred pixels,
from coarse to fine; the last fraction of a pixel by least squares (Lucas and Kanade, IJCAI 1981).
Gray values are *signed* floating point: a difference of bytes wraps. (u, v) is (column, row), and a
motion says where what is seen in the first image went in the second.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8
from numpy.lib.stride_tricks import sliding_window_view

from ssmde.data.images import ImageError, read_image, resize_image
from ssmde.data.sequence import FrameSequence, Intrinsics, Size, scaled_intrinsics

Gray = Float32[np.ndarray, "h w"]
Tiles = Float32[np.ndarray, "n s s"]
Points = Float32[np.ndarray, "n 2"]
# Frames a frame is compared with: near ones look alike, in far ones a mover has gone.
OFFSETS = (6, 12, 18, 24, 36, 48, 64, 80)
TILE = 32  # pixels of a small image
TILES = 60  # about so many in an image
COARSEST = 24  # shorter side, in pixels, below which an image is not halved again
FLAT = 2.0 / 255  # spread of gray values below which a tile has nothing to follow
REFITS = 3  # steps of least squares
FARTHEST_REFIT = 1.5  # pixels the least squares may go from the peak of the correlation
SAME = 0.75  # correlation of two tiles from which they show the same


def turn_degrees(rotation: Float[np.ndarray, "3 3"]) -> float:
    """How far a rotation turns, in degrees, 0 to 180."""
    cosine = (np.trace(rotation) - 1) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def read_source_frames(
    scene: FrameSequence, index: int, size: Size, offsets: tuple[int, ...]
) -> tuple[UInt8[np.ndarray, "n h w 3"], Float[np.ndarray, "m 4 4"], Intrinsics]:
    """A frame of a tracked scene and the others `offsets` before and after it, at one size.

    Images, that of the frame first; the motion from its camera to each other one, in the tracked
    unit; the pinhole matrix of all. An `ImageError` where one is not read or has no known motion.
    """
    folder = scene.images[0].parent
    poses, parts = scene.tracked_poses, scene.tracked_parts
    if poses is None or parts is None or scene.intrinsics is None:
        raise ValueError(
            f"scene '{scene.name}': to compare a frame with others needs {folder / 'cam.txt'} and "
            f"the motion that `ssmde track {folder.parent}` finds"
        )
    known = np.isfinite(poses).all((1, 2)) & (parts == parts[index])
    near = (index + sign * offset for offset in offsets for sign in (1, -1))
    others = [i for i in near if 0 <= i < len(scene) and known[i]]
    if not known[index] or not others:
        raise ImageError(f"{scene.frame_name(index)}: its motion is not known")
    images = [resize_image(read_image(scene.images[i]), size) for i in (index, *others)]
    scale = size[1] / scene.image_size[1], size[0] / scene.image_size[0]
    T_other_view = np.linalg.inv(poses[others].astype(np.float64)) @ poses[index]
    return np.stack(images), T_other_view, scaled_intrinsics(scene.intrinsics, *scale)


# Image motion


class TileFlow(NamedTuple):
    """Motion of the tiles of an image."""

    centers: Points  # (u, v) of each tile in the first image, in pixels
    motion: Points  # (dx, dy) of each tile, in pixels
    likeness: Float32[np.ndarray, "n"]  # correlation with where it went; nan without texture
    gain: Float32[np.ndarray, "n"]  # brightness where it went, divided by that of the tile

    @property
    def found(self) -> Bool[np.ndarray, "n"]:
        """True for tiles that were found again."""
        return self.likeness > SAME  # False for nan

    @property
    def found_share(self) -> float:
        """Share of the tiles with texture that were found again; nan if none has texture."""
        textured = np.isfinite(self.likeness)
        return float(self.found.sum() / textured.sum()) if textured.any() else float("nan")


def tile_flow(a: Float32[np.ndarray, "_ _"], b: Float32[np.ndarray, "_ _"]) -> TileFlow:
    """Motion of about 60 tiles from `a` to `b`, to about a twentieth of a pixel.

    Coarse to fine: the whole image, then ever smaller tiles, each from where those near it went.
    """
    if a.shape != b.shape or min(a.shape) < 8:
        sizes = f"{a.shape} and {b.shape}"
        raise ValueError(f"images must be of one size of at least 8 x 8, got {sizes}")
    pyramid = [(a, b)]
    while min(pyramid[-1][0].shape) >= 2 * COARSEST:
        pyramid.append((_halve(pyramid[-1][0]), _halve(pyramid[-1][1])))
    motion = _correlate(*(level[None] for level in pyramid[-1]))
    centers, flow = np.zeros((1, 2), np.float32), None
    for a_level, b_level in reversed(pyramid):
        if flow is not None:  # from the pixels of the level before to those of this
            centers, motion = 2 * flow.centers + np.float32(0.5), 2 * flow.motion
            if flow.found.any():  # tiles that were not found go where the others go
                motion[~flow.found] = np.median(motion[flow.found], 0)
        side = min(TILE, *a_level.shape)
        here = _grid(a_level.shape, side)
        nearest = np.square(here[:, None] - centers).sum(-1).argmin(1)
        flow = _follow(a_level, b_level, here, motion[nearest], side)
    assert flow is not None
    return flow


def _follow(a: Gray, b: Gray, centers: Points, motion: Points, side: int) -> TileFlow:
    """Motion of the tiles at one level, from a first guess."""
    # The border is repeated, so that a tile may lie anywhere.
    a, b = (np.pad(image, side + 1, mode="edge") for image in (a, b))
    first = _cut(a, centers, side)
    motion = np.rint(motion)
    second = _cut(b, centers + motion, side)
    likeness = _likeness(first, second)
    for _ in range(2):  # the second time nearly the whole tile overlaps
        found = np.rint(_correlate(first, second))
        if not found.any():
            break
        there = _cut(b, centers + motion + found, side)
        likeness_there = _likeness(first, there)
        better = likeness_there > likeness
        motion = np.where(better[:, None], motion + found, motion)
        second = np.where(better[:, None, None], there, second)
        likeness = np.maximum(likeness, likeness_there)
    motion, second = _refine(first, b, centers, motion, side)
    likeness = _likeness(first, second)
    likeness[np.minimum(first.std((1, 2)), second.std((1, 2))) < FLAT] = np.nan
    gain = (second.mean((1, 2)) + FLAT) / (first.mean((1, 2)) + FLAT)
    return TileFlow(centers, motion, likeness, gain)


def _correlate(a: Float32[np.ndarray, "n h w"], b: Float32[np.ndarray, "n h w"]) -> Points:
    """(dx, dy) at the peak of the phase correlation of each pair."""
    # cos(pi x / w) windows keep out the border, where what leaves meets what enters.
    n, height, width = a.shape
    window = _window(height, width)
    first, second = (
        np.fft.rfft2((x - x.mean((1, 2), keepdims=True)) * window).astype(np.complex64)
        for x in (a, b)
    )
    cross = second * first.conj()
    size = np.abs(cross)
    cross /= size + 1e-3 * size.max((1, 2), keepdims=True) + 1e-12  # what is only noise stays small
    surface = np.fft.irfft2(cross, (height, width)).astype(np.float32)
    which, (rows, columns) = np.arange(n), divmod(surface.reshape(n, -1).argmax(1), width)
    motion = []
    for place, side, lines in (
        (columns, width, surface[which, rows]), (rows, height, surface[which, :, columns]),
    ):  # fmt: skip
        before, peak, after = (lines[which, (place + step) % side] for step in (-1, 0, 1))
        bend = 2 * peak - before - after
        part = 0.5 * (after - before) / np.where(bend > 0, bend, 1)
        motion.append((place + side // 2) % side - side // 2 + part)
    return np.stack(motion, 1).astype(np.float32)


def _refine(
    first: Tiles, b: Float32[np.ndarray, "k m"], centers: Points, motion: Points, side: int
) -> tuple[Points, Tiles]:
    """Motion with the least squared difference near the guess, and the tiles of `b` there."""
    # `b` is padded. Brightness may differ by a factor and an offset.
    start, window = motion, _window(side, side)
    normal = _normalized(first)
    gy, gx = np.gradient(normal, axis=(1, 2))
    gx, gy = gx * window, gy * window
    xx, yy, xy = (gx * gx).sum((1, 2)), (gy * gy).sum((1, 2)), (gx * gy).sum((1, 2))
    floor = 1e-3 * (xx + yy) + 1e-9  # an edge says nothing about the motion along it
    xx, yy = xx + floor, yy + floor
    determinant = (xx * yy - xy * xy)[:, None]
    for _ in range(REFITS):
        left = (_normalized(_cut(b, centers + motion, side)) - normal) * window
        ex, ey = (gx * left).sum((1, 2)), (gy * left).sum((1, 2))
        step = np.stack([yy * ex - xy * ey, xx * ey - xy * ex], 1) / determinant
        motion = motion - step.clip(-1, 1).astype(np.float32)
    far = np.abs(motion - start).max(1) > FARTHEST_REFIT
    motion = np.where(far[:, None], start, motion)
    return motion, _cut(b, centers + motion, side)


def _normalized(tiles: Tiles) -> Tiles:
    """Gray values with mean 0 and spread 1."""
    moved = tiles - tiles.mean((1, 2), keepdims=True)
    return moved / (moved.std((1, 2), keepdims=True) + FLAT / 2)


def _likeness(a: Tiles, b: Tiles) -> Float32[np.ndarray, "n"]:
    """Correlation of each pair of tiles, in [-1, 1]."""
    a, b = (x - x.mean((1, 2), keepdims=True) for x in (a, b))
    both = (a * a).sum((1, 2)) * (b * b).sum((1, 2))
    return (a * b).sum((1, 2)) / np.sqrt(both + 1e-12)


def _cut(padded: Gray, centers: Float[np.ndarray, "n 2"], side: int) -> Tiles:
    """Tiles about real-valued centers of a padded image, bilinear."""
    corner = centers.astype(np.float64) - (side - 1) / 2
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


def _grid(shape: tuple[int, ...], side: int) -> Points:
    """Centers of about 60 tiles that fill the image evenly and overlap by no more than half."""
    stride = min(max(side / 2, np.sqrt(np.prod(shape) / TILES)), side)
    v, u = (
        np.rint(np.linspace(0, n - side, max(1, int((n - side) / stride + 1)))) + (side - 1) / 2
        for n in shape
    )
    return np.stack(np.meshgrid(u, v), -1).reshape(-1, 2).astype(np.float32)


def _halve(image: Gray) -> Float32[np.ndarray, "k m"]:
    """Mean of every 2 x 2 pixels; an odd last row or column is dropped."""
    height, width = (n // 2 for n in image.shape)
    pairs = image[: 2 * height, : 2 * width].reshape(height, 2, width, 2)
    return pairs.mean((1, 3), dtype=np.float32)


@lru_cache
def _window(height: int, width: int) -> Gray:
    """Falls to the border as a cosine."""
    v, u = (np.cos(np.pi * ((np.arange(n) + 0.5) / n - 0.5)) for n in (height, width))
    return np.outer(v, u).astype(np.float32)
