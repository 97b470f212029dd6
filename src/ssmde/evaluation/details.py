"""What is measured in a frame besides its errors: at edges, between frames."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from ssmde.console import counted
from ssmde.evaluation.frames import SceneFrame
from ssmde.geometry.camera import invert_motion, scale_intrinsics
from ssmde.metrics import (
    Alignment,
    BoundaryErrors,
    DepthErrors,
    DepthSums,
    Protocol,
    TemporalErrors,
    Truth,
    band_edges,
    boundary_errors,
    seen_in_both,
    temporal_errors,
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MeasuredFrame:
    """A frame with its prediction, as the errors were measured."""

    frame: SceneFrame
    truth: Truth
    prediction: Float[np.ndarray, "h w"]  # depth before the alignment
    alignment: Alignment

    def aligned(self, alignment: Alignment) -> Float[np.ndarray, "h w"]:
        """The prediction under an alignment, clipped to the range of the protocol."""
        p = self.truth.protocol
        return alignment.apply(self.prediction).clip(p.min_depth, p.max_depth)

    def known_depth(self) -> Float[np.ndarray, "h w"]:
        """The depth of the pixels that count, 0 elsewhere."""
        return np.where(self.truth.counted, self.truth.depth, 0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameDetails:
    """What was measured in one frame besides its errors."""

    bands: tuple[DepthErrors | None, ...]
    """Errors by true distance, a band each; None for a band without a pixel."""
    boundary: BoundaryErrors | None  # edges; None if the truth is not dense or has none
    temporal: TemporalErrors | None
    """With the frame before it in the video; None if there is none or the motion is unknown."""


def frame_details(
    now: MeasuredFrame, before: MeasuredFrame | None, bands: tuple[DepthErrors | None, ...]
) -> FrameDetails:
    """Measure the details of one frame; `before` is the one measured before it."""
    aligned = now.aligned(now.alignment)
    return FrameDetails(
        bands=bands,
        boundary=boundary_errors(aligned, now.truth.depth, now.truth.counted),
        temporal=None if before is None else _temporal(before, now),
    )


def mean_details(details: Sequence[FrameDetails], protocol: Protocol) -> dict[str, Any]:
    """Means over images as plain values: `boundary`, `per_distance`, `temporal`.

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
    }


def details_text(means: dict[str, Any], align: str) -> list[str]:
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
    return lines


def _temporal(before: MeasuredFrame, now: MeasuredFrame) -> TemporalErrors | None:
    """Disagreement with the frame before, about static points that the truth sees in both."""
    scene, index, shape = now.frame.scene, now.frame.index, now.truth.depth.shape
    if before.frame.scene is not scene or before.frame.index != index - 1:
        return None
    if scene.poses is None or scene.intrinsics is None or before.truth.depth.shape != shape:
        return None
    poses, alignments = scene.poses[index - 1 : index + 1], (before.alignment, now.alignment)
    if not np.isfinite(poses).all() or min(alignment.scale for alignment in alignments) <= 0:
        return None
    # One alignment for both frames of a pair: one for each would undo the flicker between them.
    common = Alignment(
        scale=float(np.sqrt(alignments[0].scale * alignments[1].scale)),
        shift=(alignments[0].shift + alignments[1].shift) / 2,
    )
    source, target = before.aligned(common), now.aligned(common)
    if not (np.isfinite(target).all() and np.isfinite(source).all()):
        return None  # the errors look only at pixels that count
    world_source, world_target = (torch.from_numpy(pose.astype(np.float64)) for pose in poses)
    motion = invert_motion(world_source) @ world_target
    T_src_tgt, T_tgt_src = motion.numpy(), invert_motion(motion).numpy()
    # In pixels of the truth, which may have another size than the image.
    rows, columns = (new / old for new, old in zip(shape, scene.image_size, strict=True))
    K = scale_intrinsics(
        torch.from_numpy(scene.intrinsics.astype(np.float64)), columns, rows
    ).numpy()
    known_source, known_target = before.known_depth(), now.known_depth()
    seen = [
        seen_in_both(known_target, known_source, T_src_tgt, K),
        seen_in_both(known_source, known_target, T_tgt_src, K),
    ]
    for pixels, measured in zip(seen, (now, before), strict=True):
        if measured.truth.static is not None:
            pixels &= measured.truth.static
    return temporal_errors(
        target, source, T_src_tgt, K, target_counts=seen[0], source_counts=seen[1]
    )


def _mean(
    records: Iterable[BoundaryErrors | None] | Iterable[TemporalErrors | None], count: str
) -> dict[str, Any] | None:
    """Mean of each field over the records that are there, and how many those are."""
    found = [asdict(record) for record in records if record is not None]
    if not found:
        return None
    means = {name: float(np.mean([values[name] for values in found])) for name in found[0]}
    return {**means, count: len(found)}
