"""LeReS weights from the user's file, opened without running code from it.

No weights come with this project. They belong to Adobe Research, may be used for non-commercial
research only and may not be passed on: get them, and their licence, from
https://github.com/aim-uofa/AdelaiDepth/tree/main/LeReS .

The official file holds the depth network under `depth_model`, beside two networks for point clouds
that are not needed here; a file of LeReS's training code holds it under `model_state_dict`.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ssmde.models.checkpoint import read_checkpoint
from ssmde.models.leres import Backbone, LeReS
from ssmde.models.load import load_weights_into, shorten

WRAPPERS = ("depth_model", "model_state_dict")
PARALLEL = "module."  # put before every key by DataParallel
NETWORK = "depth_model."
TRAINING_ONLY = ("auxi_modules.", "losses.")  # a head and terms that only training uses
THIRD_STAGE = re.compile(r"encoder_modules\.encoder\.layer3\.(\d+)\.")
BACKBONE_OF_BLOCKS: dict[int, Backbone] = {6: "resnet50", 23: "resnext101"}


def load_leres(path: Path) -> LeReS:
    """LeReS with the weights of a file: on the CPU, in float32 and in evaluation mode.

    The backbone follows from the weights. Reads the official files, those of LeReS's training
    code, and plain state dicts, as PyTorch file or .safetensors.

    Args:
        path: The file, downloaded by the user.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, holds more than data, or does not fit; it names the keys.
    """
    tensors = network_tensors(read_checkpoint(path), origin=str(path))
    with torch.device("meta"):  # random weights of this size would take a second
        net = LeReS(find_backbone(tensors, origin=str(path)))
    net.to_empty(device="cpu")
    for buffer in net.buffers():
        buffer.zero_()  # an old file may lack the counters of batch normalisation
    load_weights_into(net, tensors, origin=str(path))
    return net.eval()


def network_tensors(content: object, *, origin: str) -> dict[str, Tensor]:
    """Tensors of the depth network by their key in `LeReS`; what only training uses is left out.

    Args:
        content: The network's state dict, or a dict with it under `depth_model` or
            `model_state_dict`. Its keys may all begin with one `module.`.
        origin: Where it comes from, for the message.

    Raises:
        ValueError: If it is no dict, or holds more than tensors by key.
    """
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and wrapper in content:
            content = content[wrapper]
            break
    if not isinstance(content, Mapping):
        raise ValueError(f"{origin} must hold tensors by key, got a {type(content).__name__}")
    others = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
    if others:
        raise ValueError(
            f"{origin} must hold tensors by key, alone or under '{WRAPPERS[0]}' or "
            f"'{WRAPPERS[1]}', got also {shorten(others)}"
        )
    tensors = {str(key): value for key, value in content.items()}
    if all(key.startswith(PARALLEL) for key in tensors):
        tensors = {key.removeprefix(PARALLEL): value for key, value in tensors.items()}
    tensors = {key.removeprefix(NETWORK): value for key, value in tensors.items()}
    return {key: value for key, value in tensors.items() if not key.startswith(TRAINING_ONLY)}


def find_backbone(tensors: Mapping[str, Tensor], *, origin: str) -> Backbone:
    """The encoder that tensors belong to, by the number of blocks of its third stage.

    Args:
        tensors: As of `network_tensors`.
        origin: Where they come from, for the message.

    Raises:
        ValueError: If no backbone of LeReS has that number.
    """
    blocks = len({found[1] for key in tensors if (found := THIRD_STAGE.match(key))})
    if blocks not in BACKBONE_OF_BLOCKS:
        known = " or ".join(f"{n} ({name})" for n, name in BACKBONE_OF_BLOCKS.items())
        raise ValueError(
            f"{origin} is no LeReS depth network: its encoder's layer3 must have {known} blocks, "
            f"got {blocks}; it holds {shorten(list(tensors)) or 'nothing'}"
        )
    return BACKBONE_OF_BLOCKS[blocks]
