"""What there is to predict: images in any form, files with names for outputs, cameras."""

import os
import queue
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import av
import av.error
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, UInt8
from PIL import Image
from torch import Tensor

from ssmde.data.images import (
    MOST_PIXELS,
    READABLE,
    SIXTEEN_BIT,
    array_levels,
    gray_levels,
    gray_to_bytes,
    read_image,
    read_image_bytes,
    too_many_pixels,
    turn_upright,
)
from ssmde.data.scene_folder import frame_order, left_out
from ssmde.data.video import VideoError, VideoFrame
from ssmde.io import fitting_name, natural_order

ImageLike = str | Path | bytes | Image.Image | np.ndarray | Tensor
"""A path; the bytes of an image file; a PIL image; numpy (h, w, c) or (h, w); a tensor (c, h, w) or
(h, w). c is 1, 3, or 4 with alpha; values are uint8, uint16 (from its lowest to its highest, where
that is less than half of 16 bits), or float in [0, 1]."""
ROUNDING = 1e-4  # what resizing and color changes in floats add to [0, 1]
MOST_THREADS = 4  # that read; more only fill the memory: the network is slower
AHEAD = MOST_PIXELS  # pixels that may wait or be read, besides the image that is read next
WEBCAMS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}")}
"""By platform: FFmpeg's name for its cameras, and what a camera is called there."""
RTSP = ("rtsp://", "rtsps://")
RTSP_OPTIONS = {"rtsp_transport": "tcp"}  # UDP loses packets, which shows as gray smear
SILENCE = 10.0  # seconds without a frame of a camera
Item = TypeVar("Item")
Read = TypeVar("Read")


def to_pixels(image: ImageLike) -> UInt8[np.ndarray, "h w 3"]:
    """Upright RGB bytes of whatever an image comes as.

    The camera's orientation mark is followed, gray becomes RGB, 16 bits become 8, transparency is
    dropped: as `read_image` does with files. Raises an `ImageError` for a file that cannot be
    read, a ValueError for an array of another shape, type or range.
    """
    if isinstance(image, bytes):
        return read_image_bytes(image, "bytes of an image")
    if isinstance(image, str | Path):
        path = local_path(image)
        return read_image(path, levels=gray_levels([path]))
    if isinstance(image, Image.Image):
        upright = turn_upright(image)
        if upright.mode == "F":
            raise ValueError("a PIL image of mode F has no known range: give RGB")
        if upright.mode not in SIXTEEN_BIT:
            return np.array(upright.convert("RGB"))
        return _array_pixels(np.asarray(upright).clip(0, 65535).astype(np.uint16))
    return _array_pixels(image)


def _array_pixels(image: np.ndarray | Tensor) -> UInt8[np.ndarray, "h w 3"]:
    pixels = image.detach().cpu().numpy() if isinstance(image, Tensor) else image
    if isinstance(image, Tensor) and pixels.ndim == 3:
        pixels = np.moveaxis(pixels, 0, 2)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.dtype.kind == "f":
        low, high = (float(pixels.min()), float(pixels.max())) if pixels.size else (0.0, 0.0)
        if not (low >= -ROUNDING and high <= 1 + ROUNDING):
            raise ValueError(f"a float image must be in [0, 1], got {low:g} to {high:g}")
        pixels = (pixels.astype(np.float32).clip(0, 1) * 255).round().astype(np.uint8)
    elif pixels.dtype == np.uint16:
        pixels = gray_to_bytes(pixels, array_levels([pixels]))
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4):
        raise ValueError(
            "an image is uint8, uint16 or float, (h, w, 3) or (h, w) in numpy, (3, h, w) or "
            f"(1, h, w) as a tensor, got {image.dtype} {tuple(image.shape)}"
        )
    if 0 in pixels.shape:
        raise ValueError(f"an image needs at least one pixel, got shape {tuple(image.shape)}")
    return np.ascontiguousarray(np.broadcast_to(pixels[..., :3], (*pixels.shape[:2], 3)))


def resize_depth(
    depth: Float[np.ndarray, "h w"], size: tuple[int, int]
) -> Float32[np.ndarray, "k m"]:
    """Depth at another size, bilinear between pixel centers, as every protocol of the field."""
    tensor = torch.from_numpy(np.require(depth, np.float32, "W"))[None, None]
    return F.interpolate(tensor, size, mode="bilinear", align_corners=False)[0, 0].numpy()


def local_path(source: str | Path) -> Path:
    """The path of a file or folder; a ValueError says that addresses of the web are none."""
    if str(source).lower().startswith(("http://", "https://")):
        raise ValueError(
            f"{source}: nothing is read from the web: get the file (curl -O) and give its path"
        )
    return Path(source)


