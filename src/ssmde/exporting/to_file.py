"""`export`: weights as one file of another runtime, compared with PyTorch before it is kept."""

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from pydantic import TypeAdapter

from ssmde import __version__
from ssmde.data.scene_folder import read_scenes
from ssmde.evaluation import evaluate_predictions
from ssmde.exporting.network import Pixels, calibration_frames, write_file
from ssmde.inference.engines import EngineNetwork, Exported, ExportFacts, open_exported
from ssmde.inference.loading import licence_of, load
from ssmde.inference.predict import network_mark
from ssmde.inference.predictor import Predictor
from ssmde.io import read_text, whole_file, write_json
from ssmde.outputs import done_or_free, hidden_folder, identity, mark_of, recorded, sweep

FormatName = Literal["onnx", "openvino", "torch"]
Precision = Literal["fp32", "fp16", "bf16", "int8"]
ENDINGS = {"onnx": ".onnx", "openvino": ".xml", "torch": ".pt2"}
PRECISIONS = {
    "onnx": ("fp32", "fp16", "int8"),
    "openvino": ("fp32", "fp16", "bf16", "int8"),
    "torch": ("fp32", "fp16", "bf16"),
}
"""What each format can hold, in an engine that runs it."""
UNKNOWN_LICENCE = "unknown: that of the weights, and of the data they were trained on"
REPORT = "_report.json"
TIMED_ROUNDS = 7
# Relative difference of depth that a precision may have, in any pixel and in the mean. int8 is
# judged by a metric, too.
BOUNDS = {
    "fp32": (1e-3, 1e-4),
    "fp16": (3e-2, 2e-3),
    "bf16": (3e-1, 2e-2),
    "int8": (float("inf"), 1e-1),
}
# So many times as much at sizes that are resized to that of the network, which differs in one byte
# of a thousand: `small` differs by 1.1e-3 in the mean at 32 x 64, by 1.4e-4 at 64 x 96.
RESIZED = 20
LOST_DELTA1 = 0.005  # that an int8 file may lose of delta1 on measured depth: half a point


