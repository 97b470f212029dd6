"""Maps of depth, measured or labels: unreadable, of a wrong unit or order, or of other images.

A depth map belongs to an image if its jumps lie on edges of the image, better than on those of the
mirrored image, which has the same edges elsewhere.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Shaped
from scipy import ndimage
from scipy.stats import rankdata

from ssmde.console import counted
from ssmde.data.images import ImageError, read_depth, read_image
from ssmde.data.pseudo_labels import has_value, read_pseudo_depth
from ssmde.data.scene_files import TRACKED_POINTS, TrackedPoints, read_tracked_points
from ssmde.data.sequence import FrameSequence
from ssmde.diagnosis import Finding
from ssmde.diagnosis.video import reduction_to, spread_out

Map = Float32[np.ndarray, "h w"]

SHORT_SIDE = 160  # fewest rows or columns that edges are compared at, where the frame has them
STRONG = 0.9  # share of the pixels of a depth map that are no edges, where it has that many
JUMP = 0.04  # of a depth between neighbors, relative, that is an edge at least
LOCAL = 9  # pixels of the neighborhood that an image's edges are measured against
FEWEST_EDGES = 30  # edge pixels of a depth map that tell something
FEWEST_FRAMES = 3
FOREIGN = 0.02  # how much better than on the mirrored image edges fit, at least

CEILING = 0.05  # share of the values at exactly the largest one from which that is none
FAR_BELOW = 0.8  # share of the largest value that all others stay under
METRES = (0.1, 150.0)  # between which the median of a scene's depth lies
FEWEST_VALUES = 30  # of a frame, for an order
ORDERED = 0.3  # rank correlation from which on an order is one
GRID = (48, 64)  # values of a map that are compared
REFERENCES = ("measured depth", "tracked points", "height in the image")


def _read_maps(
    sequence: FrameSequence, paths: Sequence[Path | None], most: int, what: str,
    read: Callable[[int, Path], Map],
) -> tuple[list[tuple[int, str]], list[Finding]]:  # fmt: skip
    """At most so many maps, each by `read`, which gives one with a value, or raises `ImageError`.

    Gives frames whose map cannot be used, with the reason; and a finding if depth edges do not lie
    on image edges.
    """
    broken, fits = list[tuple[int, str]](), list[float]()
    reduction = reduction_to(SHORT_SIDE, sequence.image_size)
    known = [(i, path) for i, path in enumerate(paths) if path is not None]
    for frame, path in [known[k] for k in spread_out(len(known), most)]:
        try:
            depth = read(frame, path)
        except ImageError as error:
            broken.append((frame, str(error)))
            continue
        try:
            image = image_edges(read_image(sequence.images[frame], reduction=reduction))
        except ImageError:  # a finding about the images
            continue
        edges = depth_edges(depth, image.shape, relative=what == "truth")
        if edges.sum() >= FEWEST_EDGES:
            fits.append(float(image[edges].mean() - image[:, ::-1][edges].mean()))
    if len(fits) < FEWEST_FRAMES or np.mean(fits) >= FOREIGN:
        return broken, []
    remedy = "check that each file is named like its image, and look at some; " + (
        "`ssmde label --overwrite` writes new ones" if what == "labels" else
        "depth of a camera beside the color camera has to be projected into that"
    )  # fmt: skip
    return broken, [Finding(
        f"{what}-unlike", "warning", f"the {what} are unlike the images: depth edges lie on "
        "image edges no better than on those of the mirrored images", remedy,
    )]  # fmt: skip


def check_truth(sequence: FrameSequence, most: int) -> Iterator[Finding]:
    """Measured depth, at most so many maps of it: broken, of a wrong unit, or of other images."""
    if sequence.depth is None:
        return
    units = sequence.depth_units_per_metre
    medians: list[float] = []
    ceilings: list[tuple[float, float]] = []

    def read(frame: int, path: Path) -> Map:
        depth = read_depth(path, units, image_size=sequence.image_size)
        values = depth[depth > 0]
        if not values.size:
            raise ImageError(f"{path}: holds no measured depth")
        medians.append(float(np.median(values)))
        ceilings.append(_ceiling(values))
        return depth

    broken, unlike = _read_maps(sequence, sequence.depth, most, "truth", read)
    if broken:
        frames, (reason, *_) = zip(*broken, strict=True)
        if "depth_units_per_metre" in reason:
            what, _, remedy = reason.rpartition("; ")
            yield Finding("depth-unit", "warning", what, remedy)
        else:
            yield Finding(
                "broken-truth", "warning", f"{len(frames)} depth maps cannot be used: {reason}",
                "copy or extract them again; evaluation leaves them out", frames,
            )  # fmt: skip
    if medians and not METRES[0] < (median := np.median(medians)) < METRES[1]:
        given = f", which is {units:g}" if units else "; .npy and .npz hold metres"
        yield Finding(
            "depth-unit", "warning", f"the measured depth has a median of {median:.3g} metres",
            f"correct depth_units_per_metre in scene.json{given}: 1000 if the PNGs hold "
            "millimetres, 256 for KITTI, 5000 for TUM and Bonn",
        )  # fmt: skip
    share, top = np.median(ceilings, axis=0) if ceilings else (0, 0)
    if share >= CEILING:
        yield Finding(
            "truth-ceiling", "warning", f"{share:.0%} of the measured depth is exactly {top:.5g} "
            "metres, far beyond all other values: it seems to stand for no value",
            "write 0 there, or take a --protocol whose range ends before it",
        )  # fmt: skip
    yield from unlike


def _ceiling(values: Float32[np.ndarray, "n"]) -> tuple[float, float]:
    """Share of the values at exactly the largest one, 0 where others come near it; and that one."""
    top = float(values.max())
    below = values[values < top]
    lonely = below.size > 0 and below.max() < FAR_BELOW * top
    return (1 - below.size / values.size if lonely else 0.0), top


def check_labels(sequence: FrameSequence, most: int) -> Iterator[Finding]:
    """Pseudo-depth, at most so many maps: broken, of other images, or disparity taken for depth."""
    if sequence.pseudo_depth is None:
        return
    kind, orders = sequence.pseudo_depth_kind or "depth", list[list[float]]()
    try:
        path = sequence.images[0].parent / TRACKED_POINTS
        points = read_tracked_points(path) if path.is_file() else {}
    except ValueError:
        points = {}

    def read(frame: int, path: Path) -> Map:
        label = read_pseudo_depth(path, image_size=sequence.image_size)
        if not has_value(label, kind).any() or not (label > 0).any():
            raise ImageError(f"{path}: no pixel has a value")
        orders.append(_correlations(sequence, frame, label, points))
        return label

    broken, unlike = _read_maps(sequence, sequence.pseudo_depth, most, "labels", read)
    if broken:
        frames, (reason, *_) = zip(*broken, strict=True)
        yield Finding(
            "broken-labels", "warning", f"{counted(len(frames), 'label')} cannot be used: {reason}",
            "delete them and run `ssmde label` again", frames,
        )  # fmt: skip
    yield from unlike
    columns = np.array(orders).reshape(-1, len(REFERENCES)).T * (1 if kind == "depth" else -1)
    for reference, column in zip(REFERENCES, columns, strict=True):
        ordered = column[np.isfinite(column)]
        if len(ordered) < FEWEST_FRAMES:
            continue
        if (order := float(np.median(ordered))) < -ORDERED:
            other = "depth" if kind == "disparity" else "disparity"
            yield Finding(
                "labels-inverted", "warning" if reference == REFERENCES[-1] else "blocking",
                f"the labels are said to be {kind}, but their order against the {reference} is "
                f"that of {other} (rank correlation {order:.2f})",
                f'set "kind": "{other}" in pseudo_depth/label.json, or label again with '
                f"`ssmde label --kind {other} --overwrite`",
            )  # fmt: skip
        return  # the best reference that enough frames have


def _correlations(
    sequence: FrameSequence, frame: int, label: Map, points: dict[int, TrackedPoints]
) -> list[float]:
    """Rank correlation of a label with each of `REFERENCES`; nan without it."""
    small = resample(label, GRID)
    upward = np.arange(GRID[0], 0, -1)[:, None].repeat(GRID[1], axis=1)
    found = [np.nan, np.nan, rank_correlation(small, upward)]
    path = sequence.depth[frame] if sequence.depth else None
    units, size = sequence.depth_units_per_metre or 1, sequence.image_size
    if path is not None:
        try:
            truth = read_depth(path, units, image_size=size)
            found[0] = rank_correlation(small, resample(truth, GRID))
        except ImageError:  # a finding about the truth
            pass
    if frame in points:
        pixels, depth = points[frame]
        height, width = label.shape
        columns, rows = ((pixels + 0.5) * (width / size[1], height / size[0])).astype(int).T
        values = label[rows.clip(0, height - 1), columns.clip(0, width - 1)]
        found[1] = rank_correlation(values, depth)
    return found


def rank_correlation(a: Shaped[np.ndarray, "*n"], b: Shaped[np.ndarray, "*n"]) -> float:
    """Correlation of the ranks (Spearman) where both are positive, in [-1, 1]; nan of below 30."""
    known = (a > 0) & (b > 0)
    a, b = a[known], b[known]
    if len(a) < FEWEST_VALUES or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def image_edges(rgb: Shaped[np.ndarray, "h w 3"]) -> Map:
    """Length of the gradient against its neighborhood, 0 in the mean over the image."""
    length = np.hypot(*np.gradient(rgb.mean(2, dtype=np.float64) / 255))
    around = ndimage.uniform_filter(length, LOCAL, mode="nearest")
    edges = length / (around + 0.01)  # an edge in a calm place counts as much as one among many
    return (edges - edges.mean()).astype(np.float32)


def depth_edges(depth: Map, shape: tuple[int, int], *, relative: bool) -> Bool[np.ndarray, "k m"]:
    """Where a map of depth or disparity jumps, at the size (height, width) of an edge map.

    Holes are taken as deep as the deeper side of them: a depth sensor does not see what a near
    thing hides from it. Jumps are relative to the nearer side; else to the range of the whole map.
    """
    small = _filled(resample(depth, shape))
    known = small > 0
    if not known.any():
        return known
    jump = np.maximum(*(_jumps(small, known, axis, relative) for axis in (1, 0)))
    return jump > max(JUMP, float(np.quantile(jump, STRONG)))


def _filled(depth: Map) -> Map:
    """Holes as deep as the deeper of the two known pixels left and right of them; 0 without one."""
    width, known = depth.shape[1], depth > 0
    places = np.arange(width)
    before = np.maximum.accumulate(np.where(known, places, -1), axis=1)
    after = np.minimum.accumulate(np.where(known, places, width)[:, ::-1], axis=1)[:, ::-1]
    rows = np.arange(len(depth))[:, None]
    padded = np.pad(depth, ((0, 0), (1, 1)))  # 0 before the first and after the last column
    return np.maximum(padded[rows, before + 1], padded[rows, after + 1])


def _jumps(depth: Map, known: Bool[np.ndarray, "h w"], axis: int, relative: bool) -> Map:
    """Bend of the depth along an axis: a slope, however steep, is no jump."""
    a, b, c = (np.roll(depth, k, axis) for k in (1, 0, -1))
    sure = np.roll(known, 1, axis) & known & np.roll(known, -1, axis)
    np.moveaxis(sure, axis, 0)[[0, -1]] = False
    flat = np.float32(np.ptp(depth[known])) or np.float32(1)  # a map of one value does not jump
    scale = np.minimum(np.minimum(a, b), c) if relative else flat
    # The second difference: 0 on a plane seen at a slant, the whole step at a jump.
    bend = np.abs(a - 2 * b + c) / np.where(sure, scale, 1)
    return np.where(sure, bend, 0).astype(np.float32)


def resample(
    values: Shaped[np.ndarray, "h w"], shape: tuple[int, int]
) -> Shaped[np.ndarray, "k m"]:
    """The nearest value for each pixel of another size."""
    rows, columns = (
        ((np.arange(n) + 0.5) * whole / n).astype(int)
        for n, whole in zip(shape, values.shape, strict=True)
    )
    return values[rows[:, None], columns]
