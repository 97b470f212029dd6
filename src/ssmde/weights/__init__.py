"""Weights that come with the package: one .safetensors file for each row of `RELEASED`."""

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from ssmde.console import did_you_mean


@dataclass(frozen=True, kw_only=True, slots=True)
class Released:
    """Weights known by a name."""

    file: str
    """Beside this module."""
    sha256: str
    """Of the file, in hexadecimal digits."""
    licence: str
    """Of the weights."""
    summary: str
    """What they were trained on, in one line."""


DEFAULT_WEIGHTS = "indoor-small"
"""Where nobody names any."""

RELEASED: dict[str, Released] = {
    "indoor-small": Released(
        file="indoor-small.safetensors",
        sha256="43c0ba4b03f02f29a7c3628afcc238dc5df909aa600e5ce843fc8d5ba52d293f",
        licence="non-commercial: the strictest terms of the recordings it learnt from",
        summary="drawn rooms with people, 113 measured frames of two real ones, 16 s of a third",
    ),
    "driving-small": Released(
        file="driving-small.safetensors",
        sha256="1d04260558f980b7cee5d5a34a9ad335df7bc79680da9fc4c191819a4547e27e",
        licence="non-commercial: the strictest terms of the recordings it learnt from",
        summary="drawn streets with cars and people, 96 s of video from a car in one town",
    ),
}
"""By name; `ssmde.load(NAME)` opens them."""


def released_weights(name: str) -> Path:
    """The file of a released name, checked to be the one that was released.

    Raises:
        ValueError: If the name is unknown, or the file is not the released one.
        FileNotFoundError: If this installation lacks the file.
    """
    if name not in RELEASED:
        raise ValueError(f"no weights are called {name!r}: {known_names(name)}")
    entry = RELEASED[name]
    path = Path(str(resources.files(__name__) / entry.file))
    if not path.is_file():
        raise FileNotFoundError(
            f"the weights {name!r} are missing from this installation ({path}): install ssmde again"
        )
    with path.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != entry.sha256:
        raise ValueError(
            f"{path} is not the released file of {name!r}: its SHA-256 is {found}, it should be "
            f"{entry.sha256}; install ssmde again"
        )
    return path


def card_of(name: str) -> str:
    """The model card of a released name, in Markdown.

    Raises:
        ValueError: If the name is unknown.
    """
    if name not in RELEASED:
        raise ValueError(f"no weights are called {name!r}: {known_names(name)}")
    card = Path(RELEASED[name].file).with_suffix(".MODEL_CARD.md").name
    return (resources.files(__name__) / card).read_text("utf-8")


def known_names(name: str) -> str:
    """Which names there are, and which is closest."""
    if not RELEASED:
        return "no weights come with this version"
    return did_you_mean(name, RELEASED)
