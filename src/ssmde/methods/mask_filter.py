"""Where a student may trust its teacher: the multi-view mask filter.

A reconstruction of the "multi-view mask filter module" that Hu et al., Sensors 2024
(https://doi.org/10.3390/s24134090) name but whose equations were not at hand. Two questions are
kept apart. Is the depth reliable? Then the views agree on it, also on a moving object: a correct
depth of a mover passes every test of depth. Does the pixel move? Then neither depth nor camera
motion explains how the image changes.
"""

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ssmde.losses.masks import minimum_reprojection
from ssmde.methods.filtering.evidence import Evidence, gather_evidence, is_depth
from ssmde.methods.filtering.records import FilterInput, FilterOutput
from ssmde.methods.filtering.regions import (
    Regions,
    depth_reliability,
    depths_agree,
    drop_lowest,
    motion_candidates,
    motion_ratio,
    split_regions,
)
from ssmde.methods.filtering.threshold import RunningQuantile
from ssmde.methods.filtering.uncertainty import Uncertainty, UncertaintyNet

Variant = Literal["off", "strict", "soft", "photo_sdfa", "learned"]

THRESHOLD_RANGE = (0.25, 0.80)  # of the motion ratio: below, noise; above, hardly any mover
DROPPED_SHARE = 0.10  # of the weights in each region, the lowest
SDFA_MARGIN, SDFA_LIMIT = 1e-5, 0.2  # SDFA-Net, ECCV 2022


class _Findings(NamedTuple):
    """What the variants choose from."""

    evidence: Evidence
    regions: Regions
    flip_agreement: Float[Tensor, "b 1 h w"]
    threshold: Float[Tensor, ""]


class MaskFilter(nn.Module):
    """Regions of the target and a weight for the teacher's depth, from all views of a snippet.

    Variants of the weight; the regions are the same in all of them:

    * `off`: 1 everywhere.
    * `soft`: static region by agreement of the views; moving objects, and pixels no source sees,
      by agreement with the mirrored image, at a discount.
    * `strict`: as `soft`, and 0 outside the static region.
    * `photo_sdfa`: 1 where the teacher's depth rebuilds the target at least as well as the
      student's, and well (Zhou and Dong, ECCV 2022, https://arxiv.org/abs/2209.07088); else 0.
    * `learned`: falls with the error that a small network expects, inside the static region.

    Nothing carries a gradient but the weight and the log scale of `learned`, towards its network.
    """

    def __init__(
        self,
        *,
        variant: Variant = "soft",
        quantile: float = 0.80,
        tau_depth: float = 0.05,
        tau_pixels: float = 1.0,
        beta_dynamic: float = 0.5,
        beta_unknown: float = 0.25,
        sigma_depth: float = 0.05,
        sigma_flip: float = 0.05,
        momentum: float = 0.99,
        sources: int = 2,
    ) -> None:
        """Build the filter.

        Args:
            variant: How the weight is made.
            quantile: Share of the pixels that count as explained by the camera's motion; 0.80 for
                videos with many movers, 0.95 for mostly static ones.
            tau_depth: Largest relative difference |a - b| / (a + b) of depths that agree.
            tau_pixels: Largest way between a pixel and its return, in pixels of an image 320 wide.
            beta_dynamic: Factor on the weight of moving objects, in [0, 1].
            beta_unknown: Factor on the weight of pixels that no source sees, in [0, 1].
            sigma_depth: Relative depth difference at which the weight falls to 1 / e.
            sigma_flip: The same for the difference to the depth of the mirrored image.
            momentum: Share of the past in the motion threshold, in [0, 1).
            sources: Number of source views; only the variant `learned` is bound to it.

        Raises:
            ValueError: If a value lies outside its range; says which.
        """
        super().__init__()
        _check_range("quantile", quantile, 0 < quantile < 1, "in (0, 1)")
        _check_range("momentum", momentum, 0 <= momentum < 1, "in [0, 1)")
        for name, beta in (("beta_dynamic", beta_dynamic), ("beta_unknown", beta_unknown)):
            _check_range(name, beta, 0 <= beta <= 1, "in [0, 1]")
        for name, tau in (("tau_depth", tau_depth), ("tau_pixels", tau_pixels)):
            _check_range(name, tau, tau > 0, "positive")
        for name, sigma in (("sigma_depth", sigma_depth), ("sigma_flip", sigma_flip)):
            _check_range(name, sigma, sigma > 0, "positive")
        self.variant: Variant = variant
        self.tau_depth, self.tau_pixels = tau_depth, tau_pixels
        self.sigma_depth, self.sigma_flip = sigma_depth, sigma_flip
        self.beta_dynamic, self.beta_unknown = beta_dynamic, beta_unknown
        self.threshold = RunningQuantile(quantile, momentum, THRESHOLD_RANGE)
        self.network = UncertaintyNet(sources) if variant == "learned" else None

    def forward(self, inputs: FilterInput) -> FilterOutput:
        """Filter one batch; in training mode the motion threshold follows it.

        Args:
            inputs: Images, the teacher's depths and motions.

        Raises:
            ValueError: If the variant needs something the inputs do not have.
        """
        with torch.autocast(inputs.target.device.type, enabled=False):
            findings = self._look(inputs)
            if self.network is None:
                return _report(inputs, findings, self._weight(inputs, findings))
            said = _say(self.network, inputs, findings)
            return _report(inputs, findings, said.weight, said.log_scale)

    def uncertainty(self, inputs: FilterInput) -> Uncertainty:
        """Log scale b and weight of the variant `learned`, with a gradient towards its network.

        Trained by mean(|delta| exp(-b) + b), delta the difference of log depth between student and
        teacher. `forward` returns the same two maps and more: call one of the two for a batch, or
        the motion threshold follows it twice.

        Args:
            inputs: Images, the teacher's depths and motions.

        Raises:
            ValueError: If the variant is another one.
        """
        if self.network is None:
            raise ValueError(f"only the variant 'learned' has an uncertainty, not {self.variant!r}")
        with torch.autocast(inputs.target.device.type, enabled=False):
            return _say(self.network, inputs, self._look(inputs))

    @torch.no_grad()
    def _look(self, inputs: FilterInput) -> _Findings:
        """Evidence and regions."""
        evidence = gather_evidence(inputs)
        ratio = motion_ratio(evidence)
        threshold = self.threshold(ratio, evidence.visible.any(1, keepdim=True))
        candidates = motion_candidates(evidence, ratio, threshold, tau_depth=self.tau_depth)
        agree = depths_agree(evidence, tau_depth=self.tau_depth, tau_pixels=self.tau_pixels)
        flip = _flip_agreement(inputs.depth, inputs.flipped_depth, self.sigma_flip)
        return _Findings(evidence, split_regions(candidates, agree), flip, threshold)

    @torch.no_grad()
    def _weight(self, inputs: FilterInput, findings: _Findings) -> Float[Tensor, "b 1 h w"]:
        """Weight of the variants without a network."""
        if self.variant == "off":
            return torch.ones_like(inputs.depth)
        if self.variant == "photo_sdfa":
            return _as_good_as_student(findings.evidence, inputs.student_error)
        static, dynamic, _ = findings.regions
        weight = static * depth_reliability(findings.evidence, sigma_depth=self.sigma_depth)
        if self.variant == "soft":
            unseen = ~findings.evidence.visible.any(1, keepdim=True) & ~dynamic
            weight = weight + self.beta_dynamic * dynamic + self.beta_unknown * unseen
        weight = weight * findings.flip_agreement
        for region in (static, dynamic):
            weight = drop_lowest(weight, region, DROPPED_SHARE)
        return weight


