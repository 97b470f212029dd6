"""Drawn streets: with this imported, `ssmde.synthetic.draw_clip` knows the kind `street`.

The road runs along z, with marks, pavements, houses, parked cars, trees and streets that cross; the
camera drives on its right half, at x = `LANE`. In its own frame a car looks along z and stands on
y = 0.
"""

from dataclasses import replace
from functools import partial

import numpy as np
from numpy.random import Generator

from ssmde.synthetic import PLACES, Place, bodies, draw_clip, wander
from ssmde.synthetic import scene as s
from ssmde.synthetic.bodies import person, pick, scaled, textured
from ssmde.synthetic.places import fixed, lit
from ssmde.synthetic.scene import Body, Box, Capsule, Ellipsoid, Part, Plane, Scene, Track, stand

EYE_HEIGHT = 1.6  # metres above the road
AHEAD = 80.0  # metres beyond the drive in which side streets are still made
FOLLOWED = 9.0  # metres ahead of the camera
LANE = 1.75  # metres right of the middle line
ROAD = 6.2  # half width of the road with its parking strips
PAVEMENT = 9.2  # where the houses begin
KERB = 0.14  # height of the pavement
PARKED = 4.9  # middle of the parking strip
CROSSING = 3.6  # half width of a street that crosses
FAR = 200.0  # metres; beyond it is sky, so depth fits into 16 bits at 256 a metre
ENTRY = -25.0  # where the scenery begins, behind the camera
HOUSES = (
    (0.78, 0.66, 0.52), (0.7, 0.45, 0.36), (0.82, 0.8, 0.74), (0.62, 0.64, 0.62),
    (0.76, 0.72, 0.5), (0.6, 0.5, 0.48),
)  # fmt: skip
ASPHALT = (0.5, 0.5, 0.52)
DRIVING = 7.0  # metres a second
CLEAR, WHEEL = 0.2, 0.32  # metres between car and ground, and radius of a wheel


def drive(rng: Generator, frames: int, step: float) -> s.Points:
    """Along z at about `step` a frame, a little faster and slower, swaying within the lane."""
    sway = wander(rng, frames, (0.35, 0.02, 3.0), 0.08 * step)
    sway[:, 2] += step * np.arange(frames) - sway[0, 2]
    return sway


def _in_lane(rng: Generator, frames: int, step: float) -> s.Points:
    return drive(rng, frames, step) + np.array([LANE, -EYE_HEIGHT, 0])


def _scene(
    rng: Generator, moving: Generator, movers: str, times: s.Times, T_world_cam: s.Poses
) -> Scene:
    length = float(T_world_cam[-1, 2, 3])
    at = crossings(rng, length + AHEAD)
    scene = street(rng, length, at)
    return replace(
        scene, bodies=(*scene.bodies, *street_movers(moving, movers, times, T_world_cam, at))
    )


def crossings(rng: Generator, length: float) -> list[float]:
    """Where other streets cross, in metres along the road."""
    ends = np.cumsum(np.append(rng.uniform(17, 22), rng.uniform(26, 34, int(length / 26) + 1)))
    return [float(end) for end in ends if end < length]


def street(rng: Generator, length: float, at: list[float]) -> Scene:
    """A street without anyone who moves, for a drive so long; others cross it at these z."""
    end = length + FAR + 20
    edges = [ENTRY, *(z + side * CROSSING for z in at for side in (-1, 1)), end]
    blocks = list(zip(edges[::2], edges[1::2], strict=True))  # between the crossing streets
    found = [*_ground(rng, at, end), *_pavements(rng, blocks)]
    for start, stop in blocks:
        for side in (-1, 1):
            found += _houses(rng, side, start, stop)
            found += _kerbside(rng, side, start, stop)
    light = (rng.uniform(-0.7, 0.7), -1.0, rng.uniform(-0.7, 0.2))
    return lit(found, light, ambient=0.62, far=FAR)


