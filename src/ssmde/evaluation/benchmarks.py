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
from jaxtyping import Float, UInt8

from ssmde.console import counted, did_you_mean, with_bar
from ssmde.data.images import ImageError, ShapeError, read_map
from ssmde.data.scene_files import positive_number
from ssmde.data.scene_folder import Split, read_scenes
from ssmde.datasets import find_protocol
from ssmde.evaluation.accuracy import constant_depth, evaluate_frames
from ssmde.evaluation.frames import FrameFunction, SceneFrame, frames_with_truth
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
class Figure:
    """What others say of a method; only what was read in a paper or on its project page."""

    method: str
    source: str  # where it was read
    numbers: dict[str, float]  # some of `METRICS`


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """One table of the literature."""

    protocol: str  # one of `PROTOCOLS`
    split: Split  # part of a prepared data set that it is about
    images: dict[int, str]
    """Number of images of its variants, and their names; empty if the literature disagrees."""
    note: str
    figures: tuple[Figure, ...] = ()


def _figures(source: str, metrics: str, *rows: str) -> tuple[Figure, ...]:
    """Figures from lines `name: numbers`, a dash where there is none."""
    found = list[Figure]()
    for row in rows:
        name, numbers = row.split(":")
        pairs = zip(metrics.split(), numbers.split(), strict=True)
        values = {metric: float(number) for metric, number in pairs if number != "-"}
        found.append(Figure(name, source, values))
    return tuple(found)


SSMDE_PAPER = "Hu et al., Sensors 2024, abstract"
FULL = "abs_rel sq_rel rmse rmse_log d1 d2 d3"

KITTI = Table(
    protocol="kitti",
    split="test",
    images={697: "Eigen test, scans", 652: "Eigen benchmark, improved depth"},
    note="figures: Eigen test of 697 images, scans, median alignment, training on monocular video; "
    "Monodepth2 and its kin count from 0.001 m",
    figures=(
        *_figures(SSMDE_PAPER, "abs_rel d1", "SS-MDE: .111 .87"),
        *_figures(
            "README of MDL-Depth", FULL,
            "SC-DepthV3: .118 .756 4.756 .188 .864 .960 .984",
        ),
        *_figures(
            "README of sc_depth_pl, released model", FULL,
            "SC-DepthV1: .119 .878 4.987 .196 .859 .956 .981",
        ),
        *_figures(
            "project page of the method", FULL,
            "Monodepth2: .115 .903 4.863 .193 .877 .959 .981",
            "PackNet: .111 .785 4.601 .189 .878 .960 .982",
            "HR-Depth: .109 .792 4.632 .185 .884 - -",
            "Lite-Mono: .107 .765 4.561 .183 .886 - -",
            "MonoViT: .099 .708 4.372 .175 .900 - -",
            "ManyDepth, 2 frames: .098 .770 4.459 .176 .900 - -",
            "DynamicDepth, 2 frames: .096 .720 4.458 .175 .897 - -",
        ),
    ),
)  # fmt: skip
NYUV2 = Table(
    protocol="nyuv2",
    split="test",
    images={654: "labelled test images"},
    note="figures: 654 labelled test images, median alignment, training on monocular video",
    figures=(
        *_figures(SSMDE_PAPER, "abs_rel d1", "SS-MDE: .102 .89"),
        *_figures(
            "README of MonoLDP", "abs_rel rmse d1 d2 d3",
            "SC-DepthV3: .123 .486 .848 .963 .991",
            "GasMono: .113 .459 .871 .973 .992",
            "IndoorDepth: .126 .494 .845 .965 .991",
            "MonoIndoor++: .133 .551 .830 .964 .991",
            "MonoIndoor: .142 .581 .802 .952 .990",
            "P2Net: .150 .561 .796 - -",
            "Monodepth2: .161 .600 .771 - -",
        ),
        *_figures(
            "README of sc_depth_pl, released model", "abs_rel rmse log10 d1 d2 d3",
            "SC-DepthV2: .142 .554 .061 .808 .951 .987",
        ),
    ),
)  # fmt: skip
DDAD = Table(
    protocol="ddad",
    split="val",
    images={3950: "validation, front camera"},
    note="figures: validation part, front camera, median alignment",
    figures=_figures(
        "README of packnet-sfm", "abs_rel rmse d1",
        "PackNet: .173 14.36 .835",
        "ResNet18: .227 17.37 .758",
    ),
)  # fmt: skip
NONE_READ = "no published figure is shown: none was found in a source that could be read"
TABLES: dict[str, Table] = {
    "kitti": KITTI,
    "nyuv2": NYUV2,
    "ddad": DDAD,
    "bonn": Table(protocol="bonn", split="test", images={}, note=NONE_READ),
    "tum": Table(protocol="tum", split="test", images={}, note=NONE_READ),
}


