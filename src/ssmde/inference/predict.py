"""`predict_files`: depth of images, videos and cameras, written to files, here or on Ray.

Lean on purpose: neither the training engine nor a plotting window is imported, so that a first
prediction is quick. Each file carries a mark of what it was made of: see `ssmde.outputs`.
"""

import hashlib
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain, islice, tee
from math import prod
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch

from ssmde.cluster import work_on_ray
from ssmde.console import bars, counted, with_bar
from ssmde.data.images import READABLE, ImageError, gray_levels, read_image, read_size, stretch_note
from ssmde.data.scene_folder import left_out
from ssmde.data.video import (
    VIDEO_SUFFIXES,
    Pixels,
    VideoFrame,
    VideoNotes,
    is_film,
    read_chosen_frames,
    video_info,
)
from ssmde.former import FORMER_FORMATS
from ssmde.inference.camera import CameraSpec, Pinhole, ToldCamera, size_of_camera
from ssmde.inference.engines import EngineNetwork
from ssmde.inference.input import find_images, is_live, local_path, read_ahead, read_live
from ssmde.inference.loading import load, looks_like_weights
from ssmde.inference.pictures import color_ends
from ssmde.inference.predictor import BATCH_SIZE, PredictedFrame, Predictor
from ssmde.inference.smoothing import Smoother
from ssmde.inference.writers import (
    DEPTH_FILE,
    FORMATS,
    LONGEST_SUFFIX,
    VIDEO,
    WriterOptions,
    explain_png16,
    frame_files,
    write_film,
    write_frame,
)
from ssmde.io import fitting_name
from ssmde.outputs import digest_of, done_or_free, identity, mark_of, recorded, sweep
from ssmde.weights import DEFAULT_WEIGHTS

