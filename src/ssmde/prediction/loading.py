"""From a path, a name or an address to a predictor: whatever weights there are."""

from pathlib import Path

import torch

from ssmde.config import Config
from ssmde.models.backbone import BACKBONE_KEY
from ssmde.models.depth_net import DepthNet
from ssmde.models.device import choose_device
from ssmde.models.foreign import is_foreign, load_foreign
from ssmde.models.load import load_weights_into, read_weights
from ssmde.models.metric_scale import stored_scale
from ssmde.models.start import WEIGHTS_IN_A_RUN, weights_file
from ssmde.models.stored import stored_config
from ssmde.prediction.engines import OPENERS, EngineNetwork, open_exported
from ssmde.prediction.hub import HUB_PREFIX, download_weights
from ssmde.prediction.predictor import Predictor
from ssmde.weights import is_released, released_weights


def load(
    path: str | Path,
    *,
    resolution: tuple[int, int] | None = None,
    device: torch.device | str | None = None,
    trust: bool = False,
) -> Predictor:
    """Predictor from trained weights.

    Opening a file runs nothing that it holds and asks nobody for anything: docs/security.md.

    Args:
        path: A .safetensors file, or a run folder: its best weights, else its last; a file of
            `ssmde export`; a folder of Monodepth2 or a .ckpt of SC-Depth; the name of released
            weights; or `hf:OWNER/NAME`, a repository of the Hugging Face hub.
        resolution: Size (height, width) the network sees, multiples of 32; by default the size it
            was trained at, or of several the one whose proportions are nearest to the image's.
        device: Where to compute; by default a GPU if there is one.
        trust: You made the file at `path` yourself: open it even if it is a .pt2, which can run
            code, or names an encoder of the Hugging Face hub that has to be asked for.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        ValueError: If it holds no weights of this project, or of another version of it, or needs
            trust.
    """
    named = _named_weights(str(path))
    place, trust = named or Path(path), trust and named is None
    if is_foreign(place):
        return _foreign_predictor(place, resolution, device)
    file = weights_file(place)
    if file.suffix in OPENERS:
        return _exported_predictor(file, resolution, trust=trust)
    tensors, metadata = read_weights(file)
    config, scale = stored_config(file, metadata), stored_scale(metadata, origin=str(file))
    network = DepthNet(
        encoder=config.model.encoder if trust else stored_encoder(file, config, metadata),
        pretrained="none",
        upsampling=config.model.upsampling,
        depth_range=config.model.depth_range,
        scales=tuple(sorted(config.loss.scales)),
    )
    load_weights_into(network, tensors, "depth_net.", origin=str(file))
    metres = scale.metres_per_unit if scale else None
    near, far = config.model.depth_range
    return Predictor(
        network.to(choose_device(device)),
        resolution or config.data.image_size,
        more_sizes=() if resolution else config.data.more_sizes,
        depth_range=(near * (metres or 1), far * (metres or 1)),
        source=str(path),
        metres_per_unit=metres,
    )


def from_pretrained(
    name: str,
    *,
    revision: str | None = None,
    resolution: tuple[int, int] | None = None,
    device: torch.device | str | None = None,
) -> Predictor:
    """Predictor from a repository of the Hugging Face hub; downloaded once, then from the cache.

    Args:
        name: Owner and name, such as `someone/indoor`.
        revision: Branch, tag or commit; by default the main branch.
        resolution: As for `load`.
        device: As for `load`.

    Raises:
        ConnectionError: If the hub cannot be reached and nothing is cached.
        ValueError: If there is no such repository, or it holds no weights of this project.
    """
    file = download_weights(name.removeprefix(HUB_PREFIX), revision=revision)
    predictor = load(file, resolution=resolution, device=device)
    predictor.source = f"{HUB_PREFIX}{name.removeprefix(HUB_PREFIX)}"
    return predictor


def find_weights(weights: str | Path) -> Path:
    """The .safetensors file of a path, a released name or `hf:OWNER/NAME`.

    Raises:
        FileNotFoundError: If there is nothing.
    """
    return weights_file(_named_weights(str(weights)) or Path(weights))


def _named_weights(name: str) -> Path | None:
    """The file behind a name; None for what is a path."""
    if name.startswith(HUB_PREFIX):
        return download_weights(name.removeprefix(HUB_PREFIX))
    return released_weights(name) if is_released(name) else None


def _foreign_predictor(
    path: Path, resolution: tuple[int, int] | None, device: torch.device | str | None
) -> Predictor:
    """Predictor from weights of another project."""
    found = load_foreign(path)
    return Predictor(
        found.network.to(choose_device(device)),
        resolution or found.image_size,
        depth_range=found.network.depth_range,
        source=str(path),
    )


def _exported_predictor(
    file: Path, resolution: tuple[int, int] | None, *, trust: bool
) -> Predictor:
    """Predictor from a file of `ssmde export`, which works at one size."""
    exported = open_exported(file, trust=trust)
    facts = exported.facts
    if resolution not in (None, facts.image_size):
        height, width = facts.image_size
        raise ValueError(
            f"{file}: was exported to work at {height} x {width}; for another size export the "
            "weights again, with --resolution HEIGHT WIDTH"
        )
    return Predictor(
        EngineNetwork(exported), facts.image_size, depth_range=facts.depth_range, source=str(file),
        metres_per_unit=1.0 if facts.unit == "metres" else None,  # the file multiplies itself
    )  # fmt: skip


def looks_like_weights(path: Path) -> bool:
    """Whether `load` would take it for weights; pictures and videos are none."""
    in_a_run = any((path / name).is_file() for name in WEIGHTS_IN_A_RUN)
    ends = {".safetensors", *OPENERS}
    return in_a_run or path.suffix in ends or is_foreign(path) or is_released(str(path))


def stored_encoder(file: Path, config: Config, metadata: dict[str, str]) -> str:
    """The encoder in the head of a weights file, in a form for which nobody has to be asked.

    Raises:
        ValueError: If it is a name of the Hugging Face hub or a folder, and no more.
    """
    name = config.model.encoder
    if not name.startswith(HUB_PREFIX):
        return name
    if BACKBONE_KEY in metadata:
        return f"{HUB_PREFIX}{metadata[BACKBONE_KEY]}"
    raise ValueError(
        f"{file}: its encoder is {name}, and the file does not say how that is built; a file makes "
        "nobody ask the hub: add --trust (trust=True in Python) if you trained it yourself"
    )
