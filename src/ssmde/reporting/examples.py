"""Held-out frames in pictures: depth of both networks, truth, errors, the filter's regions."""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from ssmde.config import Config, DataConfig
from ssmde.data.dataset import SnippetDataset, spread
from ssmde.data.images import read_image
from ssmde.data.sequence import FrameSequence
from ssmde.evaluation.report import Evaluation, FrameResult
from ssmde.inference.input import resize_depth
from ssmde.inference.pictures import WORST_ERROR, colorize, colorize_error, depth_range
from ssmde.inference.predictor import Predictor
from ssmde.methods.student import Student, build_student
from ssmde.metrics.protocol import Protocol, counted_pixels
from ssmde.models.checkpoint import load_networks
from ssmde.reporting.charts import read_curve

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
Store = Callable[[str, Picture], str]
"""Takes a name and a picture and says what an <img> names as its source."""


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
    found: list[StudentMaps] = []
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


def measured_example(
    maps: StudentMaps,
    results: tuple[Evaluation, Evaluation],
    predictors: tuple[Predictor, Predictor],
    store: Store,
) -> Example:
    """A frame with truth, in metres; results and predictors are those of teacher and student."""
    found = [next(f for f in r.frames if f.frame.name == maps.name) for r in results]
    teacher, student = (
        measured_frame(f, p, r.protocol) for f, p, r in zip(found, predictors, results, strict=True)
    )
    near, far = depth_range(student.truth) or (1.0, 2.0)
    pictures = {
        "frame": student.image,
        "truth": colorize(student.truth, near=near, far=far),
        "teacher": colorize(teacher.prediction, near=near, far=far),
        "student": colorize(student.prediction, near=near, far=far),
        "regions": regions_picture(maps, student.image),
        "teacher_error": colorize_error(teacher.prediction, teacher.truth),
        "student_error": colorize_error(student.prediction, student.truth),
        "weight": _gray(maps.weight),
    }
    if student.moving is not None:
        pictures["motion"] = _gray(student.moving.astype(np.float32))
    errors = (found[0].errors.abs_rel, found[1].errors.abs_rel)
    return _example(maps.name, errors, (near, far), pictures, store)


def plain_example(maps: StudentMaps, image: Picture, store: Store) -> Example:
    """A frame without truth: the teacher in the unit of the student, by their medians."""
    near, far = depth_range(maps.student) or (1.0, 2.0)
    # Each stage has a unit of its own; without truth only the shapes can be compared.
    teacher = maps.teacher * (np.median(maps.student) / np.median(maps.teacher))
    pictures = {
        "frame": image,
        "teacher": colorize(teacher, near=near, far=far),
        "student": colorize(maps.student, near=near, far=far),
        "regions": regions_picture(maps, image),
        "weight": _gray(maps.weight),
    }
    return _example(maps.name, None, (near, far), pictures, store)


def _example(
    name: str,
    errors: tuple[float, float] | None,
    ends: tuple[float, float],
    pictures: dict[str, Picture],
    store: Store,
) -> Example:
    size = size_of_width(pictures["frame"].shape, WIDTH)
    sources = {
        kind: store(kind, resize(pictures[kind], size, smooth=kind not in SHARP))
        for kind in CAPTIONS
        if kind in pictures
    }
    return Example(name=name, errors=errors, ends=ends, sources=sources)


def regions_picture(maps: StudentMaps, frame: Picture) -> UInt8[np.ndarray, "h w 3"]:
    """The regions in their colors over the frame in gray, at the size of the regions."""
    small = resize(frame, maps.static.shape).astype(np.float32).mean(-1, keepdims=True)
    color = np.full((*maps.static.shape, 3), UNKNOWN, np.float32)
    color[maps.static], color[maps.dynamic] = STATIC, DYNAMIC
    return (PAINT * color + (1 - PAINT) * small).round().astype(np.uint8)


def embedded(kind: str, picture: Picture) -> str:
    """The picture itself as the source of an <img>; the name plays no part."""
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
