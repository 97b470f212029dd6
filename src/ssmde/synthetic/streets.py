"""Streets: a road with marks, pavements, houses, parked cars, trees, streets that cross, traffic.

The road runs along z; the camera drives on its right half, at x = `LANE`.
"""

from collections.abc import Iterator

import numpy as np
from numpy.random import Generator

from ssmde.synthetic.bodies import (
    WALKING,
    ahead_of,
    car,
    fixed,
    person,
    pick,
    straight,
    textured,
    to_and_fro,
)
from ssmde.synthetic.scene import (
    Body,
    Box,
    Capsule,
    Ellipsoid,
    Part,
    Plane,
    Poses,
    Scene,
    Times,
    Track,
    stand,
)

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
FOLLOWED_CAR = 9.0  # metres ahead of the camera


def crossings(rng: Generator, length: float) -> list[float]:
    """Where other streets cross, in metres along the road."""
    ends = np.cumsum(np.append(rng.uniform(17, 22), rng.uniform(26, 34, int(length / 26) + 1)))
    return [float(end) for end in ends if end < length]


def street(rng: Generator, length: float, at: list[float]) -> Scene:
    """A street without anyone who moves, for a drive so long; others cross it at these z."""
    end = length + FAR + 20
    blocks = list(_stretches(at, end))
    bodies = [*_ground(rng, at, end), *_pavements(rng, blocks)]
    for start, stop in blocks:
        for side in (-1, 1):
            bodies += _houses(rng, side, start, stop)
            bodies += _kerbside(rng, side, start, stop)
    light = np.array([rng.uniform(-0.7, 0.7), -1.0, rng.uniform(-0.7, 0.2)])
    x, y, z = (light / np.linalg.norm(light)).tolist()
    return Scene(tuple(bodies), light=(x, y, z), ambient=0.62, far=FAR)


def _stretches(at: list[float], end: float) -> Iterator[tuple[float, float]]:
    """Stretches between the crossing streets."""
    edges = [ENTRY, *(z + side * CROSSING for z in at for side in (-1, 1)), end]
    yield from zip(edges[::2], edges[1::2], strict=True)


def _ground(rng: Generator, at: list[float], end: float) -> list[Body]:
    half, middle = (end - ENTRY) / 2, (end + ENTRY) / 2
    grass = textured(rng, (0.5, 0.55, 0.38), cell=3.0, depth=0.6)
    road = textured(
        rng, ASPHALT, cell=1.2, depth=0.62, pattern="lanes", mark=(0.93, 0.93, 0.88),
        period=(3.6, 6.0), duty=(0.16, 0.5),
    )  # fmt: skip
    plain = textured(rng, ASPHALT, cell=1.2, depth=0.62)
    zebra = textured(
        rng, ASPHALT, cell=0.8, depth=0.62, pattern="stripes", mark=(0.93, 0.93, 0.9),
        period=(1.0, 1.0), duty=(0.5, 0.5),
    )  # fmt: skip
    bodies = [
        fixed(Plane(1), grass, 0.0, middle, 0.03),
        fixed(Plane(1, (ROAD, half)), road, 0.0, middle, 0.0),
    ]
    for z in at:
        bodies.append(fixed(Plane(1, (FAR, CROSSING)), plain, 0.0, z, -0.002))
        bodies.append(fixed(Plane(1, (ROAD, 1.2)), zebra, 0.0, z - CROSSING - 1.6, -0.002))
    return bodies


def _pavements(rng: Generator, blocks: list[tuple[float, float]]) -> list[Body]:
    slabs = textured(
        rng, (0.68, 0.66, 0.63), cell=0.9, depth=0.65, pattern="blocks", mark=(0.3, 0.3, 0.3),
        period=(0.7, 0.7), duty=(0.05, 0.05), variation=0.15,
    )  # fmt: skip
    bodies: list[Body] = []
    for start, stop in blocks:
        half = ((PAVEMENT - ROAD) / 2, KERB / 2, (stop - start) / 2)
        for side in (-1, 1):
            x = side * (PAVEMENT + ROAD) / 2
            bodies.append(fixed(Box(half), slabs, x, (start + stop) / 2, -KERB / 2))
    return bodies


def _houses(rng: Generator, side: int, start: float, stop: float) -> list[Body]:
    bodies: list[Body] = []
    z = start
    while z < stop - 4:
        wide = min(float(rng.uniform(7, 15)), stop - z)
        if stop - z - wide < 4:
            wide = stop - z
        bodies.append(_house(rng, side, z + wide / 2, wide / 2))
        z += wide
    return bodies


