"""What travels between the parts: snippets off the loader, a batch, the outcome of a step.

Letters in shapes: b batch, n views of a snippet, s source views, c channels, h height, w width.
Maps are channel-first, coordinates are channel-last.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Neighbouring frames of one video each, ready for a method."""

    target: Float[Tensor, "b 3 h w"]
    """RGB in [0, 1]; the view whose depth is predicted."""
    sources: Float[Tensor, "b s 3 h w"]
    """RGB in [0, 1]; the views that rebuild it."""
    intrinsics: Float[Tensor, "b 3 3"]
    """Pinhole matrix for this image size, in pixels."""
    colour: Float[Tensor, "b 3 4"] | None = None
    """Colour jitter of the snippet: RGB -> matrix @ RGB + offset. The networks see the jittered
    images, the losses compare the clean ones."""
    T_src_tgt: Float[Tensor, "b s 4 4"] | None = None
    """Motion from the target to each source camera, where poses came with the frames; the depth is
    in the unit of its translation."""
    pseudo_depth: Float[Tensor, "b 1 h w"] | None = None
    """Depth of the target as another network says it, in a unit of its own; 0 where unknown."""
    points: Float[Tensor, "b 1 h w"] | None = None
    """Depth of the target where a point was tracked through the video, in the unit of `T_src_tgt`;
    0 elsewhere."""
    names: tuple[str, ...] = ()
    """`scene/frame` of each target, for messages."""


class Cut(NamedTuple):
    """The part of a whole frame that becomes a view, in pixels of the frame."""

    left: int
    top: int
    width: int
    height: int
    flip: bool
    """True if the view is mirrored left to right."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Snippets:
    """What the loader hands over: bytes, so that workers stay fast and transfers small."""

    images: UInt8[Tensor, "b n 3 h w"]
    """RGB; view 0 is the target, the others are its sources. In memory the colours of a pixel lie
    side by side, as decoders leave them."""
    intrinsics: Float[Tensor, "b 3 3"]
    """Pinhole matrix for this image size, in pixels."""
    colour: Float[Tensor, "b 3 4"]
    """Colour jitter, one for the whole snippet; see `Batch.colour`."""
    names: tuple[str, ...]
    """`scene/frame` of each target."""
    T_src_tgt: Float[Tensor, "b s 4 4"] | None = None
    """See `Batch.T_src_tgt`."""
    pseudo_depth: Float[Tensor, "b 1 h w"] | None = None
    """See `Batch.pseudo_depth`."""
    points: Float[Tensor, "b 1 h w"] | None = None
    """See `Batch.points`."""
    cuts: tuple[Cut, ...] = ()
    """One a snippet where `images` are whole frames, to be cut on the device; else empty."""
    broken: tuple[str, ...] = ()
    """Files that could not be read and were replaced by another snippet, with the reason."""

    def to(self, device: torch.device | str) -> "Snippets":
        """Copy the tensors to a device."""
        tensors = {
            f.name: value.to(device, non_blocking=True)
            for f in fields(self)
            if isinstance(value := getattr(self, f.name), Tensor)
        }
        return replace(self, **tensors)

    def pin_memory(self) -> "Snippets":
        """Copy to page-locked memory; called by the loader before a transfer to a GPU."""
        tensors = {
            f.name: value.pin_memory()
            for f in fields(self)
            if isinstance(value := getattr(self, f.name), Tensor)
        }
        return replace(self, **tensors)

    def to_batch(self) -> Batch:
        """Turn bytes into values in [0, 1], on the device where the bytes lie."""
        assert not self.cuts, "whole frames are cut before"
        images = (self.images.to(self.intrinsics.dtype) / 255).contiguous()
        return Batch(
            target=images[:, 0],
            sources=images[:, 1:],
            intrinsics=self.intrinsics,
            colour=self.colour,
            T_src_tgt=self.T_src_tgt,
            pseudo_depth=self.pseudo_depth,
            points=self.points,
            names=self.names,
        )


def collate(samples: Sequence[Snippets]) -> Snippets:
    """Join snippets, each of which is a batch of one; what one of them has, all have."""
    motions = [s.T_src_tgt for s in samples if s.T_src_tgt is not None]
    labels = [s.pseudo_depth for s in samples if s.pseudo_depth is not None]
    points = [s.points for s in samples if s.points is not None]
    return Snippets(
        images=_join_images([s.images for s in samples]),
        intrinsics=torch.cat([s.intrinsics for s in samples]),
        colour=torch.cat([s.colour for s in samples]),
        T_src_tgt=torch.cat(motions) if motions else None,
        pseudo_depth=torch.cat(labels) if labels else None,
        points=torch.cat(points) if points else None,
        names=tuple(name for s in samples for name in s.names),
        cuts=tuple(cut for s in samples for cut in s.cuts),
        broken=tuple(name for s in samples for name in s.broken),
    )


def _join_images(images: list[Tensor]) -> Tensor:
    """One after the other, as they lie in memory."""
    if len(images) == 1:
        return images[0]
    return torch.cat([i.permute(0, 1, 3, 4, 2) for i in images]).permute(0, 1, 4, 2, 3)


@dataclass(frozen=True, kw_only=True, slots=True)
class StepOutput:
    """The outcome of one forward pass of a method."""

    loss: Float[Tensor, ""]
    """What to minimise."""
    terms: dict[str, Float[Tensor, ""]]
    """Every weighted part of it, by name, detached; for the log."""
    statistics: dict[str, Float[Tensor, ""]] = field(default_factory=dict)
    """Numbers that are no part of the loss, by name: the forgetting factor, shares of the regions;
    for the log."""
    seen: Float[Tensor, ""] | None = None
    """Share of the target's pixels that a source sees too; None where no views are compared."""
    maps: dict[str, Float[Tensor, "b 1 h w"]] = field(default_factory=dict)
    """Depth, errors and masks of the target, by name, detached; for pictures."""
