"""LeReS: depth from one image, up to an unknown scale and an unknown shift.

The network of Yin et al., CVPR 2021 (https://arxiv.org/abs/2012.09365), with the official names in
its state dict. No weights come with this project: they belong to Adobe Research, may be used for
non-commercial research only and may not be passed on. Get them, and their licence, from
https://github.com/aim-uofa/AdelaiDepth/tree/main/LeReS.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ssmde.models.checkpoint import listed, load_weights_into, only_tensors, read_checkpoint
from ssmde.models.depth_net import check_image_size
from ssmde.models.resnet import ResNet, resnet50, resnext101, third_stage_blocks
from ssmde.types import RGB, Map

Backbone = Literal["resnet50", "resnext101"]

BACKBONES: dict[Backbone, Callable[[], ResNet]] = {"resnet50": resnet50, "resnext101": resnext101}
BACKBONE_OF_BLOCKS: dict[int, Backbone] = {6: "resnet50", 23: "resnext101"}
COLOR_MEAN, COLOR_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet
NARROW_WIDTH = 512  # of the coarsest map, before it is fused
FUSION_WIDTH = 256
NEAREST_DEPTH = 0.01  # what the nearest pixel of every image gets; the released test code
INFERENCE_SIZE = (448, 448)  # the crop LeReS was trained on
WRAPPERS = ("depth_model", "model_state_dict")  # in the official file, and of the training code
PARALLEL = "module."  # put before every key by DataParallel
NETWORK = "depth_model."
TRAINING_ONLY = ("auxi_modules.", "losses.")  # a head and terms that only training uses


def load_leres(path: Path) -> "LeReS":
    """LeReS with the weights of a file: on the CPU, in float32 and in evaluation mode.

    The backbone follows from the weights; a ValueError names what is wrong.
    """
    tensors = network_tensors(read_checkpoint(path), origin=str(path))
    with torch.device("meta"):  # random weights of this size would take a second
        net = LeReS(find_backbone(tensors, origin=str(path)))
    net.to_empty(device="cpu")
    for buffer in net.buffers():
        buffer.zero_()  # an old file may lack the counters of batch normalization
    load_weights_into(net, tensors, origin=str(path))
    return net.eval()


def network_tensors(content: object, *, origin: str) -> dict[str, Tensor]:
    """Tensors of the depth network by their key in `LeReS`; what only training uses is left out.

    They lie in a dict, or under `depth_model` or `model_state_dict` in it, and their keys may all
    begin with one `module.`; anything else is a ValueError that begins with `origin`.
    """
    inside = [content[w] for w in WRAPPERS if isinstance(content, Mapping) and w in content]
    tensors = only_tensors(
        inside[0] if inside else content,
        origin=origin,
        where=f", alone or under '{WRAPPERS[0]}' or '{WRAPPERS[1]}'",
    )
    if all(key.startswith(PARALLEL) for key in tensors):
        tensors = {key.removeprefix(PARALLEL): value for key, value in tensors.items()}
    tensors = {key.removeprefix(NETWORK): value for key, value in tensors.items()}
    return {key: value for key, value in tensors.items() if not key.startswith(TRAINING_ONLY)}


def find_backbone(tensors: Mapping[str, Tensor], *, origin: str) -> Backbone:
    """The encoder that tensors belong to, by the number of blocks of its third stage."""
    blocks = third_stage_blocks(tensors)
    if blocks not in BACKBONE_OF_BLOCKS:
        known = " or ".join(f"{n} ({name})" for n, name in BACKBONE_OF_BLOCKS.items())
        raise ValueError(
            f"{origin} is no LeReS depth network: its encoder's layer3 must have {known} blocks, "
            f"got {blocks}; it holds {listed(list(tensors)) or 'nothing'}"
        )
    return BACKBONE_OF_BLOCKS[blocks]


class TransferBlock(nn.Module):
    """Convolution to a new width, then a residual of two more ("FTB")."""

    def __init__(self, in_width: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_width, width, 3, padding=1)
        self.conv_branch = nn.Sequential(
            nn.Identity(),  # the official place of a ReLU: `forward` has rectified already
            nn.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, x: Float[Tensor, "b in h w"]) -> Float[Tensor, "b out h w"]:
        """Features of the same size, at least 0: relu(y + branch(y)), y = relu(conv(x))."""
        # The official branch begins with a ReLU in place, which rectifies the shortcut as well:
        # the released weights expect that.
        y = torch.relu(self.conv1(x))
        return torch.relu(y + self.conv_branch(y))


class FusionBlock(nn.Module):
    """Joins the encoder's map with the coarser features and doubles them ("FFM")."""

    def __init__(self, in_width: int) -> None:
        super().__init__()
        self.ftb1 = TransferBlock(in_width, FUSION_WIDTH)
        self.ftb2 = TransferBlock(FUSION_WIDTH, FUSION_WIDTH)

    def forward(
        self, lateral: Float[Tensor, "b in h w"], coarse: Float[Tensor, "b out h w"]
    ) -> Float[Tensor, "b out h2 w2"]:
        """Features of twice the size; `lateral` is the encoder's map."""
        return double_size(self.ftb2(self.ftb1(lateral) + coarse))


