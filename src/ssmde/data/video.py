"""Video files: frames in, one at a time, so that length costs no memory.

Frames are those that a player shows: of the right stream, whole, upright, in square pixels, in
their times. A `VideoError` names a file that is missing, no video, or has no frame to be decoded.
"""

import re
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import av
import av.error
import numpy as np
from av.sidedata.sidedata import Type
from av.stream import Disposition
from jaxtyping import Float32, UInt8, UInt16

from ssmde.console import ranges
from ssmde.data.images import MOST_PIXELS, READABLE, is_phone_picture, too_many_pixels
from ssmde.data.sequence import PerFrame, Pixels, Size

VIDEO_SUFFIXES = (
    ".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".wmv",
    ".mts", ".m2ts", ".3gp", ".flv", ".vob", ".h264", ".hevc",
)  # fmt: skip
NO_FILMS = re.compile("tty|image2|_pipe|hls|concat|dash")  # formats of text, stills and lists
FALLBACK_FPS = 25  # for streams that state no rate
PROBED = 2000  # packets that tell a film from a still picture
USUAL = 9  # steps of time whose median is the usual one
PAUSE = 1.0  # seconds, and ten usual steps, from which the camera was stopped in between
EVEN = 0.1  # share by which a step of an even film may differ; some count in milliseconds
FORGETFUL = re.compile("matroska|mpeg")  # containers that lose packets without a word
OTHER_CLOCK = 3600.0  # seconds without a frame: times of another clock
STRANGEST_PIXEL = 4  # times as wide as high, or the other way round: more is an error of the file
LOST = "frames that cannot be decoded are left out"
INTERLACED = "interlaced, moving edges have combs: give it as `ffmpeg -i FILM -vf bwdif` makes it"


class VideoError(ValueError):
    """A file that should hold a video and does not, or not all of it."""


class VideoNotes(dict[str, list[int]]):
    """What was noticed while a film was read, and in which frames; none where it is of all."""

    def add(self, text: str, *numbers: int) -> None:
        """Remember what is said of a film, or of these frames."""
        self.setdefault(text, []).extend(numbers)

    @property
    def lines(self) -> list[str]:
        """One line for each."""
        return [
            f"{text}: {ranges(sorted(set(numbers)))}" if numbers else text
            for text, numbers in self.items()
        ]


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoInfo:
    """What the head of a video file says."""

    fps: float  # frames a second, on average
    frames: int  # number of frames; 0 if the file does not say
    size: Size  # height and width of a frame in square pixels, not turned
    tags: Mapping[str, str]  # what the recorder wrote, such as the make of the camera


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class VideoFrame:
    """One frame of a video, upright as a player shows it."""

    number: int  # place in the order in which frames are shown, from 0
    time: float | None  # when it is shown, in seconds; None if the file does not say
    pixels: Pixels  # RGB
    begins: bool = False  # True where it does not continue: after a pause, or at another size
    file: Path | None = None  # the image file it is, where that can be copied; None in a video


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GrayFrame:
    """A small picture of one frame, upright; other fields as in `VideoFrame`."""

    time: float | None
    gray: UInt8[np.ndarray, "h w"]  # brightness, 0 to 255
    number: int = 0
    begins: bool = False


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Decoded:
    """A frame as FFmpeg gives it, and what makes it what a player shows; as in `VideoFrame`."""

    frame: Any
    number: int  # frames that cannot be decoded have one as well
    time: float | None  # growing from frame to frame
    begins: bool
    size: Size  # height and width as a player shows it, in square pixels
    curve: int  # FFmpeg's numbers of the transfer curve and of the primaries
    primaries: int
    turn: tuple[bool, bool, bool]  # rows become columns; the columns, the rows run the other way

    def pixels(self) -> Pixels:
        """RGB, upright, in square pixels."""
        return self._shown(self.size, "rgb24", "BICUBIC")

    def gray(self, longest_side: int) -> UInt8[np.ndarray, "h w"]:
        """Brightness, upright; a larger frame becomes so small."""
        scale = min(1, longest_side / max(self.size))
        small = max(1, round(self.size[0] * scale)), max(1, round(self.size[1] * scale))
        if self.curve in CURVES:
            return self._shown(small, "rgb24", "BICUBIC").mean(axis=2).astype(np.uint8)
        return self._shown(small, "gray", "AREA")

    def _shown(self, size: Size, kind: str, interpolation: str) -> np.ndarray:
        across, mirrored, upside_down = self.turn
        height, width = size[::-1] if across else size
        same = (height, width) == (self.frame.height, self.frame.width)
        kind = "rgb48le" if self.curve in CURVES else kind
        pixels = self.frame.reformat(
            width, height, kind, interpolation=None if same else interpolation
        ).to_ndarray()
        if self.curve in CURVES:
            pixels = to_standard_range(pixels, self.curve, self.primaries)
        pixels = pixels.swapaxes(0, 1) if across else pixels
        return np.ascontiguousarray(pixels[:: -1 if upside_down else 1, :: -1 if mirrored else 1])


