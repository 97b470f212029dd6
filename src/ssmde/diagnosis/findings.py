"""A finding: what is wrong with a scene, in which frames, and what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from rich.table import Table
from rich.text import Text

from ssmde.console import table_console

Severity = Literal["blocking", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)  # the worst first
COLORS = {"blocking": "bold red", "warning": "yellow", "note": "dim"}
MOST_RANGES = 20  # stretches of frames that are named
NARROW = 24  # columns of the table for all but the text


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that stands in the way of training, or may."""

    name: str
    """What kind of thing, such as `static-camera`."""
    severity: Severity
    """`blocking`: training fails or learns nonsense. `warning`: it learns less. `note`: good to
    know."""
    what: str
    """What was found, with numbers."""
    remedy: str
    """What to do."""
    frames: tuple[int, ...] = ()
    """Indices of the frames it is about, from 0 in the order of the images; empty if all."""
    scene: str = ""
    """Name of the scene; empty if it is about all of them."""


def frame_ranges(frames: Sequence[int]) -> str:
    """Frame numbers as `3, 7-9`; the first twenty stretches of them."""
    stretches: list[list[int]] = []
    for frame in sorted(set(frames)):
        if stretches and frame == stretches[-1][1] + 1:
            stretches[-1][1] = frame
        else:
            stretches.append([frame, frame])
    named = [f"{a}" if a == b else f"{a}-{b}" for a, b in stretches[:MOST_RANGES]]
    more = len(stretches) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")


def print_findings(findings: list[Finding]) -> None:
    """Print the findings as a table, one a row, and below it the summary."""
    console = table_console()
    table = Table(title="frames are counted from 0 in the order of their names", show_lines=True)
    for heading in ("", "scene", "finding", "frames"):
        table.add_column(heading, overflow="fold", max_width=NARROW)
    table.add_column("what, and what to do", ratio=1)
    for finding in findings:
        table.add_row(
            Text(finding.severity, COLORS[finding.severity]), finding.scene or "all", finding.name,
            frame_ranges(finding.frames), f"{finding.what}\n-> {finding.remedy}",
        )  # fmt: skip
    if findings:
        console.print(table)
    console.print(summary(findings))


def summary(findings: list[Finding]) -> str:
    """The findings in one line."""
    counts = {s: sum(finding.severity == s for finding in findings) for s in SEVERITIES}
    number = ", ".join(
        f"{count} {severity}" + ("s" if count > 1 and severity != "blocking" else "")
        for severity, count in counts.items()
        if count
    )
    end = "" if counts["blocking"] else "; this can be trained on"
    return f"doctor: {number}{end}" if findings else "doctor: nothing found"


def is_blocking(findings: list[Finding]) -> bool:
    """True if training would fail, or learn nonsense."""
    return any(finding.severity == "blocking" for finding in findings)
