"""Things put together from pieces: solids with a material, turned and moved as one wants.

A thing stands on y = 0 around the origin and looks along z; y is down, as everywhere.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from photographs.materials import Material
from photographs.solids import Block, Cone, Cushion, Number
from ssmde.synthetic.scene import CORNERS, ENDLESS, Box, Capsule, Part, Placed, Shape

Vector = tuple[Number, Number, Number]
UPRIGHT = np.eye(3)


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """One solid somewhere in the frame of its thing."""

    shape: Shape
    material: Material
    origin: Float64[ndarray, " 3"]
    rotation: Float64[ndarray, "3 3"]
    """Turns vectors of the solid into the frame of the thing."""
    casts: bool = True
    """Whether it throws a shadow."""


Thing = list[Piece]


def piece(
    shape: Shape,
    material: Material,
    at: Vector = (0.0, 0.0, 0.0),
    *,
    turn: Float64[ndarray, "3 3"] | None = None,
    casts: bool = True,
) -> Piece:
    """A solid at a place, turned by a rotation matrix."""
    return Piece(
        shape, material, np.array(at, np.float64), UPRIGHT if turn is None else turn, casts
    )


def box(
    half: Vector, material: Material, at: Vector = (0.0, 0.0, 0.0), *, heading: Number = 0.0,
    lean: tuple[Number, Number] = (0.0, 0.0), casts: bool = True,
) -> Piece:  # fmt: skip
    """A box around `at`."""
    shape = _leaning(half, lean) if any(lean) else Block(half)
    return piece(shape, material, at, turn=turned(heading), casts=casts)


def _leaning(half: Vector, lean: tuple[Number, Number]) -> Box:
    x, y, z = half
    return Box((float(x), float(y), float(z)), (float(lean[0]), float(lean[1])))


def cushion(
    half: Vector, material: Material, at: Vector, *, soft: Number = 0.5, heading: Number = 0.0
) -> Piece:
    """A box with round edges; `soft` is the rounding as a share of the smallest half size."""
    return piece(Cushion(half, soft * min(half)), material, at, turn=turned(heading))


def turned(
    heading: Number = 0.0, pitch: Number = 0.0, roll: Number = 0.0
) -> Float64[ndarray, "3 3"]:
    """Rotation: roll about z first, then pitch about x, then heading about the vertical."""
    if pitch == 0 and roll == 0:
        if heading == 0:
            return UPRIGHT
        c, s = np.cos(heading), np.sin(heading)
        return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
    c, s = np.cos((heading, pitch, roll)), np.sin((heading, pitch, roll))
    about_y = np.array([[c[0], 0.0, s[0]], [0.0, 1.0, 0.0], [-s[0], 0.0, c[0]]])
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, c[1], -s[1]], [0.0, s[1], c[1]]])
    about_z = np.array([[c[2], -s[2], 0.0], [s[2], c[2], 0.0], [0.0, 0.0, 1.0]])
    return about_y @ about_x @ about_z


def along(direction: Float64[ndarray, " 3"]) -> Float64[ndarray, "3 3"]:
    """A rotation that turns the y axis into a direction."""
    # In plain numbers: small arrays cost more than the sums.
    a, b, c = direction.tolist()
    length = math.sqrt(a * a + b * b + c * c)
    a, b, c = a / length, b / length, c / length
    if abs(a) < 0.8:
        p, q, r = 0.0, -c, b  # x axis cross y
    else:
        p, q, r = -b, a, 0.0  # z axis cross y
    across = math.sqrt(p * p + q * q + r * r)
    p, q, r = p / across, q / across, r / across
    x = (b * r - c * q, c * p - a * r, a * q - b * p)
    return np.array([[x[0], a, p], [x[1], b, q], [x[2], c, r]])


def rod(
    start: Sequence[Number], end: Sequence[Number], radius: Number, material: Material,
    *, end_radius: Number | None = None, casts: bool = True,
) -> Piece:  # fmt: skip
    """A round rod between two points, with flat ends; a cone when the radii differ."""
    first, run = np.array(start, np.float64), np.subtract(end, start).astype(np.float64)
    length = float(np.linalg.norm(run))
    shape = Cone(length, (radius, radius if end_radius is None else end_radius))
    return Piece(shape, material, first, along(run), casts)


def limb(
    start: Sequence[Number], end: Sequence[Number], radius: Number, material: Material
) -> Piece:
    """A rod with round ends between two points."""
    first, run = np.array(start, np.float64), np.subtract(end, start).astype(np.float64)
    length = max(float(np.linalg.norm(run)), 1e-3)
    turn = along(run) if np.any(run) else UPRIGHT
    return Piece(Capsule(length, radius), material, first, turn)


def moved(
    thing: Iterable[Piece], x: Number = 0.0, z: Number = 0.0, *, y: Number = 0.0,
    heading: Number = 0.0, pitch: Number = 0.0, roll: Number = 0.0, size: Number = 1.0,
) -> Thing:  # fmt: skip
    """The same thing elsewhere: turned about its origin, then moved; `size` moves pieces apart.

    The solids keep their own size: `size` is for things whose pieces were made to fit it.
    """
    turn, shift = turned(heading, pitch, roll), np.array([x, y, z])
    return [
        Piece(p.shape, p.material, shift + size * (turn @ p.origin), turn @ p.rotation, p.casts)
        for p in thing
    ]


def assemble(pieces: Sequence[Piece]) -> Placed:
    """All pieces of a scene, as the ray-caster wants them."""
    bounds = np.array([p.shape.bounds() for p in pieces])
    low, high = np.split(bounds.clip(-ENDLESS, ENDLESS), 2, axis=1)
    rotations = np.array([p.rotation for p in pieces])
    origins = np.array([p.origin for p in pieces])
    corners = np.einsum("pij,pcj->pci", rotations, low + CORNERS * (high - low))
    nothing = np.zeros(len(pieces), bool)
    return Placed(
        parts=tuple(Part(shape=p.shape, texture=p.material) for p in pieces),
        rotations=rotations,
        origins=origins,
        moving=nothing,
        casts=np.array([p.casts for p in pieces], bool),
        corners=corners + origins[:, None],
        contacts=np.zeros((0, 6)),
    )


def without(placed: Placed, fixed: int, point: Float64[ndarray, " 3"], gap: float) -> Placed:
    """A scene less the parts whose boxes are within `gap` metres of a point.

    Args:
        placed: The scene.
        fixed: So many parts at its beginning stay in any case: walls and ground.
        point: Where the camera is.
        gap: Metres.
    """
    # Corner 0 of a box is its lowest, corner 7 its highest one in its own frame.
    low, high = placed.corners[:, 0], placed.corners[:, 7]
    local = np.einsum("pi,pij->pj", point - placed.origins, placed.rotations)
    ends = [np.einsum("pi,pij->pj", x - placed.origins, placed.rotations) for x in (low, high)]
    kept = np.linalg.norm(local - local.clip(*ends), axis=1) > gap
    kept[:fixed] = True
    index = np.flatnonzero(kept)
    parts = tuple(placed.parts[k] for k in index)
    return Placed(
        parts, placed.rotations[index], placed.origins[index], placed.moving[index],
        placed.casts[index], placed.corners[index], placed.contacts,
    )  # fmt: skip
