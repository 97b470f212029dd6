"""The depth decoder: from the encoder's five feature maps back to full size.

Five stages, coarse to fine; each narrows its input, doubles it, joins the encoder's map of that
size and mixes the two. Godard et al., ICCV 2019 (https://arxiv.org/abs/1806.01260); SC-Depth (Bian
et al., NeurIPS 2019, https://arxiv.org/abs/1908.10553) differs in the upsampling alone.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

STAGE_WIDTHS = (16, 32, 64, 128, 256)  # stage 0 is the finest
SCALES = (0, 1, 2, 3)
BORDER = [1, 1, 1, 1]  # left, right, top, bottom


class _MirroredBorder(torch.autograd.Function):
    """`F.pad` by one mirrored pixel that does not keep its input: the shape is all it needs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return F.pad(x, BORDER, mode="reflect")

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (grad,) = grads
        shape_only = torch.empty_like(grad[..., 1:-1, 1:-1])
        return torch.ops.aten.reflection_pad2d_backward(grad, shape_only, BORDER)


def mirror_border(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
    """The map with one more pixel on each side, mirrored at its border pixels."""
    if min(x.shape[-2:]) == 1:
        # One pixel has nothing to mirror but itself: the coarsest map of a 32-pixel side.
        return F.pad(x, BORDER, mode="replicate")
    if torch.is_grad_enabled() and x.requires_grad and not torch.compiler.is_compiling():
        return _MirroredBorder.apply(x)
    return F.pad(x, BORDER, mode="reflect")


class EdgeConv(nn.Conv2d):
    """3 x 3 convolution of the same size, whose border mirrors the map."""

    def __init__(self, in_width: int, out_width: int) -> None:
        super().__init__(in_width, out_width, 3)

    def forward(self, input: Float[Tensor, "b in h w"]) -> Float[Tensor, "b out h w"]:
        """Mix each pixel with its neighbours."""
        return super().forward(mirror_border(input))


class Stage(nn.Module):
    """One doubling of the size."""

    def __init__(self, in_width: int, skip_width: int, width: int) -> None:
        super().__init__()
        self.narrow = EdgeConv(in_width, width)
        self.mix = EdgeConv(width + skip_width, width)

    def forward(
        self,
        x: Float[Tensor, "b in h w"],
        skip: Float[Tensor, "b skip h2 w2"] | None,
        upsampling: Literal["nearest", "bilinear"],
    ) -> Float[Tensor, "b out h2 w2"]:
        """Features of twice the size.

        Args:
            x: Features of the coarser stage.
            skip: The encoder's features at the new size; none at full size.
            upsampling: How to double.
        """
        x = F.elu(self.narrow(x), inplace=True)
        align = False if upsampling == "bilinear" else None
        x = F.interpolate(x, scale_factor=2, mode=upsampling, align_corners=align)
        x = x if skip is None else torch.cat([x, skip], dim=1)
        return F.elu(self.mix(x), inplace=True)


class DecoderWithHeads(nn.Module):
    """What decoders share: a last layer for each scale, by its number."""

    heads: nn.ModuleDict

    def start_at(self, value: float) -> None:
        """Let every raw map start near one number: the bias of the heads."""
        for head in self.heads.values():
            assert isinstance(head, nn.Conv2d)
            assert head.bias is not None
            nn.init.constant_(head.bias, value)

    def _head(self, scale: int, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b o h w"]:
        head = self.heads[str(scale)]
        if not torch.is_autocast_enabled(x.device.type):
            return head(x)
        # bf16 keeps 8 bits: the depth map would come in steps of about 1 %. This layer is cheap.
        with torch.autocast(x.device.type, enabled=False):
            return head(x.float())


class DepthDecoder(DecoderWithHeads):
    """One raw map per scale; a sigmoid away from disparity."""

    def __init__(
        self,
        channels: Sequence[int],
        *,
        scales: Sequence[int] = (0,),
        upsampling: Literal["nearest", "bilinear"] = "nearest",
        width: float = 1.0,
    ) -> None:
        """Build the stages and a head for each scale; nothing that stays unused.

        Args:
            channels: Widths of the encoder's five maps, from half size to a thirty-second.
            scales: Which sizes come out: k is the image size divided by 2^k.
            upsampling: How a stage doubles: nearest (Monodepth2) or bilinear (SC-Depth).
            width: Share of the published number of channels, of every stage.

        Raises:
            ValueError: If a scale does not exist or comes twice, or the upsampling is unknown.
        """
        super().__init__()
        if not scales or len(set(scales)) < len(scales) or not set(scales) <= set(SCALES):
            raise ValueError(f"scales must be some of {SCALES}, each once, got {tuple(scales)}")
        if upsampling not in ("nearest", "bilinear"):
            raise ValueError(f"upsampling must be 'nearest' or 'bilinear', got '{upsampling}'")
        self.scales = tuple(scales)
        self.upsampling: Literal["nearest", "bilinear"] = upsampling
        widths = [round(width * published) for published in STAGE_WIDTHS]
        in_widths = (*widths[1:], channels[-1])
        skip_widths = (0, *channels[:-1])
        self.stages = nn.ModuleDict(
            {
                str(i): Stage(in_widths[i], skip_widths[i], widths[i])
                for i in range(min(scales), len(widths))
            }
        )
        self.heads = nn.ModuleDict({str(k): EdgeConv(widths[k], 1) for k in scales})

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
        for i in reversed(range(min(scales), len(STAGE_WIDTHS))):
            x = self.stages[str(i)](x, features[i - 1] if i > 0 else None, self.upsampling)
            if i in scales:
                raw[i] = self._head(i, x)
        return tuple(raw[k] for k in scales)
