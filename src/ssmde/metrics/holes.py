"""How often what moves is seen as a hole: a measure that needs a video and no truth.

A network taught by photometric error alone puts what moves along with the camera at infinity. But
what moves is in front of the static scene. Depth that contradicts this, or contradicts the order
that another network sees, is wrong whatever the truth is. A rate of 0 proves nothing: a flat depth
map has no holes. It is ours; no paper has it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from ssmde.metrics.depth import Summable, check_depths

RATIO = 1.25  # deeper by more than this factor is a hole: the first threshold of the depth errors
SMALLEST = 0.001  # share of the image; smaller regions are noise of the mask
RING = 0.03  # share of the width: the static pixels so near to a region surround it
FARTHEST = 0.9  # quantile of their depth that stands for the farthest: a few may be wrong
PAIRS = 4096  # of pixels whose order is compared, in one image
MARGIN = 0.5  # standard deviations of the pseudo-depth between pixels whose order is clear


@dataclass(frozen=True, kw_only=True, slots=True)
class HoleCounts(Summable):
    """Moving pixels and regions, and those of them that are holes; of one image or of many."""

    moving: int = 0  # pixels of all regions examined
    holes: int = 0  # those deeper than the static surface all around their region
    regions: int = 0  # connected moving regions examined
    hole_regions: int = 0  # those more than half of which are holes

    @property
    def pixel_rate(self) -> float | None:
        """Share of the moving pixels that are holes, in [0, 1]; None if nothing moves."""
        return self.holes / self.moving if self.moving else None

    @property
    def region_rate(self) -> float | None:
        """Share of the moving regions that are holes, in [0, 1]; None if nothing moves."""
        return self.hole_regions / self.regions if self.regions else None


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderCounts(Summable):
    """Pairs of a moving and a static pixel, and those ordered wrongly; of one image or of many."""

    pairs: int = 0  # pairs whose order the pseudo-depth is sure of
    violated: int = 0  # those that the depth orders otherwise

    @property
    def rate(self) -> float | None:
        """Share of the pairs ordered wrongly, in [0, 1]; None if there is no sure pair."""
        return self.violated / self.pairs if self.pairs else None


def hole_counts(
    depth: Float[np.ndarray, "h w"],
    movers: Bool[np.ndarray, "h w"],
    *,
    static: Bool[np.ndarray, "h w"] | None = None,
) -> HoleCounts:
    """Holes of one image: moving pixels too deep for what is around them.

    That is more than 1.25 times as deep as the farthest static pixels around their region: what
    moves is in front of some of them. `static` is all that does not move if it is not given.

    Raises:
        ValueError: If a depth is not positive and finite.
    """
    check_depths(("pixels", depth))
    found: Any = ndimage.label(movers)  # pixels that share a side are one region
    labels, still, counts = found[0], ~movers if static is None else static, HoleCounts()
    sizes, ring = np.bincount(labels.ravel()), max(1, round(RING * depth.shape[1]))
    for label, box in enumerate(ndimage.find_objects(labels), 1):
        size = int(sizes[label])
        if size < SMALLEST * depth.size:
            continue
        near = tuple(slice(max(0, side.start - ring), side.stop + ring) for side in box)
        region = labels[near] == label
        around = ndimage.maximum_filter(region, 2 * ring + 1, mode="constant") & still[near]
        limit = np.quantile(depth[near][around], FARTHEST) if around.any() else np.inf
        holes = int((depth[near][region] > RATIO * limit).sum())
        counts += HoleCounts(moving=size, holes=holes, regions=1, hole_regions=2 * holes > size)
    return counts


def order_counts(
    depth: Float[np.ndarray, "h w"],
    pseudo_depth: Float[np.ndarray, "h w"],
    movers: Bool[np.ndarray, "h w"],
    generator: np.random.Generator,
    *,
    margin: float = MARGIN,
) -> OrderCounts:
    """Pairs of a moving and a static pixel that the depth orders otherwise than a pseudo-depth.

    An ordinal error (Chen et al., Depth in the Wild, NeurIPS 2016,
    https://arxiv.org/abs/1604.03901) against labels of another network instead of people: depth,
    not disparity, 0 or not finite where unknown. Blind to its scale and shift, and to any
    increasing map of the predicted depth. A pair of equal depth is wrong. Pairs that differ by less
    than `margin` standard deviations of the pseudo-depth drop out.

    Raises:
        ValueError: If a depth is not positive and finite.
    """
    check_depths(("pixels", depth))
    known = np.isfinite(pseudo_depth) & (pseudo_depth > 0)
    moving, static = np.flatnonzero(known & movers), np.flatnonzero(known & ~movers)
    if not moving.size or not static.size:
        return OrderCounts()
    i, j = generator.choice(moving, PAIRS), generator.choice(static, PAIRS)
    pseudo, flat = pseudo_depth.ravel().astype(np.float64), depth.ravel().astype(np.float64)
    step = pseudo[i] - pseudo[j]
    clear = np.abs(step) > margin * pseudo[known.ravel()].std()
    wrong = clear & ((flat[i] - flat[j]) * step <= 0)
    return OrderCounts(pairs=int(clear.sum()), violated=int(wrong.sum()))
