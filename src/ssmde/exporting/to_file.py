"""`export`: trained weights as one file of another runtime, checked before it is kept."""

import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from ssmde import __version__
from ssmde.data.scene_folder import read_scenes
from ssmde.data.sequence import FrameSequence
from ssmde.evaluation import evaluate_predictions
from ssmde.exporting.network import FormatName, calibration_frames, write_file
from ssmde.exporting.parity import ExportReport, drawn_pictures, refuse_other_depth, report_on
from ssmde.inference.engines import EngineNetwork, Exported, ExportFacts, open_exported
from ssmde.inference.loading import licence_of, load
from ssmde.inference.predict import network_mark
from ssmde.inference.predictor import Predictor
from ssmde.io import read_text, whole_file, write_json
from ssmde.outputs import done_or_free, hidden_folder, identity, mark_of, recorded, sweep

Precision = Literal["fp32", "fp16", "bf16", "int8"]
FORMATS: dict[str, FormatName] = {".onnx": "onnx", ".xml": "openvino", ".pt2": "torch"}
"""By the ending of the file."""
PRECISIONS = {
    "onnx": ("fp32", "fp16", "int8"),
    "openvino": ("fp32", "fp16", "bf16", "int8"),
    "torch": ("fp32", "fp16", "bf16"),
}
"""What each format can hold, in an engine that runs it."""
UNKNOWN_LICENCE = "unknown: that of the weights, and of the data they were trained on"
REPORT = "_report.json"


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
    """Write weights as one ONNX, OpenVINO or torch.export file, checked against PyTorch.

    The file takes bytes (n, h, w, 3) of any size and gives depth (n, h, w). Before it gets its name
    it is compared at three sizes of picture; if it differs too much, nothing is left behind.
    OUT_report.json beside it holds the figures. A file that is there, of the same weights and
    options, is not made again.

    Example:
      ssmde export runs/photometric depth.onnx
      ssmde export runs/photometric depth.xml --precision int8 --calibrate photos --data data

    Args:
        weights: Weights file, folder of a run, hf:OWNER/NAME, or a released name.
        out: File to write: .onnx, .xml (OpenVINO, with a .bin beside it) or .pt2 (torch.export).
        format: Format of the file; by default that of the ending of OUT.
        precision: Of the network inside.
        resolution: Height and width the network works at, in pixels, multiples of 32; by default
            that of the training.
        calibrate: For int8: folder of pictures of what the camera will see.
        data: Scene folders with measured depth, to measure before and after.
        protocol: By which it is measured.
        split: Part of the data to measure.
        max_frames: Measure at most so many frames, evenly spread; by default all.
        name: Name of the weights, kept in the file; by default that of WEIGHTS.
        licence: Licence of the weights, kept in the file; that of released weights is known.
        overwrite: Replace a file that was exported from other weights or with other options.
        trust: You made WEIGHTS yourself: open them though they can run code (.pt2), or name an
            encoder for which the Hugging Face hub has to be asked.

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
    facts = ExportFacts(
        name=name or Path(predictor.source).stem or "unnamed",
        licence=licence or licence_of(predictor) or UNKNOWN_LICENCE,
        image_size=predictor.image_size,
        depth_range=predictor.depth_range,
        unit="scene units" if predictor.metres_per_unit is None else "metres",
        precision=precision,
        ssmde=__version__,
    )
    folder = None if calibrate is None else Path(calibrate)
    mark = mark_of(
        network=network_mark(predictor), facts=asdict(facts), format=chosen,
        pictures=[] if folder is None else [identity(file) for file in sorted(folder.rglob("*"))],
        data=data and (str(Path(data).resolve()), protocol, split, max_frames),
    )  # fmt: skip
    targets = [path.with_suffix(".bin"), path] if chosen == "openvino" else [path]
    written = path.with_name(path.stem + REPORT)
    names = {path.stem, *(file.name for file in (*targets, written))}
    sweep(path.parent, names.__contains__)
    if done_or_free([*targets, written], mark, overwrite=overwrite, remedy="give another name"):
        return TypeAdapter(ExportReport).validate_json(read_text(written))
    pictures = [] if folder is None else calibration_frames(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    with hidden_folder(path.with_name(path.stem)) as hidden, recorded(mark):
        part = hidden / path.name
        write_file(part, chosen, predictor, facts, pictures)
        exported = open_exported(part, trust=True)  # written a moment ago
        report = report_on(predictor, exported, pictures or drawn_pictures())
        if data is not None:
            frames = read_scenes(Path(data), split)
            metrics = _measure(predictor, exported, frames, protocol, max_frames)
            report = replace(report, metrics=metrics)
        refuse_other_depth(report)
        del exported  # an open file cannot be moved everywhere
        report = replace(report, files=tuple(targets[::-1]))
        if len(targets) > 1:  # never new weights under an old graph
            path.unlink(missing_ok=True)
        for target in targets:
            with whole_file(target) as whole:
                os.replace(hidden / target.name, whole)
        write_json(written, asdict(report))
    return report


def _target(out: Path, format: FormatName | None) -> tuple[Path, FormatName]:
    """The file to write and its format, which may each follow from the other."""
    found = FORMATS.get(out.suffix)
    endings = {name: ending for ending, name in FORMATS.items()}
    if format is None and found is None:
        raise ValueError(f"{out}: end it in {', '.join(FORMATS)}, or give --format")
    if found is not None and format not in (None, found):
        raise ValueError(
            f"{out} and --format {format} do not fit: its ending is {endings[format or found]}"
        )
    if out.is_dir():
        raise ValueError(f"{out} is a folder: give the name of the file to write")
    chosen = format or found or "onnx"
    return (out if found else out.with_name(out.name + endings[chosen])), chosen


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


def _measure(
    predictor: Predictor, exported: Exported, frames: Sequence[FrameSequence], protocol: str,
    max_frames: int | None,
) -> dict[str, dict[str, float]]:  # fmt: skip
    """Errors of PyTorch and of the file, each resized to the truth as `ssmde evaluate` does."""
    network = Predictor(EngineNetwork(exported), predictor.image_size)
    found: dict[str, dict[str, float]] = {}
    for name, one in (("PyTorch", predictor), (exported.engine, network)):
        scores = evaluate_predictions(one.network_depth, frames, protocol, max_frames=max_frames)
        found[name] = {"abs_rel": scores.full.abs_rel, "d1": scores.full.d1}
    return found
