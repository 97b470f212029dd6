"""Films with faults and marks, as cameras and programs write them."""

import struct
from fractions import Fraction

import av
import numpy as np

TICKS = 90_000


def write(
    path,
    frames,
    times=None,
    *,
    codec="mjpeg",
    kind="yuvj420p",
    cover=False,
    tags=None,
    rate=10,
    **context,
):
    """A film of RGB frames, 10 a second or at times in seconds; the container by the ending.

    Args:
        tags: What a phone says of itself in the file.
        context: Attributes of the encoder, such as `sample_aspect_ratio`.
    """
    options = {"movflags": "use_metadata_tags"} if tags else {}
    with av.open(str(path), "w", options=options) as container:
        container.metadata.update(tags or {})
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = kind
        stream.codec_context.time_base = Fraction(1, TICKS)
        if cover:
            stream.disposition = av.stream.Disposition.attached_pic
        for name, value in context.items():
            setattr(stream.codec_context, name, value)
        for i, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = round(TICKS * (i / 10 if times is None else times[i]))
            frame.time_base = Fraction(1, TICKS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_mp4(path, frames):
    """An everyday film, 10 frames a second."""
    return write(path, frames, codec="libx264", kind="yuv420p")


def grey_frames(levels, size=(32, 48)):
    """Frames of one grey each."""
    return [np.full((*size, 3), level, np.uint8) for level in levels]


def lose_packet(path, number):
    """Fill the packet of a frame with zeros, as a damaged card does."""
    with av.open(str(path)) as container:
        packet = [bytes(p) for p in container.demux(video=0) if p.size][number]
    content = path.read_bytes()
    assert content.count(packet) == 1
    path.write_bytes(content.replace(packet, bytes(len(packet))))


def set_matrix(path, a, b, c, d):
    """Write the display matrix (a b; c d) into the head of an MP4 or MOV."""
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 4 + 40  # after version, times, id, duration, layer, volume
    numbers = (a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    content[place : place + 36] = struct.pack(">9i", *numbers)
    path.write_bytes(content)
