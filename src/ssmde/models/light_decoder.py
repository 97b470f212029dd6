"""A depth decoder for encoders that are made for speed: nothing is computed at full size.

Four stages lead from a thirty-second to half of the size. Each narrows by a 1 x 1 convolution,
doubles, joins the encoder's map and mixes by a 3 x 3 convolution; borders are zero and activations
ReLU, which engines fuse and int8 keeps. The last layer puts out four
values for each pixel of half the size, which become the four of full size (Shi et al., CVPR 2016,
https://arxiv.org/abs/1609.05158). Chosen by accuracy a millisecond: docs/decisions/0016.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ssmde.models.decoder import SCALES, DecoderWithHeads

STAGE_WIDTHS = (16, 32, 64, 128)  # of the stages at 1/2, 1/4, 1/8 and 1/16
FINER = 2  # full size over the size of the last stage


class LightStage(nn.Module):
    """One doubling of the size."""

    def __init__(self, in_width: int, skip_width: int, width: int) -> None:
        super().__init__()
        self.narrow = _convolution(in_width, width, kernel=1)
        self.mix = _convolution(width + skip_width, width, kernel=3)

    def forward(
        self,
        x: Float[Tensor, "b in h w"],
        skip: Float[Tensor, "b skip h2 w2"],
        upsampling: Literal["nearest", "bilinear"],
    ) -> Float[Tensor, "b out h2 w2"]:
        """Features of twice the size.

        Args:
            x: Features of the coarser stage.
            skip: The encoder's features at the new size.
            upsampling: How to double.
        """
        align = False if upsampling == "bilinear" else None
        x = F.interpolate(self.narrow(x), scale_factor=2, mode=upsampling, align_corners=align)
        return self.mix(torch.cat([x, skip], dim=1))


def _convolution(in_width: int, width: int, *, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_width, width, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    )


class LightDecoder(DecoderWithHeads):
    """One raw map per scale; a sigmoid away from disparity."""

    def __init__(
        self,
        channels: Sequence[int],
        *,
        scales: Sequence[int] = (0,),
        upsampling: Literal["nearest", "bilinear"] = "nearest",
    ) -> None:
        """Build the stages and a head for each scale.

        Args:
            channels: Widths of the encoder's five maps, from half size to a thirty-second.
            scales: Which sizes come out: k is the image size divided by 2^k.
            upsampling: How a stage doubles.

        Raises:
            ValueError: If a scale does not exist or comes twice.
        """
        super().__init__()
        if not scales or len(set(scales)) < len(scales) or not set(scales) <= set(SCALES):
            raise ValueError(f"scales must be some of {SCALES}, each once, got {tuple(scales)}")
        self.scales = tuple(scales)
        self.upsampling: Literal["nearest", "bilinear"] = upsampling
        in_widths = (*STAGE_WIDTHS[1:], channels[-1])
        self.stages = nn.ModuleList(
            LightStage(in_width, skip, width)
            for in_width, skip, width in zip(in_widths, channels[:-1], STAGE_WIDTHS, strict=True)
        )
        self.heads = nn.ModuleDict(
            {
                # Full size comes out of the stage at half size, which serves scale 1 as well.
                str(k): nn.Conv2d(
                    STAGE_WIDTHS[max(k - 1, 0)], FINER**2 if k == 0 else 1, 3, padding=1
                )
                for k in scales
            }
        )
        if 0 in scales:
            # The four of a pixel begin alike: no checkerboard to unlearn (Aitken et al., 2017,
            # https://arxiv.org/abs/1707.02937).
            head = self.heads["0"]
            assert isinstance(head, nn.Conv2d)
            for filters in (head.weight, head.bias):
                assert filters is not None
                with torch.no_grad():
                    filters.copy_(filters[:1].expand_as(filters).clone())

    def forward(
        self, features: Sequence[Float[Tensor, "b _ _ _"]], scales: Sequence[int] | None = None
    ) -> tuple[Float[Tensor, "b 1 _ _"], ...]:
        """Raw maps, one per scale and in that order; any real number, larger is nearer.

        Args:
            features: The encoder's five maps, from half size to a thirty-second.
            scales: Fewer scales than the decoder has heads for; default all.
        """
        scales = self.scales if scales is None else scales
        raw: dict[int, Tensor] = {}
        x = features[-1]
        for number in reversed(range(max(min(scales) - 1, 0), len(STAGE_WIDTHS))):
            x = self.stages[number](x, features[number], self.upsampling)
            if number + 1 in scales:
                raw[number + 1] = self._head(number + 1, x)
            if number == 0 and 0 in scales:
                raw[0] = F.pixel_shuffle(self._head(0, x), FINER)
        return tuple(raw[k] for k in scales)
