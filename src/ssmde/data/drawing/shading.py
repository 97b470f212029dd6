"""Light on a drawn scene: the colour of the points the rays have met.

Colour = texture x (ambient + direct light x cosine, where no part stands in the light), darkened
on the ground around what stands on it, and paled with distance under an open sky.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray

from ssmde.data.drawing.scene import Placed, Scene
from ssmde.data.drawing.texture import fractal_noise, paint, unfold

LIFT = 1e-3  # metres a shadow ray starts above its surface
GRAZING = 0.02  # smallest cosine between ray and surface when a pixel's size is worked out
CONTACT_DARKNESS = 0.55  # how much of the light the contact takes away, at most
CONTACT_REACH = 0.22  # metres over which the contact shadow fades
FACE_GAP = 7.3  # metres of noise between two faces of a box, so that they differ
DIRECT = 1.5  # direct light on a surface that faces it, relative to 1 - ambient
SPECK = 4.0  # pixels; parts that look smaller cast no shadow
SKY_SHARE = 0.25  # how much more ambient light comes from above than from below
CLOUD_CELL = 0.35  # size of the clouds, as a share of the distance overhead


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Camera:
    """A pinhole camera in the world."""

    origin: Float64[ndarray, " 3"]
    rotation: Float64[ndarray, "3 3"]
    focal: Float64[ndarray, " 2"]
    centre: Float64[ndarray, " 2"]

    @classmethod
    def of(
        cls, T_world_cam: Float64[ndarray, "4 4"], intrinsics: Float64[ndarray, "3 3"]
    ) -> "Camera":
        """The camera of a pose (camera-to-world) and a pinhole matrix in pixels."""
        return cls(
            origin=T_world_cam[:3, 3],
            rotation=T_world_cam[:3, :3],
            focal=intrinsics[(0, 1), (0, 1)],
            centre=intrinsics[:2, 2],
        )

    def rays(self, pixels: Float64[ndarray, "n 2"]) -> Float64[ndarray, "n 3"]:
        """Directions in the world, scaled to z = 1 in the camera."""
        plane = (pixels - self.centre) / self.focal
        return np.concatenate([plane, np.ones((len(plane), 1))], axis=1) @ self.rotation.T


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Points:
    """Points on surfaces, as the rays have met them; m points."""

    world: Float64[ndarray, "m 3"]
    normals: Float64[ndarray, "m 3"]
    colour: Float64[ndarray, "m 3"]
    face: Int64[ndarray, " m"]


def shade(
    scene: Scene,
    placed: Placed,
    camera: Camera,
    pixels: Float64[ndarray, "n 2"],
    depth: Float64[ndarray, " n"],
    part: Int64[ndarray, " n"],
) -> tuple[Float64[ndarray, "n 3"], Int64[ndarray, " n"], Float64[ndarray, " n"]]:
    """RGB about in [0, 1], number of the face, and 1 where direct light arrives, for each pixel."""
    directions = camera.rays(pixels)
    colour = np.empty((len(pixels), 3))
    face = np.zeros(len(pixels), np.int64)
    lit = np.zeros(len(pixels))
    nothing = np.flatnonzero(part < 0)
    colour[nothing] = _sky(scene, directions[nothing], camera)
    # Sorted by part, so that each part is one slice.
    order = np.argsort(part, kind="stable")[len(nothing) :]
    if len(order) == 0:
        return colour, face, lit
    points = _surfaces(placed, camera, directions[order], depth[order], part[order])
    cosine = points.normals @ np.array(scene.light)
    bright = _in_light(
        placed, camera, points.world + LIFT * points.normals, np.array(scene.light), cosine
    )
    around = 1 - SKY_SHARE * (0.5 + 0.5 * points.normals[:, 1])
    light = scene.ambient * around + DIRECT * (1 - scene.ambient) * np.where(bright, cosine, 0)
    light *= _contact(placed.contacts, points)
    painted = points.colour * light[:, None]
    if np.isfinite(scene.far):
        pale = (2 * depth[order] / scene.far - 1).clip(0, 1)[:, None]
        painted += (np.array(scene.sky[0]) - painted) * pale
    colour[order], face[order], lit[order] = painted, points.face, bright
    return colour, face, lit


def _sky(
    scene: Scene, directions: Float64[ndarray, "n 3"], camera: Camera
) -> Float64[ndarray, "n 3"]:
    horizon, overhead = np.array(scene.sky[0]), np.array(scene.sky[1])
    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    up = np.sqrt((-unit[:, 1:2]).clip(0, 1))
    size = np.full(len(unit), 1 / camera.focal[0])
    cell = np.full(len(unit), CLOUD_CELL)
    clouds = fractal_noise(unit / CLOUD_CELL * [0.5, 2.0, 0.5], cell, 2 * size)[:, None]
    colour = horizon + (overhead - horizon) * up
    return colour + (0.95 - colour) * (0.9 * clouds - 0.1).clip(0, 0.8)


def _surfaces(
    placed: Placed,
    camera: Camera,
    directions: Float64[ndarray, "m 3"],
    depth: Float64[ndarray, " m"],
    part: Int64[ndarray, " m"],
) -> _Points:
    """Normal and texture of every point; the points are sorted by part."""
    starts = np.flatnonzero(np.diff(part, prepend=-1))
    seen, counts = part[starts], np.diff(starts, append=len(part))
    which = np.repeat(np.arange(len(seen)), counts)
    turns = placed.rotations[part]
    world = camera.origin + depth[:, None] * directions
    # From here on in the frame of each point's own part.
    local = np.einsum("mi,mij->mj", world - placed.origins[part], turns)
    rays = np.einsum("mi,mij->mj", directions, turns)
    normals = np.empty_like(local)
    axis, face = np.empty(len(part), np.int64), np.empty(len(part), np.int64)
    for index, start, count in zip(seen, starts, counts, strict=True):
        here = slice(start, start + count)
        surface = placed.parts[index].shape.surface(local[here])
        normals[here], axis[here], face[here] = surface
    facing = (normals * rays).sum(1)
    normals *= -np.sign(facing)[:, None]
    slope = np.minimum(-np.abs(facing), -GRAZING)
    coordinates = unfold(local, axis, FACE_GAP * face)
    # A step of one pixel moves the point by depth / focal * (e - d (n . e) / (n . d)).
    footprint = np.zeros_like(local)
    for k in range(2):
        step = (camera.rotation[:, k] @ placed.rotations[seen])[which]
        moved = step - rays * ((normals * step).sum(1) / slope)[:, None]
        moved *= (depth / camera.focal[k])[:, None]
        footprint += np.abs(unfold(moved, axis, np.zeros(len(axis))))
    textures = [placed.parts[index].texture for index in seen]
    colour = paint(textures, which, coordinates, footprint)
    return _Points(
        world=world, normals=np.einsum("mij,mj->mi", turns, normals), colour=colour, face=face
    )


def _in_light(
    placed: Placed,
    camera: Camera,
    points: Float64[ndarray, "m 3"],
    light: Float64[ndarray, " 3"],
    cosine: Float64[ndarray, " m"],
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
    casts = placed.casts & (first < last) & (size * camera.focal[0] > SPECK * away)
    casts &= high[:, 2] >= along.min()
    casts &= (high[:, 1] >= b.min()) & (low[:, 1] <= b.max())
    for index in np.flatnonzero(casts):
        here = slice(first[index], last[index])
        near = bright[here] & (b[here] >= low[index, 1]) & (b[here] <= high[index, 1])
        near &= along[here] <= high[index, 2]
        pick = first[index] + np.flatnonzero(near)
        if len(pick) == 0:
            continue
        turn = placed.rotations[index]
        origins = (points[order[pick]] - placed.origins[index]) @ turn
        t = placed.parts[index].shape.meet(origins, (light @ turn)[None])
        bright[pick[np.isfinite(t)]] = False
    result = np.empty_like(bright)
    result[order] = bright
    return result


def _contact(contacts: Float64[ndarray, "k 6"], points: _Points) -> Float64[ndarray, " m"]:
    """Share of the light left on the ground around the bodies that stand on it, in (0, 1]."""
    left = np.ones(len(points.world))
    ground = np.flatnonzero(points.normals[:, 1] < -0.99)
    if len(ground) == 0:
        return left
    ground = ground[np.argsort(points.world[ground, 2])]
    x, y, z = np.ascontiguousarray(points.world[ground].T)
    reach = np.hypot(contacts[:, 4], contacts[:, 5]) + 3 * CONTACT_REACH
    first = np.searchsorted(z, contacts[:, 2] - reach)
    last = np.searchsorted(z, contacts[:, 2] + reach)
    for index in np.flatnonzero(first < last):
        here = slice(first[index], last[index])
        at_x, at_y, at_z, heading, half_across, half_along = contacts[index]
        near = (np.abs(x[here] - at_x) < reach[index]) & (np.abs(y[here] - at_y) < 0.02)
        pick = first[index] + np.flatnonzero(near)
        dx, dz, c, s = x[pick] - at_x, z[pick] - at_z, np.cos(heading), np.sin(heading)
        across = np.maximum(np.abs(c * dx - s * dz) - half_across, 0)
        ahead = np.maximum(np.abs(s * dx + c * dz) - half_along, 0)
        square = (across**2 + ahead**2) / CONTACT_REACH**2
        left[ground[pick]] *= 1 - CONTACT_DARKNESS * np.exp(-square)
    return left
