"""Places: furnished rooms and streets, and who moves in them.

A room has its furniture along the walls and free space in the middle, `STAGE`; the camera stands
near the origin and looks along z. The road of a street runs along z, with marks, pavements, houses,
parked cars, trees and streets that cross; the camera drives on its right half, at x = `LANE`.
"""

import numpy as np
from numpy.random import Generator

from ssmde.synthetic import bodies
from ssmde.synthetic import scene as s
from ssmde.synthetic.bodies import car, crate, person, pick, scaled, textured, vivid
from ssmde.synthetic.scene import Body, Box, Capsule, Ellipsoid, Part, Plane, Scene, sphere, stand

STAGE = (2.1, 3.7)  # metres ahead between which a room is kept free
ROLLING = 0.7  # metres a second
FOLLOWED_PERSON, FOLLOWED_CAR = 2.2, 9.0  # metres ahead of the camera
CEILING = 2.7
WALLS = (
    (0.86, 0.82, 0.72), (0.72, 0.8, 0.82), (0.8, 0.72, 0.66), (0.75, 0.8, 0.7), (0.84, 0.84, 0.86),
    (0.72, 0.6, 0.55),
)  # fmt: skip
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


def _fixed(shape: s.Shape, texture: s.Texture, x: float, z: float, y: float = 0.0) -> Body:
    """Something that casts no shadow: the ground, or the walls, within which the lamps hang."""
    return Body((Part(shape, texture, casts_shadow=False),), stand(x, z, y=y))


def _lit(found: list[Body], light: s.Vector, **more: float) -> Scene:
    x, y, z = (np.array(light) / np.linalg.norm(light)).tolist()
    return Scene(tuple(found), light=(x, y, z), **more)


# Rooms.


def room(rng: Generator) -> Scene:
    """A furnished room without anyone who moves."""
    half_wide, front = rng.uniform(2.9, 3.6), rng.uniform(5.0, 6.2)
    found = [
        *_shell(rng, half_wide, -2.2, front),
        *_pictures(rng, half_wide, front),
        *_along_walls(rng, half_wide, front),
        *_middle(rng, front),
    ]
    return _lit(found, (rng.uniform(-0.35, 0.35), -1.0, rng.uniform(-0.5, -0.1)), ambient=0.78)


def _shell(rng: Generator, half_wide: float, back: float, front: float) -> list[Body]:
    """Floor, ceiling, walls and skirting."""
    color = pick(rng, WALLS)
    length, middle = (front - back) / 2, (front + back) / 2
    side = _wallpaper(rng, color)
    ceiling = textured(
        rng, (1.0, 0.99, 0.97), 0.9, 0.8, "blocks", (0.6, 0.6, 0.6), (0.6, 0.6), (0.04, 0.04), 0.06
    )
    flat, wall = (half_wide, length), (half_wide, CEILING / 2)
    skirting = textured(rng, pick(rng, bodies.WOODS))
    shell = [
        _fixed(Plane(1, flat), _floor(rng), 0.0, middle),
        _fixed(Plane(1, flat), ceiling, 0.0, middle, -CEILING),
        _fixed(Plane(2, wall), _wallpaper(rng, color), 0.0, front, -CEILING / 2),
        _fixed(Plane(2, wall), side, 0.0, back, -CEILING / 2),
        _fixed(Box((half_wide, 0.05, 0.015)), skirting, 0.0, front, -0.05),
    ]
    for x in (-half_wide, half_wide):
        shell.append(_fixed(Plane(0, (CEILING / 2, length)), side, x, middle, -CEILING / 2))
        shell.append(_fixed(Box((0.015, 0.05, length)), skirting, x, middle, -0.05))
    return shell


def _floor(rng: Generator) -> s.Texture:
    """Boards or tiles."""
    if rng.random() < 0.5:
        wood, joint = pick(rng, bodies.WOODS), (0.15, 0.1, 0.07)
        return textured(rng, wood, 0.5, 0.6, "blocks", joint, (0.16, 1.3), (0.05, 0.01), 0.25)
    tile, joint = pick(rng, WALLS), (0.35, 0.34, 0.33)
    return textured(rng, tile, 0.4, 0.55, "blocks", joint, (0.45, 0.45), (0.05, 0.05), 0.15)


