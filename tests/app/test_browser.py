"""The page in a real browser: headless Chromium does what visitors do."""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from films import write_mp4
from ssmde.data.video import read_frames
from tiny_networks import write_random_weights

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SWITCHES = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--enable-unsafe-swiftshader",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
]  # fmt: skip
PATIENCE = 180_000  # ms, on a busy machine
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(900),
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: apt-get install chromium"),
]


class Served(NamedTuple):
    url: str
    folder: Path
    pid: int


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The command, in a process of its own."""
    folder = tmp_path_factory.mktemp("served")
    weights = [write_random_weights(folder / f"{name}.safetensors") for name in ("one", "two")]
    (folder / "temporary").mkdir()
    command = [sys.executable, "-m", "ssmde", "app", *map(str, weights), "--max-upload-mb", "2"]
    surroundings = os.environ | {"TMPDIR": str(folder / "temporary"), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=surroundings) as process:
        word, url = process.stdout.readline().split()
        assert word == "page:"
        yield Served(url, next((folder / "temporary").glob("ssmde-app-*")), process.pid)
        process.terminate()
    assert process.returncode == 0
    assert not list((folder / "temporary").glob("ssmde-app-*"))


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium, served):
    """Opens the page as a new visitor; at the end it must have asked nobody else for anything."""
    contexts, asked = [], []

    def open_page(**options):
        contexts.append(chromium.new_context(permissions=["camera"], **options))
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(served.url)
        page.wait_for_selector("#ssmde-files a")  # of the example
        assert "An example" in said(page)
        return page

    yield open_page
    for context in contexts:
        context.close()
    others = (served.url, "data:", "blob:")
    assert [url for url in asked if not url.startswith(others)] == []


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.jpg")
    return tmp_path / "photo.jpg"


def send(page, path, where="picture"):
    page.set_input_files(f"#ssmde-{where} input[type=file]", str(path))
    if where == "picture":
        until(lambda: "An example" not in said(page))


def until(question, seconds=PATIENCE / 1000):
    """Ask again and again until the answer is yes."""
    end = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.2)
    return answer


def said(page, where="status"):
    return page.inner_text(f"#ssmde-{where}")


def test_a_picture_is_uploaded_predicted_read_turned_and_downloaded(visit, photo):
    page = visit(viewport={"width": 1280, "height": 1000}, accept_downloads=True)
    send(page, photo)
    page.wait_for_selector("#ssmde-files a")
    assert "photo: 160 x 120 pixels" in said(page)
    assert "Relative units" in said(page, "legend")

    def depth_here():
        """Moves the pointer, as the pictures may still be loading when it first does."""
        box = page.locator("#ssmde-slider img").first.bounding_box()
        for aside in (5, 0):
            page.mouse.move(box["x"] + box["width"] / 4 + aside, box["y"] + box["height"] / 2)
        return words if (words := said(page, "readout")).startswith("Depth here: ") else ""

    words = until(depth_here)
    assert words.endswith(" relative units")

    canvas = page.locator("#ssmde-cloud canvas")
    canvas.scroll_into_view_if_needed()
    until(lambda: len(canvas.screenshot()) > 20_000)  # something is drawn: slow without a GPU
    before, box = canvas.screenshot(), canvas.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 150, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
    until(lambda: canvas.screenshot() != before)

    with page.expect_download() as download:
        page.locator("#ssmde-files a", has_text="KB").nth(1).click()
    assert download.value.suggested_filename == "photo_depth.npz"
    with np.load(download.value.path()) as arrays:
        assert arrays["depth"].shape == (120, 160)
        # What the pointer read is what the file holds.
        assert float(words.split()[2]) == pytest.approx(arrays["depth"][60, 40], rel=0.01)


def sources(page):
    """Where its two pictures are."""
    return [image.get_attribute("src") for image in page.locator("#ssmde-slider img").all()]


def choose(page, weights):
    page.locator("#ssmde-weights input").click()
    page.get_by_role("option", name=weights).click()


def test_other_weights_and_another_field_of_view_change_the_picture_and_its_surface(visit, photo):
    page = visit()
    send(page, photo)
    page.wait_for_selector("#ssmde-files a")
    first = sources(page)
    choose(page, "two")
    until(lambda: sources(page) not in (first, []))
    second = sources(page)
    page.locator("#ssmde-width input[type=range]").click()  # in its middle
    until(lambda: sources(page) not in (second, []))
    assert "photo: " in said(page)


def test_a_file_that_is_none_or_too_large_is_refused_and_the_next_one_works(visit, photo, tmp_path):
    (tmp_path / "notes.png").write_text("no picture")
    noise = np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "large.png")
    assert (tmp_path / "large.png").stat().st_size > 2_000_000
    page = visit()
    send(page, tmp_path / "notes.png")
    until(lambda: "notes.png is no picture that can be read" in said(page))
    page.wait_for_selector("#ssmde-picture input[type=file]", state="attached")
    send(page, photo)
    until(lambda: "photo: " in said(page))
    page = visit()
    page.set_input_files("#ssmde-picture input[type=file]", str(tmp_path / "large.png"))
    page.get_by_text("maximum", exact=False).first.wait_for()


def test_two_visitors_at_once_see_their_own_files_only(visit, photo, served):
    ann, bob = visit(), visit()
    send(ann, photo)
    send(bob, photo)  # the same content: Gradio stores it once
    for page in (ann, bob):
        page.wait_for_selector("#ssmde-files a")
    source = ann.locator("#ssmde-slider img").first.get_attribute("src")
    address = source if source.startswith("http") else served.url + source.lstrip("/")
    assert ann.request.get(address).status == 200
    assert bob.request.get(address).status == 403
    assert ann.request.get(f"{served.url}gradio_api/file=/etc/passwd").status == 403

    ann.context.close()
    until(lambda: len(list(served.folder.rglob("picture.jpg"))) == 2)
    assert bob.request.get(bob.locator("#ssmde-slider img").first.evaluate("i => i.src")).ok
    bob.context.close()
    until(lambda: not [p for p in served.folder.rglob("*") if p.is_file()])


def test_a_video_is_computed_with_news_stopped_and_played(visit, tmp_path):
    write_mp4(tmp_path / "clip.mp4", [np.full((96, 128, 3), i % 256, np.uint8) for i in range(400)])
    page = visit()
    page.get_by_role("tab", name="Video").click()
    send(page, tmp_path / "clip.mp4", "video")
    page.wait_for_selector("#ssmde-video a")
    page.click("#ssmde-start")
    until(lambda: " of 400 frames" in said(page, "news"))
    page.click("#ssmde-stop")
    until(lambda: said(page, "news").startswith("Done: "))
    done = int(said(page, "news").split()[1])
    assert 0 < done < 400
    page.wait_for_selector("#ssmde-film video")
    with page.expect_download() as download:
        page.locator("#ssmde-film a[download]").first.click()
    download.value.save_as(tmp_path / "film.mp4")
    assert len(list(read_frames(tmp_path / "film.mp4"))) == done


def test_a_training_goes_on_without_its_page_and_says_what_came_out(visit, tmp_path):
    (tmp_path / "film.mp4").write_text("no film")
    page = visit()
    page.get_by_role("tab", name="Video").click()
    page.click("#ssmde-train")
    until(lambda: "Choose a video first" in said(page, "training-news"))
    send(page, tmp_path / "film.mp4", "video")
    page.wait_for_selector("#ssmde-video a")
    page.click("#ssmde-train")
    until(lambda: "film.mp4, " in said(page, "training-news"))
    again = page.context.new_page()
    page.close()
    again.set_default_timeout(PATIENCE)
    again.goto(page.url)
    again.get_by_role("tab", name="Video").click()
    until(lambda: said(again, "training-news").startswith("film.mp4: "))  # its fault
    stranger = visit()
    stranger.get_by_role("tab", name="Video").click()
    assert said(stranger, "training-news") == ""


def test_the_webcam_is_shown_live_and_leaves_no_file(visit, served):
    page = visit(**PHONE)
    page.get_by_role("tab", name="Webcam").click()
    page.get_by_text("Click to Access Webcam").click()
    page.locator("#ssmde-camera button", has_text="Record").click()
    page.wait_for_selector("#ssmde-live img")
    assert len(list(served.folder.rglob("picture.jpg"))) == 1  # of the example
    # Nothing is wider than the phone.
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["viewport"]["width"]


def memory(pid):
    """Bytes of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