def video_info(path: Path) -> VideoInfo:
    """Rate, length and tags of a video, from its head."""
    with open_film(path) as (container, stream):
        context = stream.codec_context
        return VideoInfo(
            fps=float(_rate_of(stream)), frames=stream.frames,
            size=(context.height, max(1, round(context.width * _pixel_shape(stream)))),
            tags={**container.metadata, **stream.metadata},
        )  # fmt: skip


def is_film(path: Path) -> bool:
    """Whether a file is a film: by its ending, or by what is in it where that is no picture."""
    if not path.is_file() or path.suffix.lower() in (*READABLE, ".txt", ".npy", ".npz"):
        return False
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return True
    if is_phone_picture(path):  # FFmpeg shows its tiles as films
        return False
    try:
        with open_film(path) as (container, _):
            return not NO_FILMS.search(container.format.name)
    except VideoError:
        return False


def read_frames(path: Path) -> Iterator[Pixels]:
    """Frames of a video in the order they are shown: RGB, upright as a player shows them."""
    return (frame.pixels for frame in read_chosen_frames(path, lambda _: True))


def read_chosen_frames(
    path: Path, wanted: Callable[[int], bool], notes: VideoNotes | None = None
) -> Generator[VideoFrame]:
    """Those frames of a video whose number is wanted, with their times.

    The others cost no conversion. `notes` get what was noticed.
    """
    begins = False
    with closing(decode(path, notes)) as frames:
        for f in frames:
            begins = begins or f.begins
            if wanted(f.number):
                yield VideoFrame(number=f.number, time=f.time, pixels=f.pixels(), begins=begins)
                begins = False


# Decoding


class Clock:
    """Times that grow, whatever the file says: after a restart they go on behind the last one.

    `step` is the usual time between two frames, in seconds.
    """

    def __init__(self, step: float) -> None:
        self.last: float | None = None
        self.shift = 0.0
        self.steps = deque([step], USUAL)

    def show(self, time: float | None) -> tuple[float | None, bool]:
        """When a frame is shown that the file gives this time, and whether that is a jump."""
        if time is None:
            return None, False
        before, self.last = self.last, time + self.shift
        if before is None:
            return self.last, False
        usual, step = median(self.steps), self.last - before
        few_digits = -usual / 2 < step <= 0
        restarts = not few_digits and (step <= 0 or step > OTHER_CLOCK)
        jumps = restarts or step > max(PAUSE, 10 * usual)
        if few_digits:
            self.last = before + usual / 100
        elif restarts:
            self.shift += usual - step
            self.last = before + usual
        elif not jumps:
            self.steps.append(step)
        return self.last, jumps


def decode(path: Path, notes: VideoNotes | None = None) -> Generator[Decoded]:
    """Every frame that can be decoded, in the order in which frames are shown."""
    notes = VideoNotes() if notes is None else notes
    with open_film(path, notes) as (container, stream):
        clock = Clock(1 / float(_rate_of(stream)))
        last: Size | None = None
        for number, frame in _numbered(container, stream, notes):
            _check_size(path, (frame.height, frame.width))  # it may change within a film
            time, jumps = clock.show(frame.time)
            turn, shape = _turn(frame), _pixel_shape(stream)
            height, width = frame.height, max(1, round(frame.width * shape))
            size = (width, height) if turn[0] else (height, width)
            _check_size(path, size)
            changes = last not in (None, size)
            curve, primaries = _colors(frame, stream)
            if curve in CURVES:
                notes.add(f"high dynamic range ({CURVES[curve][0]}), tone-mapped")
            if shape != 1:
                notes.add(f"pixels are not square: {frame.width} x {frame.height} are shown as "
                          f"{size[1]} x {size[0]}")  # fmt: skip
            if frame.interlaced_frame:
                notes.add(INTERLACED)
            if jumps:
                notes.add("the times restart or jump, a scene begins", number)
            if changes:
                notes.add("the size changes, a scene begins", number)
            last = size
            yield Decoded(
                number=number, frame=frame, time=time, size=size, curve=curve, primaries=primaries,
                turn=turn, begins=jumps or changes,
            )  # fmt: skip
        if last is None:
            raise VideoError(f"{path}: the video has no frame that can be decoded; copy or record "
                             "it again")  # fmt: skip


