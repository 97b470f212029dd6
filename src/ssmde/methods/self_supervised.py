"""What both stages learn from neighbouring views: rebuild each frame from the others."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ssmde.config import LossConfig
from ssmde.data.augment import apply_color
from ssmde.geometry.pose import invert_motion
from ssmde.losses.distillation import log_depth_difference
from ssmde.losses.masks import MIN_VALID_SHARE, auto_mask, masked_mean, weight_mask
from ssmde.losses.photometric import photometric_error
from ssmde.losses.smoothness import smoothness
from ssmde.methods.comparison import Comparison, compare, join_sources
from ssmde.models.depth_net import DepthNet
from ssmde.types import Batch

LEAST_SEEN = MIN_VALID_SHARE  # of the pixels, below which views have nothing in common


class Depths(NamedTuple):
    """What the depth network says of a batch."""

    scales: list[Float[Tensor, "b v 1 h w"]]
    """Full-size depth for each scale of the decoder; view 0 is the target."""
    features: tuple[Float[Tensor, "b _c _h _w"], ...]
    """Encoder features of the target, one map a level."""


class Learnt(NamedTuple):
    """The self-supervised part of a step, with what other terms need of it."""

    terms: dict[str, Float[Tensor, ""]]
    """Weighted terms by name, with their gradient."""
    maps: dict[str, Float[Tensor, "b 1 h w"]]
    """For pictures, of scale 0."""
    depths: Depths
    T_src_tgt: Float[Tensor, "b s 4 4"]
    """Motion that was used."""
    error: Float[Tensor, "b 1 h w"]
    """Photometric error of the target at scale 0, by the best source."""
    reliability: Float[Tensor, "b 1 h w"]
    """1 - depth inconsistency, mean over the sources that see the pixel; 0 where none does."""
    visible: Bool[Tensor, "b 1 h w"]
    """True where a source sees the pixel."""

    @property
    def seen(self) -> Float[Tensor, ""]:
        """Share of the target's pixels that a source sees."""
        return self.visible.to(self.error).mean()

    @property
    def depth(self) -> Float[Tensor, "b 1 h w"]:
        """Depth of the target at full size."""
        return self.depths.scales[0][:, 0]


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
    left_out: Bool[Tensor, "b 1 h w"] | None
    """Pixels of the target that teach nothing."""


