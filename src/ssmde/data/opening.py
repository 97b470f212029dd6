"""Pictures by their header: what is too large, or needs other programs, is never decoded."""

import warnings
from collections.abc import Generator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from PIL import Image, UnidentifiedImageError, features

from ssmde.io import check_file

MOST_PIXELS = 110_000_000
"""A picture or a frame of a film with more is refused by its header, before anything is decoded:
phones take 108 million. Predicting one stays under 4 GiB."""
LIMIT = f"the limit is {MOST_PIXELS / 1e6:.0f} million: make it smaller"
HAS_AVIF = "avif" in features.modules and features.check_module("avif")  # Pillow from 11.3
READABLE = (
    ".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm",
    *([".avif"] if HAS_AVIF else []),
)  # fmt: skip
RUNS_PROGRAMS = ("EPS", "WMF")
"""Kinds of pictures that Pillow hands to Ghostscript or to Windows."""
# Pillow warns of less than is allowed here, and the warning could not be told from a fault.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class ImageError(ValueError):
    """A file that should hold an image, a depth map or a mask and does not."""


def too_many_pixels(size: tuple[int, int]) -> str | None:
    """Why a picture or frame of this size (height, width) is not decoded; None if it may be."""
    height, width = size
    if height * width <= MOST_PIXELS:
        return None
    return f"has {height * width / 1e6:,.0f} million pixels ({width} x {height}), {LIMIT}"


def not_read(kind: str) -> str:
    """What to say of a kind of picture that is known and not read."""
    return f"{kind}, which is not read: save it as JPEG or PNG"


def phone_format(file: Path | BytesIO) -> str:
    """HEIC or AVIF, whatever the name says; empty for everything else."""
    if isinstance(file, Path):
        with file.open("rb") as opened:
            head = opened.read(64)
    else:
        head = file.getvalue()[:64]
    if head[4:8] != b"ftyp":
        return ""
    if b"avif" in head or b"avis" in head:
        return "AVIF"
    heic = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
    return "HEIC" if any(brand in head for brand in heic) else ""


@contextmanager
def open_image(file: Path | BytesIO, path: Path) -> Generator[Image.Image]:
    """An image file of which only the header was read; what must not be decoded is refused.

    Args:
        file: What is opened.
        path: Its name, for the message.

    Raises:
        ImageError: If it has too many pixels, or is of a kind that needs other programs.
        FileNotFoundError, FileError: If no plain file is there.
    """
    if isinstance(file, Path):
        check_file(file, "picture")  # a pipe would be waited for
    try:
        image = Image.open(file)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"{path}: has too many pixels, {LIMIT}") from error
    except UnidentifiedImageError as error:
        if kind := phone_format(file):
            raise ImageError(f"{path}: {not_read(kind)}") from error
        raise
    with image:
        if image.format in RUNS_PROGRAMS:
            raise ImageError(f"{path}: {image.format} needs other programs; save it as PNG")
        if reason := too_many_pixels((image.height, image.width)):
            raise ImageError(f"{path}: {reason}")
        yield image
