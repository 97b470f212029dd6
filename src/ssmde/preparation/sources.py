"""Where frames come from: films and photos, found by path or pattern and read one by one."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from glob import glob, has_magic
from itertools import chain, groupby
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from ssmde.data.files import left_out, list_names
from ssmde.data.grey import grey_levels, stretch_note
from ssmde.data.images import (
    IMAGE_SUFFIXES,
    REDUCTIONS,
    ImageError,
    read_image,
    read_orientation,
    read_size,
)
from ssmde.data.opening import READABLE, not_read
from ssmde.data.scene_folder import in_name_order
from ssmde.data.video import (
    VIDEO_SUFFIXES,
    GreyFrame,
    VideoNotes,
    is_film,
    read_chosen_frames,
    read_grey_frames,
    video_info,
)
from ssmde.io import are_decimal, fitting_name
from ssmde.preparation.camera_hints import FocalHint, focal_of_film, focal_of_photos
from ssmde.preparation.motion import LOOK_SIDE

MOST_PARTS = "-99999"
"""What may follow the name of a scene."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SourceFrame:
    """A frame at full size."""

    number: int
    """Place in the source, from 0."""
    time: float | None
    """In seconds; None if unknown."""
    pixels: UInt8[np.ndarray, "h w 3"]
    """RGB, upright."""
    file: Path | None
    """Its file, where that can be copied as it is."""
    begins: bool = False
    """True where it does not continue the frame before: after a pause, or at another size."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Photos:
    """Images of one folder, in the order of their names."""

    name: str
    """Of the scene they become."""
    files: tuple[Path, ...]
    notes: VideoNotes = field(default_factory=VideoNotes, compare=False)
    """What was noticed while they were read."""
    levels: tuple[int, int] | None = field(init=False)
    """Of 16-bit grey, of all of them: see `grey_levels`."""

    @property
    def label(self) -> str:
        """Name of their folder."""
        return self.files[0].resolve().parent.name

    @property
    def camera_file(self) -> Path:
        """The cam.txt that belongs to them, which need not exist."""
        return self.files[0].parent / "cam.txt"

    @property
    def read(self) -> tuple[Path, ...]:
        """All files it is read from."""
        return (*self.files, self.camera_file)

    def __post_init__(self) -> None:
        """Say what was understood of the names and the pixels."""
        object.__setattr__(self, "levels", grey_levels(self.files))
        for note in stretch_note(self.levels):
            self.notes.add(note)
        if are_decimal(file.stem for file in self.files):
            self.notes.add("names are decimal numbers, sorted by their value")

    def size(self) -> tuple[int, int]:
        """Size (height, width) of the first image, in pixels, upright."""
        return read_size(self.files[0])

    def orientation(self) -> int:
        """How the camera says it was held (EXIF), for the matrix in cam.txt.

        Raises:
            ValueError: If that is not the same for all: their upright images have two cameras.
        """
        first = read_orientation(self.files[0])
        for file in self.files:
            if (other := read_orientation(file)) != first:
                raise ValueError(
                    f"{file}: turned by its orientation mark (EXIF {other}), unlike "
                    f"{self.files[0].name} ({first}): one {self.camera_file.name} cannot be that "
                    "of both; give each a folder of its own"
                )
        return first

    def count(self) -> int:
        """Number of images."""
        return len(self.files)

    def fps(self) -> None:
        """Nobody knows how fast they were taken."""

    def every(self, step: int) -> range:
        """Numbers of every so many-th image."""
        return range(0, len(self.files), step)

    def focal_hint(self) -> FocalHint | None:
        """What EXIF says about the focal length."""
        return focal_of_photos(self.files, self.size())

    def look(self) -> Iterator[GreyFrame]:
        """Every image as a small grey picture."""
        size = self.size()
        reduction = next(r for r in REDUCTIONS if max(size) // r >= LOOK_SIDE or r == 1)
        for number, file in enumerate(self.files):
            _check_size(str(file), read_size(file), size)
            pixels = read_image(file, reduction=reduction, levels=self.levels)
            grey = np.array(Image.fromarray(pixels).convert("L"))
            yield GreyFrame(number=number, time=None, grey=grey)

    def frames(self, numbers: Sequence[int]) -> Iterator[SourceFrame]:
        """The images of these rising numbers."""
        size = self.size()
        for number in numbers:
            file = self.files[number]
            pixels = read_image(file, levels=self.levels)
            _check_size(str(file), pixels.shape, size)
            as_it_is = self.levels is None and file.suffix.lower() in IMAGE_SUFFIXES
            as_it_is = as_it_is and read_orientation(file) == 1
            whole = file if as_it_is else None
            yield SourceFrame(number=number, time=None, pixels=pixels, file=whole)


@dataclass(frozen=True, kw_only=True, slots=True)
class Film:
    """A video file."""

    name: str
    """Of the scene it becomes."""
    file: Path
    camera_file: None = None
    """A folder of films may hold those of several cameras, so none is looked for."""
    notes: VideoNotes = field(default_factory=VideoNotes, compare=False)
    """What was noticed while it was read."""

    @property
    def label(self) -> str:
        """Name of the file."""
        return self.file.name

    @property
    def read(self) -> tuple[Path, ...]:
        """All files it is read from."""
        return (self.file,)

    def orientation(self) -> int:
        """Films have no cam.txt that could be turned."""
        return 1

    def size(self) -> tuple[int, int]:
        """Size (height, width) of the first frame, in pixels, upright."""
        with closing(read_chosen_frames(self.file, lambda _: True)) as frames:
            height, width = next(frames).pixels.shape[:2]
        return height, width

    def count(self) -> int | None:
        """Number of frames, if the file says so."""
        return video_info(self.file).frames or None

    def fps(self) -> float:
        """Frames a second, on average."""
        return video_info(self.file).fps

    def every(self, step: int) -> range:
        """Numbers of every so many-th frame; without end, for only reading tells where that is."""
        return range(0, sys.maxsize, step)

    def focal_hint(self) -> FocalHint | None:
        """What the file's tags say about the focal length."""
        return focal_of_film(video_info(self.file).tags, self.size())

    def look(self) -> Iterator[GreyFrame]:
        """Every frame as a small grey picture."""
        yield from read_grey_frames(self.file, LOOK_SIDE, self.notes)

    def frames(self, numbers: Sequence[int]) -> Iterator[SourceFrame]:
        """The frames of these rising numbers, up to the end of the film."""
        wanted = numbers if isinstance(numbers, range) else frozenset(numbers)
        with closing(read_chosen_frames(self.file, wanted.__contains__, self.notes)) as frames:
            for frame in frames:
                yield SourceFrame(
                    number=frame.number, time=frame.time, pixels=frame.pixels, file=None,
                    begins=frame.begins,
                )  # fmt: skip
                if frame.number == numbers[-1]:
                    return


