"""People, cars, trees and furniture: bodies put together from simple shapes, standing on y = 0.

Each function draws the sizes and colours from the generator it is given, and takes the track the
body moves on. In its own frame a body looks along z.
"""

from collections.abc import Iterable

import numpy as np
from numpy.random import Generator

from ssmde.data.drawing.scene import Body, Part, Track
from ssmde.data.drawing.shapes import Box, Capsule, Ellipsoid, Shape
from ssmde.data.drawing.texture import TABLE, Colour, Pattern, Texture

SKINS = ((0.93, 0.76, 0.64), (0.78, 0.57, 0.42), (0.5, 0.34, 0.25), (0.86, 0.68, 0.54))
HAIRS = ((0.12, 0.09, 0.08), (0.3, 0.2, 0.12), (0.55, 0.42, 0.25), (0.4, 0.4, 0.42))
PAINTS = (
    (0.72, 0.12, 0.12), (0.15, 0.3, 0.6), (0.85, 0.85, 0.86), (0.2, 0.22, 0.24),
    (0.55, 0.58, 0.6), (0.12, 0.42, 0.3), (0.9, 0.7, 0.2), (0.45, 0.25, 0.15),
)  # fmt: skip
WOODS = ((0.62, 0.44, 0.28), (0.45, 0.29, 0.18), (0.76, 0.6, 0.42), (0.32, 0.22, 0.17))
WALK = 1.9  # radians of the legs' swing a metre: a stride of about 1.6 m


def pick(rng: Generator, colours: Iterable[Colour]) -> Colour:
    """One of the colours, slightly changed."""
    choices = list(colours)
    return vary(rng, choices[rng.integers(len(choices))], 0.06)


def vary(rng: Generator, colour: Colour, amount: float) -> Colour:
    """A colour near this one, at most `amount` away in each channel."""
    red, green, blue = (np.array(colour) + rng.uniform(-amount, amount, 3)).clip(0.02, 0.98)
    return float(red), float(green), float(blue)


def vivid(rng: Generator) -> Colour:
    """A random strong colour."""
    hue, low = rng.uniform(0, 6), rng.uniform(0.1, 0.4)
    wheel = [np.clip(abs((hue + k) % 6 - 3) - 1, 0, 1) for k in (0, 4, 2)]
    red, green, blue = (low + (rng.uniform(0.55, 0.9) - low) * x for x in wheel)
    return float(red), float(green), float(blue)


def scaled(colour: Colour, factor: float) -> Colour:
    """A brighter or darker colour."""
    red, green, blue = (min(channel * factor, 1.0) for channel in colour)
    return red, green, blue


def textured(
    rng: Generator,
    colour: Colour,
    *,
    cell: float = 0.3,
    depth: float = 0.55,
    pattern: Pattern = "plain",
    mark: Colour = (1.0, 1.0, 1.0),
    period: tuple[float, float] = (1.0, 1.0),
    duty: tuple[float, float] = (0.5, 0.5),
    variation: float = 0.0,
    shift: float = 0.0,
) -> Texture:
    """A texture around one colour, at a random place in the noise.

    Args:
        rng: Where the place comes from.
        colour: Its brighter shade.
        cell: Size of the coarsest grain, in metres.
        depth: Brightness of the darker shade relative to `colour`.
        pattern: See `Texture`, as `mark`, `period`, `duty`, `variation` and `shift`.
        mark: Colour of the pattern.
        period: Size of a repeat, in metres.
        duty: Share of a period that is marked.
        variation: How much blocks differ.
        shift: How far rows are moved.
    """
    x, y, z = rng.uniform(0, TABLE, 3).tolist()
    return Texture(
        base=scaled(vary(rng, colour, 0.03), depth), second=scaled(vary(rng, colour, 0.03), 1.12),
        mark=mark, pattern=pattern, period=period, duty=duty, variation=variation, shift=shift,
        cell=cell, origin=(x, y, z),
    )  # fmt: skip


