"""Pseudo-depth: in the wrong order, because disparity was taken for depth, or of other images."""

import numpy as np
from jaxtyping import Float64, Shaped

from ssmde.console import counted
from ssmde.data.images import ImageError, read_depth
from ssmde.data.pseudo_depth import has_value, read_pseudo_depth
from ssmde.data.scene_files import TRACKED_POINTS, read_tracked_points
from ssmde.data.sequence import FrameSequence
from ssmde.diagnosis.edges import depth_edges, edge_reduction, read_image_edges, resample
from ssmde.diagnosis.finding import Finding
from ssmde.diagnosis.footage import spread_out
from ssmde.diagnosis.register import check_register

FEWEST_FRAMES = 3
FEWEST_VALUES = 30  # of a frame
ORDERED = 0.3  # rank correlation from which on an order is one
GRID = (48, 64)  # values of a map that are compared


def check_labels(sequence: FrameSequence, most: int) -> list[Finding]:
    """Findings about the labels of a scene, from at most so many of them."""
    if sequence.pseudo_depth is None:
        return []
    frames = [i for i, path in enumerate(sequence.pseudo_depth) if path is not None]
    frames = [frames[k] for k in spread_out(len(frames), most)]
    reduction, images, edges, orders = edge_reduction(sequence.image_size), [], [], []
    broken: list[tuple[int, str]] = []
    references = _References(sequence)
    for frame in frames:
        path = sequence.pseudo_depth[frame]
        assert path is not None
        try:
            label = read_pseudo_depth(path, image_size=sequence.image_size)
            if not has_value(label, sequence.pseudo_depth_kind or "depth").any():
                raise ImageError(f"{path}: no pixel has a value")
        except ImageError as error:
            broken.append((frame, str(error)))
            continue
        if not (label > 0).any():
            broken.append((frame, f"{path}: no pixel has a value"))
            continue
        try:
            image = read_image_edges(sequence.images[frame], sequence.image_size)
        except ImageError:  # a finding about the images
            continue
        images.append(image)
        edges.append(depth_edges(label, image.shape, relative=False))
        orders.append(references.correlations(frame, label))
    findings = [_broken(sequence.name, broken)] if broken else []
    findings += check_register("labels", sequence.name, images, edges, reduction)
    return [*findings, *_order(sequence, np.array(orders).reshape(-1, len(REFERENCES)))]


REFERENCES = ("measured depth", "tracked points", "height in the image")


class _References:
    """What the order of a label can be compared with."""

    def __init__(self, sequence: FrameSequence) -> None:
        self.sequence = sequence
        self.sign = -1.0 if sequence.pseudo_depth_kind == "disparity" else 1.0
        path = sequence.images[0].parent / TRACKED_POINTS
        try:
            self.points = read_tracked_points(path) if path.is_file() else {}
        except ValueError:
            self.points = {}

    def correlations(
        self, frame: int, label: Shaped[np.ndarray, "h w"]
    ) -> tuple[float, float, float]:
        """Rank correlation of the label, as depth, with each of `REFERENCES`; nan without it."""
        small = resample(label, GRID)
        rows = np.repeat(-np.arange(GRID[0], dtype=np.float64)[:, None], GRID[1], axis=1)
        return (
            self._with_truth(frame, small),
            self._with_points(frame, label),
            self.sign * rank_correlation(small[small > 0], rows[small > 0]),
        )

    def _with_truth(self, frame: int, small: Shaped[np.ndarray, "h w"]) -> float:
        path = self.sequence.depth[frame] if self.sequence.depth else None
        if path is None:
            return np.nan
        try:
            units, size = self.sequence.depth_units_per_metre or 1, self.sequence.image_size
            truth = resample(read_depth(path, units, image_size=size), GRID)
        except ImageError:  # a finding about the truth
            return np.nan
        known = (small > 0) & (truth > 0)
        return self.sign * rank_correlation(small[known], truth[known])

    def _with_points(self, frame: int, label: Shaped[np.ndarray, "h w"]) -> float:
        if frame not in self.points:
            return np.nan
        pixels, depth = self.points[frame]
        height, width = label.shape
        scale = np.array([width, height]) / self.sequence.image_size[::-1]
        columns, rows = ((pixels + 0.5) * scale).astype(int).T
        values = label[rows.clip(0, height - 1), columns.clip(0, width - 1)]
        known = values > 0
        return self.sign * rank_correlation(values[known], depth[known])


def rank_correlation(a: Shaped[np.ndarray, "n"], b: Shaped[np.ndarray, "n"]) -> float:
    """Correlation of the ranks (Spearman) of 30 values and more, in [-1, 1]; else nan."""
    if len(a) < FEWEST_VALUES or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    ranks = [np.unique(x, return_inverse=True, return_counts=True)[1:] for x in (a, b)]
    middle = [(np.cumsum(counts) - counts / 2)[places] for places, counts in ranks]
    first, second = (x - x.mean() for x in middle)
    return float((first * second).sum() / np.sqrt((first**2).sum() * (second**2).sum()))


def _order(sequence: FrameSequence, orders: Float64[np.ndarray, "n r"]) -> list[Finding]:
    """Judges by the best reference that enough frames have."""
    for column, reference in enumerate(REFERENCES):
        known = orders[np.isfinite(orders[:, column]), column]
        if len(known) < FEWEST_FRAMES:
            continue
        order = float(np.median(known))
        sure = reference != REFERENCES[-1]
        if order < -ORDERED:
            return [_inverted(sequence, reference, order, sure=sure)]
        if abs(order) > ORDERED:
            return []
        return [
            Finding(
                name="labels-order", severity="warning" if sure else "note", scene=sequence.name,
                what="whether the labels are depth or disparity cannot be told from the "
                f"{reference} (rank correlation {order:.2f})",
                remedy="look at some labels" if sure else
                "`ssmde track` gives points that tell it",
            )
        ]  # fmt: skip
    return []


def _inverted(sequence: FrameSequence, reference: str, order: float, *, sure: bool) -> Finding:
    kind = sequence.pseudo_depth_kind or "depth"
    other = "depth" if kind == "disparity" else "disparity"
    return Finding(
        name="labels-inverted", severity="blocking" if sure else "warning", scene=sequence.name,
        what=f"the labels are said to be {kind}, but their order against the {reference} is that "
        f"of {other} (rank correlation {order:.2f})",
        remedy=f'set "kind": "{other}" in pseudo_depth/label.json, or label again with '
        f"`ssmde label --kind {other} --overwrite`",
    )  # fmt: skip


def _broken(scene: str, broken: list[tuple[int, str]]) -> Finding:
    return Finding(
        name="broken-labels", severity="warning", scene=scene,
        frames=tuple(frame for frame, _ in broken),
        what=f"{counted(len(broken), 'label')} cannot be used: {broken[0][1]}",
        remedy="delete them and run `ssmde label` again",
    )  # fmt: skip
