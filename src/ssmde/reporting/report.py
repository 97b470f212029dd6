"""The report at the end of a run of both stages: one HTML file that needs nothing beside it."""

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
from ssmde.console import counted
from ssmde.data.dataset import SnippetDataset, spread
from ssmde.data.images import read_image
from ssmde.data.sequence import FrameSequence
from ssmde.evaluation.report import REGIONS, Evaluation, FrameResult, Region
from ssmde.inference.input import resize_depth
from ssmde.inference.loading import load
from ssmde.inference.pictures import WORST_ERROR, colorize, colorize_error, depth_range
from ssmde.inference.predictor import Predictor
from ssmde.io import write_text
from ssmde.methods.student import Student, build_student
from ssmde.metrics import METRICS, Protocol, counted_pixels, mean_errors
from ssmde.models.checkpoint import load_networks
from ssmde.reporting.charts import STUDENT, TEACHER, line_chart, read_curve, stage_charts

THRESHOLD = "train/filter_motion_threshold"  # its name in log.csv
POSES = {"tracked": "tracked_poses", "file": "poses"}  # fields of a sequence
WIDTH = 384  # pixels of a picture
STATIC, DYNAMIC, UNKNOWN = (58, 117, 214), (240, 138, 36), (120, 120, 120)  # told apart by all eyes
PAINT = 0.6  # share of the color over the gray frame
CAPTIONS = {
    "frame": "frame",
    "truth": "true depth",
    "motion": "truth: what moves by itself",
    "teacher": "depth of the teacher",
    "student": "depth of the student",
    "regions": "mask filter: static (blue), dynamic (orange), unknown (gray)",
    "teacher_error": f"error of the teacher, 0 to {WORST_ERROR:.0%} and more",
    "student_error": f"error of the student, 0 to {WORST_ERROR:.0%} and more",
    "weight": "weight of the teacher's depth: white is trusted, black is not",
}
SHARP = ("motion", "regions", "weight")  # enlarged in squares, as they are

Picture = UInt8[np.ndarray, "_ _ 3"]
FILE = "report.html"  # in the folder of the run
EXAMPLES = 4
HEADINGS = {
    "abs_rel": "AbsRel", "sq_rel": "SqRel", "rmse": "RMSE", "rmse_log": "RMSE log",
    "log10": "log10", "d1": "δ < 1.25", "d2": "δ < 1.25²", "d3": "δ < 1.25³",
}  # fmt: skip
NAMES = {
    "teacher": "teacher, stage 1",
    "student": "student, stage 2",
    "constant": "one constant depth",
    "mean_map": "mean depth map",
}
REGION_NAMES: dict[Region, str] = {"full": "all pixels", "static": "static", "dynamic": "moving"}
HIGHER_IS_BETTER = ("d1", "d2", "d3")


@dataclass(frozen=True, kw_only=True, slots=True)
class StudentMaps:
    """Maps of one frame, at the size the networks see."""

    name: str  # `scene/frame`
    teacher: Float[np.ndarray, "h w"]  # depth, in the unit of the teacher
    student: Float[np.ndarray, "h w"]  # depth, in the unit of the student
    static: Bool[np.ndarray, "h w"]
    """What the filter says stands still; neither static nor dynamic is unknown."""
    dynamic: Bool[np.ndarray, "h w"]  # what the filter says moves
    weight: Float[np.ndarray, "h w"]  # trust in the teacher's depth, in [0, 1]


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A held-out frame and where its pictures are."""

    name: str  # `scene/frame`
    errors: tuple[float, float] | None  # AbsRel of teacher and student; None without truth
    ends: tuple[float, float]
    """Depth of the brightest and of the darkest color: metres with truth, else any unit."""
    sources: Mapping[str, str]  # source of each picture, by its name in `CAPTIONS`


@dataclass(frozen=True, slots=True)
class MeasuredFrame:
    """A measured frame with its depth maps, both at the size of the truth."""

    image: Picture
    prediction: Float[np.ndarray, "h w"]
    """Aligned to the truth and clipped to the protocol's range, in metres."""
    truth: Float[np.ndarray, "h w"]  # in metres, 0 where nothing counts
    moving: Bool[np.ndarray, "h w"] | None  # what moves by itself; None where nobody knows


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
) -> tuple[StudentMaps, ...]:
    """What a finished student makes of a few frames that have both neighbors, evenly spread.

    `data` gives size and frame gaps; poses are used where every sequence has them. A ValueError if
    intrinsics are unknown, or no sequence is long enough for a snippet.
    """
    field = POSES.get(data.poses)
    if field is None or any(getattr(sequence, field) is None for sequence in sequences):
        data = replace(data, poses="none")
    snippets = SnippetDataset(sequences, data, seed=0, augment=False)
    found = list[StudentMaps]()
    for index in spread(len(snippets), count):
        batch = snippets[index].to_float()
        with torch.no_grad():
            maps = {name: values[0, 0].numpy() for name, values in student(batch, 1.0).maps.items()}
        found.append(
            StudentMaps(
                name=batch.names[0], teacher=maps["teacher_depth"], student=maps["depth"],
                static=maps["static"] > 0, dynamic=maps["dynamic"] > 0,
                weight=maps["teacher_weight"],
            )
        )  # fmt: skip
    return tuple(found)