class ParityError(ValueError):
    """An exported file that says something else than PyTorch; it was not kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """Of the exported file from PyTorch, over the pictures of one size."""

    size: tuple[int, int]  # height and width
    most: float  # largest |a - b| / b of a pixel
    mean: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportReport:
    """What an export wrote, how far it is from PyTorch, and how fast; as text, a line each."""

    files: tuple[Path, ...]  # the file, and its weights where the format keeps them apart
    facts: ExportFacts
    engine: str  # what ran it for this report
    differences: tuple[Difference, ...]  # from `Predictor.predict`, at three sizes of picture
    milliseconds: dict[str, float]
    """CPU time of one picture of the working size: medians of one interleaved run."""
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    """`abs_rel` and `d1` on measured depth, by engine; empty without any."""

    def __str__(self) -> str:
        slow, file = self.milliseconds["PyTorch"], self.files[0]
        return "\n".join([
            *(f"pictures of {d.size[0]} x {d.size[1]}: depth differs from PyTorch by up to "
              f"{d.most:.1e}, {d.mean:.1e} in the mean" for d in self.differences),
            *(f"{engine}: {taken:.0f} ms of CPU time a picture (x{slow / taken:.2f})"
              for engine, taken in self.milliseconds.items()),
            *(f"{engine}: abs_rel {found['abs_rel']:.4f}, delta1 {found['d1']:.4f}"
              for engine, found in self.metrics.items()),
            f"exported: {file}",
            f"next: ssmde predict {file} INPUT OUT{' --trust' if file.suffix == '.pt2' else ''}",
        ])  # fmt: skip


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
    path, chosen = _target(Path(out), format, precision, calibrate)
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
    targets = [path, path.with_suffix(".bin")] if chosen == "openvino" else [path]
    written = path.with_name(path.stem + REPORT)
    names = {path.stem, *(file.name for file in (*targets, written))}
    sweep(path.parent, names.__contains__)
    if done_or_free([*targets, written], mark, overwrite=overwrite, remedy="give another name"):
        return TypeAdapter(ExportReport).validate_json(read_text(written))
    pictures = [] if folder is None else calibration_frames(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    with hidden_folder(path.with_name(path.stem)) as hidden, recorded(mark):
        part = hidden / path.name
        write_file(part, predictor, facts, pictures)
        exported = open_exported(part, trust=True)  # written a moment ago
        metrics: dict[str, dict[str, float]] = {}
        if data is not None:  # each is resized to the truth, as `ssmde evaluate` does
            frames = read_scenes(Path(data), split)
            file = Predictor(EngineNetwork(exported), predictor.image_size)
            for engine, one in (("PyTorch", predictor), (exported.engine, file)):
                scores = evaluate_predictions(
                    one.network_depth, frames, protocol, max_frames=max_frames
                ).full
                metrics[engine] = {"abs_rel": scores.abs_rel, "d1": scores.d1}
            del file
        differences, taken = _compare(predictor, exported, pictures or drawn_pictures())
        report = ExportReport(
            files=tuple(targets), facts=facts, engine=exported.engine, differences=differences,
            milliseconds=taken, metrics=metrics,
        )  # fmt: skip
        _refuse_other_depth(report)
        del exported  # an open file cannot be moved everywhere
        if len(targets) > 1:  # never new weights under an old graph
            path.unlink(missing_ok=True)
        for target in reversed(targets):
            with whole_file(target) as whole:
                os.replace(hidden / target.name, whole)
        write_json(written, asdict(report))
    return report


def _target(
    out: Path, format: FormatName | None, precision: str, calibrate: str | Path | None
) -> tuple[Path, str]:
    """The file to write and its format, which may each follow from the other."""
    found = next((name for name, ending in ENDINGS.items() if ending == out.suffix), None)
    chosen = format or found
    if chosen is None:
        raise ValueError(f"{out}: end it in {', '.join(ENDINGS.values())}, or give --format")
    if found not in (None, chosen):
        raise ValueError(f"{out} and --format {format} do not fit: its ending is {ENDINGS[chosen]}")
    if out.is_dir():
        raise ValueError(f"{out} is a folder: give the name of the file to write")
    if precision not in PRECISIONS[chosen]:
        fitting = [name for name, held in PRECISIONS.items() if precision in held]
        raise ValueError(
            f"--format {chosen} holds {', '.join(PRECISIONS[chosen])}, got {precision}: take "
            f"--format {' or '.join(fitting)}"
        )
    if precision == "int8" and calibrate is None:
        raise ValueError(
            "--precision int8 needs --calibrate FOLDER: some hundred pictures of what the camera "
            "will see"
        )
    if precision != "int8" and calibrate is not None:
        raise ValueError(f"--calibrate is for --precision int8, got {precision}")
    return out if found else out.with_name(out.name + ENDINGS[chosen]), chosen


def _compare(
    predictor: Predictor, exported: Exported, pictures: Sequence[Pixels]
) -> tuple[tuple[Difference, ...], dict[str, float]]:
    """How an exported file does beside its predictor on the first pictures, and how fast.

    Three sizes are compared, two of them odd: that of the network, a larger, a smaller.
    """
    height, width = predictor.image_size
    differences: list[Difference] = []
    for size in ((height, width), (2 * height + 1, 2 * width - 1), (height - 15, width // 2 + 3)):
        views = np.stack([cut(picture, size) for picture in pictures[:4]])
        wanted = np.stack([found.depth for found in predictor.predict_many(views)])
        off = np.abs(exported.run(views) - wanted) / wanted
        differences.append(Difference(size=size, most=float(off.max()), mean=float(off.mean())))
    view = cut(pictures[0], predictor.image_size)
    runs = {
        "PyTorch": lambda: predictor.predict(view),
        exported.engine: lambda: exported.run(view[None]),
    }
    return tuple(differences), milliseconds(runs)


def _refuse_other_depth(report: ExportReport) -> None:
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
    more = [(0, max(0, side - has)) for side, has in zip(size, picture.shape, strict=False)]
    return np.pad(picture, (*more, (0, 0)), "symmetric")[: size[0], : size[1]]


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
    runs: Mapping[str, Callable[[], object]], rounds: int = TIMED_ROUNDS
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
