"""`predict_files`: depth of images, videos and cameras, written to files.

Lean on purpose: neither the training engine nor a plotting window is imported, so that a first
prediction is quick. Each file carries a mark of what it was made of: see `ssmde.outputs`.
"""

import hashlib
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import urlsplit

import torch

from ssmde.data.images import READABLE, ImageError, gray_levels, read_size
from ssmde.data.scene_folder import left_out
from ssmde.data.video import VIDEO_SUFFIXES, VideoNotes, is_film, read_chosen_frames, video_info
from ssmde.inference.engines import EngineNetwork
from ssmde.inference.input import (
    LIST,
    fetched_file,
    is_live,
    is_url,
    name_images,
    name_listed,
    read_live,
)
from ssmde.inference.jobs import (
    Images,
    Job,
    Summary,
    frame_name,
    predict_film,
    predict_images,
    predict_on_ray,
)
from ssmde.inference.loading import load
from ssmde.inference.pipeline import Pipeline, PredictOptions, size_of_camera
from ssmde.inference.predictor import Predictor
from ssmde.inference.writers import (
    DEPTH_FILE,
    FORMATS,
    LONGEST_SUFFIX,
    FilmFormat,
    FrameFormat,
    WriterOptions,
    explain_formats,
    films,
)
from ssmde.io import fitting_name
from ssmde.outputs import digest_of, mark_of, recorded, sweep

Anything = TypeVar("Anything")
FOR_IMAGES, FOR_VIDEOS = ("png16", "color"), ("video",)
CAMERA = "camera"  # name of the files of a camera
LIVE_FPS = 25.0  # of a camera's film, for the length of its last frame


