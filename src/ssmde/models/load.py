"""Weights of this project on disk: safetensors, written whole or not at all.

Files of other projects are read in `checkpoint.py`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from ssmde.io import check_file, whole_file

OPTIONAL_KEY = "num_batches_tracked"  # a counter that files from before PyTorch 0.4.1 lack
KEYS_IN_A_MESSAGE = 4


def save_weights(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file under a temporary name, then rename it into place.

    Whatever happens in between, `path` holds the old file or the new one, never a part of it.

    Args:
        path: File to write; its folder is made where absent.
        tensors: Tensors by key, on any device.
        metadata: Text that travels in the head of the file.

    Raises:
        OSError: If the disk refuses; the message names the file.
    """
    # Clones share no memory, which the format would refuse for tied weights.
    plain = {
        key: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for key, tensor in tensors.items()
    }
    content = safetensors.torch.save(plain, dict(metadata))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as part:
            part.write_bytes(content)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(error.errno, f"cannot write weights: {reason}", str(path)) from error


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors by key, on the CPU, and the metadata of a safetensors file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a safetensors file, or a damaged one.
    """
    check_is_file(path)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            return tensors, dict(file.metadata() or {})
    except safetensors.SafetensorError as error:
        raise _not_whole(path, error) from error


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file; raises as `read_weights`."""
    check_is_file(path)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except safetensors.SafetensorError as error:
        raise _not_whole(path, error) from error


def _not_whole(path: Path, error: Exception) -> ValueError:
    return ValueError(
        f"{path} is not a whole safetensors file ({error}); "
        "weights of this project end in .safetensors and are written by `ssmde train`"
    )


def load_weights_into(
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    prefix: str = "",
    *,
    origin: str = "the given weights",
    names: Callable[[str], str] = str,
) -> None:
    """Copy the tensors whose key begins with `prefix` into a module, all of them or none.

    Args:
        module: Takes the values; its keys and shapes must match exactly.
        tensors: Tensors by key; keys with another beginning are left aside.
        prefix: Beginning of the keys, such as `depth_net.`; cut off before they are compared.
        origin: Where the tensors come from, for the message.
        names: From a key of the module to what the tensors call it; by default the same.

    Raises:
        ValueError: If keys are missing, unexpected, or of the wrong shape; it names them.
    """
    given = {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}
    state = module.state_dict()
    wanted = {names(key): value for key, value in state.items()}
    missing = [key for key in wanted if key not in given and not key.endswith(OPTIONAL_KEY)]
    unexpected = [key for key in given if key not in wanted]
    misshapen = [
        f"{prefix}{key} is {tuple(given[key].shape)} instead of {tuple(value.shape)}"
        for key, value in wanted.items()
        if key in given and given[key].shape != value.shape
    ]
    faults = [
        f"{what}: {shorten(keys)}"
        for what, keys in (
            ("missing", [prefix + key for key in missing]),
            ("unexpected", [prefix + key for key in unexpected]),
            ("wrong shape", misshapen),
        )
        if keys
    ]
    if faults:
        name = type(module).__name__
        raise ValueError(f"{origin} does not fit this {name}: {'; '.join(faults)}")
    module.load_state_dict({key: given.get(names(key), state[key]) for key in state})


def load_networks(path: Path, **networks: nn.Module) -> None:
    """Copy weights that a run has stored into its networks, all of them or none.

    Args:
        path: The weights file.
        networks: By the names they have in a method, such as `depth_net` and `pose_net`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If they do not fit; it names the keys.
    """
    tensors, _ = read_weights(path)
    for name, network in networks.items():
        load_weights_into(network, tensors, f"{name}.", origin=str(path))


def check_is_file(path: Path) -> None:
    """Refuse a path that leads to no plain file; raises as `ssmde.io.check_file`."""
    check_file(path, "file of weights")


def shorten(names: list[str]) -> str:
    """The first few names, and how many there are."""
    shown = ", ".join(names[:KEYS_IN_A_MESSAGE])
    return shown if len(names) <= KEYS_IN_A_MESSAGE else f"{shown}, ... ({len(names)} in all)"
