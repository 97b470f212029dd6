"""The work itself: every image or frame of an input into every format that was asked for."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import track

from ssmde.data.images import ImageError, read_image, read_size
from ssmde.data.video import VideoError, VideoFrame, read_chosen_frames, video_info
from ssmde.prediction.formats import films, frame_files, write_frame
from ssmde.prediction.images import to_pixels
from ssmde.prediction.journal import FilmJournal, ImageJournal, describe_work
from ssmde.prediction.live import read_live
from ssmde.prediction.pipeline import Following, Pipeline, Pixels
from ssmde.prediction.reading import read_ahead
from ssmde.prediction.shot import Shot, Style

PART_FRAMES = 100
"""Frames of a part of a film: what an interruption costs at most."""
LIVE_FPS = 25.0
"""Of a camera's film, for the length of its last frame."""
LIKELY_SIZE = (4000, 6000)
"""Of an image at an address, in pixels."""
Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """What became of an input."""

    written: tuple[Path, ...]
    """Files with depth, in the order of the input."""
    skipped: tuple[str, ...]
    """Files that could not be read, or not to their end, with the reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What is to be done with every image."""

    pipeline: Pipeline
    out: Path
    """Folder that exists."""
    formats: tuple[str, ...]
    style: Style
    max_frames: int | None = None
    """Of a video or camera."""

    def work(self, source: Path) -> str:
        """All that decides what comes out, for a journal."""
        options: dict[str, Any] = {
            "formats": self.formats,
            "style": asdict(self.style),
            "wishes": asdict(self.pipeline.wishes),
            "max_frames": self.max_frames,
        }
        return describe_work(self.pipeline.predictor, source, options)

    def write(self, name: str, shot: Shot) -> list[Path]:
        """The files of one shot."""
        return write_frame(self.out, name, shot, self.formats, self.style)


def predict_images(job: Job, images: dict[str, Path | str], source: Path) -> Summary:
    """Every image, by the name of its output; what cannot be read is named.

    Args:
        job: What to do.
        images: Paths or addresses.
        source: What holds them, for the journal and the name of a recording.
    """
    written, skipped = list[Path](), list[str]()
    journal = ImageJournal(job.out, job.work(source)) if not films(job.formats) else None
    done = journal.done if journal else set[str]()
    left = [item for item in images.items() if item[0] not in done]

    with ExitStack() as stack:
        recordings = _open_recordings(job, stack, source)
        for name, shot in shots_of_images(job, with_progress(left, len(left)), skipped):
            for path, append in recordings:
                append(shot)
                written.append(path)
            written += job.write(name, shot)
            if journal:
                journal.add(name)
    if journal:
        journal.close()
        before = [frame_files(job.out, name, job.formats) for name in images if name in done]
        written = [path for files in before for path, _ in files] + written
    return Summary(written=tuple(dict.fromkeys(written)), skipped=tuple(skipped))


def shots_of_images(
    job: Job, images: Iterable[tuple[str, Path | str]], skipped: list[str]
) -> Iterator[tuple[str, Shot]]:
    """Name and shot of every image; for those that cannot be read, the reason goes to `skipped`."""
    names: list[str] = []

    def good() -> Iterator[Pixels]:
        for name, found in read_ahead(images, _read_image, pixels=_pixels):
            if isinstance(found, str):
                skipped.append(found)
            else:
                names.append(name)
                yield found

    for shot in job.pipeline.image_shots(good()):
        yield names.pop(0), shot