@dataclass(frozen=True, slots=True)
class Row:
    """The numbers of one method over one kind of pixels."""

    method: str
    kind: str  # `measured` here, or `published` by others
    pixels: str  # `full`, `static` or `dynamic`
    images: int | None
    source: str  # where the method, or the published figure, comes from
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
    out: Path | None = None  # folder of the files, if there are any

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
    frames = frames_with_truth(sequences, max_frames)
    functions = {name: _open(path, frames, kind, trust=trust) for name, path in named.items()}
    functions[CONSTANT] = lambda *_: constant_depth()
    rows, results = list[Row](), list[Evaluation]()
    for name, function in with_bar(functions.items(), "measuring", len(functions)):
        result = evaluate_frames(function, sequences, protocol, align, max_frames=max_frames)
        results.append(result)
        source = named.get(name, "no method: does not look")
        for region in REGIONS:
            sums = result.region(region)
            if (mean := sums.mean()) is not None:
                numbers: dict[str, float | None] = dict(asdict(mean))
                rows.append(Row(name, MEASURED, region, sums.n_images, source, numbers))
    for figure in known.figures:
        numbers = {metric: figure.numbers.get(metric) for metric in METRICS}
        rows.append(Row(figure.method, PUBLISHED, "full", None, figure.source, numbers))
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


def _open(method: str, frames: Sequence[SceneFrame], kind: Kind, *, trust: bool) -> FrameFunction:
    """Weights, or files, as a method."""
    if Path(method).is_dir() and not _is_weights(method):
        return PredictionFolder(Path(method), frames, kind)
    predictor = load(method, trust=trust)
    return lambda _, pixels: predictor.network_depth(pixels)


def _remarks(table: Table, first: Evaluation) -> list[str]:
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
    is aligned. `disparity` is turned into depth, 1 / value, before it is resized.

    A FileNotFoundError if one of these frames, which are going to be asked for, has no file:
    methods would be compared on different images.
    """

    def __init__(self, folder: Path, frames: Sequence[SceneFrame], kind: Kind = "depth") -> None:
        self.kind, self.unit = kind, _unit(folder)
        single = len({frame.name.rpartition("/")[0] for frame in frames}) == 1
        found = {frame.name: _file(folder, frame.name, single) for frame in frames}
        missing = [name for name, file in found.items() if file is None]
        if missing:
            raise FileNotFoundError(
                f"{folder}: {len(missing)} of {len(found)} frames have no prediction, first "
                f"{missing[0]!r}; expected {folder / missing[0]}.npz, .npy or .png"
            )
        self.files = {name: file for name, file in found.items() if file is not None}

    def __call__(
        self, frame: SceneFrame, pixels: UInt8[np.ndarray, "h w 3"]
    ) -> Float[np.ndarray, "k m"]:
        """A ValueError for a broken or unfit file, or a pixel without a positive value."""
        path = self.files[frame.name]
        try:
            values = read_map(path, self.unit or 1.0, image_size=pixels.shape[:2])
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
        return 1 / values if self.kind == "disparity" else values


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
