"""Video files: frames in, frames out, one at a time, so that length costs no memory."""

import re
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from jaxtyping import UInt8

from ssmde.data.decoding import VideoError, VideoNotes, decode, open_film, rate_of, size_of
from ssmde.data.opening import READABLE, phone_format
from ssmde.io import whole_file

__all__ = [
    "VIDEO_SUFFIXES", "GreyFrame", "VideoError", "VideoFrame", "VideoInfo", "VideoNotes", "is_film",
    "read_chosen_frames", "read_frames", "read_grey_frames", "video_info", "write_video",
]  # fmt: skip
VIDEO_SUFFIXES = (
    ".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".wmv",
    ".mts", ".m2ts", ".3gp", ".flv", ".vob", ".h264", ".hevc",
)  # fmt: skip
NO_FILMS = re.compile("tty|image2|_pipe|hls|concat|dash")  # formats of text, stills and lists
CODECS = ("libx264", "mpeg4")  # the first one that this PyAV was built with
QUALITY = {"libx264": {"crf": "20"}, "mpeg4": {"qscale": "3"}}


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoInfo:
    """What the head of a video file says."""

    fps: float
    """Frames a second, on average."""
    frames: int
    """Number of frames; 0 if the file does not say."""
    size: tuple[int, int] = (0, 0)
    """Height and width of a frame in square pixels, not turned."""
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
    begins: bool = False
    """True where it does not continue what was read before: after a pause, or at another size."""
    file: Path | None = None
    """The image file it is, where that can be copied; None in a video."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GreyFrame:
    """A small picture of one frame, upright."""

    time: float | None
    """When it is shown, in seconds; None if the file does not say."""
    grey: UInt8[np.ndarray, "h w"]
    """Brightness, 0 to 255."""
    number: int = 0
    """As in `VideoFrame`."""
    begins: bool = False
    """As in `VideoFrame`."""


def video_info(path: Path) -> VideoInfo:
    """Rate, length and tags of a video, from its head.

    Raises:
        VideoError: If the file is missing or no video.
    """
    with open_film(path) as (container, stream):
        return VideoInfo(
            fps=float(rate_of(stream)),
            frames=stream.frames,
            size=size_of(stream),
            tags={**container.metadata, **stream.metadata},
        )


def is_film(path: Path) -> bool:
    """Whether a file is a film: by its ending, or by what is in it where that is no picture."""
    if not path.is_file() or path.suffix.lower() in (*READABLE, ".txt", ".npy", ".npz"):
        return False
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return True
    if phone_format(path):  # FFmpeg shows its tiles as films
        return False
    try:
        with open_film(path) as (container, _):
            return not NO_FILMS.search(container.format.name)
    except VideoError:
        return False


def read_frames(path: Path) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Frames of a video in the order they are shown: RGB, upright as a player shows them.

    Raises:
        VideoError: If the file is missing, no video, or without a frame that can be decoded.
    """
    return (frame.pixels for frame in read_chosen_frames(path, lambda _: True))


def read_chosen_frames(
    path: Path, wanted: Callable[[int], bool], notes: VideoNotes | None = None
) -> Generator[VideoFrame]:
    """Those frames of a video whose number is wanted, with their times.

    Args:
        path: The file.
        wanted: Says of a frame's number whether it is wanted; the others cost no conversion.
        notes: Gets what was noticed.

    Raises:
        VideoError: As `read_frames`.
    """
    begins = False
    with closing(decode(path, notes)) as frames:
        for frame in frames:
            begins = begins or frame.begins
            if wanted(frame.number):
                yield VideoFrame(
                    number=frame.number, time=frame.time, pixels=frame.pixels(), begins=begins
                )
                begins = False


def read_grey_frames(
    path: Path, longest_side: int, notes: VideoNotes | None = None
) -> Iterator[GreyFrame]:
    """Every frame of a video as a small grey picture: quick to go through.

    Args:
        path: The file.
        longest_side: Of the pictures, in pixels; a smaller video stays as it is.
        notes: Gets what was noticed.

    Raises:
        VideoError: As `read_frames`.
    """
    with closing(decode(path, notes)) as frames:
        for frame in frames:
            yield GreyFrame(
                number=frame.number, time=frame.time, grey=frame.grey(longest_side),
                begins=frame.begins,
            )  # fmt: skip


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
