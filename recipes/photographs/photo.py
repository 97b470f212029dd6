"""One photo of one place: what is drawn, from where, in which light, and how it is developed."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from photographs.camera import Light, Photo, take
from photographs.interiors import Place, interior
from photographs.light import sun
from photographs.materials import Stock
from photographs.mixtures import mixture
from photographs.outdoors import Way, outdoor
from photographs.patches import PatchBook
from photographs.pieces import assemble, moved, without
from photographs.shots import NEAREST, Pose, aimed, choose, indoors, look_at
from photographs.vehicles import bonnet
from ssmde.synthetic.scene import Placed

KINDS = ("room", "street", "mixed")
OWN_CAR = 0.15  # share of the photos from a car that show its bonnet or dashboard


class Development(TypedDict):
    """How a camera develops its picture; see `Light`."""

    level: float
    balance: tuple[float, float, float]
    colourful: float
    punch: float


def draw(
    kind: str,
    seed: Sequence[int],
    intrinsics: Float64[ndarray, "3 3"],
    size: tuple[int, int],
    photos: Sequence[Sequence[Path]] = (),
) -> Photo:
    """A photo of a place that only this seed has.

    Args:
        kind: `room`, `street` (anything outdoors), or `mixed`: things anywhere.
        seed: Start of every random choice.
        intrinsics: Pinhole matrix, in pixels.
        size: Height and width.
        photos: Files of real photos, folder by folder, that patches are cut from.
    """
    rng = np.random.default_rng(list(seed))
    stock = Stock(
        rng=rng, book=PatchBook(folders=photos), share=float(rng.uniform(0.2, 0.8)),
        grain=float(rng.uniform(0.4, 1.4)),
    )  # fmt: skip
    if kind == "room":
        place = interior(stock)
        placed, pose = choose(stock, place, intrinsics, size, indoors)
        light = room_light(stock, place)
    elif kind == "street":
        place, way = outdoor(stock)
        light = daylight(stock, place)
        placed, pose = choose(
            stock, place, intrinsics, size, lambda some, _: _outdoors(some, way), near=2.0
        )
        if way.drives and 1.0 < -pose[1, 3] < 2.2 and stock.chance(OWN_CAR):
            placed = _in_own_car(stock, place, pose)
    else:
        place = mixture(stock)
        placed, pose = choose(stock, place, intrinsics, size, _anywhere)
        light = daylight(stock, place) if stock.chance(0.5) else room_light(stock, place)
    return take(placed, light, stock.book, rng, pose, intrinsics, size)


def _anywhere(stock: Stock, _: Place) -> Pose:
    at = (stock.normal(0, 0.5), -stock.uniform(0.3, 2.2), stock.normal(0, 0.5))
    return aimed(at, (stock.normal(0, 22), stock.normal(-5, 15), stock.normal(0, 6)))


def _outdoors(stock: Stock, way: Way) -> Pose:
    """A pose on the road, on the pavement, or above."""
    if way.drives and stock.chance(0.6):
        lane = way.half * stock.pick((0.5, 0.5, 0.25, -0.5))
        at = (lane + stock.normal(0, 0.3), -stock.uniform(1.15, 2.1), 0.0)
        heading = stock.normal(0, 5) if stock.chance(0.85) else stock.normal(0, 60)
        return aimed(at, (heading, stock.normal(-1, 2.5), stock.normal(0, 1.2)))
    reach = way.half + way.walk * 0.8
    x = stock.uniform(-1, 1) * reach
    tall = stock.pick((stock.uniform(1.3, 1.8), stock.uniform(1.3, 1.8), stock.uniform(0.4, 1.2),
                       stock.uniform(2, 8)))  # fmt: skip
    if stock.chance(0.7):
        goal = (stock.normal(0, reach), -stock.uniform(0.5, 2.5), stock.uniform(6, 30))
        return look_at(stock, (x, -tall, 0.0), goal, 8)
    angles = (stock.uniform(-180, 180), stock.normal(-4, 8), stock.normal(0, 3))
    return aimed((x, -tall, 0.0), angles)


def _in_own_car(stock: Stock, place: Place, pose: Pose) -> Placed:
    """The scene with one's own bonnet or dashboard before the camera."""
    x, y, z = pose[:3, 3].tolist()
    own = moved(bonnet(stock), x, z, y=y, heading=float(np.arctan2(pose[0, 2], pose[2, 2])))
    fixed = [*place.fixed, *own]
    return without(assemble([*fixed, *place.things]), len(fixed), pose[:3, 3], NEAREST)


