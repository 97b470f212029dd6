"""Who visits the page, and which files are whose.

A visitor is a browser, known by a secret in a cookie; a session is one open page of it. Every file
lies in the folder of one session or was uploaded by a visitor, and nobody else gets it.
"""

import secrets
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

IDLE_SECONDS = 3600.0
"""Files of a visitor who has done nothing for so long are removed."""
KEPT_UPLOADS = 4
"""A visitor's older uploads are removed when a new one comes."""


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
    sessions: dict[str, Session] = field(default_factory=dict)
    uploads: list[Path] = field(default_factory=list)


class Visitors:
    """All visitors of one server.

    Args:
        root: Folder of all files; whoever made it removes it.
        clock: Seconds, for the removal of what is old.
    """

    def __init__(self, root: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.root = root.resolve()
        self._clock = clock
        self._lock = Lock()
        self._known: dict[str, _Visitor] = {}

    def session(self, key: str, name: str) -> Session:
        """The page `name` of the visitor with the secret `key`; made if new."""
        with self._lock:
            visitor = self._visitor(key)
            if name not in visitor.sessions:
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
            session = visitor.sessions.pop(name)
            session.stopped = True
            shutil.rmtree(session.folder, ignore_errors=True)
            if not visitor.sessions:
                self._forget(key)

    def add_upload(self, key: str, path: Path) -> None:
        """Note who sent a file. The same content sent by several visitors is one file of all."""
        with self._lock:
            visitor = self._visitor(key)
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
            path = path.resolve()
            return path in visitor.uploads or path.is_relative_to(visitor.folder)

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
            session.stopped = True
        for path in list(visitor.uploads):
            self._remove_upload(visitor, path)
        shutil.rmtree(visitor.folder, ignore_errors=True)

    def _remove_upload(self, visitor: _Visitor, path: Path) -> None:
        """Take a file from a visitor, and from the disk if nobody else sent it as well."""
        visitor.uploads.remove(path)
        if any(path in other.uploads for other in self._known.values()):
            return
        path.unlink(missing_ok=True)
        if path.parent != self.root and path.parent.is_relative_to(self.root):
            shutil.rmtree(path.parent, ignore_errors=True)
