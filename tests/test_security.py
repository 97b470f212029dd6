"""Payloads in files of every kind are not run."""

import json
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from ssmde.config import load_config, read_config
from ssmde.data.images import ImageError, read_depth
from ssmde.data.pseudo_labels import read_pseudo_depth
from ssmde.data.shards import read_pack
from ssmde.datasets.nyuv2 import read_matlab5
from ssmde.inference.loading import load
from ssmde.models.checkpoint import read_tensors, save_weights
from ssmde.models.leres import load_leres
from ssmde.training.checkpoints import AtomicCheckpointIO


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return (Path.touch, (Path(self.marker),))


@pytest.fixture
def marker(tmp_path):
    """The file that a payload makes; it must not be there at the end."""
    path = tmp_path / "marker"
    pickle.loads(pickle.dumps(Payload(path)))
    assert path.exists()  # the payload works
    path.unlink()
    yield path
    assert not path.exists()


WEIGHTS = {
    "own": (load, "w.pth"),
    "encoder": (read_tensors, "w.pt"),
    "sc_depth": (load, "w.ckpt"),
    "monodepth2": (load, "depth.pth"),
    "leres": (load_leres, "leres.pth"),
    "resume": (AtomicCheckpointIO().load_checkpoint, "last.ckpt"),
}


@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_in_weights_is_not_run(tmp_path, marker, kind, zipped):
    read, name = WEIGHTS[kind]
    content = {"state_dict": {"depth_net.decoder.up": torch.zeros(1)}, "x": Payload(marker)}
    for file in (name, "encoder.pth"):
        torch.save(content, tmp_path / file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r"holds more than weights: .* run code|broken") as caught:
        read(tmp_path / name)
    assert "weights_only" not in str(caught.value)  # no advice to run the code
    for file in (name, "encoder.pth"):
        (tmp_path / file).write_bytes((tmp_path / file).read_bytes()[:100])
    with pytest.raises(ValueError, match=r"is damaged or is not a PyTorch file|broken"):
        read(tmp_path / name)


def write_plain_pickle(path, marker):
    path.write_bytes(pickle.dumps(Payload(marker)))


def write_zip(path, marker):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../marker", "x")
        archive.writestr("archive/data.pkl", pickle.dumps(Payload(marker)))


@pytest.mark.parametrize(("name", "write"), [
    ("w.safetensors", write_plain_pickle), ("w.pth", write_plain_pickle), ("w.pth", write_zip),
])  # fmt: skip
def test_a_safetensors_file_holds_no_code(tmp_path, marker, name, write):
    write(tmp_path / name, marker)
    with pytest.raises(ValueError, match=re.escape(name)):
        load(tmp_path / name)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("read", [read_depth, read_pseudo_depth])
def test_a_pickle_in_an_array_is_not_run(tmp_path, marker, suffix, read):
    path = tmp_path / f"depth{suffix}"
    payload = np.array([Payload(marker)], dtype=object)
    np.save(path, payload) if suffix == ".npy" else np.savez(path, depth=payload)
    with pytest.raises(ImageError, match="depth"):
        read(path)


def test_a_matlab_file_gives_numbers_only(tmp_path, marker):
    path = tmp_path / "splits.mat"
    head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    path.write_bytes(head + pickle.dumps(Payload(marker)))
    with pytest.raises(ValueError, match=r"splits\.mat"):
        read_matlab5(path, "testNdxs")


@pytest.mark.parametrize("tag", ["python/object/apply:pathlib.Path.touch", "python/name:os.system"])
def test_a_tag_in_yaml_makes_no_object(tmp_path, marker, tag):
    text = f"name: !!{tag} [{marker}]\n"
    with pytest.raises(yaml.YAMLError):
        load_config(text)
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"config\.yaml: no YAML"):
        read_config(tmp_path / "config.yaml")


@pytest.mark.timeout(60)
def test_a_few_lines_of_yaml_do_not_fill_the_memory(tmp_path):
    lines = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    config = "\n".join(["a0: &a0 [x, x]", *lines])
    head = {"format": "ssmde-depth", "version": "1", "config": config}
    save_weights(tmp_path / "w.safetensors", {"depth_net.a": torch.zeros(1)}, head)
    with pytest.raises(ValueError, match=r"w\.safetensors: its stored conf.* aliases"):
        load(tmp_path / "w.safetensors")


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "train-0/../../secret"])
def test_a_pack_reads_no_file_outside_of_it(tmp_path, name):
    np.savez(tmp_path / "secret.npz", a=np.zeros(1))
    root = tmp_path / "pack"
    root.mkdir()
    np.savez(root / "frames.npz", a=np.zeros(1))
    scene = {"name": "a", "split": "train", "frames": 1}
    about = {"format": "ssmde-pack", "version": 1, "scenes": [scene], "shards": [f"train-{name}"]}
    (root / "pack.json").write_text(json.dumps(about))
    with pytest.raises(ValueError, match="names a file outside of it"):
        read_pack(root, "train")


def test_of_the_hub_only_safetensors_is_fetched(tmp_path, monkeypatch, marker):
    import huggingface_hub

    asked = []

    def fetch(repository, name, **_):
        asked.append(name)
        torch.save({"x": Payload(marker)}, tmp_path / name)
        return tmp_path / name

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        load("hf:somebody/weights", trust=True)
    assert asked == ["model.safetensors"]
