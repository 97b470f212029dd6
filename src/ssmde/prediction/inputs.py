"""What there is to predict: images of a folder or a pattern, each with a name for its output."""

from collections import Counter
from pathlib import Path

READABLE = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")


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
    found = sorted(path for path in found if not path.name.startswith("."))
    if not found:
        raise ValueError(f"{source}: holds no image ({', '.join(READABLE)})")
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
