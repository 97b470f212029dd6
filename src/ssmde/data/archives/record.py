"""What a reader of an official archive hands over: scenes whose files are opened when asked for.

A reader lists what is there and reads small text files; images and depth are read frame by frame by
whoever writes the scene folder. So one broken file costs one frame, not the archive.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32, UInt8

from ssmde.data.sequence import check_intrinsics
from ssmde.io import FileError, read_bytes

ReadImage = Callable[[], UInt8[np.ndarray, "h w 3"]]
ReadDepth = Callable[[], Float32[np.ndarray, "h w"]]


class ArchiveError(ValueError):
    """A file of an archive that is missing or cannot be used; the message names it."""


def read_archive_file(path: Path) -> bytes:
    """What a file of an archive holds.

    Raises:
        ArchiveError: If it is missing, no plain file, or cannot be read.
    """
    try:
        return read_bytes(path)
    except FileError as error:
        raise ArchiveError(str(error)) from error
    except OSError as error:
        reason = error.strerror or "no such file"
        raise ArchiveError(f"{path}: cannot be read ({reason})") from error


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
    """Name of the scene folder; no slash."""
    split: Literal["train", "val", "test"]
    """List the scene belongs to."""
    frames: tuple[ArchiveFrame, ...]
    """In time order."""
    image_size: tuple[int, int]
    """Size (height, width) of the images, in pixels."""
    intrinsics: Float[np.ndarray, "3 3"] | None
    """Pinhole matrix in pixels of the images; None if the archive has none."""
    source: str
    """Archive, paper and part, for scene.json."""
    licence: str
    """Licence as the archive states it."""
    depth_units_per_metre: int = 256
    """What 1 m is in the depth PNGs that are written: 65535 / this is the largest depth."""
    fps: float | None = None
    poses: Float[np.ndarray, "n 4 4"] | None = None
    """Camera to world, in metres; nan where unknown."""
    timestamps: Float[np.ndarray, " n"] | None = None
    """Time of each frame, in seconds."""
    problems: tuple[str, ...] = field(default=())
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
