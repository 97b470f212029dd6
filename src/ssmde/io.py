"""Files: written whole or not at all, read within bounds; what is wrong with one names it."""

import csv
import hashlib
import json
import math
import os
import re
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from decimal import Decimal
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

try:
    import fcntl
except ImportError:  # not on this system: parts of killed runs are not told from running ones
    fcntl = None

LONGEST_NAME = 255  # bytes of a file's name, on every usual file system
TEXT_LIMIT = 1 << 28  # bytes: a list of a million lines has a tenth of it
ARRAY_LIMIT = 1 << 30  # bytes: a depth map of 16,000 x 16,000 in float32
KINDS = "biufcSU"  # of an array: numbers and text, no objects, dates or records
DEEPEST = 100  # lists and objects within each other, in JSON
# What zipfile raises on bytes of another kind, encrypted ones and such that it cannot unpack.
BROKEN_ZIP = (
    zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, KeyError, OverflowError, struct.error,
)  # fmt: skip
SPECIAL = {
    stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device", stat.S_IFDIR: "a folder",
}  # fmt: skip

before_naming: ContextVar[Callable[[Path, Path], None] | None] = ContextVar(
    "before_naming", default=None
)
"""Called with a whole file and the name it is about to get; see `ssmde.outputs.recorded`."""


class FileError(ValueError):
    """A path that leads to no plain file, or to one that is too large; the message names it."""


@contextmanager
def whole_file(path: Path) -> Generator[Path]:
    """Name to write under; what was written there becomes `path` when the block ends well.

    Until then `path` stays as it was, and a failure leaves nothing behind. Its folder exists. What
    the system refuses, such as a full disk, is an OSError that names `path`.
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
        if fcntl is not None:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(file)


def is_held(part: Path) -> bool:
    """Whether a running process may still write this part; True where that cannot be told."""
    try:
        file = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # a pipe would wait
    except OSError:
        return True
    try:
        if fcntl is None:
            return True
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(file)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all; the folder of the target exists."""
    with whole_file(target) as part:
        shutil.copyfile(source, part)


def write_text(path: Path, text: str) -> None:
    """Write a file of UTF-8, whole or not at all; its folder exists. What is no text is escaped."""
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path, value: Any) -> None:
    """Write a file of JSON, whole or not at all; its folder exists. Paths become text."""
    write_text(path, json.dumps(value, indent=1, default=str) + "\n")


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays by name, compressed, whole or not at all; the folder exists."""
    with whole_file(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **dict[str, Any](arrays))


def check_file(path: Path, what: str = "file") -> int:
    """Bytes of a plain file, which is not opened: a pipe would wait for ever.

    Raises:
        FileNotFoundError: If nothing is there; the message says `what` should be.
        FileError: If a folder, a pipe, a socket or a device is there.
    """
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(f"{path}: no such {what}") from error
    kind = stat.S_IFMT(found.st_mode)
    if kind != stat.S_IFREG:
        raise FileError(f"{path} is {SPECIAL.get(kind, 'no file')}, expected a {what}")
    return found.st_size


def read_bytes(path: Path, *, limit: int = ARRAY_LIMIT, what: str = "file") -> Any:
    """The bytes of a plain file that has at most so many; raises as `check_file`.

    A path of another kind, such as into a shard, reads itself.
    """
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
    """The value in the JSON text of the file `where`.

    Raises:
        ValueError: If it is no JSON, or lists and objects are nested too deeply.
    """
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError(f"{where}: not valid JSON (nested too deeply)") from error
    except ValueError as error:
        raise ValueError(f"{where}: not valid JSON ({error})") from error
    if _depth(value) > DEEPEST:
        raise ValueError(f"{where}: not valid JSON (nested too deeply)")
    return value


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; a ValueError where it holds none."""
    value = parse_json(read_text(path), str(path))
    if not isinstance(value, dict):
        shown = repr(value) if len(repr(value)) < 60 else type(value).__name__
        raise ValueError(f'{path}: expected an object such as {{"fps": 10}}, got {shown}')
    return value


def read_npy(content: bytes | bytearray) -> Shaped[np.ndarray, "..."]:
    """The array in the bytes of a .npy; it lies in them, and is as writable as they are.

    A ValueError where they hold no plain array, or less than their head claims.
    """
    start = _end_of_head(content)
    shape, fortran, dtype = _layout(bytes(content[:start]))
    needed = math.prod(shape) * dtype.itemsize
    if needed > len(content) - start:
        raise ValueError(f"its head claims {dtype} {shape}, {len(content) - start:,} bytes follow")
    values = np.frombuffer(content, dtype, count=math.prod(shape), offset=start)
    return values.reshape(shape, order="F" if fortran else "C")


