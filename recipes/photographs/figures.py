"""People of all ages and builds, standing, walking, sitting, bending, in many poses."""

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from photographs.finishes import cloth, plastic
from photographs.materials import Material, Stock
from photographs.pieces import (
    Piece,
    Thing,
    along,
    cushion,
    limb,
    moved,
    piece,
    rod,
)
from photographs.solids import Number
from ssmde.synthetic.bodies import HAIRS, SKINS, scaled
from ssmde.synthetic.scene import Color, Ellipsoid, sphere

Point = Float64[ndarray, " 3"]
THIGH, SHIN, TRUNK, NECK, UPPER, FORE = 0.245, 0.24, 0.3, 0.045, 0.17, 0.155
"""Lengths as shares of the height."""
TROUSERS: tuple[Color, ...] = (
    (0.13, 0.16, 0.26), (0.1, 0.1, 0.11), (0.25, 0.28, 0.36), (0.5, 0.44, 0.34), (0.3, 0.3, 0.32),
    (0.4, 0.34, 0.26),
)  # fmt: skip


def _swung(angle: Number, aside: Number = 0.0) -> Point:
    """A direction: straight down, swung forwards, then out to a side."""
    return np.array([np.sin(aside), np.cos(angle) * np.cos(aside), np.sin(angle) * np.cos(aside)])


def figure(stock: Stock, pose: str | None = None) -> Thing:
    """A person whose feet are on y = 0, looking along z; seated ones sit at chair height.

    Args:
        stock: Random numbers and materials.
        pose: `stand`, `walk`, `sit` or `bend`; None: any but sitting.
    """
    pose = pose or stock.pick(("stand", "stand", "stand", "walk", "walk", "bend"))
    tall = stock.uniform(1.5, 1.92) if stock.chance(0.82) else stock.uniform(0.95, 1.45)
    wide = stock.uniform(0.88, 1.3)
    lean = {"stand": stock.normal(0.0, 0.05), "walk": stock.uniform(0.0, 0.15),
            "sit": stock.uniform(-0.2, 0.3), "bend": stock.uniform(0.4, 1.2)}[pose]  # fmt: skip
    shirt, skin = cloth(stock), _skin(stock)
    trousers = cloth(stock, stock.colour(TROUSERS, 0.05)) if stock.chance(0.85) else cloth(stock)
    legs, low = _legs(stock, pose, tall, wide, trousers, skin)
    hip = np.zeros(3)
    up = np.array([0.0, -np.cos(lean), np.sin(lean)])
    chest = hip + TRUNK * tall * up
    things = [*legs, *_trunk(stock, tall, wide, hip, chest, shirt, trousers)]
    sleeve = skin if stock.chance(0.25) else shirt
    for side in (-1, 1):
        shoulder = chest - 0.02 * tall * up + np.array([side * 0.108 * tall * wide, 0.0, 0.0])
        things += _arm(stock, pose, side, tall, wide, shoulder, lean, (shirt, sleeve, skin))
    things += _head(stock, tall, chest, up, skin)
    if stock.chance(0.2) and pose != "sit":
        back = chest - 0.5 * TRUNK * tall * up - np.array([0, 0, 0.15 * tall])
        half = (0.09 * tall, 0.13 * tall, 0.05 * tall)
        things.append(cushion(half, cloth(stock), (back[0], back[1], back[2]), soft=0.9))
    # Hands of those who bend low may be lower than their feet.
    low = max(low, *(float(p.origin[1]) for p in things))
    return moved(things, y=-low)


def _skin(stock: Stock) -> Material:
    return stock.material(stock.colour(SKINS, 0.05), contrast=0.08, cell=0.06)


