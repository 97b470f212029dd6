"""Stage 1: learn depth and motion from video, and from pseudo-depth where there is some.

In hand-held video the camera turns more than it moves. To first order a turn, a step and the
depth trade places: the flow f (turn + step / Z) stays the same when the step changes its sign, the
inverse depth is mirrored about a mean, and the turn takes the difference. Networks that start with
all three at once end in a constant depth or in one that is upside down. So, unless the motion is
known:

1. *rotation warm-up*: a pure turn moves pixels by the homography K R K^-1, whatever the depth. It
   is learned alone, from shrunk images (the observation behind SC-Depth V2, Bian et al., TPAMI
   2021, https://arxiv.org/abs/2006.02708);
2. *plane warm-up*: the whole motion is learned against a fixed plane that is nearer at the lower
   border, as the ground before an upright camera is; the depth network learns this plane.

Both are inferences of ours (docs/decisions/0006).
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ssmde.config import Config, LossConfig, ModelConfig
from ssmde.geometry.camera import scale_intrinsics
from ssmde.losses.masks import masked_mean
from ssmde.methods.self_supervised import SelfSupervised, compare
from ssmde.models.depth_net import DepthNet
from ssmde.models.pose_net import PoseCNN
from ssmde.models.registry import freeze_batch_norm, load_start
from ssmde.types import RGB, Batch, Intrinsics, Map, Motion, Scalar, StepOutput

TURN_BLURS = (2, 4, 8)  # images shrink by these factors: a turn of many pixels becomes one of few
STEP_BLURS = (1, 2, 4)
UPRIGHT_SLOPE = 0.6  # log depth at the upper border; the lower border has the negative of it


class Teacher(SelfSupervised):
    """The self-supervised core, with a warm-up where the motion is not known."""

    def forward(self, batch: Batch, progress: float) -> StepOutput:
        """Compute the loss of one batch; `progress` runs from 0 to 1 over the training."""
        images, posed = self.network_images(batch), batch.T_src_tgt is not None
        predicted_pose = self.predict_pose(images)
        if not posed and progress < 2 * self.weights.warmup:
            turn_only = progress < self.weights.warmup
            return self._warm_up(batch, images, predicted_pose, turn_only=turn_only)
        depth = self.predict_depth(images, posed=posed)
        terms, maps, seen = self.learn_from_views(batch, depth, predicted_pose)
        return StepOutput.of(terms, seen=seen, maps=maps)

    def _warm_up(
        self, batch: Batch, images: Float[Tensor, "b n 3 h w"], T_src_tgt: Float[Tensor, "b s 4 4"],
        *, turn_only: bool,
    ) -> StepOutput:  # fmt: skip
        """Rotation alone while the depth network rests, or all motion before an upright plane."""
        target, intrinsics = (
            m.repeat_interleave(batch.sources.shape[1], 0) for m in (batch.target, batch.intrinsics)
        )
        T = T_src_tgt.flatten(0, 1)
        terms: dict[str, Tensor] = {}
        # Every parameter needs a gradient, if one of zero, where several processes train together.
        rest = torch.stack([p.sum() for p in self.depth_net.parameters()]).sum()
        if not turn_only:
            planes = [plane_error(depth) for depth in self.depth_net.pyramid(images[:, 0])]
            terms["upright"] = torch.stack(planes).mean()
        with torch.autocast(batch.target.device.type, enabled=False):
            terms["motion"] = self.weights.photometric * motion_error(
                target, batch.sources.flatten(0, 1), upright_depth(target),
                rotation_only(T) if turn_only else T, intrinsics,
                blurs=TURN_BLURS if turn_only else STEP_BLURS,
            )  # fmt: skip
        terms["motion"] = terms["motion"] + 0 * rest
        return StepOutput.of(terms)


def rotation_only(T_src_tgt: Motion) -> Motion:
    """The same rotation without the translation; the translation gets a gradient of zero."""
    keep = torch.ones_like(T_src_tgt)
    keep[:, :3, 3] = 0
    return T_src_tgt * keep


def upright_depth(like: Float[Tensor, "b c h w"]) -> Map:
    """A plane seen by an upright camera: depth e^0.6 at the top, 1 in the middle, e^-0.6 below."""
    height, width = like.shape[-2:]
    rows = torch.linspace(UPRIGHT_SLOPE, -UPRIGHT_SLOPE, height, dtype=like.dtype)
    return rows.exp().to(like.device).view(1, 1, height, 1).expand(len(like), 1, height, width)


def motion_error(
    target: RGB, source: RGB, depth: Map, T_src_tgt: Motion, intrinsics: Intrinsics, *,
    blurs: tuple[int, ...],
) -> Scalar:  # fmt: skip
    """Photometric error, in [0, 1], of the target rebuilt from the source: mean over its pixels.

    And over sizes: the images shrink by each of the factors `blurs`.
    """
    errors: list[Tensor] = []
    for blur in blurs:
        view, other, at = (F.avg_pool2d(image, blur) for image in (target, source, depth))
        camera = scale_intrinsics(intrinsics, 1 / blur, 1 / blur)
        error, _, visible = compare(view, other, at, T_src_tgt, camera)
        errors.append(masked_mean(error, visible))
    return torch.stack(errors).mean()


def plane_error(depth: Map) -> Scalar:
    """Mean |log depth - log plane| between a depth map and `upright_depth`; at least 0."""
    return (depth.log() - upright_depth(depth).log()).abs().mean()


def build_networks(model: ModelConfig, loss: LossConfig) -> tuple[DepthNet, PoseCNN]:
    """The depth network and the pose network of a configuration, with their first weights."""
    depth_net = DepthNet(
        encoder=model.encoder, pretrained=model.pretrained, upsampling=model.upsampling,
        depth_range=model.depth_range, initial_depth=model.initial_depth,
        scales=tuple(sorted(loss.scales)),
    )  # fmt: skip
    pose_net = PoseCNN()
    if model.start != "none":
        load_start(model.start, depth_net, pose_net)
    if model.freeze_batch_norm:
        freeze_batch_norm(depth_net)
    return depth_net, pose_net


def build_teacher(config: Config) -> Teacher:
    """The networks of a run, with their first weights, and stage 1 over them."""
    networks = build_networks(config.model, config.loss)
    normalize = config.data.poses == "none"
    return Teacher(*networks, config.loss, config.pseudo_depth, normalize=normalize)
