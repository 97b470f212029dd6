"""Encoders of `transformers`: backbones with maps from a quarter to a thirty-second of the size.

Named `hf:NAME`, a model of the hub, `hf:FOLDER`, a folder with its `config.json`, or `hf:{...}`,
its architecture as trained weights keep it. Plain vision transformers, whose maps have one size,
do not fit. What backbones lack, the map of half the size, one convolution of the image adds.
"""

import json
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ssmde.console import first_line, import_extra
from ssmde.models.hub import HUB_PREFIX, from_hub
from ssmde.models.resnet import ResNet

HALF_WIDTH = 32
BACKBONE_KEY = "backbone"  # in the head of a weights file: its architecture, as JSON
KINDS = (
    "bit", "convnext", "convnextv2", "focalnet", "hgnet_v2", "pvt_v2", "resnet", "swin", "swinv2",
)  # fmt: skip
"""Backbones that stored weights may have; all are built from numbers and words alone."""
# Of a stored architecture; the largest published backbones have 400 million weights.
LARGEST_NUMBER, LONGEST_LIST, MOST_WEIGHTS = 10_000, 64, 1_000_000_000
OUT = {"out_features", "out_indices"}  # what this module chooses itself
PROBE = 64  # pixels a side of the image that shows which maps come out


class BackboneEncoder(nn.Module):
    """Five feature maps: one of a convolution, four of a backbone."""

    mean, std = ResNet.mean, ResNet.std

    def __init__(self, backbone: nn.Module, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.channels = (HALF_WIDTH, *widths)
        self.width = 1.0  # the decoder's share of the published channels
        self.first = nn.Conv2d(3, HALF_WIDTH, 3, stride=2, padding=1)
        self.backbone = backbone

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b _ _ _"], ...]:
        """Features at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size, of normalized RGB."""
        # Backbones begin at a quarter of the size; the decoder joins a map of half the size, too.
        return torch.relu(self.first(images)), *self.backbone(images).feature_maps


def build_backbone(name: str, pretrained: str = "none") -> BackboneEncoder:
    """Encoder from a backbone of transformers; `pretrained` is `none` or `hub`, its own weights.

    The name, without the `hf:`, is one of the hub, a folder with a `config.json`, or a JSON.
    """
    if pretrained not in ("none", "hub"):
        raise ValueError(
            f"the weights of {HUB_PREFIX}{name} are its own: model.pretrained must be none or hub, "
            f"got {pretrained}"
        )
    wanted_by = f"the encoder {HUB_PREFIX}{name}"
    transformers = import_extra("transformers", wanted_by, "ssmde[backbones]")
    if name.startswith("{"):
        return _build_stored(transformers, name)
    auto = transformers.AutoBackbone
    try:
        config: Any = from_hub(
            transformers.AutoConfig.from_pretrained, name, trust_remote_code=False
        )
        config.out_indices = list(range(1, len(config.stage_names)))  # all maps but the stem's
        if pretrained == "hub":
            backbone = from_hub(auto.from_pretrained, name, out_indices=config.out_indices)
        else:
            backbone = auto.from_config(config)
    # Not only OSError: the errors of the HTTP client below the hub change with its version.
    except Exception as error:
        raise ConnectionError(
            f"cannot open the backbone {name} ({type(error).__name__}: {first_line(error)}). Is "
            "the name right, is it a backbone of transformers, and the internet in reach? "
            "Without: give a folder with its config.json"
        ) from error
    return _with_maps(name, backbone)


def architecture_of(backbone: nn.Module) -> str:
    """What `build_backbone` makes the same backbone of, with random weights, as JSON."""
    config: Any = backbone.config
    return json.dumps(_plain(config.to_dict()) | {"model_type": config.model_type})


def _build_stored(transformers: Any, text: str) -> BackboneEncoder:
    """Encoder of an architecture that lay in a file: numbers within bounds, no code, no hub."""
    try:
        values: Any = json.loads(text)
        kind = values.pop("model_type")
        if kind not in KINDS:
            raise ValueError(f"model_type {kind!r} is none of {', '.join(KINDS)}")
        known = set(transformers.AutoConfig.for_model(kind).to_dict()) - OUT
        config = transformers.AutoConfig.for_model(
            kind, **{key: value for key, value in _plain(values).items() if key in known}
        )
        config.out_indices = list(range(1, len(config.stage_names)))
        with torch.device("meta"):  # counts the weights without memory for them
            probe = transformers.AutoBackbone.from_config(config, trust_remote_code=False)
        if (count := sum(p.numel() for p in probe.parameters())) > MOST_WEIGHTS:
            raise ValueError(f"it has {count:.2g} weights, more than {MOST_WEIGHTS:.0g}")
        backbone = transformers.AutoBackbone.from_config(config, trust_remote_code=False)
        return _with_maps(kind, backbone)
    except Exception as error:  # wrong numbers break the libraries in any way
        raise ValueError(f"the stored backbone cannot be built ({first_line(error)})") from error


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Numbers, words and lists of them, but nothing that leads elsewhere; none out of bounds."""
    kept: dict[str, Any] = {}
    for key, value in values.items():
        items = value if isinstance(value, list | tuple) else [value]
        elsewhere = "attn" in key or key in ("architectures", "auto_map") or key.startswith("_")
        if elsewhere or not all(isinstance(i, int | float | str | bool | None) for i in items):
            continue
        numbers = [item for item in items if isinstance(item, int | float)]
        if len(items) > LONGEST_LIST or not all(abs(n) <= LARGEST_NUMBER for n in numbers):
            raise ValueError(f"{key} is out of bounds")
        kept[key] = value
    return kept


def _with_maps(name: str, backbone: Any) -> BackboneEncoder:
    """The encoder of a backbone; refuses one whose maps have other sizes."""
    was_training = backbone.training
    with torch.no_grad():
        maps = backbone.eval()(torch.zeros(1, 3, PROBE, PROBE)).feature_maps
    backbone.train(was_training)
    sides = [tuple(x.shape[-2:]) for x in maps]
    if sides != [(PROBE // stride,) * 2 for stride in (4, 8, 16, 32)]:
        raise ValueError(
            f"{HUB_PREFIX}{name}: the decoder needs maps at 1/4, 1/8, 1/16 and 1/32 of the image, "
            f"this backbone gives {sides} of {PROBE} x {PROBE}"
        )
    return BackboneEncoder(backbone, tuple(backbone.channels))