def measured_frame(found: FrameResult, predictor: Predictor, protocol: Protocol) -> MeasuredFrame:
    """Read a frame again and predict it as the evaluation did."""
    image, (truth, mask) = read_image(found.frame.image), found.frame.read_truth()
    depth = resize_depth(predictor.network_depth(image), truth.shape)
    aligned = found.alignment.apply(depth).clip(protocol.min_depth, protocol.max_depth)
    counted = np.where(counted_pixels(truth, protocol), truth, np.float32(0))
    return MeasuredFrame(image, aligned, counted, None if mask is None else mask == 255)


def example(
    maps: StudentMaps,
    image: Picture,
    measured: tuple[MeasuredFrame, MeasuredFrame] | None = None,
    errors: tuple[float, float] | None = None,
) -> Example:
    """The pictures of a frame: in metres if teacher and student were measured, with their AbsRel.

    Else the teacher is shown in the unit of the student, by their medians: each stage has a unit of
    its own, and without truth only the shapes can be compared.
    """
    moving = None
    if measured is None:
        ratio = np.median(maps.student) / np.median(maps.teacher)
        depths, truth = {"teacher": maps.teacher * ratio, "student": maps.student}, None
        near, far = depth_range(maps.student) or (1.0, 2.0)
    else:
        depths = dict(zip(("teacher", "student"), (m.prediction for m in measured), strict=True))
        truth, moving = measured[1].truth, measured[1].moving
        near, far = depth_range(truth) or (1.0, 2.0)
    pictures = {name: colorize(depth, near=near, far=far) for name, depth in depths.items()}
    pictures |= {
        "frame": image, "regions": regions_picture(maps, image), "weight": _gray(maps.weight),
    }  # fmt: skip
    if truth is not None:
        pictures["truth"] = colorize(truth, near=near, far=far)
        errors_of = {f"{n}_error": colorize_error(depth, truth) for n, depth in depths.items()}
        pictures |= errors_of
    if moving is not None:
        pictures["motion"] = _gray(moving.astype(np.float32))
    size = size_of_width(image.shape, WIDTH)
    sources = {
        kind: embedded(resize(pictures[kind], size, smooth=kind not in SHARP))
        for kind in CAPTIONS
        if kind in pictures
    }
    return Example(name=maps.name, errors=errors, ends=(near, far), sources=sources)


def regions_picture(maps: StudentMaps, frame: Picture) -> UInt8[np.ndarray, "h w 3"]:
    """The regions in their colors over the frame in gray, at the size of the regions."""
    small = resize(frame, maps.static.shape).astype(np.float32).mean(-1, keepdims=True)
    color = np.full((*maps.static.shape, 3), UNKNOWN, np.float32)
    color[maps.static], color[maps.dynamic] = STATIC, DYNAMIC
    return (PAINT * color + (1 - PAINT) * small).round().astype(np.uint8)


def embedded(picture: Picture) -> str:
    """The picture itself as the source of an <img>."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def _gray(values: Float[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Values in [0, 1] from black to white."""
    level = (values.clip(0, 1) * 255).round().astype(np.uint8)
    return np.repeat(level[..., None], 3, axis=2)


def size_of_width(shape: tuple[int, ...], width: int) -> tuple[int, int]:
    """Size (height, width) of a picture of this shape at another width."""
    return round(width * shape[0] / shape[1]), width


def resize(picture: Picture, size: tuple[int, int], *, smooth: bool = True) -> Picture:
    """A picture at another size (height, width), smooth or in sharp squares."""
    how = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(picture).resize((size[1], size[0]), how))


