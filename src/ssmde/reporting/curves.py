"""Curves of a training as inline SVG, which takes its colours and its font from the page."""

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

from ssmde.io import read_text

WIDTH, HEIGHT = 480, 250  # the picture's own units; the page scales it
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 14, 36  # room around the axes
LEGEND = 18  # more room above where lines have names
KEY, LETTER = 22, 7  # length of a line in the legend, width of a letter
TICKS = 5  # about so many numbers along an axis
HEADROOM = 0.06  # share of the vertical range left free above and below

Points = tuple[tuple[int, float], ...]
"""(step, value), in order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """One or several values over the steps of a training."""

    title: str
    lines: Mapping[str, Points]
    """At least one, each with at least one point; names are shown, an empty one is not."""
    reference: tuple[str, float] | None = None
    """Name and height of a line to compare with."""
    divider: tuple[str, int] | None = None
    """What begins at a step, which a vertical line marks."""
    dots: bool = False
    """Mark each point; for few of them."""


def read_curve(log: Path, name: str) -> Points:
    """(step, value) of one name in the `log.csv` of a run; empty if it was never written."""
    rows = csv.DictReader(read_text(log).split("\n"))
    try:
        return tuple((int(r["step"]), float(r["value"])) for r in rows if r["name"] == name)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{log}: no log of a training ({error})") from error


@dataclass(frozen=True, kw_only=True, slots=True)
class _Axes:
    """From steps and values to places in the picture."""

    top: int
    last_step: int
    low: float
    high: float

    def x(self, step: int | float) -> float:
        return LEFT + (WIDTH - RIGHT - LEFT) * step / max(self.last_step, 1)

    def y(self, value: int | float) -> float:
        share = (self.high - value) / (self.high - self.low)
        return self.top + (HEIGHT - BOTTOM - self.top) * share


def line_chart(chart: Chart) -> str:
    """The chart as an `<svg>` element.

    Raises:
        ValueError: If there is no line, or one has no point.
    """
    if not chart.lines or not all(chart.lines.values()):
        raise ValueError(f"the chart {chart.title!r} needs at least one point a line, got none")
    axes = _axes(chart)
    parts = [_height_line(axes.y(tick), f"{tick:g}") for tick in ticks(axes.low, axes.high)]
    parts += [_step_number(axes.x(tick), f"{tick:g}") for tick in ticks(0, axes.last_step)]
    if chart.divider is not None:
        parts.append(_divider(axes, chart.divider))
    if chart.reference is not None:
        parts.append(_reference_line(axes.y(chart.reference[1]), chart.reference[0]))
    for number, (name, points) in enumerate(chart.lines.items(), start=1):
        places = [(axes.x(step), axes.y(value)) for step, value in points]
        parts += _line(places, _colour(number, name), dots=chart.dots)
    parts += _legend([name for name in chart.lines if name])
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(_in_words(chart), quote=True)}">{"".join(parts)}</svg>'
    )


def ticks(low: int | float, high: int | float) -> list[float]:
    """A few round numbers from `low` to `high`, evenly spaced; at least one."""
    if not high > low:
        return [low]
    rough = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(n * step, 10) for n in range(first, last + 1)]


def _axes(chart: Chart) -> _Axes:
    """Room for every point and the reference, with some to spare."""
    every = [point for points in chart.lines.values() for point in points]
    values = [value for _, value in every]
    if chart.reference is not None:
        values.append(chart.reference[1])
    low, high = min(values), max(values)
    room = HEADROOM * ((high - low) or 1.0)
    return _Axes(
        top=TOP + (LEGEND if any(chart.lines) else 0),
        last_step=max(step for step, _ in every),
        low=low - room,
        high=high + room,
    )


def _in_words(chart: Chart) -> str:
    """What a reader who cannot see the picture hears."""
    words = [chart.title]
    for name, points in chart.lines.items():
        (first, start), (last, end) = points[0], points[-1]
        name = f"{name} " if name else ""
        words.append(f"{name}{start:.3g} at step {first}, {end:.3g} at step {last}")
    sentence = f"{words[0]}: {'; '.join(words[1:])}"
    for named in (chart.reference, chart.divider):
        if named is not None:
            sentence += f"; {named[0]} {named[1]:.3g}"
    return sentence


def _height_line(y: float, number: str) -> str:
    return (
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{number}</text>'
    )


def _step_number(x: float, number: str) -> str:
    return f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{number}</text>'


def _reference_line(y: float, name: str) -> str:
    return (
        f'<line class="reference" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="reference" x="{WIDTH - RIGHT}" y="{y - 5:.1f}" text-anchor="end">'
        f"{escape(name)}</text>"
    )


def _divider(axes: _Axes, divider: tuple[str, int]) -> str:
    name, step = divider
    x = axes.x(step)
    return (
        f'<line class="divider" x1="{x:.1f}" x2="{x:.1f}" y1="{axes.top}" y2="{HEIGHT - BOTTOM}"/>'
        f'<text x="{x + 5:.1f}" y="{axes.top + 11}">{escape(name)}</text>'
    )


def _legend(names: list[str]) -> list[str]:
    """A short line and a name for each, in a row above the picture."""
    parts: list[str] = []
    left = float(LEFT)
    for number, name in enumerate(names, start=1):
        parts.append(
            f'<line class="curve {_colour(number, name)}" x1="{left:.1f}" x2="{left + KEY:.1f}" '
            f'y1="{TOP - 4}" y2="{TOP - 4}"/>'
            f'<text x="{left + KEY + 5:.1f}" y="{TOP}">{escape(name)}</text>'
        )
        left += KEY + 5 + LETTER * len(name) + 16
    return parts


def _colour(number: int, name: str) -> str:
    """Classes by which the style sheet chooses: the place of a line, and its name if a word."""
    return f"line-{number} of-{name}" if name.isalnum() else f"line-{number}"


def _line(places: list[tuple[float, float]], colour: str, *, dots: bool) -> list[str]:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts = [f'<polyline class="curve {colour}" points="{path}"/>']
    if dots or len(places) == 1:
        parts += [
            f'<circle class="dot {colour}" cx="{x:.1f}" cy="{y:.1f}" r="3.2"/>' for x, y in places
        ]
    return parts
