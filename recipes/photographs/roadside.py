"""What stands beside a road: houses, trees, hedges, fences, poles, signs, bridges."""

import numpy as np

from photographs.finishes import (
    GREENS,
    STONES,
    boards,
    brick,
    facade,
    glass,
    leaf,
    metal,
    painted,
    paper,
    paving,
    plastic,
    wall,
    wood,
)
from photographs.materials import Stock
from photographs.pieces import Thing, box, cushion, limb, moved, piece, rod
from photographs.solids import Leaves, Number
from ssmde.synthetic.bodies import scaled
from ssmde.synthetic.scene import Ellipsoid


def house(stock: Stock, half_x: Number, *, city: bool) -> Thing:
    """A house whose front is at z = 0 and looks along z; the rest is behind it."""
    floors = stock.whole(2, 8) if city else stock.whole(1, 3)
    high = stock.uniform(2.7, 3.6)
    tall = floors * high
    half_z = stock.uniform(4, 8)
    kind = stock.uniform(0, 1)
    front = facade(stock, high) if kind < 0.8 else brick(stock) if kind < 0.9 else painted(stock)
    things = [box((half_x, tall / 2, half_z), front, (0, -tall / 2, -half_z))]
    if kind >= 0.8 or stock.chance(0.4):
        things += _windows(stock, half_x, tall, high)
    trim = painted(stock)
    if city and stock.chance(0.55):
        things += _shop(stock, half_x)
    if stock.chance(0.5):
        for k in range(1, floors + 1):
            if stock.chance(0.6):
                at = (0, -k * high, 0.06)
                things.append(box((half_x, 0.08, 0.1), trim, at))
    if stock.chance(0.5 if city else 0.9):
        tiles = stock.material(
            stock.pick(((0.48, 0.26, 0.2), (0.3, 0.3, 0.32), (0.55, 0.4, 0.32))), contrast=0.2,
            cell=0.5, pattern="blocks", mark=(0.15, 0.12, 0.1), period=(0.3, 0.35),
            duty=(0.06, 0.1), variation=0.25, patch=3.0, share=0.5,
        )  # fmt: skip
        rise = stock.uniform(1.0, 2.8)
        lean = (0.0, 2 * half_z - 0.6) if stock.chance(0.6) else (2 * half_x - 0.6, 0.0)
        top = (0, -tall - rise, -half_z)
        things.append(box((half_x + 0.2, rise, half_z + 0.3), tiles, top, lean=lean))
        chimney = (stock.uniform(-0.5, 0.5) * half_x, -tall - 1.6 * rise, -half_z)
        things.append(box((0.35, 0.9, 0.3), brick(stock), chimney))
    return things


def _windows(stock: Stock, half_x: Number, tall: Number, high: Number) -> Thing:
    """Windows with frames and sills, a door, and sometimes balconies, on the front."""
    pane, frame, rail = glass(stock), painted(stock), metal(stock)
    wide, step = stock.uniform(0.4, 0.8), stock.uniform(1.7, 3.2)
    up, balconies = stock.uniform(0.6, 0.9), stock.chance(0.3)
    things: Thing = []
    count = max(1, int(2 * half_x / step))
    for j in range(max(1, int(tall / high))):
        for i in range(count):
            x, y = (i - (count - 1) / 2) * step, -j * high - 1.6
            things.append(box((wide + 0.08, up + 0.08, 0.03), frame, (x, y, 0.0)))
            things.append(box((wide, up, 0.012), pane, (x, y, 0.025), casts=False))
            things.append(box((wide + 0.12, 0.04, 0.1), frame, (x, y + up + 0.08, 0.05)))
            if balconies and j > 0 and i % 2 == 0:
                things.append(box((wide + 0.4, 0.06, 0.5), frame, (x, y + up + 0.5, 0.5)))
                things.append(box((wide + 0.4, 0.4, 0.015), rail, (x, y + up + 0.05, 1.0)))
    door = (stock.uniform(-0.7, 0.7) * half_x, -1.05, 0.02)
    things.append(box((0.5, 1.05, 0.04), wood(stock), door))
    return things


