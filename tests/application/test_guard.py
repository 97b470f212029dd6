"""The guard before the server: cookies, uploads, and files that are not yours."""

import asyncio
import json
import re

import pytest

from ssmde.application.guard import COOKIE, HEADER, Guard
from ssmde.application.visitors import Visitors

ANN, BOB = "a" * 43, "b" * 43


@pytest.fixture
def visitors(tmp_path) -> Visitors:
    return Visitors(tmp_path)


def ask(visitors, path, *, cookie=None, method="GET", answer=b"fine", status=200, headers=()):
    """Send one request through the guard; the answer's status, headers, body, and what was seen."""
    seen, sent = [], []

    async def server(scope, receive, send):
        seen.append(scope)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": answer[:2], "more_body": True})
        await send({"type": "http.response.body", "body": answer[2:]})

    async def send(message):
        sent.append(message)

    sent_headers = [
        *headers,
        *([(b"cookie", f"x=1; {COOKIE}={cookie}".encode())] if cookie else []),
    ]
    scope = {"type": "http", "path": path, "method": method, "headers": sent_headers}
    asyncio.run(Guard(server, visitors)(scope, None, send))
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], dict(sent[0]["headers"]), body, seen


def test_who_comes_first_gets_a_secret_that_scripts_cannot_read(visitors):
    _, headers, _, seen = ask(visitors, "/")
    found = re.fullmatch(
        rf"{COOKIE}=([\w-]{{43}}); Path=/; HttpOnly; SameSite=Lax", headers[b"set-cookie"].decode()
    )
    assert found
    assert dict(seen[0]["headers"])[HEADER.encode()].decode() == found[1]
    assert ask(visitors, "/")[1] != headers


def test_who_comes_back_keeps_the_secret(visitors):
    _, headers, _, seen = ask(visitors, "/", cookie=ANN)
    assert b"set-cookie" not in headers
    assert dict(seen[0]["headers"])[HEADER.encode()] == ANN.encode()


@pytest.mark.parametrize("cookie", ["short", "a" * 44, "a" * 42 + "/", '"' + "a" * 42])
def test_a_secret_of_another_form_is_replaced(visitors, cookie):
    assert b"set-cookie" in ask(visitors, "/", cookie=cookie)[1]


def test_nobody_can_pass_for_another_by_sending_the_inner_header(visitors):
    forged = [(HEADER.encode(), ANN.encode())]
    _, _, _, seen = ask(visitors, "/", cookie=BOB, headers=forged)
    assert [value for name, value in seen[0]["headers"] if name == HEADER.encode()] == [
        BOB.encode()
    ]


@pytest.mark.parametrize("form", ["/gradio_api/file=", "/gradio_api/file/", "/file="])
def test_a_file_goes_to_its_owner_only(visitors, form):
    path = visitors.session(ANN, "1").new_result() / "depth.png"
    path.write_text("d")
    assert ask(visitors, f"{form}{path}", cookie=ANN)[0] == 200
    for cookie in (BOB, None):
        status, _, body, seen = ask(visitors, f"{form}{path}", cookie=cookie)
        assert status == 403
        assert body == b"This file is not yours."
        assert not seen


@pytest.mark.parametrize(
    "path",
    ["/gradio_api/file=/etc/passwd", "/gradio_api/file=https://example.org/a.png",
     "/gradio_api/proxy=https://example.org", "/gradio_api/deep_link", "/gradio_api/vibe-edit/"],
)  # fmt: skip
def test_ways_to_other_files_are_shut(visitors, path):
    assert ask(visitors, path, cookie=ANN)[0] == 403


def test_an_upload_is_noted_for_who_sent_it(visitors, tmp_path):
    path = tmp_path / "hash" / "photo.jpg"
    path.parent.mkdir()
    path.write_text("x")
    answer = json.dumps([str(path)]).encode()
    asked = {"method": "POST", "answer": answer}
    assert ask(visitors, "/gradio_api/upload", cookie=ANN, **asked)[2] == answer
    assert visitors.owns(ANN, path)
    assert not visitors.owns(BOB, path)


def test_a_refused_upload_is_passed_on_and_not_noted(visitors):
    asked = {"method": "POST", "answer": b"file is too large", "status": 413}
    status, _, body, _ = ask(visitors, "/gradio_api/upload", cookie=ANN, **asked)
    assert (status, body) == (413, b"file is too large")
