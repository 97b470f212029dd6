"""Depth decoders: from the encoder's five feature maps back to full size.

`DepthDecoder` has five stages, coarse to fine. Godard et al., ICCV 2019
(https://arxiv.org/abs/1806.01260); SC-Depth (Bian et al., NeurIPS 2019,
https://arxiv.org/abs/1908.10553) differs in the upsampling alone.

`LightDecoder` stands behind encoders that are made for speed: nothing is computed at full size,
borders are zero, and activations are ReLU, which engines fuse and int8 keeps. Chosen by accuracy
a millisecond: docs/decisions/0016.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Upsampling = Literal["nearest", "bilinear"]

STAGE_WIDTHS = (16, 32, 64, 128, 256)  # stage 0 is the finest
LIGHT_WIDTHS = (16, 32, 64, 128)  # of the stages at 1/2, 1/4, 1/8 and 1/16
SCALES = (0, 1, 2, 3)
BORDER = [1, 1, 1, 1]  # left, right, top, bottom
FINER = 2  # full size over the size of the last light stage


class _MirroredBorder(torch.autograd.Function):
    """`F.pad` by one mirrored pixel that does not keep its input: the shape is all it needs.

    PyTorch's own keeps the map as well, beside the padded one that the convolution keeps.
    """

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
    """3 x 3 convolution of the same size, whose border mirrors the map; with or without ELU.

    With a border of zeros the depth has artifacts there (Godard et al., ICCV 2019).
    """

    def __init__(self, in_width: int, out_width: int, *, elu: bool = False) -> None:
        super().__init__(in_width, out_width, 3)
        self.elu = elu

    def forward(self, input: Float[Tensor, "b in h w"]) -> Float[Tensor, "b out h w"]:
        """Mix each pixel with its neighbors."""
        x = super().forward(mirror_border(input))
        return F.elu(x, inplace=True) if self.elu else x


class ZeroEdgeConv(nn.Sequential):
    """Convolution of the same size with a border of zeros, normalization and ReLU."""

    def __init__(self, in_width: int, out_width: int, kernel: int) -> None:
        super().__init__(
            nn.Conv2d(in_width, out_width, kernel, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(out_width),
            nn.ReLU(inplace=True),
        )


class Stage(nn.Module):
    """One doubling of the size: narrow, double, join the encoder's map of that size, mix."""

    def __init__(self, narrow: nn.Module, mix: nn.Module) -> None:
        super().__init__()
        self.narrow = narrow
        self.mix = mix

    def forward(
        self,
        x: Float[Tensor, "b in h w"],
        skip: Float[Tensor, "b skip h2 w2"] | None,
        upsampling: Upsampling,
    ) -> Float[Tensor, "b out h2 w2"]:
        """Features of twice the size; at full size there is no `skip`."""
        align = False if upsampling == "bilinear" else None  # borders stay borders
        x = F.interpolate(self.narrow(x), scale_factor=2, mode=upsampling, align_corners=align)
        return self.mix(x if skip is None else torch.cat([x, skip], dim=1))


class DecoderWithHeads(nn.Module):
    """What decoders share: a raw map for each scale, a sigmoid away from disparity."""

    stages: nn.ModuleDict
    heads: nn.ModuleDict
    finest = 0
    """Scale of the last stage."""

    def __init__(self, scales: Sequence[int], upsampling: str) -> None:
        super().__init__()
        if not scales or len(set(scales)) < len(scales) or not set(scales) <= set(SCALES):
            raise ValueError(f"scales must be some of {SCALES}, each once, got {tuple(scales)}")
        if upsampling not in ("nearest", "bilinear"):
            raise ValueError(f"upsampling must be 'nearest' or 'bilinear', got '{upsampling}'")
        self.scales = tuple(scales)
        self.upsampling: Upsampling = upsampling

    def forward(
        self, features: Sequence[Float[Tensor, "b _ _ _"]], scales: Sequence[int] | None = None
    ) -> tuple[Float[Tensor, "b 1 _ _"], ...]:
        """Raw maps, one per scale and in that order; any real number, larger is nearer.

        The features are the encoder's five maps, from half size to a thirty-second.
        """
        scales = self.scales if scales is None else scales
        raw: dict[int, Tensor] = {}
        x = features[-1]
        # Coarse to fine; stages finer than all scales that are asked for are not computed.
        for i in reversed(range(max(min(scales), self.finest), len(STAGE_WIDTHS))):
            skip = features[i - 1] if i > 0 else None
            x = self.stages[str(i - self.finest)](x, skip, self.upsampling)
            if i in scales:
                raw[i] = self._head(i, x)
        if self.finest and 0 in scales:
            # Channel 2 i + j of a pixel becomes row i, column j of its four.
            raw[0] = F.pixel_shuffle(self._head(0, x), FINER)
        return tuple(raw[k] for k in scales)

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
    """The decoder of Monodepth2: five stages, a head at each of four sizes."""

    def __init__(
        self,
        channels: Sequence[int],
        *,
        scales: Sequence[int] = (0,),
        upsampling: Upsampling = "nearest",
        width: float = 1.0,
    ) -> None:
        """Build the stages and a head for each scale, 2^k times smaller than the image.

        `channels` are those of the encoder's five maps, from half size to a thirty-second; `width`
        is the share of the published number of channels, of every stage. A stage doubles by nearest
        (Monodepth2) or bilinear (SC-Depth) upsampling.
        """
        super().__init__(scales, upsampling)
        widths = [round(width * published) for published in STAGE_WIDTHS]
        in_widths, skips = (*widths[1:], channels[-1]), (0, *channels[:-1])
        self.stages = nn.ModuleDict()
        for i in range(min(scales), len(widths)):
            narrow = EdgeConv(in_widths[i], widths[i], elu=True)
            mix = EdgeConv(widths[i] + skips[i], widths[i], elu=True)
            self.stages[str(i)] = Stage(narrow, mix)
        self.heads = nn.ModuleDict({str(k): EdgeConv(widths[k], 1) for k in scales})


class LightDecoder(DecoderWithHeads):
    """Four stages that narrow by 1 x 1 convolutions; the last layer leads on to full size.

    It puts out four values for each pixel of half the size, which become the four of full size
    (Shi et al., CVPR 2016, https://arxiv.org/abs/1609.05158).
    """

    finest = 1

    def __init__(
        self,
        channels: Sequence[int],
        *,
        scales: Sequence[int] = (0,),
        upsampling: Upsampling = "nearest",
    ) -> None:
        """Build the stages and a head for each scale; arguments as of `DepthDecoder`."""
        super().__init__(scales, upsampling)
        in_widths = (*LIGHT_WIDTHS[1:], channels[-1])
        self.stages = nn.ModuleDict()
        for i, (in_width, width) in enumerate(zip(in_widths, LIGHT_WIDTHS, strict=True)):
            narrow, mix = (in_width, width, 1), (width + channels[i], width, 3)
            self.stages[str(i)] = Stage(ZeroEdgeConv(*narrow), ZeroEdgeConv(*mix))
        # Full size comes out of the stage at half size, which serves scale 1 as well.
        self.heads = nn.ModuleDict(
            {
                str(k): nn.Conv2d(LIGHT_WIDTHS[max(k - 1, 0)], 1 if k else FINER**2, 3, padding=1)
                for k in scales
            }
        )
        if 0 in scales:
            # The four of a pixel begin alike: no checkerboard to unlearn (Aitken et al., 2017,
            # https://arxiv.org/abs/1707.02937).
            with torch.no_grad():
                for filters in self.heads["0"].parameters():
                    filters.copy_(filters[:1].expand_as(filters).clone())
