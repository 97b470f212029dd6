"""Rooms: floor, walls, furniture along them, and free space in the middle for those who walk.

The camera stands near the origin and looks along z; the free space is `STAGE`.
"""

import numpy as np
from numpy.random import Generator

from ssmde.synthetic.bodies import (
    PAINTS,
    WALKING,
    WOODS,
    ahead_of,
    crate,
    fixed,
    person,
    pick,
    scaled,
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
    Poses,
    Scene,
    Texture,
    Times,
    Track,
    sphere,
    stand,
)

STAGE = (1.9, 2.1, 3.7)  # metres: |x| up to the first, z between the others, is kept free
ROLLING = 0.7  # metres a second
FOLLOWED_PERSON = 2.2  # metres ahead of the camera
CEILING = 2.7
WALLS = (
    (0.86, 0.82, 0.72), (0.72, 0.8, 0.82), (0.8, 0.72, 0.66), (0.75, 0.8, 0.7), (0.84, 0.84, 0.86),
    (0.72, 0.6, 0.55),
)  # fmt: skip


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
    return Scene(tuple(bodies), light=(x, y, z), ambient=0.78)


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
        fixed(Plane(1, flat), _floor(rng), 0.0, middle),
        fixed(Plane(1, flat), ceiling, 0.0, middle, -CEILING),
        fixed(Plane(2, wall), _wallpaper(rng, color), 0.0, front, -CEILING / 2),
        fixed(Plane(2, wall), side, 0.0, back, -CEILING / 2),
        fixed(Box((half_wide, 0.05, 0.015)), skirting, 0.0, front, -0.05),
    ]
    for x in (-half_wide, half_wide):
        shell.append(fixed(Plane(0, (CEILING / 2, length)), side, x, middle, -CEILING / 2))
        shell.append(fixed(Box((0.015, 0.05, length)), skirting, x, middle, -0.05))
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
    parts = (Part(Box(half), picture), Part(Box((outer[0], outer[1], outer[2])), frame))
    return Body(parts, stand(x, z, y=y))


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
    parts = [Part(Box((half_x, half_tall, half_z)), doors, (0.0, -half_tall, 0.0))]
    top = -2 * half_tall
    if half_tall < 0.75:
        ball, box = rng.uniform(0.08, 0.15), rng.uniform(0.08, 0.18)
        parts.append(Part(sphere(ball), _toy(rng), (0.0, top - ball, 0.5 * half_z)))
        at, toy = (0.0, top - box, -0.4 * half_z), _toy(rng)
        parts.append(Part(Box((0.1, box, 0.12)), toy, at, turn=rng.uniform(0, 1.5)))
    return Body(tuple(parts), stand(x, z), footprint=(half_x, half_z))


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
    parts = tuple(Part(Box(half), cloth, at) for half, at in boxes)
    return Body(parts, stand(x, z), footprint=(0.9, 0.42))


def _plant(rng: Generator, x: float, z: float) -> Body:
    pot = textured(rng, (0.7, 0.4, 0.28), cell=0.15)
    leaves = textured(rng, (0.25, 0.55, 0.2), cell=0.16, depth=0.25)
    parts = [
        Part(Box((0.17, 0.17, 0.17), (-0.04, -0.04)), pot, (0.0, -0.17, 0.0)),
        Part(Capsule(0.5, 0.02), pot, (0.0, -0.8, 0.0)),
    ]
    for height in (0.7, 0.95, 1.2):
        size, dx, dz = rng.uniform(0.16, 0.26), *rng.uniform(-0.1, 0.1, 2)
        parts.append(Part(Ellipsoid((size, 0.8 * size, size)), leaves, (dx, -height, dz)))
    return Body(tuple(parts), stand(x, z), footprint=(0.16, 0.16))


def _middle(rng: Generator, front: float) -> list[Body]:
    """A table with things on it behind the stage, a ball or a box beside it."""
    wood = textured(rng, pick(rng, WOODS), cell=0.3)
    x = float(rng.choice([-1.0, 1.0]) * rng.uniform(0.4, 0.9))
    parts = [Part(Box((0.65, 0.025, 0.36)), wood, (0.0, -0.725, 0.0))]
    for dx in (-0.58, 0.58):
        for dz in (-0.3, 0.3):
            leg = Part(Box((0.03, 0.35, 0.03)), wood, (dx, -0.35, dz))
            parts.append(leg)
    ball = rng.uniform(0.1, 0.17)
    parts.append(Part(sphere(ball), _toy(rng), (-0.3, -0.75 - ball, 0.0)))
    parts.append(Part(Box((0.16, 0.12, 0.1)), _toy(rng), turn=0.5, offset=(0.25, -0.87, 0.05)))
    table = Body(tuple(parts), stand(x, min(4.4, front - 1.1), heading=0.2))
    half = float(rng.uniform(0.18, 0.3))
    crate = Body(
        (Part(Box((half, half, half)), _toy(rng), (0.0, -half, 0.0)),),
        track=stand(-1.6 * np.sign(x), 4.1, heading=rng.uniform(0, 1.5)),
        footprint=(half, half),
    )
    return [table, crate]


def room_movers(rng: Generator, movers: str, times: Times, T_world_cam: Poses) -> list[Body]:
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
