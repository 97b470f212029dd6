"""An evaluation as a table, a `metrics.json` and pictures of its worst frames."""

from pathlib import Path

import numpy as np
from rich.table import Table

from ssmde.console import counted, table_console
from ssmde.data.images import read_image
from ssmde.evaluation.details import told
from ssmde.evaluation.movers import DepthFunction, told_movers
from ssmde.evaluation.result import (
    REGIONS,
    WORST_FRAMES,
    Evaluation,
    FrameResult,
)
from ssmde.inference.input import resize_depth
from ssmde.inference.pictures import PanelRow, panel, write_png
from ssmde.io import write_text
from ssmde.metrics.depth import METRICS
from ssmde.metrics.protocol import Protocol, counted_pixels
from ssmde.outputs import check_own, recorded, sweep

WORST_HEIGHT = 240  # rows of each picture of a worst frame
NAMED_BROKEN = 3  # unreadable files named below the table; metrics.json has all


def table(result: Evaluation) -> Table:
    """The numbers with weights, protocol and alignment in the head; baselines below."""
    p = result.protocol
    crop = "whole image" if p.crop is None else "cropped"
    title = (
        f"protocol {p.name} ({p.min_depth:g} to {p.max_depth:g} m, {crop}), "
        f"alignment {result.align}"
    )
    found = Table(title=f"{result.weights}\n{title}" if result.weights else title)
    for heading in ("", "pixels", "images", *METRICS):
        found.add_column(heading, justify="left" if heading in ("", "pixels") else "right")
    for name, evaluation in {"network": result, **result.baselines}.items():
        for region in REGIONS:
            sums = evaluation.region(region)
            if (mean := sums.mean()) is not None:
                numbers = (f"{getattr(mean, metric):.3f}" for metric in METRICS)
                found.add_row(name, region, str(sums.n_images), *numbers)
        found.add_section()
    return found


def print_result(result: Evaluation) -> None:
    """Print the table, and below it the details and what could not be measured."""
    console = table_console()
    if result.frames:
        console.print(table(result))
    moving = told_movers(None if result.movers is None else result.movers.to_dict())
    lines = [*told(result.details(), result.align), *moving, *result.notes]
    if skipped := result.sums.full.n_skipped:
        lines.append(f"in no mean, for want of truth that counts: {counted(skipped, 'image')}")
    if result.broken:
        named = "; ".join(result.broken[:NAMED_BROKEN])
        lines.append(f"{len(result.broken)} unreadable images are in no mean: {named}")
    for line in lines:
        console.print(line, soft_wrap=True)


def write_result(result: Evaluation, predict: DepthFunction, out: Path) -> None:
    """Write `metrics.json`, and `worst/01.png` and so on, the worst frame first."""
    check_room(out)
    (out / "worst").mkdir(parents=True, exist_ok=True)
    with recorded():
        write_text(out / "metrics.json", result.to_json() + "\n")
        for path in _worst_files(out):  # an earlier evaluation may have had more frames
            path.unlink(missing_ok=True)
        for path, found in zip(_worst_files(out), result.worst(), strict=False):
            picture = panel([_worst_row(found, predict, result.protocol)], height=WORST_HEIGHT)
            write_png(path, picture)


def check_room(out: Path) -> None:
    """Refuse a folder where files of others have the names of the results.

    Raises:
        FileExistsError: It names the first one.
    """
    check_own([out / "metrics.json", *_worst_files(out)], "choose another folder with --out")
    sweep(out, "metrics.json".__eq__)
    sweep(out / "worst", {path.name for path in _worst_files(out)}.__contains__)


def _worst_files(out: Path) -> list[Path]:
    return [out / "worst" / f"{number:02d}.png" for number in range(1, WORST_FRAMES + 1)]


def _worst_row(found: FrameResult, predict: DepthFunction, protocol: Protocol) -> PanelRow:
    pixels, (truth, _) = read_image(found.frame.image), found.frame.read_truth()
    depth = found.alignment.apply(resize_depth(predict(pixels), truth.shape))
    return PanelRow(
        image=pixels,
        depth=depth.clip(protocol.min_depth, protocol.max_depth),
        truth=np.where(counted_pixels(truth, protocol), truth, np.float32(0)),
        title=f"{found.frame.name}  AbsRel {found.errors.abs_rel:.3f}",
    )
