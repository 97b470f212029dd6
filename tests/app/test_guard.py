"""The guard before the server: names, cookies, uploads; whose file is whose, and when it goes."""

import asyncio
import json
import re
import socket
import threading
from unittest.mock import Mock

import pytest

from ssmde.app import guard
from ssmde.app.guard import COOKIE, Guard, Names, RefusalError, Visitors

ANN, BOB = "a" * 43, "b" * 43
PAGE = "localhost:7860"
LARGEST = 1000
UPLOAD, JOIN = "/gradio_api/upload", "/gradio_api/queue/join"


@pytest.fixture
def clock() -> Mock:
    return Mock(return_value=0.0)


@pytest.fixture
def visitors(tmp_path, clock) -> Visitors:
    (tmp_path / "all").mkdir()
    return Visitors(tmp_path / "all", clock)


def ask(
    visitors, path, *, cookie=None, method="GET", answer=b"fine", status=200,
    hosts=(PAGE,), headers=(), parts=(b"",), pause=0.0,
):  # fmt: skip
    """Send one request through the guard; the answer's status, headers, body, and what was seen.

    Its body comes in parts, each after a pause; what was seen are the head and these.
    """
    seen, sent, left = [], [], list(parts)

    async def server(scope, receive, send):
        seen.append(scope)
        while method == "POST":
            message = await receive()
            if message["type"] == "http.disconnect":  # neither of these is passed on
                await send({"type": "http.response.start", "status": 500, "headers": []})
                raise ConnectionError("the sender left")
            seen.append(message["body"])
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": answer[:2], "more_body": True})
        await send({"type": "http.response.body", "body": answer[2:]})

    async def receive():
        await asyncio.sleep(pause)
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    async def send(message):
        sent.append(message)

    known = [(b"cookie", f"x=1; {COOKIE}={cookie}".encode())] if cookie else []
    head = [*((b"host", host.encode()) for host in hosts), *headers, *known]
    scope = {"type": "http", "path": path, "method": method, "headers": head}
    asyncio.run(Guard(server, visitors, Names(), LARGEST)(scope, receive, send))
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], dict(sent[0]["headers"]), body, seen


def send_body(visitors, parts, *, path=UPLOAD, headers=(), pause=0.0):
    """Status of a request in parts, and the bytes that came through."""
    status, _, _, seen = ask(
        visitors, path, method="POST", answer=b"[]", cookie=ANN, headers=headers, parts=parts,
        pause=pause,
    )  # fmt: skip
    return status, sum(map(len, seen[1:]))


def upload(visitors, name="a.jpg", content="x"):
    path = visitors.root / f"hash of {content}" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def test_who_comes_first_gets_a_secret_that_scripts_cannot_read(visitors):
    _, headers, _, seen = ask(visitors, "/")
    found = re.fullmatch(
        rf"{COOKIE}=([\w-]{{43}}); Path=/; HttpOnly; SameSite=Lax", headers[b"set-cookie"].decode()
    )
    assert found
    assert dict(seen[0]["headers"])[guard.HEADER.encode()].decode() == found[1]
    assert ask(visitors, "/")[1] != headers


def test_who_comes_back_keeps_a_secret_of_its_form_and_nobody_can_pass_for_another(visitors):
    forged = [(guard.HEADER.encode(), ANN.encode())]
    _, headers, _, seen = ask(visitors, "/", cookie=BOB, headers=forged)
    assert b"set-cookie" not in headers
    assert [v for name, v in seen[0]["headers"] if name == guard.HEADER.encode()] == [BOB.encode()]
    for cookie in ("short", "a" * 44, "a" * 42 + "/", '"' + "a" * 42):
        assert b"set-cookie" in ask(visitors, "/", cookie=cookie)[1], "another takes its place"


