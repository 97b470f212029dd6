"""A finding: what is wrong with a scene, in which frames, and what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from rich.table import Table
from rich.text import Text

from ssmde.console import ranges, table_console

Severity = Literal["blocking", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)  # the worst first
COLORS = {"blocking": "bold red", "warning": "yellow", "note": "dim"}
MOST_RANGES = 20  # stretches of frames that are named
NARROW = 24  # columns of the table for all but the text


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that stands in the way of training, or may."""

    name: str  # what kind of thing, such as `static-camera`
    severity: Severity
    """`blocking`: training fails or learns nonsense. `warning`: it learns less. `note`: good to
    know."""
    what: str  # what was found, with numbers
    remedy: str  # what to do
    frames: tuple[int, ...] = ()
    """Indices of the frames it is about, from 0 in the order of the images; empty if all."""
    scene: str = ""  # name of the scene; empty if it is about all of them


def frame_ranges(frames: Sequence[int]) -> str:
    """Frame numbers as `3, 7-9`; the first twenty stretches of them."""
    stretches = ranges(sorted(set(frames))).split(", ")
    more = len(stretches) - MOST_RANGES
    return ", ".join(stretches[:MOST_RANGES]) + (f" and {more} more" if more > 0 else "")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What stands in the way of training on a data folder; as text, a table and a line below it."""

    findings: tuple[Finding, ...]  # the worst first; empty if nothing was found

    @property
    def is_blocking(self) -> bool:
        """True if training would fail, or learn nonsense."""
        return any(finding.severity == "blocking" for finding in self.findings)

    @property
    def summary(self) -> str:
        """The findings in one line."""
        counts = {s: sum(f.severity == s for f in self.findings) for s in SEVERITIES}
        number = ", ".join(
            f"{count} {severity}" + ("s" if count > 1 and severity != "blocking" else "")
            for severity, count in counts.items()
            if count
        )
        end = "" if self.is_blocking else "; this can be trained on"
        return f"doctor: {number}{end}" if self.findings else "doctor: nothing found"

    def __str__(self) -> str:
        """The findings as a table, one a row, and below it the summary."""
        if not self.findings:
            return self.summary
        title = "frames are counted from 0 in the order of their names"
        table, console = Table(title=title, show_lines=True), table_console()
        for heading in ("", "scene", "finding", "frames"):
            table.add_column(heading, overflow="fold", max_width=NARROW)
        table.add_column("what, and what to do", ratio=1)
        for finding in self.findings:
            table.add_row(
                Text(finding.severity, COLORS[finding.severity]), finding.scene or "all",
                finding.name, frame_ranges(finding.frames),
                f"{finding.what}\n-> {finding.remedy}",
            )  # fmt: skip
        with console.capture() as shown:
            console.print(table)
            console.print(self.summary)
        return shown.get().rstrip("\n")
