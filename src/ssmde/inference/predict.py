"""`predict_files`: depth of images, videos and cameras, written to files, here or on Ray.

Lean on purpose: neither the training engine nor a plotting window is imported, so that a first
prediction is quick. Each file carries a mark of what it was made of: see `ssmde.outputs`.
"""

import hashlib
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain, islice
from math import prod
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

import torch

from ssmde.cluster import work_on_ray
from ssmde.console import counted, with_bar
from ssmde.data.images import READABLE, ImageError, gray_levels, read_image, read_size, stretch_note
from ssmde.data.scene_folder import left_out
from ssmde.data.video import (
    VIDEO_SUFFIXES,
    VideoFrame,
    VideoNotes,
    is_film,
    read_chosen_frames,
    video_info,
)
from ssmde.inference import writers
from ssmde.inference.engines import EngineNetwork
from ssmde.inference.input import (
    fetched_file,
    find_images,
    is_live,
    is_url,
    read_ahead,
    read_live,
    to_pixels,
)
from ssmde.inference.loading import load, looks_like_weights
from ssmde.inference.pipeline import CameraSpec, Pinhole, Pipeline, Pixels, size_of_camera
from ssmde.inference.predictor import BATCH_SIZE, PredictedFrame, Predictor, check_tiles
from ssmde.inference.writers import FORMATS, FilmFormat, FrameFormat, WriterOptions
from ssmde.io import fitting_name
from ssmde.outputs import digest_of, done_or_free, identity, mark_of, recorded, sweep
from ssmde.weights import DEFAULT_WEIGHTS

