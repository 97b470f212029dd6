"""Where a student may trust its teacher: the multi-view mask filter.

A reconstruction of the "multi-view mask filter module" that Hu et al., Sensors 2024
(https://doi.org/10.3390/s24134090) name but whose equations were not at hand. Two questions are
kept apart. Is the depth reliable? Then the views agree on it, also on a moving object: a correct
depth of a mover passes every test of depth. Does the pixel move? Then neither depth nor camera
motion explains how the image changes.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ssmde.geometry.camera import MIN_DEPTH, invert_motion
from ssmde.geometry.ground import dilate, erode
from ssmde.geometry.warp import reproject, sample
from ssmde.losses.masks import MAX_SAMPLES, all_gather_batch, rank_and_world, thin
from ssmde.losses.photometric import photometric_error
from ssmde.types import RGB, Intrinsics, Map, Mask, Motion, Scalar

QUANTILE = 0.80  # share of the pixels that count as explained by the camera's motion
MOMENTUM = 0.99  # share of the past in the motion threshold
THRESHOLD_RANGE = (0.25, 0.80)  # of the motion ratio: below, noise; above, hardly any mover
TAU_DEPTH = 0.05  # largest relative difference |a - b| / (a + b) of depths that agree
TAU_PIXELS = 1.0  # largest way between a pixel and its return, in pixels of an image 320 wide
SIGMA_DEPTH = 0.05  # relative depth difference at which the weight falls to 1 / e
SIGMA_FLIP = 0.05  # the same for the difference to the depth of the mirrored image
RETURN_SCALE = 1.0  # fall-off of the weight with the way back, pixels of an image 320 wide
BETA_DYNAMIC, BETA_UNKNOWN = 0.5, 0.25  # factors where something moves, and where no source looks
DROPPED_SHARE = 0.10  # of the weights in each region, the lowest
REFERENCE_WIDTH = 320  # image width for which tolerances in pixels are stated
IDENTITY_FLOOR = 0.02  # keeps the ratio of errors finite, and small where nothing changes at all
TEXTURE_FLOOR = 0.02  # where the images differ by less, nothing can be said of motion
FEWEST_FOR_TWO = 4  # from so many sources on, two must agree
ERODE, DILATE, MAJORITY = 3, 7, 5  # windows of the spatial filter, in pixels


@dataclass(frozen=True, kw_only=True, slots=True)
class TeacherPrediction:
    """A target, its sources, and the depth and motion that the teacher predicts for them."""

    target: RGB  # all maps lie on its pixel grid
    sources: Float[Tensor, "b s 3 h w"]  # RGB in [0, 1]; the neighbors in time
    # Where depth is no positive finite number it is not known: no view sees such a pixel.
    depth: Map  # of the target
    source_depth: Float[Tensor, "b s 1 h w"]  # of each source, in the same unit
    flipped_depth: Map  # of the mirrored target, mirrored back
    T_src_tgt: Float[Tensor, "b s 4 4"]  # in the unit of the depth
    intrinsics: Intrinsics
    identity_error: Float[Tensor, "b s h w"] | None = None  # to the unmoved sources, if known


@dataclass(frozen=True, kw_only=True, slots=True)
class FilterOutput:
    """Where to trust the teacher. The three regions are disjoint and cover the image."""

    weight: Map  # trust in the teacher's depth, in [0, 1]
    static: Mask  # stands still in the world, and the depths of the views agree
    dynamic: Mask  # moves by itself
    unknown: Mask  # everything else: hidden, out of view, or of a depth the views do not agree on
    statistics: dict[str, Scalar]
    """For the log: `static`, `dynamic`, `unknown` (shares of the image), `weight` (mean),
    `motion_threshold`, `depth_inconsistency` (mean over the pixels the sources see)."""


class Evidence(NamedTuple):
    """Maps on the target's grid, one per source; 0 or False where that source sees nothing."""

    visible: Bool[Tensor, "b s h w"]  # the pixel lands inside the source, in front of its camera
    # (z - D) / (z + D), in (-1, 1): z is the depth of the point in the source camera, D that of the
    # surface seen there. Positive: the source sees a nearer surface, the point is hidden.
    depth_difference: Float[Tensor, "b s h w"]
    # From the pixel to where it comes back to through the source's depth; image 320 wide.
    return_error: Float[Tensor, "b s h w"]
    error: Float[Tensor, "b s h w"]  # photometric, of the target rebuilt from the source, in [0, 1]
    identity_error: Float[Tensor, "b s h w"]  # of the source left where it is; known everywhere


