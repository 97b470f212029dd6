"""Where frames come from: films and photos, and what they say of their lens."""

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from glob import glob, has_magic
from itertools import chain, groupby
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from ssmde.data import video
from ssmde.data.images import (
    IMAGE_SUFFIXES,
    READABLE,
    REDUCTIONS,
    ImageError,
    gray_levels,
    not_read,
    open_image,
    read_image,
    read_orientation,
    read_size,
    stretch_note,
)
from ssmde.data.scene_files import read_intrinsics
from ssmde.data.scene_folder import left_out, list_names, sort_names
from ssmde.data.sequence import Size
from ssmde.data.video import GrayFrame, VideoFrame, VideoNotes
from ssmde.io import are_decimal, fitting_name
from ssmde.preparation.selection import LOOK_SIDE

MOST_PARTS = "-99999"  # what may follow the name of a scene
FILM_DIAGONAL = 43.267  # mm, of 36 x 24 mm, to which an equivalent focal length refers (CIPA)
EQUIVALENT_RANGE = (4.0, 2000.0)  # mm; what lies outside is no lens
UNITS = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}  # mm, by the value of FocalPlaneResolutionUnit
SAME_FOCAL = 0.02  # relative difference between photos from which the lens zoomed
MOST_PHOTOS = 50  # that are asked
FILM_TAGS = ("camera.focal_length.35mm_equivalent", "focallengthin35mmfilm")  # ends, lower case
Four = tuple[float, float, float, float]
"""Focal lengths and principal point, in pixels of the upright, full-size frames."""
Camera = tuple[Four, str]
"""And who says so."""
FocalHint = tuple[float, str]
"""Focal length in such pixels, the same for both axes; and who says so."""


