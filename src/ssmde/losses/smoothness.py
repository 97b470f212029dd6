"""Disparity should change where the image does."""

from jaxtyping import Float
from torch import Tensor


def smoothness(
    disparity: Float[Tensor, "b 1 h w"], image: Float[Tensor, "b 3 h w"]
) -> Float[Tensor, ""]:
    """Edge-aware first-order smoothness of the mean-normalised disparity; at least 0.

    |dx d| e^-|dx I| + |dy d| e^-|dy I| with d divided by its mean over each image, so the scale of
    the video does not matter (Godard et al., ICCV 2019, https://arxiv.org/abs/1806.01260).

    Args:
        disparity: Inverse depth; positive.
        image: RGB in [0, 1] at the size of `disparity`.
    """
    disparity = disparity / disparity.mean((2, 3), keepdim=True)
    across, down = disparity.diff(dim=3).abs(), disparity.diff(dim=2).abs()
    edge_x = image.diff(dim=3).abs().mean(1, keepdim=True)
    edge_y = image.diff(dim=2).abs().mean(1, keepdim=True)
    return (across * (-edge_x).exp()).mean() + (down * (-edge_y).exp()).mean()
