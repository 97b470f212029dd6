"""People, crates and textures: bodies put together from simple shapes, and their tracks.

Sizes and colors are drawn from a generator; in its own frame a body looks along z, on y = 0.
"""

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from ssmde.synthetic import scene as s
from ssmde.synthetic.scene import Body, Box, Capsule, Color, Ellipsoid, Part, Texture, Times, Track
from ssmde.synthetic.shading import TABLE

SKINS = ((0.93, 0.76, 0.64), (0.78, 0.57, 0.42), (0.5, 0.34, 0.25), (0.86, 0.68, 0.54))
HAIRS = ((0.12, 0.09, 0.08), (0.3, 0.2, 0.12), (0.55, 0.42, 0.25), (0.4, 0.4, 0.42))
PAINTS = (
    (0.72, 0.12, 0.12), (0.15, 0.3, 0.6), (0.85, 0.85, 0.86), (0.2, 0.22, 0.24),
    (0.55, 0.58, 0.6), (0.12, 0.42, 0.3), (0.9, 0.7, 0.2), (0.45, 0.25, 0.15),
)  # fmt: skip
WOODS = ((0.62, 0.44, 0.28), (0.45, 0.29, 0.18), (0.76, 0.6, 0.42), (0.32, 0.22, 0.17))
LEG, LEG_RADIUS = 0.45, 0.045  # shares of a person's height
STRIDE = 0.42  # radians a leg swings to either side
WALK = 3.8  # radians of the swing's phase a metre: two steps in 1.65 m
WALKING = 1.1  # metres a second


def pick(rng: Generator, colors: Sequence[Color]) -> Color:
    """One of the colors, slightly changed."""
    return vary(rng, colors[int(rng.integers(len(colors)))], 0.06)


def vary(rng: Generator, color: Color, amount: float) -> Color:
    """A color near this one, at most `amount` away in each channel."""
    red, green, blue = (np.array(color) + rng.uniform(-amount, amount, 3)).clip(0.02, 0.98).tolist()
    return red, green, blue


def vivid(rng: Generator) -> Color:
    """A random strong color."""
    hue, low = rng.uniform(0, 6), rng.uniform(0.1, 0.4)
    wheel = [np.clip(abs((hue + k) % 6 - 3) - 1, 0, 1) for k in (0, 4, 2)]
    red, green, blue = (float(low + (rng.uniform(0.55, 0.9) - low) * x) for x in wheel)
    return red, green, blue


def scaled(color: Color, factor: float) -> Color:
    """A brighter or darker color."""
    red, green, blue = (min(channel * factor, 1.0) for channel in color)
    return red, green, blue


def textured(
    rng: Generator, color: Color, cell: float = 0.3, depth: float = 0.55,
    pattern: s.Pattern = "plain", mark: Color = (1.0, 1.0, 1.0), period: s.Pair = (1.0, 1.0),
    duty: s.Pair = (0.5, 0.5), variation: float = 0.0, shift: float = 0.0,
) -> Texture:  # fmt: skip
    """A texture around one color, at a random place in the noise.

    `color` is the brighter shade, `depth` the brightness of the darker one relative to it, `cell`
    the size of the coarsest grain in metres; the rest is as in `Texture`.
    """
    x, y, z = rng.uniform(0, TABLE, 3).tolist()
    return Texture(
        base=scaled(vary(rng, color, 0.03), depth), second=scaled(vary(rng, color, 0.03), 1.12),
        mark=mark, pattern=pattern, period=period, duty=duty, variation=variation, shift=shift,
        cell=cell, origin=(x, y, z),
    )  # fmt: skip


