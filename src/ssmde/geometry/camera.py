"""Pinhole cameras, rigid motions, and the surface that a depth map describes.

Pixel (u, v) is (column, row); integers are pixel *centers*, so (0, 0) is the center of the
top-left pixel and the image covers [-0.5, width - 0.5]. Camera axes: x right, y down, z forward.
Depth is z, in the unit of the scene. Nothing is cached: a new matrix is a new camera.

`T_a_b` maps points of frame b into frame a, so `x_a = T_a_b @ x_b`; in a product neighboring
names match: `T_a_c = T_a_b @ T_b_c`. A camera-to-world pose is `T_world_cam`.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ssmde.types import Intrinsics, Map

MIN_DEPTH = 1e-3  # nearest depth that is projected, in scene units
# Below, three terms of the Taylor series are exact to rounding, also in float64, and, unlike
# sin(a) / a, have a gradient at zero.
SMALL_ANGLE_SQUARED = 1e-4


Maps = Float[Tensor, "b c h w"]
Matrices = Float[Tensor, "*b 3 3"]


def pixel_grid(height: int, width: int, *, like: Tensor) -> Float[Tensor, "h w 2"]:
    """Coordinates (u, v) of every pixel center, with the dtype and device of `like`."""
    lines = (torch.arange(n, dtype=like.dtype, device=like.device) for n in (height, width))
    return torch.stack(torch.meshgrid(*lines, indexing="ij")[::-1], dim=-1)


def _focal_and_center(intrinsics: Intrinsics) -> tuple[Tensor, Tensor]:
    """(fx, fy) and (cx, cy), each (b, 1, 1, 2) to meet maps of coordinates."""
    focal, center = intrinsics.diagonal(dim1=1, dim2=2)[:, :2], intrinsics[:, :2, 2]
    return focal[:, None, None], center[:, None, None]


def backproject(depth: Map, intrinsics: Intrinsics) -> Float[Tensor, "b h w 3"]:
    """Lift a depth map to points in its own camera: X = D(p) K^-1 [u v 1]^T.

    The pinhole matrix is in pixels of the depth, without skew.

    Examples:
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
    points: Float[Tensor, "b h w 3"], intrinsics: Intrinsics, *, min_depth: float = MIN_DEPTH
) -> Float[Tensor, "b h w 2"]:
    """Pixels (u, v) of points: K X / z, finite also for points behind the camera.

    Points nearer than `min_depth`, in the unit of the scene, are divided by it instead of z,
    whatever side they are on: such a pixel means nothing and has to be masked.
    """
    focal, center = _focal_and_center(intrinsics)
    # Clamped from below, not by magnitude: z = -2 as a divisor would mirror the point into the
    # image, z = 0 would make its gradient infinite, which a mask behind it turns into NaN.
    return focal * points[..., :2] / points[..., 2:].clamp(min=min_depth) + center


def scale_intrinsics(intrinsics: Matrices, scale_x: float | int, scale_y: float | int) -> Matrices:
    """Camera of the image resized by `scale_x` (new / old width) and `scale_y` (height).

    Image borders stay borders, so u' = scale (u + 0.5) - 0.5: the convention of PIL, OpenCV and
    `interpolate(align_corners=False)`.

    Examples:
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


def crop_intrinsics(intrinsics: Matrices, left: float | int, top: float | int) -> Matrices:
    """Camera of the image whose first `left` columns and `top` rows are cut off: u' = u - left.

    Negative numbers are columns and rows that are added.
    """
    cropped = intrinsics.clone()
    cropped[..., 0, 2] -= left
    cropped[..., 1, 2] -= top
    return cropped


def flip_intrinsics(intrinsics: Matrices, width: int) -> Matrices:
    """Camera of the image, `width` pixels wide, mirrored left to right: u' = width - 1 - u."""
    # The focal length stays positive: the scene is mirrored with the image, x' = -x.
    flipped = intrinsics.clone()
    flipped[..., 0, 2] = width - 1 - intrinsics[..., 0, 2]
    return flipped


def sobel(values: Maps) -> tuple[Maps, Maps]:
    """Derivatives of a map along u and v, per pixel: 3 x 3 Sobel filters, the border repeated."""
    padded = F.pad(values, (1, 1, 1, 1), mode="replicate")
    # Differences one way, weights 1 2 1 the other way. Sums of slices instead of a convolution:
    # neighboring points of a surface are nearly equal, and TF32 would leave little of a normal.
    along_v = padded[..., :-2, :] + 2 * padded[..., 1:-1, :] + padded[..., 2:, :]
    along_u = padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]
    # 8 = (1 + 2 + 1) * 2: the weights, and the two pixels between both ends.
    return (
        (along_v[..., 2:] - along_v[..., :-2]) / 8,
        (along_u[..., 2:, :] - along_u[..., :-2, :]) / 8,
    )