class SelfSupervised(nn.Module):
    """Depth network and pose network, and the terms that rebuild the target from its neighbours.

    The photometric core of Monodepth2 (https://arxiv.org/abs/1806.01260) and the geometry
    consistency of SC-Depth (https://arxiv.org/abs/1908.10553), each term behind its weight or
    switch in `LossConfig`. The target-from-source maps are reduced over the sources on the
    target's grid; the source-from-target maps are averaged on their own grids.
    """

    def __init__(
        self,
        depth_net: DepthNet,
        pose_net: nn.Module,
        loss: LossConfig,
        *,
        normalize: bool = True,
    ) -> None:
        """Join the parts.

        Args:
            depth_net: Network of the depth.
            pose_net: Network of the motion.
            loss: Weights and switches.
            normalize: Where the motion is the pose network's own, divide the depths of a snippet by
                one scale, that of its mean disparity (Wang et al., CVPR 2018,
                https://arxiv.org/abs/1712.00175): the loss then cannot push the depth to infinity
                to be rid of a wrong step. Not for networks that learned the unit of known poses.
        """
        super().__init__()
        self.depth_net, self.pose_net, self.weights = depth_net, pose_net, loss
        self.normalize = normalize
        self.compare = compare
        """One view through another; a place for a compiled one."""

    def learn_from_views(
        self,
        batch: Batch,
        progress: float,
        *,
        depths: Depths,
        said: Float[Tensor, "b s 4 4"],
        left_out: Bool[Tensor, "b 1 h w"] | None = None,
        identity: Float[Tensor, "b s h w"] | None = None,
    ) -> Learnt:
        """Photometric, geometry and smoothness terms of a batch.

        Args:
            batch: The frames.
            progress: Where the training stands, from 0 to 1.
            depths: Of `self.depths`.
            said: Motion the pose network says; poses that came with the batch take its place, and
                it learns to say them.
            left_out: Pixels of the target that teach nothing: what moves.
            identity: Of `self.identity_error`, where it is known.
        """
        w = self.weights
        T_src_tgt = said if batch.T_src_tgt is None else batch.T_src_tgt
        with torch.autocast(batch.target.device.type, enabled=False):
            identity = self.identity_error(batch) if identity is None else identity
            outcomes = [
                self._at_one_scale(
                    _Views(
                        batch=batch,
                        depth=depth[:, 0],
                        source_depth=depth[:, 1:] if depth.shape[1] > 1 else None,
                        T_src_tgt=T_src_tgt,
                        geometry_weight=w.geometry,
                        identity_error=identity,
                        left_out=left_out,
                    )
                )
                for depth in depths.scales
            ]
        terms = {
            name: torch.stack([outcome[0][name] for outcome in outcomes]).mean()
            for name in outcomes[0][0]
        }
        if batch.T_src_tgt is not None:
            terms["pose"] = _pose_error(said, batch.T_src_tgt)
        if w.sparse_depth > 0 and batch.sparse_depth is not None:
            with torch.autocast(batch.target.device.type, enabled=False):
                known = (batch.sparse_depth > 0).to(batch.sparse_depth)
                each = [
                    log_depth_difference(d[:, 0], batch.sparse_depth, known) for d in depths.scales
                ]
            terms["points"] = w.sparse_depth * torch.stack(each).mean()
        maps = outcomes[0][1]
        return Learnt(
            terms=terms,
            maps={n: m.detach() for n, m in maps.items() if n not in ("reliability", "visible")},
            depths=depths,
            T_src_tgt=T_src_tgt,
            error=maps["photometric_error"].detach(),
            reliability=maps["reliability"].detach(),
            visible=maps["visible"] > 0,
        )

    def photometric_loss(self, batch: Batch) -> Float[Tensor, ""]:
        """The photometric term alone, without labels or teacher: how well the views agree.

        It is nan where hardly a pixel is seen in both views, or none counts: a mean over nothing.
        """
        seen = self.seen_images(batch)
        depths = self.depths(seen, normalize=self.normalize and batch.T_src_tgt is None)
        learnt = self.learn_from_views(batch, 1.0, depths=depths, said=self.motions(seen))
        term = learnt.terms["photometric"]
        nothing = (learnt.seen < LEAST_SEEN) | ((term == 0) & (self.weights.photometric > 0))
        return torch.where(nothing, torch.full_like(term, torch.nan), term)

    def seen_images(self, batch: Batch) -> Float[Tensor, "b n 3 h w"]:
        """Target and sources as the networks see them: with their colours changed."""
        images = batch.images
        return images if batch.color is None else apply_color(images, batch.color)

    def depths(self, images: Float[Tensor, "b n 3 h w"], *, normalize: bool) -> Depths:
        """Full-size depth for each scale; of all views where a term needs them.

        Args:
            images: Target and sources, as `seen_images` gives them.
            normalize: Divide the depths of a snippet by the scale of their mean disparity.
        """
        w = self.weights
        all_views = w.geometry > 0 or w.weight_mask or w.both_directions
        views = images if all_views else images[:, :1]
        features = self.depth_net.encode(views.flatten(0, 1))
        pyramid = self.depth_net.decode(features)
        size = images.shape[-2:]
        full = [d if d.shape[-2:] == size else _enlarge(d, size) for d in pyramid]
        depths = [d.unflatten(0, views.shape[:2]) for d in full]
        if normalize:
            mean_disparity = (1 / depths[0]).mean((1, 2, 3, 4), keepdim=True)
            depths = [d * mean_disparity for d in depths]
        of_target = tuple(f.unflatten(0, views.shape[:2])[:, 0] for f in features)
        return Depths(depths, of_target)

    def motions(self, images: Float[Tensor, "b n 3 h w"]) -> Float[Tensor, "b s 4 4"]:
        """`T_src_tgt` for every source, as the pose network says it, in one pass."""
        sources = images[:, 1:]
        target = images[:, :1].expand_as(sources)
        T = self.pose_net(target.flatten(0, 1), sources.flatten(0, 1))
        return T.unflatten(0, sources.shape[:2])

    def identity_error(self, batch: Batch) -> Float[Tensor, "b s h w"]:
        """Error of the unmoved sources; symmetric, so it serves both directions and all scales."""
        target = batch.target[:, None].expand_as(batch.sources).flatten(0, 1)
        error = photometric_error(batch.sources.flatten(0, 1), target)
        return error.unflatten(0, batch.sources.shape[:2]).squeeze(2)

    def _at_one_scale(self, views: _Views) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Weighted terms and maps of the target for one scale of the decoder."""
        w, count = self.weights, views.identity_error.shape[1]
        pairs = self._compare(views)
        forward = join_sources(pairs, count, minimum=w.minimum_reprojection)
        identity = views.identity_error
        identity = identity.amin(1, True) if w.minimum_reprojection else identity.mean(1, True)
        photometric, geometry, maps = self._reduce(forward, identity, views.left_out)
        if w.both_directions:
            reverse = self._compare(views, reverse=True)
            own, own_geometry, _ = self._reduce(
                reverse, views.identity_error.flatten(0, 1)[:, None], None
            )
            photometric = (photometric + count * own) / (1 + count)
            geometry = (geometry + count * own_geometry) / (1 + count)
        terms = {"photometric": w.photometric * photometric}
        if w.geometry > 0:
            terms["geometry"] = views.geometry_weight * geometry
        if w.smoothness > 0:
            terms["smoothness"] = w.smoothness * smoothness(1 / views.depth, views.batch.target)
        return terms, {"depth": views.depth} | maps | _reliability(pairs, count)

    def _compare(self, views: _Views, *, reverse: bool = False) -> Comparison:
        """All (target, source) pairs, or in reverse all (source, target) pairs, as one batch."""
        sources = views.batch.sources
        pairs = sources.shape[:2]
        target = views.batch.target[:, None].expand_as(sources).flatten(0, 1)
        depth = views.depth[:, None].expand(*pairs, *views.depth.shape[1:]).flatten(0, 1)
        source_depth = None if views.source_depth is None else views.source_depth.flatten(0, 1)
        intrinsics = views.batch.intrinsics[:, None].expand(*pairs, 3, 3).flatten(0, 1)
        T = views.T_src_tgt.flatten(0, 1)
        if reverse:
            assert source_depth is not None, "reverse pairs need the depth of the sources"
            return self.compare(
                sources.flatten(0, 1), target, source_depth, invert_motion(T), intrinsics,
                other_depth=depth,
            )  # fmt: skip
        return self.compare(
            target, sources.flatten(0, 1), depth, T, intrinsics,
            other_depth=source_depth,
        )  # fmt: skip

    def _reduce(
        self,
        maps: Comparison,
        identity_error: Float[Tensor, "b 1 h w"],
        left_out: Bool[Tensor, "b 1 h w"] | None,
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Photometric and geometry term, unweighted, and the maps they were made of."""
        moving = auto_mask(maps.error, identity_error)
        mask = maps.visible & moving if self.weights.auto_mask else maps.visible
        if left_out is not None:
            mask = mask & ~left_out
        weight = weight_mask(maps.inconsistency)
        error = maps.error * weight if self.weights.weight_mask else maps.error
        pictures = {
            "photometric_error": maps.error,
            "auto_mask": moving.to(error),
            "weight_mask": weight,
        }
        return masked_mean(error, mask), masked_mean(maps.inconsistency, mask), pictures


def _reliability(pairs: Comparison, sources: int) -> dict[str, Tensor]:
    """How well the depths of the views agree, and where any view sees the target."""
    agreement, seen = (1 - pairs.inconsistency).detach(), pairs.visible.to(pairs.error)
    total = (agreement * seen).unflatten(0, (-1, sources)).sum(1)
    views = seen.unflatten(0, (-1, sources)).sum(1)
    return {"reliability": total / views.clamp(min=1), "visible": views}


def _enlarge(depth: Float[Tensor, "b 1 hs ws"], size: torch.Size) -> Float[Tensor, "b 1 h w"]:
    """Depth at another size, interpolated in disparity, where the network is smooth."""
    return 1 / F.interpolate(1 / depth, size, mode="bilinear", align_corners=False)


def _pose_error(said: Float[Tensor, "b s 4 4"], given: Float[Tensor, "b s 4 4"]) -> Tensor:
    """Mean |difference| of the rotation matrices plus that of the translations; at least 0."""
    difference = (said.to(given) - given).abs()
    return difference[..., :3, :3].mean() + difference[..., :3, 3].mean()