Anything = TypeVar("Anything")
FOR_IMAGES, FOR_VIDEOS = ("png16", "color"), ("video",)
CAMERA = "camera"  # name of the files of a camera
LIVE_FPS = 25.0  # of a camera's film, for the length of its last frame
LIKELY_SIZE = (4000, 6000)  # of an image at an address, in pixels
PIECE = 32  # images for a Ray worker: a few seconds, so that unlike machines end together
LONGEST_SUFFIX = writers.LONGEST_SUFFIX
NAMED = 3  # of many files that were written, so many are named
Images = Mapping[str, Path | str]
"""Paths or addresses by the name of the output."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """What became of an input; as text, what the command line prints."""

    written: tuple[Path, ...]  # files with depth, in the order of the input
    skipped: tuple[str, ...] = ()  # files that could not be read, with the reason
    present: int = 0  # how many of the files were there before, made of the same in the same way
    notes: tuple[str, ...] = ()  # what was noticed while the input was read
    weights: str = ""
    out: Path = Path()

    def __str__(self) -> str:
        first = ", ".join(map(str, self.written[:NAMED]))
        more = len(self.written) - NAMED
        there = f" ({self.present} of them were there)" if self.present else ""
        rest = f" and {more} more in {self.out}" if more > 0 else ""
        count = f"{counted(len(self.written), 'file')} with depth{there}"
        return f"{count} by {self.weights or 'a network'}: {first}{rest}"


def predict_files(
    weights: str | Path | Predictor,
    source: str | Path | None = None,
    out: str | Path | None = None,
    *,
    format: str | None = None,
    resolution: tuple[int, int] | None = None,
    tiles: int = 1,
    temporal: bool = False,
    intrinsics: Pinhole | None = None,
    hfov_degrees: float | None = None,
    mesh: bool = False,
    max_points: int = 1_000_000,
    max_frames: int | None = None,
    engine: Literal["local", "ray"] = "local",
    overwrite: bool = False,
    trust: bool = False,
) -> Summary:
    """Write the depth of images, a video or a camera to files.

    Each file is there whole or not at all; the same call again makes what is missing. Names that
    are too long for a file are shortened. A file that this package did not write is never replaced.

    Example:
      ssmde predict photo.jpg depth
      ssmde predict runs/photometric walk.mp4 depth --format video,npz
      ssmde predict runs/photometric 'photos/**/*.jpg' depth --format png16,color
      ssmde predict runs/photometric room.jpg depth --format glb --mesh --hfov-degrees 65

    Args:
        weights: Weights file, folder of a run, hf:OWNER/NAME, or a released name. Left out, with
            INPUT as the first word, it is small, which comes with the package.
        source: Image, folder of images, quoted glob, .txt list of paths or addresses, video,
            http(s) or rtsp address, or number of a webcam.
        out: Folder to write to.
        format: Some of png16, npz, exr, color, normals, ply, glb, video and rerun, with commas
            between. By default png16,color; video for a video.
        resolution: Size the network sees, height and width in pixels; multiples of 32. By default
            that of the training.
        tiles: See the image in parts, at so many times the network's size; for detail in large
            images.
        temporal: Blend each frame of a video with those before it, so that depth does not flicker.
        intrinsics: Camera of normals, ply, glb and rerun: fx, fy, cx and cy in pixels of the
            upright image.
        hfov_degrees: Instead: its horizontal field of view; by default 60.
        mesh: Triangles in place of points, in ply and glb.
        max_points: Take only every so many-th pixel of a larger image into ply and glb.
        max_frames: Stop a video or camera after so many.
        engine: Predict here, or images on all GPUs or processors of a Ray cluster, whose machines
            see weights, images and output under the same paths.
        overwrite: Replace files that were made of another input, with other weights or options.
        trust: You made WEIGHTS yourself: open them though they can run code (.pt2), or name an
            encoder for which the Hugging Face hub has to be asked.

    Raises:
        FileExistsError: If a file of the output may not be replaced; nothing is written then.
        FileNotFoundError: If there is nothing at `source`.
        ValueError: If `source` holds nothing that can be read, or a format does not fit it.
    """
    camera = CameraSpec(intrinsics=intrinsics, hfov_degrees=hfov_degrees)
    weights, source, folder = _words(weights, source, out)
    check_tiles(tiles)
    writer = WriterOptions(mesh=mesh, max_points=max_points)
    if max_frames is not None and max_frames < 1:
        raise ValueError(f"max_frames must be 1 or more, got {max_frames}")
    named = weights.source if isinstance(weights, Predictor) else str(Path(weights))
    wanted = folder
    live = is_live(source) and not Path(source).exists()
    with ExitStack() as stack:
        here = source
        if is_url(here) and Path(urlsplit(here).path).suffix.lower() in VIDEO_SUFFIXES:
            here = str(stack.enter_context(fetched_file(here)))
        moving = live or is_film(Path(here))
        formats = FOR_VIDEOS if moving else FOR_IMAGES
        if format is not None:
            formats = tuple(format.split(","))
        _check(formats, source, folder, engine, moving=moving)
        images = {} if moving else _find_images(here)
        photos = [image for image in images.values() if isinstance(image, Path)]
        if intrinsics is not None:
            sizes = [size for size in map(_size_of, photos) if any(size)]
            camera = replace(camera, of_size=size_of_camera(intrinsics, sizes))
        if engine == "ray":  # a worker may stand in another folder
            weights, folder = _whole(weights), folder.resolve()
            images = {name: _whole(image) for name, image in images.items()}
        open_job = partial(
            _open_job, weights, resolution, live=live, trust=trust, camera=camera, tiles=tiles,
            temporal=temporal, out=folder, formats=formats, writer=writer, overwrite=overwrite,
            max_frames=max_frames, levels=gray_levels(photos),
        )  # fmt: skip
        if live:
            summary = _camera(open_job(), here)
        elif moving:
            summary = _video(open_job(), Path(here), source)
        else:
            summary = _images(open_job, images, Path(here), on_ray=engine == "ray")
    if not summary.written:
        raise ValueError("nothing could be read: " + "; ".join(summary.skipped[:5]))
    return replace(summary, weights=named, out=wanted)


def _words(
    weights: str | Path | Predictor, source: str | Path | None, out: str | Path | None
) -> tuple[str | Path | Predictor, str, Path]:
    """Weights, input and folder; of two words the weights are those of the package."""
    if source is not None and out is not None:
        return weights, str(source), Path(out)
    if source is None or isinstance(weights, Predictor) or looks_like_weights(Path(weights)):
        if not str(weights):
            raise ValueError(
                "predict takes [WEIGHTS] INPUT OUT, got none: such as ssmde predict photo.jpg out"
            )
        got = f"{str(weights)!r} alone"
        if source is not None:
            got = f"weights {str(weights)!r} and {str(source)!r}"
        raise ValueError(
            f"predict takes [WEIGHTS] INPUT OUT, got {got}: say where to write to as well"
        )
    return DEFAULT_WEIGHTS, str(weights), Path(source)


def _whole(place: Anything) -> Anything | Path:
    """An existing path from the root on; else as it is."""
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
    if engine == "ray" and writers.films(formats):
        raise ValueError(
            f"--engine ray writes files for each image, {', '.join(writers.films(formats))} is one "
            "file for all of them: leave it out, or leave out --engine ray"
        )


def _find_images(source: str) -> dict[str, Path | str]:
    """Images by names that leave room for the endings of the outputs."""
    names = {Path(name): image for name, image in find_images(source).items()}
    return {
        str(name.with_name(fitting_name(name.name, LONGEST_SUFFIX))): image
        for name, image in names.items()
    }


def _size_of(image: Path | str) -> tuple[int, int]:
    """Height and width: at an address a guess, for nobody knows before it is fetched."""
    try:
        return read_size(image) if isinstance(image, Path) else LIKELY_SIZE
    except (ImageError, OSError):  # said by who reads it
        return 0, 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What is to be done with every image or frame."""

    pipeline: Pipeline
    out: Path  # folder that exists when something is written
    formats: tuple[str, ...]
    writer: WriterOptions
    way: str = ""  # digest of the network and the options: with the source, the mark of a file
    overwrite: bool = False
    max_frames: int | None = None
    levels: tuple[int, int] | None = None  # of all 16-bit gray images: see `gray_levels`

    def mark(self, source: Path | str, *, max_frames: int | None = None) -> str:
        """The mark of what is made of an image or a video."""
        return mark_of(way=self.way, source=identity(source), max_frames=max_frames)

    def mark_of_all(self, images: Images) -> str:
        """The mark of what is made of all these images."""
        return mark_of(way=self.way, sources=[identity(image) for image in images.values()])

    def done(self, paths: Iterable[Path], mark: str) -> bool:
        """As `ssmde.outputs.done_or_free`."""
        return done_or_free(paths, mark, overwrite=self.overwrite)

    def write(self, name: str, frame: PredictedFrame, source: Path | str) -> list[Path]:
        """The files of one image or frame."""
        with recorded(self.mark(source)):
            return writers.write_frame(self.out, name, frame, self.formats, self.writer)

    def frame_files(self, name: str) -> list[Path]:
        """The files that `write` writes."""
        return [path for path, _ in writers.frame_files(self.out, name, self.formats)]

    def film_files(self, name: str) -> dict[Path, FilmFormat]:
        """The files of all frames together, with their formats."""
        return {self.out / f"{name}{k.suffix}": k for k in writers.films(self.formats).values()}

    def begin(self) -> None:
        """Make the folder, and write what its files have in common."""
        facts = self.out / writers.DEPTH_FILE
        explain = "png16" in self.formats and not self.done([facts], self.way)
        self.out.mkdir(parents=True, exist_ok=True)
        if explain:
            with recorded(self.way):
                writers.explain_png16(self.out, self.pipeline.predictor.info)


