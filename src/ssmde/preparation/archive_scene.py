"""One scene of an archive becomes the files of a scene folder; a broken file costs its frame."""

import os
import shutil
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, UInt8, UInt16

from ssmde.data.images import (
    IMAGE_SUFFIXES,
    ImageError,
    read_image,
    read_orientation,
    resize_image,
    write_image,
    write_png16,
)
from ssmde.data.scene_files import write_intrinsics, write_poses, write_scene_info
from ssmde.datasets.record import ArchiveError, ArchiveFrame, ArchiveScene
from ssmde.geometry.camera import scale_intrinsics

WORKERS = min(8, os.cpu_count() or 1)  # threads; decoding and compressing run beside each other
STEADY = 0.1  # steps in time that differ by less than this share are a frame rate


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneContent:
    """What was written."""

    frames: int
    depths: int
    problems: tuple[str, ...]
    """What was left out, and why: one line for each file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Outcome:
    """What became of one frame."""

    image: bool = False
    depth: bool = False
    problem: str | None = None


def write_archive_scene(
    scene: ArchiveScene,
    folder: Path,
    *,
    stored: tuple[int, int],
    quality: int,
    about: dict[str, Any],
    advance: Callable[[], None],
) -> SceneContent:
    """Write images, depth, camera, poses and scene.json of a scene into an empty folder.

    A frame whose image is broken is left out; one whose depth is broken keeps its image. Nothing
    but broken frames leaves the folder without images.

    Args:
        scene: What to write; its readers are called from several threads.
        folder: Where to; exists.
        stored: Size (height, width) of the images as they are stored.
        quality: JPEG quality of images that cannot be copied, 1 to 100.
        about: Entries to add to scene.json.
        advance: Called after each frame.
    """
    (folder / "depth").mkdir()
    outcomes: list[_Outcome] = []
    with _workers() as pool:
        for outcome in pool.map(
            lambda frame: _write_frame(scene, frame, folder, stored, quality), scene.frames
        ):
            outcomes.append(outcome)
            advance()
    kept = np.flatnonzero([outcome.image for outcome in outcomes])
    depths = sum(outcome.depth for outcome in outcomes)
    problems = (*scene.problems, *(o.problem for o in outcomes if o.problem is not None))
    if not depths:
        (folder / "depth").rmdir()
    if scene.intrinsics is not None:
        scale = stored[1] / scene.image_size[1], stored[0] / scene.image_size[0]
        camera = torch.from_numpy(scene.intrinsics.astype(np.float64))
        write_intrinsics(folder, scale_intrinsics(camera, *scale).numpy())
    if scene.poses is not None:
        write_poses(folder, scene.poses[kept])
    info: dict[str, Any] = {"source": scene.source, "licence": scene.licence}
    info |= _timing(scene, kept)
    if depths:
        info["depth_units_per_metre"] = scene.depth_units_per_metre
    info["content"] = {"frames": len(kept), "depths": depths}
    write_scene_info(folder, info | about | {"problems": list(problems)})
    return SceneContent(frames=len(kept), depths=depths, problems=problems)


def shrink_depth(
    depth: Float32[np.ndarray, "h w"], size: tuple[int, int]
) -> Float32[np.ndarray, "k m"]:
    """Depth map at a smaller size, in the same unit, no two depths mixed; 0 where unknown.

    Each new pixel takes, of the measured pixels whose centres it covers, the one nearest to its
    own centre: so a sparse map keeps its points.

    Args:
        depth: 0 where unknown.
        size: New size (height, width), at most the old one.
    """
    rows, columns = np.nonzero(depth)
    scale = np.array(size) / depth.shape
    places = (np.stack([rows, columns], axis=1) + 0.5) * scale
    cells = np.minimum(places.astype(np.int64), np.array(size) - 1)
    off = ((places - cells - 0.5) / scale) ** 2  # in pixels of the old map
    order = np.argsort(-off.sum(axis=1), kind="stable")  # the nearest is written last, and stays
    small = np.zeros(size, np.float32)
    small[cells[order, 0], cells[order, 1]] = depth[rows, columns][order]
    return small


@contextmanager
def _workers() -> Generator[ThreadPoolExecutor]:
    """Threads that stop with the frame they are at when the block fails."""
    pool = ThreadPoolExecutor(WORKERS)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _write_frame(
    scene: ArchiveScene,
    frame: ArchiveFrame,
    folder: Path,
    stored: tuple[int, int],
    quality: int,
) -> _Outcome:
    try:
        _write_image(scene, frame, folder, stored, quality)
    except (ArchiveError, ImageError) as error:
        return _Outcome(problem=f"{error}; the frame is left out")
    if frame.depth is None:
        return _Outcome(image=True)
    try:
        depth = frame.depth()
        _check_size(f"depth of frame {frame.name}", depth, scene.image_size)
    except (ArchiveError, ImageError) as error:
        return _Outcome(image=True, problem=f"{error}; the frame has no depth")
    if stored != scene.image_size:
        depth = shrink_depth(depth, stored)
    path = folder / "depth" / f"{frame.name}.png"
    write_png16(path, _in_units(depth, scene.depth_units_per_metre))
    return _Outcome(image=True, depth=True)


def _write_image(
    scene: ArchiveScene,
    frame: ArchiveFrame,
    folder: Path,
    stored: tuple[int, int],
    quality: int,
) -> None:
    """Copy the image if it needs no change; it is decoded first, since it may be broken."""
    file = frame.image if isinstance(frame.image, Path) else None
    pixels = frame.image() if not isinstance(frame.image, Path) else read_image(frame.image)
    _check_size(str(file or f"image of frame {frame.name}"), pixels, scene.image_size)
    suffix = file.suffix.lower() if file else ""
    if (
        file
        and stored == scene.image_size
        and suffix in IMAGE_SUFFIXES
        and read_orientation(file) == 1
    ):
        shutil.copyfile(file, folder / f"{frame.name}{suffix}")
        return
    pixels = pixels if stored == scene.image_size else resize_image(pixels, stored)
    write_image(folder / f"{frame.name}.jpg", np.ascontiguousarray(pixels), quality=quality)


def _check_size(
    what: str,
    pixels: UInt8[np.ndarray, "h w 3"] | Float32[np.ndarray, "h w"],
    size: tuple[int, int],
) -> None:
    height, width = pixels.shape[:2]
    if (height, width) != size:
        raise ImageError(
            f"{what}: {width} x {height} pixels, but the images of the scene have "
            f"{size[1]} x {size[0]}"
        )


def _in_units(depth: Float32[np.ndarray, "h w"], units_per_metre: int) -> UInt16[np.ndarray, "h w"]:
    """Whole units; 0 where unknown or beyond what 16 bits hold, and at least 1 where measured."""
    units = np.round(depth.astype(np.float64) * units_per_metre)
    units = np.where(depth > 0, np.maximum(units, 1), 0)
    return np.where(units <= np.iinfo(np.uint16).max, units, 0).astype(np.uint16)


def _timing(scene: ArchiveScene, kept: Int[np.ndarray, " _"]) -> dict[str, Any]:
    """The frame rate, if the frames that are kept have one; else the time of each."""
    if scene.fps is not None and np.all(np.diff(kept) == 1):
        return {"fps": scene.fps}
    if scene.timestamps is None:
        return {"fps": None}
    times: Float[np.ndarray, " _"] = scene.timestamps[kept]
    steps = np.diff(times)
    if len(steps) and np.ptp(steps) < STEADY * np.median(steps):
        return {"fps": float(1 / np.median(steps))}
    return {"fps": None, "timestamps": [round(float(time), 6) for time in times]}
