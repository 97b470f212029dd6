"""Who visits the page, and which files are whose.

A visitor is a browser, known by a secret in a cookie; a session is one open page of it. Every file
lies in the folder of one session or was uploaded by a visitor, and nobody else gets it.
"""

import contextlib
import secrets
import shutil
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition

from ssmde.application.limits import (
    KEPT_BYTES,
    SILENT_SECONDS,
    WAITING_SECONDS,
    BusyError,
)

IDLE_SECONDS = 3600.0
"""Files of a visitor who has done nothing for so long are removed."""
KEPT_UPLOADS = 4
"""A visitor's older uploads are removed when a new one comes; so are those of all who sent a file
and have not come back."""
MOST_PAGES = 8
"""Of a visitor's open pages the oldest make room for more."""
PARTS = "tmp*"
"""What Gradio calls a file that is still being uploaded, in the folder of all files."""


@dataclass(slots=True, eq=False, weakref_slot=True)
class Session:
    """One open page."""

    folder: Path
    """Where its results lie; no other session's do."""
    stopped: bool = False
    """True once its visitor asked for the running work to stop, or left."""
    busy: bool = False
    """True while a video is computed; such a visitor is not idle."""
    keeping: bool = False
    """True while a frame of the webcam is kept; the live view waits for it."""
    results: list[Path] = field(default_factory=list)
    """Folders of its results, the newest last."""

    def new_result(self) -> Path:
        """An empty folder for a result; the one before is kept, older ones are removed."""
        while len(self.results) > 1:
            shutil.rmtree(self.results.pop(0), ignore_errors=True)
        self.results.append(self.folder / secrets.token_hex(8))
        self.results[-1].mkdir(parents=True)
        return self.results[-1]

    def drop(self, result: Path) -> None:
        """Remove a result that came to nothing."""
        self.results = [other for other in self.results if other != result]
        shutil.rmtree(result, ignore_errors=True)


@dataclass(slots=True, eq=False)
class _Visitor:
    folder: Path
    seen: float
    came_back: bool = False
    """True once their secret was seen again: their browser keeps it."""
    running: set[str] = field(default_factory=set)
    """Kinds of work that go on for them."""
    waiting: set[str] = field(default_factory=set)
    """Kinds of which the next one waits for the one before."""
    sessions: dict[str, Session] = field(default_factory=dict)
    uploads: list[Path] = field(default_factory=list)


