"""`ssmde benchmark`: one published table, with the methods one has beside the published figures."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ssmde.benchmarking.predictions import Kind, PredictionFolder
from ssmde.benchmarking.published import TABLES, PublishedTable
from ssmde.benchmarking.table import (
    Benchmark,
    Row,
    check_room,
    measured_rows,
    print_benchmark,
    published_row,
    write_benchmark,
)
from ssmde.console import counted, did_you_mean, with_bar
from ssmde.data.scene_folder import Split, read_scenes
from ssmde.data.sequence import FrameSequence
from ssmde.datasets import find_protocol
from ssmde.evaluate import evaluate_frames
from ssmde.evaluation.details import told_confidence
from ssmde.evaluation.frames import frames_with_truth
from ssmde.evaluation.result import Answer, Evaluation, FrameFunction
from ssmde.inference.loading import load
from ssmde.metrics.alignment import AlignmentName
from ssmde.metrics.baselines import constant_depth
from ssmde.models.registry import WEIGHTS_IN_A_RUN

CONSTANT = "constant depth"


def benchmark(
    name: str,
    data: str | Path,
    methods: Sequence[str | Path],
    *,
    split: Split | None = None,
    align: AlignmentName | None = None,
    kind: Kind = "depth",
    max_frames: int | None = None,
    out: str | Path | None = None,
    trust: bool = False,
) -> Benchmark:
    """Measure several methods on the images of a published table, print it and write the files.

    Args:
        name: `kitti`, `nyuv2`, `ddad`, `bonn` or `tum`.
        data: Folder of scene folders, as `ssmde prepare --dataset` makes it.
        methods: Weights files, run folders, or folders of predictions named like the frames; any of
            them as `NAME=PATH`, which is its name in the table.
        split: Part of `data`, if not that of the table.
        align: Alignment, if not that of the protocol.
        kind: What folders of predictions hold.
        max_frames: Measure at most so many frames, evenly spread.
        out: Folder for `NAME.csv`, `NAME.json` and `NAME.md`; None writes nothing.
        trust: You made all weights yourself: see `load`.

    Raises:
        FileExistsError: If `out` holds files of others under the names of the table.
        FileNotFoundError: If data or a method does not exist, or a frame has no prediction.
        ValueError: If nothing can be measured.
    """
    table = _find(name)
    if not methods:
        raise ValueError("a benchmark needs at least one method: weights, a run, or predictions")
    if out is not None:
        check_room(name, Path(out))
    chosen = split or table.split
    sequences = read_scenes(Path(data), chosen)
    protocol = find_protocol(table.protocol)
    named = _names(methods)
    functions = {
        each: _open(path, sequences, kind, max_frames, trust=trust) for each, path in named.items()
    }
    functions[CONSTANT] = lambda *_: Answer(depth=constant_depth())
    rows, results, sure = list[Row](), list[Evaluation](), list[str]()
    for each, function in with_bar(functions.items(), "measuring", len(functions)):
        result = evaluate_frames(
            function, sequences, protocol, align, max_frames=max_frames,
            details=getattr(function, "tells_confidence", False),
        )  # fmt: skip
        sure += [f"{each}, {line}" for line in told_confidence(result.details(), result.align)]
        results.append(replace(result, weights=str(named.get(each, ""))))
        rows += measured_rows(each, result, str(named.get(each, "no method: does not look")))
    found = Benchmark(
        name=name,
        protocol=protocol,
        align=results[0].align,
        split=chosen,
        rows=(*rows, *(published_row(figure) for figure in table.figures)),
        notes=(*_notes(table, results), *sure),
    )
    if out is not None:
        write_benchmark(found, Path(out))
    print_benchmark(found)
    return found


def _find(name: str) -> PublishedTable:
    if name in TABLES:
        return TABLES[name]
    raise ValueError(f"unknown benchmark {name!r}: {did_you_mean(name, TABLES)}")


def _names(methods: Sequence[str | Path]) -> dict[str, Path]:
    """Each method by its name in the table."""
    found = dict[str, Path]()
    for method in methods:
        name, has_name, path = str(method).partition("=")
        if not has_name or os.path.lexists(method):
            name, path = Path(method).resolve().name, str(method)
        if name in found or name == CONSTANT:
            raise ValueError(f"two methods are called {name!r}: write NAME=PATH")
        if not Path(path).exists():
            raise FileNotFoundError(
                f"{path}: no such weights file, run folder or folder of predictions"
            )
        found[name] = Path(path)
    return found


def _open(
    path: Path,
    sequences: Sequence[FrameSequence],
    kind: Kind,
    max_frames: int | None,
    *,
    trust: bool,
) -> FrameFunction:
    """Weights, or files, as a method."""
    is_run = path.is_dir() and any((path / name).is_file() for name in WEIGHTS_IN_A_RUN)
    if path.is_dir() and not is_run:
        return PredictionFolder(path, frames_with_truth(sequences, max_frames), kind)
    predictor = load(path, trust=trust)
    return lambda _, pixels: Answer(depth=predictor.network_depth(pixels))


def _notes(table: PublishedTable, results: Sequence[Evaluation]) -> list[str]:
    """What the reader must know before comparing rows."""
    count = results[0].n_images
    notes = [f"measured here: {counted(count, 'image')}; published: {table.note}"]
    if table.images and count not in table.images:
        variants = ", ".join(f"{number} ({what})" for number, what in table.images.items())
        notes.append(f"not the published set of images, which are {variants}: do not compare")
    elif table.images and table.images[count] != next(iter(table.images.values())):
        notes.append(f"measured on {table.images[count]}, not the set of the published figures")
    first = results[0]
    if table.figures and first.align != "median":
        notes.append(
            f"measured with alignment {first.align}, published with median: do not compare"
        )
    if first.broken:
        notes.append(f"{len(first.broken)} unreadable images are in no mean: {first.broken[0]}")
    if first.sums.full.n_skipped:
        notes.append(f"no truth that counts: {counted(first.sums.full.n_skipped, 'image')}")
    return notes
