"""Weight files of other projects, read without running code from them: no other place opens one."""

import argparse
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ssmde.models.load import check_is_file, read_weights, shorten

REFUSED_NAME = re.compile(r"GLOBAL ([\w.]+)")  # in the message of torch's restricted reader


def read_checkpoint(path: Path) -> Any:
    """What a file of weights holds: tensors, plain values and their containers, on the CPU.

    Args:
        path: A .safetensors file, or one that torch wrote.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, or holds anything else; nothing in it is ever run.
    """
    check_is_file(path)
    if path.suffix == ".safetensors":
        return read_weights(path)[0]
    path.open("rb").close()  # the system's own message where the file may not be read
    # Mapped, tensors that nobody asks for are never read. Files from before PyTorch 1.6 are no zip.
    try:
        mapped = zipfile.is_zipfile(path)
        # A record of options, without a behaviour of its own; SC-Depth keeps its settings in one.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # bytes of another kind break the reader in any way
        # Not torch's message: it begins with the advice to run the file's code.
        name = REFUSED_NAME.search(str(error))
        raise ValueError(
            f"{path} holds more than weights: it asks for {name[1]}, which could run code, and is "
            "not opened. If you trust its author, open it elsewhere and save its tensors alone, "
            "with torch.save"
            if name
            else f"{path} is damaged or is not a PyTorch file of weights (reading it ended in "
            f"{type(error).__name__}); download it again and compare its size"
        ) from error


def read_named(path: Path) -> dict[str, Any]:
    """What a file of weights holds under names; raises as `read_checkpoint`."""
    content = read_checkpoint(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold tensors by key, got a {type(content).__name__}")
    return {str(key): value for key, value in content.items()}


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors by key of a file of weights that holds nothing else; raises as `read_checkpoint`."""
    return only_tensors(read_named(path), origin=str(path))


def only_tensors(
    content: Mapping[str, Any], plain: tuple[str, ...] = (), *, origin: str
) -> dict[str, Tensor]:
    """The tensors of a file; other values must be among those that are expected.

    Args:
        content: Values by key.
        plain: Keys of values that may be there, and are left out.
        origin: Where they come from, for the message.

    Raises:
        ValueError: If there is something else.
    """
    others = [k for k, v in content.items() if not isinstance(v, Tensor) and k not in plain]
    if others:
        raise ValueError(f"{origin} must hold tensors by key, got also {shorten(others)}")
    return {key: value for key, value in content.items() if isinstance(value, Tensor)}