Name = TypeVar("Name")
FOR_IMAGES, FOR_VIDEOS = ("png16", "color"), (VIDEO,)
CAMERA = "camera"  # name of the files of a camera
LIVE_FPS = 25.0  # of a camera's film, for the length of its last frame
PIECE = 32  # images for a Ray worker: a few seconds, so that unlike machines end together
NAMED = 3  # of many files that were written, so many are named
Images = Mapping[str, Path]
"""Paths by the name of the output."""


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
    temporal: bool = False,
    intrinsics: Pinhole | None = None,
    hfov_degrees: float | None = None,
    mesh: bool = False,
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
        source: Image, folder of images, quoted glob, video, rtsp address, or number of a webcam.
        out: Folder to write to.
        format: Some of png16, npz, color, normals, ply, glb and video, with commas between. By
            default png16,color; video for a video.
        resolution: Size the network sees, height and width in pixels; multiples of 32. By default
            that of the training.
        temporal: Blend each frame of a video with those before it, so that depth does not flicker.
        intrinsics: Camera of normals, ply and glb: fx, fy, cx and cy in pixels of the upright
            image.
        hfov_degrees: Instead: its horizontal field of view; by default 60.
        mesh: Triangles in place of points, in ply and glb.
        max_frames: Stop a video or camera after so many.
        engine: Predict here, or images on all GPUs or processors of a Ray cluster, whose machines
            see weights, images and output under the same paths.
        overwrite: Replace files that were made of another input, with other weights or options.
        trust: Ask the Hugging Face hub for an encoder that old WEIGHTS only name; you trained them
            yourself.

    Raises:
        FileExistsError: If a file of the output may not be replaced; nothing is written then.
        FileNotFoundError: If there is nothing at `source`.
        ValueError: If `source` holds nothing that can be read, or a format does not fit it.
    """
    camera = CameraSpec(intrinsics=intrinsics, hfov_degrees=hfov_degrees)
    weights, source, wanted = _words(weights, source, out)
    if max_frames is not None and max_frames < 1:
        raise ValueError(f"max_frames must be 1 or more, got {max_frames}")
    named = weights.source if isinstance(weights, Predictor) else str(Path(weights))
    live = is_live(source) and not Path(source).exists()
    here, folder = Path(source) if live else local_path(source), wanted
    moving = live or is_film(here)
    formats = FOR_VIDEOS if moving else FOR_IMAGES
    if format is not None:
        formats = tuple(dict.fromkeys(format.split(",")))
    _check(formats, here, folder, engine, moving=moving)
    images = {} if moving else find_images(here, LONGEST_SUFFIX)
    if intrinsics is not None:
        sizes = [size for size in map(_size_of, images.values()) if any(size)]
        camera = replace(camera, of_size=size_of_camera(intrinsics, sizes))
    if engine == "ray":  # a worker may stand in another folder
        if not isinstance(weights, Predictor) and Path(weights).exists():
            weights = Path(weights).resolve()
        folder = folder.resolve()
        images = {name: image.resolve() for name, image in images.items()}
    open_job = partial(
        _open_job, weights, resolution, live=live, trust=trust, camera=camera, temporal=temporal,
        out=folder, formats=formats, writer=WriterOptions(mesh=mesh), overwrite=overwrite,
        max_frames=max_frames, levels=gray_levels([*images.values()]),
    )  # fmt: skip
    if not moving:
        summary = _images(open_job, images, here, on_ray=engine == "ray")
    elif live:
        frames = (replace(frame, number=i) for i, frame in enumerate(read_live(source)))
        summary = _film(open_job(), CAMERA, frames, None, fps=LIVE_FPS)
    else:
        name, info, notes = fitting_name(here.stem, LONGEST_SUFFIX), video_info(here), VideoNotes()
        frames = read_chosen_frames(here, lambda _: True, notes)
        summary = _film(open_job(), name, frames, here, fps=info.fps, frames_in_all=info.frames)
        summary = replace(summary, notes=tuple(f"{here}: {line}" for line in notes.lines))
    if not summary.written:
        raise ValueError("nothing could be read: " + "; ".join(summary.skipped[:5]))
    return replace(summary, weights=named, out=wanted)


def _words(
    weights: str | Path | Predictor, source: str | Path | None, out: str | Path | None
) -> tuple[str | Path | Predictor, str, Path]:
    """Weights, input and folder; of two words the weights are those of the package."""
    if source is not None and out is not None:
        return weights, str(source), Path(out)
    is_weights = isinstance(weights, Predictor) or looks_like_weights(Path(weights))
    if source is None or is_weights:
        got = " and ".join(repr(str(word)) for word in (weights, source) if word) or "none"
        raise ValueError(
            f"predict takes [WEIGHTS] INPUT OUT, such as ssmde predict photo.jpg out, got {got}"
        )
    return DEFAULT_WEIGHTS, str(weights), Path(source)


def _check(formats: Iterable[str], source: Path, out: Path, engine: str, *, moving: bool) -> None:
    if moving and engine == "ray":
        raise ValueError(
            f"--engine ray shares images among its workers, {source} is a video or a camera: "
            "leave --engine out"
        )
    if not moving and source.is_dir() and source.resolve() == out.resolve():
        raise ValueError(f"{out} is the input folder: choose another folder for the output")
    for name in formats:
        if name in FORMER_FORMATS:
            raise ValueError(f"format {name!r} is no more: {FORMER_FORMATS[name]}")
        if name not in FORMATS:
            raise ValueError(f"unknown format {name!r}: choose from {', '.join(FORMATS)}")
        if name == VIDEO and not moving:
            raise ValueError(
                f"format {name!r} needs a video file ({', '.join(VIDEO_SUFFIXES)}), got {source}: "
                "choose color, or make a video of the images first"
            )


def _size_of(image: Path) -> tuple[int, int]:
    """Height and width; 0, 0 where it cannot be read, as is said by who reads it."""
    try:
        return read_size(image)
    except (ImageError, OSError):
        return 0, 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What is to be done with every image or frame."""

    predictor: Predictor
    camera: ToldCamera
    temporal: bool  # blend each frame of a video with those before it
    batch_size: int
    out: Path  # folder that exists when something is written
    formats: tuple[str, ...]
    writer: WriterOptions
    way: str  # digest of the network and the options: with the source, the mark of a file
    overwrite: bool
    max_frames: int | None
    levels: tuple[int, int] | None  # of all 16-bit gray images: see `gray_levels`

    def mark(self, source: Path | None, *, max_frames: int | None = None) -> str:
        """The mark of what is made of an image, a video or, without a source, a camera."""
        found = None if source is None else identity(source)
        return mark_of(way=self.way, source=found, max_frames=max_frames)

    def done(self, paths: Iterable[Path], mark: str) -> bool:
        """As `ssmde.outputs.done_or_free`."""
        return done_or_free(paths, mark, overwrite=self.overwrite)

    def files(self, name: str) -> list[Path]:
        """The files of one image or frame."""
        return [*frame_files(self.out, name, self.formats)]

    def write(self, name: str, frame: PredictedFrame, source: Path | None) -> list[Path]:
        """Write the files of one image or frame."""
        with recorded(self.mark(source)):
            return write_frame(self.out, name, frame, self.formats, self.writer)

    def begin(self) -> None:
        """Make the folder, and write what its files have in common."""
        explain = "png16" in self.formats and not self.done([self.out / DEPTH_FILE], self.way)
        sweep(self.out, DEPTH_FILE.__eq__)
        self.out.mkdir(parents=True, exist_ok=True)
        if explain:
            with recorded(self.way):
                explain_png16(self.out, self.predictor.info)

    def predict(
        self, images: Iterable[tuple[Name, Pixels]]
    ) -> Iterator[tuple[Name, PredictedFrame]]:
        """Each image with its depth and camera; the images have nothing to do with each other."""
        named, seen = tee(images)  # which keeps those that the network has not answered yet
        pixels_of = (pixels for _, pixels in seen)
        found = self.predictor.predict_many(pixels_of, batch_size=self.batch_size)
        for one, (name, pixels) in zip(found, named, strict=False):  # the network reads first
            yield name, PredictedFrame(
                pixels=pixels, depth=one.depth, info=self.predictor.info,
                intrinsics=self.camera.matrix((pixels.shape[0], pixels.shape[1])),
            )  # fmt: skip


