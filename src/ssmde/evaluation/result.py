"""The record of an evaluation: means over images, and the frames behind them."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Float32, UInt8

from ssmde.data.images import read_depth, read_mask
from ssmde.evaluation.details import CameraPlace, FrameDetails, mean_details
from ssmde.evaluation.movers import MoverErrors
from ssmde.metrics.alignment import Alignment, AlignmentName
from ssmde.metrics.depth import DepthErrors, DepthSums
from ssmde.metrics.protocol import Protocol
from ssmde.metrics.regions import RegionSums

Region = Literal["full", "static", "dynamic"]
REGIONS: tuple[Region, ...] = ("full", "static", "dynamic")
WORST_FRAMES = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class TruthFrame:
    """A frame that has measured depth, with its own motion mask if there is one."""

    name: str
    """`scene/frame`, for messages."""
    image: Path
    depth: Path
    units_per_metre: float | None
    """What 1 m is in a depth PNG."""
    image_size: tuple[int, int]
    """Size (height, width) of the image."""
    motion_mask: Path | None
    place: CameraPlace | None = None
    """Where it was taken from; None if unknown."""
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
        truth, mask = self.read_depth(), None
        if self.motion_mask is not None:
            mask = read_mask(self.motion_mask, image_size=self.image_size)
        if mask is not None and mask.shape != truth.shape:
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
    confidence: Float[np.ndarray, "i j"] | None = None
    """Larger where the depth is surer, at any size; None if the method does not tell."""


FrameFunction = Callable[[TruthFrame, UInt8[np.ndarray, "h w 3"]], Answer]
"""A frame and its RGB bytes to what a method says of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameResult:
    """The errors of one frame and the alignment they were measured under."""

    frame: TruthFrame
    errors: DepthErrors
    """Over all its pixels that count."""
    alignment: Alignment
    details: FrameDetails | None = None
    """Errors by distance, at edges and from frame to frame; None if nobody asked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """Mean errors over images, each image once; numbers without `protocol` and `align` are none."""

    protocol: Protocol
    align: AlignmentName
    sums: RegionSums
    frames: tuple[FrameResult, ...]
    """The images measured, in order; none where only movers could be judged."""
    broken: tuple[str, ...] = ()
    """Files that could not be read, with the reason; they are in no mean."""
    weights: str = ""
    """Where the network came from."""
    baselines: dict[str, "Evaluation"] = field(default_factory=dict)
    """The same images under predictors that do not look at them."""
    notes: tuple[str, ...] = ()
    """What the reader of the numbers must know, such as why a baseline is missing."""
    movers: MoverErrors | None = None
    """Whether what moves is seen as a hole; None if nobody asked or nobody knows what moves."""

    @property
    def full(self) -> DepthErrors:
        """Mean errors over all pixels that count."""
        mean = self.sums.full.mean()
        if mean is None:
            raise ValueError("an evaluation needs at least one image that was measured, got none")
        return mean

    @property
    def static(self) -> DepthErrors | None:
        """The same over static pixels; None without motion masks."""
        return self.sums.static.mean()

    @property
    def dynamic(self) -> DepthErrors | None:
        """The same over moving pixels; None if nothing moves or nobody knows."""
        return self.sums.dynamic.mean()

    @property
    def n_images(self) -> int:
        """Images measured."""
        return self.sums.full.n_images

    def region(self, name: Region) -> DepthSums:
        """Sums of a region by its name."""
        return {"full": self.sums.full, "static": self.sums.static, "dynamic": self.sums.dynamic}[
            name
        ]

    def worst(self, count: int = WORST_FRAMES) -> tuple[FrameResult, ...]:
        """Frames with the largest relative error, worst first."""
        return tuple(sorted(self.frames, key=lambda f: -f.errors.abs_rel)[:count])

    def details(self) -> dict[str, Any]:
        """Means by distance, at edges and from frame to frame; empty where nobody asked."""
        return mean_details([f.details for f in self.frames if f.details], self.protocol)

    def to_dict(self) -> dict[str, Any]:
        """The content of `metrics.json`: plain values; a region without images is None."""
        return {
            "protocol": self.protocol.name,
            "align": self.align,
            "n_images": self.n_images,
            **self._means(),
            "n_images_static": self.sums.static.n_images,
            "n_images_dynamic": self.sums.dynamic.n_images,
            "n_images_without_truth": self.sums.full.n_skipped,
            "broken": list(self.broken),
            "depth_range": [self.protocol.min_depth, self.protocol.max_depth],
            "scale": self._scale(),
            "weights": self.weights,
            "baselines": {name: other._means() for name, other in self.baselines.items()},
            "worst": [{"frame": f.frame.name, **asdict(f.errors)} for f in self.worst()],
            "notes": list(self.notes),
            **self.details(),
            "movers": None if self.movers is None else self.movers.to_dict(),
        }

    def to_json(self) -> str:
        """The text of `metrics.json`."""
        return json.dumps(self.to_dict(), indent=1, allow_nan=False)

    def _scale(self) -> dict[str, float] | None:
        if not self.frames:
            return None
        scales = np.array([frame.alignment.scale for frame in self.frames])
        middle = float(np.median(scales))
        return {"median": middle, "relative_spread": float(np.std(scales / middle))}

    def _means(self) -> dict[str, dict[str, float] | None]:
        means = {name: self.region(name).mean() for name in REGIONS}
        return {name: None if mean is None else asdict(mean) for name, mean in means.items()}
