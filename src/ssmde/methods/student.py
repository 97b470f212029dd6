"""Stage 2: a student learns from the views, from fading pseudo-depth, and from a filtered teacher.

A reconstruction of SS-MDE (Hu et al., Sensors 2024, https://doi.org/10.3390/s24134090) from its
abstract: the terms, their weights and the regions they act on are inferences.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ssmde.config import Config, Forgetting, PseudoDepthConfig, StudentConfig
from ssmde.losses.alignment import log_depth_difference, log_scale
from ssmde.methods.mask_filter import FilterOutput, MaskFilter, TeacherPrediction
from ssmde.methods.self_supervised import SelfSupervised
from ssmde.methods.teacher import build_networks
from ssmde.models.checkpoint import load_networks
from ssmde.models.depth_net import DepthNet
from ssmde.models.registry import weights_file
from ssmde.types import Batch, Map, StepOutput

SAME_SCALE = 0.02  # the student, which starts as its teacher, keeps its scale up to this log ratio
FORGOTTEN = 0.05  # what is left of the weight of the labels at the end


def forgetting_factor(progress: float, form: Forgetting) -> float:
    """Weight of pseudo-depth over the training, in [0, 1]: 1, or 0.05^progress.

    The paper names a forgetting factor and gives no formula. In adaptive filters the word means an
    exponential; that the paper means it is an inference.
    """
    return FORGOTTEN ** min(1.0, max(0.0, progress)) if form == "exponential" else 1.0


class TeacherNetworks(nn.Module):
    """Networks that predict and are never trained: always in evaluation mode, no gradient."""

    def __init__(self, depth_net: DepthNet, pose_net: nn.Module) -> None:
        super().__init__()
        self.depth_net, self.pose_net = depth_net, pose_net
        self.requires_grad_(False)
        super().train(False)

    def train(self, mode: bool = True) -> "TeacherNetworks":
        """Stay in evaluation mode."""
        return self


@torch.no_grad()
def predict_with_teacher(
    teacher: TeacherNetworks, batch: Batch, *, normalize: bool
) -> TeacherPrediction:
    """Depth and motion predicted by the frozen teacher for unaugmented images.

    `normalize`: divide the depths of a snippet by the scale of their mean disparity, where the
    motion is that of the pose network: it is in this unit.
    """
    images, pairs = batch.images, batch.sources.shape[:2]
    # One pass for all views and the mirrored target.
    found = teacher.depth_net(torch.cat([images.flatten(0, 1), batch.target.flip(-1)]))
    count = len(found) - len(images)
    depth, mirrored = found[:count].unflatten(0, images.shape[:2]), found[count:].flip(-1)
    T_src_tgt = batch.T_src_tgt
    if T_src_tgt is None:
        target = batch.target.repeat_interleave(pairs[1], 0)
        T_src_tgt = teacher.pose_net(target, batch.sources.flatten(0, 1)).unflatten(0, pairs)
        if normalize:
            mean_disparity = (1 / depth).mean((1, 2, 3, 4), keepdim=True)
            depth, mirrored = depth * mean_disparity, mirrored * mean_disparity[:, 0]
    return TeacherPrediction(
        target=batch.target, sources=batch.sources, depth=depth[:, 0], source_depth=depth[:, 1:],
        flipped_depth=mirrored, T_src_tgt=T_src_tgt, intrinsics=batch.intrinsics,
    )  # fmt: skip


class Student(SelfSupervised):
    """The self-supervised core, and the teacher's depth where the mask filter lets it through."""

    def __init__(
        self, networks: SelfSupervised, teacher: TeacherNetworks, student: StudentConfig,
        pseudo_depth: PseudoDepthConfig | None = None,
    ) -> None:  # fmt: skip
        """`networks` are the student's own, with the weights of its self-supervised terms."""
        super().__init__(
            networks.depth_net, networks.pose_net, networks.weights,
            pseudo_depth if student.labels != "none" else None,
            normalize=networks.normalize,
        )  # fmt: skip
        self.teacher, self.student, self.mask_filter = teacher, student, MaskFilter()

    def forward(self, batch: Batch, progress: float) -> StepOutput:
        """Compute the loss of one batch; `progress` runs from 0 to 1 over the training."""
        images, identity_error = self.network_images(batch), self.identity_error(batch)
        predicted_depth = self.predict_depth(images, posed=batch.T_src_tgt is not None)
        prediction = replace(
            predict_with_teacher(self.teacher, batch, normalize=self.normalize),
            identity_error=identity_error,
        )
        prior, filtered = prediction.depth, self.mask_filter(prediction)
        factor = forgetting_factor(progress, self.student.forgetting)
        terms, maps, seen = self.learn_from_views(
            batch, predicted_depth, self.predict_pose(images),
            left_out=filtered.dynamic,  # the views say nothing true about what moves
            identity_error=identity_error, label_weight=factor,
            static_labels=self.student.labels == "static",
        )  # fmt: skip
        if self.student.distillation > 0:
            terms["distillation"] = self.distill(predicted_depth, prior, filtered)
        statistics = {f"filter_{k}": v for k, v in filtered.statistics.items()}
        statistics["forgetting_factor"] = torch.as_tensor(factor).to(prior)
        maps |= {"teacher_depth": prior, "teacher_weight": filtered.weight}
        maps |= {k: getattr(filtered, k).to(prior) for k in ("static", "dynamic")}
        return StepOutput.of(terms, statistics=statistics, seen=seen, maps=maps)

    def distill(
        self, predicted_depth: list[Float[Tensor, "b v 1 h w"]], prior: Map, filtered: FilterOutput
    ) -> Tensor:
        """The term that follows the teacher: mean |log D^S - log D^T| by the filter's weight."""
        weight = filtered.weight
        with torch.autocast(prior.device.type, enabled=False):
            # exp(scale) brings the teacher's depth to the unit of the student.
            scale = log_scale(predicted_depth[0][:, 0], prior, weight)
            scale = torch.where(scale.abs() < SAME_SCALE, torch.zeros_like(scale), scale)
            prior = prior * scale.exp()
            each = [log_depth_difference(d[:, 0], prior, weight) for d in predicted_depth]
            return self.student.distillation * torch.stack(each).mean()


def build_student(config: Config) -> Student:
    """A student and its teacher, both with the weights of stage 1."""
    path = config.student.teacher
    if path is None:
        raise ValueError(
            "stage 2 needs the weights of stage 1: give --student.teacher FILE, or train both "
            "stages with --method both"
        )
    untrained = replace(config.model, pretrained="none", start="none")
    (depth_net, pose_net), own = (build_networks(untrained, config.loss) for _ in range(2))
    load_networks(weights_file(path), depth_net=depth_net, pose_net=pose_net)
    networks = SelfSupervised(*own, config.loss, normalize=config.data.poses == "none")
    networks.depth_net.load_state_dict(depth_net.state_dict())
    networks.pose_net.load_state_dict(pose_net.state_dict())
    teacher = TeacherNetworks(depth_net, pose_net)
    return Student(networks, teacher, config.student, config.pseudo_depth)