def _open_job(
    weights: str | Path | Predictor, resolution: tuple[int, int] | None, *, live: bool, trust: bool,
    camera: CameraSpec, **job: Any,
) -> Job:  # fmt: skip
    """What is to be done, with the network; it says what camera it takes where one is needed."""
    if not isinstance(weights, Predictor):
        weights = load(weights, resolution=resolution, trust=trust)
    if resolution is not None and weights.image_size != resolution:
        weights = weights.at(resolution)
    needed = any(FORMATS[name].needs_camera for name in job["formats"])
    way = mark_of(
        network=network_mark(weights), camera=asdict(camera), writer=asdict(job["writer"]),
        temporal=job["temporal"], levels=job["levels"],  # another image may change them
        now=[time.time_ns(), os.getpid()] if live else None,  # of a camera nothing is done twice
    )  # fmt: skip
    told = ToldCamera(spec=camera, say=partial(print, file=sys.stderr) if needed else None)
    return Job(predictor=weights, camera=told, batch_size=1 if live else BATCH_SIZE, way=way, **job)


def network_mark(predictor: Predictor) -> str:
    """Digest of all that decides what a predictor says: layers, weights, sizes, unit."""
    network, content = predictor.network, hashlib.sha256()
    if isinstance(network, EngineNetwork):
        parts = [f for f in (network.path, network.path.with_suffix(".bin")) if f.is_file()]
        content.update("".join(map(digest_of, parts)).encode())
    else:
        content.update(f"{type(network).__qualname__} {network}".encode())
        for name, tensor in network.state_dict().items():
            values = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            content.update(name.encode() + values.numpy().tobytes())
    facts = asdict(replace(predictor.info, source=""))
    return mark_of(network=content.hexdigest(), facts=facts, sizes=predictor.more_sizes)


def _images(open_job: Callable[[], Job], images: Images, source: Path, *, on_ray: bool) -> Summary:
    """Those images whose files are not there yet; killed parts beside them are removed."""
    job = open_job()
    files = {name: job.files(name) for name in images}
    everything = {*chain.from_iterable(files.values())}
    todo = {n: image for n, image in images.items() if not job.done(files[n], job.mark(image))}
    for folder in {path.parent for path in everything}:
        sweep(folder, lambda name, folder=folder: folder / name in everything)
    job.begin()
    skipped = dict[str, str]()
    if on_ray and todo:
        # Images of a lost worker are done once more: files are replaced whole, by equal ones.
        items = iter(todo.items())
        pieces = list(iter(lambda: dict(islice(items, PIECE)), {}))
        with bars() as progress:
            task = progress.add_task("predicting", total=len(todo))
            for piece, found in work_on_ray(open_job, predict_images, pieces, lost=_say_lost):
                skipped |= found
                progress.advance(task, len(piece))
    else:
        skipped = predict_images(job, todo)
    notes = stretch_note(job.levels)
    if source.is_dir() and (others := left_out(source, READABLE)):
        notes.append(f"{source}: left out: {others}")
    return Summary(
        written=tuple(path for name in images if name not in skipped for path in files[name]),
        skipped=tuple(skipped.values()), notes=tuple(notes),
        present=sum(len(files[name]) for name in images if name not in todo),
    )  # fmt: skip


