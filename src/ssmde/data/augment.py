"""Augmentation: one crop, zoom, mirror and colour change for all frames of a snippet.

The geometric part runs on bytes in the loader's workers and carries the intrinsics along; the
colour part is a 3 x 4 matrix that is drawn there and applied to the images on the device.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, UInt8
from torch import Tensor

from ssmde.config import DataConfig
from ssmde.data.images import REDUCTIONS, resize_images
from ssmde.geometry.camera import crop_intrinsics, flip_intrinsics, scale_intrinsics
from ssmde.types import Cut

# Largest changes of brightness, contrast and saturation, and the largest turn of the color circle,
# as a share of it; Godard et al., ICCV 2019.
COLOR_LIMITS = (0.2, 0.2, 0.2, 0.1)
LUMA = (0.299, 0.587, 0.114)  # weights of R, G, B in brightness, ITU-R BT.601
# R, G, B to luma and the two colour axes of YIQ, the NTSC standard: hue is an angle there.
YIQ = np.array([LUMA, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112)])
RGB = np.linalg.inv(YIQ)
MOST_SKEW = 1.12  # proportions of a window over those of the view, where they are kept


@dataclass(frozen=True, kw_only=True, slots=True)
class Framing:
    """How a stored frame becomes a training view: reduce, cut, resize, mirror, in this order."""

    reduction: int
    """The frame is decoded at 1 / reduction of its size: 1, 2, 4 or 8."""
    left: int
    """First column of the cut, in pixels of the reduced frame."""
    top: int
    """First row of the cut."""
    width: int
    """Columns of the cut."""
    height: int
    """Rows of the cut."""
    image_size: tuple[int, int]
    """Size (height, width) of the view."""
    flip: bool
    """True if the view is mirrored left to right."""

    def intrinsics(self, stored: Float[Tensor, "3 3"]) -> Float[Tensor, "3 3"]:
        """Camera of the view, in its pixels.

        Args:
            stored: Camera of the stored frame, in pixels of its full size.
        """
        camera = scale_intrinsics(stored, 1 / self.reduction, 1 / self.reduction)
        camera = crop_intrinsics(camera, self.left, self.top)
        height, width = self.image_size
        camera = scale_intrinsics(camera, width / self.width, height / self.height)
        return flip_intrinsics(camera, width) if self.flip else camera

    def image(self, reduced: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "3 k m"]:
        """The view of one frame: cut and resized in one step, without aliasing.

        Args:
            reduced: The whole frame, decoded at 1 / reduction of its size.
        """
        return self.images([reduced])[0]

    def images(self, reduced: Sequence[UInt8[np.ndarray, "h w 3"]]) -> UInt8[np.ndarray, "n 3 k m"]:
        """The views of several frames.

        Args:
            reduced: Whole frames of one size, decoded at 1 / reduction of it.
        """
        rows = slice(self.top, self.top + self.height)
        columns = slice(self.left, self.left + self.width)
        cut = np.stack([frame[rows, columns] for frame in reduced])
        views = resize_images(cut, self.image_size)
        return torch.from_numpy(views).flip(-1).numpy() if self.flip else views

    @property
    def cut(self) -> Cut:
        """What of it is left to do once the frame is decoded."""
        return Cut(self.left, self.top, self.width, self.height, self.flip)

    def nearest(
        self, values: Float[np.ndarray, "h w"], stored: tuple[int, int]
    ) -> Float[np.ndarray, "k m"]:
        """The view of a map, such as depth: each pixel takes the nearest value, none is mixed.

        Args:
            values: A map of the whole frame, of any size.
            stored: Size (height, width) of the stored frame.
        """
        rows, columns = (
            place.astype(np.int64).clip(0, size - 1)
            for place, size in zip(self._places(values, stored), values.shape, strict=True)
        )
        view = values[rows[:, None], columns]
        return view[:, ::-1] if self.flip else view

    def smooth(
        self, values: Float[np.ndarray, "h w"], stored: tuple[int, int]
    ) -> Float[np.ndarray, "k m"]:
        """The view of a map without holes, bilinear between its pixels; its type stays.

        Args:
            values: A map of the whole frame, of any size.
            stored: Size (height, width) of the stored frame.
        """
        places = [
            (place - 0.5).clip(0, size - 1).astype(np.float32)
            for place, size in zip(self._places(values, stored), values.shape, strict=True)
        ]
        view = _between(_between(values.astype(np.float32), places[0]).T, places[1]).T
        return (view[:, ::-1] if self.flip else view).astype(values.dtype)

    def _places(
        self, values: Float[np.ndarray, "h w"], stored: tuple[int, int]
    ) -> list[Float64[np.ndarray, " _"]]:
        """Where the centres of the view's rows and columns lie in a map, from its corner."""
        sides = zip(
            (self.top, self.left), (self.height, self.width), self.image_size, stored, values.shape,
            strict=True,
        )  # fmt: skip
        return [
            (start + (np.arange(out) + 0.5) * cut / out) * size / (whole // self.reduction)
            for start, cut, out, whole, size in sides
        ]

    def scatter(
        self,
        pixels: Float[np.ndarray, "n 2"],
        values: Float[np.ndarray, " n"],
    ) -> Float[np.ndarray, "k m"]:
        """The view of single points: the smallest value of those in a pixel, 0 where there is none.

        Args:
            pixels: Points (u, v), in pixels of the stored frame.
            values: One for each, positive; depth, of which the nearest hides the others.
        """
        height, width = self.image_size
        cut = zip((self.left, self.top), (self.width, self.height), (width, height), strict=True)
        columns, rows = (
            np.floor(((pixels[:, axis] + 0.5) / self.reduction - start) * out / size).astype(int)
            for axis, (start, size, out) in enumerate(cut)
        )
        inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
        view = np.full((height, width), np.inf, dtype=values.dtype)
        np.minimum.at(view, (rows[inside], columns[inside]), values[inside])
        view = np.where(np.isfinite(view), view, 0).astype(values.dtype)
        return view[:, ::-1] if self.flip else view


def _between(
    values: Float[np.ndarray, "h w"], rows: Float[np.ndarray, " k"]
) -> Float[np.ndarray, "k w"]:
    """Rows of a map at places between its own, interpolated."""
    low = rows.astype(np.int64)
    high, share = np.minimum(low + 1, len(values) - 1), (rows - low)[:, None]
    return values[low] + share * (values[high] - values[low])


def best_reduction(stored: tuple[int, int], image_size: tuple[int, int], zoom: float = 1.0) -> int:
    """Largest of 1, 2, 4, 8 that still decodes a frame no smaller than the view needs.

    Args:
        stored: Size (height, width) of the frame.
        image_size: Size (height, width) of the view.
        zoom: Largest zoom; the view then shows 1 / zoom of the frame.
    """
    sides = tuple(zip(stored, image_size, strict=True))
    fits = (r for r in REDUCTIONS if all(have // r >= need * zoom for have, need in sides))
    return next(fits, 1)


def whole_frame(stored: tuple[int, int], image_size: tuple[int, int]) -> Framing:
    """The view of a whole frame, without chance.

    Args:
        stored: Size (height, width) of the stored frames.
        image_size: Size (height, width) of the view.
    """
    reduction = best_reduction(stored, image_size)
    return Framing(
        reduction=reduction,
        left=0,
        top=0,
        width=stored[1] // reduction,
        height=stored[0] // reduction,
        image_size=image_size,
        flip=False,
    )


def draw_framing(
    rng: np.random.Generator,
    data: DataConfig,
    stored: tuple[int, int],
    image_size: tuple[int, int] | None = None,
    *,
    keep_proportions: bool = False,
) -> Framing:
    """Zoom by 1 to `data.zoom`, cut at a random place, mirror by chance.

    The zoom follows SC-Depth (Bian et al., IJCV 2021, https://arxiv.org/abs/2105.11610). The cut
    has whole pixels, so that it needs no resampling of its own.

    Args:
        rng: Source of chance; always draws five numbers.
        data: Limits and probabilities.
        stored: Size (height, width) of the stored frames.
        image_size: Size (height, width) of the view; by default `data.image_size`.
        keep_proportions: Cut a window of the proportions of the view, to some percent; else width
            and height are cut apart, and what is left is stretched, as SC-Depth does.
    """
    image_size = image_size or data.image_size
    zoom_x, zoom_y = rng.uniform(1, data.zoom, 2)
    at_x, at_y, mirror = rng.random(3)
    if keep_proportions:
        share_x, share_y = _window(stored, image_size, zoom_x, _between_logs(zoom_y, data.zoom))
        # Only what is cut out has to be decoded finely enough.
        reduction = best_reduction(
            (round(share_y * stored[0]), round(share_x * stored[1])), image_size
        )
    else:
        share_x, share_y = 1 / zoom_x, 1 / zoom_y
        reduction = best_reduction(stored, image_size, data.zoom)
    height, width = stored[0] // reduction, stored[1] // reduction
    cut_width, cut_height = max(1, round(width * share_x)), max(1, round(height * share_y))
    return Framing(
        reduction=reduction,
        left=int(at_x * (width - cut_width + 1)),
        top=int(at_y * (height - cut_height + 1)),
        width=cut_width,
        height=cut_height,
        image_size=image_size,
        flip=bool(mirror < data.flip),
    )


def _between_logs(zoom: float, largest: float) -> float:
    """A number in [-1, 1] that is as random as a zoom in [1, largest]."""
    return 0.0 if largest == 1 else 2 * (zoom - 1) / (largest - 1) - 1


def _window(
    stored: tuple[int, int], image_size: tuple[int, int], zoom: float, skew: float
) -> tuple[float, float]:
    """Shares of width and height of a window with the proportions of the view.

    Args:
        stored: Size (height, width) of the frame.
        image_size: Size (height, width) of the view.
        zoom: The largest such window over this one.
        skew: In [-1, 1]; how far the proportions are off, of `MOST_SKEW` either way.
    """
    proportions = image_size[1] / image_size[0] * MOST_SKEW**skew
    width = min(stored[1], stored[0] * proportions)
    return width / zoom / stored[1], width / proportions / zoom / stored[0]


def draw_colour(
    rng: np.random.Generator,
    chance: float,
    limits: tuple[float, float, float, float] = COLOR_LIMITS,
) -> Float[np.ndarray, "3 4"]:
    """Colour change as an affine map, RGB -> matrix @ RGB + offset; the identity if none is drawn.

    Brightness, then contrast about mid-grey, then saturation, then a turn of hue. Grey stays grey.

    Args:
        rng: Source of chance; always draws five numbers.
        chance: Probability that the colors change.
        limits: See `COLOR_LIMITS`.
    """
    drawn, *shares = rng.random(5)
    if drawn >= chance:
        return np.eye(3, 4, dtype=np.float32)
    by = [most * (2 * share - 1) for most, share in zip(limits, shares, strict=True)]
    brightness, contrast, saturation = 1 + by[0], 1 + by[1], 1 + by[2]
    cos, sin = math.cos(2 * math.pi * by[3]), math.sin(2 * math.pi * by[3])
    cos, sin = saturation * cos, saturation * sin
    turn = np.array([(1, 0, 0), (0, cos, -sin), (0, sin, cos)])
    changed = np.full((3, 4), 0.5 * (1 - contrast), dtype=np.float32)
    changed[:, :3] = contrast * brightness * (RGB @ turn @ YIQ)
    return changed


def apply_colour(
    images: Float[Tensor, "b *n 3 h w"], colour: Float[Tensor, "b 3 4"]
) -> Float[Tensor, "b *n 3 h w"]:
    """Images with changed colours, in [0, 1]: matrix @ RGB + offset, clamped.

    Args:
        images: RGB in [0, 1], one image or several views a snippet.
        colour: One map a snippet; `[:, :, :3]` is the matrix, `[:, :, 3]` the offset.
    """
    colour = colour.to(images).view(-1, *(1,) * (images.ndim - 4), 3, 4)
    changed = colour[..., :3] @ images.flatten(-2) + colour[..., 3:]
    return changed.clamp(0, 1).view_as(images)