def _shop(stock: Stock, half_x: Number) -> Thing:
    """A shop front: panes, a sign, sometimes an awning."""
    sign, pane = paper(stock), glass(stock)
    things = [
        box((half_x * 0.96, 1.55, 0.06), plastic(stock), (0, -1.55, 0.0)),
        box((half_x * 0.95, 0.35, 0.15), sign, (0, -3.1, 0.1)),
    ]
    count = stock.whole(2, 6)
    show = paper(stock) if stock.chance(0.5) else pane
    for k in range(count):
        x = half_x * 0.96 * ((2 * k + 1) / count - 1)
        half = (half_x * 0.9 / count, 1.1, 0.02)
        things.append(box(half, show if stock.chance(0.5) else pane, (x, -1.45, 0.06)))
    if stock.chance(0.4):
        cloth = stock.material(
            stock.any_colour(), pattern="stripes", mark=(0.9, 0.9, 0.88), period=(0.4, 1.0),
            duty=(stock.pick((0.0, 0.5)), 0.5),
        )  # fmt: skip
        awning = [box((half_x * 0.9, 0.02, 0.65), cloth, (0, 0, 0.6))]
        things += moved(awning, y=-2.75, pitch=-0.4)
    return things


def tree(stock: Stock, tall: Number | None = None) -> Thing:
    """A tree: a trunk with branches, and a crown of leaves, round, tall, or of a conifer."""
    tall = stock.uniform(3.5, 13) if tall is None else tall
    bark = stock.material(
        stock.pick(((0.32, 0.26, 0.2), (0.45, 0.4, 0.34), (0.25, 0.2, 0.16))), contrast=0.35,
        cell=0.1, stretch=(1.0, 5.0, 1.0), patch=0.6,
    )  # fmt: skip
    tone = stock.colour(GREENS)
    green = [leaf(stock, scaled(tone, k), cell=0.05 * tall) for k in (0.8, 1.1)]
    girth = tall * stock.uniform(0.012, 0.03)
    place, gaps = stock.uniform(0, 30), stock.uniform(-0.25, 0.15)
    trunk = tall * stock.uniform(0.2, 0.45)
    lean = (stock.normal(0, 0.03) * tall, stock.normal(0, 0.03) * tall)
    top = (lean[0], -0.8 * tall, lean[1])
    things = [rod((0, 0.1, 0), top, girth * 1.2, bark, end_radius=girth * 0.4)]
    cell = max(0.12, 0.05 * tall)
    if stock.chance(0.2):
        for k in range(4):
            wide = 0.24 * tall * (1 - 0.22 * k)
            y = -trunk * 0.6 - (k + 0.5) * (tall - 0.6 * trunk) / 4
            shape = Leaves((wide, 0.17 * tall, wide), cell, place + k, gaps)
            things.append(piece(shape, green[k % 2], (0, y, 0)))
        return things
    for k in range(stock.whole(2, 5)):
        wide = tall * stock.uniform(0.16, 0.28)
        x, z = stock.normal(lean[0], 0.12 * tall), stock.normal(lean[1], 0.12 * tall)
        y = -trunk - stock.uniform(0.25, 0.75) * (tall - trunk)
        shape = Leaves((wide, wide * stock.uniform(0.7, 1.0), wide), cell, place + 3 * k, gaps)
        things.append(piece(shape, green[k % 2], (x, y, z)))
        things.append(limb((0.3 * lean[0], -trunk * 0.9, 0.3 * lean[1]), (x, y, z), girth * 0.4,
                           bark))  # fmt: skip
    return things


