"""Shells of rooms: walls with doors and windows in them, floor, ceiling, and a room behind a door.

A wall runs along x from 0 to its length, with the room on its +z side; `Wall.place` puts things
that are given in this frame into the world.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from photographs.finishes import (
    cloth,
    floor,
    metal,
    painted,
    paper,
    plastic,
    wall,
    wood,
)
from photographs.light import Lamp
from photographs.materials import Material, Stock
from photographs.pieces import Thing, box, moved, rod, turned
from photographs.solids import Number
from ssmde.synthetic.bodies import scaled

THICK = 0.14  # metres of a wall


@dataclass(frozen=True, kw_only=True, slots=True)
class Opening:
    """A hole in a wall: a window when its sill is above the floor."""

    middle: Number
    half: Number
    sill: Number
    top: Number
    """Height of its upper edge."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wall:
    """Where a wall stands."""

    x: Number
    z: Number
    heading: Number
    length: Number
    openings: tuple[Opening, ...] = ()

    def place(self, thing: Thing, along: Number, out: Number, y: Number = 0.0) -> Thing:
        """Put a thing `out` metres before the wall, its back to it."""
        at = self.point(along, out)
        return moved(thing, float(at[0]), float(at[2]), y=y, heading=self.heading)

    def point(self, along: Number, out: Number, y: Number = 0.0) -> Float64[ndarray, " 3"]:
        """A point in the world."""
        local = turned(self.heading) @ np.array([along, y, out])
        return local + np.array([self.x, 0.0, self.z])


@dataclass(kw_only=True, slots=True)
class Shell:
    """A room without furniture."""

    half: tuple[Number, Number]
    """Half sizes along x and z; the room's middle is the origin."""
    tall: Number
    walls: list[Wall]
    things: Thing
    lamps: list[Lamp]
    doors: list[tuple[Wall, Opening]]


def shell(stock: Stock, half: tuple[Number, Number], tall: Number, *, day: bool) -> Shell:
    """Floor, ceiling and four walls with doors and windows around the origin.

    Args:
        stock: Random numbers and materials.
        half: Half sizes along x and z.
        tall: Height.
        day: Whether light comes in through the windows.
    """
    x, z = half
    places = [(-x, -z, 0.0, 2 * x), (x, -z, -np.pi / 2, 2 * z), (x, z, np.pi, 2 * x),
              (-x, z, np.pi / 2, 2 * z)]  # fmt: skip
    made = Shell(half=half, tall=tall, walls=[], things=[], lamps=[], doors=[])
    finish = wall(stock)
    made.things += _flats(stock, half, tall)
    windows = stock.whole(0, 3)
    skirting = (painted(stock) if stock.chance(0.5) else wood(stock), stock.uniform(0.03, 0.08))
    for px, pz, heading, length in places:
        own = finish if stock.chance(0.75) else wall(stock)
        holes: list[Opening] = []
        if stock.chance(0.45):
            holes.append(_door_hole(stock, length, tall))
        if windows and stock.chance(0.6):
            holes += _window_holes(stock, length, tall, holes)
            windows -= 1
        placed = Wall(x=px, z=pz, heading=heading, length=length, openings=tuple(holes))
        made.walls.append(placed)
        made.things += placed.place(_panels(stock, placed, tall, own, skirting), 0.0, 0.0)
        for hole in holes:
            if hole.sill > 0.05:
                _window(stock, made, placed, hole, day=day)
            else:
                _door(stock, made, placed, hole)
    return made


def _flats(stock: Stock, half: tuple[Number, Number], tall: Number) -> Thing:
    """Floor and ceiling."""
    x, z = half[0] + THICK, half[1] + THICK
    tone = (0.9, 0.9, 0.88) if stock.chance(0.8) else (0.75, 0.68, 0.58)
    if stock.chance(0.25):
        top = stock.material(
            tone, contrast=0.06, cell=0.05, pattern="blocks", mark=scaled(tone, 0.7),
            period=(0.6, stock.pick((0.6, 1.2))), duty=(0.03, 0.03), variation=0.04,
        )  # fmt: skip
    else:
        top = painted(stock, tone)
    things = [
        box((x, 0.1, z), floor(stock), (0, 0.1, 0), casts=False),
        box((x, 0.1, z), top, (0, -tall - 0.1, 0)),
    ]
    if stock.chance(0.12):
        beam = wood(stock)
        for k in range(-3, 4):
            things.append(box((0.08, 0.1, z), beam, (k * x / 3.5, -tall + 0.1, 0)))
    return things


