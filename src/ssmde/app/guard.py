"""What stands before the web server: who may ask, how much, and whose file is whose.

A visitor is a browser, known by a secret in a cookie; a session is one open page of it. Every file
lies in the folder of one session or was uploaded by a visitor, and nobody else gets it.
"""

import asyncio
import json
import re
import secrets
import shutil
import socket
import time
from collections.abc import Awaitable, Callable, Generator, MutableMapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition
from typing import Any
from urllib.parse import urlsplit

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Server = Callable[[Message, Receive, Send], Awaitable[None]]

# Of a request that is no upload: the largest are frames of a webcam, which have few commas. More
# values would keep the server busy with reading them.
EVENT_BYTES, EVENT_COMMAS = 16 << 20, 10_000
UPLOADS_AT_ONCE = 3  # of one visitor
SILENT_SECONDS, GRACE_SECONDS, LEAST_RATE = 20.0, 20.0, 10_000.0
"""A request that sends nothing for so long, or after so long fewer bytes a second, is ended."""
KEPT_BYTES, KEPT_UPLOADS_OF_ALL = 2_000_000_000, 10
"""Files of all visitors take at most so many bytes, or so many of the largest uploads if that is
more; then those go who did nothing for longest."""
IDLE_SECONDS = 3600.0  # files of a visitor who has done nothing for so long are removed
WAITING_SECONDS = 20.0  # a visitor's next work waits so long for the one before; a third is refused
KEPT_UPLOADS = 4
"""A visitor's older uploads are removed when a new one comes; so are those of all who sent a file
and have not come back."""
KEPT_RESULTS = 4  # of a page
MOST_PAGES = 8  # of a visitor's open pages the oldest make room for more
PARTS = "tmp*"  # what Gradio calls a file that is being uploaded, in the folder of all files
LOOPBACK = ("127.0.0.1", "localhost", "::1")
COOKIE = "ssmde_visitor"
HEADER = "x-ssmde-visitor"  # under which the guard passes the visitor's secret on to the page
SECRET = re.compile(rf"(?:^|; ?){COOKIE}=([A-Za-z0-9_-]{{43}})(?=;|\Z)")
FILE = re.compile(r"/file[=/](.*)", re.DOTALL)
SHUT = re.compile(r"/proxy=|/deep_link|/file[=/]https?:|/vibe-")
"""Ways of Gradio that this page does not need: other servers' files, saved pages, editing."""
TOO_MANY, TOO_SLOW = (400, "Too many values."), (408, "Too slow.")
WRONG_NAME = "This page is not served under that name: take the address that ssmde app printed."


class RefusalError(ValueError):
    """Something a visitor asked for that cannot be done; the message is for them."""


class BusyError(RefusalError):
    """Work of the same kind is under way for the same visitor."""


class Names:
    """Names the page answers under, so that no other web site can use it through a browser.

    A site whose name is made to point to this machine (DNS rebinding) sends its own name as Host;
    a form or script of another site sends its own address as Origin. At a `host` that others reach,
    the machine's own names count too; its addresses are seen from each connection.
    """

    def __init__(self, host: str = LOOPBACK[0]) -> None:
        self.public = set[str]()
        """Names that are answered at any port, and as Origin: the one that --share gave."""
        self._own = {*LOOPBACK, host.lower()}
        if host not in LOOPBACK:
            for name in (socket.gethostname().lower(), socket.getfqdn().lower()):
                self._own |= {name, f"{name}.local"}

    def fit(self, scope: Message) -> bool:
        """Whether a request was meant for this page, and comes from it if it says so."""
        hosts, origins = _headers(scope, b"host"), _headers(scope, b"origin")
        if len(hosts) != 1 or len(origins) > 1:
            return False
        server = scope.get("server")
        known = self._own | self.public | ({str(server[0]).lower()} if server else set())
        if (name := _name(hosts[0])) is None or name not in known:
            return False
        places = [origin.partition("://")[2].lower() for origin in origins]
        return all(p == hosts[0].lower() or _name(p) in self.public for p in places)


def _headers(scope: Message, wanted: bytes) -> list[str]:
    return [value.decode("latin-1") for name, value in scope["headers"] if name == wanted]


def _name(place: str) -> str | None:
    """Name of NAME or NAME:PORT, in small letters; None where there is none."""
    try:
        split = urlsplit(f"//{place}")
        split.port  # noqa: B018 (raises for a port that is none)
    except ValueError:
        return None
    plain = split.netloc == place and "@" not in place
    return (split.hostname or "").rstrip(".") or None if plain else None


