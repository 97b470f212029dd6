"""Places outdoors: city streets, alleys, highways, country roads, parks, yards.

A way runs along z, straight or in a bend; everything beside it is placed by how far along and how
far aside it is.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from photographs.figures import figure
from photographs.finishes import GREENS, STONES, asphalt, grass, leaf, paving
from photographs.interiors import Place
from photographs.materials import Stock
from photographs.pieces import Thing, box, moved, piece
from photographs.roadside import (
    bush,
    cables,
    fence,
    gantry,
    hedge,
    house,
    lamp_post,
    pole,
    shelter,
    street_thing,
    tree,
)
from photographs.solids import Leaves, Number
from photographs.vehicles import (
    bicycle,
    car,
    motorcycle,
    traffic,
    truck,
    van,
)
from ssmde.synthetic.bodies import scaled
from ssmde.synthetic.scene import Color, Ellipsoid, Plane

BEHIND, AHEAD = -18.0, 150.0  # metres of way around the camera, which is near z = 0
ENDLESS = 3000.0  # half size of the ground


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """A road or path and what lies beside it."""

    kind: str
    half: Number
    """Half width of the road."""
    walk: Number
    """Width of the pavement or verge on either side."""
    bend: Number
    """Offset to the right at distance z is bend * z^2."""
    raised: Number
    """Height of the pavement."""

    @property
    def drives(self) -> bool:
        """Whether cars drive here."""
        return self.kind in ("city", "suburb", "highway", "country")

    def at(self, along: Number, aside: Number) -> tuple[Number, Number]:
        """X and z of a point."""
        slope = 2 * self.bend * along
        return aside + self.bend * along * along, along - slope * aside

    def heading(self, along: Number) -> float:
        """Direction of the way, as a heading."""
        return float(np.arctan(2 * self.bend * along))


Setting = Callable[[Stock, Place, Way], None]


def outdoor(stock: Stock) -> tuple[Place, Way]:
    """A place outdoors and its way."""
    kind = stock.pick(("city",) * 7 + ("suburb",) * 4 + ("highway",) * 3 + ("country",) * 3
                      + ("alley",) * 2 + ("park",) * 2 + ("yard",))  # fmt: skip
    half, walk = {
        "city": (stock.uniform(2.8, 9.0), stock.uniform(1.5, 5)),
        "suburb": (stock.uniform(2.5, 5.0), stock.uniform(1.0, 3)),
        "highway": (stock.uniform(5.5, 12), stock.uniform(1, 4)),
        "country": (stock.uniform(2.2, 4.0), stock.uniform(0.5, 2)),
        "alley": (stock.uniform(0.9, 2.2), stock.uniform(0.2, 0.8)),
        "park": (stock.uniform(0.8, 2.5), stock.uniform(0.5, 2)),
        "yard": (stock.uniform(5, 14), stock.uniform(0.5, 3)),
    }[kind]
    bend = stock.normal(0, 0.0016) if stock.chance(0.6) and kind != "yard" else 0.0
    raised = stock.uniform(0.05, 0.16) if kind in ("city", "suburb") else 0.0
    way = Way(kind=kind, half=half, walk=walk, bend=bend, raised=raised)
    place = Place(things=[], lamps=[], half=(half, 10.0), tall=20.0)
    _ground(stock, place, way)
    SETTINGS[kind](stock, place, way)
    if kind in ("country", "highway", "park", "suburb") and stock.chance(0.6):
        _hills(stock, place)
    if kind in ("country", "highway", "park", "suburb") and stock.chance(0.65):
        _woods(stock, place, way)
    return place, way


def _flat(place: Place, thing: Thing) -> None:
    place.fixed += thing


def _ground(stock: Stock, place: Place, way: Way) -> None:
    """Earth, road with its marks, pavements."""
    city = way.kind in ("city", "alley", "yard")
    earth = paving(stock) if city and stock.chance(0.6) else grass(stock)
    _flat(place, [piece(Plane(1, (ENDLESS, ENDLESS)), earth, (0, 0.05, 0), casts=False)])
    road = _road(stock, way)
    slabs = paving(stock) if city or stock.chance(0.5) else asphalt(stock)
    kerb = stock.material(stock.colour(STONES), contrast=0.2, cell=0.3)
    step = 168.0 if way.bend == 0 else 8.0
    for z in np.arange(BEHIND, AHEAD, step).tolist():
        middle = z + step / 2
        x, mz = way.at(middle, 0.0)
        piece_ = [box((way.half, 0.05, step / 2 + 0.2), road, (0, 0.05, 0), casts=False)]
        for side in (-1, 1) if way.walk > 0.3 else ():
            at = side * (way.half + way.walk / 2)
            half = (way.walk / 2, 0.05 + way.raised / 2, step / 2 + 0.2)
            piece_.append(box(half, slabs, (at, 0.05 - way.raised / 2 - 0.004, 0), casts=False))
            if way.raised:
                at = side * (way.half + 0.06)
                piece_.append(
                    box((0.07, 0.06, step / 2 + 0.2), kerb, (at, 0.05 - way.raised, 0),
                        casts=False)
                )  # fmt: skip
        _flat(place, moved(piece_, x, mz, heading=way.heading(middle)))
    if way.kind in ("city", "suburb") and stock.chance(0.4):
        _crossing(stock, place, way)


def _road(stock: Stock, way: Way):
    """The road's material, with lanes painted on it where there are some."""
    if way.kind in ("alley", "park", "yard"):
        return stock.pick((paving, asphalt, grass if way.kind == "yard" else paving))(stock)
    plain = asphalt(stock)
    if way.kind == "country" and stock.chance(0.3):
        return grass(stock) if stock.chance(0.3) else plain
    white: Color = (0.85, 0.85, 0.82) if stock.chance(0.8) else (0.8, 0.65, 0.2)
    if stock.chance(0.85):
        return replace(
            plain, pattern="lanes", mark=white,
            period=(way.half - stock.uniform(0.2, 0.6), stock.uniform(4, 12)),
            duty=(stock.uniform(0.1, 0.18), stock.uniform(0.3, 0.6)),
        )  # fmt: skip
    return plain


