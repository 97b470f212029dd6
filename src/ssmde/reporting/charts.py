"""Curves of a training as inline SVG, both stages on one axis of steps."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from ssmde.io import read_table

TEACHER, STUDENT = "teacher", "student"
BOTH = {
    "Loss; the terms of the stages differ": "train/loss",
    "Difference between frame and copy": "train/photometric",
    "Forgetting factor: weight of the labels": "train/forgetting_factor",
}
SCORES = {
    "val/static_abs_rel": "Error (AbsRel) of static pixels, held-out frames",
    "val/abs_rel": "Error (AbsRel), held-out frames",
    "val/photometric": "Difference between frame and copy, held-out frames",
}
MOVING = {"val/dynamic_abs_rel": "Error (AbsRel) of moving pixels, held-out frames"}
OF_FILTER = {
    "Regions of the mask filter: shares of the image": ("static", "dynamic", "unknown"),
    "Mask filter: mean weight, threshold of motion": ("weight", "motion_threshold"),
}
COLORS = ("#b0459f", "#3f7fd8", "#b7791f")  # told apart on light and dark paper
REGION_COLORS = {"static": "#3a75d6", "dynamic": "#f08a24", "unknown": "#888888"}
INK, REFERENCE = "#85808c", "#de4968"
SIZE = (4.8, 2.5)  # inches; the page scales it

Points = tuple[tuple[int, float], ...]
"""(step, value), in order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """One or several values over the steps of a training."""

    title: str
    lines: Mapping[str, Points]
    """At least one, each with at least one point; names are shown, an empty one is not."""
    reference: tuple[str, float] | None = None  # name and height of a line to compare with
    divider: tuple[str, int] | None = None  # what begins at a step, which a vertical line marks
    dots: bool = False  # mark each point; for few of them


def read_curve(log: Path, name: str) -> Points:
    """(step, value) of one name in the `log.csv` of a run; empty if it was never written."""
    head, *rows = read_table(log)
    rows = [dict(zip(head, row, strict=False)) for row in rows if row]
    try:
        return tuple((int(r["step"]), float(r["value"])) for r in rows if r["name"] == name)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{log}: no log of a training ({error})") from error


def line_chart(chart: Chart) -> str:
    """The chart as an `<svg>` element, with what it shows in words for who cannot see it.

    A ValueError if there is no line, or one has no point.
    """
    if not chart.lines or not all(chart.lines.values()):
        raise ValueError(f"the chart {chart.title!r} needs at least one point a line, got none")
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    settings: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": chart.title}
    settings |= {f"{name}.color": INK for name in ("text", "xtick", "ytick")}
    words = list[str]()
    with rc_context(settings), io.StringIO() as file:
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.add_subplot(frame_on=False)
        axes.grid(axis="y", color=INK, alpha=0.25)
        axes.tick_params(length=0)
        for number, (name, points) in enumerate(chart.lines.items()):
            color = REGION_COLORS.get(name, COLORS[number % len(COLORS)])
            axes.plot(
                *zip(*points, strict=True), color=color, label=name or None, markersize=4,
                marker="o" if chart.dots or len(points) == 1 else None, gid=f"line-{number + 1}",
            )  # fmt: skip
            (first, start), (last, end) = points[0], points[-1]
            words.append(f"{name} {start:.3g} at step {first}, {end:.3g} at step {last}".strip())
        if chart.reference is not None:
            name, height = chart.reference
            axes.axhline(height, color=REFERENCE, linestyle="--", label=name, gid="reference")
        if chart.divider is not None:
            name, step = chart.divider
            axes.axvline(step, color=INK, linestyle=":", label=name, gid="divider")
        if axes.get_legend_handles_labels()[1]:
            figure.legend(loc="outside upper left", ncols=4, frameon=False, fontsize="small")
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
        svg = file.getvalue()
    words += [f"{named[0]} {named[1]:.3g}" for named in (chart.reference, chart.divider) if named]
    label = escape(f"{chart.title}: {'; '.join(words)}", quote=True)
    return f'<svg role="img" aria-label="{label}"{svg[svg.index("<svg") + len("<svg") :]}'


def stage_charts(
    teacher: Path, student: Path, *, references: Mapping[str, float]
) -> tuple[Chart, ...]:
    """Losses, errors, forgetting factor, and what the filter found; none without a point.

    The runs are folders with a `log.csv`; `references` are errors of one constant depth, by the
    names of the log, such as `val/abs_rel`.
    """
    first, second = teacher / "log.csv", student / "log.csv"
    end = max((step for step, _ in read_curve(first, "train/loss")), default=0)
    score = next((name for name in SCORES if read_curve(second, name)), "val/photometric")
    titles = {name: title for title, name in BOTH.items()} | {score: SCORES[score]} | MOVING
    charts = list[Chart]()
    for name, title in titles.items():  # in both stages, the second behind the first
        later = tuple((end + step, value) for step, value in read_curve(second, name))
        lines = {TEACHER: read_curve(first, name), STUDENT: later}
        reference = ("one constant depth", references[name]) if name in references else None
        charts.append(
            Chart(
                title=title, lines={who: points for who, points in lines.items() if points},
                reference=reference, divider=("stage 2", end), dots=name.startswith("val/"),
            )
        )  # fmt: skip
    for title, names in OF_FILTER.items():
        lines = {n.replace("_", " "): read_curve(second, f"train/filter_{n}") for n in names}
        charts.append(Chart(title=title, lines={n: found for n, found in lines.items() if found}))
    return tuple(chart for chart in charts if chart.lines)
