"""Pinhole camera: pixels to points and back, and what happens to it when an image is edited.

Pixel (u, v) is (column, row); integers are pixel *centers*, so (0, 0) is the center of the
top-left pixel and the image covers [-0.5, width - 0.5]. Camera axes: x right, y down, z forward.
Depth is z, in the unit of the scene. Nothing is cached: a new matrix is a new camera.
"""

import torch
from jaxtyping import Float
from torch import Tensor

MIN_DEPTH = 1e-3  # nearest depth that is projected, in scene units


def pixel_grid(height: int, width: int, *, like: Tensor) -> Float[Tensor, "h w 2"]:
    """Coordinates (u, v) of every pixel center, with the dtype and device of `like`."""
    v, u = torch.meshgrid(
        torch.arange(height, dtype=like.dtype, device=like.device),
        torch.arange(width, dtype=like.dtype, device=like.device),
        indexing="ij",
    )
    return torch.stack([u, v], dim=-1)


def _focal_and_center(
    intrinsics: Float[Tensor, "b 3 3"],
) -> tuple[Float[Tensor, "b 1 1 2"], Float[Tensor, "b 1 1 2"]]:
    """(fx, fy) and (cx, cy), shaped to meet maps of coordinates."""
    focal = intrinsics.diagonal(dim1=1, dim2=2)[:, :2]
    center = intrinsics[:, :2, 2]
    return focal[:, None, None], center[:, None, None]


def backproject(
    depth: Float[Tensor, "b 1 h w"], intrinsics: Float[Tensor, "b 3 3"]
) -> Float[Tensor, "b h w 3"]:
    """Lift a depth map to points in its own camera: X = D(p) K^-1 [u v 1]^T.

    Args:
        depth: Depth along z, in the unit of the scene.
        intrinsics: Pinhole matrix without skew, in pixels of `depth`.

    Example:
        >>> K = torch.tensor([[[8.0, 0.0, 2.5], [0.0, 8.0, 1.5], [0.0, 0.0, 1.0]]])
        >>> backproject(torch.full((1, 1, 4, 6), 4.0), K)[0, 3, 5]
        tensor([1.2500, 0.7500, 4.0000])
    """
    height, width = depth.shape[-2:]
    # K^-1 [u v 1]^T of a pinhole without skew is [(u - cx) / fx, (v - cy) / fy, 1]^T: no inverse of
    # a matrix, which would round, and no product, which TF32 and autocast would round further.
    focal, center = _focal_and_center(intrinsics)
    rays = (pixel_grid(height, width, like=depth) - center) / focal
    # Depth is z, not the distance along the ray: the ray has z = 1, so its multiple has z = D.
    z = depth.squeeze(1).unsqueeze(-1)
    return torch.cat([rays * z, z], dim=-1)


def project(
    points: Float[Tensor, "b h w 3"],
    intrinsics: Float[Tensor, "b 3 3"],
    *,
    min_depth: float = MIN_DEPTH,
) -> Float[Tensor, "b h w 2"]:
    """Pixels (u, v) of points: K X / z, finite also for points behind the camera.

    Points nearer than `min_depth` are divided by `min_depth` instead of z, whatever side they
    are on: such a pixel means nothing and has to be masked.

    Args:
        points: Points in the camera, in the unit of the scene.
        intrinsics: Pinhole matrix without skew, in pixels.
        min_depth: Smallest divisor, in the unit of the scene; positive.

    Example:
        >>> K = torch.tensor([[[8.0, 0.0, 2.5], [0.0, 8.0, 1.5], [0.0, 0.0, 1.0]]])
        >>> project(torch.tensor([[[[1.25, 0.75, 4.0]]]]), K)
        tensor([[[[5., 3.]]]])
    """
    focal, center = _focal_and_center(intrinsics)
    # Clamped from below, not by magnitude: z = -2 as a divisor would mirror the point into the
    # image, z = 0 would make its gradient infinite, which a mask behind it turns into NaN.
    return focal * points[..., :2] / points[..., 2:].clamp(min=min_depth) + center


def scale_intrinsics(
    intrinsics: Float[Tensor, "*b 3 3"], scale_x: float | int, scale_y: float | int
) -> Float[Tensor, "*b 3 3"]:
    """Camera of the image resized by `scale_x` (width) and `scale_y` (height).

    Image borders stay borders, so u' = scale (u + 0.5) - 0.5: the convention of PIL, OpenCV and
    `interpolate(align_corners=False)`.

    Args:
        intrinsics: Pinhole matrix of the image as it was, in pixels.
        scale_x: New width / old width.
        scale_y: New height / old height.

    Example:
        >>> K = torch.tensor([[8.0, 0.0, 2.5], [0.0, 8.0, 1.5], [0.0, 0.0, 1.0]])
        >>> scale_intrinsics(K, 0.5, 2.0)
        tensor([[ 4.0000,  0.0000,  1.0000],
                [ 0.0000, 16.0000,  3.5000],
                [ 0.0000,  0.0000,  1.0000]])
    """
    scale = torch.tensor([scale_x, scale_y], dtype=intrinsics.dtype, device=intrinsics.device)
    scaled = intrinsics.clone()
    scaled[..., :2, :] *= scale[:, None]
    # c' = s (c + 1/2) - 1/2 = s c + (s - 1) / 2: pixel centers are integers, borders are halves.
    scaled[..., :2, 2] += 0.5 * scale - 0.5
    return scaled


def crop_intrinsics(
    intrinsics: Float[Tensor, "*b 3 3"], left: float | int, top: float | int
) -> Float[Tensor, "*b 3 3"]:
    """Camera of the image whose first `left` columns and `top` rows are cut off: u' = u - left.

    Args:
        intrinsics: Pinhole matrix of the image as it was, in pixels.
        left: Columns cut off at the left; negative when columns are added.
        top: Rows cut off at the top; negative when rows are added.
    """
    cropped = intrinsics.clone()
    cropped[..., 0, 2] -= left
    cropped[..., 1, 2] -= top
    return cropped


def flip_intrinsics(intrinsics: Float[Tensor, "*b 3 3"], width: int) -> Float[Tensor, "*b 3 3"]:
    """Camera of the image, `width` pixels wide, mirrored left to right: u' = width - 1 - u."""
    # The focal length stays positive: the scene is mirrored with the image, x' = -x.
    flipped = intrinsics.clone()
    flipped[..., 0, 2] = width - 1 - intrinsics[..., 0, 2]
    return flipped
