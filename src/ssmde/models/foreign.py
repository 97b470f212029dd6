"""Weights that other projects published: Monodepth2 and SC-Depth, read without running their code.

No weights of theirs come with this project, and their licenses are their own: Monodepth2's forbids
commercial use. Their decoders differ in the upsampling, nearest and bilinear, and in the disparity
of a sigmoid s: 1/100 + (1/0.1 - 1/100) s, and 0.01 + 10 s.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ssmde.models.checkpoint import listed, load_weights_into, only_tensors, read_checkpoint
from ssmde.models.depth_net import SCALES, STAGE_WIDTHS, DepthNet
from ssmde.models.resnet import ResNet, third_stage_blocks

COARSEST = len(STAGE_WIDTHS) - 1
MONODEPTH2_FILES = ("encoder.pth", "depth.pth")
MONODEPTH2_PLAIN = ("height", "width", "use_stereo")  # numbers that lie beside the tensors
SC_DEPTH_RANGE = (1 / 10.01, 100.0)
SC_DEPTH_SIZES = {"kitti": (256, 832), "ddad": (384, 640)}  # of others: DEFAULT_SIZE
SC_DEPTH_OTHER = ("pose_net.", "rectify_net.")  # networks that depth does not need
DEFAULT_SIZE = (256, 320)
Foreign = tuple[DepthNet, tuple[int, int]]


def is_foreign(path: Path) -> bool:
    """Whether a path leads to PyTorch files, which this project does not write for others."""
    if path.is_dir():
        return any((path / name).is_file() for name in MONODEPTH2_FILES)
    return path.suffix in (".pth", ".pt", ".ckpt")


def load_foreign(path: Path) -> Foreign:
    """Depth network of Monodepth2 (its folder, or a file in it) or SC-Depth (.ckpt), on the CPU.

    With the size (height, width) it was trained at, as far as the file says. FileNotFoundError or
    ValueError: a file is missing, damaged, holds code, or does not fit.
    """
    if path.is_dir() or path.name in MONODEPTH2_FILES:
        return _load_monodepth2(path if path.is_dir() else path.parent)
    content = read_checkpoint(path)
    content = content if isinstance(content, Mapping) else {}
    state = content.get("state_dict")
    keys = [str(key) for key in (state if isinstance(state, Mapping) else content)]
    if isinstance(state, Mapping) and any(key.startswith("depth_net.decoder.up") for key in keys):
        return _load_sc_depth(content, str(path))
    if "conv1.weight" in keys or "layer1.0.conv1.weight" in keys:
        raise ValueError(
            f"{path} holds an encoder without a decoder: it predicts no depth; train with it as "
            f"the start, --model.pretrained {path}"
        )
    raise ValueError(
        f"{path} is no depth network of Monodepth2 (a folder with {' and '.join(MONODEPTH2_FILES)})"
        f" or SC-Depth (a .ckpt with depth_net); it holds {listed(keys)}. "
        "Weights of this project end in .safetensors"
    )


def _load_monodepth2(folder: Path) -> Foreign:
    """Depth network of Monodepth2 (Godard et al., ICCV 2019), from the two files as released."""
    encoder_file, depth_file = (str(folder / name) for name in MONODEPTH2_FILES)
    content = read_checkpoint(Path(encoder_file))
    tensors = only_tensors(content, MONODEPTH2_PLAIN, origin=encoder_file)
    network = DepthNet(encoder=_find_resnet(tensors, encoder_file), scales=SCALES)
    encoder = _without_classifier(tensors, "encoder.")
    load_weights_into(network.encoder, encoder, "encoder.", origin=encoder_file)
    decoder = only_tensors(read_checkpoint(Path(depth_file)), origin=depth_file)
    load_weights_into(network.decoder, decoder, origin=depth_file, names=_monodepth2_decoder)
    size = content.get("height"), content.get("width")
    known = isinstance(size[0], int) and isinstance(size[1], int)
    return network, size if known else DEFAULT_SIZE


def _load_sc_depth(content: Mapping[str, Any], origin: str) -> Foreign:
    """Depth network of SC-Depth, V1 to V3 (Bian et al., https://arxiv.org/abs/2211.03660)."""
    tensors = only_tensors(content["state_dict"], origin=origin)
    own = {key: value for key, value in tensors.items() if not key.startswith(SC_DEPTH_OTHER)}
    network = DepthNet(
        encoder=_find_resnet(own, origin), scales=SCALES, upsampling="bilinear",
        depth_range=SC_DEPTH_RANGE,
    )  # fmt: skip
    own = _without_classifier(own, "depth_net.encoder.encoder.")
    load_weights_into(network, own, "depth_net.", origin=origin, names=_sc_depth)
    options = content.get("hyper_parameters", {})
    options = options.get("hparams", {}) if isinstance(options, Mapping) else {}
    return network, SC_DEPTH_SIZES.get(getattr(options, "dataset_name", ""), DEFAULT_SIZE)


def _monodepth2_decoder(key: str) -> str:
    """What `depth.pth` calls a key of `DepthDecoder`: the stages coarse to fine, then the heads."""
    part, number, rest = key.split(".", 2)
    if part == "heads":
        return f"decoder.{2 * len(STAGE_WIDTHS) + int(number)}.conv.{rest}"
    layer, kind = rest.split(".")
    place = 2 * (COARSEST - int(number)) + (layer == "mix")
    return f"decoder.{place}.conv.conv.{kind}"


def _sc_depth(key: str) -> str:
    """What SC-Depth calls a key of `DepthNet`, behind its `depth_net.`."""
    if key.startswith("encoder."):
        return f"encoder.{key}"
    _, part, number, rest = key.split(".", 3)
    if part == "heads":
        return f"decoder.dispconvs.{number}.conv.{rest}"
    layer, kind = rest.split(".")
    return f"decoder.upconvs{int(layer == 'mix')}.{COARSEST - int(number)}.conv.conv.{kind}"


def _find_resnet(tensors: Mapping[str, Tensor], origin: str) -> str:
    """Which encoder tensors belong to: by the blocks of its third stage and their kind."""
    blocks = third_stage_blocks(tensors)
    bottleneck = any("layer3.0.conv3" in key for key in tensors)
    known = {(2, False): "resnet18", (6, False): "resnet34", (6, True): "resnet50"}
    if (blocks, bottleneck) not in known:
        raise ValueError(
            f"{origin}: its encoder is no ResNet-18, -34 or -50: layer3 has {blocks} blocks; it "
            f"holds {listed(list(tensors)) or 'nothing'}"
        )
    return known[blocks, bottleneck]


def _without_classifier(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    ends = tuple(prefix + key for key in ResNet.classifier)
    return {k: v for k, v in tensors.items() if not k.startswith(ends)}
