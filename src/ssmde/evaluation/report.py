"""An evaluation as a record, a table, a `metrics.json` and pictures of its worst frames."""

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image
from rich.table import Table

from ssmde.console import counted, table_console
from ssmde.evaluation.frames import SceneFrame
from ssmde.inference.pictures import PanelRow, panel
from ssmde.io import whole_file, write_json
from ssmde.metrics import (
    METRICS,
    Alignment,
    AlignmentName,
    BoundaryErrors,
    DepthErrors,
    MoverCounts,
    Protocol,
    TemporalErrors,
    band_edges,
    mean_errors,
)
from ssmde.outputs import check_own, recorded, sweep

Region = Literal["full", "static", "dynamic"]
REGIONS: tuple[Region, ...] = ("full", "static", "dynamic")
WORST = [f"worst/{number:02d}.png" for number in range(1, 11)]  # the worst frame first
RESULTS = ["metrics.json", *WORST]
NAMED_BROKEN = 3  # unreadable files named below the table; metrics.json has all


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameResult:
    """The errors of one frame and the alignment they were measured under."""

    frame: SceneFrame
    errors: DepthErrors  # over all its pixels that count
    alignment: Alignment
    static: DepthErrors | None = None  # over those that stand still; None without any
    dynamic: DepthErrors | None = None  # over those that move
    bands: tuple[DepthErrors | None, ...] = ()
    """Errors by true distance, a band each, None without a pixel; empty if nobody asked."""
    boundary: BoundaryErrors | None = None  # edges; None if the truth is not dense or has none
    temporal: TemporalErrors | None = None
    """With the frame before it in the video; None if there is none or the motion is unknown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """Mean errors over images, each image once; numbers without `protocol` and `align` are none.

    `str()` of it is the table that `ssmde evaluate` prints.
    """

    protocol: Protocol
    align: AlignmentName
    frames: tuple[FrameResult, ...]
    """The images measured, in order; none where only movers could be judged."""
    n_skipped: int = 0  # images without truth that counts
    broken: tuple[str, ...] = ()
    """Files that could not be read, with the reason; they are in no mean."""
    weights: str = ""  # where the network came from
    baselines: dict[str, "Evaluation"] = field(default_factory=dict)
    """The same images under predictors that do not look at them."""
    remarks: tuple[str, ...] = ()
    """What the reader of the numbers must know, such as why a baseline is missing."""
    movers: MoverCounts | None = None
    """Whether what moves is seen as a hole; None if nobody asked or no motion mask says it."""
    pictures: tuple[PanelRow, ...] = ()
    """Those of the worst frames, worst first; none where nobody asked."""
    out: Path | None = None  # folder of the files, if there are any

    @property
    def full(self) -> DepthErrors:
        """Mean errors over all pixels that count."""
        mean = mean_errors(self.region("full"))
        if mean is None:
            raise ValueError("an evaluation needs at least one image that was measured, got none")
        return mean

    @property
    def static(self) -> DepthErrors | None:
        """The same over static pixels; None without motion masks."""
        return mean_errors(self.region("static"))

    @property
    def dynamic(self) -> DepthErrors | None:
        """The same over moving pixels; None if nothing moves or nobody knows."""
        return mean_errors(self.region("dynamic"))

    @property
    def n_images(self) -> int:
        """Images measured."""
        return len(self.frames)

    def region(self, name: Region) -> list[DepthErrors]:
        """Errors over a region, of each image that has some of it."""
        found = (f.errors if name == "full" else getattr(f, name) for f in self.frames)
        return [errors for errors in found if errors is not None]

    def to_dict(self) -> dict[str, Any]:
        """The content of `metrics.json`: plain values; a region without images is None."""
        scales = np.array([frame.alignment.scale for frame in self.frames])
        middle = float(np.median(scales)) if self.frames else 0.0
        spread = float(np.std(scales / middle)) if self.frames else 0.0
        worst = sorted(self.frames, key=lambda f: -f.errors.abs_rel)[: len(WORST)]
        return {
            "protocol": self.protocol.name,
            "align": self.align,
            "n_images": self.n_images,
            **self._means(),
            "n_images_static": len(self.region("static")),
            "n_images_dynamic": len(self.region("dynamic")),
            "n_images_without_truth": self.n_skipped,
            "broken": list(self.broken),
            "depth_range": [self.protocol.min_depth, self.protocol.max_depth],
            "scale": {"median": middle, "relative_spread": spread} if self.frames else None,
            "weights": self.weights,
            "baselines": {name: other._means() for name, other in self.baselines.items()},
            "worst": [{"frame": f.frame.name, **asdict(f.errors)} for f in worst],
            "notes": list(self.remarks),
            "boundary": _mean((f.boundary for f in self.frames), "n_images"),
            "per_distance": self._per_distance(),
            "temporal": _mean((f.temporal for f in self.frames), "n_pairs"),
            "movers": self._mover_shares(),
        }

    def _means(self) -> dict[str, dict[str, float] | None]:
        means = {name: mean_errors(self.region(name)) for name in REGIONS}
        return {name: None if mean is None else asdict(mean) for name, mean in means.items()}

    def _per_distance(self) -> list[dict[str, Any]]:
        """Means by true distance; a band without images is left out."""
        found = list[dict[str, Any]]()
        for number, (near, far) in enumerate(pairwise(band_edges(self.protocol))):
            images = [f.bands[number] for f in self.frames if f.bands and f.bands[number]]
            if (mean := mean_errors(images)) is not None:
                found.append({"from": near, "to": far, "n_images": len(images), **asdict(mean)})
        return found

    def _mover_shares(self) -> dict[str, Any] | None:
        """Shares in [0, 1]; None if nothing moves."""
        found = self.movers
        if found is None or not found.moving:
            return None
        return {
            "holes": found.hole_rate,
            "beyond_ground": found.beyond_ground / found.moving,
            "beyond_surround": found.beyond_surround / found.moving,
            "hole_regions": found.hole_regions / found.regions,
            "order_violations": found.order_rate,
            "n_regions": found.regions,
            "n_images": found.n_images,
        }

    def __str__(self) -> str:
        """The table, and below it the details and what could not be measured."""
        lines = [*_details(self.to_dict()), *self.remarks]
        if self.n_skipped:
            skipped = counted(self.n_skipped, "image")
            lines.append(f"in no mean, for want of truth that counts: {skipped}")
        if self.broken:
            named = "; ".join(self.broken[:NAMED_BROKEN])
            lines.append(f"{len(self.broken)} unreadable images are in no mean: {named}")
        if self.out is not None:
            lines.append(f"numbers: {self.out}/metrics.json, worst frames: {self.out}/worst")
        title = f"{self.protocol}, alignment {self.align}"
        title = f"{self.weights}\n{title}" if self.weights else title
        rows = list[list[str]]()
        for name, evaluation in {"network": self, **self.baselines}.items():
            for region in REGIONS:
                images = evaluation.region(region)
                if (mean := mean_errors(images)) is not None:
                    numbers = (f"{value:.3f}" for value in asdict(mean).values())
                    rows.append([name, region, str(len(images)), *numbers])
            rows.append([])
        heads = ("", "pixels", "images", *METRICS)
        return table_text(title, heads, rows if self.frames else [], lines, heads[:2])


def _details(found: dict[str, Any]) -> Generator[str]:
    """What `metrics.json` has beside the table, as lines to print, the alignment in each."""
    align = f"alignment {found['align']}"
    bands = ", ".join(
        f"{b['from']:g}-{b['to']:g} m {b['abs_rel']:.3f} ({counted(b['n_images'], 'image')})"
        for b in found["per_distance"]
    )
    if bands:
        yield f"AbsRel by distance, {align}: {bands}"
    if (b := found["boundary"]) is not None:
        yield (
            f"depth edges, {align}: F1 {b['f1']:.3f} (precision {b['precision']:.3f}, recall "
            f"{b['recall']:.3f}), {counted(b['n_images'], 'image')}"
        )
    if (t := found["temporal"]) is not None:
        yield (
            f"from frame to frame, one {align} for each pair: AbsRel {t['abs_rel']:.3f} between "
            f"depths of the same static points (median {t['median']:.3f}), "
            f"{counted(t['n_pairs'], 'pair')}"
        )
    if (m := found["movers"]) is not None:
        order = m["order_violations"]
        yield (
            f"movers without truth, no alignment: {m['holes']:.1%} of their pixels are holes "
            f"({m['beyond_ground']:.1%} deeper than the ground they stand on, "
            f"{m['beyond_surround']:.1%} deeper than all around), {m['hole_regions']:.1%} of "
            f"{counted(m['n_regions'], 'region')}, {counted(m['n_images'], 'image')}"
            + ("" if order is None else f"; order unlike the labels {order:.1%}")
        )


def _mean(
    records: Iterable[BoundaryErrors | None] | Iterable[TemporalErrors | None], count: str
) -> dict[str, Any] | None:
    """Mean of each field over the records that are there, and how many those are."""
    found = [asdict(record) for record in records if record is not None]
    if not found:
        return None
    means = {name: float(np.mean([values[name] for values in found])) for name in found[0]}
    return {**means, count: len(found)}


def table_text(
    title: str,
    heads: Sequence[str],
    rows: Sequence[list[str]],
    lines: Sequence[str],
    words: Sequence[str],
) -> str:
    """A table, as wide as the terminal, and lines below it; no table without rows.

    An empty row is a rule; the columns named in `words` are not numbers.
    """
    table = Table(title=title)
    for head in heads:
        table.add_column(head, justify="left" if head in words else "right")
    for row in rows:
        table.add_row(*row) if row else table.add_section()
    console = table_console()
    with console.capture() as captured:
        if rows:
            console.print(table)
        for line in lines:
            console.print(line, soft_wrap=True)
    return captured.get().removesuffix("\n")


def check_room(out: str | Path | None, names: Sequence[str]) -> None:
    """Refuse a folder where files of others have the names of the results."""
    if out is not None:
        check_own([Path(out) / name for name in names], "choose another folder with --out")


@contextmanager
def results_in(out: Path, names: Sequence[str]) -> Generator[None]:
    """What is written in this block, under these names, is noted as ssmde's own."""
    check_room(out, names)
    for folder in {(out / name).parent for name in names}:
        sweep(folder, {Path(name).name for name in names}.__contains__)
        folder.mkdir(parents=True, exist_ok=True)
    with recorded():
        yield


def write_result(result: Evaluation, out: Path) -> None:
    """Write `metrics.json`, and `worst/01.png` and so on, the worst frame first."""
    with results_in(out, RESULTS):
        write_json(out / "metrics.json", result.to_dict())
        for name in WORST:  # an earlier evaluation may have had more frames
            (out / name).unlink(missing_ok=True)
        for name, row in zip(WORST, result.pictures, strict=False):
            with whole_file(out / name) as part:
                Image.fromarray(panel([row])).save(part, "PNG", compress_level=1, compress_type=3)
