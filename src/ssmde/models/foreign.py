"""Weights that other projects published: Monodepth2 and SC-Depth, read without running their code.

No weights of theirs come with this project, and their licences are their own: Monodepth2's forbids
commercial use. What differs between the two decoders is said by arguments of `DepthNet`:

| | upsampling | disparity of a sigmoid s | depth range |
|---|---|---|---|
| Monodepth2 | nearest | 1/100 + (1/0.1 - 1/100) s | 0.1 to 100 |
| SC-Depth | bilinear | 0.01 + 10 s | 1 / 10.01 to 100 |
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ssmde.models.checkpoint import only_tensors, read_named
from ssmde.models.decoder import SCALES, STAGE_WIDTHS
from ssmde.models.depth_net import DepthNet
from ssmde.models.encoder import CLASSIFIER
from ssmde.models.load import load_weights_into, shorten

COARSEST = len(STAGE_WIDTHS) - 1
MONODEPTH2_FILES = ("encoder.pth", "depth.pth")
MONODEPTH2_PLAIN = ("height", "width", "use_stereo")  # numbers that lie beside the tensors
SC_DEPTH_RANGE = (1 / 10.01, 100.0)
SC_DEPTH_SIZES = {
    "kitti": (256, 832), "ddad": (384, 640), "nyu": (256, 320), "bonn": (256, 320),
    "tum": (256, 320),
}  # fmt: skip
"""Training sizes (height, width) by the name of the data set, which the file holds."""
SC_DEPTH_OTHER = ("pose_net.", "rectify_net.")  # networks that depth does not need
THIRD_STAGE = re.compile(r"layer3\.(\d+)\.")
DEFAULT_SIZE = (256, 320)


@dataclass(frozen=True, kw_only=True, slots=True)
class ForeignDepth:
    """A depth network of another project."""

    network: DepthNet
    """With its weights, on the CPU."""
    image_size: tuple[int, int]
    """Size (height, width) it was trained at, as far as the file says."""
    project: str
    """Who published it."""


def is_foreign(path: Path) -> bool:
    """Whether a path leads to PyTorch files, which this project does not write for others."""
    if path.is_dir():
        return any((path / name).is_file() for name in MONODEPTH2_FILES)
    return path.suffix in (".pth", ".pt", ".ckpt")


def load_foreign(path: Path) -> ForeignDepth:
    """Depth network of Monodepth2 (its folder, or a file in it) or SC-Depth (.ckpt).

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If it is damaged, holds code, or does not fit; it names the keys.
    """
    if path.is_dir() or path.name in MONODEPTH2_FILES:
        return load_monodepth2(path if path.is_dir() else path.parent)
    content = read_named(path)
    state = content.get("state_dict")
    if isinstance(state, Mapping) and any(
        str(key).startswith("depth_net.decoder.up") for key in state
    ):
        return load_sc_depth(content, origin=str(path))
    keys = list(state) if isinstance(state, Mapping) else list(content)
    if "conv1.weight" in keys or "layer1.0.conv1.weight" in keys:
        raise ValueError(
            f"{path} holds an encoder without a decoder: it predicts no depth; train with it as "
            f"the start, --model.pretrained {path}"
        )
    raise ValueError(
        f"{path} is no depth network of Monodepth2 (a folder with {' and '.join(MONODEPTH2_FILES)})"
        f" or SC-Depth (a .ckpt with depth_net); it holds {shorten([str(k) for k in keys])}. "
        "Weights of this project end in .safetensors"
    )


def load_monodepth2(folder: Path) -> ForeignDepth:
    """Depth network of Monodepth2 (Godard et al., ICCV 2019, https://arxiv.org/abs/1806.01260).

    Args:
        folder: Holds `encoder.pth` and `depth.pth`, as released.

    Raises:
        FileNotFoundError: If one of them is missing.
        ValueError: If one does not fit; it names the keys as they are in the file.
    """
    encoder_file, depth_file = (folder / name for name in MONODEPTH2_FILES)
    content = read_named(encoder_file)
    size = content.get("height"), content.get("width")
    encoder = only_tensors(content, MONODEPTH2_PLAIN, origin=str(encoder_file))
    network = DepthNet(
        encoder=find_resnet(encoder, origin=str(encoder_file)), scales=SCALES, upsampling="nearest"
    )
    load_weights_into(
        network.encoder,
        _without_classifier(encoder, "encoder."),
        origin=str(encoder_file),
        names=lambda key: f"encoder.{key}",
    )
    decoder = only_tensors(read_named(depth_file), origin=str(depth_file))
    load_weights_into(network.decoder, decoder, origin=str(depth_file), names=monodepth2_decoder)
    height, width = (side if isinstance(side, int) else None for side in size)
    found = DEFAULT_SIZE if height is None or width is None else (height, width)
    return ForeignDepth(network=network, image_size=found, project="Monodepth2")


def load_sc_depth(content: Mapping[str, Any], *, origin: str) -> ForeignDepth:
    """Depth network of SC-Depth, V1 to V3 (Bian et al., https://arxiv.org/abs/2211.03660).

    Args:
        content: Of its Lightning checkpoint; the tensors lie under `state_dict`.
        origin: Where it comes from, for the message.

    Raises:
        ValueError: If it does not fit; it names the keys as they are in the file.
    """
    tensors = only_tensors(content["state_dict"], origin=origin)
    own = {key: value for key, value in tensors.items() if not key.startswith(SC_DEPTH_OTHER)}
    network = DepthNet(
        encoder=find_resnet(own, origin=origin),
        scales=SCALES,
        upsampling="bilinear",
        depth_range=SC_DEPTH_RANGE,
    )
    own = _without_classifier(own, "depth_net.encoder.encoder.")
    load_weights_into(network, own, "depth_net.", origin=origin, names=sc_depth)
    options = content.get("hyper_parameters", {})
    options = options.get("hparams", {}) if isinstance(options, Mapping) else {}
    data_set = getattr(options, "dataset_name", "")
    size = SC_DEPTH_SIZES.get(data_set, DEFAULT_SIZE)
    return ForeignDepth(network=network, image_size=size, project="SC-Depth")


def monodepth2_decoder(key: str) -> str:
    """What `depth.pth` calls a key of `DepthDecoder`: the stages coarse to fine, then the heads."""
    part, number, rest = key.split(".", 2)
    if part == "heads":
        return f"decoder.{2 * len(STAGE_WIDTHS) + int(number)}.conv.{rest}"
    layer, kind = rest.split(".")
    place = 2 * (COARSEST - int(number)) + (layer == "mix")
    return f"decoder.{place}.conv.conv.{kind}"


def sc_depth(key: str) -> str:
    """What SC-Depth calls a key of `DepthNet`, behind its `depth_net.`."""
    if key.startswith("encoder."):
        return f"encoder.{key}"
    _, part, number, rest = key.split(".", 3)
    if part == "heads":
        return f"decoder.dispconvs.{number}.conv.{rest}"
    layer, kind = rest.split(".")
    return f"decoder.upconvs{int(layer == 'mix')}.{COARSEST - int(number)}.conv.conv.{kind}"


def find_resnet(tensors: Mapping[str, Tensor], *, origin: str) -> str:
    """Which encoder tensors belong to: by the blocks of its third stage and their kind."""
    blocks = len({found[1] for key in tensors if (found := THIRD_STAGE.search(key))})
    bottleneck = any("layer3.0.conv3" in key for key in tensors)
    known = {(2, False): "resnet18", (6, False): "resnet34", (6, True): "resnet50"}
    if (blocks, bottleneck) not in known:
        raise ValueError(
            f"{origin}: its encoder is no ResNet-18, -34 or -50: layer3 has {blocks} blocks; it "
            f"holds {shorten(list(tensors)) or 'nothing'}"
        )
    return known[blocks, bottleneck]


def _without_classifier(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k: v for k, v in tensors.items() if not k.startswith(prefix + CLASSIFIER)}
