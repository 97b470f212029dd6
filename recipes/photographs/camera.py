"""Take a photo of a scene: rays, colours, light, haze, exposure and a camera's tone curve.

The depth is that of the ray through the middle of each pixel. Colours of pixels on an edge are
means over three rays, each coloured like the nearest pixel that shows the same surface.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt8
from numpy import ndarray
from numpy.random import Generator

from photographs.light import (
    LIFT,
    SPECK,
    Lamp,
    corners,
    enlarge,
    in_light,
    near_order,
    smooth,
    towards,
)
from photographs.materials import Material
from photographs.painting import GAMMA, paint
from photographs.patches import PatchBook
from photographs.solids import dot
from ssmde.synthetic.raycast import Outlines, outline, trace, uneven
from ssmde.synthetic.scene import Placed
from ssmde.synthetic.shading import FACE_GAP, GRAZING, Camera, fractal_noise, unfold

NEIGHBOURS = [(dv, du) for dv in (0, -1, 1) for du in (0, -1, 1)]
SUBPIXELS = ((-0.3, -0.15), (0.3, 0.15))  # besides the middle of the pixel
PATCH_GAP = 0.37  # metres of patch between two faces of a box, so that they differ
HIGHLIGHT = 60.0  # sharpness of the sun's mirror image on glossy surfaces


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Light:
    """All light of a photo, and what the camera makes of it; colours are linear."""

    lamps: tuple[Lamp, ...]
    above: Float64[ndarray, " 3"]
    """Light from everywhere, on a surface that looks up."""
    below: Float64[ndarray, " 3"]
    """The same on one that looks down."""
    horizon: Float64[ndarray, " 3"] = field(default_factory=lambda: np.full(3, 0.8))
    """Color of the sky at the horizon, and of haze."""
    zenith: Float64[ndarray, " 3"] = field(default_factory=lambda: np.array([0.2, 0.35, 0.65]))
    clouds: float = 0.0
    """Share of the sky that clouds cover."""
    sight: float = np.inf
    """Metres after which haze has swallowed 63 % of the light."""
    corner: float = 0.5
    """Metres over which near surfaces darken each other."""
    level: float = 0.42
    """Brightness of the photo: about its median, in [0, 1] as shown on a screen."""
    balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Factors on red, green and blue."""
    colourful: float = 1.0
    """Strength of colours: 0 is a grey picture."""
    punch: float = 1.0
    """Exponent of the tone curve beside the screen's: above 1, darker shadows."""
    far: float = 200.0
    """Depth beyond which a photo's depth map says nothing."""


class Photo(NamedTuple):
    """A photo and its truth."""

    image: UInt8[ndarray, "h w 3"]
    depth: Float32[ndarray, "h w"]
    """Metres along z; 0 for the sky and beyond `Light.far`."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Seen:
    """What all pixels see; n pixels."""

    world: Float64[ndarray, "n 3"]
    normals: Float64[ndarray, "n 3"]
    albedo: Float32[ndarray, "n 3"]
    gloss: Float32[ndarray, " n"]
    glow: Float32[ndarray, " n"]
    face: Int64[ndarray, " n"]


def take(
    placed: Placed,
    light: Light,
    book: PatchBook,
    rng: Generator,
    T_world_cam: Float64[ndarray, "4 4"],
    intrinsics: Float64[ndarray, "3 3"],
    size: tuple[int, int],
) -> Photo:
    """The photo of a scene.

    Args:
        placed: The parts, whose textures are materials.
        light: Light and development.
        book: Patches of real photos that the materials name.
        rng: Jitter of soft shadows.
        T_world_cam: Pose of the camera: maps its points into the world, metres.
        intrinsics: Pinhole matrix, in pixels.
        size: Height and width.
    """
    camera = Camera.of(T_world_cam, intrinsics)
    outlines = outline(placed, camera, size, np.inf)
    v, u = np.mgrid[: size[0], : size[1]].astype(np.float64)
    pixels = np.stack([u.ravel(), v.ravel()], axis=1)
    depth, part = trace(placed, outlines, camera, pixels)
    directions = camera.rays(pixels)
    linear = np.empty((len(pixels), 3), np.float32)
    linear[part < 0] = _sky(light, directions[part < 0], camera)
    met = np.flatnonzero(part >= 0)
    code = part.copy()
    if len(met):
        seen = _look(placed, camera, book, directions[met], depth[met], part[met])
        lit = _shine(placed, light, rng, camera, seen, depth, part, met, size)
        colour = seen.albedo * lit + _mirrored(light, directions[met], seen)
        colour += seen.albedo * seen.glow[:, None]
        if np.isfinite(light.sight):
            clear = np.exp(-depth[met] / light.sight).astype(np.float32)[:, None]
            colour = colour * clear + light.horizon.astype(np.float32) * (1 - clear)
        linear[met] = colour
        code[met] = part[met] * 8 + seen.face
    picture = _soften(placed, outlines, camera, pixels, linear, part, code, size)
    kept = (part >= 0) & (depth < light.far)
    return Photo(
        image=develop(picture.reshape(*size, 3), light),
        depth=np.where(kept, depth, 0).astype(np.float32).reshape(size),
    )


def _look(
    placed: Placed,
    camera: Camera,
    book: PatchBook,
    directions: Float64[ndarray, "n 3"],
    depth: Float64[ndarray, " n"],
    part: Int64[ndarray, " n"],
) -> _Seen:
    """Normals and colours where the rays have met something."""
    # Sorted by part, so that each part is one slice.
    order = np.argsort(part, kind="stable")
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    directions, depth, part = directions[order], depth[order], part[order]
    starts = np.flatnonzero(np.diff(part, prepend=-1))
    world = camera.origin + depth[:, None] * directions
    local = _localise(placed, camera, directions, world, part, starts)
    coordinates, footprint, unrolled = _unrolled(local, depth, camera)
    which = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(part)))
    materials = [_material(placed, index) for index in part[starts].tolist()]
    colours = paint(materials, which, coordinates, footprint, unrolled, book)
    gloss, glow = (
        np.array(x, np.float32)[which]
        for x in ([m.gloss for m in materials], [m.glow for m in materials])
    )
    return _Seen(
        world=world[back], normals=local.outwards[back], albedo=colours[back], gloss=gloss[back],
        glow=glow[back], face=local.face[back],
    )  # fmt: skip


class _Local(NamedTuple):
    """Points in the frames of their own parts."""

    points: Float64[ndarray, "n 3"]
    rays: Float64[ndarray, "n 3"]
    normals: Float64[ndarray, "n 3"]
    """Towards the camera."""
    outwards: Float64[ndarray, "n 3"]
    """The same, in the world."""
    steps: Float64[ndarray, "2 n 3"]
    """The camera's directions across and down."""
    axis: Int64[ndarray, " n"]
    face: Int64[ndarray, " n"]


