"""Rooms and streets, and who moves in them: people, boxes on wheels and cars.

Room: the camera stands near the origin and looks along z; the middle, `STAGE`, is kept free for
those who walk. Street: the road runs along z; the camera drives on its right half, at x = `LANE`.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from numpy.random import Generator

from ssmde.synthetic.bodies import (
    PAINTS,
    WOODS,
    ahead_of,
    car,
    crate,
    person,
    pick,
    scaled,
    straight,
    textured,
    to_and_fro,
    vivid,
)
from ssmde.synthetic.scene import (
    Body,
    Box,
    Capsule,
    Color,
    Ellipsoid,
    Part,
    Plane,
    Scene,
    Shape,
    Texture,
    Track,
    sphere,
    stand,
)

Movers = Literal["none", "across", "oblique", "followed", "mixed"]

WALKING = 1.1  # metres a second
ROLLING = 0.7
DRIVING = 7.0
FOLLOWED_PERSON = 2.2  # metres ahead of the camera
FOLLOWED_CAR = 9.0

STAGE = (1.9, 2.1, 3.7)  # metres: |x| up to the first, z between the others, is kept free
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


def room(rng: Generator) -> Scene:
    """A furnished room without anyone who moves."""
    half_wide, back, front = rng.uniform(2.9, 3.6), -2.2, rng.uniform(5.0, 6.2)
    bodies = [
        *_shell(rng, half_wide, back, front),
        *_pictures(rng, half_wide, front),
        *_along_walls(rng, half_wide, front),
        *_middle(rng, front),
    ]
    light = np.array([rng.uniform(-0.35, 0.35), -1.0, rng.uniform(-0.5, -0.1)])
    x, y, z = (light / np.linalg.norm(light)).tolist()
    return Scene(bodies=tuple(bodies), light=(x, y, z), ambient=0.78)


def _still(shape: Shape, texture: Texture, x: float, z: float, y: float = 0.0) -> Body:
    """Something that casts no shadow: the ground, or the walls, within which the lamps hang."""
    part = Part(shape=shape, texture=texture, casts_shadow=False)
    return Body(parts=(part,), track=stand(x, z, y=y))


def _floor(rng: Generator) -> Texture:
    if rng.random() < 0.5:
        wood = pick(rng, WOODS)
        return textured(
            rng, wood, cell=0.5, depth=0.6, pattern="blocks", mark=(0.15, 0.1, 0.07),
            period=(0.16, 1.3), duty=(0.05, 0.01), variation=0.25,
        )  # fmt: skip
    tile = pick(rng, WALLS)
    return textured(
        rng, tile, cell=0.4, pattern="blocks", mark=(0.35, 0.34, 0.33), period=(0.45, 0.45),
        duty=(0.05, 0.05), variation=0.15,
    )  # fmt: skip


def _wallpaper(rng: Generator, color: Color) -> Texture:
    kind = rng.integers(3)
    if kind == 0:
        wide = float(rng.uniform(0.2, 0.4))
        return textured(
            rng, color, cell=0.8, depth=0.62, pattern="stripes",
            mark=scaled(pick(rng, [color]), 0.7), period=(wide, 1.0), duty=(0.4, 0.5),
        )  # fmt: skip
    if kind == 1:
        return textured(
            rng, (0.68, 0.42, 0.33), cell=0.5, pattern="blocks", mark=(0.78, 0.75, 0.7),
            period=(0.36, 0.15), duty=(0.06, 0.14), variation=0.25, shift=0.5,
        )  # fmt: skip
    return textured(rng, color, cell=0.9, depth=0.5)


def _shell(rng: Generator, half_wide: float, back: float, front: float) -> list[Body]:
    color = pick(rng, WALLS)
    length, middle = (front - back) / 2, (front + back) / 2
    side = _wallpaper(rng, color)
    ceiling = textured(
        rng, (1.0, 0.99, 0.97), cell=0.9, depth=0.8, pattern="blocks", mark=(0.6, 0.6, 0.6),
        period=(0.6, 0.6), duty=(0.04, 0.04), variation=0.06,
    )  # fmt: skip
    flat, wall = (half_wide, length), (half_wide, CEILING / 2)
    skirting = textured(rng, pick(rng, WOODS), cell=0.3)
    shell = [
        _still(Plane(1, flat), _floor(rng), 0.0, middle),
        _still(Plane(1, flat), ceiling, 0.0, middle, -CEILING),
        _still(Plane(2, wall), _wallpaper(rng, color), 0.0, front, -CEILING / 2),
        _still(Plane(2, wall), side, 0.0, back, -CEILING / 2),
        _still(Box((half_wide, 0.05, 0.015)), skirting, 0.0, front, -0.05),
    ]
    for x in (-half_wide, half_wide):
        shell.append(_still(Plane(0, (CEILING / 2, length)), side, x, middle, -CEILING / 2))
        shell.append(_still(Box((0.015, 0.05, length)), skirting, x, middle, -0.05))
    return shell


def _pictures(rng: Generator, half_wide: float, front: float) -> list[Body]:
    """Framed pictures on the walls ahead and at the sides."""
    bodies: list[Body] = []
    for slot in (-0.6, 0.0, 0.6):
        wide, tall = rng.uniform(0.22, 0.5), rng.uniform(0.2, 0.4)
        x, y = slot * half_wide + rng.uniform(-0.2, 0.2), -rng.uniform(1.45, 1.9)
        bodies.append(_picture(rng, (wide, tall, 0.02), x, y, front - 0.02))
    for x in (-half_wide, half_wide):
        for z in rng.uniform(0.8, front - 0.8, 2):
            inwards = x - np.sign(x) * 0.02
            size = (0.02, rng.uniform(0.2, 0.4), rng.uniform(0.25, 0.5))
            bodies.append(_picture(rng, size, inwards, -rng.uniform(1.45, 1.9), z))
    return bodies


def _picture(
    rng: Generator, half: tuple[float, float, float], x: float, y: float, z: float
) -> Body:
    patterns = ("checks", "stripes", "blocks", "plain")
    pattern = patterns[rng.integers(4)]
    period = float(rng.uniform(0.15, 0.4))
    picture = textured(
        rng, vivid(rng), cell=0.35, depth=0.3, pattern=pattern, mark=vivid(rng),
        period=(period, 1.3 * period), duty=(0.3, 0.3), variation=0.3,
    )  # fmt: skip
    frame = textured(rng, pick(rng, WOODS), cell=0.2)
    outer = tuple(size + 0.03 if size > 0.1 else size * 0.5 for size in half)
    parts = (
        Part(shape=Box(half), texture=picture),
        Part(shape=Box((outer[0], outer[1], outer[2])), texture=frame),
    )
    return Body(parts=parts, track=stand(x, z, y=y))


def _along_walls(rng: Generator, half_wide: float, front: float) -> list[Body]:
    """Cupboards, shelves, a sofa and a plant, with their backs to the walls."""
    bodies: list[Body] = []
    for x in (-1, 1):
        z = rng.uniform(0.9, 1.6)
        while z < front - 1.0:
            deep, long = rng.uniform(0.2, 0.3), rng.uniform(0.35, 0.8)
            z += long
            if rng.random() < 0.75:
                at = x * (half_wide - deep - 0.02)
                bodies.append(_cupboard(rng, deep, long, rng.uniform(0.4, 1.1), at, z))
            z += long + rng.uniform(0.1, 0.6)
    x = -half_wide + 1.1
    while x < half_wide - 1.0:
        choice = rng.integers(4)
        if choice == 0:
            bodies.append(_cupboard(rng, 0.5, 0.25, rng.uniform(0.5, 1.1), x, front - 0.27))
        elif choice == 1:
            bodies.append(_sofa(rng, x + 0.3, front - 0.5))
            x += 0.7
        elif choice == 2:
            bodies.append(_plant(rng, x, front - 0.45))
        else:
            bodies.append(person(rng, stand(x, front - 0.6, heading=rng.uniform(2.2, 4.0))))
        x += rng.uniform(1.0, 1.5)
    return bodies


def _cupboard(
    rng: Generator, half_x: float, half_z: float, half_tall: float, x: float, z: float
) -> Body:
    doors = textured(
        rng, pick(rng, [*WOODS, *PAINTS]), cell=0.35, depth=0.6, pattern="blocks",
        mark=(0.12, 0.1, 0.09), period=(0.45, 0.4), duty=(0.05, 0.06), variation=0.2,
    )  # fmt: skip
    parts = [
        Part(shape=Box((half_x, half_tall, half_z)), texture=doors, offset=(0.0, -half_tall, 0.0))
    ]
    top = -2 * half_tall
    if half_tall < 0.75:
        ball, box = rng.uniform(0.08, 0.15), rng.uniform(0.08, 0.18)
        parts += [
            Part(
                shape=sphere(ball), texture=_toy(rng),
                offset=(0.0, top - ball, 0.5 * half_z),
            ),
            Part(
                shape=Box((0.1, box, 0.12)), texture=_toy(rng), turn=rng.uniform(0, 1.5),
                offset=(0.0, top - box, -0.4 * half_z),
            ),
        ]  # fmt: skip
    return Body(parts=tuple(parts), track=stand(x, z), footprint=(half_x, half_z))


def _toy(rng: Generator) -> Texture:
    patterns = ("checks", "stripes", "plain")
    return textured(
        rng, vivid(rng), cell=0.15, depth=0.4, pattern=patterns[rng.integers(3)], mark=vivid(rng),
        period=(0.14, 0.14), duty=(0.4, 0.5),
    )  # fmt: skip


def _sofa(rng: Generator, x: float, z: float) -> Body:
    cloth = textured(
        rng, vivid(rng), cell=0.25, depth=0.5, pattern="blocks", mark=vivid(rng),
        period=(0.5, 0.5), duty=(0.05, 0.05), variation=0.1,
    )  # fmt: skip
    boxes = [
        ((0.8, 0.21, 0.4), (0.0, -0.21, 0.0)), ((0.8, 0.25, 0.12), (0.0, -0.6, 0.28)),
        ((0.11, 0.3, 0.42), (-0.8, -0.3, 0.0)), ((0.11, 0.3, 0.42), (0.8, -0.3, 0.0)),
    ]  # fmt: skip
    parts = tuple(Part(shape=Box(half), texture=cloth, offset=at) for half, at in boxes)
    return Body(parts=parts, track=stand(x, z), footprint=(0.9, 0.42))


def _plant(rng: Generator, x: float, z: float) -> Body:
    pot = textured(rng, (0.7, 0.4, 0.28), cell=0.15)
    leaves = textured(rng, (0.25, 0.55, 0.2), cell=0.16, depth=0.25)
    parts = [
        Part(shape=Box((0.17, 0.17, 0.17), (-0.04, -0.04)), texture=pot, offset=(0.0, -0.17, 0.0)),
        Part(shape=Capsule(0.5, 0.02), texture=pot, offset=(0.0, -0.8, 0.0)),
    ]
    for height in (0.7, 0.95, 1.2):
        size, dx, dz = rng.uniform(0.16, 0.26), *rng.uniform(-0.1, 0.1, 2)
        parts.append(
            Part(
                shape=Ellipsoid((size, 0.8 * size, size)), texture=leaves, offset=(dx, -height, dz)
            )
        )
    return Body(parts=tuple(parts), track=stand(x, z), footprint=(0.16, 0.16))


def _middle(rng: Generator, front: float) -> list[Body]:
    """A table with things on it behind the stage, a ball or a box beside it."""
    wood = textured(rng, pick(rng, WOODS), cell=0.3)
    x = float(rng.choice([-1.0, 1.0]) * rng.uniform(0.4, 0.9))
    parts = [Part(shape=Box((0.65, 0.025, 0.36)), texture=wood, offset=(0.0, -0.725, 0.0))]
    for dx in (-0.58, 0.58):
        for dz in (-0.3, 0.3):
            leg = Part(shape=Box((0.03, 0.35, 0.03)), texture=wood, offset=(dx, -0.35, dz))
            parts.append(leg)
    ball = rng.uniform(0.1, 0.17)
    parts.append(Part(shape=sphere(ball), texture=_toy(rng), offset=(-0.3, -0.75 - ball, 0.0)))
    parts.append(
        Part(shape=Box((0.16, 0.12, 0.1)), texture=_toy(rng), turn=0.5, offset=(0.25, -0.87, 0.05))
    )
    table = Body(parts=tuple(parts), track=stand(x, min(4.4, front - 1.1), heading=0.2))
    half = float(rng.uniform(0.18, 0.3))
    crate = Body(
        parts=(Part(shape=Box((half, half, half)), texture=_toy(rng), offset=(0.0, -half, 0.0)),),
        track=stand(-1.6 * np.sign(x), 4.1, heading=rng.uniform(0, 1.5)),
        footprint=(half, half),
    )
    return [table, crate]


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
    return Scene(bodies=tuple(bodies), light=(x, y, z), ambient=0.62, far=FAR)


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
        _still(Plane(1), grass, 0.0, middle, 0.03),
        _still(Plane(1, (ROAD, half)), road, 0.0, middle, 0.0),
    ]
    for z in at:
        bodies.append(_still(Plane(1, (FAR, CROSSING)), plain, 0.0, z, -0.002))
        bodies.append(_still(Plane(1, (ROAD, 1.2)), zebra, 0.0, z - CROSSING - 1.6, -0.002))
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
            bodies.append(_still(Box(half), slabs, x, (start + stop) / 2, -KERB / 2))
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
        Part(
            shape=Box((deep, tall / 2, half_wide)), texture=wall, offset=(0.0, -tall / 2 - 3.1, 0.0)
        ),
        Part(shape=Box((deep, 1.6, half_wide)), texture=shop, offset=(0.0, -1.6, 0.0)),
        Part(
            shape=Box((deep + 0.25, 0.12, half_wide)), texture=shop, offset=(0.0, -3.25, 0.0)
        ),
        Part(
            shape=Box((deep + 0.3, 0.9, half_wide), (2.4, 0.0)), texture=roof,
            offset=(0.0, -tall - 4.0, 0.0),
        ),
    )  # fmt: skip
    return Body(
        parts=parts, track=stand(side * (PAVEMENT + deep + front), z), footprint=(deep, half_wide)
    )


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
    parts = [Part(shape=Capsule(tall, 0.14), texture=bark, offset=(0.0, -tall - 0.14, 0.0))]
    for dx, dy, dz in ((0.0, 0.9, 0.0), (-0.5, 0.2, 0.4), (0.5, 0.3, -0.4)):
        size = wide * rng.uniform(0.8, 1.1)
        crown = Ellipsoid((size, 0.85 * size, size))
        parts.append(Part(shape=crown, texture=leaves, offset=(dx, -tall - dy, dz)))
    return Body(parts=tuple(parts), track=stand(x, z, y=-KERB), footprint=(0.05, 0.05))


def _lamp(rng: Generator, x: float, z: float) -> Body:
    iron = textured(rng, (0.35, 0.37, 0.38), cell=0.3)
    glass = textured(rng, (0.95, 0.93, 0.8), cell=0.2, depth=0.8)
    inwards = -float(np.sign(x))
    parts = (
        Part(shape=Capsule(4.6, 0.07), texture=iron, offset=(0.0, -4.67, 0.0)),
        Part(shape=Box((0.6, 0.04, 0.05)), texture=iron, offset=(0.55 * inwards, -4.7, 0.0)),
        Part(shape=Box((0.25, 0.07, 0.12)), texture=glass, offset=(1.1 * inwards, -4.66, 0.0)),
    )
    return Body(parts=parts, track=stand(x, z, y=-KERB), footprint=(0.02, 0.02))


def room_movers(
    rng: Generator,
    movers: str,
    times: Float64[ndarray, " k"],
    T_world_cam: Float64[ndarray, "k 4 4"],
) -> list[Body]:
    """Two people and a box on wheels for the free middle of a room, or one who leads the way."""
    near, far = STAGE[1], STAGE[2]
    depths = np.linspace(near + 0.2, far - 0.2, 3) + rng.uniform(-0.1, 0.1, 3)
    bodies: list[Body] = []

    def loop(lane: int, x: float, half_length: float, direction: float, speed: float) -> Track:
        return to_and_fro(
            times, center=(x, float(depths[lane])), half_length=half_length, direction=direction,
            speed=speed, phase=rng.uniform(0, 2 * np.pi),
        )  # fmt: skip

    turn = float(rng.choice([-1, 1]) * rng.uniform(0.6, 0.9))
    if movers in ("across", "mixed"):
        bodies.append(person(rng, loop(2, 0.0, 1.8, np.pi / 2, WALKING)))
        bodies.append(crate(rng, loop(0, 0.0, 1.3, np.pi / 2, ROLLING)))
    if movers == "across":
        bodies.append(person(rng, loop(1, 0.0, 1.5, -np.pi / 2, WALKING)))
    if movers in ("oblique", "mixed"):
        bodies.append(person(rng, loop(1, 0.6, 1.2, turn, WALKING)))
    if movers == "oblique":
        bodies.append(person(rng, loop(1, -0.7, 1.2, turn, WALKING)))
        bodies.append(crate(rng, loop(1, 1.5, 0.9, turn, ROLLING)))
    if movers in ("followed", "mixed"):
        distance = FOLLOWED_PERSON - (0.5 if movers == "mixed" else 0.0)
        bodies.append(person(rng, ahead_of(times, T_world_cam, distance)))
    return bodies


def street_movers(
    rng: Generator,
    movers: str,
    times: Float64[ndarray, " k"],
    T_world_cam: Float64[ndarray, "k 4 4"],
    crossings: list[float],
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


def _arrival(times: Float64[ndarray, " k"], camera_z: Float64[ndarray, " k"], z: float) -> float:
    """When the camera reaches z, or would at its mean speed."""
    pace = (camera_z[-1] - camera_z[0]) / (times[-1] - times[0])
    if z <= camera_z[-1]:
        return float(np.interp(z, camera_z, times))
    return float(times[-1] + (z - camera_z[-1]) / max(pace, 0.1))


def _crossing(
    rng: Generator,
    times: Float64[ndarray, " k"],
    camera_z: Float64[ndarray, " k"],
    crossings: list[float],
) -> list[Body]:
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


def _slanting(
    rng: Generator,
    times: Float64[ndarray, " k"],
    T_world_cam: Float64[ndarray, "k 4 4"],
    *,
    with_car: bool,
) -> list[Body]:
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
        bodies.append(car(rng, Track(times=times, positions=positions, headings=headings)))
    return bodies


def _along(
    rng: Generator, times: Float64[ndarray, " k"], camera_z: Float64[ndarray, " k"]
) -> list[Body]:
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
