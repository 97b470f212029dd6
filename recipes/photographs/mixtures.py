"""Places whose layout tells nothing: things of all sizes at any height, indoors or in the open."""

import numpy as np

from photographs.clutter import FLOOR, SMALL
from photographs.figures import figure
from photographs.finishes import cloth, floor, grass, paper, plastic, wall, wood
from photographs.furniture import chair, sofa, table
from photographs.interiors import Place
from photographs.light import Lamp, sun
from photographs.materials import Material, Stock
from photographs.pieces import Piece, Thing, moved, piece, turned
from photographs.roadside import bush, pole, street_thing, tree
from photographs.solids import Cone, Cushion, Leaves, Number
from photographs.vehicles import bicycle, car
from ssmde.synthetic.scene import Box, Capsule, Ellipsoid, Plane, Shape


def any_solid(stock: Stock, size: Number) -> Shape:
    """A box, ball, rod, cone, cushion or bush of about this half size."""
    a, b, c = (size * stock.uniform(0.25, 1.0) for _ in range(3))
    kind = stock.whole(0, 6)
    if kind <= 1:
        return Box((a, b, c))
    if kind == 2:
        return Ellipsoid((a, b, c))
    if kind == 3:
        return Capsule(2 * a, 0.3 * b)
    if kind == 4:
        return Cone(2 * a, (b * stock.uniform(0.1, 1), b), open=stock.chance(0.3))
    if kind == 5:
        return Cushion((a, b, c), 0.6 * min(a, b, c))
    return Leaves((a, b, c), 0.3 * size, stock.uniform(0, 30))


def _stuff(stock: Stock) -> Material:
    return stock.pick((paper, cloth, plastic, wood, wall))(stock)


def _thing(stock: Stock) -> Thing:
    make = stock.pick((
        *FLOOR, *SMALL, figure, bush, pole, street_thing, lambda s: tree(s, s.uniform(1, 5)), car,
        lambda s: bicycle(s, rider=True), lambda s: chair(s).thing, lambda s: sofa(s).thing,
        lambda s: table(s, 0.6, 0.4, 0.7, 5).thing,
    ))  # fmt: skip
    return make(stock)


def mixture(stock: Stock) -> Place:
    """Things anywhere around the origin, before walls that stand at any angle or none."""
    place = Place(things=[], lamps=[], half=(3.0, 3.0), tall=3.0)
    inside = stock.chance(0.5)
    if stock.chance(0.75):
        ground = (floor if inside else grass)(stock)
        tilt = turned(stock.uniform(0, 6.28), stock.normal(0, 0.12))
        half = (400.0, 400.0)
        place.fixed.append(piece(Plane(1, half), ground, (0, 0, 0), turn=tilt, casts=False))
    for _ in range(stock.whole(2, 6) if inside else stock.whole(0, 2)):
        far = stock.uniform(2.5, 9)
        angle = stock.uniform(0, 6.28)
        turn = turned(angle + stock.normal(0, 0.5), stock.normal(0, 0.25))
        at = (far * float(np.sin(angle)), -1.0, far * float(np.cos(angle)))
        half = (stock.uniform(1, 12), stock.uniform(1, 6), 0.05)
        place.things.append(piece(Box(half), wall(stock), at, turn=turn, casts=False))
    for _ in range(stock.whole(15, 80)):
        place.things += _somewhere(stock)
    _light(stock, place, inside=inside)
    return place


def _somewhere(stock: Stock) -> list[Piece]:
    """One thing or solid, in the air as often as on the ground, the larger the farther."""
    far = 0.6 * 40 ** (stock.uniform(0, 1) ** 1.4)
    angle, up = stock.normal(0, 0.6), -stock.uniform(0.0, 1.8) * min(far, 4.0) / 2
    x, z = far * float(np.sin(angle)), far * float(np.cos(angle))
    spin = stock.uniform(0, 6.28)
    if stock.chance(0.45):
        lies = stock.chance(0.6)
        return moved(_thing(stock), x, z, y=0.0 if lies else up, heading=spin,
                     pitch=0.0 if lies else stock.normal(0, 0.6))  # fmt: skip
    size = far * stock.uniform(0.04, 0.35)
    turn = turned(spin, stock.uniform(-1.5, 1.5), stock.uniform(-1.5, 1.5))
    return [piece(any_solid(stock, size), _stuff(stock), (x, up, z), turn=turn)]


def _light(stock: Stock, place: Place, *, inside: bool) -> None:
    if not inside or stock.chance(0.3):
        angle = stock.uniform(0, 6.28)
        direction = np.array([np.sin(angle), -stock.uniform(0.3, 2.0), np.cos(angle)])
        place.lamps.append(sun(direction, stock.uniform(0.5, 3) * np.array([1.0, 0.95, 0.85])))
    if inside:
        for _ in range(stock.whole(1, 3)):
            at = np.array([stock.uniform(-3, 3), -stock.uniform(1.5, 3.5), stock.uniform(-3, 3)])
            warm = np.array([1.0, stock.uniform(0.75, 1.0), stock.uniform(0.5, 1.0)])
            place.lamps.append(
                Lamp(at=at, colour=stock.uniform(1, 5) * warm, spread=0.1 * np.eye(3))
            )
