"""Furniture: each stands on y = 0 around the origin, its front along z, its back along -z."""

from typing import NamedTuple

from photographs.clutter import (
    book,
    cup,
    cushion_thing,
    laptop,
    monitor,
    parcel,
    plant,
    set_out,
)
from photographs.finishes import (
    WOODS,
    cloth,
    metal,
    painted,
    paper,
    plastic,
    screen,
    wood,
)
from photographs.materials import Material, Stock
from photographs.pieces import Thing, box, cushion, moved, piece, rod
from photographs.solids import Cone, Number
from ssmde.synthetic.bodies import scaled


class Furniture(NamedTuple):
    """A piece of furniture and the floor it needs."""

    thing: Thing
    half_x: Number
    half_z: Number
    tall: Number
    """Height of the surface one would look at, in metres."""


def table(stock: Stock, half_x: Number, half_z: Number, tall: Number, things: int) -> Furniture:
    """A table with legs and things on it; sometimes round."""
    top, thick = wood(stock) if stock.chance(0.7) else painted(stock), stock.uniform(0.01, 0.03)
    legs = top if stock.chance(0.5) else metal(stock)
    if abs(half_x - half_z) < 0.1 and stock.chance(0.6):
        thing = [
            rod((0, -tall + 2 * thick, 0), (0, -tall, 0), half_x, top),
            rod((0, 0, 0), (0, -tall, 0), 0.04, legs),
            rod((0, 0, 0), (0, -0.03, 0), 0.6 * half_x, legs, end_radius=0.5 * half_x),
        ]
        return Furniture([*thing, *set_out(stock, 0.65 * half_x, 0.65 * half_x, -tall, things)],
                         half_x, half_x, tall)  # fmt: skip
    thing = [box((half_x, thick, half_z), top, (0, -tall + thick, 0))]
    wide = stock.uniform(0.015, 0.04)
    inset = stock.uniform(0.0, 0.1)
    for x in (-1, 1):
        for z in (-1, 1):
            at = (x * (half_x - wide - inset), z * (half_z - wide - inset))
            foot = (at[0] * stock.pick((1.0, 1.0, 1.06)), 0.0, at[1])
            if stock.chance(0.5):
                thing.append(box((wide, tall / 2 - thick, wide), legs, (at[0], -tall / 2, at[1])))
            else:
                thing.append(rod(foot, (at[0], -tall + thick, at[1]), wide * 0.8, legs))
    if stock.chance(0.4):
        thing.append(box((half_x - 0.05, 0.04, half_z - 0.05), legs, (0, -tall + 0.05, 0)))
    if stock.chance(0.15):
        over = cloth(stock)
        thing.append(box((half_x + 0.01, 0.1, half_z + 0.01), over, (0, -tall + 0.095, 0)))
    return Furniture([*thing, *set_out(stock, half_x, half_z, -tall, things)], half_x, half_z, tall)


def chair(stock: Stock, look: tuple[Material, Material] | None = None) -> Furniture:
    """A chair with four legs, or one that turns on castors; it looks along z."""
    frame, seat = look or chair_look(stock)
    half, tall = stock.uniform(0.19, 0.25), stock.uniform(0.42, 0.5)
    back = stock.uniform(0.8, 1.05)
    if stock.chance(0.3):
        return _office_chair(stock, frame, seat)
    thing = [cushion((half, 0.03, half), seat, (0, -tall, 0))]
    for x in (-1, 1):
        side = x * (half - 0.02)
        rear = (side, -back, -half - stock.uniform(0.0, 0.08))
        thing.append(rod((side * 1.05, 0, half - 0.02), (side, -tall, half - 0.03), 0.016, frame))
        thing.append(rod((side * 1.05, 0, -half - 0.02), (side, -tall, -half + 0.02), 0.016, frame))
        thing.append(rod((side, -tall, -half + 0.02), rear, 0.015, frame))
        if stock.chance(0.3):
            thing.append(box((0.02, 0.012, half * 0.8), frame, (x * half, -tall - 0.2, 0)))
    if stock.chance(0.5):
        for y in (0.35, 0.65, 0.95):
            at = (0, -tall - y * (back - tall), -half - 0.02)
            thing.append(box((half - 0.02, 0.03, 0.01), frame, at))
    else:
        middle = (0, -(tall + 0.62 * (back - tall)), -half - 0.02)
        thing.append(cushion((half, 0.36 * (back - tall), 0.02), seat, middle))
    return Furniture(thing, half, half, tall)


