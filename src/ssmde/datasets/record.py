"""Scenes as a reader of an official archive hands them over, and the lists that divide them.

A reader lists what is there and reads small text files; images and depth are read frame by frame by
whoever writes the scene folder. So one broken file costs one frame, not the archive.
"""

from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import contextmanager, suppress
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
    intrinsics: sequence.Intrinsics  # in pixels of the images
    source: str  # archive, paper and part, for scene.json
    licence: str  # as the archive states it
    depth_units_per_metre: int = 256  # of the PNGs that are written: 65535 / this is the largest
    poses: sequence.Poses | None = None  # camera to world, in metres; nan where unknown
    problems: tuple[str, ...] = ()  # what was left out, and why

    def __post_init__(self) -> None:
        """Refuse what cannot be a scene."""
        if not self.frames:
            raise ArchiveError(f"scene '{self.name}' has no frames")
        where = f"scene '{self.name}'"
        sequence.check_intrinsics(self.intrinsics, self.image_size, where=where)


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
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        kind = "" if isinstance(error, OSError | ValueError) else f"{type(error).__name__} "
        raise ArchiveError(f"{path}: cannot be read ({kind}{error}); {broken}") from error


def read_archive_file(path: Path) -> bytes:
    """Bytes of a file of an archive; an `ArchiveError` if it is missing or no plain file."""
    with readable(path):
        return read_bytes(path)


def in_pixels(size: sequence.Size) -> str:
    """A size (height, width) in words: `640 x 480`."""
    return f"{size[1]} x {size[0]}"


def first_size(files: Collection[Path], published: sequence.Size | None = None) -> sequence.Size:
    """Size of the first image that can be opened; refuses one that the camera is not for."""
    for file in files:
        with suppress(ImageError):
            size = read_size(file)
            if size == (published or size):
                return size
            raise ArchiveError(
                f"{file}: {in_pixels(size)} pixels, but the camera is published for "
                f"{in_pixels(published or size)}; give the images as the archive has them"
            )
    raise ArchiveError(f"{next(iter(files))}: cannot be opened, nor can any image beside it")


def no_archive(root: Path, what: str) -> FileNotFoundError:
    """The error of a folder in which nothing of a data set is found."""
    where = "give the folder the archives were unpacked in"
    return FileNotFoundError(f"{root}: no {what} in it; {where}")


class SceneList(NamedTuple):
    """Contents of one list."""

    path: Path
    frames: Mapping[str, tuple[int, ...]]  # rising numbers of frames of each scene; none for all


class Part(NamedTuple):
    """A scene folder to be made of a scene."""

    name: str
    split: Split
    frames: tuple[int, ...] = ()  # rising numbers; none for all
    listed_in: str = ""  # list that asks for it, for messages


Scenes = dict[str, tuple[Split, Callable[[Part], ArchiveScene]]]
"""What makes a scene, by its name, with the split it belongs to where no list names it."""


def only_scene(line: str) -> tuple[str, None]:
    """The scene of a line that names nothing else; a path counts by its first part."""
    scene, *words = line.split()
    if words:
        raise ValueError(f"expected the name of a scene alone, got '{line}'")
    return scene.strip("/").partition("/")[0], None


def read_scene_lists(
    lists: Mapping[str, Path] | None,
    parse: Callable[[str], tuple[str, int | None]] = only_scene,
) -> dict[Split, SceneList]:
    """The lists of `train`, `val` and `test`; lines that start with # do not count.

    `parse` gives the scene of a line, and the number of a frame where it names one.
    """
    return {s: _read_list(lists[s], parse) for s in SPLITS if lists and s in lists}


def _read_list(path: Path, parse: Callable[[str], tuple[str, int | None]]) -> SceneList:
    if not path.is_file():
        raise ValueError(f"{path}: no such list; give a text file with one scene or frame a line")
    named: dict[str, set[int]] = {}
    for number, line in read_lines(path):
        if line.startswith("#"):
            continue
        try:
            scene, frame = parse(line)
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
        named.setdefault(scene, set()).update([] if frame is None else [frame])
    if not named:
        raise ValueError(f"{path}: the list is empty; name one scene or frame a line")
    return SceneList(path, {scene: tuple(sorted(frames)) for scene, frames in named.items()})


def parts_of(name: str, lists: Mapping[Split, SceneList], default: Split) -> list[Part]:
    """What is to be made of a scene: one part for each list that names it.

    A scene that no list names belongs to `default`, unless that has a list. A part of a scene
    carries the name of its list, and so does a scene of several lists.
    """
    asked: list[Split] = [s for s in SPLITS if s in lists and name in lists[s].frames]
    if not asked:
        return [] if default in lists else [Part(name, default)]
    whole = len(asked) == 1 and not lists[asked[0]].frames[name]
    return [
        Part(name if whole else f"{name}_{s}", s, lists[s].frames[name], str(lists[s].path))
        for s in asked
    ]


def make_archive(
    root: Path, scenes: Scenes, lists: Mapping[Split, SceneList], problems: list[str]
) -> Archive:
    """What can be made of the scenes of a folder, and of lists; faults become problems."""
    problems += [
        f"{found.path}: no scene '{name}' in {root}; unpack its archive there"
        for found in lists.values()
        for name in found.frames
        if name not in scenes
    ]
    made = [
        attempt(partial(make, part), problems)
        for name, (default, make) in scenes.items()
        for part in parts_of(name, lists, default)
    ]
    return Archive(scenes=tuple(filter(None, made)), problems=tuple(problems))