def _door_hole(stock: Stock, length: Number, tall: Number) -> Opening:
    half = stock.pick((0.42, 0.45, 0.48, 0.9))
    half = min(half, length / 2 - 0.2)
    middle = stock.uniform(half + 0.1, length - half - 0.1)
    return Opening(middle=middle, half=half, sill=0.0, top=min(tall - 0.1, stock.uniform(2, 2.2)))


def _window_holes(
    stock: Stock, length: Number, tall: Number, taken: list[Opening]
) -> list[Opening]:
    """One to three windows of the same size, where no door is."""
    half, sill = stock.uniform(0.35, 1.1), stock.pick((0.12, 0.8, 0.9, 1.0, 1.3))
    top = min(tall - 0.15, stock.uniform(1.95, 2.5))
    if top - sill < 0.4:
        sill = top - 0.6
    holes: list[Opening] = []
    count = stock.whole(1, 3)
    for k in range(count):
        middle = length * (k + 0.5) / count
        free = all(abs(middle - o.middle) > half + o.half + 0.15 for o in [*taken, *holes])
        if free and half + 0.1 < middle < length - half - 0.1:
            holes.append(Opening(middle=middle, half=half, sill=sill, top=top))
    return holes


def _panels(
    stock: Stock, own: Wall, tall: Number, finish: Material, skirting: tuple[Material, float]
) -> Thing:
    """The wall itself around its openings."""
    things: Thing = []
    board, low = skirting
    rail = stock.uniform(0.8, 1.2) if stock.chance(0.12) else 0.0
    wainscot = wall(stock) if stock.chance(0.5) else wood(stock)

    def slab(left: Number, right: Number, bottom: Number, top: Number, *, foot: bool) -> None:
        if right - left < 1e-3 or top - bottom < 1e-3:
            return
        half = ((right - left) / 2, (top - bottom) / 2, THICK / 2)
        middle = (left + right) / 2
        things.append(box(half, finish, (middle, -(top + bottom) / 2, -THICK / 2)))
        if foot and low > 0.035:
            things.append(box((half[0], low, 0.008), board, (middle, -low, 0.0), casts=False))
        if foot and rail:
            things.append(box((half[0], rail / 2, 0.006), wainscot, (middle, -rail / 2, 0.0)))
            things.append(box((half[0], 0.03, 0.015), board, (middle, -rail, 0.0)))

    left = -THICK
    for hole in sorted(own.openings, key=lambda o: o.middle):
        slab(left, hole.middle - hole.half, 0.0, tall, foot=True)
        ends = hole.middle - hole.half, hole.middle + hole.half
        slab(*ends, hole.top, tall, foot=False)
        slab(*ends, 0.0, hole.sill, foot=hole.sill > rail)
        left = ends[1]
    slab(left, own.length + THICK, 0.0, tall, foot=True)
    return things


def _frame(material: Material, hole: Opening, wide: Number, deep: Number) -> Thing:
    """Boards around an opening, in the frame of the wall."""
    y = -(hole.top + hole.sill) / 2
    tall = (hole.top - hole.sill) / 2
    things = [
        box((wide, tall + wide, deep), material, (hole.middle + s * hole.half, y, -THICK / 2))
        for s in (-1, 1)
    ]
    ends = (hole.top, hole.sill) if hole.sill > 0.05 else (hole.top,)
    for height in ends:
        at = (hole.middle, -height, -THICK / 2)
        things.append(box((hole.half + wide, wide, deep), material, at))
    return things


