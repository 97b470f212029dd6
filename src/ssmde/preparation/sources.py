"""Where frames come from: films and photos, and what they say of their lens."""

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from glob import glob, has_magic
from itertools import groupby
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from ssmde.data import images, video
from ssmde.data.scene_files import read_intrinsics
from ssmde.data.scene_folder import left_out, list_names, sort_names
from ssmde.data.sequence import Intrinsics, Size
from ssmde.data.video import GrayFrame, VideoFrame, VideoNotes
from ssmde.io import fitting_name
from ssmde.preparation.selection import LOOK_SIDE

MOST_PARTS = len("-99999")  # what may follow the name of a scene
FILM_DIAGONAL = 43.267  # mm, of 36 x 24 mm, to which an equivalent focal length refers (CIPA)
EQUIVALENT_RANGE = (4.0, 2000.0)  # mm; what lies outside is no lens
SAME_FOCAL = 0.02  # relative difference between photos from which the lens zoomed
MOST_PHOTOS = 50  # that are asked
# Ends of tags, lower case; of phones com.apple.quicktime.camera.focal_length.35mm_equivalent.
FILM_TAGS = ("camera.focal_length.35mm_equivalent", "focallengthin35mmfilm")
Camera = tuple[Intrinsics, str]
"""Pinhole matrix in pixels of the upright, full-size frames, and who says so."""


