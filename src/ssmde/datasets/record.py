"""Scenes as a reader of an official archive hands them over; frames are opened when asked for.

A reader lists what is there and reads small text files; images and depth are read frame by frame by
whoever writes the scene folder. So one broken file costs one frame, not the archive.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32, UInt8

from ssmde.data.images import ImageError, read_depth, read_size
from ssmde.data.sequence import check_intrinsics
from ssmde.io import FileError, read_bytes

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
ReadImage = Callable[[], UInt8[np.ndarray, "h w 3"]]
ReadDepth = Callable[[], Float32[np.ndarray, "h w"]]


class ArchiveError(ValueError):
    """A file of an archive that is missing or cannot be used; the message names it.

    Raised by all readers of files in this folder.
    """


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchiveFrame:
    """One frame of an archive."""

    name: str
    """Stem of its files in the scene folder; the order of the names is the order in time."""
    image: Path | ReadImage
    """A JPEG or PNG that can be copied, or what gives RGB. Raises `ArchiveError` or `ImageError`
    for a broken file."""
    depth: ReadDepth | None = None
    """Gives depth in metres, 0 where unknown, of the size of the image; raises as `image` does.
    None if the archive has no depth for this frame."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ArchiveScene:
    """One video of an archive, which becomes one scene folder."""

    name: str
    split: Split
    frames: tuple[ArchiveFrame, ...]
    """In time order."""
    image_size: tuple[int, int]
    """Height, width."""
    intrinsics: Float[np.ndarray, "3 3"] | None
    """Pinhole matrix in pixels of the images; None if the archive has none."""
    source: str
    """Archive, paper and part, for scene.json."""
    licence: str
    """As the archive states it."""
    depth_units_per_metre: int = 256
    """What 1 m is in the depth PNGs that are written: 65535 / this is the largest depth."""
    fps: float | None = None
    poses: Float[np.ndarray, "n 4 4"] | None = None
    """Camera to world, in metres; nan where unknown."""
    timestamps: Float[np.ndarray, " n"] | None = None
    """In seconds."""
    problems: tuple[str, ...] = ()
    """What was left out, and why: one line for each file."""

    def __post_init__(self) -> None:
        """Refuse what cannot be a scene."""
        if not self.frames:
            raise ArchiveError(f"scene '{self.name}' has no frames")
        if "/" in self.name or self.name.startswith("."):
            raise ValueError(f"a scene's name is the name of a folder, got '{self.name}'")
        if self.intrinsics is not None:
            check_intrinsics(self.intrinsics, self.image_size, where=f"scene '{self.name}'")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Archive:
    """What a reader found."""

    scenes: tuple[ArchiveScene, ...]
    problems: tuple[str, ...] = ()
    """Scenes that could not be used at all, and why: one line for each."""


def collect(
    scenes: Iterable[Callable[[], ArchiveScene | Iterable[ArchiveScene]]], problems: list[str]
) -> Archive:
    """The scenes that can be made; a fault of one becomes a line in `problems`."""
    found: list[ArchiveScene] = []
    for make in scenes:
        try:
            made = make()
            found += [made] if isinstance(made, ArchiveScene) else made
        except (ArchiveError, ImageError) as error:
            problems.append(str(error))
    return Archive(scenes=tuple(found), problems=tuple(problems))


def read_archive_file(path: Path) -> bytes:
    """Bytes of a file of an archive; an `ArchiveError` if it is missing or no plain file."""
    try:
        return read_bytes(path)
    except FileError as error:
        raise ArchiveError(str(error)) from error
    except OSError as error:
        reason = error.strerror or "no such file"
        raise ArchiveError(f"{path}: cannot be read ({reason})") from error


def in_pixels(size: tuple[int, int]) -> str:
    """A size (height, width) in words: `640 x 480`."""
    return f"{size[1]} x {size[0]}"


def first_size(files: Iterable[Path], published: tuple[int, int] | None = None) -> tuple[int, int]:
    """Size of the first image that can be opened; refuses one that the camera is not for."""
    fault: ImageError | None = None
    for file in files:
        try:
            size = read_size(file)
        except ImageError as error:
            fault = fault or error
            continue
        if size != (published or size):
            raise ArchiveError(
                f"{file}: {in_pixels(size)} pixels, but the camera is published for "
                f"{in_pixels(published or size)}; give the images as the archive has them"
            )
        return size
    raise fault or ArchiveError("no image to open")


def read_sized_depth(
    path: Path, units_per_metre: int, size: tuple[int, int]
) -> Float32[np.ndarray, "h w"]:
    """Depth PNG in metres, 0 where unknown; an `ArchiveError` if it has another size."""
    depth = read_depth(path, units_per_metre)
    if depth.shape != size:
        raise ArchiveError(
            f"{path}: {in_pixels(depth.shape)} pixels, but the images have {in_pixels(size)}"
        )
    return depth
