"""Furnished rooms: kitchens, bedrooms, offices, living rooms, bathrooms, corridors and others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from photographs.clutter import (
    FLOOR,
    hanging_lamp,
    lamp,
    set_out,
)
from photographs.figures import figure
from photographs.finishes import cloth, metal, wall, wood
from photographs.furniture import (
    Furniture,
    basin,
    bed,
    big_plant,
    chair,
    chair_look,
    clothes_rack,
    cupboard,
    desk,
    fireplace_or_radiator,
    kitchen,
    shelves,
    sofa,
    table,
    television,
    toilet,
    tub,
)
from photographs.light import Lamp, sun
from photographs.materials import Stock
from photographs.pieces import Thing, box, moved
from photographs.shells import Shell, Wall, behind, on_wall, shell
from photographs.solids import Number

Rectangle = tuple[Number, Number, Number, Number]
"""Left, near, right and far edge on the floor, in metres."""


@dataclass(kw_only=True, slots=True)
class Place:
    """A scene before it is photographed."""

    things: Thing
    lamps: list[Lamp]
    fixed: Thing = field(default_factory=list)
    """Walls and ground: these stay however near the camera is."""
    taken: list[Rectangle] = field(default_factory=list)
    """Where one cannot stand."""
    targets: list[tuple[Number, Number, Number]] = field(default_factory=list)
    """Points worth looking at from near."""
    people: list[tuple[Number, Number, Number]] = field(default_factory=list)
    half: tuple[Number, Number] = (2.0, 2.0)
    """Half sizes of the floor along x and z."""
    tall: Number = 2.5
    day: bool = True

    def free(self, x: Number, z: Number, gap: Number) -> bool:
        """Whether nothing that was noted stands within `gap` metres."""
        return not any(
            left - gap < x < right + gap and near - gap < z < far + gap
            for left, near, right, far in self.taken
        )


def _low_cupboard(stock: Stock) -> Furniture:
    return cupboard(
        stock, stock.uniform(0.3, 0.9), stock.uniform(0.18, 0.28), stock.uniform(0.4, 1.2)
    )


def _wardrobe(stock: Stock) -> Furniture:
    return cupboard(stock, stock.uniform(0.4, 1.1), 0.29, stock.uniform(1.7, 2.2))


def _bookcase(stock: Stock) -> Furniture:
    return shelves(stock, stock.uniform(0.3, 0.9), stock.uniform(0.8, 2.2))


def _open_shelf(stock: Stock) -> Furniture:
    return shelves(stock, stock.uniform(0.3, 0.7), stock.uniform(0.8, 2.0), books=0.2)


def _side_table(stock: Stock) -> Furniture:
    made = table(stock, stock.uniform(0.2, 0.6), 0.22, stock.uniform(0.45, 0.8), stock.whole(0, 4))
    if stock.chance(0.5):
        lit = lamp(stock, stock.uniform(0.3, 0.55), lit=stock.chance(0.5))
        return made._replace(thing=[*made.thing, *moved(lit, 0.05, 0.0, y=-made.tall)])
    return made


def _kitchen(stock: Stock) -> Furniture:
    return kitchen(stock, stock.uniform(1.2, 3.4))


ALONG: dict[str, Sequence[Callable[[Stock], Furniture]]] = {
    "living": (sofa, sofa, television, _bookcase, _low_cupboard, big_plant, _side_table,
               fireplace_or_radiator),
    "bedroom": (bed, bed, _wardrobe, _side_table, _low_cupboard, clothes_rack, desk, chair),
    "office": (desk, desk, desk, _bookcase, _low_cupboard, _open_shelf, big_plant),
    "kitchen": (_kitchen, _kitchen, _low_cupboard, _open_shelf, _side_table),
    "bathroom": (basin, toilet, tub, _open_shelf, fireplace_or_radiator),
    "meeting": (_low_cupboard, television, big_plant, _bookcase),
    "library": (_bookcase, _bookcase, _bookcase, _side_table, sofa),
    "store": (_open_shelf, _open_shelf, _wardrobe, _low_cupboard, clothes_rack),
    "corridor": (_low_cupboard, _bookcase, fireplace_or_radiator, big_plant, chair),
}  # fmt: skip
KINDS = (
    "living", "living", "living", "bedroom", "bedroom", "office", "office", "kitchen", "kitchen",
    "kitchen", "bathroom", "meeting", "library", "store", "corridor",
)  # fmt: skip


def interior(stock: Stock) -> Place:
    """A furnished room, its middle at the origin."""
    kind = stock.pick(KINDS)
    half = (stock.uniform(1.4, 3.4), stock.uniform(1.4, 3.6))
    if kind == "corridor":
        half = (stock.uniform(0.7, 1.2), stock.uniform(3.0, 7.0))
    elif kind == "bathroom":
        half = (stock.uniform(0.9, 1.6), stock.uniform(1.0, 2.0))
    elif kind in ("meeting", "office", "library") and stock.chance(0.6):
        half = (stock.uniform(2.2, 4.5), stock.uniform(2.5, 4.5))
    day = stock.chance(0.65)
    made = shell(stock, half, stock.uniform(2.2, 3.2), day=day)
    place = Place(
        things=[], fixed=made.things, lamps=made.lamps, half=half, tall=made.tall, day=day,
    )  # fmt: skip
    for own, hole in made.doors:
        room, light = behind(stock, own, hole, made.tall)
        place.fixed += room
        place.lamps.append(light)
    if min(half) > 1.7 and stock.chance(0.25):
        _corner(stock, place)
    for own in made.walls:
        _furnish(stock, place, own, ALONG[kind], made.tall)
    _middle(stock, place, kind)
    _on_the_floor(stock, place)
    _people(stock, place)
    _light(stock, place, made)
    return place


def _furnish(
    stock: Stock, place: Place, own: Wall, makers: Sequence[Callable[[Stock], Furniture]],
    tall: Number,
) -> None:  # fmt: skip
    """Furniture along a wall, in front of windows only if it is low, and pictures above."""
    taken: list[tuple[Number, Number]] = []
    x = stock.uniform(0.05, 0.4)
    while x < own.length - 0.5:
        made = stock.pick(makers)(stock)
        middle = x + made.half_x
        ends = middle - made.half_x - 0.08, middle + made.half_x + 0.08
        blocked = ends[1] > own.length or any(
            o.middle - o.half < ends[1] and o.middle + o.half > ends[0]
            and (o.sill < 0.1 or made.tall > o.sill)
            for o in own.openings
        )  # fmt: skip
        at = own.point(middle, made.half_z + 0.02)
        if blocked or not place.free(float(at[0]), float(at[2]), min(made.half_x, 0.35)):
            x += stock.uniform(0.2, 0.6)
            continue
        if stock.chance(0.85):
            out = made.half_z + stock.uniform(0.01, 0.06)
            place.things += own.place(made.thing, middle, out)
            _note(place, own, middle, out, made)
            if made.tall > 1.2:
                taken.append((middle - made.half_x, middle + made.half_x))
        x = ends[1] + stock.uniform(0.0, 0.7) * stock.uniform(0, 1)
    taken += [(o.middle - o.half - 0.1, o.middle + o.half + 0.1) for o in own.openings]
    place.things += own.place(on_wall(stock, own, tall, taken), 0.0, 0.0)


def _corner(stock: Stock, place: Place) -> None:
    """A block of wall in a corner, which makes the room L-shaped, or a column."""
    half_x, half_z = place.half
    wide = (stock.uniform(0.2, 0.5) * half_x, stock.uniform(0.2, 0.5) * half_z)
    if stock.chance(0.25):
        wide, x, z = (0.18, 0.18), stock.normal(0, 0.5), stock.normal(0, 0.5)
    else:
        x, z = (stock.pick((-1, 1)) * (half - w) for half, w in zip(place.half, wide, strict=True))
    block = box((wide[0], place.tall / 2, wide[1]), wall(stock), (x, -place.tall / 2, z))
    place.fixed.append(block)
    place.taken.append((x - wide[0], z - wide[1], x + wide[0], z + wide[1]))


def _note(place: Place, own: Wall, middle: Number, out: Number, made: Furniture) -> None:
    """Remember where furniture stands, and that it is worth a look."""
    corners = [own.point(middle + s * made.half_x, out + t * made.half_z)
               for s in (-1, 1) for t in (-1, 1)]  # fmt: skip
    xs, zs = [float(c[0]) for c in corners], [float(c[2]) for c in corners]
    place.taken.append((min(xs), min(zs), max(xs), max(zs)))
    at = own.point(middle, out)
    place.targets.append((float(at[0]), -made.tall, float(at[2])))


def _put(place: Place, made: Furniture, x: Number, z: Number, heading: Number) -> None:
    """Furniture somewhere on the floor."""
    place.things += moved(made.thing, x, z, heading=heading)
    c, s = abs(np.cos(heading)), abs(np.sin(heading))
    half_x = float(c * made.half_x + s * made.half_z)
    half_z = float(s * made.half_x + c * made.half_z)
    place.taken.append((x - half_x, z - half_z, x + half_x, z + half_z))
    place.targets.append((x, -made.tall, z))


def _middle(stock: Stock, place: Place, kind: str) -> None:
    """Tables with chairs around them, rows of chairs or desks, rugs."""
    half_x, half_z = place.half
    if kind in ("bathroom", "corridor") or min(half_x, half_z) < 1.3:
        return
    x, z = stock.normal(0, 0.25 * half_x), stock.normal(0, 0.25 * half_z)
    if stock.chance(0.4):
        rug = (stock.uniform(0.6, 1.5), 0.006, stock.uniform(0.6, 1.5))
        at = (x, -0.006, z)
        place.things.append(box(rug, cloth(stock), at, heading=stock.normal(0, 0.3), casts=False))
    if kind == "meeting" or (kind in ("library", "office") and stock.chance(0.3)):
        _rows(stock, place)
    elif kind == "living" and stock.chance(0.8):
        low = table(stock, stock.uniform(0.35, 0.65), stock.uniform(0.25, 0.45),
                    stock.uniform(0.32, 0.48), stock.whole(0, 7))  # fmt: skip
        _put(place, low, x, z, stock.pick((0.0, 1.57)) + stock.normal(0, 0.15))
        if stock.chance(0.6):
            seat = sofa(stock, 1)
            angle = stock.uniform(0, 6.28)
            _put(place, seat, x - 1.3 * np.sin(angle), z - 1.3 * np.cos(angle), angle)
    elif kind != "store" and stock.chance(0.75):
        _dining(stock, place, x, z)


def _dining(stock: Stock, place: Place, x: Number, z: Number) -> None:
    """A table with chairs around."""
    half = (stock.uniform(0.4, 0.9), stock.uniform(0.35, 0.5))
    made = table(stock, half[0], half[1], stock.uniform(0.7, 0.78), stock.whole(0, 9))
    heading = stock.uniform(0, 3.14)
    _put(place, made, x, z, heading)
    look = chair_look(stock)
    for _ in range(stock.whole(0, 6)):
        side = stock.uniform(-0.8, 0.8) * half[0]
        toward = stock.pick((0.0, np.pi))
        out = half[1] + stock.uniform(-0.1, 0.5)
        seat = moved(chair(stock, look).thing, side, -out, heading=stock.normal(0, 0.3))
        place.things += moved(moved(seat, heading=toward), x, z, heading=heading)
    reach = half[0] + 0.5
    place.taken.append((x - reach, z - reach, x + reach, z + reach))


def _rows(stock: Stock, place: Place) -> None:
    """Rows of chairs, with or without tables before them."""
    half_x, half_z = place.half
    look, tables = chair_look(stock), stock.chance(0.5)
    heading = stock.pick((0.0, np.pi / 2, np.pi, -np.pi / 2))
    gap_x, gap_z = stock.uniform(0.55, 0.8), stock.uniform(0.85, 1.5)
    columns, rows = stock.whole(2, 5), stock.whole(1, 4)
    for i in range(columns):
        for j in range(rows):
            x, z = (i - (columns - 1) / 2) * gap_x, (j - (rows - 1) / 2) * gap_z
            made = moved(chair(stock, look).thing, x, z, heading=stock.normal(0, 0.1))
            if stock.chance(0.92):
                place.things += _inside(moved(made, heading=heading), half_x - 0.3, half_z - 0.3)
    if tables:
        top = wood(stock)
        for j in range(rows):
            z = (j - (rows - 1) / 2) * gap_z + 0.5
            row = [box((columns * gap_x / 2, 0.015, 0.22), top, (0, -0.73, z)),
                   *(box((0.02, 0.36, 0.2), top, (s * columns * gap_x / 2.1, -0.36, z))
                     for s in (-1, 1))]  # fmt: skip
            row += moved(set_out(stock, columns * gap_x / 2, 0.2, -0.745, stock.whole(0, 4)), z=z)
            place.things += _inside(moved(row, heading=heading), half_x - 0.3, half_z - 0.3)
    reach = max(columns * gap_x, rows * gap_z) / 2
    place.taken.append((-0.6 * reach, -0.6 * reach, 0.6 * reach, 0.6 * reach))


def _inside(thing: Thing, half_x: Number, half_z: Number) -> Thing:
    return [p for p in thing if abs(p.origin[0]) < half_x and abs(p.origin[2]) < half_z]


def _on_the_floor(stock: Stock, place: Place) -> None:
    """Things that stand or lie about."""
    many = stock.whole(0, 4) if stock.chance(0.8) else stock.whole(5, 16)
    for _ in range(many):
        x, z = (stock.uniform(-1, 1) * (half - 0.3) for half in place.half)
        if place.free(x, z, 0.15):
            place.things += moved(stock.pick(FLOOR)(stock), x, z, heading=stock.uniform(0, 6.28))
            place.targets.append((x, -0.2, z))
    if stock.chance(0.25):
        x, z = (stock.uniform(-1, 1) * (half - 0.3) for half in place.half)
        tall = stock.uniform(1.2, 1.7)
        lit = stock.chance(0.5)
        place.things += moved(lamp(stock, tall, lit=lit), x, z)
        if lit:
            place.lamps.append(_bulb(stock, x, -tall - 0.1, z, 0.6))


def _people(stock: Stock, place: Place) -> None:
    """Nobody, or some people who stand, walk, bend or sit."""
    for _ in range(stock.pick((0, 0, 0, 1, 1, 2, 2, 4, 6))):
        sits = stock.chance(0.25)
        for _ in range(6):
            x, z = (stock.uniform(-1, 1) * (half - 0.35) for half in place.half)
            if place.free(x, z, 0.2):
                break
        else:
            continue
        who, heading = figure(stock, "sit" if sits else None), stock.uniform(0, 6.28)
        if sits:
            place.things += moved(chair(stock).thing, x, z, heading=heading)
        place.things += moved(who, x, z, heading=heading)
        place.taken.append((x - 0.2, z - 0.2, x + 0.2, z + 0.2))
        place.people.append((x, -1.25, z))


def _bulb(stock: Stock, x: Number, y: Number, z: Number, strength: Number) -> Lamp:
    warm = np.array([1.0, stock.uniform(0.72, 0.97), stock.uniform(0.45, 0.95)])
    return Lamp(
        at=np.array([x, y, z]), colour=strength * stock.uniform(0.6, 1.8) * warm,
        spread=stock.uniform(0.05, 0.25) * np.eye(3),
    )  # fmt: skip


def _light(stock: Stock, place: Place, made: Shell) -> None:
    """Lamps at the ceiling, and the sun through the windows."""
    half_x, half_z = place.half
    lit = not place.day or stock.chance(0.4) or not place.lamps
    kind = stock.whole(0, 2)
    count = stock.whole(1, 3)
    for k in range(count):
        x = stock.normal(0, 0.3 * half_x)
        z = half_z * ((2 * k + 1) / count - 1) + stock.normal(0, 0.1)
        y = -made.tall
        glow = stock.uniform(3, 9) if lit else 0.0
        if kind == 0:
            drop = stock.uniform(0.1, 1.3)
            place.things += moved(hanging_lamp(stock, drop, lit=lit), x, z, y=y)
            y += drop + 0.1
        elif kind == 1:
            panel = stock.material((0.95, 0.95, 0.93), contrast=0.0, glow=glow)
            half = stock.pick(((0.3, 0.015, 0.3), (0.6, 0.03, 0.08), (0.15, 0.05, 0.15)))
            place.things.append(box(half, panel, (x, y, z), casts=False))
            y += 0.05
        if lit:
            place.lamps.append(_bulb(stock, x, y + 0.05, z, 3.0))
    if stock.chance(0.15):
        blower = metal(stock)
        fan = [box((0.06, 0.05, 0.06), blower, (0, 0.25, 0))]
        fan += [p for k in range(4) for p in moved(
            [box((0.3, 0.006, 0.07), wood(stock), (0.4, 0.25, 0))], heading=k * 1.57)]  # fmt: skip
        place.things += moved(fan, 0.0, 0.0, y=-made.tall)
    if place.day and stock.chance(0.35):
        angle = stock.uniform(0, 6.28)
        direction = np.array([np.sin(angle), -stock.uniform(0.3, 1.2), np.cos(angle)])
        place.lamps.append(sun(direction, stock.uniform(2, 9) * np.array([1.0, 0.93, 0.8])))
    strongest = sorted(place.lamps, key=lambda lamp: -float(lamp.colour.sum()))
    place.lamps = [replace(x, shadows=k < 3) for k, x in enumerate(strongest[:5])]
