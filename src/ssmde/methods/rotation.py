"""Rotation first: turn the camera alone, on blurred images, before there is any depth.

In hand-held video the camera turns more than it moves. A network that starts with both explains
the turning by a translation, and the depth comes out constant or upside down. A pure rotation moves
pixels by the homography K R K^-1, whatever the depth, so it can be learnt alone and cheaply (the
observation behind SC-Depth V2, Bian et al., TPAMI 2021, https://arxiv.org/abs/2006.02708).
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ssmde.geometry.camera import scale_intrinsics
from ssmde.losses.masks import masked_mean
from ssmde.methods.comparison import compare

BLURS = (
    2,
    4,
    8,
)  # factors by which images shrink, so that a turn of many pixels becomes one of few


def rotation_only(T_src_tgt: Float[Tensor, "b 4 4"]) -> Float[Tensor, "b 4 4"]:
    """The same rotation without the translation; the translation gets a gradient of zero."""
    keep = torch.ones_like(T_src_tgt)
    keep[:, :3, 3] = 0
    return T_src_tgt * keep


def rotation_error(
    target: Float[Tensor, "b 3 h w"],
    source: Float[Tensor, "b 3 h w"],
    T_src_tgt: Float[Tensor, "b 4 4"],
    intrinsics: Float[Tensor, "b 3 3"],
    *,
    ssim_share: float = 0.85,
) -> Float[Tensor, ""]:
    """Photometric error, in [0, 1], of the target rebuilt by turning the source.

    Mean over images shrunk by 2, 4 and 8, over the pixels that stay inside the source.

    Args:
        target: RGB in [0, 1].
        source: RGB in [0, 1].
        T_src_tgt: Motion from target to source camera; its translation is left out.
        intrinsics: Pinhole matrix of both, in pixels.
        ssim_share: Share of SSIM in the error.
    """
    turn = rotation_only(T_src_tgt)
    errors: list[Tensor] = []
    for blur in BLURS:
        small_target, small_source = F.avg_pool2d(target, blur), F.avg_pool2d(source, blur)
        camera = scale_intrinsics(intrinsics, 1 / blur, 1 / blur)
        anywhere = torch.ones_like(small_target[:, :1])
        found = compare(small_target, small_source, anywhere, turn, camera, ssim_share=ssim_share)
        errors.append(masked_mean(found.error, found.visible))
    return torch.stack(errors).mean()
