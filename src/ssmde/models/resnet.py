"""ResNet as a feature extractor, with torchvision's parameter names, so that its weights load.

He et al., CVPR 2016 (https://arxiv.org/abs/1512.03385), without classifier; the bottleneck carries
its stride on the 3 x 3 convolution, as the weights in circulation do ("v1.5"). What a
normalization puts out is changed in place: nothing needs it again.
"""

import re
from collections.abc import Iterable, Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

STEM_WIDTH = 64
STAGE_WIDTHS = (64, 128, 256, 512)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(self, in_width: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_width, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = make_shortcut(in_width, width, stride)

    def forward(self, x: Float[Tensor, "b in h w"]) -> Float[Tensor, "b out h2 w2"]:
        """Features of the block, at least 0: relu(x + f(x))."""
        shortcut = x if self.downsample is None else self.downsample(x)
        out = self.bn2(self.conv2(torch.relu_(self.bn1(self.conv1(x)))))
        return torch.relu_(out.add_(shortcut))


class Bottleneck(nn.Module):
    """A 3 x 3 convolution between two 1 x 1 ones, beside a shortcut."""

    expansion = 4
    groups = 1
    group_width = STAGE_WIDTHS[0]  # of the 3 x 3 convolution, first stage; doubles with each stage

    def __init__(self, in_width: int, width: int, stride: int) -> None:
        super().__init__()
        out_width = width * self.expansion
        inner = self.groups * self.group_width * width // STAGE_WIDTHS[0]
        self.conv1 = nn.Conv2d(in_width, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(
            inner, inner, 3, stride=stride, padding=1, groups=self.groups, bias=False
        )
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, out_width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_width)
        self.downsample = make_shortcut(in_width, out_width, stride)

    def forward(self, x: Float[Tensor, "b in h w"]) -> Float[Tensor, "b out h2 w2"]:
        """Features of the block, at least 0: relu(x + f(x))."""
        shortcut = x if self.downsample is None else self.downsample(x)
        out = torch.relu_(self.bn1(self.conv1(x)))
        out = torch.relu_(self.bn2(self.conv2(out)))
        return torch.relu_(self.bn3(self.conv3(out)).add_(shortcut))


class GroupedBottleneck(Bottleneck):
    """32 groups of 8 channels and more: ResNeXt 32x8d (https://arxiv.org/abs/1611.05431)."""

    groups = 32
    group_width = 8


def make_shortcut(in_width: int, out_width: int, stride: int) -> nn.Sequential | None:
    """A 1 x 1 projection where a block changes size or width, else nothing."""
    if stride == 1 and in_width == out_width:
        return None
    return nn.Sequential(
        nn.Conv2d(in_width, out_width, 1, stride=stride, bias=False), nn.BatchNorm2d(out_width)
    )


class ResNet(nn.Module):
    """Five feature maps of an image; `blocks` is the number of blocks of each stage."""

    channels: tuple[int, ...]  # widths of the five maps, from half size to a thirty-second
    width: float  # share of the published number of channels; a decoder beside it takes the same
    mean, std = 0.45, 0.225  # of the images: ImageNet's, averaged over the colors (Monodepth2)
    classifier = ("fc.",)  # beginnings of keys of ImageNet weights that have no use here

    def __init__(
        self, block: type[BasicBlock | Bottleneck], blocks: Sequence[int], width: float = 1.0
    ) -> None:
        super().__init__()
        self.width = width
        stem, stage_widths = round(width * STEM_WIDTH), [round(width * w) for w in STAGE_WIDTHS]
        self.channels = (stem, *(w * block.expansion for w in stage_widths))
        self.conv1 = nn.Conv2d(3, stem, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        stages: list[nn.Sequential] = []
        for number, (width_of_stage, count) in enumerate(zip(stage_widths, blocks, strict=True)):
            # The first block carries the change of size and width; the pooling has halved before.
            first = block(self.channels[number], width_of_stage, 2 if number else 1)
            rest = [block(self.channels[number + 1], width_of_stage, 1) for _ in range(count - 1)]
            stages.append(nn.Sequential(first, *rest))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b _ _ _"], ...]:
        """Features at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size, at least 0, of normalized RGB."""
        half = torch.relu_(self.bn1(self.conv1(images)))
        quarter = self.layer1(self.maxpool(half))
        eighth = self.layer2(quarter)
        sixteenth = self.layer3(eighth)
        return half, quarter, eighth, sixteenth, self.layer4(sixteenth)


def third_stage_blocks(keys: Iterable[str]) -> int:
    """Number of blocks of the third stage, which tells the ResNets apart, by keys of weights."""
    return len({found[1] for key in keys if (found := re.search(r"layer3\.(\d+)\.", key))})


# Random weights; parameters in millions.
resnet18 = partial(ResNet, BasicBlock, (2, 2, 2, 2))  # 11.2
resnet18_half = partial(ResNet, BasicBlock, (2, 2, 2, 2), width=0.5)  # 2.8
resnet34 = partial(ResNet, BasicBlock, (3, 4, 6, 3))  # 21.3
resnet50 = partial(ResNet, Bottleneck, (3, 4, 6, 3))  # 23.5
resnext101 = partial(ResNet, GroupedBottleneck, (3, 4, 23, 3))  # 86.7
