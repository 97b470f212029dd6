"""Files: written whole or not at all, read within bounds; what is wrong with one names it."""

import csv
import fcntl
import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from decimal import Decimal
from pathlib import Path
from typing import Any

LONGEST_NAME = 255  # bytes of a file's name, on every usual file system
TEXT_LIMIT = 1 << 28  # bytes: a list of a million lines has a tenth of it
ARRAY_LIMIT = 1 << 30  # bytes: a depth map of 16,000 x 16,000 in float32
DEEPEST = 100  # lists and objects within each other, in JSON
SPECIAL = {
    stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device", stat.S_IFDIR: "a folder",
}  # fmt: skip
DECIMAL = re.compile(r"(.*?)(\d+(?:\.(\d+))?)", re.DOTALL | re.ASCII)

before_naming: ContextVar[Callable[[Path, Path], None] | None] = ContextVar(
    "before_naming", default=None
)
"""Called with a whole file and the name it is about to get; see `ssmde.outputs.recorded`."""


class FileError(ValueError):
    """A path that leads to no plain file, or to one that is too large; the message names it."""


@contextmanager
def whole_file(path: Path) -> Generator[Path]:
    """Name to write under; what was written there becomes `path` when the block ends well.

    Until then `path` stays as it was, and a failure leaves nothing behind. What the system refuses,
    such as a full disk or a folder that is not there, is an OSError that names `path`.
    """
    part, note = hidden_part(path), before_naming.get()
    try:
        with held(part):
            yield part
            with part.open("rb") as file:
                os.fsync(file.fileno())  # a power cut must not leave an empty file of that name
            if note is not None:
                note(part, path)
            part.replace(path)
    except OSError as error:
        wrote = str(part) in (error.filename, error.filename2)  # a copy names its source first
        if error.errno is None or not (wrote or error.filename is None):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):  # the folder itself may be what failed
            part.unlink(missing_ok=True)


@contextmanager
def held(part: Path, *, folder: bool = False) -> Generator[None]:
    """Make a file or folder and hold its lock: the system lets go of it when the process dies."""
    if folder:
        part.mkdir(parents=True)
    file = os.open(part, os.O_RDONLY if folder else os.O_RDWR | os.O_CREAT, 0o666)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(file)


def is_held(part: Path) -> bool:
    """Whether a running process may still write this part; True where that cannot be told."""
    file = None
    try:
        file = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # a pipe would wait
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        if file is not None:
            os.close(file)
    return False


def write_text(path: Path, text: str) -> None:
    """Write a file of UTF-8, whole or not at all; its folder exists. What is no text is escaped."""
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path, value: Any) -> None:
    """Write a file of JSON, whole or not at all; its folder exists. Paths become text."""
    write_text(path, json.dumps(value, indent=1, default=str) + "\n")


def check_file(path: Path, what: str = "file") -> int:
    """Bytes of a plain file, which is not opened: a pipe would wait for ever.

    A FileNotFoundError says `what` is not there, a FileError that it is no plain file.
    """
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(f"{path}: no such {what}") from error
    if (kind := stat.S_IFMT(found.st_mode)) != stat.S_IFREG:
        raise FileError(f"{path} is {SPECIAL.get(kind, 'no file')}, expected a {what}")
    return found.st_size


def read_bytes(path: Path, *, limit: int = ARRAY_LIMIT, what: str = "file") -> Any:
    """The bytes of a plain file that has at most so many; a path into a shard reads itself."""
    if type(path) is type(Path()) and (size := check_file(path, what)) > limit:
        raise FileError(f"{path}: has {size:,} bytes, {limit:,} are the most that is read")
    return path.read_bytes()


def read_text(path: Path) -> str:
    r"""Text of a file; lines end in \n, however they end there.

    UTF-8, with or without a mark at its start, and UTF-16 with one are read; a ValueError names
    what is no such text, no plain file or too large.
    """
    content = read_bytes(path, limit=TEXT_LIMIT)
    marked = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = content.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is no text in UTF-8 ({error.reason}, byte {error.start}); "
                         "save it as UTF-8") from error  # fmt: skip
    if "\0" in text:
        raise ValueError(f"{path}: is no text in UTF-8 (it holds zeros); save it as UTF-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_table(path: Path) -> list[list[str]]:
    """Rows of a CSV file; raises as `read_text`, and a ValueError where a field never ends."""
    try:
        return list(csv.reader(read_text(path).split("\n")))
    except csv.Error as error:  # a quote that nothing closes takes in all that follows
        raise ValueError(f"{path}: cannot be read as CSV ({error})") from error


def read_lines(path: Path) -> list[tuple[int, str]]:
    """Number and text of every line that is not blank; raises as `read_text`."""
    lines = read_text(path).split("\n")
    return [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]


def parse_json(text: str | bytes | bytearray, where: str) -> Any:
    """The value in the JSON text of the file `where`; a ValueError if it is none, or too deep."""
    try:
        value = json.loads(text)
        deepest, level = 0, [value]
        while level := [v for v in level if isinstance(v, dict | list)]:
            level = [e for v in level for e in (v.values() if isinstance(v, dict) else v)]
            deepest += 1
        if deepest > DEEPEST:
            raise RecursionError("nested too deeply")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: not valid JSON ({error})") from error
    return value


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; a ValueError where it holds none."""
    value = parse_json(read_text(path), str(path))
    if not isinstance(value, dict):
        shown = repr(value) if len(repr(value)) < 60 else type(value).__name__
        raise ValueError(f'{path}: expected an object such as {{"fps": 10}}, got {shown}')
    return value


def natural_order(name: str) -> tuple[list[tuple[str, int]], str]:
    """Key that sorts `frame_9` before `frame_10`."""
    pieces = re.findall(r"(\D*)(\d*)", name)
    return [(text, int(digits or -1)) for text, digits in pieces], name


def are_decimal(names: Iterable[str]) -> bool:
    """Whether names end in decimal numbers, such as 0.5 and 0.25, which sort by their value.

    A fraction that ends in 0 is a number of its own: after the frames 1.8 and 1.9 comes 1.10.
    """
    found = [DECIMAL.fullmatch(name) for name in names]
    fractions = [match[3] for match in found if match and match[3]]
    numbers = all(len(digits) == 1 or digits[-1] != "0" for digits in fractions)
    return all(found) and numbers and len(set(map(len, fractions))) > 1


def decimal_order(name: str) -> tuple[str, Decimal, str]:
    """Key that sorts `0.25` before `0.5`, for names that `are_decimal`."""
    match = DECIMAL.fullmatch(name)
    return (match[1], Decimal(match[2]), name) if match else (name, Decimal(0), name)


def fitting_name(name: str, room: int = 0) -> str:
    """The name, or one made of its beginning and a digest that leaves room for so many bytes."""
    content = os.fsencode(name)
    if len(content) + room <= LONGEST_NAME:
        return name
    ending = f"~{hashlib.sha256(content).hexdigest()[:8]}"
    return _cut(name, room + len(ending)) + ending


def hidden_part(path: Path) -> Path:
    """Name in the same folder for a part of this process, hidden, no longer than names may be."""
    ending = f".{os.getpid()}.part"
    return path.with_name(f".{_cut(path.name, 1 + len(ending))}{ending}")


def _cut(name: str, room: int) -> str:
    """Beginning of a name that leaves room for so many bytes."""
    return os.fsencode(name)[: LONGEST_NAME - room].decode(errors="ignore")
