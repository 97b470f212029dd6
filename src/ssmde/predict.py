"""`ssmde predict`: depth of images, videos and cameras, written to files.

Lean on purpose: neither the training engine nor a plotting window is imported, so that a first
prediction is quick.
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from ssmde.data.files import left_out
from ssmde.data.grey import grey_levels
from ssmde.data.images import ImageError, read_size
from ssmde.data.opening import READABLE
from ssmde.data.video import VIDEO_SUFFIXES, is_film, video_info
from ssmde.io import fitting_name
from ssmde.outputs import mark_of, recorded
from ssmde.prediction.camera import AskedCamera, size_of_camera
from ssmde.prediction.download import fetched_file, is_url
from ssmde.prediction.formats import (
    FORMATS,
    LONGEST_SUFFIX,
    FilmFormat,
    check_formats,
    explain_formats,
    films,
    frame_files,
    write_frame,
)
from ssmde.prediction.images import ImageLike
from ssmde.prediction.inputs import LIST, name_images, name_listed
from ssmde.prediction.jobs import (
    CAMERA,
    Job,
    Summary,
    frame_name,
    predict_camera,
    predict_images,
    predict_video,
    recording_files,
)
from ssmde.prediction.live import is_live
from ssmde.prediction.loading import load
from ssmde.prediction.maps import DEPTH_FILE
from ssmde.prediction.marks import marks_of, unfinished, video_is_done
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
    overwrite: bool = False,
    trust: bool = False,
) -> Summary:
    """Write the depth of every image or video frame of `source`, at its own size.

    Names and contents of the files: see `FORMATS`. Each is there whole or not at all; the same call
    again makes what is missing. Names that are too long for a file are shortened. A file that this
    package did not write is never replaced.

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
        overwrite: Replace files that were made of another source, with other weights or options.
        trust: You made the weights yourself: see `load`.

    Raises:
        FileExistsError: If a file of the output may not be replaced; nothing is written then.
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
        moving = live or is_film(Path(here))
        chosen = tuple(formats) if formats else FOR_VIDEOS if moving else FOR_IMAGES
        _check(chosen, str(source), Path(out), engine, moving=moving)
        images = {} if moving else _fitting_names(_find_images(here))
        if (four := wishes.camera.intrinsics) is not None and wishes.camera.of_size is None:
            camera = replace(wishes.camera, of_size=size_of_camera(four, _sizes(images)))
            wishes = replace(wishes, camera=camera)
        if style.least_confidence > 0:
            wishes = replace(wishes, confidence=True)
        if live:
            wishes = replace(wishes, batch_size=1)  # each frame at once
        if engine == "ray":  # a worker may stand in another folder
            out, weights = Path(out).resolve(), _whole_path(weights)
            images = _whole_paths(images)
        open_job = partial(
            _open_job, weights, resolution, wishes, out=Path(out), formats=chosen, style=style,
            max_frames=max_frames, live=live, overwrite=overwrite, trust=trust,
            levels=grey_levels([path for path in images.values() if isinstance(path, Path)]),
        )  # fmt: skip
        job = open_job()
        if live:
            summary = _camera(job, here)
        elif moving:
            summary = _video(job, Path(here), str(source))
        else:
            summary = _images(job, images, Path(here), open_job if engine == "ray" else None)
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
    live: bool,
    overwrite: bool,
    trust: bool,
    levels: tuple[int, int] | None,
) -> Job:
    """What is to be done, with the network."""
    if not isinstance(weights, Predictor):
        weights = load(weights, resolution=resolution, trust=trust)
    pipeline = _pipeline(weights, resolution, wishes, formats)
    marks = marks_of(pipeline.predictor, wishes, style, live=live, overwrite=overwrite)
    if levels is not None:  # another image may change them
        marks = replace(marks, way=mark_of(way=marks.way, levels=levels))
    return Job(
        pipeline=pipeline, out=out, formats=formats, style=style, max_frames=max_frames,
        marks=marks, levels=levels,
    )  # fmt: skip


def _images(
    job: Job, images: dict[str, Path | str], source: Path, open_job: Callable[[], Job] | None
) -> Summary:
    """Those images whose files are not there yet; a recording of all of them needs them all."""
    files = {n: [path for path, _ in frame_files(job.out, n, job.formats)] for n in images}
    recordings = list(recording_files(job, source))
    left = unfinished(job.marks, files, images)
    if not job.marks.done(recordings, job.marks.of_all(images)):
        left = list(images)
    done = [path for name in images if name not in set(left) for path in files[name]]
    _begin(job)
    if not left:
        return Summary(written=(*recordings, *done), skipped=(), present=len(recordings + done))
    todo = {name: images[name] for name in left}
    if open_job is not None:
        made = predict_on_ray(open_job, job, todo)
    else:
        made = predict_images(job, todo, source)
    if source.is_dir() and (others := left_out(source, READABLE)):
        made = replace(made, notes=(*made.notes, f"{source}: left out: {others}"))
    there = {*done, *made.written}
    in_order = [path for path in (*recordings, *chain(*files.values())) if path in there]
    return replace(made, written=tuple(in_order), present=len(done))


def _video(job: Job, path: Path, source: str) -> Summary:
    """A video, unless it is done."""
    name = fitting_name(path.stem, LONGEST_SUFFIX)
    origin = source if is_url(source) else path
    known = video_info(path).frames
    frames = min(known, job.max_frames or known) if known else None
    done = video_is_done(
        job.marks, job.out, name, job.formats,
        source=origin, frames=frames, max_frames=job.max_frames,
    )  # fmt: skip
    _begin(job)
    if not done:
        return predict_video(job, path, name, origin)
    there = [job.out / f"{name}{kind.suffix}" for kind in films(job.formats).values()]
    for number in range(frames or 0):
        there += [f for f, _ in frame_files(job.out, frame_name(name, number), job.formats)]
    return Summary(written=tuple(there), skipped=(), present=len(there))


def _camera(job: Job, source: str) -> Summary:
    video_is_done(
        job.marks, job.out, CAMERA, job.formats, source=source, frames=job.max_frames,
        max_frames=None,
    )  # fmt: skip
    _begin(job)
    return predict_camera(job, source)


def _begin(job: Job) -> None:
    """Make the folder, and write what its files have in common."""
    explained = [job.out / DEPTH_FILE] if "png16" in job.formats else []
    if not job.marks.done(explained, job.marks.way) or not explained:
        job.out.mkdir(parents=True, exist_ok=True)
        with recorded(job.marks.way):
            explain_formats(job.out, job.pipeline.facts, job.formats)


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


def _sizes(images: dict[str, Path | str]) -> list[tuple[int, int]]:
    """Size (height, width) of every image that is a file and can be opened."""
    sizes: list[tuple[int, int]] = []
    for image in images.values():
        with suppress(ImageError, OSError):  # said by who reads it
            sizes += [read_size(image)] if isinstance(image, Path) else []
    return sizes


def _fitting_names(images: dict[str, Path | str]) -> dict[str, Path | str]:
    """The same with names that leave room for the endings of the outputs."""
    paths = {Path(name): image for name, image in images.items()}
    return {
        str(name.with_name(fitting_name(name.name, LONGEST_SUFFIX))): image
        for name, image in paths.items()
    }


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
