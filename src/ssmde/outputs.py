"""What ssmde wrote, and may replace; everything else in a folder is the user's and stays.

A folder that ssmde fills holds `.ssmde.jsonl`, a line for each file: its name, the digest of its
content, and the mark of the run that wrote it (source, weights, options), written before the file
gets its name. A file without a line, or with other content, is the user's: `docs/decisions/0017`.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
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
    """In this block `whole_file` notes files as ssmde's own, if there is a mark.

    It raises a FileExistsError where a file of the user's has the name.
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
    plain = path.is_file() and not path.is_symlink()
    return _known(path.parent, path) if plain else None


def done_or_free(
    paths: Iterable[Path], mark: str, *, overwrite: bool, remedy: str = "choose another folder"
) -> bool:
    """Whether all these files are there, made under this mark; else they may be written.

    A FileExistsError names one that may not be replaced: files of the user's never, those that
    ssmde made of something else with `overwrite` only.
    """
    marks: list[str | None] = []
    for path in paths:
        known = mark_at(path)
        if known is None and os.path.lexists(path):
            raise _not_ours(path, remedy)
        if known not in (None, mark) and not overwrite:
            raise FileExistsError(
                f"{path}: exists, made of another source or with other weights or options: "
                f"{remedy}, or replace it with --overwrite"
            )
        marks.append(known)
    return all(known == mark for known in marks)


def check_own(paths: Iterable[Path], remedy: str = "choose another folder") -> None:
    """Refuse to replace files that ssmde did not write; those that are absent are fine."""
    done_or_free(paths, "", overwrite=True, remedy=remedy)


def check_replaceable(
    folder: Path, inputs: Iterable[Path], remedy: str = "choose another name or folder"
) -> None:
    """Refuse to delete a folder that is, holds or lies in an input, or holds a user's file."""
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
            plain = path.is_file() and not path.is_symlink()
            if not plain or all(_known(f, path) is None for f in above):
                yield path


def record_tree(folder: Path, mark: str, extra: dict[str, Any] | None = None) -> None:
    """Note every file below a folder as ssmde's own, before the folder gets its name."""
    lines = [
        _line(str(path.relative_to(folder)), digest_of(path), mark)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != RECORD
    ]
    _append(folder / RECORD, "".join([*lines, _line("", "", mark, extra or {})]))


def folder_mark(folder: Path) -> str | None:
    """The mark under which a whole folder appeared; None if none did, or files of it are lost."""
    record = read_record(folder)
    names = [name for name, marks in record.marks.items() if record.tree in marks.values()]
    whole = not folder.is_symlink() and all((folder / name).is_file() for name in names)
    return record.tree if whole else None


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
    """Give a folder its name; what is there, which is replaceable, goes or comes back on a failure.

    Without a part the old one only goes.
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
    """Remove hidden parts of outputs of that name that killed runs left in a folder.

    A folder that was put aside, and whose successor never came, gets its name back.
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


@dataclass
class Record:
    """The record of one folder, as far as it was read."""

    inode: int = 0
    offset: int = 0
    marks: dict[str, dict[str, str]] = field(default_factory=dict)  # by name, then by digest
    tree: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)


_KNOWN: dict[str, Record] = {}


def read_record(folder: Path) -> Record:
    """The record of a folder; of one that was read before, the lines that were added since."""
    place = os.path.abspath(folder)
    try:
        check_file(folder / RECORD)  # a pipe would wait
        with (folder / RECORD).open("rb") as file:
            found, known = os.fstat(file.fileno()), _KNOWN.get(place)
            if known is None or found.st_ino != known.inode or found.st_size < known.offset:
                known = _KNOWN[place] = Record(found.st_ino)
            file.seek(known.offset)
            content = file.read()
    except (OSError, FileError):
        _KNOWN.pop(place, None)
        return Record()
    whole = content[: content.rfind(b"\n") + 1]  # what a kill or a full disk cut off is no line
    known.offset += len(whole)
    for line in whole.splitlines():
        with suppress(ValueError, KeyError, TypeError, RecursionError):
            entry = json.loads(line)
            name, digest, mark = entry["name"], entry["digest"], entry["mark"]
            if not all(isinstance(value, str) for value in (name, digest, mark)):
                continue
            if name == "":
                known.tree, known.extra = mark, entry
            else:
                known.marks.setdefault(name, {})[digest] = mark
    return known


def _known(folder: Path, path: Path) -> str | None:
    """The mark in the record of a folder for a file below it, if it is as it was written."""
    marks = read_record(folder).marks.get(str(path.relative_to(folder)))
    return marks.get(digest_of(path)) if marks else None


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
    try:
        with record.open("ab+", buffering=0) as file:
            size = file.tell()
            torn = size > 0 and os.pread(file.fileno(), 1, size - 1) != b"\n"
            content = ("\n" * torn + lines).encode()
            if file.write(content) != len(content):
                file.write(b"\n")  # raises where the disk is full
            os.fsync(file.fileno())
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(record)) from error


def _ids(path: Path) -> list[tuple[int, int]]:
    """Device and number of what is at a path, and of every folder above it."""
    real = Path(os.path.realpath(path))
    return [(s.st_dev, s.st_ino) for s in (p.stat() for p in (real, *real.parents) if p.exists())]


def _not_ours(path: Path, remedy: str) -> FileExistsError:
    return FileExistsError(
        f"{path}: was not written by ssmde, or by a version without a record ({RECORD}), or was "
        f"changed since; it is never replaced: move it away, or {remedy}"
    )
