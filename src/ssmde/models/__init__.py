"""Networks: encoders, decoders, depth and pose, and their weights; each imported on first use."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ssmde.models.decoder import DepthDecoder, LightDecoder
    from ssmde.models.depth_net import DepthNet, disparity_to_depth
    from ssmde.models.leres import LeReS, load_leres
    from ssmde.models.pose_net import PoseCNN, PoseResNet, build_pose_net
    from ssmde.models.registry import ENCODERS, build_encoder

HOMES = {
    "decoder": ("DepthDecoder", "LightDecoder"),
    "depth_net": ("DepthNet", "disparity_to_depth"),
    "leres": ("LeReS", "load_leres"),
    "pose_net": ("PoseCNN", "PoseResNet", "build_pose_net"),
    "registry": ("ENCODERS", "build_encoder"),
}
__all__ = [
    "ENCODERS", "DepthDecoder", "DepthNet", "LeReS", "LightDecoder", "PoseCNN", "PoseResNet",
    "build_encoder", "build_pose_net", "disparity_to_depth", "load_leres",
]  # fmt: skip


def __getattr__(name: str) -> object:
    for module, names in HOMES.items():
        if name in names:
            return getattr(import_module(f"ssmde.models.{module}"), name)
    raise AttributeError(f"module 'ssmde.models' has no attribute {name!r}")
