"""What is learnt from pseudo-depth, where, and how that is forgotten."""

from dataclasses import dataclass
from typing import Literal

from ssmde.config.section import Section, refuse

Forgetting = Literal["constant", "zero", "exponential", "linear", "cosine", "step", "delayed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PseudoDepthConfig(Section):
    """Weights of the terms that follow pseudo-depth, and their forgetting factor.

    With every weight at 0 no label file is read.
    """

    source: str = ""
    """Where a run of both stages gets the labels of scenes that have none: a source of `ssmde
    label`, such as depth-anything-v2, or `grounded`, which needs nothing but the video. Empty: they
    must be there."""
    normals: float = 0.0
    """Difference of surface normals, in [0, 2/3] per pixel."""
    ranking: float = 0.0
    """Order of near and far; pairs across unreliable pixels, and pairs at random."""
    edge_normals: float = 0.0
    """Relative normals across edges."""
    depth: float = 0.0
    """Difference of log depth to the aligned label: more than order and shape."""
    region: Literal["all", "static"] = "all"
    """Where the terms act. In stage 1 static weighs by 1 - depth inconsistency, in stage 2 it is
    what the multi-view mask filter calls static."""
    align: Literal["none", "least_squares_to_depth", "tracked"] = "none"
    """Scale and shift of each label: as stored; fitted to the network's own depth; or to the points
    that `ssmde track` followed, with `data.poses tracked`. Normals and ratios need the shift.
    `depth` fits to the network's own depth where the labels are as stored."""
    margin: float = 1.15
    """Ratio of two label depths from which one of them counts as nearer."""
    forgetting: Forgetting = "constant"
    """How the weight of all these terms falls over the training."""
    forgetting_end: float = 0.05
    """Forgetting factor at the end, for the forms that fall."""
    forgetting_start: float = 0.25
    """Share of the training before `delayed` falls; `step` halves at three quarters."""

    def __post_init__(self) -> None:
        """Refuse weights and factors that are none."""
        Section.__post_init__(self)
        for name in ("normals", "ranking", "edge_normals", "depth"):
            value = getattr(self, name)
            refuse(not value >= 0, f"pseudo_depth.{name} must be at least 0, got {value}")
        for name in ("forgetting_end", "forgetting_start"):
            value = getattr(self, name)
            refuse(not 0 <= value <= 1, f"pseudo_depth.{name} must be in [0, 1], got {value}")
        refuse(
            self.forgetting in ("exponential", "delayed") and self.forgetting_end == 0,
            "pseudo_depth.forgetting_end must be above 0 for an exponential; linear reaches 0",
        )
        refuse(not self.margin >= 1, f"pseudo_depth.margin must be at least 1, got {self.margin}")

    @property
    def wanted(self) -> bool:
        """Whether any term needs the labels."""
        return max(self.normals, self.ranking, self.edge_normals, self.depth) > 0
