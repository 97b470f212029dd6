"""How wrong a depth map is: alignment, errors, protocols, edges, flicker, holes.

Plain numpy in, plain numbers out, of use without anything else of this package:

    >>> import numpy as np
    >>> truth = np.array([[1.0, 2.0], [4.0, 0.0]])  # metres, 0 where there is none
    >>> prediction = np.array([[0.5, 1.0], [3.0, 9.0]])  # in a unit of its own
    >>> protocol = Protocol(name="room", min_depth=0.1, max_depth=10.0)
    >>> found = measure(prediction, truth, protocol)
    >>> found.alignment.scale, round(found.full.abs_rel, 3), found.full.d1
    (2.0, 0.167, 0.6666666666666666)
"""

from ssmde.metrics.boundary import BoundaryErrors, boundary_errors
from ssmde.metrics.depth import (
    ALIGNMENTS,
    METRICS,
    Alignment,
    AlignmentName,
    Crop,
    DepthErrors,
    Measurement,
    Protocol,
    Truth,
    align,
    band_edges,
    counted_pixels,
    depth_errors,
    mean_errors,
    measure,
    split_motion_mask,
)
from ssmde.metrics.holes import (
    MoverCounts,
    fit_ground,
    ground_depth,
    hole_counts,
    order_counts,
)
from ssmde.metrics.temporal import TemporalErrors, seen_in_both, temporal_errors

__all__ = [
    "ALIGNMENTS", "METRICS", "Alignment", "AlignmentName", "BoundaryErrors", "Crop", "DepthErrors",
    "Measurement", "MoverCounts", "Protocol", "TemporalErrors", "Truth", "align", "band_edges",
    "boundary_errors", "counted_pixels", "depth_errors", "fit_ground", "ground_depth",
    "hole_counts", "mean_errors", "measure", "order_counts", "seen_in_both", "split_motion_mask",
    "temporal_errors",
]  # fmt: skip
