"""The start of a training on hand-held video: first the turn, then the step, then the depth.

In hand-held video the camera turns more than it moves. To first order a turn, a step and the
depth trade places: the flow f (turn + step / Z) stays the same when the step changes its sign, the
inverse depth is mirrored about a mean, and the turn takes the difference. Networks that start with
all three at once end in a constant depth or in one that is upside down. So:

1. *rotation first*: a pure turn moves pixels by the homography K R K^-1, whatever the depth. It is
   learnt alone, from shrunk images (the observation behind SC-Depth V2, Bian et al., TPAMI 2021,
   https://arxiv.org/abs/2006.02708);
2. *upright first*: the whole motion is learnt against a fixed plane that is nearer at the lower
   border, as the ground before an upright camera is; the depth network learns to say this plane.

Both are inferences of ours, behind switches in `LossConfig`.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ssmde.geometry.camera import scale_intrinsics
from ssmde.losses.masks import masked_mean
from ssmde.methods.comparison import compare

TURN_BLURS = (2, 4, 8)  # images shrink by these factors: a turn of many pixels becomes one of few
STEP_BLURS = (1, 2, 4)
UPRIGHT_SLOPE = 0.6  # log depth at the upper border; the lower border has the negative of it


def rotation_only(T_src_tgt: Float[Tensor, "b 4 4"]) -> Float[Tensor, "b 4 4"]:
    """The same rotation without the translation; the translation gets a gradient of zero."""
    keep = torch.ones_like(T_src_tgt)
    keep[:, :3, 3] = 0
    return T_src_tgt * keep


def upright_depth(like: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h w"]:
    """A plane seen by an upright camera: depth e^0.6 at the top, 1 in the middle, e^-0.6 below."""
    height, width = like.shape[-2:]
    rows = torch.linspace(UPRIGHT_SLOPE, -UPRIGHT_SLOPE, height, dtype=like.dtype)
    return rows.exp().to(like.device).view(1, 1, height, 1).expand(len(like), 1, height, width)


def motion_error(
    target: Float[Tensor, "b 3 h w"],
    source: Float[Tensor, "b 3 h w"],
    depth: Float[Tensor, "b 1 h w"],
    T_src_tgt: Float[Tensor, "b 4 4"],
    intrinsics: Float[Tensor, "b 3 3"],
    *,
    blurs: tuple[int, ...],
) -> Float[Tensor, ""]:
    """Photometric error, in [0, 1], of the target rebuilt from the source, over shrunk images.

    Mean over the sizes, and over the pixels that stay inside the source.

    Args:
        target: RGB in [0, 1].
        source: RGB in [0, 1].
        depth: Depth of the target.
        T_src_tgt: Motion from target to source camera.
        intrinsics: Pinhole matrix of both, in pixels.
        blurs: Factors by which the images shrink.
    """
    errors: list[Tensor] = []
    for blur in blurs:
        small_target, small_source, small_depth = (
            F.avg_pool2d(image, blur) for image in (target, source, depth)
        )
        camera = scale_intrinsics(intrinsics, 1 / blur, 1 / blur)
        found = compare(small_target, small_source, small_depth, T_src_tgt, camera)
        errors.append(masked_mean(found.error, found.visible))
    return torch.stack(errors).mean()


def plane_error(depth: Float[Tensor, "b 1 h w"]) -> Float[Tensor, ""]:
    """Mean |log depth - log plane| between a depth map and `upright_depth`; at least 0."""
    return (depth.log() - upright_depth(depth).log()).abs().mean()
