"""Video files: frames in, frames out, one at a time, so that length costs no memory."""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from jaxtyping import UInt8

from ssmde.data.opening import MOST_PIXELS, too_many_pixels
from ssmde.io import whole_file

VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".wmv")
FALLBACK_FPS = 25.0  # for streams that state no rate
CODECS = ("libx264", "mpeg4")  # the first one that this PyAV was built with
QUALITY = {"libx264": {"crf": "20"}, "mpeg4": {"qscale": "3"}}


class VideoError(ValueError):
    """A file that should hold a video and does not, or not all of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoInfo:
    """What the head of a video file says."""

    fps: float
    """Frames a second, on average."""
    frames: int
    """Number of frames; 0 if the file does not say."""
    size: tuple[int, int] = (0, 0)
    """Height and width of a frame as it is stored, in pixels."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """What the recorder wrote about the film, such as the make of the camera."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class VideoFrame:
    """One frame of a video, upright as a player shows it."""

    number: int
    """Place in the order in which frames are shown, from 0."""
    time: float | None
    """When it is shown, in seconds; None if the file does not say."""
    pixels: UInt8[np.ndarray, "h w 3"]
    """RGB."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GreyFrame:
    """A small picture of one frame, upright."""

    time: float | None
    """When it is shown, in seconds; None if the file does not say."""
    grey: UInt8[np.ndarray, "h w"]
    """Brightness, 0 to 255."""


def video_info(path: Path) -> VideoInfo:
    """Rate, length and tags of a video, from its head.

    Raises:
        VideoError: If the file is missing or no video.
    """
    with _open(path) as (container, stream):
        rate = stream.average_rate or stream.guessed_rate
        return VideoInfo(
            fps=float(rate) if rate else FALLBACK_FPS,
            frames=stream.frames,
            size=(stream.codec_context.height, stream.codec_context.width),
            tags={**container.metadata, **stream.metadata},
        )


def read_frames(path: Path) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Frames of a video in the order they are shown: RGB, upright as a player shows them.

    Raises:
        VideoError: If the file is missing or no video; after the last good frame, if the rest
            cannot be decoded.
    """
    return (frame.pixels for frame in read_chosen_frames(path, lambda _: True))


def read_chosen_frames(path: Path, wanted: Callable[[int], bool]) -> Generator[VideoFrame]:
    """Those frames of a video whose number is wanted, with their times.

    Args:
        path: The file.
        wanted: Says of a frame's number whether it is wanted; the others cost no conversion.

    Raises:
        VideoError: As `read_frames`.
    """
    with closing(_decode(path)) as frames:
        for number, (frame, turn) in enumerate(frames):
            if wanted(number):
                pixels = np.rot90(frame.to_ndarray(format="rgb24"), turn)
                yield VideoFrame(
                    number=number, time=frame.time, pixels=np.ascontiguousarray(pixels)
                )


def read_grey_frames(path: Path, longest_side: int) -> Iterator[GreyFrame]:
    """Every frame of a video as a small grey picture: quick to go through.

    Args:
        path: The file.
        longest_side: Of the pictures, in pixels; a smaller video stays as it is.

    Raises:
        VideoError: As `read_frames`.
    """
    with closing(_decode(path)) as frames:
        for frame, turn in frames:
            scale = min(1, longest_side / max(frame.width, frame.height))
            small = frame.reformat(
                width=max(1, round(frame.width * scale)),
                height=max(1, round(frame.height * scale)),
                format="gray",
                interpolation="AREA",
            )
            grey = np.rot90(small.to_ndarray(), turn)
            yield GreyFrame(time=frame.time, grey=np.ascontiguousarray(grey))


def _decode(path: Path) -> Generator[tuple[Any, int]]:
    """Frames as PyAV gives them, and how many quarter turns counter-clockwise set them upright."""
    count = 0
    with _open(path) as (container, stream):
        try:
            for frame in container.decode(stream):
                _check_size(path, frame.width, frame.height)  # it may change within a film
                yield frame, round(getattr(frame, "rotation", 0) / 90)
                count += 1
        except av.error.FFmpegError as error:
            raise VideoError(
                f"{path}: cannot be decoded after frame {count} ({error.strerror}); "
                "copy or record it again"
            ) from error
    if count == 0:
        raise VideoError(f"{path}: the video has no frame; copy or record it again")


@contextmanager
def write_video(path: Path, fps: float) -> Generator[Callable[[UInt8[np.ndarray, "h w 3"]], None]]:
    """Function that appends a frame (RGB, all of one size) to an MP4 file.

    The file appears under its name when the block ends well, and not at all when it fails. A last
    row or column is repeated where a side is odd, because players want even sides.

    Args:
        path: File to write; its folder exists.
        fps: Frames a second.
    """
    codec = next(name for name in CODECS if name in av.codecs_available)
    with whole_file(path) as part, av.open(str(part), "w", format="mp4") as container:
        stream: Any = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001))
        stream.pix_fmt = "yuv420p"
        stream.options = QUALITY[codec]
        opened = False

        def append(pixels: UInt8[np.ndarray, "h w 3"]) -> None:
            nonlocal opened
            height, width = pixels.shape[:2]
            even = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            if not opened:
                stream.height, stream.width = even.shape[:2]
                opened = True
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
            container.mux(stream.encode(frame))

        yield append
        if opened:
            container.mux(stream.encode(None))


@contextmanager
def _open(path: Path) -> Generator[tuple[Any, Any]]:
    """The opened file and its first video stream; what cannot be opened is a `VideoError`."""
    if not path.is_file():
        raise VideoError(f"{path}: no such file")
    try:
        container = av.open(str(path), metadata_errors="replace")
    except av.error.FFmpegError as error:
        raise VideoError(f"{path}: is no video that can be read ({error.strerror})") from error
    with container:
        if not container.streams.video:
            raise VideoError(f"{path}: holds no video stream")
        stream = container.streams.video[0]
        context: Any = stream.codec_context
        if context is None:
            raise VideoError(f"{path}: no decoder is known for its video stream")
        _check_size(path, context.width, context.height)
        context.options = {"max_pixels": str(MOST_PIXELS)}  # FFmpeg's own check of each frame
        yield container, stream


def _check_size(path: Path, width: int, height: int) -> None:
    if reason := too_many_pixels((height, width)):
        raise VideoError(f"{path}: a frame {reason}")