def bush(stock: Stock, wide: Number | None = None) -> Thing:
    """A bush."""
    wide = stock.uniform(0.3, 1.4) if wide is None else wide
    shape = Leaves(
        (wide, wide * stock.uniform(0.6, 1.1), wide), 0.14 * wide + 0.04, stock.uniform(0, 30),
        stock.uniform(-0.3, 0.1),
    )  # fmt: skip
    return [piece(shape, leaf(stock, cell=0.1 * wide), (0, -0.5 * wide, 0))]


def hedge(stock: Stock, half: Number) -> Thing:
    """A hedge along x: a box with leaves growing out of it."""
    tall, deep = stock.uniform(0.7, 2.2), stock.uniform(0.3, 0.5)
    green = leaf(stock, cell=0.15)
    things = [box((half, tall / 2, deep), green, (0, -tall / 2, 0))]
    count = max(2, int(half / 0.7))
    for k in range(count):
        x = half * ((2 * k + 1) / count - 1)
        shape = Leaves((half / count * 1.3, tall * 0.55, deep * 1.3), 0.14, 3.0 * k, 0.0)
        things.append(piece(shape, green, (x, -tall * 0.55, 0)))
    return things


def fence(stock: Stock, half: Number) -> Thing:
    """A fence, railing, guard rail or wall along x."""
    kind, things = stock.whole(0, 4), Thing()
    if kind == 0:
        tall = stock.uniform(0.6, 2.4)
        stone = stock.pick((brick, wall, paving))(stock)
        return [
            box((half, tall / 2, 0.12), stone, (0, -tall / 2, 0)),
            box((half, 0.05, 0.17), painted(stock, stock.colour(STONES)), (0, -tall, 0)),
        ]
    if kind == 1:
        steel = metal(stock, (0.6, 0.61, 0.62))
        things = [box((half, 0.06, 0.02), steel, (0, -y, 0.03 * s))
                  for y, s in ((0.72, 1), (0.62, 0), (0.52, 1))]  # fmt: skip
        step, tall, thick = 2.0, 0.75, 0.05
    elif kind == 2:
        stuff = boards(stock, stock.colour(((0.5, 0.38, 0.28), (0.85, 0.85, 0.82))))
        tall = stock.uniform(0.9, 1.9)
        things = [box((half, tall / 2, 0.02), stuff, (0, -tall / 2 - 0.05, 0))]
        steel, step, thick = stuff, 2.4, 0.05
    else:
        steel = metal(stock, stock.pick(((0.1, 0.1, 0.1), (0.2, 0.32, 0.22), (0.75, 0.75, 0.74))))
        tall = stock.uniform(0.8, 1.6)
        things = [box((half, 0.02, 0.02), steel, (0, -y, 0)) for y in (0.12, tall)]
        step, thick = max(0.13, half / 40), 0.009
    count = max(1, int(2 * half / step))
    for k in range(count + 1):
        x = -half + 2 * half * k / count
        things.append(box((thick, tall / 2, thick), steel, (x, -tall / 2, 0)))
    return things


def lamp_post(stock: Stock) -> Thing:
    """A street lamp; its arm reaches along z."""
    iron, tall = (
        metal(stock, stock.colour(((0.3, 0.31, 0.32), (0.6, 0.61, 0.62)))),
        stock.uniform(3.5, 9),
    )
    arm = stock.uniform(0.0, 2.2)
    glow = stock.material((0.95, 0.92, 0.8), glow=stock.pick((0.0, 0.0, 5.0)))
    return [
        rod((0, 0, 0), (0, -tall, 0), 0.09, iron, end_radius=0.05),
        limb((0, -tall, 0), (0, -tall - 0.3, arm), 0.04, iron),
        cushion((0.12, 0.06, 0.3), iron, (0, -tall - 0.32, arm + 0.2), soft=0.9),
        box((0.08, 0.02, 0.2), glow, (0, -tall - 0.25, arm + 0.2), casts=False),
    ]


