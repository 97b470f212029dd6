"""Static and moving pixels, and near and far ones, measured apart.

A mean over all pixels hides that what moves, and what is far, is measured worse.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from ssmde.metrics.depth import DepthErrors, DepthSums, Summable

STATIC, UNKNOWN, MOVING = 0, 128, 255
"""Values of a motion mask; unknown pixels count in the full image only."""
LADDER = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)  # metres; a round step of about 2


def split_motion_mask(
    motion_mask: UInt8[np.ndarray, "h w"],
) -> tuple[Bool[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    """Which pixels of one image stand still, and which move; neither where it is not known.

    Args:
        motion_mask: 0 static, 255 moving, 128 unknown.

    Raises:
        ValueError: If the mask holds another value.
    """
    static, dynamic = motion_mask == STATIC, motion_mask == MOVING
    if not (static | dynamic | (motion_mask == UNKNOWN)).all():
        strange = sorted(set(np.unique(motion_mask).tolist()) - {STATIC, UNKNOWN, MOVING})
        raise ValueError(
            "a motion mask holds 0 (static), 255 (moving) and 128 (unknown), "
            f"got {', '.join(map(str, strange[:5]))}"
        )
    return static, dynamic


@dataclass(frozen=True, kw_only=True, slots=True)
class RegionErrors:
    """Errors of one image; None for a region without a pixel that has truth."""

    full: DepthErrors | None = None
    static: DepthErrors | None = None
    dynamic: DepthErrors | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RegionSums(Summable):
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


def band_edges(min_depth: float, max_depth: float) -> tuple[float, ...]:
    """Edges of distance bands over a range, in metres: 1, 2, 5, 10 ... between its ends.

    Band i holds edges[i] <= truth < edges[i + 1], as the distance-related assessment of Koch et
    al., ECCV-W 2018 (https://arxiv.org/abs/1805.01328).

    Example:
        >>> band_edges(0.1, 10.0)
        (0.1, 1.0, 2.0, 5.0, 10.0)
    """
    return (min_depth, *(e for e in LADDER if min_depth < e < max_depth), max_depth)


def sorted_by(group: UInt8[np.ndarray, "n"], n_groups: int) -> tuple[Any, list[int]]:
    """The index that puts the pixels of each group side by side, and where each group starts."""
    counts = np.bincount(group, minlength=n_groups)
    one = counts.max() == group.size
    order = slice(None) if one else group.argsort(kind="stable")
    return order, [0, *np.cumsum(counts).tolist()]
