"""Pose networks: from two images the motion of the camera between them.

Both networks return `T_src_tgt`, which moves points from the target camera to the source camera.
Their last layer gives six numbers: rotation (axis times angle, radians) first, then translation
(scene units), both times a small factor, so that training starts near no motion. Images are RGB in
[0, 1], both of one size.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ssmde.console import did_you_mean
from ssmde.geometry.camera import rigid_motion
from ssmde.models.registry import Encoder, build_encoder
from ssmde.models.resnet import ResNet
from ssmde.types import RGB, Motion

POSECNN_LAYERS = ((7, 16), (5, 32), (3, 64), (3, 128), (3, 256), (3, 256), (3, 256))
RESNET_HEAD_WIDTH = 256
MOTION_SCALE = 0.01  # of the six raw numbers, as in the code of Zhou et al., CVPR 2017
POSE_NETS = ("posecnn", "resnet18")


def build_pose_net(name: str, *, pretrained: str = "none") -> nn.Module:
    """Pose network whose call `net(target, source)` returns `T_src_tgt`.

    The name is `posecnn` (1.59 M parameters) or `resnet18` (12.5 M). Only the latter has an
    encoder, whose `pretrained` weights are `none`, `hub`, or a file.
    """
    if name == "posecnn":
        return PoseCNN()
    if name == "resnet18":
        return PoseResNet(pretrained=pretrained)
    raise ValueError(f"unknown pose net '{name}': {did_you_mean(name, POSE_NETS)}")


class PoseCNN(nn.Module):
    """The light pose network of Monodepth2: seven strided convolutions, 1.59 M parameters.

    After Zhou et al., CVPR 2017 (https://arxiv.org/abs/1704.07813), without its masks.
    """

    def __init__(self) -> None:
        super().__init__()
        widths = [6, *(width for _, width in POSECNN_LAYERS)]
        self.convs = nn.ModuleList(
            nn.Conv2d(widths[i], width, kernel, stride=2, padding=kernel // 2)
            for i, (kernel, width) in enumerate(POSECNN_LAYERS)
        )
        self.head = nn.Conv2d(widths[-1], 6, 1)
        # He initialization, so that the signal survives seven layers without normalization: with
        # torch's own start the motion hardly depends on the images (2e-6 over a video, against
        # 1e-3 here), and hand-held video then trains to one constant depth.
        for conv in self.convs:
            assert isinstance(conv, nn.Conv2d)
            assert conv.bias is not None
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            nn.init.zeros_(conv.bias)

    def forward(self, target: RGB, source: RGB) -> Motion:
        """`T_src_tgt`: points of the target camera, seen from the source camera; float32."""
        x = normalize_image(torch.cat([target, source], dim=1))
        for conv in self.convs:
            x = torch.relu_(conv(x))
        return motion_from_features(self.head, x)


class PoseResNet(nn.Module):
    """ResNet-18 on both images and three convolutions, as in SC-Depth: 12.5 M parameters.

    The 13.01 M often stated count the classifier of the ImageNet weights, which is not kept here.
    """

    def __init__(self, *, pretrained: str = "none") -> None:
        """Build the network; `pretrained` is `none`, `hub`, or a file with encoder weights."""
        super().__init__()
        self.encoder: Encoder = build_encoder("resnet18", pretrained, in_images=2)
        width = RESNET_HEAD_WIDTH
        self.narrow = nn.Conv2d(self.encoder.channels[-1], width, 1)
        self.mix1 = nn.Conv2d(width, width, 3, padding=1)
        self.mix2 = nn.Conv2d(width, width, 3, padding=1)
        self.head = nn.Conv2d(width, 6, 1)

    def forward(self, target: RGB, source: RGB) -> Motion:
        """`T_src_tgt`: points of the target camera, seen from the source camera; float32."""
        x = self.encoder(normalize_image(torch.cat([target, source], dim=1)))[-1]
        for conv in (self.narrow, self.mix1, self.mix2):
            x = torch.relu_(conv(x))
        return motion_from_features(self.head, x)


def normalize_image(image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """RGB in [0, 1] with mean near 0 and spread near 1, as the ResNets take it."""
    return (image - ResNet.mean) / ResNet.std


def motion_from_features(head: nn.Conv2d, features: Float[Tensor, "b c h w"]) -> Motion:
    """4 x 4 motion: six numbers (rotation, translation) at every place, their mean, scaled.

    The mean, for one rigid motion moves all that is static, and it takes images of any size.
    """
    # Outside autocast: bf16 keeps 8 bits, which moves pixels by up to 1 % of their flow.
    with torch.autocast(features.device.type, enabled=False):
        raw = head(features.to(head.weight.dtype))
        raw = raw.to(torch.promote_types(raw.dtype, torch.float32))
        vector = MOTION_SCALE * raw.mean(dim=(2, 3))
        return rigid_motion(vector[:, :3], vector[:, 3:])
