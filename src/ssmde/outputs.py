"""What ssmde wrote, and may replace; everything else in a folder is the user's and stays.

A folder that ssmde fills holds `.ssmde.jsonl`, a line for each file: its name, the digest of its
content, and the mark of the run that wrote it (source, weights, options). The line is there before
the file gets its name, so a kill at any moment leaves what the same command can go on from. A file
without a line, or with other content, is the user's. `docs/decisions/0017` has the reasons.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from ssmde.io import FileError, before_naming, check_file, held, hidden_part, is_held

RECORD = ".ssmde.jsonl"
PART = re.compile(r"\.(.+)\.\d+\.part", re.DOTALL)  # as `hidden_part` names them
OLD = ".old"  # of the hidden name of a folder that is about to be replaced


def mark_of(**facts: Any) -> str:
    """Digest of what a result depends on."""
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def identity(source: Path | str) -> list[str | int]:
    """What tells a source from another state of it: path, size and time; of an address itself."""
    try:
        found = os.stat(source)
    except OSError:
        return [str(source)]
    return [os.path.realpath(source), found.st_size, found.st_mtime_ns]


def digest_of(path: Path) -> str:
    """Digest of what a file holds."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


@contextmanager
def recorded(mark: str | None = "") -> Generator[None]:
    """Files that `whole_file` writes in this block are noted as ssmde's own, if there is a mark.

    A FileExistsError comes from `whole_file` where a file of the user's has the name.
    """
    token = before_naming.set(None if mark is None else partial(_note, mark))
    try:
        yield
    finally:
        before_naming.reset(token)


def adding_to(path: Path) -> AbstractContextManager[None]:
    """In this block something is added to a file: the user's stays theirs, ssmde's own its own."""
    return recorded(mark_at(path) if os.path.lexists(path) else "")


def mark_at(path: Path) -> str | None:
    """The mark under which ssmde wrote the file at a path; None for all else that may be there."""
    if path.is_symlink() or not path.is_file():
        return None
    return _records(path.parent).mark(path.name, partial(digest_of, path))


def done_or_free(
    paths: Iterable[Path], mark: str, *, overwrite: bool, remedy: str = "choose another folder"
) -> bool:
    """Whether all these files are there, made under this mark; else they may be written.

    Raises:
        FileExistsError: If one of them may not be replaced: files of the user's never, those that
            ssmde made of something else with `overwrite` only.
    """
    paths = list(paths)
    found = {path: mark_at(path) for path in paths if os.path.lexists(path)}
    for path, known in found.items():
        if known is None:
            raise _not_ours(path, remedy)
        if known != mark and not overwrite:
            raise FileExistsError(
                f"{path}: exists, made of another source or with other weights or options: "
                f"{remedy}, or replace it with --overwrite"
            )
    return all(found.get(path) == mark for path in paths)


def check_own(paths: Iterable[Path], remedy: str = "choose another folder") -> None:
    """Refuse to replace files that ssmde did not write; those that are absent are fine."""
    done_or_free(paths, "", overwrite=True, remedy=remedy)


def check_replaceable(
    folder: Path, inputs: Iterable[Path], remedy: str = "choose another name or folder"
) -> None:
    """Refuse to delete a folder that is, holds or lies in an input, or holds a file of the user's.

    Links are followed. The FileExistsError names the folder, and the input or the file.
    """
    if folder.is_symlink() or not folder.is_dir():
        raise FileExistsError(f"{folder}: is no folder that ssmde made: {remedy}")
    place, *above = _ids(folder)
    for source in inputs:
        here = _ids(source)
        if place in here or (source.is_dir() and here[0] in above):
            raise FileExistsError(f"{folder}: is, holds or lies in the input {source}: {remedy}")
    for path in _foreign_files(folder):
        raise _not_ours(path, remedy)


def _foreign_files(folder: Path) -> Generator[Path]:
    """Files and links below a folder that ssmde did not write."""
    above: list[Path] = []
    for at, folders, names in os.walk(folder):
        here = Path(at)
        above = [f for f in above if f in here.parents] + [here]
        yield from (here / name for name in folders if (here / name).is_symlink())
        folders[:] = [name for name in folders if not PART.fullmatch(name)]
        for name in names:
            path = here / name
            if name == RECORD or PART.fullmatch(name):
                continue
            owners = (_records(f).mark(str(path.relative_to(f)), partial(digest_of, path))
                      for f in above)  # fmt: skip
            if path.is_symlink() or not path.is_file() or all(mark is None for mark in owners):
                yield path


def record_tree(folder: Path, mark: str, extra: dict[str, Any] | None = None) -> None:
    """Note every file below a folder as ssmde's own, before the folder gets its name."""
    lines = [
        _line(str(Path(at, name).relative_to(folder)), digest_of(Path(at, name)), mark)
        for at, _, names in os.walk(folder)
        for name in sorted(names)
        if name != RECORD
    ]
    _append(folder / RECORD, "".join([*lines, _line("", "", mark, extra or {})]))


def folder_mark(folder: Path) -> str | None:
    """The mark under which a whole folder appeared; None if none did, or files of it are lost."""
    return _records(folder).whole() if folder.is_dir() and not folder.is_symlink() else None