def _open_job(
    weights: str | Path | Predictor, resolution: tuple[int, int] | None, *, live: bool, trust: bool,
    camera: CameraSpec, tiles: int, temporal: bool, **job: Any,
) -> Job:  # fmt: skip
    """What is to be done, with the network; it says what camera it takes where one is needed."""
    if not isinstance(weights, Predictor):
        weights = load(weights, resolution=resolution, trust=trust)
    if resolution is not None and weights.image_size != resolution:
        weights = weights.at(resolution)
    pipeline = Pipeline(
        predictor=weights, camera=camera, tiles=tiles, temporal=temporal,
        batch_size=1 if live else BATCH_SIZE,
    )  # fmt: skip
    if any(FORMATS[name].needs_camera for name in job["formats"]):
        pipeline.say = partial(print, file=sys.stderr)
    way = mark_of(  # under the names of earlier versions, whose files are known again
        network=network_mark(weights),
        wishes={
            "confidence": False, "tiles": tiles, "batch_size": 1, "temporal": temporal,
            "camera": asdict(camera),
        },
        style={**asdict(job["writer"]), "least_confidence": 0.0},
        now=[time.time_ns(), os.getpid()] if live else None,  # of a camera nothing is done twice
    )  # fmt: skip
    if job["levels"] is not None:  # another image may change them
        way = mark_of(way=way, levels=job["levels"])
    return Job(pipeline=pipeline, way=way, **job)


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


