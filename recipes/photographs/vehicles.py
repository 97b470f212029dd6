"""Cars, vans, trucks, buses, bicycles and motorcycles; they stand on y = 0 and look along z."""

from photographs.figures import figure
from photographs.finishes import glass, lacquer, metal, paper, plastic
from photographs.materials import Material, Stock
from photographs.pieces import (
    Thing,
    box,
    cushion,
    limb,
    moved,
    piece,
    rod,
)
from photographs.solids import Cone, Number
from ssmde.synthetic.bodies import scaled
from ssmde.synthetic.scene import Ellipsoid


def wheel(stock: Stock, radius: Number, wide: Number, tyre: Material, rim: Material) -> Thing:
    """A wheel around the origin, whose axle is x."""
    return [
        rod((-wide / 2, 0, 0), (wide / 2, 0, 0), radius, tyre),
        rod((-wide / 2 - 0.01, 0, 0), (wide / 2 + 0.01, 0, 0), 0.66 * radius, rim, casts=False),
        rod((-wide / 2 - 0.02, 0, 0), (wide / 2 + 0.02, 0, 0), 0.15 * radius, tyre, casts=False),
    ]


def _wheels(
    stock: Stock, half_x: Number, places: list[Number], radius: Number, *, arches: bool = True
) -> Thing:
    tyre = plastic(stock, (0.07, 0.07, 0.075))
    rim = stock.pick((metal(stock, (0.6, 0.61, 0.62)), metal(stock, (0.2, 0.2, 0.21))))
    things: Thing = []
    for side in (-1, 1):
        for z in places:
            x = side * (half_x - 0.11)
            things += moved(wheel(stock, radius, 0.22, tyre, rim), x, z, y=-radius)
            if arches:
                end, y = side * (half_x + 0.003), -1.2 * radius
                arch = rod((end - side * 0.3, y, z), (end, y, z), 1.12 * radius, tyre, casts=False)
                things.append(arch)
    return things


def car(stock: Stock) -> Thing:
    """A hatchback, saloon, estate or off-road car."""
    kind = stock.pick(("hatch", "saloon", "estate", "suv"))
    half_z = {"hatch": 1.95, "saloon": 2.3, "estate": 2.3, "suv": 2.2}[kind] * stock.normal(1, 0.03)
    half_x, tall = stock.uniform(0.84, 0.92), stock.uniform(1.4, 1.52)
    if kind == "suv":
        tall = stock.uniform(1.6, 1.85)
    clear, radius = stock.uniform(0.16, 0.24), stock.uniform(0.29, 0.35) * (tall / 1.5)
    waist = tall * stock.uniform(0.6, 0.66)
    paint, pane = lacquer(stock), glass(stock)
    dark = plastic(stock, (0.06, 0.06, 0.065))
    hull = (waist - clear) / 2
    nose = {"hatch": 0.8, "saloon": 1.05, "estate": 1.0, "suv": 1.0}[kind]  # length of the bonnet
    tail = 0.85 if kind == "saloon" else 0.05
    front, rear = half_z - nose, -half_z + tail
    cabin, middle = (front - rear) / 2, (front + rear) / 2
    high = (tall - waist) / 2
    lean = (0.2, stock.uniform(0.7, 1.0) * (1.0 if kind == "saloon" else 0.7) + 0.1)
    things = [
        cushion((half_x, hull, half_z), paint, (0, -clear - hull, 0), soft=0.45),
        box((half_x - 0.02, 0.1, half_z - 0.06), dark, (0, -clear - 0.06, 0)),
        box((half_x - 0.05, high + 0.04, cabin + 0.1), pane, (0, -waist - high + 0.04, middle),
            lean=lean),
        cushion((half_x - 0.05 - lean[0] / 2 - 0.01, 0.05, cabin - lean[1] / 2 + 0.1), paint,
                (0, -tall + 0.01, middle), soft=0.9),
    ]  # fmt: skip
    top = (half_x - 0.06 - lean[0] / 2, -tall + 0.03)
    foot = (half_x - 0.06, -waist + 0.02)
    for side in (-1, 1):
        shift = lean[1] / 2
        for low, upper in (
            (middle + cabin + 0.08, middle + cabin + 0.08 - shift),
            (middle - cabin - 0.08, middle - cabin - 0.08 + shift),
            (middle + 0.1, middle + 0.08),
        ):
            things.append(limb((side * foot[0], foot[1], low), (side * top[0], top[1], upper),
                               0.035, paint))  # fmt: skip
        mirror = (side * (half_x + 0.08), -waist - 0.05, front - 0.1)
        things.append(piece(Ellipsoid((0.09, 0.06, 0.05)), paint, mirror, casts=False))
        things.append(box((0.012, 0.012, 0.09), dark, (side * half_x, -waist + 0.14, middle - 0.2),
                          casts=False))  # fmt: skip
    things += _face(stock, half_x, half_z, clear, waist, paint)
    reach = 0.62 * half_z
    return things + _wheels(stock, half_x, [-reach, reach + 0.05], radius)