def find_images(source: Path, room: int) -> dict[str, Path]:
    """The images of a file, a folder or a glob, by where they lie below it.

    Names leave out endings where these tell nothing, and leave room for so many bytes. A
    FileNotFoundError where there is nothing, a ValueError where there is no image.
    """
    folder = source
    if source.is_dir():
        found = [*source.iterdir()]
    elif source.is_file():
        folder, found = source.parent, [source]
    else:  # a glob
        wild = [i for i, part in enumerate(source.parts) if any(c in part for c in "*?[")]
        if not wild:
            raise FileNotFoundError(f"{source}: no such file or folder, and not a glob")
        folder = Path(*source.parts[: wild[0]])
        found = [*folder.glob(str(Path(*source.parts[wild[0] :])))]
    if source.suffix.lower() == ".txt" and source.is_file():
        raise ValueError(f"{source}: lists of images are no longer read: give a folder or a glob")
    if not source.is_file():
        found = [p for p in found if p.suffix.lower() in READABLE and p.name[0] != "."]
    order = frame_order([image.name for image in found])
    found.sort(key=lambda image: (natural_order(str(image.parent)), order(image.name)))
    if not found:
        others = left_out(folder, READABLE) if folder.is_dir() else ""
        raise ValueError(
            f"{source}: holds no image ({', '.join(READABLE)})" + (others and f", but {others}")
        )
    below = [Path(os.path.relpath(image, folder)) for image in found]
    times = Counter(path.with_suffix("") for path in below)
    names = (path if times[path.with_suffix("")] > 1 else path.with_suffix("") for path in below)
    fitting = (str(name.with_name(fitting_name(name.name, room))) for name in names)
    return dict(zip(fitting, found, strict=True))


def read_ahead(
    items: Iterable[Item],
    read: Callable[[Item], Read],
    pixels: Callable[[Item], int],
    threads: int = min(MOST_THREADS, os.cpu_count() or 1),
) -> Iterator[Read]:
    """What `read` returns for each item, in order; threads read a few before they are asked for.

    What `read` raises ends the iteration. `pixels` says how large an item will be, so that large
    ones do not fill the memory.
    """
    waiting = ((pixels(item), item) for item in items)
    with ThreadPoolExecutor(threads, thread_name_prefix="read") as pool:
        pending: deque[tuple[int, Future[Read]]] = deque()
        held = next(waiting, None)  # the next one, as long as there is no room for it
        try:
            while held or pending:
                room = AHEAD - sum(size for size, _ in pending)
                if held and len(pending) < 2 * threads and (held[0] <= room or not pending):
                    pending.append((held[0], pool.submit(read, held[1])))
                    held = next(waiting, None)
                else:
                    yield pending.popleft()[1].result()
        finally:
            for _, future in pending:
                future.cancel()


def is_live(source: str) -> bool:
    """True for the number of a webcam, or an rtsp address."""
    return source.isdecimal() or source.lower().startswith(RTSP)


def read_live(source: str) -> Generator[VideoFrame]:
    """Frames of a camera, until it is closed; always the newest one, those missed are dropped.

    A thread decodes, and overwrites what nobody took. A `VideoError` where there is no such camera,
    or it falls silent before its first frame.
    """
    container, began = _open_camera(source), time.monotonic()
    latest: queue.Queue[VideoFrame | None] = queue.Queue(maxsize=1)
    stop = threading.Event()

    def decode() -> None:
        try:  # the line breaks, or the film has no stream
            with container, suppress(av.error.FFmpegError, IndexError):
                for number, frame in enumerate(container.decode(container.streams.video[0])):
                    if stop.is_set() or too_many_pixels((frame.height, frame.width)):
                        break
                    pixels = np.ascontiguousarray(frame.to_ndarray(format="rgb24"))
                    now = time.monotonic() - began
                    with suppress(queue.Empty):  # nobody took it: the newest goes first
                        latest.get_nowait()
                    latest.put(VideoFrame(number=number, time=now, pixels=pixels))
        finally:
            if not stop.is_set():
                latest.put(None)

    reader = threading.Thread(target=decode, daemon=True)
    reader.start()
    count = 0
    try:
        with suppress(queue.Empty):  # it fell silent
            while (newest := latest.get(timeout=2 * SILENCE)) is not None:
                count += 1
                yield newest
        if count == 0:
            raise VideoError(f"{source}: the camera sends no frame")
    finally:
        stop.set()
        with suppress(queue.Empty):
            latest.get_nowait()
        reader.join(timeout=SILENCE)


def _open_camera(source: str) -> Any:
    instead = "record a video, or give the rtsp address of the camera"
    what, check = source, "the address, its user and password"
    address, kind, options = source, None, RTSP_OPTIONS
    if not source.lower().startswith(RTSP):
        what = f"webcam {source}"
        if sys.platform not in WEBCAMS:
            raise VideoError(f"{what}: webcams are read on Linux and macOS only; {instead}")
        (kind, name), options = WEBCAMS[sys.platform], {}
        address = name.format(source)
        check = f"that {address} exists and no other program uses it"
    try:
        return av.open(address, format=kind, options=options, timeout=SILENCE)
    except av.error.FFmpegError as error:
        raise VideoError(f"{what}: cannot be opened ({error.strerror}); check {check}") from error
    except ValueError as error:  # no such input
        reason = f"this PyAV was built without {kind}, so it reads no webcam"
        raise VideoError(f"{what}: {reason}; {instead}") from error
