"""Small things: bottles, cups, books, boxes, plants, lamps, bags, screens, and heaps of them."""

import numpy as np

from photographs.finishes import (
    cloth,
    leaf,
    metal,
    paper,
    plastic,
    screen,
    wood,
)
from photographs.materials import Stock
from photographs.pieces import (
    Thing,
    box,
    cushion,
    limb,
    moved,
    piece,
    rod,
    turned,
)
from photographs.solids import Block, Cone, Leaves, Number
from ssmde.synthetic.scene import Color, Ellipsoid, sphere

SHELLS: tuple[Color, ...] = ((0.05, 0.05, 0.05), (0.1, 0.1, 0.1), (0.75, 0.75, 0.75))
"""Colours of what has a screen."""


def bottle(stock: Stock) -> Thing:
    """A bottle with its neck and cap, or a jar."""
    tall, wide = stock.uniform(0.12, 0.32), stock.uniform(0.025, 0.05)
    body, label = plastic(stock), paper(stock)
    neck = stock.uniform(0.55, 0.8) * tall
    return [
        rod((0, 0, 0), (0, -neck, 0), wide, body),
        rod((0, -0.25 * tall, 0), (0, -0.25 * tall - 0.3 * neck, 0), wide * 1.01, label),
        rod((0, -neck, 0), (0, -0.9 * tall, 0), wide, body, end_radius=wide * 0.4),
        rod((0, -0.9 * tall, 0), (0, -tall, 0), wide * 0.45, plastic(stock)),
    ]


def cup(stock: Stock) -> Thing:
    """A cup with a handle, a glass, or a bowl."""
    tall, wide = stock.uniform(0.05, 0.13), stock.uniform(0.03, 0.09)
    body = plastic(stock, stock.pick(((0.92, 0.92, 0.9), stock.any_colour())))
    dark = plastic(stock, (0.25, 0.15, 0.1))
    shape = Cone(tall, (wide, wide * stock.uniform(0.55, 1.0)), open=True)
    things = [
        piece(shape, body, (0, -tall, 0)),
        rod((0, -0.8 * tall, 0), (0, -0.002, 0), wide * 0.9, dark, end_radius=wide * 0.5),
    ]
    if stock.chance(0.6):
        for y in (0.3, 0.7):
            things.append(rod((wide * 0.8, -y * tall, 0), (wide * 1.5, -y * tall, 0), 0.006, body))
        out = 1.5 * wide
        things.append(rod((out, -0.25 * tall, 0), (out, -0.75 * tall, 0), 0.006, body))
    return things


def book(stock: Stock) -> Thing:
    """A pile of one to five books or papers lying about."""
    things: Thing = []
    y = 0.0
    for _ in range(stock.whole(1, 5)):
        thick = stock.uniform(0.002, 0.045)
        half = (stock.uniform(0.07, 0.16), thick / 2, stock.uniform(0.09, 0.2))
        heading = stock.normal(0, 0.4)
        things.append(box(half, paper(stock), (0, -y - thick / 2, 0), heading=heading))
        y += thick
    return things


def parcel(stock: Stock, largest: Number = 0.15) -> Thing:
    """A box or packing, closed."""
    half = tuple(stock.uniform(0.15, 1.0) * largest for _ in range(3))
    brown = stock.material((0.68, 0.52, 0.36), contrast=0.1, cell=0.1, stretch=(8, 1, 1), patch=0.4)
    material = stock.pick((paper(stock), plastic(stock), brown))
    things = [box((half[0], half[1], half[2]), material, (0, -half[1], 0))]
    if stock.chance(0.3):
        strip = plastic(stock, (0.75, 0.68, 0.5))
        things.append(
            box((half[0] * 0.2, half[1] + 0.002, half[2] + 0.002), strip, (0, -half[1], 0))
        )
    return things


def ball(stock: Stock) -> Thing:
    """A ball or a fruit."""
    size = stock.uniform(0.03, 0.14)
    return [piece(sphere(size), plastic(stock), (0, -size, 0), casts=size > 0.05)]


def bowl_of_fruit(stock: Stock) -> Thing:
    """A bowl with fruit or things in it."""
    wide = stock.uniform(0.1, 0.2)
    tall = wide * 0.5
    things = [piece(Cone(tall, (wide, wide * 0.5), open=True), wood(stock), (0, -tall, 0))]
    for _ in range(stock.whole(3, 8)):
        size = stock.uniform(0.03, 0.05)
        x, z = stock.normal(0, wide * 0.3), stock.normal(0, wide * 0.3)
        things.append(piece(sphere(size), plastic(stock), (x, -tall, z), casts=False))
    return things


