"""Pictures of held-out frames: both depths, truth, errors, the filter's regions and its weight."""

import base64
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from ssmde.data.images import read_image
from ssmde.evaluation.result import Evaluation, FrameResult
from ssmde.inference.input import resize_depth
from ssmde.inference.pictures import WORST_ERROR, colorize, colorize_error, depth_range
from ssmde.inference.predictor import Predictor
from ssmde.metrics.protocol import Protocol, counted_pixels
from ssmde.reporting.looks import Look

WIDTH = 384  # pixels of a picture
STATIC, DYNAMIC, UNKNOWN = (58, 117, 214), (240, 138, 36), (120, 120, 120)  # told apart by all eyes
PAINT = 0.6  # share of the colour over the grey frame

Picture = UInt8[np.ndarray, "_ _ 3"]
Hang = Callable[[str, Picture], str]
"""Takes a name and a picture and says what an <img> names as its source."""

CAPTIONS = {
    "frame": "frame",
    "truth": "true depth",
    "motion": "truth: what moves by itself",
    "teacher": "depth of the teacher",
    "student": "depth of the student",
    "regions": "mask filter: static (blue), dynamic (orange), unknown (grey)",
    "teacher_error": f"error of the teacher, 0 to {WORST_ERROR:.0%} and more",
    "student_error": f"error of the student, 0 to {WORST_ERROR:.0%} and more",
    "weight": "weight of the teacher's depth: white is trusted, black is not",
}
SHARP = ("motion", "regions", "weight")  # enlarged in squares, as they are


@dataclass(frozen=True, kw_only=True, slots=True)
class Exhibit:
    """A held-out frame and where its pictures are."""

    name: str
    """`scene/frame`."""
    errors: tuple[float, float] | None
    """AbsRel of teacher and student; None without truth."""
    ends: tuple[float, float]
    """Depth of the brightest and of the darkest colour: metres with truth, else any unit."""
    sources: Mapping[str, str]
    """Source of each picture, by its name in `CAPTIONS`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """A measured frame with its depth maps, both at the size of the truth."""

    image: Picture
    prediction: Float[np.ndarray, "h w"]
    """Aligned to the truth and clipped to the protocol's range, in metres."""
    truth: Float[np.ndarray, "h w"]
    """In metres, 0 where nothing counts."""
    moving: Bool[np.ndarray, "h w"] | None
    """What moves by itself; None where nobody knows."""


def see(found: FrameResult, predictor: Predictor, protocol: Protocol) -> Seen:
    """Read a frame again and predict it as the evaluation did."""
    image, (truth, mask) = read_image(found.frame.image), found.frame.read_truth()
    depth = resize_depth(predictor.network_depth(image), truth.shape)
    aligned = found.alignment.apply(depth).clip(protocol.min_depth, protocol.max_depth)
    counted = np.where(counted_pixels(truth, protocol), truth, np.float32(0))
    return Seen(
        image=image,
        prediction=aligned,
        truth=counted,
        moving=None if mask is None else mask == 255,
    )


def measured_exhibit(
    look: Look,
    results: tuple[Evaluation, Evaluation],
    predictors: tuple[Predictor, Predictor],
    hang: Hang,
) -> Exhibit:
    """A frame with truth, in metres.

    Args:
        look: What the student makes of it.
        results: Evaluations of teacher and student, which hold the frame.
        predictors: Teacher and student as they were evaluated.
        hang: Where the pictures go.
    """
    found = [next(f for f in r.frames if f.frame.name == look.name) for r in results]
    teacher, student = (
        see(f, p, r.protocol) for f, p, r in zip(found, predictors, results, strict=True)
    )
    near, far = depth_range(student.truth) or (1.0, 2.0)
    pictures = {
        "frame": student.image,
        "truth": colorize(student.truth, near=near, far=far),
        "teacher": colorize(teacher.prediction, near=near, far=far),
        "student": colorize(student.prediction, near=near, far=far),
        "regions": regions_picture(look, student.image),
        "teacher_error": colorize_error(teacher.prediction, teacher.truth),
        "student_error": colorize_error(student.prediction, student.truth),
        "weight": grey(look.weight),
    }
    if student.moving is not None:
        pictures["motion"] = grey(student.moving.astype(np.float32))
    errors = (found[0].errors.abs_rel, found[1].errors.abs_rel)
    return _exhibit(look.name, errors, (near, far), pictures, hang)