@dataclass(slots=True, eq=False)
class Session:
    """One open page."""

    folder: Path  # where its results lie; no other session's do
    stopped: bool = False  # once its visitor asked for the running work to stop, or left
    results: list[Path] = field(default_factory=list)  # folders of its results, the newest last
    own: dict[str, Any] = field(default_factory=dict)  # networks that learned from its films

    def new_result(self) -> Path:
        """An empty folder for a result; a few are kept, older ones are removed."""
        while len(self.results) >= KEPT_RESULTS:
            shutil.rmtree(self.results.pop(0), ignore_errors=True)
        self.results.append(self.folder / secrets.token_hex(8))
        self.results[-1].mkdir(parents=True)
        return self.results[-1]

    def drop(self, result: Path) -> None:
        """Remove a result that came to nothing."""
        self.results = [other for other in self.results if other != result]
        shutil.rmtree(result, ignore_errors=True)

    def close(self) -> None:
        """Stop its work and remove its files."""
        self.stopped = True
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(slots=True, eq=False)
class _Visitor:
    folder: Path
    seen: float
    came_back: bool = False  # once their secret was seen again: their browser keeps it
    running: set[str] = field(default_factory=set)  # kinds of work that go on for them
    waiting: set[str] = field(default_factory=set)  # kinds whose next waits for the one before
    sessions: dict[str, Session] = field(default_factory=dict)
    uploads: list[Path] = field(default_factory=list)


class Visitors:
    """All visitors of one server; each is known by `key`, the secret of their browser.

    `root` is the folder of all files; whoever made it removes it. They may take `room` bytes. A
    visitor's work waits `patience` seconds for the one before it.
    """

    def __init__(
        self, root: Path, clock: Callable[[], float] = time.monotonic, *,
        room: int = KEPT_BYTES, patience: float = WAITING_SECONDS,
    ) -> None:  # fmt: skip
        self.root, self._lock, self._known = root.resolve(), Condition(), dict[str, _Visitor]()
        self._clock, self._room, self._patience = clock, room, patience

    def session(self, key: str, name: str) -> Session:
        """The page `name` of a visitor; made if new."""
        with self._lock:
            visitor = self._visitor(key)
            visitor.came_back = True
            if name not in visitor.sessions:
                while len(visitor.sessions) >= MOST_PAGES:
                    visitor.sessions.pop(next(iter(visitor.sessions))).close()
                folder = visitor.folder / secrets.token_hex(8)
                folder.mkdir(parents=True)
                visitor.sessions[name] = Session(folder)
            return visitor.sessions[name]

    def leave(self, key: str, name: str) -> None:
        """A page was closed: stop its work, remove its files; with the last page, the uploads."""
        with self._lock:
            visitor = self._known.get(key)
            if visitor is not None and name in visitor.sessions:
                visitor.sessions.pop(name).close()
                if not visitor.sessions:
                    self._forget(key)

    @contextmanager
    def working(self, key: str, kind: str, *, wait: bool = True) -> Generator[None]:
        """While the block runs, this visitor gets no second work of the kind; one waits a while.

        `BusyError` if one waits already, waited too long, or should not wait.
        """
        with self._lock:
            visitor, free = self._visitor(key), False
            if kind not in visitor.waiting:
                visitor.waiting.add(kind)
                patience = self._patience * wait
                free = self._lock.wait_for(lambda: kind not in visitor.running, patience)
                visitor.waiting.discard(kind)
            if not free:
                raise BusyError("One at a time: wait for what you asked for before.")
            visitor.running.add(kind)
            self.make_room(0, key)
        try:
            yield
        finally:
            with self._lock:
                visitor.running.discard(kind)
                self._lock.notify_all()

    def make_room(self, size: int, key: str) -> bool:
        """Remove the files of who did nothing for longest, until so many bytes fit; if they do."""
        with self._lock:
            idle = sorted(self._known.items(), key=lambda item: item[1].seen)
            others = [other for other, visitor in idle if other != key and not visitor.running]
            while not (fits := bytes_below(self.root) + size <= self._room) and others:
                self._forget(others.pop(0))
            return fits

    def add_upload(self, key: str, path: Path, *, known: bool = True) -> None:
        """Note who sent a file; `known` if their browser sent the secret, was not just given it.

        The same content sent by several visitors is one file of all.
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
            visitor.seen, visitor.came_back = self._clock(), True
            path = path.resolve()
            return path in visitor.uploads or path.is_relative_to(visitor.folder)

    def remove_parts(self, *, all: bool) -> None:
        """Remove what is left of uploads that broke off: all parts, or those nobody adds to."""
        newest = time.time() - 2 * SILENT_SECONDS
        for part in self.root.glob(PARTS):
            with suppress(OSError):  # the upload ended just now
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
            if now - visitor.seen > IDLE_SECONDS and not visitor.running and other != key:
                self._forget(other)
        if key not in self._known:
            self._known[key] = _Visitor(self.root / secrets.token_hex(16), now)
        self._known[key].seen = now
        return self._known[key]

    def _forget(self, key: str) -> None:
        visitor = self._known.pop(key)
        for session in visitor.sessions.values():
            session.close()
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


def bytes_below(folder: Path) -> int:
    """Size of all files below a folder."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):  # removed meanwhile
            total += path.stat().st_size
    return total