def _crossing(stock: Stock, place: Place, way: Way) -> None:
    """A zebra crossing, and a road that crosses."""
    z = stock.uniform(4, 35)
    x, mz = way.at(z, 0.0)
    plain = asphalt(stock)
    if stock.chance(0.7):
        zebra = stock.material(
            (0.4, 0.4, 0.41), contrast=0.2, cell=0.5, pattern="stripes", mark=(0.85, 0.85, 0.82),
            period=(1.0, 1.0), duty=(0.5, 0.5),
        )  # fmt: skip
        cross = [box((way.half, 0.05, 1.6), zebra, (0, 0.046, 0), casts=False)]
        _flat(place, moved(cross, x, mz, heading=way.heading(z)))
    if stock.chance(0.6):
        half = stock.uniform(2.5, 5)
        cross = [box((60, 0.1 + way.raised, half), plain, (0, 0.095, 0), casts=False)]
        _flat(place, moved(cross, x, mz + half + 3, heading=way.heading(z)))
        place.taken.append((-60, mz + 3, -way.half, mz + 3 + 2 * half))
        place.taken.append((way.half, mz + 3, 60, mz + 3 + 2 * half))


def put(
    place: Place, way: Way, thing: Thing, along: Number, aside: Number, *, heading: Number = 0.0,
    y: Number = 0.0, room: Number = 0.5,
) -> bool:  # fmt: skip
    """Put a thing beside the way if nothing stands there; heading 0 is along the way."""
    x, z = way.at(along, aside)
    if not place.free(x, z, room):
        return False
    place.things += moved(thing, x, z, y=y, heading=way.heading(along) + heading)
    place.taken.append((x - room, z - room, x + room, z + room))
    return True