@contextmanager
def open_film(path: Path, notes: VideoNotes | None = None) -> Generator[tuple[Any, Any]]:
    """The opened file and the stream that players show."""
    if not path.is_file():
        raise VideoError(f"{path}: no such file")
    with _open(path) as container:
        pictures = container.streams.video
        streams = [s for s in pictures if not s.disposition & Disposition.attached_pic]
        known = [s for s in streams if s.codec_context is not None]
        if not known:
            missing = "no decoder is known for its video stream"
            raise VideoError(f"{path}: {missing if streams else 'holds no video stream'}")
        stream = known[0] if len(known) == 1 else _shown_stream(path, known)
        context: Any = stream.codec_context
        if len(pictures) > 1 and notes is not None:
            notes.add(
                f"stream {stream.index} is the film ({context.width} x {context.height}), "
                f"of {len(pictures)} with pictures"
            )
        _check_size(path, (context.height, context.width))
        context.options = {"max_pixels": str(MOST_PIXELS)}  # FFmpeg's own check of each frame
        yield container, stream


def _open(path: Path) -> Any:
    try:
        return av.open(str(path), metadata_errors="replace")
    except av.error.FFmpegError as error:
        raise VideoError(
            f"{path}: is no video that can be read ({error.strerror}); a recording that broke off "
            "before its end has no index: record it again, or repair it"
        ) from error


def _check_size(path: Path, size: Size) -> None:
    if reason := too_many_pixels(size):
        raise VideoError(f"{path}: a frame {reason}")


def _rate_of(stream: Any) -> Fraction:
    """Frames a second that a stream states, on average."""
    return stream.average_rate or stream.guessed_rate or Fraction(FALLBACK_FPS)


def _pixel_shape(stream: Any) -> Fraction:
    """Width of a stored pixel divided by its height."""
    shape = stream.sample_aspect_ratio
    sane = shape and Fraction(1, STRANGEST_PIXEL) <= shape <= STRANGEST_PIXEL
    return shape if sane else Fraction(1)


def _shown_stream(path: Path, streams: list[Any]) -> Any:
    """The stream players choose: moving, marked as the one to show, longest, largest."""
    seen = Counter[int]()
    with _open(path) as probe, suppress(av.error.FFmpegError, IndexError):
        for packet in islice(probe.demux(video=[*range(len(streams))]), PROBED):
            seen[packet.stream_index] += bool(packet.size)

    def rank(stream: Any) -> tuple[Any, ...]:
        frames, context = max(stream.frames, seen[stream.index]), stream.codec_context
        default = bool(stream.disposition & Disposition.default)
        return frames > 1, default, frames, context.width * context.height

    return max(streams, key=rank)


def _numbered(container: Any, stream: Any, notes: VideoNotes) -> Iterator[tuple[int, Any]]:
    """Frames and their numbers; a frame that cannot be decoded keeps its number.

    A packet that was read and gave no frame, though later ones did, is lost. Some containers lose
    whole packets without a word: there a short gap in steps that were even so far tells.
    """
    ticks = 1 / float(stream.time_base)
    stated = ticks / float(_rate_of(stream))
    forgets = FORGETFUL.search(container.format.name) is not None
    steps = deque([stated], USUAL)
    waiting: list[int] = []  # times of packets whose frame is to come
    last: int | None = None
    number = -1
    for frame, lost in _frames(container, stream, notes, waiting):
        time = None if frame is None else frame.pts
        if time is not None:
            early = [t for t in waiting if t <= time]
            waiting[:] = [t for t in waiting if t > time]
            last = min(early, default=time) - round(stated) if last is None else last
            gap, usual = time - last, median(steps)
            even = all(abs(step - stated) <= EVEN * stated for step in steps)
            sure = forgets and even and len(steps) > 3 and gap < max(PAUSE * ticks, 10 * stated)
            # Some codecs hide packets that are never shown: then there is no gap in time.
            missing = max(0, round(gap / usual) - 1)
            lost = missing if sure else min(missing, sum(t < time for t in early))
            last = time
            if 0 < gap < 2 * usual:
                steps.append(gap)
        elif frame is None and last is not None:
            lost = sum(t > last for t in waiting)
        if lost and (frame is not None or number >= 0):
            notes.add(LOST, *range(number + 1, number + 1 + lost))
        if frame is not None:
            number += 1 + lost
            if frame.is_corrupt:
                notes.add("frames are damaged in parts", number)
            yield number, frame


