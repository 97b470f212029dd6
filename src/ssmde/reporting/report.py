"""The report at the end of a run of both stages: one HTML file that needs nothing beside it."""

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from html import escape
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from ssmde.config import Config, DataConfig, dump_config
from ssmde.data.dataset import SnippetDataset, spread
from ssmde.data.images import read_image
from ssmde.data.sequence import FrameSequence
from ssmde.evaluation.report import REGIONS, Evaluation, FrameResult
from ssmde.inference.input import resize_depth
from ssmde.inference.loading import load
from ssmde.inference.pictures import color_ends, colorize
from ssmde.inference.predictor import Predictor
from ssmde.io import read_table, write_text
from ssmde.methods.student import Student, build_student
from ssmde.metrics import METRICS, Protocol, counted_pixels, mean_errors
from ssmde.models.checkpoint import load_networks

TEACHER, STUDENT = "teacher", "student"
BOTH = {
    "Loss; the terms of the stages differ": "train/loss",
    "Difference between frame and copy": "train/photometric",
    "Forgetting factor: weight of the labels": "train/forgetting_factor",
    "Error (AbsRel), held-out frames": "val/abs_rel",
    "Error (AbsRel) of static pixels, held-out frames": "val/static_abs_rel",
    "Error (AbsRel) of moving pixels, held-out frames": "val/dynamic_abs_rel",
    "Difference between frame and copy, held-out frames": "val/photometric",
}
OF_FILTER = {
    "Regions of the mask filter: shares of the image": ("static", "dynamic", "unknown"),
    "Mask filter: mean weight, threshold of motion": ("weight", "motion_threshold"),
}
THRESHOLD = "train/filter_motion_threshold"  # its name in log.csv
POSES = {"tracked": "tracked_poses", "file": "poses"}  # fields of a sequence
STATIC, DYNAMIC, UNKNOWN = (58, 117, 214), (240, 138, 36), (120, 120, 120)  # told apart by all eyes
COLORS = [f"#{bytes(color).hex()}" for color in (STATIC, DYNAMIC, UNKNOWN)]  # of lines, in order
PAINT = 0.6  # share of the color over the gray frame
INK = "#85808c"
CHART = (4.8, 2.5)  # inches; the page scales it
FEW = 12  # points of a line: each is marked
WIDTH, EXAMPLES = 384, 4  # of pictures, in pixels, and of frames
CAPTIONS = {
    "frame": "frame",
    "truth": "true depth",
    "teacher": "depth of the teacher",
    "student": "depth of the student",
    "regions": "mask filter: static (blue), dynamic (orange), unknown (gray)",
    "weight": "weight of the teacher's depth: white is trusted, black is not",
}
SHARP = ("regions", "weight")  # enlarged in squares, as they are

Picture = UInt8[np.ndarray, "_ _ 3"]
Maps = Mapping[str, Float[np.ndarray, "h w"]]
"""Maps of `Student` for one frame, at the size that the networks see."""
Points = tuple[tuple[int, float], ...]
"""(step, value), in order."""


@dataclass(frozen=True, slots=True)
class MeasuredFrame:
    """A measured frame with its depth maps, both at the size of the truth."""

    image: Picture
    prediction: Float[np.ndarray, "h w"]
    """Aligned to the truth and clipped to the protocol's range, in metres."""
    truth: Float[np.ndarray, "h w"]  # in metres, 0 where nothing counts
    moving: Bool[np.ndarray, "h w"] | None  # what moves by itself; None where nobody knows


def write_report(
    folder: Path, teacher: Config, student: Config, weights: tuple[Path, Path],
    results: tuple[Evaluation, Evaluation] | None, held_out: Sequence[FrameSequence],
) -> Path:  # fmt: skip
    """Write `report.html` into the folder of a finished run of both stages, and return it.

    `weights` are the files of teacher and student that it speaks of, `results` theirs on the held
    out frames, None without truth.
    """
    examples, no_pictures = list[tuple[str, str, dict[str, str]]](), ""
    try:
        examples = list(_examples(folder, student, weights, results, held_out))
    except ValueError as error:  # a single image can be evaluated, a filter needs neighbors
        no_pictures = str(error)
    curves = stage_curves(folder / TEACHER, folder / STUDENT)
    text = render(
        "ssmde.reporting", "report.html", first=teacher, second=student, results=results,
        rows=[*_rows(*results)] if results else (), metrics=METRICS, examples=examples,
        captions=CAPTIONS, no_pictures=no_pictures, settings=map(dump_config, (teacher, student)),
        charts=[(title, line_chart(title, lines)) for title, lines in curves.items()],
    )  # fmt: skip
    write_text(folder / "report.html", text)
    return folder / "report.html"


