"""Does an exported file say what PyTorch says, and how fast: the report of an export."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from rich.table import Table

from ssmde.console import table_console
from ssmde.inference.engines import Exported, ExportFacts
from ssmde.inference.predictor import Predictor

TIMED_ROUNDS = 7
Pixels = UInt8[np.ndarray, "_ _ 3"]


# Relative difference of depth that a precision may have, in any pixel and in the mean. int8 is
# judged by a metric, too.
BOUNDS = {
    "fp32": (1e-3, 1e-4),
    "fp16": (3e-2, 2e-3),
    "bf16": (3e-1, 2e-2),
    "int8": (float("inf"), 1e-1),
}
RESIZED = 20
"""So many times as much at sizes that are resized to that of the network, which differs in one byte
of a thousand: `small` differs by 1.1e-3 in the mean at 32 x 64, by 1.4e-4 at 64 x 96."""
LOST_DELTA1 = 0.005
"""An int8 file may lose so much of delta1 on measured depth: half a point."""


class ParityError(ValueError):
    """An exported file that says something else than PyTorch; it was not kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """Of the exported file from PyTorch, over the pictures of one size."""

    size: tuple[int, int]
    """Height and width."""
    most: float
    """Largest |a - b| / b of a pixel."""
    mean: float
    """Mean of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportReport:
    """What an export wrote, how far it is from PyTorch, and how fast."""

    files: tuple[Path, ...]
    """The file, and its weights where the format keeps them apart."""
    facts: ExportFacts
    """What the file says about itself."""
    engine: str
    """What ran it for this report."""
    differences: tuple[Difference, ...]
    """From `Predictor.predict`, at three sizes of picture."""
    milliseconds: dict[str, float]
    """CPU time of one picture of the working size: medians of one interleaved run."""
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    """`abs_rel` and `d1` on measured depth, by engine; empty without any."""

    def __str__(self) -> str:
        """The figures as tables, the file, and what to do with it."""
        table = Table(title="Relative difference from PyTorch", title_justify="left")
        for column in ("pictures", "largest", "mean"):
            table.add_column(column, justify="right")
        for d in self.differences:
            table.add_row(f"{d.size[0]} x {d.size[1]}", f"{d.most:.1e}", f"{d.mean:.1e}")
        console = table_console()
        with console.capture() as shown:
            console.print(table)
        slow, file = self.milliseconds["PyTorch"], self.files[0]
        return shown.get() + "\n".join([
            *(f"{engine}: {taken:.0f} ms of CPU time a picture (x{slow / taken:.2f})"
              for engine, taken in self.milliseconds.items()),
            *(f"{engine}: abs_rel {found['abs_rel']:.4f}, delta1 {found['d1']:.4f}"
              for engine, found in self.metrics.items()),
            f"exported: {file}",
            f"next: ssmde predict {file} INPUT OUT{' --trust' if file.suffix == '.pt2' else ''}",
        ])  # fmt: skip


def report_on(predictor: Predictor, exported: Exported, pictures: Sequence[Pixels]) -> ExportReport:
    """How an exported file does beside the predictor it was made from, on the first pictures.

    Three sizes are compared, two of them odd: that of the network, a larger, a smaller.
    """
    height, width = predictor.image_size
    sizes = ((height, width), (2 * height + 1, 2 * width - 1), (height - 15, width // 2 + 3))
    differences: list[Difference] = []
    for size in sizes:
        views = np.stack([cut(picture, size) for picture in pictures[:4]])
        wanted = np.stack([found.depth for found in predictor.predict_many(views)])
        difference = np.abs(exported.run(views) - wanted) / wanted
        differences.append(
            Difference(size=size, most=float(difference.max()), mean=float(difference.mean()))
        )
    view = cut(pictures[0], predictor.image_size)
    taken = milliseconds(
        {
            "PyTorch": lambda: predictor.predict(view),
            exported.engine: lambda: exported.run(view[None]),
        }
    )
    return ExportReport(
        files=(), facts=exported.facts, engine=exported.engine, differences=tuple(differences),
        milliseconds=taken,
    )  # fmt: skip


def refuse_other_depth(report: ExportReport) -> None:
    """Raise a ParityError where the file differs more than its precision may."""
    precision = report.facts.precision
    for d in report.differences:
        more = 1 if d.size == report.facts.image_size else RESIZED
        most, mean = (more * bound for bound in BOUNDS[precision])
        # Written so that a value that is no number is refused.
        if not (d.most <= most and d.mean <= mean):
            raise ParityError(
                f"the exported network says something else than PyTorch: for pictures of "
                f"{d.size[0]} x {d.size[1]} its depth differs by up to {d.most:.1e}, "
                f"{d.mean:.1e} in the mean; {precision} may by {most:.0e} and {mean:.0e}. Nothing "
                "was written"
            )
    if precision == "int8" and report.metrics:
        before, after = report.metrics["PyTorch"]["d1"], report.metrics[report.engine]["d1"]
        if not before - after <= LOST_DELTA1:
            raise ParityError(
                f"in int8 delta1 falls from {before:.4f} to {after:.4f}, by more than "
                f"{LOST_DELTA1}: calibrate on more pictures, of what the camera will see, or take "
                "--precision fp16. Nothing was written"
            )


def cut(picture: UInt8[np.ndarray, "h w 3"], size: tuple[int, int]) -> UInt8[np.ndarray, "k m 3"]:
    """The upper left part of a picture, repeated in mirrored tiles where it is too small."""
    below, right = (
        max(0, wanted - side) for wanted, side in zip(size, picture.shape, strict=False)
    )
    return np.pad(picture, ((0, below), (0, right), (0, 0)), "symmetric")[: size[0], : size[1]]


def drawn_pictures(count: int = 2) -> list[UInt8[np.ndarray, "h w 3"]]:
    """Smooth shapes with fine grain, for a check without the user's frames."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:480, :640]
    pictures: list[UInt8[np.ndarray, "h w 3"]] = []
    for _ in range(count):
        waves = [
            np.sin(rows * a + b) + np.cos(columns * c + d)
            for a, b, c, d in random.uniform(0, 0.1, (3, 4)) * (1, 60, 1, 60)
        ]
        grain = random.normal(0, 12, (*rows.shape, 3))
        values = 128 + 50 * np.stack(waves, axis=-1) + grain
        pictures.append(values.clip(0, 255).astype(np.uint8))
    return pictures


def milliseconds(
    runs: dict[str, Callable[[], object]], rounds: int = TIMED_ROUNDS
) -> dict[str, float]:
    """CPU time of each function, summed over its threads: medians of interleaved rounds."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            start = time.process_time()
            run()
            if number:  # the first call makes plans
                taken[name].append(1000 * (time.process_time() - start))
    return {name: statistics.median(values) for name, values in taken.items()}
