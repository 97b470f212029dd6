"""Stage 2: a student learns from the views, from fading pseudo-depth, and from a filtered teacher.

A reconstruction of SS-MDE (Hu et al., Sensors 2024, https://doi.org/10.3390/s24134090) from its
abstract: the terms, their weights and the regions they act on are inferences, each behind a switch.
"""

from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ssmde.config import Config, StudentConfig
from ssmde.losses.distillation import (
    feature_similarity,
    gradient_matching,
    log_depth_difference,
    log_scale,
)
from ssmde.losses.photometric import SSIM_SHARE
from ssmde.losses.ranking import dynamic_ranking
from ssmde.methods.asked_teacher import TeacherNetworks, ask_teacher
from ssmde.methods.filtering.records import FilterInput, FilterOutput
from ssmde.methods.mask_filter import MaskFilter
from ssmde.methods.pseudo_depth import blend_with_label, pseudo_depth_terms
from ssmde.methods.schedule import forgetting_factor, ramp
from ssmde.methods.self_supervised import Learnt, SelfSupervised
from ssmde.methods.teacher import build_networks
from ssmde.models.checkpoint import load_networks
from ssmde.models.depth_net import DepthNet
from ssmde.models.registry import freeze_batch_norm, weights_file
from ssmde.types import Batch, StepOutput

TRUSTED = 0.5  # weight of the filter from which the teacher's depth may fit a label
SAME_SCALE = 0.02  # a student that starts as its teacher keeps its scale up to this log difference


class Student(SelfSupervised):
    """The self-supervised core, and what a teacher knows where the filter lets it through."""

    def __init__(
        self, networks: SelfSupervised, teacher: TeacherNetworks, student: StudentConfig
    ) -> None:
        """Join the parts.

        Args:
            networks: The student's own networks and the weights of its self-supervised terms.
            teacher: Networks of stage 1.
            student: Weights and switches of stage 2.
        """
        super().__init__(networks.depth_net, networks.pose_net, networks.weights)
        self.teacher, self.student = teacher, student
        f = student.filter
        self.mask_filter = MaskFilter(
            variant=f.variant,
            quantile=f.quantile,
            tau_depth=f.tau_depth,
            tau_pixels=f.tau_pixels,
            beta_dynamic=f.beta_dynamic,
            beta_unknown=f.beta_unknown,
        )
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))

    def forward(self, batch: Batch, progress: float) -> StepOutput:
        """Compute the loss of one batch; `progress` runs from 0 to 1 over the training."""
        seen = self.seen_images(batch)
        known = batch.T_src_tgt is not None
        depths = self.depths(seen, normalise=self.weights.normalise_depth and not known)
        identity = self.identity_error(batch)
        asked = self.ask_teacher(batch)
        if self.weights.ssim_share == SSIM_SHARE:  # the filter's own
            asked = replace(asked, identity_error=identity)
        prior, filtered = asked.depth, self.mask_filter(asked)
        learnt = self.learn_from_views(
            batch,
            progress,
            depths=depths,
            said=self.motions(seen),
            left_out=filtered.dynamic if self.student.mask_dynamic else None,
            identity=identity,
        )
        if self.student.filter.variant == "photo_sdfa":  # compares with the student's own error
            filtered = self._with_student_error(asked, filtered, learnt)
        static = (~filtered.dynamic).to(learnt.depth) * learnt.reliability
        terms = learnt.terms
        if self.student.forgets == "weight":
            terms = terms | pseudo_depth_terms(
                self.student.pseudo_depth, batch, learnt, progress, static=static
            )
        terms = terms | self._distil(learnt, prior, filtered, progress, batch.pseudo_depth)
        return StepOutput(
            loss=torch.stack(list(terms.values())).sum(),
            terms={name: term.detach() for name, term in terms.items()},
            statistics=self._statistics(filtered, progress),
            seen=learnt.seen,
            maps=learnt.maps
            | {
                "teacher_depth": prior,
                "teacher_weight": filtered.weight.detach(),
                "static": filtered.static.to(prior),
                "dynamic": filtered.dynamic.to(prior),
            },
        )

    def after_step(self) -> None:
        """Let an `ema` teacher follow: m T + (1 - m) S, with m = min(1 - 1 / (i + 1), momentum)."""
        if self.student.teacher_mode != "ema":
            return
        self.updates += 1
        momentum = min(1 - 1 / (int(self.updates) + 1), self.student.ema_momentum)
        own = {"depth_net": self.depth_net, "pose_net": self.pose_net}
        with torch.no_grad():
            for name, network in own.items():
                taught = self.teacher.get_submodule(name).state_dict()
                for key, value in network.state_dict().items():
                    if value.is_floating_point():
                        taught[key].lerp_(value, 1 - momentum)
                    else:
                        taught[key].copy_(value)

    def after_validation(self, *, best: bool) -> None:
        """Let an `epoch_best` teacher give way to a student that validates better than any."""
        if best and self.student.teacher_mode == "epoch_best":
            self.teacher.depth_net.load_state_dict(self.depth_net.state_dict())
            self.teacher.pose_net.load_state_dict(self.pose_net.state_dict())

    def ask_teacher(self, batch: Batch) -> FilterInput:
        """What the teacher says of clean images, without a gradient."""
        return ask_teacher(
            self.teacher,
            batch,
            normalise=self.weights.normalise_depth,
            features=self.student.features > 0,
        )

    def _with_student_error(
        self, asked: FilterInput, filtered: FilterOutput, learnt: Learnt
    ) -> FilterOutput:
        """The same regions, and the weight of `photo_sdfa` against the student's own error."""
        unseen = torch.full_like(learnt.error, torch.inf)
        error = torch.where(learnt.visible, learnt.error, unseen)
        was_training = self.mask_filter.training
        self.mask_filter.eval()  # the motion threshold has followed this batch
        again = self.mask_filter(replace(asked, student_error=error))
        self.mask_filter.train(was_training)
        return replace(
            again, static=filtered.static, dynamic=filtered.dynamic, unknown=filtered.unknown
        )

    def _distil(
        self,
        learnt: Learnt,
        prior: Float[Tensor, "b 1 h w"],
        filtered: FilterOutput,
        progress: float,
        label: Float[Tensor, "b 1 h w"] | None,
    ) -> dict[str, Tensor]:
        """The terms that follow the teacher."""
        s, weight = self.student, filtered.weight.detach()
        rise = 1.0 if s.start == "teacher" else ramp(progress, s.distillation_ramp)
        with torch.autocast(prior.device.type, enabled=False):
            scale = log_scale(learnt.depth, prior, weight)
            if s.start == "teacher":
                scale = torch.where(scale.abs() < SAME_SCALE, torch.zeros_like(scale), scale)
            prior = prior * scale.exp()
            if s.forgets == "label":
                assert label is not None, "the loader reads the labels that the terms want"
                prior = blend_with_label(prior, label, weight > TRUSTED, self._factor(progress))
            terms: dict[str, Tensor] = {}
            if s.distillation > 0:
                each = [log_depth_difference(d[:, 0], prior, weight) for d in learnt.depths.scales]
                terms["distillation"] = s.distillation * torch.stack(each).mean()
            if s.gradient > 0:
                terms["gradient"] = s.gradient * gradient_matching(learnt.depth, prior, weight)
            if s.dynamic_ranking > 0:
                terms["dynamic_ranking"] = s.dynamic_ranking * dynamic_ranking(
                    learnt.depth, prior, filtered.dynamic, filtered.static, generator=None,
                    margin=s.pseudo_depth.margin,
                )  # fmt: skip
            if s.features > 0 and filtered.features is not None:
                terms["features"] = s.features * feature_similarity(
                    [f.float() for f in learnt.depths.features[1:]],
                    filtered.features,
                    [w.detach() for w in filtered.level_weights],
                )
            terms = {name: rise * term for name, term in terms.items()}
            if filtered.log_scale is not None:
                terms["uncertainty"] = _uncertainty(learnt.depth, prior, filtered.log_scale)
        return terms

    def _factor(self, progress: float) -> float:
        """The forgetting factor."""
        p = self.student.pseudo_depth
        return forgetting_factor(
            progress, p.forgetting, end=p.forgetting_end, start=p.forgetting_start
        )

    def _statistics(self, filtered: FilterOutput, progress: float) -> dict[str, Tensor]:
        """Numbers for the log."""
        factor = self._factor(progress)
        like = filtered.weight
        numbers = {f"filter_{k}": v.detach() for k, v in filtered.statistics.items()}
        return numbers | {
            "forgetting_factor": torch.as_tensor(factor, dtype=like.dtype, device=like.device)
        }


