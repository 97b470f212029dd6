"""Depth as a film beside the film it was predicted from, with its times and its sound.

A film is written in parts, which are joined without encoding anything again. So a long video that
is interrupted loses one part, not all.
"""

import heapq
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from jaxtyping import UInt8

from ssmde.data.images import whole_file
from ssmde.data.video import CODECS, QUALITY
from ssmde.pictures import colourise, depth_range, side_by_side
from ssmde.prediction.shot import Shot

TICKS = 90_000  # a second; all usual frame rates fit
COPIED_SOUND = ("aac", "mp3", "ac3", "eac3", "opus", "flac", "alac")
"""Sound that an MP4 takes as it is; other sound becomes AAC."""
WITHOUT_REORDERING = {"libx264": {"bf": "0"}}
"""Frames are stored in the order they are shown, so that parts can follow each other."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FilmPart:
    """A part of a film."""

    path: Path
    """Its file, which begins at time 0."""
    start: float
    """When its first frame is shown, in seconds of the source."""


def picture_of(shot: Shot) -> UInt8[np.ndarray, "h w 3"]:
    """Frame and depth in colour, side by side; grey where there is no depth."""
    near, far = shot.ends or depth_range(shot.depth) or (1.0, 2.0)
    return side_by_side([shot.pixels, colourise(shot.depth, near=near, far=far)])


@contextmanager
def write_part(path: Path, fps: float) -> Generator[Callable[[Shot], None]]:
    """Function that appends a shot to an MP4 file without sound, at the time of its frame.

    The file appears under its name when the block ends well, and not at all when it fails.

    Args:
        path: File to write; its folder exists.
        fps: Frames a second, for how long the last frame is shown.
    """
    codec = next(name for name in CODECS if name in av.codecs_available)
    with whole_file(path) as part, av.open(str(part), "w", format="mp4") as container:
        stream: Any = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001))
        stream.pix_fmt = "yuv420p"
        stream.options = QUALITY[codec] | WITHOUT_REORDERING.get(codec, {})
        stream.time_base = stream.codec_context.time_base = Fraction(1, TICKS)
        last, start, count = -1, None, 0

        def append(shot: Shot) -> None:
            nonlocal last, start, count
            pixels = picture_of(shot)
            height, width = pixels.shape[:2]
            even = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            if start is None:
                stream.height, stream.width = even.shape[:2]
                start = shot.time or 0.0
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
            time = count / fps if shot.time is None else shot.time - start
            frame.pts = last = max(round(time * TICKS), last + 1)
            frame.time_base = Fraction(1, TICKS)
            frame.duration = round(TICKS / fps)
            count += 1
            container.mux(stream.encode(frame))

        yield append
        if start is not None:
            container.mux(stream.encode(None))


def join_parts(parts: Sequence[FilmPart], path: Path, sound_of: Path | None) -> None:
    """Put parts of a film one behind the other, with the sound of the video they come from.

    Args:
        parts: In order; at least one.
        path: MP4 file to write; its folder exists.
        sound_of: The video, if its sound is wanted; one without sound gives none.
    """
    with whole_file(path) as whole, av.open(str(whole), "w", format="mp4") as film:
        with av.open(str(parts[0].path)) as first:
            picture = film.add_stream_from_template(first.streams.video[0])
        packets = [_picture_packets(parts, picture)]
        if sound_of is None:
            _mux(film, packets)
            return
        with av.open(str(sound_of)) as source:
            if source.streams.audio:
                packets.append(_sound_packets(source, film, parts))
            _mux(film, packets)


def _mux(film: Any, streams: Sequence[Iterator[tuple[float, Any]]]) -> None:
    """Write packets by their time, so that none has to wait in memory."""
    for _, packet in heapq.merge(*streams, key=lambda pair: pair[0]):
        film.mux(packet)


def _picture_packets(parts: Sequence[FilmPart], stream: Any) -> Iterator[tuple[float, Any]]:
    last = -1
    for part in parts:
        with av.open(str(part.path)) as container:
            source = container.streams.video[0]
            shift = round((part.start - parts[0].start) * TICKS)
            for packet in container.demux(source):
                if packet.pts is None:  # the end
                    continue
                pts = shift + round(packet.pts * packet.time_base * TICKS)
                length = round((packet.duration or 0) * packet.time_base * TICKS)
                packet.time_base = Fraction(1, TICKS)
                packet.pts = packet.dts = last = max(pts, last + 1)
                packet.duration = length
                packet.stream = stream
                yield last / TICKS, packet


def _sound_packets(
    source: Any, film: Any, parts: Sequence[FilmPart]
) -> Iterator[tuple[float, Any]]:
    """Packets of the first sound of a video, in the time of the film, up to its end."""
    stream = source.streams.audio[0]
    start, end = parts[0].start, _end(parts[-1])
    copied = stream.codec_context.name in COPIED_SOUND
    to = film.add_stream_from_template(stream) if copied else _aac(film, stream)
    for packet in _copied(source, stream) if copied else _encoded(source, stream, to):
        if packet.pts is None:
            continue
        shift = round(Fraction(start).limit_denominator(TICKS) / packet.time_base)
        time = float((packet.pts - shift) * packet.time_base)
        if time < 0:
            continue
        if time + parts[0].start >= end:
            return
        packet.pts -= shift
        packet.dts = packet.pts
        packet.stream = to
        yield time, packet


def _copied(source: Any, stream: Any) -> Iterator[Any]:
    return (packet for packet in source.demux(stream) if packet.dts is not None)


def _aac(film: Any, stream: Any) -> Any:
    return film.add_stream("aac", rate=stream.codec_context.sample_rate)


def _encoded(source: Any, stream: Any, to: Any) -> Iterator[Any]:
    """Sound of another kind as AAC."""
    resampler = av.AudioResampler(format="fltp", layout="stereo", rate=to.rate)
    frames = source.decode(stream)
    for frame in frames:
        for piece in resampler.resample(frame):
            yield from to.encode(piece)
    for piece in resampler.resample(None):
        yield from to.encode(piece)
    yield from to.encode(None)


def _end(part: FilmPart) -> float:
    with av.open(str(part.path)) as container:
        stream = container.streams.video[0]
        assert stream.duration is not None
        assert stream.time_base is not None
        return part.start + float(stream.duration * stream.time_base)