def plant(stock: Stock, tall: Number | None = None) -> Thing:
    """A plant in a pot: a bush, or a few long leaves."""
    tall = stock.uniform(0.2, 1.5) if tall is None else tall
    pot = tall * stock.uniform(0.15, 0.3)
    wide = pot * stock.uniform(0.5, 0.8)
    clay = plastic(stock, stock.pick(((0.62, 0.36, 0.24), (0.9, 0.9, 0.88), stock.any_colour())))
    earth, green = plastic(stock, (0.2, 0.15, 0.1)), leaf(stock, cell=tall * 0.1)
    things = [
        piece(Cone(pot, (wide, wide * 0.7), open=True), clay, (0, -pot, 0)),
        rod((0, 0, 0), (0, -0.9 * pot, 0), wide * 0.72, earth, end_radius=wide * 0.95),
    ]
    if stock.chance(0.5):
        half = 0.5 * (tall - pot)
        radii = (half * stock.uniform(0.5, 0.9), half, half * stock.uniform(0.5, 0.9))
        shape = Leaves(radii, 0.22 * half + 0.02, stock.uniform(0, 30), stock.uniform(0.0, 0.3))
        things.append(piece(shape, green, (0, -pot - half, 0)))
        return [*things, rod((0, -pot, 0), (0, -pot - half, 0), 0.02 * tall, wood(stock))]
    for _ in range(stock.whole(6, 14)):
        angle, lean = stock.uniform(0, 6.28), stock.uniform(0.1, 1.2)
        long = 0.5 * (tall - pot) * stock.uniform(0.7, 1.0)
        turn = turned(angle, lean)
        up = turn @ np.array([0.0, -1.0, 0.0])
        at = np.array([0.0, -pot, 0.0]) + up * long
        shape = Ellipsoid((0.1 * long + 0.012, long, 0.004))
        things.append(piece(shape, green, (at[0], at[1], at[2]), turn=turn))
    return things


def lamp(stock: Stock, tall: Number, *, lit: bool) -> Thing:
    """A lamp with a shade on a stand; its bulb is at about 0.85 of its height."""
    stand, wide = metal(stock), stock.uniform(0.1, 0.22) * (0.6 + 0.25 * tall)
    shade = stock.material(
        stock.pick(((0.93, 0.88, 0.76), (0.9, 0.9, 0.88), stock.any_colour())),
        contrast=0.06, cell=0.1, glow=stock.uniform(2, 6) if lit else 0.0,
    )  # fmt: skip
    high = wide * stock.uniform(0.9, 1.6)
    radii = (wide * stock.uniform(0.5, 1.0), wide)
    return [
        rod((0, 0, 0), (0, -0.02, 0), wide * 0.8, stand),
        rod((0, 0, 0), (0, -tall, 0), 0.012, stand, casts=False),
        piece(Cone(high, radii, open=True), shade, (0, -tall, 0), casts=False),
    ]


def monitor(stock: Stock) -> Thing:
    """A screen on a foot, with a keyboard before it."""
    wide = stock.uniform(0.22, 0.36)
    tall, dark = wide * 0.58, plastic(stock, stock.pick(SHELLS))
    y = -tall - stock.uniform(0.06, 0.18)
    things = [
        box((wide, tall, 0.02), dark, (0, y, 0)),
        box((wide - 0.012, tall - 0.012, 0.004), screen(stock), (0, y, 0.019)),
        box((0.03, -y / 2, 0.015), dark, (0, y / 2, -0.03)),
        box((0.12, 0.008, 0.09), dark, (0, -0.008, -0.02)),
    ]
    if stock.chance(0.7):
        keys = stock.material(
            (0.1, 0.1, 0.1) if stock.chance(0.6) else (0.85, 0.85, 0.84), pattern="blocks",
            mark=(0.3, 0.3, 0.3), period=(0.02, 0.02), duty=(0.15, 0.15),
        )  # fmt: skip
        things.append(box((0.21, 0.01, 0.07), keys, (stock.normal(0, 0.05), -0.01, 0.27)))
        things.append(piece(Ellipsoid((0.03, 0.02, 0.05)), dark, (0.3, -0.015, 0.27), casts=False))
    return things


def laptop(stock: Stock) -> Thing:
    """An open laptop."""
    shell = metal(stock)
    keys = stock.material(
        (0.08, 0.08, 0.08), pattern="blocks", mark=(0.25, 0.25, 0.25), period=(0.019, 0.019),
        duty=(0.12, 0.12),
    )  # fmt: skip
    angle = stock.uniform(0.1, 0.6)
    up = turned(0.0, angle)
    at = np.array([0.0, -0.01, -0.11]) + up @ np.array([0.0, -0.11, 0.0])
    face = at + up @ np.array([0.0, 0.0, 0.006])
    return [
        box((0.16, 0.008, 0.11), shell, (0, -0.008, 0)),
        box((0.14, 0.002, 0.05), keys, (0, -0.017, -0.03)),
        piece(Block((0.16, 0.11, 0.005)), shell, (at[0], at[1], at[2]), turn=up),
        piece(Block((0.15, 0.1, 0.003)), screen(stock), (face[0], face[1], face[2]), turn=up),
    ]


