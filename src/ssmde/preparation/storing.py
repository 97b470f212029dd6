"""Scene folders as they are stored: images and camera at their size, a run whole or not at all."""

import shutil
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8

from ssmde.data.images import resize_image, write_image
from ssmde.data.scene_files import write_intrinsics
from ssmde.geometry.camera import scale_intrinsics
from ssmde.outputs import folder_mark, hidden_folder, move_into_place, record_tree

PREPARE = "prepare"  # of the hidden name of what is being written


def stored_size(size: tuple[int, int], width: int | None) -> tuple[int, int]:
    """Size (height, width) after a resize to this width; the shape stays."""
    return size if width is None else (max(1, round(size[0] * width / size[1])), width)


def store_image(
    path: Path,
    pixels: UInt8[np.ndarray, "h w 3"],
    size: tuple[int, int],
    *,
    file: Path | None,
    quality: int,
) -> None:
    """Write RGB at this (height, width) as `path`.jpg; or copy `file`, if nothing changes.

    `file` holds these pixels, upright, in a format that a scene folder may hold.
    """
    if file is not None and pixels.shape[:2] == size:
        shutil.copyfile(file, path.with_name(path.name + file.suffix.lower()))
        return
    if pixels.shape[:2] != size:
        pixels = resize_image(pixels, size)
    write_image(path.with_name(f"{path.name}.jpg"), np.ascontiguousarray(pixels), quality=quality)


def store_camera(
    folder: Path,
    intrinsics: Float[np.ndarray, "3 3"] | None,
    size: tuple[int, int],
    stored: tuple[int, int],
) -> None:
    """Write cam.txt, if there is a matrix in pixels of `size`, for images that are stored so."""
    if intrinsics is not None:
        camera = torch.from_numpy(intrinsics.astype(np.float64))
        scaled = scale_intrinsics(camera, stored[1] / size[1], stored[0] / size[0])
        write_intrinsics(folder, scaled.numpy())


@contextmanager
def all_or_none(
    out: Path, replaced: Sequence[Path], mark: str, report: Callable[[], dict[str, Any]]
) -> Generator[Path]:
    """Folder to write scenes in; they move to `out` when the block ends well, else they go.

    What is `replaced` goes just before, but for folders with the mark of what the scenes are made
    of, which stay. `report` is asked at the end for what is kept with the mark.
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