def _wallpaper(rng: Generator, color: s.Color) -> s.Texture:
    """Stripes, bricks or plain paper."""
    kind = rng.integers(3)
    if kind == 0:
        wide, stripe = float(rng.uniform(0.2, 0.4)), scaled(pick(rng, [color]), 0.7)
        return textured(rng, color, 0.8, 0.62, "stripes", stripe, (wide, 1.0), (0.4, 0.5))
    if kind == 1:
        brick, joint = (0.68, 0.42, 0.33), (0.78, 0.75, 0.7)
        wide = (0.36, 0.15)
        return textured(rng, brick, 0.5, 0.55, "blocks", joint, wide, (0.06, 0.14), 0.25, 0.5)
    return textured(rng, color, 0.9, 0.5)


def _pictures(rng: Generator, half_wide: float, front: float) -> list[Body]:
    """Framed pictures on the walls ahead and at the sides."""
    found: list[Body] = []
    for slot in (-0.6, 0.0, 0.6):
        half = rng.uniform(0.22, 0.5), rng.uniform(0.2, 0.4), 0.02
        x, y = slot * half_wide + rng.uniform(-0.2, 0.2), -rng.uniform(1.45, 1.9)
        found.append(_picture(rng, half, x, y, front - 0.02))
    for x in (-half_wide, half_wide):
        for z in rng.uniform(0.8, front - 0.8, 2):
            half = 0.02, rng.uniform(0.2, 0.4), rng.uniform(0.25, 0.5)
            y = -rng.uniform(1.45, 1.9)
            found.append(_picture(rng, half, x - np.sign(x) * 0.02, y, z))
    return found


def _picture(rng: Generator, half: s.Vector, x: float, y: float, z: float) -> Body:
    pattern = ("checks", "stripes", "blocks", "plain")[rng.integers(4)]
    period = float(rng.uniform(0.15, 0.4))
    across = (period, 1.3 * period)
    picture = textured(rng, vivid(rng), 0.35, 0.3, pattern, vivid(rng), across, (0.3, 0.3), 0.3)
    frame = textured(rng, pick(rng, bodies.WOODS), 0.2)
    a, b, c = (size + 0.03 if size > 0.1 else size * 0.5 for size in half)
    return Body((Part(Box(half), picture), Part(Box((a, b, c)), frame)), stand(x, z, y=y))


def _along_walls(rng: Generator, half_wide: float, front: float) -> list[Body]:
    """Cupboards, shelves, a sofa, a plant and people, with their backs to the walls."""
    found: list[Body] = []
    for side in (-1, 1):
        z = rng.uniform(0.9, 1.6)
        while z < front - 1.0:
            deep, long = rng.uniform(0.2, 0.3), rng.uniform(0.35, 0.8)
            z += long
            if rng.random() < 0.75:
                x = side * (half_wide - deep - 0.02)
                found.append(_cupboard(rng, deep, long, rng.uniform(0.4, 1.1), x, z))
            z += long + rng.uniform(0.1, 0.6)
    x = -half_wide + 1.1
    while x < half_wide - 1.0:
        choice = rng.integers(4)
        if choice == 0:
            found.append(_cupboard(rng, 0.5, 0.25, rng.uniform(0.5, 1.1), x, front - 0.27))
        elif choice == 1:
            found.append(_sofa(rng, x + 0.3, front - 0.5))
            x += 0.7
        elif choice == 2:
            found.append(_plant(rng, x, front - 0.45))
        else:
            found.append(person(rng, stand(x, front - 0.6, heading=rng.uniform(2.2, 4.0))))
        x += rng.uniform(1.0, 1.5)
    return found


