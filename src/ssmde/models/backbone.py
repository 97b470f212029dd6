"""Encoders of `transformers`: backbones with maps from a quarter to a thirty-second of the size.

Named `hf:NAME`, a model of the Hugging Face hub, or `hf:FOLDER`, a folder with its `config.json`.
Convolutional and windowed ones fit (ConvNeXt, ConvNeXt V2, Swin, FocalNet); plain vision
transformers, whose maps have one size, do not. What they lack, the map of half the size, one
convolution of the image adds.
"""

from importlib import import_module
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ssmde.models.load import first_line

PREFIX = "hf:"
INSTALL = "pip install 'ssmde[backbones]'"
HALF_WIDTH = 32
STRIDES = (4, 8, 16, 32)
PROBE = 64  # pixels a side of the image that shows which maps come out


class BackboneEncoder(nn.Module):
    """Five feature maps: one of a convolution, four of a backbone."""

    mean, std = 0.45, 0.225
    """Of the images in [0, 1]: ImageNet's, averaged over the colours."""

    def __init__(self, backbone: nn.Module, widths: tuple[int, ...]) -> None:
        """Join them.

        Args:
            backbone: Its call returns `feature_maps`, at a quarter to a thirty-second of the size.
            widths: Channels of these maps.
        """
        super().__init__()
        self.channels = (HALF_WIDTH, *widths)
        self.width = 1.0  # the decoder's share of the published channels
        self.first = nn.Conv2d(3, HALF_WIDTH, 3, stride=2, padding=1)
        self.backbone = backbone

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b _ _ _"], ...]:
        """Features at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size.

        Args:
            images: Normalised RGB.
        """
        return torch.relu(self.first(images)), *self.backbone(images).feature_maps


def build_backbone(name: str, pretrained: str = "none") -> BackboneEncoder:
    """Encoder from a backbone of transformers.

    Args:
        name: Of the hub, or a folder with a `config.json`; without the `hf:`.
        pretrained: `none` for random weights, `hub` for those of the name or folder.

    Raises:
        ImportError: If transformers is not installed.
        ConnectionError: If it cannot be had.
        ValueError: If its maps have other sizes, or weights of a file are asked for.
    """
    if pretrained not in ("none", "hub"):
        raise ValueError(
            f"the weights of {PREFIX}{name} are its own: model.pretrained must be none or hub, got "
            f"{pretrained}"
        )
    try:
        transformers = import_module("transformers")
    except ImportError as error:
        raise ImportError(
            f"the encoder {PREFIX}{name} needs transformers, which is not installed or does not "
            f"work ({first_line(error)}): {INSTALL}"
        ) from error
    try:
        config: Any = transformers.AutoConfig.from_pretrained(name, trust_remote_code=False)
        stages = len(config.stage_names) - 1  # the first is the stem
        wanted = {"out_indices": list(range(1, stages + 1))}
        if pretrained == "hub":
            backbone = transformers.AutoBackbone.from_pretrained(name, **wanted)
        else:
            config.out_indices = wanted["out_indices"]
            backbone = transformers.AutoBackbone.from_config(config)
    # Not only OSError: the errors of the HTTP client below the hub change with its version.
    except Exception as error:
        raise ConnectionError(
            f"cannot open the backbone {name} ({type(error).__name__}: {first_line(error)}). Is "
            "the name right, is it a backbone of transformers, and the internet in reach? "
            "Without: give a folder with its config.json"
        ) from error
    _check_maps(name, backbone)
    return BackboneEncoder(backbone, tuple(backbone.channels))


def _check_maps(name: str, backbone: nn.Module) -> None:
    was_training = backbone.training
    with torch.no_grad():
        maps = backbone.eval()(torch.zeros(1, 3, PROBE, PROBE)).feature_maps
    backbone.train(was_training)
    sides = [tuple(x.shape[-2:]) for x in maps]
    if sides != [(PROBE // stride,) * 2 for stride in STRIDES]:
        raise ValueError(
            f"{PREFIX}{name}: the decoder needs maps at 1/4, 1/8, 1/16 and 1/32 of the image, this "
            f"backbone gives {sides} of {PROBE} x {PROBE}"
        )
