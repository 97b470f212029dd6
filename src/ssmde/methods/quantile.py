"""Quantiles of maps: of one batch, and followed over the training."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ssmde.losses.pairs import MAX_SAMPLES, all_gather_batch, place, thin

FEW = 0.3  # quantile up to which finding the lowest values is cheaper than sorting all


def masked_quantile(
    values: Float[Tensor, "b n"], mask: Bool[Tensor, "b n"], quantile: float
) -> Float[Tensor, " b"]:
    """Quantile of the chosen values of each row, interpolated linearly; inf where none is chosen.

    No limit on the size, and no copy to the processor.

    Args:
        values: Numbers; those chosen are finite.
        mask: True for the chosen ones.
        quantile: Share of the chosen values that lie below the result, in [0, 1].

    Example:
        >>> values = torch.tensor([[4.0, 0.0, 9.0, 2.0]])
        >>> masked_quantile(values, torch.tensor([[True, True, False, True]]), 0.75)
        tensor([3.])
    """
    chosen = values.masked_fill(~mask, torch.inf)
    if quantile < FEW:  # the rest need not be sorted
        most = min(chosen.shape[1], math.ceil(quantile * chosen.shape[1]) + 1)
        ordered = chosen.topk(most, dim=1, largest=False).values
    else:
        ordered = chosen.sort(dim=1).values
    last = mask.sum(1, keepdim=True) - 1
    position = quantile * last.clamp(min=0).to(values.dtype)
    low, high = (ordered.gather(1, p.long()) for p in (position.floor(), position.ceil()))
    between = torch.lerp(low, high, position.frac())
    return between.masked_fill(last < 0, torch.inf).squeeze(1)


class RunningQuantile(nn.Module):
    """A threshold that follows a quantile of what the training sees.

    Exponential mean of the quantiles of the batches, started without bias: after the first batch
    it is that batch's own quantile. The state lies in buffers, so a checkpoint carries it; it
    moves in training mode only, and by the images of all processes.
    """

    total: Tensor
    weight: Tensor

    def __init__(self, quantile: float, momentum: float, limits: tuple[float, float]) -> None:
        """Start with nothing seen.

        Args:
            quantile: Share of the values below the threshold, in (0, 1).
            momentum: Share of the past in every update, in [0, 1).
            limits: Smallest and largest threshold.
        """
        super().__init__()
        self.quantile, self.momentum, self.limits = quantile, momentum, limits
        self.register_buffer("total", torch.zeros(()))
        self.register_buffer("weight", torch.zeros(()))

    def forward(
        self, values: Float[Tensor, "b 1 h w"], mask: Bool[Tensor, "b 1 h w"]
    ) -> Float[Tensor, ""]:
        """Threshold after this batch, within `limits`; with nothing seen ever, the larger one.

        In evaluation mode before any update, it is the quantile of the batch itself.

        Args:
            values: Map to take the quantile of.
            mask: Pixels that count.
        """
        # As many values as a single process would take of the whole batch, and the same ones.
        limit = MAX_SAMPLES / (place().world if self.training else 1)
        few, chosen = thin(values, limit), thin(mask, limit)
        if self.training:
            few, chosen = all_gather_batch(few), all_gather_batch(chosen.to(few)) > 0
        flat = few.flatten()[None], chosen.flatten()[None]
        measured = masked_quantile(*flat, self.quantile).squeeze(0).to(self.total)
        known = measured.isfinite().to(measured)
        measured = torch.where(known > 0, measured, torch.full_like(measured, self.limits[1]))
        if self.training:
            self._follow(measured, known)
        running = self.total / self.weight.clamp(min=torch.finfo(self.weight.dtype).tiny)
        value = torch.where(self.weight > 0, running, measured)
        return value.clamp(*self.limits).to(values)

    @torch.no_grad()
    def _follow(self, measured: Float[Tensor, ""], known: Float[Tensor, ""]) -> None:
        """Move towards `measured`; not at all where it is not known."""
        step = (1 - self.momentum) * known
        self.total.lerp_(measured, step)
        self.weight.lerp_(torch.ones_like(self.weight), step)