def pole(stock: Stock) -> Thing:
    """A traffic sign, a traffic light, a bollard, or a plain pole; it faces along z."""
    iron = metal(stock)
    kind = stock.whole(0, 5)
    if kind == 0:
        tall = stock.uniform(0.6, 1.1)
        return [rod((0, 0, 0), (0, -tall, 0), stock.uniform(0.04, 0.12), plastic(stock))]
    tall = stock.uniform(2.2, 3.4)
    things = [rod((0, 0, 0), (0, -tall, 0), stock.uniform(0.03, 0.06), iron)]
    if kind == 1:
        box_ = plastic(stock, (0.07, 0.08, 0.07))
        things.append(box((0.15, 0.45, 0.12), box_, (0, -tall + 0.2, 0.1)))
        lit = stock.whole(0, 2)
        for k, tone in enumerate(((0.8, 0.06, 0.05), (0.85, 0.6, 0.05), (0.1, 0.7, 0.3))):
            lens = stock.material(scaled(tone, 1.0 if k == lit else 0.25),
                                  glow=4.0 if k == lit else 0.0)  # fmt: skip
            at = (0, -tall - 0.08 + 0.28 * k, 0.2)
            things.append(rod(at, (0, at[1], 0.24), 0.1, lens, casts=False))
        return things
    if kind <= 4:
        face, edge = (
            paper(stock),
            plastic(stock, stock.pick(((0.75, 0.08, 0.08), (0.1, 0.25, 0.6)))),
        )
        y = -tall + 0.1
        if stock.chance(0.5):
            r = stock.uniform(0.28, 0.42)
            things.append(rod((0, y, 0.06), (0, y, 0.08), r, edge))
            things.append(rod((0, y, 0.06), (0, y, 0.085), 0.75 * r, face, casts=False))
        else:
            half = (stock.uniform(0.2, 0.8), stock.uniform(0.2, 0.5), 0.012)
            things.append(box(half, face, (0, y, 0.07)))
    return things


def gantry(stock: Stock, half: Number) -> Thing:
    """A bridge across the road, or a frame with signs, at z = 0."""
    stone = stock.material(
        stock.colour(STONES), contrast=0.15, cell=1.0, patch=3.0, stretch=(1, 3, 1)
    )
    y = -stock.uniform(4.8, 6.5)
    if stock.chance(0.6):
        deep = stock.uniform(2, 6)
        things = [
            box((half * 2.5, 0.5, deep), stone, (0, y - 0.5, 0)),
            box((half * 2.5, 0.45, 0.1), metal(stock), (0, y - 1.4, -deep)),
        ]
        for x in (-half - 0.6, half + 0.6):
            things.append(box((0.6, -y / 2, deep * 0.8), stone, (x, y / 2, 0)))
        return things
    iron = metal(stock, (0.6, 0.61, 0.62))
    things = [rod((x, 0, 0), (x, y, 0), 0.15, iron) for x in (-half, half)]
    things += [rod((-half, y - k, 0), (half, y - k, 0), 0.08, iron) for k in (0, 1)]
    for _ in range(stock.whole(1, 3)):
        sign = plastic(stock, stock.pick(((0.05, 0.35, 0.2), (0.08, 0.2, 0.5))))
        at = (stock.uniform(-0.7, 0.7) * half, y - 0.5, -0.15)
        wide = (stock.uniform(1, 2.2), stock.uniform(0.6, 1.1), 0.04)
        things.append(box(wide, sign, at))
        bar = (wide[0] * 0.8, wide[1] * 0.15, 0.045)
        things.append(box(bar, painted(stock, (0.9, 0.9, 0.9)), at, casts=False))
    return things


