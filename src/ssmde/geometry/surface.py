"""Surface normals of a depth map."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ssmde.geometry.camera import backproject


def normals(
    depth: Float[Tensor, "b 1 h w"], intrinsics: Float[Tensor, "b 3 3"]
) -> Float[Tensor, "b 3 h w"]:
    """Unit normals (dX/du x dX/dv) of the surface, in the camera; z positive for a wall ahead.

    Derivatives are 3 x 3 Sobel filters on the lifted points, with the border repeated. They do
    not depend on the scale of the depth, but do on a shift of it. A wall straight ahead has the
    normal (0, 0, 1). Where the surface is degenerate (depth 0) the normal is the zero vector and
    passes no gradient on.

    Args:
        depth: Depth along z, in any unit.
        intrinsics: Pinhole matrix for this image size, in pixels.

    Example:
        >>> K = torch.tensor([[[8.0, 0.0, 2.5], [0.0, 8.0, 1.5], [0.0, 0.0, 1.0]]])
        >>> normals(torch.full((1, 1, 4, 6), 2.0), K)[0, :, 1, 2]
        tensor([0., 0., 1.])
    """
    points = backproject(depth, intrinsics).permute(0, 3, 1, 2)
    padded = F.pad(points, (1, 1, 1, 1), mode="replicate")
    # Sobel: differences one way, weights 1 2 1 the other way. Sums of slices instead of a
    # convolution: neighboring points are nearly equal, and TF32 would leave little of a normal.
    along_v = padded[..., :-2, :] + 2 * padded[..., 1:-1, :] + padded[..., 2:, :]
    along_u = padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]
    # 8 = (1 + 2 + 1) * 2: the weights, and the two pixels between both ends.
    du = (along_v[..., 2:] - along_v[..., :-2]) / 8
    dv = (along_u[..., 2:, :] - along_u[..., :-2, :]) / 8
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