class Visitors:
    """All visitors of one server.

    Args:
        root: Folder of all files; whoever made it removes it.
        clock: Seconds, for the removal of what is old.
        room: Bytes that all files may take.
        patience: Seconds that a visitor's work waits for the one before it.
    """

    def __init__(
        self,
        root: Path,
        clock: Callable[[], float] = time.monotonic,
        *,
        room: int = KEPT_BYTES,
        patience: float = WAITING_SECONDS,
    ) -> None:
        self.root = root.resolve()
        self._clock, self._room, self._patience = clock, room, patience
        self._lock = Condition()
        self._known: dict[str, _Visitor] = {}

    def session(self, key: str, name: str) -> Session:
        """The page `name` of the visitor with the secret `key`; made if new."""
        with self._lock:
            visitor = self._visitor(key)
            visitor.came_back = True
            if name not in visitor.sessions:
                while len(visitor.sessions) >= MOST_PAGES:
                    self._close(visitor.sessions.pop(next(iter(visitor.sessions))))
                folder = visitor.folder / secrets.token_hex(8)
                folder.mkdir(parents=True)
                visitor.sessions[name] = Session(folder)
            return visitor.sessions[name]

    def leave(self, key: str, name: str) -> None:
        """A page was closed: stop its work, remove its files; with the last page, the uploads."""
        with self._lock:
            visitor = self._known.get(key)
            if visitor is None or name not in visitor.sessions:
                return
            self._close(visitor.sessions.pop(name))
            if not visitor.sessions:
                self._forget(key)

    @contextmanager
    def working(self, key: str, kind: str, *, wait: bool = True) -> Generator[None]:
        """While the block runs, this visitor gets no second work of the kind; one waits a while.

        Raises:
            BusyError: If one waits already, waited too long, or should not wait.
        """
        with self._lock:
            visitor, free = self._visitor(key), False
            if kind not in visitor.waiting:
                visitor.waiting.add(kind)
                free = self._lock.wait_for(
                    lambda: kind not in visitor.running, self._patience * wait
                )
                visitor.waiting.discard(kind)
            if not free:
                raise BusyError("One at a time: wait for what you asked for before.")
            visitor.running.add(kind)
            self._make_room(0, key)
        try:
            yield
        finally:
            with self._lock:
                visitor.running.discard(kind)
                self._lock.notify_all()

    def make_room(self, size: int, key: str) -> bool:
        """Remove the files of who did nothing for longest, until so many bytes fit; if they do."""
        with self._lock:
            return self._make_room(size, key)

    def add_upload(self, key: str, path: Path, *, known: bool = True) -> None:
        """Note who sent a file. The same content sent by several visitors is one file of all.

        Args:
            key: The visitor's secret.
            path: The file.
            known: Whether their browser sent the secret, or was given it just now.
        """
        with self._lock:
            visitor = self._visitor(key)
            visitor.came_back = visitor.came_back or known
            strangers = [other for other, each in self._known.items() if not each.came_back]
            for other in strangers[:-KEPT_UPLOADS]:
                self._forget(other)
            path = path.resolve()
            visitor.uploads = [other for other in visitor.uploads if other != path] + [path]
            while len(visitor.uploads) > KEPT_UPLOADS:
                self._remove_upload(visitor, visitor.uploads[0])

    def owns(self, key: str, path: Path) -> bool:
        """True if the visitor sent this file, or it is a result of one of their pages."""
        with self._lock:
            visitor = self._known.get(key)
            if visitor is None:
                return False
            visitor.seen = self._clock()
            visitor.came_back = True
            path = path.resolve()
            return path in visitor.uploads or path.is_relative_to(visitor.folder)

    def remove_parts(self, *, all: bool) -> None:
        """Remove what is left of uploads that broke off: all parts, or those nobody adds to."""
        newest = time.time() - 2 * SILENT_SECONDS
        for part in self.root.glob(PARTS):
            with contextlib.suppress(OSError):  # the upload ended just now
                if part.is_file() and (all or part.stat().st_mtime < newest):
                    part.unlink()

    def close(self) -> None:
        """The server ends: everybody's work stops, all files are removed."""
        with self._lock:
            for key in list(self._known):
                self._forget(key)

    def _visitor(self, key: str) -> _Visitor:
        """The visitor with this secret, who does something now; the idle are forgotten."""
        now = self._clock()
        for other, visitor in list(self._known.items()):
            busy = any(session.busy for session in visitor.sessions.values())
            if now - visitor.seen > IDLE_SECONDS and not busy and other != key:
                self._forget(other)
        if key not in self._known:
            self._known[key] = _Visitor(self.root / secrets.token_hex(16), now)
        self._known[key].seen = now
        return self._known[key]

    def _forget(self, key: str) -> None:
        visitor = self._known.pop(key)
        for session in visitor.sessions.values():
            self._close(session)
        for path in list(visitor.uploads):
            self._remove_upload(visitor, path)
        shutil.rmtree(visitor.folder, ignore_errors=True)

    def _make_room(self, size: int, key: str) -> bool:
        idle = sorted(self._known.items(), key=lambda item: item[1].seen)
        others = [other for other, visitor in idle if other != key and not visitor.running]
        while (fits := _bytes_below(self.root) + size <= self._room) is False and others:
            self._forget(others.pop(0))
        return fits

    def _close(self, session: Session) -> None:
        session.stopped = True
        shutil.rmtree(session.folder, ignore_errors=True)

    def _remove_upload(self, visitor: _Visitor, path: Path) -> None:
        """Take a file from a visitor, and from the disk if nobody else sent it as well."""
        visitor.uploads.remove(path)
        if any(path in other.uploads for other in self._known.values()):
            return
        path.unlink(missing_ok=True)
        if path.parent != self.root and path.parent.is_relative_to(self.root):
            shutil.rmtree(path.parent, ignore_errors=True)


def _bytes_below(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # removed meanwhile
            total += path.stat().st_size
    return total
