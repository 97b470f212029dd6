"""Files of weights: a round trip, no half-written file, no code from a stranger's file."""

import os
import pickle
from unittest.mock import Mock

import pytest
import torch
from torch.testing import assert_close

from ssmde.models.checkpoint import load_weights_into, read_tensors, read_weights, save_weights


def make_tensors(value=1.0):
    return {"depth_net.a": torch.full((2, 3), value), "depth_net.n": torch.tensor(7)}


def test_what_was_saved_is_read_back_also_turned_shared_and_learning_tensors(tmp_path):
    path = tmp_path / "new folder" / "weights.safetensors"
    weight = torch.nn.Parameter(torch.rand(3, 4))
    tensors = {"turned": weight.t(), "same": weight, "again": weight, "part": weight[1:]}
    tensors |= {"whole": torch.tensor(7)}
    save_weights(path, tensors, {"format": "ssmde-depth", "config": "a: 1\nb: ü\n"})
    found, metadata = read_weights(path)
    assert metadata == {"format": "ssmde-depth", "config": "a: 1\nb: ü\n"}
    assert set(found) == set(tensors)
    for key, value in tensors.items():
        assert_close(found[key], value.detach(), rtol=0, atol=0)


def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "weights.safetensors"
    save_weights(path, make_tensors(1.0), {})
    full = Mock(side_effect=OSError(28, "No space left on device"))
    monkeypatch.setattr("ssmde.io.os.fsync", full)
    with pytest.raises(OSError, match="cannot write weights") as caught:
        save_weights(path, make_tensors(2.0), {})
    assert f"No space left on device: '{path}'" in str(caught.value)
    assert os.listdir(tmp_path) == ["weights.safetensors"]
    assert read_weights(path)[0]["depth_net.a"][0, 0] == 1


@pytest.mark.parametrize("read", [read_weights, read_tensors])
def test_a_missing_file_a_folder_and_a_folder_that_cannot_be_made_are_named(tmp_path, read):
    with pytest.raises(FileNotFoundError, match=r"nothing\.safetensors: no such file of weights"):
        read(tmp_path / "nothing.safetensors")
    with pytest.raises(ValueError, match="is a folder"):
        read(tmp_path)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="cannot write weights"):
        save_weights(tmp_path / "file" / "weights.safetensors", make_tensors(), {})


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, pickle.dumps({"a": 1}), None])
def test_what_is_no_file_of_weights_or_cut_off_is_refused_with_its_name(tmp_path, content):
    path = tmp_path / "weights.safetensors"
    save_weights(path, make_tensors(), {})
    path.write_bytes(path.read_bytes()[:-4] if content is None else content)
    with pytest.raises(ValueError, match=r"weights\.safetensors is not a whole safetensors file"):
        read_weights(path)
    with pytest.raises(ValueError, match=r"broken\.pth is damaged or is not a PyTorch file"):
        read_tensors(path.rename(tmp_path / "broken.pth"))


def test_a_fault_is_named_with_its_full_key_and_changes_nothing():
    net = torch.nn.Linear(2, 1)
    load_weights_into(net, {"weight": torch.ones(1, 2), "bias": torch.zeros(1)})
    before = net.weight.clone()
    tensors = {"x.weight": torch.ones(1, 2), "x.bias": torch.zeros(5), "x.extra": torch.zeros(1)}
    with pytest.raises(ValueError, match=r"run\.ckpt does not fit this Linear") as caught:
        load_weights_into(net, tensors, "x.", origin="run.ckpt")
    assert "unexpected: x.extra; wrong shape: x.bias is (5,) instead of (1,)" in str(caught.value)
    assert_close(net.weight, before, rtol=0, atol=0)
    with pytest.raises(ValueError, match=r"missing: z\.weight, z\.bias"):
        load_weights_into(net, tensors, "z.")