def _ground(rng: Generator, at: list[float], end: float) -> list[Body]:
    half, middle = (end - ENTRY) / 2, (end + ENTRY) / 2
    grass = textured(rng, (0.5, 0.55, 0.38), 3.0, 0.6)
    marks = (0.93, 0.93, 0.88)
    road = textured(rng, ASPHALT, 1.2, 0.62, "lanes", marks, (3.6, 6.0), (0.16, 0.5))
    plain = textured(rng, ASPHALT, 1.2, 0.62)
    zebra = textured(rng, ASPHALT, 0.8, 0.62, "stripes", (0.93, 0.93, 0.9))
    found = [
        fixed(Plane(1), grass, 0.0, middle, 0.03),
        fixed(Plane(1, (ROAD, half)), road, 0.0, middle),
    ]
    for z in at:
        found.append(fixed(Plane(1, (FAR, CROSSING)), plain, 0.0, z, -0.002))
        found.append(fixed(Plane(1, (ROAD, 1.2)), zebra, 0.0, z - CROSSING - 1.6, -0.002))
    return found


def _pavements(rng: Generator, blocks: list[tuple[float, float]]) -> list[Body]:
    joint, slab = (0.3, 0.3, 0.3), (0.7, 0.7)
    slabs = textured(rng, (0.68, 0.66, 0.63), 0.9, 0.65, "blocks", joint, slab, (0.05, 0.05), 0.15)
    return [
        fixed(
            Box(((PAVEMENT - ROAD) / 2, KERB / 2, (stop - start) / 2)), slabs,
            side * (PAVEMENT + ROAD) / 2, (start + stop) / 2, -KERB / 2,
        )
        for start, stop in blocks
        for side in (-1, 1)
    ]  # fmt: skip


def _houses(rng: Generator, side: int, start: float, stop: float) -> list[Body]:
    found: list[Body] = []
    z = start
    while z < stop - 4:
        wide = min(float(rng.uniform(7, 15)), stop - z)
        if stop - z - wide < 4:
            wide = stop - z
        found.append(_house(rng, side, z + wide / 2, wide / 2))
        z += wide
    return found


def _house(rng: Generator, side: int, z: float, half_wide: float) -> Body:
    tall, deep = rng.uniform(6, 15), 5.0
    color, front = pick(rng, HOUSES), rng.uniform(0, 0.5)
    window = (rng.uniform(1.8, 2.8), rng.uniform(2.6, 3.2))
    glass = (rng.uniform(0.35, 0.6), rng.uniform(0.45, 0.6))
    wall = textured(rng, color, 2.2, 0.66, "windows", (0.2, 0.25, 0.32), window, glass, 0.5)
    color, door = pick(rng, HOUSES), (rng.uniform(1.2, 2.5), 3.0)
    frame = (rng.uniform(0.2, 0.6), 0.08)
    shop = textured(rng, color, 1.2, 0.5, "blocks", (0.2, 0.2, 0.22), door, frame, 0.3)
    roof = textured(rng, (0.5, 0.3, 0.26), 1.0, 0.6)
    parts = (
        Part(Box((deep, tall / 2, half_wide)), wall, (0.0, -tall / 2 - 3.1, 0.0)),
        Part(Box((deep, 1.6, half_wide)), shop, (0.0, -1.6, 0.0)),
        Part(Box((deep + 0.25, 0.12, half_wide)), shop, (0.0, -3.25, 0.0)),
        Part(Box((deep + 0.3, 0.9, half_wide), (2.4, 0.0)), roof, (0.0, -tall - 4.0, 0.0)),
    )
    return Body(parts, stand(side * (PAVEMENT + deep + front), z), footprint=(deep, half_wide))


