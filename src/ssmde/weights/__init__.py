"""Weights that come with the package: one .safetensors file for each row of `RELEASED`."""

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from ssmde.console import did_you_mean


@dataclass(frozen=True, kw_only=True, slots=True)
class Released:
    """Weights known by a name."""

    file: str  # beside this module
    sha256: str  # of the file, in hexadecimal digits
    licence: str  # of the weights
    summary: str  # what they were trained on, in one line


DEFAULT_WEIGHTS = "small"  # where nobody names any
RELEASED: dict[str, Released] = {
    "small": Released(
        file="small.safetensors",
        sha256="44ce4534cc43dd639387a31087e1e09c2db39f43b0db23291f23dd6cb0c9c728",
        licence="non-commercial: the strictest terms of the recordings it learnt from",
        summary="drawn photos, measured depth of nine recordings, 18 videos: rooms and streets",
    ),
    "small-open": Released(
        file="small-open.safetensors",
        sha256="da385ab144ec277c6b7c58ec3245b6287ecdcd687769d8a85c1fa41607f576d7",
        licence="MIT: all that it learnt from may be used in any way; its card names each",
        summary="drawn photos, measured depth of six open recordings, seven open videos",
    ),
}
"""By name; `ssmde.load(NAME)` opens them."""
REPLACED = {"indoor-small": "small", "driving-small": "small"}  # names of earlier versions


def is_released(name: str) -> bool:
    """Whether the word means weights of the package, of this version or an earlier one.

    A file or folder of that name goes first.
    """
    return (name in RELEASED or name in REPLACED) and not Path(name).exists()


def released_weights(name: str) -> Path:
    """The file of a released name, checked to be the one that was released.

    Raises:
        ValueError: If the name is unknown, or the file is not the released one.
        FileNotFoundError: If this installation lacks the file.
    """
    entry = _entry(name)
    path = Path(str(resources.files(__name__) / entry.file))
    return checked_file(path, entry.sha256, f"the released file of {name!r}", "install ssmde again")


def checked_file(path: Path, sha256: str, what: str, remedy: str) -> Path:
    """The path, if it leads to the file of that digest; FileNotFoundError or ValueError if not."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing from this installation: {remedy}")
    with path.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != sha256:
        raise ValueError(
            f"{path} is not {what}: its SHA-256 is {found}, it should be {sha256}; {remedy}"
        )
    return path


def card_of(name: str) -> str:
    """The model card of a released name, in Markdown.

    Raises:
        ValueError: If the name is unknown.
    """
    card = Path(_entry(name).file).with_suffix(".MODEL_CARD.md").name
    return (resources.files(__name__) / card).read_text("utf-8")


def _entry(name: str) -> Released:
    if name in REPLACED:
        raise ValueError(f"the weights {name!r} are no more: {REPLACED[name]!r} replaces them")
    if name not in RELEASED:
        raise ValueError(f"no weights are called {name!r}: {did_you_mean(name, RELEASED)}")
    return RELEASED[name]
