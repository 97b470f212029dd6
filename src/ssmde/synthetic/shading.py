"""Colors of a drawn scene: textures by formula, and the light on the points the rays have met.

A texture lives in the coordinates of its object, in metres, so two frames show the same color at
the same point; detail finer than about two pixels fades out. Color = texture x (ambient + direct
light x cosine, where no part stands in the light), darker on the ground around what stands on it,
and paled with distance under an open sky.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64
from numpy import ndarray

from ssmde.synthetic.scene import Indices, Pattern, Pixels, Placed, Points, Scene, Texture, Values

TABLE = 32  # the noise repeats after this many cells
OCTAVES = 6  # each has cells half as wide as the one before
PERSISTENCE = 0.72  # strength of an octave relative to the coarser one
NOISE_GAIN = 1.4  # brings the sum of octaves to about [-1, 1]
FADE_CELLS = (1.5, 3.0)  # an octave fades in while its cells grow over these sizes in pixels
MARK_GRAIN = 0.55  # brightness of a mark where the noise is darkest
FILTER_PIXELS = 1.3  # width of the box filter on patterns
LIFT = 1e-3  # metres a shadow ray starts above its surface
GRAZING = 0.02  # smallest cosine between ray and surface when a pixel's size is worked out
CONTACT_DARKNESS = 0.55  # how much of the light the contact takes away, at most
CONTACT_REACH = 0.22  # metres over which the contact shadow fades
FACE_GAP = 7.3  # metres of noise between two faces of a box, so that they differ
DIRECT = 1.5  # direct light on a surface that faces it, relative to 1 - ambient
SHADOW_SPECK = 4.0  # pixels; parts that look smaller cast no shadow
SKY_SHARE = 0.25  # how much more ambient light comes from above than from below
HORIZON, OVERHEAD = np.array([0.85, 0.89, 0.94]), np.array([0.42, 0.6, 0.86])  # of the sky
CLOUD_CELL = 0.35  # size of the clouds, as a share of the distance overhead
Pose = Float64[ndarray, "4 4"]  # camera to world, in metres
Pinhole = Float64[ndarray, "3 3"]  # matrix without skew, in pixels; integers are pixel centres


class Camera(NamedTuple):
    """A pinhole camera in the world."""

    origin: Float64[ndarray, " 3"]
    rotation: Float64[ndarray, "3 3"]
    focal: Float64[ndarray, " 2"]
    centre: Float64[ndarray, " 2"]

    @classmethod
    def of(cls, T_world_cam: Pose, intrinsics: Pinhole) -> "Camera":
        """The camera of a pose (camera-to-world) and a pinhole matrix in pixels."""
        focal, centre = intrinsics[(0, 1), (0, 1)], intrinsics[:2, 2]
        return cls(T_world_cam[:3, 3], T_world_cam[:3, :3], focal, centre)

    def rays(self, pixels: Pixels) -> Points:
        """Directions in the world, scaled to z = 1 in the camera."""
        plane = (pixels - self.centre) / self.focal
        return np.concatenate([plane, np.ones((len(plane), 1))], axis=1) @ self.rotation.T


def shade(
    scene: Scene, placed: Placed, camera: Camera, pixels: Pixels, depth: Values, part: Indices
) -> tuple[Points, Indices, Values]:
    """RGB about in [0, 1], number of the face, and 1 where direct light arrives, for each pixel."""
    directions = camera.rays(pixels)
    color, face, lit = np.empty((len(pixels), 3)), np.zeros_like(part), np.zeros(len(pixels))
    nothing = np.flatnonzero(part < 0)
    color[nothing] = _sky(directions[nothing], camera)
    # Sorted by part, so that each part is one slice.
    order = np.argsort(part, kind="stable")[len(nothing) :]
    if len(order) == 0:
        return color, face, lit
    world = camera.origin + depth[order][:, None] * directions[order]
    normals, painted, face[order] = _surfaces(
        placed, camera, directions[order], world, depth[order], part[order]
    )
    light = np.array(scene.light)
    cosine = normals @ light
    bright = _in_light(placed, camera, world + LIFT * normals, light, cosine)
    around = 1 - SKY_SHARE * (0.5 + 0.5 * normals[:, 1])
    arrived = scene.ambient * around + DIRECT * (1 - scene.ambient) * np.where(bright, cosine, 0)
    arrived *= _contact(placed.contacts, world, normals)
    painted = painted * arrived[:, None]
    if np.isfinite(scene.far):
        pale = (2 * depth[order] / scene.far - 1).clip(0, 1)[:, None]
        painted += (HORIZON - painted) * pale
    color[order], lit[order] = painted, bright
    return color, face, lit


def _sky(directions: Points, camera: Camera) -> Points:
    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    up = np.sqrt((-unit[:, 1:2]).clip(0, 1))
    cell, size = np.full(len(unit), CLOUD_CELL), np.full(len(unit), 1 / camera.focal[0])
    clouds = fractal_noise(unit / CLOUD_CELL * [0.5, 2.0, 0.5], cell, 2 * size)[:, None]
    color = HORIZON + (OVERHEAD - HORIZON) * up
    return color + (0.95 - color) * (0.9 * clouds - 0.1).clip(0, 0.8)


def _surfaces(
    placed: Placed, camera: Camera, directions: Points, world: Points, depth: Values, part: Indices
) -> tuple[Points, Points, Indices]:
    """Normals towards the camera, colors and faces of points that are sorted by part."""
    starts = np.flatnonzero(np.diff(part, prepend=-1))
    seen, counts = part[starts], np.diff(starts, append=len(part))
    which = np.repeat(np.arange(len(seen)), counts)
    turns = placed.rotations[part]
    # From here on in the frame of each point's own part.
    local = np.einsum("mi,mij->mj", world - placed.origins[part], turns)
    rays = np.einsum("mi,mij->mj", directions, turns)
    normals, axis, face = np.empty_like(local), np.empty_like(part), np.empty_like(part)
    for index, start, count in zip(seen, starts, counts, strict=True):
        here = slice(start, start + count)
        normals[here], axis[here], face[here] = placed.parts[index].shape.surface(local[here])
    facing = (normals * rays).sum(1)
    normals *= -np.sign(facing)[:, None]
    slope = np.minimum(-np.abs(facing), -GRAZING)
    # A step of one pixel moves the point by depth / focal * (e - d (n . e) / (n . d)).
    footprint = np.zeros_like(local)
    for k in range(2):
        step = (camera.rotation[:, k] @ placed.rotations[seen])[which]
        moved = step - rays * ((normals * step).sum(1) / slope)[:, None]
        moved *= (depth / camera.focal[k])[:, None]
        footprint += np.abs(unfold(moved, axis, np.zeros(len(axis))))
    textures = [placed.parts[index].texture for index in seen]
    color = paint(textures, which, unfold(local, axis, FACE_GAP * face), footprint)
    return np.einsum("mij,mj->mi", turns, normals), color, face


def _in_light(
    placed: Placed, camera: Camera, points: Points, light: Float64[ndarray, " 3"], cosine: Values
) -> Bool[ndarray, " m"]:
    """Whether light reaches each point: it faces the light, and no part stands between."""
    # Seen from the light, a shadow is the outline of a part: compare boxes in that view first.
    side = np.cross(light, [0.0, 0.0, 1.0])
    side /= np.linalg.norm(side)
    view = np.stack([side, np.cross(light, side), light], axis=1)
    seen_from_light = points @ view
    order = np.argsort(seen_from_light[:, 0])
    a, b, along = np.ascontiguousarray(seen_from_light[order].T)
    bright = cosine[order] > 0
    corners = placed.corners @ view
    low, high = corners.min(axis=1), corners.max(axis=1)
    first, last = np.searchsorted(a, low[:, 0]), np.searchsorted(a, high[:, 0], side="right")
    size = np.linalg.norm(placed.corners[:, 7] - placed.corners[:, 0], axis=1)
    away = np.linalg.norm(placed.corners.mean(axis=1) - camera.origin, axis=1)
    casts = placed.casts & (first < last) & (size * camera.focal[0] > SHADOW_SPECK * away)
    casts &= high[:, 2] >= along.min()
    casts &= (high[:, 1] >= b.min()) & (low[:, 1] <= b.max())
    for index in np.flatnonzero(casts):
        here = slice(first[index], last[index])
        near = bright[here] & (b[here] >= low[index, 1]) & (b[here] <= high[index, 1])
        near &= along[here] <= high[index, 2]
        pick = first[index] + np.flatnonzero(near)
        if len(pick):
            turn = placed.rotations[index]
            origins = (points[order[pick]] - placed.origins[index]) @ turn
            t = placed.parts[index].shape.meet(origins, (light @ turn)[None])
            bright[pick[np.isfinite(t)]] = False
    result = np.empty_like(bright)
    result[order] = bright
    return result


def _contact(contacts: Float64[ndarray, "k 6"], world: Points, normals: Points) -> Values:
    """Share of the light left on the ground around the bodies that stand on it, in (0, 1]."""
    left = np.ones(len(world))
    ground = np.flatnonzero(normals[:, 1] < -0.99)
    for *at, heading, half_across, half_along in contacts:
        away, reach = world[ground] - at, np.hypot(half_across, half_along) + 3 * CONTACT_REACH
        near = (np.abs(away) < [reach, 0.02, reach]).all(axis=1)
        (dx, _, dz), c, s = away[near].T, np.cos(heading), np.sin(heading)
        across = np.maximum(np.abs(c * dx - s * dz) - half_across, 0)
        ahead = np.maximum(np.abs(s * dx + c * dz) - half_along, 0)
        square = (across**2 + ahead**2) / CONTACT_REACH**2
        left[ground[near]] *= 1 - CONTACT_DARKNESS * np.exp(-square)
    return left


@lru_cache(maxsize=1)
def _noise_table() -> Float32[ndarray, " t"]:
    return np.random.default_rng(20).uniform(-1, 1, TABLE**3).astype(np.float32)


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


def fractal_noise(coordinates: Points, cell: Values, footprint: Values) -> Float32[ndarray, " n"]:
    """Grain of many sizes, about in [-1, 1]: octaves of value noise, none finer than the pixel.

    `coordinates` are in cells of the coarsest octave; `cell`, the size of such a cell, and
    `footprint`, that of a pixel on the surface, in metres.
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

    s: Values  # across, in metres
    t: Values  # down (on the ground: ahead), in metres
    width: Pixels  # width of the filter along both, in metres
    period: Pixels
    duty: Pixels
    variation: Values
    shift: Values


