"""A camera of the network for tests: one RTSP session, its film as MPEG-TS in RTP over TCP."""

import io
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction

import av
import numpy as np

SIZE, RATE = (48, 64), 20
TS_PACKETS = 7 * 188  # bytes of a packet: as many parts of a transport stream as fit into 1500
MP2T = 33  # RTP's number for them (RFC 3551)
SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\n"
    f"m=video 0 RTP/AVP {MP2T}\r\na=control:track1\r\n"
)
# To every request; who asks for UDP, which loses packets, gets TCP, which it refuses.
HEAD = (
    "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
    "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n"
)


def film(levels: list[int]) -> bytes:
    """A transport stream of gray frames, every one a key frame."""
    file = io.BytesIO()
    with av.open(file, "w", format="mpegts") as container:
        stream = container.add_stream("mpeg2video", rate=RATE)
        stream.height, stream.width = SIZE
        stream.pix_fmt, stream.gop_size = "yuv420p", 1
        for number, level in enumerate(levels):
            pixels = np.full((*SIZE, 3), level, np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


@contextmanager
def camera(levels: list[int]) -> Iterator[str]:
    """Address of a camera that films these gray levels once."""
    content = film(levels)
    with socket.create_server(("127.0.0.1", 0)) as door:
        server = threading.Thread(target=_serve, args=(door, content), daemon=True)
        server.start()
        yield f"rtsp://127.0.0.1:{door.getsockname()[1]}/live"
    server.join(5)


def _serve(door: socket.socket, content: bytes) -> None:
    with suppress(OSError):
        visitor, _ = door.accept()
        with visitor, visitor.makefile("r", newline="\r\n") as lines:
            while request := lines.readline().split():
                fields = dict(line.strip().split(": ", 1) for line in iter(lines.readline, "\r\n"))
                body, head = "", f"CSeq: {fields['CSeq']}\r\n{HEAD}"
                if request[0] == "DESCRIBE":
                    body = SDP
                    head += f"Content-Base: {request[1]}/\r\nContent-Type: application/sdp\r\n"
                    head += f"Content-Length: {len(body)}\r\n"
                visitor.sendall(f"RTSP/1.0 200 OK\r\n{head}\r\n{body}".encode())
                if request[0] == "PLAY":
                    _send(visitor, content)
                    return


def _send(visitor: socket.socket, content: bytes) -> None:
    for number, start in enumerate(range(0, len(content), TS_PACKETS)):
        packet = struct.pack(">BBHII", 0x80, MP2T, number, 4500 * number, 7)
        packet += content[start : start + TS_PACKETS]
        visitor.sendall(struct.pack(">BBH", ord("$"), 0, len(packet)) + packet)
        time.sleep(0.01)