def chair_look(stock: Stock) -> tuple[Material, Material]:
    """Frame and seat of chairs that belong together."""
    frame = wood(stock) if stock.chance(0.5) else metal(stock)
    return frame, stock.pick((cloth(stock), plastic(stock), frame))


def _office_chair(stock: Stock, frame: Material, seat: Material) -> Furniture:
    tall = stock.uniform(0.45, 0.55)
    thing = [
        cushion((0.25, 0.05, 0.25), seat, (0, -tall, 0)),
        cushion((0.23, stock.uniform(0.2, 0.35), 0.05), seat, (0, -tall - 0.4, -0.25)),
        rod((0, -0.1, 0), (0, -tall, 0), 0.03, frame),
    ]
    for k in range(5):
        arm = moved([rod((0, -0.1, 0), (0, -0.05, 0.3), 0.02, frame)], heading=k * 1.257)
        thing += arm
        thing += moved([rod((0, 0, 0.3), (0, -0.05, 0.3), 0.03, frame)], heading=k * 1.257)
    if stock.chance(0.6):
        for x in (-0.28, 0.28):
            thing.append(box((0.025, 0.015, 0.13), frame, (x, -tall - 0.2, 0)))
            thing.append(box((0.015, 0.1, 0.02), frame, (x, -tall - 0.1, 0)))
    return Furniture(moved(thing, heading=stock.uniform(-0.6, 0.6)), 0.3, 0.3, tall)


def sofa(stock: Stock, seats: int | None = None) -> Furniture:
    """A sofa or an armchair with cushions."""
    seats = stock.whole(1, 3) if seats is None else seats
    half_x, half_z = 0.32 * seats + 0.15, stock.uniform(0.38, 0.48)
    seat, back, stuff = stock.uniform(0.38, 0.46), stock.uniform(0.7, 0.95), cloth(stock)
    arm = stock.uniform(0.06, 0.13)
    thing = [cushion((half_x, 0.13, half_z), stuff, (0, -0.2, 0), soft=0.4)]
    for k in range(seats):
        x = (k - (seats - 1) / 2) * 0.64
        thing.append(cushion((0.31, 0.08, half_z - 0.1), stuff, (x, -seat + 0.08, 0.08), soft=0.8))
        thing.append(
            cushion((0.31, (back - seat) / 2, 0.1), stuff,
                    (x, -(back + seat) / 2, -half_z + 0.18), soft=0.8)
        )  # fmt: skip
        if stock.chance(0.5):
            pillow = cushion_thing(stock)
            thing += moved(pillow, x + stock.normal(0, 0.1), -half_z + 0.34, y=-seat)
    thing.append(
        cushion((half_x, back / 2 - 0.05, 0.09), stuff, (0, -back / 2 - 0.02, -half_z + 0.08))
    )
    for side in (-1, 1):
        at = (side * (half_x + arm - 0.06), -0.33, 0)
        thing.append(cushion((arm, 0.27, half_z), stuff, at))
    return Furniture(thing, half_x + 2 * arm, half_z, seat)


def _sheet(stock: Stock) -> Material:
    return cloth(stock, (0.9, 0.9, 0.88)) if stock.chance(0.5) else cloth(stock)