def _legs(
    stock: Stock, pose: str, tall: Number, wide: Number, trousers: Material, skin: Material
) -> tuple[Thing, float]:
    """Both legs from the hip at the origin, and how far below it the lower foot is."""
    if pose == "walk":
        step = stock.uniform(0.2, 0.55) * stock.pick((-1, 1))
        angles = ((step, stock.uniform(0.0, 0.2)), (-step, stock.uniform(0.1, 0.8)))
    elif pose == "sit":
        angles = tuple((stock.uniform(1.35, 1.6), stock.uniform(1.2, 1.8)) for _ in range(2))
    elif pose == "bend" and stock.chance(0.4):
        angles = ((1.7, 2.3), (stock.uniform(0.3, 1.5), 2.2))
    else:
        angles = tuple((stock.normal(0.03, 0.06), stock.uniform(0.0, 0.1)) for _ in range(2))
    apart = stock.uniform(0.0, 0.16)
    bare = stock.chance(0.12)
    shoe = plastic(stock, stock.pick(((0.08, 0.08, 0.08), (0.9, 0.9, 0.88), stock.any_colour())))
    things: Thing = []
    low = 0.0
    for side, (thigh, knee) in zip((-1, 1), angles, strict=True):
        start = np.array([side * 0.052 * tall * wide, 0.0, 0.0])
        middle = start + THIGH * tall * _swung(thigh, side * apart)
        foot = middle + SHIN * tall * _swung(thigh - knee, side * apart * 0.5)
        things += _tapered(start, middle, 0.052 * tall * wide, 0.036 * tall * wide, trousers)
        things += _tapered(
            middle, foot, 0.035 * tall * wide, 0.024 * tall * wide, skin if bare else trousers
        )
        toe = foot + np.array([side * 0.01 * tall, 0.015 * tall, 0.045 * tall])
        half = (0.026 * tall, 0.022 * tall, 0.075 * tall)
        things.append(cushion(half, shoe, (toe[0], toe[1], toe[2]), soft=0.9))
        low = max(low, float(toe[1] + half[1]))
    if stock.chance(0.1) and pose != "sit":
        hem = stock.uniform(0.25, 0.42) * tall
        skirt = cloth(stock)
        things.append(
            rod((0, -0.04 * tall, 0), (0, hem, 0), 0.085 * tall * wide, skirt,
                end_radius=0.14 * tall * wide)
        )  # fmt: skip
    return things, low


def _tapered(
    start: Point, end: Point, first: Number, last: Number, material: Material
) -> list[Piece]:
    """A limb that gets thinner, with round joints."""
    return [
        rod(start.tolist(), end.tolist(), first, material, end_radius=last),
        piece(sphere(float(first)), material, (start[0], start[1], start[2]), casts=False),
        piece(sphere(float(last)), material, (end[0], end[1], end[2]), casts=False),
    ]


def _trunk(
    stock: Stock, tall: Number, wide: Number, hip: Point, chest: Point, shirt: Material,
    trousers: Material,
) -> Thing:  # fmt: skip
    turn = along(hip - chest)
    belly = hip + 0.42 * (chest - hip)
    upper = hip + 0.72 * (chest - hip)
    deep = stock.uniform(0.85, 1.2) * wide
    bulk = [
        (Ellipsoid((0.098 * tall * wide, 0.08 * tall, 0.072 * tall * deep)), hip, trousers),
        (Ellipsoid((0.092 * tall * wide, 0.17 * tall, 0.068 * tall * deep)), belly, shirt),
        (Ellipsoid((0.108 * tall * wide, 0.135 * tall, 0.072 * tall * deep)), upper, shirt),
    ]
    things = [piece(shape, material, (at[0], at[1], at[2]), turn=turn)
              for shape, at, material in bulk]  # fmt: skip
    half = np.array([0.09 * tall * wide, 0.0, 0.0])
    shoulders = chest - 0.07 * (chest - hip)
    things.append(
        limb((shoulders - half).tolist(), (shoulders + half).tolist(), 0.042 * tall, shirt)
    )
    if stock.chance(0.3):  # a coat or a long shirt
        hem = stock.uniform(0.08, 0.25) * tall
        things.append(
            rod(belly.tolist(), (hip[0], hip[1] + hem, hip[2]), 0.1 * tall * wide, shirt,
                end_radius=0.115 * tall * wide)
        )  # fmt: skip
    return things


