"""One published table, with the methods one has, from weights or files, beside its figures."""

import csv
import io
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from ssmde.console import counted, did_you_mean, with_bar
from ssmde.data.images import ImageError, ShapeError, read_map
from ssmde.data.scene_files import positive_number
from ssmde.data.scene_folder import Split, read_scenes
from ssmde.data.sequence import FrameSequence
from ssmde.datasets import find_protocol
from ssmde.evaluation.accuracy import constant_depth, evaluate_frames
from ssmde.evaluation.frames import Answer, FrameFunction, TruthFrame, frames_with_truth
from ssmde.evaluation.published import TABLES, PublishedTable
from ssmde.evaluation.report import REGIONS, Evaluation, table_text
from ssmde.inference.loading import load, looks_like_weights
from ssmde.io import read_json, write_text
from ssmde.metrics import METRICS, AlignmentName, Protocol
from ssmde.models.hub import HUB_PREFIX
from ssmde.outputs import check_own, recorded, sweep

Kind = Literal["depth", "disparity"]
SUFFIXES = (".npz", ".npy", ".png")
ENDINGS = ("", "_depth")  # of our own files
UNIT_KEY = "png16_units_per_"  # beginning of its name in depth.json
CONSTANT = "constant depth"
MEASURED, PUBLISHED = "measured", "published"
HEADS = ("method", "kind", "pixels", "images", *METRICS)


@dataclass(frozen=True, slots=True)
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
        values = [self.numbers[metric] for metric in METRICS]
        digits = ["-" if value is None else f"{value:.3f}" for value in values]
        images = "-" if self.images is None else str(self.images)
        return [self.method, self.kind, self.pixels, images, *digits]