def bed(stock: Stock) -> Furniture:
    """A bed with its head along -z, pillows and a blanket."""
    half_x, half_z, high = stock.pick((0.5, 0.7, 0.9)), 1.02, stock.uniform(0.35, 0.55)
    frame, sheet, cover = wood(stock), _sheet(stock), cloth(stock)
    thing = [
        box((half_x, 0.12, half_z), frame, (0, -0.2, 0)),
        cushion((half_x - 0.02, 0.12, half_z - 0.03), sheet, (0, -high + 0.1, 0)),
        box((half_x, stock.uniform(0.35, 0.6), 0.03), frame, (0, -0.5, -half_z)),
    ]
    for x in (-1, 1):
        thing += [box((0.04, 0.1, 0.04), frame, (x * (half_x - 0.05), -0.1, z))
                  for z in (-half_z + 0.06, half_z - 0.06)]  # fmt: skip
    fold = stock.uniform(-0.5, 0.2)
    length = (half_z - fold) / 2
    thing.append(
        cushion((half_x + 0.03, 0.1, length), cover, (0, -high + 0.04, fold + length), soft=0.9)
    )
    for x in [0.0] if half_x < 0.6 else [-half_x / 2, half_x / 2]:
        pillow = cushion((0.3, 0.09, 0.2), cloth(stock, (0.9, 0.89, 0.86)), (0, 0, 0), soft=0.95)
        thing += moved([pillow], x + stock.normal(0, 0.04), -half_z + 0.27, y=-high - 0.06,
                       heading=stock.normal(0, 0.2), pitch=stock.uniform(-0.4, 0))  # fmt: skip
    for _ in range(stock.whole(0, 3)):
        pile = stock.pick((book, parcel, cushion_thing, laptop))(stock)
        thing += moved(pile, stock.uniform(-0.3, 0.3), stock.uniform(-0.2, 0.8), y=-high - 0.06,
                       heading=stock.uniform(0, 6))  # fmt: skip
    return Furniture(thing, half_x, half_z, high)


def cupboard(stock: Stock, half_x: Number, half_z: Number, tall: Number) -> Furniture:
    """A cupboard, chest or wardrobe with doors or drawers, handles, and things on it."""
    body = wood(stock) if stock.chance(0.55) else painted(stock)
    handle, gap = metal(stock), plastic(stock, scaled(body.base, 0.3))
    thing = [box((half_x, tall / 2, half_z), gap, (0, -tall / 2, 0))]
    columns = max(1, round(half_x / stock.uniform(0.2, 0.35)))
    rows = stock.whole(2, 4) if stock.chance(0.5) else 1
    rows = max(rows, round(tall / 1.6))
    plinth = 0.06
    wide, high = half_x / columns, (tall - plinth) / rows / 2
    for i in range(columns):
        for j in range(rows):
            x, y = (2 * i + 1) * wide - half_x, -plinth - (2 * j + 1) * high
            thing.append(box((wide - 0.004, high - 0.004, 0.01), body, (x, y, half_z)))
            across = rows > 1
            at = (x, y, half_z + 0.02) if across else (x + (wide - 0.05) * (-1) ** i, y, half_z)
            half = (0.06, 0.008, 0.012) if across else (0.008, 0.07, 0.025)
            thing.append(box(half, handle, at, casts=False))
    if tall < 1.5:
        thing += set_out(stock, half_x, half_z, -tall, stock.whole(0, 6))
    elif stock.chance(0.4):
        thing += moved(parcel(stock, 0.3), y=-tall)
    return Furniture(thing, half_x, half_z, tall)


def shelves(stock: Stock, half_x: Number, tall: Number, *, books: Number = 0.7) -> Furniture:
    """Open shelves with books and things; `books` is the share of boards full of books."""
    half_z, board = stock.uniform(0.13, 0.2), wood(stock) if stock.chance(0.6) else painted(stock)
    thing = [box((0.012, tall / 2, half_z), board, (x, -tall / 2, 0)) for x in (-half_x, half_x)]
    if stock.chance(0.7):
        thing.append(box((half_x, tall / 2, 0.006), board, (0, -tall / 2, -half_z)))
    count = max(2, round(tall / stock.uniform(0.28, 0.42)))
    high = (tall - 0.06) / count
    for k in range(count + 1):
        y = -0.05 - k * high
        thing.append(box((half_x, 0.011, half_z), board, (0, y, 0)))
        if k == count:
            break
        if stock.chance(books):
            thing += _row_of_books(stock, half_x - 0.02, half_z, y - 0.011, high - 0.04)
        else:
            few = set_out(stock, half_x * 0.8, half_z * 0.5, y - 0.011, stock.whole(0, 4))
            thing += [p for p in few if p.origin[1] > y - high + 0.03]
    return Furniture(thing, half_x, half_z, tall)