def _window(stock: Stock, made: Shell, own: Wall, hole: Opening, *, day: bool) -> None:
    """Frame, bars, pane, sill, and blinds or curtains; by day it gives light."""
    frame = painted(stock, stock.pick(((0.92, 0.92, 0.91), (0.3, 0.22, 0.17), (0.2, 0.2, 0.21))))
    things = _frame(frame, hole, 0.03, THICK / 2 + 0.015)
    y, tall = -(hole.top + hole.sill) / 2, (hole.top - hole.sill) / 2
    for k in range(1, stock.whole(1, 3)):
        at = (hole.middle + hole.half * (2 * k / stock.pick((2, 3)) - 1), y, -0.09)
        things.append(box((0.025, tall, 0.02), frame, at))
    if stock.chance(0.3):
        things.append(box((hole.half, 0.02, 0.02), frame, (hole.middle, y, -0.09)))
    bright = stock.uniform(4.0, 14.0) if day else 0.02
    tint = (0.8, 0.9, 1.0) if day else (0.1, 0.13, 0.2)
    pane = stock.material(
        tint, contrast=stock.uniform(0.05, 0.4), cell=stock.uniform(0.2, 1.0), glow=bright,
        gloss=0.1, patch=3.0, share=1.5, even=False,
    )  # fmt: skip
    things.append(box((hole.half, tall, 0.005), pane, (hole.middle, y, -0.1), casts=False))
    if hole.sill > 0.3:
        things.append(
            box((hole.half + 0.05, 0.015, 0.08), frame, (hole.middle, -hole.sill + 0.01, 0.06))
        )
    things += _before_window(stock, hole, y, tall)
    made.things += own.place(things, 0.0, 0.0)
    if day:
        turn = turned(own.heading)
        spread = np.stack([turn @ [hole.half, 0, 0], np.array([0, tall, 0]), np.zeros(3)])
        strength = 0.5 * bright * hole.half * tall * np.array([0.92, 1.0, 1.1])
        made.lamps.append(Lamp(
            at=own.point(hole.middle, 0.02, y), colour=strength, spread=spread,
            facing=turn @ np.array([0.0, 0.0, 1.0]),
        ))  # fmt: skip


def _before_window(stock: Stock, hole: Opening, y: Number, tall: Number) -> Thing:
    """Blinds, curtains, or nothing."""
    kind, stuff = stock.whole(0, 5), cloth(stock)
    things: Thing = []
    if kind == 0:
        slats, share = painted(stock), stock.uniform(0.3, 1.0)
        count = int(2 * tall * share / 0.06)
        for k in range(count):
            at = (hole.middle, -hole.top + 0.06 * k + 0.03, 0.02)
            things.append(box((hole.half, 0.012, 0.012), slats, at))
    elif kind <= 3:
        reach = stock.uniform(0.1, 0.5)
        bottom = 0.03 if stock.chance(0.6) else max(hole.sill - 0.15, 0.03)
        for side in (-1, 1):
            count = max(2, round((reach + 0.15) / 0.09))
            for k in range(count):
                x = hole.middle + side * (hole.half + 0.12 - k * 0.09)
                top = (x, -hole.top - 0.12, 0.09)
                foot = (x + stock.normal(0, 0.01), -bottom, 0.09 + stock.normal(0, 0.01))
                things.append(rod(top, foot, 0.05, stuff))
        rail = metal(stock)
        ends = [(hole.middle + s * (hole.half + 0.3), -hole.top - 0.12, 0.09) for s in (-1, 1)]
        things.append(rod(ends[0], ends[1], 0.014, rail))
    return things