def _house(rng: Generator, side: int, z: float, half_wide: float) -> Body:
    tall, deep = rng.uniform(6, 15), 5.0
    color = pick(rng, HOUSES)
    front = rng.uniform(0, 0.5)
    wall = textured(
        rng, color, cell=2.2, depth=0.66, pattern="windows", mark=(0.2, 0.25, 0.32),
        period=(rng.uniform(1.8, 2.8), rng.uniform(2.6, 3.2)),
        duty=(rng.uniform(0.35, 0.6), rng.uniform(0.45, 0.6)), variation=0.5,
    )  # fmt: skip
    shop = textured(
        rng, pick(rng, HOUSES), cell=1.2, depth=0.5, pattern="blocks", mark=(0.2, 0.2, 0.22),
        period=(rng.uniform(1.2, 2.5), 3.0), duty=(rng.uniform(0.2, 0.6), 0.08), variation=0.3,
    )  # fmt: skip
    roof = textured(rng, (0.5, 0.3, 0.26), cell=1.0, depth=0.6)
    parts = (
        Part(Box((deep, tall / 2, half_wide)), wall, (0.0, -tall / 2 - 3.1, 0.0)),
        Part(Box((deep, 1.6, half_wide)), shop, (0.0, -1.6, 0.0)),
        Part(Box((deep + 0.25, 0.12, half_wide)), shop, (0.0, -3.25, 0.0)),
        Part(Box((deep + 0.3, 0.9, half_wide), (2.4, 0.0)), roof, (0.0, -tall - 4.0, 0.0)),
    )
    return Body(parts, stand(side * (PAVEMENT + deep + front), z), footprint=(deep, half_wide))


def _kerbside(rng: Generator, side: int, start: float, stop: float) -> list[Body]:
    """Parked cars, trees, lamps, and people who stand on the pavement."""
    bodies: list[Body] = []
    z = start + rng.uniform(4, 9)
    while z < stop - 5:
        if rng.random() < 0.7:
            heading = 0.0 if side > 0 else np.pi
            x = side * (PARKED + rng.uniform(-0.15, 0.15))
            bodies.append(car(rng, stand(x, z, heading=heading)))
        z += rng.uniform(5.5, 12)
    z = start + rng.uniform(1, 8)
    while z < stop - 1:
        kind, x = rng.integers(4), side * (ROAD + 0.55)
        if kind <= 1:
            bodies.append(_tree(rng, x, z))
        elif kind == 2:
            bodies.append(_lamp(rng, x, z))
        else:
            x = side * rng.uniform(ROAD + 0.6, PAVEMENT - 0.6)
            heading = rng.uniform(0, 2 * np.pi)
            bodies.append(person(rng, stand(x, z, y=-KERB, heading=heading)))
        z += rng.uniform(4, 10)
    return bodies


def _tree(rng: Generator, x: float, z: float) -> Body:
    bark = textured(rng, (0.4, 0.3, 0.22), cell=0.3)
    leaves = textured(rng, pick(rng, ((0.3, 0.5, 0.2), (0.4, 0.52, 0.24))), cell=0.9, depth=0.25)
    tall, wide = rng.uniform(2.6, 3.6), rng.uniform(0.9, 1.4)
    parts = [Part(Capsule(tall, 0.14), bark, (0.0, -tall - 0.14, 0.0))]
    for dx, dy, dz in ((0.0, 0.9, 0.0), (-0.5, 0.2, 0.4), (0.5, 0.3, -0.4)):
        size = wide * rng.uniform(0.8, 1.1)
        crown = Ellipsoid((size, 0.85 * size, size))
        parts.append(Part(crown, leaves, (dx, -tall - dy, dz)))
    return Body(tuple(parts), stand(x, z, y=-KERB), footprint=(0.05, 0.05))


def _lamp(rng: Generator, x: float, z: float) -> Body:
    iron = textured(rng, (0.35, 0.37, 0.38), cell=0.3)
    glass = textured(rng, (0.95, 0.93, 0.8), cell=0.2, depth=0.8)
    inwards = -float(np.sign(x))
    parts = (
        Part(Capsule(4.6, 0.07), iron, (0.0, -4.67, 0.0)),
        Part(Box((0.6, 0.04, 0.05)), iron, (0.55 * inwards, -4.7, 0.0)),
        Part(Box((0.25, 0.07, 0.12)), glass, (1.1 * inwards, -4.66, 0.0)),
    )
    return Body(parts, stand(x, z, y=-KERB), footprint=(0.02, 0.02))


