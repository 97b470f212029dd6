"""Named materials: woods, cloths, walls, floors, metals, glass, leaves and ground."""

from photographs.materials import Material, Stock
from photographs.solids import Number
from ssmde.synthetic.bodies import scaled
from ssmde.synthetic.scene import Color

WOODS: tuple[Color, ...] = (
    (0.72, 0.54, 0.36), (0.55, 0.38, 0.25), (0.82, 0.68, 0.5), (0.36, 0.24, 0.17),
    (0.64, 0.42, 0.26), (0.24, 0.17, 0.14), (0.88, 0.79, 0.66),
)  # fmt: skip
PAINTED: tuple[Color, ...] = (
    (0.93, 0.93, 0.92), (0.9, 0.88, 0.84), (0.86, 0.87, 0.88), (0.8, 0.76, 0.68),
    (0.7, 0.74, 0.76), (0.78, 0.8, 0.72), (0.83, 0.72, 0.6), (0.62, 0.66, 0.7),
    (0.86, 0.8, 0.62), (0.55, 0.3, 0.26), (0.42, 0.48, 0.54), (0.72, 0.6, 0.58),
)  # fmt: skip
METALS: tuple[Color, ...] = ((0.7, 0.71, 0.72), (0.45, 0.46, 0.48), (0.18, 0.18, 0.19))
CLOTHS: tuple[Color, ...] = (
    (0.2, 0.22, 0.28), (0.35, 0.36, 0.4), (0.62, 0.58, 0.52), (0.78, 0.72, 0.64),
    (0.5, 0.2, 0.2), (0.24, 0.32, 0.26), (0.16, 0.2, 0.36), (0.45, 0.36, 0.28),
    (0.86, 0.85, 0.82), (0.12, 0.12, 0.13), (0.55, 0.6, 0.66),
)  # fmt: skip
GREENS: tuple[Color, ...] = (
    (0.25, 0.36, 0.14), (0.34, 0.42, 0.18), (0.18, 0.28, 0.12), (0.42, 0.46, 0.22),
    (0.3, 0.4, 0.24), (0.5, 0.44, 0.2),
)  # fmt: skip
GRASSES: tuple[Color, ...] = (
    (0.36, 0.44, 0.2), (0.45, 0.48, 0.26), (0.6, 0.54, 0.34), (0.3, 0.36, 0.18), (0.7, 0.62, 0.42),
)  # fmt: skip
STONES: tuple[Color, ...] = (
    (0.72, 0.68, 0.6), (0.6, 0.58, 0.55), (0.8, 0.77, 0.72), (0.5, 0.47, 0.44), (0.66, 0.56, 0.46),
)  # fmt: skip
FACADES: tuple[Color, ...] = (
    (0.82, 0.76, 0.64), (0.62, 0.36, 0.28), (0.88, 0.87, 0.84), (0.66, 0.64, 0.6),
    (0.78, 0.68, 0.5), (0.52, 0.34, 0.28), (0.9, 0.84, 0.7), (0.56, 0.6, 0.64), (0.74, 0.6, 0.52),
    (0.42, 0.44, 0.46), (0.8, 0.62, 0.5),
)  # fmt: skip
BRICK: Color = (0.58, 0.33, 0.26)


def wood(stock: Stock, colour: Color | None = None) -> Material:
    """Wood with its grain along the first direction."""
    tone = colour or stock.colour(WOODS)
    along = stock.pick(((9.0, 1.0, 1.0), (1.0, 9.0, 1.0)))
    return stock.material(
        tone, contrast=stock.uniform(0.1, 0.3), cell=0.06, stretch=along, patch=0.9,
        share=0.8, gloss=stock.pick((0.0, 0.02, 0.05)),
    )  # fmt: skip


def painted(stock: Stock, colour: Color | None = None) -> Material:
    """A painted, even surface."""
    tone = colour or stock.colour(PAINTED)
    return stock.material(tone, contrast=0.05, cell=0.7, patch=1.2, share=0.35, gloss=0.02)


def plastic(stock: Stock, colour: Color | None = None) -> Material:
    """Plastic or lacquer of any colour."""
    tone = colour or stock.any_colour()
    return stock.material(tone, contrast=0.04, cell=0.2, gloss=stock.pick((0.02, 0.04, 0.08)))


def metal(stock: Stock, colour: Color | None = None) -> Material:
    """Metal, bright or black."""
    tone = colour or stock.colour(METALS)
    return stock.material(tone, contrast=0.08, cell=0.2, stretch=(6.0, 1.0, 1.0), gloss=0.16)


