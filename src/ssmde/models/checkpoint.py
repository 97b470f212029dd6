"""Files of weights: the only place that opens one, whoever wrote it, and never runs code from it.

Own weights are safetensors whose head carries the configuration of the run, and a scale in metres
where somebody measured one. They are written whole or not at all.
"""

import argparse
import json
import math
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import safetensors
import safetensors.torch
import torch
import yaml
from pydantic import TypeAdapter
from torch import Tensor, nn

from ssmde.config import Config, load_config
from ssmde.console import shorten
from ssmde.io import check_file, parse_json, whole_file

WEIGHTS_FORMAT, WEIGHTS_VERSION = "ssmde-depth", "1"  # in the head of a weights file
SCALE_KEY = "metric_scale"  # in the head of a weights file
OPTIONAL_KEY = "num_batches_tracked"  # a counter that files from before PyTorch 0.4.1 lack
KEYS_IN_A_MESSAGE = 4
REFUSED_NAME = re.compile(r"GLOBAL ([\w.]+)")  # in the message of torch's restricted reader


def save_weights(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file with text in its head; the folder is made where absent.

    Whatever happens, `path` holds the old file or the new one, never a part of it.
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
    """Tensors by key, on the CPU, and the metadata of a safetensors file."""
    check_file(path, "file of weights")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            return tensors, dict(file.metadata() or {})
    except safetensors.SafetensorError as error:
        raise ValueError(
            f"{path} is not a whole safetensors file ({error}); "
            "weights of this project end in .safetensors and are written by `ssmde train`"
        ) from error


def read_checkpoint(path: Path) -> Any:
    """What a .safetensors or PyTorch file holds: tensors, plain values, containers, on the CPU.

    A ValueError where it is damaged, or holds anything else; nothing in it is ever run.
    """
    check_file(path, "file of weights")
    if path.suffix == ".safetensors":
        return read_weights(path)[0]
    path.open("rb").close()  # the system's own message where the file may not be read
    # Mapped, tensors that nobody asks for are never read. Files from before PyTorch 1.6 are no zip.
    try:
        mapped = zipfile.is_zipfile(path)
        # A record of options, without a behavior of its own; SC-Depth keeps its settings in one.
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


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors by key of a file of weights that holds nothing else; raises as `read_checkpoint`."""
    return only_tensors(read_checkpoint(path), origin=str(path))


def only_tensors(
    content: Any, plain: tuple[str, ...] = (), *, origin: str, where: str = ""
) -> dict[str, Tensor]:
    """The tensors of a file; another value, but under a key of `plain`, is a ValueError."""
    if not isinstance(content, Mapping):
        kind = type(content).__name__
        raise ValueError(f"{origin} must hold tensors by key{where}, got a {kind}")
    others = [k for k, v in content.items() if not isinstance(v, Tensor) and k not in plain]
    if others:
        raise ValueError(f"{origin} must hold tensors by key{where}, got also {listed(others)}")
    return {str(key): value for key, value in content.items() if isinstance(value, Tensor)}


def listed(names: list[str]) -> str:
    """The first few names, and how many there are."""
    shown = ", ".join(map(str, names[:KEYS_IN_A_MESSAGE]))
    return shown if len(names) <= KEYS_IN_A_MESSAGE else f"{shown}, ... ({len(names)} in all)"


def load_weights_into(
    module: nn.Module, tensors: Mapping[str, Tensor], prefix: str = "", *,
    origin: str = "the given weights", names: Callable[[str], str] = str,
) -> None:  # fmt: skip
    """Copy the tensors whose key begins with `prefix` into a module, all of them or none.

    Keys that are missing, unexpected, or of the wrong shape are named in a ValueError, which says
    where they come from, their `origin`. `names` leads from a key of the module to what the tensors
    call it behind the prefix.
    """
    given = {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}
    state = module.state_dict()
    wanted = {names(key): value for key, value in state.items()}
    faults = {
        "missing": [k for k in wanted if k not in given and not k.endswith(OPTIONAL_KEY)],
        "unexpected": [key for key in given if key not in wanted],
        "wrong shape": [
            f"{key} is {tuple(given[key].shape)} instead of {tuple(value.shape)}"
            for key, value in wanted.items()
            if key in given and given[key].shape != value.shape
        ],
    }
    found = [f"{what}: {listed([prefix + k for k in ks])}" for what, ks in faults.items() if ks]
    if found:
        name = type(module).__name__
        raise ValueError(f"{origin} does not fit this {name}: {'; '.join(found)}")
    module.load_state_dict({key: given.get(names(key), state[key]) for key in state})


def load_networks(path: Path, **networks: nn.Module) -> None:
    """Copy stored weights into networks, each by its name there (`depth_net=`, `pose_net=`)."""
    tensors, _ = read_weights(path)
    for name, network in networks.items():
        load_weights_into(network, tensors, f"{name}.", origin=str(path))


def stored_config(file: Path, metadata: Mapping[str, str]) -> Config:
    """The configuration in the head of a weights file of this project; else a ValueError."""
    kind, version = metadata.get("format"), metadata.get("version")
    if kind != WEIGHTS_FORMAT or "config" not in metadata:
        raise ValueError(
            f"{file}: holds no depth network of this project (format {kind!r} instead of "
            f"{WEIGHTS_FORMAT!r}); give weights written by `ssmde train`"
        )
    if version != WEIGHTS_VERSION:
        raise ValueError(
            f"{file}: is of format version {version}, this package reads version "
            f"{WEIGHTS_VERSION}; install the ssmde that wrote it"
        )
    try:
        return load_config(metadata["config"], stored=True)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{file}: its stored configuration cannot be read: {reason}") from error


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricScale:
    """The factor from scene units to metres, and how sure it is."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid", "allow_inf_nan": False}
    metres_per_unit: float  # depth in metres = this number * depth in scene units
    error: float | None  # standard error as a share, without that of what it was measured by
    spread: float | None  # half of the width of the middle 68 % of single frames, as a share
    estimates: int  # frames or points behind the number
    source: str  # what the metres come from, in words

    def __post_init__(self) -> None:
        """Refuse what is no factor."""
        if not 0 < self.metres_per_unit < math.inf:
            raise ValueError(
                f"metres_per_unit must be a positive number, got {self.metres_per_unit:g}"
            )

    def __str__(self) -> str:
        """The number with its error bar, in one line."""
        error = "" if self.error is None else f" +- {100 * self.error:.1f} %"
        spread = "" if self.spread is None else f" (single frames +- {100 * self.spread:.1f} %)"
        return f"1 scene unit = {self.metres_per_unit:.4g} m{error}{spread}, from {self.source}"


def stored_scale(metadata: Mapping[str, str], *, origin: str = "the weights") -> MetricScale | None:
    """The scale in the head of the weights file `origin`; None if nobody found it."""
    text = metadata.get(SCALE_KEY)
    if text is None:
        return None
    try:
        return TypeAdapter(MetricScale).validate_python(parse_json(text, origin))
    except ValueError as error:
        raise ValueError(
            f"{origin}: {SCALE_KEY} in the head is no scale: {shorten(text)}; find it again with "
            "`ssmde scale`"
        ) from error


def with_scale(metadata: Mapping[str, str], scale: MetricScale | None) -> dict[str, str]:
    """The head of a weights file with this scale; None takes a stored one out."""
    kept = {key: value for key, value in metadata.items() if key != SCALE_KEY}
    return kept if scale is None else {**kept, SCALE_KEY: json.dumps(asdict(scale))}