def predict_images(job: Job, images: Images) -> dict[str, str]:
    """Write the files of every image; those that cannot be read, with the reason."""
    skipped = dict[str, str]()

    def read(image: Path) -> Pixels | str:
        try:
            return read_image(image, levels=job.levels)
        except ImageError as error:
            return str(error)

    def readable() -> Iterator[tuple[str, Pixels]]:
        names = with_bar(images, "predicting", len(images), show=bool(images))
        found = read_ahead(images.values(), read, lambda image: prod(_size_of(image)))
        for name, pixels in zip(names, found, strict=True):
            if isinstance(pixels, str):
                skipped[name] = pixels
                continue
            try:
                job.camera.matrix((pixels.shape[0], pixels.shape[1]))
            except ValueError as error:
                skipped[name] = f"{images[name]}: {error}"
            else:
                yield name, pixels

    for name, frame in job.predict(readable()):
        job.write(name, frame, images[name])
    return skipped


def _say_lost(images: Images, tries: int) -> str:
    which = f"{counted(len(images), 'image')} from {min(images)} on"
    return f"a worker was lost {tries} times over {which}; what was written so far is kept"


def _film(
    job: Job, name: str, frames: Iterable[VideoFrame], source: Path | None, *, fps: float,
    frames_in_all: int | None = None,
) -> Summary:  # fmt: skip
    """Files of every frame, and a film of them, unless all are there; parts of killed runs go.

    `fps` is for frames without a time. Without a source they are live: Ctrl-C ends them, with what
    was written kept.
    """
    count = min((n for n in (frames_in_all, job.max_frames) if n), default=None)
    mark = job.mark(source, max_frames=job.max_frames)
    film = [job.out / f"{name}{FORMATS[VIDEO].suffix}"] if VIDEO in job.formats else []
    suffixes = [FORMATS[key].suffix for key in job.formats if key != VIDEO]
    endings = "|".join(map(re.escape, suffixes))
    numbered = re.compile(rf"{re.escape(name)}_([0-9]{{6,}})({endings})", re.DOTALL)

    def is_frame(file: str) -> bool:
        found = numbered.fullmatch(file) if suffixes else None
        return found is not None and (count is None or int(found[1]) < count)

    there = [path for path in sorted(job.out.glob("*")) if is_frame(path.name)]
    done = all([job.done(film, mark), job.done(there, job.mark(source))])  # both may refuse
    sweep(job.out, lambda file: job.out / file in film or is_frame(file))
    job.begin()
    if done and (not suffixes or (count and len(there) == count * len(suffixes))):
        return Summary(written=(*film, *there), present=len(film) + len(there))
    written, ends, smoother = [*film], None, None
    read = with_bar(islice(frames, job.max_frames), "predicting", count)
    with ExitStack() as stack:
        with recorded(mark):
            appends = [stack.enter_context(write_film(path, fps)) for path in film]
        if source is None:
            stack.enter_context(suppress(KeyboardInterrupt))
        for frame, found in job.predict((frame, frame.pixels) for frame in read):
            depth = found.depth
            if frame.begins:  # another scene: nothing is carried over
                ends = smoother = None
            if job.temporal:
                smoother = smoother or Smoother(job.predictor.size_for(depth.shape))
                depth = smoother.smooth(found.pixels, depth)
            ends = color_ends(depth, ends)  # steady ones
            found = replace(found, depth=depth, time=frame.time, ends=ends)
            for append in appends:
                append(found)
            written += job.write(f"{name}_{frame.number:06d}", found, source)
    return Summary(written=tuple(written))
