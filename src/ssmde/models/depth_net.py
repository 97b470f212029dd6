"""The depth network: one image in, the depth of every pixel out."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ssmde.config import MOST_SIDE
from ssmde.models.decoder import DepthDecoder, LightDecoder, Upsampling
from ssmde.models.efficientnet_lite import EfficientNetLite
from ssmde.models.registry import Encoder, build_encoder
from ssmde.types import RGB, Map

STRIDE = 32  # of the encoder's coarsest map


class DepthNet(nn.Module):
    """Encoder, decoder and the mapping from disparity to depth.

    Images are RGB in [0, 1] with sides that are multiples of 32; another size is a ValueError.

    Example:
        >>> DepthNet().eval()(torch.rand(1, 3, 64, 96)).shape
        torch.Size([1, 1, 64, 96])
    """

    def __init__(
        self,
        *,
        encoder: str = "resnet18",
        pretrained: str = "none",
        upsampling: Upsampling = "nearest",
        depth_range: tuple[float, float] = (0.1, 100.0),
        scales: Sequence[int] = (0,),
        initial_depth: float | None = None,
    ) -> None:
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
        if 0 not in scales:
            raise ValueError(f"scales must hold 0, the full size, got {tuple(scales)}")
        if not 0 < depth_range[0] < depth_range[1]:
            raise ValueError(f"depth_range must be 0 < near < far, got {depth_range}")
        self.depth_range = depth_range
        self.encoder: Encoder = build_encoder(encoder, pretrained)
        if isinstance(self.encoder, EfficientNetLite):
            self.decoder: LightDecoder | DepthDecoder = LightDecoder(
                self.encoder.channels, scales=scales, upsampling=upsampling
            )
        else:
            self.decoder = DepthDecoder(
                self.encoder.channels, scales=scales, upsampling=upsampling,
                width=self.encoder.width,
            )  # fmt: skip
        if initial_depth is not None:
            self.decoder.start_at(depth_to_logit(initial_depth, depth_range))

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
        raw = self.decoder(features, self.decoder.scales if scales is None else scales)
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


def depth_to_logit(depth: float, depth_range: tuple[float, float]) -> float:
    """The raw number that `disparity_to_depth(sigmoid(.))` turns into `depth`."""
    near, far = depth_range
    if not near < depth < far:
        raise ValueError(f"a depth must lie inside the range {depth_range}, got {depth}")
    share = (1 / depth - 1 / far) / (1 / near - 1 / far)
    return math.log(share / (1 - share))


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
