"""Without internet: an answer within seconds, and what is cached is used."""

import socket
import time
from contextlib import nullcontext

import pytest
from huggingface_hub import constants

from ssmde import net


@pytest.fixture
def silent(monkeypatch):
    """A hub that takes no connection, as behind a firewall that drops everything."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(net, "PATIENCE", 0.2)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("silent")
def test_a_hub_out_of_reach_is_known_within_the_limit(monkeypatch):
    monkeypatch.setattr(socket, "create_connection", lambda *_: time.sleep(5) or nullcontext())
    start = time.monotonic()
    assert not net.hub_in_reach()
    assert time.monotonic() - start < 2


@pytest.mark.usefixtures("silent")
def test_out_of_reach_only_the_cache_is_asked():
    def load(name, *, local_files_only=False):
        assert local_files_only
        if name == "someone/cached":
            return "found"
        raise OSError("not there")

    assert net.from_hub(load, "someone/cached") == "found"
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1 is out of reach, and the cache has"):
        net.from_hub(load, "someone/else")


@pytest.mark.usefixtures("silent")
def test_a_folder_asks_nobody(tmp_path):
    assert net.from_hub(lambda name: f"opened {name}", str(tmp_path)) == f"opened {tmp_path}"


@pytest.mark.usefixtures("silent")
def test_a_proxy_is_asked_in_the_place_of_the_hub(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        monkeypatch.setenv("http_proxy", f"127.0.0.1:{proxy.getsockname()[1]}")
        assert net.hub_in_reach()
