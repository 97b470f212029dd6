"""Learning depth up to scale and shift from measured depth: weights of the terms."""

from dataclasses import dataclass

from ssmde.config.section import Section, refuse


@dataclass(frozen=True, kw_only=True, slots=True)
class AffineConfig(Section):
    """Weights of the terms of LeReS, and of one of ours; 0 leaves a term out."""

    regression: float = 1.0
    """Difference to the truth, both normalised image by image."""
    gradient: float = 0.5
    """Difference of the slopes, over four sizes."""
    ranking: float = 1.0
    """Order of near and far across edges and anywhere."""
    normals: float = 1.0
    """Relative normals across edges and anywhere."""
    log_depth: float = 1.0
    """Ours: difference of log depth up to one scale an image. It fixes the shift, which normals
    and ratios of the labels need."""
    log_gradient: float = 0.0
    """Ours: slopes of that difference, over four sizes. At full size it makes edges sharp."""

    def __post_init__(self) -> None:
        """Refuse negative weights, and none at all."""
        Section.__post_init__(self)
        weights = {
            name: getattr(self, name)
            for name in (
                "regression",
                "gradient",
                "ranking",
                "normals",
                "log_depth",
                "log_gradient",
            )
        }
        for name, value in weights.items():
            refuse(not value >= 0, f"affine.{name} must be at least 0, got {value}")
        refuse(max(weights.values()) == 0, "affine: one weight must be above 0")