def _frames(
    container: Any, stream: Any, notes: VideoNotes, waiting: list[int]
) -> Iterator[tuple[Any, int]]:
    """Frames, each with the count of packets before it that gave none; None after the last.

    `waiting` gets the times of the packets.
    """
    errors, packets = 0, 0
    try:
        for packet in container.demux(stream):
            packets += bool(packet.size)
            if packet.size and packet.pts is not None and not packet.is_discard:
                waiting.append(packet.pts)
            try:
                frames = packet.decode()
            except av.error.MemoryError:
                raise
            except av.error.FFmpegError:
                errors += 1
                continue
            for frame in frames:
                yield frame, errors
                errors = 0
    except av.error.MemoryError:
        raise
    except av.error.FFmpegError as error:
        notes.add(f"the film breaks off ({error.strerror})")
    yield None, errors
    if packets < stream.frames and "mp4" in container.format.name:  # an AVI states other numbers
        notes.add(f"the film breaks off: {packets} of {stream.frames} frames are there")


def _turn(frame: Any) -> tuple[bool, bool, bool]:
    """How the display matrix sets a frame upright, as `Decoded.turn`."""
    # Its first four numbers a, b, c, d send (x, y) to (a x + c y, b x + d y).
    stored = frame.side_data.get(Type.DISPLAYMATRIX)
    if stored is None:
        return False, False, False
    a, b, _, c, d = np.frombuffer(bytes(stored), np.int32)[:5].tolist()
    across = abs(a) + abs(d) < abs(b) + abs(c)
    return (True, c < 0, b < 0) if across else (False, a < 0, d < 0)


def _colors(frame: Any, stream: Any) -> tuple[int, int]:
    """Transfer curve and primaries; before PyAV 17 only the stream says them."""
    context, names = stream.codec_context, ("color_trc", "color_primaries")
    curve, primaries = (int(getattr(frame, name, getattr(context, name))) for name in names)
    return curve, primaries


# High dynamic range (PQ, HLG) as the usual 8 bits: FFmpeg's filter is not in PyAV

WHITE = 203.0  # cd/m2 of white paper, ITU-R BT.2408
PEAK = 1000.0  # cd/m2 of the displays that HLG, and most PQ, is made for
KNEE = 0.6  # of white: below it tones stay, above they bend to fit the peak
BT2020 = 9  # FFmpeg's number of the wide primaries
# Linear RGB of BT.2020 to that of BT.709 (ITU-R BT.2087).
TO_709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)


def _pq(v: Float32[np.ndarray, " n"]) -> PerFrame:
    """Light of SMPTE ST 2084 values in [0, 1], white is 1."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = v ** (1 / m2)
    return 10_000 / WHITE * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)


def _hlg(v: Float32[np.ndarray, " n"]) -> PerFrame:
    """Light of the scene of ARIB STD-B67 values in [0, 1], in [0, 1]."""
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    return np.where(v <= 0.5, v * v / 3, (np.exp((v - c) / a) + b) / 12)


_STEPS = np.linspace(0, 1, 65536, dtype=np.float32)
CURVES = {16: ("PQ", _pq(_STEPS).astype(np.float32)), 18: ("HLG", _hlg(_STEPS).astype(np.float32))}
"""Name and light of the 65536 values of a transfer curve, by FFmpeg's number of it."""
_S = np.linspace(0, 1, 4096)
_SRGB = np.where(_S <= 0.0031308, 12.92 * _S, 1.055 * _S ** (1 / 2.4) - 0.055)
ENCODED = (255 * _SRGB).round().astype(np.uint8)  # bytes of light in [0, 1], by the sRGB curve


def to_standard_range(pixels: UInt16[np.ndarray, "h w 3"], curve: int, primaries: int) -> Pixels:
    """RGB of a film of standard range: what is brighter than white is bent below it.

    `curve` and `primaries` are FFmpeg's numbers; those of BT.2020 are taken to BT.709.
    """
    name, table = CURVES[curve]
    light = table[pixels]
    if name == "HLG":  # the display raises it, ITU-R BT.2100
        luminance = light @ np.array([0.2627, 0.6780, 0.0593], np.float32)
        light = light * (PEAK / WHITE * np.maximum(luminance, 1e-6) ** 0.2)[..., None]
    if primaries == BT2020:
        light = np.maximum(light @ TO_709.T, 0)
    # Moebius: slope 1 at the knee, 1 at the peak; one factor a pixel keeps the hue.
    top, peak = light.max(axis=2, keepdims=True), PEAK / WHITE
    a = -(KNEE**2) * (peak - 1) / (KNEE**2 - 2 * KNEE + peak)
    b = (KNEE**2 - 2 * KNEE * peak + peak) / (peak - 1)
    bent = (b * b + 2 * b * KNEE + KNEE**2) / (b - a) * (top + a) / (top + b)
    light = light * np.where(top > KNEE, bent / np.maximum(top, 1e-6), 1)
    return ENCODED[(light.clip(0, 1) * (len(ENCODED) - 1) + 0.5).astype(np.int32)]
