"""Measured depth: unreadable, of an implausible unit, or not where the image is."""

import numpy as np
from jaxtyping import Bool, Float32

from ssmde.data.images import ImageError, read_depth
from ssmde.data.sequence import FrameSequence
from ssmde.diagnosis.edges import depth_edges, edge_reduction, read_image_edges
from ssmde.diagnosis.finding import Finding
from ssmde.diagnosis.footage import spread_out
from ssmde.diagnosis.register import check_register

CEILING = 0.05  # share of the values at exactly the largest one from which that is none
FAR_BELOW = 0.8  # share of the largest value that all others stay under
METRES = (0.1, 150.0)  # between which the median of a scene's depth lies


def check_truth(sequence: FrameSequence, most: int) -> list[Finding]:
    """Findings about the measured depth of a scene, from at most so many of its maps."""
    if sequence.depth is None:
        return []
    frames = [i for i, path in enumerate(sequence.depth) if path is not None]
    broken: list[tuple[int, str]] = []
    medians: list[float] = []
    ceilings: list[tuple[float, float]] = []
    images: list[Float32[np.ndarray, "h w"]] = []
    edges: list[Bool[np.ndarray, "h w"]] = []
    for frame in [frames[k] for k in spread_out(len(frames), most)]:
        path = sequence.depth[frame]
        assert path is not None
        try:
            depth = read_depth(path, sequence.depth_units_per_metre, image_size=sequence.image_size)
        except ImageError as error:
            broken.append((frame, str(error)))
            continue
        if not (depth > 0).any():
            broken.append((frame, f"{path}: holds no measured depth"))
            continue
        medians.append(float(np.median(depth[depth > 0])))
        ceilings.append(_ceiling(depth[depth > 0]))
        try:
            image = read_image_edges(sequence.images[frame], sequence.image_size)
        except ImageError:  # a finding about the images
            continue
        images.append(image)
        edges.append(depth_edges(depth, image.shape))
    findings = [_broken(sequence.name, broken)] if broken else []
    if medians and not METRES[0] < np.median(medians) < METRES[1]:
        findings.append(_unit(sequence, float(np.median(medians))))
    if ceilings and np.median([share for share, _ in ceilings]) >= CEILING:
        findings.append(_at_ceiling(sequence.name, ceilings))
    reduction = edge_reduction(sequence.image_size)
    return findings + check_register("truth", sequence.name, images, edges, reduction)


def _ceiling(values: Float32[np.ndarray, "n"]) -> tuple[float, float]:
    """Share of the values at exactly the largest one, 0 where others come near it; and that one."""
    top = float(values.max())
    below = values[values < top]
    lonely = below.size > 0 and below.max() < FAR_BELOW * top
    return (1 - below.size / values.size if lonely else 0.0), top


def _at_ceiling(scene: str, ceilings: list[tuple[float, float]]) -> Finding:
    share, top = np.median(ceilings, axis=0)
    return Finding(
        name="truth-ceiling", severity="warning", scene=scene,
        what=f"{share:.0%} of the measured depth is exactly {top:.5g} metres, far beyond all other "
        "values: it seems to stand for no value",
        remedy="write 0 there, or take a --protocol whose range ends before it",
    )  # fmt: skip


def _broken(scene: str, broken: list[tuple[int, str]]) -> Finding:
    reason = broken[0][1]
    unit = "depth_units_per_metre" in reason
    what, _, remedy = reason.rpartition("; ") if unit else (reason, "", "")
    return Finding(
        name="depth-unit" if unit else "broken-truth", severity="warning", scene=scene,
        frames=() if unit else tuple(frame for frame, _ in broken),
        what=what if unit else f"{len(broken)} depth maps cannot be used: {what}",
        remedy=remedy or "copy or extract them again; evaluation leaves them out",
    )  # fmt: skip


def _unit(sequence: FrameSequence, median: float) -> Finding:
    units = sequence.depth_units_per_metre
    return Finding(
        name="depth-unit", severity="warning", scene=sequence.name,
        what=f"the measured depth has a median of {median:.3g} metres",
        remedy="correct depth_units_per_metre in scene.json"
        + (f", which is {units:g}" if units else "; .npy and .npz hold metres")
        + ": 1000 if the PNGs hold millimetres, 256 for KITTI, 5000 for TUM and Bonn",
    )  # fmt: skip
