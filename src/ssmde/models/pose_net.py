"""The pose network: from two images the motion of the camera between them."""

import torch
from torch import nn

from ssmde.geometry.camera import rigid_motion
from ssmde.models.resnet import ResNet
from ssmde.types import RGB, Motion

LAYERS = ((7, 16), (5, 32), (3, 64), (3, 128), (3, 256), (3, 256), (3, 256))  # kernel, width
MOTION_SCALE = 0.01  # of the six raw numbers, as in the code of Zhou et al., CVPR 2017


class PoseCNN(nn.Module):
    """The light pose network of Monodepth2: seven strided convolutions, 1.59 M parameters.

    After Zhou et al., CVPR 2017 (https://arxiv.org/abs/1704.07813), without its masks. Its last
    layer gives six numbers, rotation (axis times angle, radians) and translation (scene units),
    times a small factor, so that training starts near no motion.
    """

    def __init__(self) -> None:
        super().__init__()
        widths = [6, *(width for _, width in LAYERS)]
        self.convs: nn.ModuleList = nn.ModuleList(
            nn.Conv2d(widths[i], width, kernel, stride=2, padding=kernel // 2)
            for i, (kernel, width) in enumerate(LAYERS)
        )
        self.head: nn.Conv2d = nn.Conv2d(widths[-1], 6, 1)
        # He initialization, so that the signal survives seven layers without normalization: with
        # torch's own start the motion hardly depends on the images (2e-6 over a video, against
        # 1e-3 here), and hand-held video then trains to one constant depth.
        for name, parameter in self.convs.named_parameters():
            if name.endswith("weight"):
                nn.init.kaiming_normal_(parameter, nonlinearity="relu")
            else:
                nn.init.zeros_(parameter)

    def forward(self, target: RGB, source: RGB) -> Motion:
        """`T_src_tgt`, which moves points from the target to the source camera; float32.

        The images are RGB in [0, 1], both of one size.
        """
        x = (torch.cat([target, source], dim=1) - ResNet.mean) / ResNet.std
        for conv in self.convs:
            x = torch.relu_(conv(x))
        # Outside autocast: bf16 keeps 8 bits, which moves pixels by up to 1 % of their flow.
        with torch.autocast(x.device.type, enabled=False):
            raw = self.head(x.to(self.head.weight.dtype))
            raw = raw.to(torch.promote_types(raw.dtype, torch.float32))
            # The mean over all places: one rigid motion moves all that is static.
            vector = MOTION_SCALE * raw.mean(dim=(2, 3))
            return rigid_motion(vector[:, :3], vector[:, 3:])