class MotionThreshold(nn.Module):
    """The motion ratio above which a pixel moves: a quantile of the ratios seen in the training.

    Exponential mean over the batches of all processes, without bias towards its start; it moves in
    training mode only.
    """

    total: Tensor
    weight: Tensor

    def __init__(self, quantile: float = QUANTILE, momentum: float = MOMENTUM) -> None:
        super().__init__()
        self.quantile, self.momentum = quantile, momentum
        self.register_buffer("total", torch.zeros(()))
        self.register_buffer("weight", torch.zeros(()))

    @torch.no_grad()
    def forward(self, ratio: Map, seen: Mask) -> Scalar:
        """Threshold after this batch, in `THRESHOLD_RANGE`; with nothing seen ever, its upper end.

        In evaluation mode before any update, it is the quantile of the batch itself.
        """
        # As many values as a single process would take of the whole batch, and the same ones.
        limit = MAX_SAMPLES / (rank_and_world()[1] if self.training else 1)
        few, chosen = thin(ratio, limit), thin(seen, limit)
        if self.training:
            few, chosen = all_gather_batch(few), all_gather_batch(chosen.to(few)) > 0
        measured = masked_quantile(few.flatten()[None], chosen.flatten()[None], self.quantile)
        measured = measured.squeeze(0).to(self.total)
        known = measured.isfinite().to(measured)
        measured = torch.where(known > 0, measured, THRESHOLD_RANGE[1])
        if self.training:  # not at all where the batch has no quantile
            step = (1 - self.momentum) * known
            self.total.lerp_(measured, step)
            self.weight.lerp_(torch.ones_like(self.weight), step)
        running = self.total / self.weight.clamp(min=torch.finfo(self.weight.dtype).tiny)
        return torch.where(self.weight > 0, running, measured).clamp(*THRESHOLD_RANGE).to(ratio)


class MaskFilter(nn.Module):
    """Regions of the target and a weight for the teacher's depth, from all views of a snippet.

    Nothing carries a gradient.
    """

    def __init__(self) -> None:
        super().__init__()
        self.threshold = MotionThreshold()

    @torch.no_grad()
    def forward(self, teacher: TeacherPrediction) -> FilterOutput:
        """Filter one batch; in training mode the motion threshold follows it."""
        with torch.autocast(teacher.target.device.type, enabled=False):
            evidence = gather_evidence(teacher)
            seen = evidence.visible.any(1, keepdim=True)
            ratio = motion_ratio(evidence)
            threshold = self.threshold(ratio, seen)
            moving = motion_candidates(evidence, ratio, threshold)
            static, dynamic = split_regions(moving, depths_agree(evidence))
            # Views judge what is static. What moves, or no source sees, is left to the mirrored
            # image alone, at a discount: it needs no second view.
            weight = (
                static * depth_reliability(evidence)
                + BETA_DYNAMIC * dynamic
                + BETA_UNKNOWN * (~seen & ~dynamic)
            ) * _flip_agreement(teacher.depth, teacher.flipped_depth)
            for region in (static, dynamic):
                weight = drop_lowest(weight, region, DROPPED_SHARE)
            regions = {"static": static, "dynamic": dynamic, "unknown": ~(static | dynamic)}
            inconsistency = evidence.depth_difference.abs().sum()
            statistics = {name: mask.to(weight).mean() for name, mask in regions.items()} | {
                "weight": weight.mean(),
                "motion_threshold": threshold,
                "depth_inconsistency": inconsistency / evidence.visible.sum().clamp(min=1),
            }
        return FilterOutput(weight=weight, **regions, statistics=statistics)


def gather_evidence(teacher: TeacherPrediction) -> Evidence:
    """Look at every source through the teacher's depth, and back."""
    shape = teacher.sources.shape[:2]
    target, depth, intrinsics = (
        m.repeat_interleave(shape[1], 0)
        for m in (teacher.target, teacher.depth, teacher.intrinsics)
    )
    sources, source_depth, T = (
        m.flatten(0, 1) for m in (teacher.sources, teacher.source_depth, teacher.T_src_tgt)
    )
    known = is_depth(depth)
    found = reproject(torch.where(known, depth, torch.ones_like(depth)), T, intrinsics)
    visible = found.visible & known
    pixels = torch.where(visible.movedim(1, -1), found.pixels, torch.zeros_like(found.pixels))
    readable = torch.where(is_depth(source_depth), source_depth, torch.zeros_like(source_depth))
    sampled = sample(torch.cat([sources, readable], dim=1), pixels)
    surface = sampled[:, 3:].clamp(min=MIN_DEPTH)
    difference = (found.depth - surface) / (found.depth + surface)
    # The inverse of the same motion: two predicted ones would measure how little they fit.
    back = _return_error(pixels, surface, invert_motion(T), intrinsics)
    # Unseen pixels are black in `sampled`: they must not darken the SSIM windows around them.
    error = photometric_error(torch.where(visible, sampled[:, :3], target), target)
    nothing = torch.zeros_like(error)
    maps = (visible, *(torch.where(visible, m, nothing) for m in (difference, back, error)))
    identity = teacher.identity_error
    if identity is None:
        identity = photometric_error(sources, target).squeeze(1).unflatten(0, shape)
    return Evidence(*(m.squeeze(1).unflatten(0, shape) for m in maps), identity_error=identity)


def is_depth(values: Tensor) -> Tensor:
    """True where a value can be a depth: finite and positive."""
    return values.isfinite() & (values > 0)


