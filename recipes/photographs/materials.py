"""What surfaces are made of, and the random numbers a photo is drawn from.

A material is a texture by formula that may be multiplied by a patch of a real photo, and that may
shine or glow. Its colours are as a screen shows them; light is reckoned in linear values.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.random import Generator

from photographs.patches import PatchBook
from photographs.solids import Number
from ssmde.synthetic.bodies import scaled, vary
from ssmde.synthetic.scene import Color, Pattern, Texture
from ssmde.synthetic.shading import TABLE

T = TypeVar("T")
WHITE = (1.0, 1.0, 1.0)
NO_PATCH = -1


@dataclass(frozen=True, kw_only=True, slots=True)
class Material(Texture):
    """A texture with what light does to it."""

    stretch: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """How much longer the grain is across, down and in depth than `cell`."""
    patch: int = NO_PATCH
    """Number of the patch of a real photo it is multiplied by; -1: none."""
    patch_size: tuple[float, float] = (1.0, 1.0)
    """Size of the patch on the surface, across and down, in metres."""
    tinted: bool = False
    """Divide the patch by its mean: it gives the grain, `base` the colour."""
    gloss: float = 0.0
    """Share of the surroundings a surface mirrors, seen straight on."""
    glow: float = 0.0
    """Light it gives off, as a multiple of its own colour."""
    hues: float = 0.0
    """How much the blocks of a pattern differ in colour, from 0 to 1."""


@dataclass(kw_only=True, slots=True)
class Stock:
    """Random numbers, and patches of real photos where there are some, for one photo."""

    rng: Generator
    book: PatchBook = field(default_factory=PatchBook)
    share: float = 0.5
    """Share of the surfaces that get a patch."""
    grain: float = 1.0
    """How strong the grain of surfaces without patch is."""

    def uniform(self, low: Number, high: Number) -> float:
        """An even random number."""
        return float(self.rng.uniform(low, high))

    def normal(self, mean: Number, spread: Number) -> float:
        """A normal random number, at most two spreads from the mean."""
        return mean + spread * float(np.clip(self.rng.normal(), -2, 2))

    def whole(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return int(self.rng.integers(low, high + 1))

    def chance(self, share: Number) -> bool:
        """True in this share of the cases."""
        return bool(self.rng.random() < share)

    def pick(self, things: Sequence[T]) -> T:
        """One of some things."""
        return things[int(self.rng.integers(len(things)))]

    def colour(self, colours: Sequence[Color], amount: float = 0.06) -> Color:
        """One of the colours, slightly changed."""
        return vary(self.rng, self.pick(colours), amount)

    def any_colour(self) -> Color:
        """Any colour; pale, grey and dark ones are more frequent than strong ones."""
        value = self.uniform(0.08, 0.95)
        strength = 0.9 * self.uniform(0, 1) ** 2.5
        hue = self.uniform(0, 6)
        wheel = [float(np.clip(abs((hue + k) % 6 - 3) - 1, 0, 1)) for k in (0, 4, 2)]
        red, green, blue = (value * (1 - strength * (1 - x)) for x in wheel)
        return red, green, blue

    def material(
        self,
        colour: Color,
        *,
        contrast: Number = 0.12,
        cell: Number = 0.3,
        stretch: tuple[Number, Number, Number] = (1.0, 1.0, 1.0),
        pattern: Pattern = "plain",
        mark: Color = WHITE,
        period: tuple[Number, Number] = (1.0, 1.0),
        duty: tuple[Number, Number] = (0.5, 0.5),
        variation: Number = 0.0,
        hues: Number = 0.0,
        shift: Number = 0.0,
        gloss: Number = 0.0,
        glow: Number = 0.0,
        patch: Number | None = None,
        share: Number = 1.0,
        even: bool = True,
        own_colour: Number = 0.25,
        fit: tuple[float, float] | None = None,
    ) -> Material:
        """A material of about one colour, at a random place in the noise.

        Args:
            colour: Mean colour.
            contrast: How much darker and brighter its grain is.
            cell: Size of the coarsest grain, in metres.
            stretch: See `Material`, as `gloss`, `glow` and `hues`.
            pattern: See `Texture`, as `mark`, `period`, `duty`, `variation` and `shift`.
            mark: Color of the pattern.
            period: Size of a repeat, in metres.
            duty: Share of a period that is marked.
            variation: How much blocks differ in brightness.
            hues: How much blocks differ in colour.
            shift: How far rows are moved.
            gloss: Mirrored share.
            glow: Light given off.
            patch: Size of a patch of a real photo, in metres; None: never one.
            share: Factor on the chance of a patch.
            even: Whether the patch should show a surface rather than things.
            own_colour: Chance that an even patch keeps its own colour instead of taking `colour`.
            fit: Size of the thing, in metres, where the patch is to cover it just once.
        """
        contrast *= self.grain
        x, y, z = self.rng.uniform(0, TABLE, 3).tolist()
        tinted, number, size = False, NO_PATCH, (1.0, 1.0)
        if patch and self.book.folders and self.chance(self.share * share):
            number = self.book.ask(self.rng, even=even)
            wide = patch * self.uniform(0.6, 1.6)
            size = (wide, wide * self.uniform(0.8, 1.25))
            if fit is not None:
                size, x, y = fit, 0.5, 0.5
            tinted = even and not self.chance(own_colour)
            contrast, cell = 0.6 * contrast, min(cell, 0.05)
            if not tinted:
                colour = WHITE
        pair = float(period[0]), float(period[1])
        marked = float(duty[0]), float(duty[1])
        long = float(stretch[0]), float(stretch[1]), float(stretch[2])
        return Material(
            base=scaled(vary(self.rng, colour, 0.02), max(0.0, 1 - contrast)),
            second=scaled(vary(self.rng, colour, 0.02), 1 + contrast),
            mark=mark, pattern=pattern, period=pair, duty=marked, variation=float(variation),
            shift=float(shift), cell=float(cell), origin=(x, y, z), stretch=long, patch=number,
            patch_size=size, tinted=tinted, gloss=float(gloss), glow=float(glow), hues=float(hues),
        )  # fmt: skip
