"""Depth, truth and error as pictures: colours, colour bars and panels of uint8 RGB arrays.

Nothing here keeps a state: the same arrays give the same bytes.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from ssmde.io import whole_file

GREY = 128
"""Colour of pixels without a value."""
WHITE = 255
ENDS = (2.0, 98.0)
"""Percentiles of the valid pixels that set the ends of the colours, so that outliers do not."""
WORST_ERROR = 0.5
"""Relative error that gets the last colour of an error picture."""
GAP = 4
"""White pixels between neighbouring pictures."""
TEXT_SIZE = 13
BAND_PIXELS = 4_000_000
"""Large maps are worked through in bands of rows of so many pixels: steps in between take many
bytes a pixel."""
MAGMA = "magma"
"""Its colours lie in the package, for predictions need no other map and matplotlib loads slowly."""


def bands(shape: tuple[int, ...]) -> Iterator[slice]:
    """Rows of a map of this shape, top to bottom, in bands of at most about `BAND_PIXELS`."""
    rows = max(1, BAND_PIXELS // max(1, shape[1]))
    return (slice(top, min(top + rows, shape[0])) for top in range(0, shape[0], rows))


def depth_range(depth: Float[np.ndarray, "h w"]) -> tuple[float, float] | None:
    """Near and far end of the colours of a depth map, in its unit; None without a valid pixel.

    The ends are percentiles, and lie apart even for a flat map.

    Args:
        depth: Depth; pixels that are not positive and finite have no value.
    """
    values = depth[_valid(depth)]
    if values.size == 0:
        return None
    near, far = _percentiles(values)
    return (float(near), float(far)) if far > near * 1.0001 else (float(near / 2), float(far * 2))


def colourise(
    depth: Float[np.ndarray, "h w"],
    *,
    near: float | None = None,
    far: float | None = None,
    colour_map: str = MAGMA,
    space: Literal["disparity", "depth"] = "disparity",
) -> UInt8[np.ndarray, "h w 3"]:
    """Colours of a depth map, near bright and far dark; grey where there is no value.

    Args:
        depth: Depth; pixels that are not positive and finite have no value.
        near: Depth that gets the last colour of the map; by default a low percentile.
        far: Depth that gets the first colour of the map; by default a high percentile.
        colour_map: Name of a matplotlib colour map.
        space: What the colours are linear in: 1 / depth (eyes judge nearness), or depth.

    Raises:
        ValueError: If the ends are not 0 < near < far, or the colour map is unknown.
    """
    near, far = _ends(depth, near, far)
    colours = np.empty((*depth.shape, 3), np.uint8)
    for band in bands(depth.shape):
        valid = _valid(depth[band])
        safe = np.where(valid, depth[band], far).astype(np.float64)
        if space == "disparity":
            level = (1 / safe - 1 / far) / (1 / near - 1 / far)
        else:
            level = (far - safe) / (far - near)
        colours[band] = _colour(level, valid, colour_map)
    return colours


def colourise_error(
    prediction: Float[np.ndarray, "h w"],
    truth: Float[np.ndarray, "h w"],
    *,
    worst: float = WORST_ERROR,
    colour_map: str = "inferno",
) -> UInt8[np.ndarray, "h w 3"]:
    """Colours of |p - g| / g, dark where right; grey where there is no truth.

    Args:
        prediction: Depth, aligned to the truth.
        truth: True depth; pixels that are not positive and finite have no value.
        worst: Relative error that gets the last colour.
        colour_map: Name of a matplotlib colour map.
    """
    valid = _valid(truth)
    safe = np.where(valid, truth, 1.0).astype(np.float64)
    return _colour(np.abs(prediction - safe) / safe / worst, valid, colour_map)


def colour_bar(
    height: int,
    *,
    near: float,
    far: float,
    colour_map: str = MAGMA,
    space: Literal["disparity", "depth"] = "disparity",
    unit: str = "",
) -> UInt8[np.ndarray, "h w 3"]:
    """Bar of the colours of `colourise`, near at the top, with its two ends written beside it.

    Args:
        height: Rows, as those of the picture beside it.
        near: Depth of the upper end.
        far: Depth of the lower end.
        colour_map: As given to `colourise`.
        space: As given to `colourise`.
        unit: Written behind the numbers.
    """
    share = np.linspace(0, 1, height)[:, None]
    if space == "disparity":
        depth = 1 / ((1 - share) / near + share / far)
    else:
        depth = (1 - share) * near + share * far
    ends = {"near": near, "far": far}
    bar = colourise(np.repeat(depth, 12, axis=1), **ends, colour_map=colour_map, space=space)
    words = [f"{end:.3g} {unit}".strip() for end in (near, far)]
    width = max(int(_font().getlength(word)) for word in words) + 2 * GAP
    canvas = Image.fromarray(_white(height, 12 + width))
    canvas.paste(Image.fromarray(bar), (0, 0))
    draw = ImageDraw.Draw(canvas)
    draw.text((12 + GAP, 0), words[0], fill=0, font=_font())
    draw.text((12 + GAP, height - 1), words[1], fill=0, font=_font(), anchor="lb")
    return np.asarray(canvas)


def side_by_side(
    images: Sequence[UInt8[np.ndarray, "_ _ 3"]], titles: Sequence[str] | None = None
) -> UInt8[np.ndarray, "h w 3"]:
    """Pictures in one row on white, aligned at the top, with a title above each if given.

    Raises:
        ValueError: If there is no picture, or not one title a picture.
    """
    if not images:
        raise ValueError("a row needs at least one picture, got none")
    if titles is not None and len(titles) != len(images):
        raise ValueError(f"{len(images)} pictures need as many titles, got {len(titles)}")
    head = TEXT_SIZE + GAP if titles else 0
    height = head + max(image.shape[0] for image in images)
    width = sum(image.shape[1] for image in images) + GAP * (len(images) - 1)
    row, left = _white(height, width), 0
    for i, image in enumerate(images):
        row[head : head + image.shape[0], left : left + image.shape[1]] = image
        if titles:
            row[:head, left : left + image.shape[1]] = _line(titles[i], head, image.shape[1])
        left += image.shape[1] + GAP
    return row


def stack(rows: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> UInt8[np.ndarray, "h w 3"]:
    """Pictures below each other on white, aligned at the left.

    Raises:
        ValueError: If there is no picture.
    """
    if not rows:
        raise ValueError("a panel needs at least one row, got none")
    height = sum(row.shape[0] for row in rows) + GAP * (len(rows) - 1)
    page, top = _white(height, max(row.shape[1] for row in rows)), 0
    for row in rows:
        page[top : top + row.shape[0], : row.shape[1]] = row
        top += row.shape[0] + GAP
    return page


@dataclass(frozen=True, kw_only=True, slots=True)
class PanelRow:
    """One frame of a panel; the maps may have other sizes than the frame."""

    image: UInt8[np.ndarray, "_ _ 3"]
    """RGB frame; every picture of the row is shown at its size."""
    depth: Float[np.ndarray, "_ _"]
    """Predicted depth; aligned to the truth where there is truth."""
    truth: Float[np.ndarray, "h w"] | None = None
    """True depth at any size; 0 or not finite: no value."""
    title: str = ""
    """Written above the frame."""


def panel(rows: Sequence[PanelRow], *, height: int | None = None) -> UInt8[np.ndarray, "h w 3"]:
    """Rows of frame, prediction and, where there is truth, truth and error.

    Prediction and truth share their colours, whose ends come from the truth if there is one.

    Args:
        rows: What to show, top to bottom.
        height: Rows of pixels of each picture; the frame's own by default.
    """
    return stack([_panel_row(row, height) for row in rows])


def write_png(path: Path, picture: UInt8[np.ndarray, "h w 3"]) -> None:
    """Write a picture; the file appears under its name only when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part:
        Image.fromarray(picture).save(part, format="PNG")


