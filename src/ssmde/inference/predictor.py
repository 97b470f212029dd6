"""Trained weights as a function from image to depth, at the size of the image."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from itertools import groupby

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor, nn

from ssmde.data.images import resize_image
from ssmde.inference.input import ImageLike, resize_depth, to_pixels
from ssmde.models.depth_net import check_image_size

LARGEST_GROUP = 100_000_000  # bytes of pixels: four photos of 8 megapixels
BATCH_SIZE = 8  # images the network sees at once
Views = list[UInt8[np.ndarray, "_ _ 3"]]


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelInfo:
    """What all depth maps of one predictor share."""

    depth_range: tuple[float | int, float | int] = (0.1, 100.0)  # smallest and largest, in `unit`
    source: str = ""  # where the weights come from
    network_size: tuple[int, int] = (0, 0)  # size (height, width) the network sees, in pixels
    metres_per_unit: float | None = None
    """Factor that `ssmde scale` found and depth has been multiplied by; None: scene units."""

    @property
    def metric(self) -> bool:
        """True if depth is in metres."""
        return self.metres_per_unit is not None

    @property
    def unit(self) -> str:
        """Written behind a depth: m, or nothing where the unit is unknown."""
        return "m" if self.metric else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """Depth of one image, or of a batch of n, at the size of the images."""

    depth: Float32[np.ndarray, "*n h w"]
    """Depth along z: in metres if `metric`, else in scene units, true up to one factor."""
    metric: bool = False  # true if the weights know their scale: see `ssmde scale`


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictedFrame:
    """One image or frame of a video with its depth, of one size, as writers take it."""

    pixels: UInt8[np.ndarray, "h w 3"]  # RGB, upright
    depth: Float32[np.ndarray, "h w"]
    """Depth along z, in metres or scene units, as `info` says; positive."""
    intrinsics: Float[np.ndarray, "3 3"] | None = None  # in pixels of the image
    time: float | int | None = None  # when the frame is shown, in seconds; None for an image
    ends: tuple[float, float] | None = None
    """Near and far end of the colors, where they follow a video; None for those of the depth."""
    info: ModelInfo = ModelInfo()  # where the depth comes from


@dataclass(eq=False)
class Predictor:
    """A trained depth network and the size it wants its images in."""

    network: nn.Module
    """Maps RGB (b, 3, h, w) in [0, 1] to depth (b, 1, h, w); set to evaluation here."""
    image_size: tuple[int, int]  # size (height, width) the network sees; multiples of 32
    _: KW_ONLY
    more_sizes: Sequence[tuple[int, int]] = ()
    """Further sizes it was trained at: an image is seen at the one whose proportions are nearest to
    its own."""
    depth_range: tuple[float, float] = (0.1, 100.0)  # smallest and largest, in its unit
    source: str = ""  # where the weights come from, for tables
    metres_per_unit: float | None = None
    """What the network says times this is metres; None where nobody knows."""

    def __post_init__(self) -> None:
        for size in (self.image_size, *self.more_sizes):
            check_image_size(*size)
        self.network.eval()

    @property
    def info(self) -> ModelInfo:
        """What its depth maps share."""
        return ModelInfo(
            depth_range=self.depth_range, source=self.source, network_size=self.image_size,
            metres_per_unit=self.metres_per_unit,
        )  # fmt: skip

    def at(self, resolution: tuple[int, int]) -> "Predictor":
        """The same network at another working size (height, width), multiples of 32."""
        return replace(self, image_size=resolution, more_sizes=())

    def to(self, device: str | torch.device) -> "Predictor":
        """Move the network to a device, such as `cuda`; returns this predictor."""
        self.network.to(device)
        return self

    def size_for(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """The size (height, width) at which an image of shape (height, width, ...) is seen."""
        proportions = math.log(shape[1] / shape[0])
        sizes = (self.image_size, *self.more_sizes)
        return min(sizes, key=lambda size: abs(math.log(size[1] / size[0]) - proportions))

    def predict(self, image: ImageLike) -> Prediction:
        """Depth of one image, or of a batch of images, at their own size.

        Args:
            image: See `ImageLike`; or a batch, as a tensor (n, c, h, w) or an array (n, h, w, c).

        Raises:
            ValueError: If an array is not an image; an `ImageError` if a file cannot be read.
        """
        if not (isinstance(image, np.ndarray | Tensor) and image.ndim == 4):
            return next(self.predict_many([image]))
        if len(image) == 0:
            raise ValueError("a batch needs at least one image, got none")
        found = [one.depth for one in self.predict_many([*image])]
        return Prediction(depth=np.stack(found), metric=self.info.metric)

    def predict_many(
        self, images: Iterable[ImageLike], *, batch_size: int = BATCH_SIZE
    ) -> Iterator[Prediction]:
        """Depth of each image, at its own size; reads `batch_size` images at a time."""
        for group in self._groups(images, batch_size):
            for pixels, depth in zip(group, self._run(group), strict=True):
                depth = resize_depth(depth, pixels.shape[:2])
                yield Prediction(depth=depth, metric=self.info.metric)

    def network_depth(self, pixels: UInt8[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "k m"]:
        """Depth at the size the network works in, as benchmarks want it before they resize it."""
        return self._run([pixels])[0]

    @torch.inference_mode()
    def _run(self, images: Views) -> Float32[np.ndarray, "b k m"]:
        device = next(self.network.parameters()).device
        size = self.size_for(images[0].shape)  # of all of them
        views = np.stack([resize_image(pixels, size) for pixels in images])
        # Bytes go to the device, where they become values in [0, 1]: a quarter of the transfer.
        batch = torch.from_numpy(views).to(device).permute(0, 3, 1, 2).float() / 255
        depth = self.network(batch)[:, 0].float().cpu().numpy() * (self.metres_per_unit or 1.0)
        if not np.isfinite(depth).all():
            raise ValueError(
                f"{self.source or 'the network'}: gives depth that is no number; its weights are "
                "damaged: take another copy, or an earlier checkpoint"
            )
        return depth

    def _groups(self, images: Iterable[ImageLike], batch_size: int) -> Iterator[Views]:
        """Images in groups of at most `batch_size`, seen at one size; of large images fewer."""
        for _, alike in groupby(map(to_pixels, images), lambda p: self.size_for(p.shape)):
            group: Views = []
            for pixels in alike:
                group.append(pixels)
                if len(group) >= batch_size or sum(p.size for p in group) >= LARGEST_GROUP:
                    yield group
                    group = []
            if group:
                yield group
