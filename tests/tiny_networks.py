"""Networks of a few thousand parameters, so that whole runs take a second."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from ssmde.config import Config, DataConfig, ModelConfig, dump_config
from ssmde.geometry.camera import rigid_motion
from ssmde.methods.teacher import Teacher
from ssmde.models.checkpoint import save_weights
from ssmde.models.depth_net import DepthNet
from ssmde.types import Batch


class TinyDepthNet(DepthNet):
    """Depth between 1 and 2 from two convolutions."""

    def __init__(self) -> None:
        nn.Module.__init__(self)  # none of the parts of a DepthNet
        layers = nn.Conv2d(3, 8, 3, padding=1), nn.ELU(), nn.Conv2d(8, 1, 3, padding=1)
        self.layers = nn.Sequential(*layers)

    def encode(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (image,)

    def decode(self, features, scales=None) -> tuple[torch.Tensor, ...]:
        return (1 + self.layers(features[0]).sigmoid(),)


class Brightness(nn.Module):
    """Depth 1 + mean of the colors, so that a test knows the answer; or `add` + it."""

    def __init__(self, add: float = 1.0) -> None:
        super().__init__()
        self.add = nn.Parameter(torch.tensor(add))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.add + image.mean(dim=1, keepdim=True)


class Stopping(Brightness):
    """Stops after so many images, as Ctrl-C does."""

    def __init__(self, stop_after: float = torch.inf) -> None:
        super().__init__()
        self.seen, self.stop_after = 0, stop_after

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.seen += len(image)
        if self.seen > self.stop_after:
            raise KeyboardInterrupt
        return super().forward(image)


class TinyPoseNet(nn.Module):
    """Six numbers from one convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(6, 6, 3, stride=2)

    def forward(self, target: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        six = 0.1 * self.layer(torch.cat([target, source], dim=1)).mean((2, 3))
        return rigid_motion(six[:, :3], six[:, 3:])


def random_batch(size: int = 2, *, seed: int = 0, step: float | None = None) -> Batch:
    """Smooth random frames of 32 x 64; with a step, to the right and to the left, also labels."""
    generator = torch.Generator().manual_seed(seed)
    frames = torch.rand(size * 3, 3, 32, 64, generator=generator)
    frames = nn.functional.avg_pool2d(frames, 5, 1, 2).unflatten(0, (size, 3))
    K = torch.tensor([[40.0, 0, 31.5], [0, 40.0, 15.5], [0, 0, 1]]).expand(size, 3, 3)
    batch = Batch(target=frames[:, 0], sources=frames[:, 1:], intrinsics=K)
    if step is None:
        return batch
    T = torch.eye(4).repeat(size, 2, 1, 1)
    T[:, 0, 0, 3], T[:, 1, 0, 3] = step, -step
    labels = 0.2 + torch.rand(size, 1, 32, 64, generator=generator)
    return replace(batch, T_src_tgt=T, pseudo_depth=labels)


def build_tiny_teacher(config: Config) -> Teacher:
    return Teacher(TinyDepthNet(), TinyPoseNet(), config.loss, config.pseudo_depth)


def build_sideways_teacher(config: Config) -> Teacher:
    """It begins near a step to the left, which explains a video that slides: no step is empty."""
    teacher = build_tiny_teacher(config)
    with torch.no_grad():
        layer = teacher.pose_net.layer
        layer.weight.mul_(0.1)
        layer.bias.copy_(torch.tensor([0.0, 0.0, 0.0, -0.6, 0.0, 0.0]))
    return teacher


def write_random_weights(path: Path, *, seed: int = 0) -> Path:
    """A weights file of a depth network that has learned nothing, for images of 64 x 96."""
    data, model = DataConfig(image_size=(64, 96)), ModelConfig(encoder="resnet18_half")
    config = Config(data=data, model=model)
    torch.manual_seed(seed)
    net = DepthNet(encoder=model.encoder, depth_range=model.depth_range)
    tensors = {f"depth_net.{key}": value for key, value in net.state_dict().items()}
    head = {"format": "ssmde-depth", "version": "1", "config": dump_config(config)}
    save_weights(path, tensors, head)
    return path
