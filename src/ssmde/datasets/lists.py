"""Lists of scenes and of frames in them, and which part of the data each makes of a scene."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ssmde.datasets.record import SPLITS, Split
from ssmde.io import read_lines

Row = tuple[str, ...]
"""The words that name a frame."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneList:
    """Contents of one list."""

    path: Path
    """File, for messages."""
    rows: Mapping[str, tuple[Row, ...]]
    """Frames of each scene, each once; none for the whole scene."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A scene folder to be made of a scene."""

    name: str
    split: Split
    rows: tuple[Row, ...] = ()
    """Its frames; none for all."""
    listed_in: str = ""
    """List that asks for it, for messages."""


def scene_and_words(line: str) -> tuple[str, Row]:
    """Scene and words of a line: `SCENE` or `SCENE word word`; a path counts by its first part."""
    scene, *words = line.split()
    return scene.strip("/").partition("/")[0], tuple(words)


def read_scene_lists(
    lists: Mapping[str, Path], parse: Callable[[str], tuple[str, Row]] = scene_and_words
) -> dict[Split, SceneList]:
    """The lists of all parts; lines that start with # do not count.

    Args:
        lists: File for `train`, `val` or `test`.
        parse: Gives the scene of a line, and the words that name a frame in it.

    Raises:
        ValueError: If there is a list for another part, a file is missing or empty, or `parse`
            refuses a line.
    """
    if strange := set(lists) - set(SPLITS):
        raise ValueError(f"lists are for train, val and test, got {', '.join(sorted(strange))}")
    return {split: _read(lists[split], parse) for split in SPLITS if split in lists}


def parts_of(name: str, lists: Mapping[Split, SceneList], default: Split = "train") -> list[Part]:
    """What is to be made of a scene: one part for each list that names it.

    A scene that no list names belongs to `default`, unless that has a list. A part of a scene
    carries the name of its list, and so does a scene of several lists.
    """
    asked: list[tuple[Split, SceneList]] = [
        (s, lists[s]) for s in SPLITS if s in lists and name in lists[s].rows
    ]
    if not asked:
        return [] if default in lists else [Part(name=name, split=default)]
    return [
        Part(
            name=f"{name}_{split}" if found.rows[name] or len(asked) > 1 else name,
            split=split,
            rows=found.rows[name],
            listed_in=str(found.path),
        )
        for split, found in asked
    ]


def missing_scenes(lists: Iterable[SceneList], known: Sequence[str], root: Path) -> list[str]:
    """One line for each scene that a list names and `root` does not have."""
    return [
        f"{found.path}: no scene '{name}' in {root}; unpack its archive there"
        for found in lists
        for name in found.rows
        if name not in known
    ]


def _read(path: Path, parse: Callable[[str], tuple[str, Row]]) -> SceneList:
    if not path.is_file():
        raise ValueError(f"{path}: no such list; give a text file with one scene or frame a line")
    found: dict[str, dict[Row, None]] = {}
    for number, line in read_lines(path):
        if line.startswith("#"):
            continue
        try:
            scene, words = parse(line)
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
        found.setdefault(scene, {})[words] = None
    if not found:
        raise ValueError(f"{path}: the list is empty; name one scene or frame a line")
    # A line without a frame asks for the whole scene, whatever else is said about it.
    rows = {scene: () if () in names else tuple(names) for scene, names in found.items()}
    return SceneList(path=path, rows=rows)