class Head(nn.Module):
    """Two convolutions to one number a pixel."""

    def __init__(self) -> None:
        super().__init__()
        width = FUSION_WIDTH
        self.adapt_conv = nn.Sequential(
            nn.Conv2d(width, width // 2, 3, padding=1),
            nn.BatchNorm2d(width // 2),
            nn.ReLU(),
            nn.Conv2d(width // 2, 1, 3, padding=1),
        )

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h2 w2"]:
        """Any real number, at twice the size; no activation."""
        return double_size(self.adapt_conv(x))


class Decoder(nn.Module):
    """From the encoder's four maps back to full size."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.conv = TransferBlock(channels[3], NARROW_WIDTH)
        self.conv1 = nn.Conv2d(NARROW_WIDTH, FUSION_WIDTH, 3, padding=1)
        self.ffm2 = FusionBlock(channels[2])
        self.ffm1 = FusionBlock(channels[1])
        self.ffm0 = FusionBlock(channels[0])
        self.outconv = Head()

    def forward(self, *maps: Float[Tensor, "b _ _ _"]) -> Map:
        """Raw depth at full size; any real number."""
        quarter, eighth, sixteenth, thirty_second = maps
        x = double_size(self.conv1(self.conv(thirty_second)))
        return self.outconv(self.ffm0(quarter, self.ffm1(eighth, self.ffm2(sixteenth, x))))


class LeReS(nn.Module):
    """Encoder and decoder of LeReS: 52.1 M parameters with ResNet-50, 115.4 M with ResNeXt-101."""

    def __init__(self, backbone: Backbone = "resnet50") -> None:
        super().__init__()
        encoder = BACKBONES[backbone]()
        self.encoder_modules = nn.ModuleDict({"encoder": encoder})  # the official name
        self.decoder_modules = Decoder(encoder.channels[1:])

    def forward(self, image: RGB) -> Map:
        """Raw depth at full size: any real number, larger is farther, scale and shift unknown.

        The image is RGB in [0, 1]; both sides must be multiples of 32.
        """
        check_image_size(image.shape[-2], image.shape[-1])
        mean, std = (image.new_tensor(x).view(3, 1, 1) for x in (COLOR_MEAN, COLOR_STD))
        _, *features = self.encoder_modules["encoder"]((image - mean) / std)
        return self.decoder_modules(*features)

    @torch.no_grad()
    def predict_depth(self, image: RGB, *, size: tuple[int, int] = INFERENCE_SIZE) -> Map:
        """Depth of at least 0.01, larger is farther, up to a scale and a shift; no gradient.

        The image, RGB in [0, 1] of any size, is resized to `size` (height, width, multiples of 32)
        without keeping its aspect, and the depth is resized back, as in the released test code:
        bilinear, without smoothing first. The network has to be in evaluation mode.
        """
        resize = partial(F.interpolate, mode="bilinear", align_corners=False)
        raw = self(resize(image, size))
        depth = raw - raw.amin(dim=(1, 2, 3), keepdim=True) + NEAREST_DEPTH
        return resize(depth, image.shape[-2:])


def double_size(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
    """Twice the size, bilinear; corner pixels keep their values."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
