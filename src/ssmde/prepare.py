"""`ssmde prepare`: a video file or a folder of images becomes a scene folder."""

import math
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from rich.progress import track

from ssmde.data.images import (
    IMAGE_SUFFIXES,
    ImageError,
    is_upright,
    read_image,
    resize_image,
    write_image,
)
from ssmde.data.scene_files import read_intrinsics
from ssmde.data.scene_folder import list_images, write_intrinsics, write_scene_info
from ssmde.data.sequence import check_intrinsics
from ssmde.data.video import VIDEO_SUFFIXES, read_frames, video_info
from ssmde.geometry.camera import scale_intrinsics

DIGITS = 6  # of a frame's number in its file name


@dataclass(frozen=True, kw_only=True, slots=True)
class _Frame:
    """A frame of the source: its pixels, and its file where it can be copied as it is."""

    number: int
    pixels: UInt8[np.ndarray, "h w 3"]
    file: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Source:
    """Frames to come, and what is known about them."""

    frames: Iterator[_Frame]
    count: int | None
    fps: float | None


def prepare(
    source: Path,
    out: Path,
    *,
    step: int = 1,
    intrinsics: tuple[float, float, float, float] | None = None,
    hfov_degrees: int | float | None = None,
    width: int | None = None,
    name: str | None = None,
    quality: int = 95,
    overwrite: bool = False,
    show_progress: bool = True,
) -> Path:
    """Write the frames of a video or a folder as a scene folder and return that folder.

    Frames keep their number in the source as their name. Images that need no change are copied.
    The camera is `intrinsics`, or follows from `hfov_degrees`, or is read from a cam.txt beside the
    source images; else cam.txt is left out. The scene appears whole or not at all.

    Args:
        source: Video file, or folder of images in the order of their names.
        out: Data folder; the scene becomes a folder in it.
        step: Take every so many-th frame.
        intrinsics: Focal lengths and principal point (fx, fy, cx, cy), in pixels of the frames as
            the source shows them, upright; they follow when `width` resizes the frames.
        hfov_degrees: Horizontal field of view of an upright frame, for a camera with its
            principal point in the middle.
        width: Resize to this width, in pixels; the shape of the image stays.
        name: Name of the scene; that of the source if absent.
        quality: JPEG quality, 1 to 100.
        overwrite: Replace a scene of that name.
        show_progress: Draw a progress bar.

    Raises:
        FileNotFoundError: If there is no such source.
        FileExistsError: If the scene exists and may not be replaced.
        ValueError: If the source holds no frames, a frame cannot be read, sizes differ, or an
            argument does not fit.
    """
    _check_numbers(step, quality, width)
    if intrinsics is not None and hfov_degrees is not None:
        raise ValueError("give intrinsics or hfov_degrees, not both")
    name = name or (source.resolve().name if source.is_dir() else source.stem)
    scene = out / name
    if scene.parent != out or name.startswith("."):
        raise ValueError(f"a scene's name is the name of a folder, got '{name}'")
    if scene.exists() and not overwrite:
        raise FileExistsError(f"{scene} exists: choose another name, or allow it to be overwritten")
    frames = _open_source(source, step)
    first = next(frames.frames)
    size = (first.pixels.shape[0], first.pixels.shape[1])
    stored = _stored_size(size, width)
    camera = _camera(source, size, intrinsics, hfov_degrees)
    part = out / f".{name}.{os.getpid()}.part"
    part.mkdir(parents=True)
    try:
        rest = chain([first], frames.frames)
        for frame in track(rest, name, frames.count, disable=not show_progress):
            _write_frame(frame, part, size, stored, quality)
        if camera is not None:
            scale = stored[1] / size[1], stored[0] / size[0]
            write_intrinsics(part, scale_intrinsics(torch.from_numpy(camera), *scale).numpy())
        info = {"source": source.name, "fps": frames.fps, "notes": f"every {step}. frame"}
        write_scene_info(part, info if step > 1 else info | {"notes": "every frame"})
        if scene.exists():
            shutil.rmtree(scene)
        part.rename(scene)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return scene


