"""The work itself: every image or frame into every format that was asked for, here or on Ray."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from ssmde.cluster import work_on_ray
from ssmde.console import counted, with_bar
from ssmde.data.images import ImageError, read_image, read_size, stretch_note
from ssmde.data.video import VideoFrame
from ssmde.inference.input import read_ahead, to_pixels
from ssmde.inference.pipeline import Pipeline, Pixels
from ssmde.inference.predictor import PredictedFrame
from ssmde.inference.writers import FilmFormat, WriterOptions, films, frame_files, write_frame
from ssmde.outputs import done_or_free, identity, mark_of, recorded

LIKELY_SIZE = (4000, 6000)  # of an image at an address, in pixels
PIECE = 32  # images for a Ray worker: a few seconds, so that unlike machines end together
Images = Mapping[str, Path | str]
"""Paths or addresses by the name of the output."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """What became of an input."""

    written: tuple[Path, ...]
    """Files with depth, in the order of the input."""
    skipped: tuple[str, ...] = ()
    """Files that could not be read, with the reason."""
    present: int = 0
    """How many of the files were there before, made of the same in the same way."""
    notes: tuple[str, ...] = ()
    """What was noticed while the input was read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What is to be done with every image or frame."""

    pipeline: Pipeline
    out: Path
    """Folder that exists when something is written."""
    formats: tuple[str, ...]
    writer: WriterOptions
    way: str = ""
    """Digest of the network and the options: with the source, the mark of a file."""
    overwrite: bool = False
    """Files that were made of something else may be replaced."""
    max_frames: int | None = None
    """Of a video or camera."""
    levels: tuple[int, int] | None = None
    """Of 16-bit gray images, of all of them: see `gray_levels`."""

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
            return write_frame(self.out, name, frame, self.formats, self.writer)

    def frame_files(self, name: str) -> list[Path]:
        """The files that `write` writes."""
        return [path for path, _ in frame_files(self.out, name, self.formats)]

    def film_files(self, name: str) -> dict[Path, FilmFormat]:
        """The files that show all frames one after the other, with their formats."""
        return {self.out / f"{name}{k.suffix}": k for k in films(self.formats).values()}


def predict_images(job: Job, images: Images, recordings: Mapping[Path, FilmFormat]) -> Summary:
    """Files of every image, and of all of them; what cannot be read is named."""
    written, skipped = list[Path](), list[str]()
    with ExitStack() as stack:
        with recorded(job.mark_of_all(images)):
            opened = [
                (path, stack.enter_context(kind.open(path, 1.0, None)))
                for path, kind in recordings.items()
            ]
        items = with_bar(images.items(), "predicting", len(images))
        for name, frame in predicted_images(job, items, skipped):
            for path, append in opened:
                append(frame)
                written.append(path)
            written += job.write(name, frame, images[name])
    return Summary(
        written=tuple(dict.fromkeys(written)), skipped=tuple(skipped),
        notes=tuple(stretch_note(job.levels)),
    )  # fmt: skip


def predicted_images(
    job: Job, images: Iterable[tuple[str, Path | str]], skipped: list[str]
) -> Iterator[tuple[str, PredictedFrame]]:
    """Name and prediction of every image; why others cannot be read goes to `skipped`."""
    names: list[str] = []

    def read(item: tuple[str, Path | str]) -> tuple[str, Path | str, Pixels | str]:
        name, path = item
        try:
            is_file = isinstance(path, Path)
            return name, path, read_image(path, levels=job.levels) if is_file else to_pixels(path)
        except ImageError as error:
            return name, path, str(error)

    def readable() -> Iterator[Pixels]:
        for name, file, found in read_ahead(images, read, pixels=_count_pixels):
            if isinstance(found, str):
                skipped.append(found)
            elif fault := job.pipeline.fault_of((found.shape[0], found.shape[1])):
                skipped.append(f"{file}: {fault}")
            else:
                names.append(name)
                yield found

    for frame in job.pipeline.predict_images(readable()):
        yield names.pop(0), frame


def _count_pixels(item: tuple[str, Path | str]) -> int:
    """How many pixels an image has; of an address nobody knows before it is fetched."""
    try:
        height, width = read_size(item[1]) if isinstance(item[1], Path) else LIKELY_SIZE
    except (ImageError, OSError):  # said by who reads it
        return 0
    return height * width


def predict_on_ray(
    open_job: Callable[[], Job], job: Job, images: Images, *, piece_size: int = PIECE
) -> Summary:
    """Files of every image by the workers of a Ray cluster; see `ssmde.cluster`.

    Each GPU of the cluster, or each processor where it has none, holds the network. All machines
    must see images and output under the same paths. A worker makes its own job with `open_job`, and
    gets `piece_size` images at a time; those of a lost worker are done once more, from their start:
    files are replaced whole, by equal ones.

    Raises:
        ImportError: If Ray is not installed.
        RuntimeError: If a piece of work loses its worker again and again.
    """
    items = iter(images.items())
    pieces = list(iter(lambda: dict(islice(items, piece_size)), {}))
    good, skipped = set[str](), list[str]()

    def done() -> Iterator[str]:
        for piece, (names, reasons) in work_on_ray(open_job, predict_piece, pieces, lost=_say_lost):
            good.update(names)
            skipped.extend(reasons)
            yield from piece

    for _ in with_bar(done(), "predicting", len(images)):
        pass
    written = chain.from_iterable(job.frame_files(name) for name in images if name in good)
    return Summary(written=tuple(written), skipped=tuple(skipped))


def predict_piece(job: Job, images: Images) -> tuple[list[str], list[str]]:
    """Write the files of some images; the names of those that were read, and why others not."""
    good, skipped = list[str](), list[str]()
    for name, frame in predicted_images(job, images.items(), skipped):
        job.write(name, frame, images[name])
        good.append(name)
    return good, skipped


def _say_lost(images: Images, tries: int) -> str:
    names = list(images)
    return (
        f"a worker was lost {tries} times over {counted(len(names), 'image')}, {names[0]} to "
        f"{names[-1]}; what was written so far is kept"
    )


def predict_film(
    job: Job,
    name: str,
    frames: Iterable[VideoFrame],
    source: Path | str,
    *,
    mark: str,
    fps: float,
    count: int | None,
    sound_of: Path | None = None,
    ends_by: Sequence[type[BaseException]] = (),
) -> list[Path]:
    """Files of every frame of a video or camera, and of all of them under a mark of their own.

    Args:
        job: What to do.
        name: Of the files.
        frames: To predict.
        source: Where they come from.
        mark: Of the files of all frames.
        fps: Frames a second, for frames without a time.
        count: How many frames there will be; None if nobody knows.
        sound_of: The video whose sound is wanted.
        ends_by: What may end the frames, with what was written kept.
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
                written += job.write(frame_name(name, number), frame, source)
    return written


def frame_name(stem: str, number: int) -> str:
    """Name of the files of a frame of a video."""
    return f"{stem}_{number:06d}"