def _localise(
    placed: Placed,
    camera: Camera,
    directions: Float64[ndarray, "n 3"],
    world: Float64[ndarray, "n 3"],
    part: Int64[ndarray, " n"],
    starts: Int64[ndarray, " k"],
) -> _Local:
    """Points on surfaces, sorted by part; the slices of the parts begin at `starts`."""
    count = len(part)
    points, rays, normals, outwards = (np.empty((count, 3)) for _ in range(4))
    steps = np.empty((2, count, 3))
    axis, face = np.empty(count, np.int64), np.empty(count, np.int64)
    for start, end in zip(starts, np.append(starts[1:], count), strict=True):
        here, index = slice(start, end), part[start]
        turn = placed.rotations[index]
        points[here] = (world[here] - placed.origins[index]) @ turn
        rays[here] = directions[here] @ turn
        found = placed.parts[index].shape.surface(points[here])
        flip = np.where(dot(found.normals, rays[here]) > 0, -1.0, 1.0)
        normals[here] = found.normals * flip[:, None]
        axis[here], face[here] = found.axis, found.face
        outwards[here] = normals[here] @ turn.T
        steps[:, here] = (camera.rotation[:, :2].T @ turn)[:, None]
    return _Local(points, rays, normals, outwards, steps, axis, face)


def _unrolled(
    local: _Local, depth: Float64[ndarray, " n"], camera: Camera
) -> tuple[Float64[ndarray, "n 3"], Float64[ndarray, "n 3"], Float64[ndarray, "n 4"]]:
    """Coordinates of patterns and noise, a pixel's size in them, and both for patches.

    Patches lie on flat faces as patterns do, and on round ones as on the nearest side of a box.
    """
    coordinates = unfold(local.points, local.axis, FACE_GAP * local.face)
    side = np.where(local.axis >= 0, local.axis, np.abs(local.normals).argmax(axis=1))
    nothing = np.zeros(len(side))
    places = unfold(local.points, side, nothing)[:, :2] + PATCH_GAP * local.face[:, None]
    slope = np.minimum(-np.abs(dot(local.normals, local.rays)), -GRAZING)
    footprint, flat = np.zeros_like(local.points), np.zeros((len(side), 2))
    # A step of one pixel moves the point by depth / focal * (e - d (n . e) / (n . d)).
    for step, focal in zip(local.steps, camera.focal, strict=True):
        moved = step - local.rays * (dot(local.normals, step) / slope)[:, None]
        moved *= (depth / focal)[:, None]
        footprint += np.abs(unfold(moved, local.axis, nothing))
        flat += np.abs(unfold(moved, side, nothing)[:, :2])
    return coordinates, footprint, np.concatenate([places, flat], axis=1)