def _kerbside(rng: Generator, side: int, start: float, stop: float) -> list[Body]:
    """Parked cars, trees, lamps, and people who stand on the pavement."""
    found: list[Body] = []
    z = start + rng.uniform(4, 9)
    while z < stop - 5:
        if rng.random() < 0.7:
            x = side * (PARKED + rng.uniform(-0.15, 0.15))
            found.append(car(rng, stand(x, z, heading=0.0 if side > 0 else np.pi)))
        z += rng.uniform(5.5, 12)
    z = start + rng.uniform(1, 8)
    while z < stop - 1:
        kind, x = rng.integers(4), side * (ROAD + 0.55)
        if kind == 3:
            x = side * rng.uniform(ROAD + 0.6, PAVEMENT - 0.6)
            heading = rng.uniform(0, 2 * np.pi)
            found.append(person(rng, stand(x, z, y=-KERB, heading=heading)))
        else:
            found.append((_lamp if kind == 2 else _tree)(rng, x, z))
        z += rng.uniform(4, 10)
    return found


def _tree(rng: Generator, x: float, z: float) -> Body:
    bark = textured(rng, (0.4, 0.3, 0.22))
    leaves = textured(rng, pick(rng, ((0.3, 0.5, 0.2), (0.4, 0.52, 0.24))), 0.9, 0.25)
    tall, wide = rng.uniform(2.6, 3.6), rng.uniform(0.9, 1.4)
    parts = [Part(Capsule(tall, 0.14), bark, (0.0, -tall - 0.14, 0.0))]
    for dx, dy, dz in ((0.0, 0.9, 0.0), (-0.5, 0.2, 0.4), (0.5, 0.3, -0.4)):
        size = wide * rng.uniform(0.8, 1.1)
        crown = Ellipsoid((size, 0.85 * size, size))
        parts.append(Part(crown, leaves, (dx, -tall - dy, dz)))
    return Body(tuple(parts), stand(x, z, y=-KERB), footprint=(0.05, 0.05))


def _lamp(rng: Generator, x: float, z: float) -> Body:
    iron = textured(rng, (0.35, 0.37, 0.38))
    glass = textured(rng, (0.95, 0.93, 0.8), 0.2, 0.8)
    inwards = -float(np.sign(x))
    parts = (
        Part(Capsule(4.6, 0.07), iron, (0.0, -4.67, 0.0)),
        Part(Box((0.6, 0.04, 0.05)), iron, (0.55 * inwards, -4.7, 0.0)),
        Part(Box((0.25, 0.07, 0.12)), glass, (1.1 * inwards, -4.66, 0.0)),
    )
    return Body(parts, stand(x, z, y=-KERB), footprint=(0.02, 0.02))


def car(rng: Generator, track: Track) -> Body:
    """A car of about 4.2 x 1.75 x 1.5 m; its wheels stand on y = 0."""
    long, wide = float(rng.uniform(1.95, 2.25)), float(rng.uniform(0.82, 0.9))  # half sizes
    tall = float(rng.uniform(1.4, 1.6))
    waist, back = 0.58 * tall, -0.12 * long
    low, cabin = (waist - CLEAR) / 2, (tall - waist) / 2
    paint = pick(rng, bodies.PAINTS)
    body = textured(rng, paint, 0.5, 0.7, "blocks", scaled(paint, 0.35), (1.1, 0.36), (0.03, 0.06))
    glass = textured(
        rng, (0.3, 0.36, 0.42), 0.4, 0.35, "blocks", scaled(paint, 0.5), (0.95, 5.0), (0.1, 0.0)
    )
    roof = textured(rng, paint, 0.5, 0.8)
    dark, rubber = (textured(rng, (0.15, 0.15, 0.16), cell) for cell in (0.2, 0.12))
    red, white = (textured(rng, rgb, 0.1) for rgb in ((0.8, 0.06, 0.05), (0.95, 0.95, 0.95)))
    rim = textured(rng, (0.75, 0.76, 0.78), 0.1, 0.55, "checks", (0.25, 0.25, 0.25), (0.12, 0.12))
    lamp, tyre = Box((0.17, 0.07, 0.03)), Ellipsoid((0.12, WHEEL, WHEEL))
    top = Box((0.94 * wide - 0.17, 0.03, 0.62 * long - 0.42), (0.02, 0.05))
    pieces: list[tuple[s.Shape, s.Texture, s.Vector]] = [
        (Box((wide, low, long), (0.03, 0.06)), body, (0.0, -CLEAR - low, 0.0)),
        (Box((0.94 * wide, cabin, 0.62 * long), (0.16, 0.42)), glass, (0.0, -waist - cabin, back)),
        (top, roof, (0.0, -tall - 0.02, back)),
        (Box((0.96 * wide, 0.09, long + 0.06)), dark, (0.0, -CLEAR - 0.14, 0.0)),
        (Box((0.26, 0.06, 0.02)), white, (0.0, -0.62 * waist, -long)),
    ]
    for side in (-1, 1):
        pieces.append((lamp, red, (side * 0.68 * wide, -0.8 * waist, -long)))
        pieces.append((lamp, white, (side * 0.68 * wide, -0.76 * waist, long)))
        for end in (-0.62 * long, 0.64 * long):
            pieces.append((tyre, rubber, (side * (wide - 0.07), -WHEEL, end)))
            disc = Ellipsoid((0.11, 0.19, 0.19))
            pieces.append((disc, rim, (side * (wide - 0.05), -WHEEL, end)))
    # Hull and windows cast the shadow, the fittings none.
    parts = tuple(Part(*piece, casts_shadow=i < 2) for i, piece in enumerate(pieces))
    return Body(parts, track, footprint=(wide - 0.05, long - 0.1))