DRIP = (
    b"POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 900000\r\n"
    b'\r\n--b\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
)


def misbehave(served, over, photo):
    """Everything at once that a visitor should not do, again and again; what was answered."""
    answers, drips = {name: set() for name in ("host", "origin", "path", "upload", "event")}, []
    httpx = pytest.importorskip("httpx")
    with httpx.Client(base_url=f"{served.url}gradio_api", timeout=60) as client:
        config = client.get(f"{served.url}config").json()
        events = {d["api_name"]: d["id"] for d in config["dependencies"]}
        mine = client.post("/upload", files={"files": ("a.jpg", photo.read_bytes())}).json()[0]
        fields = [
            [{"path": mine}, ["one"] * 100_000, 60],
            [{"path": mine}, "../../x", 10**9],
            [{"path": "/etc/passwd"}, "one", 60],
            [{"path": "http://127.0.0.1:1/x"}, [], "x" * 100_000],
            [[[[[]]]], None, None],
        ]
        for i in range(200):
            if over.is_set() and i > 60:
                break
            noise = np.random.default_rng(i).bytes(200_000)
            # Of a browser without the cookie.
            fresh = httpx.post(f"{served.url}gradio_api/upload", files={"files": ("b", noise)})
            answers["upload"].add(fresh.status_code)
            event = {"data": fields[i % len(fields)], "fn_index": events["picture"]}
            event["session_hash"] = f"mine{i}"
            answers["event"].add(client.post("/queue/join", json=event).status_code)
            for name, value in (("host", "evil.example"), ("origin", "http://evil.example")):
                asked = client.get(f"{served.url}config", headers={name: value})
                answers[name].add(asked.status_code)
            for path in ("/etc/passwd", f"{served.folder}/../one.safetensors"):
                answers["path"].add(client.get(f"/file={path}").status_code)
            if len(drips) < 30:  # uploads of which nothing more ever comes
                drips.append(socket.create_connection(("127.0.0.1", urlsplit(served.url).port)))
                drips[-1].sendall(DRIP + noise[:100_000])
    return answers, drips


