"""The work itself: every image or frame of an input into every format that was asked for."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

from ssmde.console import with_bar
from ssmde.data.grey import stretch_note
from ssmde.data.images import ImageError, read_image, read_size
from ssmde.data.video import VideoFrame, VideoNotes, read_chosen_frames, video_info
from ssmde.io import fitting_name
from ssmde.outputs import recorded
from ssmde.prediction.formats import LONGEST_SUFFIX, FilmFormat, films, write_frame
from ssmde.prediction.images import to_pixels
from ssmde.prediction.live import read_live
from ssmde.prediction.marks import Marks
from ssmde.prediction.pipeline import Following, Pipeline, Pixels
from ssmde.prediction.reading import read_ahead
from ssmde.prediction.shot import Shot, Style

LIVE_FPS = 25.0
"""Of a camera's film, for the length of its last frame."""
CAMERA = "camera"
"""Name of the files of a camera."""
LIKELY_SIZE = (4000, 6000)
"""Of an image at an address, in pixels."""
Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """What became of an input."""

    written: tuple[Path, ...]
    """Files with depth, in the order of the input."""
    skipped: tuple[str, ...]
    """Files that could not be read, with the reason."""
    present: int = 0
    """How many of the files were there before, made of the same in the same way."""
    notes: tuple[str, ...] = ()
    """What was noticed while a video was read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What is to be done with every image."""

    pipeline: Pipeline
    out: Path
    """Folder that exists."""
    formats: tuple[str, ...]
    style: Style
    marks: Marks
    """Of the files; see `ssmde.outputs`."""
    max_frames: int | None = None
    """Of a video or camera."""
    levels: tuple[int, int] | None = None
    """Of 16-bit grey images, of all of them: see `grey_levels`."""

    def write(self, name: str, shot: Shot, source: Path | str) -> list[Path]:
        """The files of one shot, of an image or a video."""
        with recorded(self.marks.of(source)):
            return write_frame(self.out, name, shot, self.formats, self.style)


def predict_images(job: Job, images: dict[str, Path | str], source: Path) -> Summary:
    """Every image, by the name of its output; what cannot be read is named.

    Args:
        job: What to do.
        images: Paths or addresses.
        source: What holds them, for the name of a recording.
    """
    written, skipped = list[Path](), list[str]()
    with ExitStack() as stack:
        recordings = _open_recordings(job, stack, images, source)
        items = with_progress(images.items(), len(images))
        for name, shot in shots_of_images(job, items, skipped):
            for path, append in recordings:
                append(shot)
                written.append(path)
            written += job.write(name, shot, images[name])
    notes = tuple(stretch_note(job.levels))
    return Summary(written=tuple(dict.fromkeys(written)), skipped=tuple(skipped), notes=notes)


def shots_of_images(
    job: Job, images: Iterable[tuple[str, Path | str]], skipped: list[str]
) -> Iterator[tuple[str, Shot]]:
    """Name and shot of every image; for those that cannot be read, the reason goes to `skipped`."""
    names: list[str] = []

    def good() -> Iterator[Pixels]:
        for name, file, found in read_ahead(
            images, partial(_read_image, job.levels), pixels=_pixels
        ):
            if isinstance(found, str):
                skipped.append(found)
            elif fault := job.pipeline.fault_of((found.shape[0], found.shape[1])):
                skipped.append(f"{file}: {fault}")
            else:
                names.append(name)
                yield found

    for shot in job.pipeline.image_shots(good()):
        yield names.pop(0), shot


