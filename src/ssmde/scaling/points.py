"""Scale from a few places in images whose distance somebody measured."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ssmde.console import shorten
from ssmde.io import read_text

COLUMNS = ("image", "u", "v", "metres")


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredPoint:
    """A pixel whose depth is known."""

    where: str
    """File and line, for messages."""
    image: Path
    u: float
    """Column, in pixels; 0 is the centre of the first."""
    v: float
    """Row, in pixels."""
    metres: float
    """Depth along the view; positive."""


def read_points(path: Path) -> list[MeasuredPoint]:
    """The lines `image,u,v,metres` of a file; images are found from its folder.

    Args:
        path: Text with commas between; a first line with the names of the columns may be there, and
            lines that begin with # are remarks.

    Raises:
        FileNotFoundError: If there is no such file, or an image it names does not exist.
        ValueError: If a line is wrong, or there is none.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of points, lines {','.join(COLUMNS)}")
    found = list[MeasuredPoint]()
    for number, row in enumerate(csv.reader(read_text(path).split("\n")), 1):
        words = [word.strip() for word in row]
        if not any(words) or words[0].startswith("#") or words == list(COLUMNS):
            continue
        found.append(_point(path, number, words))
    if not found:
        raise ValueError(f"{path}: holds no point; write lines {','.join(COLUMNS)}")
    return found


def depth_at(depth: Float[np.ndarray, "h w"], u: float, v: float) -> float:
    """Depth at a place between pixels, bilinear.

    Args:
        depth: Depth map.
        u: Column, from 0 to width - 1.
        v: Row, from 0 to height - 1.

    Raises:
        ValueError: If the place is outside the image.
    """
    height, width = depth.shape
    if not (0 <= u <= width - 1 and 0 <= v <= height - 1):
        raise ValueError(
            f"point ({u:g}, {v:g}) is outside an image of {width} x {height}: u is the column, "
            f"0 to {width - 1}, v the row, 0 to {height - 1}"
        )
    left, top = min(int(u), max(width - 2, 0)), min(int(v), max(height - 2, 0))
    across, down = u - left, v - top
    right, below = min(left + 1, width - 1), min(top + 1, height - 1)
    upper = (1 - across) * depth[top, left] + across * depth[top, right]
    lower = (1 - across) * depth[below, left] + across * depth[below, right]
    return float((1 - down) * upper + down * lower)


def _point(path: Path, number: int, words: list[str]) -> MeasuredPoint:
    where = f"{path}, line {number}"
    if len(words) != len(COLUMNS):
        raise ValueError(f"{where}: expected {','.join(COLUMNS)}, got {shorten(','.join(words))!r}")
    try:
        u, v, metres = (float(word) for word in words[1:])
    except ValueError as error:
        raise ValueError(
            f"{where}: u, v and metres are numbers, got {shorten(repr(words[1:]))}"
        ) from error
    if not 0 < metres < float("inf"):
        raise ValueError(f"{where}: metres must be positive, got {metres:g}")
    image = path.parent / words[0]
    if not image.is_file():
        raise FileNotFoundError(f"{where}: no such image {image}")
    return MeasuredPoint(where=where, image=image, u=u, v=v, metres=metres)
