"""The depth network and the pose network."""

from dataclasses import dataclass
from typing import Literal

from ssmde.config.section import Section, refuse


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig(Section):
    """The depth network and the pose network."""

    encoder: Literal["resnet18", "resnet34", "resnet50"] = "resnet18"
    """Encoder of the depth network."""
    pretrained: str = "none"
    """Encoder weights: `none`, `hub` (ImageNet, downloaded once), or a local file."""
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