def plain_exhibit(look: Look, image: Picture, hang: Hang) -> Exhibit:
    """A frame without truth: the teacher in the unit of the student, by their medians."""
    near, far = depth_range(look.student) or (1.0, 2.0)
    teacher = look.teacher * (np.median(look.student) / np.median(look.teacher))
    pictures = {
        "frame": image,
        "teacher": colorize(teacher, near=near, far=far),
        "student": colorize(look.student, near=near, far=far),
        "regions": regions_picture(look, image),
        "weight": grey(look.weight),
    }
    return _exhibit(look.name, None, (near, far), pictures, hang)


def _exhibit(
    name: str,
    errors: tuple[float, float] | None,
    ends: tuple[float, float],
    pictures: dict[str, Picture],
    hang: Hang,
) -> Exhibit:
    frame = pictures["frame"]
    size = (round(WIDTH * frame.shape[0] / frame.shape[1]), WIDTH)
    sources = {
        kind: hang(kind, resize(pictures[kind], size, smooth=kind not in SHARP))
        for kind in CAPTIONS
        if kind in pictures
    }
    return Exhibit(name=name, errors=errors, ends=ends, sources=sources)


def regions_picture(look: Look, frame: Picture) -> UInt8[np.ndarray, "h w 3"]:
    """The regions in their colours over the frame in grey, at the size of the regions."""
    small = resize(frame, look.static.shape).astype(np.float32).mean(-1, keepdims=True)
    colour = np.full((*look.static.shape, 3), UNKNOWN, np.float32)
    colour[look.static], colour[look.dynamic] = STATIC, DYNAMIC
    return (PAINT * colour + (1 - PAINT) * small).round().astype(np.uint8)


def exhibit_article(exhibit: Exhibit) -> str:
    """The exhibit as HTML."""
    figures = "".join(
        f'<figure><img src="{source}" alt="{escape(CAPTIONS[kind], quote=True)}" loading="lazy">'
        f"<figcaption>{escape(CAPTIONS[kind])}</figcaption></figure>"
        for kind, source in exhibit.sources.items()
    )
    said, bars = "", [("depth", *_depth_ends(exhibit))]
    if exhibit.errors is not None:
        said = "AbsRel of the teacher {:.3f}, of the student {:.3f}".format(*exhibit.errors)
        bars.append(("error", "no error", f"{WORST_ERROR:.0%}"))
    legend = "".join(
        f'<div><span class="bar" style="background:{gradient(kind)}"></span>'
        f'<span class="ends"><span>{first}</span><span>{last}</span></span></div>'
        for kind, first, last in bars
    )
    return (
        f'<article class="exhibit"><header><h3>{escape(exhibit.name)}</h3>'
        f'<span class="soft">{said}</span></header><div class="wall">{figures}</div>'
        f'<div class="legend">{legend}</div></article>'
    )


def _depth_ends(exhibit: Exhibit) -> tuple[str, str]:
    near, far = exhibit.ends
    return ("near", "far") if exhibit.errors is None else (f"{near:.1f} m", f"{far:.0f} m")


def embedded(kind: str, picture: Picture) -> str:
    """The picture itself as the source of an <img>; the name plays no part."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def grey(values: Float[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Values in [0, 1] from black to white."""
    level = (values.clip(0, 1) * 255).round().astype(np.uint8)
    return np.repeat(level[..., None], 3, axis=2)


def resize(picture: Picture, size: tuple[int, int], *, smooth: bool = True) -> Picture:
    """A picture at another size (height, width), smooth or in sharp squares."""
    how = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
    height, width = size
    return np.asarray(Image.fromarray(picture).resize((width, height), how))


def gradient(kind: str) -> str:
    """Colours of `depth` from near to far, or of `error` from none to the worst, as CSS."""
    share = np.linspace(0, 1, 9)[None]
    if kind == "depth":  # from depth 1 to 2, even in disparity as the pictures are
        colours = colorize(1 / (1 - share / 2), near=1.0, far=2.0)
    else:
        colours = colorize_error(1 + WORST_ERROR * share, np.ones_like(share))
    stops = ", ".join("#" + bytes(colour).hex() for colour in colours[0])
    return f"linear-gradient(to right, {stops})"