@pytest.mark.parametrize("form", ["/gradio_api/file=", "/gradio_api/file/", "/file="])
def test_a_file_goes_to_its_owner_only(visitors, form):
    path = visitors.session(ANN, "1").new_result() / "depth.png"
    path.write_text("d")
    assert ask(visitors, f"{form}{path}", cookie=ANN)[0] == 200
    for cookie in (BOB, None):
        status, _, body, seen = ask(visitors, f"{form}{path}", cookie=cookie)
        assert (status, body, seen) == (403, b"This file is not yours.", [])


@pytest.mark.parametrize(
    "path",
    ["/gradio_api/file=/etc/passwd", "/gradio_api/file=https://example.org/a.png",
     "/gradio_api/proxy=https://example.org", "/gradio_api/deep_link", "/gradio_api/vibe-edit/"],
)  # fmt: skip
def test_ways_to_other_files_are_shut(visitors, path):
    assert ask(visitors, path, cookie=ANN)[0] == 403


def test_an_upload_is_noted_for_who_sent_it_unless_it_was_refused(visitors):
    path = upload(visitors)
    answer = json.dumps([str(path)]).encode()
    for status, owned in ((413, False), (200, True)):
        asked = {"method": "POST", "answer": answer, "status": status}
        assert ask(visitors, UPLOAD, cookie=ANN, **asked)[::2] == (status, answer)
        assert visitors.owns(ANN, path) == owned
    assert not visitors.owns(BOB, path)


@pytest.mark.parametrize("path", [UPLOAD, JOIN])
def test_a_request_that_is_too_large_is_cut_off_whatever_it_says(visitors, path):
    largest = guard.EVENT_BYTES + (LARGEST if path == UPLOAD else 0)
    assert send_body(visitors, [b"x" * largest], path=path) == (200, largest)
    said = [(b"content-length", str(largest + 1).encode())]
    assert send_body(visitors, [b"x"], path=path, headers=said) == (413, 0)
    assert send_body(visitors, [b"x" * largest, b"x"], path=path) == (413, largest)


def test_an_event_of_more_values_than_a_page_has_is_cut_off(visitors):
    most = b"," * guard.EVENT_COMMAS
    assert send_body(visitors, [most], path=JOIN) == (200, guard.EVENT_COMMAS)
    assert send_body(visitors, [most, b","], path=JOIN) == (400, guard.EVENT_COMMAS)
    assert send_body(visitors, [b"x" * 900, b"," * 900 * 9], path=UPLOAD)[0] == 200


@pytest.mark.parametrize("path", [UPLOAD, JOIN])
def test_a_sender_who_falls_silent_or_drips_is_cut_off(visitors, monkeypatch, path):
    (visitors.root / "tmpabc").write_text("a part")
    monkeypatch.setattr(guard, "SILENT_SECONDS", 0.05)
    assert send_body(visitors, [b"x", b"x"], path=path, pause=1.0) == (408, 0)
    assert (visitors.root / "tmpabc").exists() == (path == JOIN)
    monkeypatch.setattr(guard, "SILENT_SECONDS", 5.0)
    monkeypatch.setattr(guard, "GRACE_SECONDS", 0.05)
    status, size = send_body(visitors, [b"x"] * 1000, path=path, pause=0.02)
    assert status == 408
    assert size < 10
    assert send_body(visitors, [b"x" * 5000] * 5, path=path, pause=0.02)[0] == 200


def test_a_visitor_sends_a_few_files_at_a_time_and_parts_stay_while_somebody_adds_to_them(visitors):
    statuses, gate, part = [], asyncio.Event(), visitors.root / "tmp123"
    part.write_text("part")

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
        sends = [guarded(scope, None, note) for _ in range(guard.UPLOADS_AT_ONCE + 2)]
        tasks = [asyncio.create_task(each) for each in sends]
        await asyncio.sleep(0.05)
        assert part.exists()
        gate.set()
        await asyncio.gather(*tasks)

    asyncio.run(all_at_once())
    assert statuses == [429, 429] + [200] * guard.UPLOADS_AT_ONCE
    assert not part.exists()