def gradient(kind: str) -> str:
    """Colors of `depth` from near to far, or of `error` from none to the worst, as CSS."""
    share = np.linspace(0, 1, 9)[None]
    if kind == "depth":  # from depth 1 to 2, even in disparity as the pictures are
        colors = colorize(1 / (1 - share / 2), near=1.0, far=2.0)
    else:
        colors = colorize_error(1 + WORST_ERROR * share, np.ones_like(share))
    stops = ", ".join("#" + bytes(color).hex() for color in colors[0])
    return f"linear-gradient(to right, {stops})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Stages:
    """Both stages of a finished run."""

    folder: Path  # of the run; the stages lie in it as `teacher` and `student`
    teacher: Config
    student: Config
    weights: tuple[Path, Path]  # files of teacher and student that the report speaks of
    results: tuple[Evaluation, Evaluation] | None
    """Of these weights on the held-out frames; None without truth."""


def write_report(stages: Stages, held_out: Sequence[FrameSequence]) -> Path:
    """Write `report.html` into the folder of the run, with pictures of held-out scenes."""
    folder, results = stages.folder, stages.results
    constant = None if results is None else results[1].baselines.get("constant")
    references = {} if constant is None else errors_of_log(constant)
    examples, no_pictures = (), ""
    try:
        examples = tuple(_examples(stages, held_out))
    except ValueError as error:  # a single image can be evaluated, a filter needs neighbors
        no_pictures = str(error)
    page = folder / FILE
    text = render(
        "ssmde.reporting", "report.html", stages=stages, examples=examples, no_pictures=no_pictures,
        results=results and dict(zip((TEACHER, STUDENT), results, strict=True)),
        charts=stage_charts(folder / TEACHER, folder / STUDENT, references=references),
    )  # fmt: skip
    write_text(page, text)
    return page


def render(package: str, template: str, **values: object) -> str:
    """A page from a template of a package, which may import those of this one."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("ssmde.reporting")]),
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    filters: dict[str, Any] = {
        "svg": lambda chart: Markup(line_chart(chart)), "yaml": dump_config, "rows": _rows,
    }  # fmt: skip
    words: dict[str, Any] = {
        "captions": CAPTIONS, "headings": HEADINGS, "names": NAMES, "gradient": gradient,
        "worst_error": WORST_ERROR, "version": version("ssmde"), "counted": counted,
    }  # fmt: skip
    environment.filters.update(filters)
    environment.globals.update(words)
    return environment.get_template(template).render(**values)


def errors_of_log(result: Evaluation) -> dict[str, float]:
    """Errors by the names that the log of a training has for them."""
    named = {"": result.full, "static_": result.static, "dynamic_": result.dynamic}
    return {f"val/{name}abs_rel": e.abs_rel for name, e in named.items() if e is not None}


def _rows(results: Mapping[str, Evaluation]) -> dict[str, list[tuple[str, list[tuple[str, bool]]]]]:
    """By network or baseline, for each region: its name, and each number with if it is the best.

    The results are of networks, over the same frames; the baselines are those of the last one.
    """
    shown = {**results, **list(results.values())[-1].baselines}
    found: dict[str, list[tuple[str, list[tuple[str, bool]]]]] = {name: [] for name in shown}
    for region in REGIONS:
        means = {name: mean_errors(result.region(region)) for name, result in shown.items()}
        values = {
            name: [round(getattr(mean, metric), 3) for metric in METRICS]
            for name, mean in means.items()
            if mean is not None
        }
        best = [
            (max if metric in HIGHER_IS_BETTER else min)(column)
            for metric, column in zip(METRICS, zip(*values.values(), strict=True), strict=False)
        ]
        for name, row in values.items():
            cells = [(f"{v:.3f}", v == top) for v, top in zip(row, best, strict=True)]
            found[name].append((REGION_NAMES[region], cells))
    return found


def _examples(stages: Stages, held_out: Sequence[FrameSequence]) -> Iterator[Example]:
    """Pictures of a few frames, with truth where they were measured."""
    log = stages.folder / STUDENT / "log.csv"
    student = finished_student(stages.student, stages.weights[1], log)
    images = {s.frame_name(i): s.images[i] for s in held_out for i in range(len(s))}
    results, predictors = stages.results or (), [load(weights) for weights in stages.weights]
    for maps in student_maps(student, stages.student.data, held_out, count=EXAMPLES):
        found = [f for result in results for f in result.frames if f.frame.name == maps.name]
        image = read_image(images[maps.name])
        if not found:
            yield example(maps, image)
            continue
        teacher, student_ = (
            measured_frame(frame, network, result.protocol)
            for frame, network, result in zip(found, predictors, results, strict=True)
        )
        errors = found[0].errors.abs_rel, found[1].errors.abs_rel
        yield example(maps, image, (teacher, student_), errors)
