"""Scale from the height of the camera over the ground it sees."""

import numpy as np
import torch
from jaxtyping import Float

from ssmde.methods.grounding import fit_ground

LEAST_DOWN = 0.7  # cosine between the ground's normal and the camera's y axis: 45 degrees


def height_over_ground(
    depth: Float[np.ndarray, "h w"], intrinsics: Float[np.ndarray, "3 3"]
) -> float | None:
    """Distance of the camera from the ground plane, in the unit of the depth; None without ground.

    On a plane m . X = 1 the disparity is linear in the pixel p, 1 / z = (K^T)^-1 m . p, and the
    distance of the plane from the camera is 1 / |m|. The ground is that of `methods/grounding.py`;
    a plane that stands up more than it lies down is none.

    Args:
        depth: Depth of one image; positive.
        intrinsics: Pinhole matrix, in pixels of this depth.
    """
    maps = torch.from_numpy(depth.astype(np.float64))[None, None]
    found = fit_ground(maps, torch.zeros_like(maps, dtype=torch.bool))
    if found is None:
        return None
    a, b, c = found.tolist()
    height, width = depth.shape
    per_pixel = np.array([2 * a / (width - 1), 2 * b / (height - 1), c - a - b])
    plane = intrinsics.T @ per_pixel
    length = float(np.linalg.norm(plane))
    return 1 / length if plane[1] > LEAST_DOWN * length else None
