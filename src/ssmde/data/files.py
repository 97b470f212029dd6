"""The files of one folder in the order of their names, a million of them in a few megabytes.

A `Path` takes half a kilobyte, and objects are copied into every worker process once somebody looks
at them. So the names lie in one array of bytes, and a path is made when it is asked for.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

import numpy as np
from jaxtyping import Shaped

from ssmde.data.opening import not_read
from ssmde.io import are_decimal, decimal_order, natural_order

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")

PathOrNone = TypeVar("PathOrNone", bound=Path | None, covariant=True)


class Files(Sequence[PathOrNone], Generic[PathOrNone]):
    """Files of a folder, one a frame; None where the name is empty.

    Args:
        folder: Where they lie.
        names: Their names, as `os.fsencode` has them.
    """

    def __init__(self, folder: Path, names: Shaped[np.ndarray, " n"]) -> None:
        self.folder, self.names = folder, names

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> PathOrNone: ...
    @overload
    def __getitem__(self, index: slice) -> "Files[PathOrNone]": ...
    def __getitem__(self, index: int | slice) -> Any:
        """A file, or the files of a part."""
        if isinstance(index, slice):
            return Files(self.folder, self.names[index])
        name = os.fsdecode(bytes(self.names[index]))
        return self.folder / name if name else None

    def __eq__(self, other: object) -> bool:
        """Whether another sequence has the same files."""
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]


def files_of(folder: Path, names: list[str]) -> "Files[Any]":
    """Files of these names, in this order; an empty name is no file."""
    return Files(folder, np.array([os.fsencode(name) for name in names]))


def list_names(folder: Path, suffixes: tuple[str, ...]) -> list[str]:
    """Names in a folder with one of these endings, hidden ones left out, in name order."""
    names = [n for n in os.listdir(folder) if n[0] != "." and n.lower().endswith(suffixes)]
    return sort_names(folder, [name for name in names if name.lower() not in suffixes])


def left_out(folder: Path, taken: tuple[str, ...]) -> str:
    """Files of a folder that are not taken, counted by ending; empty if there are none.

    Args:
        folder: Where they lie; hidden ones and cam.txt do not count.
        taken: Endings of those that are.
    """
    names = [n.lower() for n in os.listdir(folder) if n[0] != "." and n != "cam.txt"]
    others = [n for n in names if not n.endswith(taken) and (folder / n).suffix]
    counts = Counter(Path(name).suffix for name in others)
    told = [
        f"{count} {ending}" + (f" ({not_read('HEIC')})" if ending in (".heic", ".heif") else "")
        for ending, count in sorted(counts.items())
    ]
    return ", ".join(told)


def holds_images(folder: Path) -> bool:
    """Whether an image lies in a folder; looks no further than the first."""
    with os.scandir(folder) as entries:
        return any(e.name[0] != "." and e.name.lower().endswith(IMAGE_SUFFIXES) for e in entries)


def list_images(folder: Path) -> list[Path]:
    """Images of a folder in the order of their names, numbers by their value."""
    return [folder / name for name in list_names(folder, IMAGE_SUFFIXES)]


def in_name_order(images: list[Path]) -> list[Path]:
    """Images of one folder in the order of their names, numbers by their value.

    Raises:
        ValueError: If two have the same name but for their ending.
    """
    by_name = {image.name: image for image in images}
    folder = images[0].parent if images else Path()
    return [by_name[name] for name in sort_names(folder, list(by_name))]


def sort_names(folder: Path, names: list[str]) -> list[str]:
    """Names in order, numbers by their value.

    Raises:
        ValueError: If two are the same but for their ending.
    """
    if _plain_order(names):
        return sorted(names)
    ordered = sorted(names, key=frame_order(names))
    for name, following in pairwise(ordered):
        if stem(name) == stem(following):
            raise ValueError(f"{folder}: {name} and {following} are one frame; keep one")
    return ordered


def frame_order(names: Iterable[str]) -> Callable[[str], Any]:
    """Key that sorts names of files as their frames follow: numbers, whole or decimal, by value."""
    order = decimal_order if are_decimal(map(stem, names)) else natural_order
    return lambda name: order(stem(name))


def stem(name: str) -> str:
    """A file's name without its ending."""
    return name.rpartition(".")[0] or name


def _plain_order(names: list[str]) -> bool:
    """True where the order of letters is that of numbers: digits stand at the same places in all.

    It is so in nearly every folder, and sorting by numbers is ten times as slow.
    """
    if not names or not all(map(str.isascii, names)) or len(set(map(len, names))) != 1:
        return False
    if len({name.rpartition(".")[2] for name in names}) != 1:
        return False
    letters = np.array(names, dtype="S").view(np.uint8).reshape(len(names), -1)
    digits = (letters >= ord("0")) & (letters <= ord("9"))
    return bool((digits == digits[0]).all())