def test_two_visitors_do_not_notice_a_third_who_misbehaves(visit, photo, served):
    pages = [visit(), visit()]
    for page in pages:
        send(page, photo)
        page.wait_for_selector("#ssmde-files a")

    def results(weights):
        """Seconds in which both get the depth of their picture by these weights."""
        before, start = [sources(page) for page in pages], time.monotonic()
        for page in pages:
            choose(page, weights)
        for page, old in zip(pages, before, strict=True):
            until(lambda page=page, old=old: sources(page) not in (old, []))
        return time.monotonic() - start

    alone = min(results(name) for name in ("two", "one", "two"))
    before, over, found = memory(served.pid), threading.Event(), {}
    third = threading.Thread(target=lambda: found.update(all=misbehave(served, over, photo)))
    third.start()
    beside = min(results(name) for name in ("one", "two", "one"))
    over.set()
    third.join()
    assert beside < 2 * alone + 1
    answers, drips = found["all"]
    assert answers["host"] == answers["origin"] == answers["path"] == {403}
    assert answers["upload"] <= {200, 429, 503}
    assert answers["event"] <= {200, 400, 422, 503}
    for page in pages:
        page.context.close()
    for drip in drips:
        drip.close()

    # What a stranger sent is bounded at once, and parts go when the senders have gone.
    def kept():
        total = 0
        for path in served.folder.rglob("*"):
            with suppress(FileNotFoundError):  # files go meanwhile
                total += path.stat().st_size if path.is_file() else 0
        return total

    until(lambda: kept() < 3_000_000)
    assert memory(served.pid) < before + (300 << 20)
