"""Difference of two images as the eye sees it."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2  # Wang et al., 2004, for values in [0, 1]


def structural_dissimilarity(
    a: Float[Tensor, "b c h w"], b: Float[Tensor, "b c h w"]
) -> Float[Tensor, "b c h w"]:
    """(1 - SSIM) / 2 in a 3 x 3 window, in [0, 1]; symmetric.

    SSIM of Wang et al., 2004 (https://doi.org/10.1109/TIP.2003.819861), with borders reflected.

    Args:
        a: Image with values in [0, 1]; its constants are meant for this range.
        b: Image of the same size.
    """
    a, b = (F.pad(x, (1, 1, 1, 1), mode="reflect") for x in (a, b))
    mean_a, mean_b = F.avg_pool2d(a, 3, 1), F.avg_pool2d(b, 3, 1)
    var_a = F.avg_pool2d(a * a, 3, 1) - mean_a * mean_a
    var_b = F.avg_pool2d(b * b, 3, 1) - mean_b * mean_b
    covariance = F.avg_pool2d(a * b, 3, 1) - mean_a * mean_b
    ssim = ((2 * mean_a * mean_b + SSIM_C1) * (2 * covariance + SSIM_C2)) / (
        (mean_a * mean_a + mean_b * mean_b + SSIM_C1) * (var_a + var_b + SSIM_C2)
    )
    return ((1 - ssim) / 2).clamp(0, 1)


def photometric_error(
    rebuilt: Float[Tensor, "b 3 h w"], target: Float[Tensor, "b 3 h w"], *, ssim_share: float = 0.85
) -> Float[Tensor, "b 1 h w"]:
    """Weighted SSIM and L1 difference, in [0, 1]; 0 for equal images; symmetric.

    share * (1 - SSIM) / 2 + (1 - share) * |a - b|, mean over the colours (Godard et al., ICCV
    2019, https://arxiv.org/abs/1806.01260).

    Args:
        rebuilt: RGB in [0, 1].
        target: RGB in [0, 1].
        ssim_share: Share of SSIM in the sum, in [0, 1].
    """
    structure = structural_dissimilarity(rebuilt, target).mean(1, keepdim=True)
    colour = (rebuilt - target).abs().mean(1, keepdim=True)
    return ssim_share * structure + (1 - ssim_share) * colour
