"""The frames of a data set that have measured depth, and what a method says of one."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, UInt8

from ssmde.data.dataset import spread
from ssmde.data.images import read_depth, read_mask
from ssmde.data.sequence import FrameSequence

DepthFunction = Callable[[UInt8[np.ndarray, "h w 3"]], Float[np.ndarray, "k m"]]
"""RGB bytes to depth of the same view, at any size."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TruthFrame:
    """A frame that has measured depth, with its motion mask and camera if there are any."""

    name: str
    """`scene/frame`, for messages."""
    image: Path
    depth: Path
    units_per_metre: float | None
    """What 1 m is in a depth PNG."""
    image_size: tuple[int, int]
    """Size (height, width) of the image."""
    motion_mask: Path | None
    T_world_cam: Float[np.ndarray, "4 4"] | None = None
    """Camera to world, in metres; nan or None where unknown."""
    intrinsics: Float[np.ndarray, "3 3"] | None = None
    """Pinhole matrix, in pixels of the image; None if unknown."""
    follows: str = ""
    """Name of the frame before it in the same video; empty for the first."""

    def read_depth(self) -> Float32[np.ndarray, "h w"]:
        """Depth in metres, 0 where there is none.

        Raises:
            ImageError: If the file cannot be read, or does not fit the image.
        """
        return read_depth(self.depth, self.units_per_metre, image_size=self.image_size)

    def read_truth(self) -> tuple[Float[np.ndarray, "h w"], UInt8[np.ndarray, "h w"] | None]:
        """Depth in metres, 0 where there is none, and the motion mask.

        Raises:
            ImageError: If a file cannot be read, or does not fit the image.
            ValueError: If the two differ in size.
        """
        truth = self.read_depth()
        if self.motion_mask is None:
            return truth, None
        mask = read_mask(self.motion_mask, image_size=self.image_size)
        if mask.shape != truth.shape:
            raise ValueError(
                f"{self.motion_mask}: a motion mask has the size of the depth, got {mask.shape} "
                f"for depth of {truth.shape}"
            )
        return truth, mask


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Answer:
    """What a method says of one frame."""

    depth: Float[np.ndarray, "k m"]
    """At any size."""


FrameFunction = Callable[[TruthFrame, UInt8[np.ndarray, "h w 3"]], Answer]
"""A frame and its RGB bytes to what a method says of it."""


def frames_with_truth(
    sequences: Sequence[FrameSequence], max_frames: int | None = None
) -> list[TruthFrame]:
    """The frames that have measured depth, in order; at most `max_frames`, evenly spread."""
    found = [frame for sequence in sequences for frame in _truth_frames(sequence)]
    return found if max_frames is None else [found[i] for i in spread(len(found), max_frames)]


def _truth_frames(sequence: FrameSequence) -> Iterator[TruthFrame]:
    nothing = (None,) * len(sequence)
    depths, masks = sequence.depth or nothing, sequence.motion_masks or nothing
    for i, (depth, mask) in enumerate(zip(depths, masks, strict=True)):
        if depth is not None:
            yield TruthFrame(
                name=sequence.frame_name(i),
                image=sequence.images[i],
                depth=depth,
                units_per_metre=sequence.depth_units_per_metre,
                image_size=sequence.image_size,
                motion_mask=mask,
                T_world_cam=None if sequence.poses is None else sequence.poses[i],
                intrinsics=sequence.intrinsics,
                follows=sequence.frame_name(i - 1) if i else "",
            )


def nearest(values: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """A map at another size; every pixel has the value of the one nearest to its center."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(np.int64)
        for old, new in zip(values.shape, size, strict=True)
    )
    return values[rows[:, None], columns]