def cloth(stock: Stock, colour: Color | None = None) -> Material:
    """Cloth: plain, striped, checked, or a patch of a photo."""
    tone = colour or (stock.colour(CLOTHS) if stock.chance(0.6) else stock.any_colour())
    contrast = stock.uniform(0.08, 0.3)
    kind = stock.whole(0, 9)
    if kind == 0:
        wide = stock.uniform(0.02, 0.12)
        return stock.material(
            tone, contrast=contrast, cell=0.1, pattern="stripes", mark=stock.any_colour(),
            period=(wide, wide), duty=(stock.uniform(0.2, 0.6), 0.5), patch=0.5, share=0.6,
        )  # fmt: skip
    if kind == 1:
        wide = stock.uniform(0.03, 0.15)
        return stock.material(
            tone, contrast=contrast, cell=0.1, pattern="blocks", mark=stock.any_colour(),
            period=(wide, wide), duty=(0.3, 0.3), variation=0.3, hues=0.3,
        )  # fmt: skip
    small = stock.chance(0.75)
    return stock.material(
        tone, contrast=contrast * (1.0 if small else 0.5),
        cell=stock.uniform(0.008, 0.04) if small else stock.uniform(0.1, 0.4),
        patch=stock.uniform(0.3, 0.9), share=1.2, even=stock.chance(0.7),
    )  # fmt: skip


def paper(stock: Stock, fit: tuple[Number, Number] | None = None) -> Material:
    """Something printed: a poster, a page, the back of a book, a packing; `fit`: of this size."""
    if stock.chance(0.3):
        wide = stock.uniform(0.03, 0.25)
        return stock.material(
            stock.any_colour(), contrast=0.5, cell=stock.uniform(0.05, 0.4), pattern="blocks",
            mark=stock.any_colour(), period=(wide, wide * stock.uniform(0.1, 1.2)),
            duty=(stock.uniform(0.02, 0.5), stock.uniform(0.02, 0.5)), variation=0.5, hues=0.6,
            patch=0.4, even=False,
        )  # fmt: skip
    return stock.material(
        stock.any_colour(), contrast=stock.uniform(0.02, 0.7), cell=stock.uniform(0.02, 0.3),
        patch=stock.uniform(0.15, 0.8), even=False, share=1.4, fit=fit,
    )  # fmt: skip


def screen(stock: Stock) -> Material:
    """A screen: black, or showing something."""
    if stock.chance(0.5):
        return stock.material((0.03, 0.03, 0.035), contrast=0.1, cell=1.0, gloss=0.12)
    return stock.material(
        stock.any_colour(), contrast=0.5, cell=0.1, pattern="blocks", mark=stock.any_colour(),
        period=(0.2, 0.08), duty=(0.1, 0.2), variation=0.6, hues=0.7, patch=0.6, even=False,
        glow=stock.uniform(0.4, 1.2), gloss=0.04,
    )  # fmt: skip


def leaf(stock: Stock, tone: Color | None = None, cell: Number = 0.1) -> Material:
    """Leaves."""
    colour = stock.colour(GREENS if tone is None else (tone,), 0.05)
    return stock.material(
        colour,
        contrast=stock.uniform(0.3, 0.65),
        cell=cell,
        gloss=0.01,
        patch=1.5,
        share=0.3,
        own_colour=0.0,
    )


def wall(stock: Stock) -> Material:
    """The inner face of a wall: paint, paper, tiles, brick or wood."""
    kind, tone = stock.uniform(0, 1), stock.colour(PAINTED)
    if kind < 0.62:
        return stock.material(
            tone, contrast=stock.uniform(0.0, 0.045), cell=stock.pick((0.02, 0.1, 0.8, 2.5)),
            patch=stock.uniform(0.5, 2.0), share=0.6, own_colour=0.25,
        )  # fmt: skip
    if kind < 0.74:
        wide = stock.uniform(0.06, 0.5)
        return stock.material(
            tone, contrast=0.1, cell=0.6, pattern="stripes", mark=scaled(tone, 0.85),
            period=(wide, 1.0), duty=(stock.uniform(0.2, 0.6), 0.5), patch=1.0, share=0.5,
        )  # fmt: skip
    if kind < 0.84:
        return brick(stock)
    if kind < 0.93:
        side = stock.uniform(0.1, 0.4)
        return stock.material(
            tone, contrast=0.06, cell=0.3, pattern="blocks", mark=scaled(tone, 0.75),
            period=(side, side * stock.pick((1.0, 0.5))), duty=(0.02, 0.03), variation=0.12,
            shift=stock.pick((0.0, 0.5)), gloss=0.05, patch=0.8, share=0.4,
        )  # fmt: skip
    return boards(stock, stock.colour(WOODS))


def brick(stock: Stock) -> Material:
    """Brickwork."""
    tone = BRICK if stock.chance(0.5) else stock.colour(FACADES)
    mark = scaled(stock.colour(STONES), stock.uniform(0.7, 1.1))
    return stock.material(
        tone, contrast=0.25, cell=0.3, pattern="blocks", mark=mark, period=(0.25, 0.075),
        duty=(0.045, 0.14), variation=0.35, hues=0.12, shift=0.5, patch=1.5, share=0.6,
    )  # fmt: skip


def boards(stock: Stock, tone: Color) -> Material:
    """Boards side by side."""
    wide, long = stock.uniform(0.08, 0.22), stock.uniform(0.7, 2.5)
    across = stock.chance(0.5)
    return stock.material(
        tone, contrast=0.22, cell=0.08, stretch=(1.0, 9.0, 9.0) if across else (9.0, 1.0, 1.0),
        pattern="blocks", mark=scaled(tone, 0.4),
        period=(wide, long) if across else (long, wide),
        duty=(0.025, 0.003) if across else (0.003, 0.025), variation=stock.uniform(0.05, 0.3),
        shift=0.37, gloss=stock.uniform(0.0, 0.12), patch=1.2, share=0.6,
    )  # fmt: skip


