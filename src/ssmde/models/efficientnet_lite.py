"""EfficientNet-Lite0 as a feature extractor, with the parameter names of the published weights.

EfficientNet (Tan and Le, ICML 2019, https://arxiv.org/abs/1905.11946) without classifier, the 1 x 1
convolution before it, and squeeze-and-excitation, and with ReLU6 for swish, for the sake of int8
(https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite).
"""

from functools import partial

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

STEM_WIDTH = 32
_normalization = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)  # as in TensorFlow
# Blocks of one width: number, kernel, stride of the first, expansion, width.
GROUPS = (
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192), (1, 3, 1, 6, 320),
)  # fmt: skip
ENDS = (0, 2, 4, 10, 15)  # blocks whose outcome is a feature map: the last of each size


class InvertedBottleneck(nn.Module):
    """1 x 1 to `expansion` times the width, a depthwise convolution, 1 x 1 back without activation.

    Added to its input where size and width stay (Sandler et al., CVPR 2018,
    https://arxiv.org/abs/1801.04381).
    """

    def __init__(self, in_width: int, width: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = in_width * expansion
        self.expands = expansion != 1
        if self.expands:
            self._expand_conv = nn.Conv2d(in_width, inner, 1, bias=False)
            self._bn0 = _normalization(inner)
        self._depthwise_conv = SameConv(inner, inner, kernel, stride, groups=inner)
        self._bn1 = _normalization(inner)
        self._project_conv = nn.Conv2d(inner, width, 1, bias=False)
        self._bn2 = _normalization(width)
        self.residual = stride == 1 and in_width == width

    def forward(self, x: Float[Tensor, "b in h w"]) -> Float[Tensor, "b out h2 w2"]:
        """Features of the block."""
        # No activation after the projection: in few channels ReLU6 would lose what it cuts off.
        out = x
        if self.expands:
            out = F.relu6(self._bn0(self._expand_conv(out)), inplace=True)
        out = F.relu6(self._bn1(self._depthwise_conv(out)), inplace=True)
        out = self._bn2(self._project_conv(out))
        return out.add_(x) if self.residual else out


class SameConv(nn.Conv2d):
    """Convolution padded as TensorFlow's SAME for even sides: the spare pixel at the far border.

    With stride 2 a kernel of 3 pads 0 before and 1 after, one of 5 pads 1 and 2. PyTorch's padding
    is the same on both sides, which would shift every map by half a pixel of the published weights.
    """

    def __init__(
        self, in_width: int, width: int, kernel: int, stride: int, groups: int = 1
    ) -> None:
        inside = kernel // 2 if stride == 1 else 0
        super().__init__(in_width, width, kernel, stride, inside, groups=groups, bias=False)
        before = (kernel - stride) // 2
        self.border = None if stride == 1 else [before, kernel - stride - before] * 2

    def forward(self, input: Float[Tensor, "b in h w"]) -> Float[Tensor, "b out h2 w2"]:
        """Mix each pixel with its neighbors; half the size where the stride is 2."""
        return super().forward(input if self.border is None else F.pad(input, self.border))


class EfficientNetLite(nn.Module):
    """Five feature maps of an image; 3.0 M parameters."""

    channels = (16, 24, 40, 112, 320)  # this and the rest: see `ResNet`
    mean, std = 127 / 255, 128 / 255  # the weights were trained on (255 x - 127) / 128
    classifier = ("_conv_head.", "_bn1.", "_fc.")

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = SameConv(3, STEM_WIDTH, 3, 2)
        self._bn0 = _normalization(STEM_WIDTH)
        self._blocks = nn.ModuleList()
        in_width = STEM_WIDTH
        for repeats, kernel, stride, expansion, width in GROUPS:
            for number in range(repeats):
                stride_here = 1 if number else stride
                block = InvertedBottleneck(in_width, width, kernel, stride_here, expansion)
                self._blocks.append(block)
                in_width = width
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b _ _ _"], ...]:
        """Features at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size, of normalized RGB."""
        x = F.relu6(self._bn0(self._conv_stem(images)), inplace=True)
        maps: list[Tensor] = []
        for number, block in enumerate(self._blocks):
            x = block(x)
            if number in ENDS:
                maps.append(x)
        return tuple(maps)