def _material(placed: Placed, index: int) -> Material:
    texture = placed.parts[index].texture
    if not isinstance(texture, Material):
        raise TypeError(f"a photo needs materials, got a {type(texture).__name__}")
    return texture


def _shine(
    placed: Placed,
    light: Light,
    rng: Generator,
    camera: Camera,
    seen: _Seen,
    depth: Float64[ndarray, " n"],
    part: Int64[ndarray, " n"],
    met: Int64[ndarray, " m"],
    size: tuple[int, int],
) -> Float32[ndarray, "m 3"]:
    """Light that arrives at every point, linear."""
    full = (*size, 3)
    world, normals = np.zeros((len(depth), 3)), np.zeros((len(depth), 3))
    world[met], normals[met] = seen.world, seen.normals
    every = (slice(None, None, 2), slice(None, None, 2))
    coarse_part = part.reshape(size)[every]
    coarse_depth = np.where(coarse_part >= 0, depth.reshape(size)[every], 1e3)
    points, facing = world.reshape(full)[every], normals.reshape(full)[every]
    # Half of the samples, like the white squares of a chess board, are enough to be smoothed.
    known = np.indices(coarse_part.shape).sum(axis=0) % 2 == 0
    shadows = _shadows(
        placed, light, rng, camera, points, facing, coarse_depth, np.where(known, coarse_part, -1)
    )
    dark = corners(
        points.astype(np.float32), facing.astype(np.float32), coarse_depth,
        float(camera.focal[0]) / 2, light.corner, rng,
    )  # fmt: skip
    everywhere = np.ones_like(known)
    maps = np.concatenate([
        smooth(shadows, known, coarse_part, coarse_depth),
        smooth(dark[..., None], everywhere, coarse_part, coarse_depth),
    ], axis=2)  # fmt: skip
    maps = enlarge(maps, coarse_part, part.reshape(size)).reshape(len(depth), -1)[met]
    up = (0.5 - 0.5 * seen.normals[:, 1:2]).astype(np.float32)
    around = light.below + up * (light.above - light.below)
    total = (around * maps[:, -1:]).astype(np.float32)
    for number, lamp in enumerate(light.lamps):
        to, strength = towards(lamp, seen.world)
        cosine = dot(to, seen.normals) / np.sqrt(dot(to, to) + 1e-9)
        arrived = strength * cosine.clip(0, 1) * maps[:, number]
        # Light of lamps is thrown back by all walls: corners darken it a little, too.
        arrived *= 0.5 + 0.5 * maps[:, -1]
        total += arrived[:, None].astype(np.float32) * lamp.colour.astype(np.float32)
    return total


def _shadows(
    placed: Placed,
    light: Light,
    rng: Generator,
    camera: Camera,
    points: Float64[ndarray, "h w 3"],
    normals: Float64[ndarray, "h w 3"],
    depth: Float64[ndarray, "h w"],
    part: Int64[ndarray, "h w"],
) -> Float32[ndarray, "h w k"]:
    """Which of the lamps every point sees: 1 or 0 for one random place on each lamp."""
    result = np.ones((*depth.shape, len(light.lamps)), np.float32)
    order = near_order(depth, part)
    order = order[part.ravel()[order] >= 0]
    if len(order) == 0:
        return result
    middle = placed.corners.mean(axis=1)
    large = np.linalg.norm(placed.corners[:, 7] - placed.corners[:, 0], axis=1)
    away = np.linalg.norm(middle - camera.origin, axis=1)
    casts = placed.casts & (large * camera.focal[0] > SPECK * away)
    normal = normals.reshape(-1, 3)[order]
    lift = LIFT + 5e-4 * depth.ravel()[order]
    start = points.reshape(-1, 3)[order] + lift[:, None] * normal
    for number, lamp in enumerate(light.lamps):
        if not lamp.shadows:
            continue
        to, strength = towards(lamp, start, rng)
        asked: Bool[ndarray, " m"] = (dot(to, normal) > 0) & (strength > 1e-4)
        bright = in_light(placed, start, to, asked, casts)
        result.reshape(-1, len(light.lamps))[order, number] = bright
    return result


