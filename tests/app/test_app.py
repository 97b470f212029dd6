"""The door of the page: weights, limits, and a Gradio that is not there."""

import sys
from pathlib import Path

import pytest
import torch

import ssmde.app
from ssmde.app import load_all, may_train, serve
from ssmde.cli import main
from ssmde.inference import Predictor
from tiny_networks import write_random_weights


@pytest.fixture
def loaded(monkeypatch):
    network = torch.nn.Identity()
    monkeypatch.setattr(ssmde.app, "load", lambda p: Predictor(network, (32, 32), source=str(p)))


@pytest.mark.parametrize(
    ("paths", "names"),
    [(["runs/a"], ["a"]), (["runs/a", "runs/b"], ["a", "b"]),
     (["x/run", "y/run"], ["x/run", "y/run"]), (["run", "x/run"], None),
     (["runs/a", "runs/a"], ["a"])],
)  # fmt: skip
def test_weights_have_short_names_that_differ(loaded, tmp_path, monkeypatch, paths, names):
    monkeypatch.chdir(tmp_path)
    found = load_all(paths)
    assert len(found) == len({Path(path).resolve() for path in paths})
    assert all(found[name].source.endswith(f"/{name}") for name in found)
    if names is not None:
        assert list(found) == names


def test_wrong_weights_and_limits_are_refused_before_anything_is_served(tmp_path):
    with pytest.raises(ValueError, match="at least one weights file"):
        load_all([])
    with pytest.raises(FileNotFoundError, match=r"no such file.*run"), serve(tmp_path / "no"):
        pass
    for limits in ({"max_upload_mb": 0}, {"queue": 0}):
        with pytest.raises(ValueError, match="limits must be 1 or more"), serve(tmp_path, **limits):
            pass
    for port in (0, 65536):
        with pytest.raises(ValueError, match=r"port must be in"), serve(tmp_path, port=port):
            pass


@pytest.mark.parametrize(
    ("host", "share", "allowed", "trains"),
    [("127.0.0.1", False, (), True), ("localhost", False, (), True), ("0.0.0.0", False, (), False),
     ("127.0.0.1", True, (), False), ("127.0.0.1", False, ("depth.example.org",), False)],
)  # fmt: skip
def test_only_who_sits_at_this_machine_can_train(host, share, allowed, trains):
    assert may_train(host, share=share, allowed_host=allowed) == trains


def test_without_gradio_the_command_says_what_to_install(tmp_path, monkeypatch, capsys):
    write_random_weights(tmp_path / "w.safetensors")
    monkeypatch.delitem(sys.modules, "ssmde.app.page", raising=False)
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main(["app", str(tmp_path / "w.safetensors")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("ssmde app: error: the page needs gradio, which is not installed")
    assert said.endswith("): pip install 'ssmde[app]'\n")
    assert said.count("\n") == 1