def predict_files(
    weights: str | Path | Predictor,
    source: str | Path,
    out: str | Path,
    *,
    formats: Sequence[str] | None = None,
    resolution: tuple[int, int] | None = None,
    options: PredictOptions | None = None,
    writer: WriterOptions | None = None,
    max_frames: int | None = None,
    engine: Literal["local", "ray"] = "local",
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
        options: Confidence, tiles, blending over time, camera.
        writer: Points or triangles, how many, and how sure they must be.
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
    options, writer, out = options or PredictOptions(), writer or WriterOptions(), Path(out)
    if max_frames is not None and max_frames < 1:
        raise ValueError(f"max_frames must be 1 or more, got {max_frames}")
    live = is_live(str(source)) and not Path(source).exists()
    with ExitStack() as stack:
        here = str(source)
        if is_url(here) and Path(urlsplit(here).path).suffix.lower() in VIDEO_SUFFIXES:
            here = str(stack.enter_context(fetched_file(here)))
        moving = live or is_film(Path(here))
        chosen = tuple(formats) if formats else FOR_VIDEOS if moving else FOR_IMAGES
        _check(chosen, str(source), out, engine, moving=moving)
        images = {} if moving else _find_images(here)
        if (four := options.camera.intrinsics) is not None and options.camera.of_size is None:
            camera = replace(options.camera, of_size=size_of_camera(four, [*_sizes(images)]))
            options = replace(options, camera=camera)
        if writer.least_confidence > 0:
            options = replace(options, confidence=True)
        if live:
            options = replace(options, batch_size=1)  # each frame at once
        if engine == "ray":  # a worker may stand in another folder
            weights, out = _whole(weights), out.resolve()
            images = {name: _whole(image) for name, image in images.items()}
        open_job = partial(
            _open_job, weights, resolution, options, writer, out=out, formats=chosen,
            max_frames=max_frames, live=live, overwrite=overwrite, trust=trust,
            levels=gray_levels([path for path in images.values() if isinstance(path, Path)]),
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


def _whole(place: Anything) -> Anything | Path:
    """The path from the root of what is a path and exists; else as it is."""
    if isinstance(place, str | Path) and Path(place).exists():
        return Path(place).resolve()
    return place


def _check(formats: Sequence[str], source: str, out: Path, engine: str, *, moving: bool) -> None:
    if moving and engine == "ray":
        raise ValueError(
            f"--engine ray shares images among its workers, {source} is a video or a camera: "
            "leave --engine out"
        )
    if not moving and Path(source).is_dir() and Path(source).resolve() == out.resolve():
        raise ValueError(f"{out} is the input folder: choose another folder for the output")
    for name in formats:
        if name not in FORMATS:
            raise ValueError(f"unknown format {name!r}: choose from {', '.join(FORMATS)}")
        kind = FORMATS[name]
        if isinstance(kind, FilmFormat) and not kind.for_images and not moving:
            raise ValueError(
                f"format {name!r} needs a video file ({', '.join(VIDEO_SUFFIXES)}), got {source}: "
                "choose color, or make a video of the images first"
            )
    if engine == "ray" and films(formats):
        raise ValueError(
            f"--engine ray writes files for each image, {', '.join(films(formats))} is one "
            "file for all of them: leave it out, or leave out --engine ray"
        )


def _find_images(source: str) -> dict[str, Path | str]:
    """Images by names that leave room for the endings of the outputs."""
    path = Path(source)
    if is_url(source):
        images: Images = {Path(urlsplit(source).path).stem or "image": source}
    elif path.suffix.lower() == LIST and path.is_file():
        images = name_listed(path)
    else:
        images = name_images(path)
    names = {Path(name): image for name, image in images.items()}
    return {
        str(name.with_name(fitting_name(name.name, LONGEST_SUFFIX))): image
        for name, image in names.items()
    }


def _sizes(images: Images) -> Iterator[tuple[int, int]]:
    """Size (height, width) of every image that is a file and can be opened."""
    for image in images.values():
        with suppress(ImageError, OSError):  # said by who reads it
            if isinstance(image, Path):
                yield read_size(image)


def _open_job(
    weights: str | Path | Predictor,
    resolution: tuple[int, int] | None,
    options: PredictOptions,
    writer: WriterOptions,
    *,
    out: Path,
    formats: tuple[str, ...],
    max_frames: int | None,
    live: bool,
    overwrite: bool,
    trust: bool,
    levels: tuple[int, int] | None,
) -> Job:
    """What is to be done, with the network, which says what camera it takes where one is needed."""
    if not isinstance(weights, Predictor):
        weights = load(weights, resolution=resolution, trust=trust)
    if resolution is not None and weights.image_size != resolution:
        weights = weights.at(resolution)
    needed = any(FORMATS[name].needs_camera for name in formats)
    say = partial(print, file=sys.stderr) if needed else None
    way = mark_of(  # under the names of earlier versions, whose files are known again
        network=network_mark(weights),
        wishes=asdict(replace(options, batch_size=1)),
        style=asdict(writer),
        now=[time.time_ns(), os.getpid()] if live else None,  # of a camera nothing is done twice
    )
    if levels is not None:  # another image may change them
        way = mark_of(way=way, levels=levels)
    return Job(
        pipeline=Pipeline(weights, options, say=say), out=out, formats=formats, writer=writer,
        way=way, overwrite=overwrite, max_frames=max_frames, levels=levels,
    )  # fmt: skip


def network_mark(predictor: Predictor) -> str:
    """Digest of all that decides what a predictor says: layers, weights, sizes, unit."""
    network, content = predictor.network, hashlib.sha256()
    if isinstance(network, EngineNetwork):
        file = Path(predictor.source)
        parts = [f for f in (file, file.with_suffix(".bin")) if f.is_file()]
        content.update("".join(map(digest_of, parts)).encode())
    else:
        content.update(f"{type(network).__qualname__} {network}".encode())
        for name, tensor in network.state_dict().items():
            values = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            content.update(name.encode() + values.numpy().tobytes())
    facts = asdict(replace(predictor.info, source=""))
    return mark_of(network=content.hexdigest(), facts=facts, sizes=predictor.more_sizes)


def _begin(job: Job) -> None:
    """Make the folder, and write what its files have in common."""
    explained = [job.out / DEPTH_FILE] if "png16" in job.formats else []
    if not explained or not job.done(explained, job.way):
        job.out.mkdir(parents=True, exist_ok=True)
        with recorded(job.way):
            explain_formats(job.out, job.pipeline.predictor.info, job.formats)


def _images(job: Job, images: Images, source: Path, open_job: Callable[[], Job] | None) -> Summary:
    """Those images whose files are not there yet; a recording of all of them needs them all."""
    files = {name: job.frame_files(name) for name in images}
    recordings = job.film_files(fitting_name(source.stem or "images", LONGEST_SUFFIX))
    left = _unfinished(job, files, images)
    if not job.done(recordings, job.mark_of_all(images)):
        left = list(images)
    done = [path for name in images if name not in set(left) for path in files[name]]
    _begin(job)
    if not left:
        there = (*recordings, *done)
        return Summary(written=there, present=len(there))
    todo = {name: images[name] for name in left}
    if open_job is not None:
        made = predict_on_ray(open_job, job, todo)
    else:
        made = predict_images(job, todo, recordings)
    if source.is_dir() and (others := left_out(source, READABLE)):
        made = replace(made, notes=(*made.notes, f"{source}: left out: {others}"))
    written = {*done, *made.written}
    in_order = [path for path in (*recordings, *chain(*files.values())) if path in written]
    return replace(made, written=tuple(in_order), present=len(done))


def _unfinished(job: Job, files: Mapping[str, Sequence[Path]], images: Images) -> list[str]:
    """Names of the images whose files are not all there; killed parts beside them are removed."""
    inputs = {os.path.realpath(image) for image in images.values() if isinstance(image, Path)}
    for path in chain.from_iterable(files.values()):
        if os.path.realpath(path) in inputs:
            raise FileExistsError(f"{path}: is an input itself: choose another folder")
    left = [name for name in images if not job.done(files[name], job.mark(images[name]))]
    places: dict[Path, set[str]] = {}
    for path in chain.from_iterable(files.values()):
        places.setdefault(path.parent, set()).add(path.name)
    for folder, names in places.items():
        sweep(folder, names.__contains__)
    return left


def _video(job: Job, path: Path, source: str) -> Summary:
    """A video, unless it is done; frames that cannot be decoded are left out."""
    name, origin = fitting_name(path.stem, LONGEST_SUFFIX), source if is_url(source) else path
    info, notes = video_info(path), VideoNotes()
    count = min(info.frames, job.max_frames or info.frames) or None
    mark = job.mark(origin, max_frames=job.max_frames)
    done = _video_is_done(job, name, origin, mark, count)
    _begin(job)
    if done:
        numbers = range(count or 0)
        frames = chain.from_iterable(job.frame_files(frame_name(name, n)) for n in numbers)
        there = (*job.film_files(name), *frames)
        return Summary(written=there, present=len(there))
    read = read_chosen_frames(path, lambda _: True, notes)
    written = predict_film(
        job, name, read, origin, mark=mark, fps=info.fps, count=count, sound_of=path
    )
    return Summary(written=tuple(written), notes=tuple(f"{path}: {n}" for n in notes.lines))


def _camera(job: Job, source: str) -> Summary:
    """Frames of a webcam or an rtsp address, until Ctrl-C or `max_frames`."""
    mark = job.mark(source)
    _video_is_done(job, CAMERA, source, mark, job.max_frames)
    _begin(job)
    read = (replace(frame, number=i) for i, frame in enumerate(read_live(source)))
    written = predict_film(
        job, CAMERA, read, source, mark=mark, fps=LIVE_FPS, count=job.max_frames,
        ends_by=[KeyboardInterrupt],
    )  # fmt: skip
    return Summary(written=tuple(written))


def _video_is_done(job: Job, name: str, source: Path | str, mark: str, count: int | None) -> bool:
    """Whether all files of a video are there; parts of killed runs beside them are removed.

    The mark is that of its films; count is how many frames there will be, None if nobody knows.
    """
    films = job.film_files(name)
    kinds = [FORMATS[key] for key in job.formats]
    suffixes = [kind.suffix for kind in kinds if isinstance(kind, FrameFormat)]
    numbered = re.compile(
        f"{re.escape(name)}_([0-9]{{6,}})({'|'.join(map(re.escape, suffixes))})", re.DOTALL
    )

    def is_frame(file: str) -> bool:
        found = numbered.fullmatch(file) if suffixes else None
        return found is not None and (count is None or int(found[1]) < count)

    listed = sorted(job.out.iterdir()) if job.out.is_dir() else []
    there = [path for path in listed if is_frame(path.name)]
    done = job.done(films, mark)
    done = job.done(there, job.mark(source)) and done
    film_names = {path.name for path in films}
    sweep(job.out, lambda file: file in film_names or is_frame(file))
    return done and (not suffixes or (bool(count) and len(there) == count * len(suffixes)))
