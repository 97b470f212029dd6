"""Curves of a training as inline SVG, which takes its colours and its font from the page."""

import csv
import math
from dataclasses import dataclass
from html import escape
from pathlib import Path

WIDTH, HEIGHT = 480, 250  # the picture's own units; the page scales it
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 14, 36  # room around the axes
TICKS = 5  # about so many numbers along an axis
HEADROOM = 0.06  # share of the vertical range left free above and below


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """A value over the steps of a training."""

    title: str
    points: tuple[tuple[int, float], ...]
    """(step, value), in order; at least one."""
    reference: tuple[str, float] | None = None
    """Name and height of a line to compare with."""
    dots: bool = False
    """Mark each point; for few of them."""


def read_curve(log: Path, name: str) -> tuple[tuple[int, float], ...]:
    """(step, value) of one name in the `log.csv` of a run; empty if it was never written."""
    with log.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["name"] == name]
    return tuple((int(row["step"]), float(row["value"])) for row in rows)


def line_chart(curve: Curve) -> str:
    """The curve as an `<svg>` element.

    Raises:
        ValueError: If the curve has no point.
    """
    if not curve.points:
        raise ValueError(f"the curve {curve.title!r} needs at least one point, got none")
    last_step = max(step for step, _ in curve.points)
    values = [value for _, value in curve.points]
    if curve.reference is not None:
        values.append(curve.reference[1])
    low, high = min(values), max(values)
    room = HEADROOM * ((high - low) or 1.0)

    def x(step: int | float) -> float:
        return LEFT + (WIDTH - RIGHT - LEFT) * step / max(last_step, 1)

    def y(value: float) -> float:
        return TOP + (HEIGHT - BOTTOM - TOP) * (high + room - value) / (high - low + 2 * room)

    parts = [_height_line(y(tick), f"{tick:g}") for tick in ticks(low - room, high + room)]
    parts += [_step_number(x(tick), f"{tick:g}") for tick in ticks(0, last_step)]
    if curve.reference is not None:
        parts.append(_reference_line(y(curve.reference[1]), curve.reference[0]))
    parts += _line([(x(step), y(value)) for step, value in curve.points], dots=curve.dots)
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(_in_words(curve), quote=True)}">{"".join(parts)}</svg>'
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


def _in_words(curve: Curve) -> str:
    """What a reader who cannot see the picture hears."""
    (first, start), (last, end) = curve.points[0], curve.points[-1]
    words = f"{curve.title}: {start:.3g} at step {first}, {end:.3g} at step {last}"
    if curve.reference is not None:
        words += f"; {curve.reference[0]} {curve.reference[1]:.3g}"
    return words


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


def _line(places: list[tuple[float, float]], *, dots: bool) -> list[str]:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts = [f'<polyline class="curve" points="{path}"/>']
    if dots or len(places) == 1:
        parts += [f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3.2"/>' for x, y in places]
    return parts