Source = Photos | Film


def find_sources(given: Path | Sequence[Path]) -> list[Source]:
    """Films and groups of photos: a folder, or the image files of one folder, is one group.

    Args:
        given: Video files, image files, folders of either, or patterns such as `shots/*.jpg`. In a
            folder with images videos do not count.

    Raises:
        FileNotFoundError: If there is no such file or folder, or nothing fits a pattern.
        ValueError: If a folder holds no images, or a file is neither a video nor an image.
    """
    paths = [given] if isinstance(given, Path) else list(given)
    if not paths:
        raise ValueError("no source given; give videos, images or a folder of images")
    files = list(chain.from_iterable(_matching(path) for path in paths))
    sources: list[Source] = []
    for parent, group in groupby(files, key=_folder_of_photos):
        if parent is None:
            sources += [_film_or_folder(file) for file in group]
            continue
        images = tuple(in_name_order(list(dict.fromkeys(group))))
        name = images[0].stem if len(images) == 1 else parent.resolve().name
        sources.append(Photos(name=fitting_name(name, len(MOST_PARTS)), files=images))
    return sources


def _matching(path: Path) -> list[Path]:
    """The path itself, what fits it as a pattern, or the videos of a folder without images."""
    if path.exists():
        return (path.is_dir() and not list_names(path, READABLE) and _films(path)) or [path]
    found = [Path(name) for name in sorted(glob(str(path)))] if has_magic(str(path)) else []
    if found:
        return found
    raise FileNotFoundError(
        f"{path}: no file fits this pattern; give a video or images"
        if has_magic(str(path))
        else f"{path}: no such file or folder; give a video or images"
    )


def _films(folder: Path) -> list[Path]:
    return sorted(f for f in folder.iterdir() if f.suffix.lower() in VIDEO_SUFFIXES)


def _folder_of_photos(path: Path) -> Path | None:
    """Folder of an image file; None for everything else."""
    return path.parent if path.is_file() and path.suffix.lower() in READABLE else None


def _film_or_folder(path: Path) -> Source:
    if path.is_dir():
        files = [path / name for name in list_names(path, READABLE)]
        others = left_out(path, READABLE)
        if not files:
            raise ValueError(
                f"{path}: holds no images ({', '.join(READABLE)}) or videos"
                + (others and f", but {others}")
            )
        photos = Photos(name=path.resolve().name, files=tuple(files))
        if others:
            photos.notes.add(f"left out: {others}")
        return photos
    if not is_film(path):
        heic = f" ({not_read('HEIC')})" if path.suffix.lower() in (".heic", ".heif") else ""
        raise ValueError(
            f"{path}: unknown file type '{path.suffix}'{heic}; give images, a folder of images or "
            f"a video ({', '.join(VIDEO_SUFFIXES)})"
        )
    return Film(name=fitting_name(path.stem, len(MOST_PARTS)), file=path)


def _check_size(where: str, shape: tuple[int, ...], first: tuple[int, ...]) -> None:
    """Refuse a frame of another size than the first frame."""
    if shape[:2] != first[:2]:
        raise ImageError(
            f"{where}: {shape[1]} x {shape[0]} pixels, but the first frame has "
            f"{first[1]} x {first[0]}; give each size a scene of its own"
        )