def _say(network: UncertaintyNet, inputs: FilterInput, findings: _Findings) -> Uncertainty:
    """What the network makes of the findings."""
    flip, static = findings.flip_agreement, findings.regions.static
    return network(findings.evidence, inputs.depth, flip, static)


def _flip_agreement(
    depth: Float[Tensor, "b 1 h w"], flipped: Float[Tensor, "b 1 h w"], sigma: float
) -> Float[Tensor, "b 1 h w"]:
    """exp(-|D - D'| / (sigma (D + D'))), in [0, 1]; 0 where either is not known.

    Needs no second view: it also works on moving objects, where geometry cannot.
    """
    agreement = torch.exp(-(depth - flipped).abs() / (sigma * (depth + flipped)))
    return torch.where(is_depth(depth) & is_depth(flipped), agreement, torch.zeros_like(agreement))


def _as_good_as_student(
    evidence: Evidence, student_error: Float[Tensor, "b 1 h w"] | None
) -> Float[Tensor, "b 1 h w"]:
    """1 where the teacher's error is small and not above the student's; 0 where no source sees."""
    if student_error is None:
        raise ValueError("the variant 'photo_sdfa' needs student_error, got None")
    best = minimum_reprojection(evidence.error, evidence.visible)
    good = (best.error < student_error + SDFA_MARGIN) & (best.error < SDFA_LIMIT)
    return (good & best.visible).to(student_error)


def _report(
    inputs: FilterInput,
    findings: _Findings,
    weight: Float[Tensor, "b 1 h w"],
    log_scale: Float[Tensor, "b 1 h w"] | None = None,
) -> FilterOutput:
    """Everything a method wants to know, from the weight on."""
    regions, evidence, depth = findings.regions, findings.evidence, inputs.depth
    features = inputs.features or ()
    levels = tuple(F.adaptive_avg_pool2d(weight, (f.shape[-2], f.shape[-1])) for f in features)
    directions = (F.normalize(f.detach().to(weight), dim=1) for f in features)
    masked = tuple(w * f for w, f in zip(levels, directions, strict=True))
    seen = evidence.visible.sum().clamp(min=1)
    statistics = {
        **{name: mask.to(depth).mean() for name, mask in regions._asdict().items()},
        "weight": weight.detach().mean(),
        "motion_threshold": findings.threshold,
        "depth_inconsistency": evidence.depth_difference.abs().sum() / seen,
    }
    return FilterOutput(
        weight=weight,
        static=regions.static,
        dynamic=regions.dynamic,
        unknown=regions.unknown,
        level_weights=levels,
        features=None if inputs.features is None else masked,
        log_scale=log_scale,
        statistics=statistics,
    )


def _check_range(name: str, value: float, fits: bool, meaning: str) -> None:
    """Refuse a number outside its range."""
    if not fits:
        raise ValueError(f"{name} must be {meaning}, got {value}")