@dataclass(frozen=True, kw_only=True, slots=True)
class Benchmark:
    """A table with what must stand beside it; `str()` of it is what `ssmde benchmark` prints."""

    name: str
    protocol: Protocol
    align: str
    split: str
    rows: tuple[Row, ...]
    remarks: tuple[str, ...]
    out: Path | None = None
    """Folder of the files, if there are any."""

    @property
    def title(self) -> str:
        """Protocol and alignment, without which the numbers are none."""
        return f"{self.name}, part {self.split}: {self.protocol}, alignment {self.align}"

    def __str__(self) -> str:
        """The table, a line between what was measured and what was published, and remarks."""
        rows = list[list[str]]()
        for kind in (MEASURED, PUBLISHED):
            rows += [row.words() for row in self.rows if row.kind == kind] + [[]]
        files = [] if self.out is None else [f"table: {self.out / self.name}.csv, .json and .md"]
        return table_text(self.title, HEADS, rows, [*self.remarks, *files], HEADS[:3])

    def to_csv(self) -> str:
        """A line for each row."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*HEADS, "source", "protocol", "align", "split"))
        for row in self.rows:
            numbers = ["" if (v := row.numbers[m]) is None else repr(v) for m in METRICS]
            images = "" if row.images is None else row.images
            always = (row.source, self.protocol.name, self.align, self.split)
            writer.writerow((row.method, row.kind, row.pixels, images, *numbers, *always))
        return file.getvalue()

    def to_json(self) -> str:
        """All of it."""
        p = self.protocol
        content = {
            "benchmark": self.name,
            "protocol": p.name,
            "depth_range": [p.min_depth, p.max_depth],
            "align": self.align,
            "split": self.split,
            "rows": [asdict(row) for row in self.rows],
            "notes": list(self.remarks),
        }
        return json.dumps(content, indent=1, allow_nan=False) + "\n"

    def to_markdown(self) -> str:
        """A table for a page, and the remarks."""
        rows = [(*HEADS, "source"), ["---"] * (len(HEADS) + 1)]
        rows += [(*row.words(), row.source) for row in self.rows]
        lines = [f"| {' | '.join(word.replace('|', '/') for word in row)} |" for row in rows]
        remarks = [f"- {remark}" for remark in self.remarks]
        return "\n".join([self.title, "", *lines, "", *remarks]) + "\n"


def benchmark(
    table: str,
    data: str | Path,
    methods: Sequence[str | Path],
    *,
    split: Split | None = None,
    align: AlignmentName | None = None,
    kind: Kind = "depth",
    max_frames: int | None = None,
    out: str | Path | None = "benchmark",
    trust: bool = False,
) -> Benchmark:
    """Measure several methods on the images of a published table, beside published figures.

    A method is weights, a run, or a folder of predictions named like the frames: png16, npz or npy.

    Example:
      ssmde benchmark kitti data runs/ss_mde theirs=predictions/theirs

    Args:
        table: Which table: kitti, nyuv2, ddad, bonn or tum.
        data: Folder of scene folders, as ssmde prepare --dataset makes it.
        methods: PATH, or NAME=PATH; weights may be hf:OWNER/NAME or a released name as well.
        split: Part of DATA to measure; by default that of the table.
        align: How the unknown scale of a prediction is found; by default median.
        kind: What folders of predictions hold.
        max_frames: Measure at most so many frames, evenly spread; by default all.
        out: Folder for the files.
        trust: You made all weights yourself: open them though they can run code (.pt2), or name an
            encoder for which the Hugging Face hub has to be asked.

    Raises:
        FileExistsError: If `out` holds files of others under the names of the table.
        FileNotFoundError: If data or a method does not exist, or a frame has no prediction.
        ValueError: If nothing can be measured.
    """
    if table not in TABLES:
        raise ValueError(f"unknown benchmark {table!r}: {did_you_mean(table, TABLES)}")
    known = TABLES[table]
    if not methods:
        raise ValueError("a benchmark needs at least one method: weights, a run, or predictions")
    files = [] if out is None else [Path(out) / f"{table}.{end}" for end in ("csv", "json", "md")]
    check_own(files, "choose another folder with --out")
    sequences = read_scenes(Path(data), split or known.split)
    protocol, named = find_protocol(known.protocol), _names(methods)
    functions: dict[str, FrameFunction] = {
        name: _open(path, sequences, kind, max_frames, trust=trust) for name, path in named.items()
    }
    functions[CONSTANT] = lambda *_: Answer(depth=constant_depth())
    rows, results = list[Row](), list[Evaluation]()
    for name, function in with_bar(functions.items(), "measuring", len(functions)):
        result = evaluate_frames(function, sequences, protocol, align, max_frames=max_frames)
        results.append(replace(result, weights=str(named.get(name, ""))))
        rows += _measured_rows(name, result, str(named.get(name, "no method: does not look")))
    for figure in known.figures:
        numbers = {metric: figure.numbers.get(metric) for metric in METRICS}
        rows.append(Row(figure.name, PUBLISHED, "full", None, figure.source, numbers))
    found = Benchmark(
        name=table, protocol=protocol, align=results[0].align, split=split or known.split,
        rows=tuple(rows), remarks=tuple(_remarks(known, results[0])),
    )  # fmt: skip
    if out is None:
        return found
    sweep(Path(out), {path.name for path in files}.__contains__)
    Path(out).mkdir(parents=True, exist_ok=True)
    with recorded():
        texts = (found.to_csv(), found.to_json(), found.to_markdown())
        for path, text in zip(files, texts, strict=True):
            write_text(path, text)
    return replace(found, out=Path(out))


def _measured_rows(method: str, result: Evaluation, source: str) -> list[Row]:
    """Rows of a method that was measured, one for each kind of pixels there is."""
    found = list[Row]()
    for region in REGIONS:
        sums = result.region(region)
        if (mean := sums.mean()) is not None:
            numbers: dict[str, float | None] = dict(asdict(mean))
            found.append(Row(method, MEASURED, region, sums.n_images, source, numbers))
    return found


def _is_weights(method: str) -> bool:
    return method.startswith(HUB_PREFIX) or looks_like_weights(Path(method))


def _names(methods: Sequence[str | Path]) -> dict[str, str]:
    """Each method by its name in the table."""
    found = dict[str, str]()
    for method in methods:
        name, has_name, path = str(method).partition("=")
        if not has_name or os.path.lexists(method):
            name, path = Path(method).resolve().name, str(method)
        if name in found or name == CONSTANT:
            raise ValueError(f"two methods are called {name!r}: write NAME=PATH")
        if not Path(path).exists() and not _is_weights(path):
            raise FileNotFoundError(
                f"{path}: no such weights file, run folder or folder of predictions"
            )
        found[name] = path
    return found


def _open(
    method: str,
    sequences: Sequence[FrameSequence],
    kind: Kind,
    max_frames: int | None,
    *,
    trust: bool,
) -> FrameFunction:
    """Weights, or files, as a method."""
    if Path(method).is_dir() and not _is_weights(method):
        return PredictionFolder(Path(method), frames_with_truth(sequences, max_frames), kind)
    predictor = load(method, trust=trust)
    return lambda _, pixels: Answer(depth=predictor.network_depth(pixels))


def _remarks(table: PublishedTable, first: Evaluation) -> list[str]:
    """What the reader must know before comparing rows."""
    count = first.n_images
    remarks = [f"measured here: {counted(count, 'image')}; published: {table.note}"]
    if table.images and count not in table.images:
        variants = ", ".join(f"{number} ({what})" for number, what in table.images.items())
        remarks.append(f"not the published set of images, which are {variants}: do not compare")
    elif table.images and table.images[count] != next(iter(table.images.values())):
        remarks.append(f"measured on {table.images[count]}, not the set of the published figures")
    if table.figures and first.align != "median":
        remarks.append(
            f"measured with alignment {first.align}, published with median: do not compare"
        )
    if first.broken:
        remarks.append(f"{len(first.broken)} unreadable images are in no mean: {first.broken[0]}")
    if first.sums.full.n_skipped:
        remarks.append(f"no truth that counts: {counted(first.sums.full.n_skipped, 'image')}")
    return remarks


class PredictionFolder:
    """Depth maps of a folder, named like the frames, as a method that is asked frame by frame.

    A frame `scene/000012` is `scene/000012.npz`, `.npy` or `.png`, or `000012_depth.npz` and so on
    as `ssmde predict` names them; without the folder of the scene where there is but one scene. A
    PNG has 16 bits; its unit is that of depth.json beside it, and does not matter where the scale
    is aligned.

    Args:
        folder: The files.
        frames: Frames that are going to be asked for.
        kind: `disparity` is turned into depth, 1 / value, before it is resized.

    Raises:
        FileNotFoundError: If a frame has no file: methods would be compared on different images.
    """

    def __init__(self, folder: Path, frames: Sequence[TruthFrame], kind: Kind = "depth") -> None:
        self.kind = kind
        self.unit = _unit(folder)
        single = len({frame.name.rpartition("/")[0] for frame in frames}) == 1
        found = {frame.name: _file(folder, frame.name, single) for frame in frames}
        missing = [name for name, file in found.items() if file is None]
        if missing:
            raise FileNotFoundError(
                f"{folder}: {len(missing)} of {len(found)} frames have no prediction, first "
                f"{missing[0]!r}; expected {folder / missing[0]}.npz, .npy or .png"
            )
        self.files = {name: file for name, file in found.items() if file is not None}

    def __call__(self, frame: TruthFrame, pixels: UInt8[np.ndarray, "h w 3"]) -> Answer:
        """What the files say of a frame.

        Raises:
            ValueError: If a file is broken, of another shape than the image, or has a pixel without
                a positive value.
        """
        path = self.files[frame.name]
        size = (pixels.shape[0], pixels.shape[1])
        try:
            values = read_map(path, self.unit or 1.0, image_size=size)
        except ShapeError:
            raise
        except ImageError as error:  # a method is not let off its hardest images
            raise ValueError(f"prediction cannot be read: {error}") from error
        wrong = int((values <= 0).sum())
        if wrong:
            raise ValueError(
                f"{path}: {wrong} of {values.size} pixels are not positive and finite; a "
                "prediction has a value everywhere"
            )
        return Answer(depth=1 / values if self.kind == "disparity" else values)


def _file(folder: Path, name: str, single: bool) -> Path | None:
    stems = [name, name.rpartition("/")[2]] if single else [name]
    names = (f"{stem}{end}{suffix}" for stem in stems for end in ENDINGS for suffix in SUFFIXES)
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _unit(folder: Path) -> float | None:
    """What the unit of a depth is in the PNGs of `ssmde predict`; None if nobody says."""
    path = folder / "depth.json"
    if not path.is_file():
        return None
    facts = read_json(path)
    units = (positive_number(facts, key, path) for key in facts if key.startswith(UNIT_KEY))
    return next(units, None)