def predict_video(job: Job, path: Path) -> Summary:
    """Read, predict and write frame by frame; a video that breaks off keeps its good frames.

    Films are written in parts, and a part that is done stays when the work is interrupted.
    """
    info, kinds = video_info(path), films(job.formats)
    journal = FilmJournal(job.out / f".{path.stem}.parts", job.work(path))
    following = Following(job.pipeline.predictor, job.pipeline.wishes)
    following.restore(journal.carried)
    skipped, first, last = list[str](), journal.frames, job.max_frames
    frames = until_broken(read_chosen_frames(path, lambda n: n >= first), skipped, first)
    shots = job.pipeline.video_shots(
        with_progress(
            islice(frames, None if last is None else max(0, last - first)),
            max(0, min(info.frames, last or info.frames) - first) or None,
        ),
        following,
    )
    in_parts = all(kind.join for kind in kinds.values())
    while (head := next(shots, None)) is not None:
        part = chain([head], islice(shots, PART_FRAMES - 1) if in_parts else shots)
        with ExitStack() as stack:
            appends = [
                stack.enter_context(kind.open(journal.next_part(kind.suffix), info.fps))
                for kind in kinds.values()
            ]
            count = _write_frames(job, part, appends, path.stem, journal.frames)
        start = journal.frames / info.fps if head.time is None else head.time
        journal.commit(count, start, following.state())
    done = journal.frames
    written = [job.out / f"{path.stem}{kind.suffix}" for kind in kinds.values()] if done else []
    for target, kind in zip(written, kinds.values(), strict=False):
        if kind.join is not None:
            kind.join(journal.parts(kind.suffix), target, path)
        else:
            journal.parts(kind.suffix)[0].path.replace(target)
    names = [frame_name(path.stem, i) for i in range(done)]
    journal.close()
    written += [p for name in names for p, _ in frame_files(job.out, name, job.formats)]
    return Summary(written=tuple(written), skipped=tuple(skipped))


def predict_camera(job: Job, source: str) -> Summary:
    """Frames of a webcam or an rtsp address, until Ctrl-C or `max_frames`."""
    name, kinds = "camera", films(job.formats)
    written = [job.out / f"{name}{kind.suffix}" for kind in kinds.values()]
    following = Following(job.pipeline.predictor, job.pipeline.wishes)
    frames = islice(read_live(source), job.max_frames)
    shots = job.pipeline.video_shots(with_progress(frames, job.max_frames), following)
    count = 0
    with ExitStack() as stack:
        appends = [
            stack.enter_context(kind.open(target, LIVE_FPS))
            for target, kind in zip(written, kinds.values(), strict=True)
        ]
        # Ctrl-C is how one ends a camera, so what was written is kept.
        with suppress(KeyboardInterrupt):
            for shot in shots:
                _write_frames(job, [shot], appends, name, count)
                count += 1
    names = [frame_name(name, i) for i in range(count)]
    written += [p for name in names for p, _ in frame_files(job.out, name, job.formats)]
    return Summary(written=tuple(written), skipped=())


def frame_name(stem: str, number: int) -> str:
    """Name of the files of a frame of a video."""
    return f"{stem}_{number:06d}"


def with_progress(items: Iterable[Item], total: int | None) -> Iterable[Item]:
    """The items, with a bar on stderr."""
    console = Console(stderr=True)
    return track(items, "predicting", total=total, console=console, transient=True)


def until_broken(
    frames: Iterator[VideoFrame], skipped: list[str], first: int
) -> Iterator[VideoFrame]:
    """The good frames; the reason why there are no more goes to `skipped`."""
    count = first
    try:
        for frame in frames:
            yield frame
            count += 1
    except VideoError as error:
        if count == 0:
            raise
        skipped.append(str(error))


def _write_frames(
    job: Job, shots: Iterable[Shot], appends: list[Callable[[Shot], None]], stem: str, first: int
) -> int:
    """Write shots to open films and to files of their own; how many there were."""
    count = 0
    for shot in shots:
        for append in appends:
            append(shot)
        job.write(frame_name(stem, first + count), shot)
        count += 1
    return count


def _open_recordings(
    job: Job, stack: ExitStack, source: Path
) -> list[tuple[Path, Callable[[Shot], None]]]:
    paths = {job.out / f"{source.stem or 'images'}{kind.suffix}": kind
             for kind in films(job.formats).values()}  # fmt: skip
    return [(path, stack.enter_context(kind.open(path, 1.0))) for path, kind in paths.items()]


def _pixels(item: tuple[str, Path | str]) -> int:
    """How many pixels an image has; of an address nobody knows before it is fetched."""
    try:
        height, width = read_size(item[1]) if isinstance(item[1], Path) else LIKELY_SIZE
    except (ImageError, OSError):  # said by who reads it
        return 0
    return height * width


def _read_image(item: tuple[str, Path | str]) -> tuple[str, Pixels | str]:
    name, path = item
    try:
        return name, read_image(path) if isinstance(path, Path) else to_pixels(path)
    except ImageError as error:
        return name, str(error)
