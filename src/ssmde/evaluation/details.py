"""What is measured in a frame besides its errors: by distance, at edges, between frames."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float

from ssmde.console import counted
from ssmde.geometry.camera import scale_intrinsics
from ssmde.geometry.pose import invert_motion
from ssmde.metrics.alignment import Alignment
from ssmde.metrics.boundary import BoundaryErrors, boundary_errors
from ssmde.metrics.calibration import Calibration, calibration, mean_calibration
from ssmde.metrics.depth import DepthErrors, DepthSums
from ssmde.metrics.distance import band_edges, band_errors
from ssmde.metrics.protocol import Protocol, counted_pixels
from ssmde.metrics.temporal import TemporalErrors, seen_in_both, temporal_errors


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CameraPlace:
    """Where a frame was taken from, and by what camera."""

    T_world_cam: Float[np.ndarray, "4 4"]
    """Camera to world, in metres; nan where unknown."""
    intrinsics: Float[np.ndarray, "3 3"]
    """Pinhole matrix, in pixels of the image."""
    image_size: tuple[int, int]
    """Size (height, width) of the image."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MeasuredFrame:
    """A frame with its prediction, as the errors were measured."""

    prediction: Float[np.ndarray, "h w"]
    """Depth at the size of the truth, before the alignment."""
    truth: Float[np.ndarray, "h w"]
    """Depth in metres; 0 or not finite: none."""
    alignment: Alignment
    static: Bool[np.ndarray, "h w"] | None = None
    """Pixels known to stand still; None if nobody knows."""
    place: CameraPlace | None = None
    """None if its pose or camera is unknown."""
    confidence: Float[np.ndarray, "h w"] | None = None
    """At the size of the truth; None if the method has none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameDetails:
    """What was measured in one frame besides its errors."""

    bands: tuple[DepthErrors | None, ...]
    """Errors by true distance, a band each; None for a band without a pixel."""
    boundary: BoundaryErrors | None
    """Edges; None if the truth is not dense or has none."""
    temporal: TemporalErrors | None
    """With the frame before; None if there is none or the motion is unknown."""
    calibration: Calibration | None = None
    """None without confidence."""


def frame_details(
    frame: MeasuredFrame, before: MeasuredFrame | None, protocol: Protocol
) -> FrameDetails:
    """Measure the details of one frame.

    Args:
        frame: The frame.
        before: The frame before it in the same video, if that was measured too.
        protocol: Range, crop and distance bands.
    """
    counted = counted_pixels(frame.truth, protocol)
    aligned = _aligned(frame.prediction, frame.alignment, protocol)
    edges = band_edges(protocol.min_depth, protocol.max_depth)
    sure = frame.confidence
    return FrameDetails(
        bands=band_errors(aligned[counted], frame.truth[counted].astype(np.float64), edges),
        boundary=boundary_errors(aligned, frame.truth, counted),
        temporal=None if before is None else _temporal(before, frame, protocol),
        calibration=None
        if sure is None
        else calibration(aligned[counted], frame.truth[counted].astype(np.float64), sure[counted]),
    )


def mean_details(details: Sequence[FrameDetails], protocol: Protocol) -> dict[str, Any]:
    """Means over images as plain values: `boundary`, `per_distance`, `temporal`, `calibration`.

    Each image counts once in each mean it has a value for. What no image has is None, and a band
    without images is left out.
    """
    edges = band_edges(protocol.min_depth, protocol.max_depth)
    per_distance = list[dict[str, Any]]()
    for number, (near, far) in enumerate(pairwise(edges)):
        sums = DepthSums()
        for frame in details:
            sums = sums.add(frame.bands[number])
        if (mean := sums.mean()) is not None:
            row = {"from": near, "to": far, "n_images": sums.n_images, **asdict(mean)}
            per_distance.append(row)
    return {
        "boundary": _mean((d.boundary for d in details), "n_images"),
        "per_distance": per_distance,
        "temporal": _mean((d.temporal for d in details), "n_pairs"),
        "calibration": mean_calibration([d.calibration for d in details if d.calibration]),
    }


def told(means: dict[str, Any], align: str) -> list[str]:
    """The means of `mean_details` as lines to print, the alignment beside each."""
    lines = list[str]()
    if bands := means["per_distance"]:
        parts = [
            f"{b['from']:g}-{b['to']:g} m {b['abs_rel']:.3f} ({counted(b['n_images'], 'image')})"
            for b in bands
        ]
        lines.append(f"AbsRel by distance, alignment {align}: {', '.join(parts)}")
    if (b := means["boundary"]) is not None:
        lines.append(
            f"depth edges, alignment {align}: F1 {b['f1']:.3f} (precision {b['precision']:.3f}, "
            f"recall {b['recall']:.3f}), accuracy {b['accuracy']:.2f} px, completeness "
            f"{b['completeness']:.2f} px, {counted(b['n_images'], 'image')}"
        )
    if (t := means["temporal"]) is not None:
        lines.append(
            f"from frame to frame, one alignment ({align}) for each pair: AbsRel "
            f"{t['abs_rel']:.3f} between depths of the same static points (median "
            f"{t['median']:.3f}), {counted(t['n_pairs'], 'pair')}"
        )
    return [*lines, *told_confidence(means, align)]


def told_confidence(means: dict[str, Any], align: str) -> list[str]:
    """What the confidence is worth, as a line to print; none where there is no confidence."""
    if (c := means.get("calibration")) is None:
        return []
    return [
        f"confidence, alignment {align}: area under the sparsification error {c['ause']:.3f} "
        f"(chance {c['random']:.3f}, best 0); AbsRel of the least sure tenth "
        f"{c['table'][0]:.3f}, of the surest {c['table'][-1]:.3f}, "
        f"{counted(c['n_images'], 'image')}"
    ]


def _temporal(
    before: MeasuredFrame, frame: MeasuredFrame, protocol: Protocol
) -> TemporalErrors | None:
    """Disagreement with the frame before, about static points that the truth sees in both."""
    common = _common(before.alignment, frame.alignment)
    if common is None or before.place is None or frame.place is None:
        return None
    T_src_tgt = _motion(before.place.T_world_cam, frame.place.T_world_cam)
    shape = frame.truth.shape
    if not np.isfinite(T_src_tgt).all() or before.truth.shape != shape:
        return None
    target, source = (_aligned(f.prediction, common, protocol) for f in (frame, before))
    if not (np.isfinite(target).all() and np.isfinite(source).all()):
        return None  # the errors look only at pixels that count
    intrinsics = _camera(frame.place, shape)
    T_tgt_src = invert_motion(torch.from_numpy(T_src_tgt)).numpy()
    truths = [np.where(counted_pixels(f.truth, protocol), f.truth, 0.0) for f in (before, frame)]
    seen = [
        seen_in_both(truths[1], truths[0], T_src_tgt, intrinsics),
        seen_in_both(truths[0], truths[1], T_tgt_src, intrinsics),
    ]
    for place, measured in enumerate((frame, before)):
        if measured.static is not None:
            seen[place] &= measured.static
    return temporal_errors(
        target,
        source,
        T_src_tgt,
        intrinsics,
        target_counts=seen[0],
        source_counts=seen[1],
    )


def _aligned(
    prediction: Float[np.ndarray, "h w"], alignment: Alignment, protocol: Protocol
) -> Float[np.ndarray, "h w"]:
    return alignment.apply(prediction).clip(protocol.min_depth, protocol.max_depth)


def _common(one: Alignment, other: Alignment) -> Alignment | None:
    """One alignment for both frames of a pair: one for each would undo the flicker between them."""
    if one.scale <= 0 or other.scale <= 0:
        return None
    scale = float(np.sqrt(one.scale * other.scale))
    return Alignment(scale=scale, shift=(one.shift + other.shift) / 2)


def _motion(
    T_world_src: Float[np.ndarray, "4 4"], T_world_tgt: Float[np.ndarray, "4 4"]
) -> Float[np.ndarray, "4 4"]:
    """Motion from the target camera to the source camera."""
    source, target = (torch.from_numpy(T.astype(np.float64)) for T in (T_world_src, T_world_tgt))
    return (invert_motion(source) @ target).numpy()


def _camera(place: CameraPlace, size: tuple[int, ...]) -> Float[np.ndarray, "3 3"]:
    """Pinhole matrix in pixels of the truth, which may have another size than the image."""
    matrix = torch.from_numpy(place.intrinsics.astype(np.float64))
    rows, columns = size[0] / place.image_size[0], size[1] / place.image_size[1]
    return scale_intrinsics(matrix, columns, rows).numpy()


def _mean(
    records: Iterable[BoundaryErrors | None] | Iterable[TemporalErrors | None], count: str
) -> dict[str, Any] | None:
    """Mean of each field over the records that are there, and how many those are."""
    found = [asdict(record) for record in records if record is not None]
    if not found:
        return None
    means = {name: float(np.mean([values[name] for values in found])) for name in found[0]}
    return {**means, count: len(found)}
