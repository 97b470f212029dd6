"""One published table, with the methods one has, from weights or files, beside its figures."""

import os
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from ssmde.console import counted, did_you_mean, with_bar
from ssmde.data.images import ImageError, ShapeError, read_map
from ssmde.data.scene_files import positive_number
from ssmde.data.scene_folder import Split, read_scenes
from ssmde.datasets import find_protocol
from ssmde.evaluation.accuracy import constant_depth, evaluate_frames
from ssmde.evaluation.frames import FrameFunction, Pixels, SceneFrame, frames_with_truth
from ssmde.evaluation.report import REGIONS, Evaluation, check_room, results_in, table_text
from ssmde.inference.loading import load, looks_like_weights
from ssmde.io import read_json, write_json, write_text
from ssmde.metrics import METRICS, AlignmentName, Protocol, mean_errors
from ssmde.models.hub import HUB_PREFIX

Kind = Literal["depth", "disparity"]
ENDINGS = [f"{end}.{suffix}" for end in ("", "_depth") for suffix in ("npz", "npy", "png")]
UNIT_KEY = "png16_units_per_"  # beginning of its name in depth.json
CONSTANT = "constant depth"
HEADS = ("method", "kind", "pixels", "images", *METRICS)
TABLES: dict[str, dict[str, Any]] = tomllib.loads(
    files("ssmde.evaluation").joinpath("published.toml").read_text("utf-8")
)


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
    rows: tuple[Row, ...]  # those that were measured, then those that were published
    remarks: tuple[str, ...]
    out: Path | None = None  # folder of the files, if there are any

    @property
    def title(self) -> str:
        """Protocol and alignment, without which the numbers are none."""
        return f"{self.name}, part {self.split}: {self.protocol}, alignment {self.align}"

    def __str__(self) -> str:
        """The table, a line between what was measured and what was published, and remarks."""
        rows = [row.words() for row in self.rows]
        rows.insert(sum(row.kind == "measured" for row in self.rows), [])
        paths = [] if self.out is None else [f"table: {self.out / self.name}.json and .md"]
        return table_text(self.title, HEADS, rows, [*self.remarks, *paths], HEADS[:3])

    def to_dict(self) -> dict[str, Any]:
        """All of it, as plain values."""
        return {
            "benchmark": self.name,
            "protocol": self.protocol.name,
            "depth_range": [self.protocol.min_depth, self.protocol.max_depth],
            "align": self.align,
            "split": self.split,
            "rows": [asdict(row) for row in self.rows],
            "notes": list(self.remarks),
        }

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
        trust: Ask the Hugging Face hub for encoders that old weights only name; you trained them
            yourself.

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
    names = [f"{table}.json", f"{table}.md"]
    check_room(out, names)
    part = split or known["split"]
    sequences, protocol = read_scenes(Path(data), part), find_protocol(table)
    frames, named = frames_with_truth(sequences, max_frames), _names(methods)
    functions = {name: _open(path, frames, kind, trust=trust) for name, path in named.items()}
    functions[CONSTANT] = lambda *_: constant_depth()
    rows, results = list[Row](), list[Evaluation]()
    for name, function in with_bar(functions.items(), "measuring", len(functions)):
        results.append(evaluate_frames(function, sequences, protocol, align, max_frames=max_frames))
        source = named.get(name, "no method: does not look")
        for region in REGIONS:
            images = results[-1].region(region)
            if (mean := mean_errors(images)) is not None:
                rows.append(Row(name, "measured", region, len(images), source, asdict(mean)))
    for figures in known["figures"]:
        source, metrics = figures["source"], figures["metrics"].split()
        for name, words in figures["rows"].items():
            pairs = dict(zip(metrics, words.split(), strict=True))
            numbers = {m: None if (v := pairs.get(m, "-")) == "-" else float(v) for m in METRICS}
            rows.append(Row(name, "published", "full", None, source, numbers))
    found = Benchmark(
        name=table, protocol=protocol, align=results[0].align, split=part, rows=tuple(rows),
        remarks=tuple(_remarks(known, results[0])),
    )  # fmt: skip
    if out is None:
        return found
    with results_in(Path(out), names):
        write_json(Path(out) / names[0], found.to_dict())
        write_text(Path(out) / names[1], found.to_markdown())
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
    if Path(method).is_dir() and not _is_weights(method):
        return open_predictions(Path(method), frames, kind)
    predictor = load(method, trust=trust)
    return lambda _, pixels: predictor.network_depth(pixels)


def _remarks(table: dict[str, Any], first: Evaluation) -> list[str]:
    """What the reader must know before comparing rows."""
    count, images = first.n_images, {int(n): what for n, what in table["images"].items()}
    remarks = [f"measured here: {counted(count, 'image')}; published: {table['note']}"]
    if images and count not in images:
        variants = ", ".join(f"{number} ({what})" for number, what in images.items())
        remarks.append(f"not the published set of images, which are {variants}: do not compare")
    elif images and count != next(iter(images)):
        remarks.append(f"measured on {images[count]}, not the set of the published figures")
    if table["figures"] and first.align != "median":
        remarks.append(
            f"measured with alignment {first.align}, published with median: do not compare"
        )
    if first.broken:
        remarks.append(f"{len(first.broken)} unreadable images are in no mean: {first.broken[0]}")
    if first.n_skipped:
        remarks.append(f"no truth that counts: {counted(first.n_skipped, 'image')}")
    return remarks


def open_predictions(
    folder: Path, frames: Sequence[SceneFrame], kind: Kind = "depth"
) -> FrameFunction:
    """Depth maps of a folder, named like the frames, as a method that is asked frame by frame.

    A frame `scene/000012` is `scene/000012.npz`, `.npy` or `.png`, or `000012_depth.npz` and so on
    as `ssmde predict` names them; without the folder of the scene where there is but one scene. A
    PNG has 16 bits; its unit is that of depth.json beside it, and does not matter where the scale
    is aligned. `disparity` is turned into depth, 1 / value, before it is resized.

    A FileNotFoundError if one of these frames, which are going to be asked for, has no file:
    methods would be compared on different images. The method raises a ValueError for a broken or
    unfit file, or a pixel without a positive value.
    """
    single = len({frame.name.rpartition("/")[0] for frame in frames}) == 1
    paths = dict[str, Path]()
    for frame in frames:
        stems = [frame.name, frame.name.rpartition("/")[2]] if single else [frame.name]
        places = (folder / f"{stem}{end}" for stem in stems for end in ENDINGS)
        if (place := next(filter(Path.is_file, places), None)) is not None:
            paths[frame.name] = place
    missing = [frame.name for frame in frames if frame.name not in paths]
    if missing:
        raise FileNotFoundError(
            f"{folder}: {len(missing)} of {len(frames)} frames have no prediction, first "
            f"{missing[0]!r}; expected {folder / missing[0]}.npz, .npy or .png"
        )
    facts_file = folder / "depth.json"
    facts = read_json(facts_file) if facts_file.is_file() else {}
    units = [positive_number(facts, k, facts_file) for k in facts if k.startswith(UNIT_KEY)]

    def answer(frame: SceneFrame, pixels: Pixels) -> Float[np.ndarray, "k m"]:
        path = paths[frame.name]
        try:
            values = read_map(path, (units or [1.0])[0] or 1.0, image_size=pixels.shape[:2])
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
        return 1 / values if kind == "disparity" else values

    return answer
