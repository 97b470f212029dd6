"""What both stages learn: each frame rebuilt from its neighbors, and the shape of pseudo-depth."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ssmde.config import LossConfig, PseudoDepthConfig
from ssmde.data.augment import apply_color
from ssmde.geometry.camera import MIN_DEPTH, invert_motion, normals
from ssmde.geometry.warp import reproject, sample
from ssmde.losses.alignment import least_squares_to_depth, log_depth_difference
from ssmde.losses.masks import (
    MIN_VALID_SHARE,
    auto_mask,
    masked_mean,
    minimum_reprojection,
    weight_mask,
)
from ssmde.losses.pairs import (
    confident_depth_ranking,
    edge_relative_normal,
    known_normals,
    normal_matching,
    random_pair_ranking,
)
from ssmde.losses.photometric import geometry_inconsistency, photometric_error, smoothness
from ssmde.models.depth_net import DepthNet
from ssmde.types import RGB, Batch, Intrinsics, Map, Mask, Motion, Scalar

RELIABLE = 0.8  # 1 - depth inconsistency from which the network's own depth may fit the label
STATIC = 0.5  # of a weight; at least this counts as static where a yes or no is needed
LEAST_SHARE = 0.1  # a fitted label below this share of its image's median depth is left out
# Depths at which a pixel may be where it is in another view, as shares of the one that is known. A
# static pixel whose depth is wrong looks alike at one of them, a pixel on a mover at none.
DEPTH_SHARES = (1.0, 0.6, 0.72, 0.85, 1.18, 1.4, 1.65)
FEWEST_VIEWS = 3  # that must see a pixel before they may say that it moves


Comparison = tuple[Tensor, Tensor, Tensor]
"""One view seen through another, as maps on its pixel grid: the photometric error of the view
rebuilt from the other one, in [0, 1]; the relative difference of the two depths, in [0, 1), 0 where
the other one is not given; true where a pixel lies in front of the other camera, in its image."""


def compare(
    view: RGB, other: RGB, depth: Map, T_other_view: Motion, intrinsics: Intrinsics, *,
    other_depth: Map | None = None,
) -> Comparison:  # fmt: skip
    """Rebuild `view` from `other`, and compare images and depths; `depth` is that of `view`."""
    found = reproject(depth, T_other_view, intrinsics)
    readable = other if other_depth is None else torch.cat([other, other_depth], dim=1)
    sampled = sample(readable, found.pixels)
    # Unseen pixels are black in `sampled`: they must not darken the SSIM windows around them.
    error = photometric_error(torch.where(found.visible, sampled[:, :3], view), view)
    if other_depth is None:
        return error, torch.zeros_like(error), found.visible
    computed, stored = found.depth.clamp(min=MIN_DEPTH), sampled[:, 3:].clamp(min=MIN_DEPTH)
    return error, geometry_inconsistency(computed, stored), found.visible


def join_sources(maps: Comparison, sources: int) -> Comparison:
    """Of the sources of a target, which follow each other, the one with the least error per pixel.

    Monodepth2, eq. 4.
    """
    error, inconsistency, visible = (m.unflatten(0, (-1, sources)).squeeze(2) for m in maps)
    least, chosen, any_visible = minimum_reprojection(error, visible)
    of_chosen = torch.where(chosen, inconsistency, torch.zeros_like(inconsistency))
    return least, of_chosen.sum(1, keepdim=True), any_visible


def least_error(
    view: Float[Tensor, "1 3 h w"], others: Float[Tensor, "n 3 h w"],
    depth: Float[Tensor, "1 1 h w"], T_other_view: Float[Tensor, "n 4 4"],
    intrinsics: Float[Tensor, "1 3 3"], *, shares: tuple[float, ...] = DEPTH_SHARES,
) -> Float[Tensor, "1 1 h w"]:  # fmt: skip
    """Photometric error of the view by the best of the others, in [0, 1]; 0 where few see it.

    A static pixel looks alike in at least one view where nothing stands before it, at its depth or,
    where that is wrong, at one near it. A pixel on a mover does not: there the others, frames near
    and far in time, show what is behind. `depth` is as if nothing moved; it is tried times each of
    the `shares`, and the first one says who sees a pixel.
    """
    n = len(others)
    least, seen = torch.full_like(depth, torch.inf), torch.ones_like(depth, dtype=torch.bool)
    for number, share in enumerate(shares):
        error, _, visible = compare(
            view.expand(n, -1, -1, -1), others, (share * depth).expand(n, -1, -1, -1),
            T_other_view, intrinsics.expand(n, -1, -1),
        )  # fmt: skip
        blurred = F.avg_pool2d(error, 3, 1, 1, count_include_pad=False)
        best = torch.where(visible, blurred, torch.inf).amin(0, keepdim=True)
        enough = visible.sum(0, keepdim=True) >= min(FEWEST_VIEWS, n)
        seen = enough if number == 0 else seen
        least = torch.where(enough, torch.minimum(least, best), least)
    return torch.where(seen, least, torch.zeros_like(least))


class SelfSupervised(nn.Module):
    """Depth network and pose network, and what they learn from neighboring views and labels.

    The photometric core of Monodepth2 (https://arxiv.org/abs/1806.01260) and the geometry
    consistency of SC-Depth (https://arxiv.org/abs/1908.10553), each term behind its weight. The
    target-from-source maps are reduced over the sources on the target's grid; the
    source-from-target maps are averaged on their own grids. With weights in `PseudoDepthConfig`,
    shape and order of another network's depth: normals, ranking and relative normals of SC-Depth V3
    (Sun et al., TPAMI 2023, https://arxiv.org/abs/2211.03660), and the depth itself.
    """

    def __init__(
        self, depth_net: DepthNet, pose_net: nn.Module, loss: LossConfig,
        pseudo_depth: PseudoDepthConfig | None = None, *, normalize: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        # Normalized: where the motion is the pose network's own, depths of a snippet are divided by
        # their mean disparity (Wang et al., CVPR 2018, https://arxiv.org/abs/1712.00175): the loss
        # then cannot push the depth to infinity to be rid of a wrong step. Not for networks that
        # learned the unit of known poses.
        self.depth_net, self.pose_net = depth_net, pose_net
        self.weights, self.normalize = loss, normalize
        self.pseudo_depth = pseudo_depth if pseudo_depth and pseudo_depth.wanted else None
        self.compare = compare  # a place for a compiled one

    def learn_from_views(
        self, batch: Batch, predicted_depth: list[Float[Tensor, "b v 1 h w"]],
        predicted_pose: Float[Tensor, "b s 4 4"], *, left_out: Mask | None = None,
        identity_error: Float[Tensor, "b s h w"] | None = None, label_weight: float = 1.0,
        static_labels: bool = False,
    ) -> tuple[dict[str, Scalar], dict[str, Map], Scalar]:  # fmt: skip
        """Weighted terms of a batch, maps for pictures, and the share of pixels a source sees.

        Poses that came with the batch take the place of the predicted ones, and the pose network
        learns to predict them.

        Args:
            batch: Frames; with `pseudo_depth` where its terms have weights, else a ValueError.
            predicted_depth: Of `predict_depth`.
            predicted_pose: Of `predict_pose`.
            left_out: Pixels of the target from which the views teach nothing: what moves.
            identity_error: Of `self.identity_error`, where it is known.
            label_weight: Factor on the terms of pseudo-depth; 0 leaves them out.
            static_labels: Labels act only on what is not left out, as far as the views agree.
        """
        w, T_known = self.weights, batch.T_src_tgt
        T_src_tgt = predicted_pose if T_known is None else T_known
        with torch.autocast(batch.target.device.type, enabled=False):
            if identity_error is None:
                identity_error = self.identity_error(batch)
            scales = [
                self._terms_at_one_scale(batch, depth, T_src_tgt, identity_error, left_out)
                for depth in predicted_depth
            ]
            _, maps, (_, inconsistency, visible) = scales[0]
            terms = {
                name: torch.stack([scale[name] for scale, *_ in scales]).mean()
                for name in scales[0][0]
            }
            if T_known is not None:
                difference = (predicted_pose.to(T_known) - T_known).abs()
                terms["pose"] = difference[..., :3, :3].mean() + difference[..., :3, 3].mean()
            if w.sparse_depth > 0 and (points := batch.sparse_depth) is not None:
                known = (points > 0).to(points)
                each = [log_depth_difference(d[:, 0], points, known) for d in predicted_depth]
                terms["sparse_depth"] = w.sparse_depth * torch.stack(each).mean()
            # How many sources see each pixel of the target, and 1 - inconsistency, their mean.
            visible = visible.to(inconsistency)
            agreement = (1 - inconsistency).detach() * visible
            total, views = (
                x.unflatten(0, batch.sources.shape[:2]).sum(1) for x in (agreement, visible)
            )
            reliability, seen = total / views.clamp(min=1), views > 0
            if label_weight > 0 and self.pseudo_depth is not None:
                depth, static = predicted_depth[0][:, 0], None
                if static_labels and left_out is not None:
                    static = (~left_out).to(depth) * reliability
                labels = label_terms(self.pseudo_depth, batch, depth, reliability, seen, static)
                terms |= {name: label_weight * term for name, term in labels.items()}
        maps = {name: map.detach() for name, map in maps.items()}
        return terms, maps, seen.to(reliability).mean()

    def photometric_loss(self, batch: Batch) -> Scalar:
        """The photometric term alone: how well views agree; nan where it is a mean over nothing."""
        images = self.network_images(batch)
        depth = self.predict_depth(images, posed=batch.T_src_tgt is not None)
        pose = self.predict_pose(images)
        terms, _, seen = self.learn_from_views(batch, depth, pose, label_weight=0.0)
        term = terms["photometric"]
        nothing = (seen < MIN_VALID_SHARE) | ((term == 0) & (self.weights.photometric > 0))
        return torch.where(nothing, torch.full_like(term, torch.nan), term)

    def network_images(self, batch: Batch) -> Float[Tensor, "b n 3 h w"]:
        """Target and sources as the networks see them: with their colors changed."""
        images = batch.images
        return images if batch.color is None else apply_color(images, batch.color)

    def predict_depth(
        self, images: Float[Tensor, "b n 3 h w"], *, posed: bool
    ) -> list[Float[Tensor, "b v 1 h w"]]:
        """Full-size depth for each scale; of all views where a term needs them."""
        views = images if self.weights.geometry > 0 else images[:, :1]
        size, depths = images.shape[-2:], list[Tensor]()
        for depth in self.depth_net.pyramid(views.flatten(0, 1)):
            if depth.shape[-2:] != size:  # enlarged in disparity, where the network is smooth
                depth = 1 / F.interpolate(1 / depth, size, mode="bilinear")
            depths.append(depth.unflatten(0, views.shape[:2]))
        if self.normalize and not posed:
            mean_disparity = (1 / depths[0]).mean((1, 2, 3, 4), keepdim=True)
            depths = [d * mean_disparity for d in depths]
        return depths

    def predict_pose(self, images: Float[Tensor, "b n 3 h w"]) -> Float[Tensor, "b s 4 4"]:
        """`T_src_tgt` for every source, in one pass of the pose network."""
        sources = images[:, 1:]
        target = images[:, 0].repeat_interleave(sources.shape[1], 0)
        return self.pose_net(target, sources.flatten(0, 1)).unflatten(0, sources.shape[:2])

    def identity_error(self, batch: Batch) -> Float[Tensor, "b s h w"]:
        """Error of the unmoved sources; symmetric, so it serves both directions and all scales."""
        pairs = batch.sources.shape[:2]
        target = batch.target.repeat_interleave(pairs[1], 0)
        error = photometric_error(batch.sources.flatten(0, 1), target)
        return error.unflatten(0, pairs).squeeze(2)

    def _terms_at_one_scale(
        self, batch: Batch, depths: Float[Tensor, "b v 1 h w"], T_src_tgt: Float[Tensor, "b s 4 4"],
        identity_error: Float[Tensor, "b s h w"], left_out: Mask | None,
    ) -> tuple[dict[str, Scalar], dict[str, Map], Comparison]:  # fmt: skip
        """Weighted terms and maps of the target for one scale of the decoder, and its pairs."""
        w, depth, count = self.weights, depths[:, 0], batch.sources.shape[1]
        # All (target, source) pairs become one batch.
        target, target_depth, intrinsics = (
            m.repeat_interleave(count, 0) for m in (batch.target, depth, batch.intrinsics)
        )
        sources, T = batch.sources.flatten(0, 1), T_src_tgt.flatten(0, 1)
        source_depth = depths[:, 1:].flatten(0, 1) if depths.shape[1] > 1 else None
        forward = self.compare(
            target, sources, target_depth, T, intrinsics, other_depth=source_depth
        )
        photometric, geometry, maps = self._reduce(
            join_sources(forward, count), identity_error.amin(1, keepdim=True), left_out
        )
        if w.geometry > 0:
            assert source_depth is not None, "`predict_depth` gives the depth of all views"
            reverse = self.compare(
                sources, target, source_depth, invert_motion(T), intrinsics,
                other_depth=target_depth,
            )  # fmt: skip
            own, own_geometry, _ = self._reduce(
                reverse, identity_error.flatten(0, 1)[:, None], None
            )
            # `own` is a mean over `count` views, the forward term is that of one.
            photometric = (photometric + count * own) / (1 + count)
            geometry = (geometry + count * own_geometry) / (1 + count)
        terms = {"photometric": w.photometric * photometric}
        if w.geometry > 0:
            terms["geometry"] = w.geometry * geometry
        if w.smoothness > 0:
            terms["smoothness"] = w.smoothness * smoothness(1 / depth, batch.target)
        return terms, {"depth": depth} | maps, forward

    def _reduce(
        self, maps: Comparison, identity_error: Map, left_out: Mask | None
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Photometric and geometry term, unweighted, and the maps they were made of."""
        # Mean of M e over the pixels that are seen, move in the image and are not left out; M is
        # 1 - the relative difference of the depths where views are compared (SC-Depth), else 1.
        error, inconsistency, visible = maps
        moving, weight = auto_mask(error, identity_error), weight_mask(inconsistency)
        pictures = {
            "photometric_error": error, "auto_mask": moving.to(error), "weight_mask": weight,
        }  # fmt: skip
        mask = visible & moving
        if left_out is not None:
            mask = mask & ~left_out
        if self.weights.geometry > 0:
            error = error * weight
        return masked_mean(error, mask), masked_mean(inconsistency, mask), pictures


def label_terms(
    config: PseudoDepthConfig, batch: Batch, depth: Map, reliability: Map, seen: Mask,
    static: Map | None,
) -> dict[str, Scalar]:  # fmt: skip
    """Weighted terms of pseudo-depth; `static` is a weight of each pixel, without it all."""
    label = batch.pseudo_depth
    if label is None:
        raise ValueError(
            f"pseudo_depth has weights above 0, but the scene of {batch.names[:1]} has no "
            "labels; `ssmde label` makes them"
        )
    terms: dict[str, Scalar] = {}
    known = label > 0
    where = torch.ones_like(depth) if static is None else static
    if config.structure > 0:
        sure = known & (where >= STATIC)
        found, wanted = (normals(d, batch.intrinsics) for d in (depth, label))
        structure = {
            "pseudo_normals": normal_matching(found, wanted, known_normals(label) * where),
            "pseudo_ranking": random_pair_ranking(depth, label, sure)
            if static is not None  # reliability is in the weight already
            else confident_depth_ranking(depth, label, reliability, known),
            "pseudo_edge_normals": edge_relative_normal(found, wanted, label, batch.target, sure),
        }
        terms |= {name: config.structure * term for name, term in structure.items()}
    if config.depth > 0:
        own = depth.detach()
        if batch.T_src_tgt is None:
            # With known motion the loader has brought the label to the unit of the poses. Else
            # scale and shift follow from the network's own depth where the views agree on it.
            label, fits = least_squares_to_depth(label, own, seen & (reliability > RELIABLE))
            where = where * fits[:, None, None, None]
        middle = own.flatten(1).median(1).values[:, None, None, None]
        where = where * (label > LEAST_SHARE * middle)
        terms["pseudo_depth"] = config.depth * log_depth_difference(depth, label, where)
    return terms
