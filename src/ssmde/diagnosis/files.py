"""The files of a data folder: what training refuses or takes for what it is not."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float32, Shaped
from scipy.stats import spearmanr

from ssmde.console import counted
from ssmde.data.images import ImageError, read_depth
from ssmde.data.pseudo_labels import has_value, read_pseudo_depth
from ssmde.data.scene_files import TRACKED_POINTS, read_tracked_points
from ssmde.data.scene_folder import (
    Split,
    data_root,
    read_scene,
    read_scenes,
    scene_name,
    scene_names,
)
from ssmde.data.sequence import FrameSequence, Paths
from ssmde.data.shards import refuse_packed
from ssmde.diagnosis import Finding
from ssmde.diagnosis.video import spread_out
from ssmde.io import read_lines

SNIPPET = 3  # frames of the shortest snippet: a target and a source on either side
FEW_FRAMES = 200  # trainings on 79 frames failed, those on 240 and more did not
REWRITE = "write the file again as docs/conventions.md has it, or delete it"
FIELD_OF_VIEW = (15.0, 130.0)  # degrees across the width: a long zoom, the widest pinhole
ASPECT = 1.3  # fx / fy, either way, beyond which even a resized image is rare
OFF_CENTER = 0.2  # of the side: how far a principal point may lie from the middle

CEILING = 0.05  # share of the values at exactly the largest one from which that is none
FAR_BELOW = 0.8  # share of the largest value that all others stay under
METRES = (0.1, 150.0)  # between which the median of a scene's depth lies
FEWEST_MAPS, FEWEST_VALUES = 3, 30  # labels, and values of each, for an order
ORDERED = 0.3  # rank correlation from which on an order is one
SIDE = 64  # about so many rows and columns of a label are compared

Seen = TypeVar("Seen")


def open_scenes(
    data: Path, split: Split, *, quick: bool = False
) -> tuple[list[FrameSequence], list[Finding]]:
    """The scenes of one part of a data folder, and a finding for each that training would refuse.

    `quick` leaves out opening every image to see its size.
    """
    refuse_packed(data, "doctor")
    try:
        return read_scenes(data, split, every_size=not quick), []
    except ValueError as error:
        fault = error
    root = data_root(data)
    listed = root / f"{split}.txt"
    names = [n for _, n in read_lines(listed)] if listed.is_file() else scene_names(root, [])
    scenes, found = list[FrameSequence](), list[Finding]()
    for name in names:
        try:
            scenes.append(read_scene(root / name, root=root, every_size=not quick))
        except ValueError as error:  # behind the last semicolon stands the remedy
            what, _, remedy = str(error).rpartition("; ")
            what, remedy = (what, remedy) if what else (str(error), REWRITE)
            scene = scene_name(root / name, root)
            found.append(Finding("files", "blocking", what, remedy, scene=scene))
    if not found:  # it is about the lists
        raise fault
    return scenes, found


def few_frames(scenes: list[FrameSequence]) -> Iterator[Finding]:
    """Scenes too short for a snippet, and a whole that is too small to learn from."""
    for scene in scenes:
        if len(scene) < SNIPPET:
            yield Finding(
                "too-few-frames", "warning",
                f"{counted(len(scene), 'frame')}, and a snippet is a target between two sources",
                "leave the scene out, or take more frames of its video", scene=scene.name,
            )  # fmt: skip
    frames = sum(len(scene) for scene in scenes if len(scene) >= SNIPPET)
    if frames < FEW_FRAMES:
        yield Finding(
            "too-few-frames", "warning" if frames else "blocking",
            f"{counted(frames, 'frame')} in all scenes together; training wants {FEW_FRAMES} and "
            "more, of many places",
            "add video, or take more frames of it (`ssmde prepare` with a smaller --step)",
        )  # fmt: skip


def check_camera(sequence: FrameSequence) -> Iterator[Finding]:
    """The camera matrix: absent, or such as no lens of this image size has."""
    if sequence.intrinsics is None:
        yield Finding(
            "no-intrinsics", "warning", "the camera is unknown: there is no cam.txt",
            "`ssmde track` finds it where the camera turns and moves; else write the 3 x 3 matrix "
            "to cam.txt, or give `ssmde prepare` the field of view: --hfov-degrees, 65 for the "
            "main camera of many phones",
        )  # fmt: skip
        return
    height, width = sequence.image_size
    (fx, _, cx), (_, fy, cy) = sequence.intrinsics[:2].tolist()
    angle = float(np.degrees(2 * np.arctan(0.5 * width / fx)))
    faults = {
        f"principal point ({cx:g}, {cy:g}) is far from the middle of {width} x {height} pixels":
            max(abs(cx / width - 0.5), abs(cy / height - 0.5)) > OFF_CENTER,
        f"fx {fx:g} at a width of {width} is a field of view of {angle:.0f} degrees":
            not FIELD_OF_VIEW[0] <= angle <= FIELD_OF_VIEW[1],
        f"fx {fx:g} and fy {fy:g} differ by a factor of {max(fx / fy, fy / fx):.2f}":
            not 1 / ASPECT <= fx / fy <= ASPECT,
    }  # fmt: skip
    if any(faults.values()):
        yield Finding(
            "intrinsics", "warning", ", ".join(what for what, wrong in faults.items() if wrong),
            "give the matrix in pixels of the stored images: when they were resized or cut, it is "
            "another one",
        )  # fmt: skip


def check_truth(sequence: FrameSequence, most: int) -> Iterator[Finding]:
    """Measured depth, at most so many maps of it: broken, or of a wrong unit."""
    units = sequence.depth_units_per_metre

    def read(_: int, path: Path) -> tuple[float, float, float]:
        depth = read_depth(path, units, image_size=sequence.image_size)
        values = depth[depth > 0]
        if not values.size:
            raise ImageError(f"{path}: holds no measured depth")
        return float(np.median(values)), *_ceiling(values)

    found, broken = _read_some(sequence.depth, most, read)
    if broken:
        reason = next(iter(broken.values()))
        if "depth_units_per_metre" in reason:
            what, _, remedy = reason.rpartition("; ")
            yield Finding("depth-unit", "warning", what, remedy)
        else:
            yield Finding(
                "broken-truth", "warning", f"{len(broken)} depth maps cannot be used: {reason}",
                "copy or extract them again; evaluation leaves them out", tuple(broken),
            )  # fmt: skip
    if not found:
        return
    median, share, top = np.median(found, axis=0).tolist()
    if not METRES[0] < median < METRES[1]:
        given = f", which is {units:g}" if units else "; .npy and .npz hold metres"
        yield Finding(
            "depth-unit", "warning", f"the measured depth has a median of {median:.3g} metres",
            f"correct depth_units_per_metre in scene.json{given}: 1000 if the PNGs hold "
            "millimetres, 256 for KITTI, 5000 for TUM and Bonn",
        )  # fmt: skip
    if share >= CEILING:
        yield Finding(
            "truth-ceiling", "warning", f"{share:.0%} of the measured depth is exactly {top:.5g} "
            "metres, far beyond all other values: it seems to stand for no value",
            "write 0 there, or take a --protocol whose range ends before it",
        )  # fmt: skip


def _ceiling(values: Float32[np.ndarray, "n"]) -> tuple[float, float]:
    """Share of the values at exactly the largest one, 0 where others come near it; and that one."""
    top = float(values.max())
    below = values[values < top]
    lonely = below.size > 0 and below.max() < FAR_BELOW * top
    return (1 - below.size / values.size if lonely else 0.0), top


def check_labels(sequence: FrameSequence, most: int) -> Iterator[Finding]:
    """Pseudo-depth, at most so many maps: broken, or disparity taken for depth."""
    kind, size = sequence.pseudo_depth_kind or "depth", sequence.image_size
    try:
        file = sequence.images[0].parent / TRACKED_POINTS
        points = read_tracked_points(file) if file.is_file() else {}
    except ValueError:
        points = {}

    def read(frame: int, path: Path) -> tuple[float, float]:
        label = read_pseudo_depth(path, image_size=size)
        if not has_value(label, kind).any() or not (label > 0).any():
            raise ImageError(f"{path}: no pixel has a value")
        height, width = label.shape
        pixels, depth = points.get(frame, (np.zeros((0, 2)), np.zeros(0)))
        columns, rows = ((pixels + 0.5) * (width / size[1], height / size[0])).astype(int).T
        values = label[rows.clip(0, height - 1), columns.clip(0, width - 1)]
        small = label[:: max(1, height // SIDE), :: max(1, width // SIDE)]
        upward = len(small) - np.indices(small.shape)[0]  # what is higher is farther
        return rank_correlation(values, depth), rank_correlation(small, upward)

    found, broken = _read_some(sequence.pseudo_depth, most, read)
    if broken:
        yield Finding(
            "broken-labels", "warning",
            f"{counted(len(broken), 'label')} cannot be used: {next(iter(broken.values()))}",
            "delete them and run `ssmde label` again", tuple(broken),
        )  # fmt: skip
    columns = np.reshape(found, (-1, 2)).T * (1 if kind == "depth" else -1)
    for reference, column in zip(("tracked points", "height in the image"), columns, strict=True):
        ordered = column[np.isfinite(column)]
        if len(ordered) < FEWEST_MAPS:
            continue
        if (order := float(np.median(ordered))) < -ORDERED:
            other = "depth" if kind == "disparity" else "disparity"
            yield Finding(
                "labels-inverted", "blocking" if reference == "tracked points" else "warning",
                f"the labels are said to be {kind}, but their order against the {reference} is "
                f"that of {other} (rank correlation {order:.2f})",
                f'set "kind": "{other}" in pseudo_depth/label.json, or label again with '
                f"`ssmde label --kind {other} --overwrite`",
            )  # fmt: skip
        return  # the better reference that enough frames have


def rank_correlation(a: Shaped[np.ndarray, "*n"], b: Shaped[np.ndarray, "*n"]) -> float:
    """Correlation of the ranks (Spearman) where both are positive, in [-1, 1]; nan of below 30."""
    known = (a > 0) & (b > 0)
    a, b = a[known], b[known]
    if len(a) < FEWEST_VALUES or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    found: Any = spearmanr(a, b)
    return float(found[0])


def _read_some(
    paths: Paths | None, most: int, read: Callable[[int, Path], Seen]
) -> tuple[list[Seen], dict[int, str]]:
    """What `read` makes of at most so many files; and frames whose file cannot be used, and why."""
    found, broken = list[Seen](), dict[int, str]()
    known = [(i, path) for i, path in enumerate(paths or ()) if path is not None]
    for frame, path in [known[k] for k in spread_out(len(known), most)]:
        try:
            found.append(read(frame, path))
        except ImageError as error:
            broken[frame] = str(error)
    return found, broken
