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

    pixels: Float[Tensor, "b h w 2"]  # (u, v) in the source; may lie outside the image
    depth: Map  # in the source camera, at least `min_depth`: ratios of depths stay finite
    visible: Mask  # True where the point is in front of the source camera and inside its image


def reproject(
    depth: Map, T_src_tgt: Motion, intrinsics: Intrinsics, *, min_depth: float = MIN_DEPTH
) -> Reprojection:
    """Find each target pixel in the source view: p_src ~ K T_src_tgt D(p_tgt) K^-1 p_tgt.

    The depth-based rendering of Zhou et al., CVPR 2017 (https://arxiv.org/abs/1704.07813). No
    matrix product: reduced-precision modes (autocast, TF32) leave it exact.

    Args:
        depth: Depth of the target view, positive, in the unit of the translation.
        T_src_tgt: Rigid motion from the target camera to the source camera.
        intrinsics: Pinhole matrix of both, in pixels of *this* image size, without skew.
        min_depth: Points nearer than this to the source camera count as not visible.
    """
    # z_src [u v 1]_src^T = D K R K^-1 [u v 1]_tgt^T + K t: one 3 x 3 matrix for all pixels of an
    # image instead of lifting, moving and projecting each. Without skew K needs no inverse; the
    # sums are written out, row by row, for products of matrices are rounded under TF32 and
    # autocast, by pixels. Each entry is [b, 1, 1], to meet rows of pixels.
    K, T = (
        [row.unbind(1) for row in m[..., None, None].unbind(1)] for m in (intrinsics, T_src_tgt)
    )
    (fx, _, cx), (_, fy, cy), _ = K
    # R K^-1, with t as a fourth column: column 3 of K^-1 is [-cx / fx, -cy / fy, 1]^T.
    right, down, ahead = (
        (r[0] / fx, r[1] / fy, r[2] - cx * (r[0] / fx) - cy * (r[1] / fy), r[3]) for r in T[:3]
    )
    # K from the left: rows 1 and 2 get the third, times cx and cy.
    rows = (
        [fx * a + cx * c for a, c in zip(right, ahead, strict=True)],
        [fy * b + cy * c for b, c in zip(down, ahead, strict=True)],
        ahead,
    )
    height, width = depth.shape[-2:]
    grid_u = torch.arange(width, dtype=depth.dtype, device=depth.device)
    grid_v = torch.arange(height, dtype=depth.dtype, device=depth.device)[:, None]
    x, y, z = (
        torch.addcmul(shift, of_u * grid_u + (of_v * grid_v + constant), depth.squeeze(1))
        for of_u, of_v, constant, shift in rows
    )
    # A point behind the camera has z < 0; dividing by it would mirror the point into the image.
    divisor = z.clamp(min=min_depth)
    u, v = x / divisor, y / divisor
    visible = z > min_depth
    for values, last in ((u, width - 1), (v, height - 1)):
        visible = visible & (values >= -EDGE_TOLERANCE) & (values <= last + EDGE_TOLERANCE)
    return Reprojection(torch.stack([u, v], dim=-1), divisor[:, None], visible[:, None])


def sample(
    source: Float[Tensor, "b c hs ws"], pixels: Float[Tensor, "b h w 2"]
) -> Float[Tensor, "b c h w"]:
    """Read `source` at its real-valued pixels (u, v), bilinearly; outside the image it is zero.

    A ValueError if it is less than 2 pixels wide or high.
    """
    height, width = source.shape[-2:]
    if min(height, width) < 2:
        raise ValueError(f"source must be at least 2 x 2 pixels, got {height} x {width}")
    # Pixel centers at 0 and width - 1 become -1 and +1: the convention of align_corners=True. The
    # factors fill a row, so that a processor finds long runs to multiply.
    factors = pixels.new_tensor([2 / (width - 1), 2 / (height - 1)])
    grid = pixels * factors.expand(pixels.shape[2], 2).contiguous() - 1
    return F.grid_sample(source, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