def folder_extra(folder: Path) -> dict[str, Any]:
    """What `record_tree` kept beside the mark."""
    return _records(folder).extra


@contextmanager
def hidden_folder(path: Path) -> Generator[Path]:
    """An empty hidden folder beside a path, which is removed when the block ends."""
    part = hidden_part(path)
    shutil.rmtree(part, ignore_errors=True)  # of a killed process with the same number
    with held(part, folder=True):
        try:
            yield part
        finally:
            shutil.rmtree(part, ignore_errors=True)


def move_into_place(part: Path | None, path: Path) -> None:
    """Give a folder its name; what is there under that name goes, and comes back on a failure.

    `check_replaceable` has been asked before. Without a part the old one only goes.
    """
    old = hidden_part(path.with_name(path.name + OLD))
    if had := path.exists():
        path.rename(old)
    try:
        if part is not None:
            part.rename(path)
    except BaseException:
        if had:
            old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def sweep(folder: Path, is_output: Callable[[str], bool]) -> None:
    """Remove hidden parts that killed runs of the same command left in a folder.

    A folder that was put aside, and whose successor never came, gets its name back.
    `is_output` says whether a file or folder of that name is one of theirs.
    """
    with suppress(FileNotFoundError, NotADirectoryError):
        for entry in sorted(folder.iterdir()):
            found = PART.fullmatch(entry.name)
            if found is None or is_held(entry):
                continue
            name = found[1].removesuffix(OLD)
            if not is_output(name):
                continue
            if name != found[1] and not os.path.lexists(folder / name):
                entry.rename(folder / name)
            elif entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)


class _Records:
    """The record of one folder; lines that were added since are read when it is asked."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / RECORD
        self.forget(0)

    def forget(self, inode: int) -> None:
        self.inode, self.offset = inode, 0
        self.marks: dict[str, dict[str, str]] = {}  # by name, then by digest
        self.extra: dict[str, Any] = {}
        self.tree: str | None = None

    def mark(self, name: str, digest: Callable[[], str]) -> str | None:
        self.read()
        known = self.marks.get(name)
        return known.get(digest()) if known else None

    def whole(self) -> str | None:
        self.read()
        names = [name for name, marks in self.marks.items() if self.tree in marks.values()]
        return self.tree if all((self.file.parent / n).is_file() for n in names) else None

    def read(self) -> None:
        try:
            check_file(self.file)  # a pipe would wait
            with self.file.open("rb") as file:
                found = os.fstat(file.fileno())
                if found.st_ino != self.inode or found.st_size < self.offset:
                    self.forget(found.st_ino)
                file.seek(self.offset)
                content = file.read()
        except (OSError, FileError):
            self.forget(0)
            return
        whole = content[: content.rfind(b"\n") + 1]  # what a kill or a full disk cut off is no line
        self.offset += len(whole)
        for line in whole.splitlines():
            with suppress(ValueError, KeyError, TypeError, RecursionError):
                entry = json.loads(line)
                name, digest, mark = entry["name"], entry["digest"], entry["mark"]
                if not all(isinstance(value, str) for value in (name, digest, mark)):
                    continue
                if name == "":
                    self.tree, self.extra = mark, entry
                else:
                    self.marks.setdefault(name, {})[digest] = mark


_KNOWN: dict[str, _Records] = {}


def _records(folder: Path) -> _Records:
    place = os.path.abspath(folder)
    return _KNOWN.setdefault(place, _Records(Path(place)))


def _note(mark: str, part: Path, path: Path) -> None:
    """Note a file that is whole and about to get its name."""
    if os.path.lexists(path) and mark_at(path) is None:
        raise _not_ours(path, "choose another name or folder")
    _append(path.parent / RECORD, _line(path.name, digest_of(part), mark))


def _line(name: str, digest: str, mark: str, extra: dict[str, Any] | None = None) -> str:
    return json.dumps({"name": name, "digest": digest, "mark": mark, **(extra or {})}) + "\n"


def _append(record: Path, lines: str) -> None:
    if record.is_symlink():
        raise FileError(f"{record} is a link, expected a file: delete it")
    if record.exists():
        check_file(record, "record of ssmde's own files: delete it")
    file = os.open(record, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        size = os.fstat(file).st_size
        torn = size > 0 and os.pread(file, 1, size - 1) != b"\n"
        content = ("\n" * torn + lines).encode()
        if os.write(file, content) != len(content):
            os.write(file, b"\n")  # raises where the disk is full
        os.fsync(file)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(record)) from error
    finally:
        os.close(file)


def _ids(path: Path) -> list[tuple[int, int]]:
    """Device and number of what is at a path, and of every folder above it."""
    real = Path(os.path.realpath(path))
    return [(s.st_dev, s.st_ino) for s in (p.stat() for p in (real, *real.parents) if p.exists())]


def _not_ours(path: Path, remedy: str) -> FileExistsError:
    return FileExistsError(
        f"{path}: was not written by ssmde, or by a version without a record ({RECORD}), or was "
        f"changed since; it is never replaced: move it away, or {remedy}"
    )