def street_movers(
    rng: Generator, movers: str, times: Times, T_world_cam: Poses, crossings: list[float]
) -> list[Body]:
    """Traffic and people for a street; `times` has one moment more than there are frames."""
    camera_z = T_world_cam[:, 2, 3]
    bodies: list[Body] = []
    if movers in ("across", "mixed"):
        bodies += _crossing(rng, times, camera_z, crossings)
    if movers in ("oblique", "mixed"):
        bodies += _slanting(rng, times, T_world_cam, with_car=movers == "oblique")
    if movers in ("followed", "mixed"):
        distance = FOLLOWED_CAR + (4.0 if movers == "mixed" else 0.0)
        bodies.append(car(rng, ahead_of(times, T_world_cam, distance)))
    if movers == "mixed":
        bodies += _along(rng, times, camera_z)
    return bodies


def _arrival(times: Times, camera_z: Times, z: float) -> float:
    """When the camera reaches z, or would at its mean speed."""
    pace = (camera_z[-1] - camera_z[0]) / (times[-1] - times[0])
    if z <= camera_z[-1]:
        return float(np.interp(z, camera_z, times))
    return float(times[-1] + (z - camera_z[-1]) / max(pace, 0.1))


def _crossing(rng: Generator, times: Times, camera_z: Times, crossings: list[float]) -> list[Body]:
    """A car from each side street just before the camera arrives, people on the zebras."""
    bodies: list[Body] = []
    for z in crossings:
        when = _arrival(times, camera_z, z - rng.uniform(12, 16))
        side = float(rng.choice([-1, 1]))
        through = (0.0, z - side * 0.45 * CROSSING)
        bodies.append(car(rng, straight(times, through, when, (side * DRIVING, 0.0))))
        for lane in (-0.5, 0.5):
            # At the far end of the walk, left of the road, when the camera comes by.
            pace = 2 * np.pi * WALKING / (4.1 * 2.9)
            phase = -np.pi / 2 - pace * _arrival(times, camera_z, z) + rng.uniform(-0.5, 0.5)
            track = to_and_fro(
                times, center=(-0.4, z - CROSSING - 1.6 + lane), half_length=2.9,
                direction=np.pi / 2, speed=WALKING, phase=phase,
            )  # fmt: skip
            bodies.append(person(rng, track))
    return bodies


def _slanting(rng: Generator, times: Times, T_world_cam: Poses, *, with_car: bool) -> list[Body]:
    """People who walk slantwise over the road, and a car ahead that changes lanes."""
    end = float(T_world_cam[-1, 2, 3]) + 40
    bodies: list[Body] = []
    for z in np.arange(12, end, 14.0):
        turn = rng.choice([-1, 1]) * rng.uniform(0.5, 0.9)
        track = to_and_fro(
            times, center=(-1.9, z + rng.uniform(-2, 2)), half_length=2.0, direction=turn,
            speed=WALKING, phase=rng.uniform(0, 2 * np.pi),
        )  # fmt: skip
        bodies.append(person(rng, track))
    if with_car:
        phase = 0.9 * times + rng.uniform(0, 2 * np.pi)
        camera = T_world_cam[:, :3, 3]
        x, z = LANE - 1.3 + 1.4 * np.sin(phase), camera[:, 2] + 12 + 4 * np.sin(0.7 * phase)
        positions = np.stack([x, 0 * phase, z], axis=1)
        steps = np.gradient(positions, axis=0)
        headings = np.unwrap(np.arctan2(steps[:, 0], steps[:, 2]))
        bodies.append(car(rng, Track(times, positions, headings)))
    return bodies


def _along(rng: Generator, times: Times, camera_z: Times) -> list[Body]:
    """Cars that come towards the camera, people who walk along the pavement."""
    bodies: list[Body] = []
    start, end = float(camera_z[0]), float(camera_z[-1])
    for meet in np.arange(start + 8, end + 60, 28.0):
        when = _arrival(times, camera_z, meet + rng.uniform(-4, 4))
        velocity = (0.0, -DRIVING * rng.uniform(0.9, 1.2))
        bodies.append(car(rng, straight(times, (-LANE, meet), when, velocity)))
    for z in np.arange(start + 8, end + 40, 11.0):
        side, speed = float(rng.choice([-1, 1])), WALKING * float(rng.choice([-1, 1]))
        place = (side * rng.uniform(ROAD + 0.9, PAVEMENT - 0.4), z)
        bodies.append(person(rng, straight(times, place, 0.0, (0.0, speed), y=-KERB)))
    return bodies
