"""Scenes as a reader of an official archive hands them over, and the lists that divide them.

A reader lists what is there and reads small text files; images and depth are read frame by frame by
whoever writes the scene folder. So one broken file costs one frame, not the archive.
"""

from collections.abc import Callable, Container, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from ssmde.data import sequence
from ssmde.data.images import ImageError, read_size
from ssmde.io import FileError, read_bytes, read_lines

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
ReadImage = Callable[[], sequence.Pixels]
ReadDepth = Callable[[], sequence.DepthMap]
Row = tuple[str, ...]
"""The words by which a list names a frame."""
Made = TypeVar("Made")


class ArchiveError(ValueError):
    """A file of an archive that is missing or cannot be used; the message names it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchiveFrame:
    """One frame of an archive."""

    name: str  # stem of its files in the scene folder; the order of the names is the order in time
    # A JPEG or PNG that can be copied, or what gives RGB. Raises `ArchiveError` or `ImageError` for
    # a broken file.
    image: Path | ReadImage
    # Gives depth in metres, 0 where unknown, of the size of the image; raises as `image` does. None
    # if the archive has no depth for this frame.
    depth: ReadDepth | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ArchiveScene:
    """One video of an archive, which becomes one scene folder."""

    name: str
    split: Split
    frames: tuple[ArchiveFrame, ...]  # in time order
    image_size: sequence.Size  # height, width
    intrinsics: sequence.Intrinsics | None  # in pixels of the images; None if the archive has none
    source: str  # archive, paper and part, for scene.json
    licence: str  # as the archive states it
    depth_units_per_metre: int = 256  # of the PNGs that are written: 65535 / this is the largest
    fps: float | None = None
    poses: sequence.Poses | None = None  # camera to world, in metres; nan where unknown
    timestamps: sequence.PerFrame | None = None  # in seconds
    problems: tuple[str, ...] = ()  # what was left out, and why: one line for each file

    def __post_init__(self) -> None:
        """Refuse what cannot be a scene."""
        if not self.frames:
            raise ArchiveError(f"scene '{self.name}' has no frames")
        if "/" in self.name or self.name.startswith("."):
            raise ValueError(f"a scene's name is the name of a folder, got '{self.name}'")
        if self.intrinsics is not None:
            sequence.check_intrinsics(
                self.intrinsics, self.image_size, where=f"scene '{self.name}'"
            )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Archive:
    """What a reader found."""

    scenes: tuple[ArchiveScene, ...]
    problems: tuple[str, ...] = ()  # scenes that could not be used at all: one line for each


def attempt(make: Callable[[], Made], problems: list[str], cost: str = "") -> Made | None:
    """What is made; None where a file is at fault: a line in `problems` says so, and the cost."""
    try:
        return make()
    except (ValueError, FileNotFoundError) as error:
        problems.append(f"{error}{cost}")
        return None


def collect(scenes: Iterable[Callable[[], ArchiveScene]], problems: list[str]) -> Archive:
    """The scenes that can be made; a fault of one becomes a line in `problems`."""
    found = tuple(scene for make in scenes if (scene := attempt(make, problems)))
    return Archive(scenes=found, problems=tuple(problems))


@contextmanager
def readable(
    path: Path, *, missing: str = "unpack the archive again", broken: str = "unpack it again"
) -> Generator[None]:
    """What goes wrong in this block becomes an `ArchiveError` about the file, with the remedy."""
    try:
        yield
    except ArchiveError:
        raise
    except FileNotFoundError as error:
        raise ArchiveError(f"{path}: no such file; {missing}") from error
    except FileError as error:
        raise ArchiveError(str(error)) from error
    except (OSError, ValueError) as error:
        raise ArchiveError(f"{path}: cannot be read ({error}); {broken}") from error
    except (LookupError, TypeError, AttributeError, RuntimeError) as error:  # of another format
        reason = f"{type(error).__name__} {error}"
        raise ArchiveError(f"{path}: cannot be read ({reason}); {broken}") from error


def read_archive_file(path: Path) -> bytes:
    """Bytes of a file of an archive; an `ArchiveError` if it is missing or no plain file."""
    with readable(path):
        return read_bytes(path)


def in_pixels(size: sequence.Size) -> str:
    """A size (height, width) in words: `640 x 480`."""
    return f"{size[1]} x {size[0]}"


def first_size(files: Iterable[Path], published: sequence.Size | None = None) -> sequence.Size:
    """Size of the first image that can be opened; refuses one that the camera is not for."""
    fault: ImageError | None = None
    for file in files:
        try:
            size = read_size(file)
        except ImageError as error:
            fault = fault or error
            continue
        if size != (published or size):
            raise ArchiveError(
                f"{file}: {in_pixels(size)} pixels, but the camera is published for "
                f"{in_pixels(published or size)}; give the images as the archive has them"
            )
        return size
    raise fault or ArchiveError("no image to open")


def nothing_left(folder: Path, problems: list[str], what: str = "no frame") -> ArchiveError:
    """The error of a scene of which nothing is left, after what was noticed before."""
    return ArchiveError("\n".join([*problems, f"{folder}: {what} can be used"]))


class SceneList(NamedTuple):
    """Contents of one list."""

    path: Path
    rows: Mapping[str, tuple[Row, ...]]  # frames of each scene, each once; none for the whole scene


class Part(NamedTuple):
    """A scene folder to be made of a scene."""

    name: str
    split: Split
    rows: tuple[Row, ...] = ()  # its frames; none for all
    listed_in: str = ""  # list that asks for it, for messages


Scenes = dict[str, tuple[Split, Callable[[Part], ArchiveScene]]]
"""What makes a scene, by its name, with the split it belongs to where no list names it."""


def scene_and_words(line: str) -> tuple[str, Row]:
    """Scene and words of a line: `SCENE` or `SCENE word word`; a path counts by its first part."""
    scene, *words = line.split()
    return scene.strip("/").partition("/")[0], tuple(words)


def only_scene(line: str) -> tuple[str, Row]:
    """The scene of a line that names nothing else."""
    scene, words = scene_and_words(line)
    if words:
        raise ValueError(f"expected the name of a scene alone, got '{line}'")
    return scene, ()


def read_scene_lists(
    lists: Mapping[str, Path] | None, parse: Callable[[str], tuple[str, Row]] = scene_and_words
) -> dict[Split, SceneList]:
    """The lists of `train`, `val` and `test`; lines that start with # do not count.

    `parse` gives the scene of a line, and the words that name a frame in it.
    """
    lists = lists or {}
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
        return [] if default in lists else [Part(name, default)]
    whole = len(asked) == 1 and not asked[0][1].rows[name]
    return [
        Part(name if whole else f"{name}_{split}", split, found.rows[name], str(found.path))
        for split, found in asked
    ]


def missing_scenes(lists: Iterable[SceneList], known: Container[str], root: Path) -> list[str]:
    """One line for each scene that a list names and `root` does not have."""
    return [
        f"{found.path}: no scene '{name}' in {root}; unpack its archive there"
        for found in lists
        for name in found.rows
        if name not in known
    ]


def make_archive(
    root: Path, scenes: Scenes, lists: Mapping[Split, SceneList], problems: list[str]
) -> Archive:
    """What can be made of the scenes of a folder, and of lists."""
    problems += missing_scenes(lists.values(), scenes, root)
    named = scenes.items()
    parts = [(make, p) for name, (split, make) in named for p in parts_of(name, lists, split)]
    return collect([partial(make, part) for make, part in parts], problems)


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
