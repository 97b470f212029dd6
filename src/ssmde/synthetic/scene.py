"""What a drawn scene consists of: bodies made of solid shapes, the tracks they move on, the light.

World axes are those of the camera: x right, y down, z forward, in metres; the ground is y = 0 and
up is -y. A heading turns about the vertical: 0 looks along z, a quarter turn along x. A ray is
`origin + t * direction`, and because directions are scaled to z = 1 in the camera, t is the depth.
Everything is a closed formula in float64.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray

Color = tuple[float, float, float]
Points = Float64[ndarray, "n 3"]  # or vectors
Rays = Float64[ndarray, "#n 3"]  # origins or directions, one for all or one each
Pixels = Float64[ndarray, "n 2"]
Values = Float64[ndarray, " n"]
Indices = Int64[ndarray, " n"]
Times = Float64[ndarray, " k"]  # seconds
Poses = Float64[ndarray, "k 4 4"]  # camera to world
Pattern = Literal["plain", "stripes", "checks", "blocks", "windows", "lanes", "cap"]
TINY = 1e-30  # stands for a slope of exactly zero, so that a division gives a huge number
CURVED = -1  # face axis of a surface that has no flat faces


class Surface(NamedTuple):
    """What a shape looks like at points on it."""

    normals: Points  # unit normals; outwards (either side for a plane)
    axis: Indices  # axis across the flat face (0, 1, 2), or -1 on a curved surface
    face: Indices  # number of the face, so that each gets a texture of its own


@dataclass(frozen=True, kw_only=True, slots=True)
class Texture:
    """Colors of one surface: two mixed by noise, a third put on by a pattern."""

    base: Color  # RGB in [0, 1]
    second: Color  # noise mixes this one into `base`
    mark: Color = (1.0, 1.0, 1.0)
    """Color of the pattern: the joints of blocks, the glass of windows, the paint of lanes."""
    pattern: Pattern = "plain"
    period: tuple[float, float] = (1.0, 1.0)
    """Size of a repeat along the surface: across and down (ground: across and ahead), metres."""
    duty: tuple[float, float] = (0.5, 0.5)  # share of a period that is marked, in both directions
    variation: float = 0.0
    """How much neighboring blocks or windows differ in brightness, from 0 to 1."""
    shift: float = 0.0
    """How far each row of blocks is moved, as a share of a period: 0.5 for bricks."""
    cell: float = 1.0  # size of the coarsest grain of the noise, in metres
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Where in the endless noise this texture lies, in cells."""


@dataclass(frozen=True, slots=True)
class Plane:
    """Rectangle through the origin, across one axis."""

    axis: int  # axis across it: 1 is a floor, 2 a wall straight ahead, 0 a wall at the side
    half: tuple[float, float] = (np.inf, np.inf)
    """Half sizes along the two other axes, in x, y, z order."""

    def meet(self, origins: Rays, directions: Rays) -> Values:
        """First t > 0 at which each ray enters the shape; infinite where it misses."""
        slope = directions[:, self.axis]
        t = -origins[:, self.axis] / np.where(slope == 0, TINY, slope)
        hit = (t > 0) & (t < 1 / TINY)
        for other, half in zip(self._others(), self.half, strict=True):
            if np.isfinite(half):
                hit &= np.abs(origins[:, other] + t * directions[:, other]) <= half
        return np.where(hit, t, np.inf)

    def surface(self, points: Points) -> Surface:
        """Normals and faces at points on the shape."""
        normals = np.zeros_like(points)
        normals[:, self.axis] = 1.0
        axis = np.full(len(points), self.axis)
        return Surface(normals, axis, np.zeros_like(axis))

    def bounds(self) -> Float64[ndarray, "2 3"]:
        """Lowest and highest corner of the box around the shape."""
        high = np.zeros(3)
        high[list(self._others())] = self.half
        return np.stack([-high, high])

    def _others(self) -> tuple[int, int]:
        first, second = (axis for axis in range(3) if axis != self.axis)
        return first, second


