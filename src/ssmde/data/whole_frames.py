"""`data.augment_on device`: whole frames on their way from the loader, and their views there."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Tensor

from ssmde.config import DataConfig
from ssmde.data.augment import best_reduction
from ssmde.data.sequence import FrameSequence
from ssmde.types import Cut, Snippets


def largest_frame(sequences: Sequence[FrameSequence], data: DataConfig) -> tuple[int, int]:
    """Size (height, width) that holds each frame as it is decoded."""
    sizes = {s.image_size for s in sequences}
    decoded = [
        [side // best_reduction(size, data.image_size, data.zoom) for side in size]
        for size in sizes
    ]
    return max((d[0] for d in decoded), default=0), max((d[1] for d in decoded), default=0)


def side_by_side(
    frames: Sequence[UInt8[np.ndarray, "h w 3"]], size: tuple[int, int]
) -> UInt8[np.ndarray, "n 3 k m"]:
    """Frames of one scene at the size of the largest of all scenes; what is added is never seen.

    Args:
        frames: Of one size.
        size: Of `largest_frame`.
    """
    if frames[0].shape[:2] == size:
        return np.stack(frames).transpose(0, 3, 1, 2)
    joined = np.zeros((len(frames), *size, 3), np.uint8)
    for place, frame in zip(joined, frames, strict=True):
        place[: frame.shape[0], : frame.shape[1]] = frame
    return joined.transpose(0, 3, 1, 2)


def cut_views(snippets: Snippets, image_size: tuple[int, int]) -> Snippets:
    """Views in the place of whole frames, on the device where they lie.

    As `Framing.images` makes them: the same bytes on a processor, elsewhere to one step of 255.

    Args:
        snippets: With whole frames; others stay as they are.
        image_size: Size (height, width) of the views.
    """
    if not snippets.cuts:
        return snippets
    views = [
        _cut_view(frames, cut, image_size)
        for frames, cut in zip(snippets.images, snippets.cuts, strict=True)
    ]
    return replace(snippets, images=torch.stack(views), cuts=())


def _cut_view(
    frames: UInt8[Tensor, "n 3 h w"], cut: Cut, image_size: tuple[int, int]
) -> UInt8[Tensor, "n 3 k m"]:
    part = frames[..., cut.top : cut.top + cut.height, cut.left : cut.left + cut.width]
    view = resize_bytes(part, image_size, as_floats=part.device.type != "cpu")
    return view.flip(-1) if cut.flip else view


def resize_bytes(
    images: UInt8[Tensor, "n 3 h w"], size: tuple[int, int], *, as_floats: bool
) -> UInt8[Tensor, "n 3 k m"]:
    """Images at another size, bilinear, without aliasing.

    Args:
        images: RGB.
        size: New size (height, width).
        as_floats: Compute in float32: on GPUs there is no other way.
    """
    values = images.float() if as_floats else images
    view = F.interpolate(values, size, mode="bilinear", antialias=True, align_corners=False)
    return view.round().clamp(0, 255).to(torch.uint8) if as_floats else view
