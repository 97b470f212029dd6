"""`ssmde export`: trained weights as one file of another runtime, checked before it is kept."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from pydantic import TypeAdapter
from rich.table import Table

from ssmde import __version__
from ssmde.console import table_console
from ssmde.data.scene_folder import read_scenes
from ssmde.evaluation import evaluate_predictions
from ssmde.exporting.formats import (
    DTYPES,
    PRECISIONS,
    SUFFIXES,
    onnx_model,
    write_onnx,
    write_openvino,
    write_torch,
)
from ssmde.exporting.parity import BOUNDS, RESIZED, Difference, compare, drawn_pictures, time_both
from ssmde.exporting.quantise import calibration_frames, quantise
from ssmde.exporting.whole_model import WholeModel
from ssmde.inference.engines import EngineNetwork, ExportFacts, open_exported
from ssmde.inference.loading import load
from ssmde.inference.predict import network_mark
from ssmde.inference.predictor import Predictor
from ssmde.io import read_text, whole_file, write_json
from ssmde.outputs import (
    done_or_free,
    hidden_folder,
    identity,
    mark_of,
    recorded,
    sweep,
)
from ssmde.weights import RELEASED

FormatName = Literal["onnx", "openvino", "torch"]
Precision = Literal["fp32", "fp16", "bf16", "int8"]
UNKNOWN_LICENCE = "unknown: that of the weights, and of the data they were trained on"
LOST_DELTA1 = 0.005
"""An int8 file may lose so much of delta1 on `data`: half a point."""
REPORT = "_report.json"


class ParityError(ValueError):
    """An exported file that says something else than PyTorch; it was not kept."""


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
    """`abs_rel` and `d1` on the data, by engine; empty without data."""


def export(
    weights: str | Path | Predictor,
    out: str | Path,
    *,
    format: FormatName | None = None,
    precision: Precision = "fp32",
    resolution: tuple[int, int] | None = None,
    calibrate: str | Path | None = None,
    data: str | Path | None = None,
    protocol: str = "generic",
    split: Literal["train", "val", "test", "all"] = "val",
    max_frames: int | None = None,
    name: str | None = None,
    licence: str | None = None,
    overwrite: bool = False,
    trust: bool = False,
) -> ExportReport:
    """Write weights as a file that takes bytes (n, h, w, 3) and gives depth (n, h, w).

    The file is compared with PyTorch at three sizes of picture before it gets its name; if it
    differs too much, nothing is left behind. `NAME_report.json` beside it holds the figures. A file
    that is there, of the same weights and options, is not made again.

    Args:
        weights: Weights file, run folder, name, or a loaded predictor.
        out: File to write: .onnx, .xml (OpenVINO, with a .bin beside it) or .pt2 (torch.export).
        format: By default that of the ending of `out`; else the ending is added.
        precision: Of the network inside.
        resolution: Size (height, width) the network works at, multiples of 32; by default that of
            the training.
        calibrate: For int8: folder of pictures of what the camera will see.
        data: Scene folders with measured depth; the metric is taken before and after.
        protocol: By which it is measured.
        split: Part of `data` to measure.
        max_frames: Measure at most so many frames, evenly spread.
        name: Name of the weights, kept in the file; by default that of their file or run.
        licence: Licence of the weights, kept in the file; that of released weights is known.
        overwrite: Replace a file that was exported from other weights or with other options.
        trust: You made the weights yourself: see `load`.

    Raises:
        FileExistsError: If a file is there that may not be replaced.
        ParityError: If the file says something else than PyTorch.
        ValueError: If the options do not fit each other.
        ImportError: If the engine of the format is not installed.
    """
    path, chosen = _target(Path(out), format)
    _check_precision(chosen, precision, calibrate)
    predictor = weights if isinstance(weights, Predictor) else load(weights, trust=trust)
    if isinstance(predictor.network, EngineNetwork):
        raise ValueError(f"{predictor.source} is an exported file: export from the weights")
    predictor = predictor.at(resolution or predictor.image_size)  # a file works at one size
    facts = _facts(predictor, precision, name, licence or known_licence(predictor))
    mark = mark_of(
        network=network_mark(predictor), facts=asdict(facts), format=chosen,
        pictures=[] if calibrate is None else _identities(Path(calibrate)),
        data=data and (str(Path(data).resolve()), protocol, split, max_frames),
    )  # fmt: skip
    targets = [path.with_suffix(".bin"), path] if chosen == "openvino" else [path]
    written = path.with_name(path.stem + REPORT)
    names = {path.stem, *(file.name for file in (*targets, written))}
    sweep(path.parent, names.__contains__)
    if done_or_free([*targets, written], mark, overwrite=overwrite, remedy="give another name"):
        return TypeAdapter(ExportReport).validate_json(read_text(written))
    pictures = calibration_frames(Path(calibrate)) if calibrate is not None else []
    path.parent.mkdir(parents=True, exist_ok=True)
    with hidden_folder(path.with_name(path.stem)) as folder, recorded(mark):
        part = folder / path.name
        _write(predictor, facts, chosen, part, pictures)
        report = _judge(predictor, part, pictures or drawn_pictures(), facts)
        if data is not None:
            frames = read_scenes(Path(data), split)
            report = replace(
                report, metrics=_measure(predictor, part, frames, protocol, max_frames)
            )
        _refuse_other_depth(report)
        report = replace(report, files=tuple(targets[::-1]))
        if len(targets) > 1:  # never new weights under an old graph
            path.unlink(missing_ok=True)
        for target in targets:
            with whole_file(target) as whole:
                os.replace(folder / target.name, whole)
        write_json(written, asdict(report))
    return report


def _identities(folder: Path) -> list[list[str | int]]:
    """What tells the pictures of a folder from others."""
    return [identity(file) for file in sorted(folder.rglob("*"))]


def print_report(report: ExportReport) -> None:
    """The figures as tables."""
    table = Table(title="Relative difference from PyTorch", title_justify="left")
    for column in ("pictures", "largest", "mean"):
        table.add_column(column, justify="right")
    for d in report.differences:
        table.add_row(f"{d.size[0]} x {d.size[1]}", f"{d.most:.1e}", f"{d.mean:.1e}")
    console = table_console()
    console.print(table)
    slow = report.milliseconds["PyTorch"]
    for engine, taken in report.milliseconds.items():
        console.print(f"{engine}: {taken:.0f} ms of CPU time a picture (x{slow / taken:.2f})")
    for engine, found in report.metrics.items():
        console.print(f"{engine}: abs_rel {found['abs_rel']:.4f}, delta1 {found['d1']:.4f}")


def _target(out: Path, format: FormatName | None) -> tuple[Path, FormatName]:
    """The file to write and its format, which may each follow from the other."""
    by_ending: dict[str, FormatName] = {".onnx": "onnx", ".xml": "openvino", ".pt2": "torch"}
    found = by_ending.get(out.suffix)
    if format is None and found is None:
        raise ValueError(f"{out}: end it in {', '.join(by_ending)}, or give --format")
    if found is not None and format not in (None, found):
        raise ValueError(
            f"{out} and --format {format} do not fit: its ending is {SUFFIXES[format or found]}"
        )
    if out.is_dir():
        raise ValueError(f"{out} is a folder: give the name of the file to write")
    chosen = format or found or "onnx"
    return (out if found else out.with_name(out.name + SUFFIXES[chosen])), chosen


def _check_precision(format: FormatName, precision: str, calibrate: str | Path | None) -> None:
    if precision not in PRECISIONS[format]:
        fitting = [name for name, held in PRECISIONS.items() if precision in held]
        raise ValueError(
            f"--format {format} holds {', '.join(PRECISIONS[format])}, got {precision}: take "
            f"--format {' or '.join(fitting)}"
        )
    if (precision == "int8") != (calibrate is not None):
        raise ValueError(
            "--precision int8 needs --calibrate FOLDER: some hundred pictures of what the camera "
            "will see"
            if calibrate is None
            else f"--calibrate is for --precision int8, got {precision}"
        )


def known_licence(predictor: Predictor) -> str:
    """Licence of released weights; of others nobody knows it here."""
    name = predictor.source
    released = name in RELEASED and not Path(name).exists()
    return RELEASED[name].licence if released else UNKNOWN_LICENCE


def _facts(
    predictor: Predictor, precision: Precision, name: str | None, licence: str
) -> ExportFacts:
    metres = predictor.metres_per_unit
    source = Path(predictor.source)
    return ExportFacts(
        name=name or source.stem or "unnamed",
        licence=licence,
        image_size=predictor.image_size,
        depth_range=predictor.depth_range,
        unit="scene units" if metres is None else "metres",
        precision=precision,
        ssmde=__version__,
    )


def _write(
    predictor: Predictor,
    facts: ExportFacts,
    format: FormatName,
    path: Path,
    pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]],
) -> None:
    # OpenVINO reduces by itself, int8 starts from float32.
    own = format == "openvino" or facts.precision == "int8"
    dtype = DTYPES["fp32" if own else facts.precision]
    metres = predictor.metres_per_unit or 1.0
    model = WholeModel(predictor.network, predictor.image_size, metres, dtype).eval()
    if format == "torch":
        write_torch(model, facts, path)
        return
    proto = onnx_model(model, facts)
    if facts.precision == "int8":
        proto = quantise(proto, pictures)
    if format == "onnx":
        write_onnx(proto, path)
    else:
        write_openvino(proto, facts, path)


def _judge(
    predictor: Predictor,
    path: Path,
    pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    facts: ExportFacts,
) -> ExportReport:
    exported = open_exported(path, trust=True)  # written a moment ago
    return ExportReport(
        files=(),
        facts=facts,
        engine=exported.engine,
        differences=tuple(compare(predictor, exported, pictures)),
        milliseconds=time_both(predictor, exported, pictures[0]),
    )


def _measure(
    predictor: Predictor, path: Path, frames: Sequence, protocol: str, max_frames: int | None
) -> dict[str, dict[str, float]]:
    """Errors of PyTorch and of the file, each resized to the truth as `ssmde evaluate` does."""
    exported = open_exported(path, trust=True)
    network = Predictor(EngineNetwork(exported), predictor.image_size)
    found: dict[str, dict[str, float]] = {}
    for name, predict in (
        ("PyTorch", predictor.network_depth),
        (exported.engine, network.network_depth),
    ):
        full = evaluate_predictions(predict, frames, protocol, max_frames=max_frames).full
        found[name] = {"abs_rel": full.abs_rel, "d1": full.d1}
    return found


def _refuse_other_depth(report: ExportReport) -> None:
    bound = BOUNDS[report.facts.precision]
    for d in report.differences:
        more = 1 if d.size == report.facts.image_size else RESIZED
        # Written so that a value that is no number is refused.
        if not (d.most <= more * bound.most and d.mean <= more * bound.mean):
            raise ParityError(
                f"the exported network says something else than PyTorch: for pictures of "
                f"{d.size[0]} x {d.size[1]} its depth differs by up to {d.most:.1e}, "
                f"{d.mean:.1e} in the mean; {report.facts.precision} may by "
                f"{more * bound.most:.0e} and {more * bound.mean:.0e}. Nothing was written"
            )
    if report.facts.precision == "int8" and report.metrics:
        before, after = report.metrics["PyTorch"]["d1"], report.metrics[report.engine]["d1"]
        if not before - after <= LOST_DELTA1:
            raise ParityError(
                f"in int8 delta1 falls from {before:.4f} to {after:.4f}, by more than "
                f"{LOST_DELTA1}: calibrate on more pictures, of what the camera will see, or take "
                "--precision fp16. Nothing was written"
            )
