"""The depth network: one image in, the depth of every pixel out; its two decoders.

`DepthDecoder` is that of Monodepth2 (Godard et al., ICCV 2019, https://arxiv.org/abs/1806.01260);
SC-Depth differs in the upsampling alone. `LightDecoder` stands behind encoders that are made for
speed: nothing at full size, borders of zero, and ReLU, which int8 keeps (docs/decisions/0016).
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ssmde.config import MOST_SIDE
from ssmde.models.efficientnet_lite import EfficientNetLite
from ssmde.models.registry import Encoder, build_encoder
from ssmde.types import RGB, Map

Upsampling = Literal["nearest", "bilinear"]

STRIDE = 32  # of the encoder's coarsest map
STAGE_WIDTHS = (16, 32, 64, 128, 256)  # stage 0 is the finest
LIGHT_WIDTHS = (16, 32, 64, 128)  # of the stages at 1/2, 1/4, 1/8 and 1/16
SCALES = (0, 1, 2, 3)
BORDER = [1, 1, 1, 1]  # left, right, top, bottom
FINER = 2  # full size over the size of the last light stage


class DepthNet(nn.Module):
    """Encoder, decoder and the mapping from disparity to depth.

    Images are RGB in [0, 1] with sides that are multiples of 32; another size is a ValueError.

    Examples:
        >>> DepthNet().eval()(torch.rand(1, 3, 64, 96)).shape
        torch.Size([1, 1, 64, 96])
    """

    def __init__(
        self, *, encoder: str = "resnet18", pretrained: str = "none",
        upsampling: Upsampling = "nearest", depth_range: tuple[float, float] = (0.1, 100.0),
        scales: Sequence[int] = (0,), initial_depth: float | None = None,
    ) -> None:  # fmt: skip
        """Build the network.

        Args:
            encoder: A key of `ssmde.models.registry.ENCODERS`, or `hf:` and a backbone.
            pretrained: `none`, `hub` or `imagenet` (see `build_encoder`), or a file of weights.
            upsampling: How the decoder doubles its maps.
            depth_range: Smallest and largest depth that can come out, in scene units. That of the
                released SC-Depth is (1 / 10.01, 100), of Monodepth2 (0.1, 100).
            scales: Sizes `pyramid` returns; k is the image size divided by 2^k. Must hold 0.
            initial_depth: Depth of the untrained network, roughly, everywhere; by default that of
                a sigmoid of one half.
        """
        super().__init__()
        if not 0 < depth_range[0] < depth_range[1]:
            raise ValueError(f"depth_range must be 0 < near < far, got {depth_range}")
        self.depth_range = depth_range
        self.encoder: Encoder = build_encoder(encoder, pretrained)
        if isinstance(self.encoder, EfficientNetLite):
            self.decoder: Decoder = LightDecoder(self.encoder.channels, scales, upsampling)
        else:
            width = self.encoder.width
            self.decoder = DepthDecoder(self.encoder.channels, scales, upsampling, width)
        if initial_depth is not None:
            near, far = depth_range
            if not near < initial_depth < far:
                raise ValueError(
                    f"a depth must lie inside the range {depth_range}, got {initial_depth}"
                )
            share = (1 / initial_depth - 1 / far) / (1 / near - 1 / far)  # the sigmoid's value
            raw = math.log(share / (1 - share))
            for head in self.decoder.heads.values():
                nn.init.constant_(head.get_parameter("bias"), raw)

    def forward(self, image: RGB) -> Map:
        """Depth at full size, in scene units, within `depth_range`; float32 under autocast too."""
        return self.decode(self.encode(image), (0,))[0]

    def pyramid(self, image: RGB) -> tuple[Float[Tensor, "b 1 _ _"], ...]:
        """Depths as of `forward`, one per entry of `scales`; entry k has size (h/2^k, w/2^k)."""
        return self.decode(self.encode(image))

    def encode(self, image: RGB) -> tuple[Float[Tensor, "b _c _h _w"], ...]:
        """Features at 1/2 to 1/32 of the size, one map a level."""
        check_image_size(image.shape[-2], image.shape[-1])
        # The statistics of the encoder's published weights: others would shift what they learned.
        return tuple(self.encoder((image - self.encoder.mean) / self.encoder.std))

    def decode(
        self, features: Sequence[Float[Tensor, "b _c _h _w"]], scales: Sequence[int] | None = None
    ) -> tuple[Float[Tensor, "b 1 _ _"], ...]:
        """Depths from the features of `encode`, one per entry of `scales`; by default all."""
        raw = self.decoder(features, scales)
        return tuple(disparity_to_depth(x.sigmoid(), self.depth_range) for x in raw)


def disparity_to_depth(
    sigmoid: Float[Tensor, "*shape"], depth_range: tuple[float, float]
) -> Float[Tensor, "*shape"]:
    """Depth in [near, far]: 1 / (1/far + (1/near - 1/far) * sigmoid), at least in float32.

    Evenly spaced in disparity, so near things get the fine steps (Godard et al., ICCV 2019,
    https://arxiv.org/abs/1806.01260). A sigmoid of 0 is far, 1 is near.
    """
    near, far = depth_range
    # Far away the disparity is 1/far plus little: in bf16 the sum would swallow the little.
    sigmoid = sigmoid.to(torch.promote_types(sigmoid.dtype, torch.float32))
    return 1 / (1 / far + (1 / near - 1 / far) * sigmoid)


def check_image_size(height: int, width: int) -> None:
    """Refuse a size that the encoder cannot halve five times, or that is a typing error."""
    if max(height, width) > MOST_SIDE:
        raise ValueError(
            f"image sides must be at most {MOST_SIDE}, got {height} x {width} (height x width)"
        )
    if height < STRIDE or width < STRIDE or height % STRIDE or width % STRIDE:
        nearest = tuple(max(STRIDE, round(side / STRIDE) * STRIDE) for side in (height, width))
        raise ValueError(
            f"image sides must be multiples of {STRIDE}, got {height} x {width} (height x width); "
            f"the nearest size is {nearest[0]} x {nearest[1]}"
        )


class Decoder(nn.Module):
    """What both decoders share: a raw map for each scale, a sigmoid away from disparity."""

    stages: nn.ModuleDict
    heads: nn.ModuleDict
    finest = 0  # scale of the last stage

    def __init__(self, scales: Sequence[int], upsampling: Upsampling) -> None:
        super().__init__()
        if 0 not in scales or len(set(scales)) < len(scales) or not set(scales) <= set(SCALES):
            raise ValueError(f"scales must be 0 and any of 1, 2, 3, once, got {tuple(scales)}")
        self.scales: tuple[int, ...] = tuple(scales)
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

    def _head(self, scale: int, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b o h w"]:
        head = self.heads[str(scale)]
        if not torch.is_autocast_enabled(x.device.type):
            return head(x)
        # bf16 keeps 8 bits: the depth map would come in steps of about 1 %. This layer is cheap.
        with torch.autocast(x.device.type, enabled=False):
            return head(x.float())


class DepthDecoder(Decoder):
    """The decoder of Monodepth2: five stages, and a head for each scale.

    `channels` are those of the encoder's five maps, from half size to a thirty-second; `width` is
    the share of the published number of channels, of every stage. A stage doubles by nearest
    (Monodepth2) or bilinear (SC-Depth) upsampling.
    """

    def __init__(
        self, channels: Sequence[int], scales: Sequence[int] = (0,),
        upsampling: Upsampling = "nearest", width: float = 1.0,
    ) -> None:  # fmt: skip
        super().__init__(scales, upsampling)
        widths = [round(width * published) for published in STAGE_WIDTHS]
        in_widths, skips = (*widths[1:], channels[-1]), (0, *channels[:-1])
        self.stages = nn.ModuleDict()
        for i, out in enumerate(widths):
            narrow, mix = (EdgeConv(n, out, elu=True) for n in (in_widths[i], out + skips[i]))
            self.stages[str(i)] = Stage(narrow, mix)
        self.heads = nn.ModuleDict({str(k): EdgeConv(widths[k], 1) for k in scales})


class LightDecoder(Decoder):
    """Four stages that narrow by 1 x 1 convolutions; the last layer leads on to full size.

    Arguments as of `DepthDecoder`. Four values of each pixel of half the size become the four of
    full size (Shi et al., CVPR 2016, https://arxiv.org/abs/1609.05158).
    """

    finest = 1

    def __init__(
        self, channels: Sequence[int], scales: Sequence[int] = (0,),
        upsampling: Upsampling = "nearest",
    ) -> None:  # fmt: skip
        super().__init__(scales, upsampling)
        in_widths = (*LIGHT_WIDTHS[1:], channels[-1])
        self.stages = nn.ModuleDict()
        for i, (in_width, width) in enumerate(zip(in_widths, LIGHT_WIDTHS, strict=True)):
            narrow = zero_edge_conv(in_width, width, 1)
            self.stages[str(i)] = Stage(narrow, zero_edge_conv(width + channels[i], width, 3))
        # Full size comes out of the stage at half size, which serves scale 1 as well.
        self.heads = nn.ModuleDict()
        for k in scales:
            out = 1 if k else FINER**2
            self.heads[str(k)] = nn.Conv2d(LIGHT_WIDTHS[max(k - 1, 0)], out, 3, padding=1)
        # The four of a pixel begin alike: no checkerboard to unlearn (Aitken et al., 2017,
        # https://arxiv.org/abs/1707.02937).
        with torch.no_grad():
            for filters in self.heads["0"].parameters():
                filters.copy_(filters[:1].expand_as(filters).clone())


class Stage(nn.Module):
    """One doubling of the size: narrow, double, join the encoder's map of that size, mix."""

    def __init__(self, narrow: nn.Module, mix: nn.Module) -> None:
        super().__init__()
        self.narrow, self.mix = narrow, mix

    def forward(
        self, x: Float[Tensor, "b in h w"], skip: Float[Tensor, "b skip h2 w2"] | None,
        upsampling: Upsampling,
    ) -> Float[Tensor, "b out h2 w2"]:  # fmt: skip
        """Features of twice the size; at full size there is no `skip`."""
        align = False if upsampling == "bilinear" else None  # borders stay borders
        x = F.interpolate(self.narrow(x), scale_factor=2, mode=upsampling, align_corners=align)
        return self.mix(x if skip is None else torch.cat([x, skip], dim=1))


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


def zero_edge_conv(in_width: int, out_width: int, kernel: int) -> nn.Sequential:
    """Convolution of the same size with a border of zeros, normalization and ReLU."""
    conv = nn.Conv2d(in_width, out_width, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_width), nn.ReLU(inplace=True))


def mirror_border(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
    """The map with one more pixel on each side, mirrored at its border pixels."""
    if min(x.shape[-2:]) == 1:
        # One pixel has nothing to mirror but itself: the coarsest map of a 32-pixel side.
        return F.pad(x, BORDER, mode="replicate")
    if torch.is_grad_enabled() and x.requires_grad and not torch.compiler.is_compiling():
        return _MirroredBorder.apply(x)
    return F.pad(x, BORDER, mode="reflect")


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