def bag(stock: Stock) -> Thing:
    """A bag or rucksack on the floor."""
    half = (stock.uniform(0.12, 0.2), stock.uniform(0.14, 0.24), stock.uniform(0.08, 0.14))
    stuff = cloth(stock)
    top = -2 * half[1]
    arm = half[0] * 0.5
    return [
        cushion(half, stuff, (0, -half[1], 0), soft=0.8),
        cushion((half[0] * 0.8, half[1] * 0.5, 0.04), stuff, (0, -half[1] * 0.7, half[2])),
        limb((-arm, top, 0), (-arm * 0.6, top - 0.09, 0), 0.012, stuff),
        limb((arm, top, 0), (arm * 0.6, top - 0.09, 0), 0.012, stuff),
        limb((-arm * 0.6, top - 0.09, 0), (arm * 0.6, top - 0.09, 0), 0.012, stuff),
    ]


def bin_(stock: Stock) -> Thing:
    """A waste bin or bucket."""
    tall = stock.uniform(0.25, 0.7)
    wide = tall * stock.uniform(0.3, 0.5)
    body = plastic(stock) if stock.chance(0.6) else metal(stock)
    return [
        piece(Cone(tall, (wide, wide * 0.8), open=True), body, (0, -tall, 0)),
        rod((0, 0, 0), (0, -0.6 * tall, 0), wide * 0.75, cloth(stock)),
    ]


def toy(stock: Stock) -> Thing:
    """A soft animal: a heap of ellipsoids."""
    size, fur = stock.uniform(0.06, 0.2), cloth(stock)
    things = [
        piece(Ellipsoid((size, size * 1.2, size * 0.9)), fur, (0, -size * 1.1, 0)),
        piece(sphere(size * 0.75), fur, (0, -size * 2.7, 0)),
    ]
    for side in (-1, 1):
        things += [
            piece(sphere(size * 0.28), fur, (side * size * 0.55, -size * 3.35, 0), casts=False),
            limb((side * size, -size * 1.6, 0), (side * size * 1.5, -size, size * 0.6),
                 size * 0.28, fur),
            limb((side * size * 0.5, -size * 0.4, 0), (side * size * 0.8, -size * 0.3, size * 1.3),
                 size * 0.32, fur),
        ]  # fmt: skip
    return things


def cushion_thing(stock: Stock) -> Thing:
    """A cushion that lies or leans."""
    half = stock.uniform(0.17, 0.27)
    return moved(
        [cushion((half, half, 0.08), cloth(stock), (0, 0, 0), soft=0.95)],
        y=-half * 0.85, pitch=stock.uniform(-0.1, 0.5),
    )  # fmt: skip


def _small_plant(stock: Stock) -> Thing:
    return plant(stock, stock.uniform(0.12, 0.45))


def _large_parcel(stock: Stock) -> Thing:
    return parcel(stock, stock.uniform(0.25, 0.6))


SMALL = (bottle, cup, book, book, parcel, ball, bowl_of_fruit, laptop, _small_plant)
FLOOR = (bag, bin_, parcel, ball, book, toy, plant, cushion_thing, _large_parcel, _large_parcel)


def set_out(stock: Stock, half_x: Number, half_z: Number, y: Number, count: int) -> Thing:
    """Small things on a surface of the given half sizes at height y (negative is up)."""
    things: Thing = []
    for _ in range(count):
        make = stock.pick(SMALL)
        x = stock.uniform(-0.9, 0.9) * half_x
        z = stock.uniform(-0.85, 0.85) * half_z
        things += moved(make(stock), x, z, y=y, heading=stock.uniform(0, 6.28))
    return things


def hanging_lamp(stock: Stock, drop: Number, *, lit: bool) -> Thing:
    """A lamp on a cord; its origin is at the ceiling."""
    wide = stock.uniform(0.1, 0.3)
    glow = stock.uniform(2, 8) if lit else 0.0
    shade = stock.material(
        stock.pick(((0.95, 0.93, 0.88), stock.any_colour(), (0.1, 0.1, 0.1))), contrast=0.04,
        cell=0.2, gloss=0.03, glow=0.15 * glow,
    )  # fmt: skip
    bulb = stock.material((1.0, 0.93, 0.8), contrast=0.0, glow=glow)
    things = [rod((0, 0, 0), (0, drop, 0), 0.006, plastic(stock), casts=False)]
    if stock.chance(0.4):
        return [*things, piece(sphere(wide), shade, (0, drop + wide, 0), casts=False)]
    high = wide * stock.uniform(0.5, 1.2)
    return [
        *things,
        piece(Cone(high, (wide * 0.3, wide), open=True), shade, (0, drop, 0), casts=False),
        piece(sphere(0.05), bulb, (0, drop + high * 0.7, 0), casts=False),
    ]
