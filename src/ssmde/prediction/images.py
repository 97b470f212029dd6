"""What an image may come as, and how a depth map changes its size."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, UInt8
from PIL import Image
from torch import Tensor

from ssmde.data.grey import SIXTEEN_BIT, array_levels, grey_levels, grey_to_bytes
from ssmde.data.images import ImageError, read_image, read_image_bytes, turn_upright
from ssmde.prediction.download import DownloadError, fetch_bytes, is_url

ImageLike = str | Path | bytes | Image.Image | np.ndarray | Tensor
"""A path; an http(s) address of an image; the bytes of an image file; a PIL image; numpy (h, w, c)
or (h, w); a tensor (c, h, w) or (h, w). c is 1, 3, or 4 with alpha; values are uint8, uint16 (from
its lowest to its highest, where that is less than half of 16 bits), or float in [0, 1]."""


ROUNDING = 1e-4  # what resizing and colour changes in floats add to [0, 1]


def to_pixels(image: ImageLike) -> UInt8[np.ndarray, "h w 3"]:
    """Upright RGB bytes of whatever an image comes as.

    The camera's orientation mark is followed, grey becomes RGB, 16 bits become 8, transparency is
    dropped: as `read_image` does with files.

    Raises:
        ImageError: If a file cannot be read, or an address gives none.
        ValueError: If an array has another shape, type or range.
    """
    if isinstance(image, bytes):
        return read_image_bytes(image, "bytes of an image")
    if isinstance(image, str | Path):
        if is_url(image):
            return _fetch(image)
        return read_image(Path(image), levels=grey_levels([Path(image)]))
    if isinstance(image, Image.Image):
        return _pil_pixels(image)
    return _array_pixels(image)


def _array_pixels(image: np.ndarray | Tensor) -> UInt8[np.ndarray, "h w 3"]:
    pixels = image.detach().cpu().numpy() if isinstance(image, Tensor) else image
    if isinstance(image, Tensor) and pixels.ndim == 3:
        pixels = np.moveaxis(pixels, 0, 2)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.dtype.kind == "f":
        pixels = _bytes_of_floats(pixels)
    elif pixels.dtype == np.uint16:
        pixels = grey_to_bytes(pixels, array_levels(pixels))
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4):
        raise ValueError(
            "an image is uint8, uint16 or float, (h, w, 3) or (h, w) in numpy, (3, h, w) or "
            f"(1, h, w) as a tensor, got {image.dtype} {tuple(image.shape)}"
        )
    if 0 in pixels.shape:
        raise ValueError(f"an image needs at least one pixel, got shape {tuple(image.shape)}")
    return np.ascontiguousarray(np.broadcast_to(pixels[..., :3], (*pixels.shape[:2], 3)))


def resize_depth(
    depth: Float[np.ndarray, "h w"], size: tuple[int, int]
) -> Float32[np.ndarray, "k m"]:
    """Depth at another size, bilinear between pixel centres, as every protocol of the field."""
    tensor = torch.from_numpy(np.require(depth, np.float32, "W"))[None, None]
    resized = F.interpolate(tensor, size, mode="bilinear", align_corners=False)
    return resized[0, 0].numpy()


def _fetch(url: str | Path) -> UInt8[np.ndarray, "h w 3"]:
    try:
        content = fetch_bytes(str(url))
    except DownloadError as error:
        raise ImageError(str(error)) from error
    return read_image_bytes(content, str(url))


def _pil_pixels(image: Image.Image) -> UInt8[np.ndarray, "h w 3"]:
    upright = turn_upright(image)
    if upright.mode in SIXTEEN_BIT:
        return to_pixels(np.asarray(upright).clip(0, 65535).astype(np.uint16))
    if upright.mode == "F":
        raise ValueError("a PIL image of mode F has no known range: give RGB")
    return np.array(upright.convert("RGB"))


def _bytes_of_floats(values: np.ndarray) -> np.ndarray:
    """Values in [0, 1] as bytes."""
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):
        raise ValueError(f"a float image must be in [0, 1], got {low:g} to {high:g}")
    return (values.astype(np.float32).clip(0, 1) * 255).round().astype(np.uint8)
