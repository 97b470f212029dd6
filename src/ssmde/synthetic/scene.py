"""What a drawn scene consists of: bodies made of solid shapes, the tracks they move on, the light.

World axes are those of the camera: x right, y down, z forward, in metres; the ground is y = 0. A
heading turns about the vertical: 0 looks along z, a quarter turn along x. A ray is `origin + t *
direction`, and because directions are scaled to z = 1 in the camera, t is the depth.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray

Color = tuple[float, float, float]
Vector = tuple[float, float, float]  # x, y, z in metres
Pair = tuple[float, float]
Points = Float64[ndarray, "n 3"]  # or vectors
Rays = Float64[ndarray, "#n 3"]  # origins or directions, one for all or one each
Pixels = Float64[ndarray, "n 2"]
Values = Float64[ndarray, " n"]
Indices = Int64[ndarray, " n"]
Times = Float64[ndarray, " k"]  # seconds
Poses = Float64[ndarray, "k 4 4"]  # camera to world
Bounds = Float64[ndarray, "2 3"]  # lowest and highest corner
Pattern = Literal["plain", "stripes", "checks", "blocks", "windows", "lanes", "cap"]
TINY = 1e-30  # stands for a slope of exactly zero, so that a division gives a huge number
CURVED = -1  # face axis of a surface that has no flat faces
MOMENT = 1e-4  # seconds before and after, to see whether a body moves
ENDLESS = 1e5  # metres; stands for infinity where corners are projected
CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])


class Surface(NamedTuple):
    """What a shape looks like at points on it."""

    normals: Points  # unit normals; outwards (either side for a plane)
    axis: Indices  # axis across the flat face (0, 1, 2), or -1 on a curved surface
    face: Indices  # number of the face, so that each gets a texture of its own


@runtime_checkable
class Shape(Protocol):
    """Anything rays can meet, in a frame of its own."""

    def meet(self, origins: Rays, directions: Rays) -> Values:
        """First t > 0 at which each ray enters the shape; infinite where it misses."""
        ...

    def surface(self, points: Points) -> Surface:
        """Normals and faces at points on the shape."""
        ...

    def bounds(self) -> Bounds:
        """Lowest and highest corner of the box around the shape."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Texture:
    """Colors of one surface: two mixed by noise, a third put on by a pattern."""

    base: Color  # RGB in [0, 1]
    second: Color  # noise mixes this one into `base`
    mark: Color = (1.0, 1.0, 1.0)  # color of the pattern: joints, glass of windows, paint of lanes
    pattern: Pattern = "plain"
    period: Pair = (1.0, 1.0)  # metres of a repeat, across and down (on the ground: ahead)
    duty: Pair = (0.5, 0.5)  # share of a period that is marked, in both directions
    variation: float = 0.0  # how much neighboring blocks or windows differ in brightness, 0 to 1
    shift: float = 0.0  # how far each row of blocks is moved, in periods: 0.5 for bricks
    cell: float = 1.0  # size of the coarsest grain of the noise, in metres
    origin: Vector = (0.0, 0.0, 0.0)  # where in the endless noise this texture lies, in cells


@dataclass(frozen=True, slots=True)
class Plane:
    """Rectangle through the origin, across one axis."""

    axis: int  # axis across it: 1 is a floor, 2 a wall straight ahead, 0 a wall at the side
    half: Pair = (np.inf, np.inf)  # half sizes along the two other axes, in x, y, z order

    def meet(self, origins: Rays, directions: Rays) -> Values:
        """As `Shape.meet`."""
        slope = directions[:, self.axis]
        t = -origins[:, self.axis] / np.where(slope == 0, TINY, slope)
        hit = (t > 0) & (t < 1 / TINY)
        for other, half in enumerate(self.bounds()[1]):
            if other != self.axis and np.isfinite(half):
                hit &= np.abs(origins[:, other] + t * directions[:, other]) <= half
        return np.where(hit, t, np.inf)

    def surface(self, points: Points) -> Surface:
        """As `Shape.surface`."""
        axis = np.full(len(points), self.axis)
        return Surface(np.eye(3)[axis], axis, np.zeros_like(axis))

    def bounds(self) -> Bounds:
        """As `Shape.bounds`."""
        return np.outer([-1.0, 1.0], np.insert(np.array(self.half), self.axis, 0.0))


@lru_cache(maxsize=4096)
def _faces(half: Vector, lean: Pair) -> tuple[Float64[ndarray, "6 3"], Float64[ndarray, " 6"]]:
    """Outward normals n and offsets c of a box: inside, n . x <= c."""
    normals = np.kron(np.eye(3), [[-1.0], [1.0]])
    # y is down: a side that leans inwards towards the top has a normal that looks up.
    normals[0:2, 1] = -lean[0] / (2 * half[1])
    normals[4:6, 1] = -lean[1] / (2 * half[1])
    offsets = np.repeat(np.array(half) - np.array([lean[0] / 2, 0.0, lean[1] / 2]), 2)
    length = np.linalg.norm(normals, axis=1)
    return normals / length[:, None], offsets / length


