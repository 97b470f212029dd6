"""What an image may come as, and how a depth map changes its size."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, UInt8
from PIL import Image, ImageOps
from torch import Tensor

from ssmde.data.images import read_image

ImageLike = str | Path | Image.Image | np.ndarray | Tensor
"""A path; a PIL image; uint8 numpy (h, w, 3) or (h, w); a tensor (3, h, w), (1, h, w) or (h, w),
uint8 or float in [0, 1]."""


def to_pixels(image: ImageLike) -> UInt8[np.ndarray, "h w 3"]:
    """Upright RGB bytes of whatever an image comes as.

    Raises:
        ImageError: If a file cannot be read.
        ValueError: If an array has another shape, type or range.
    """
    if isinstance(image, str | Path):
        return read_image(Path(image))
    if isinstance(image, Image.Image):
        if image.mode in ("F", "I") or image.mode.startswith("I;"):
            raise ValueError(f"PIL images need 8 bits a channel, got mode {image.mode}: give RGB")
        return np.array(ImageOps.exif_transpose(image).convert("RGB"))
    pixels = _tensor_pixels(image) if isinstance(image, Tensor) else image
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3):
        raise ValueError(
            "an image is uint8 (h, w, 3) or (h, w) in numpy, (3, h, w) or (1, h, w) as a tensor, "
            f"got {image.dtype} {tuple(image.shape)}"
        )
    if 0 in pixels.shape:
        raise ValueError(f"an image needs at least one pixel, got shape {tuple(image.shape)}")
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


def resize_depth(
    depth: Float[np.ndarray, "h w"], size: tuple[int, int]
) -> Float32[np.ndarray, "k m"]:
    """Depth at another size, bilinear between pixel centres, as every protocol of the field."""
    tensor = torch.from_numpy(np.require(depth, np.float32, "W"))[None, None]
    resized = F.interpolate(tensor, size, mode="bilinear", align_corners=False)
    return resized[0, 0].numpy()


def _tensor_pixels(image: Tensor) -> np.ndarray:
    """Values of a tensor as an array, channels last, floats in [0, 1] as bytes."""
    values = image.detach().cpu()
    if values.is_floating_point():
        low, high = (values.min().item(), values.max().item()) if values.numel() else (0.0, 0.0)
        if not (low >= 0 and high <= 1):
            raise ValueError(f"a float image must be in [0, 1], got {low:g} to {high:g}")
        values = (values.float() * 255).round().byte()
    return (values.permute(1, 2, 0) if values.ndim == 3 else values).numpy()