class Photos:
    """Images of one folder, in the order of their names."""

    fps = None  # nobody knows how fast they were taken

    def __init__(self, name: str, files: tuple[Path, ...]) -> None:
        self.name, self.files, self.notes = name, files, VideoNotes()  # what was noticed
        self.label = files[0].resolve().parent.name
        self.read = (*files, files[0].parent / "cam.txt")  # which need not exist
        self.count = self.end = len(files)
        self.levels = gray_levels(files)  # of 16-bit gray, of all of them
        for note in stretch_note(self.levels):
            self.notes.add(note)
        if are_decimal(file.stem for file in files):
            self.notes.add("names are decimal numbers, sorted by their value")

    def size(self) -> Size:
        """Height and width of the first image, upright."""
        return read_size(self.files[0])

    def camera(self, size: Size) -> Camera | None:
        """What cam.txt says of images of this size, or else EXIF.

        A cam.txt beside images that are not all turned by the same orientation mark (EXIF) is
        refused: upright they have two cameras.
        """
        path = self.read[-1]
        if path.is_file():
            turn = read_orientation(self.files[0])
            for file in self.files:
                if (other := read_orientation(file)) != turn:
                    raise ValueError(
                        f"{file}: turned by its orientation mark (EXIF {other}), unlike "
                        f"{self.files[0].name} ({turn}): one {path.name} cannot be that of both; "
                        "give each a folder of its own"
                    )
            matrix = read_intrinsics(path, size, orientation=turn)
            if matrix is not None:
                (fx, _, cx), (_, fy, cy) = matrix[:2].tolist()
                turned = "" if turn == 1 else ", turned upright as they are"
                return (fx, fy, cx, cy), f"cam.txt beside the images{turned}"
        return _camera_of(focal_of_photos(self.files, size), size)

    def look(self) -> Iterator[GrayFrame]:
        """Every image as a small gray picture."""
        size = self.size()
        reduction = next(r for r in REDUCTIONS if max(size) // r >= LOOK_SIDE or r == 1)
        for number, file in enumerate(self.files):
            _check_size(str(file), read_size(file), size)
            pixels = read_image(file, reduction=reduction, levels=self.levels)
            gray = np.array(Image.fromarray(pixels).convert("L"))
            yield GrayFrame(number=number, time=None, gray=gray)

    def frames(self, numbers: Sequence[int]) -> Iterator[VideoFrame]:
        """The images of these rising numbers."""
        size = self.size()
        for number in numbers:
            file = self.files[number]
            pixels = read_image(file, levels=self.levels)
            _check_size(str(file), pixels.shape, size)
            as_it_is = self.levels is None and file.suffix.lower() in IMAGE_SUFFIXES
            whole = file if as_it_is and read_orientation(file) == 1 else None
            yield VideoFrame(number=number, time=None, pixels=pixels, file=whole)


class Film:
    """A video file; its members are those of `Photos`."""

    end = sys.maxsize  # only reading tells where it is

    def __init__(self, name: str, file: Path) -> None:
        self.name, self.file, self.label, self.notes = name, file, file.name, VideoNotes()
        self.read = (file,)  # a folder of films may hold those of several cameras: no cam.txt
        info = video.video_info(file)
        self.fps, self.count, self.tags = info.fps, info.frames or None, info.tags

    def size(self) -> Size:
        """Height and width of the first frame, upright."""
        with closing(video.read_chosen_frames(self.file, lambda _: True)) as frames:
            height, width = next(frames).pixels.shape[:2]
        return height, width

    def camera(self, size: Size) -> Camera | None:
        """What the file's tags say of frames of this size."""
        return _camera_of(focal_of_film(self.tags, size), size)

    def look(self) -> Iterator[GrayFrame]:
        """Every frame as a small gray picture."""
        yield from video.read_gray_frames(self.file, LOOK_SIDE, self.notes)

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
    files = list(chain.from_iterable(_matching(path) for path in paths))
    sources: list[Source] = []
    for parent, group in groupby(files, key=_folder_of_photos):
        if parent is None:
            sources += [_film_or_folder(file) for file in group]
            continue
        names = list(dict.fromkeys(file.name for file in group))
        images = tuple(parent / name for name in sort_names(parent, names))
        name = images[0].stem if len(images) == 1 else parent.resolve().name
        sources.append(Photos(fitting_name(name, len(MOST_PARTS)), images))
    return sources


def _matching(path: Path) -> list[Path]:
    """The path itself, what fits it as a pattern, or the videos of a folder without images."""
    if path.exists():
        if path.is_dir() and not list_names(path, READABLE):
            films = sorted(f for f in path.iterdir() if f.suffix.lower() in video.VIDEO_SUFFIXES)
            return films or [path]
        return [path]
    is_pattern = has_magic(str(path))
    if is_pattern and (found := sorted(glob(str(path)))):
        return [Path(name) for name in found]
    what = "no file fits this pattern" if is_pattern else "no such file or folder"
    raise FileNotFoundError(f"{path}: {what}; give a video or images")


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
        photos = Photos(path.resolve().name, tuple(files))
        if others:
            photos.notes.add(f"left out: {others}")
        return photos
    if not video.is_film(path):
        heic = f" ({not_read('HEIC')})" if path.suffix.lower() in (".heic", ".heif") else ""
        raise ValueError(
            f"{path}: unknown file type '{path.suffix}'{heic}; give images, a folder of images or "
            f"a video ({', '.join(video.VIDEO_SUFFIXES)})"
        )
    return Film(fitting_name(path.stem, len(MOST_PARTS)), path)


def _camera_of(hint: FocalHint | None, size: Size) -> Camera | None:
    if hint is None:
        return None
    focal, origin = hint
    text = f"{origin}: focal length {focal:.0f} pixels, a few percent uncertain"
    return (focal, focal, (size[1] - 1) / 2, (size[0] - 1) / 2), text


def _check_size(where: str, shape: tuple[int, ...], first: tuple[int, ...]) -> None:
    """Refuse a frame of another size than the first frame."""
    if shape[:2] != first[:2]:
        raise ImageError(
            f"{where}: {shape[1]} x {shape[0]} pixels, but the first frame has "
            f"{first[1]} x {first[0]}; give each size a scene of its own"
        )


def focal_of_photos(files: Sequence[Path], size: Size) -> FocalHint | None:
    """Focal length that the EXIF data of photos agree on, 50 at most; None if they do not.

    All have this size (height, width), upright.
    """
    asked = files[:: max(1, math.ceil(len(files) / MOST_PHOTOS))]
    hints = [_focal_of_photo(file, size) for file in asked]
    if None in hints or not hints:
        return None
    focals = np.array([hint[0] for hint in hints if hint])
    return hints[0] if np.ptp(focals) <= SAME_FOCAL * focals.min() else None


def focal_of_film(tags: Mapping[str, str], size: Size) -> FocalHint | None:
    """Focal length that the tags of a film state for upright frames of this size; None if none.

    Phones write the tag `com.apple.quicktime.camera.focal_length.35mm_equivalent`.
    """
    for name, value in tags.items():
        if name.lower().endswith(FILM_TAGS):
            return _from_equivalent(_number(value), size, "video metadata")
    return None


def _focal_of_photo(file: Path, size: Size) -> FocalHint | None:
    try:
        with open_image(file, file) as image:
            exif = image.getexif().get_ifd(ExifTags.IFD.Exif)
    except (OSError, SyntaxError, ValueError):  # the reader of the frames says it better
        return None
    equivalent = _number(exif.get(ExifTags.Base.FocalLengthIn35mmFilm))
    return _from_equivalent(equivalent, size, "EXIF") or _from_sensor(exif, size)


def _from_equivalent(millimetres: float, size: Size, origin: str) -> FocalHint | None:
    """F in pixels = f in mm on film x diagonal in pixels / diagonal of the film."""
    if not EQUIVALENT_RANGE[0] <= millimetres <= EQUIVALENT_RANGE[1]:
        return None
    focal = millimetres * math.hypot(*size) / FILM_DIAGONAL
    return focal, f"{origin}, {millimetres:g} mm equivalent"


def _from_sensor(exif: Mapping[int, object], size: Size) -> FocalHint | None:
    """F in pixels = f in mm x pixels per mm, for photos that were scaled but not cropped."""
    millimetres = _number(exif.get(ExifTags.Base.FocalLength))
    per_unit = _number(exif.get(ExifTags.Base.FocalPlaneXResolution))
    unit = UNITS.get(int(_number(exif.get(ExifTags.Base.FocalPlaneResolutionUnit, 2))), 0.0)
    width = _number(exif.get(ExifTags.Base.ExifImageWidth, max(size)))
    height = _number(exif.get(ExifTags.Base.ExifImageHeight, min(size)))
    if min(millimetres, per_unit, unit, width, height) <= 0:
        return None
    scale = max(size) / max(width, height)
    if abs(min(width, height) * scale - min(size)) > 1:  # another shape: cropped
        return None
    focal = millimetres * per_unit / unit * scale
    equivalent = focal * FILM_DIAGONAL / math.hypot(*size)
    if not EQUIVALENT_RANGE[0] <= equivalent <= EQUIVALENT_RANGE[1]:
        return None
    return focal, f"EXIF, {millimetres:g} mm and the sensor's resolution"


def _number(value: object) -> float:
    """A tag's number; 0 if it is none."""
    try:
        number = float(value)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError, ZeroDivisionError):
        return 0.0
    return number if math.isfinite(number) else 0.0
