"""How far the points of a depth map are from the true ones in space, not along their own ray."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from ssmde.geometry.camera import backproject

NEAR = 0.05  # a point is right within this share of the true depth
POINTS = 10_000  # of an image, evenly spread over its pixels
CHUNK = 500  # points compared with all others at once: 40 MB


@dataclass(frozen=True, kw_only=True, slots=True)
class PointCloudErrors:
    """How the points of one image lie to the true ones, or the mean over images."""

    f_score: float
    """2 P R / (P + R), in [0, 1]; 1 is best."""
    precision: float
    """Share of the predicted points that lie near a true one, in [0, 1]."""
    recall: float
    """Share of the true points that lie near a predicted one, in [0, 1]."""
    accuracy: float
    """Mean distance of the predicted points to the nearest true one, in the unit of the truth."""
    completeness: float
    """Mean distance of the true points to the nearest predicted one, in the unit of the truth."""
    chamfer: float
    """Mean of accuracy and completeness, in the unit of the truth."""


def point_cloud_errors(
    prediction: Float[np.ndarray, "h w"],
    truth: Float[np.ndarray, "h w"],
    intrinsics: Float[np.ndarray, "3 3"],
    counted: Bool[np.ndarray, "h w"],
    *,
    near: float = NEAR,
    max_points: int = POINTS,
) -> PointCloudErrors | None:
    """Errors of the points that two depth maps of one image stand for; None if no pixel counts.

    Both maps are lifted by the same camera, at the same pixels: see `cloud_errors`.

    Args:
        prediction: Depth; positive where counted, aligned and clipped.
        truth: True depth; positive where counted.
        intrinsics: Pinhole matrix, in pixels of these maps.
        counted: Pixels that have truth and count.
        near: Distance within which a point is right, as a share of the true depth.
        max_points: Lift at most so many pixels, evenly spread.

    Raises:
        ValueError: If a counted depth is not positive and finite, or `near` is not positive.
    """
    if max_points < 1:
        raise ValueError(f"max_points must be 1 or more, got {max_points}")
    pixels = np.flatnonzero(counted)
    if pixels.size > max_points:
        pixels = pixels[np.linspace(0, pixels.size - 1, max_points).astype(np.int64)]
    predicted, true = (_lift(depth, intrinsics, pixels) for depth in (prediction, truth))
    return cloud_errors(predicted, true, near=near)


def cloud_errors(
    predicted: Float[np.ndarray, "n 3"], true: Float[np.ndarray, "m 3"], *, near: float = NEAR
) -> PointCloudErrors | None:
    """Errors of a point cloud; None if one of the two has no point.

    Precision is the share of predicted points whose nearest true point is closer than `near` times
    the depth of the latter, recall the share of true points whose nearest predicted point is closer
    than `near` times their own depth; the F-score is their harmonic mean (Knapitsch et al., Tanks
    and Temples, 2017, https://doi.org/10.1145/3072959.3073599; on depth maps: Oernek et al., 2022,
    https://arxiv.org/abs/2203.08122). The threshold grows with the depth because the error of any
    depth map does. Distances are Euclidean, not squared.

    Args:
        predicted: Points in the camera, in the unit of the truth; z positive.
        true: Points in the same camera; z positive.
        near: Distance within which a point is right, as a share of the true depth.

    Raises:
        ValueError: If a depth is not positive and finite, or `near` is not positive.
    """
    if not near > 0:
        raise ValueError(f"near must be positive: a share of the depth such as 0.05, got {near:g}")
    for name, points in (("predicted", predicted), ("true", true)):
        wrong = int((~(np.isfinite(points).all(1) & (points[:, 2] > 0))).sum())
        if wrong:
            raise ValueError(
                f"points must be finite and in front of the camera, {wrong} of {len(points)} "
                f"{name} points are not"
            )
    if not len(predicted) or not len(true):
        return None
    p, g = (torch.from_numpy(points.astype(np.float64)) for points in (predicted, true))
    (to_true, which), (to_predicted, _) = _nearest(p, g), _nearest(g, p)
    precision = float((to_true < near * g[which, 2]).double().mean())
    recall = float((to_predicted < near * g[:, 2]).double().mean())
    accuracy, completeness = float(to_true.mean()), float(to_predicted.mean())
    return PointCloudErrors(
        f_score=2 * precision * recall / max(precision + recall, 1e-12),
        precision=precision,
        recall=recall,
        accuracy=accuracy,
        completeness=completeness,
        chamfer=(accuracy + completeness) / 2,
    )


def _lift(
    depth: Float[np.ndarray, "h w"],
    intrinsics: Float[np.ndarray, "3 3"],
    pixels: Int64[np.ndarray, " n"],
) -> Float[np.ndarray, "n 3"]:
    depths = torch.from_numpy(depth.astype(np.float64))[None, None]
    camera = torch.from_numpy(intrinsics.astype(np.float64))[None]
    return backproject(depths, camera).reshape(-1, 3)[torch.from_numpy(pixels)].numpy()


def _nearest(
    points: Float[Tensor, "n 3"], others: Float[Tensor, "m 3"]
) -> tuple[Float[Tensor, " n"], Int64[Tensor, " n"]]:
    """Distance to the nearest of the others, and which one it is."""
    # By differences: the faster way by products loses all digits of a small distance.
    exact = "donot_use_mm_for_euclid_dist"
    found = [torch.cdist(part, others, compute_mode=exact).min(1) for part in points.split(CHUNK)]
    return torch.cat([f.values for f in found]), torch.cat([f.indices for f in found])
