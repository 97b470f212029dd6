"""Rigid motions: axis-angle vectors, 4 x 4 matrices, their inverse.

`T_a_b` maps points of frame b into frame a, so `x_a = T_a_b @ x_b`; in a product neighboring
names match: `T_a_c = T_a_b @ T_b_c`. A camera-to-world pose is `T_world_cam`.
"""

import torch
from jaxtyping import Float
from torch import Tensor

# Below, three terms of the Taylor series are exact to rounding, also in float64, and, unlike
# sin(a) / a, have a gradient at zero.
SMALL_ANGLE_SQUARED = 1e-4


def cross_matrix(vector: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3 3"]:
    """Skew matrix [v] with [v] w = v x w."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    rows = [zero, -z, y, z, zero, -x, -y, x, zero]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def axis_angle_to_matrix(axis_angle: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3 3"]:
    """Rotation matrix by Rodrigues' formula: cos(a) I + sin(a)/a [v] + (1 - cos(a))/a^2 v v^T.

    No matrix product: reduced-precision modes for those (autocast, TF32) leave it exact.

    Args:
        axis_angle: Axis times angle in radians, right-handed; any length. Exact value and
            gradient at zero.

    Example:
        >>> axis_angle_to_matrix(torch.tensor([0.0, 0.0, torch.pi / 2])).round() + 0.0
        tensor([[ 0., -1.,  0.],
                [ 1.,  0.,  0.],
                [ 0.,  0.,  1.]])
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
    # [v]^2 = v v^T - a^2 I turns I + sin(a)/a [v] + (1 - cos(a))/a^2 [v]^2 into sums alone.
    outer = axis_angle[..., :, None] * axis_angle[..., None, :]
    identity = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return (1 - cosine * square) * identity + sine * cross_matrix(axis_angle) + cosine * outer


def matrix_to_axis_angle(rotation: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 3"]:
    """Axis times angle of a rotation matrix, angle in [0, pi] radians; via the quaternion.

    Exact to rounding over the whole range, also near 0 and near pi. The gradient is exact at
    zero, and not defined at pi, where two axes fit.

    Args:
        rotation: Rotation matrix; not checked.

    Example:
        >>> matrix_to_axis_angle(torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]))
        tensor([0.0000, 0.0000, 1.5708])
    """
    m = rotation
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    # Products of quaternion components (Shepperd, 1978): row k is 4 q_k (w, x, y, z). The
    # arccos of the trace would lose half of the digits near 0 and near pi.
    rows = torch.stack(
        [
            1 + xx + yy + zz, m[..., 2, 1] - m[..., 1, 2],
            m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1],
            m[..., 2, 1] - m[..., 1, 2], 1 + xx - yy - zz,
            m[..., 0, 1] + m[..., 1, 0], m[..., 0, 2] + m[..., 2, 0],
            m[..., 0, 2] - m[..., 2, 0], m[..., 0, 1] + m[..., 1, 0],
            1 - xx + yy - zz, m[..., 1, 2] + m[..., 2, 1],
            m[..., 1, 0] - m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0],
            m[..., 1, 2] + m[..., 2, 1], 1 - xx - yy + zz,
        ],
        dim=-1,
    ).unflatten(-1, (4, 4))  # fmt: skip
    # All rows are one quaternion; that of the largest component has the least rounding.
    largest = rows.diagonal(dim1=-2, dim2=-1).argmax(-1)[..., None, None]
    quaternion = rows.gather(-2, largest.expand(*largest.shape[:-1], 4)).squeeze(-2)
    quaternion = quaternion / quaternion.norm(dim=-1, keepdim=True)
    # q and -q are one rotation; w >= 0 is the one whose angle is at most pi.
    quaternion = torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)
    w, vector = quaternion[..., :1], quaternion[..., 1:]
    sine = vector.norm(dim=-1, keepdim=True)
    angle = 2 * torch.atan2(sine, w)
    # (w, sin(a/2) n) is (1, v/2) near zero, so v = 2 times the vector part there; else a n.
    tiny = sine < torch.finfo(sine.dtype).eps
    safe = torch.where(tiny, torch.ones_like(sine), sine)
    return vector * torch.where(tiny, 2 * torch.ones_like(sine), angle / safe)


def rigid_motion(
    axis_angle: Float[Tensor, "*b 3"], translation: Float[Tensor, "*b 3"]
) -> Float[Tensor, "*b 4 4"]:
    """4 x 4 matrix `T_a_b` that rotates by `axis_angle`, in radians, then moves by `translation`.

    The translation is where the origin of frame b lies in frame a, in the unit of the scene.

    Example:
        >>> T = rigid_motion(torch.zeros(3), torch.tensor([0.0, 0.0, -1.0]))
        >>> T @ torch.tensor([0.0, 0.0, 5.0, 1.0])
        tensor([0., 0., 4., 1.])
    """
    top = torch.cat([axis_angle_to_matrix(axis_angle), translation[..., None]], dim=-1)
    bottom = torch.zeros_like(top[..., :1, :])
    bottom[..., 0, 3] = 1
    return torch.cat([top, bottom], dim=-2)


def invert_motion(T_a_b: Float[Tensor, "*b 4 4"]) -> Float[Tensor, "*b 4 4"]:
    """`T_b_a` in closed form: [R^T, -R^T t]; exact when R is a rotation.

    Example:
        >>> T = rigid_motion(torch.tensor([0.1, 0.2, 0.3]), torch.tensor([1.0, 2.0, 3.0]))
        >>> torch.allclose(invert_motion(T) @ T, torch.eye(4), atol=1e-6)
        True
    """
    rotation, translation = T_a_b[..., :3, :3], T_a_b[..., :3, 3:]
    # -R^T t as a sum over rows: a matrix product would be rounded under TF32 and autocast.
    moved_back = -(rotation * translation).sum(-2)[..., None]
    top = torch.cat([rotation.transpose(-1, -2), moved_back], dim=-1)
    return torch.cat([top, T_a_b[..., 3:, :]], dim=-2)