def floor(stock: Stock) -> Material:
    """A floor: boards, tiles, carpet, linoleum or concrete."""
    kind = stock.whole(0, 9)
    if kind <= 3:
        return boards(stock, stock.colour(WOODS))
    if kind <= 5:
        tone, side = stock.colour(STONES), stock.uniform(0.2, 0.65)
        return stock.material(
            tone, contrast=0.12, cell=0.3, pattern="blocks", mark=scaled(tone, 0.6),
            period=(side, side), duty=(0.015, 0.015), variation=stock.uniform(0.0, 0.25),
            gloss=stock.uniform(0.0, 0.15), patch=1.0, share=0.8,
        )  # fmt: skip
    if kind == 6:
        side = stock.uniform(0.2, 0.5)
        return stock.material(
            stock.colour(PAINTED), contrast=0.1, cell=0.4, pattern="checks",
            mark=stock.any_colour(), period=(side, side), gloss=0.06,
        )  # fmt: skip
    if kind <= 8:
        return stock.material(
            stock.colour(CLOTHS), contrast=stock.uniform(0.05, 0.3), cell=stock.uniform(0.01, 0.06),
            patch=stock.uniform(0.4, 1.2), share=1.2, own_colour=0.3,
        )  # fmt: skip
    return stock.material(
        stock.colour(STONES),
        contrast=0.08,
        cell=stock.pick((0.05, 1.0)),
        gloss=stock.uniform(0.02, 0.15),
        patch=2.0,
    )


def asphalt(stock: Stock) -> Material:
    """A road without marks."""
    grey = stock.uniform(0.28, 0.58)
    return stock.material(
        (grey, grey, grey * stock.uniform(0.96, 1.05)), contrast=stock.uniform(0.06, 0.2),
        cell=stock.pick((0.06, 0.3, 3.0)), patch=stock.uniform(1.0, 4.0), share=0.9, own_colour=0.1,
        gloss=stock.pick((0.0, 0.0, 0.03, 0.15)),
    )  # fmt: skip


def paving(stock: Stock) -> Material:
    """Slabs or cobbles."""
    side, tone = stock.uniform(0.12, 0.7), stock.colour(STONES)
    return stock.material(
        tone, contrast=0.2, cell=0.5, pattern="blocks", mark=scaled(tone, 0.55),
        period=(side, side * stock.pick((1.0, 0.5, 2.0))), duty=(0.04, 0.04),
        variation=stock.uniform(0.05, 0.3), shift=stock.pick((0.0, 0.5)), patch=1.5, share=0.9,
        own_colour=0.2,
    )  # fmt: skip


def grass(stock: Stock) -> Material:
    """A lawn, a meadow or a field."""
    return stock.material(
        stock.colour(GRASSES), contrast=stock.uniform(0.2, 0.5), cell=stock.pick((0.08, 0.3, 1.5)),
        patch=stock.uniform(1.0, 3.0), share=0.8, own_colour=0.1,
    )  # fmt: skip


def facade(stock: Stock, floors: Number) -> Material:
    """The front of a house with rows of windows; `floors` is the height of a floor in metres."""
    tone = stock.colour(FACADES)
    wide = stock.uniform(1.4, 4.0)
    glass = (0.1, 0.13, 0.17) if stock.chance(0.6) else (0.35, 0.42, 0.5)
    return stock.material(
        tone, contrast=stock.uniform(0.05, 0.25), cell=stock.uniform(0.5, 3.0), pattern="windows",
        mark=glass, period=(wide, floors),
        duty=(stock.uniform(0.25, 0.7), stock.uniform(0.35, 0.65)), variation=0.5,
        patch=stock.uniform(1.5, 8.0), share=1.2, gloss=0.02,
    )  # fmt: skip


def glass(stock: Stock) -> Material:
    """Dark glass that mirrors the sky."""
    tone = stock.uniform(0.05, 0.25)
    return stock.material(
        (tone, tone * 1.05, tone * 1.1), contrast=0.3, cell=1.0, gloss=stock.uniform(0.05, 0.2),
        patch=2.0, even=False,
    )  # fmt: skip


def lacquer(stock: Stock) -> Material:
    """The paint of a car."""
    colours: tuple[Color, ...] = (
        (0.06, 0.06, 0.07), (0.85, 0.86, 0.87), (0.6, 0.61, 0.63), (0.35, 0.36, 0.38),
        (0.5, 0.08, 0.08), (0.1, 0.17, 0.36), (0.3, 0.34, 0.3), (0.75, 0.6, 0.15),
        (0.25, 0.35, 0.55), (0.7, 0.66, 0.58),
    )  # fmt: skip
    return stock.material(stock.colour(colours, 0.04), contrast=0.02, cell=0.5, gloss=0.1)
