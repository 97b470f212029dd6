"""What photos and films say about their camera's focal length: EXIF and QuickTime tags."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags

from ssmde.data.opening import open_image

FILM_DIAGONAL = 43.267  # mm, of 36 x 24 mm, to which an equivalent focal length refers (CIPA)
EQUIVALENT_RANGE = (4.0, 2000.0)  # mm; what lies outside is no lens
UNITS = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}  # mm, by the value of FocalPlaneResolutionUnit
SAME_FOCAL = 0.02  # relative difference between photos from which the lens zoomed
MOST_PHOTOS = 50  # that are asked
FILM_TAGS = ("camera.focal_length.35mm_equivalent", "focallengthin35mmfilm")  # ends, lower case


@dataclass(frozen=True, kw_only=True, slots=True)
class FocalHint:
    """A focal length, and who said so."""

    focal: float
    """In pixels of the upright, full-size frames; the same for both axes."""
    origin: str
    """Such as `EXIF, 26 mm equivalent`."""


def focal_of_photos(files: Sequence[Path], size: tuple[int, int]) -> FocalHint | None:
    """Focal length that the EXIF data of photos of one camera agree on; None if they do not.

    Args:
        files: Photos; evenly spread ones are asked, 50 at most.
        size: Their size (height, width), in pixels.
    """
    asked = files[:: max(1, math.ceil(len(files) / MOST_PHOTOS))]
    hints = [_focal_of_photo(file, size) for file in asked]
    known = [hint for hint in hints if hint is not None]
    if not known or len(known) < len(hints):
        return None
    focals = np.array([hint.focal for hint in known])
    return known[0] if np.ptp(focals) <= SAME_FOCAL * focals.min() else None


def focal_of_film(tags: Mapping[str, str], size: tuple[int, int]) -> FocalHint | None:
    """Focal length that the head of a film states; None if it states none.

    Phones write the tag `com.apple.quicktime.camera.focal_length.35mm_equivalent`.

    Args:
        tags: Tags of the film, such as `VideoInfo.tags`.
        size: Size (height, width) of its frames, in pixels.
    """
    for name, value in tags.items():
        if name.lower().endswith(FILM_TAGS):
            return _from_equivalent(_number(value), size, "video metadata")
    return None


def _focal_of_photo(file: Path, size: tuple[int, int]) -> FocalHint | None:
    try:
        with open_image(file, file) as image:
            exif = image.getexif().get_ifd(ExifTags.IFD.Exif)
    except (OSError, SyntaxError, ValueError):  # the reader of the frames says it better
        return None
    equivalent = _number(exif.get(ExifTags.Base.FocalLengthIn35mmFilm))
    return _from_equivalent(equivalent, size, "EXIF") or _from_sensor(exif, size)


def _from_equivalent(millimetres: float, size: tuple[int, int], origin: str) -> FocalHint | None:
    """F in pixels = f in mm on film x diagonal in pixels / diagonal of the film."""
    if not EQUIVALENT_RANGE[0] <= millimetres <= EQUIVALENT_RANGE[1]:
        return None
    focal = millimetres * math.hypot(*size) / FILM_DIAGONAL
    return FocalHint(focal=focal, origin=f"{origin}, {millimetres:g} mm equivalent")


def _from_sensor(exif: Mapping[int, object], size: tuple[int, int]) -> FocalHint | None:
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
    return FocalHint(focal=focal, origin=f"EXIF, {millimetres:g} mm and the sensor's resolution")


def _number(value: object) -> float:
    """A tag's number; 0 if it is none."""
    try:
        number = float(value)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError, ZeroDivisionError):
        return 0.0
    return number if math.isfinite(number) else 0.0
