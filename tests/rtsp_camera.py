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


def film(levels: list[int]) -> bytes:
    """A transport stream of grey frames, every one a key frame."""
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
def camera(levels: list[int]) -> Iterator[tuple[str, list[str]]]:
    """Address of a camera that films these grey levels once, and the requests it has got."""
    content, asked = film(levels), list[str]()
    with socket.create_server(("127.0.0.1", 0)) as door:
        server = threading.Thread(target=_serve, args=(door, content, asked), daemon=True)
        server.start()
        yield f"rtsp://127.0.0.1:{door.getsockname()[1]}/live", asked
    server.join(5)


def _serve(door: socket.socket, content: bytes, asked: list[str]) -> None:
    with suppress(OSError):
        visitor, _ = door.accept()
        with visitor, visitor.makefile("rb") as lines:
            while request := lines.readline().decode().split():
                head = dict(_fields(lines))
                asked.append(request[0])
                visitor.sendall(_answer(request[0], request[1], head))
                if request[0] == "PLAY":
                    _send(visitor, content)
                    return


def _fields(lines: io.BufferedReader) -> Iterator[tuple[str, str]]:
    while line := lines.readline().decode().strip():
        name, _, value = line.partition(":")
        yield name.lower(), value.strip()


def _answer(word: str, address: str, head: dict[str, str]) -> bytes:
    lines, body = [f"CSeq: {head['cseq']}"], ""
    if word == "OPTIONS":
        lines += ["Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"]
    elif word == "DESCRIBE":
        body = SDP
        lines += [f"Content-Base: {address}/", "Content-Type: application/sdp"]
        lines += [f"Content-Length: {len(body)}"]
    elif word == "SETUP":
        assert "RTP/AVP/TCP" in head["transport"], "UDP loses packets"
        lines += ["Transport: RTP/AVP/TCP;unicast;interleaved=0-1", "Session: 1"]
    else:
        lines += ["Session: 1"]
    return ("\r\n".join(["RTSP/1.0 200 OK", *lines]) + "\r\n\r\n" + body).encode()


def _send(visitor: socket.socket, content: bytes) -> None:
    parts = [content[i : i + TS_PACKETS] for i in range(0, len(content), TS_PACKETS)]
    for number, part in enumerate(parts):
        packet = struct.pack(">BBHII", 0x80, MP2T, number, 4500 * number, 7) + part
        visitor.sendall(struct.pack(">BBH", ord("$"), 0, len(packet)) + packet)
        time.sleep(0.01)
