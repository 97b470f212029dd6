"""How sure a prediction is: whether the network says the same of the mirrored and resized image."""

import numpy as np
from jaxtyping import Float, Float32

SMALLER = 0.75
"""Size of the second look, as a share of the first."""
STRIDE = 32


def view_agreement(
    depth: Float[np.ndarray, "h w"], others: list[Float[np.ndarray, "h w"]]
) -> Float32[np.ndarray, "h w"]:
    """exp(-mean |log(other / depth)|) of each pixel, in [0, 1]; higher is surer.

    It is about the ratio of the smaller to the larger depth: 0.9 where the looks differ by a tenth.
    The scale of each look is taken out by the median ratio, for it is not known anyway. That a
    network answers a mirrored image in another way where it guesses was noted for uncertainty by
    Poggi et al., CVPR 2020 (https://arxiv.org/abs/2005.06209).

    Args:
        depth: The prediction, positive.
        others: What was said of the same image in other ways, turned back to its pixels; positive.
    """
    if not others:
        return np.ones(depth.shape, np.float32)
    logs = [np.log(other.astype(np.float64) / depth) for other in others]
    apart = np.mean([np.abs(log - np.median(log)) for log in logs], axis=0)
    return np.exp(-apart).astype(np.float32)


def smaller_size(size: tuple[int, int]) -> tuple[int, int]:
    """Size (height, width) of the second look: about three quarters, in multiples of 32.

    A size too small to shrink is doubled instead, so that the second look is never the first.
    """
    height, width = (max(STRIDE, round(SMALLER * side / STRIDE) * STRIDE) for side in size)
    return (height, width) if (height, width) != size else (2 * size[0], 2 * size[1])