def _check_numbers(step: int, quality: int, width: int | None) -> None:
    if step < 1:
        raise ValueError(f"step must be at least 1, got {step}")
    if not 1 <= quality <= 100:
        raise ValueError(f"quality must be in [1, 100], got {quality}")
    if width is not None and width < 1:
        raise ValueError(f"width must be at least 1 pixel, got {width}")


def _open_source(source: Path, step: int) -> _Source:
    if source.is_dir():
        files = list_images(source)[::step]
        if not files:
            raise ValueError(f"{source}: holds no images ({', '.join(IMAGE_SUFFIXES)})")
        frames = (
            _Frame(number=i * step, pixels=read_image(f), file=f if is_upright(f) else None)
            for i, f in enumerate(files)
        )
        return _Source(frames=frames, count=len(files), fps=None)
    if not source.is_file():
        raise FileNotFoundError(f"{source}: no such file or folder; give a video or images")
    if source.suffix.lower() not in VIDEO_SUFFIXES:
        raise ValueError(
            f"{source}: unknown file type '{source.suffix}'; give a folder of images or a video "
            f"({', '.join(VIDEO_SUFFIXES)})"
        )
    info = video_info(source)
    shown = islice(enumerate(read_frames(source)), 0, None, step)
    frames = (_Frame(number=i, pixels=pixels) for i, pixels in shown)
    count = math.ceil(info.frames / step) if info.frames else None
    return _Source(frames=frames, count=count, fps=info.fps / step)


def _write_frame(
    frame: _Frame, folder: Path, size: tuple[int, int], stored: tuple[int, int], quality: int
) -> None:
    """Write or copy one frame, from the size all frames have to the stored one."""
    height, width = frame.pixels.shape[:2]
    if (height, width) != size:
        raise ImageError(
            f"{frame.file or f'frame {frame.number}'}: {width} x {height} pixels, but the first "
            f"frame has {size[1]} x {size[0]}; give each size a scene of its own"
        )
    stem = f"{frame.number:0{DIGITS}d}"
    if frame.file and stored == size:
        shutil.copyfile(frame.file, folder / f"{stem}{frame.file.suffix.lower()}")
    else:
        pixels = frame.pixels if stored == size else resize_image(frame.pixels, stored)
        write_image(folder / f"{stem}.jpg", np.ascontiguousarray(pixels), quality=quality)


def _stored_size(size: tuple[int, int], width: int | None) -> tuple[int, int]:
    """Size (height, width) after the resize."""
    if width is None:
        return size
    if width > size[1]:
        raise ValueError(f"width must be at most that of the frames, {size[1]}, got {width}")
    return max(1, round(size[0] * width / size[1])), width


def _camera(
    source: Path,
    size: tuple[int, int],
    intrinsics: tuple[float, float, float, float] | None,
    hfov_degrees: int | float | None,
) -> Float[np.ndarray, "3 3"] | None:
    """Pinhole matrix in pixels of the source's frames, from what the caller knows."""
    if hfov_degrees is not None:
        if not 0 < hfov_degrees < 180:
            raise ValueError(f"hfov_degrees must be in (0, 180), got {hfov_degrees}")
        focal = size[1] / 2 / math.tan(math.radians(hfov_degrees) / 2)
        intrinsics = (focal, focal, (size[1] - 1) / 2, (size[0] - 1) / 2)
    if intrinsics is None:
        return read_intrinsics(source / "cam.txt", size) if source.is_dir() else None
    fx, fy, cx, cy = intrinsics
    camera = np.array([(fx, 0, cx), (0, fy, cy), (0, 0, 1)], dtype=np.float64)
    check_intrinsics(camera, size, where="intrinsics")
    return camera