def _row_of_books(stock: Stock, half_x: Number, half_z: Number, y: Number, high: Number) -> Thing:
    """Books side by side; far shelves would do with a pattern, which is quicker: half have it."""
    if stock.chance(0.5):
        wide = stock.uniform(0.02, 0.05)
        backs = stock.material(
            stock.any_colour(), contrast=0.2, cell=0.05, pattern="blocks", mark=(0.06, 0.05, 0.05),
            period=(wide, 5.0), duty=(0.12, 0.0), variation=0.7, hues=0.9, patch=0.5, even=False,
        )  # fmt: skip
        tall, fill = high * stock.uniform(0.6, 0.95), stock.uniform(0.4, 1.0)
        return [box((half_x * fill, tall / 2, half_z * 0.75), backs,
                    ((fill - 1) * half_x, y - tall / 2, 0))]  # fmt: skip
    thing: Thing = []
    backs = [paper(stock) for _ in range(5)] + [plastic(stock) for _ in range(4)]
    x = -half_x
    while True:
        wide = stock.uniform(0.012, 0.05)
        if x + wide > half_x:
            return thing
        if stock.chance(0.93):
            tall = high * stock.uniform(0.6, 0.95)
            deep = half_z * stock.uniform(0.6, 0.9)
            at = (x + wide / 2, y - tall / 2, half_z - deep - 0.02)
            thing.append(box((wide / 2 - 0.001, tall / 2, deep), stock.pick(backs), at))
            x += wide
        else:
            x += stock.uniform(0.05, 0.3)


def desk(stock: Stock) -> Furniture:
    """A desk with a screen or a laptop, papers, and a chair before it."""
    half_x, half_z, tall = stock.uniform(0.55, 0.9), stock.uniform(0.3, 0.42), 0.74
    made = table(stock, half_x, half_z, tall, stock.whole(0, 4))
    thing = list(made.thing)
    for _ in range(stock.whole(0, 2)):
        tool = monitor(stock) if stock.chance(0.7) else laptop(stock)
        thing += moved(tool, stock.uniform(-0.6, 0.6) * half_x, -0.08, y=-tall,
                       heading=stock.normal(0, 0.25))  # fmt: skip
    if stock.chance(0.5):
        drawers = cupboard(stock, 0.2, half_z - 0.05, 0.55).thing
        thing += [p for p in moved(drawers, half_x - 0.25) if p.origin[1] > -0.6]
    thing += moved(book(stock), stock.uniform(-0.5, 0.5) * half_x, 0.1, y=-tall)
    if stock.chance(0.75):
        seat = chair(stock)
        thing += moved(seat.thing, stock.normal(0, 0.15), half_z + stock.uniform(0.0, 0.35),
                       heading=3.14 + stock.normal(0, 0.5))  # fmt: skip
    return Furniture(thing, half_x, half_z, tall)


