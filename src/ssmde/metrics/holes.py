"""How often what moves is seen as a hole: a measure that needs a video and no truth.

A network taught by photometric error alone puts what moves along with the camera at infinity. But
what moves stands on the ground and in front of the static scene: depth that contradicts this, or
the order that another network sees, is wrong whatever the truth is. A rate of 0 proves nothing: a
flat depth map has no holes. It is ours; no paper has it.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from ssmde.metrics.depth import DepthMap, Mask, check_depths

RATIO = 1.25  # deeper by more than this factor is a hole: the first threshold of the depth errors
SMALLEST = 0.001  # share of the image; smaller regions are noise of the mask
REACH = 0.1  # share of the width: a column may take its contact from columns so far away
RING = 0.03  # share of the width: the static pixels so near to a region surround it
FARTHEST = 0.9  # quantile of their depth that stands for the farthest: a few may be wrong
PAIRS = 4096  # of pixels whose order is compared, in one image
GROUND_ROWS = 0.4  # share of the image, from below, in which the ground is looked for
REFITS = 8
KEPT = 0.6  # share of the pixels, those that fit the ground best, that a refit listens to
LEAST_FALL = 0.1  # the ground's disparity rises at least so much, relative to its mean, downwards
MARGIN = 0.5  # standard deviations of the pseudo-depth between pixels whose order is clear


@dataclass(frozen=True, kw_only=True, slots=True)
class MoverCounts:
    """What moves, and what of it is a hole or in a wrong order; of one image or of many."""

    moving: int = 0  # pixels of all regions examined
    beyond_ground: int = 0  # those deeper than the ground where their region stands
    beyond_surround: int = 0  # those deeper than the static surface all around their region
    holes: int = 0  # those that are one or the other
    regions: int = 0  # connected moving regions examined
    hole_regions: int = 0  # those more than half of which are holes
    pairs: int = 0  # of a moving and a static pixel whose order a pseudo-depth is sure of
    violated: int = 0  # those that the depth orders otherwise
    n_images: int = 0  # in which something moves

    def __add__(self, other: "MoverCounts") -> "MoverCounts":
        """The sum of each field, as over images."""
        mine, theirs = asdict(self), asdict(other)
        return MoverCounts(**{name: mine[name] + theirs[name] for name in mine})

    @property
    def hole_rate(self) -> float | None:
        """Share of the moving pixels that are holes, in [0, 1]; None if nothing moves."""
        return self.holes / self.moving if self.moving else None

    @property
    def order_rate(self) -> float | None:
        """Share of the pairs ordered wrongly, in [0, 1]; None if there is no sure pair."""
        return self.violated / self.pairs if self.pairs else None


def hole_counts(
    depth: DepthMap, movers: Mask, ground: DepthMap | None, *, static: Mask | None = None
) -> MoverCounts:
    """Holes of one image: moving pixels too deep for the ground they stand on or for what is near.

    Too deep: more than 1.25 times as deep as the ground at the lowest pixel of their region, in
    their column or one nearby, or as the farthest static pixels around the region; what moves is in
    front of some of them. `ground` is the depth of the ground as if nothing stood on it, infinity
    above its horizon, best fitted to the same depth. `static` is all that does not move if it is
    not given. A ValueError if a depth is not positive and finite.
    """
    check_depths("pixels", depth)
    counts, width = MoverCounts(), depth.shape[1]
    ring = max(1, round(RING * width))
    found: Any = ndimage.label(movers)  # pixels that share a side are one region
    still = ~movers if static is None else static
    for label, box in enumerate(ndimage.find_objects(found[0]), 1):
        near = tuple(slice(max(0, side.start - ring), side.stop + ring) for side in box)
        region, deep = found[0][near] == label, depth[near]
        size = int(region.sum())
        if size < SMALLEST * depth.size:
            continue
        around = ndimage.maximum_filter(region, 2 * ring + 1, mode="constant") & still[near]
        farthest = float(np.quantile(deep[around], FARTHEST)) if around.any() else np.inf
        beyond = [region & (deep > RATIO * farthest), np.zeros_like(region)]
        if ground is not None:
            under = _ground_under(region, ground[near], round(REACH * width))
            beyond[1] = region & (deep > RATIO * under)
        surround, below, holes = (int(m.sum()) for m in (*beyond, beyond[0] | beyond[1]))
        counts += MoverCounts(
            moving=size, beyond_ground=below, beyond_surround=surround, holes=holes, regions=1,
            hole_regions=int(2 * holes > size),
        )  # fmt: skip
    return counts


def order_counts(
    depth: DepthMap, pseudo_depth: DepthMap, movers: Mask, generator: np.random.Generator
) -> MoverCounts:
    """Pairs of a moving and a static pixel that the depth orders otherwise than a pseudo-depth.

    An ordinal error (Chen et al., Depth in the Wild, NeurIPS 2016,
    https://arxiv.org/abs/1604.03901) against labels of another network instead of people: depth,
    not disparity, 0 or not finite where unknown. Blind to its scale and shift. A pair of equal
    depth is wrong; pairs that differ by less than half a standard deviation of the pseudo-depth
    drop out. A ValueError if a depth is not positive and finite.
    """
    check_depths("pixels", depth)
    known = np.isfinite(pseudo_depth) & (pseudo_depth > 0)
    moving, static = np.flatnonzero(known & movers), np.flatnonzero(known & ~movers)
    if not moving.size or not static.size:
        return MoverCounts()
    i, j = generator.choice(moving, PAIRS), generator.choice(static, PAIRS)
    pseudo, flat = pseudo_depth.ravel().astype(np.float64), depth.ravel().astype(np.float64)
    step = pseudo[i] - pseudo[j]
    clear = np.abs(step) > MARGIN * pseudo[known.ravel()].std()
    wrong = clear & ((flat[i] - flat[j]) * step <= 0)
    return MoverCounts(pairs=int(clear.sum()), violated=int(wrong.sum()))


def _ground_under(region: Mask, ground: DepthMap, reach: int) -> Float[np.ndarray, "1 w"]:
    """For each column of the region, the depth of the ground where it stands."""
    lowest = np.where(region, np.arange(len(region))[:, None], -1).max(0)
    contact = ndimage.maximum_filter1d(lowest, 2 * reach + 1, mode="constant", cval=-1)
    # Off the region nobody reads it.
    return ground[contact.clip(min=0), np.arange(region.shape[1])][None]


def ground_depth(depth: DepthMap, movers: Mask) -> DepthMap | None:
    """Depth of the ground as if nothing stood on it; infinity above its horizon, None if not found.

    Of a depth map that is positive, and not trusted where there are movers.
    """
    plane = fit_ground(depth, movers)
    if plane is None:
        return None
    v, u = (np.linspace(-1, 1, n) for n in depth.shape)
    disparity = plane[0] * u + (plane[1] * v + plane[2])[:, None]
    return np.where(disparity > 0, 1 / np.maximum(disparity, 1e-12), np.inf)


def fit_ground(depth: DepthMap, movers: Mask) -> Float[np.ndarray, "3"] | None:
    """The ground as (a, b, c) with 1 / depth = a u + b v + c, u and v from -1 to 1; None if none.

    The disparity of a plane is linear in the pixel. It is fitted to the lower part of the image by
    least squares, again and again to the pixels that fit best, so that furniture and cars which
    stand still are left out. A plane that does not come nearer downwards is no ground.
    """
    height, width = depth.shape
    used = ~movers
    used[: int((1 - GROUND_ROWS) * height)] = False
    rows, columns = np.nonzero(used)
    if len(rows) < 10 * width:
        return None
    v, u = np.linspace(-1, 1, height)[rows], np.linspace(-1, 1, width)[columns]
    disparity = 1 / depth[used].astype(np.float64)
    system = np.stack([u, v, np.ones_like(u), disparity])
    kept, plane = np.ones(len(u), dtype=bool), np.zeros(3)
    last = int(KEPT * (len(u) - 1))
    for _ in range(REFITS):
        normal = system * kept @ system.T  # equations of three numbers are exact enough
        plane = np.linalg.pinv(normal[:3, :3], hermitian=True) @ normal[:3, 3]
        off = np.abs(plane @ system[:3] - disparity)
        kept = off <= np.partition(off, (last, last + 1))[last]  # a single place takes longer
    return plane if plane[1] >= LEAST_FALL * disparity[kept].mean() else None
