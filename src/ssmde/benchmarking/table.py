"""A benchmark as rows: what was measured, what was published; printed and written."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table

from ssmde.benchmarking.published import PublishedFigure
from ssmde.console import table_console
from ssmde.evaluation.result import REGIONS, Evaluation
from ssmde.io import write_text
from ssmde.metrics.depth import METRICS
from ssmde.metrics.protocol import Protocol
from ssmde.outputs import check_own, recorded, sweep

MEASURED, PUBLISHED = "measured", "published"
HEADS = ("method", "kind", "pixels", "images", *METRICS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """The numbers of one method over one kind of pixels."""

    method: str
    kind: str
    """`measured` here, or `published` by others."""
    pixels: str
    """`full`, `static` or `dynamic`."""
    images: int | None
    source: str
    """Where the method, or the published figure, comes from."""
    numbers: dict[str, float | None]

    def words(self) -> list[str]:
        """The row as text, in the order of `HEADS`."""
        digits = [
            "-" if value is None else f"{value:.3f}"
            for value in (self.numbers[metric] for metric in METRICS)
        ]
        images = "-" if self.images is None else str(self.images)
        return [self.method, self.kind, self.pixels, images, *digits]


@dataclass(frozen=True, kw_only=True, slots=True)
class Benchmark:
    """A table with what must stand beside it."""

    name: str
    protocol: Protocol
    align: str
    split: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """Protocol and alignment, without which the numbers are none."""
        p = self.protocol
        crop = "whole image" if p.crop is None else "cropped"
        return (
            f"{self.name}, part {self.split}: protocol {p.name} ({p.min_depth:g} to "
            f"{p.max_depth:g} m, {crop}), alignment {self.align}"
        )


def measured_rows(method: str, result: Evaluation, source: str) -> list[Row]:
    """Rows of a method that was measured, one for each kind of pixels there is."""
    found = list[Row]()
    for region in REGIONS:
        sums = result.region(region)
        if (mean := sums.mean()) is not None:
            numbers: dict[str, float | None] = dict(asdict(mean))
            found.append(
                Row(
                    method=method, kind=MEASURED, pixels=region, images=sums.n_images,
                    source=source, numbers=numbers,
                )
            )  # fmt: skip
    return found


def published_row(figure: PublishedFigure) -> Row:
    """Row of a figure that others published."""
    return Row(
        method=figure.name, kind=PUBLISHED, pixels="full", images=None, source=figure.source,
        numbers={metric: getattr(figure, metric) for metric in METRICS},
    )  # fmt: skip


def print_benchmark(benchmark: Benchmark) -> None:
    """Print the table, a line between what was measured and what was published, and the notes."""
    table = Table(title=benchmark.title)
    for head in HEADS:
        table.add_column(head, justify="left" if head in HEADS[:3] else "right")
    for kind in (MEASURED, PUBLISHED):
        for row in benchmark.rows:
            if row.kind == kind:
                table.add_row(*row.words())
        table.add_section()
    console = table_console()
    console.print(table)
    for note in benchmark.notes:
        console.print(note, soft_wrap=True)


def write_benchmark(benchmark: Benchmark, out: Path) -> list[Path]:
    """Write `NAME.csv`, `NAME.json` and `NAME.md`; the paths."""
    paths = check_room(benchmark.name, out)
    sweep(out, {path.name for path in paths}.__contains__)
    out.mkdir(parents=True, exist_ok=True)
    with recorded():
        for path, text_of in zip(paths, (_csv, _json, _markdown), strict=True):
            write_text(path, text_of(benchmark))
    return paths


def check_room(name: str, out: Path) -> list[Path]:
    """The files of a table; refuses a folder where files of others have these names.

    Raises:
        FileExistsError: It names the first one.
    """
    paths = [out / f"{name}.{suffix}" for suffix in ("csv", "json", "md")]
    check_own(paths, "choose another folder with --out")
    return paths


def _csv(benchmark: Benchmark) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow((*HEADS, "source", "protocol", "align", "split"))
    for row in benchmark.rows:
        numbers = ["" if (v := row.numbers[m]) is None else repr(v) for m in METRICS]
        images = "" if row.images is None else row.images
        always = (benchmark.protocol.name, benchmark.align, benchmark.split)
        writer.writerow((row.method, row.kind, row.pixels, images, *numbers, row.source, *always))
    return file.getvalue()


def _json(benchmark: Benchmark) -> str:
    p = benchmark.protocol
    content = {
        "benchmark": benchmark.name,
        "protocol": p.name,
        "depth_range": [p.min_depth, p.max_depth],
        "align": benchmark.align,
        "split": benchmark.split,
        "rows": [asdict(row) for row in benchmark.rows],
        "notes": list(benchmark.notes),
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _markdown(benchmark: Benchmark) -> str:
    lines = [benchmark.title, "", _line((*HEADS, "source")), _line(["---"] * (len(HEADS) + 1))]
    lines += [_line((*row.words(), row.source)) for row in benchmark.rows]
    return "\n".join([*lines, "", *(f"- {note}" for note in benchmark.notes)]) + "\n"


def _line(words: Sequence[str]) -> str:
    return f"| {' | '.join(word.replace('|', '/') for word in words)} |"