def _arm(
    stock: Stock, pose: str, side: int, tall: Number, wide: Number, shoulder: Point, lean: Number,
    materials: tuple[Material, Material, Material],
) -> Thing:  # fmt: skip
    """Upper arm, forearm and hand; where the arm is, chance decides."""
    kind = stock.whole(0, 9)
    swing, aside, bend = stock.normal(0, 0.15), stock.uniform(0.05, 0.25), stock.uniform(0, 0.4)
    if pose == "walk":
        swing, bend = stock.uniform(-0.6, 0.6), stock.uniform(0.1, 1.2)
    elif pose in ("sit", "bend"):
        swing, bend = stock.uniform(0.2, 1.2), stock.uniform(0.1, 1.5)
    if kind == 0:
        swing, bend = stock.uniform(0.8, 2.8), stock.uniform(0, 1.0)
    elif kind == 1:
        swing, bend = stock.uniform(0.1, 0.6), stock.uniform(1.2, 2.2)
    elif kind == 2:
        aside = stock.uniform(0.5, 1.5)
    upper, sleeve, skin = materials
    elbow = shoulder + UPPER * tall * _swung(swing - lean * 0.5, side * aside)
    inwards = -side * stock.uniform(-0.1, 0.5)
    hand = elbow + FORE * tall * _swung(swing - lean * 0.5 + bend, side * aside * 0.4 + inwards)
    girth = (0.75 + 0.25 * wide) * tall
    things = [
        *_tapered(shoulder, elbow, 0.031 * girth, 0.025 * girth, upper),
        *_tapered(elbow, hand, 0.024 * girth, 0.017 * girth, sleeve),
    ]
    tip = hand + 0.03 * tall * (hand - elbow) / np.linalg.norm(hand - elbow)
    shape = Ellipsoid((0.014 * tall, 0.045 * tall, 0.026 * tall))
    things.append(piece(shape, skin, (tip[0], tip[1], tip[2]), turn=along(hand - elbow)))
    if stock.chance(0.12):
        item = plastic(stock)
        half = (0.04, 0.075, 0.006)
        things.append(cushion(half, item, (tip[0], tip[1], tip[2] + 0.03), soft=0.9))
    return things


def _head(stock: Stock, tall: Number, chest: Point, up: Point, skin: Material) -> Thing:
    """Neck, head with nose, ears and eyes, hair or a hat; the head may turn and nod."""
    size = tall if tall > 1.45 else 0.5 * (tall + 1.45)  # children have larger heads
    base = chest + NECK * tall * up
    middle = base + 0.06 * size * np.array([0.0, -1.0, 0.25])
    hair = stock.material(
        stock.colour(HAIRS, 0.05), contrast=0.3, cell=0.02, stretch=(1.0, 5.0, 1.0)
    )
    dark = plastic(stock, (0.1, 0.07, 0.06))
    face = [
        piece(Ellipsoid((0.045 * size, 0.066 * size, 0.055 * size)), skin),
        piece(Ellipsoid((0.008 * size, 0.014 * size, 0.014 * size)), skin,
              (0, 0.008 * size, 0.055 * size), casts=False),
    ]  # fmt: skip
    for side in (-1, 1):
        at = (side * 0.018 * size, -0.008 * size, 0.05 * size)
        face.append(piece(Ellipsoid((0.007 * size, 0.004 * size, 0.005 * size)), dark, at,
                          casts=False))  # fmt: skip
        at = (side * 0.046 * size, 0.0, 0.0)
        face.append(piece(Ellipsoid((0.006 * size, 0.018 * size, 0.011 * size)), skin, at,
                          casts=False))  # fmt: skip
    at = (0.0, 0.04 * size, 0.05 * size)
    red = plastic(stock, scaled(skin.base, 0.65))
    face.append(piece(Ellipsoid((0.016 * size, 0.004 * size, 0.005 * size)), red, at, casts=False))
    kind = stock.whole(0, 9)
    if kind <= 6:
        cap = Ellipsoid((0.05 * size, 0.058 * size, 0.058 * size))
        face.append(piece(cap, hair, (0, -0.022 * size, -0.014 * size)))
        if stock.chance(0.4):
            long = Ellipsoid((0.05 * size, stock.uniform(0.08, 0.13) * size, 0.03 * size))
            face.append(piece(long, hair, (0, 0.045 * size, -0.04 * size)))
    elif kind <= 8:
        cap = Ellipsoid((0.051 * size, 0.05 * size, 0.06 * size))
        hat = cloth(stock)
        face.append(piece(cap, hat, (0, -0.035 * size, -0.008 * size)))
        if stock.chance(0.6):
            brim = Ellipsoid((0.045 * size, 0.004 * size, 0.05 * size))
            face.append(piece(brim, hat, (0, -0.038 * size, 0.06 * size)))
    head = moved(face, middle[0], middle[2], y=middle[1], heading=stock.normal(0, 0.4),
                 pitch=stock.normal(-0.05, 0.15), roll=stock.normal(0, 0.06))  # fmt: skip
    return [rod(chest.tolist(), middle.tolist(), 0.028 * size, skin), *head]
