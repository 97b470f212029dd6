"""Errors by distance: a mean over all pixels hides that far things are measured worse."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from ssmde.metrics.depth import DepthErrors, grouped_depth_errors

LADDER = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)  # metres; a round step of about 2


def band_edges(min_depth: float, max_depth: float) -> tuple[float, ...]:
    """Edges of distance bands over a range, in metres: 1, 2, 5, 10 ... between its ends.

    Args:
        min_depth: Nearest depth that counts.
        max_depth: Farthest depth that counts.

    Example:
        >>> band_edges(0.1, 10.0)
        (0.1, 1.0, 2.0, 5.0, 10.0)
    """
    return (min_depth, *(e for e in LADDER if min_depth < e < max_depth), max_depth)


def band_errors(
    prediction: Float[np.ndarray, " n"], truth: Float[np.ndarray, " n"], edges: Sequence[float]
) -> tuple[DepthErrors | None, ...]:
    """Errors of one image in each band of true distance; None for a band without a pixel.

    Band i holds edges[i] <= truth < edges[i + 1], as the distance-related assessment of Koch et
    al., ECCV-W 2018 (https://arxiv.org/abs/1805.01328). The scale is that of the whole image: give
    the prediction aligned.

    Args:
        prediction: Depth of the pixels that have truth; positive, aligned and clipped.
        truth: True depth of the same pixels; positive.
        edges: Distances between the bands, increasing, in the unit of the truth.

    Raises:
        ValueError: If there are fewer than two edges, they do not increase, or a depth is not
            positive and finite.
    """
    if len(edges) < 2 or not all(near < far for near, far in pairwise(edges)):
        raise ValueError(f"distance bands need two or more increasing edges, got {tuple(edges)}")
    bands = len(edges) - 1
    band = np.searchsorted(edges, truth, side="right") - 1
    group = np.where(band < 0, bands, band).astype(np.uint8)
    return tuple(grouped_depth_errors(prediction, truth, group, bands)[:bands])