def predict_video(job: Job, path: Path, name: str, source: str | Path) -> Summary:
    """Read, predict and write frame by frame; frames that cannot be decoded are left out.

    Args:
        job: What to do.
        path: The video.
        name: Of its outputs.
        source: Where the video comes from, for the marks: the path, or an address.
    """
    info, kinds, notes = video_info(path), films(job.formats), VideoNotes()
    following = Following(job.pipeline.predictor, job.pipeline.wishes)
    numbers: deque[int] = deque()

    def frames() -> Iterator[VideoFrame]:
        for frame in read_chosen_frames(path, lambda _: True, notes):
            numbers.append(frame.number)
            yield frame

    total = min(info.frames, job.max_frames or info.frames) or None
    shots = job.pipeline.video_shots(
        with_progress(islice(frames(), job.max_frames), total), following
    )
    written = [job.out / f"{name}{kind.suffix}" for kind in kinds.values()]
    with ExitStack() as stack:
        with recorded(job.marks.of(source, max_frames=job.max_frames)):
            appends = [
                stack.enter_context(kind.open(target, info.fps, path))
                for target, kind in zip(written, kinds.values(), strict=True)
            ]
        for shot in shots:
            written += _write_frame(job, shot, appends, frame_name(name, numbers.popleft()), source)
    return Summary(
        written=tuple(written), skipped=(), notes=tuple(f"{path}: {n}" for n in notes.lines)
    )


def predict_camera(job: Job, source: str) -> Summary:
    """Frames of a webcam or an rtsp address, until Ctrl-C or `max_frames`."""
    name, kinds = CAMERA, films(job.formats)
    written = [job.out / f"{name}{kind.suffix}" for kind in kinds.values()]
    following = Following(job.pipeline.predictor, job.pipeline.wishes)
    frames = islice(read_live(source), job.max_frames)
    shots = job.pipeline.video_shots(with_progress(frames, job.max_frames), following)
    with ExitStack() as stack:
        with recorded(job.marks.of(source)):
            appends = [
                stack.enter_context(kind.open(target, LIVE_FPS, None))
                for target, kind in zip(written, kinds.values(), strict=True)
            ]
        # Ctrl-C is how one ends a camera, so what was written is kept.
        with suppress(KeyboardInterrupt):
            for number, shot in enumerate(shots):
                written += _write_frame(job, shot, appends, frame_name(name, number), source)
    return Summary(written=tuple(written), skipped=())


def frame_name(stem: str, number: int) -> str:
    """Name of the files of a frame of a video."""
    return f"{stem}_{number:06d}"


def with_progress(items: Iterable[Item], total: int | None) -> Iterable[Item]:
    """The items, with a bar on stderr."""
    return with_bar(items, "predicting", total)


def _write_frame(
    job: Job, shot: Shot, appends: list[Callable[[Shot], None]], name: str, source: Path | str
) -> list[Path]:
    """Write a shot to open films and to files of its own; these files."""
    for append in appends:
        append(shot)
    return job.write(name, shot, source)


def recording_files(job: Job, source: Path) -> dict[Path, FilmFormat]:
    """The files that show all images of a source one after the other, with their formats."""
    name = fitting_name(source.stem or "images", LONGEST_SUFFIX)
    return {job.out / f"{name}{kind.suffix}": kind for kind in films(job.formats).values()}


def _open_recordings(
    job: Job, stack: ExitStack, images: dict[str, Path | str], source: Path
) -> list[tuple[Path, Callable[[Shot], None]]]:
    with recorded(job.marks.of_all(images)):
        return [
            (path, stack.enter_context(kind.open(path, 1.0, None)))
            for path, kind in recording_files(job, source).items()
        ]


def _pixels(item: tuple[str, Path | str]) -> int:
    """How many pixels an image has; of an address nobody knows before it is fetched."""
    try:
        height, width = read_size(item[1]) if isinstance(item[1], Path) else LIKELY_SIZE
    except (ImageError, OSError):  # said by who reads it
        return 0
    return height * width


def _read_image(
    levels: tuple[int, int] | None, item: tuple[str, Path | str]
) -> tuple[str, Path | str, Pixels | str]:
    name, path = item
    try:
        is_file = isinstance(path, Path)
        return name, path, read_image(path, levels=levels) if is_file else to_pixels(path)
    except ImageError as error:
        return name, path, str(error)