def _houses(stock: Stock, place: Place, way: Way, back: Number, *, city: bool, gap: Number) -> None:
    """Rows of houses along both sides; the sides may differ."""
    for side in (-1, 1):
        if stock.chance(0.12):
            continue
        z = BEHIND + stock.uniform(0, 5)
        own = back + stock.uniform(0, 2)
        while z < AHEAD:
            half = stock.uniform(2.5, 5) if way.kind == "alley" else stock.uniform(4, 12)
            aside = side * (way.half + way.walk + own + stock.uniform(0, 0.6))
            x, mz = way.at(z + half, aside)
            roads = (spot for spot in place.taken if spot[3] - spot[1] > 3)
            clear = not any(
                left < x + side < right and near - half < mz < far + half
                for left, near, right, far in roads
            )
            if clear and stock.chance(0.92):
                thing = house(stock, half, city=city)
                facing = -side * np.pi / 2 + way.heading(z + half)
                place.things += moved(thing, x, mz, heading=float(facing))
            z += 2 * half + (stock.uniform(0, gap) if gap else 0.0)


def _along(
    stock: Stock, place: Place, way: Way, make: Callable[[Stock], Thing], *, step: Number,
    aside: tuple[Number, Number], facing: Number = 0.0, turn: Number = 0.0, room: Number = 0.4,
    sides: tuple[int, ...] = (-1, 1), y: Number = 0.0, until: Number = AHEAD,
) -> None:  # fmt: skip
    """Things of one sort beside the way, about `step` metres apart.

    `facing` turns what stands on the right by so much, and on the left by the negative.
    """
    for side in sides:
        z = stock.uniform(-6, step)
        while z < until:
            at = side * (way.half + stock.uniform(*aside))
            spin = stock.uniform(-turn, turn)
            put(place, way, make(stock), z, at, heading=-side * facing + spin, y=y, room=room)
            # Far things are small: fewer of them do.
            z += step * stock.uniform(0.5, 1.6) * (1 + max(z, 0.0) / 60)


def _people(stock: Stock, place: Place, way: Way, many: int, reach: tuple[Number, Number]) -> None:
    for _ in range(many):
        z = 1.5 + 40 * stock.uniform(0, 1) ** 1.7
        side = stock.pick((-1, 1))
        at = side * stock.uniform(*reach)
        y = -way.raised if abs(at) > way.half else 0.0
        walks = stock.chance(0.6)
        heading = (
            stock.pick((0.0, np.pi)) + stock.normal(0, 0.3) if walks else stock.uniform(0, 6.3)
        )
        put(place, way, figure(stock, "walk" if walks else None), z, at, heading=heading, y=y,
            room=0.3)  # fmt: skip


def _traffic(stock: Stock, place: Place, way: Way, many: int, nearest: Number) -> None:
    """Vehicles that drive, in lanes, mostly in their direction."""
    lane = max(1.2, way.half * 0.5)
    for _ in range(many):
        z = nearest + 85 * stock.uniform(0, 1) ** 1.6
        side = stock.pick((-1, 1))
        heading = 0.0 if side > 0 or way.kind == "highway" else np.pi
        lanes = [lane] if way.half < 6 else [way.half * 0.25, way.half * 0.7]
        at = side * stock.pick(lanes) + stock.normal(0, 0.25)
        thing = traffic(stock)
        if stock.chance(0.08):
            heading = stock.uniform(0, 6.28)
        put(place, way, thing, z, at, heading=heading + stock.normal(0, 0.06), room=1.6)