def render(package: str, template: str, **values: object) -> str:
    """A page from a template of a package, which may import those of this one."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("ssmde.reporting")]),
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(template).render(version=version("ssmde"), **values)


def _rows(teacher: Evaluation, student: Evaluation) -> Iterator[tuple[str, str, tuple[float, ...]]]:
    """Who predicted, the region, and its mean errors; the baselines are those of the student."""
    judged = {"teacher, stage 1": teacher, "student, stage 2": student, **student.baselines}
    for name, result in judged.items():
        for region in REGIONS:
            if (mean := mean_errors(result.region(region))) is not None:
                yield name, region, astuple(mean)


def _examples(
    folder: Path, config: Config, weights: tuple[Path, Path],
    results: tuple[Evaluation, Evaluation] | None, held_out: Sequence[FrameSequence],
) -> Iterator[tuple[str, str, dict[str, str]]]:  # fmt: skip
    """Name, errors and pictures of a few frames, with truth where they were measured."""
    student = finished_student(config, weights[1], folder / STUDENT / "log.csv")
    images = {s.frame_name(i): s.images[i] for s in held_out for i in range(len(s))}
    predictors = [load(path) for path in weights]
    for name, maps in student_maps(student, config.data, held_out, count=EXAMPLES):
        found = [(f, r.protocol) for r in results or () for f in r.frames if f.frame.name == name]
        measured = [
            measured_frame(frame, network, protocol)
            for (frame, protocol), network in zip(found, predictors, strict=False)
        ]
        errors = [frame.errors.abs_rel for frame, _ in found]
        pictures = frame_pictures(maps, read_image(images[name]), measured)
        size = size_of_width(pictures["frame"].shape, WIDTH)
        yield (
            name,
            "AbsRel of the teacher {:.3f}, of the student {:.3f}".format(*errors) if errors else "",
            {k: embedded(resize(p, size, smooth=k not in SHARP)) for k, p in pictures.items()},
        )


def finished_student(config: Config, weights: Path, log: Path) -> Student:
    """The student of a run, its teacher, and the filter with the threshold the training ended with.

    It asks for no labels: held-out frames have none. Weights and log.csv are those of stage 2.
    """
    student = build_student(replace(config, student=replace(config.student, labels="none")))
    load_networks(weights, depth_net=student.depth_net, pose_net=student.pose_net)
    if points := read_curve(log, THRESHOLD):
        threshold = student.mask_filter.threshold
        threshold.total.fill_(points[-1][1])
        threshold.weight.fill_(1)
    return student.eval()


def student_maps(
    student: Student, data: DataConfig, sequences: Sequence[FrameSequence], *, count: int
) -> Iterator[tuple[str, Maps]]:
    """What a finished student makes of a few frames that have both neighbors, evenly spread.

    `data` gives size and frame gaps; poses are used where every sequence has them. A ValueError if
    intrinsics are unknown, or no sequence is long enough for a snippet.
    """
    field = POSES.get(data.poses)
    if field is None or any(getattr(sequence, field) is None for sequence in sequences):
        data = replace(data, poses="none")
    snippets = SnippetDataset(sequences, data, seed=0, augment=False)
    for index in spread(len(snippets), count):
        batch = snippets[index].to_float()
        with torch.no_grad():
            maps = student(batch, 1.0).maps
        yield batch.names[0], {name: values[0, 0].numpy() for name, values in maps.items()}


def measured_frame(found: FrameResult, predictor: Predictor, protocol: Protocol) -> MeasuredFrame:
    """Read a frame again and predict it as the evaluation did."""
    image, (truth, mask) = read_image(found.frame.image), found.frame.read_truth()
    depth = resize_depth(predictor.network_depth(image), truth.shape)
    aligned = found.alignment.apply(depth).clip(protocol.min_depth, protocol.max_depth)
    counted = np.where(counted_pixels(truth, protocol), truth, np.float32(0))
    return MeasuredFrame(image, aligned, counted, None if mask is None else mask == 255)


def frame_pictures(
    maps: Maps, image: Picture, measured: Sequence[MeasuredFrame] = ()
) -> dict[str, Picture]:
    """The pictures of a frame, by their names in `CAPTIONS`; depths share their colors.

    Teacher and student were measured, or neither. Then the teacher is shown in the unit of the
    student, by their medians: each stage has a unit of its own, and only shapes can be compared.
    """
    if measured:
        first, second = measured
        ends = color_ends(first.truth)
        depths = {"truth": first.truth, TEACHER: first.prediction, STUDENT: second.prediction}
    else:
        teacher, student = maps["teacher_depth"], maps["depth"]
        ends = color_ends(student)
        depths = {TEACHER: teacher * (np.median(student) / np.median(teacher)), STUDENT: student}
    weight = (maps["teacher_weight"].clip(0, 1) * 255).round().astype(np.uint8)
    return {
        "frame": image,
        **{name: colorize(depth, near=ends[0], far=ends[1]) for name, depth in depths.items()},
        "regions": regions_picture(maps["static"] > 0, maps["dynamic"] > 0, image),
        "weight": np.repeat(weight[..., None], 3, axis=2),
    }


def regions_picture(
    static: Bool[np.ndarray, "h w"], dynamic: Bool[np.ndarray, "h w"], frame: Picture
) -> UInt8[np.ndarray, "h w 3"]:
    """The regions in their colors over the frame in gray; what is neither is unknown."""
    small = resize(frame, static.shape).astype(np.float32).mean(-1, keepdims=True)
    color = np.full((*static.shape, 3), UNKNOWN, np.float32)
    color[static], color[dynamic] = STATIC, DYNAMIC
    return (PAINT * color + (1 - PAINT) * small).round().astype(np.uint8)


def embedded(picture: Picture) -> str:
    """The picture itself as the source of an <img>."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def size_of_width(shape: tuple[int, ...], width: int) -> tuple[int, int]:
    """Size (height, width) of a picture of this shape at another width."""
    return round(width * shape[0] / shape[1]), width


