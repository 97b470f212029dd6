"""Edges of images and of depth maps: whether they lie in the same places, and how far apart.

A depth map belongs to an image if its jumps lie on edges of the image, better than on those of the
mirrored image, which has the same edges elsewhere.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int, Shaped

from ssmde.data.images import REDUCTIONS, read_image

SHORT_SIDE = 160  # fewest rows or columns that edges are compared at, where the frame has them
REACH = 0.06  # largest shift that is tried, as a share of the longer side
STRONG = 0.9  # share of the pixels of a depth map that are no edges, where it has that many
JUMP = 0.04  # of a depth between neighbours, relative, that is an edge at least
LOCAL = 9  # pixels of the neighbourhood that an image's edges are measured against
FEWEST = 30  # edge pixels of a depth map that tell something


class Fit(NamedTuple):
    """How well depth edges lie on image edges, over several frames."""

    here: float
    """Mean strength of the image where the depth jumps, against 0 for anywhere."""
    mirrored: float
    """The same for the mirrored images."""
    best: float
    """The same after the best shift."""
    shift: tuple[int, int]
    """(right, down) that the depth has to be moved by for it, in pixels of the frames."""


def edge_reduction(size: tuple[int, int]) -> int:
    """Pixels of a frame (height, width) that make one of its edge map, each way."""
    return next((r for r in REDUCTIONS if min(size) // r >= SHORT_SIDE), 1)


def image_edges(pixels: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """Length of the gradient against its neighbourhood, 0 in the mean over the image."""
    gy, gx = np.gradient(pixels)
    length = np.hypot(gx, gy)
    edges = length / (_box(length, LOCAL) + 0.01)
    return (edges - edges.mean()).astype(np.float32)


def read_image_edges(path: Path, size: tuple[int, int]) -> Float32[np.ndarray, "h w"]:
    """Edges of a frame; see `image_edges`.

    Raises:
        ImageError: If it cannot be read.
    """
    grey = read_image(path, reduction=edge_reduction(size)).mean(2, dtype=np.float32) / 255
    return image_edges(grey.astype(np.float32))


def depth_edges(
    depth: Float32[np.ndarray, "h w"], shape: tuple[int, int], *, relative: bool = True
) -> Bool[np.ndarray, "k m"]:
    """Where a depth map jumps, at the size of an edge map.

    Holes are taken as deep as the deeper side of them: a depth sensor does not see what a near
    thing hides from it.

    Args:
        depth: Depth or disparity; 0 where unknown.
        shape: Size (height, width) of the edge map.
        relative: Jumps are relative to the nearer side; else to the range of the whole map.
    """
    small = _filled(resample(depth, shape))
    known = small > 0
    if not known.any():
        return known
    across, down = (_jumps(small, known, axis, relative) for axis in (1, 0))
    jump = np.maximum(across, down)
    limit = max(JUMP, float(np.quantile(jump, STRONG)))
    return jump > limit


def fit_edges(
    images: Sequence[Float32[np.ndarray, "h w"]],
    depths: Sequence[Bool[np.ndarray, "h w"]],
    reduction: int,
) -> Fit | None:
    """How well the edges of depth maps lie on those of their images.

    Args:
        images: Edges of the images.
        depths: Edges of the depth maps, of the same size.
        reduction: Pixels of the frames that make one of these.

    Returns:
        None if the depth maps have no edges.
    """
    pairs = [(i, d) for i, d in zip(images, depths, strict=True) if d.sum() >= FEWEST]
    if not pairs:
        return None
    surface = np.mean([_surface(image, depth) for image, depth in pairs], 0)
    mirrored = float(np.mean([image[:, ::-1][depth].mean() for image, depth in pairs]))
    middle = surface.shape[0] // 2
    v, u = np.unravel_index(surface.argmax(), surface.shape)
    shift = (int(u - middle) * reduction, int(v - middle) * reduction)
    return Fit(float(surface[middle, middle]), mirrored, float(surface[v, u]), shift)


def resample(
    values: Shaped[np.ndarray, "h w"], shape: tuple[int, int], zoom: float = 1.0
) -> Shaped[np.ndarray, "k m"]:
    """The nearest value for each pixel of another size, after a zoom about the middle."""
    rows, columns = (
        (((np.arange(n) + 0.5 - n / 2) / zoom + n / 2) * whole / n).astype(int).clip(0, whole - 1)
        for n, whole in zip(shape, values.shape, strict=True)
    )
    return values[rows[:, None], columns]


def _surface(
    image: Float32[np.ndarray, "h w"], depth: Bool[np.ndarray, "h w"]
) -> Float32[np.ndarray, "k k"]:
    """Mean of the image's edges under those of the depth, by the shift of the depth."""
    reach = max(1, round(REACH * max(image.shape)))
    padded = np.pad(image, reach)
    shape = padded.shape
    spectrum = np.fft.rfft2(padded) * np.fft.rfft2(depth.astype(np.float32), shape).conj()
    whole = np.fft.irfft2(spectrum, shape)[: 2 * reach + 1, : 2 * reach + 1]
    return (whole / depth.sum()).astype(np.float32)


def _filled(depth: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """Holes as deep as the deeper of the two known pixels left and right of them; 0 without one."""
    width = depth.shape[1]
    known = depth > 0
    places: Int[np.ndarray, " w"] = np.arange(width)
    before = np.maximum.accumulate(np.where(known, places, -1), axis=1)
    after = np.minimum.accumulate(np.where(known, places, width)[:, ::-1], axis=1)[:, ::-1]
    rows = np.arange(len(depth))[:, None]
    padded = np.pad(depth, ((0, 0), (1, 1)))  # 0 before the first and after the last column
    return np.maximum(padded[rows, before + 1], padded[rows, after + 1])


def _jumps(
    depth: Float32[np.ndarray, "h w"], known: Bool[np.ndarray, "h w"], axis: int, relative: bool
) -> Float32[np.ndarray, "h w"]:
    """Bend of the depth along an axis: a slope, however steep, is no jump."""
    a, b, c = (np.roll(depth, k, axis) for k in (1, 0, -1))
    sure = np.roll(known, 1, axis) & known & np.roll(known, -1, axis)
    ends = [slice(None), slice(None)]
    ends[axis] = slice(0, None, depth.shape[axis] - 1)
    sure[tuple(ends)] = False
    flat = np.float32(np.ptp(depth[known])) or np.float32(1)  # a map of one value does not jump
    scale = np.minimum(np.minimum(a, b), c) if relative else flat
    bend = np.abs(a - 2 * b + c) / np.where(sure, scale, 1)
    return np.where(sure, bend, 0).astype(np.float32)


def _box(values: Float32[np.ndarray, "h w"], side: int) -> Float32[np.ndarray, "h w"]:
    """Mean over a square about each pixel; the border is repeated."""
    padded = np.pad(values, side // 2, mode="edge").astype(np.float64)
    for axis in (0, 1):
        total = np.cumsum(np.pad(padded, [(1, 0) if k == axis else (0, 0) for k in (0, 1)]), axis)
        ahead, behind = (
            np.take(total, range(start, start + values.shape[axis]), axis) for start in (side, 0)
        )
        padded = (ahead - behind) / side
    return padded.astype(np.float32)
