"""What a drawn scene consists of: bodies made of parts, the tracks they move on, and the light.

World axes are those of the camera: x right, y down, z forward; the ground is y = 0 and up is -y.
A heading turns about the vertical: 0 looks along z, a quarter turn along x.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray

from ssmde.data.drawing.shapes import Shape
from ssmde.data.drawing.texture import Colour, Texture

MOMENT = 1e-4  # seconds before and after, to see whether a body moves


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Track:
    """Where a body is at any time: straight lines between the given points."""

    times: Float64[ndarray, " k"]
    """Seconds, rising."""
    positions: Float64[ndarray, "k 3"]
    """Origin of the body in the world, in metres."""
    headings: Float64[ndarray, " k"]
    """Radians about the vertical."""

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One textured shape of a body."""

    shape: Shape
    texture: Texture
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Origin of the shape in the frame of the body, in metres."""
    turn: float = 0.0
    """Heading of the shape relative to the body, in radians."""
    swing: float = 0.0
    """Largest angle, in radians, by which a walking body swings this part to and fro."""
    hang: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Where the shape lies in the frame that swings around `offset`, in metres."""
    casts_shadow: bool = True
    """False for small things whose shadow nobody misses; it saves time."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Body:
    """Parts that move together."""

    parts: tuple[Part, ...]
    track: Track
    leg: float = 0.0
    """Length of a swinging leg, in metres: the body sinks so that the standing foot stays down."""
    stride: float = 0.0
    """Largest swing of the legs, in radians; 0 for anything that does not walk."""
    pace: float = 0.0
    """Strides, in radians a second."""
    footprint: tuple[float, float] | None = None
    """Half sizes (across, along) of the contact with the ground, which darkens it; None: none."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Scene:
    """Bodies and light; all a picture needs but the camera."""

    bodies: tuple[Body, ...]
    light: tuple[float, float, float]
    """Unit vector towards the light."""
    ambient: float = 0.5
    """Share of the light that comes from everywhere."""
    sky: tuple[Colour, Colour] = ((0.85, 0.89, 0.94), (0.42, 0.6, 0.86))
    """Colour at the horizon and overhead, where no surface is met."""
    far: float = np.inf
    """Surfaces beyond this depth, in metres, are sky; they pale from half of it on."""


class Placed(NamedTuple):
    """Every part of a scene at one moment; p parts, all arrays in the same order."""

    parts: tuple[Part, ...]
    rotations: Float64[ndarray, "p 3 3"]
    """Turn vectors of a part into the world."""
    origins: Float64[ndarray, "p 3"]
    body: Int64[ndarray, " p"]
    """Which body of the scene a part belongs to."""
    moving: Bool[ndarray, " p"]
    casts: Bool[ndarray, " p"]
    corners: Float64[ndarray, "p 8 3"]
    """Corners of the box around each part, in the world."""
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
