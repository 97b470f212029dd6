"""Solids for photos: blocks, cones, boxes with round edges, and foliage with gaps."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64
from numpy import ndarray

from ssmde.synthetic.scene import CURVED, TINY, Surface, curved
from ssmde.synthetic.shading import TABLE, value_noise

SHELLS = ((1.0, 0.3, (-1, 1)), (0.82, 0.05, (-1,)), (0.58, -0.25, (-1,)))
"""Sizes of the shells of leaves, one in the other; how much thinner than asked each is, since a
thin outer one gives a ragged outline; and whether rays meet its near side, or its far side, too."""
LEAF_BEND = 1.4  # how much leaves turn away from the shell they lie on
Number = float | int
RIM = 1e-6  # metres from the plane of an end that still count as the end
STEPS = 30  # of Newton, at most, to the surface of a rounded box; most rays need five
CLOSE = 1e-7  # metres at which they have arrived


def dot(a: Float[ndarray, "*n 3"], b: Float[ndarray, "*m 3"]) -> Float[ndarray, "*k"]:
    """Inner products along the last axis; for three numbers much quicker than a sum."""
    return np.einsum("...i,...i->...", a, b)


@dataclass(frozen=True, slots=True)
class Block:
    """Upright box around the origin; `shapes.Box` without a lean, and quicker."""

    half: tuple[Number, Number, Number]
    """Half sizes along x, y, z."""

    def meet(
        self, origins: Float64[ndarray, "#n 3"], directions: Float64[ndarray, "#n 3"]
    ) -> Float64[ndarray, " n"]:
        """First t > 0 at which each ray enters the shape; infinite where it misses."""
        enter, leave = np.float64(-np.inf), np.float64(np.inf)
        for axis, half in enumerate(self.half):
            slope, o = directions[:, axis], origins[:, axis]
            inverse = 1 / np.where(slope == 0, TINY, slope)
            middle, reach = -o * inverse, np.abs(half * inverse)
            enter = np.maximum(enter, middle - reach)
            leave = np.minimum(leave, middle + reach)
        return np.where((enter <= leave) & (enter > 0), enter, np.inf)

    def surface(self, points: Float64[ndarray, "n 3"]) -> Surface:
        """Normals and faces at points on the shape."""
        gaps = np.abs(np.abs(points) - np.array(self.half))
        axis = gaps.argmin(axis=1)
        rows = np.arange(len(points))
        sign = np.where(points[rows, axis] < 0, -1.0, 1.0)
        normals = np.zeros_like(points)
        normals[rows, axis] = sign
        return Surface(normals, axis, 2 * axis + (sign > 0))

    def bounds(self) -> Float64[ndarray, "2 3"]:
        """Lowest and highest corner of the box around the shape."""
        high = np.array(self.half, np.float64)
        return np.stack([-high, high])


@dataclass(frozen=True, slots=True)
class Cone:
    """Cylinder or cut cone around the y axis, from the origin down to y = length."""

    length: Number
    radii: tuple[Number, Number]
    """At the origin (top) and at y = length (bottom)."""
    open: bool = False
    """Without its flat ends, like a lampshade."""

    def meet(
        self, origins: Float64[ndarray, "#n 3"], directions: Float64[ndarray, "#n 3"]
    ) -> Float64[ndarray, " n"]:
        """First t > 0 at which each ray enters the shape; infinite where it misses."""
        slope = self._slope()
        o, d = origins, directions
        wide = self.radii[0] + slope * o[:, 1]
        a = d[:, 0] ** 2 + d[:, 2] ** 2 - (slope * d[:, 1]) ** 2
        a = np.where(np.abs(a) < TINY, TINY, a)
        b = o[:, 0] * d[:, 0] + o[:, 2] * d[:, 2] - slope * wide * d[:, 1]
        c = o[:, 0] ** 2 + o[:, 2] ** 2 - wide**2
        inside = b * b - a * c
        root = np.sqrt(np.maximum(inside, 0))
        best = np.full(inside.shape, np.inf)
        for t in ((-b - root) / a, (-b + root) / a):
            y = o[:, 1] + t * d[:, 1]
            hit = (inside >= 0) & (t > 0) & (y >= 0) & (y <= self.length)
            best = np.where(hit & (t < best), t, best)
        if self.open:
            return best
        down = np.where(d[:, 1] == 0, TINY, d[:, 1])
        for y, radius in ((0.0, self.radii[0]), (self.length, self.radii[1])):
            t = (y - o[:, 1]) / down
            # A ray along the end gives a t whose square would not fit into a float.
            t = np.where(np.abs(t) < 1e12, t, -1.0)
            square = (o[:, 0] + t * d[:, 0]) ** 2 + (o[:, 2] + t * d[:, 2]) ** 2
            best = np.where((t > 0) & (square <= radius**2) & (t < best), t, best)
        return best

    def surface(self, points: Float64[ndarray, "n 3"]) -> Surface:
        """Normals and faces at points on the shape."""
        wide = self.radii[0] + self._slope() * points[:, 1]
        outwards = np.stack([points[:, 0], -self._slope() * wide, points[:, 2]], axis=1)
        top = np.abs(points[:, 1]) < RIM
        bottom = np.abs(points[:, 1] - self.length) < RIM
        flat = (top | bottom) & (not self.open)
        outwards[flat] = [0.0, 1.0, 0.0]
        outwards[np.abs(outwards).sum(axis=1) == 0] = [0.0, -1.0, 0.0]  # the tip of a cone
        normals, axis, face = curved(outwards)
        normals[top & flat] *= -1
        axis[flat] = 1
        face[flat] = np.where(top, 1, 2)[flat]
        return Surface(normals, axis, face)

    def bounds(self) -> Float64[ndarray, "2 3"]:
        """Lowest and highest corner of the box around the shape."""
        r = max(self.radii)
        return np.array([[-r, 0.0, -r], [r, self.length, r]])

    def _slope(self) -> float:
        return (self.radii[1] - self.radii[0]) / self.length


@dataclass(frozen=True, slots=True)
class Leaves:
    """Foliage: shells of an ellipsoid, one in the other, with gaps where light comes through."""

    radii: tuple[Number, Number, Number]
    """Half axes along x, y, z."""
    cell: Number
    """Size of tufts and gaps, in metres."""
    place: Number = 0.0
    """Where in the endless noise the gaps are taken from, in cells."""
    gaps: Number = 0.0
    """About -0.3 for dense foliage to 0.3 for a thin one."""

    def meet(
        self, origins: Float64[ndarray, "#n 3"], directions: Float64[ndarray, "#n 3"]
    ) -> Float64[ndarray, " n"]:
        """First t > 0 at which each ray meets a leaf; infinite where it misses."""
        count = max(len(origins), len(directions))
        best = np.full(count, np.inf)
        o, d = (x / np.array(self.radii) for x in (origins, directions))
        a, b, square = dot(d, d), dot(o, d), dot(o, o)
        for size, thin, sides in SHELLS:
            inside = np.broadcast_to(b * b - a * (square - size**2), count)
            root = np.sqrt(np.maximum(inside, 0))
            for side in sides:
                t = (-b + side * root) / a
                pick = np.flatnonzero((inside > 0) & (t > 0) & (t < best))
                start = origins if len(origins) == 1 else origins[pick]
                run = directions if len(directions) == 1 else directions[pick]
                leaf = self._leafy(start + t[pick, None] * run, thin)
                best[pick[leaf]] = t[pick[leaf]]
        return best

    def surface(self, points: Float64[ndarray, "n 3"]) -> Surface:
        """Normals and faces at points on the shape."""
        outwards = points / np.array(self.radii) ** 2
        outwards /= np.linalg.norm(outwards, axis=1, keepdims=True) + TINY
        cells = points / (0.4 * self.cell)
        bend = [self._noise(cells + shift) for shift in (3.3, 11.7, 23.1)]
        normals, axis, face = curved(outwards + LEAF_BEND * np.stack(bend, axis=1) + 1e-9)
        return Surface(normals, axis, face)

    def bounds(self) -> Float64[ndarray, "2 3"]:
        """Lowest and highest corner of the box around the shape."""
        high = np.array(self.radii, np.float64)
        return np.stack([-high, high])

    def _noise(self, cells: Float64[ndarray, "n 3"]) -> Float64[ndarray, " n"]:
        wrapped = ((cells + self.place) % TABLE).astype(np.float32)
        return value_noise(wrapped).astype(np.float64)

    def _leafy(self, points: Float64[ndarray, "n 3"], thin: Number) -> Bool[ndarray, " n"]:
        cells = points / self.cell
        return self._noise(0.55 * cells) + 0.75 * self._noise(1.9 * cells) > self.gaps + thin


@dataclass(frozen=True, slots=True)
class Cushion:
    """Box around the origin whose edges and corners are round."""

    half: tuple[Number, Number, Number]
    """Half sizes along x, y, z, with the rounding."""
    round: Number
    """Radius of edges and corners, at most the smallest half size."""

    def meet(
        self, origins: Float64[ndarray, "#n 3"], directions: Float64[ndarray, "#n 3"]
    ) -> Float64[ndarray, " n"]:
        """First t > 0 at which each ray enters the shape; infinite where it misses."""
        count = max(len(origins), len(directions))
        half = np.array(self.half)
        with np.errstate(divide="ignore", invalid="ignore"):
            sides = np.stack([(s * half - origins) / directions for s in (-1, 1)])
        enter = np.nanmax(np.nanmin(sides, axis=0), axis=1)
        leave = np.nanmin(np.nanmax(sides, axis=0), axis=1)
        enter, leave = (np.broadcast_to(x, count) for x in (enter, leave))
        result = np.full(count, np.inf)
        alive = np.flatnonzero((enter <= leave) & (leave > 0))
        t = np.maximum(enter[alive], 0.0)
        # Most rays enter where a side is flat, and are done.
        start = origins if len(origins) == 1 else origins[alive]
        run = directions if len(directions) == 1 else directions[alive]
        core = half - self.round
        flat = ((np.abs(start + t[:, None] * run) > core).sum(axis=1) == 1) & (enter[alive] > 0)
        result[alive[flat]] = t[flat]
        alive, t = alive[~flat], t[~flat]
        # Along a ray the distance to a convex shape is convex, so Newton's steps from before the
        # surface come nearer and never pass it.
        for _ in range(STEPS):
            start = origins if len(origins) == 1 else origins[alive]
            run = directions if len(directions) == 1 else directions[alive]
            points = start + t[:, None] * run
            off = points - points.clip(-core, core)
            length = np.sqrt(dot(off, off))
            gap = length - self.round
            there = gap < CLOSE
            result[alive[there]] = t[there]
            slope = dot(off, np.broadcast_to(run, off.shape)) / np.maximum(length, TINY)
            going = ~there & (slope < 0)
            t = t[going] - gap[going] / slope[going]
            alive = alive[going]
            inside = t <= leave[alive]
            alive, t = alive[inside], t[inside]
            if len(alive) == 0:
                break
        return np.where(result > 0, result, np.inf)

    def surface(self, points: Float64[ndarray, "n 3"]) -> Surface:
        """Normals and faces at points on the shape."""
        core = np.array(self.half) - self.round
        outwards = points - points.clip(-core, core)
        empty = np.abs(outwards).sum(axis=1) == 0
        outwards[empty] = points[empty]
        normals, _, face = curved(outwards + TINY)
        main = np.abs(normals).argmax(axis=1)
        flat = np.take_along_axis(np.abs(normals), main[:, None], axis=1)[:, 0] > 0.999
        return Surface(normals, np.where(flat, main, CURVED), face)

    def bounds(self) -> Float64[ndarray, "2 3"]:
        """Lowest and highest corner of the box around the shape."""
        high = np.array(self.half, np.float64)
        return np.stack([-high, high])
