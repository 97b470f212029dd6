"""Encoder weights from every door, with a message where they do not fit; frozen statistics."""

import copy
import importlib.util
from pathlib import Path

import huggingface_hub
import pytest
import safetensors.torch
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from torch.testing import assert_close

from ssmde.models.efficientnet_lite import KEYS_LEFT_OUT
from ssmde.models.encoder import ENCODERS, build_encoder, freeze_batch_norm, normalise_image
from ssmde.models.load import save_weights
from ssmde.models.resnet import resnet18


@pytest.fixture(scope="module")
def imagenet_like():
    """What torchvision's file holds: the encoder, and a classifier nobody needs here."""
    torch.manual_seed(0)
    classifier = {"fc.weight": torch.rand(1000, 512), "fc.bias": torch.rand(1000)}
    return {**resnet18().state_dict(), **classifier}


def assert_same_weights(net, tensors):
    for key, value in net.state_dict().items():
        assert_close(value, tensors[key], rtol=0, atol=0)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt"])
def test_a_torchvision_file_loads_and_its_classifier_is_left_out(tmp_path, imagenet_like, suffix):
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_weights(path, imagenet_like, {})
    else:
        torch.save(imagenet_like, path)
    assert_same_weights(build_encoder("resnet18", str(path)), imagenet_like)


def test_a_file_without_batch_counters_loads(tmp_path, imagenet_like):
    path = tmp_path / "old.safetensors"
    old = {k: v for k, v in imagenet_like.items() if not k.endswith("num_batches_tracked")}
    save_weights(path, old, {})
    assert_same_weights(build_encoder("resnet18", str(path)), imagenet_like)


def test_two_equal_images_give_the_features_of_one(tmp_path, imagenet_like):
    path = tmp_path / "weights.safetensors"
    save_weights(path, imagenet_like, {})
    one = build_encoder("resnet18", str(path)).eval()
    two = build_encoder("resnet18", str(path), in_images=2).eval()
    assert_close(two.conv1.weight, torch.cat([one.conv1.weight, one.conv1.weight], 1) / 2)
    image = torch.rand(1, 3, 64, 64)
    for a, b in zip(one(image), two(torch.cat([image, image], 1)), strict=True):
        assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_weights_for_two_images_load_as_they_are(tmp_path):
    net = resnet18(in_images=2)
    save_weights(tmp_path / "pose.safetensors", net.state_dict(), {})
    loaded = build_encoder("resnet18", str(tmp_path / "pose.safetensors"), in_images=2)
    assert_same_weights(loaded, net.state_dict())


def test_a_missing_an_unexpected_and_a_misshapen_key_are_named_with_the_file(
    tmp_path, imagenet_like
):
    path = tmp_path / "broken.safetensors"
    tensors = {**imagenet_like, "layer5.weight": torch.zeros(1), "bn1.bias": torch.zeros(63)}
    del tensors["layer3.1.conv2.weight"]
    save_weights(path, tensors, {})
    with pytest.raises(ValueError, match="does not fit this ResNet") as caught:
        build_encoder("resnet18", str(path))
    message = str(caught.value)
    assert str(path) in message
    assert "missing: layer3.1.conv2.weight;" in message
    assert "unexpected: layer5.weight;" in message
    assert "wrong shape: bn1.bias is (63,) instead of (64,)" in message


def test_weights_of_another_encoder_are_refused_in_a_short_message(tmp_path, imagenet_like):
    path = tmp_path / "resnet18.safetensors"
    save_weights(path, imagenet_like, {})
    with pytest.raises(ValueError, match="in all") as caught:
        build_encoder("resnet50", str(path))
    assert len(str(caught.value)) < 1000


def test_a_file_that_does_not_exist_is_refused_with_the_four_choices():
    with pytest.raises(
        FileNotFoundError, match=r"'none', 'hub', 'imagenet' or a file .* got 'image-net'"
    ):
        build_encoder("resnet18", "image-net")


def test_imagenet_weights_come_out_of_the_installed_package():
    package = ENCODERS["efficientnet_lite0"].package
    folder = importlib.util.find_spec(package.module).submodule_search_locations[0]
    published = torch.load(Path(folder) / package.file, weights_only=True)
    kept = {k: v for k, v in published.items() if not k.startswith(KEYS_LEFT_OUT)}
    net = build_encoder("efficientnet_lite0", "imagenet")
    assert set(net.state_dict()) == set(kept)
    assert_same_weights(net, kept)