@dataclass(frozen=True, slots=True)
class Box:
    """Box around the origin, whose sides may lean inwards like the windows of a car."""

    half: Vector  # half sizes along x, y, z, at the bottom
    lean: Pair = (0.0, 0.0)  # how much those along x and z shrink from bottom to top, in metres

    def meet(self, origins: Rays, directions: Rays) -> Values:
        """As `Shape.meet`."""
        normals, offsets = _faces(self.half, self.lean)
        slope = normals @ directions.T
        slope[slope == 0] = -TINY
        t = (offsets[:, None] - normals @ origins.T) / slope
        enter = np.where(slope < 0, t, -np.inf).max(axis=0)
        leave = np.where(slope > 0, t, np.inf).min(axis=0)
        return np.where((enter <= leave) & (enter > 0), enter, np.inf)

    def surface(self, points: Points) -> Surface:
        """As `Shape.surface`."""
        normals, offsets = _faces(self.half, self.lean)
        face = np.abs(normals @ points.T - offsets[:, None]).argmin(axis=0)
        return Surface(normals[face], face // 2, face)

    def bounds(self) -> Bounds:
        """As `Shape.bounds`."""
        return np.outer([-1.0, 1.0], self.half)


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """Ellipsoid around the origin; a sphere when the three radii are equal."""

    radii: Vector  # half axes along x, y, z

    def meet(self, origins: Rays, directions: Rays) -> Values:
        """As `Shape.meet`."""
        o, d = origins / np.array(self.radii), directions / np.array(self.radii)
        return _first_root((d * d).sum(1), (o * d).sum(1), (o * o).sum(1) - 1)

    def surface(self, points: Points) -> Surface:
        """As `Shape.surface`."""
        return curved(points / np.array(self.radii) ** 2)

    def bounds(self) -> Bounds:
        """As `Shape.bounds`."""
        return np.outer([-1.0, 1.0], self.radii)


def sphere(radius: float) -> Ellipsoid:
    """Sphere around the origin."""
    return Ellipsoid((radius, radius, radius))


@dataclass(frozen=True, slots=True)
class Capsule:
    """Cylinder with round ends; its axis hangs from the origin down the y axis."""

    length: float  # distance between the centres of the two ends
    radius: float

    def meet(self, origins: Rays, directions: Rays) -> Values:
        """As `Shape.meet`."""
        o, d, square = origins[:, ::2], directions[:, ::2], self.radius**2
        across = np.maximum((d * d).sum(1), TINY)
        side = _first_root(across, (o * d).sum(1), (o * o).sum(1) - square, behind=True)
        missed = np.isinf(side)
        y = origins[:, 1] + np.where(missed, 0, side) * directions[:, 1]
        # Entered the endless cylinder beyond an end: only that round end can be met.
        end = origins - np.where(y[:, None] < 0, 0, self.length) * np.array([0.0, 1.0, 0.0])
        cap = _first_root(
            (directions * directions).sum(1), (end * directions).sum(1), (end * end).sum(1) - square
        )
        t = np.where((y >= 0) & (y <= self.length), side, cap)
        return np.where(missed | (t <= 0), np.inf, t)

    def surface(self, points: Points) -> Surface:
        """As `Shape.surface`."""
        return curved(points - points.clip(0, [0, self.length, 0]))

    def bounds(self) -> Bounds:
        """As `Shape.bounds`."""
        r = self.radius
        return np.array([[-r, -r, -r], [r, self.length + r, r]])


def curved(outwards: Points) -> Surface:
    """A surface without flat faces, whose normals point along the given vectors."""
    normals = outwards / np.linalg.norm(outwards, axis=1, keepdims=True)
    return Surface(normals, np.full(len(normals), CURVED), np.zeros(len(normals), np.int64))


def _first_root(a: ndarray, b: ndarray, c: ndarray, *, behind: bool = False) -> Values:
    """Smaller root of a t^2 + 2 b t + c = 0; infinite without one, or at t <= 0 unless `behind`."""
    inside = b * b - a * c
    t = (-b - np.sqrt(np.maximum(inside, 0))) / a
    return np.where((inside >= 0) & ((t > 0) | behind), t, np.inf)


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """Where a body is at any time: straight lines between the given points."""

    times: Times  # seconds, rising
    positions: Float64[ndarray, "k 3"]  # origin of the body in the world, in metres
    headings: Times  # radians about the vertical

    def at(self, time: float) -> Float64[ndarray, " 4"]:
        """x, y, z and heading; before the first and after the last time the body stands."""
        columns = (*self.positions.T, self.headings)
        return np.array([np.interp(time, self.times, column) for column in columns])

    def moves(self, time: float) -> bool:
        """Whether the body moves or turns at this time."""
        return bool(np.any(self.at(time - MOMENT) != self.at(time + MOMENT)))


def stand(x: float, z: float, *, heading: float = 0.0, y: float = 0.0) -> Track:
    """The track of a body that stays at one place."""
    return Track(np.zeros(1), np.array([[x, y, z]]), np.array([float(heading)]))


@dataclass(frozen=True, slots=True)
class Part:
    """One textured shape of a body."""

    shape: Shape
    texture: Texture
    offset: Vector = (0.0, 0.0, 0.0)  # origin of the shape in the frame of the body
    turn: float = 0.0  # heading of the shape relative to the body, in radians
    swing: float = 0.0  # largest angle by which a walking body swings this part, in radians
    hang: Vector = (0.0, 0.0, 0.0)  # where the shape lies in the frame that swings about `offset`
    casts_shadow: bool = True  # False for small things whose shadow nobody misses; it saves time


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """Parts that move together."""

    parts: tuple[Part, ...]
    track: Track
    leg: float = 0.0  # length of a swinging leg: the body sinks, so that the standing foot is down
    stride: float = 0.0  # largest swing of the legs, in radians; 0 for anything that does not walk
    pace: float = 0.0  # strides, in radians a second
    footprint: Pair | None = None  # half sizes, across and along, of the ground that it darkens


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Bodies and light; all a picture needs but the camera."""

    bodies: tuple[Body, ...]
    light: Vector  # unit vector towards the light
    ambient: float = 0.5  # share of the light that comes from everywhere
    far: float = np.inf  # metres beyond which all is sky; surfaces pale from half of it on


class Placed(NamedTuple):
    """Every part of a scene at one moment; p parts, all arrays in the same order."""

    parts: tuple[Part, ...]
    rotations: Float64[ndarray, "p 3 3"]  # turn vectors of a part into the world
    origins: Float64[ndarray, "p 3"]
    moving: Bool[ndarray, " p"]
    casts: Bool[ndarray, " p"]
    corners: Float64[ndarray, "p 8 3"]  # corners of the box around each part, in the world
    contacts: Float64[ndarray, "k 6"]  # x, y, z and heading of bodies, half sizes of footprints


def turned(a: int, b: int, angle: float | Values) -> Float64[ndarray, "*n 3 3"]:
    """Rotations that turn axis a towards axis b."""
    turn = np.tile(np.eye(3), (*np.shape(angle), 1, 1))
    turn[..., a, a] = turn[..., b, b] = np.cos(angle)
    turn[..., b, a], turn[..., a, b] = np.sin(angle), -np.sin(angle)
    return turn


def place(scene: Scene, time: float) -> Placed:
    """Put every body where it is at `time`, in seconds."""
    still = _still(scene)
    movers = [index for index, body in enumerate(scene.bodies) if len(body.track.times) > 1]
    if not movers:
        return still
    moving = _put(scene, movers, time)
    arrays = [np.concatenate(pair) for pair in zip(still[1:], moving[1:], strict=True)]
    return Placed(still.parts + moving.parts, *arrays)


@lru_cache(maxsize=2)
def _still(scene: Scene) -> Placed:
    """The bodies that stay at one place; worked out once a scene."""
    standing = [index for index, body in enumerate(scene.bodies) if len(body.track.times) == 1]
    return _put(scene, standing, 0.0)


def _put(scene: Scene, indices: list[int], time: float) -> Placed:
    parts: list[Part] = []
    frames: list[tuple[ndarray, ndarray]] = []  # rotation and origin of each part
    moving: list[bool] = []
    contacts: list[tuple[float, ...]] = []
    for index in indices:
        body = scene.bodies[index]
        *position, heading = body.track.at(time)
        moves = body.track.moves(time)
        if body.footprint is not None:
            contacts.append((*position, heading, *body.footprint))
        phase = float(np.sin(body.pace * time + index)) if moves else 0.0
        sunk = np.add(position, [0.0, body.leg * (1 - np.cos(body.stride * phase)), 0.0])
        upright = turned(2, 0, heading)
        for part in body.parts:
            rotation = turned(2, 0, heading + part.turn) @ turned(1, 2, part.swing * phase)
            frames.append((rotation, sunk + upright @ np.array(part.offset) + rotation @ part.hang))
        parts += body.parts
        moving += [moves] * len(body.parts)
    turns = np.array([turn for turn, _ in frames]).reshape(-1, 3, 3)
    places = np.array([origin for _, origin in frames]).reshape(-1, 3)
    bounds = np.array([part.shape.bounds() for part in parts]).reshape(-1, 2, 3)
    low, high = np.split(bounds.clip(-ENDLESS, ENDLESS), 2, axis=1)
    return Placed(
        tuple(parts), turns, places, np.array(moving, bool),
        casts=np.array([part.casts_shadow for part in parts], bool),
        corners=np.einsum("pij,pcj->pci", turns, low + CORNERS * (high - low)) + places[:, None],
        contacts=np.array(contacts, np.float64).reshape(-1, 6),
    )  # fmt: skip
