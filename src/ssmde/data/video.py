"""Video files: frames in, frames out, one at a time, so that length costs no memory."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from jaxtyping import UInt8

from ssmde.data.images import whole_file

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


def video_info(path: Path) -> VideoInfo:
    """Rate and length of a video, from its head.

    Raises:
        VideoError: If the file is missing or no video.
    """
    with _open(path) as (_, stream):
        rate = stream.average_rate or stream.guessed_rate
        return VideoInfo(fps=float(rate) if rate else FALLBACK_FPS, frames=stream.frames)


def read_frames(path: Path) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Frames of a video in the order they are shown: RGB, upright as a player shows them.

    Raises:
        VideoError: If the file is missing or no video; after the last good frame, if the rest
            cannot be decoded.
    """
    count = 0
    with _open(path) as (container, stream):
        try:
            for frame in container.decode(stream):
                turn = round(getattr(frame, "rotation", 0) / 90)  # counter-clockwise, as rot90
                yield np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), turn))
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
        container = av.open(str(path))
    except av.error.FFmpegError as error:
        raise VideoError(f"{path}: is no video that can be read ({error.strerror})") from error
    with container:
        if not container.streams.video:
            raise VideoError(f"{path}: holds no video stream")
        yield container, container.streams.video[0]
