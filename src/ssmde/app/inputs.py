"""What a visitor may send: every field of an event and every picture has its bounds here."""

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ssmde.app.guard import RefusalError
from ssmde.app.service import PICTURE_FORMATS, SMALLER, Pixels, check_pixels
from ssmde.data.images import (
    ImageError,
    gray_levels,
    read_image,
    read_image_bytes,
    read_size,
    size_of_bytes,
)
from ssmde.data.video import VIDEO_SUFFIXES

COLOR_MAPS = ("magma", "turbo", "viridis", "inferno", "cividis", "gray")
WIDEST = 140
"""Largest field of view that can be chosen, in degrees."""
FRAME_PIXELS = 9_000_000
"""Of a webcam: 4K."""
LONGEST_WORD = 1000
FRAME = re.compile(r"data:image/(png|jpeg|webp);base64,")
"""How the text of a webcam's frame begins."""


def read_picture(path: Path, name: str) -> Pixels:
    """Pixels of an uploaded file; a `RefusalError` if it holds no picture, or too large a one."""
    try:
        check_pixels(name, read_size(path))
        return read_image(path, levels=gray_levels([path]))
    except ImageError as error:
        if "million" in str(error):  # more than is ever read
            raise RefusalError(f"{name} has too many pixels; {SMALLER}") from error
        hint = "Use the tab Video." if path.suffix.lower() in VIDEO_SUFFIXES else (
            "The page takes JPEG, PNG, WebP, BMP and TIFF."
        )  # fmt: skip
        raise RefusalError(f"{name} is no picture that can be read. {hint}") from error


def read_webcam_frame(payload: Any) -> Pixels:
    """Pixels of a webcam's frame, which the browser sends as text; `RefusalError` if it is none."""
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


def checked(**fields: Any) -> list[Any]:
    """The fields of an event, in the order they are given in, each within its bounds.

    Raises:
        RefusalError: If one is not; the page itself sends none such.
    """
    return [FIELDS[name](value) for name, value in fields.items()]


def _word(value: Any) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_WORD:
        raise RefusalError("Choose the weights from the list.")
    return value


def _color_map(value: Any) -> str:
    if value not in COLOR_MAPS:
        raise RefusalError(f"Choose the colors from the list: {', '.join(COLOR_MAPS)}.")
    return value


def _width(value: Any) -> float:
    if value is None:
        return 0.0
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value <= WIDEST:
        raise RefusalError(f"The field of view must be between 0 and {WIDEST} degrees.")
    return float(value)


def _formats(value: Any) -> list[str]:
    names = [] if value is None else value
    if not isinstance(names, list) or len(names) > len(PICTURE_FORMATS):
        raise RefusalError(f"There are {len(PICTURE_FORMATS)} formats: choose from the list.")
    if not all(name in PICTURE_FORMATS for name in names):
        raise RefusalError("There is no such format: choose from the list.")
    return list(dict.fromkeys(names))


def _upload(value: Any) -> dict[str, str] | None:
    """Path and name of a file; None where none was chosen."""
    if value is None:
        return None
    path, name = [value.get(k) for k in ("path", "orig_name")] if isinstance(value, dict) else [
        None, None
    ]  # fmt: skip
    if not isinstance(path, str) or len(path) > 4 * LONGEST_WORD:
        raise RefusalError("Choose a file.")
    name = name if isinstance(name, str) and name else path
    return {"path": path, "name": name[-LONGEST_WORD:]}


FIELDS: dict[str, Callable[[Any], Any]] = {
    "weights": _word, "color_map": _color_map, "width": _width, "formats": _formats,
    "upload": _upload,
}  # fmt: skip
"""What is done with each field of an event."""
