"""What there is to predict: images, each with a name for its output."""

import os
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

from ssmde.data.files import frame_order, left_out
from ssmde.data.opening import READABLE
from ssmde.io import natural_order, read_text
from ssmde.prediction.download import is_url

LIST = ".txt"


def name_images(source: Path) -> dict[str, Path]:
    """The images of a file, a folder or a glob, each with the name of its output.

    Raises:
        FileNotFoundError: If there is nothing at `source`.
        ValueError: If there is no image.
    """
    if source.is_dir():
        folder, found = source, [p for p in source.iterdir() if p.suffix.lower() in READABLE]
    elif source.is_file():
        folder, found = source.parent, [source]
    else:
        folder, found = _glob(source)
    found = [path for path in found if not path.name.startswith(".")]
    order = frame_order([path.name for path in found])
    found.sort(key=lambda path: (natural_order(str(path.parent)), order(path.name)))
    if not found:
        others = left_out(folder, READABLE) if folder.is_dir() else ""
        raise ValueError(
            f"{source}: holds no image ({', '.join(READABLE)})" + (others and f", but {others}")
        )
    plain = Counter(path.with_suffix("") for path in found)
    names = [path.with_suffix("") if plain[path.with_suffix("")] == 1 else path for path in found]
    return {str(n.relative_to(folder)): p for n, p in zip(names, found, strict=True)}


def _glob(pattern: Path) -> tuple[Path, list[Path]]:
    """The folder before the first wild card, and the images the pattern matches."""
    wild = [i for i, part in enumerate(pattern.parts) if any(c in part for c in "*?[")]
    if not wild:
        raise FileNotFoundError(f"{pattern}: no such file or folder, and not a glob")
    folder = Path(*pattern.parts[: wild[0]])
    matches = folder.glob(str(Path(*pattern.parts[wild[0] :])))
    return folder, [path for path in matches if path.suffix.lower() in READABLE]


def name_listed(source: Path) -> dict[str, Path | str]:
    """The images of a list, a path or an http(s) address a line, with the names of their outputs.

    A path starts at the folder of the list. Names leave out the folders that all images share.
    Empty lines, and lines that begin with #, are passed over.

    Raises:
        ValueError: If there is none.
    """
    lines = [line.strip() for line in read_text(source).split("\n")]
    listed = [line for line in dict.fromkeys(lines) if line and not line.startswith("#")]
    images = [line if is_url(line) else source.parent / line for line in listed]
    if not images:
        raise ValueError(f"{source}: lists no image; write a path or an address on each line")
    places = [_place(image) for image in images]
    shared = os.path.commonpath([os.path.dirname(place) for place in places])
    below = [os.path.relpath(place, shared) for place in places]
    plain = Counter(os.path.splitext(name)[0] for name in below)
    named: dict[str, Path | str] = {}
    for name, image in zip(below, images, strict=True):
        stem = os.path.splitext(name)[0]
        wanted = stem if plain[stem] == 1 else name
        number, free = 1, wanted
        while free in named:  # addresses that differ in their query alone
            number, free = number + 1, f"{wanted}_{number + 1}"
        named[free] = image
    return named


def _place(image: Path | str) -> str:
    """Where an image lies, as a path without ways up: no name may lead out of the output."""
    if isinstance(image, Path):
        return os.path.abspath(image)
    parts = urlsplit(image)
    return os.path.normpath(f"/{parts.netloc}/{parts.path}")
