"""An evaluation as a record, a table, a `metrics.json` and pictures of its worst frames."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image
from rich.table import Table

from ssmde.console import counted, table_console
from ssmde.data.images import resize_image
from ssmde.evaluation.details import FrameDetails, MeasuredFrame, details_text, mean_details
from ssmde.evaluation.frames import Pixels, SceneFrame, nearest
from ssmde.evaluation.movers import MoverErrors, movers_text
from ssmde.inference.pictures import PanelRow, panel
from ssmde.io import whole_file, write_text
from ssmde.metrics import (
    METRICS,
    Alignment,
    AlignmentName,
    DepthErrors,
    DepthSums,
    Protocol,
    RegionSums,
)
from ssmde.outputs import check_own, recorded, sweep

Region = Literal["full", "static", "dynamic"]
REGIONS: tuple[Region, ...] = ("full", "static", "dynamic")
WORST_FRAMES = 10
WORST_HEIGHT = 240  # rows of each picture of a worst frame
NAMED_BROKEN = 3  # unreadable files named below the table; metrics.json has all


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameResult:
    """The errors of one frame and the alignment they were measured under."""

    frame: SceneFrame
    errors: DepthErrors  # over all its pixels that count
    alignment: Alignment
    details: FrameDetails | None = None  # None if nobody asked


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """Mean errors over images, each image once; numbers without `protocol` and `align` are none.

    `str()` of it is the table that `ssmde evaluate` prints.
    """

    protocol: Protocol
    align: AlignmentName
    sums: RegionSums
    frames: tuple[FrameResult, ...]
    """The images measured, in order; none where only movers could be judged."""
    broken: tuple[str, ...] = ()
    """Files that could not be read, with the reason; they are in no mean."""
    weights: str = ""  # where the network came from
    baselines: dict[str, "Evaluation"] = field(default_factory=dict)
    """The same images under predictors that do not look at them."""
    remarks: tuple[str, ...] = ()
    """What the reader of the numbers must know, such as why a baseline is missing."""
    movers: MoverErrors | None = None
    """Whether what moves is seen as a hole; None if nobody asked or nobody knows what moves."""
    pictures: tuple[PanelRow, ...] = ()
    """Those of the worst frames, worst first; none where nobody asked."""
    out: Path | None = None  # folder of the files, if there are any

    @property
    def full(self) -> DepthErrors:
        """Mean errors over all pixels that count."""
        mean = self.sums.full.mean()
        if mean is None:
            raise ValueError("an evaluation needs at least one image that was measured, got none")
        return mean

    @property
    def static(self) -> DepthErrors | None:
        """The same over static pixels; None without motion masks."""
        return self.sums.static.mean()

    @property
    def dynamic(self) -> DepthErrors | None:
        """The same over moving pixels; None if nothing moves or nobody knows."""
        return self.sums.dynamic.mean()

    @property
    def n_images(self) -> int:
        """Images measured."""
        return self.sums.full.n_images

    def region(self, name: Region) -> DepthSums:
        """Sums of a region by its name."""
        return getattr(self.sums, name)

    def worst(self, count: int = WORST_FRAMES) -> tuple[FrameResult, ...]:
        """Frames with the largest relative error, worst first."""
        return tuple(sorted(self.frames, key=lambda f: -f.errors.abs_rel)[:count])

    def details(self) -> dict[str, Any]:
        """Means by distance, at edges and from frame to frame; empty where nobody asked."""
        return mean_details([f.details for f in self.frames if f.details], self.protocol)

    def to_dict(self) -> dict[str, Any]:
        """The content of `metrics.json`: plain values; a region without images is None."""
        return {
            "protocol": self.protocol.name,
            "align": self.align,
            "n_images": self.n_images,
            **self._means(),
            "n_images_static": self.sums.static.n_images,
            "n_images_dynamic": self.sums.dynamic.n_images,
            "n_images_without_truth": self.sums.full.n_skipped,
            "broken": list(self.broken),
            "depth_range": [self.protocol.min_depth, self.protocol.max_depth],
            "scale": self._scale(),
            "weights": self.weights,
            "baselines": {name: other._means() for name, other in self.baselines.items()},
            "worst": [{"frame": f.frame.name, **asdict(f.errors)} for f in self.worst()],
            "notes": list(self.remarks),
            **self.details(),
            "movers": None if self.movers is None else self.movers.to_dict(),
        }

    def _scale(self) -> dict[str, float] | None:
        if not self.frames:
            return None
        scales = np.array([frame.alignment.scale for frame in self.frames])
        middle = float(np.median(scales))
        return {"median": middle, "relative_spread": float(np.std(scales / middle))}

    def _means(self) -> dict[str, dict[str, float] | None]:
        means = {name: self.region(name).mean() for name in REGIONS}
        return {name: None if mean is None else asdict(mean) for name, mean in means.items()}

    def __str__(self) -> str:
        """The table, and below it the details and what could not be measured."""
        found = self.to_dict()
        lines = [*details_text(found, self.align), *movers_text(found["movers"]), *self.remarks]
        if skipped := self.sums.full.n_skipped:
            lines.append(f"in no mean, for want of truth that counts: {counted(skipped, 'image')}")
        if self.broken:
            named = "; ".join(self.broken[:NAMED_BROKEN])
            lines.append(f"{len(self.broken)} unreadable images are in no mean: {named}")
        if self.out is not None:
            lines.append(
                f"numbers: {self.out / 'metrics.json'}, worst frames: {self.out / 'worst'}"
            )
        title = f"{self.protocol}, alignment {self.align}"
        title = f"{self.weights}\n{title}" if self.weights else title
        rows = list[list[str]]()
        for name, evaluation in {"network": self, **self.baselines}.items():
            for region in REGIONS:
                sums = evaluation.region(region)
                if (mean := sums.mean()) is not None:
                    numbers = (f"{value:.3f}" for value in asdict(mean).values())
                    rows.append([name, region, str(sums.n_images), *numbers])
            rows.append([])
        heads = ("", "pixels", "images", *METRICS)
        return table_text(title, heads, rows if self.frames else [], lines, heads[:2])


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


def write_result(result: Evaluation, out: Path) -> None:
    """Write `metrics.json`, and `worst/01.png` and so on, the worst frame first."""
    check_room(out)
    (out / "worst").mkdir(parents=True, exist_ok=True)
    with recorded():
        text = json.dumps(result.to_dict(), indent=1, allow_nan=False)
        write_text(out / "metrics.json", text + "\n")
        for path in _worst_files(out):  # an earlier evaluation may have had more frames
            path.unlink(missing_ok=True)
        for path, row in zip(_worst_files(out), result.pictures, strict=False):
            with whole_file(path) as part:
                Image.fromarray(panel([row])).save(part, format="PNG", compress_level=1)


def check_room(out: Path) -> None:
    """Refuse a folder where files of others have the names of the results."""
    check_own([out / "metrics.json", *_worst_files(out)], "choose another folder with --out")
    sweep(out, "metrics.json".__eq__)
    sweep(out / "worst", {path.name for path in _worst_files(out)}.__contains__)


def _worst_files(out: Path) -> list[Path]:
    return [out / "worst" / f"{number:02d}.png" for number in range(1, WORST_FRAMES + 1)]


def worst_row(now: MeasuredFrame, pixels: Pixels, abs_rel: float) -> PanelRow:
    """A frame as `worst/01.png` shows it."""
    size = WORST_HEIGHT, max(1, round(pixels.shape[1] * WORST_HEIGHT / pixels.shape[0]))
    small = replace(now, prediction=nearest(now.prediction, size))
    return PanelRow(
        image=resize_image(pixels, size),
        depth=small.aligned(now.alignment),
        truth=nearest(now.known_depth(), size),
        title=f"{now.frame.name}  AbsRel {abs_rel:.3f}",
    )
