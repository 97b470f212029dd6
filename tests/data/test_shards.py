"""Packed data behind a URL: a server that fails now and then changes nothing but the time."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from packed_scenes import write_scenes
from ssmde.config import DataConfig
from ssmde.data import shards as store
from ssmde.data.dataset import SnippetDataset, SnippetSampler
from ssmde.data.scene_folder import read_scenes
from ssmde.preparation.packing import pack
from ssmde.types import collate

SIZE = (32, 64)


class Moody(BaseHTTPRequestHandler):
    """Serves ranges of files, and misbehaves at some requests, in turn."""

    root, moods, ranges = None, ("fine",), True

    def do_GET(self):
        cls = type(self)
        with cls.lock:
            mood = cls.moods[cls.count % len(cls.moods)]
            cls.count += 1
        file = cls.root / self.path.lstrip("/")
        self.close_connection = True
        if mood == "busy":
            self.send_error(503)
        elif mood != "gone":  # else not a word
            if file.is_file():
                self.send_file(file.read_bytes(), cut=mood == "cut")
            else:
                self.send_error(404)

    def do_HEAD(self):
        self.do_GET()

    def send_file(self, content, *, cut):
        asked = self.headers.get("Range")
        if asked and self.ranges:
            first, last = asked.removeprefix("bytes=").split("-")
            content = content[int(first) : int(last) + 1]
        self.send_response(206 if asked and self.ranges else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content[: len(content) // 2] if cut else content)

    def log_message(self, *_):
        pass


@contextmanager
def serve(root, moods, *, ranges=True):
    handler = type("Handler", (Moody,), {})
    handler.root, handler.moods, handler.ranges = root, moods, ranges
    handler.count, handler.lock = 0, threading.Lock()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", handler
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    root = tmp_path_factory.mktemp("remote")
    write_scenes(root / "data", SIZE, frames=(7, 3))
    pack(root / "data", root / "served", size=SIZE, shard_frames=4, show_progress=False)
    return root / "served"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(store, "FIRST_PAUSE", 0.001)


def dataset(root):
    config = DataConfig(image_size=SIZE, poses="tracked")
    scenes = read_scenes(root, "train")
    return SnippetDataset(scenes, config, seed=0, augment=True, labels=True, with_points=True)


def same(a, b):
    return all(
        torch.equal(getattr(a, name), getattr(b, name))
        for name in ("images", "intrinsics", "color", "pseudo_depth", "sparse_depth", "T_src_tgt")
    )


pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def test_a_server_that_fails_now_and_then_serves_the_same_snippets(packed):
    local = dataset(packed)
    with serve(packed, ("fine", "busy", "fine", "cut", "gone")) as (url, handler):
        remote = dataset(Path(url))
        assert remote.sequences[0].frame_name(3) == "a/003"
        assert all(same(local[0, i], remote[0, i]) for i in range(len(local)))
        assert handler.count > 30
        assert remote[1, 0].broken == ()


def test_a_server_that_stays_away_or_knows_no_byte_ranges_is_named(packed):
    with serve(packed, ("fine",)) as (url, handler):
        remote = dataset(Path(url))
        handler.moods = ("busy",)
        with pytest.raises(store.RemoteError, match=r"127.0.0.1.*train-000000.tar: tried 7 times"):
            remote[0, 0]
    says = pytest.raises(store.RemoteError, match="must serve byte ranges")
    with serve(packed, ("fine",), ranges=False) as (url, _), says:
        dataset(Path(url))[0, 0]


def test_no_packed_data_at_a_url_is_said_at_once(packed):
    with serve(packed, ("fine",)) as (url, handler):
        with pytest.raises(FileNotFoundError, match=r"127.0.0.1:\d+/nowhere: no packed data"):
            dataset(Path(f"{url}/nowhere"))
        assert handler.count < 4


@pytest.mark.distributed
def test_workers_read_from_a_failing_server_too(packed):
    with serve(packed, ("fine", "fine", "busy", "gone")) as (url, _):
        batches = []
        for data, workers in ((dataset(packed), 0), (dataset(Path(url)), 2)):
            sampler = SnippetSampler(len(data), batch_size=2, seed=0, start_step=1)
            loader = DataLoader(
                data, batch_sampler=sampler, num_workers=workers, collate_fn=collate
            )
            batches.append(list(islice(loader, 6)))
        assert all(same(a, b) for a, b in zip(*batches, strict=True))
