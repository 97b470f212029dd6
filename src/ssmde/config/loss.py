"""Weights of the terms of the loss, and the switches of its masks."""

from dataclasses import dataclass

from ssmde.config.section import Section, refuse


@dataclass(frozen=True, kw_only=True, slots=True)
class LossConfig(Section):
    """Weights of the terms of the loss, and the switches of its masks; 0 leaves a term out."""

    photometric: float = 1.0
    """SSIM + L1 between the target and the rebuilt target, in [0, 1] per pixel."""
    geometry: float = 0.0
    """Depth inconsistency between two views, in [0, 1) per pixel."""
    pose: float = 1.0
    """Where poses come with the frames they are the motion, and the pose network learns to say them
    with this weight: mean absolute difference of rotation matrix and translation. `rotation_first`,
    `upright_first` and `normalise_depth` then have no effect."""
    points: float = 0.0
    """Depth of the points that `ssmde track` followed: mean |difference of log depth|. Tells what
    neighbouring frames cannot where the camera hardly moves; needs `data.poses tracked`."""
    rotation_first: float = 0.0
    """Share of the training, from its start, in which only the rotation is learnt, from blurred
    images and without depth. Hand-held video is mostly rotation, which translation must not
    explain."""
    upright_first: float = 0.0
    """Share of the training, after that, in which the whole motion is learnt before a fixed plane
    that is nearer below, and the depth network learns this plane: it decides which way is near."""
    normalise_depth: bool = False
    """Divide the depths of a snippet by one scale, that of its mean disparity, before they are
    compared: the loss then cannot push the depth to infinity to be rid of a wrong translation."""
    geometry_ramp: float = 0.0
    """Share of the training over which the geometry weight rises from 0; agreement before there is
    depth to agree on keeps the depth constant."""
    smoothness: float = 0.001
    """Edge-aware first-order smoothness of the mean-normalised disparity."""
    scales: tuple[int, ...] = (0,)
    """Decoder scales that carry the loss: 0, which is full size, and any of 1, 2, 3 (an eighth)."""
    ssim_share: float = 0.85
    """Share of SSIM in the photometric error; the rest is L1."""
    auto_mask: bool = True
    """Leave out pixels that an unmoved source explains better (Monodepth2)."""
    minimum_reprojection: bool = True
    """Per pixel, only the source that rebuilds it best counts; else the mean of all."""
    weight_mask: bool = False
    """Weigh the photometric error by 1 - depth inconsistency (SC-Depth)."""
    both_directions: bool = False
    """Also rebuild each source from the target, on the source's own grid (SC-Depth)."""

    def __post_init__(self) -> None:
        """Refuse negative weights and scales the decoder does not have."""
        Section.__post_init__(self)
        for name in ("photometric", "geometry", "pose", "points", "smoothness"):
            value = getattr(self, name)
            refuse(not value >= 0, f"loss.{name} must be at least 0, got {value}")
        refuse(
            0 not in self.scales or not set(self.scales) <= {0, 1, 2, 3},
            f"loss.scales must be 0 and any of 1, 2, 3, got {self.scales}",
        )
        for name in ("rotation_first", "upright_first", "geometry_ramp"):
            value = getattr(self, name)
            refuse(
                not 0 <= value <= 1,
                f"loss.{name} is a share of the training, in [0, 1], got {value}",
            )
        refuse(
            not 0 <= self.ssim_share <= 1,
            f"loss.ssim_share must be in [0, 1], got {self.ssim_share}",
        )
