"""Trained weights as a function from image to depth, at the size of the image."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import nn

from ssmde.data.images import resize_image
from ssmde.models.depth_net import check_image_size
from ssmde.prediction.confidence import smaller_size, view_agreement
from ssmde.prediction.images import ImageLike, resize_depth, to_pixels
from ssmde.prediction.shot import Facts
from ssmde.prediction.tiles import check_tiles, tiled_depth

LARGEST_GROUP = 100_000_000  # bytes of pixels: four photos of 8 megapixels


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """What the network says of one image, or of a batch of n, at the size of the images."""

    depth: Float32[np.ndarray, "*n h w"]
    """Depth along z: in metres if `metric`, else in scene units, true up to one factor."""
    confidence: Float32[np.ndarray, "*n h w"] | None = None
    """In [0, 1], higher is surer; None if it was not asked for."""
    metric: bool = False
    """True if the weights know their scale: see `ssmde scale`."""


class Predictor:
    """A trained depth network and the size it wants its images in.

    Args:
        network: Maps RGB (b, 3, h, w) in [0, 1] to depth (b, 1, h, w); set to evaluation here.
        image_size: Size (height, width) the network sees; multiples of 32.
        more_sizes: Further sizes it was trained at: an image is seen at the one whose proportions
            are nearest to its own.
        depth_range: Smallest and largest depth of a prediction, in its unit.
        source: Where the weights come from, for tables.
        metres_per_unit: What the network says times this is metres; None where nobody knows.
    """

    def __init__(
        self,
        network: nn.Module,
        image_size: tuple[int, int],
        *,
        more_sizes: Sequence[tuple[int, int]] = (),
        depth_range: tuple[float, float] = (0.1, 100.0),
        source: str = "",
        metres_per_unit: float | None = None,
    ) -> None:
        for size in (image_size, *more_sizes):
            check_image_size(*size)
        self.network = network.eval()
        self.image_size = image_size
        self.more_sizes = tuple(more_sizes)
        self.depth_range = depth_range
        self.source = source
        self.metres_per_unit = metres_per_unit

    @property
    def facts(self) -> Facts:
        """What its depth maps share, for writers."""
        return Facts(
            depth_range=self.depth_range,
            source=self.source,
            network_size=self.image_size,
            metres_per_unit=self.metres_per_unit,
        )

    def at(self, resolution: tuple[int, int]) -> "Predictor":
        """The same network at another working size (height, width), multiples of 32."""
        return Predictor(
            self.network, resolution, depth_range=self.depth_range, source=self.source,
            metres_per_unit=self.metres_per_unit,
        )  # fmt: skip

    def to(self, device: str | torch.device) -> "Predictor":
        """Move the network to a device, such as `cuda`; returns this predictor."""
        self.network.to(device)
        return self

    def size_for(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """The size (height, width) at which an image of shape (height, width, ...) is seen."""
        proportions = math.log(shape[1] / shape[0])

        def difference(size: tuple[int, int]) -> float:
            return abs(math.log(size[1] / size[0]) - proportions)

        return min((self.image_size, *self.more_sizes), key=difference)

    def predict(self, image: ImageLike, *, confidence: bool = False, tiles: int = 1) -> Prediction:
        """Depth of one image, or of a batch of images, at their own size.

        Args:
            image: A path, an address, bytes, a PIL image, an array or a tensor: see `ImageLike`; or
                a batch, as a tensor (n, c, h, w) or an array (n, h, w, c).
            confidence: Whether to say how sure each pixel is; takes two and a half times as long.
            tiles: See the image in parts at so many times the network's size; for fine detail of
                large images. Takes (2 tiles - 1)^2 + 1 times as long.

        Raises:
            ImageError: If a file cannot be read.
            ValueError: If an array is not an image.
        """
        batch = None
        if isinstance(image, np.ndarray | torch.Tensor) and image.ndim == 4:
            batch = [*image]
        if batch == []:
            raise ValueError("a batch needs at least one image, got none")
        images: list[ImageLike] = [image] if batch is None else batch
        found = list(self.predict_many(images, confidence=confidence, tiles=tiles))
        if batch is None:
            return found[0]
        sure = [f.confidence for f in found if f.confidence is not None]
        return Prediction(
            depth=np.stack([f.depth for f in found]),
            confidence=np.stack(sure) if sure else None,
            metric=found[0].metric,
        )

    def predict_many(
        self,
        images: Iterable[ImageLike],
        *,
        batch_size: int = 8,
        confidence: bool = False,
        tiles: int = 1,
    ) -> Iterator[Prediction]:
        """Depth of each image, at its own size, in order; reads `batch_size` images at a time."""
        check_tiles(tiles)
        for group in _groups(images, batch_size, self.size_for):
            depths = self._run(group)
            sure = self._confidence(group, depths) if confidence else [None] * len(group)
            for pixels, depth, c in zip(group, depths, sure, strict=True):
                size = pixels.shape[:2]
                if tiles > 1:
                    depth = tiled_depth(self._run, pixels, self.size_for(size), tiles)
                yield Prediction(
                    depth=resize_depth(depth, size),
                    confidence=None if c is None else resize_depth(c, size),
                    metric=self.metres_per_unit is not None,
                )

    def network_depth(self, pixels: UInt8[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "k m"]:
        """Depth at the size the network works in, as benchmarks want it before they resize it."""
        return self._run([pixels])[0]

    def network_answer(
        self, pixels: UInt8[np.ndarray, "h w 3"]
    ) -> tuple[Float32[np.ndarray, "k m"], Float32[np.ndarray, "k m"]]:
        """The same, and how sure each pixel is; takes two and a half times as long."""
        depths = self._run([pixels])
        return depths[0], self._confidence([pixels], depths)[0]

    def _confidence(
        self,
        images: list[UInt8[np.ndarray, "_ _ 3"]],
        depths: Float32[np.ndarray, "b k m"],
    ) -> list[Float32[np.ndarray, "k m"]]:
        """Whether the mirrored image and the image at another size get the same depth."""
        mirrored = self._run([pixels[:, ::-1] for pixels in images])[:, :, ::-1]
        size = self.size_for(images[0].shape)
        other = self.at(smaller_size(size))._run(images)
        return [
            view_agreement(depth, [m, resize_depth(o, size)])
            for depth, m, o in zip(depths, mirrored, other, strict=True)
        ]

    @torch.inference_mode()
    def _run(self, images: list[UInt8[np.ndarray, "_ _ 3"]]) -> Float32[np.ndarray, "b k m"]:
        device = next(self.network.parameters()).device
        size = self.size_for(images[0].shape)  # of all of them
        views = np.stack([resize_image(pixels, size) for pixels in images])
        batch = torch.from_numpy(views).to(device).permute(0, 3, 1, 2).float() / 255
        depth = self.network(batch)[:, 0].float().cpu().numpy() * (self.metres_per_unit or 1.0)
        if not np.isfinite(depth).all():
            raise ValueError(
                f"{self.source or 'the network'}: gives depth that is no number; its weights are "
                "damaged: take another copy, or an earlier checkpoint"
            )
        return depth


def _groups(
    images: Iterable[ImageLike], batch_size: int, size_for: Callable[[tuple[int, ...]], object]
) -> Iterator[list[UInt8[np.ndarray, "_ _ 3"]]]:
    """Images in groups of at most `batch_size`; large ones in smaller groups, to spare memory.

    Those of a group are seen at one size.
    """
    group: list[UInt8[np.ndarray, "_ _ 3"]] = []
    for image in images:
        pixels = to_pixels(image)
        if group and size_for(group[0].shape) != size_for(pixels.shape):
            yield group
            group = []
        group.append(pixels)
        if len(group) >= batch_size or sum(p.size for p in group) >= LARGEST_GROUP:
            yield group
            group = []
    if group:
        yield group
