"""Frames of a source, written as scene folders that appear whole or not at all."""

import re
import shutil
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from ssmde.data.images import resize_image, write_image
from ssmde.data.scene_files import read_scene_info, write_timestamps
from ssmde.data.scene_folder import write_intrinsics, write_scene_info
from ssmde.geometry.camera import scale_intrinsics
from ssmde.outputs import folder_mark, hidden_folder, move_into_place, record_tree
from ssmde.preparation.sources import SourceFrame

PREPARE = "prepare"  # of the hidden name of what is being written
DIGITS = 6  # of a frame's number in its file name
EVEN = 0.1  # of the time between two frames; some files count in whole milliseconds


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Look:
    """How the frames of a source are stored."""

    size: tuple[int, int]
    """Size (height, width) they come in, in pixels."""
    stored: tuple[int, int]
    """Size they are written in."""
    quality: int
    """Of a JPEG, 1 to 100."""
    intrinsics: Float[np.ndarray, "3 3"] | None
    """Pinhole matrix in pixels of `size`; None if unknown."""


def write_scene(
    folder: Path,
    frames: Iterable[SourceFrame],
    look: Look,
    fps: float | None,
    info: dict[str, Any],
) -> list[int]:
    """Write frames, cam.txt, scene.json and, if they are unevenly spaced, timestamps.txt.

    Args:
        folder: To make.
        frames: In order, all of the size that `look` states.
        look: How they are stored.
        fps: Frames a second of the source, for frames that have no time of their own.
        info: For scene.json.

    Returns:
        Numbers of the frames that were written.
    """
    folder.mkdir(parents=True)
    numbers: list[int] = []
    times: list[float | None] = []
    for frame in frames:
        _write_frame(frame, folder, look)
        numbers.append(frame.number)
        times.append(frame.time)
    if look.intrinsics is not None:
        scale = look.stored[1] / look.size[1], look.stored[0] / look.size[0]
        write_intrinsics(
            folder, scale_intrinsics(torch.from_numpy(look.intrinsics), *scale).numpy()
        )
    seconds = _seconds(numbers, times, fps)
    rate = None if seconds is None else _even_rate(seconds, fps)
    if seconds is not None and rate is None:
        write_timestamps(folder, seconds)
    write_scene_info(folder, {"source": info["source"], "fps": rate} | info)
    return numbers


def scenes_of(out: Path, name: str, label: str) -> list[Path]:
    """Folders of that name, and those that an earlier run made of the same source: name-1, ..."""
    if not out.is_dir():
        return []
    return [
        folder
        for folder in sorted(out.iterdir())
        if folder.name == name or (is_part_of(folder.name, name) and _source_of(folder) == label)
    ]


def is_part_of(folder: str, name: str) -> bool:
    """Whether a folder has the name of a part of a scene: name-1, name-2 and so on."""
    return re.fullmatch(re.escape(name) + r"-\d+", folder) is not None


@contextmanager
def all_or_none(
    out: Path, replaced: Sequence[Path], mark: str, report: Callable[[], dict[str, Any]]
) -> Generator[Path]:
    """Folder to write scenes in; they move to `out` when the block ends well, else they go.

    Args:
        out: Data folder.
        replaced: Scene folders that go just before; those among them with the mark stay.
        mark: Of what the scenes are made of.
        report: Asked at the end for what is kept with the mark.
    """
    with hidden_folder(out / PREPARE) as part:
        yield part
        scenes = [
            scene for scene in sorted(part.iterdir()) if folder_mark(out / scene.name) != mark
        ]
        for scene in scenes:
            record_tree(scene, mark, report())
        for folder in replaced:
            if folder_mark(folder) != mark:
                move_into_place(None, folder)
        for scene in scenes:
            move_into_place(scene, out / scene.name)


def _write_frame(frame: SourceFrame, folder: Path, look: Look) -> None:
    """Copy the file as it is where nothing has to change."""
    stem = f"{frame.number:0{DIGITS}d}"
    if frame.file and look.stored == look.size:
        shutil.copyfile(frame.file, folder / f"{stem}{frame.file.suffix.lower()}")
        return
    pixels = frame.pixels
    if look.stored != look.size:
        pixels = resize_image(pixels, look.stored)
    write_image(folder / f"{stem}.jpg", np.ascontiguousarray(pixels), quality=look.quality)


def _seconds(
    numbers: list[int], times: list[float | None], fps: float | None
) -> Float[np.ndarray, " n"] | None:
    """Time of each frame: what the file says if that makes sense, else number / fps."""
    known = [time for time in times if time is not None]
    if known and len(known) == len(times) and bool(np.all(np.diff(known) > 0)):
        return np.array(known)
    return None if fps is None else np.array(numbers) / fps


def _even_rate(seconds: Float[np.ndarray, " n"], fps: float | None) -> float | None:
    """Frames a second if they are evenly spaced; None if not."""
    if len(seconds) < 2:
        return fps
    steps = np.diff(seconds)
    mean = float(steps.mean())
    return 1 / mean if float(np.abs(steps - mean).max()) <= EVEN * mean else None


def _source_of(folder: Path) -> str | None:
    try:
        return read_scene_info(folder / "scene.json").get("source")
    except ValueError:
        return None