def _face(
    stock: Stock, half_x: Number, half_z: Number, clear: Number, waist: Number, paint: Material
) -> Thing:
    """Lamps, grille, bumpers and number plates."""
    white = stock.material((0.9, 0.9, 0.88), gloss=0.15, glow=stock.pick((0.0, 0.0, 3.0)))
    red = stock.material((0.62, 0.05, 0.05), gloss=0.1, glow=stock.pick((0.0, 0.0, 2.5)))
    dark = plastic(stock, (0.05, 0.05, 0.055))
    plate = plastic(stock, stock.pick(((0.92, 0.92, 0.9), (0.9, 0.75, 0.2))))
    wide, y = stock.uniform(0.12, 0.22), -clear - 0.68 * (waist - clear)
    things = [
        box((0.55 * half_x, 0.07, 0.02), dark, (0, y + 0.03, half_z)),
        box((0.85 * half_x, 0.08, 0.03), dark, (0, -clear - 0.12, half_z - 0.01)),
        box((0.85 * half_x, 0.06, 0.03), dark, (0, -clear - 0.1, -half_z + 0.01)),
        box((0.26, 0.055, 0.015), plate, (0, -clear - 0.24, half_z + 0.01), casts=False),
        box((0.26, 0.055, 0.015), plate, (0, y + 0.08, -half_z), casts=False),
    ]
    for side in (-1, 1):
        x = side * (half_x - wide - 0.06)
        things.append(cushion((wide, 0.07, 0.06), white, (x, y, half_z - 0.05), soft=0.9))
        tall = stock.pick((0.07, 0.07, 0.16))
        at = (x + side * 0.3 * wide, y - 0.03, -half_z + 0.04)
        things.append(cushion((0.7 * wide, tall, 0.05), red, at, soft=0.9))
    return things


def van(stock: Stock) -> Thing:
    """A delivery van or minibus."""
    half_z, half_x, tall = (
        stock.uniform(2.3, 3.0),
        stock.uniform(0.92, 1.02),
        stock.uniform(1.9, 2.6),
    )
    paint, pane = lacquer(stock), glass(stock)
    dark, clear = plastic(stock, (0.06, 0.06, 0.065)), 0.25
    long = half_z * 0.82
    middle = -half_z + long
    things = [
        cushion((half_x, (tall - clear) / 2, long), paint, (0, -(tall + clear) / 2, middle),
                soft=0.15),
        cushion((half_x - 0.02, 0.42, half_z), paint, (0, -clear - 0.42, 0), soft=0.3),
        box((half_x - 0.06, 0.4, 0.62), pane, (0, -1.45, half_z - 0.75), lean=(0.1, 0.9)),
        box((half_x - 0.15, 0.3, 0.02), pane, (0, -tall + 0.5, -half_z)),
        box((half_x - 0.03, 0.1, half_z - 0.05), dark, (0, -clear, 0)),
    ]  # fmt: skip
    panel = paper(stock) if stock.chance(0.4) else (pane if stock.chance(0.5) else None)
    if panel is not None:
        half = (half_x + 0.006, 0.3, long * 0.7)
        things.append(box(half, panel, (0, -tall + 0.6, middle - 0.1), casts=False))
    else:
        side_pane = (half_x + 0.006, 0.26, 0.4)
        things.append(box(side_pane, pane, (0, -1.5, half_z - 1.35), casts=False))
    things += _face(stock, half_x, half_z, clear, 1.1, paint)
    return things + _wheels(stock, half_x, [-0.6 * half_z, 0.66 * half_z], 0.34)