class Guard:
    """Wraps an ASGI server: every request is answered by this first. Uploads count in bytes."""

    def __init__(
        self, server: Server, visitors: Visitors, names: Names, largest_upload: int
    ) -> None:
        self.server, self.visitors, self.names = server, visitors, names
        self.largest_upload, self._uploads = largest_upload, list[str]()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "websocket":  # the page opens none
            return await send({"type": "websocket.close", "code": 1008})
        if scope["type"] != "http":
            return await self.server(scope, receive, send)
        if not self.names.fit(scope):
            return await _refuse(send, 403, WRONG_NAME)
        known = SECRET.search("; ".join(_headers(scope, b"cookie")))
        key = known[1] if known else secrets.token_urlsafe(32)
        asked = FILE.search(scope["path"])
        if SHUT.search(scope["path"]) or (asked and not self.visitors.owns(key, Path(asked[1]))):
            return await _refuse(send, 403, "This file is not yours.")
        headers = [(name, value) for name, value in scope["headers"] if name != HEADER.encode()]
        scope = {**scope, "headers": [*headers, (HEADER.encode(), key.encode())]}
        if not known:
            send = _with_cookie(send, key)
        if scope["method"] != "POST":
            await self.server(scope, receive, send)
        elif scope["path"].endswith("/upload"):
            await self._take_upload(scope, receive, send, key, known=bool(known))
        else:
            await self._bounded(scope, receive, send, EVENT_BYTES, EVENT_COMMAS)

    async def _take_upload(
        self, scope: Message, receive: Receive, send: Send, key: str, *, known: bool
    ) -> None:
        """Let a file in if there is room for it and its sender has few others under way."""
        largest = self.largest_upload + EVENT_BYTES
        if self._uploads.count(key) >= UPLOADS_AT_ONCE:
            return await _refuse(send, 429, "Too many uploads at a time: wait for the others.")
        if not self.visitors.make_room(min(_length(scope) or largest, largest), key):
            return await _refuse(send, 503, "No room for this file: come back later.")
        parts: list[bytes] = []
        good = False

        async def note(message: Message) -> None:
            """Send, and read from a good answer which files were stored."""
            nonlocal good
            if message["type"] == "http.response.start":
                good = message["status"] == 200
            elif good:
                parts.append(message.get("body", b""))
                if not message.get("more_body", False):
                    for path in json.loads(b"".join(parts)):
                        self.visitors.add_upload(key, Path(path), known=known)
            await send(message)

        self._uploads.append(key)
        try:
            await self._bounded(scope, receive, note, largest, largest)
        finally:
            self._uploads.remove(key)
            self.visitors.remove_parts(all=not self._uploads)

    async def _bounded(
        self, scope: Message, receive: Receive, send: Send, largest: int, commas: int
    ) -> None:
        """Pass a request on while it keeps to size and pace; else its sender is cut off."""
        too_large = 413, f"The maximum allowed size is {largest} bytes."
        if (_length(scope) or 0) > largest:
            return await _refuse(send, *too_large)
        start, size, left, whole, answered = time.monotonic(), 0, commas, False, False
        fault: tuple[int, str] | None = None

        async def bounded() -> Message:
            """The next part; a disconnection once a bound is passed."""
            nonlocal size, left, whole, fault
            if whole:  # what comes now is that the sender left, whenever that is
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), SILENT_SECONDS)
            except TimeoutError:
                fault = TOO_SLOW
                return {"type": "http.disconnect"}
            part = message.get("body", b"")
            size, left = size + len(part), left - part.count(b",")
            whole = not message.get("more_body", False)
            taken = 0 if whole else time.monotonic() - start
            slow = taken > GRACE_SECONDS and size < LEAST_RATE * taken
            faults = {too_large: size > largest, TOO_MANY: left < 0, TOO_SLOW: slow}
            fault = next((each for each, found in faults.items() if found), None)
            return message if fault is None else {"type": "http.disconnect"}

        async def passing(message: Message) -> None:
            nonlocal answered
            if fault is None:  # else what the server says of a body that broke off
                answered = True
                await send(message)

        try:
            await self.server(scope, bounded, passing)
        except Exception:
            if fault is None:
                raise
        if fault is not None and not answered:
            await _refuse(send, *fault)


def _length(scope: Message) -> int | None:
    """What the head of a request says of the length of its body."""
    return next((int(n) for n in _headers(scope, b"content-length") if n.isdecimal()), None)


def _with_cookie(send: Send, key: str) -> Send:
    cookie = f"{COOKIE}={key}; Path=/; HttpOnly; SameSite=Lax"

    async def start(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", ()), (b"set-cookie", cookie.encode())]
            message = {**message, "headers": headers}
        await send(message)

    return start


async def _refuse(send: Send, status: int, words: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": words.encode()})
