"""Augmentation: one crop, zoom, mirror and color change for all frames of a snippet.

The geometric part runs on bytes in the loader's workers and carries the intrinsics along; the color
part is a 3 x 4 matrix that is drawn there and applied on the device.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from PIL import Image, ImageFilter
from torch import Tensor

from ssmde.config import DataConfig
from ssmde.data.images import REDUCTIONS, resize_images
from ssmde.data.sequence import PerFrame, Pixels, Size
from ssmde.geometry.camera import crop_intrinsics, flip_intrinsics, scale_intrinsics

# Largest changes of brightness, contrast and saturation, and the largest turn of the color circle,
# as a share of it; Godard et al., ICCV 2019.
COLOR_LIMITS = (0.2, 0.2, 0.2, 0.1)
LUMA = (0.299, 0.587, 0.114)  # weights of R, G, B in brightness, ITU-R BT.601
# R, G, B to luma and the two color axes of YIQ, the NTSC standard: hue is an angle there.
YIQ = np.array([LUMA, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112)])
RGB = np.linalg.inv(YIQ)
MOST_SKEW = 1.12  # proportions of a window over those of the view, where they are kept

# What poor cameras do; ranges of our own: as strong as phones, dashcams and web video are.
GAMMA = 0.3  # spread of the logarithm
GAIN = (0.55, 1.5)
CHANNELS = (0.85, 1.18)  # of each color, as a wrong white balance has it
BLUR = 1.6  # pixels
LOWEST = 3.0  # least resolution, as a divisor
NOISE = 0.06  # deviation, of white
QUALITY = (20, 90)  # of JPEG
GRAY = 0.3  # share of the given probability
RARE = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Framing:
    """How a stored frame becomes a training view: reduce, crop, resize, mirror, in this order."""

    reduction: int  # the frame is decoded at 1 / reduction of its size: 1, 2, 4 or 8
    left: int = 0  # first column and row of the crop, in pixels of the reduced frame
    top: int = 0
    width: int  # columns and rows of the crop
    height: int
    image_size: Size  # size (height, width) of the view
    flip: bool = False  # true if the view is mirrored left to right

    def intrinsics(self, stored: Float[Tensor, "3 3"]) -> Float[Tensor, "3 3"]:
        """Camera of the view, from that of the stored frame; each in pixels of its own image."""
        camera = stored
        if self.reduction > 1:  # else 20 us for nothing, as much as reading a small frame takes
            camera = scale_intrinsics(camera, 1 / self.reduction, 1 / self.reduction)
        camera = crop_intrinsics(camera, self.left, self.top)
        height, width = self.image_size
        camera = scale_intrinsics(camera, width / self.width, height / self.height)
        return flip_intrinsics(camera, width) if self.flip else camera

    def images(self, reduced: Sequence[Pixels]) -> UInt8[np.ndarray, "n 3 k m"]:
        """Views of frames decoded at 1 / reduction: cropped, resized without aliasing, mirrored."""
        rows = slice(self.top, self.top + self.height)
        columns = slice(self.left, self.left + self.width)
        views = resize_images(np.stack([f[rows, columns] for f in reduced]), self.image_size)
        return torch.from_numpy(views).flip(-1).numpy() if self.flip else views

    def nearest(self, values: Float[np.ndarray, "h w"], stored: Size) -> Float[np.ndarray, "k m"]:
        """The view of a map of any size, such as depth: each pixel takes the nearest value.

        `stored` is the size of the stored frame, of which the map is as well.
        """
        rows, columns = (
            ((start + (np.arange(out) + 0.5) * crop / out) * size / (whole // self.reduction))
            .astype(np.int64).clip(0, size - 1)
            for start, crop, out, whole, size in zip(
                (self.top, self.left), (self.height, self.width), self.image_size, stored,
                values.shape, strict=True,
            )
        )  # fmt: skip
        view = values[rows].take(columns, axis=1)  # three times as fast as by pairs of them
        return view[:, ::-1] if self.flip else view

    def scatter(
        self, pixels: Float[np.ndarray, "n 2"], values: PerFrame
    ) -> Float[np.ndarray, "k m"]:
        """The view of single points (u, v) of the stored frame, each with a positive value.

        The smallest value of those in a pixel, as a near depth hides a far one; 0 where none is.
        """
        start, crop, out = np.array(
            [(self.left, self.top), (self.width, self.height), self.image_size[::-1]], np.float32
        )
        at = np.floor(((pixels + 0.5) / self.reduction - start) * out / crop).astype(int)
        inside = ((at >= 0) & (at < out)).all(1)
        view = np.full(self.image_size, np.inf, dtype=values.dtype)
        np.minimum.at(view, (at[inside, 1], at[inside, 0]), values[inside])
        view = np.where(np.isfinite(view), view, 0).astype(values.dtype)
        return view[:, ::-1] if self.flip else view


def best_reduction(stored: Size, image_size: Size, zoom: float = 1.0) -> int:
    """Largest of 1, 2, 4, 8 that decodes a frame no smaller than a view of 1 / zoom of it needs."""
    sides = tuple(zip(stored, image_size, strict=True))
    fits = (r for r in REDUCTIONS if all(have // r >= need * zoom for have, need in sides))
    return next(fits, 1)


def whole_frame(stored: Size, image_size: Size) -> Framing:
    """The view of a whole frame, without chance; sizes are (height, width)."""
    reduction = best_reduction(stored, image_size)
    height, width = stored[0] // reduction, stored[1] // reduction
    return Framing(reduction=reduction, width=width, height=height, image_size=image_size)


def draw_framing(
    rng: np.random.Generator, data: DataConfig, stored: Size, image_size: Size, *,
    keep_proportions: bool = False,
) -> Framing:  # fmt: skip
    """Zoom by 1 to `data.zoom`, crop at a random place, mirror by chance.

    The zoom follows SC-Depth (Bian et al., IJCV 2021, https://arxiv.org/abs/2105.11610). The crop
    has whole pixels, so that it needs no resampling of its own. Always draws five numbers. A window
    that keeps the proportions has those of the view, to some percent; else it is stretched, as
    SC-Depth does.
    """
    zoom_x, zoom_y = rng.uniform(1, data.zoom, 2)
    at_x, at_y, mirror = rng.random(3)
    share_x, share_y = 1 / zoom_x, 1 / zoom_y
    reduction = best_reduction(stored, image_size, data.zoom)
    if keep_proportions:
        # A number in [-1, 1] that is as random as a zoom in [1, data.zoom].
        skew = 0.0 if data.zoom == 1 else 2 * (zoom_y - 1) / (data.zoom - 1) - 1
        # The window has the proportions of the view, off by up to MOST_SKEW either way.
        proportions = image_size[1] / image_size[0] * MOST_SKEW**skew
        widest = min(stored[1], stored[0] * proportions)
        share_x = widest / zoom_x / stored[1]
        share_y = widest / proportions / zoom_x / stored[0]
        # Only what is cropped has to be decoded finely enough.
        window = round(share_y * stored[0]), round(share_x * stored[1])
        reduction = best_reduction(window, image_size)
    height, width = stored[0] // reduction, stored[1] // reduction
    crop_width, crop_height = max(1, round(width * share_x)), max(1, round(height * share_y))
    return Framing(
        reduction=reduction, left=int(at_x * (width - crop_width + 1)),
        top=int(at_y * (height - crop_height + 1)), width=crop_width, height=crop_height,
        image_size=image_size, flip=bool(mirror < data.flip),
    )  # fmt: skip


def draw_color(
    rng: np.random.Generator, chance: float,
    limits: tuple[float, float, float, float] = COLOR_LIMITS,
) -> Float32[np.ndarray, "3 4"]:  # fmt: skip
    """Color change as an affine map, RGB -> matrix @ RGB + offset; the identity if none is drawn.

    Brightness, then contrast about mid-gray, then saturation, then a turn of hue. Gray stays gray.
    Always draws five numbers; `chance` is the probability of a change.
    """
    drawn, *shares = rng.random(5)
    if drawn >= chance:
        return np.eye(3, 4, dtype=np.float32)
    by = [most * (2 * share - 1) for most, share in zip(limits, shares, strict=True)]
    brightness, contrast, saturation = 1 + by[0], 1 + by[1], 1 + by[2]
    cos, sin = (saturation * f(2 * math.pi * by[3]) for f in (math.cos, math.sin))
    turn = np.array([(1, 0, 0), (0, cos, -sin), (0, sin, cos)])
    changed = np.full((3, 4), 0.5 * (1 - contrast), dtype=np.float32)
    changed[:, :3] = contrast * brightness * (RGB @ turn @ YIQ)
    return changed


def apply_color(
    images: Float[Tensor, "b *n 3 h w"], color: Float[Tensor, "b 3 4"]
) -> Float[Tensor, "b *n 3 h w"]:
    """Images in [0, 1] with changed colors: matrix @ RGB + offset, the last column; clamped."""
    color = color.to(images).view(-1, *(1,) * (images.ndim - 4), 3, 4)
    changed = color[..., :3] @ images.flatten(-2) + color[..., 3:]
    return changed.clamp(0, 1).view_as(images)


def degrade(rng: np.random.Generator, image: Pixels, probability: float) -> Pixels:
    """The image as a worse camera takes it: light, color, blur, low resolution, noise, JPEG.

    Each comes by chance and by itself; blur, resolution, noise and JPEG half as often as
    `probability`. Depth stays as it is.
    """
    light, gray, blur, low, noise, jpeg = rng.random(6)
    if light < probability:
        image = _expose(rng, image)
    if gray < GRAY * probability:
        image = np.repeat(np.asarray(Image.fromarray(image).convert("L"))[..., None], 3, axis=2)
    picture = Image.fromarray(image)
    if blur < RARE * probability:
        picture = picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, BLUR))))
    if low < RARE * probability:
        divisor = float(rng.uniform(1.2, LOWEST))
        width, height = (max(8, round(side / divisor)) for side in picture.size)
        small = picture.resize((width, height), Image.Resampling.BILINEAR)
        picture = small.resize(picture.size, Image.Resampling.BICUBIC)
    if noise < RARE * probability:
        pixels = np.asarray(picture, np.float32)
        spread = 255 * NOISE * rng.random()
        noisy = pixels + spread * rng.standard_normal(pixels.shape, np.float32)
        picture = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
    if jpeg < RARE * probability:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=int(rng.integers(*QUALITY)))
        picture = Image.open(file).convert("RGB")
    return np.array(picture)


def _expose(rng: np.random.Generator, image: Pixels) -> Pixels:
    """Another exposure, contrast curve and white balance; bright parts burn out."""
    gamma = np.exp(rng.normal(0, GAMMA))
    gains = np.exp(rng.uniform(*np.log(GAIN))) * rng.uniform(*CHANNELS, 3)
    # One curve a color for all 256 values.
    values = (np.arange(256) / 255)[:, None] ** gamma * gains
    curves = np.rint(255 * values.clip(0, 1)).astype(np.uint8)
    return np.stack([curves[image[..., c], c] for c in range(3)], axis=2)