def truck(stock: Stock) -> Thing:
    """A truck: a cab, and a box, a tank or an open bed behind it."""
    half_x, long = 1.22, stock.uniform(2.5, 6.5)
    high, paint, dark = stock.uniform(1.0, 1.4), lacquer(stock), plastic(stock, (0.08, 0.08, 0.08))
    front = long + 1.1
    pane = glass(stock)
    things = [
        cushion((half_x, 1.15, 0.95), paint, (0, -1.75, front), soft=0.2),
        box((half_x - 0.1, 0.42, 0.02), pane, (0, -2.25, front + 0.95)),
        box((half_x + 0.005, 0.35, 0.5), pane, (0, -2.2, front + 0.2), casts=False),
        box((0.4, 0.14, long + 1.2), dark, (0, -0.8, 0)),
        box((half_x, 0.15, 0.1), dark, (0, -0.5, front + 0.95)),
        box((half_x, 0.1, 0.06), dark, (0, -0.55, -long)),
    ]
    kind = stock.whole(0, 3)
    if kind <= 1:
        load = stock.material(
            stock.pick(((0.88, 0.88, 0.86), stock.any_colour())), contrast=0.06, cell=0.5,
            pattern=stock.pick(("plain", "stripes")), mark=(0.75, 0.75, 0.74),
            period=(0.5, 0.5), duty=(0.06, 0.5), patch=2.5, even=False,
        )  # fmt: skip
        things.append(box((half_x, high, long), load, (0, -0.95 - high, 0)))
    elif kind == 2:
        things.append(rod((0, -0.95 - half_x, -long), (0, -0.95 - half_x, long), half_x,
                          metal(stock)))  # fmt: skip
    else:
        things.append(box((half_x, 0.35, long), paint, (0, -1.3, 0)))
        for _ in range(stock.whole(1, 6)):
            half = (stock.uniform(0.2, 0.9), stock.uniform(0.2, 0.7), stock.uniform(0.2, 0.9))
            z = stock.uniform(-0.8, 0.8) * long
            things.append(box(half, paper(stock), (0, -1.5 - half[1], z)))
    red = stock.material((0.62, 0.05, 0.05), gloss=0.1, glow=stock.pick((0.0, 2.0)))
    things += [box((0.15, 0.07, 0.03), red, (s * 0.95, -0.75, -long - 0.02)) for s in (-1, 1)]
    places = [-long + 0.7, front - 0.1]
    if long > 3.5:
        places.append(-long + 1.8)
    return things + _wheels(stock, half_x, places, 0.5, arches=False)


def bus(stock: Stock) -> Thing:
    """A bus with rows of windows; sometimes with two decks."""
    half_x, half_z, tall = 1.25, stock.uniform(4.5, 6.2), stock.pick((3.0, 3.2, 4.3))
    paint, tone = lacquer(stock), stock.any_colour()
    side = stock.material(
        tone, contrast=0.03, cell=1.0, pattern="windows", mark=(0.1, 0.12, 0.14),
        period=(1.45, tall / (3 if tall > 4 else 2)), duty=(0.9, 0.5), variation=0.3, gloss=0.08,
    )  # fmt: skip
    pane = glass(stock)
    things = [
        box((half_x, (tall - 0.35) / 2, half_z), side, (0, -(tall + 0.35) / 2, 0)),
        box((half_x + 0.01, 0.42, half_z + 0.01), paint, (0, -0.8, 0)),
        box((half_x - 0.1, 0.65, 0.02), pane, (0, -1.9, half_z + 0.02)),
        box((half_x - 0.2, 0.45, 0.02), pane, (0, -2.0, -half_z - 0.02)),
        box((half_x - 0.2, 0.14, 0.03), paper(stock), (0, -tall + 0.25, half_z + 0.02)),
        cushion((half_x, 0.12, half_z), paint, (0, -tall, 0), soft=0.9),
    ]
    things += _face(stock, half_x, half_z + 0.02, 0.4, 1.1, paint)
    return things + _wheels(stock, half_x, [-0.6 * half_z, 0.62 * half_z], 0.48)