def person(rng: Generator, track: Track) -> Body:
    """A person between 1.55 and 1.9 m; arms and legs swing when the track moves."""
    tall, shirt = float(rng.uniform(1.55, 1.9)), vivid(rng)
    pattern: s.Pattern = ("plain", "checks", "blocks")[int(rng.integers(3))]
    cloth = textured(rng, shirt, 0.16, 0.55, pattern, vivid(rng), (0.16, 0.16), (0.12, 0.35))
    trousers = textured(rng, scaled(pick(rng, PAINTS), 0.75), 0.2)
    skin = textured(rng, pick(rng, SKINS), 0.1, 0.8, "cap", pick(rng, HAIRS), (1.0, -0.02 * tall))
    trunk = [  # half axes and height of the middle, as shares of the person's height
        ((0.047, 0.068, 0.056), 0.932, skin, True),
        ((0.03, 0.07, 0.03), 0.86, skin, False),
        ((0.14, 0.05, 0.055), 0.795, cloth, False),
        ((0.118, 0.2, 0.078), 0.665, cloth, True),
        ((0.095, 0.1, 0.08), 0.5, trousers, False),
    ]
    parts = [
        Part(Ellipsoid((x * tall, y * tall, z * tall)), texture, (0.0, -height * tall, 0.0),
             casts_shadow=casts)
        for (x, y, z), height, texture, casts in trunk
    ]  # fmt: skip
    sleeve, shoe = textured(rng, shirt, 0.16), textured(rng, (0.12, 0.1, 0.1), 0.1)
    thick, leg = LEG_RADIUS * tall, LEG * tall
    foot, sole = Ellipsoid((0.7 * thick, thick, 1.7 * thick)), (0.0, leg, 0.6 * thick)
    hand, wrist = Ellipsoid((0.02 * tall, 0.05 * tall, 0.03 * tall)), (0.0, 0.35 * tall, 0.0)
    for side in (-1, 1):
        swing = side * STRIDE
        hip = (side * 0.052 * tall, -leg - thick, 0.0)  # the shoe's sole is on y = 0
        shoulder = (side * 0.125 * tall, -0.8 * tall, 0.0)
        parts += [
            Part(Capsule(leg - thick, thick), trousers, hip, swing=swing),
            Part(foot, shoe, hip, swing=swing, hang=sole, casts_shadow=False),
            Part(Capsule(0.28 * tall, 0.028 * tall), sleeve, shoulder, swing=-swing),
            Part(hand, skin, shoulder, swing=-swing, hang=wrist, casts_shadow=False),
        ]
    way = np.linalg.norm(np.diff(track.positions, axis=0), axis=1).sum()
    speed = float(way / (track.times[-1] - track.times[0])) if len(track.times) > 1 else 0.0
    stride = STRIDE if speed else 0.0
    return Body(tuple(parts), track, leg, stride, WALK * speed, footprint=(0.1, 0.08))


def crate(rng: Generator, track: Track) -> Body:
    """A box with a ball on it."""
    half, ball = rng.uniform(0.16, 0.24), rng.uniform(0.1, 0.14)
    pattern: s.Pattern = ("checks", "stripes", "plain")[int(rng.integers(3))]
    board = textured(rng, vivid(rng), 0.2, 0.4, pattern, vivid(rng), (0.2, 0.2))
    skin = textured(rng, vivid(rng), 0.15, 0.55, "stripes", vivid(rng), (0.1, 0.1))
    parts = (
        Part(Box((half, half, 1.2 * half)), board, (0.0, -half, 0.0)),
        Part(s.sphere(ball), skin, (0.0, -2 * half - ball, 0.0)),
    )
    return Body(parts, track, footprint=(half, 1.2 * half))


def to_and_fro(
    times: Times, center: s.Pair, half_length: float, direction: float, speed: float, phase: float
) -> Track:
    """A long, thin loop: there on one side, a turn, and back on the other, an eighth as wide.

    The middle is (x, z) in metres, `direction` the heading of the long axis and `phase` where on
    the loop the time 0 lies, in radians; the mean speed is in metres a second.
    """
    half_wide = half_length / 8
    around = 4.1 * half_length  # circumference of such an ellipse, within a percent
    angle = phase + 2 * np.pi * speed / around * times
    ahead, aside = half_length * np.sin(angle), half_wide * np.cos(angle)
    sin, cos = np.sin(direction), np.cos(direction)
    x, z = center[0] + sin * ahead + cos * aside, center[1] + cos * ahead - sin * aside
    step_ahead, step_aside = half_length * np.cos(angle), -half_wide * np.sin(angle)
    headings = np.unwrap(direction + np.arctan2(step_aside, step_ahead))
    return Track(times, np.stack([x, np.zeros_like(x), z], axis=1), headings)


def ahead_of(times: Times, T_world_cam: s.Poses, distance: float) -> Track:
    """Always the same distance ahead of the camera, on the ground, whichever way it turns."""
    forward = T_world_cam[:, :3, 2]
    headings = np.arctan2(forward[:, 0], forward[:, 2])
    way = np.stack([np.sin(headings), np.zeros_like(headings), np.cos(headings)], axis=1)
    positions = (T_world_cam[:, :3, 3] + distance * way) * [1.0, 0.0, 1.0]
    return Track(times, positions, np.unwrap(headings))
