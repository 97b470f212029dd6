"""What stands before the web server: who may ask, how much, and whose file is whose."""

import asyncio
import json
import re
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any

from ssmde.application.limits import (
    EVENT_BYTES,
    GRACE_SECONDS,
    LEAST_RATE,
    SILENT_SECONDS,
    UPLOADS_AT_ONCE,
)
from ssmde.application.names import Names
from ssmde.application.visitors import Visitors

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Server = Callable[[Message, Receive, Send], Awaitable[None]]

COOKIE = "ssmde_visitor"
HEADER = "x-ssmde-visitor"
"""Name under which the guard passes the visitor's secret on to the page."""
SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
FILE = re.compile(r"/file[=/](.*)", re.DOTALL)
NOT_YOURS = "This file is not yours."
SHUT = re.compile(r"/proxy=|/deep_link|/file[=/]https?:|/vibe-")
"""Ways of Gradio that this page does not need: other servers' files, saved pages, editing."""


class Guard:
    """Wraps an ASGI server.

    Args:
        server: What answers in the end.
        visitors: The register of who is who.
        names: Under which the page answers.
        largest_upload: In bytes.
    """

    def __init__(
        self, server: Server, visitors: Visitors, names: Names, largest_upload: int
    ) -> None:
        self.server, self.visitors, self.names = server, visitors, names
        self.largest_upload = largest_upload
        self._uploads: list[str] = []

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "websocket":  # the page opens none
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.server(scope, receive, send)
            return
        if not self.names.fit(scope):
            await _refuse(
                send, 403, "This page is not served under that name; its owner can allow it: "
                "ssmde app --allowed-host NAME.",
            )  # fmt: skip
            return
        known = _secret(scope)
        key = known or secrets.token_urlsafe(32)
        if not self._is_allowed(key, scope["path"]):
            await _refuse(send, 403, NOT_YOURS)
            return
        headers = [(name, value) for name, value in scope["headers"] if name != HEADER.encode()]
        scope = {**scope, "headers": [*headers, (HEADER.encode(), key.encode())]}
        if known is None:
            send = _with_cookie(send, key)
        if scope["method"] != "POST":
            await self.server(scope, receive, send)
        elif scope["path"].endswith("/upload"):
            await self._take_upload(scope, receive, send, key, known=known is not None)
        else:
            await self._bounded(scope, receive, send, EVENT_BYTES)

    async def _take_upload(
        self, scope: Message, receive: Receive, send: Send, key: str, *, known: bool
    ) -> None:
        """Let a file in if there is room for it and its sender has few others under way."""
        promised = _length(scope)
        largest = self.largest_upload + EVENT_BYTES
        if self._uploads.count(key) >= UPLOADS_AT_ONCE:
            await _refuse(send, 429, "Too many uploads at a time: wait for the others.")
            return
        if not self.visitors.make_room(min(promised or largest, largest), key):
            await _refuse(send, 503, "No room for this file: come back later.")
            return
        self._uploads.append(key)
        try:
            noting = self._noting_uploads(send, key, known=known)
            await self._bounded(scope, receive, noting, largest)
        finally:
            self._uploads.remove(key)
            self.visitors.remove_parts(all=not self._uploads)

    async def _bounded(self, scope: Message, receive: Receive, send: Send, largest: int) -> None:
        """Pass a request on while it keeps to size and pace; else its sender is cut off."""
        if (_length(scope) or 0) > largest:
            await _refuse(send, 413, f"The maximum allowed size is {largest} bytes.")
            return
        body = _Body(receive, largest)
        try:
            await self.server(scope, body.receive, send)
        except Exception:
            if body.fault is None:
                raise
        if body.fault is not None:
            await _refuse(send, *body.fault)

    def _is_allowed(self, key: str, path: str) -> bool:
        if SHUT.search(path):
            return False
        asked = FILE.search(path)
        return asked is None or self.visitors.owns(key, Path(asked[1]))

    def _noting_uploads(self, send: Send, key: str, *, known: bool) -> Send:
        """Send, and read from a good answer which files were stored."""
        parts: list[bytes] = []
        good = False

        async def note(message: Message) -> None:
            nonlocal good
            if message["type"] == "http.response.start":
                good = message["status"] == 200
            elif good:
                parts.append(message.get("body", b""))
                if not message.get("more_body", False):
                    for path in json.loads(b"".join(parts)):
                        self.visitors.add_upload(key, Path(path), known=known)
            await send(message)

        return note


class _Body:
    """The body of one request, which ends early where it is too large or too slow."""

    def __init__(self, receive: Receive, largest: int) -> None:
        self._receive, self._largest = receive, largest
        self._start, self._bytes, self._whole = time.monotonic(), 0, False
        self.fault: tuple[int, str] | None = None

    async def receive(self) -> Message:
        """The next part; a disconnection once a bound is passed."""
        if self._whole:  # what comes now is that the sender left, whenever that is
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), SILENT_SECONDS)
        except TimeoutError:
            self.fault = (408, "Too slow.")
            return {"type": "http.disconnect"}
        self._bytes += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        taken = time.monotonic() - self._start
        if self._bytes > self._largest:
            self.fault = (413, f"The maximum allowed size is {self._largest} bytes.")
        elif not self._whole and taken > GRACE_SECONDS and self._bytes < LEAST_RATE * taken:
            self.fault = (408, "Too slow.")
        return message if self.fault is None else {"type": "http.disconnect"}


def _length(scope: Message) -> int | None:
    """What the head of a request says of the length of its body."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return None


def _secret(scope: Message) -> str | None:
    """The visitor's secret, if the browser sent one of the right form."""
    for name, value in scope["headers"]:
        if name != b"cookie":
            continue
        try:
            found = SimpleCookie(value.decode("latin-1")).get(COOKIE)
        except CookieError:
            continue
        if found is not None and SECRET.fullmatch(found.value):
            return found.value
    return None


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