def cables(stock: Stock, along: Number) -> Thing:
    """Poles along z with wires between them."""
    stuff, tall = wood(stock), stock.uniform(6, 9)
    dark = plastic(stock, (0.05, 0.05, 0.05))
    step = stock.uniform(20, 35)
    places = np.arange(-10, along, step)
    things: Thing = []
    for z in places.tolist():
        things.append(rod((0, 0, z), (0, -tall, z), 0.13, stuff, end_radius=0.1))
        things.append(box((0.9, 0.06, 0.06), stuff, (0, -tall + 0.5, z)))
        for x in (-0.8, 0.8):
            middle = (x, -tall + 1.1, z + step / 2)
            for end in (z, z + step):
                things.append(rod((x, -tall + 0.4, end), middle, 0.02, dark, casts=False))
    return things


def bench(stock: Stock) -> Thing:
    """A bench; one sits looking along z."""
    stuff, iron = wood(stock), metal(stock)
    things = [box((0.8, 0.02, 0.07), stuff, (0, -0.45, z)) for z in (-0.16, 0.0, 0.16)]
    things += [box((0.8, 0.06, 0.015), stuff, (0, -0.62 - 0.15 * k, -0.24)) for k in range(2)]
    for x in (-0.65, 0.65):
        things += [rod((x, 0, 0.18), (x, -0.45, 0.18), 0.025, iron),
                   rod((x, 0, -0.2), (x, -0.82, -0.26), 0.025, iron)]  # fmt: skip
    return things


def shelter(stock: Stock) -> Thing:
    """A bus stop with its roof and a poster."""
    iron, pane = metal(stock), glass(stock)
    things = [rod((x, 0, z), (x, -2.4, z), 0.04, iron) for x in (-1.6, 1.6) for z in (-0.6, 0.6)]
    things += [
        box((1.8, 0.06, 0.8), iron, (0, -2.45, 0)),
        box((1.6, 0.95, 0.01), pane, (0, -1.3, -0.6)),
        box((0.02, 0.9, 0.55), paper(stock), (1.6, -1.3, 0)),
        box((0.9, 0.03, 0.18), iron, (-0.3, -0.48, -0.35)),
    ]
    return things


def street_thing(stock: Stock) -> Thing:
    """One of the small things on pavements: bins, boxes, cones, benches, stones."""
    kind = stock.whole(0, 6)
    if kind == 0:
        return bench(stock)
    if kind == 1:
        half = (stock.uniform(0.25, 0.7), stock.uniform(0.4, 0.65), stock.uniform(0.25, 0.5))
        lid = cushion((half[0] * 1.03, 0.06, half[2] * 1.03), plastic(stock), (0, -2 * half[1], 0))
        return [box(half, plastic(stock), (0, -half[1], 0), lean=(-0.08, -0.08)), lid]
    if kind == 2:
        orange = stock.material(
            (0.85, 0.3, 0.08), pattern="blocks", mark=(0.9, 0.9, 0.9), period=(9, 0.3),
            duty=(0.0, 0.35),
        )  # fmt: skip
        return [rod((0, -0.03, 0), (0, -0.7, 0), 0.15, orange, end_radius=0.03),
                box((0.2, 0.02, 0.2), orange, (0, -0.02, 0))]  # fmt: skip
    if kind == 3:
        half = (stock.uniform(0.3, 0.6), stock.uniform(0.4, 0.8), stock.uniform(0.2, 0.3))
        return [box(half, painted(stock), (0, -half[1], 0))]
    if kind == 4:
        size = stock.uniform(0.2, 0.7)
        stone = stock.material(stock.colour(STONES), contrast=0.3, cell=0.3, patch=0.8)
        return [piece(Ellipsoid((size, size * 0.7, size * 0.8)), stone, (0, -size * 0.4, 0))]
    if kind == 5:
        return bush(stock)
    pot = plastic(stock, stock.colour(STONES))
    return [rod((0, 0, 0), (0, -0.5, 0), 0.4, pot, end_radius=0.5),
            *moved(bush(stock, 0.5), y=-0.5)]  # fmt: skip