Weights = tuple[Values, Values]


def _pulse(x: Values, duty: float | Values, width: Values) -> Values:
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
    waves = zip((at.s, at.t), at.period.T, at.width.T, strict=True)
    across, down = (_pulse(x / period, 0.5, width / period) for x, period, width in waves)
    return 0.5 + 0.5 * (2 * across - 1) * (2 * down - 1), np.zeros_like(across)


def _lanes(at: Spots) -> Weights:
    """A dashed line in the middle, solid ones at +-period[0]; lines as wide as duty[0] metres."""
    width, line, side = np.maximum(at.width[:, 0], 1e-3), at.duty[:, 0], at.period[:, 0]

    def stroke(centre: float | Values) -> Values:
        low = np.maximum(at.s - width / 2, centre - line / 2)
        high = np.minimum(at.s + width / 2, centre + line / 2)
        return np.maximum(high - low, 0) / width

    dash = at.period[:, 1]
    dashes = _pulse(at.t / dash, at.duty[:, 1], at.width[:, 1] / dash)
    paint = stroke(0.0) * dashes + stroke(-side) + stroke(side)
    return paint.clip(0, 1), np.zeros_like(paint)


def _cap(at: Spots) -> Weights:
    """Everything above the height t = period[1]."""
    above = (at.period[:, 1] - at.t) / np.maximum(at.width[:, 1], 1e-3)
    return (above + 0.5).clip(0, 1), np.zeros_like(above)


