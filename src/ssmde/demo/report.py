"""The page of the demo: pictures, a film, a comparison, and what happened, without a network."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from ssmde.config import Config, DataConfig
from ssmde.data.sequence import FrameSequence
from ssmde.demo.videos import Videos
from ssmde.evaluation import Evaluation, constant_depth, evaluate_predictions
from ssmde.inference.pictures import colorize, depth_range, write_png
from ssmde.inference.predictor import Predictor
from ssmde.io import whole_file, write_text
from ssmde.methods.student import Student
from ssmde.reporting.charts import Chart
from ssmde.reporting.examples import (
    WIDTH,
    Example,
    MeasuredFrame,
    Picture,
    measured_example,
    measured_frame,
    resize,
    size_of_width,
    student_maps,
)
from ssmde.reporting.report import render
from ssmde.weights import RELEASED

FOLDER = "pictures"  # inside the folder of the page
FILM_WIDTH = 288  # pixels of each of the pictures
GAP = 8  # transparent pixels between them
QUALITY = 82  # of WebP, 1 to 100
CAPTIONS = {
    "frame": "frame",
    "truth": "true depth",
    "pretrained": "depth of {}",
    "student": "depth of the student",
}


@dataclass(frozen=True, slots=True)
class Film:
    """A held-out clip: frame, prediction and truth side by side."""

    moving: str
    """File of the animation, named relative to the page."""
    still: str
    """File of its first picture, for readers who want no motion."""
    size: tuple[int, int]
    """Height and width, in pixels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """What the network of the package, that of the demo, and a constant depth make of a place."""

    name: str
    constant: Evaluation
    student: Evaluation
    pretrained: Evaluation
    frame: str
    """The frame of the pictures, as `scene/frame`."""
    ends: tuple[float, float]
    """Metres of the brightest and of the darkest color."""
    sources: dict[str, str]
    """File of each picture, by its name in `CAPTIONS`, named relative to the page."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """What happened, from the drawing to the pictures."""

    first: Config
    """The training run of stage 1."""
    second: Config
    """That of stage 2."""
    videos: Videos
    results: tuple[Evaluation, Evaluation]
    """Of the held-out frames: teacher and student."""
    examples: tuple[Example, ...]
    film: Film
    charts: tuple[Chart, ...]
    pretrained: str
    """Name of the network of the package."""
    places: tuple[Place, ...]
    """That network beside the one of the demo."""
    seconds: dict[str, float]
    """Wall-clock time of each step, by its name; `teacher` and `student` are the trainings."""


def write_page(folder: Path, story: Story) -> Path:
    """Write `index.html` into the folder that holds the pictures, and return it."""
    trained = in_words(story.seconds["teacher"] + story.seconds["student"])
    text = render(
        "ssmde.demo", "page.html", story=story, trained=trained,
        summary=RELEASED[story.pretrained].summary,
        captions={kind: words.format(story.pretrained) for kind, words in CAPTIONS.items()},
    )  # fmt: skip
    page = folder / "index.html"
    write_text(page, text)
    return page


def in_words(seconds: int | float) -> str:
    """A length of time for a sentence: `38 seconds`, `a minute`, `2.5 minutes`."""
    if seconds < 55:
        return f"{max(1, round(seconds))} seconds" if round(seconds) > 1 else "a second"
    minutes = round(2 * seconds / 60) / 2
    return "a minute" if minutes == 1 else f"{minutes:g} minutes"


def qualitative_examples(
    page: Path,
    results: tuple[Evaluation, Evaluation],
    predictors: tuple[Predictor, Predictor],
    student: Student,
    sequences: Sequence[FrameSequence],
    data: DataConfig,
    *,
    count: int,
) -> tuple[Example, ...]:
    """Write the pictures of a few measured frames, evenly spread; colors are in metres.

    Args:
        page: Folder of the page; the pictures go to a folder in it.
        results: Evaluations of teacher and student that hold the frames of `sequences`.
        predictors: The networks that were evaluated.
        student: The method with the trained networks; its filter is shown.
        sequences: Held-out sequences, with truth.
        data: Of the training run, for size and frame gaps.
        count: Number of frames.
    """
    examples: list[Example] = []
    for number, maps in enumerate(student_maps(student, data, sequences, count=count), start=1):

        def store(kind: str, picture: Picture, number: int = number) -> str:
            file = f"{FOLDER}/{number:02d}_{kind}.png"
            write_png(page / file, picture)
            return file

        examples.append(measured_example(maps, results, predictors, store))
    return tuple(examples)


def make_film(
    page: Path, result: Evaluation, predictor: Predictor, scene: str, *, fps: float
) -> Film:
    """Write a looping animation of the measured frames of one scene; one range of colors for all.

    Args:
        page: Folder of the page.
        result: Evaluation that holds frames of the scene.
        predictor: The network that was evaluated.
        scene: Name of the scene.
        fps: Frames a second.
    """
    found = [f for f in result.frames if f.frame.name.split("/")[0] == scene]
    frames = [measured_frame(f, predictor, result.protocol) for f in found]
    near, far = depth_range(np.concatenate([frame.truth for frame in frames])) or (1.0, 2.0)
    pictures = [Image.fromarray(p) for p in _strips(frames, near, far)]
    film, still = f"{FOLDER}/film.webp", f"{FOLDER}/film.png"
    (page / FOLDER).mkdir(parents=True, exist_ok=True)
    with whole_file(page / still) as part:
        pictures[0].save(part, "PNG")
    with whole_file(page / film) as part:
        pictures[0].save(
            part, "WEBP", save_all=True, append_images=pictures[1:], duration=round(1000 / fps),
            loop=0, quality=QUALITY,
        )  # fmt: skip
    return Film(film, still, (pictures[0].height, pictures[0].width))


def _strips(
    frames: Sequence[MeasuredFrame], near: float, far: float
) -> Iterator[UInt8[np.ndarray, "h w 4"]]:
    """RGBA: frame, prediction and truth of each moment, with see-through gaps between them."""
    for frame in frames:
        size = size_of_width(frame.truth.shape, FILM_WIDTH)
        strip = np.zeros((size[0], 3 * FILM_WIDTH + 2 * GAP, 4), np.uint8)
        depths = (colorize(depth, near=near, far=far) for depth in (frame.prediction, frame.truth))
        for place, picture in enumerate((frame.image, *depths)):
            left = place * (FILM_WIDTH + GAP)
            strip[:, left : left + FILM_WIDTH, :3] = resize(picture, size)
            strip[:, left : left + FILM_WIDTH, 3] = 255
        yield strip


def pretrained_comparison(
    page: Path,
    name: str,
    sequences: Sequence[FrameSequence],
    student: Predictor,
    pretrained: Predictor,
) -> Place:
    """Measure both networks on all frames of a place, and show the frame in the middle.

    Args:
        page: Folder of the page; the pictures go to a folder in it.
        name: Of the place, for readers.
        sequences: Its clips, with truth.
        student: The network of the demo.
        pretrained: The network of the package.
    """
    constant = evaluate_predictions(lambda _: constant_depth(), sequences)
    ours, theirs = (evaluate_predictions(p.network_depth, sequences) for p in (student, pretrained))
    middle = len(ours.frames) // 2
    mine, other = (
        measured_frame(result.frames[middle], predictor, result.protocol)
        for result, predictor in ((ours, student), (theirs, pretrained))
    )
    near, far = depth_range(mine.truth) or (1.0, 2.0)
    depths = {"truth": mine.truth, "pretrained": other.prediction, "student": mine.prediction}
    pictures = {kind: colorize(depth, near=near, far=far) for kind, depth in depths.items()}
    sources: dict[str, str] = {}
    for kind, picture in {"frame": mine.image, **pictures}.items():
        sources[kind] = f"{FOLDER}/pretrained_{name.replace(' ', '_')}_{kind}.png"
        write_png(page / sources[kind], resize(picture, size_of_width(mine.truth.shape, WIDTH)))
    return Place(
        name=name, constant=constant, student=ours, pretrained=theirs,
        frame=ours.frames[middle].frame.name, ends=(near, far), sources=sources,
    )  # fmt: skip
