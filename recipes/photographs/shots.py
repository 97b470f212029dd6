"""Where a photo is taken from: places in a room or a street that show something."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from photographs.interiors import Place
from photographs.materials import Stock
from photographs.pieces import assemble, without
from photographs.solids import Number
from ssmde.synthetic import poses
from ssmde.synthetic.raycast import outline, trace
from ssmde.synthetic.scene import Placed
from ssmde.synthetic.shading import Camera

TRIES = 8
GLANCE = 24  # pixels across of the look before the photo
NEAREST = 0.3  # metres; what is nearer to the camera is taken away
TOO_NEAR = 0.35
Pose = Float64[ndarray, "4 4"]


def aimed(at: tuple[Number, Number, Number], angles: tuple[Number, Number, Number]) -> Pose:
    """A pose at a place; heading, pitch (up) and roll in degrees."""
    return poses(np.array([at]), np.array([angles]))[0]


def look_at(
    stock: Stock,
    at: tuple[Number, Number, Number],
    target: tuple[Number, Number, Number],
    stray: Number,
) -> Pose:
    """A pose that looks at a target, `stray` degrees beside it, a little rolled."""
    dx, dy, dz = (b - a for a, b in zip(at, target, strict=True))
    heading = np.degrees(np.arctan2(dx, dz)) + stock.normal(0, stray)
    pitch = -np.degrees(np.arctan2(dy, np.hypot(dx, dz))) + stock.normal(0, 0.6 * stray)
    roll = stock.normal(0, 2.0) if stock.chance(0.75) else stock.uniform(-10, 10)
    return aimed(at, (float(heading), float(np.clip(pitch, -75, 45)), roll))


def indoors(stock: Stock, place: Place) -> Pose:
    """A pose in a room: an overview, or near to one of its things."""
    half_x, half_z = (max(half - 0.25, 0.2) for half in place.half)
    if place.people and stock.chance(0.5):
        # As people are photographed: from near, or across the room.
        x, y, z = stock.pick(place.people)
        far, angle = 0.6 * 6 ** stock.uniform(0, 1), stock.uniform(0, 6.28)
        at_x = float(np.clip(x + far * np.sin(angle), -half_x, half_x))
        at_z = float(np.clip(z + far * np.cos(angle), -half_z, half_z))
        if np.hypot(at_x - x, at_z - z) > 0.5:
            up = min(stock.uniform(0.9, 1.8), place.tall - 0.2)
            return look_at(stock, (at_x, -up, at_z), (x, y + stock.normal(0.1, 0.3), z), 14)
    if place.targets and stock.chance(0.35):
        x, y, z = stock.pick(place.targets)
        far, angle = stock.uniform(0.6, 2.2), stock.uniform(0, 6.28)
        at_x = float(np.clip(x + far * np.sin(angle), -half_x, half_x))
        at_z = float(np.clip(z + far * np.cos(angle), -half_z, half_z))
        up = min(max(0.25, -y + stock.uniform(-0.3, 0.9)), place.tall - 0.2)
        return look_at(stock, (at_x, -up, at_z), (x, y, z), 12)
    x, z = 0.0, 0.0
    for _ in range(20):
        x, z = stock.uniform(-half_x, half_x), stock.uniform(-half_z, half_z)
        if place.free(x, z, 0.1):
            break
    tall = stock.uniform(1.1, 1.8) if stock.chance(0.65) else stock.uniform(0.3, 2.2)
    at = (x, -min(tall, place.tall - 0.2), z)
    if stock.chance(0.85):
        # Across the room: towards a point beyond its middle.
        goal = (-0.6 * x + stock.normal(0, 0.6), -stock.uniform(0.3, 1.6),
                -0.6 * z + stock.normal(0, 0.6))  # fmt: skip
        return look_at(stock, at, goal, 14)
    return aimed(at, (stock.uniform(-180, 180), stock.uniform(-45, 25), stock.normal(0, 4)))


def choose(
    stock: Stock,
    place: Place,
    intrinsics: Float64[ndarray, "3 3"],
    size: tuple[int, int],
    propose: Callable[[Stock, Place], Pose],
    near: Number = 0.6,
) -> tuple[Placed, Pose]:
    """The first of some poses from which one sees something, and the scene around it.

    Args:
        stock: Random numbers.
        place: The scene.
        intrinsics: Of the photo, in pixels.
        size: Of the photo.
        propose: Makes a pose.
        near: Metres; the median depth must be larger.
    """
    best: tuple[float, Placed, Pose] | None = None
    everything = assemble([*place.fixed, *place.things])
    for _ in range(TRIES):
        pose = propose(stock, place)
        placed = without(everything, len(place.fixed), pose[:3, 3], NEAREST)
        worth = _worth(placed, pose, intrinsics, size, near)
        if best is None or worth > best[0]:
            best = worth, placed, pose
        if worth > 1:
            break
    if best is None:
        raise RuntimeError("no pose was tried")
    return best[1], best[2]


def _worth(
    placed: Placed, pose: Pose, intrinsics: Float64[ndarray, "3 3"], size: tuple[int, int],
    near: Number,
) -> float:  # fmt: skip
    """Above 1 for a view that shows several things, none too near."""
    scale = GLANCE / size[1]
    small = (max(4, round(size[0] * scale)), GLANCE)
    camera = Camera.of(pose, np.diag([scale, scale, 1.0]) @ intrinsics)
    outlines = outline(placed, camera, small, np.inf)
    v, u = np.mgrid[: small[0], : small[1]].astype(np.float64)
    depth, part = trace(placed, outlines, camera, np.stack([u.ravel(), v.ravel()], axis=1))
    parts, counts = np.unique(part, return_counts=True)
    shown = int(((counts > 1) & (parts >= 0)).sum())
    largest = counts.max() / len(part)
    seen = depth[np.isfinite(depth)]
    if len(seen) == 0:
        return -1.0
    bad = float((seen < TOO_NEAR).mean())
    worth = min(shown / 7, 1.0) + 0.5 - max(0.0, largest - 0.5) * 2 - 3 * max(0.0, bad - 0.05)
    return worth - (1.0 if float(np.median(seen)) < near else 0.0)
