"""Frames of a camera as they come: a webcam by its number, or an rtsp address."""

import queue
import sys
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from typing import Any

import av
import av.error
import numpy as np

from ssmde.data.opening import too_many_pixels
from ssmde.data.video import VideoError, VideoFrame

WEBCAMS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}")}
"""By platform: FFmpeg's name for its cameras, and what a camera is called there."""
RTSP_OPTIONS = {"rtsp_transport": "tcp"}  # UDP loses packets, which shows as grey smear
TIMEOUT = 10.0  # seconds without a frame


def is_live(source: object) -> bool:
    """True for the number of a webcam, or an rtsp address."""
    return isinstance(source, str) and (source.isdecimal() or _is_rtsp(source))


def read_live(source: str, *, options: Mapping[str, str] | None = None) -> Iterator[VideoFrame]:
    """Frames of a camera, until it is closed; always the newest one, those missed are dropped.

    Args:
        source: Number of a webcam, from 0, or an rtsp address.
        options: For FFmpeg, besides its usual ones.

    Raises:
        VideoError: If there is no such camera, or it falls silent before its first frame.
    """
    container = _open(source, options or {})
    return _newest(container, source)


def _open(source: str, options: Mapping[str, str]) -> Any:
    if _is_rtsp(source):
        return _try(source, "the address, its user and password", source, None,
                    RTSP_OPTIONS | dict(options))  # fmt: skip
    if sys.platform not in WEBCAMS:
        raise VideoError(
            f"webcam {source}: webcams are read on Linux and macOS only; record a video, or give "
            "the rtsp address of the camera"
        )
    kind, name = WEBCAMS[sys.platform]
    return _try(
        f"webcam {source}", f"that {name.format(source)} exists and no other program uses it",
        name.format(source), kind, dict(options),
    )  # fmt: skip


def _try(what: str, check: str, address: str, kind: str | None, options: dict[str, str]) -> Any:
    try:
        return av.open(address, format=kind, options=options, timeout=TIMEOUT)
    except av.error.FFmpegError as error:
        raise VideoError(f"{what}: cannot be opened ({error.strerror}); check {check}") from error
    except ValueError as error:  # no such input
        raise VideoError(
            f"{what}: this PyAV was built without {kind}, so it reads no webcam; record a video, "
            "or give the rtsp address of the camera"
        ) from error


def _newest(container: Any, source: str) -> Generator[VideoFrame]:
    """Frames, decoded in a thread that overwrites what nobody took."""
    latest: queue.Queue[VideoFrame | None] = queue.Queue(maxsize=1)
    stop = threading.Event()
    reader = threading.Thread(target=_read, args=(container, latest, stop), daemon=True)
    reader.start()
    count = 0
    try:
        while True:
            try:
                frame = latest.get(timeout=2 * TIMEOUT)
            except queue.Empty:
                frame = None
            if frame is None:
                if count == 0:
                    raise VideoError(f"{source}: the camera sends no frame")
                return
            yield frame
            count += 1
    finally:
        stop.set()
        with suppress(queue.Empty):
            latest.get_nowait()
        reader.join(timeout=TIMEOUT)


def _read(container: Any, latest: "queue.Queue[VideoFrame | None]", stop: threading.Event) -> None:
    began = time.monotonic()
    with container:
        try:
            for number, frame in enumerate(container.decode(container.streams.video[0])):
                if stop.is_set() or too_many_pixels((frame.height, frame.width)):
                    return
                pixels = np.ascontiguousarray(frame.to_ndarray(format="rgb24"))
                now = time.monotonic() - began
                _put(latest, VideoFrame(number=number, time=now, pixels=pixels))
        except (av.error.FFmpegError, IndexError):  # the line broke, or carries no picture
            pass
        finally:
            if not stop.is_set():
                latest.put(None)


def _put(latest: "queue.Queue[VideoFrame | None]", frame: VideoFrame) -> None:
    try:
        latest.put_nowait(frame)
    except queue.Full:
        with suppress(queue.Empty):  # taken in between
            latest.get_nowait()
        latest.put(frame)


def _is_rtsp(source: str) -> bool:
    return source.lower().startswith(("rtsp://", "rtsps://"))
