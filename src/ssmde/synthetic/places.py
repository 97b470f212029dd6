"""Furnished rooms, and who moves in them.

A room has its furniture along the walls and free space in the middle, `STAGE`; the camera stands
near the origin and looks along z.
"""

from dataclasses import replace

import numpy as np
from numpy.random import Generator

from ssmde.synthetic import bodies
from ssmde.synthetic import scene as s
from ssmde.synthetic.bodies import crate, person, pick, scaled, textured, vivid
from ssmde.synthetic.scene import Body, Box, Capsule, Ellipsoid, Part, Plane, Scene, sphere, stand

STAGE = (2.1, 3.7)  # metres ahead between which a room is kept free
ROLLING = 0.7  # metres a second
FOLLOWED = 2.2  # metres ahead of the camera
CEILING = 2.7
WALLS = (
    (0.86, 0.82, 0.72), (0.72, 0.8, 0.82), (0.8, 0.72, 0.66), (0.75, 0.8, 0.7), (0.84, 0.84, 0.86),
    (0.72, 0.6, 0.55),
)  # fmt: skip


def room(
    rng: Generator, moving: Generator, movers: str, times: s.Times, T_world_cam: s.Poses
) -> Scene:
    """A furnished room, drawn from `rng`, with people who move, drawn from `moving`."""
    half_wide, front = rng.uniform(2.9, 3.6), rng.uniform(5.0, 6.2)
    found = [
        *_shell(rng, half_wide, -2.2, front),
        *_pictures(rng, half_wide, front),
        *_along_walls(rng, half_wide, front),
        *_middle(rng, front),
    ]
    scene = lit(found, (rng.uniform(-0.35, 0.35), -1.0, rng.uniform(-0.5, -0.1)), ambient=0.78)
    people = _movers(moving, movers, times, T_world_cam)
    return replace(scene, bodies=(*scene.bodies, *people))


def lit(found: list[Body], light: s.Vector, **more: float) -> Scene:
    """The scene of these bodies with light from a direction of any length."""
    x, y, z = (np.array(light) / np.linalg.norm(light)).tolist()
    return Scene(tuple(found), light=(x, y, z), **more)


def fixed(shape: s.Shape, texture: s.Texture, x: float, z: float, y: float = 0.0) -> Body:
    """Something that casts no shadow: the ground, or the walls, within which the lamps hang."""
    return Body((Part(shape, texture, casts_shadow=False),), stand(x, z, y=y))


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
        brick, joint, size = (0.68, 0.42, 0.33), (0.78, 0.75, 0.7), (0.36, 0.15)
        return textured(rng, brick, 0.5, 0.55, "blocks", joint, size, (0.06, 0.14), 0.25, 0.5)
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
    pattern: s.Pattern = ("checks", "stripes", "blocks", "plain")[int(rng.integers(4))]
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


def _movers(rng: Generator, movers: str, times: s.Times, T_world_cam: s.Poses) -> list[Body]:
    """Two people and a box on wheels for the free middle of a room, or one who leads the way."""
    near, far = STAGE
    depths = np.linspace(near + 0.2, far - 0.2, 3) + rng.uniform(-0.1, 0.1, 3)
    turn = float(rng.choice([-1, 1]) * rng.uniform(0.6, 0.9))

    def loop(lane: int, x: float, half_length: float, direction: float, speed: float) -> s.Track:
        center, phase = (x, float(depths[lane])), rng.uniform(0, 2 * np.pi)
        return bodies.to_and_fro(times, center, half_length, direction, speed, phase)

    if movers == "none":
        return []
    if movers == "followed":
        return [person(rng, bodies.ahead_of(times, T_world_cam, FOLLOWED))]
    found = [
        person(rng, loop(2, 0.0, 1.8, np.pi / 2, bodies.WALKING)),
        crate(rng, loop(0, 0.0, 1.3, np.pi / 2, ROLLING)),
    ]
    if movers == "across":
        return [*found, person(rng, loop(1, 0.0, 1.5, -np.pi / 2, bodies.WALKING))]
    walker = person(rng, loop(1, 0.6, 1.2, turn, bodies.WALKING))
    return [*found, walker, person(rng, bodies.ahead_of(times, T_world_cam, FOLLOWED - 0.5))]