def person(rng: Generator, track: Track, *, walks: bool = True) -> Body:
    """A person between 1.55 and 1.9 m; arms and legs swing when the track moves."""
    tall = rng.uniform(1.55, 1.9)
    leg_radius, arm_radius = 0.045 * tall, 0.028 * tall
    leg = 0.45 * tall
    hip = leg + leg_radius
    skin, hair, shirt, trousers = pick(rng, SKINS), pick(rng, HAIRS), vivid(rng), pick(rng, PAINTS)
    shirts: tuple[Pattern, ...] = ("plain", "checks", "blocks")
    cloth = textured(
        rng, shirt, cell=0.16, pattern=shirts[rng.integers(3)], mark=vivid(rng),
        period=(0.16, 0.16), duty=(0.12, 0.35),
    )  # fmt: skip
    sleeve = textured(rng, shirt, cell=0.16)
    legs = textured(rng, scaled(trousers, 0.75), cell=0.2)
    shoe = textured(rng, (0.12, 0.1, 0.1), cell=0.1)
    head = textured(
        rng, skin, cell=0.1, depth=0.8, pattern="cap", mark=hair, period=(1.0, -0.02 * tall)
    )
    stride = 0.42
    parts = [
        Part(
            shape=Ellipsoid((0.047 * tall, 0.068 * tall, 0.056 * tall)),
            texture=head, offset=(0, -0.932 * tall, 0),
        ),
        Part(shape=Capsule(0.06 * tall, 0.03 * tall), texture=head, offset=(0, -0.9 * tall, 0), casts_shadow=False),
        Part(
            shape=Ellipsoid((0.118 * tall, 0.2 * tall, 0.078 * tall)),
            texture=cloth, offset=(0, -0.665 * tall, 0),
        ),
        Part(
            shape=Ellipsoid((0.095 * tall, 0.1 * tall, 0.08 * tall)),
            texture=legs, offset=(0, -hip - 0.005, 0), casts_shadow=False,
        ),
    ]  # fmt: skip
    for side in (-1, 1):
        swing = side * stride
        thigh = (side * 0.052 * tall, -hip, 0.0)
        arm = (side * 0.125 * tall, -0.8 * tall, 0.0)
        parts += [
            Part(
                shape=Capsule(leg - leg_radius, leg_radius), texture=legs, swing=swing, offset=thigh
            ),
            Part(
                shape=Ellipsoid((0.7 * leg_radius, leg_radius, 1.7 * leg_radius)), texture=shoe,
                swing=swing, offset=thigh, hang=(0, leg, 0.6 * leg_radius),
                casts_shadow=False,
            ),
            Part(shape=Capsule(0.28 * tall, arm_radius), texture=sleeve, swing=-swing, offset=arm),
            Part(
                shape=Ellipsoid((0.02 * tall, 0.05 * tall, 0.03 * tall)), texture=head,
                swing=-swing, offset=arm, hang=(0, 0.35 * tall, 0), casts_shadow=False,
            ),
        ]  # fmt: skip
    speed = _speed(track)
    return Body(
        parts=tuple(parts), track=track, leg=leg, stride=stride if walks and speed else 0.0,
        pace=WALK * 2 * speed, footprint=(0.1, 0.08),
    )  # fmt: skip


def _speed(track: Track) -> float:
    """Mean speed along a track, in metres a second."""
    if len(track.times) == 1:
        return 0.0
    way = np.linalg.norm(np.diff(track.positions, axis=0), axis=1).sum()
    return float(way / (track.times[-1] - track.times[0]))


