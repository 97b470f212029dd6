"""The three classic terms: photometric error, depth inconsistency and smoothness."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from ssmde.types import RGB, Map, Scalar

SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2  # Wang et al., 2004, for values in [0, 1]
SSIM_SHARE = 0.85  # Godard et al., ICCV 2019; the rest is L1


def structural_dissimilarity(
    a: Float[Tensor, "b c h w"], b: Float[Tensor, "b c h w"]
) -> Float[Tensor, "b c h w"]:
    """(1 - SSIM) / 2 in a 3 x 3 window, in [0, 1]; symmetric; borders are reflected.

    SSIM of Wang et al., 2004 (https://doi.org/10.1109/TIP.2003.819861), for values in [0, 1].
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


def photometric_error(rebuilt: RGB, target: RGB) -> Map:
    """Weighted SSIM and L1 difference, in [0, 1]; 0 for equal images; symmetric.

    0.85 * (1 - SSIM) / 2 + 0.15 * |a - b|, mean over the colors (Godard et al., ICCV 2019,
    https://arxiv.org/abs/1806.01260). Differentiable once.
    """
    if not torch.compiler.is_compiling():
        return _PhotometricError.apply(rebuilt, target)
    # A compiler joins these by itself.
    structure = structural_dissimilarity(rebuilt, target).mean(1, keepdim=True)
    color = (rebuilt - target).abs().mean(1, keepdim=True)
    return SSIM_SHARE * structure + (1 - SSIM_SHARE) * color


def geometry_inconsistency(computed: Map, sampled: Map) -> Map:
    """Relative difference of two depths of the same points, in [0, 1).

    |a - b| / (a + b), of positive depths: symmetric, and blind to the unknown scale of a video
    (Bian et al., NeurIPS 2019, https://arxiv.org/abs/1908.10553).
    """
    return (computed - sampled).abs() / (computed + sampled)


def smoothness(disparity: Map, image: RGB) -> Scalar:
    """Edge-aware first-order smoothness of the mean-normalised disparity; at least 0.

    |dx d| e^-|dx I| + |dy d| e^-|dy I| with d divided by its mean over each image, so the scale of
    the video does not matter (Godard et al., ICCV 2019, https://arxiv.org/abs/1806.01260). The
    disparity is positive.
    """
    disparity = disparity / disparity.mean((2, 3), keepdim=True)
    across, down = disparity.diff(dim=3).abs(), disparity.diff(dim=2).abs()
    edge_x = image.diff(dim=3).abs().mean(1, keepdim=True)
    edge_y = image.diff(dim=2).abs().mean(1, keepdim=True)
    return (across * (-edge_x).exp()).mean() + (down * (-edge_y).exp()).mean()


class _PhotometricError(torch.autograd.Function):
    """The same with its gradient written out.

    autograd would keep a dozen maps the size of the images, and pools are slow on a processor. Here
    a processor looks at one image after the other, so that what is between stays in its cache.
    """

    @staticmethod
    def forward(ctx: Any, rebuilt: Tensor, target: Tensor) -> Tensor:
        step = 1 if rebuilt.device.type == "cpu" else len(rebuilt)
        pairs = zip(rebuilt.split(step), target.split(step), strict=True)
        parts = [_error_and_slopes(a, b, *ctx.needs_input_grad[:2]) for a, b in pairs]
        error, *slopes = (torch.cat(maps) for maps in zip(*parts, strict=True))
        ctx.save_for_backward(rebuilt, target, *slopes)
        return error

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor | None, ...]:
        rebuilt, target, square, product, *by_mean = ctx.saved_tensors
        step = 1 if rebuilt.device.type == "cpu" else len(rebuilt)
        found: list[Tensor | None] = [None, None]
        for i, (image, other) in enumerate(((rebuilt, target), (target, rebuilt))):
            if ctx.needs_input_grad[i]:
                maps = (grads[0], image, other, square, product, by_mean.pop(0))
                parts = zip(*(x.split(step) for x in maps), strict=True)
                found[i] = torch.cat([_gradient(*part) for part in parts])
        return tuple(found)


def _error_and_slopes(a: Tensor, b: Tensor, for_a: bool, for_b: bool) -> tuple[Tensor, ...]:
    """The error map, and where a gradient is wanted the derivatives by the window means.

    Those are: by the mean of a * a (and of b * b), of a * b, and then of a, of b, as wanted.
    """
    mean_a, mean_b, square, product = (_window_mean(x) for x in (a, b, a * a + b * b, a * b))
    both, squares = mean_a * mean_b, mean_a * mean_a + mean_b * mean_b
    top_1, top_2 = both * 2 + SSIM_C1, (product - both) * 2 + SSIM_C2
    bottom_1, bottom_2 = squares + SSIM_C1, square - squares + SSIM_C2
    scale = (bottom_1 * bottom_2).reciprocal_()
    ssim = top_1 * top_2 * scale
    structure = (1 - ssim) / 2
    error = SSIM_SHARE * structure.clamp(0, 1).mean(1, keepdim=True)
    error += (1 - SSIM_SHARE) * (a - b).abs().mean(1, keepdim=True)
    if not (for_a or for_b):
        return (error,)
    factor = (-SSIM_SHARE / (2 * a.shape[1])) * ((structure >= 0) & (structure <= 1))
    # S = t1 t2 / (b1 b2), of m = ma mb, q = ma^2 + mb^2 and the means p of ab, r of a^2 + b^2:
    # dS/dr = -S / b2, dS/dp = 2 t1 / (b1 b2), dS/dm = 2 (t2 - t1) / (b1 b2),
    # dS/dq = S / b2 - S / b1
    scale *= factor
    ssim *= factor
    by_square = -ssim / bottom_2
    by_product = 2 * top_1 * scale
    cross, own = 2 * (top_2 - top_1) * scale, -2 * (by_square + ssim / bottom_1)
    means = [cross * mean_b + own * mean_a] if for_a else []
    means += [cross * mean_a + own * mean_b] if for_b else []
    return error, by_square, by_product, *means


def _gradient(
    grad: Tensor, image: Tensor, other: Tensor, square: Tensor, product: Tensor, by_mean: Tensor
) -> Tensor:
    """What reaches one of the images, from the gradient of the error."""
    found = _window_mean(grad * by_mean, back=True)
    found += 2 * image * _window_mean(grad * square, back=True)
    found += other * _window_mean(grad * product, back=True)
    return found.add_((image - other).sign_() * grad, alpha=(1 - SSIM_SHARE) / image.shape[1])


def _window_mean(image: Tensor, *, back: bool = False) -> Tensor:
    """Mean of the 3 x 3 pixels around each, the border reflected; `back`: the transpose of that.

    Sums of three along the rows, then along the columns.
    """
    sums = image
    for dim in (-2, -1):
        last = image.shape[dim] - 1
        before, sums = sums, sums.clone()
        sums.narrow(dim, 1, last).add_(before.narrow(dim, 0, last))
        sums.narrow(dim, 0, last).add_(before.narrow(dim, 1, last))
        for edge, inner in ((0, 1), (last, last - 1)):  # the pixel beyond an edge is its neighbor
            to, from_ = (inner, edge) if back else (edge, inner)
            sums.select(dim, to).add_(before.select(dim, from_))
    return sums.div_(9)
