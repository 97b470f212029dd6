"""What the logs of both stages say, as charts with one axis of steps."""

from collections.abc import Iterator
from pathlib import Path

from ssmde.reporting.curves import Chart, Points, read_curve

TEACHER, STUDENT = "teacher", "student"
BOTH = {
    "Loss; the terms of the stages differ": "train/loss",
    "Difference between frame and copy": "train/photometric",
    "Forgetting factor: weight of the labels": "train/forgetting_factor",
}
SCORES = (
    ("val/static_abs_rel", "Error (AbsRel) of static pixels, held-out frames"),
    ("val/abs_rel", "Error (AbsRel), held-out frames"),
    ("val/photometric", "Difference between frame and copy, held-out frames"),
)
MOVING = ("val/dynamic_abs_rel", "Error (AbsRel) of moving pixels, held-out frames")
REGIONS = ("static", "dynamic", "unknown")


def stage_charts(
    teacher: Path, student: Path, *, references: dict[str, float] | None = None
) -> tuple[Chart, ...]:
    """Losses, errors, forgetting factor, and what the filter found; none without a point.

    Args:
        teacher: The run of stage 1, with its `log.csv`.
        student: The run of stage 2.
        references: Errors of one constant depth by the names of the log, such as `val/abs_rel`.
    """
    logs, references = (teacher / "log.csv", student / "log.csv"), references or {}
    charts = [_both(logs, title, name) for title, name in BOTH.items()]
    score = next((s for s in SCORES if read_curve(logs[1], s[0])), SCORES[-1])
    for name, title in (score, MOVING):
        reference = ("one constant depth", references[name]) if name in references else None
        charts.append(_both(logs, title, name, reference=reference, dots=True))
    return tuple(chart for chart in (*charts, *_filter_charts(logs[1])) if chart.lines)


def _both(
    logs: tuple[Path, Path],
    title: str,
    name: str,
    *,
    reference: tuple[str, float] | None = None,
    dots: bool = False,
) -> Chart:
    """The same value in both stages, the second behind the first."""
    first, second = (read_curve(log, name) for log in logs)
    end = max((step for step, _ in read_curve(logs[0], "train/loss")), default=0)
    shifted = tuple((end + step, value) for step, value in second)
    lines = {TEACHER: first, STUDENT: shifted}
    return Chart(
        title=title,
        lines={who: points for who, points in lines.items() if points},
        reference=reference,
        divider=("stage 2", end),
        dots=dots,
    )


def _filter_charts(log: Path) -> Iterator[Chart]:
    """Regions and weight over the steps of the student."""
    yield _several(log, "Regions of the mask filter: shares of the image", REGIONS)
    yield _several(
        log, "Mask filter: mean weight, threshold of motion", ("weight", "motion_threshold")
    )


def _several(log: Path, title: str, names: tuple[str, ...]) -> Chart:
    found: dict[str, Points] = {
        name.replace("_", " "): read_curve(log, f"train/filter_{name}") for name in names
    }
    return Chart(title=title, lines={name: points for name, points in found.items() if points})