def normals(depth: Map, intrinsics: Intrinsics) -> Float[Tensor, "b 3 h w"]:
    """Unit normals (dX/du x dX/dv) of the surface, in the camera; z positive for a wall ahead.

    Of Sobel derivatives of the lifted points; they do not depend on the scale of the depth, but do
    on a shift of it. Where the surface is degenerate (depth 0) the normal is the zero vector and
    passes no gradient on.
    """
    du, dv = sobel(backproject(depth, intrinsics).permute(0, 3, 1, 2))
    # Plane by plane: cross product and norm over the channels of a map are slow on a processor.
    (a, b, c), (d, e, f) = du.split(1, dim=1), dv.split(1, dim=1)
    x, y, z = b * f - c * e, c * d - a * f, a * e - b * d
    normal = torch.cat([x, y, z], dim=1)
    square = x * x + y * y + z * z
    # Divided by 1 where there is no normal: sqrt has an infinite slope at 0, and `where` masks
    # values, not gradients.
    degenerate = square <= torch.finfo(square.dtype).tiny
    unit = normal / torch.where(degenerate, torch.ones_like(square), square).sqrt()
    return torch.where(degenerate, torch.zeros_like(unit), unit)


def axis_angle_to_matrix(axis_angle: Float[Tensor, "*b 3"]) -> Matrices:
    """Rotation matrix by Rodrigues' formula: cos(a) I + sin(a)/a [v] + (1 - cos(a))/a^2 v v^T.

    [v] is the skew matrix with [v] w = v x w, v the right-handed axis times the angle in radians,
    of any length; value and gradient are exact at zero. No matrix product: reduced-precision modes
    for those (autocast, TF32) leave it exact.
    """
    square = (axis_angle * axis_angle).sum(-1)[..., None, None]
    small = square < SMALL_ANGLE_SQUARED
    # `where` masks values, not gradients: 0 times the infinite slope of sqrt at 0 is NaN. So the
    # branch that is not taken computes at 1.
    safe = torch.where(small, torch.ones_like(square), square)
    angle = safe.sqrt()
    half = angle / 2
    # sin(a) / a = 1 - a^2/6 + a^4/120 and (1 - cos(a)) / a^2 = 1/2 - a^2/24 + a^4/720.
    sine = torch.where(small, 1 - square / 6 * (1 - square / 20), angle.sin() / angle)
    # 1 - cos(a) = 2 sin^2(a / 2), without the cancellation.
    cosine = torch.where(
        small, 0.5 - square / 24 * (1 - square / 30), 0.5 * (half.sin() / half).square()
    )
    x, y, z = axis_angle.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
    # [v]^2 = v v^T - a^2 I turns I + sin(a)/a [v] + (1 - cos(a))/a^2 [v]^2 into sums alone.
    outer = axis_angle[..., :, None] * axis_angle[..., None, :]
    identity = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return (1 - cosine * square) * identity + sine * cross + cosine * outer


def rigid_motion(
    axis_angle: Float[Tensor, "*b 3"], translation: Float[Tensor, "*b 3"]
) -> Float[Tensor, "*b 4 4"]:
    """4 x 4 matrix `T_a_b` that rotates by `axis_angle`, in radians, then moves by `translation`.

    The translation is where the origin of frame b lies in frame a, in the unit of the scene.
    """
    top = torch.cat([axis_angle_to_matrix(axis_angle), translation[..., None]], dim=-1)
    bottom = torch.zeros_like(top[..., :1, :])
    bottom[..., 0, 3] = 1
    return torch.cat([top, bottom], dim=-2)


def invert_motion(T_a_b: Float[Tensor, "*b 4 4"]) -> Float[Tensor, "*b 4 4"]:
    """`T_b_a` in closed form: [R^T, -R^T t]; exact when R is a rotation."""
    rotation, translation = T_a_b[..., :3, :3], T_a_b[..., :3, 3:]
    # -R^T t as a sum over rows: a matrix product would be rounded under TF32 and autocast.
    moved_back = -(rotation * translation).sum(-2)[..., None]
    top = torch.cat([rotation.transpose(-1, -2), moved_back], dim=-1)
    return torch.cat([top, T_a_b[..., 3:, :]], dim=-2)