def test_two_equal_images_give_the_features_of_one_in_efficientnet_too():
    one = build_encoder("efficientnet_lite0", "imagenet").eval()
    two = build_encoder("efficientnet_lite0", "imagenet", in_images=2).eval()
    image = torch.rand(1, 3, 64, 64)
    for a, b in zip(one(image), two(torch.cat([image, image], 1)), strict=True):
        assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_a_resnet_has_no_imagenet_package_and_says_what_it_takes():
    with pytest.raises(ValueError, match=r"resnet18; give a file .*--model\.pretrained FILE"):
        build_encoder("resnet18", "imagenet")


def test_an_efficientnet_is_not_looked_for_on_the_hub():
    with pytest.raises(ValueError, match=r"--model\.pretrained imagenet"):
        build_encoder("efficientnet_lite1", "hub")


def test_a_missing_package_is_answered_with_the_line_for_pip(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'ssmde\[imagenet\]'"):
        build_encoder("efficientnet_lite0", "imagenet")


def test_a_file_of_the_package_that_was_changed_is_refused(tmp_path, monkeypatch):
    package = ENCODERS["efficientnet_lite0"].package
    (tmp_path / package.module / "models").mkdir(parents=True)
    (tmp_path / package.module / "__init__.py").touch()
    (tmp_path / package.module / package.file).write_bytes(b"other")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    with pytest.raises(ValueError, match="is not the published file: its SHA-256 is"):
        build_encoder("efficientnet_lite0", "imagenet")


def test_an_unknown_encoder_is_refused_with_the_closest_name():
    with pytest.raises(
        ValueError, match="unknown encoder 'resnet-18': closest match is 'resnet18'"
    ):
        build_encoder("resnet-18")


@pytest.mark.parametrize("name", ["resnet18", "resnet34"])
def test_the_hub_is_asked_for_the_weights_of_this_encoder(
    tmp_path, imagenet_like, monkeypatch, name
):
    asked = []

    def download(repository, file):
        asked.append((repository, file))
        path = tmp_path / file
        safetensors.torch.save_file(imagenet_like, path)
        return str(path)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    if name == "resnet18":
        assert_same_weights(build_encoder(name, "hub"), imagenet_like)
    else:
        with pytest.raises(ValueError, match=r"model\.safetensors does not fit"):
            build_encoder(name, "hub")
    assert asked == [(f"timm/{name}.tv_in1k", "model.safetensors")]


@pytest.mark.parametrize(
    "error",
    [
        LocalEntryNotFoundError("no connection"),
        ConnectionError("offline mode"),
        RuntimeError("some client's own error\nwith details"),
    ],
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


def test_images_are_normalised_by_one_mean_and_one_spread():
    image = torch.tensor([0.45, 0.675, 0.225]).view(1, 3, 1, 1)
    assert_close(normalise_image(image).flatten(), torch.tensor([0.0, 1.0, -1.0]))


def test_frozen_statistics_stay_in_training_while_the_weights_learn():
    net = resnet18()
    freeze_batch_norm(net)
    before = copy.deepcopy(net.state_dict())
    net.train()
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    net(torch.rand(2, 3, 32, 32))[-1].mean().backward()
    optimiser.step()
    after = net.state_dict()
    for key in before:
        is_statistic = "running" in key or "tracked" in key
        assert torch.equal(before[key], after[key]) == is_statistic, key


def test_freezing_keeps_keys_parameters_and_outcome_of_evaluation():
    net = resnet18()
    net(torch.rand(2, 3, 32, 32))  # moves the statistics
    net.eval()
    image = torch.rand(1, 3, 32, 32)
    keys, parameters, maps = list(net.state_dict()), list(net.parameters()), net(image)
    freeze_batch_norm(net)
    assert list(net.state_dict()) == keys
    assert all(a is b for a, b in zip(net.parameters(), parameters, strict=True))
    for frozen, before in zip(net(image), maps, strict=True):
        assert_close(frozen, before)


def test_a_deep_copy_of_a_frozen_network_is_frozen():
    net = resnet18()
    freeze_batch_norm(net)
    twin = copy.deepcopy(net).train()
    assert not any(m.training for m in twin.modules() if isinstance(m, torch.nn.BatchNorm2d))


def test_a_network_without_published_weights_says_so():
    with pytest.raises(ValueError, match="no ImageNet weights of 'resnet18_half'"):
        build_encoder("resnet18_half", "hub")
