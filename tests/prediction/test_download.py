"""Files from the web: read, limited, refused with their address. The server runs in the test."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from ssmde.data.images import ImageError
from ssmde.prediction.download import DownloadError, fetch_bytes, fetched_file
from ssmde.prediction.images import to_pixels


class Pages(BaseHTTPRequestHandler):
    content: ClassVar[dict[str, bytes]] = {"/a%20b/small.txt": b"hello"}

    def do_GET(self):
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "ftp://127.0.0.1/passwd")
            self.end_headers()
        elif self.path == "/broken":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"only this")
        elif self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"x" * 5000)
        elif self.path in self.content:
            self.send_response(200)
            self.send_header("Content-Length", str(len(self.content[self.path])))
            self.end_headers()
            self.wfile.write(self.content[self.path])
        else:
            self.send_error(404)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def server():
    with HTTPServer(("127.0.0.1", 0), Pages) as pages:
        thread = threading.Thread(target=pages.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{pages.server_port}"
        pages.shutdown()
        thread.join()


def test_an_image_is_read_from_its_address(server, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Pages.content["/a.png"] = (tmp_path / "a.png").read_bytes()
    np.testing.assert_array_equal(to_pixels(f"{server}/a.png"), pixels)


def test_a_file_lies_under_its_name_until_the_block_ends(server):
    with fetched_file(f"{server}/a%20b/small.txt") as path:
        assert path.name == "small.txt"
        assert path.read_bytes() == b"hello"
    assert not path.parent.exists()


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("/gone.png", "the server says 404"),
        ("/broken", "broke"),
        ("/away", "only http:// and https://"),
        ("/endless", "is larger than 0 MiB"),
        ("/a%20b/small.txt", "is larger than 0 MiB"),
    ],
)
def test_what_cannot_be_had_is_refused_with_its_address(server, page, message):
    with pytest.raises(DownloadError, match=message) as caught:
        fetch_bytes(server + page, largest=4 if page != "/broken" else 10_000)
    assert server in str(caught.value) or "passwd" in str(caught.value)


def test_a_page_that_is_no_image_is_an_image_error(server):
    with pytest.raises(ImageError, match=r"small\.txt: cannot be read as an image"):
        to_pixels(f"{server}/a%20b/small.txt")


def test_a_server_that_does_not_answer_is_named():
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1:9/a\.png: cannot be reached"):
        fetch_bytes("http://127.0.0.1:9/a.png")
