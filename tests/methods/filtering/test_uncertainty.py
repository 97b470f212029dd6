"""The small network: bounds, start, gradients, and that it learns where the teacher is wrong."""

import pytest
import torch
from torch.testing import assert_close

from mask_scene import draw_scene
from ssmde.methods.filtering.evidence import Evidence, gather_evidence
from ssmde.methods.filtering.uncertainty import UncertaintyNet


def maps(*, sources: int = 2, size: tuple[int, int] = (9, 11)):
    """Random findings of the shapes the network reads."""
    one, many = (2, 1, *size), (2, sources, *size)
    evidence = Evidence(
        torch.rand(many) > 0.2,
        torch.rand(many) * 0.4 - 0.2,
        torch.rand(many),
        torch.rand(many),
        torch.rand(many),
    )
    return evidence, torch.rand(one) + 1, torch.rand(one), torch.rand(one) > 0.3


def test_the_network_starts_with_trust_in_the_whole_static_region():
    evidence, depth, flip, static = maps()
    said = UncertaintyNet(2)(evidence, depth, flip, static)
    assert torch.equal(said.log_scale, torch.zeros_like(depth))
    assert torch.equal(said.weight, static.to(depth))


@pytest.mark.parametrize("sources", [1, 2, 3, 4])
def test_log_scale_and_weight_stay_in_their_ranges(sources):
    network = UncertaintyNet(sources)
    torch.nn.init.normal_(network.layers[-1].weight, std=5.0)
    evidence, depth, flip, static = maps(sources=sources)
    said = network(evidence, depth, flip, torch.ones_like(static))
    assert said.log_scale.abs().max() <= 3
    assert said.log_scale.std() > 1
    # exp(-b), the largest of each image made 1
    relative = torch.exp(-said.log_scale)
    assert_close(said.weight, relative / relative.amax((1, 2, 3), keepdim=True))
    assert (network(evidence, depth, flip, static).weight[~static] == 0).all()


def test_gradients_reach_every_parameter_and_no_input():
    network = UncertaintyNet(2)
    torch.nn.init.normal_(network.layers[-1].weight)
    evidence, depth, flip, static = maps()
    depth.requires_grad_()
    said = network(evidence, depth, flip, static)
    for part in said:
        network.zero_grad()
        part.square().sum().backward(retain_graph=True)
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
    assert depth.grad is None


def test_depth_that_is_no_depth_gives_no_nan():
    evidence, depth, flip, static = maps()
    depth[0, 0, :4, 0] = torch.tensor([torch.nan, torch.inf, 0.0, -1.0])
    evidence.depth_difference[0, 0, 0, :2] = torch.tensor([-1.0, 1.0])  # rounded: very far apart
    network = UncertaintyNet(2)
    torch.nn.init.normal_(network.layers[-1].weight)
    said = network(evidence, depth, flip, static)
    assert said.weight.isfinite().all()
    said.log_scale.sum().backward()
    assert all(p.grad.isfinite().all() for p in network.parameters())


def test_another_number_of_sources_is_refused():
    with pytest.raises(ValueError, match="built for 2 sources, got 3"):
        UncertaintyNet(2)(*maps(sources=3))


def test_the_network_learns_where_the_teacher_is_wrong():
    scene = draw_scene("lateral", height=48, width=64)
    depth = scene.inputs.depth
    error = (depth.log() - scene.depth.log()).abs()
    evidence, flip = gather_evidence(scene.inputs), torch.ones_like(depth)
    network = UncertaintyNet(2)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(80):
        log_scale = network(evidence, depth, flip, flip > 0).log_scale
        loss = (error * torch.exp(-log_scale) + log_scale).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    best_constant = error.mean().log() + 1
    assert loss < best_constant - 0.05
    wrong = error > 0.2
    assert log_scale[wrong].mean() > log_scale[~wrong].mean() + 0.2


def test_a_log_scale_at_its_end_can_still_turn_back():
    network = UncertaintyNet(2)
    torch.nn.init.constant_(network.layers[-1].bias, -50.0)
    network(*maps()).log_scale.mean().backward()
    assert network.layers[-1].bias.grad > 0