def _uncertainty(
    depth: Float[Tensor, "b 1 h w"],
    prior: Float[Tensor, "b 1 h w"],
    log_error: Float[Tensor, "b 1 h w"],
) -> Float[Tensor, ""]:
    """Mean |difference of log depth| exp(-b) + b: what teaches the learned filter its b."""
    difference = (depth.detach().log() - prior.log()).abs()
    return (difference * torch.exp(-log_error) + log_error).mean()


def build_student(config: Config) -> Student:
    """A student and its teacher, from the weights of stage 1.

    Raises:
        FileNotFoundError: If the weights of the teacher do not exist.
        ValueError: If none are given, or they do not fit the configuration.
    """
    path = config.student.teacher
    if path is None:
        raise ValueError(
            "stage 2 needs the weights of stage 1: give --student.teacher FILE, or train both "
            "stages with --method both"
        )
    networks = SelfSupervised(*build_networks(config.model, config.loss), config.loss)
    teacher = TeacherNetworks(*_stored_networks(config, path))
    if config.student.start == "teacher":
        networks.depth_net.load_state_dict(teacher.depth_net.state_dict())
        networks.pose_net.load_state_dict(teacher.pose_net.state_dict())
    student = Student(networks, teacher, config.student)
    if config.model.freeze_batch_norm:
        freeze_batch_norm(student)
    return student


def _stored_networks(config: Config, path: Path) -> tuple[DepthNet, nn.Module]:
    """Networks of the configuration with stored weights."""
    untrained = replace(config.model, pretrained="none", start="none")
    depth_net, pose_net = build_networks(untrained, config.loss)
    load_networks(weights_file(path), depth_net=depth_net, pose_net=pose_net)
    return depth_net, pose_net
