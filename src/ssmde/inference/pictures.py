"""Depth, truth and error as pictures: colors, color bars and panels of uint8 RGB arrays.

Nothing here keeps a state: the same arrays give the same bytes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from ssmde.data.images import write_image

GRAY = 128  # color of pixels without a value
ENDS = (2.0, 98.0)  # percentiles that set the ends of the colors, so that outliers do not
COLOR_MEMORY = 0.9  # of the former frame in the ends of a video's colors, so that none flickers
WORST_ERROR = 0.5  # relative error that gets the last color of an error picture
GAP = 4  # white pixels between neighboring pictures
TEXT_SIZE = 13
BAR_WIDTH = 12
BAND_PIXELS = 4_000_000  # of a band of `bands`: steps in between take many bytes a pixel
MAGMA, INFERNO = "magma", "inferno"  # their tables lie in the package: matplotlib loads slowly
Picture = UInt8[np.ndarray, "h w 3"]


def bands(shape: tuple[int, ...]) -> Iterator[slice]:
    """Rows of a map of this shape, top to bottom, in bands of at most about `BAND_PIXELS`."""
    rows = max(1, BAND_PIXELS // max(1, shape[1]))
    return (slice(top, min(top + rows, shape[0])) for top in range(0, shape[0], rows))


def depth_range(depth: Float[np.ndarray, "h w"]) -> tuple[float, float] | None:
    """Near and far end of the colors of a depth map; None without a positive, finite pixel.

    The ends are percentiles, and lie apart even for a flat map.
    """
    values = depth[_valid(depth)]
    if values.size == 0:
        return None
    near, far = (float(end) for end in np.percentile(values, ENDS, overwrite_input=True))
    return (near, far) if far > near * 1.0001 else (near / 2, far * 2)


def color_ends(
    depth: Float[np.ndarray, "h w"], before: tuple[float, float] | None = None
) -> tuple[float, float]:
    """The same, 1 and 2 without a valid pixel; those of a video follow the `before` slowly."""
    near, far = depth_range(depth) or (1.0, 2.0)
    if before is None:
        return near, far
    share = 1 - COLOR_MEMORY
    return COLOR_MEMORY * before[0] + share * near, COLOR_MEMORY * before[1] + share * far


def colorize(
    depth: Float[np.ndarray, "h w"],
    *,
    near: float | None = None,
    far: float | None = None,
    color_map: str = MAGMA,
) -> Picture:
    """Colors of a depth map, near bright and far dark; gray where depth is not positive and finite.

    They are linear in inverse depth, as eyes judge nearness, from `near`, the last color of a map
    of matplotlib, to `far`, the first; by default the `color_ends` of the map.
    """
    if near is None or far is None:
        near, far = color_ends(depth)
    if not 0 < near < far:
        raise ValueError(f"the ends of the colors must be 0 < near < far, got {near:g} and {far:g}")
    colors = np.empty((*depth.shape, 3), np.uint8)
    for band in bands(depth.shape):
        valid = _valid(depth[band])
        safe = np.where(valid, depth[band], far).astype(np.float64)  # no division by 0
        level = (1 / safe - 1 / far) / (1 / near - 1 / far)  # 1 at `near`, 0 at `far`
        colors[band] = _color(level, valid, color_map)
    return colors


def colorize_error(
    prediction: Float[np.ndarray, "h w"], truth: Float[np.ndarray, "h w"]
) -> Picture:
    """Colors of |p - g| / g, dark where right, brightest at `WORST_ERROR`; gray without truth."""
    valid = _valid(truth)
    safe = np.where(valid, truth, 1.0).astype(np.float64)
    return _color(np.abs(prediction - safe) / safe / WORST_ERROR, valid, INFERNO)


def color_ramp(count: int, near: float, far: float) -> Float[np.ndarray, " count"]:
    """So many depths from near to far, even in their inverse, as the colors are."""
    share = np.linspace(0, 1, count)
    return 1 / ((1 - share) / near + share / far)


def color_bar(height: int, *, near: float, far: float, unit: str = "") -> Picture:
    """Bar of the colors of `colorize`, near at the top, with its two ends written beside it."""
    ramp = np.repeat(color_ramp(height, near, far)[:, None], BAR_WIDTH, axis=1)
    words = [f"{end:.3g} {unit}".strip() for end in (near, far)]
    width = max(int(_font().getlength(word)) for word in words) + 2 * GAP
    canvas = Image.fromarray(_white(height, BAR_WIDTH + width))
    canvas.paste(Image.fromarray(colorize(ramp, near=near, far=far)), (0, 0))
    draw = ImageDraw.Draw(canvas)
    draw.text((BAR_WIDTH + GAP, 0), words[0], fill=0, font=_font())
    draw.text((BAR_WIDTH + GAP, height - 1), words[1], fill=0, font=_font(), anchor="lb")
    return np.asarray(canvas)


def side_by_side(
    images: Sequence[UInt8[np.ndarray, "_ _ 3"]], titles: Sequence[str] | None = None
) -> Picture:
    """Pictures in one row on white, aligned at the top, with a title above each if given."""
    if not images:
        raise ValueError("a row needs at least one picture, got none")
    if titles is not None:
        if len(titles) != len(images):
            raise ValueError(f"{len(images)} pictures need as many titles, got {len(titles)}")
        heads = [Image.fromarray(_white(TEXT_SIZE + GAP, image.shape[1])) for image in images]
        for head, title in zip(heads, titles, strict=True):
            ImageDraw.Draw(head).text((1, 0), title, fill=(0, 0, 0), font=_font())
        images = [np.concatenate([np.asarray(h), i]) for h, i in zip(heads, images, strict=True)]
    width = sum(image.shape[1] for image in images) + GAP * (len(images) - 1)
    row, left = _white(max(image.shape[0] for image in images), width), 0
    for image in images:
        row[: image.shape[0], left : left + image.shape[1]] = image
        left += image.shape[1] + GAP
    return row


def stack(rows: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> Picture:
    """Pictures below each other on white, aligned at the left: a row of what is turned."""
    if len(rows) == 1:
        return rows[0]
    return side_by_side([row.swapaxes(0, 1) for row in rows]).swapaxes(0, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class PanelRow:
    """One frame of a panel; the maps may have other sizes than the frame."""

    image: UInt8[np.ndarray, "_ _ 3"]  # RGB frame; every picture of the row is shown at its size
    depth: Float[np.ndarray, "_ _"]  # predicted depth; aligned to the truth where there is truth
    truth: Float[np.ndarray, "h w"] | None = None  # at any size; 0 or not finite: no value
    title: str = ""  # written above the frame


def panel(rows: Sequence[PanelRow], *, height: int | None = None) -> Picture:
    """Rows of frame, prediction and, where there is truth, truth and error.

    Prediction and truth share their colors, whose ends come from the truth if there is one. Each
    picture is `height` pixels high; by default as high as its frame.
    """
    shown: list[Picture] = []
    for row in rows:
        high, wide = row.image.shape[:2]
        size = (high, wide) if height is None else (height, max(1, round(wide * height / high)))
        ends = depth_range(row.depth if row.truth is None else row.truth)
        near, far = ends or color_ends(row.depth)
        colors = colorize(row.depth, near=near, far=far)
        parts = {row.title or "frame": row.image, "prediction": colors}
        if row.truth is not None:
            parts["truth"] = colorize(row.truth, near=near, far=far)
            fitted = _nearest(row.depth, row.truth.shape)
            parts[f"error, 0 to {WORST_ERROR:.0%}"] = colorize_error(fitted, row.truth)
        shown.append(side_by_side([_nearest(p, size) for p in parts.values()], list(parts)))
    return stack(shown)


def _nearest(values: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """The array at another size, each pixel from the nearest center."""
    if values.shape[:2] == size:
        return values
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int)
        for old, new in zip(values.shape[:2], size, strict=True)
    )
    return values[np.ix_(rows, columns)]


def write_png(path: Path, picture: Picture) -> None:
    """Write a picture whole or not at all, and make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, picture)


def _valid(depth: Float[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    return np.isfinite(depth) & (depth > 0)


def _color(
    level: Float[np.ndarray, "h w"], valid: Bool[np.ndarray, "h w"], color_map: str
) -> Picture:
    """Colors of levels in [0, 1], cut at both ends; gray where not valid."""
    index = np.nan_to_num(level, nan=1.0, posinf=1.0, neginf=0.0).clip(0, 1) * 255
    colors = _table(color_map).take(index.round().astype(np.uint8), axis=0)
    colors[~valid] = GRAY
    return colors


@cache
def _table(name: str) -> UInt8[np.ndarray, "256 3"]:
    if name in (MAGMA, INFERNO):
        with files("ssmde").joinpath(f"{name}.png").open("rb") as file:
            return np.asarray(Image.open(file))[0]
    from matplotlib import colormaps

    if name not in colormaps:
        raise ValueError(f"unknown colour map {name!r}: magma, turbo and viridis are some of them")
    return (colormaps[name](np.arange(256) / 255)[:, :3] * 255).round().astype(np.uint8)


@cache
def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(TEXT_SIZE)


def _white(height: int, width: int) -> Picture:
    return np.full((height, width, 3), 255, np.uint8)