def _grid(at: Spots) -> tuple[Values, Values, Values]:
    """Marked share across and down, and how much brighter or darker each block is."""
    s, t = at.s / at.period[:, 0], at.t / at.period[:, 1]
    ws, wt = (at.width / at.period).T
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
    "stripes": _stripes, "checks": _checks, "blocks": _blocks, "windows": _windows,
    "lanes": _lanes, "cap": _cap,
}  # fmt: skip
"""Share of the mark and change of the brightness at points, by the name of their pattern."""


def spots_of(
    textures: Sequence[Texture], which: Indices, coordinates: Points, footprint: Points
) -> Spots:
    """Points with the numbers of their textures; arguments as in `paint`."""
    numbers = _numbers(textures, which, "period", "duty", "variation", "shift")
    width = FILTER_PIXELS * footprint[:, :2]
    return Spots(coordinates[:, 0], coordinates[:, 1], width, *numbers)


def _numbers(textures: Sequence[Texture], which: Indices, *names: str) -> list[ndarray]:
    return [np.array([getattr(t, name) for t in textures], np.float64)[which] for name in names]


def paint(
    textures: Sequence[Texture], which: Indices, coordinates: Points, footprint: Points
) -> Points:
    """RGB, about in [0, 1], of points on textured surfaces; `which` is the texture of each.

    `coordinates` are those of `unfold`, `footprint` is the size of a pixel along them, in metres.
    """
    fields = "cell", "origin", "base", "second", "mark"
    cell, origin, base, second, mark = _numbers(textures, which, *fields)
    noise = fractal_noise(coordinates / cell[:, None] + origin, cell, footprint.max(axis=1))
    mix = (0.5 + 0.5 * noise.astype(np.float64)).clip(-0.1, 1.1)[:, None]
    color = base + (second - base) * mix
    mark *= MARK_GRAIN + (1 - MARK_GRAIN) * mix
    patterns = np.array([t.pattern for t in textures])[which]
    for name, pattern in PATTERNS.items():
        rows = np.flatnonzero(patterns == name)
        if len(rows):
            spots = spots_of(textures, which[rows], coordinates[rows], footprint[rows])
            weight, shade = pattern(spots)
            color[rows] += (mark[rows] - color[rows]) * weight[:, None]
            color[rows] *= 1 + shade[:, None]
    return color


def unfold(points: Points, axis: Indices, third: Values) -> Points:
    """Coordinates on the surface: (across, down, `third`) on flat faces, x, y, z on curved ones.

    The points, or vectors, are in the frame of the shape; `axis` is -1 on a curved surface.
    """
    across = np.where(axis == 0, points[:, 2], points[:, 0])
    down = np.where(axis == 1, points[:, 2], points[:, 1])
    return np.stack([across, down, np.where(axis >= 0, third, points[:, 2])], axis=1)
