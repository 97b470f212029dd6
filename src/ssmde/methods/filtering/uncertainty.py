"""A small network that learns how wrong the teacher's depth is, from what the views say of it."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ssmde.geometry.camera import MIN_DEPTH
from ssmde.methods.filtering.evidence import Evidence

LARGEST_LOG_SCALE = 3.0
LARGEST_DIFFERENCE = 0.9999  # of depths, where atanh is still finite in float32: a ratio of 20000


class Uncertainty(NamedTuple):
    """How far the teacher's depth can be trusted, as learned; both with a gradient."""

    log_scale: Float[Tensor, "b 1 h w"]
    """b, in [-3, 3]: log of the expected error of log depth."""
    weight: Float[Tensor, "b 1 h w"]
    """exp(-b) over its largest value in the image, in [0, 1]; 0 outside the static region."""


class UncertaintyNet(nn.Module):
    """Three convolutions from depth, depth differences and errors to a log scale in [-3, 3].

    A heteroscedastic error in the manner of Kendall and Gal, NeurIPS 2017
    (https://arxiv.org/abs/1703.04977), to be trained by mean(|delta| exp(-b) + b). Starts at b = 0
    everywhere.
    """

    def __init__(self, sources: int) -> None:
        """Build the network.

        Args:
            sources: Number of source views; it fixes the number of input maps.
        """
        super().__init__()
        self.sources = sources
        last = nn.Conv2d(32, 1, 3, padding=1)
        for parameter in last.parameters():
            nn.init.zeros_(parameter)
        self.layers = nn.Sequential(
            nn.Conv2d(2 + 3 * sources, 16, 3, padding=1),
            nn.ELU(),
            nn.Conv2d(16, 32, 3, padding=2, dilation=2),
            nn.ELU(),
            last,
        )

    def forward(
        self,
        evidence: Evidence,
        depth: Float[Tensor, "b 1 h w"],
        flip_agreement: Float[Tensor, "b 1 h w"],
        static: Bool[Tensor, "b 1 h w"],
    ) -> Uncertainty:
        """Say b and the weight that follows from it; the inputs get no gradient.

        Args:
            evidence: What the sources say.
            depth: The teacher's depth of the target.
            flip_agreement: Agreement of the depth with that of the mirrored image, in [0, 1].
            static: Pixels that may have a weight.

        Raises:
            ValueError: If the number of sources is not the one the network was built for.
        """
        if evidence.error.shape[1] != self.sources:
            raise ValueError(
                f"the learned mask filter was built for {self.sources} sources, "
                f"got {evidence.error.shape[1]}"
            )
        difference = evidence.depth_difference.clamp(-LARGEST_DIFFERENCE, LARGEST_DIFFERENCE)
        log_ratio = -2 * torch.atanh(difference)  # log D - log z, D seen by the source, z computed
        safe = depth.nan_to_num(MIN_DEPTH, MIN_DEPTH, MIN_DEPTH).clamp(min=MIN_DEPTH)
        maps = [safe.log(), log_ratio, evidence.error, evidence.identity_error, flip_agreement]
        said = self.layers(torch.cat(maps, dim=1).detach().to(torch.float32)).to(depth)
        # Not tanh: a good teacher errs by less than exp(-3), so b first runs into its lower end,
        # and there tanh is flat to the last bit and never comes back.
        log_scale = LARGEST_LOG_SCALE * F.softsign(said)
        weight = torch.exp(log_scale.amin((2, 3), keepdim=True) - log_scale)
        return Uncertainty(log_scale, weight * static)