def test_without_room_nothing_is_let_in(tmp_path):
    small = Visitors(tmp_path, room=10)
    said = [(b"content-length", b"100")]
    assert send_body(small, [b"x"], headers=said)[0] == 503


# Whose file is whose


def test_a_result_belongs_to_its_visitor_alone_by_whatever_way(visitors):
    ann, bob = visitors.session("secret-of-ann", "page-1"), visitors.session("bob", "1")
    for word in ("secret-of-ann", "page-1"):
        assert word not in str(ann.folder)
    mine, other = (session.new_result() / "depth.png" for session in (ann, bob))
    for path in (mine, other):
        path.write_text("d")
    link = mine.with_name("link.png")
    link.symlink_to(other)
    climbing = ann.folder / ".." / ".." / other.relative_to(visitors.root)
    assert visitors.owns("secret-of-ann", mine)
    for path in (other, link, climbing, visitors.root / "of_gradio.txt"):
        assert not visitors.owns("secret-of-ann", path)
    assert not visitors.owns("nobody", mine)


def test_a_page_that_closes_takes_its_files_and_an_upload_goes_with_the_last_who_sent_it(visitors):
    path = upload(visitors)
    for key in ("ann", "bob"):
        visitors.add_upload(key, path)
        assert visitors.owns(key, path)
    pages = (("ann", "1"), ("ann", "2"), ("bob", "1"))
    first, second, _ = (visitors.session(*page) for page in pages)
    visitors.leave("ann", "1")
    assert first.stopped
    assert not first.folder.exists()
    assert second.folder.exists()
    assert visitors.owns("ann", path)
    visitors.leave("ann", "2")
    assert path.exists()
    assert not visitors.owns("ann", path)
    visitors.leave("bob", "1")
    assert list(visitors.root.iterdir()) == []


def test_older_uploads_results_and_pages_of_a_visitor_make_room(visitors):
    paths = [upload(visitors, content=str(i)) for i in range(guard.KEPT_UPLOADS + 2)]
    for path in paths:
        visitors.add_upload("ann", path)
    assert [path.exists() for path in paths] == [False] * 2 + [True] * guard.KEPT_UPLOADS
    session = visitors.session("ann", "1")
    results = [session.new_result() for _ in range(guard.KEPT_RESULTS + 2)]
    assert [result.exists() for result in results] == [False] * 2 + [True] * guard.KEPT_RESULTS
    sessions = [visitors.session("bob", str(i)) for i in range(guard.MOST_PAGES + 3)]
    assert [s.folder.exists() for s in sessions] == [False] * 3 + [True] * guard.MOST_PAGES
    assert sessions[0].stopped


def test_who_gives_no_sign_for_an_hour_is_forgotten_and_all_at_the_end(visitors, clock):
    idle, busy = visitors.session("ann", "1"), visitors.session("bob", "1")
    with visitors.working("bob", "film"):
        clock.return_value = guard.IDLE_SECONDS + 1
        visitors.session("eve", "1")
        assert idle.stopped
        assert not idle.folder.exists()
        assert busy.folder.exists()
    visitors.session("eve", "2")
    assert not busy.folder.exists()
    last = visitors.session("eve", "3")
    visitors.add_upload("eve", upload(visitors))
    visitors.close()
    assert last.stopped
    assert list(visitors.root.iterdir()) == []


def test_of_those_who_never_come_back_only_the_newest_files_stay(visitors):
    ann = upload(visitors, content="of ann")
    visitors.add_upload("ann", ann)  # her browser sent the secret
    paths = [upload(visitors, content=str(i)) for i in range(guard.KEPT_UPLOADS + 20)]
    for i, path in enumerate(paths):
        visitors.add_upload(f"stranger {i}", path, known=False)
    assert [path.exists() for path in paths] == [False] * 20 + [True] * guard.KEPT_UPLOADS
    assert ann.exists()


