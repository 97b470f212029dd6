"""Stage 1: learn depth and motion from video, and from pseudo-depth where there is some."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ssmde.config import LossConfig, ModelConfig, PseudoDepthConfig
from ssmde.methods.pseudo_depth import pseudo_depth_terms
from ssmde.methods.schedule import forgetting_factor
from ssmde.methods.self_supervised import SelfSupervised
from ssmde.methods.warm_up import (
    STEP_BLURS,
    TURN_BLURS,
    motion_error,
    plane_error,
    rotation_only,
    upright_depth,
)
from ssmde.models.depth_net import DepthNet
from ssmde.models.pose_net import build_pose_net
from ssmde.models.registry import freeze_batch_norm, load_start
from ssmde.types import Batch, StepOutput

NO_PSEUDO_DEPTH = PseudoDepthConfig()


class Teacher(SelfSupervised):
    """The self-supervised core, with a warm-up and the pseudo-depth terms of SC-Depth V3."""

    def __init__(
        self,
        depth_net: DepthNet,
        pose_net: nn.Module,
        loss: LossConfig,
        pseudo_depth: PseudoDepthConfig = NO_PSEUDO_DEPTH,
    ) -> None:
        super().__init__(depth_net, pose_net, loss)
        self.pseudo_depth = pseudo_depth

    def forward(self, batch: Batch, progress: float) -> StepOutput:
        """Compute the loss of one batch; `progress` runs from 0 to 1 over the training."""
        seen = self.seen_images(batch)
        said = self.motions(seen)
        w, known = self.weights, batch.T_src_tgt is not None
        if not known and progress < w.rotation_first + w.upright_first:
            return self._warm_up(batch, seen, said, turn_only=progress < w.rotation_first)
        depths = self.depths(seen, normalise=w.normalise_depth and not known)
        learnt = self.learn_from_views(batch, progress, depths=depths, said=said)
        terms = learnt.terms | pseudo_depth_terms(self.pseudo_depth, batch, learnt, progress)
        return StepOutput(
            loss=torch.stack(list(terms.values())).sum(),
            terms={name: term.detach() for name, term in terms.items()},
            seen=learnt.seen,
            maps=learnt.maps,
            statistics=_forgetting(self.pseudo_depth, progress, learnt.depth),
        )

    def _warm_up(
        self,
        batch: Batch,
        seen: Float[Tensor, "b n 3 h w"],
        T_src_tgt: Float[Tensor, "b s 4 4"],
        *,
        turn_only: bool,
    ) -> StepOutput:
        """Rotation alone while the depth network rests, or all motion before an upright plane."""
        sources = batch.sources
        target = batch.target[:, None].expand_as(sources).flatten(0, 1)
        intrinsics = batch.intrinsics[:, None].expand(*sources.shape[:2], 3, 3).flatten(0, 1)
        T = T_src_tgt.flatten(0, 1)
        terms: dict[str, Tensor] = {}
        rest = torch.stack([p.sum() for p in self.depth_net.parameters()]).sum()
        if not turn_only:
            planes = [plane_error(depth) for depth in self.depth_net.pyramid(seen[:, 0])]
            terms["upright"] = torch.stack(planes).mean()
        with torch.autocast(batch.target.device.type, enabled=False):
            terms["motion"] = self.weights.photometric * motion_error(
                target,
                sources.flatten(0, 1),
                upright_depth(target),
                rotation_only(T) if turn_only else T,
                intrinsics,
                blurs=TURN_BLURS if turn_only else STEP_BLURS,
                ssim_share=self.weights.ssim_share,
            )
        return StepOutput(
            loss=torch.stack(list(terms.values())).sum() + 0 * rest,
            terms={name: term.detach() for name, term in terms.items()},
        )


def _forgetting(config: PseudoDepthConfig, progress: float, like: Tensor) -> dict[str, Tensor]:
    """The forgetting factor, for the log, where there is something to forget."""
    if not config.wanted:
        return {}
    factor = forgetting_factor(
        progress, config.forgetting, end=config.forgetting_end, start=config.forgetting_start
    )
    return {"forgetting_factor": torch.as_tensor(factor, dtype=like.dtype, device=like.device)}


def build_networks(model: ModelConfig, loss: LossConfig) -> tuple[DepthNet, nn.Module]:
    """The depth network and the pose network of a configuration, with their first weights."""
    depth_net = DepthNet(
        encoder=model.encoder,
        pretrained=model.pretrained,
        upsampling=model.upsampling,
        depth_range=model.depth_range,
        initial_depth=model.initial_depth,
        scales=tuple(sorted(loss.scales)),
    )
    # A file fits the pose network only where both encoders are of one kind.
    fits = model.pose_net == "resnet18" and (
        model.encoder == "resnet18" or model.pretrained == "hub"
    )
    pose_pretrained = model.pretrained if fits else "none"
    pose_net = build_pose_net(model.pose_net, scale=model.pose_scale, pretrained=pose_pretrained)
    if model.start != "none":
        load_start(model.start, depth_net, pose_net)
    return depth_net, pose_net


def build_teacher(
    model: ModelConfig, loss: LossConfig, pseudo_depth: PseudoDepthConfig = NO_PSEUDO_DEPTH
) -> Teacher:
    """Make the networks of a configuration, with their first weights, and the method over them."""
    teacher = Teacher(*build_networks(model, loss), loss, pseudo_depth)
    if model.freeze_batch_norm:
        freeze_batch_norm(teacher)
    return teacher
