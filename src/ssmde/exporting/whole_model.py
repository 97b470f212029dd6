"""The whole of a prediction as one network: bytes of any size in, depth of that size out."""

import copy
import warnings
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float32, UInt8
from torch import Tensor, nn

from ssmde.inference.engines import INPUT
from ssmde.models.depth_net import DepthNet

EXAMPLE = (2, 97, 135)  # images, height, width; none of them a size with a rule of its own


class WholeModel(nn.Module):
    """What `Predictor.predict` does, from the bytes to the depth of each pixel.

    The resize is that of `ssmde.data.images.resize_image`: bilinear without aliasing, columns
    first, rounded to bytes after each direction. It differs from it in one value of 255, in about
    one pixel of a thousand.

    Args:
        network: Maps RGB (b, 3, h, w) in [0, 1] to depth (b, 1, h, w).
        image_size: Size (height, width) the network works at.
        metres_per_unit: Factor on its depth.
        dtype: Of the network's numbers; its last layer, and all else, stay float32.
    """

    def __init__(
        self,
        network: nn.Module,
        image_size: tuple[int, int],
        metres_per_unit: float = 1.0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.network = reduced(network, dtype)
        self.image_size, self.metres_per_unit, self.dtype = image_size, metres_per_unit, dtype

    def forward(self, image: UInt8[Tensor, "n h w 3"]) -> Float32[Tensor, "n h w"]:
        """Depth of each pixel, in metres where the factor is known, else in scene units.

        Args:
            image: RGB.
        """
        height, width = image.shape[1], image.shape[2]
        x = to_bytes(resize_smoothly(image.permute(0, 3, 1, 2).float(), height, self.image_size[1]))
        x = to_bytes(resize_smoothly(x, *self.image_size)) / 255
        depth = self.network(x.to(self.dtype)).float()
        depth = F.interpolate(depth, (height, width), mode="bilinear", align_corners=False)
        return depth[:, 0] * self.metres_per_unit


def resize_smoothly(
    x: Float32[Tensor, "n c h w"], height: int | torch.SymInt, width: int | torch.SymInt
) -> Float32[Tensor, "n c _ _"]:
    """Bilinear, without aliasing."""
    size: Any = (height, width)
    return F.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False)


def to_bytes(x: Float32[Tensor, "*shape"]) -> Float32[Tensor, "*shape"]:
    """Rounded as torch rounds when it resizes bytes: a half goes up."""
    return (x + 0.5).floor()


class InFloat32(nn.Module):
    """A layer that computes in float32 behind a network of half precision."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer.float()

    def forward(self, x: Tensor) -> Tensor:
        """The layer's outcome, float32."""
        return self.layer(x.float())


def reduced(network: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy on the CPU in another precision; the last layers keep float32.

    A disparity of 8 or 11 bits would come in steps that show, far away above all.
    """
    network = copy.deepcopy(network).cpu().eval().to(dtype)
    if dtype != torch.float32 and isinstance(network, DepthNet):
        for key, head in network.decoder.heads.items():
            network.decoder.heads[key] = InFloat32(head)
    return network


def trace(model: WholeModel) -> torch.export.ExportedProgram:
    """The graph of the model, for any number of images of any size from 2 x 2."""
    batch, height, width = (
        torch.export.Dim(name, min=low) for name, low in (("n", 1), ("h", 2), ("w", 2))
    )
    example = torch.zeros(*EXAMPLE, 3, dtype=torch.uint8)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch about its own parts
        return torch.export.export(
            model, (example,), dynamic_shapes={INPUT: {0: batch, 1: height, 2: width}}
        )