def test_a_visitor_has_one_work_of_a_kind_at_a_time(tmp_path, clock):
    visitors = Visitors(tmp_path / "all", clock, patience=0.01)
    with visitors.working("ann", "film"):
        with pytest.raises(RefusalError, match="One at a time"), visitors.working("ann", "film"):
            pass
        with visitors.working("ann", "picture"), visitors.working("bob", "film"):
            pass
    with visitors.working("ann", "film"):
        pass


def test_the_next_work_waits_for_the_one_before_and_a_third_is_refused(visitors):
    order, refused = [], threading.Event()

    def work():
        try:
            with visitors.working("ann", "picture"):
                order.append("second")
        except RefusalError:
            refused.set()

    others = [threading.Thread(target=work) for _ in range(2)]
    with visitors.working("ann", "picture"):
        for other in others:
            other.start()
        assert refused.wait(10)
        order.append("first")
    for other in others:
        other.join()
    assert order == ["first", "second"]


def test_room_is_made_by_who_did_nothing_for_longest_and_does_not_work(tmp_path, clock):
    visitors = Visitors(tmp_path / "all", clock, room=3_500_000)  # for the folders some more
    paths = []
    for i, key in enumerate(("ann", "bob", "eve")):
        clock.return_value = float(i)
        visitors.session(key, "1")
        paths.append(upload(visitors, content=key))
        paths[-1].write_bytes(bytes(1_000_000))
        visitors.add_upload(key, paths[-1])
    with visitors.working("ann", "film"):
        clock.return_value = 3.0
        assert visitors.make_room(100_000, "eve")
        assert [path.exists() for path in paths] == [True, True, True]
        assert visitors.make_room(1_000_000, "eve")
        assert [path.exists() for path in paths] == [True, False, True]
        assert not visitors.make_room(10**9, "eve")


# Names the page answers under


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [*((host, None, 200) for host in (
        PAGE, "127.0.0.1:7860", "[::1]:7860", "localhost", "LOCALHOST:1")),
     *((PAGE, origin, 200) for origin in ("http://localhost:7860", "https://LOCALHOST:7860")),
     *((host, None, 403) for host in (
        "evil.example", "evil.example:7860", "localhost.evil.example", "127.0.0.1.evil.example",
        "localhost@evil.example", "evil.example@localhost", "localhost/x", "", "[::1",
        "localhost:x", socket.gethostname() + ".evil", "10.0.0.7", f"{PAGE} {PAGE}")),  # two names
     *((PAGE, origin, 403) for origin in (
        "http://evil.example", "null", "http://localhost:8000", "http://127.0.0.1:7860", "x"))],
)  # fmt: skip
def test_only_this_machine_and_the_page_itself_are_answered(visitors, host, origin, status):
    headers = [(b"origin", origin.encode())] if origin else []
    for path, method in (("/config", "GET"), (UPLOAD, "POST"), (JOIN, "POST")):
        found, _, body, seen = ask(
            visitors, path, method=method, hosts=host.split(" "), headers=headers, answer=b"[]"
        )
        assert (found, bool(seen)) == (status, status == 200)
        assert (b"address that ssmde app printed" in body) == (status == 403)


def request(host, origin=None):
    headers = [(b"host", host.encode())] + ([(b"origin", origin.encode())] if origin else [])
    return {"headers": headers, "server": ("10.0.0.7", 7860)}


def test_with_a_host_the_machine_is_known_by_its_names_and_the_address_of_the_connection():
    names = Names("0.0.0.0")
    assert names.fit(request(f"{socket.gethostname()}:7860"))
    assert names.fit(request("10.0.0.7:7860"))
    assert not names.fit(request("evil.example"))
    assert not Names().fit(request(f"{socket.gethostname()}x"))


def test_the_public_name_is_answered_at_any_port_and_as_origin():
    names = Names()
    names.public.add("depth.example.org")
    assert names.fit(request("Depth.example.org"))
    assert names.fit(request("depth.example.org:8443", "https://depth.example.org:8443"))
    assert names.fit(request(PAGE, "https://depth.example.org"))  # a proxy may change Host
    assert not names.fit(request("www.depth.example.org"))
