"""ResNet, EfficientNet-Lite0 and PoseCNN: published names, counts and arithmetic."""

import hashlib
from itertools import pairwise

import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet
from torch.testing import assert_close

from ssmde.geometry.camera import axis_angle_to_matrix
from ssmde.models import pose_net
from ssmde.models.efficientnet_lite import EfficientNetLite
from ssmde.models.pose_net import PoseCNN
from ssmde.models.resnet import BasicBlock, ResNet, resnet18, resnet34, resnet50, resnext101


@pytest.mark.parametrize(
    ("build", "parameters", "digest"),
    [
        # torchvision's documented counts, less the classifier of 1000 classes
        (resnet18, 11_689_512 - 513_000, "cd7fa2f1b4e08291"),
        (resnet34, 21_797_672 - 513_000, "84f0e50d06849d35"),
        (resnet50, 25_557_032 - 2_049_000, "b4d8c5f6636b6c6f"),
        (resnext101, 88_791_336 - 2_049_000, "747d1acaf4d99992"),
    ],
)
def test_names_order_and_count_of_parameters_are_torchvisions(build, parameters, digest):
    with torch.device("meta"):
        net = build()
    names = "\n".join(net.state_dict()).encode()
    assert hashlib.sha256(names).hexdigest().startswith(digest)
    assert sum(p.numel() for p in net.parameters()) == parameters


def test_convolutions_start_with_the_spread_of_he_et_al_and_no_map_changes_after_it_was_made():
    net = ResNet(BasicBlock, (1, 1, 1, 1)).eval()
    last = net.layer4[0]  # 512 x 512 x 3 x 3: enough to measure
    for weight, spread in ((last.conv2.weight, 512 * 9), (last.downsample[0].weight, 512)):
        assert_close(weight.std().item(), (2 / spread) ** 0.5, rtol=0.01, atol=0)
    seen = []
    net.layer1.register_forward_hook(lambda _m, _i, out: seen.append(out.clone()))
    maps = net(torch.randn(1, 3, 32, 32))
    assert_close(maps[1], seen[0])
    assert all((m >= 0).all() for m in maps)


# EfficientNet-Lite0, held against an independent implementation


def oracle_maps(oracle: EfficientNet, image: torch.Tensor) -> list[torch.Tensor]:
    """What comes out of the last block of each size."""
    x = oracle._swish(oracle._bn0(oracle._conv_stem(image)))
    outputs = []
    for block in oracle._blocks:
        x = block(x)
        outputs.append(x)
    last_of_a_size = [a for a, b in pairwise(outputs) if a.shape[-1] != b.shape[-1]]
    return [*last_of_a_size, outputs[-1]]


def test_the_weights_of_the_oracle_give_its_five_maps():
    # The oracle pads for one size; at 224 every map has even sides, as ours always have.
    oracle = EfficientNet.from_name("efficientnet-lite0", image_size=224)
    for module in oracle.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # so that each of them counts
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.3)
    state, net = oracle.state_dict(), EfficientNetLite()
    net.load_state_dict({k: v for k, v in state.items() if not k.startswith(net.classifier)})
    image = torch.randn(1, 3, 96, 160, dtype=torch.float64)
    with torch.no_grad():
        ours, theirs = net.double().eval()(image), oracle_maps(oracle.double().eval(), image)
    assert [m.shape[-1] for m in ours] == [80, 40, 20, 10, 5]
    for a, b in zip(ours, theirs, strict=True):
        assert_close(a, b, rtol=1e-5, atol=1e-5 * float(b.abs().max()))


# PoseCNN


@pytest.mark.parametrize(("batch", "size"), [(1, (32, 32)), (8, (50, 70))])
def test_any_size_and_batch_gives_a_rigid_motion_near_none_and_teaches_every_parameter(batch, size):
    net = PoseCNN()
    assert round(sum(p.numel() for p in net.parameters()) / 1e6, 3) == 1.587  # as published
    T = net(torch.rand(batch, 3, *size), torch.rand(batch, 3, *size))
    R = T[:, :3, :3]
    assert_close(R @ R.transpose(1, 2), torch.eye(3).expand(batch, 3, 3))
    assert_close(torch.linalg.det(R), torch.ones(batch))
    assert_close(T[:, 3], torch.tensor([0.0, 0.0, 0.0, 1.0]).expand(batch, 4))
    assert (T - torch.eye(4)).abs().max() < 0.03
    (T[:, :3] * torch.randn(3, 4)).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    # With torch's own start the motion of all pairs is the same to 1e-5: nothing to learn from.
    assert batch == 1 or T[:, :3, 3].std(0).min() > 5e-5


def test_six_numbers_are_rotation_then_translation_times_the_scale_also_under_autocast():
    net, numbers = PoseCNN().eval(), [10.11, -20.07, 30.03, 1.003, 2.007, 3.011]  # no bf16 numbers
    torch.nn.init.zeros_(net.head.weight)
    net.head.bias.data = torch.tensor(numbers)
    with torch.autocast("cpu", torch.bfloat16):
        T = net(*torch.rand(2, 2, 3, 64, 64))[0]
    assert T.dtype == torch.float32
    vector = torch.tensor(numbers) / 100
    assert_close(T[:3, :3], axis_angle_to_matrix(vector[:3]))
    assert_close(T[:3, 3], vector[3:])


def test_a_network_taught_one_step_forward_says_target_to_source(monkeypatch):
    """Walking forward brings the wall nearer: z of T_src_tgt is negative for (near, far)."""
    monkeypatch.setattr(pose_net, "MOTION_SCALE", 1.0)  # learns in fewer steps
    net = PoseCNN()
    far = torch.rand(2, 3, 32, 32)
    near = torch.nn.functional.interpolate(far[..., 8:24, 8:24], scale_factor=2, mode="bilinear")
    T_near_far = torch.eye(4).expand(2, 4, 4).clone()
    T_near_far[:, 2, 3] = -0.2
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    for _ in range(30):
        error = net(target=far, source=near) - T_near_far
        error_back = net(target=near, source=far) - T_near_far.inverse()
        optimizer.zero_grad()
        (error.square().sum() + error_back.square().sum()).backward()
        optimizer.step()
    assert net(target=far, source=near)[:, 2, 3].max() < -0.1
    assert net(target=near, source=far)[:, 2, 3].min() > 0.1
