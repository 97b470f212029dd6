"""What visitors sent, as pixels; what is none, or too large, is refused before it is decoded."""

import base64
import re
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from ssmde.application.limits import FRAME_PIXELS, PAGE_PIXELS, RefusalError
from ssmde.data.grey import grey_levels
from ssmde.data.images import ImageError, read_image, read_image_bytes, read_size, size_of_bytes
from ssmde.data.video import VIDEO_SUFFIXES

SMALLER = (
    f"the page takes up to {PAGE_PIXELS / 1e6:.0f} million. Make it smaller, or use ssmde predict."
)
FRAME = re.compile(r"data:image/(png|jpeg|webp);base64,")
"""How the text of a webcam's frame begins."""


def read_picture(path: Path, name: str) -> UInt8[np.ndarray, "h w 3"]:
    """Pixels of an uploaded file.

    Raises:
        RefusalError: If it holds no picture, or too large a one.
    """
    try:
        check_pixels(name, read_size(path))
        return read_image(path, levels=grey_levels([path]))
    except ImageError as error:
        if "million" in str(error):  # more than is ever read
            raise RefusalError(f"{name} has too many pixels; {SMALLER}") from error
        hint = "Use the tab Video." if path.suffix.lower() in VIDEO_SUFFIXES else (
            "The page takes JPEG, PNG, WebP, BMP and TIFF."
        )  # fmt: skip
        raise RefusalError(f"{name} is no picture that can be read. {hint}") from error


def read_webcam_frame(payload: Any) -> UInt8[np.ndarray, "h w 3"]:
    """Pixels of a webcam's frame as the browser sends it: a picture in text.

    Raises:
        RefusalError: If it is none, or too large.
    """
    text = payload.get("url") if isinstance(payload, dict) else None
    found = FRAME.match(text) if isinstance(text, str) else None
    if not isinstance(text, str) or found is None:
        raise RefusalError("No picture of a webcam.")
    try:
        content = base64.b64decode(text[found.end() :], validate=True)
        height, width = size_of_bytes(content, "the frame")
        if height * width > FRAME_PIXELS:
            raise RefusalError("A picture of the webcam is too large.")
        return read_image_bytes(content, "the frame")
    except ValueError as error:
        raise RefusalError("No picture of a webcam.") from error


def check_pixels(name: str, size: tuple[int, int]) -> None:
    """Refuse a picture or film with frames of this size (height, width), if it is too large."""
    if (count := size[0] * size[1]) > PAGE_PIXELS:
        raise RefusalError(f"{name} has {count / 1e6:.0f} million pixels; {SMALLER}")