def _parked(stock: Stock, place: Place, way: Way) -> None:
    """Cars parked along the kerb, or slanting."""
    slant = 0.0 if stock.chance(0.8) else stock.uniform(0.6, 1.57)
    for side in (-1, 1):
        if stock.chance(0.35):
            continue
        z = stock.uniform(-8, 8)
        aside = side * (way.half - 1.0 if slant == 0 else way.half - 1.8)
        if way.half < 3.4:
            aside = side * (way.half + 0.6)
        while z < 80:
            if stock.chance(0.75):
                thing = stock.pick((car, car, car, car, van))(stock)
                y = -way.raised if abs(aside) > way.half else 0.0
                heading = stock.pick((0.0, np.pi)) + side * slant + stock.normal(0, 0.03)
                put(place, way, thing, z, aside, heading=heading, y=y, room=1.0)
            z += stock.uniform(4.8, 7.0) if slant == 0 else stock.uniform(2.6, 4.0)


def _city(stock: Stock, place: Place, way: Way) -> None:
    _houses(stock, place, way, stock.pick((0.0, 0.0, 0.3, 4.0)), city=True,
            gap=stock.pick((0.0, 0.0, 6.0)))  # fmt: skip
    _traffic(stock, place, way, stock.whole(0, 7), 6)
    if stock.chance(0.7):
        _parked(stock, place, way)
    y = -way.raised
    if stock.chance(0.6):
        _along(stock, place, way, tree, step=stock.uniform(6, 16), aside=(0.5, 0.9), y=y, turn=3)
    _along(stock, place, way, lamp_post, step=stock.uniform(14, 30), aside=(0.3, 0.6), y=y,
           facing=np.pi / 2)  # fmt: skip
    _along(stock, place, way, pole, step=stock.uniform(6, 25), aside=(0.3, 0.8), y=y, facing=0.0,
           turn=0.5)  # fmt: skip
    _along(stock, place, way, street_thing, step=stock.uniform(7, 30), aside=(0.4, way.walk), y=y,
           turn=3, until=50)  # fmt: skip
    _people(stock, place, way, stock.pick((0, 2, 4, 7, 12)),
            (way.half * 0.9, way.half + way.walk))  # fmt: skip
    if stock.chance(0.3):
        bikes = bicycle if stock.chance(0.6) else motorcycle
        _along(stock, place, way, lambda s: bikes(s, rider=False), step=4, aside=(0.4, 1.2), y=y,
               turn=1.6, until=30)  # fmt: skip
    if stock.chance(0.2):
        put(place, way, moved(shelter(stock), heading=-np.pi / 2), stock.uniform(4, 25),
            way.half + way.walk * 0.6, y=y, room=1.2)  # fmt: skip
    if stock.chance(0.25):
        _along(stock, place, way, lambda s: fence(s, 3.0), step=7, aside=(0.3, 0.4), y=y,
               facing=np.pi / 2, until=60, sides=(stock.pick((-1, 1)),))  # fmt: skip
    if stock.chance(0.1):
        put(place, way, gantry(stock, way.half + way.walk), stock.uniform(18, 60), 0.0, room=0.1)


def _suburb(stock: Stock, place: Place, way: Way) -> None:
    _houses(stock, place, way, stock.uniform(2, 9), city=False, gap=stock.uniform(2, 12))
    _traffic(stock, place, way, stock.whole(0, 4), 7)
    _parked(stock, place, way)
    y = -way.raised
    edge = way.walk + 0.4
    if stock.chance(0.8):
        kind = fence if stock.chance(0.5) else hedge
        _along(stock, place, way, lambda s: kind(s, 3.0), step=8, aside=(edge, edge + 0.2),
               facing=np.pi / 2, until=70)  # fmt: skip
    _along(stock, place, way, tree, step=stock.uniform(7, 18), aside=(0.5, edge + 4), turn=3)
    _along(stock, place, way, bush, step=stock.uniform(5, 12), aside=(edge, edge + 3), until=50)
    _along(stock, place, way, lamp_post, step=stock.uniform(18, 35), aside=(0.3, 0.6), y=y,
           facing=np.pi / 2)  # fmt: skip
    _along(stock, place, way, pole, step=30, aside=(0.3, 0.8), y=y)
    _people(stock, place, way, stock.whole(0, 4), (0.0, way.half + way.walk))
    if stock.chance(0.4):
        place.things += moved(cables(stock, 120), way.half + edge)


