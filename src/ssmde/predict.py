"""`ssmde predict`: depth of an image, a folder, a glob or a video, written to files.

Lean on purpose: neither the training engine nor a plotting window is imported, so that a first
prediction is quick.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Float, UInt8
from rich.console import Console
from rich.progress import track

from ssmde.data.images import ImageError, read_image
from ssmde.data.video import VIDEO_SUFFIXES, VideoError, read_frames, video_info, write_video
from ssmde.pictures import colourise, depth_range, side_by_side
from ssmde.prediction.formats import FORMATS, check_formats, explain_formats, write_frame
from ssmde.prediction.images import ImageLike
from ssmde.prediction.inputs import name_images
from ssmde.prediction.predictor import Prediction, Predictor, load
from ssmde.prediction.shot import Facts, Shot, Style

__all__ = [
    "FORMATS", "Facts", "ImageLike", "Prediction", "Predictor", "Shot", "Style", "Summary", "load",
    "predict_files", "write_frame",
]  # fmt: skip

Item = TypeVar("Item")
FOR_IMAGES = ("png16", "color")
FOR_VIDEOS = ("video",)
COLOUR_MEMORY = 0.9
"""Share of the former frame in the ends of a video's colours, so that they do not flicker."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """What became of an input."""

    written: tuple[Path, ...]
    """Files with depth, in the order of the input."""
    skipped: tuple[str, ...]
    """Files that could not be read, or not to their end, with the reason."""


def predict_files(
    weights: str | Path | Predictor,
    source: str | Path,
    out: str | Path,
    *,
    formats: Sequence[str] | None = None,
    resolution: tuple[int, int] | None = None,
) -> Summary:
    """Write the depth of every image or video frame of `source`, at its own size.

    Names and contents of the files: see `FORMATS`.

    Args:
        weights: Weights file, run folder, or a loaded predictor.
        source: An image, a folder of images, a glob such as `clips/**/*.jpg`, or a video.
        out: Folder to write to; made if absent.
        formats: Some of `FORMATS`; by default png16 and color for images, video for a video.
        resolution: Size (height, width) the network sees, if not its training size.

    Raises:
        FileNotFoundError: If there is nothing at `source`.
        ValueError: If `source` holds nothing that can be read, or a format does not fit it.
    """
    source, out = Path(source), Path(out)
    if source.is_dir() and source.resolve() == out.resolve():
        raise ValueError(f"{out} is the input folder: choose another folder for the output")
    is_video = source.suffix.lower() in VIDEO_SUFFIXES and source.is_file()
    chosen = tuple(formats) if formats else FOR_VIDEOS if is_video else FOR_IMAGES
    _check_formats(chosen, source, is_video=is_video)
    images = {} if is_video else name_images(source)
    predictor = _as_predictor(weights, resolution)
    out.mkdir(parents=True, exist_ok=True)
    explain_formats(out, predictor.facts, chosen)
    job = _Job(predictor=predictor, out=out, formats=chosen)
    summary = _predict_video(job, source) if is_video else _predict_images(job, images)
    if not summary.written:
        raise ValueError("nothing could be read: " + "; ".join(summary.skipped[:5]))
    return summary


@dataclass(frozen=True, kw_only=True, slots=True)
class _Job:
    """What is to be done with every image."""

    predictor: Predictor
    out: Path
    formats: tuple[str, ...]

    def shot(self, pixels: UInt8[np.ndarray, "h w 3"]) -> Shot:
        found = self.predictor.predict(pixels)
        return Shot(pixels=pixels, depth=found.depth, facts=self.predictor.facts)

    def write(self, name: str, shot: Shot) -> list[Path]:
        return write_frame(self.out, name, shot, self.formats)


def _predict_images(job: _Job, images: dict[str, Path]) -> Summary:
    written: list[Path] = []
    skipped: list[str] = []
    for name, path in _with_progress(images.items(), len(images)):
        try:
            pixels = read_image(path)
        except ImageError as error:
            skipped.append(str(error))
            continue
        written += job.write(name, job.shot(pixels))
    return Summary(written=tuple(written), skipped=tuple(skipped))


def _predict_video(job: _Job, path: Path) -> Summary:
    """Read, predict and write frame by frame; a video that breaks off keeps its good frames."""
    info = video_info(path)
    written: list[Path] = []
    skipped: list[str] = []
    frames = _until_broken(read_frames(path), skipped)
    shots = (job.shot(pixels) for pixels in _with_progress(frames, info.frames or None))
    if "video" not in job.formats:
        for i, shot in enumerate(shots):
            written += job.write(f"{path.stem}_{i:06d}", shot)
        return Summary(written=tuple(written), skipped=tuple(skipped))
    film = job.out / f"{path.stem}_depth.mp4"
    ends, count = (0.0, 0.0), 0
    with write_video(film, info.fps) as append:
        for shot in shots:
            ends = _follow(ends, shot.depth) if count else depth_range(shot.depth) or (1.0, 2.0)
            append(side_by_side([shot.pixels, colourise(shot.depth, near=ends[0], far=ends[1])]))
            written += job.write(f"{path.stem}_{count:06d}", shot)
            count += 1
    return Summary(written=(film, *written), skipped=tuple(skipped))


def _follow(ends: tuple[float, float], depth: Float[np.ndarray, "h w"]) -> tuple[float, float]:
    """Ends of the colours, moved a little towards those of the present frame."""
    now = depth_range(depth) or ends
    near, far = (
        COLOUR_MEMORY * before + (1 - COLOUR_MEMORY) * after
        for before, after in zip(ends, now, strict=True)
    )
    return near, far


def _until_broken(
    frames: Iterator[UInt8[np.ndarray, "h w 3"]], skipped: list[str]
) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """The good frames; the reason why there are no more goes to `skipped`."""
    count = 0
    try:
        for frame in frames:
            yield frame
            count += 1
    except VideoError as error:
        if count == 0:
            raise
        skipped.append(str(error))


def _check_formats(formats: Sequence[str], source: Path, *, is_video: bool) -> None:
    check_formats(formats)
    if "video" in formats and not is_video:
        raise ValueError(
            f"format 'video' needs a video file ({', '.join(VIDEO_SUFFIXES)}), got {source}: "
            "choose color, or make a video of the images first"
        )


def _as_predictor(weights: str | Path | Predictor, resolution: tuple[int, int] | None) -> Predictor:
    if not isinstance(weights, Predictor):
        return load(weights, resolution=resolution)
    return weights if resolution is None else weights.at(resolution)


def _with_progress(items: Iterable[Item], total: int | None) -> Iterable[Item]:
    console = Console(stderr=True)
    return track(items, "predicting", total=total, console=console, transient=True)