def bicycle(stock: Stock, *, rider: bool) -> Thing:
    """A bicycle, with or without somebody on it."""
    frame = plastic(stock, stock.any_colour())
    tyre = plastic(stock, (0.07, 0.07, 0.07))
    things: Thing = []
    for z in (-0.52, 0.52):
        ring = moved([piece(Cone(0.035, (0.335, 0.335), open=True), tyre, (0, -0.0175, 0))],
                     roll=1.5708)  # fmt: skip
        things += moved(ring, 0, z, y=-0.335)
        things.append(rod((-0.03, -0.335, z), (0.03, -0.335, z), 0.03, frame))
        for k in range(6):
            spoke = moved([rod((0, -0.33, 0), (0, 0.33, 0), 0.0025, frame, casts=False)],
                          pitch=k * 0.52)  # fmt: skip
            things += moved(spoke, 0, z, y=-0.335)
    seat, pedal, head = (0, -0.92, -0.22), (0, -0.3, -0.06), (0, -0.95, 0.36)
    back, front = (0, -0.335, -0.52), (0, -0.335, 0.52)
    tubes = [(seat, pedal), (pedal, head), ((0, -0.78, -0.19), head), (back, pedal),
             (back, (0, -0.75, -0.18)), (front, head)]  # fmt: skip
    for a, b in tubes:
        things.append(rod(a, b, 0.016, frame))
    things.append(rod((-0.27, -1.02, 0.33), (0.27, -1.02, 0.33), 0.014, tyre))
    things.append(cushion((0.08, 0.03, 0.12), tyre, (0, -0.94, -0.22), soft=0.9))
    if rider:
        things += moved(_seated(stock), 0, -0.16, y=-0.52)
    elif stock.chance(0.5):
        things = moved(things, roll=stock.uniform(-0.2, 0.2))
    return things


def _seated(stock: Stock) -> Thing:
    """Somebody who sits; feet at about the height of pedals once it is lifted."""
    return figure(stock, "sit")


def motorcycle(stock: Stock, *, rider: bool) -> Thing:
    """A motorcycle or scooter."""
    paint, dark = lacquer(stock), plastic(stock, (0.08, 0.08, 0.08))
    things: Thing = []
    for z in (-0.65, 0.65):
        things += moved(wheel(stock, 0.3, 0.13, dark, metal(stock)), 0, z, y=-0.3)
    things += [
        cushion((0.13, 0.2, 0.45), paint, (0, -0.55, 0.05), soft=0.8),
        cushion((0.15, 0.07, 0.4), dark, (0, -0.8, -0.35), soft=0.9),
        cushion((0.15, 0.12, 0.22), paint, (0, -0.82, 0.15), soft=0.9),
        rod((0, -0.3, 0.65), (0, -1.0, 0.4), 0.04, dark),
        rod((-0.33, -1.05, 0.38), (0.33, -1.05, 0.38), 0.018, dark),
        piece(Ellipsoid((0.09, 0.09, 0.06)), plastic(stock, (0.9, 0.9, 0.88)), (0, -0.92, 0.5)),
        box((0.1, 0.08, 0.02), plastic(stock, (0.6, 0.05, 0.05)), (0, -0.7, -0.78)),
    ]
    if rider:
        things += moved(_seated(stock), 0, -0.25, y=-0.38)
    return things


def bonnet(stock: Stock) -> Thing:
    """The bonnet of one's own car, or its dashboard; around the camera at the origin."""
    if stock.chance(0.6):
        paint = lacquer(stock)
        half = (stock.uniform(0.75, 0.95), 0.2, 0.6)
        return [cushion(half, paint, (0, stock.uniform(0.52, 0.68), 1.35), soft=0.9)]
    dark = plastic(stock, scaled((0.12, 0.12, 0.13), stock.uniform(0.6, 1.5)))
    return [
        cushion((1.2, 0.2, 0.35), dark, (0, stock.uniform(0.45, 0.55), 0.75), soft=0.6),
        rod((-0.4, 0.3, 1.1), (0.5, 0.26, 1.1), 0.012, dark),
    ]


def traffic(stock: Stock) -> Thing:
    """Any vehicle, cars most often."""
    kind = stock.uniform(0, 1)
    if kind < 0.64:
        return car(stock)
    if kind < 0.76:
        return van(stock)
    if kind < 0.83:
        return truck(stock)
    if kind < 0.88:
        return bus(stock)
    if kind < 0.95:
        return motorcycle(stock, rider=True)
    return bicycle(stock, rider=True)
