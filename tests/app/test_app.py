"""The door of the page: weights, limits, and a Gradio that is not there."""

import sys
from pathlib import Path

import pytest
import torch

import ssmde.app
from ssmde.app import app, load_all, may_train
from ssmde.cli import main
from ssmde.inference import Predictor
from tiny_networks import write_random_weights


@pytest.mark.parametrize(
    ("paths", "names"),
    [(["runs/a"], ["a"]), (["runs/a", "runs/b"], ["a", "b"]),
     (["x/run", "y/run"], ["x/run", "y/run"]), (["run", "x/run"], None),
     (["runs/a", "runs/a"], ["a"])],
)  # fmt: skip
def test_weights_have_short_names_that_differ(tmp_path, monkeypatch, paths, names):
    network = torch.nn.Identity()
    monkeypatch.setattr(ssmde.app, "load", lambda p: Predictor(network, (32, 32), source=str(p)))
    monkeypatch.chdir(tmp_path)
    found = load_all(paths)
    assert len(found) == len({Path(path).resolve() for path in paths})
    assert all(found[name].source.endswith(f"/{name}") for name in found)
    if names is not None:
        assert list(found) == names


@pytest.mark.parametrize(("limits", "message"), [
    ({"max_upload_mb": 0}, "max_upload_mb must be at least 1, got 0"),
    ({"port": 0}, "port must be in"), ({"port": 65536}, "port must be in"),
    ({"weights": "no"}, "no: no such file"),
])  # fmt: skip
def test_wrong_weights_and_limits_are_refused_before_anything_is_served(limits, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        app(**limits)


@pytest.mark.parametrize(
    ("host", "share", "trains"),
    [("127.0.0.1", False, True), ("localhost", False, True), ("0.0.0.0", False, False),
     ("127.0.0.1", True, False)],
)  # fmt: skip
def test_only_who_sits_at_this_machine_can_train(host, share, trains):
    assert may_train(host, share=share) == trains


def test_without_gradio_the_command_says_what_to_install(tmp_path, monkeypatch, capsys):
    write_random_weights(tmp_path / "w.safetensors")
    monkeypatch.delitem(sys.modules, "ssmde.app.page", raising=False)
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main(["app", str(tmp_path / "w.safetensors")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("ssmde app: error: the page needs gradio, which is not installed")
    assert said.endswith("): pip install 'ssmde[app]'\n")
    assert said.count("\n") == 1