def read_npz(
    content: bytes | bytearray | Path,
    names: Iterable[str] | None = None,
    *,
    limit: int = ARRAY_LIMIT,
) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Arrays by name, of the bytes of a .npz or of such a file; names it lacks are left out.

    Raises:
        FileNotFoundError: If no file is there.
        ValueError: If it is no whole .npz, one is no plain array, or all are larger than the limit,
            in bytes: nothing is unpacked then. Of a file the message names it.
    """
    where = ""
    if isinstance(content, Path):
        check_file(content)
        where = f"{content}: "
    wanted = None if names is None else {f"{name}.npy" for name in names}
    try:
        source = content if isinstance(content, Path) else BytesIO(content)
        with zipfile.ZipFile(source) as archive:
            found = [i for i in archive.infolist() if wanted is None or i.filename in wanted]
            if (total := sum(info.file_size for info in found)) > limit:
                raise ValueError(
                    f"its arrays have {total:,} bytes, {limit:,} are the most that is read"
                )
            return {
                info.filename.removesuffix(".npy"): read_npy(bytearray(archive.read(info)))
                for info in found
            }
    except BROKEN_ZIP as error:
        raise ValueError(f"{where}it is no whole .npz ({error})") from error
    except ValueError as error:
        raise ValueError(f"{where}{error}") from error


def natural_order(name: str) -> tuple[list[tuple[str, int]], str]:
    """Key that sorts `frame_9` before `frame_10`."""
    pieces = re.findall(r"(\D*)(\d*)", name)
    return [(text, int(digits or -1)) for text, digits in pieces], name


def are_decimal(names: Iterable[str]) -> bool:
    """Whether names end in decimal numbers, such as 0.5 and 0.25, which sort by their value.

    A fraction that ends in 0 where others are shorter or longer is a number of its own: after the
    frames 1.8 and 1.9 comes 1.10.
    """
    found = [DECIMAL.fullmatch(name) for name in names]
    fractions = [match[3] for match in found if match and match[3]]
    if not fractions or not all(found) or len(set(map(len, fractions))) == 1:
        return False
    return all(len(digits) == 1 or digits[-1] != "0" for digits in fractions)


def decimal_order(name: str) -> tuple[str, Decimal, str]:
    """Key that sorts `0.25` before `0.5`, for names that `are_decimal`."""
    match = DECIMAL.fullmatch(name)
    return (match[1], Decimal(match[2]), name) if match else (name, Decimal(0), name)


DECIMAL = re.compile(r"(.*?)(\d+(?:\.(\d+))?)", re.DOTALL | re.ASCII)


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


def _depth(value: Any) -> int:
    """How many lists and objects lie within each other."""
    deepest, level = 0, [value]
    while level := [v for v in level if isinstance(v, dict | list)]:
        deepest += 1
        level = [e for v in level for e in (v.values() if isinstance(v, dict) else v)]
    return deepest


def _end_of_head(content: bytes | bytearray) -> int:
    """Where the values of a .npy begin."""
    # The magic, two bytes of version, the length of the head in 2 bytes or (from version 2) 4.
    if bytes(content[:6]) != b"\x93NUMPY" or len(content) < 12:
        raise ValueError("it is no .npy file")
    width = 2 if content[6] == 1 else 4
    return 8 + width + int.from_bytes(content[8 : 8 + width], "little")


@lru_cache(maxsize=64)  # parsing a head takes longer than all else of a small frame
def _layout(head: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and kind of values that the head of a .npy claims."""
    file = BytesIO(head)
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0,
    }  # fmt: skip
    if version not in read:
        raise ValueError(f"it is a .npy of version {version}, 1 and 2 are read")
    try:
        shape, fortran, dtype = read[version](file)
    except Exception as error:  # it is parsed as Python, which fails in any way
        raise ValueError(f"its head cannot be read ({type(error).__name__})") from error
    plain = dtype.kind in KINDS and dtype.itemsize and all(type(side) is int for side in shape)
    if not plain or any(side < 0 for side in shape):
        raise ValueError("it holds no plain array of numbers")
    return shape, fortran, dtype
