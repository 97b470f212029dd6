"""Stage 1: learn depth and motion from video by rebuilding each frame from its neighbours."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ssmde.config import LossConfig, ModelConfig
from ssmde.data.augment import apply_colour
from ssmde.geometry.pose import invert_motion
from ssmde.losses.masks import auto_mask, masked_mean, weight_mask
from ssmde.losses.photometric import photometric_error
from ssmde.losses.smoothness import smoothness
from ssmde.methods.comparison import Comparison, compare, join_sources
from ssmde.methods.schedule import ramp
from ssmde.methods.warm_up import (
    STEP_BLURS,
    TURN_BLURS,
    motion_error,
    plane_error,
    rotation_only,
    upright_depth,
)
from ssmde.models.depth_net import DepthNet
from ssmde.models.encoder import freeze_batch_norm
from ssmde.models.pose_net import build_pose_net
from ssmde.types import Batch, StepOutput


class _Views(NamedTuple):
    """A batch with what both networks say of it, at one scale of the decoder."""

    batch: Batch
    depth: Float[Tensor, "b 1 h w"]
    """Depth of the target."""
    source_depth: Float[Tensor, "b s 1 h w"] | None
    T_src_tgt: Float[Tensor, "b s 4 4"]
    geometry_weight: float
    identity_error: Float[Tensor, "b s h w"]
    """Photometric error between the target and each unmoved source."""


class Teacher(nn.Module):
    """Depth network and pose network trained by rebuilding the target from its neighbours.

    The photometric core of Monodepth2 (https://arxiv.org/abs/1806.01260) and the geometry
    consistency of SC-Depth (https://arxiv.org/abs/1908.10553), each term behind its weight or
    switch in `LossConfig`. The target-from-source maps are reduced over the sources on the
    target's grid; the source-from-target maps are averaged on their own grids.
    """

    def __init__(self, depth_net: DepthNet, pose_net: nn.Module, loss: LossConfig) -> None:
        super().__init__()
        self.depth_net, self.pose_net, self.weights = depth_net, pose_net, loss

    def forward(self, batch: Batch, progress: float) -> StepOutput:
        """Compute the loss of one batch; `progress` runs from 0 to 1 over the training."""
        images = torch.cat([batch.target[:, None], batch.sources], dim=1)
        seen = images if batch.colour is None else apply_colour(images, batch.colour)
        said = self._motions(seen)
        T_src_tgt = said if batch.T_src_tgt is None else batch.T_src_tgt
        w = self.weights
        if batch.T_src_tgt is None and progress < w.rotation_first + w.upright_first:
            return self._warm_up(batch, seen, said, turn_only=progress < w.rotation_first)
        depths = self._depths(seen, normalise=w.normalise_depth and batch.T_src_tgt is None)
        with torch.autocast(batch.target.device.type, enabled=False):
            identity = self._identity_error(batch)
            geometry_weight = w.geometry * ramp(progress, w.geometry_ramp)
            outputs = [
                self._at_one_scale(
                    _Views(
                        batch=batch,
                        depth=depth[:, 0],
                        source_depth=depth[:, 1:] if depth.shape[1] > 1 else None,
                        T_src_tgt=T_src_tgt,
                        geometry_weight=geometry_weight,
                        identity_error=identity,
                    )
                )
                for depth in depths
            ]
        terms = {
            name: torch.stack([scale[0][name] for scale in outputs]).mean()
            for name in outputs[0][0]
        }
        if batch.T_src_tgt is not None:
            terms["pose"] = w.pose * _pose_error(said, batch.T_src_tgt)
        return StepOutput(
            loss=torch.stack(list(terms.values())).sum(),
            terms={name: term.detach() for name, term in terms.items()},
            maps={name: value.detach() for name, value in outputs[0][1].items()},
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

    def _depths(self, images: Float[Tensor, "b n 3 h w"], *, normalise: bool) -> list[Tensor]:
        """Full-size depth (b, v, 1, h, w) for each scale; of all views where a term needs them."""
        w = self.weights
        all_views = w.geometry > 0 or w.weight_mask or w.both_directions
        views = images if all_views else images[:, :1]
        pyramid = self.depth_net.pyramid(views.flatten(0, 1))
        size = images.shape[-2:]
        full = [d if d.shape[-2:] == size else _enlarge(d, size) for d in pyramid]
        depths = [d.unflatten(0, views.shape[:2]) for d in full]
        if not normalise:
            return depths
        mean_disparity = (1 / depths[0]).mean((1, 2, 3, 4), keepdim=True)
        return [d * mean_disparity for d in depths]

    def _motions(self, images: Float[Tensor, "b n 3 h w"]) -> Float[Tensor, "b s 4 4"]:
        """`T_src_tgt` for every source, in one pass."""
        sources = images[:, 1:]
        target = images[:, :1].expand_as(sources)
        T = self.pose_net(target.flatten(0, 1), sources.flatten(0, 1))
        return T.unflatten(0, sources.shape[:2])

    def _identity_error(self, batch: Batch) -> Float[Tensor, "b s h w"]:
        """Error of the unmoved sources; symmetric, so it serves both directions and all scales."""
        target = batch.target[:, None].expand_as(batch.sources).flatten(0, 1)
        error = photometric_error(
            batch.sources.flatten(0, 1), target, ssim_share=self.weights.ssim_share
        )
        return error.unflatten(0, batch.sources.shape[:2]).squeeze(2)

    def _at_one_scale(self, views: _Views) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Weighted terms and maps of the target for one scale of the decoder."""
        w, count = self.weights, views.identity_error.shape[1]
        forward = join_sources(self._compare(views), count, minimum=w.minimum_reprojection)
        identity = views.identity_error
        identity = identity.amin(1, True) if w.minimum_reprojection else identity.mean(1, True)
        photometric, geometry, maps = self._reduce(forward, identity)
        if w.both_directions:
            reverse = self._compare(views, reverse=True)
            own, own_geometry, _ = self._reduce(
                reverse, views.identity_error.flatten(0, 1)[:, None]
            )
            photometric = (photometric + count * own) / (1 + count)
            geometry = (geometry + count * own_geometry) / (1 + count)
        terms = {"photometric": w.photometric * photometric}
        if w.geometry > 0:
            terms["geometry"] = views.geometry_weight * geometry
        if w.smoothness > 0:
            terms["smoothness"] = w.smoothness * smoothness(1 / views.depth, views.batch.target)
        return terms, {"depth": views.depth} | maps

    def _compare(self, views: _Views, *, reverse: bool = False) -> Comparison:
        """All (target, source) pairs, or in reverse all (source, target) pairs, as one batch."""
        sources = views.batch.sources
        pairs = sources.shape[:2]
        target = views.batch.target[:, None].expand_as(sources).flatten(0, 1)
        depth = views.depth[:, None].expand(*pairs, *views.depth.shape[1:]).flatten(0, 1)
        source_depth = None if views.source_depth is None else views.source_depth.flatten(0, 1)
        intrinsics = views.batch.intrinsics[:, None].expand(*pairs, 3, 3).flatten(0, 1)
        T, share = views.T_src_tgt.flatten(0, 1), self.weights.ssim_share
        if reverse:
            assert source_depth is not None, "reverse pairs need the depth of the sources"
            return compare(
                sources.flatten(0, 1), target, source_depth, invert_motion(T), intrinsics,
                other_depth=depth, ssim_share=share,
            )  # fmt: skip
        return compare(
            target, sources.flatten(0, 1), depth, T, intrinsics,
            other_depth=source_depth, ssim_share=share,
        )  # fmt: skip

    def _reduce(
        self, maps: Comparison, identity_error: Float[Tensor, "b 1 h w"]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Photometric and geometry term, unweighted, and the maps they were made of."""
        moving = auto_mask(maps.error, identity_error)
        mask = maps.visible & moving if self.weights.auto_mask else maps.visible
        weight = weight_mask(maps.inconsistency)
        error = maps.error * weight if self.weights.weight_mask else maps.error
        pictures = {
            "photometric_error": maps.error,
            "auto_mask": moving.to(error),
            "weight_mask": weight,
        }
        return masked_mean(error, mask), masked_mean(maps.inconsistency, mask), pictures


def _enlarge(depth: Float[Tensor, "b 1 hs ws"], size: torch.Size) -> Float[Tensor, "b 1 h w"]:
    """Depth at another size, interpolated in disparity, where the network is smooth."""
    return 1 / F.interpolate(1 / depth, size, mode="bilinear", align_corners=False)


def _pose_error(said: Float[Tensor, "b s 4 4"], given: Float[Tensor, "b s 4 4"]) -> Tensor:
    """Mean |difference| of the rotation matrices plus that of the translations; at least 0."""
    difference = (said.to(given) - given).abs()
    return difference[..., :3, :3].mean() + difference[..., :3, 3].mean()


def build_teacher(model: ModelConfig, loss: LossConfig) -> Teacher:
    """Make the networks of a configuration, with their first weights, and the method over them."""
    depth_net = DepthNet(
        encoder=model.encoder,
        pretrained=model.pretrained,
        upsampling=model.upsampling,
        depth_range=model.depth_range,
        initial_depth=model.initial_depth,
        scales=tuple(sorted(loss.scales)),
    )
    fits = model.pose_net == "resnet18" and (
        model.encoder == "resnet18" or model.pretrained == "hub"
    )
    pose_pretrained = model.pretrained if fits else "none"
    pose_net = build_pose_net(model.pose_net, scale=model.pose_scale, pretrained=pose_pretrained)
    teacher = Teacher(depth_net, pose_net, loss)
    if model.freeze_batch_norm:
        freeze_batch_norm(teacher)
    return teacher
