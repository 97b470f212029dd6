"""What travels from the loader to the loss, and the outcome of a step.

Letters in shapes: b batch, n views of a snippet, s source views, c channels, h height, w width.
Maps are channel-first, coordinates are channel-last.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import chain
from typing import Any

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

Map = Float[Tensor, "b 1 h w"]  # one value a pixel, such as a depth, an error, a weight
Mask = Bool[Tensor, "b 1 h w"]
RGB = Float[Tensor, "b 3 h w"]  # in [0, 1]
Intrinsics = Float[Tensor, "b 3 3"]  # pinhole matrices, in pixels of the images beside them
Motion = Float[Tensor, "b 4 4"]  # rigid; `T_src_tgt` moves points from the target to the source
Scalar = Float[Tensor, ""]  # such as a term of a loss


# A new input touches four places: a field here; `SnippetDataset.read_snippet`, which fills it;
# `training/module.py`, where a loss asks for it; and the method that reads it.
@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Neighboring frames of one video each, from the loader to the loss.

    Images leave the loader as bytes, so that workers stay fast and transfers small; `to_float`
    turns them into values on the device.
    """

    target: Float[Tensor, "b 3 h w"] | UInt8[Tensor, "b 3 h w"]
    """The view whose depth is predicted: RGB in [0, 1], or bytes, the colors of a pixel side by
    side in memory, as decoders leave them."""
    sources: Float[Tensor, "b s 3 h w"] | UInt8[Tensor, "b s 3 h w"]
    """The views that rebuild it, in the same way; none for supervised depth."""
    intrinsics: Float[Tensor, "b 3 3"]
    """Pinhole matrix for this image size, in pixels."""
    color: Float[Tensor, "b 3 4"] | None = None
    """Color jitter of the snippet: RGB -> matrix @ RGB + offset. The networks see the jittered
    images, the losses compare the clean ones."""
    T_src_tgt: Float[Tensor, "b s 4 4"] | None = None
    """Motion from the target to each source camera, where poses came with the frames; depth has the
    unit of its translation."""
    pseudo_depth: Float[Tensor, "b 1 h w"] | None = None
    """Depth of the target predicted by another network, in a unit of its own; 0 where unknown."""
    sparse_depth: Float[Tensor, "b 1 h w"] | None = None
    """Depth of points tracked through the video, in the unit of `T_src_tgt`; 0 elsewhere."""
    gt_depth: Float[Tensor, "b 1 h w"] | None = None
    """Measured depth of the target in meters; 0 where unknown."""
    names: tuple[str, ...] = ()
    """`scene/frame` of each target, for messages."""
    broken: tuple[str, ...] = ()
    """Files that could not be read and were replaced by another snippet, with the reason."""

    @property
    def images(self) -> Tensor:
        """The target, then its sources: b n 3 h w."""
        return torch.cat([self.target[:, None], self.sources], dim=1)

    def to(self, device: torch.device | str) -> "Batch":
        """Copy the tensors to a device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "Batch":
        """Copy to page-locked memory; called by the loader before a transfer to a GPU."""
        return self._each(lambda tensor: tensor.pin_memory() if tensor.numel() else tensor)

    def to_float(self) -> "Batch":
        """Images as values in [0, 1], on the device where the bytes lie."""
        if self.target.dtype != torch.uint8:
            return self
        target, sources = (
            (image.to(self.intrinsics.dtype) / 255).contiguous()
            for image in (self.target, self.sources)
        )
        return replace(self, target=target, sources=sources)

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: change(v) for k, v in values.items() if isinstance(v, Tensor)})


def collate(samples: Sequence[Batch]) -> Batch:
    """Join batches into one; what one of them has, all must have."""
    joined: dict[str, Any] = {}
    for name in (f.name for f in fields(Batch)):
        values = [v for sample in samples if (v := getattr(sample, name)) is not None]
        if 0 < len(values) < len(samples):
            raise ValueError(f"{len(values)} of {len(samples)} snippets of a batch have {name}")
        if not values or len(samples) == 1:
            joined[name] = getattr(samples[0], name)
        elif not isinstance(values[0], Tensor):
            joined[name] = tuple(chain.from_iterable(values))
        elif values[0].dtype == torch.uint8:  # as they lie in memory
            joined[name] = torch.cat([v.movedim(-3, -1) for v in values]).movedim(-1, -3)
        else:
            joined[name] = torch.cat(values)
    return Batch(**joined)


@dataclass(frozen=True, kw_only=True, slots=True)
class StepOutput:
    """The outcome of one forward pass of a method."""

    loss: Float[Tensor, ""]
    """What to minimise."""
    terms: dict[str, Float[Tensor, ""]]
    """Every weighted part of it, by name, detached; for the log."""
    statistics: dict[str, Float[Tensor, ""]] = field(default_factory=dict)
    """Numbers for the log that are no part of the loss, by name, such as the forgetting factor."""
    seen: Float[Tensor, ""] | None = None
    """Share of the target's pixels that a source sees too; None where no views are compared."""
    maps: dict[str, Map] = field(default_factory=dict)
    """Depth, errors and masks of the target, by name, detached; for pictures."""

    @staticmethod
    def of(terms: dict[str, Scalar], **rest: Any) -> "StepOutput":
        """The outcome whose loss is the sum of weighted terms."""
        loss = torch.stack(list(terms.values())).sum()
        return StepOutput(loss=loss, terms={k: t.detach() for k, t in terms.items()}, **rest)
