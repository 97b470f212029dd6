"""Weights by name: released with the package, or in a repository of the hub; no network.

Without internet: an answer within seconds, and what is cached is used.
"""

import hashlib
import json
import socket
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants

import ssmde
from ssmde import weights
from ssmde.config import Config, ModelConfig
from ssmde.models import hub
from ssmde.models.checkpoint import save_weights
from ssmde.models.hub import download_weights, push_to_hub
from ssmde.models.registry import follow_start
from ssmde.weights import Released
from tiny_networks import write_random_weights

SIZE = (64, 96)
COMMIT = "0123456789012345678901234567890123456789"
CARD = "---\nlicense: mit\n---\nDrawn rooms. Weak at glass.\n"


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    return write_random_weights(tmp_path_factory.mktemp("trained") / "best.safetensors")


@pytest.fixture
def offline(monkeypatch, tmp_path) -> Path:
    """The cache folder of a machine without network."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_cached_repository_is_loaded_without_network_and_no_other(offline, trained):
    folder = offline / "models--someone--indoor"
    snapshot = folder / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").write_bytes(trained.read_bytes())
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMIT)
    assert ssmde.load(Path("hf:someone/indoor"), device="cpu").image_size == SIZE
    assert ssmde.from_pretrained("someone/indoor").source == "hf:someone/indoor"
    start = Config(model=ModelConfig(start="hf:someone/indoor"))
    assert follow_start(start).model.encoder == "resnet18_half"
    message = r"huggingface\.co/someone/outdoor.*not in the cache.*HF_HUB_OFFLINE unset"
    with pytest.raises(ConnectionError, match=message):
        ssmde.load("hf:someone/outdoor")
    for name in ("indoor", "a/b/c", "/b", "a/"):
        with pytest.raises(ValueError, match="is OWNER/NAME"):
            ssmde.from_pretrained(name)


@pytest.mark.parametrize(
    ("kind", "message", "error"),
    [
        ("RepositoryNotFoundError", "no such repository, or it is private", ValueError),
        ("RevisionNotFoundError", "has no revision 'v2'", ValueError),
        ("RemoteEntryNotFoundError", r"holds no model\.safetensors", ValueError),
        ("HfHubHTTPError", "cannot get model.safetensors", ConnectionError),
    ],
)
def test_an_answer_of_the_hub_becomes_one_line(monkeypatch, kind, message, error):
    def refuse(*args, **options):
        raise getattr(huggingface_hub.errors, kind).__new__(getattr(huggingface_hub.errors, kind))

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    with pytest.raises(error, match=message):
        download_weights("someone/indoor", revision="v2")


def test_what_is_pushed_is_the_weights_with_their_configuration_and_card(trained, monkeypatch):
    seen = {}

    def upload(*, repo_id, folder_path, commit_message):
        seen["files"] = {p.name: p.read_bytes() for p in Path(folder_path).iterdir()}
        return SimpleNamespace(commit_url=f"https://huggingface.co/{repo_id}/commit/1")

    monkeypatch.setattr(huggingface_hub, "upload_folder", upload)
    monkeypatch.setattr(huggingface_hub, "create_repo", lambda *a, **o: seen.update(made=(a, o)))
    address = push_to_hub(trained, "someone/indoor", CARD, private=True)
    assert address == "https://huggingface.co/someone/indoor/commit/1"
    assert seen["made"] == (("someone/indoor",), {"private": True, "exist_ok": True})
    about = json.loads(seen["files"].pop("config.json"))
    assert about["format"] == "ssmde-depth"
    assert seen["files"] == {"model.safetensors": trained.read_bytes(), "README.md": CARD.encode()}


def test_a_push_without_a_license_or_of_other_files_is_refused(trained, offline, tmp_path):
    with pytest.raises(ConnectionError, match=r"the hub did not take it .* `hf auth login`"):
        push_to_hub(trained, "someone/indoor", CARD)
    with pytest.raises(ValueError, match="must say their license"):
        push_to_hub(trained, "someone/indoor", "---\ntags: [depth]\n---\nDrawn rooms.")
    save_weights(tmp_path / "other.safetensors", {"a": torch.zeros(1)}, {})
    with pytest.raises(ValueError, match="no depth network of this project"):
        push_to_hub(tmp_path / "other.safetensors", "someone/indoor", CARD)


def test_a_released_name_is_loaded_unless_a_path_has_it(monkeypatch, tmp_path, trained):
    file = tmp_path / "small.safetensors"
    file.write_bytes(trained.read_bytes())
    digest = hashlib.sha256(trained.read_bytes()).hexdigest()
    entry = Released(file=file.name, sha256=digest, licence="MIT", summary="Drawn rooms.")
    monkeypatch.setattr(weights.resources, "files", lambda package: tmp_path)
    monkeypatch.setitem(weights.RELEASED, "small", entry)
    assert ssmde.load("small").image_size == SIZE
    with pytest.raises(FileNotFoundError, match=r"a released name .*there are small"):
        ssmde.load("indor-small")
    with pytest.raises(ValueError, match="no weights are called 'outdoor'"):
        weights.released_weights("outdoor")
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(ValueError, match="is not the released file of 'small'"):
        ssmde.load("small")
    file.unlink()
    with pytest.raises(FileNotFoundError, match="missing from this installation"):
        ssmde.load("small")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small").mkdir()
    with pytest.raises(FileNotFoundError, match="it hides the released weights"):
        ssmde.load("small")


@pytest.fixture
def silent(monkeypatch):
    """A hub that takes no connection, as behind a firewall that drops everything."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "PATIENCE", 0.2)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("silent")
def test_a_hub_out_of_reach_is_known_within_the_limit(monkeypatch):
    monkeypatch.setattr(socket, "create_connection", lambda *_: time.sleep(5) or nullcontext())
    start = time.monotonic()
    assert not hub.hub_in_reach()
    assert time.monotonic() - start < 2


@pytest.mark.usefixtures("silent")
def test_out_of_reach_only_the_cache_is_asked_and_for_a_folder_nobody(tmp_path):
    def load(name, *, local_files_only=False):
        assert local_files_only
        if name == "someone/cached":
            return "found"
        raise OSError("not there")

    assert hub.from_hub(load, "someone/cached") == "found"
    assert hub.from_hub(lambda name: f"opened {name}", str(tmp_path)) == f"opened {tmp_path}"
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1 is out of reach, and the cache has"):
        hub.from_hub(load, "someone/else")


@pytest.mark.usefixtures("silent")
def test_a_proxy_is_asked_in_the_place_of_the_hub(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        monkeypatch.setenv("http_proxy", f"127.0.0.1:{proxy.getsockname()[1]}")
        assert hub.hub_in_reach()
