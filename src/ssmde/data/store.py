"""Parts of files on a disk or behind a URL, read at an offset, and again when the net fails."""

import os
import re
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

from ssmde.io import ARRAY_LIMIT, check_file, read_bytes

PACK_LIMIT = 1 << 33  # bytes of an index: that of 100 million frames
MOST_OPEN = 128  # files that a process keeps open; the limit of a system is often 1024
TRIES = 7
FIRST_PAUSE = 0.1  # seconds after the first failure, twice as long after each further one


class RemoteError(ConnectionError):
    """A file behind a URL that cannot be read, however often one tries; not a fault of the file."""


def url_of(root: Path) -> str | None:
    """The URL that a path was made of, for `Path` takes away one of its slashes; else None."""
    found = re.match(r"([a-z][a-z0-9+.-]+):/+(.*)", root.as_posix())
    if found is None or len(found[1]) < 2:  # one letter is a drive
        return None
    return f"{found[1]}:///{found[2]}" if found[1] == "file" else f"{found[1]}://{found[2]}"


class Store:
    """A folder of files, here or elsewhere. Each process opens its own files and connections.

    Args:
        root: A folder, or a URL that `fsspec` understands: https://, s3://, gs:// and others.

    Raises:
        ImportError: If a URL is given and its packages are not installed.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.url = root, url_of(root)
        self._files: OrderedDict[str, int] = OrderedDict()
        self._remote: Any = None
        self._owner = os.getpid()
        if self.url is not None:
            _connect(self.url)

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs: the place, not what is open."""
        return {"root": self.root, "url": self.url}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open nothing yet."""
        self.__dict__.update(state, _files=OrderedDict(), _remote=None, _owner=os.getpid())

    def read(self, name: str, start: int = 0, size: int | None = None) -> bytearray:
        """Bytes of a file from `start` on; the whole file without a size.

        Raises:
            FileNotFoundError: If there is no such file.
            RemoteError: If a remote file cannot be read after several tries.
            OSError: If the file ends before, or the disk fails.
            ValueError: If the name leads out of the place.
        """
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ValueError(f"{self.url or self.root}: names a file outside of it, {name!r}")
        if self._owner != os.getpid():  # this process was forked off: nothing open is its own
            self.__setstate__(self.__getstate__())
        return self._read_here(name, start, size) if self.url is None else bytearray(
            self._read_there(name, start, size)
        )  # fmt: skip

    def _read_here(self, name: str, start: int, size: int | None) -> bytearray:
        if size is None:
            return bytearray(read_bytes(self.root / name, limit=PACK_LIMIT))
        if size > ARRAY_LIMIT:
            raise ValueError(f"{self.root / name}: the index claims a file of {size:,} bytes in it")
        content = bytearray(size)
        file = self._open(name)
        if hasattr(os, "preadv"):
            found = os.preadv(file, [content], start)
        else:  # no fork there either, so the position is ours alone
            os.lseek(file, start, os.SEEK_SET)
            part = os.read(file, size)
            content[:], found = part, len(part)
        if found != size:
            raise OSError(f"{self.root / name} ends too early: copy it again")
        return content

    def _open(self, name: str) -> int:
        """Descriptor of a file; the one that was not used for longest is closed for it."""
        if name in self._files:
            self._files.move_to_end(name)
            return self._files[name]
        if len(self._files) >= MOST_OPEN:
            os.close(self._files.popitem(last=False)[1])
        check_file(self.root / name, "shard")
        flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        self._files[name] = os.open(self.root / name, flags)
        return self._files[name]

    def _read_there(self, name: str, start: int, size: int | None) -> bytes:
        assert self.url is not None
        ends = {} if size is None else {"start": start, "end": start + size}
        reason: object = None
        for number in range(TRIES):
            if number:
                time.sleep(FIRST_PAUSE * 2 ** (number - 1))
            try:
                self._remote = self._remote or _connect(self.url)
                files, root = self._remote
                content = files.cat_file(f"{root}/{name}", **ends)
            except (FileNotFoundError, PermissionError):
                raise
            except Exception as error:  # every protocol has its own
                reason, self._remote = error or type(error).__name__, None
                continue
            if size is None or len(content) == size:
                return content
            reason = f"{len(content)} bytes in place of {size}: the server must serve byte ranges"
        raise RemoteError(f"{self.url}/{name}: tried {TRIES} times, last: {reason}")


def _connect(url: str) -> tuple[Any, str]:
    """A file system of fsspec and the path of the URL in it."""
    try:
        from fsspec.core import url_to_fs

        files, root = url_to_fs(url, skip_instance_cache=True)
    except ImportError as error:
        raise ImportError(
            f"{url}: reading from the net needs pip install 'ssmde[remote]' ({error})"
        ) from error
    return files, str(root).rstrip("/")