def _cupboard(
    rng: Generator, half_x: float, half_z: float, half_tall: float, x: float, z: float
) -> Body:
    color, joint = pick(rng, [*bodies.WOODS, *bodies.PAINTS]), (0.12, 0.1, 0.09)
    doors = textured(rng, color, 0.35, 0.6, "blocks", joint, (0.45, 0.4), (0.05, 0.06), 0.2)
    parts = [Part(Box((half_x, half_tall, half_z)), doors, (0.0, -half_tall, 0.0))]
    top = -2 * half_tall
    if half_tall < 0.75:
        ball, box = rng.uniform(0.08, 0.15), rng.uniform(0.08, 0.18)
        parts.append(Part(sphere(ball), _toy(rng), (0.0, top - ball, 0.5 * half_z)))
        at, toy = (0.0, top - box, -0.4 * half_z), _toy(rng)
        parts.append(Part(Box((0.1, box, 0.12)), toy, at, rng.uniform(0, 1.5)))
    return Body(tuple(parts), stand(x, z), footprint=(half_x, half_z))


def _toy(rng: Generator) -> s.Texture:
    color = vivid(rng)
    pattern: s.Pattern = ("checks", "stripes", "plain")[int(rng.integers(3))]
    return textured(rng, color, 0.15, 0.4, pattern, vivid(rng), (0.14, 0.14), (0.4, 0.5))


def _sofa(rng: Generator, x: float, z: float) -> Body:
    color, seam = vivid(rng), vivid(rng)
    cloth = textured(rng, color, 0.25, 0.5, "blocks", seam, (0.5, 0.5), (0.05, 0.05), 0.1)
    boxes = (
        ((0.8, 0.21, 0.4), (0.0, -0.21, 0.0)), ((0.8, 0.25, 0.12), (0.0, -0.6, 0.28)),
        ((0.11, 0.3, 0.42), (-0.8, -0.3, 0.0)), ((0.11, 0.3, 0.42), (0.8, -0.3, 0.0)),
    )  # fmt: skip
    parts = tuple(Part(Box(half), cloth, at) for half, at in boxes)
    return Body(parts, stand(x, z), footprint=(0.9, 0.42))


def _plant(rng: Generator, x: float, z: float) -> Body:
    pot = textured(rng, (0.7, 0.4, 0.28), 0.15)
    leaves = textured(rng, (0.25, 0.55, 0.2), 0.16, 0.25)
    parts = [
        Part(Box((0.17, 0.17, 0.17), (-0.04, -0.04)), pot, (0.0, -0.17, 0.0)),
        Part(Capsule(0.5, 0.02), pot, (0.0, -0.8, 0.0)),
    ]
    for height in (0.7, 0.95, 1.2):
        size, dx, dz = rng.uniform(0.16, 0.26), *rng.uniform(-0.1, 0.1, 2)
        parts.append(Part(Ellipsoid((size, 0.8 * size, size)), leaves, (dx, -height, dz)))
    return Body(tuple(parts), stand(x, z), footprint=(0.16, 0.16))


def _middle(rng: Generator, front: float) -> list[Body]:
    """A table with things on it behind the stage, a box beside it."""
    wood = textured(rng, pick(rng, bodies.WOODS))
    x = float(rng.choice([-1.0, 1.0]) * rng.uniform(0.4, 0.9))
    leg = Box((0.03, 0.35, 0.03))
    parts = [Part(Box((0.65, 0.025, 0.36)), wood, (0.0, -0.725, 0.0))]
    parts += [Part(leg, wood, (dx, -0.35, dz)) for dx in (-0.58, 0.58) for dz in (-0.3, 0.3)]
    ball = rng.uniform(0.1, 0.17)
    parts.append(Part(sphere(ball), _toy(rng), (-0.3, -0.75 - ball, 0.0)))
    parts.append(Part(Box((0.16, 0.12, 0.1)), _toy(rng), (0.25, -0.87, 0.05), 0.5))
    table = Body(tuple(parts), stand(x, min(4.4, front - 1.1), heading=0.2))
    half = float(rng.uniform(0.18, 0.3))
    box = Part(Box((half, half, half)), _toy(rng), (0.0, -half, 0.0))
    beside = stand(-1.6 * np.sign(x), 4.1, heading=rng.uniform(0, 1.5))
    return [table, Body((box,), beside, footprint=(half, half))]


