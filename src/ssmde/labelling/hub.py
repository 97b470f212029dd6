"""Sources from the Hugging Face hub: depth networks of others, downloaded at their first use.

This is the only module that knows `transformers` and `depth_anything_3`.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import torch
from jaxtyping import Float32, UInt8
from PIL import Image

from ssmde.console import first_line
from ssmde.data.pseudo_depth import Kind, LabelInfo
from ssmde.inference.input import resize_depth
from ssmde.labelling.source import Asked, Maps, Source
from ssmde.models.hub import from_hub, hub_in_reach

Pixels = list[UInt8[np.ndarray, "h w 3"]]

INSTALL = "pip install 'ssmde[labels]'"
INSTALL_DEPTH_ANYTHING_3 = "pip install git+https://github.com/ByteDance-Seed/Depth-Anything-3"
METRIC = ("zoedepth", "depth_pro", "glpn")  # kinds of network that give metres
PATIENCE = 10.0  # seconds to wait for a licence


@dataclass(frozen=True, kw_only=True, slots=True)
class HubModel:
    """A model of the hub that is known here."""

    name: str
    """Owner and name."""
    kind: Kind
    """What it gives, up to an affine map."""
    licence: str
    """Its licence, for when the model card cannot be reached."""


DEPTH_ANYTHING_V2 = HubModel(
    name="depth-anything/Depth-Anything-V2-Small-hf", kind="disparity", licence="apache-2.0"
)
MIDAS = HubModel(name="Intel/dpt-hybrid-midas", kind="disparity", licence="apache-2.0")
DEPTH_ANYTHING_3 = HubModel(name="depth-anything/DA3MONO-LARGE", kind="depth", licence="apache-2.0")


def open_known(model: HubModel) -> Callable[[Asked], Source]:
    """Opens a known model through transformers."""
    return lambda asked: _open(model.name, asked, known=model)


def open_any(asked: Asked) -> Source:
    """Any model of the hub, or folder, that `AutoModelForDepthEstimation` opens.

    Raises:
        ConnectionError: If it cannot be had.
        ImportError: If transformers is not installed.
        ValueError: If it cannot be known what the model gives, or it is not what was said.
    """
    return _open(asked.argument, asked, known=None)


def _open(name: str, asked: Asked, known: HubModel | None) -> Source:
    if _is_installed("transformers") and not Path(name).exists():
        # Before the import, which takes longer than to find that there is no internet.
        _fetch(huggingface_hub.hf_hub_download, name, filename="config.json")
    transformers = _import("transformers", INSTALL)
    safe = {"trust_remote_code": False}  # weights are opened, code of strangers is not run
    processor = _fetch(transformers.AutoImageProcessor.from_pretrained, name, **safe)
    network = _fetch(transformers.AutoModelForDepthEstimation.from_pretrained, name, **safe)
    network = network.to(asked.device).eval()
    kind, affine = (known.kind, True) if known else _what_it_gives(name, network.config, asked.kind)
    height, width = asked.size or (0, 0)
    options = {"size": {"height": height, "width": width}} if asked.size else {}

    @torch.inference_mode()
    def label(images: Pixels) -> Maps:
        pictures = [Image.fromarray(image) for image in images]
        inputs = processor(images=pictures, return_tensors="pt", **options).to(asked.device)
        sizes = [image.shape[:2] for image in images]
        # By its place: it is source_sizes for ZoeDepth, which pads, and target_sizes for the rest.
        found = processor.post_process_depth_estimation(network(**inputs), sizes)
        maps = [one["predicted_depth"].float().cpu().numpy() for one in found]
        return [resize_depth(m, s) for m, s in zip(maps, sizes, strict=True)]

    info = LabelInfo(
        source=f"hf:{name}", version=getattr(network.config, "_commit_hash", None) or "",
        kind=kind, affine=affine, licence=find_licence(name, known), network_size=asked.size,
    )  # fmt: skip
    return Source(info=info, label=label)


def _what_it_gives(name: str, config: Any, said: Kind | None) -> tuple[Kind, bool]:
    """Kind, and whether scale and shift are unknown, as far as the configuration tells."""
    family = getattr(config, "model_type", "")
    found: tuple[Kind, bool] | None = None
    if family in METRIC or getattr(config, "depth_estimation_type", "") == "metric":
        found = "depth", False
    elif family == "depth_anything":
        found = "disparity", True
    if found is None and said is None:
        raise ValueError(
            f"hf:{name}: cannot tell whether this model gives depth or disparity; its model card "
            f"https://huggingface.co/{name} does: add --kind depth or --kind disparity"
        )
    if found is not None and said not in (None, found[0]):
        raise ValueError(f"hf:{name} gives {found[0]}, not {said}: leave --kind away")
    return found or (said or "depth", True)


def open_depth_anything_3(asked: Asked) -> Source:
    """Depth Anything 3 (Lin et al., 2025, https://arxiv.org/abs/2511.10647), its monocular network.

    Transformers does not have it (5.23), so it needs its authors' own package.

    Raises:
        ConnectionError: If the weights cannot be had.
        ImportError: If depth_anything_3 is not installed.
    """
    model = DEPTH_ANYTHING_3
    package = _import("depth_anything_3.api", INSTALL_DEPTH_ANYTHING_3)
    network = _fetch(package.DepthAnything3.from_pretrained, model.name).to(asked.device).eval()
    options = {} if asked.size is None else {"process_res": max(asked.size)}

    def label(images: Pixels) -> Maps:
        return [_one_depth(network.inference([image], **options), image) for image in images]

    info = LabelInfo(
        source=f"hf:{model.name}", kind=model.kind, affine=True,
        licence=find_licence(model.name, model), network_size=asked.size,
    )  # fmt: skip
    return Source(info=info, label=label)


def _one_depth(prediction: Any, image: UInt8[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "h w"]:
    """Depth of a prediction for one image alone: several would count as views of one scene."""
    return resize_depth(np.asarray(prediction.depth[0], np.float32), image.shape[:2])


def find_licence(name: str, known: HubModel | None = None) -> str:
    """Licence on the model card; where that cannot be reached, what is known here."""
    page = f"https://huggingface.co/{name}"
    unknown = known.licence if known else f"unknown: see {page}"
    if Path(name).is_dir():
        return f"unknown: see where {name} comes from"
    if not hub_in_reach():
        return unknown
    try:
        card = huggingface_hub.model_info(name, timeout=PATIENCE).card_data
    except Exception:  # the errors of the HTTP client below the hub change with its version
        return unknown
    if card is None or not card.get("license"):
        return unknown
    if card.get("license") == "other":
        return f"{card.get('license_name') or 'a licence of its own'}: see {page}"
    return str(card.get("license"))


def _is_installed(module: str) -> bool:
    """Whether a module is there, without an import of it."""
    if module in sys.modules:
        return sys.modules[module] is not None  # pyright: ignore[reportUnnecessaryComparison]
    return find_spec(module) is not None


def _import(module: str, install: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ImportError(
            f"this source of `ssmde label` needs {package}, which is not installed or does not "
            f"work ({first_line(error)}): {install}"
        ) from error


def _fetch(load: Callable[..., Any], name: str, **options: Any) -> Any:
    """What a loader of the hub returns, or one clear line."""
    try:
        return from_hub(load, name, **options)
    # Not only OSError: the errors of the HTTP client below the hub change with its version.
    except Exception as error:
        raise ConnectionError(
            f"cannot open the model {name} of https://huggingface.co "
            f"({type(error).__name__}: {first_line(error)}). Is the name right, and the internet "
            "in reach? Without: download the model elsewhere and give its folder, --source "
            "hf:FOLDER; or take weights or labels you have, --source leres, ssmde:WEIGHTS or "
            "folder:PATH"
        ) from error
