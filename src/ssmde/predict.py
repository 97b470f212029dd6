"""`ssmde predict`: depth of images, videos and cameras, written to files.

Lean on purpose: neither the training engine nor a plotting window is imported, so that a first
prediction is quick.
"""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from ssmde.data.video import VIDEO_SUFFIXES
from ssmde.prediction.camera import AskedCamera
from ssmde.prediction.download import fetched_file, is_url
from ssmde.prediction.formats import (
    FORMATS,
    FilmFormat,
    check_formats,
    explain_formats,
    write_frame,
)
from ssmde.prediction.images import ImageLike
from ssmde.prediction.inputs import LIST, name_images, name_listed
from ssmde.prediction.jobs import Job, Summary, predict_camera, predict_images, predict_video
from ssmde.prediction.live import is_live
from ssmde.prediction.loading import load
from ssmde.prediction.on_ray import predict_on_ray
from ssmde.prediction.pipeline import Pipeline, Wishes
from ssmde.prediction.predictor import Prediction, Predictor
from ssmde.prediction.shot import Facts, Shot, Style

__all__ = [
    "FORMATS", "AskedCamera", "Facts", "ImageLike", "Prediction", "Predictor", "Shot", "Style",
    "Summary", "Wishes", "load", "predict_files", "write_frame",
]  # fmt: skip

Engine = Literal["local", "ray"]
FOR_IMAGES = ("png16", "color")
FOR_VIDEOS = ("video",)


def predict_files(
    weights: str | Path | Predictor,
    source: str | Path,
    out: str | Path,
    *,
    formats: Sequence[str] | None = None,
    resolution: tuple[int, int] | None = None,
    wishes: Wishes | None = None,
    style: Style | None = None,
    max_frames: int | None = None,
    engine: Engine = "local",
    trust: bool = False,
) -> Summary:
    """Write the depth of every image or video frame of `source`, at its own size.

    Names and contents of the files: see `FORMATS`. Each is there whole or not at all; the same call
    again makes all of them again.

    Args:
        weights: Weights file, run folder, or a loaded predictor.
        source: An image, a folder of images, a glob such as `clips/**/*.jpg`, a .txt file with a
            path or an http(s) address on each line, a video, the http(s) address of an image or
            video, the number of a webcam, or an rtsp address.
        out: Folder to write to; made if absent.
        formats: Some of `FORMATS`; by default png16 and color for images, video for a video.
        resolution: Size (height, width) the network sees, if not its training size.
        wishes: Confidence, tiles, blending over time, camera.
        style: Points or triangles, how many, and how sure they must be.
        max_frames: Stop a video or camera after so many.
        engine: `local` predicts in this process; `ray` images on all GPUs or processors of a Ray
            cluster, which see weights, images and output under the same paths.
        trust: You made the weights yourself: see `load`.

    Raises:
        ImportError: If a format or an engine needs a package that is not installed.
        FileNotFoundError: If there is nothing at `source`.
        ValueError: If `source` holds nothing that can be read, or a format does not fit it.
    """
    wishes, style = wishes or Wishes(), style or Style()
    if max_frames is not None and max_frames < 1:
        raise ValueError(f"max_frames must be 1 or more, got {max_frames}")
    live = is_live(str(source)) and not Path(source).exists()
    with ExitStack() as stack:
        here = str(source)
        if is_url(here) and _is_video(urlsplit(here).path):
            here = str(stack.enter_context(fetched_file(here)))
        moving = live or (_is_video(here) and Path(here).is_file())
        chosen = tuple(formats) if formats else FOR_VIDEOS if moving else FOR_IMAGES
        _check(chosen, str(source), Path(out), engine, moving=moving)
        images = {} if moving else _find_images(here)
        if style.least_confidence > 0:
            wishes = replace(wishes, confidence=True)
        if live:
            wishes = replace(wishes, batch_size=1)  # each frame at once
        if engine == "ray":  # a worker may stand in another folder
            out, weights = Path(out).resolve(), _whole_path(weights)
            images = _whole_paths(images)
        open_job = partial(
            _open_job, weights, resolution, wishes,
            out=Path(out), formats=chosen, style=style, max_frames=max_frames, trust=trust,
        )  # fmt: skip
        job = open_job()
        job.out.mkdir(parents=True, exist_ok=True)
        explain_formats(job.out, job.pipeline.facts, chosen)
        if live:
            summary = predict_camera(job, here)
        elif moving:
            summary = predict_video(job, Path(here))
        elif engine == "ray":
            summary = predict_on_ray(open_job, job, images)
        else:
            summary = predict_images(job, images, Path(here))
    if not summary.written:
        raise ValueError("nothing could be read: " + "; ".join(summary.skipped[:5]))
    return summary


def _open_job(
    weights: str | Path | Predictor,
    resolution: tuple[int, int] | None,
    wishes: Wishes,
    *,
    out: Path,
    formats: tuple[str, ...],
    style: Style,
    max_frames: int | None,
    trust: bool,
) -> Job:
    """What is to be done, with the network."""
    if not isinstance(weights, Predictor):
        weights = load(weights, resolution=resolution, trust=trust)
    pipeline = _pipeline(weights, resolution, wishes, formats)
    return Job(pipeline=pipeline, out=out, formats=formats, style=style, max_frames=max_frames)


def _pipeline(
    predictor: Predictor,
    resolution: tuple[int, int] | None,
    wishes: Wishes,
    formats: Sequence[str],
) -> Pipeline:
    """The pipeline, which says what camera it takes where one is needed."""
    if resolution is not None and predictor.image_size != resolution:
        predictor = predictor.at(resolution)
    needed = any(FORMATS[name].needs_camera for name in formats)
    return Pipeline(predictor, wishes, say=_say if needed else None)


def _whole_path(weights: str | Path | Predictor) -> str | Path | Predictor:
    """The path from the root, where the weights are a file or a folder."""
    if isinstance(weights, Predictor) or not Path(weights).exists():
        return weights
    return Path(weights).resolve()


def _whole_paths(images: dict[str, Path | str]) -> dict[str, Path | str]:
    return {n: p.resolve() if isinstance(p, Path) else p for n, p in images.items()}


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _find_images(source: str) -> dict[str, Path | str]:
    if is_url(source):
        return {Path(urlsplit(source).path).stem or "image": source}
    path = Path(source)
    if path.suffix.lower() == LIST and path.is_file():
        return name_listed(path)
    return dict(name_images(path))


def _is_video(name: str) -> bool:
    return Path(name).suffix.lower() in VIDEO_SUFFIXES


def _check(formats: Sequence[str], source: str, out: Path, engine: Engine, *, moving: bool) -> None:
    if moving and engine == "ray":
        raise ValueError(
            f"--engine ray shares images among its workers, {source} is a video or a camera: "
            "leave --engine out"
        )
    if not moving and Path(source).is_dir() and Path(source).resolve() == out.resolve():
        raise ValueError(f"{out} is the input folder: choose another folder for the output")
    check_formats(formats)
    for name in formats:
        kind = FORMATS[name]
        if isinstance(kind, FilmFormat) and not kind.for_images and not moving:
            raise ValueError(
                f"format {name!r} needs a video file ({', '.join(VIDEO_SUFFIXES)}), got {source}: "
                "choose color, or make a video of the images first"
            )
