"""Light of a photo: sun, lamps and windows with soft shadows, the sky, and dark corners.

Shadows and dark corners are worked out for every second pixel and smoothed within a surface; that
is quick, and makes shadows soft. A lamp's light falls off with the square of the distance.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64
from numpy import ndarray
from numpy.random import Generator

from photographs.solids import dot
from ssmde.synthetic.scene import Placed

SUN_AWAY = 90.0  # metres; what stands farther off throws no shadow here
CHUNK = 96  # points that are compared with the boxes of the parts at once
LIFT = 2e-3  # metres a shadow ray starts above its surface, more far away
BLUR = 2  # samples to either side over which shadows are smoothed
CORNER_SAMPLES = 10  # points around a point that may darken it
CORNER_PIXELS = 28  # samples away, at most
SPECK = 8.0  # pixels; what looks smaller throws no shadow


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Lamp:
    """Something that gives light: a bulb, a window, or the sun when it is far away."""

    at: Float64[ndarray, " 3"]
    """Its middle; for the sun, the direction to it."""
    colour: Float64[ndarray, " 3"]
    """Linear light, at one metre from a bulb."""
    spread: Float64[ndarray, "3 3"]
    """Half sizes: rows are vectors in the world."""
    facing: Float64[ndarray, " 3"] | None = None
    """Where a window shines to; None: everywhere."""
    sun: bool = False
    shadows: bool = True


def sun(
    direction: Float64[ndarray, " 3"], colour: Float64[ndarray, " 3"], width: float = 0.012
) -> Lamp:
    """The sun; `width` is the tangent of half its angle: more is haze."""
    unit = direction / np.linalg.norm(direction)
    return Lamp(at=unit, colour=colour, spread=width * np.eye(3), sun=True)


def towards(
    lamp: Lamp, points: Float64[ndarray, "m 3"], rng: Generator | None = None
) -> tuple[Float64[ndarray, "m 3"], Float64[ndarray, " m"]]:
    """Vectors from points to a lamp (or to random places on it), and its strength there."""
    count = len(points)
    shift = np.zeros((count, 3))
    if rng is not None:
        shift = rng.uniform(-1, 1, (count, 3)) @ lamp.spread
    if lamp.sun:
        return SUN_AWAY * (lamp.at + shift), np.ones(count)
    to = lamp.at + shift - points
    # The size of a lamp keeps its light finite beside it.
    square = dot(to, to) + float((lamp.spread**2).sum()) + 0.02
    strength = 1 / square
    if lamp.facing is not None:
        strength = strength * ((-to @ lamp.facing) / np.sqrt(square)).clip(0, 1)
    return to, strength


def in_light(
    placed: Placed,
    points: Float64[ndarray, "m 3"],
    to: Float64[ndarray, "m 3"],
    asked: Bool[ndarray, " m"],
    casts: Bool[ndarray, " p"],
) -> Bool[ndarray, " m"]:
    """Whether nothing stands between points and the ends of the vectors `to`.

    Args:
        placed: The parts.
        points: Points, those next to each other in the list near each other in space.
        to: From each point to the light.
        asked: Points that want to know; the others are dark.
        casts: Parts that throw shadows.
    """
    bright = asked.copy()
    starts = np.arange(0, len(points), CHUNK)
    counts = np.diff(np.append(starts, len(points)))
    middle = np.add.reduceat(points, starts) / counts[:, None]
    off = points - np.repeat(middle, counts, axis=0)
    radius = np.sqrt(np.maximum.reduceat(dot(off, off), starts))
    ends = points + to
    end = np.add.reduceat(ends, starts) / counts[:, None]
    off = ends - np.repeat(end, counts, axis=0)
    end_radius = np.sqrt(np.maximum.reduceat(dot(off, off), starts))
    wanted = np.logical_or.reduceat(asked, starts)
    run = end - middle
    length = np.maximum(dot(run, run), 1e-9)
    reach = np.maximum(radius, end_radius)
    middles = placed.corners.mean(axis=1)
    sizes = 0.5 * np.linalg.norm(placed.corners[:, 7] - placed.corners[:, 0], axis=1)
    # |gap|^2 between a part's middle and the line from the points to the light: all pairs at once.
    shares = ((middles @ run.T - dot(middle, run)) / length).clip(0, 1)
    gaps = (
        dot(middles, middles)[:, None] - 2 * middles @ middle.T + dot(middle, middle)
        - 2 * shares * (middles @ run.T - dot(middle, run)) + shares**2 * length
    )  # fmt: skip
    near = (gaps < (sizes[:, None] + reach) ** 2) & wanted
    for index in np.flatnonzero(casts & near.any(axis=1)):
        close = near[index]
        pick = np.flatnonzero(np.repeat(close, counts) & bright)
        if len(pick) == 0:
            continue
        turn = placed.rotations[index]
        t = placed.parts[index].shape.meet(
            (points[pick] - placed.origins[index]) @ turn, to[pick] @ turn
        )
        bright[pick[t < 0.999]] = False
    return bright


def near_order(depth: Float64[ndarray, "h w"], part: Int64[ndarray, "h w"]) -> Int64[ndarray, " n"]:
    """An order of pixels in which neighbours are near each other in space: by tile and depth."""
    height, width = depth.shape
    v, u = np.mgrid[:height, :width]
    layer = np.rint(3 * np.log2(np.maximum(depth, 0.1) + 1e-6)).astype(np.int64) + 64
    key = ((v // 16) * 1000 + u // 16) * 256 + layer
    return np.argsort(key.ravel() * 4096 + part.ravel() % 4096, kind="stable")


def corners(
    points: Float32[ndarray, "h w 3"],
    normals: Float32[ndarray, "h w 3"],
    depth: Float64[ndarray, "h w"],
    focal: float,
    reach: float,
    rng: Generator,
) -> Float32[ndarray, "h w"]:
    """How much of the light from all around is left near other surfaces, in [0, 1].

    Only what the picture shows can darken. `focal` is in pixels of these maps, `reach` in metres.
    """
    height, width = depth.shape
    v, u = np.mgrid[:height, :width]
    disk = (focal * reach / np.maximum(depth, 0.05)).clip(1.5, CORNER_PIXELS)
    spin = rng.uniform(0, 2 * np.pi, depth.shape)
    total = np.zeros(depth.shape, np.float32)
    for k in range(CORNER_SAMPLES):
        angle, far = spin + 2.4 * k, disk * np.sqrt((k + 0.5) / CORNER_SAMPLES)
        row = np.rint(v + far * np.sin(angle)).astype(np.int64).clip(0, height - 1)
        column = np.rint(u + far * np.cos(angle)).astype(np.int64).clip(0, width - 1)
        gap = points[row, column] - points
        square = dot(gap, gap)
        facing = dot(gap, normals) / np.sqrt(square + 1e-8)
        total += np.maximum(facing - 0.08, 0) / (1 + square / reach**2)
    return (1 - 1.9 * total / CORNER_SAMPLES).clip(0.12, 1)


def smooth(
    values: Float32[ndarray, "h w k"],
    known: Bool[ndarray, "h w"],
    part: Int64[ndarray, "h w"],
    depth: Float64[ndarray, "h w"],
) -> Float32[ndarray, "h w k"]:
    """Mean over the neighbours that are known, on the same part at about the same depth."""
    height, width, _ = values.shape
    reach = 2 * BLUR + 1
    pad = ((BLUR, BLUR), (BLUR, BLUR))
    padded = np.pad(values, (*pad, (0, 0)))
    knowns = np.pad(known, pad)
    parts, depths = np.pad(part, pad, constant_values=-9), np.pad(depth, pad)
    total, weights = np.zeros_like(values), np.zeros((height, width, 1), np.float32)
    for dv in range(reach):
        for du in range(reach):
            here = (slice(dv, dv + height), slice(du, du + width))
            same = (
                knowns[here] & (parts[here] == part) & (np.abs(depths[here] - depth) < 0.06 * depth)
            )
            weight = same[..., None].astype(np.float32)
            total += weight * padded[here]
            weights += weight
    return np.where(weights > 0, total / np.maximum(weights, 1), values)


def enlarge(
    values: Float32[ndarray, "h w k"],
    coarse: Int64[ndarray, "h w"],
    part: Int64[ndarray, "H W"],
) -> Float32[ndarray, "H W k"]:
    """Values of every second pixel for all pixels, taken from the same part where it is near."""
    height, width = part.shape
    v, u = np.mgrid[:height, :width]
    total = np.zeros((height, width, values.shape[2]), np.float32)
    weights = np.zeros((height, width, 1), np.float32)
    for dv in (0, 1):
        for du in (0, 1):
            row = np.minimum(v // 2 + dv, coarse.shape[0] - 1)
            column = np.minimum(u // 2 + du, coarse.shape[1] - 1)
            share = (1 - np.abs(v / 2 - v // 2 - dv)) * (1 - np.abs(u / 2 - u // 2 - du))
            same = np.where(coarse[row, column] == part, 1.0, 1e-3)
            weight = (share * same)[..., None].astype(np.float32)
            total += weight * values[row, column]
            weights += weight
    return total / np.maximum(weights, 1e-9)
