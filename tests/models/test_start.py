"""First weights from another run: all of the depth network, and the pose network where it fits."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from ssmde.config import Config, ModelConfig, dump_config
from ssmde.models.depth_net import DepthNet
from ssmde.models.load import save_weights
from ssmde.models.pose_net import build_pose_net
from ssmde.models.start import follow_start, load_start
from ssmde.models.stored import WEIGHTS_FORMAT, WEIGHTS_VERSION


def make_networks(seed, encoder="resnet18_half", pose="posecnn"):
    torch.manual_seed(seed)
    return DepthNet(encoder=encoder), build_pose_net(pose)


def keep(path, *networks):
    named = zip(("depth_net", "pose_net"), networks, strict=False)
    save_weights(path, {f"{n}.{k}": v for n, net in named for k, v in net.state_dict().items()}, {})


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


@pytest.mark.parametrize("place", ["weights.safetensors", "run/best.safetensors"])
def test_both_networks_begin_where_the_file_ends(tmp_path, place):
    trained, fresh = make_networks(0), make_networks(1)
    keep(tmp_path / place, *trained)
    load_start(str((tmp_path / place).parent if "run" in place else tmp_path / place), *fresh)
    assert same(fresh[0], trained[0])
    assert same(fresh[1], trained[1])


@pytest.mark.parametrize("pose", [None, "resnet18"])
def test_a_pose_network_that_does_not_fit_stays_as_it_was(tmp_path, pose):
    trained, fresh = make_networks(0, pose=pose or "posecnn"), make_networks(1)
    before = {k: v.clone() for k, v in fresh[1].state_dict().items()}
    keep(tmp_path / "w.safetensors", *(trained if pose else trained[:1]))
    load_start(str(tmp_path / "w.safetensors"), *fresh)
    assert same(fresh[0], trained[0])
    assert_close(fresh[1].state_dict(), before, rtol=0, atol=0)


def test_half_precision_becomes_full(tmp_path):
    trained, fresh = make_networks(0), make_networks(1)
    keep(tmp_path / "w.safetensors", trained[0].half())
    load_start(str(tmp_path / "w.safetensors"), *fresh)
    assert {p.dtype for p in fresh[0].parameters()} == {torch.float32}
    assert_close(fresh[0].state_dict(), trained[0].float().state_dict(), rtol=0, atol=0)


def test_weights_of_another_network_are_refused(tmp_path):
    keep(tmp_path / "w.safetensors", DepthNet())
    with pytest.raises(ValueError, match=r"model.start .*wrong shape"):
        load_start(str(tmp_path / "w.safetensors"), *make_networks(0))


def test_nothing_there_says_what_may_stand_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"model\.start 'indoor-smal': .*a released name"):
        load_start("indoor-smal", *make_networks(0))
    with pytest.raises(FileNotFoundError, match="holds neither best"):
        load_start(str(tmp_path), *make_networks(0))


def begin(tmp_path, given=ModelConfig(encoder="resnet18_half"), **model):  # noqa: B008
    """A run that begins with weights of a network, whose own configuration travels with them."""
    head = {"format": WEIGHTS_FORMAT, "version": WEIGHTS_VERSION}
    file = tmp_path / "w.safetensors"
    save_weights(file, {"x": torch.zeros(1)}, head | {"config": dump_config(Config(model=given))})
    return follow_start(Config(model=ModelConfig(start=str(file), **model))).model


def test_the_network_is_that_of_the_weights(tmp_path):
    given = ModelConfig(encoder="resnet18_half", upsampling="bilinear", depth_range=(2.0, 80.0))
    got = begin(tmp_path, given)
    assert (got.encoder, got.upsampling) == ("resnet18_half", "bilinear")
    assert got.depth_range == (2.0, 80.0)


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


def test_without_a_start_nothing_changes():
    config = Config()
    assert follow_start(config) is config


def test_a_start_without_a_description_is_refused(tmp_path):
    keep(tmp_path / "w.safetensors", make_networks(0)[0])
    model = replace(Config().model, start=str(tmp_path / "w.safetensors"))
    with pytest.raises(ValueError, match="holds no depth network of this project"):
        follow_start(Config(model=model))