@lru_cache(maxsize=4096)
def _faces(
    half: tuple[float, float, float], lean: tuple[float, float]
) -> tuple[Float64[ndarray, "6 3"], Float64[ndarray, " 6"]]:
    """Outward normals n and offsets c of a box: inside, n . x <= c."""
    normals = np.zeros((6, 3))
    for axis in range(3):
        normals[2 * axis, axis], normals[2 * axis + 1, axis] = -1.0, 1.0
    # y is down: a side that leans inwards towards the top has a normal that looks up.
    normals[0:2, 1] = -lean[0] / (2 * half[1])
    normals[4:6, 1] = -lean[1] / (2 * half[1])
    offsets = np.repeat(np.array(half) - np.array([lean[0] / 2, 0.0, lean[1] / 2]), 2)
    length = np.linalg.norm(normals, axis=1)
    return normals / length[:, None], offsets / length


@dataclass(frozen=True, slots=True)
class Box:
    """Box around the origin, whose sides may lean inwards like the windows of a car."""

    half: tuple[float, float, float]  # half sizes along x, y, z, at the bottom
    lean: tuple[float, float] = (0.0, 0.0)
    """How much the half sizes along x and z shrink from bottom to top, in metres."""

    def meet(self, origins: Rays, directions: Rays) -> Values:
        """First t > 0 at which each ray enters the shape; infinite where it misses."""
        normals, offsets = _faces(self.half, self.lean)
        slope = normals @ directions.T
        slope[slope == 0] = -TINY
        t = (offsets[:, None] - normals @ origins.T) / slope
        enter = np.where(slope < 0, t, -np.inf).max(axis=0)
        leave = np.where(slope > 0, t, np.inf).min(axis=0)
        return np.where((enter <= leave) & (enter > 0), enter, np.inf)

    def surface(self, points: Points) -> Surface:
        """Normals and faces at points on the shape."""
        normals, offsets = _faces(self.half, self.lean)
        face = np.abs(normals @ points.T - offsets[:, None]).argmin(axis=0)
        return Surface(normals[face], face // 2, face)

    def bounds(self) -> Float64[ndarray, "2 3"]:
        """Lowest and highest corner of the box around the shape."""
        high = np.array(self.half)
        return np.stack([-high, high])


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """Ellipsoid around the origin; a sphere when the three radii are equal."""

    radii: tuple[float, float, float]  # half axes along x, y, z

    def meet(self, origins: Rays, directions: Rays) -> Values:
        """First t > 0 at which each ray enters the shape; infinite where it misses."""
        radii = np.array(self.radii)
        o, d = origins / radii, directions / radii
        return first_root((d * d).sum(1), (o * d).sum(1), (o * o).sum(1) - 1)

    def surface(self, points: Points) -> Surface:
        """Normals and faces at points on the shape."""
        return curved(points / np.array(self.radii) ** 2)

    def bounds(self) -> Float64[ndarray, "2 3"]:
        """Lowest and highest corner of the box around the shape."""
        high = np.array(self.radii)
        return np.stack([-high, high])


def sphere(radius: float) -> Ellipsoid:
    """Sphere around the origin."""
    return Ellipsoid((radius, radius, radius))


@dataclass(frozen=True, slots=True)
class Capsule:
    """Cylinder with round ends; its axis hangs from the origin down the y axis."""

    length: float  # distance between the centres of the two ends
    radius: float

    def meet(self, origins: Rays, directions: Rays) -> Values:
        """First t > 0 at which each ray enters the shape; infinite where it misses."""
        o, d, square = origins[:, ::2], directions[:, ::2], self.radius**2
        across = np.maximum((d * d).sum(1), TINY)
        side = first_root(across, (o * d).sum(1), (o * o).sum(1) - square, behind=True)
        missed = np.isinf(side)
        y = origins[:, 1] + np.where(missed, 0, side) * directions[:, 1]
        # Entered the endless cylinder beyond an end: only that round end can be met.
        end = origins - np.where(y[:, None] < 0, 0, self.length) * np.array([0.0, 1.0, 0.0])
        cap = first_root(
            (directions * directions).sum(1), (end * directions).sum(1), (end * end).sum(1) - square
        )
        t = np.where((y >= 0) & (y <= self.length), side, cap)
        return np.where(missed | (t <= 0), np.inf, t)

    def surface(self, points: Points) -> Surface:
        """Normals and faces at points on the shape."""
        outwards = points.copy()
        outwards[:, 1] -= points[:, 1].clip(0, self.length)
        return curved(outwards)

    def bounds(self) -> Float64[ndarray, "2 3"]:
        """Lowest and highest corner of the box around the shape."""
        r = self.radius
        return np.array([[-r, -r, -r], [r, self.length + r, r]])


@runtime_checkable
class Shape(Protocol):
    """Anything rays can meet, in a frame of its own."""

    def meet(self, origins: Rays, directions: Rays) -> Values:
        """First t > 0 at which each ray enters the shape; infinite where it misses."""
        ...

    def surface(self, points: Points) -> Surface:
        """Normals and faces at points on the shape."""
        ...

    def bounds(self) -> Float64[ndarray, "2 3"]:
        """Lowest and highest corner of the box around the shape."""
        ...


def curved(outwards: Points) -> Surface:
    """A surface without flat faces, whose normals point along the given vectors."""
    normals = outwards / np.linalg.norm(outwards, axis=1, keepdims=True)
    return Surface(normals, np.full(len(normals), CURVED), np.zeros(len(normals), np.int64))


def first_root(
    a: Float64[ndarray, "#n"],
    b: Float64[ndarray, "#n"],
    c: Float64[ndarray, "#n"],
    *,
    behind: bool = False,
) -> Values:
    """Smaller root of a t^2 + 2 b t + c = 0; infinite without one, or at t <= 0 unless `behind`."""
    inside = b * b - a * c
    t = (-b - np.sqrt(np.maximum(inside, 0))) / a
    return np.where((inside >= 0) & ((t > 0) | behind), t, np.inf)


MOMENT = 1e-4  # seconds before and after, to see whether a body moves


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """Where a body is at any time: straight lines between the given points."""

    times: Times  # seconds, rising
    positions: Float64[ndarray, "k 3"]  # origin of the body in the world, in metres
    headings: Times  # radians about the vertical

    def at(self, time: float) -> tuple[Float64[ndarray, " 3"], float]:
        """Position and heading; before the first and after the last time the body stands."""
        position = [np.interp(time, self.times, self.positions[:, axis]) for axis in range(3)]
        return np.array(position), float(np.interp(time, self.times, self.headings))

    def moves(self, time: float) -> bool:
        """Whether the body moves or turns at this time."""
        if len(self.times) == 1:
            return False
        (before, was), (after, becomes) = self.at(time - MOMENT), self.at(time + MOMENT)
        return bool(np.any(before != after)) or was != becomes


def stand(x: float, z: float, *, heading: float = 0.0, y: float = 0.0) -> Track:
    """The track of a body that stays at one place."""
    return Track(
        times=np.zeros(1), positions=np.array([[x, y, z]]), headings=np.array([float(heading)])
    )


@dataclass(frozen=True, slots=True)
class Part:
    """One textured shape of a body."""

    shape: Shape
    texture: Texture
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Origin of the shape in the frame of the body, in metres."""
    turn: float = 0.0  # heading of the shape relative to the body, in radians
    swing: float = 0.0
    """Largest angle, in radians, by which a walking body swings this part to and fro."""
    hang: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Where the shape lies in the frame that swings around `offset`, in metres."""
    casts_shadow: bool = True  # False for small things whose shadow nobody misses; it saves time


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """Parts that move together."""

    parts: tuple[Part, ...]
    track: Track
    leg: float = 0.0
    """Length of a swinging leg, in metres: the body sinks so that the standing foot stays down."""
    stride: float = 0.0  # largest swing of the legs, in radians; 0 for anything that does not walk
    pace: float = 0.0  # strides, in radians a second
    footprint: tuple[float, float] | None = None
    """Half sizes (across, along) of the contact with the ground, which darkens it; None: none."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Bodies and light; all a picture needs but the camera."""

    bodies: tuple[Body, ...]
    light: tuple[float, float, float]  # unit vector towards the light
    ambient: float = 0.5  # share of the light that comes from everywhere
    sky: tuple[Color, Color] = ((0.85, 0.89, 0.94), (0.42, 0.6, 0.86))
    """Color at the horizon and overhead, where no surface is met."""
    far: float = np.inf
    """Surfaces beyond this depth, in metres, are sky; they pale from half of it on."""


class Placed(NamedTuple):
    """Every part of a scene at one moment; p parts, all arrays in the same order."""

    parts: tuple[Part, ...]
    rotations: Float64[ndarray, "p 3 3"]  # turn vectors of a part into the world
    origins: Float64[ndarray, "p 3"]
    body: Int64[ndarray, " p"]  # which body of the scene a part belongs to
    moving: Bool[ndarray, " p"]
    casts: Bool[ndarray, " p"]
    corners: Float64[ndarray, "p 8 3"]  # corners of the box around each part, in the world
    contacts: Float64[ndarray, "k 6"]
    """Footprints: x, y, z and heading of the body, half sizes across and along."""


def _about_vertical(angle: float) -> Float64[ndarray, "3 3"]:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def _forwards(angle: float) -> Float64[ndarray, "3 3"]:
    """Swing what hangs down towards z."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


ENDLESS = 1e5  # metres; stands for infinity where corners are projected
CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])


def place(scene: Scene, time: float) -> Placed:
    """Put every body where it is at `time`, in seconds."""
    still = _still(scene)
    movers = [index for index, body in enumerate(scene.bodies) if len(body.track.times) > 1]
    if not movers:
        return still
    moving = _put(scene, movers, time)
    if len(movers) == len(scene.bodies):
        return moving
    arrays = [np.concatenate(pair) for pair in zip(still[1:], moving[1:], strict=True)]
    return Placed(still.parts + moving.parts, *arrays)


@lru_cache(maxsize=2)
def _still(scene: Scene) -> Placed:
    """The bodies that stay at one place; worked out once a scene."""
    standing = [index for index, body in enumerate(scene.bodies) if len(body.track.times) == 1]
    return _put(scene, standing, 0.0)


def _put(scene: Scene, indices: list[int], time: float) -> Placed:
    parts: list[Part] = []
    rotations: list[ndarray] = []
    origins: list[ndarray] = []
    body_of: list[int] = []
    moving: list[bool] = []
    contacts: list[tuple[float, ...]] = []
    for index in indices:
        body = scene.bodies[index]
        position, heading = body.track.at(time)
        moves = body.track.moves(time)
        if body.footprint is not None:
            contacts.append((*position, heading, *body.footprint))
        phase = float(np.sin(body.pace * time + index)) if moves else 0.0
        position = position + np.array([0.0, body.leg * (1 - np.cos(body.stride * phase)), 0.0])
        turned = _about_vertical(heading)
        for part in body.parts:
            rotation = turned if part.turn == 0 else _about_vertical(heading + part.turn)
            if part.swing:
                rotation = rotation @ _forwards(part.swing * phase)
            rotations.append(rotation)
            origins.append(position + turned @ np.array(part.offset) + rotation @ part.hang)
        parts.extend(body.parts)
        body_of.extend([index] * len(body.parts))
        moving.extend([moves] * len(body.parts))
    turns = np.array(rotations).reshape(-1, 3, 3)
    places = np.array(origins).reshape(-1, 3)
    bounds = np.array([part.shape.bounds() for part in parts]).reshape(-1, 2, 3)
    low, high = np.split(bounds.clip(-ENDLESS, ENDLESS), 2, axis=1)
    corners = np.einsum("pij,pcj->pci", turns, low + CORNERS * (high - low)) + places[:, None]
    return Placed(
        parts=tuple(parts),
        rotations=turns,
        origins=places,
        body=np.array(body_of, np.int64),
        moving=np.array(moving, bool),
        casts=np.array([part.casts_shadow for part in parts], bool),
        corners=corners,
        contacts=np.array(contacts, np.float64).reshape(-1, 6),
    )