def room_movers(rng: Generator, movers: str, times: s.Times, T_world_cam: s.Poses) -> list[Body]:
    """Two people and a box on wheels for the free middle of a room, or one who leads the way."""
    near, far = STAGE
    depths = np.linspace(near + 0.2, far - 0.2, 3) + rng.uniform(-0.1, 0.1, 3)
    turn = float(rng.choice([-1, 1]) * rng.uniform(0.6, 0.9))
    found: list[Body] = []

    def loop(lane: int, x: float, half_length: float, direction: float, speed: float) -> s.Track:
        center, phase = (x, float(depths[lane])), rng.uniform(0, 2 * np.pi)
        return bodies.to_and_fro(times, center, half_length, direction, speed, phase)

    if movers in ("across", "mixed"):
        found.append(person(rng, loop(2, 0.0, 1.8, np.pi / 2, bodies.WALKING)))
        found.append(crate(rng, loop(0, 0.0, 1.3, np.pi / 2, ROLLING)))
    if movers == "across":
        found.append(person(rng, loop(1, 0.0, 1.5, -np.pi / 2, bodies.WALKING)))
    if movers == "mixed":
        found.append(person(rng, loop(1, 0.6, 1.2, turn, bodies.WALKING)))
        found.append(person(rng, bodies.ahead_of(times, T_world_cam, FOLLOWED_PERSON - 0.5)))
    if movers == "followed":
        found.append(person(rng, bodies.ahead_of(times, T_world_cam, FOLLOWED_PERSON)))
    return found


# Streets.


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
    return _lit(found, light, ambient=0.62, far=FAR)


def _ground(rng: Generator, at: list[float], end: float) -> list[Body]:
    half, middle = (end - ENTRY) / 2, (end + ENTRY) / 2
    grass = textured(rng, (0.5, 0.55, 0.38), 3.0, 0.6)
    marks = (0.93, 0.93, 0.88)
    road = textured(rng, ASPHALT, 1.2, 0.62, "lanes", marks, (3.6, 6.0), (0.16, 0.5))
    plain = textured(rng, ASPHALT, 1.2, 0.62)
    zebra = textured(rng, ASPHALT, 0.8, 0.62, "stripes", (0.93, 0.93, 0.9))
    found = [
        _fixed(Plane(1), grass, 0.0, middle, 0.03),
        _fixed(Plane(1, (ROAD, half)), road, 0.0, middle),
    ]
    for z in at:
        found.append(_fixed(Plane(1, (FAR, CROSSING)), plain, 0.0, z, -0.002))
        found.append(_fixed(Plane(1, (ROAD, 1.2)), zebra, 0.0, z - CROSSING - 1.6, -0.002))
    return found


def _pavements(rng: Generator, blocks: list[tuple[float, float]]) -> list[Body]:
    joint, slab = (0.3, 0.3, 0.3), (0.7, 0.7)
    slabs = textured(rng, (0.68, 0.66, 0.63), 0.9, 0.65, "blocks", joint, slab, (0.05, 0.05), 0.15)
    return [
        _fixed(
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


def street_movers(
    rng: Generator, movers: str, times: s.Times, T_world_cam: s.Poses, crossings: list[float]
) -> list[Body]:
    """Traffic and people for a street; `times` has one moment more than there are frames."""
    found: list[Body] = []
    if movers in ("across", "mixed"):
        found += _crossing(rng, times, T_world_cam[:, 2, 3], crossings)
    if movers in ("followed", "mixed"):
        distance = FOLLOWED_CAR + (4.0 if movers == "mixed" else 0.0)
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
        found.append(car(rng, bodies.straight(times, through, when, (side * DRIVING, 0.0))))
        for lane in (-0.5, 0.5):
            # At the far end of the walk, left of the road, when the camera comes by.
            pace = 2 * np.pi * bodies.WALKING / (4.1 * 2.9)
            phase = -np.pi / 2 - pace * _arrival(times, camera_z, z) + rng.uniform(-0.5, 0.5)
            center = (-0.4, z - CROSSING - 1.6 + lane)
            found.append(
                person(rng, bodies.to_and_fro(times, center, 2.9, np.pi / 2, bodies.WALKING, phase))
            )
    return found
