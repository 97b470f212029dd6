"""Trained weights as a function from image to depth, at the size of the image."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import nn

from ssmde.config import Config, load_config
from ssmde.data.images import resize_image
from ssmde.models.depth_net import DepthNet, check_image_size
from ssmde.models.foreign import is_foreign, load_foreign
from ssmde.models.load import load_weights_into, read_weights
from ssmde.prediction.engines import OPENERS, EngineNetwork, open_exported
from ssmde.prediction.hub import HUB_PREFIX, download_weights
from ssmde.prediction.images import ImageLike, resize_depth, to_pixels
from ssmde.weights import RELEASED, known_names, released_weights

WEIGHTS_FORMAT, WEIGHTS_VERSION = "ssmde-depth", "1"
"""What the head of a weights file says about itself."""
WEIGHTS_IN_A_RUN = ("best.safetensors", "last.safetensors")


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """What the network says of one image, at the size of that image."""

    depth: Float32[np.ndarray, "h w"]
    """Depth along z, in scene units: true up to one factor unless the weights are metric."""
    confidence: Float32[np.ndarray, "h w"] | None = None
    """In [0, 1]; None where the weights have none."""
    intrinsics: Float[np.ndarray, "3 3"] | None = None
    """Pinhole matrix the network found, in pixels of the image; None where it finds none."""


class Predictor:
    """A trained depth network and the size it wants its images in.

    Args:
        network: Maps RGB (b, 3, h, w) in [0, 1] to depth (b, 1, h, w); set to evaluation here.
        image_size: Size (height, width) the network sees; multiples of 32.
        depth_range: Smallest and largest depth the network can say, in scene units.
        source: Where the weights come from, for tables.
    """

    metres_per_unit: float | None = None
    """Factor from its depth to metres; None where nobody knows."""

    def __init__(
        self,
        network: nn.Module,
        image_size: tuple[int, int],
        *,
        depth_range: tuple[float, float] = (0.1, 100.0),
        source: str = "",
    ) -> None:
        check_image_size(*image_size)
        self.network = network.eval()
        self.image_size = image_size
        self.depth_range = depth_range
        self.source = source

    def at(self, resolution: tuple[int, int]) -> "Predictor":
        """The same network at another working size (height, width), multiples of 32."""
        return Predictor(self.network, resolution, depth_range=self.depth_range, source=self.source)

    def predict(self, image: ImageLike) -> Prediction:
        """Depth of one image, at its own size.

        Raises:
            ImageError: If a file cannot be read.
            ValueError: If an array is not an image.
        """
        return next(self.predict_many([image]))

    def predict_many(
        self, images: Iterable[ImageLike], *, batch_size: int = 8
    ) -> Iterator[Prediction]:
        """Depth of each image, at its own size, in order; reads `batch_size` images at a time."""
        waiting = iter(images)
        while group := [to_pixels(image) for image in islice(waiting, batch_size)]:
            for pixels, depth in zip(group, self._run(group), strict=True):
                yield Prediction(depth=resize_depth(depth, pixels.shape[:2]))

    def network_depth(self, pixels: UInt8[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "k m"]:
        """Depth at the size the network works in, as benchmarks want it before they resize it."""
        return self._run([pixels])[0]

    @torch.inference_mode()
    def _run(self, images: list[UInt8[np.ndarray, "_ _ 3"]]) -> Float32[np.ndarray, "b k m"]:
        device = next(self.network.parameters()).device
        views = np.stack([resize_image(pixels, self.image_size) for pixels in images])
        batch = torch.from_numpy(views).to(device).permute(0, 3, 1, 2).float() / 255
        return self.network(batch)[:, 0].float().cpu().numpy()


def load(
    path: str | Path,
    *,
    resolution: tuple[int, int] | None = None,
    device: torch.device | str | None = None,
) -> Predictor:
    """Predictor from trained weights.

    Args:
        path: A .safetensors file, or a run folder: its best weights, else its last; a file of
            `ssmde export`; a folder of Monodepth2 or a .ckpt of SC-Depth; the name of released
            weights; or `hf:OWNER/NAME`, a repository of the Hugging Face hub.
        resolution: Size (height, width) the network sees, multiples of 32; by default the size it
            was trained at.
        device: Where to compute; by default a GPU if there is one.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        ValueError: If it holds no weights of this project, or of another version of it.
    """
    place = _named_weights(str(path)) or Path(path)
    if is_foreign(place):
        return _foreign_predictor(place, resolution, device)
    file = _weights_file(place)
    if file.suffix in OPENERS:
        return _exported_predictor(file, resolution)
    tensors, metadata = read_weights(file)
    config = _stored_config(file, metadata)
    network = DepthNet(
        encoder=config.model.encoder,
        pretrained="none",
        upsampling=config.model.upsampling,
        depth_range=config.model.depth_range,
        scales=tuple(sorted(config.loss.scales)),
    )
    load_weights_into(network, tensors, "depth_net.", origin=str(file))
    return Predictor(
        network.to(device or ("cuda" if torch.cuda.is_available() else "cpu")),
        resolution or config.data.image_size,
        depth_range=config.model.depth_range,
        source=str(path),
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


def _named_weights(name: str) -> Path | None:
    """The file behind a name; None for what is a path."""
    if name.startswith(HUB_PREFIX):
        return download_weights(name.removeprefix(HUB_PREFIX))
    return released_weights(name) if name in RELEASED and not Path(name).exists() else None


def _foreign_predictor(
    path: Path, resolution: tuple[int, int] | None, device: torch.device | str | None
) -> Predictor:
    """Predictor from weights of another project."""
    found = load_foreign(path)
    return Predictor(
        found.network.to(device or ("cuda" if torch.cuda.is_available() else "cpu")),
        resolution or found.image_size,
        depth_range=found.network.depth_range,
        source=str(path),
    )


def _exported_predictor(file: Path, resolution: tuple[int, int] | None) -> Predictor:
    """Predictor from a file of `ssmde export`, which works at one size."""
    exported = open_exported(file)
    facts = exported.facts
    if resolution not in (None, facts.image_size):
        height, width = facts.image_size
        raise ValueError(
            f"{file}: was exported to work at {height} x {width}; for another size export the "
            "weights again, with --resolution HEIGHT WIDTH"
        )
    predictor = Predictor(
        EngineNetwork(exported), facts.image_size, depth_range=facts.depth_range, source=str(file)
    )
    predictor.metres_per_unit = 1.0 if facts.unit == "metres" else None
    return predictor


def _weights_file(path: Path) -> Path:
    if not path.exists():
        raise FileNotFoundError(
            f"{path}: no such file or folder; give a .safetensors file, the folder of a run, "
            f"hf:OWNER/NAME, or a released name ({known_names(str(path))})"
        )
    if not path.is_dir():
        return path
    for name in WEIGHTS_IN_A_RUN:
        if (path / name).is_file():
            return path / name
    raise FileNotFoundError(
        f"{path}: holds neither {' nor '.join(WEIGHTS_IN_A_RUN)}; "
        "give the folder of a run that has validated at least once"
    )


def _stored_config(file: Path, metadata: dict[str, str]) -> Config:
    """The configuration in the head of a weights file."""
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
        return load_config(metadata["config"])
    except ValueError as error:
        raise ValueError(f"{file}: its stored configuration cannot be read: {error}") from error