def _images(open_job: Callable[[], Job], images: Images, source: Path, *, on_ray: bool) -> Summary:
    """Those images whose files are not there yet; a recording of all of them needs them all."""
    job = open_job()
    files = {name: job.frame_files(name) for name in images}
    recordings = job.film_files(fitting_name(source.stem or "images", LONGEST_SUFFIX))
    left = _unfinished(job, files, images)
    if not job.done(recordings, job.mark_of_all(images)):
        left = list(images)
    done = [path for name in images if name not in set(left) for path in files[name]]
    job.begin()
    if not left:
        there = (*recordings, *done)
        return Summary(written=there, present=len(there))
    todo = {name: images[name] for name in left}
    if on_ray:
        made = predict_on_ray(open_job, todo)
    else:
        made = predict_images(job, todo, recordings, show_progress=True)
    notes = stretch_note(job.levels)
    if source.is_dir() and (others := left_out(source, READABLE)):
        notes.append(f"{source}: left out: {others}")
    written = {*done, *made.written}
    in_order = [path for path in (*recordings, *chain(*files.values())) if path in written]
    return replace(made, written=tuple(in_order), present=len(done), notes=tuple(notes))


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


def predict_images(
    job: Job,
    images: Images,
    recordings: Mapping[Path, FilmFormat] | None = None,
    *,
    show_progress: bool = False,
) -> Summary:
    """Files of every image, and of all of them; what cannot be read is named."""
    written, skipped = list[Path](), list[str]()

    def read(item: tuple[str, Path | str]) -> tuple[str, Path | str, Pixels | str]:
        name, path = item
        try:
            is_file = isinstance(path, Path)
            return name, path, read_image(path, levels=job.levels) if is_file else to_pixels(path)
        except ImageError as error:
            return name, path, str(error)

    def readable() -> Iterator[tuple[str, Pixels]]:
        items = with_bar(images.items(), "predicting", len(images), show=show_progress)
        for name, file, found in read_ahead(items, read, pixels=lambda i: prod(_size_of(i[1]))):
            if isinstance(found, str):
                skipped.append(found)
            elif fault := job.pipeline.fault_of((found.shape[0], found.shape[1])):
                skipped.append(f"{file}: {fault}")
            else:
                yield name, found

    with ExitStack() as stack, recorded(job.mark_of_all(images)):
        appends = [stack.enter_context(k.open(p, 1.0, None)) for p, k in (recordings or {}).items()]
        for name, frame in job.pipeline.predict_images(readable()):
            for append in appends:
                append(frame)
            written += job.write(name, frame, images[name])
    written += recordings if written and recordings else ()
    return Summary(written=tuple(written), skipped=tuple(skipped))


