"""The parts of a training step, each as a function to time: what a method adds to its networks.

The terms of the loss are taken from depths and motions that are leaves of the graph, so a part is
its own forward and backward pass and nothing of the networks.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssmde.methods.self_supervised import SelfSupervised
from ssmde.methods.student import Student, TeacherNetworks, predict_with_teacher
from ssmde.methods.teacher import build_networks, build_teacher
from ssmde.models.depth_net import DepthNet
from ssmde.models.resnet import resnet18
from ssmde.presets import PRESETS
from ssmde.training.module import LARGEST_GRADIENT, build_optimizer
from ssmde.types import Batch

STAGE_2 = "ss_mde stage 2"
PROGRESS = 0.5  # past the warm-up
Step = Callable[[], None]


def make_batch(batch: int, size: tuple[int, int]) -> Batch:
    """Random frames that slide a little; the time of a step does not depend on what they show."""
    height, width = size
    canvas = F.interpolate(torch.rand(batch, 3, height // 8, width // 8), (height, width + 8))
    canvas = F.avg_pool2d(canvas + 0.2 * torch.rand(batch, 3, height, width + 8), 5, 1, 2)
    frames = torch.stack([canvas[..., x : x + width] for x in (4, 1, 7)], dim=1)
    K = torch.tensor([[0.85 * width, 0, width / 2], [0, 0.85 * width, height / 2], [0, 0, 1]])
    labels = 1 + torch.rand(batch, 1, height, width)
    return Batch(
        target=frames[:, 0],
        sources=frames[:, 1:],
        intrinsics=K.expand(batch, 3, 3),
        pseudo_depth=labels,
    )


def build(run: str) -> SelfSupervised:
    """The method of a run; stage 2 with a teacher of random weights."""
    torch.manual_seed(0)
    config = PRESETS["ss_mde" if run == STAGE_2 else run]
    method = build_teacher(config)
    if run == STAGE_2:
        teacher = TeacherNetworks(*build_networks(config.model, config.loss))
        method = Student(method, teacher, config.student, config.pseudo_depth)
    return method.to(memory_format=torch.channels_last)


def full_step(method: SelfSupervised, batch: Batch) -> Step:
    """Forward, backward, clipping and the optimiser, as in a training."""
    train = PRESETS["ss_mde"].train
    optimizer = build_optimizer(method, train)

    def step() -> None:
        optimizer.zero_grad()
        method(batch, PROGRESS).loss.backward()
        nn.utils.clip_grad_norm_(method.parameters(), LARGEST_GRADIENT)
        optimizer.step()

    return step


def bare_networks(method: SelfSupervised, batch: Batch) -> Step:
    """The same network passes without geometry, losses and optimiser."""
    w = method.weights
    images = torch.cat([batch.target[:, None], batch.sources], dim=1)
    views = (images if w.geometry > 0 else images[:, :1]).flatten(0, 1)
    target = batch.target[:, None].expand_as(batch.sources).flatten(0, 1)

    def step() -> None:
        method.zero_grad()
        depth = torch.stack([d.mean() for d in method.depth_net.pyramid(views)]).sum()
        motion = method.pose_net(target, batch.sources.flatten(0, 1)).mean()
        (depth + motion).backward()

    return step


def networks_of_sc_depth_v3(batch: Batch) -> Step:
    """Passes of the networks of SC-Depth V3: depth of each view, motion of each pair both ways.

    Its step takes 1.30 times as long (measured with its own code on another machine).
    """
    torch.manual_seed(0)
    depth_net, encoder = DepthNet(), resnet18()
    encoder.conv1 = nn.Conv2d(6, 64, 7, stride=2, padding=3, bias=False)  # it sees two images
    layers = [nn.Conv2d(n, 256, k, padding=k // 2) for n, k in ((512, 1), (256, 3), (256, 3))]
    head = nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU())))
    head.append(nn.Conv2d(256, 6, 1))
    pose_net = nn.ModuleList([encoder, head])

    def step() -> None:
        depth_net.zero_grad()
        pose_net.zero_grad()
        sources = batch.sources.unbind(1)
        said = [depth_net(view).mean() for view in (batch.target, *sources)]
        for source in sources:
            for pair in ((batch.target, source), (source, batch.target)):
                said.append(head(encoder(torch.cat(pair, 1))[-1]).mean())
        torch.stack(said).sum().backward()

    return step


def all_parts(method: SelfSupervised, batch: Batch) -> dict[str, Step]:
    """Parts by name, in the order of a step."""
    images = method.network_images(batch)
    with torch.no_grad():  # what the networks predict, as leaves of the graph
        depths = method.predict_depth(images, posed=batch.T_src_tgt is not None)
        pose = method.predict_pose(images)
    depths = [depth.detach().requires_grad_() for depth in depths]
    pose = pose.detach().requires_grad_()

    def learn(label_weight: float) -> None:
        terms, *_ = method.learn_from_views(
            batch, predicted_depth=depths, predicted_pose=pose, label_weight=label_weight
        )
        _backward(terms)

    parts: dict[str, Step] = {
        "networks": bare_networks(method, batch),
        "views": lambda: learn(0.0),
    }
    if method.pseudo_depth is not None:
        parts["views and labels"] = lambda: learn(1.0)
    if isinstance(method, Student):
        parts |= _student_parts(method, batch, depths)
    return parts | {"optimiser": _optimiser(method)}


def _student_parts(method: Student, batch: Batch, depths: list[Tensor]) -> dict[str, Step]:
    def ask():
        return predict_with_teacher(method.teacher, batch, normalize=method.normalize)

    prediction = ask()
    filtered = method.mask_filter(prediction)
    return {
        "teacher": lambda: ask() and None,
        "filter": lambda: method.mask_filter(prediction) and None,
        "distill": lambda: _backward(method.distill(depths, prediction.depth, filtered)),
    }


def _optimiser(method: SelfSupervised) -> Step:
    train = replace(PRESETS["ss_mde"].train, learning_rate=1e-9)  # the networks stay as they are
    optimizer = build_optimizer(method, train)

    def step() -> None:
        for parameter in method.parameters():
            if parameter.requires_grad and parameter.grad is None:
                parameter.grad = torch.ones_like(parameter)
        nn.utils.clip_grad_norm_(method.parameters(), LARGEST_GRADIENT)
        optimizer.step()

    return step


def _backward(terms: dict[str, Tensor]) -> None:
    torch.stack(list(terms.values())).sum().backward()


@contextmanager
def saved_for_backward() -> Iterator[dict[int, int]]:
    """Bytes of the tensors that autograd keeps inside the block, by the place of their storage."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield kept