def kitchen(stock: Stock, length: Number) -> Furniture:
    """A kitchen along a wall: cabinets, a counter with things, cupboards that hang, a fridge."""
    half = length / 2
    look = painted(stock) if stock.chance(0.6) else wood(stock)
    top = stock.material(
        stock.pick(((0.2, 0.2, 0.2), (0.8, 0.78, 0.74), stock.pick(WOODS))), contrast=0.15,
        cell=0.05, gloss=0.08, patch=0.6,
    )  # fmt: skip
    handle, dark = metal(stock), plastic(stock, scaled(look.base, 0.35))
    thing = [
        box((half, 0.4, 0.28), dark, (0, -0.47, -0.02)),
        box((half + 0.01, 0.02, 0.31), top, (0, -0.89, 0)),
        box((half, 0.05, 0.25), dark, (0, -0.05, -0.03)),
    ]
    hangs = stock.chance(0.75)
    low = stock.uniform(1.35, 1.5)
    high = stock.uniform(0.25, 0.42)
    count = max(1, round(length / stock.uniform(0.4, 0.65)))
    wide = half / count
    for k in range(count):
        x = (2 * k + 1) * wide - half
        oven = stock.chance(0.15)
        front = plastic(stock, (0.08, 0.08, 0.08)) if oven else look
        rows = 1 if oven else stock.pick((1, 1, 3))
        for j in range(rows):
            tall = 0.37 / rows
            y = -0.12 - tall * (2 * j + 1)
            thing.append(box((wide - 0.004, tall - 0.004, 0.012), front, (x, y, 0.26)))
            thing.append(
                box((wide * 0.5, 0.007, 0.015), handle, (x, y - tall + 0.04, 0.28), casts=False)
            )
        if hangs and stock.chance(0.85):
            thing.append(box((wide - 0.003, high, 0.16), look, (x, -low - high, -0.12)))
            knob = (x, -low - 0.05, 0.05)
            thing.append(box((wide * 0.4, 0.006, 0.012), handle, knob, casts=False))
    thing += set_out(stock, half, 0.2, -0.91, stock.whole(2, 9))
    if stock.chance(0.6):
        x = stock.uniform(-0.6, 0.6) * half
        thing.append(box((0.25, 0.004, 0.2), metal(stock), (x, -0.912, 0)))
        thing.append(rod((x, -0.9, -0.2), (x, -1.15, -0.2), 0.012, handle))
        thing.append(rod((x, -1.15, -0.2), (x, -1.13, -0.03), 0.012, handle))
    if stock.chance(0.7):
        fridge = painted(stock, stock.pick(((0.93, 0.93, 0.93), (0.6, 0.61, 0.62), None)))
        side, tall = stock.pick((-1, 1)), stock.uniform(1.4, 2.0)
        x = side * (half + 0.31)
        split = stock.uniform(0.3, 0.65) * tall
        thing += [
            box((0.3, tall / 2, 0.3), fridge, (x, -tall / 2, 0)),
            box((0.302, 0.004, 0.302), dark, (x, -split, 0)),
            box((0.01, 0.2, 0.02), handle, (x - side * 0.24, -split - 0.3, 0.32)),
        ]
        thing += moved(parcel(stock, 0.25), x, 0.0, y=-tall)
        half += 0.31
    return Furniture(thing, half + 0.02, 0.31, 0.9)


def television(stock: Stock) -> Furniture:
    """A television on a low cupboard."""
    base = cupboard(stock, stock.uniform(0.5, 0.9), 0.2, stock.uniform(0.35, 0.6))
    wide = stock.uniform(0.35, 0.7)
    tall, dark = wide * 0.58, plastic(stock, (0.04, 0.04, 0.045))
    y = -base.tall - tall - 0.05
    kept = [p for p in base.thing if p.origin[1] > -base.tall - 0.001]
    thing = [
        *kept,
        box((wide, tall, 0.03), dark, (0, y, 0)),
        box((wide - 0.02, tall - 0.02, 0.006), screen(stock), (0, y, 0.027)),
        box((0.2, 0.03, 0.1), dark, (0, -base.tall - 0.03, 0)),
    ]
    return Furniture(thing, base.half_x, 0.2, base.tall)


def fireplace_or_radiator(stock: Stock) -> Furniture:
    """A radiator with its ribs."""
    half, tall = stock.uniform(0.3, 0.8), stock.uniform(0.45, 0.65)
    white = painted(stock, (0.9, 0.9, 0.88))
    count = round(half / 0.05)
    thing = [
        box((0.02, tall / 2, 0.05), white, ((2 * k + 1) * half / count - half, -tall / 2 - 0.1, 0))
        for k in range(count)
    ]
    return Furniture(thing, half, 0.06, tall)


