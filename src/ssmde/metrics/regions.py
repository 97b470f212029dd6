"""Static and moving pixels measured apart, each image by its own motion mask."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, UInt8

from ssmde.metrics.depth import DepthErrors, DepthSums

STATIC, UNKNOWN, MOVING = 0, 128, 255
"""Values of a motion mask; unknown pixels count in the full image only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Regions:
    """Which pixels stand still and which move; neither where it is not known."""

    static: Bool[np.ndarray, "h w"]
    dynamic: Bool[np.ndarray, "h w"]


def split(motion_mask: UInt8[np.ndarray, "h w"]) -> Regions:
    """Static and moving pixels of one image.

    Args:
        motion_mask: 0 static, 255 moving, 128 unknown.

    Raises:
        ValueError: If the mask holds another value.
    """
    strange = sorted(set(np.unique(motion_mask).tolist()) - {STATIC, UNKNOWN, MOVING})
    if strange:
        raise ValueError(
            "a motion mask holds 0 (static), 255 (moving) and 128 (unknown), "
            f"got {', '.join(map(str, strange[:5]))}"
        )
    return Regions(static=motion_mask == STATIC, dynamic=motion_mask == MOVING)


@dataclass(frozen=True, kw_only=True, slots=True)
class RegionErrors:
    """Errors of one image; None for a region without a pixel that has truth."""

    full: DepthErrors | None = None
    static: DepthErrors | None = None
    dynamic: DepthErrors | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RegionSums:
    """Errors added up over images, one sum per region; each image enters each region once."""

    full: DepthSums = field(default_factory=DepthSums)
    static: DepthSums = field(default_factory=DepthSums)
    dynamic: DepthSums = field(default_factory=DepthSums)

    def add(self, errors: RegionErrors) -> "RegionSums":
        """Sums with one more image."""
        return RegionSums(
            full=self.full.add(errors.full),
            static=self.static.add(errors.static),
            dynamic=self.dynamic.add(errors.dynamic),
        )

    def merge(self, other: "RegionSums") -> "RegionSums":
        """Sums over the images of both, as from two processes."""
        return RegionSums(
            full=self.full.merge(other.full),
            static=self.static.merge(other.static),
            dynamic=self.dynamic.merge(other.dynamic),
        )
