"""Features that are computed again: the same gradients and statistics, and less kept."""

import torch
from torch.testing import assert_close

from ssmde.models.depth_net import DepthNet
from ssmde.models.encoder import freeze_batch_norm
from ssmde.training.memory import recompute_activations


def kept_bytes_of_a_step(net: DepthNet, images: torch.Tensor) -> int:
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        net(images).log().mean().backward()
    return sum(kept.values())


def test_gradients_and_statistics_stay_the_same_and_less_is_kept():
    images = torch.rand(2, 3, 64, 64)
    plain, sparing = DepthNet(), DepthNet()
    sparing.load_state_dict(plain.state_dict())
    recompute_activations(sparing)
    assert sparing.state_dict().keys() == plain.state_dict().keys()
    much, little = (kept_bytes_of_a_step(net, images) for net in (plain, sparing))
    weights = sum(p.numel() * 4 for p in plain.parameters())
    assert little - weights < 0.6 * (much - weights)
    gradients = [{n: p.grad for n, p in net.named_parameters()} for net in (plain, sparing)]
    assert_close(*gradients)
    assert_close(dict(plain.named_buffers()), dict(sparing.named_buffers()))
    assert sparing.encoder.layer1[0].bn1.momentum == 0.1


def test_frozen_statistics_are_still_those_that_normalise():
    images = torch.rand(2, 3, 32, 32)
    plain, sparing = DepthNet(), DepthNet()
    sparing.load_state_dict(plain.state_dict())
    for net in (plain, sparing):
        freeze_batch_norm(net)
    recompute_activations(sparing)
    for net in (plain, sparing):
        net(images).log().mean().backward()
    found, expected = (net.encoder.conv1.weight.grad for net in (sparing, plain))
    assert_close(found, expected)


def test_a_prediction_is_not_computed_twice():
    net, calls = DepthNet().eval(), []
    net.encoder.layer1[0].conv1.register_forward_hook(lambda *_: calls.append(1))
    recompute_activations(net)
    with torch.no_grad():
        net(torch.rand(1, 3, 32, 32))
    assert len(calls) == 1
