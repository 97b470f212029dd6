"""Depth as a film, with the times and the sound of its video."""

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
from jaxtyping import UInt8

from ssmde.data.video import Clock
from ssmde.inference.pictures import color_ends, colorize, side_by_side
from ssmde.inference.predictor import PredictedFrame
from ssmde.io import whole_file

CODECS = {"libx264": {"crf": "20"}, "mpeg4": {"qscale": "3"}}
"""With their quality; the first one that this PyAV was built with is taken."""
TICKS = 90_000  # a second; all usual frame rates fit
SOUND_STEP = 0.02  # seconds from packet to packet, until some have come
COPIED_SOUND = ("aac", "mp3", "ac3", "eac3", "opus", "flac", "alac")
"""Sound that an MP4 takes as it is; other sound becomes AAC."""
Sound = Iterator[tuple[float, Any]]
"""Packets with the time at which they are heard, in seconds from the first frame."""


def picture_of(frame: PredictedFrame) -> UInt8[np.ndarray, "h w 3"]:
    """Frame and depth in color, side by side; gray where there is no depth."""
    near, far = frame.ends or color_ends(frame.depth)
    return side_by_side([frame.pixels, colorize(frame.depth, near=near, far=far)])


@contextmanager
def write_film(
    path: Path,
    fps: float,
    sound_of: Path | None = None,
    *,
    picture: Callable[[PredictedFrame], UInt8[np.ndarray, "_ _ 3"]] = picture_of,
) -> Generator[Callable[[PredictedFrame], None]]:
    """Function that appends a frame to an MP4 file, at its time; `picture` is what is shown of it.

    The file is there when the block ends well. The last frame is shown for 1 / fps seconds; the
    sound is that of a video, if it has any.
    """
    codec = next(name for name in CODECS if name in av.codecs_available)
    with ExitStack() as stack:
        part = stack.enter_context(whole_file(path))
        film = stack.enter_context(av.open(str(part), "w", format="mp4"))
        stream: Any = film.add_stream(codec, rate=Fraction(fps).limit_denominator(1001))
        stream.pix_fmt = "yuv420p"
        stream.options = CODECS[codec]
        stream.time_base = stream.codec_context.time_base = Fraction(1, TICKS)
        last, start, count = -1, None, 0
        sound: Sound = iter(())

        def append(frame: PredictedFrame) -> None:
            nonlocal last, start, count, sound
            pixels = picture(frame)
            height, width = pixels.shape[:2]
            # yuv420p has a color for each 2 x 2 pixels.
            even = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            if start is None:
                stream.height, stream.width = even.shape[:2]
                start = frame.time or 0.0
                sound = _open_sound(sound_of, film, start, stack)
            shown = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
            time = count / fps if frame.time is None else frame.time - start
            shown.pts = last = max(round(time * TICKS), last + 1)  # times must rise
            shown.time_base = Fraction(1, TICKS)
            shown.duration = round(TICKS / fps)
            count += 1
            sound = _mux_sound(film, sound, until=last / TICKS)
            film.mux(stream.encode(shown))

        yield append
        if start is not None:
            film.mux(stream.encode(None))
            _mux_sound(film, sound, until=last / TICKS + 1 / fps)


def _mux_sound(film: Any, sound: Sound, *, until: float) -> Sound:
    """Write what is heard before a time; the rest."""
    for time, packet in sound:
        if time >= until:
            return chain([(time, packet)], sound)
        film.mux(packet)
    return iter(())


def _open_sound(video: Path | None, film: Any, start: float, stack: ExitStack) -> Sound:
    """The sound of a video from a time on, with a stream for it in the film."""
    if video is None:
        return iter(())
    source = stack.enter_context(av.open(str(video), metadata_errors="replace"))
    if not source.streams.audio:
        return iter(())
    stream = source.streams.audio[0]
    if stream.codec_context.name in COPIED_SOUND:
        to: Any = film.add_stream_from_template(stream)
        packets = source.demux(stream)
    else:
        to = film.add_stream("aac", rate=stream.codec_context.sample_rate)
        packets = _encoded(source, stream, to)
    return _in_film_time(packets, to, start)


def _in_film_time(packets: Iterator[Any], to: Any, start: float) -> Sound:
    """Packets in the time of the film, from its start on."""
    clock = Clock(SOUND_STEP)
    for packet in packets:
        if packet.dts is None or packet.pts is None:
            continue
        shown, _ = clock.show(float(packet.pts * packet.time_base))  # as the frames are
        shift = round(Fraction(start).limit_denominator(TICKS) / packet.time_base)
        pts = round((shown or 0.0) / packet.time_base) - shift
        time = float(pts * packet.time_base)
        if time >= 0:
            packet.pts = packet.dts = pts
            packet.stream = to
            yield time, packet


def _encoded(source: Any, stream: Any, to: Any) -> Iterator[Any]:
    """Sound of another kind as AAC."""
    resampler = av.AudioResampler(format="fltp", layout="stereo", rate=to.rate)
    for frame in chain(source.decode(stream), [None]):  # None: what is left in the resampler
        for piece in resampler.resample(frame):
            yield from to.encode(piece)
    yield from to.encode(None)