def _return_error(
    pixels: Float[Tensor, "b h w 2"], depth: Map, T_tgt_src: Motion, intrinsics: Intrinsics
) -> Map:
    """How far from its start a pixel lands that is lifted in the source and sent back.

    `pixels` are where it lies in the source, `depth` what the source sees there. Infinite where it
    would land behind the target's camera.
    """
    # Plane by plane, as `reproject` does, and no matrix product: exact under autocast.
    height, width = depth.shape[-2:]
    motion, camera = T_tgt_src[..., None, None], intrinsics[..., None, None]
    (fx, cx), (fy, cy) = ((camera[:, i, i], camera[:, i, 2]) for i in (0, 1))
    u, v = pixels.unbind(-1)
    z = depth.squeeze(1)
    x, y = (u - cx) / fx * z, (v - cy) / fy * z
    back_x, back_y, back_z = (
        row[:, 0] * x + row[:, 1] * y + row[:, 2] * z + row[:, 3] for row in motion[:, :3].unbind(1)
    )
    divisor = back_z.clamp(min=MIN_DEPTH)
    columns, rows = (torch.arange(n, dtype=z.dtype, device=z.device) for n in (width, height))
    way_u = fx * back_x / divisor + cx - columns
    way_v = fy * back_y / divisor + cy - rows[:, None]
    distance = (way_u.square() + way_v.square()).sqrt() * (REFERENCE_WIDTH / width)
    return distance.masked_fill(back_z <= MIN_DEPTH, torch.inf).unsqueeze(1)


def depth_reliability(evidence: Evidence) -> Map:
    """max_s V exp(-e_d / sigma) exp(-e_px^2 / 2), in [0, 1]; 0 where none sees the pixel."""
    # The best and not the mean: what one neighbor cannot see is usually in sight of the other.
    depth_part = torch.exp(-evidence.depth_difference.abs() / SIGMA_DEPTH)
    way_part = torch.exp(-0.5 * (evidence.return_error / RETURN_SCALE).square())
    return (depth_part * way_part * evidence.visible).amax(1, keepdim=True)


def depths_agree(evidence: Evidence) -> Mask:
    """True where enough sources confirm the depth: one of up to three, two of four or more."""
    close = evidence.depth_difference.abs() < TAU_DEPTH
    agree = evidence.visible & close & (evidence.return_error < TAU_PIXELS)
    fewest = 1 if agree.shape[1] < FEWEST_FOR_TWO else 2
    return agree.sum(1, keepdim=True) >= fewest


def motion_ratio(evidence: Evidence) -> Map:
    """e_ph / (e_id + 0.02), the smallest over the sources; inf where none sees.

    Small where camera motion and depth explain the change of the image, else 1 and more.
    """
    ratio = evidence.error / (evidence.identity_error + IDENTITY_FLOOR)
    return ratio.masked_fill(~evidence.visible, torch.inf).amin(1, keepdim=True)


def motion_candidates(evidence: Evidence, ratio: Map, threshold: Scalar) -> Mask:
    """True where the images change and the camera's motion does not explain it.

    Not where every source that sees the pixel's place has a nearer surface there: a hidden pixel
    is not a moving one.
    """
    in_sight = evidence.visible & ~(evidence.depth_difference > TAU_DEPTH)
    textured = evidence.identity_error.amax(1, keepdim=True) > TEXTURE_FLOOR
    return in_sight.any(1, keepdim=True) & textured & (ratio >= threshold)


def split_regions(candidates: Mask, agree: Mask) -> tuple[Mask, Mask]:
    """The static and the dynamic region, from pixels that agree and that seem to move, less specks.

    Agreement counts where most of the 5 x 5 pixels around agree too, as far as they are inside.
    """
    dynamic = dilate(erode(candidates, ERODE), DILATE)
    share = F.avg_pool2d(agree.float(), MAJORITY, 1, MAJORITY // 2, count_include_pad=False)
    return agree & (share > 0.5) & ~dynamic, dynamic


def masked_quantile(
    values: Float[Tensor, "b n"], mask: Bool[Tensor, "b n"], quantile: float
) -> Float[Tensor, " b"]:
    """Quantile of the chosen values of each row, linear between two; inf where none is finite."""
    found = values.masked_fill(~mask, torch.nan).nanquantile(quantile, dim=1)
    return found.nan_to_num(nan=torch.inf)


def drop_lowest(weight: Map, region: Mask, share: float) -> Map:
    """The weight with the lowest values of the region set to 0, image by image; equal ones stay."""
    limit = MAX_SAMPLES * weight.shape[0]
    values, chosen = thin(weight, limit).flatten(1), thin(region, limit).flatten(1)
    lowest = masked_quantile(values, chosen, share)[:, None, None, None]
    return weight.masked_fill(region & (weight < lowest), 0)


def _flip_agreement(depth: Map, flipped: Map) -> Map:
    """exp(-|D - D'| / (sigma (D + D'))), in [0, 1]; 0 where either is not known."""
    agreement = torch.exp(-(depth - flipped).abs() / (SIGMA_FLIP * (depth + flipped)))
    return torch.where(is_depth(depth) & is_depth(flipped), agreement, torch.zeros_like(agreement))
