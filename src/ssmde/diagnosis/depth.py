"""Maps of depth, measured or labels: unreadable, of a wrong unit or order, or of other images.

A depth map belongs to an image if its jumps lie on edges of the image, better than on those of the
mirrored image, which has the same edges elsewhere.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Shaped
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
REACH = 0.06  # largest shift that is tried, as a share of the longer side
STRONG = 0.9  # share of the pixels of a depth map that are no edges, where it has that many
JUMP = 0.04  # of a depth between neighbors, relative, that is an edge at least
LOCAL = 9  # pixels of the neighborhood that an image's edges are measured against
FEWEST_EDGES = 30  # edge pixels of a depth map that tell something

FEWEST_FRAMES = 3
WORSE = 0.75  # fit in place, as a share of that after a shift, that speaks of a shift
BETTER = 1.3  # fit after a zoom, divided by that of the best shift, that speaks of a zoom
NEAREST_SHIFT = 0.01  # of the longer side; below, a training does not notice
CLEAR = 0.06  # how much better than on the mirrored image a fit has to be, to be one
FOREIGN = 0.02  # and below this the maps are not of these images
ZOOMS = (0.85, 0.9, 0.95, 1.05, 1.1, 1.15)

CEILING = 0.05  # share of the values at exactly the largest one from which that is none
FAR_BELOW = 0.8  # share of the largest value that all others stay under
METRES = (0.1, 150.0)  # between which the median of a scene's depth lies
FEWEST_VALUES = 30  # of a frame, for an order
ORDERED = 0.3  # rank correlation from which on an order is one
GRID = (48, 64)  # values of a map that are compared
REFERENCES = ("measured depth", "tracked points", "height in the image")


def _read_maps(
    sequence: FrameSequence, paths: Sequence[Path | None], most: int,
    read: Callable[[int, Path], Map], *, relative: bool,
) -> tuple[list[tuple[int, str]], list[Map], list[Bool[np.ndarray, "_ _"]]]:  # fmt: skip
    """At most so many maps, each by `read`, which gives one with a value, or raises `ImageError`.

    Gives frames whose map cannot be used, with the reason; and the edges of images and of maps.
    """
    broken, images, edges = list[tuple[int, str]](), list[Map](), list[Bool[np.ndarray, "_ _"]]()
    reduction = reduction_to(SHORT_SIDE, sequence.image_size)
    known = [(i, path) for i, path in enumerate(paths) if path is not None]
    for frame, path in [known[k] for k in spread_out(len(known), most)]:
        try:
            depth = read(frame, path)
        except ImageError as error:
            broken.append((frame, str(error)))
            continue
        try:
            rgb = read_image(sequence.images[frame], reduction=reduction)
        except ImageError:  # a finding about the images
            continue
        images.append(image_edges((rgb.mean(2, dtype=np.float32) / 255).astype(np.float32)))
        edges.append(depth_edges(depth, images[-1].shape, relative=relative))
    return broken, images, edges


def check_truth(sequence: FrameSequence, most: int) -> Iterator[Finding]:
    """Measured depth, at most so many maps of it: broken, of a wrong unit, or out of place."""
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

    broken, images, edges = _read_maps(sequence, sequence.depth, most, read, relative=True)
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
    yield from registration_check("truth", images, edges, sequence.image_size)


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
    kind, orders = sequence.pseudo_depth_kind or "depth", np.full((0, len(REFERENCES)), np.nan)
    try:
        path = sequence.images[0].parent / TRACKED_POINTS
        points = read_tracked_points(path) if path.is_file() else {}
    except ValueError:
        points = {}

    def read(frame: int, path: Path) -> Map:
        nonlocal orders
        label = read_pseudo_depth(path, image_size=sequence.image_size)
        if not has_value(label, kind).any() or not (label > 0).any():
            raise ImageError(f"{path}: no pixel has a value")
        order = _correlations(sequence, frame, label, points)
        orders = np.concatenate([orders, [order]])
        return label

    broken, images, edges = _read_maps(sequence, sequence.pseudo_depth, most, read, relative=False)
    if broken:
        frames, (reason, *_) = zip(*broken, strict=True)
        yield Finding(
            "broken-labels", "warning", f"{counted(len(frames), 'label')} cannot be used: {reason}",
            "delete them and run `ssmde label` again", frames,
        )  # fmt: skip
    yield from registration_check("labels", images, edges, sequence.image_size)
    yield from _check_order(kind, orders if kind == "depth" else -orders)


def _correlations(
    sequence: FrameSequence, frame: int, label: Map, points: dict[int, TrackedPoints]
) -> list[float]:
    """Rank correlation of a label with each of `REFERENCES`; nan without it."""
    small = resample(label, GRID)
    found = [np.nan, np.nan, np.nan]
    path = sequence.depth[frame] if sequence.depth else None
    units, size = sequence.depth_units_per_metre or 1, sequence.image_size
    if path is not None:
        try:
            truth = resample(read_depth(path, units, image_size=size), GRID)
            found[0] = rank_correlation(small, truth)
        except ImageError:  # a finding about the truth
            pass
    if frame in points:
        pixels, depth = points[frame]
        height, width = label.shape
        columns, rows = ((pixels + 0.5) * (width / size[1], height / size[0])).astype(int).T
        values = label[rows.clip(0, height - 1), columns.clip(0, width - 1)]
        found[1] = rank_correlation(values, depth)
    upward = np.arange(GRID[0], 0, -1)[:, None].repeat(GRID[1], axis=1)
    found[2] = rank_correlation(small, upward)
    return found


def rank_correlation(a: Shaped[np.ndarray, "*n"], b: Shaped[np.ndarray, "*n"]) -> float:
    """Correlation of the ranks (Spearman) where both are positive, in [-1, 1]; nan of below 30."""
    known = (a > 0) & (b > 0)
    a, b = a[known], b[known]
    if len(a) < FEWEST_VALUES or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def _check_order(kind: str, orders: Float64[np.ndarray, "n r"]) -> Iterator[Finding]:
    """Judges by the best reference that enough frames have."""
    for reference, column in zip(REFERENCES, orders.T, strict=True):
        known = column[np.isfinite(column)]
        if len(known) < FEWEST_FRAMES:
            continue
        order, sure = float(np.median(known)), reference != REFERENCES[-1]
        other = "depth" if kind == "disparity" else "disparity"
        if order < -ORDERED:
            yield Finding(
                "labels-inverted", "blocking" if sure else "warning",
                f"the labels are said to be {kind}, but their order against the {reference} is "
                f"that of {other} (rank correlation {order:.2f})",
                f'set "kind": "{other}" in pseudo_depth/label.json, or label again with '
                f"`ssmde label --kind {other} --overwrite`",
            )  # fmt: skip
        elif order <= ORDERED:
            yield Finding(
                "labels-order", "warning" if sure else "note",
                "whether the labels are depth or disparity cannot be told from the "
                f"{reference} (rank correlation {order:.2f})",
                "look at some labels" if sure else "`ssmde track` gives points that tell it",
            )  # fmt: skip
        return


def registration_check(
    what: Literal["truth", "labels"], images: Sequence[Map],
    edges: Sequence[Bool[np.ndarray, "h w"]], size: tuple[int, int],
) -> Iterator[Finding]:  # fmt: skip
    """Whether depth edges lie on image edges: else shifted, of another zoom, or of other images.

    `size` is that of the frames (height, width), in pixels, `what` for the words.
    """
    fit = fit_edges(images, edges)
    if fit is None or len(images) < FEWEST_FRAMES:
        return
    zooms = ((z, fit_edges(images, [resample(e, e.shape, z) for e in edges])) for z in ZOOMS)
    place, zoom = max(((found.here, z) for z, found in zooms if found), default=(0.0, 1.0))
    reduction = reduction_to(SHORT_SIDE, size)
    right, down = (n * reduction for n in fit.shift)
    far = np.hypot(right, down) > max(NEAREST_SHIFT * max(images[0].shape) * reduction, reduction)
    out = f"{what} and color are out of register: depth edges lie on image edges when the depth is"
    if place > BETTER * fit.best and place - fit.mirrored > CLEAR:
        yield Finding(
            f"{what}-register", "warning", f"{out} enlarged by {zoom:g}",
            "project the depth into the color camera: it is still that of the depth camera, which "
            "has another focal length",
        )  # fmt: skip
    elif far and fit.here < WORSE * fit.best and fit.best - fit.mirrored > CLEAR:
        yield Finding(
            f"{what}-register", "warning",
            f"{out} moved {right} pixels to the right and {down} down",
            "register the depth to the color camera, or check that both were cut alike and belong "
            "to the same moment",
        )  # fmt: skip
    elif fit.here - fit.mirrored < FOREIGN:
        yield Finding(
            f"{what}-unlike", "warning", f"the {what} are unlike the images: depth edges lie on "
            "image edges no better than on those of the mirrored images",
            "check that each file is named like its image, and look at some"
            + ("; `ssmde label --overwrite` writes new ones" if what == "labels" else ""),
        )  # fmt: skip


class Fit(NamedTuple):
    """How well depth edges lie on image edges, over several frames."""

    here: float  # mean strength of the image where the depth jumps, against 0 for anywhere
    mirrored: float  # the same for the mirrored images
    best: float  # the same after the best shift
    shift: tuple[int, int]
    """(right, down) that the depth has to be moved by for it, in pixels of the edge maps."""


def fit_edges(images: Sequence[Map], depths: Sequence[Bool[np.ndarray, "h w"]]) -> Fit | None:
    """How well edges of depth maps lie on those of their images; None if the depth has none."""
    pairs = [(i, d) for i, d in zip(images, depths, strict=True) if d.sum() >= FEWEST_EDGES]
    if not pairs:
        return None
    surface = np.mean([_shift_surface(image, depth) for image, depth in pairs], 0)
    mirrored = float(np.mean([image[:, ::-1][depth].mean() for image, depth in pairs]))
    middle = surface.shape[0] // 2
    v, u = np.unravel_index(surface.argmax(), surface.shape)
    shift = (int(u) - middle, int(v) - middle)
    return Fit(float(surface[middle, middle]), mirrored, float(surface[v, u]), shift)


def _shift_surface(image: Map, depth: Bool[np.ndarray, "h w"]) -> Float32[np.ndarray, "k k"]:
    """Mean of the image's edges under those of the depth, by the shift of the depth."""
    reach = max(1, round(REACH * max(image.shape)))
    padded = np.pad(image, reach)
    shape = padded.shape
    # All shifts at once: correlation is a product of spectra.
    spectrum = np.fft.rfft2(padded) * np.fft.rfft2(depth.astype(np.float32), shape).conj()
    whole = np.fft.irfft2(spectrum, shape)[: 2 * reach + 1, : 2 * reach + 1]
    return (whole / depth.sum()).astype(np.float32)


def image_edges(gray: Map) -> Map:
    """Length of the gradient against its neighborhood, 0 in the mean over the image."""
    gy, gx = np.gradient(gray)
    length = np.hypot(gx, gy)
    around = ndimage.uniform_filter(length.astype(np.float64), LOCAL, mode="nearest")
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
    values: Shaped[np.ndarray, "h w"], shape: tuple[int, int], zoom: float = 1.0
) -> Shaped[np.ndarray, "k m"]:
    """The nearest value for each pixel of another size, after a zoom about the middle."""
    rows, columns = (
        (((np.arange(n) + 0.5 - n / 2) / zoom + n / 2) * whole / n).astype(int).clip(0, whole - 1)
        for n, whole in zip(shape, values.shape, strict=True)
    )
    return values[rows[:, None], columns]
