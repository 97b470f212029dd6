"""Networks: encoders, decoders, depth and pose, and their weights; each imported on first use."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ssmde.models.depth_net import DepthDecoder, DepthNet, LightDecoder, disparity_to_depth
    from ssmde.models.leres import LeReS, load_leres
    from ssmde.models.pose_net import PoseCNN
    from ssmde.models.registry import ENCODERS, build_encoder

HOMES = {
    "depth_net": ("DepthDecoder", "DepthNet", "LightDecoder", "disparity_to_depth"),
    "leres": ("LeReS", "load_leres"),
    "pose_net": ("PoseCNN",),
    "registry": ("ENCODERS", "build_encoder"),
}
__all__ = [
    "ENCODERS", "DepthDecoder", "DepthNet", "LeReS", "LightDecoder", "PoseCNN", "build_encoder",
    "disparity_to_depth", "load_leres",
]  # fmt: skip


def __getattr__(name: str) -> object:
    for module, names in HOMES.items():
        if name in names:
            return getattr(import_module(f"ssmde.models.{module}"), name)
    raise AttributeError(f"module 'ssmde.models' has no attribute {name!r}")