def toilet(stock: Stock) -> Furniture:
    """A toilet with its tank."""
    white = plastic(stock, (0.92, 0.92, 0.91))
    return Furniture([
        piece(Cone(0.38, (0.2, 0.13)), white, (0, -0.4, 0.08)),
        rod((0, -0.4, 0.08), (0, -0.43, 0.08), 0.21, white),
        cushion((0.2, 0.18, 0.09), white, (0, -0.58, -0.2), soft=0.3),
    ], 0.22, 0.3, 0.43)  # fmt: skip


def basin(stock: Stock) -> Furniture:
    """A wash basin on a cupboard, with a mirror above."""
    made = cupboard(stock, stock.uniform(0.25, 0.6), 0.22, 0.75)
    kept = [p for p in made.thing if p.origin[1] > -0.751]
    white, steel = plastic(stock, (0.93, 0.93, 0.92)), metal(stock)
    mirror = stock.material((0.5, 0.52, 0.54), contrast=0.1, cell=1.0, gloss=0.5, patch=1.2,
                            even=False)  # fmt: skip
    thing = [
        *kept,
        cushion((made.half_x + 0.02, 0.05, 0.25), white, (0, -0.8, 0), soft=0.5),
        rod((0, -0.82, -0.15), (0, -1.0, -0.15), 0.012, steel),
        rod((0, -1.0, -0.15), (0, -0.98, -0.03), 0.012, steel),
        box((made.half_x, 0.4, 0.01), mirror, (0, -1.55, -0.22)),
    ]
    thing += moved(cup(stock), made.half_x * 0.7, 0.0, y=-0.85)
    return Furniture(thing, made.half_x, 0.25, 0.85)


def tub(stock: Stock) -> Furniture:
    """A bath tub or a shower with its walls of glass."""
    white = plastic(stock, (0.92, 0.92, 0.91))
    thing = [
        box((0.8, 0.28, 0.03), white, (0, -0.28, 0.34)),
        box((0.8, 0.28, 0.03), white, (0, -0.28, -0.34)),
        box((0.03, 0.28, 0.34), white, (-0.78, -0.28, 0)),
        box((0.03, 0.28, 0.34), white, (0.78, -0.28, 0)),
        box((0.8, 0.03, 0.34), white, (0, -0.12, 0)),
    ]
    if stock.chance(0.5):
        folds = cloth(stock)
        thing += [rod((x * 0.09 - 0.75, -0.15, 0.36), (x * 0.09 - 0.75, -2.0, 0.36), 0.05, folds)
                  for x in range(stock.whole(5, 12))]  # fmt: skip
    return Furniture(thing, 0.8, 0.37, 0.56)


def big_plant(stock: Stock) -> Furniture:
    """A plant on the floor."""
    tall = stock.uniform(0.6, 1.8)
    return Furniture(plant(stock, tall), 0.25, 0.25, tall)


def clothes_rack(stock: Stock) -> Furniture:
    """A rail full of clothes."""
    half, tall, steel = stock.uniform(0.35, 0.7), stock.uniform(1.4, 1.7), metal(stock)
    thing = [
        rod((-half, -tall, 0), (half, -tall, 0), 0.015, steel),
        *(rod((x, 0, 0), (x, -tall, 0), 0.015, steel) for x in (-half, half)),
        *(rod((x, -0.03, -0.2), (x, -0.03, 0.2), 0.015, steel) for x in (-half, half)),
    ]
    x = -half + 0.06
    while x < half - 0.05:
        long = stock.uniform(0.3, 0.55)
        at = (x, -tall + 0.06 + long, 0)
        thing.append(cushion((stock.uniform(0.015, 0.04), long, 0.22), cloth(stock), at, soft=0.9))
        x += stock.uniform(0.05, 0.12)
    return Furniture(thing, half, 0.25, tall)
