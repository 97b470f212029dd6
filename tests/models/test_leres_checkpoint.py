"""Weights of LeReS: every layout in circulation, no code from the file, faults by their name."""

import os

import pytest
import torch
from safetensors.torch import save_file

from ssmde.models.leres import LeReS
from ssmde.models.leres_checkpoint import find_backbone, load_leres, network_tensors

COUNTER = "num_batches_tracked"
NAME = "decoder_modules.ffm1.ftb2.conv1.weight"


def make_state(backbone="resnet50", prefix="depth_model."):
    """State dict of the official layout; tensor i is full of i, and takes no room."""
    with torch.device("meta"):
        shapes = {key: (t.shape, t.dtype) for key, t in LeReS(backbone).state_dict().items()}
    return {
        prefix + key: torch.tensor(i, dtype=dtype).expand(shape)
        for i, (key, (shape, dtype)) in enumerate(shapes.items())
    }


def save(path, content):
    torch.save(content, path)
    return path


def check_values(net):
    """Every tensor must hold its number, at both ends."""
    for i, (key, tensor) in enumerate(net.state_dict().items()):
        ends = tensor.flatten()[[0, -1]].tolist()
        assert ends == [i, i], key


def wrap(layout, state):
    """The dict that a file of this origin holds."""
    if layout == "official":
        return {"depth_model": state, "shift_model": {}, "focal_model": {}}
    if layout == "self-trained":
        optimiser = {"state": {}, "param_groups": [{"lr": 0.001}]}
        return {"step": 7, "val_err": {}, "model_state_dict": state, "optimizer": optimiser}
    return state


@pytest.mark.parametrize("module", ["", "module."])
@pytest.mark.parametrize("layout", ["official", "self-trained", "bare"])
@pytest.mark.parametrize(("backbone", "number"), [("resnet50", 406), ("resnext101", 712)])
def test_every_layout_gives_the_tensors_of_the_network(backbone, number, layout, module):
    state = make_state(backbone, prefix="")
    given = {f"{module}depth_model.{key}": value for key, value in state.items()}
    if layout == "self-trained":
        given[f"{module}depth_model.auxi_modules.conv.weight"] = torch.ones(2)
        given[f"{module}losses.weight"] = torch.ones(1)
    tensors = network_tensors(wrap(layout, given), origin="file")
    assert len(tensors) == number
    assert list(tensors) == list(state)
    assert all(tensors[key] is value for key, value in state.items())
    assert find_backbone(tensors, origin="file") == backbone


@pytest.mark.parametrize(("layout", "module"), [("official", "module."), ("self-trained", "")])
def test_a_file_of_406_tensors_becomes_a_resnet50_in_evaluation_mode(tmp_path, layout, module):
    state = make_state(prefix=f"{module}depth_model.")
    net = load_leres(save(tmp_path / "res50.pth", wrap(layout, state)))
    check_values(net)
    assert not any(module.training for module in net.modules())
    assert {t.device.type for t in net.state_dict().values()} == {"cpu"}


def test_a_file_of_712_tensors_becomes_a_resnext101(tmp_path):
    net = load_leres(save(tmp_path / "res101.pth", wrap("official", make_state("resnext101"))))
    assert net.encoder_modules["encoder"].layer3[22].conv2.groups == 32
    check_values(net)


def test_a_file_from_before_pytorch_1_6_is_read(tmp_path):
    path = tmp_path / "old.pth"
    state = {key: t for key, t in make_state().items() if not key.endswith(COUNTER)}
    torch.save({"depth_model": state}, path, _use_new_zipfile_serialization=False)
    found = load_leres(path).state_dict()
    assert found[NAME].flatten()[0] == state[f"depth_model.{NAME}"].flatten()[0]
    assert all(t == 0 for key, t in found.items() if key.endswith(COUNTER))


def test_a_safetensors_file_of_half_precision_becomes_float32(tmp_path):
    state = {
        key: torch.ones(t.shape, dtype=torch.half) if t.is_floating_point() else t.clone()
        for key, t in make_state(prefix="").items()
    }
    save_file(state, tmp_path / "leres.safetensors")
    net = load_leres(tmp_path / "leres.safetensors")
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    assert all((p == 1).all() for p in net.decoder_modules.outconv.parameters())