def car(rng: Generator, track: Track) -> Body:
    """A car of about 4.2 x 1.75 x 1.5 m."""
    half_long, half_wide, tall = rng.uniform(1.95, 2.25), rng.uniform(0.82, 0.9), rng.uniform(1.4, 1.6)
    wheel, clear = 0.32, 0.2
    waist = 0.58 * tall
    paint = pick(rng, PAINTS)
    body = textured(
        rng, paint, cell=0.5, depth=0.7, pattern="blocks", mark=scaled(paint, 0.35),
        period=(1.1, 0.36), duty=(0.03, 0.06),
    )  # fmt: skip
    glass = textured(
        rng, (0.3, 0.36, 0.42), cell=0.4, depth=0.35, pattern="blocks", mark=scaled(paint, 0.5),
        period=(0.95, 5.0), duty=(0.1, 0.0),
    )  # fmt: skip
    rubber = textured(rng, (0.16, 0.16, 0.17), cell=0.12)
    rim = textured(
        rng, (0.75, 0.76, 0.78), cell=0.1, pattern="checks", mark=(0.25,) * 3, period=(0.12, 0.12)
    )
    red, white = textured(rng, (0.8, 0.06, 0.05), cell=0.1), textured(rng, (0.95,) * 3, cell=0.1)
    dark = textured(rng, (0.14, 0.14, 0.15), cell=0.2)
    roof = textured(rng, paint, cell=0.5, depth=0.8)
    low, cabin = (waist - clear) / 2, (tall - waist) / 2
    back = -0.12 * half_long
    parts = [
        Part(
            shape=Box((half_wide, low, half_long), (0.03, 0.06)), texture=body,
            offset=(0, -clear - low, 0),
        ),
        Part(
            shape=Box((0.94 * half_wide, cabin, 0.62 * half_long), (0.16, 0.42)), texture=glass,
            offset=(0, -waist - cabin, back),
        ),
    ]  # fmt: skip
    wide, long = 0.94 * half_wide - 0.17, 0.62 * half_long - 0.42
    details: list[tuple[Shape, Texture, tuple[float, float, float]]] = [
        (Box((wide, 0.03, long), (0.02, 0.05)), roof, (0, -tall - 0.02, back)),
        (Box((0.96 * half_wide, 0.09, half_long + 0.06)), dark, (0, -clear - 0.14, 0)),
        (Box((0.26, 0.06, 0.02)), white, (0, -0.62 * waist, -half_long)),
    ]
    lamp = Box((0.17, 0.07, 0.03))
    for side in (-1, 1):
        aside = side * 0.68 * half_wide
        details.append((lamp, red, (aside, -0.8 * waist, -half_long)))
        details.append((lamp, white, (aside, -0.76 * waist, half_long)))
        for end in (-0.62 * half_long, 0.64 * half_long):
            at = side * (half_wide - 0.07)
            details.append((Ellipsoid((0.12, wheel, wheel)), rubber, (at, -wheel, end)))
            at = side * (half_wide - 0.05)
            details.append((Ellipsoid((0.11, 0.19, 0.19)), rim, (at, -wheel, end)))
    parts += [
        Part(shape=shape, texture=texture, offset=at, casts_shadow=False)
        for shape, texture, at in details
    ]
    return Body(
        parts=tuple(parts), track=track, footprint=(half_wide - 0.05, half_long - 0.1)
    )


def crate(rng: Generator, track: Track) -> Body:
    """A box with a ball on it."""
    half, ball = rng.uniform(0.16, 0.24), rng.uniform(0.1, 0.14)
    patterns: tuple[Pattern, ...] = ("checks", "stripes", "plain")
    kind = patterns[rng.integers(3)]
    board = textured(
        rng, vivid(rng), cell=0.2, depth=0.4, pattern=kind, mark=vivid(rng), period=(0.2, 0.2)
    )
    skin = textured(
        rng, vivid(rng), cell=0.15, pattern="stripes", mark=vivid(rng), period=(0.1, 0.1)
    )
    parts = (
        Part(shape=Box((half, half, 1.2 * half)), texture=board, offset=(0, -half, 0)),
        Part(shape=Ellipsoid((ball,) * 3), texture=skin, offset=(0, -2 * half - ball, 0)),
    )
    return Body(parts=parts, track=track, footprint=(half, 1.2 * half))
