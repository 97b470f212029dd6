"""What a writer is given: one image, what was predicted of it, and where that comes from."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, UInt8


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What all depth maps of one predictor share."""

    depth_range: tuple[float | int, float | int] = (0.1, 100.0)
    """Smallest and largest depth it can say, in its unit."""
    source: str = ""
    """Where the weights come from."""
    network_size: tuple[int, int] = (0, 0)
    """Size (height, width) the network sees, in pixels."""
    metres_per_unit: float | None = None
    """Factor that `ssmde scale` found and depth has been multiplied by; None: scene units."""

    @property
    def metric(self) -> bool:
        """True if depth is in metres."""
        return self.metres_per_unit is not None

    @property
    def unit(self) -> str:
        """Written behind a depth: m, or nothing where the unit is unknown."""
        return "m" if self.metric else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shot:
    """One image and its depth, of one size."""

    pixels: UInt8[np.ndarray, "h w 3"]
    """RGB, upright."""
    depth: Float32[np.ndarray, "h w"]
    """Depth along z, in metres or scene units, as the facts say; positive."""
    confidence: Float32[np.ndarray, "h w"] | None = None
    """In [0, 1], higher is surer; None if it was not asked for."""
    intrinsics: Float[np.ndarray, "3 3"] | None = None
    """Pinhole matrix, in pixels of the image; None if unknown."""
    time: float | int | None = None
    """When the frame is shown, in seconds; None for an image."""
    ends: tuple[float, float] | None = None
    """Near and far end of the colours, where they follow a video; None for those of the depth."""
    facts: Facts = Facts()
    """Where the depth comes from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Style:
    """How files are to be written, where there is a choice."""

    mesh: bool = False
    """Triangles between neighbouring pixels in place of points, for ply and glb."""
    max_points: int = 1_000_000
    """A cloud takes every so many-th pixel of an image with more pixels than this."""
    least_confidence: float | int = 0.0
    """Points of a cloud with less are left out; only where there is a confidence."""

    def __post_init__(self) -> None:
        """Refuse numbers that leave nothing."""
        if self.max_points < 4:
            raise ValueError(f"max_points must be 4 or more, got {self.max_points}")
        if not 0 <= self.least_confidence <= 1:
            raise ValueError(f"least_confidence must be in [0, 1], got {self.least_confidence:g}")
