"""What a visitor may ask for: every field, every size and every time has its bound here."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import Condition
from typing import Any

from ssmde.inference import FORMATS
from ssmde.inference.writers import FrameFormat

PICTURE_FORMATS = tuple(name for name, kind in FORMATS.items() if isinstance(kind, FrameFormat))
COLOUR_MAPS = ("magma", "turbo", "viridis", "inferno", "cividis", "gray")
WIDEST = 140
"""Largest field of view that can be chosen, in degrees."""
PAGE_PIXELS = 50_000_000
"""A larger picture or frame of a film is refused."""
FRAME_PIXELS = 9_000_000
"""Of a webcam: 4K."""
PIXELS_AT_ONCE = 60_000_000
"""Of all visitors: large pictures wait for each other, small ones pass."""
JOB_SECONDS = 600.0
"""A picture or film that takes longer ends there; of a film what is done is kept."""
WAITING_SECONDS = 20.0
"""A visitor's next picture or film waits so long for the one before; a third is refused."""
PICTURES_AT_ONCE, FILMS_AT_ONCE = 8, 4
"""Of all visitors; one takes two places at most, with the one that waits."""
ARCHIVE_BYTES = 2_000_000_000
"""A film ends when the archive of its frames is larger."""
EVENT_BYTES = 16 << 20
"""Of a request that is no upload; the largest ones are frames of a webcam."""
UPLOADS_AT_ONCE = 3
"""Of one visitor."""
SILENT_SECONDS, GRACE_SECONDS, LEAST_RATE = 20.0, 20.0, 10_000.0
"""A request that sends nothing for so long, or after so long fewer bytes a second, is ended."""
KEPT_BYTES, KEPT_UPLOADS_OF_ALL = 2_000_000_000, 10
"""Files of all visitors take at most so many bytes, or so many of the largest uploads if that is
more; then those go who did nothing for longest."""
LONGEST_WORD = 1000


class RefusalError(ValueError):
    """Something a visitor asked for that cannot be done; the message is for them."""


class BusyError(RefusalError):
    """Work of the same kind is under way for the same visitor."""


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


def _colour_map(value: Any) -> str:
    if value not in COLOUR_MAPS:
        raise RefusalError(f"Choose the colours from the list: {', '.join(COLOUR_MAPS)}.")
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
    for name in names:
        if name not in PICTURE_FORMATS:
            raise RefusalError("There is no such format: choose from the list.")
    return list(dict.fromkeys(names))


def _upload(value: Any) -> dict[str, str] | None:
    """Path and name of a file; None where none was chosen."""
    if value is None:
        return None
    words = [value.get(k) for k in ("path", "orig_name")] if isinstance(value, dict) else [None]
    if not isinstance(words[0], str) or len(words[0]) > 4 * LONGEST_WORD:
        raise RefusalError("Choose a file.")
    name = words[1] if isinstance(words[1], str) and words[1] else words[0]
    return {"path": words[0], "name": name[-LONGEST_WORD:]}


FIELDS: dict[str, Callable[[Any], Any]] = {
    "weights": _word, "colour_map": _colour_map, "width": _width, "formats": _formats,
    "upload": _upload,
}  # fmt: skip
"""What is done with each field of an event."""


class PixelRoom:
    """Room for so many pixels at a time; who finds none waits."""

    def __init__(self, most: int = PIXELS_AT_ONCE) -> None:
        self._most, self._taken, self._change = most, 0, Condition()

    @contextmanager
    def take(self, pixels: int) -> Generator[None]:
        """Hold room while the block runs; alone, even more than there is."""
        with self._change:
            self._change.wait_for(lambda: not self._taken or self._taken + pixels <= self._most)
            self._taken += pixels
        try:
            yield
        finally:
            with self._change:
                self._taken -= pixels
                self._change.notify_all()
