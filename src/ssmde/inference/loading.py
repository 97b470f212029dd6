"""From a path, a name or an address to a predictor: whatever weights there are."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64, UInt8

from ssmde.data.images import resize_image
from ssmde.inference.engines import OPENERS, EngineNetwork, open_exported
from ssmde.inference.predictor import Predictor
from ssmde.models.backbone import BACKBONE_KEY
from ssmde.models.checkpoint import load_weights_into, read_weights, stored_config, stored_scale
from ssmde.models.depth_net import DepthNet
from ssmde.models.foreign import is_foreign, load_foreign
from ssmde.models.hub import HUB_PREFIX, download_weights
from ssmde.models.pose_net import PoseCNN
from ssmde.models.registry import WEIGHTS_IN_A_RUN, choose_device, named_weights, weights_file
from ssmde.weights import RELEASED, is_released

POSE_PREFIX = "pose_net."
Resolution = tuple[int, int] | None
Device = torch.device | str | None


def load(
    path: str | Path, *, resolution: Resolution = None, device: Device = None, trust: bool = False
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
        trust: You trained the weights at `path` yourself: ask the Hugging Face hub for an encoder
            that an old file only names.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        ValueError: If it holds no weights of this project or another version of it, or needs trust.
    """
    named = named_weights(str(path))
    place = named or Path(path)
    if is_foreign(place):
        network, size = load_foreign(place)
        return Predictor(
            network.to(choose_device(device)), resolution or size,
            depth_range=network.depth_range, source=str(place),
        )  # fmt: skip
    file = weights_file(place)
    if file.suffix in OPENERS:
        network = open_exported(file)
        facts = network.facts
        if resolution not in (None, facts.image_size):
            height, width = facts.image_size
            raise ValueError(
                f"{file}: was exported to work at {height} x {width}; for another size export the "
                "weights again, with --resolution HEIGHT WIDTH"
            )
        return Predictor(
            network, facts.image_size, depth_range=facts.depth_range, source=str(file),
            metres_per_unit=1.0 if facts.unit == "metres" else None,  # the file multiplies itself
        )  # fmt: skip
    tensors, metadata = read_weights(file)
    config, scale = stored_config(file, metadata), stored_scale(metadata, origin=str(file))
    encoder = config.model.encoder
    if encoder.startswith(HUB_PREFIX) and not (trust and named is None):
        if BACKBONE_KEY not in metadata:
            raise ValueError(
                f"{file}: its encoder is {encoder}, and the file does not say how that is built; a "
                "file makes nobody ask the hub: add --trust (trust=True in Python) if you trained "
                "it yourself"
            )
        encoder = f"{HUB_PREFIX}{metadata[BACKBONE_KEY]}"
    network = DepthNet(
        encoder=encoder, pretrained="none", upsampling=config.model.upsampling,
        depth_range=config.model.depth_range, scales=tuple(sorted(config.loss.scales)),
    )  # fmt: skip
    load_weights_into(network, tensors, "depth_net.", origin=str(file))
    metres = scale.metres_per_unit if scale else None
    near, far = config.model.depth_range
    return Predictor(
        network.to(choose_device(device)), resolution or config.data.image_size,
        more_sizes=() if resolution else config.data.more_sizes, source=str(path),
        depth_range=(near * (metres or 1), far * (metres or 1)), metres_per_unit=metres,
    )  # fmt: skip


def from_pretrained(
    name: str, *, revision: str | None = None, resolution: Resolution = None, device: Device = None
) -> Predictor:
    """Predictor from a repository OWNER/NAME of the Hugging Face hub, downloaded once.

    The revision is a branch, tag or commit; by default the main branch. The rest as for `load`. A
    ConnectionError where the hub cannot be reached and nothing is cached.
    """
    name = name.removeprefix(HUB_PREFIX)
    file = download_weights(name, revision=revision)
    predictor = load(file, resolution=resolution, device=device)
    predictor.source = f"{HUB_PREFIX}{name}"
    return predictor


def find_weights(weights: str | Path) -> Path:
    """The .safetensors file of a path, a released name or `hf:OWNER/NAME`."""
    return weights_file(named_weights(str(weights)) or Path(weights))


def licence_of(predictor: Predictor) -> str | None:
    """Licence of weights that tell it: released ones, and files of `ssmde export`."""
    if isinstance(predictor.network, EngineNetwork):
        return predictor.network.facts.licence
    name = predictor.source
    return RELEASED[name].licence if name in RELEASED and is_released(name) else None


def looks_like_weights(path: Path) -> bool:
    """Whether `load` would take it for weights; pictures and videos are none."""
    in_a_run = any((path / name).is_file() for name in WEIGHTS_IN_A_RUN)
    ends = {".safetensors", *OPENERS}
    return in_a_run or path.suffix in ends or is_foreign(path) or is_released(str(path))


class MotionPredictor:
    """The pose network of trained weights: the camera's motion between two images."""

    def __init__(self, path: str | Path, device: Device = None) -> None:
        file = find_weights(path)
        tensors, metadata = read_weights(file)
        config = stored_config(file, metadata)
        if not any(key.startswith(POSE_PREFIX) for key in tensors):
            raise ValueError(
                f"{path}: holds no pose network; give weights of a network that was trained on "
                "video, such as those of its first stage"
            )
        network = PoseCNN()
        load_weights_into(network, tensors, POSE_PREFIX, origin=str(file))
        self.device: torch.device = choose_device(device)
        self.network = network.to(self.device).eval()
        self.image_size: tuple[int, int] = config.data.image_size
        self.gap: int = min(config.data.frame_gaps)
        """Frames between the images it was trained on, at least."""

    def see(self, pixels: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "k m 3"]:
        """The image at the size of the network."""
        return resize_image(pixels, self.image_size)

    @torch.inference_mode()
    def __call__(
        self, target: UInt8[np.ndarray, "k m 3"], source: UInt8[np.ndarray, "k m 3"]
    ) -> Float64[np.ndarray, "4 4"]:
        """`T_src_tgt`, in scene units, from two images that `see` has resized."""
        views = [
            torch.from_numpy(view).to(self.device).permute(2, 0, 1)[None].float() / 255
            for view in (target, source)
        ]
        return self.network(*views)[0].double().cpu().numpy()
