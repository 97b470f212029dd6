"""Pose networks: their direction, their start, their size."""

import copy

import pytest
import torch
from torch.testing import assert_close

from ssmde.geometry.camera import axis_angle_to_matrix
from ssmde.models import pose_net
from ssmde.models.pose_net import PoseCNN, PoseResNet, build_pose_net

NAMES = ["posecnn", "resnet18"]


@pytest.fixture(scope="module", params=NAMES)
def net(request):
    torch.manual_seed(0)
    return build_pose_net(request.param)


def make_says(net, numbers):
    """Let the last layer say six numbers whatever it sees."""
    net = copy.deepcopy(net)
    torch.nn.init.zeros_(net.head.weight)
    net.head.bias.data = torch.tensor(numbers)
    return net


@pytest.mark.parametrize(
    ("name", "kind", "millions"), [("posecnn", PoseCNN, 1.587), ("resnet18", PoseResNet, 13.012)]
)
def test_the_number_of_parameters_is_the_published_one(name, kind, millions):
    with torch.device("meta"):
        net = build_pose_net(name)
    assert isinstance(net, kind)
    classifier = 513_000 if name == "resnet18" else 0  # in the published count, never used
    count = sum(p.numel() for p in net.parameters()) + classifier
    assert round(count / 1e6, 3) == millions


@pytest.mark.parametrize(("batch", "size"), [(1, (32, 32)), (3, (64, 64)), (2, (50, 70))])
def test_any_size_and_batch_gives_a_rigid_motion_near_none(net, batch, size):
    T = net.eval()(torch.rand(batch, 3, *size), torch.rand(batch, 3, *size))
    R = T[:, :3, :3]
    assert T.shape == (batch, 4, 4)
    assert_close(R @ R.transpose(1, 2), torch.eye(3).expand(batch, 3, 3))
    assert_close(torch.linalg.det(R), torch.ones(batch))
    assert_close(T[:, 3], torch.tensor([0.0, 0.0, 0.0, 1.0]).expand(batch, 4))
    assert (T - torch.eye(4)).abs().max() < 0.03


def test_six_numbers_are_rotation_then_translation_times_the_scale(net):
    views = torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64)
    still = make_says(net, [0.0] * 6)(*views)
    assert_close(still, torch.eye(4).expand(2, 4, 4), rtol=0, atol=0)
    T = make_says(net, [10.0, -20.0, 30.0, 1.0, 2.0, 3.0])(*views)[0]
    assert_close(T[:3, :3], axis_angle_to_matrix(torch.tensor([0.1, -0.2, 0.3])))
    assert_close(T[:3, 3], torch.tensor([0.01, 0.02, 0.03]))


def test_the_target_comes_first_and_both_are_normalised(net):
    first = next(m for m in net.eval().modules() if isinstance(m, torch.nn.Conv2d))
    seen = []
    hook = first.register_forward_hook(lambda _m, args, _o: seen.append(args[0]))
    net(target=torch.full((1, 3, 64, 64), 0.45), source=torch.full((1, 3, 64, 64), 0.675))
    hook.remove()
    assert_close(seen[0][0, :3], torch.zeros(3, 64, 64))
    assert_close(seen[0][0, 3:], torch.ones(3, 64, 64))


def test_a_network_taught_one_step_forward_says_target_to_source(monkeypatch):
    """Walking forward brings the wall nearer: z of T_src_tgt is negative for (near, far)."""
    monkeypatch.setattr(pose_net, "MOTION_SCALE", 1.0)  # learns in fewer steps
    net = PoseCNN()
    far = torch.rand(4, 3, 32, 32)
    near = torch.nn.functional.interpolate(far[..., 8:24, 8:24], scale_factor=2, mode="bilinear")
    T_near_far = torch.eye(4).expand(4, 4, 4).clone()
    T_near_far[:, 2, 3] = -0.2
    T_far_near = T_near_far.inverse()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    for _ in range(60):
        error = net(target=far, source=near) - T_near_far
        error_back = net(target=near, source=far) - T_far_near
        optimizer.zero_grad()
        (error.square().sum() + error_back.square().sum()).backward()
        optimizer.step()
    assert net(target=far, source=near)[:, 2, 3].max() < -0.1
    assert net(target=near, source=far)[:, 2, 3].min() > 0.1


def test_a_training_step_reaches_every_parameter_and_leaves_the_net_copyable(net):
    net = copy.deepcopy(net).train()
    T = net(torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64))
    (T[:, :3] * torch.randn(3, 4)).sum().backward()
    idle = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not idle
    copy.deepcopy(net)


def test_the_motion_is_float32_and_a_rotation_under_bf16_autocast(net):
    numbers = [30.11, -20.07, 10.03, 1.003, 2.007, 3.011]  # none of them a bf16 number
    net = make_says(net, numbers).eval()
    images = torch.rand(2, 1, 3, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        T = net(images[0], images[1])
    assert T.dtype == torch.float32
    vector = torch.tensor(numbers) / 100
    assert_close(T[0, :3, :3], axis_angle_to_matrix(vector[:3]))
    assert_close(T[0, :3, 3], vector[3:])


def test_an_unknown_pose_net_is_refused_with_the_closest_name():
    with pytest.raises(ValueError, match="unknown pose net 'pose_cnn': closest match is 'posecnn'"):
        build_pose_net("pose_cnn")


def test_the_untrained_light_network_already_tells_pairs_apart():
    """With torch's own start the motion of all pairs is the same to 1e-5: nothing to learn from."""
    torch.manual_seed(0)
    views = torch.rand(2, 8, 3, 64, 96)
    with torch.no_grad():
        motions = PoseCNN()(views[0], views[1])[:, :3, 3]
    assert motions.std(0).min() > 5e-5