def _panel_row(row: PanelRow, height: int | None) -> UInt8[np.ndarray, "h w 3"]:
    rows, columns = row.image.shape[:2]
    size = (rows, columns) if height is None else (height, max(1, round(columns * height / rows)))
    ends = depth_range(row.depth if row.truth is None else row.truth) or depth_range(row.depth)
    near, far = ends or (None, None)
    parts = [(row.title or "frame", row.image)]
    parts.append(("prediction", colourise(row.depth, near=near, far=far)))
    if row.truth is not None:
        parts.append(("truth", colourise(row.truth, near=near, far=far)))
        fitted = row.depth[_nearest(row.depth.shape, row.truth.shape)]
        parts.append((f"error, 0 to {WORST_ERROR:.0%}", colourise_error(fitted, row.truth)))
    pictures = [picture[_nearest(picture.shape, size)] for _, picture in parts]
    return side_by_side(pictures, [title for title, _ in parts])


def _nearest(shape: tuple[int, ...], size: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Index that reads an array of `shape` at `size`, each pixel from the nearest centre."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int)
        for old, new in zip(shape[:2], size, strict=True)
    )
    return rows[:, None], columns[None, :]


def _ends(
    depth: Float[np.ndarray, "h w"], near: float | None, far: float | None
) -> tuple[float, float]:
    """The ends asked for; one that was not asked for comes from the map, beyond the other."""
    found = (near, far) if near and far else depth_range(depth) or (1.0, 2.0)
    if near is None:
        near = found[0] if far is None or found[0] < far else far / 2
    if far is None:
        far = found[1] if found[1] > near else near * 2
    if not 0 < near < far:
        raise ValueError(
            f"the ends of the colours must be 0 < near < far, got {near:g} and {far:g}"
        )
    return near, far


