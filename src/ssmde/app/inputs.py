"""What a visitor may send: every field of an event and every picture has its bounds here."""

import base64
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, TypeAdapter, ValidationError

from ssmde.app.guard import RefusalError
from ssmde.app.service import SMALLER, Pixels, check_pixels
from ssmde.app.training import MOST_MINUTES
from ssmde.data.images import (
    ImageError,
    gray_levels,
    read_image,
    read_image_bytes,
    read_size,
    size_of_bytes,
)
from ssmde.data.video import VIDEO_SUFFIXES

NARROWEST, WIDEST = 5, 140  # fields of view that can be chosen, in degrees
FRAME_PIXELS = 9_000_000  # of a webcam: 4K
LONGEST_WORD = 1000
FRAME = re.compile(r"data:image/(?:png|jpeg|webp);base64,(.*)", re.DOTALL)  # of a webcam, as text


class Upload(BaseModel):
    """A file that was sent, as Gradio names it."""

    path: Annotated[str, Field(max_length=4 * LONGEST_WORD)]
    orig_name: str | None = None

    @property
    def name(self) -> str:
        """Its name without what a file system or a page would take for its own."""
        name = Path((self.orig_name or self.path)[-LONGEST_WORD:]).name
        return re.sub(r"[^\w. -]", "_", name)[-80:].lstrip(". ") or "picture"


def _only(value: Any) -> Any:
    """Gradio sends one file as a list or by itself."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


FIELDS: dict[str, tuple[Any, str]] = {
    "weights": (
        Annotated[str, Field(max_length=LONGEST_WORD)], "Choose the weights from the list."
    ),
    "width": (
        Annotated[float, Field(ge=NARROWEST, le=WIDEST, allow_inf_nan=False)],
        f"The field of view must be between {NARROWEST} and {WIDEST} degrees.",
    ),
    "upload": (Annotated[Upload | None, BeforeValidator(_only)], "Choose a file."),
    "minutes": (
        Annotated[int, Field(ge=1, le=MOST_MINUTES)],
        f"The training must take between 1 and {MOST_MINUTES} minutes.",
    ),
}  # fmt: skip
"""Kind and bounds of each field of an event, and what is said of a value beyond them."""
READERS = {name: TypeAdapter[Any](kind) for name, (kind, _) in FIELDS.items()}


def checked(**fields: Any) -> list[Any]:
    """The fields of an event, in the order they are given in, each within its bounds.

    A `RefusalError` if one is not; the page itself sends none such.
    """
    values: list[Any] = []
    for name, value in fields.items():
        try:
            values.append(READERS[name].validate_python(value, strict=True))
        except ValidationError as error:
            raise RefusalError(FIELDS[name][1]) from error
    return values


def read_picture(path: Path, name: str) -> Pixels:
    """Pixels of an uploaded file; a `RefusalError` if it holds no picture, or too large a one."""
    try:
        check_pixels(name, read_size(path))
        return read_image(path, levels=gray_levels([path]))
    except ImageError as error:
        if "million" in str(error):  # more than is ever read
            raise RefusalError(f"{name} has too many pixels; {SMALLER}") from error
        takes = "The page takes JPEG, PNG, WebP, BMP and TIFF."
        hint = "Use the tab Video." if path.suffix.lower() in VIDEO_SUFFIXES else takes
        raise RefusalError(f"{name} is no picture that can be read. {hint}") from error


def read_webcam_frame(payload: Any) -> Pixels:
    """Pixels of a webcam's frame, which the browser sends as text; `RefusalError` if it is none."""
    text = payload.get("url") if isinstance(payload, dict) else None
    found = FRAME.match(text) if isinstance(text, str) else None
    if found is None:
        raise RefusalError("No picture of a webcam.")
    try:
        content = base64.b64decode(found[1], validate=True)
        height, width = size_of_bytes(content, "the frame")
        if height * width > FRAME_PIXELS:
            raise RefusalError("A picture of the webcam is too large.")
        return read_image_bytes(content, "the frame")
    except RefusalError:
        raise
    except ValueError as error:
        raise RefusalError("No picture of a webcam.") from error