def straight(
    times: s.Times, through: s.Pair, when: float, velocity: s.Pair, y: float = 0.0
) -> Track:
    """A straight line at even speed from the first to the last time; before and after it stands.

    It is at the point (x, z) at `when`; the velocity is along x and z, in metres a second, and y
    the height of the ground, downwards.
    """
    ends = times[[0, -1]]
    x, z = (p + v * (ends - when) for p, v in zip(through, velocity, strict=True))
    positions = np.stack([x, np.full(2, y), z], axis=1)
    return Track(ends, positions, np.full(2, np.arctan2(*velocity)))


def street_movers(
    rng: Generator, movers: str, times: s.Times, T_world_cam: s.Poses, crossings: list[float]
) -> list[Body]:
    """Traffic and people for a street; `times` has one moment more than there are frames."""
    found: list[Body] = []
    if movers in ("across", "mixed"):
        found += _crossing(rng, times, T_world_cam[:, 2, 3], crossings)
    if movers in ("followed", "mixed"):
        distance = FOLLOWED + (4.0 if movers == "mixed" else 0.0)
        found.append(car(rng, bodies.ahead_of(times, T_world_cam, distance)))
    return found


def _arrival(times: s.Times, camera_z: s.Times, z: float) -> float:
    """When the camera reaches z, or would at its mean speed."""
    pace = (camera_z[-1] - camera_z[0]) / (times[-1] - times[0])
    beyond = max(z - camera_z[-1], 0.0)
    return float(np.interp(z, camera_z, times) + beyond / max(pace, 0.1))


def _crossing(
    rng: Generator, times: s.Times, camera_z: s.Times, crossings: list[float]
) -> list[Body]:
    """A car from each side street just before the camera arrives, people on the zebras."""
    found: list[Body] = []
    for z in crossings:
        when = _arrival(times, camera_z, z - rng.uniform(12, 16))
        side = float(rng.choice([-1, 1]))
        through = (0.0, z - side * 0.45 * CROSSING)
        found.append(car(rng, straight(times, through, when, (side * DRIVING, 0.0))))
        for lane in (-0.5, 0.5):
            # At the far end of the walk, left of the road, when the camera comes by.
            pace = 2 * np.pi * bodies.WALKING / (4.1 * 2.9)
            phase = -np.pi / 2 - pace * _arrival(times, camera_z, z) + rng.uniform(-0.5, 0.5)
            center = (-0.4, z - CROSSING - 1.6 + lane)
            found.append(
                person(rng, bodies.to_and_fro(times, center, 2.9, np.pi / 2, bodies.WALKING, phase))
            )
    return found


PLACES["street"] = Place(1.0, 0.12, (2.5, 0.5, 0.3), _in_lane, _scene)
draw_street = partial(draw_clip, "street")