class Photos:
    """Images of one folder, in the order of their names."""

    def __init__(self, name: str, files: tuple[Path, ...]) -> None:
        self.name, self.files, self.notes = name, files, VideoNotes()  # what was noticed
        self.label = files[0].resolve().parent.name
        self.read = (*files, files[0].parent / "cam.txt")  # which need not exist
        self.count = self.end = len(files)
        self.levels = images.gray_levels(files)  # of 16-bit gray, of all of them
        for note in images.stretch_note(self.levels):
            self.notes.add(note)

    def size(self) -> Size:
        """Height and width of the first image, upright."""
        return images.read_size(self.files[0])

    def camera(self, size: Size) -> Camera | None:
        """What cam.txt says of images of this size, or else EXIF."""
        path = self.read[-1]
        if not path.is_file():
            return camera_of_photos(self.files, size)
        turns = {images.read_orientation(file): file.name for file in self.files}
        if len(turns) > 1:  # upright they have two cameras
            raise ValueError(
                f"{path}: cannot be the camera of images that their orientation marks (EXIF) turn "
                f"in different ways: {turns}; give each a folder of its own"
            )
        matrix = read_intrinsics(path, size, orientation=min(turns))
        turned = "" if 1 in turns else ", turned upright as they are"
        return None if matrix is None else (matrix, f"cam.txt beside the images{turned}")

    def look(self) -> Iterator[GrayFrame]:
        """Every image as a small gray picture."""
        size = self.size()
        reduction = next(r for r in images.REDUCTIONS if max(size) // r >= LOOK_SIDE or r == 1)
        for number, file in enumerate(self.files):
            _check_size(file, images.read_size(file), size)
            pixels = images.read_image(file, reduction=reduction, levels=self.levels)
            gray = np.array(Image.fromarray(pixels).convert("L"))
            yield GrayFrame(number=number, time=None, gray=gray)

    def frames(self, numbers: Sequence[int]) -> Iterator[VideoFrame]:
        """The images of these rising numbers."""
        size = self.size()
        for number in numbers:
            file = self.files[number]
            pixels = images.read_image(file, levels=self.levels)
            _check_size(file, pixels.shape[:2], size)
            as_it_is = file if self.levels is None else None
            yield VideoFrame(number=number, time=None, pixels=pixels, file=as_it_is)


class Film:
    """A video file; its members are those of `Photos`."""

    end = sys.maxsize  # only reading tells where it is

    def __init__(self, name: str, file: Path) -> None:
        self.name, self.file, self.label, self.notes = name, file, file.name, VideoNotes()
        self.read = (file,)  # a folder of films may hold those of several cameras: no cam.txt
        info = video.video_info(file)
        self.count, self.tags = info.frames or None, info.tags

    def size(self) -> Size:
        """Height and width of the first frame, upright."""
        with closing(video.read_chosen_frames(self.file, lambda _: True)) as frames:
            height, width = next(frames).pixels.shape[:2]
        return height, width

    def camera(self, size: Size) -> Camera | None:
        """What the file's tags say of frames of this size."""
        return camera_of_film(self.tags, size)

    def look(self) -> Iterator[GrayFrame]:
        """Every frame as a small gray picture."""
        for frame in video.decode(self.file, self.notes):
            gray = frame.gray(LOOK_SIDE)
            yield GrayFrame(number=frame.number, time=frame.time, gray=gray, begins=frame.begins)

    def frames(self, numbers: Sequence[int]) -> Iterator[VideoFrame]:
        """The frames of these rising numbers, up to the end of the film."""
        wanted = (numbers if isinstance(numbers, range) else frozenset(numbers)).__contains__
        with closing(video.read_chosen_frames(self.file, wanted, self.notes)) as frames:
            for frame in frames:
                yield frame
                if frame.number == numbers[-1]:
                    return


Source = Photos | Film


def find_sources(given: Path | Sequence[Path]) -> list[Source]:
    """Films and groups of photos: a folder, or the image files of one folder, is one group.

    Given are video files, image files, folders of either, or patterns such as `shots/*.jpg`. In a
    folder with images videos do not count.
    """
    paths = [given] if isinstance(given, Path) else list(given)
    if not paths:
        raise ValueError("no source given; give videos, images or a folder of images")
    files = [file for path in paths for file in _matching(path)]
    sources: list[Source] = []

    def folder_of_photo(path: Path) -> Path | None:
        is_photo = path.is_file() and path.suffix.lower() in images.READABLE
        return path.parent if is_photo else None

    for parent, group in groupby(files, key=folder_of_photo):
        if parent is None:
            sources += [_film_or_folder(file) for file in group]
            continue
        names = list(dict.fromkeys(file.name for file in group))
        photos = tuple(parent / name for name in sort_names(parent, names))
        name = photos[0].stem if len(photos) == 1 else parent.resolve().name
        sources.append(Photos(fitting_name(name, MOST_PARTS), photos))
    return sources


def _matching(path: Path) -> list[Path]:
    """The path itself, what fits it as a pattern, or the videos of a folder without images."""
    if path.is_dir() and not list_names(path, images.READABLE):
        films = sorted(f for f in path.iterdir() if f.suffix.lower() in video.VIDEO_SUFFIXES)
        return films or [path]
    if path.exists():
        return [path]
    is_pattern = has_magic(str(path))
    if is_pattern and (found := sorted(glob(str(path)))):
        return [Path(name) for name in found]
    what = "no file fits this pattern" if is_pattern else "no such file or folder"
    raise FileNotFoundError(f"{path}: {what}; give a video or images")


def _film_or_folder(path: Path) -> Source:
    if path.is_dir():
        files = [path / name for name in list_names(path, images.READABLE)]
        others = left_out(path, images.READABLE)
        if not files:
            raise ValueError(
                f"{path}: holds no images ({', '.join(images.READABLE)}) or videos"
                + (others and f", but {others}")
            )
        photos = Photos(path.resolve().name, tuple(files))
        if others:
            photos.notes.add(f"left out: {others}")
        return photos
    if not video.is_film(path):
        heic = f" ({images.not_read('HEIC')})" if path.suffix.lower() in (".heic", ".heif") else ""
        raise ValueError(
            f"{path}: unknown file type '{path.suffix}'{heic}; give images, a folder of images or "
            f"a video ({', '.join(video.VIDEO_SUFFIXES)})"
        )
    return Film(fitting_name(path.stem, MOST_PARTS), path)


def _check_size(file: Path, size: tuple[int, ...], first: Size) -> None:
    if size != first:
        raise images.ImageError(
            f"{file}: {size[1]} x {size[0]} pixels, but the first frame has {first[1]} x "
            f"{first[0]}; give each size a scene of its own"
        )


def camera_of_photos(files: Sequence[Path], size: Size) -> Camera | None:
    """What the EXIF data of photos of this size agree on, 50 at most; None if they do not."""
    found: list[float] = []
    for file in files[:: math.ceil(len(files) / MOST_PHOTOS)]:
        try:
            with images.open_image(file, file) as image:
                exif = image.getexif().get_ifd(ExifTags.IFD.Exif)
        except (OSError, SyntaxError, ValueError):  # the reader of the frames says it better
            return None
        found.append(_number(exif.get(ExifTags.Base.FocalLengthIn35mmFilm)))
    return _camera(found[0], size, "EXIF") if np.ptp(found) <= SAME_FOCAL * min(found) else None


def camera_of_film(tags: Mapping[str, str], size: Size) -> Camera | None:
    """What the tags of a film state for upright frames of this size; None if nothing."""
    found = (value for name, value in tags.items() if name.lower().endswith(FILM_TAGS))
    return _camera(_number(next(found, None)), size, "video metadata")


def _camera(millimetres: float, size: Size, origin: str) -> Camera | None:
    """F in pixels = f in mm on film x diagonal in pixels / diagonal of the film."""
    if not EQUIVALENT_RANGE[0] <= millimetres <= EQUIVALENT_RANGE[1]:
        return None
    focal = millimetres * math.hypot(*size) / FILM_DIAGONAL
    matrix = np.array([[focal, 0, (size[1] - 1) / 2], [0, focal, (size[0] - 1) / 2], [0, 0, 1]])
    shown = f"{millimetres:g} mm equivalent: focal length {focal:.0f} pixels"
    return matrix, f"{origin}, {shown}, a few percent uncertain"


def _number(value: object) -> float:
    """A tag's number; 0 if it is none."""
    with suppress(TypeError, ValueError, ZeroDivisionError):
        number = float(value)  # pyright: ignore[reportArgumentType]
        return number if math.isfinite(number) else 0.0
    return 0.0