def _rail(stock: Stock) -> Thing:
    return fence(stock, 4.0)


def _long_hedge(stock: Stock) -> Thing:
    return hedge(stock, 4.0)


def _highway(stock: Stock, place: Place, way: Way) -> None:
    _traffic(stock, place, way, stock.whole(1, 12), 8)
    if stock.chance(0.5):
        z = 12 + stock.uniform(0, 30)
        put(place, way, truck(stock), z, stock.uniform(0.3, 0.8) * way.half, room=2)
    for side in (-1, 1):
        if stock.chance(0.75):
            _along(stock, place, way, stock.pick((_rail, _rail, _long_hedge)), step=8.0,
                   aside=(0.5, 0.5), facing=np.pi / 2, sides=(side,), room=0.1)  # fmt: skip
    _along(stock, place, way, tree, step=stock.uniform(6, 20), aside=(4, 30), turn=3)
    _along(stock, place, way, bush, step=stock.uniform(6, 15), aside=(2, 15), until=80)
    _along(stock, place, way, lamp_post, step=35, aside=(1, 1.3), facing=np.pi / 2)
    _along(stock, place, way, pole, step=40, aside=(1, 3))
    if stock.chance(0.45):
        put(place, way, gantry(stock, way.half + 1), stock.uniform(15, 90), 0.0, room=0.1)
    if stock.chance(0.3):
        _houses(stock, place, way, stock.uniform(15, 40), city=stock.chance(0.5), gap=20)


def _country(stock: Stock, place: Place, way: Way) -> None:
    _traffic(stock, place, way, stock.whole(0, 3), 8)
    for _ in range(stock.whole(1, 5)):
        half = (stock.uniform(10, 40), 0.03, stock.uniform(10, 50))
        x = stock.pick((-1, 1)) * (way.half + 4 + half[0])
        field = grass(stock)
        at = (x, 0.04, stock.uniform(0, 120))
        _flat(place, [box(half, field, at, heading=stock.normal(0, 0.1), casts=False)])
    _along(stock, place, way, tree, step=stock.uniform(5, 25), aside=(1.5, 25), turn=3)
    _along(stock, place, way, bush, step=stock.uniform(3, 12), aside=(0.8, 8), until=60)
    if stock.chance(0.6):
        kind = fence if stock.chance(0.7) else hedge
        _along(stock, place, way, lambda s: kind(s, 4.0), step=8, aside=(1.5, 2.0),
               facing=np.pi / 2, sides=(stock.pick((-1, 1)),))  # fmt: skip
    if stock.chance(0.5):
        place.things += moved(cables(stock, 140), stock.pick((-1, 1)) * (way.half + 3))
    if stock.chance(0.35):
        _houses(stock, place, way, stock.uniform(5, 20), city=False, gap=60)
    _people(stock, place, way, stock.pick((0, 0, 0, 2)), (0.0, way.half + 1))


def _alley(stock: Stock, place: Place, way: Way) -> None:
    _houses(stock, place, way, 0.0, city=True, gap=stock.pick((0.0, 1.0)))
    _along(stock, place, way, street_thing, step=stock.uniform(3, 8), aside=(-0.4, 0.2), turn=3,
           until=40)  # fmt: skip
    _along(stock, place, way, pole, step=12, aside=(-0.3, 0.1), until=50)
    _people(stock, place, way, stock.whole(0, 5), (0.0, way.half))
    if stock.chance(0.4):
        thing = stock.pick((lambda: motorcycle(stock, rider=False),
                            lambda: bicycle(stock, rider=False), lambda: car(stock)))()  # fmt: skip
        put(place, way, thing, stock.uniform(4, 20), stock.uniform(-0.5, 0.5) * way.half)


