"""Pictures by their header: what is too large, or needs other programs, is never decoded."""

import warnings
from collections.abc import Generator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from PIL import Image

from ssmde.io import check_file

MOST_PIXELS = 110_000_000
"""A picture or a frame of a film with more is refused by its header, before anything is decoded:
phones take 108 million. Predicting one stays under 4 GiB."""
LIMIT = f"the limit is {MOST_PIXELS / 1e6:.0f} million: make it smaller"
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
    with image:
        if image.format in RUNS_PROGRAMS:
            raise ImageError(f"{path}: {image.format} needs other programs; save it as PNG")
        if reason := too_many_pixels((image.height, image.width)):
            raise ImageError(f"{path}: {reason}")
        yield image
