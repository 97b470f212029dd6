"""The guard before the server: cookies, uploads, and files that are not yours."""

import asyncio
import json
import re

import pytest

from ssmde.app import guard
from ssmde.app.guard import (
    COOKIE,
    EVENT_BYTES,
    EVENT_COMMAS,
    HEADER,
    UPLOADS_AT_ONCE,
    Guard,
    Names,
    Visitors,
)

ANN, BOB = "a" * 43, "b" * 43
LARGEST = 1000
UPLOAD = "/gradio_api/upload"


@pytest.fixture
def visitors(tmp_path) -> Visitors:
    return Visitors(tmp_path)


async def nothing():
    return {"type": "http.request", "body": b"", "more_body": False}


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
        (b"host", b"localhost:7860"),
        *headers,
        *([(b"cookie", f"x=1; {COOKIE}={cookie}".encode())] if cookie else []),
    ]
    scope = {"type": "http", "path": path, "method": method, "headers": sent_headers}
    asyncio.run(Guard(server, visitors, Names(), LARGEST)(scope, nothing, send))
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


def test_other_names_and_other_sites_get_nothing(visitors):
    for name, value in ((b"host", b"evil.example"), (b"origin", b"http://evil.example")):
        for path, method in (("/config", "GET"), (UPLOAD, "POST"), ("/queue/join", "POST")):
            status, _, body, seen = ask(visitors, path, method=method, headers=[(name, value)])
            assert status == 403
            assert b"--allowed-host NAME" in body
            assert not seen


def send_body(visitors, parts, *, path=UPLOAD, cookie=ANN, headers=(), pause=0.0, guarded=None):
    """Send a request in parts, each after a pause; the status, and the bytes that came through."""
    got, sent, left = [], [], list(parts)

    async def server(scope, receive, send):
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ConnectionError("the sender left")
            got.append(message["body"])
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"[]"})

    async def receive():
        await asyncio.sleep(pause)
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    async def send(message):
        sent.append(message)

    head = [(b"host", b"localhost"), (b"cookie", f"{COOKIE}={cookie}".encode()), *headers]
    scope = {"type": "http", "path": path, "method": "POST", "headers": head}
    asyncio.run((guarded or Guard(server, visitors, Names(), LARGEST))(scope, receive, send))
    return sent[0]["status"], sum(map(len, got))


@pytest.mark.parametrize("path", [UPLOAD, "/gradio_api/queue/join"])
def test_a_request_that_is_too_large_is_cut_off_whatever_it_says(visitors, path):
    largest = EVENT_BYTES + (LARGEST if path == UPLOAD else 0)
    assert send_body(visitors, [b"x" * largest], path=path) == (200, largest)
    said = [(b"content-length", str(largest + 1).encode())]
    assert send_body(visitors, [b"x"], path=path, headers=said) == (413, 0)
    assert send_body(visitors, [b"x" * largest, b"x"], path=path) == (413, largest)


def test_an_event_of_more_values_than_a_page_has_is_cut_off(visitors):
    join, most = "/gradio_api/queue/join", b"," * EVENT_COMMAS
    assert send_body(visitors, [most], path=join) == (200, EVENT_COMMAS)
    assert send_body(visitors, [most, b","], path=join) == (400, EVENT_COMMAS)
    assert send_body(visitors, [b"x" * 900, b"," * 900 * 9], path=UPLOAD)[0] == 200


def test_what_the_server_says_of_a_body_that_was_cut_off_is_not_passed_on(visitors):
    sent = []

    async def server(scope, receive, send):
        assert (await receive())["type"] == "http.disconnect"
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": b"broken"})

    async def receive():
        return {"type": "http.request", "body": b"," * (EVENT_COMMAS + 1), "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "path": "/queue/join", "method": "POST"}
    scope["headers"] = [(b"host", b"localhost"), (b"cookie", f"{COOKIE}={ANN}".encode())]
    asyncio.run(Guard(server, visitors, Names(), LARGEST)(scope, receive, send))
    assert [message.get("status") for message in sent] == [400, None]


@pytest.mark.parametrize("path", [UPLOAD, "/gradio_api/queue/join"])
def test_a_sender_who_falls_silent_or_drips_is_cut_off(visitors, monkeypatch, path):
    monkeypatch.setattr(guard, "SILENT_SECONDS", 0.05)
    assert send_body(visitors, [b"x", b"x"], path=path, pause=1.0) == (408, 0)
    monkeypatch.setattr(guard, "SILENT_SECONDS", 5.0)
    monkeypatch.setattr(guard, "GRACE_SECONDS", 0.05)
    status, size = send_body(visitors, [b"x"] * 1000, path=path, pause=0.02)
    assert status == 408
    assert size < 10
    assert send_body(visitors, [b"x" * 5000] * 5, path=path, pause=0.02)[0] == 200


def test_what_is_left_of_an_upload_that_broke_off_is_removed(visitors, tmp_path, monkeypatch):
    (tmp_path / "tmpabc").write_text("a part")
    monkeypatch.setattr(guard, "SILENT_SECONDS", 0.01)
    assert send_body(visitors, [b"x", b"x"], pause=1.0)[0] == 408
    assert list(tmp_path.iterdir()) == []


def test_a_visitor_sends_a_few_files_at_a_time(visitors):
    statuses, gate = [], asyncio.Event()

    async def server(scope, receive, send):
        await gate.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"[]"})

    async def note(message):
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def all_at_once():
        guarded = Guard(server, visitors, Names(), LARGEST)
        head = [(b"host", b"localhost"), (b"cookie", f"{COOKIE}={ANN}".encode())]
        scope = {"type": "http", "path": UPLOAD, "method": "POST", "headers": head}
        sends = [guarded(scope, nothing, note) for _ in range(UPLOADS_AT_ONCE + 2)]
        tasks = [asyncio.create_task(each) for each in sends]
        await asyncio.sleep(0.05)
        gate.set()
        await asyncio.gather(*tasks)

    asyncio.run(all_at_once())
    assert statuses == [429, 429] + [200] * UPLOADS_AT_ONCE


def test_without_room_nothing_is_let_in(tmp_path):
    small = Visitors(tmp_path, room=10)
    said = [(b"content-length", b"100")]
    assert send_body(small, [b"x"], headers=said)[0] == 503
