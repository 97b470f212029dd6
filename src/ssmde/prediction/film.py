"""Depth as a film beside the film it was predicted from, with its times and its sound."""

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
from jaxtyping import UInt8

from ssmde.data.decoding import Clock
from ssmde.data.video import CODECS, QUALITY
from ssmde.io import whole_file
from ssmde.pictures import colourise, depth_range, side_by_side
from ssmde.prediction.shot import Shot

TICKS = 90_000  # a second; all usual frame rates fit
SOUND_STEP = 0.02  # seconds from packet to packet, until some have come
COPIED_SOUND = ("aac", "mp3", "ac3", "eac3", "opus", "flac", "alac")
"""Sound that an MP4 takes as it is; other sound becomes AAC."""
Sound = Iterator[tuple[float, Any]]
"""Packets with the time at which they are heard, in seconds from the first frame."""


def picture_of(shot: Shot) -> UInt8[np.ndarray, "h w 3"]:
    """Frame and depth in colour, side by side; grey where there is no depth."""
    near, far = shot.ends or depth_range(shot.depth) or (1.0, 2.0)
    return side_by_side([shot.pixels, colourise(shot.depth, near=near, far=far)])


@contextmanager
def write_film(
    path: Path,
    fps: float,
    sound_of: Path | None = None,
    *,
    picture: Callable[[Shot], UInt8[np.ndarray, "_ _ 3"]] = picture_of,
) -> Generator[Callable[[Shot], None]]:
    """Function that appends a shot to an MP4 file, at the time of its frame.

    The file appears under its name when the block ends well, and not at all when it fails.

    Args:
        path: File to write; its folder exists.
        fps: Frames a second, for how long the last frame is shown.
        sound_of: The video the shots come from, if its sound is wanted; one without gives none.
        picture: What is shown of a shot.
    """
    codec = next(name for name in CODECS if name in av.codecs_available)
    with ExitStack() as stack:
        part = stack.enter_context(whole_file(path))
        film = stack.enter_context(av.open(str(part), "w", format="mp4"))
        stream: Any = film.add_stream(codec, rate=Fraction(fps).limit_denominator(1001))
        stream.pix_fmt = "yuv420p"
        stream.options = QUALITY[codec]
        stream.time_base = stream.codec_context.time_base = Fraction(1, TICKS)
        last, start, count = -1, None, 0
        sound: Sound = iter(())

        def append(shot: Shot) -> None:
            nonlocal last, start, count, sound
            pixels = picture(shot)
            height, width = pixels.shape[:2]
            even = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            if start is None:
                stream.height, stream.width = even.shape[:2]
                start = shot.time or 0.0
                sound = _open_sound(sound_of, film, start, stack)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
            time = count / fps if shot.time is None else shot.time - start
            frame.pts = last = max(round(time * TICKS), last + 1)
            frame.time_base = Fraction(1, TICKS)
            frame.duration = round(TICKS / fps)
            count += 1
            sound = _mux_sound(film, sound, until=last / TICKS)
            film.mux(stream.encode(frame))

        yield append
        if start is not None:
            film.mux(stream.encode(None))
            _mux_sound(film, sound, until=last / TICKS + 1 / fps)


def _open_sound(video: Path | None, film: Any, start: float, stack: ExitStack) -> Sound:
    """The sound of a video from a time on, with a stream for it in the film."""
    if video is None:
        return iter(())
    source = stack.enter_context(av.open(str(video), metadata_errors="replace"))
    if not source.streams.audio:
        return iter(())
    stream = source.streams.audio[0]
    copied = stream.codec_context.name in COPIED_SOUND
    to = film.add_stream_from_template(stream) if copied else _aac(film, stream)
    packets = _copied(source, stream) if copied else _encoded(source, stream, to)
    return _sound_packets(packets, to, start)


def _mux_sound(film: Any, sound: Sound, *, until: float) -> Sound:
    """Write what is heard before a time; the rest."""
    for time, packet in sound:
        if time >= until:
            return chain([(time, packet)], sound)
        film.mux(packet)
    return iter(())


def _sound_packets(packets: Iterator[Any], to: Any, start: float) -> Sound:
    """Packets in the time of the film, from its start on."""
    clock = Clock(SOUND_STEP)
    for packet in packets:
        if packet.pts is None:
            continue
        shown, _ = clock.show(float(packet.pts * packet.time_base))  # as the frames are
        shift = round(Fraction(start).limit_denominator(TICKS) / packet.time_base)
        pts = round((shown or 0.0) / packet.time_base) - shift
        time = float(pts * packet.time_base)
        if time < 0:
            continue
        packet.pts = pts
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
