"""Inverse warping: see the source view through the target's depth.

For every target pixel: lift it with its depth, move the point into the source camera, project it,
and read the source there. This is the only place of the package that resamples an image by
geometry, and the only one that calls `grid_sample`. Frames and pixels: see `camera.py`.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ssmde.geometry.camera import MIN_DEPTH
from ssmde.types import Intrinsics, Map, Mask, Motion

# In pixels. Rounding in float32 moves the pixels of a camera at rest by up to 0.0005 (in an image
# 4096 wide); without a tolerance, some of those on the border would count as outside.
EDGE_TOLERANCE = 0.01


class Reprojection(NamedTuple):
    """Where each target pixel lands in the source view."""

    pixels: Float[Tensor, "b h w 2"]
    """Source coordinates (u, v), in pixels; may lie outside the image."""
    depth: Map
    """Depth of the point in the source camera, in the unit of the target depth; at least
    `min_depth`, so that ratios of depths stay finite where a point is not visible."""
    visible: Mask
    """True where the point is in front of the source camera and inside its image."""


def reproject(
    depth: Map, T_src_tgt: Motion, intrinsics: Intrinsics, *, min_depth: float = MIN_DEPTH
) -> Reprojection:
    """Find each target pixel in the source view: p_src ~ K T_src_tgt D(p_tgt) K^-1 p_tgt.

    The depth-based rendering of Zhou et al., CVPR 2017 (https://arxiv.org/abs/1704.07813). Both
    views share `intrinsics`, in pixels of *this* image size. No matrix product: reduced-precision
    modes (autocast, TF32) leave it exact.

    Args:
        depth: Depth of the target view, positive, in the unit of the translation.
        T_src_tgt: Rigid motion from the target camera to the source camera.
        intrinsics: Pinhole matrix without skew.
        min_depth: Points nearer than this to the source camera count as not visible.

    Examples:
        >>> depth = torch.full((1, 1, 4, 6), 2.0)
        >>> K = torch.tensor([[[8.0, 0.0, 2.5], [0.0, 8.0, 1.5], [0.0, 0.0, 1.0]]])
        >>> stay = torch.eye(4)[None]
        >>> reproject(depth, stay, K).pixels[0, 3, 5]
        tensor([5., 3.])
    """
    height, width = depth.shape[-2:]
    # z_src [u v 1]_src^T = D K R K^-1 [u v 1]_tgt^T + K t: one 3 x 3 matrix for all pixels of an
    # image instead of lifting, moving and projecting each. The sums are written out, row by row,
    # for products of matrices are rounded under TF32 and autocast, by pixels.
    rays, shift = _pixels_to_pixels(T_src_tgt, intrinsics)
    grid_u = torch.arange(width, dtype=depth.dtype, device=depth.device)
    grid_v = torch.arange(height, dtype=depth.dtype, device=depth.device)[:, None]
    x, y, z = (
        torch.addcmul(s, r[0] * grid_u + (r[1] * grid_v + r[2]), depth.squeeze(1))
        for r, s in zip(rays, shift, strict=True)
    )
    # A point behind the camera has z < 0; dividing by it would mirror the point into the image.
    divisor = z.clamp(min=min_depth)
    u, v = x / divisor, y / divisor
    inside_u = (u >= -EDGE_TOLERANCE) & (u <= width - 1 + EDGE_TOLERANCE)
    inside_v = (v >= -EDGE_TOLERANCE) & (v <= height - 1 + EDGE_TOLERANCE)
    visible = (z > min_depth) & inside_u & inside_v
    return Reprojection(torch.stack([u, v], dim=-1), divisor[:, None], visible[:, None])


def _pixels_to_pixels(
    T_src_tgt: Motion, intrinsics: Intrinsics
) -> tuple[list[list[Float[Tensor, "b 1 1"]]], list[Float[Tensor, "b 1 1"]]]:
    """K R K^-1, by row and column, and K t: z [u v 1] of the source = K R K^-1 [u v 1] D + K t.

    The pinhole matrices have no skew, so no inverse and no product of matrices is needed.
    """
    # Each entry of a matrix as [b, 1, 1], to meet rows of pixels.
    motion = T_src_tgt[..., None, None]
    (fx, cx), (fy, cy) = ((intrinsics[:, i, i], intrinsics[:, i, 2]) for i in (0, 1))
    fx, fy, cx, cy = (value[:, None, None] for value in (fx, fy, cx, cy))
    rows = [motion[:, i].unbind(1) for i in range(3)]
    # R K^-1, with t as a fourth column: column 3 of K^-1 is [-cx / fx, -cy / fy, 1]^T.
    seen = [[r[0] / fx, r[1] / fy, r[2] - cx * (r[0] / fx) - cy * (r[1] / fy), r[3]] for r in rows]
    # K from the left: rows 1 and 2 get the third, times cx and cy.
    joined = [
        [fx * seen[0][k] + cx * seen[2][k] for k in range(4)],
        [fy * seen[1][k] + cy * seen[2][k] for k in range(4)],
        seen[2],
    ]
    return [row[:3] for row in joined], [row[3] for row in joined]


def sample(
    source: Float[Tensor, "b c hs ws"], pixels: Float[Tensor, "b h w 2"]
) -> Float[Tensor, "b c h w"]:
    """Read `source` at its real-valued pixels (u, v), bilinearly; outside the image it is zero.

    A ValueError if it is less than 2 pixels wide or high.
    """
    height, width = source.shape[-2:]
    if min(height, width) < 2:
        raise ValueError(
            f"source must be at least 2 x 2 pixels to interpolate, got {height} x {width}"
        )
    # Pixel centers at 0 and width - 1 become -1 and +1: the convention of align_corners=True. The
    # factors fill a row, so that a processor finds long runs to multiply.
    factors = pixels.new_tensor([2 / (width - 1), 2 / (height - 1)])
    grid = pixels * factors.expand(pixels.shape[2], 2).contiguous() - 1
    return F.grid_sample(source, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
