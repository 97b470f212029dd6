"""Scale from known poses: the factor at which known motion makes the depth explain the images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64
from torch import Tensor

from ssmde.methods.self_supervised import compare

NEAREST, FARTHEST = 0.3, 300.0  # metres between which the middle of a scene lies
COARSE_STEP = 1.35
FINE_STEP = 1.04
FINE_STEPS = 9  # to either side of the best coarse factor: 42 % more or less
LEAST_SEEN = 0.4  # share of the pixels that must stay in view, or the error says nothing


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class View:
    """A frame, its depth, and other frames of its video whose motion is known in metres."""

    target: Float[Tensor, "1 3 h w"]
    """RGB in [0, 1]."""
    others: Float[Tensor, "n 3 h w"]
    """RGB in [0, 1]."""
    depth: Float[Tensor, "1 1 h w"]
    """In scene units."""
    T_other_target: Float[Tensor, "n 4 4"]
    """Motion from the camera of the target to that of each other frame, in metres."""
    intrinsics: Float[Tensor, "1 3 3"]
    """Pinhole matrix, in pixels of these images."""


def photometric_curve(view: View, factors: Float64[np.ndarray, " k"]) -> Float64[np.ndarray, " k"]:
    """Photometric error of the target rebuilt from the others, for each factor on its depth.

    The mean over the pixels that the others see; infinite where they see too few.

    Args:
        view: The frame.
        factors: Metres per scene unit.
    """
    n = len(view.others)
    curve = np.full(len(factors), np.inf)
    for place, factor in enumerate(factors.tolist()):
        maps = compare(
            view.target.expand(n, -1, -1, -1), view.others,
            (factor * view.depth).expand(n, -1, -1, -1), view.T_other_target,
            view.intrinsics.expand(n, -1, -1),
        )  # fmt: skip
        seen = maps.visible.double()
        if float(seen.mean()) >= LEAST_SEEN:
            curve[place] = float((maps.error * seen).sum() / seen.sum())
    return curve


def coarse_factor(views: Sequence[View]) -> float | None:
    """The factor of the smallest mean error over a few frames; None if the frames tell none.

    Tried are those that put the middle of the scene at 0.3 to 300 m.

    Args:
        views: Frames from all over the video.
    """
    if not views:
        return None
    middle = float(np.median([view.depth.median().item() for view in views]))
    count = int(np.log(FARTHEST / NEAREST) / np.log(COARSE_STEP)) + 2
    factors = NEAREST / middle * COARSE_STEP ** np.arange(float(count))
    curve = np.mean([photometric_curve(view, factors) for view in views], axis=0)
    best = int(np.argmin(curve))
    return None if best in (0, count - 1) else float(factors[best])


def fine_factor(view: View, near: float) -> float | None:
    """The factor of one frame, by a parabola through the smallest errors; None if it is not near.

    Args:
        view: The frame.
        near: The factor of the whole video, to a third.
    """
    factors = near * FINE_STEP ** np.arange(-FINE_STEPS, FINE_STEPS + 1.0)
    curve = photometric_curve(view, factors)
    best = int(np.argmin(curve))
    if best in (0, len(curve) - 1) or not np.isfinite(curve[best - 1 : best + 2]).all():
        return None
    before, here, after = curve[best - 1 : best + 2]
    bend = before - 2 * here + after
    offset = 0.5 * (before - after) / bend if bend > 0 else 0.0
    return float(factors[best] * FINE_STEP**offset)