def _door(stock: Stock, made: Shell, own: Wall, hole: Opening) -> None:
    """A frame, and a door that is shut, or ajar with a room behind."""
    frame = painted(stock) if stock.chance(0.6) else wood(stock)
    things = _frame(frame, hole, 0.045, THICK / 2 + 0.015)
    panel = frame if stock.chance(0.7) else painted(stock)
    steel, tall = metal(stock), hole.top / 2
    wide = min(hole.half, 0.5)
    leaf = [
        box((wide - 0.01, tall - 0.01, 0.02), panel, (wide, -tall, 0)),
        box((0.05, 0.01, 0.05), steel, (2 * wide - 0.09, -1.02, 0)),
    ]
    if stock.chance(0.6):
        inner = scaled(panel.base, stock.uniform(0.8, 1.05))
        part = painted(stock, inner)
        for y in (0.28, 0.72):
            at = (wide, -2 * tall * y, 0)
            leaf.append(box((wide * 0.68, tall * 0.32, 0.026), part, at, casts=False))
    if hole.half > 0.6 or stock.chance(0.5):
        made.doors.append((own, hole))
        if stock.chance(0.6):
            angle = stock.uniform(1.2, 2.6) * stock.pick((1, -1))
            things += moved(leaf, hole.middle - hole.half, 0.0, heading=angle)
    else:
        things += moved(leaf, hole.middle - hole.half, -0.08)
        if hole.half > 0.5:
            things += moved(leaf, hole.middle + hole.half, -0.08, heading=np.pi)
    made.things += own.place(things, 0.0, 0.0)


def behind(stock: Stock, own: Wall, hole: Opening, tall: Number) -> tuple[Thing, Lamp]:
    """An empty room behind an open door, and its lamp: its middle is `hole`."""
    half_x, half_z = stock.uniform(1.0, 2.5), stock.uniform(0.6, 2.5)
    finish = wall(stock)
    out = -THICK - half_z - 0.001
    flat = box((half_x, 0.1, half_z + THICK), floor(stock), (0, 0.1, THICK), casts=False)
    y = -tall / 2
    things = [
        flat,
        box((half_x, 0.1, half_z), painted(stock), (0, -tall - 0.1, 0)),
        box((half_x, tall / 2, 0.05), finish, (0, y, -half_z - 0.05)),
        box((0.05, tall / 2, half_z), finish, (-half_x - 0.05, y, 0)),
        box((0.05, tall / 2, half_z), finish, (half_x + 0.05, y, 0)),
    ]
    if stock.chance(0.5):
        at = (stock.uniform(-0.5, 0.5), -1.5, -half_z + 0.01)
        things.append(box((0.3, 0.4, 0.01), paper(stock, (0.6, 0.8)), at))
    strength = stock.uniform(1.0, 5.0) * np.array([1.0, 0.93, 0.82])
    at = own.point(hole.middle, out, -tall + 0.3)
    lamp = Lamp(at=at, colour=strength, spread=0.1 * np.eye(3), shadows=True)
    return own.place(things, hole.middle, out), lamp


def on_wall(stock: Stock, own: Wall, tall: Number, taken: list[tuple[Number, Number]]) -> Thing:
    """Pictures, clocks, boards, shelves, coats, switches on a wall, where nothing is yet."""
    things: Thing = []
    for _ in range(stock.whole(0, 5)):
        half_x, half_y = stock.uniform(0.08, 0.6), stock.uniform(0.1, 0.45)
        x, y = stock.uniform(0.3, max(0.31, own.length - 0.3)), stock.uniform(1.25, 1.9)
        if y + half_y > tall or any(low - half_x < x < high + half_x for low, high in taken):
            continue
        taken.append((x - half_x - 0.05, x + half_x + 0.05))
        frame = wood(stock) if stock.chance(0.5) else plastic(stock)
        deep = stock.uniform(0.005, 0.02)
        edge = stock.uniform(0.0, 0.05)
        things += [
            box((half_x, half_y, deep), frame, (x, -y, deep)),
            box(
                (half_x - edge, half_y - edge, 0.003),
                paper(stock, (2 * half_x, 2 * half_y)),
                (x, -y, 2 * deep),
            ),
        ]
    if stock.chance(0.5):
        x = stock.uniform(0.2, own.length - 0.2)
        things.append(
            box((0.04, 0.04, 0.006), plastic(stock, (0.92, 0.92, 0.9)), (x, -1.1, 0), casts=False)
        )
    return things