def predict_on_ray(
    open_job: Callable[[], Job], images: Images, *, piece_size: int = PIECE
) -> Summary:
    """Files of every image by the workers of a Ray cluster; see `ssmde.cluster`.

    A worker makes its own job with `open_job`, and gets `piece_size` images at a time; those of a
    lost worker are done once more, from their start: files are replaced whole, by equal ones.
    """
    items = iter(images.items())
    pieces = list(iter(lambda: dict(islice(items, piece_size)), {}))
    made: list[Summary] = []

    def done() -> Iterator[str]:
        for piece, found in work_on_ray(open_job, predict_images, pieces, lost=_say_lost):
            made.append(found)
            yield from piece

    for _ in with_bar(done(), "predicting", len(images)):
        pass
    return Summary(
        written=tuple(path for found in made for path in found.written),
        skipped=tuple(reason for found in made for reason in found.skipped),
    )


def _say_lost(images: Images, tries: int) -> str:
    names = list(images)
    return (
        f"a worker was lost {tries} times over {counted(len(names), 'image')}, {names[0]} to "
        f"{names[-1]}; what was written so far is kept"
    )


def _video(job: Job, path: Path, source: str) -> Summary:
    """A video, unless it is done; frames that cannot be decoded are left out."""
    name, origin = fitting_name(path.stem, LONGEST_SUFFIX), source if is_url(source) else path
    info, notes = video_info(path), VideoNotes()
    count = min(info.frames, job.max_frames or info.frames) or None
    mark = job.mark(origin, max_frames=job.max_frames)
    done = _video_is_done(job, name, origin, mark, count)
    job.begin()
    if done:
        frames = chain.from_iterable(job.frame_files(_numbered(name, n)) for n in range(count or 0))
        there = (*job.film_files(name), *frames)
        return Summary(written=there, present=len(there))
    read = read_chosen_frames(path, lambda _: True, notes)
    written = _film(job, name, read, origin, mark, fps=info.fps, count=count, sound_of=path)
    return Summary(written=tuple(written), notes=tuple(f"{path}: {n}" for n in notes.lines))


def _camera(job: Job, source: str) -> Summary:
    """Frames of a webcam or an rtsp address, until Ctrl-C or `max_frames`."""
    mark = job.mark(source)
    _video_is_done(job, CAMERA, source, mark, job.max_frames)
    job.begin()
    read = (replace(frame, number=i) for i, frame in enumerate(read_live(source)))
    written = _film(
        job, CAMERA, read, source, mark, fps=LIVE_FPS, count=job.max_frames,
        ends_by=[KeyboardInterrupt],
    )  # fmt: skip
    return Summary(written=tuple(written))


def _film(
    job: Job,
    name: str,
    frames: Iterable[VideoFrame],
    source: Path | str,
    mark: str,
    *,
    fps: float,
    count: int | None,
    sound_of: Path | None = None,
    ends_by: Sequence[type[BaseException]] = (),
) -> list[Path]:
    """Files of every frame of a video or camera, and of all of them under a `mark` of their own.

    `fps` is for frames without a time, `count` how many there will be, if anybody knows; `ends_by`
    is what may end the frames, with what was written kept.
    """
    kinds = job.film_files(name)
    written = list(kinds)
    read = with_bar(islice(frames, job.max_frames), "predicting", count)
    with ExitStack() as stack:
        with recorded(mark):
            appends = [stack.enter_context(k.open(p, fps, sound_of)) for p, k in kinds.items()]
        with suppress(*ends_by):
            for number, frame in job.pipeline.predict_video(read):
                for append in appends:
                    append(frame)
                written += job.write(_numbered(name, number), frame, source)
    return written


def _numbered(stem: str, number: int) -> str:
    """Name of the files of a frame of a video."""
    return f"{stem}_{number:06d}"


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
