"""Stage 2: the student, its teacher, and the filter between them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ssmde.config.pseudo_depth import PseudoDepthConfig
from ssmde.config.section import Section, refuse

# The weights of SC-Depth V3 (Sun et al., TPAMI 2023), on static areas, and fading.
STUDENT_PSEUDO_DEPTH = PseudoDepthConfig(
    normals=0.1, ranking=0.1, edge_normals=0.1, region="static", forgetting="exponential"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class FilterConfig(Section):
    """The multi-view mask filter: which of the teacher's depth the student may see."""

    variant: Literal["off", "strict", "soft", "photo_sdfa", "learned"] = "soft"
    """`off` lets all through; `strict` only what several views confirm; `soft` weighs; `photo_sdfa`
    compares photometric errors; `learned` has a small network of its own."""
    quantile: float = 0.8
    """Share of the pixels whose photometric gain is high enough to be static: 0.8 for scenes with
    people or traffic, 0.95 for mostly static ones."""
    tau_depth: float = 0.05
    """Largest relative depth difference of a confirmed pixel."""
    tau_pixels: float = 1.0
    """Largest way of a point there and back, in pixels of an image 320 wide."""
    beta_dynamic: float = 0.5
    """Weight of the teacher where something moves."""
    beta_unknown: float = 0.25
    """Weight of the teacher where no view sees the pixel."""

    def __post_init__(self) -> None:
        """Refuse shares outside [0, 1] and thresholds that let nothing through."""
        Section.__post_init__(self)
        for name in ("quantile", "beta_dynamic", "beta_unknown"):
            value = getattr(self, name)
            refuse(not 0 <= value <= 1, f"student.filter.{name} must be in [0, 1], got {value}")
        for name in ("tau_depth", "tau_pixels"):
            value = getattr(self, name)
            refuse(value <= 0, f"student.filter.{name} must be positive, got {value}")


@dataclass(frozen=True, kw_only=True, slots=True)
class StudentConfig(Section):
    """Weights and switches of the second stage; the rest of the run is as in the first."""

    teacher: Path | None = None
    """Weights of the first stage; a run of both stages sets it."""
    teacher_mode: Literal["frozen", "ema", "epoch_best"] = "frozen"
    """Whether the teacher stays, follows the student slowly, or is replaced by a student that
    validates better."""
    ema_momentum: float = 0.999
    """How much of itself an `ema` teacher keeps at a step."""
    start: Literal["teacher", "fresh"] = "teacher"
    """First weights of the student: those of the teacher, or `model.pretrained`."""
    distillation: float = 0.5
    """Difference of log depth to the teacher."""
    gradient: float = 0.1
    """Difference of the gradients of log depth to the teacher's, over four sizes."""
    dynamic_ranking: float = 0.1
    """Order of moving against static points, as the teacher has it."""
    features: float = 0.05
    """1 - cosine to the teacher's encoder features."""
    forgets: Literal["weight", "label"] = "weight"
    """What fades by the forgetting factor: the weight of the terms that follow the labels, or, in
    place of these terms, the share of the label in the depth that is distilled."""
    distillation_ramp: float = 0.1
    """Share of the training over which these four rise, for a `fresh` student."""
    mask_dynamic: bool = True
    """Leave what moves out of the photometric and geometry terms."""
    steps: int = 0
    """Optimiser steps of stage 2; 0 takes as many as stage 1."""
    learning_rate: float = 0.0
    """Adam's step size in stage 2; 0 takes half of `train.learning_rate`."""
    filter: FilterConfig = field(default_factory=FilterConfig)
    pseudo_depth: PseudoDepthConfig = STUDENT_PSEUDO_DEPTH

    def __post_init__(self) -> None:
        """Refuse negative weights and a momentum that is none."""
        Section.__post_init__(self)
        for name in ("distillation", "gradient", "dynamic_ranking", "features", "steps"):
            value = getattr(self, name)
            refuse(not value >= 0, f"student.{name} must be at least 0, got {value}")
        for name in ("ema_momentum", "distillation_ramp"):
            value = getattr(self, name)
            refuse(not 0 <= value <= 1, f"student.{name} must be in [0, 1], got {value}")
        refuse(
            self.forgets == "label" and not (self.distillation > 0 and self.pseudo_depth.wanted),
            "student.forgets label mixes labels into what is distilled: it needs "
            "student.distillation and a weight of student.pseudo_depth above 0",
        )
        refuse(
            bool(self.pseudo_depth.source),
            "student.pseudo_depth.source cannot act: both stages learn from the labels of the "
            f"scenes, which pseudo_depth.source names; got {self.pseudo_depth.source!r}",
        )
        refuse(
            not self.learning_rate >= 0,
            f"student.learning_rate must be at least 0, got {self.learning_rate}",
        )
