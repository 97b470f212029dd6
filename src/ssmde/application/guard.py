"""What stands before the web server: tells visitors apart and gives each only their own files."""

import json
import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any

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
SHUT = re.compile(r"/proxy=|/deep_link|/file[=/]https?:|/vibe-")
"""Ways of Gradio that this page does not need: other servers' files, saved pages, editing."""


class Guard:
    """Wraps an ASGI server.

    Args:
        server: What answers in the end.
        visitors: The register of who is who.
    """

    def __init__(self, server: Server, visitors: Visitors) -> None:
        self.server = server
        self.visitors = visitors

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.server(scope, receive, send)
            return
        known = _secret(scope)
        key = known or secrets.token_urlsafe(32)
        if not self._is_allowed(key, scope["path"]):
            await _refuse(send)
            return
        headers = [(name, value) for name, value in scope["headers"] if name != HEADER.encode()]
        scope = {**scope, "headers": [*headers, (HEADER.encode(), key.encode())]}
        if known is None:
            send = _with_cookie(send, key)
        if scope["path"].endswith("/upload") and scope["method"] == "POST":
            send = self._noting_uploads(send, key)
        await self.server(scope, receive, send)

    def _is_allowed(self, key: str, path: str) -> bool:
        if SHUT.search(path):
            return False
        asked = FILE.search(path)
        return asked is None or self.visitors.owns(key, Path(asked[1]))

    def _noting_uploads(self, send: Send, key: str) -> Send:
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
                        self.visitors.add_upload(key, Path(path))
            await send(message)

        return note


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


async def _refuse(send: Send) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": b"This file is not yours."})