# Refusals


def test_a_missing_weight_is_named_with_the_file(tmp_path):
    state = make_state()
    del state[f"depth_model.{NAME}"]
    path = save(tmp_path / "short.pth", {"depth_model": state})
    with pytest.raises(ValueError, match=rf"short\.pth does not fit this LeReS: missing: {NAME}$"):
        load_leres(path)


def test_an_unknown_weight_and_a_wrong_shape_are_named(tmp_path):
    state = {**make_state(), "depth_model.extra.weight": torch.ones(2)}
    state[f"depth_model.{NAME}"] = torch.ones(256, 128, 3, 3)
    message = (
        rf"unexpected: extra\.weight; wrong shape: {NAME} is \(256, 128, 3, 3\) "
        r"instead of \(256, 256, 3, 3\)"
    )
    with pytest.raises(ValueError, match=message):
        load_leres(save(tmp_path / "other.pth", state))


def test_only_one_module_prefix_is_taken_off():
    content = make_state(prefix="module.module.depth_model.")
    tensors = network_tensors(content, origin="file")
    assert all(key.startswith("module.depth_model.") for key in tensors)
    with pytest.raises(ValueError, match="file is no LeReS depth network"):
        find_backbone(tensors, origin="file")


def test_a_number_of_blocks_that_leres_does_not_have_is_refused():
    tensors = {f"encoder_modules.encoder.layer3.{i}.bn1.bias": torch.ones(1) for i in range(36)}
    message = r"file is no LeReS .* 6 \(resnet50\) or 23 \(resnext101\) blocks, got 36; it holds e"
    with pytest.raises(ValueError, match=message):
        find_backbone(tensors, origin="file")
    with pytest.raises(ValueError, match="got 0; it holds nothing"):
        find_backbone({}, origin="file")


@pytest.mark.parametrize("content", [[torch.ones(1)], torch.ones(1), {"depth_model": 3}])
def test_what_is_no_dict_is_refused(content):
    with pytest.raises(ValueError, match="file must hold tensors by key, got a"):
        network_tensors(content, origin="file")


def test_a_dict_with_more_than_tensors_is_refused_with_the_keys():
    content = {"shift_model": {"a": torch.ones(1)}, "epoch": 3}
    with pytest.raises(ValueError, match="'model_state_dict', got also shift_model, epoch"):
        network_tensors(content, origin="file")


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("as_zip", [True, False])
def test_code_in_a_file_is_refused_by_its_name_and_not_run(tmp_path, as_zip):
    path = tmp_path / "stranger.pth"
    content = {"depth_model": make_state(), "scheduler": Bomb(tmp_path / "made by the file")}
    torch.save(content, path, _use_new_zipfile_serialization=as_zip)
    with pytest.raises(ValueError, match=r"stranger\.pth holds more than weights: .*\.mkdir") as e:
        load_leres(path)
    assert "weights_only" not in str(e.value)  # no advice to run the code
    assert os.listdir(tmp_path) == ["stranger.pth"]


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
@pytest.mark.parametrize("as_zip", [True, False])
def test_a_truncated_file_is_refused(tmp_path, share, as_zip):
    path = tmp_path / "half.pth"
    torch.save({"depth_model": make_state()}, path, _use_new_zipfile_serialization=as_zip)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"half\.pth is damaged"):
        load_leres(path)


def test_a_web_page_saved_in_place_of_the_weights_is_refused(tmp_path):
    path = tmp_path / "res101.pth"
    path.write_text("<!DOCTYPE html><html>quota exceeded</html>")
    with pytest.raises(ValueError, match=r"res101\.pth is damaged or is not a PyTorch file"):
        load_leres(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"res50\.pth: no such file of weights"):
        load_leres(tmp_path / "res50.pth")
    with pytest.raises(ValueError, match="is a folder"):
        load_leres(tmp_path)
