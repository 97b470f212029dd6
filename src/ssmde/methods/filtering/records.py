"""What goes into the multi-view mask filter and what comes out of it."""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class FilterInput:
    """A target, its sources, and what the teacher says of them.

    Depth that is not a positive finite number is taken as not known: no view sees such a pixel.
    """

    target: Float[Tensor, "b 3 h w"]
    """RGB in [0, 1]; all maps lie on its pixel grid."""
    sources: Float[Tensor, "b s 3 h w"]
    """RGB in [0, 1]; the neighbours in time."""
    depth: Float[Tensor, "b 1 h w"]
    """Depth of the target."""
    source_depth: Float[Tensor, "b s 1 h w"]
    """Depth of each source, in the same unit."""
    flipped_depth: Float[Tensor, "b 1 h w"]
    """Depth of the mirrored target, mirrored back."""
    T_src_tgt: Float[Tensor, "b s 4 4"]
    """Motion from the target camera to each source camera, in the unit of the depth."""
    intrinsics: Float[Tensor, "b 3 3"]
    """Pinhole matrix for this image size, in pixels."""
    features: tuple[Float[Tensor, "b _ _ _"], ...] | None = None
    """Features of the target, one map per level of the encoder."""
    identity_error: Float[Tensor, "b s h w"] | None = None
    """Photometric error between the target and each unmoved source, where it is known already."""
    student_error: Float[Tensor, "b 1 h w"] | None = None
    """Photometric error of the target rebuilt with the student's depth, the smallest over the
    sources, inf where none sees the pixel; only the variant `photo_sdfa` reads it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FilterOutput:
    """Where to trust the teacher. The three regions are disjoint and cover the image."""

    weight: Float[Tensor, "b 1 h w"]
    """Trust in the teacher's depth, in [0, 1]."""
    static: Bool[Tensor, "b 1 h w"]
    """Stands still in the world, and the depths of the views agree."""
    dynamic: Bool[Tensor, "b 1 h w"]
    """Moves by itself."""
    unknown: Bool[Tensor, "b 1 h w"]
    """Everything else: hidden, out of view, or of a depth the views do not agree on."""
    level_weights: tuple[Float[Tensor, "b 1 _ _"], ...] = ()
    """Mean of `weight` over each cell of each level of `features`; empty without features."""
    features: tuple[Float[Tensor, "b _ _ _"], ...] | None = None
    """Features of length 1 in every cell, times the weight of their level."""
    log_scale: Float[Tensor, "b 1 h w"] | None = None
    """Log of the expected error b, in [-3, 3]; only of the variant `learned`, with a gradient."""
    statistics: dict[str, Float[Tensor, ""]]
    """For the log: `static`, `dynamic`, `unknown` (shares of the image), `weight` (mean),
    `motion_threshold`, `depth_inconsistency` (mean over the pixels the sources see)."""