def resize(picture: Picture, size: tuple[int, int], *, smooth: bool = True) -> Picture:
    """A picture at another size (height, width), smooth or in sharp squares."""
    how = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(picture).resize((size[1], size[0]), how))


def read_curve(log: Path, name: str) -> Points:
    """(step, value) of one name in the `log.csv` of a run; empty if it was never written."""
    head, *rows = read_table(log)
    rows = [dict(zip(head, row, strict=False)) for row in rows if row]
    try:
        return tuple((int(r["step"]), float(r["value"])) for r in rows if r["name"] == name)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{log}: no log of a training ({error})") from error


def stage_curves(teacher: Path, student: Path) -> dict[str, dict[str, Points]]:
    """Lines by the title of their chart, from the folders of both stages; none without a point.

    The second stage comes behind the first; what the filter found has steps of its own.
    """
    first, second = teacher / "log.csv", student / "log.csv"
    end = max((step for step, _ in read_curve(first, "train/loss")), default=0)
    charts = dict[str, dict[str, Points]]()
    for title, name in BOTH.items():
        later = tuple((end + step, value) for step, value in read_curve(second, name))
        charts[title] = {TEACHER: read_curve(first, name), STUDENT: later}
    for title, names in OF_FILTER.items():
        lines = {n.replace("_", " "): read_curve(second, f"train/filter_{n}") for n in names}
        charts[title] = lines
    found = {title: {n: p for n, p in lines.items() if p} for title, lines in charts.items()}
    return {title: lines for title, lines in found.items() if lines}


def line_chart(title: str, lines: Mapping[str, Points]) -> Markup:
    """Up to three named values over the steps of a training, as an `<svg>` element."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    settings: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": title}
    settings |= {f"{name}.color": INK for name in ("text", "xtick", "ytick")}
    with rc_context(settings), io.StringIO() as file:
        figure = Figure(figsize=CHART, layout="constrained")
        axes = figure.add_subplot(frame_on=False)
        axes.grid(axis="y", color=INK, alpha=0.25)
        axes.tick_params(length=0)
        for (name, points), color in zip(lines.items(), COLORS, strict=False):
            marker = "o" if len(points) < FEW else None
            axes.plot(
                *zip(*points, strict=True), color=color, label=name, marker=marker, markersize=4,
                gid=name,
            )  # fmt: skip
        figure.legend(loc="outside upper left", ncols=4, frameon=False, fontsize="small")
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
        svg = file.getvalue().partition("<svg")[2]
    return Markup(f'<svg role="img" aria-label="{escape(title)}"{svg}')