def _mirrored(
    light: Light, directions: Float64[ndarray, "m 3"], seen: _Seen
) -> Float32[ndarray, "m 3"]:
    """What glossy surfaces mirror of the sky, the ground and the sun."""
    result = np.zeros((len(seen.gloss), 3), np.float32)
    rows = np.flatnonzero(seen.gloss > 0)
    if len(rows) == 0:
        return result
    unit = directions[rows] / np.linalg.norm(directions[rows], axis=1, keepdims=True)
    normal = seen.normals[rows]
    cosine = -dot(unit, normal)
    back = unit + 2 * cosine[:, None] * normal
    gloss = seen.gloss[rows]
    share = gloss + (1 - gloss) * gloss.clip(0, 0.6) * (1 - cosine.clip(0, 1)) ** 4
    up = (0.5 - 1.5 * back[:, 1:2]).clip(0, 1)
    around = 0.35 * light.below + up * (light.horizon - 0.35 * light.below)
    around = around + (-back[:, 1:2]).clip(0, 1) * (light.zenith - light.horizon)
    for lamp in light.lamps:
        to, strength = towards(lamp, seen.world[rows])
        match = dot(to, back) / np.sqrt(dot(to, to) + 1e-9)
        spot = match.clip(0, 1) ** HIGHLIGHT * strength.clip(0, 1)
        around = around + 3 * spot[:, None] * lamp.colour
    result[rows] = share[:, None] * around
    return result


def _sky(
    light: Light, directions: Float64[ndarray, "n 3"], camera: Camera
) -> Float64[ndarray, "n 3"]:
    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    up = (-unit[:, 1:2]).clip(0, 1)
    colour = light.horizon + (light.zenith - light.horizon) * np.sqrt(up)
    if light.clouds > 0:
        # Clouds lie in a layer overhead: small and flat towards the horizon.
        layer = unit / (up + 0.12)
        size = np.full(len(unit), 3.0 / camera.focal[0])
        noise = fractal_noise(
            layer * [1.6, 0.0, 1.6] + light.horizon * 9, np.full(len(unit), 0.6), size
        )[:, None]
        cover = (1.6 * noise + 2.4 * light.clouds - 1.2).clip(0, 1)
        white = 1.25 * light.horizon.mean() * (1.0 - 0.35 * (noise - 0.2).clip(0, 1))
        colour = colour + (white - colour) * cover * (0.25 + 0.75 * up).clip(0, 1)
    for lamp in light.lamps:
        if lamp.sun:
            near = (unit @ lamp.at).clip(0, 1)[:, None]
            colour = colour + lamp.colour * (0.12 * near**8 + 0.5 * near**90)
    return colour


def _soften(
    placed: Placed,
    outlines: Outlines,
    camera: Camera,
    pixels: Float64[ndarray, "n 2"],
    linear: Float32[ndarray, "n 3"],
    part: Int64[ndarray, " n"],
    code: Int64[ndarray, " n"],
    size: tuple[int, int],
) -> Float32[ndarray, "n 3"]:
    """Colours with smooth edges."""
    edge = np.flatnonzero(uneven(code.reshape(size)))
    if len(edge) == 0:
        return linear
    finer = np.concatenate([pixels[edge] + np.array(shift) for shift in SUBPIXELS])
    _, met = trace(placed, outlines, camera, finer)
    row, column = np.divmod(np.tile(edge, len(SUBPIXELS)), size[1])
    source = np.tile(edge, len(SUBPIXELS))
    open_ = np.ones(len(met), bool)
    for dv, du in NEIGHBOURS:
        at = (row + dv).clip(0, size[0] - 1) * size[1] + (column + du).clip(0, size[1] - 1)
        fits = open_ & (part[at] == met)
        source[fits] = at[fits]
        open_ &= ~fits
    result = linear.copy()
    # Very bright pixels are clipped first, or their edges would stay jagged.
    bounded = np.minimum(linear, 4 * float(np.median(linear)) + 1e-6)
    finer_mean = bounded[source].reshape(len(SUBPIXELS), -1, 3).mean(axis=0)
    result[edge] = (bounded[edge] + len(SUBPIXELS) * finer_mean) / (1 + len(SUBPIXELS))
    return result


def develop(linear: Float32[ndarray, "h w 3"], light: Light) -> UInt8[ndarray, "h w 3"]:
    """Exposure, white balance and tone curve of a camera, from linear light to a picture."""
    x = linear * np.array(light.balance, np.float32)
    brightness = x.mean(axis=2)
    median = float(np.median(brightness)) + 0.25 * float(brightness.mean())
    gain = light.level**GAMMA / max(median / 1.25, 1e-6)
    x = x * np.float32(gain)
    # Straight up to the shoulder, then bending towards white.
    shoulder = np.float32(0.6)
    over = np.maximum(x - shoulder, 0)
    x = np.where(x > shoulder, shoulder + (1 - shoulder) * (1 - np.exp(-over / 0.55)), x)
    grey = x.mean(axis=2, keepdims=True)
    x = np.maximum(grey + light.colourful * (x - grey), 0)
    x = x ** np.float32(light.punch / GAMMA)
    return np.rint(x.clip(0, 1) * 255).astype(np.uint8)
