"""Solid shapes, each in a frame of its own: where rays meet them, and which way they face.

Axes as everywhere in the package: x right, y down, z forward; metres. A ray is
`origin + t * direction`, and because directions are scaled to z = 1 in the camera, t is the depth.
Everything is a closed formula in float64.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

TINY = 1e-30  # stands for a slope of exactly zero, so that a division gives a huge number
CURVED = -1  # face axis of a surface that has no flat faces


class Surface(NamedTuple):
    """What a shape looks like at points on it."""

    normals: Float64[ndarray, "n 3"]
    """Unit normals; outwards (either side for a plane)."""
    axis: Int64[ndarray, " n"]
    """Axis across the flat face (0, 1, 2), or -1 on a curved surface."""
    face: Int64[ndarray, " n"]
    """Number of the face, so that each gets a texture of its own."""


@dataclass(frozen=True, slots=True)
class Plane:
    """Rectangle through the origin, across one axis."""

    axis: int
    """Axis across it: 1 is a floor, 2 a wall straight ahead, 0 a wall at the side."""
    half: tuple[float, float] = (np.inf, np.inf)
    """Half sizes along the two other axes, in x, y, z order."""

    def meet(
        self, origins: Float64[ndarray, "#n 3"], directions: Float64[ndarray, "#n 3"]
    ) -> Float64[ndarray, " n"]:
        """First t > 0 at which each ray enters the shape; infinite where it misses."""
        slope = directions[:, self.axis]
        t = -origins[:, self.axis] / np.where(slope == 0, TINY, slope)
        hit = (t > 0) & (t < 1 / TINY)
        for other, half in zip(self._others(), self.half, strict=True):
            if np.isfinite(half):
                hit &= np.abs(origins[:, other] + t * directions[:, other]) <= half
        return np.where(hit, t, np.inf)

    def surface(self, points: Float64[ndarray, "n 3"]) -> Surface:
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

    half: tuple[float, float, float]
    """Half sizes along x, y, z, at the bottom."""
    lean: tuple[float, float] = (0.0, 0.0)
    """How much the half sizes along x and z shrink from bottom to top, in metres."""

    def meet(
        self, origins: Float64[ndarray, "#n 3"], directions: Float64[ndarray, "#n 3"]
    ) -> Float64[ndarray, " n"]:
        """First t > 0 at which each ray enters the shape; infinite where it misses."""
        normals, offsets = _faces(self.half, self.lean)
        slope = normals @ directions.T
        slope[slope == 0] = -TINY
        t = (offsets[:, None] - normals @ origins.T) / slope
        enter = np.where(slope < 0, t, -np.inf).max(axis=0)
        leave = np.where(slope > 0, t, np.inf).min(axis=0)
        return np.where((enter <= leave) & (enter > 0), enter, np.inf)

    def surface(self, points: Float64[ndarray, "n 3"]) -> Surface:
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

    radii: tuple[float, float, float]
    """Half axes along x, y, z."""

    def meet(
        self, origins: Float64[ndarray, "#n 3"], directions: Float64[ndarray, "#n 3"]
    ) -> Float64[ndarray, " n"]:
        """First t > 0 at which each ray enters the shape; infinite where it misses."""
        radii = np.array(self.radii)
        o, d = origins / radii, directions / radii
        return first_root((d * d).sum(1), (o * d).sum(1), (o * o).sum(1) - 1)

    def surface(self, points: Float64[ndarray, "n 3"]) -> Surface:
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

    length: float
    """Distance between the centres of the two ends."""
    radius: float

    def meet(
        self, origins: Float64[ndarray, "#n 3"], directions: Float64[ndarray, "#n 3"]
    ) -> Float64[ndarray, " n"]:
        """First t > 0 at which each ray enters the shape; infinite where it misses."""
        o, d, square = origins[:, ::2], directions[:, ::2], self.radius**2
        across = np.maximum((d * d).sum(1), TINY)
        side = first_root(across, (o * d).sum(1), (o * o).sum(1) - square, behind=True)
        missed = np.isinf(side)
        y = origins[:, 1] + np.where(missed, 0, side) * directions[:, 1]
        # Entered the endless cylinder beyond an end: only that round end can be met.
        end = origins - np.where(y[:, None] < 0, 0, self.length) * np.array([0.0, 1.0, 0.0])
        cap = first_root(
            (directions * directions).sum(1),
            (end * directions).sum(1),
            (end * end).sum(1) - square,
        )
        t = np.where((y >= 0) & (y <= self.length), side, cap)
        return np.where(missed | (t <= 0), np.inf, t)

    def surface(self, points: Float64[ndarray, "n 3"]) -> Surface:
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

    def meet(
        self, origins: Float64[ndarray, "#n 3"], directions: Float64[ndarray, "#n 3"]
    ) -> Float64[ndarray, " n"]:
        """First t > 0 at which each ray enters the shape; infinite where it misses."""
        ...

    def surface(self, points: Float64[ndarray, "n 3"]) -> Surface:
        """Normals and faces at points on the shape."""
        ...

    def bounds(self) -> Float64[ndarray, "2 3"]:
        """Lowest and highest corner of the box around the shape."""
        ...


def curved(outwards: Float64[ndarray, "n 3"]) -> Surface:
    """A surface without flat faces, whose normals point along the given vectors."""
    normals = outwards / np.linalg.norm(outwards, axis=1, keepdims=True)
    return Surface(normals, np.full(len(normals), CURVED), np.zeros(len(normals), np.int64))


def first_root(
    a: Float64[ndarray, "#n"],
    b: Float64[ndarray, "#n"],
    c: Float64[ndarray, "#n"],
    *,
    behind: bool = False,
) -> Float64[ndarray, " n"]:
    """Smaller root of a t^2 + 2 b t + c = 0; infinite without one, or at t <= 0 unless `behind`."""
    inside = b * b - a * c
    t = (-b - np.sqrt(np.maximum(inside, 0))) / a
    return np.where((inside >= 0) & ((t > 0) | behind), t, np.inf)