def _percentiles(values: Float[np.ndarray, "n"]) -> list[float]:
    """`np.percentile(values, ENDS)` in float64, with no copy of the values in float64; sorts them.

    The value at a place between two of the sorted ones lies between them in proportion.
    """
    places = [(len(values) - 1) * end / 100 for end in ENDS]
    neighbours = [(math.floor(place), math.ceil(place)) for place in places]
    values.partition(sorted({i for pair in neighbours for i in pair}))
    pairs = [(float(values[low]), float(values[high])) for low, high in neighbours]
    return [
        low + (high - low) * (place % 1) for place, (low, high) in zip(places, pairs, strict=True)
    ]


def _valid(depth: Float[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    return np.isfinite(depth) & (depth > 0)


def _colour(
    level: Float[np.ndarray, "h w"], valid: Bool[np.ndarray, "h w"], colour_map: str
) -> UInt8[np.ndarray, "h w 3"]:
    """Colours of levels in [0, 1], cut at both ends; grey where not valid."""
    index = np.nan_to_num(level, nan=1.0, posinf=1.0, neginf=0.0).clip(0, 1) * 255
    colours = _table(colour_map)[index.round().astype(np.uint8)]
    colours[~valid] = GREY
    return colours


@cache
def _table(name: str) -> UInt8[np.ndarray, "256 3"]:
    if name == MAGMA:
        with files("ssmde").joinpath("magma.png").open("rb") as file:
            return np.asarray(Image.open(file))[0]
    from matplotlib import colormaps

    if name not in colormaps:
        raise ValueError(f"unknown colour map {name!r}: magma, turbo and viridis are some of them")
    return (colormaps[name](np.arange(256) / 255)[:, :3] * 255).round().astype(np.uint8)


@cache
def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(TEXT_SIZE)


def _line(words: str, height: int, width: int) -> UInt8[np.ndarray, "h w 3"]:
    line = Image.fromarray(_white(height, width))
    ImageDraw.Draw(line).text((1, 0), words, fill=(0, 0, 0), font=_font())
    return np.asarray(line)


def _white(height: int, width: int) -> UInt8[np.ndarray, "h w 3"]:
    return np.full((height, width, 3), WHITE, dtype=np.uint8)