def _park(stock: Stock, place: Place, way: Way) -> None:
    step = stock.uniform(2.5, 8)
    _along(stock, place, way, tree, step=step, aside=(0.8, 14), turn=3, until=90)
    _along(stock, place, way, tree, step=2 * step, aside=(10, 40), turn=3)
    _along(stock, place, way, bush, step=stock.uniform(3, 10), aside=(0.6, 8), until=45)
    _along(stock, place, way, street_thing, step=stock.uniform(6, 20), aside=(0.3, 1.0),
           facing=np.pi / 2, until=50)  # fmt: skip
    _people(stock, place, way, stock.whole(0, 6), (0.0, way.half + 3))
    if stock.chance(0.4):
        _along(stock, place, way, lamp_post, step=20, aside=(0.3, 0.6))
    if stock.chance(0.4):
        _along(stock, place, way, lambda s: fence(s, 3.0), step=6, aside=(0.5, 0.7),
               facing=np.pi / 2, sides=(stock.pick((-1, 1)),), until=60)  # fmt: skip
    if stock.chance(0.3):
        _houses(stock, place, way, stock.uniform(20, 40), city=True, gap=15)


def _yard(stock: Stock, place: Place, way: Way) -> None:
    reach = way.half + way.walk
    for k in range(4):
        if stock.chance(0.75):
            far = reach * stock.uniform(1.0, 1.8)
            half = stock.uniform(4, 14)
            make = house(stock, half, city=False) if stock.chance(0.6) else fence(stock, half)
            angle = k * np.pi / 2
            place.things += moved(make, -far * np.sin(angle), -far * np.cos(angle), heading=angle)
    for _ in range(stock.whole(2, 14)):
        z, x = stock.uniform(-1, 1) * reach, stock.uniform(-1, 1) * reach
        make = stock.pick((street_thing, street_thing, bush, tree, car, pole))
        put(place, way, make(stock), z, x, heading=stock.uniform(0, 6.28), room=0.8)
    _people(stock, place, way, stock.whole(0, 4), (0.0, reach))


def _woods(stock: Stock, place: Place, way: Way) -> None:
    """The edge of a wood, or rows of trees and bushes, far off on one side or both."""
    tone = stock.colour(GREENS)
    for side in (-1, 1):
        if stock.chance(0.4):
            continue
        away, tall = stock.uniform(6, 45), stock.uniform(2.5, 9)
        z = BEHIND
        while z < AHEAD * 1.2:
            wide = tall * stock.uniform(0.5, 1.0)
            shape = Leaves((wide, tall * stock.uniform(0.6, 1.1), wide), 0.14 * tall,
                           stock.uniform(0, 30), stock.uniform(-0.3, 0.0))  # fmt: skip
            x, mz = way.at(z, side * (way.half + way.walk + away + wide))
            green = leaf(stock, scaled(tone, stock.uniform(0.7, 1.2)), cell=0.08 * tall)
            place.things.append(piece(shape, green, (x, -0.5 * tall, mz)))
            z += wide * stock.uniform(0.8, 1.6)


def _hills(stock: Stock, place: Place) -> None:
    """Hills far away; they need not fit the ground closely."""
    for _ in range(stock.whole(1, 5)):
        wide, tall = stock.uniform(30, 200), stock.uniform(4, 30)
        z = stock.uniform(150, 500)
        x = stock.pick((-1, 1)) * stock.uniform(0.1, 1.2) * z
        shape = Ellipsoid((wide, tall, 0.4 * wide))
        hill = grass(stock) if stock.chance(0.5) else leaf(stock, cell=6.0)
        if abs(x) - wide > 15 or z - 0.4 * wide > 120:
            place.fixed.append(piece(shape, hill, (x, 0.0, z), casts=False))


SETTINGS: dict[str, Setting] = {
    "city": _city, "suburb": _suburb, "highway": _highway, "country": _country, "alley": _alley,
    "park": _park, "yard": _yard,
}  # fmt: skip