def room_light(stock: Stock, place: Place) -> Light:
    """Lamps and windows, and what walls throw back of their light."""
    total = sum(float(lamp.colour.mean()) for lamp in place.lamps if not lamp.sun) + 0.3
    size = place.half[0] * place.half[1] * place.tall + 4
    warm = np.array([1.0, stock.uniform(0.9, 1.0), stock.uniform(0.75, 1.05)])
    around = stock.uniform(0.12, 0.6) * total / size**0.67 * warm
    return Light(
        lamps=tuple(place.lamps), above=around, below=around * stock.uniform(0.6, 1.0),
        horizon=1.2 * around, zenith=around, corner=stock.uniform(0.25, 0.7),
        **development(stock),
    )  # fmt: skip


def daylight(stock: Stock, place: Place) -> Light:
    """Sun and sky: clear, cloudy, hazy, in the evening, or after dusk."""
    kind = stock.pick(("clear", "clear", "clear", "cloudy", "cloudy", "grey", "low", "dusk"))
    up = {"clear": stock.uniform(0.5, 2.5), "cloudy": stock.uniform(0.4, 2.0), "grey": 1.5,
          "low": stock.uniform(0.12, 0.4), "dusk": 0.1}[kind]  # fmt: skip
    angle = stock.uniform(0, 6.28)
    direction = np.array([np.sin(angle), -up, np.cos(angle)])
    warm = np.array([1.0, 0.75, 0.5]) if kind in ("low", "dusk") else np.array([1.0, 0.95, 0.87])
    strength = {"clear": stock.uniform(2.0, 4.0), "cloudy": stock.uniform(0.6, 2.5), "grey": 0.0,
                "low": stock.uniform(1.5, 3.5), "dusk": 0.0}[kind]  # fmt: skip
    lamps = list(place.lamps)
    if strength > 0 and not any(lamp.sun for lamp in lamps):
        width = 0.012 if kind != "cloudy" else stock.uniform(0.01, 0.08)
        lamps.append(sun(direction, strength * warm, width))
    pale = np.array([0.85, 0.92, 1.0]) if kind != "grey" else np.array([0.95, 0.97, 1.0])
    horizon = stock.uniform(1.0, 1.8) * pale
    zenith = stock.uniform(0.35, 0.7) * np.array([0.45, 0.72, 1.25])
    if kind == "grey":
        zenith = horizon * stock.uniform(0.8, 1.1)
    if kind in ("low", "dusk"):
        horizon = stock.uniform(0.6, 1.2) * np.array([1.1, 0.85, 0.65])
    shade = stock.uniform(0.55, 0.95)
    return Light(
        lamps=tuple(lamps), above=shade * np.array([0.92, 0.98, 1.08]),
        below=shade * stock.uniform(0.25, 0.5) * np.array([1.0, 0.97, 0.92]),
        horizon=horizon, zenith=zenith,
        clouds={"clear": 0.15, "cloudy": 0.55, "grey": 0.0, "low": 0.35, "dusk": 0.3}[kind],
        sight=float(np.exp(stock.uniform(np.log(250), np.log(4000)))),
        corner=stock.uniform(0.8, 1.6), **development(stock),
    )  # fmt: skip


def development(stock: Stock) -> Development:
    """Exposure, white balance, colour and contrast of a camera."""
    red, green, blue = (float(np.exp(stock.normal(0, 0.09))) for _ in range(3))
    return {
        "level": stock.uniform(0.34, 0.64),
        "balance": (red, green, blue),
        "colourful": stock.uniform(0.55, 1.2) if stock.chance(0.96) else 0.0,
        "punch": float(np.exp(stock.normal(0.08, 0.16))),
    }
