"""The frames of scenes that can be measured, with what their files say of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, UInt8

from ssmde.data.dataset import spread
from ssmde.data.images import read_depth, read_mask
from ssmde.data.sequence import FrameSequence

Pixels = UInt8[np.ndarray, "h w 3"]
MotionMask = UInt8[np.ndarray, "h w"]
DepthFunction = Callable[[Pixels], Float[np.ndarray, "k m"]]
"""RGB bytes to depth of the same view, at any size."""


@dataclass(frozen=True, slots=True, eq=False)
class SceneFrame:
    """One frame of a scene."""

    scene: FrameSequence
    index: int

    @property
    def name(self) -> str:
        """`scene/frame`, for messages."""
        return self.scene.frame_name(self.index)

    @property
    def image(self) -> Path:
        """The file of its colors."""
        return self.scene.images[self.index]

    @property
    def depth(self) -> Path | None:
        """The file of its measured depth; None if there is none."""
        return self.scene.depth[self.index] if self.scene.depth else None

    @property
    def motion_mask(self) -> Path | None:
        """The file that says what moves; None if there is none."""
        return self.scene.motion_masks[self.index] if self.scene.motion_masks else None

    def read_depth(self) -> Float32[np.ndarray, "h w"]:
        """Depth in metres, 0 where there is none; an ImageError for an unfit file."""
        assert self.depth is not None
        scene = self.scene
        return read_depth(self.depth, scene.depth_units_per_metre, image_size=scene.image_size)

    def read_mask(self) -> MotionMask | None:
        """The motion mask if there is one; an ImageError for an unfit file."""
        mask = self.motion_mask
        return None if mask is None else read_mask(mask, image_size=self.scene.image_size)

    def read_truth(self) -> tuple[Float32[np.ndarray, "h w"], MotionMask | None]:
        """Depth and motion mask; a ValueError if the two differ in size."""
        truth, mask = self.read_depth(), self.read_mask()
        if mask is not None and mask.shape != truth.shape:
            raise ValueError(
                f"{self.motion_mask}: a motion mask has the size of the depth, got {mask.shape} "
                f"for depth of {truth.shape}"
            )
        return truth, mask


FrameFunction = Callable[[SceneFrame, Pixels], Float[np.ndarray, "k m"]]
"""A frame and its RGB bytes to the depth that a method gives it, at any size."""


def frames_of(sequences: Sequence[FrameSequence]) -> list[SceneFrame]:
    """All frames of scenes, in order."""
    return [SceneFrame(scene, i) for scene in sequences for i in range(len(scene))]


def evenly(frames: Sequence[SceneFrame], most: int | None) -> list[SceneFrame]:
    """At most so many of these frames, evenly spread; None takes all."""
    return list(frames) if most is None else [frames[i] for i in spread(len(frames), most)]


def frames_with_truth(
    sequences: Sequence[FrameSequence], max_frames: int | None = None
) -> list[SceneFrame]:
    """The frames that have measured depth, in order; at most `max_frames`, evenly spread."""
    return evenly([frame for frame in frames_of(sequences) if frame.depth], max_frames)


def nearest(values: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """A map at another size; every pixel has the value of the one nearest to its center."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(np.int64)
        for old, new in zip(values.shape, size, strict=True)
    )
    return values[rows][:, columns]
