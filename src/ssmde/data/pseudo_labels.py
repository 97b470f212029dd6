"""Label files: the pseudo-depth of a scene in 16 bits, and its unit.

    DATA/<scene>/pseudo_depth/<frame>.png
    DATA/<scene>/pseudo_depth/label.json     source, version, kind, affine, licence, network_size

Each image has its own scale, so that its largest value is stored as 60000: a common one would store
a near wall in a few coarse steps, and normals need fine ones. 0 is no value. Where the source means
more than that (`affine` is false), the PNG carries its scale in the text chunk `steps_per_unit`,
and the values of all images come back in the unit of the source.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ssmde.arrays import read_npy
from ssmde.data.augment import Framing
from ssmde.data.images import ImageError, read_map
from ssmde.data.scene_files import read_scene_info
from ssmde.data.sequence import DepthMap, Size
from ssmde.io import read_bytes, whole_file, write_json
from ssmde.outputs import RECORD, check_replaceable, hidden_folder, move_into_place, recorded

Kind = Literal["depth", "disparity"]

FOLDER = "pseudo_depth"  # in a scene folder
INFO_FILE = "label.json"
LARGEST_STEP = 60000  # what the largest value of an image is stored as
PACKED_STEPS = ".u16.npy"  # ending of a packed label: 16 bits, in steps of 1 / LARGEST_STEP
SCALE_KEY = "steps_per_unit"  # of the PNG's text chunk
SAME = ("source", "version", "kind", "affine", "network_size")  # in labels that may stand together

FEWEST = 20  # points of a frame; two unknowns and outliers
REFITS = 5
KEPT = 0.8  # share of the points, those that fit best, that a refit listens to
# Points outside this range, in median depths of the scene, were seen under too small an angle. On a
# hand-held recording (bonn_crowd) this takes the error of fitted labels from 0.114 to 0.054.
POINT_RANGE = (0.2, 4.0)
NEAREST = 0.1  # a fitted depth below this share of the nearest point's is no depth
# The slow factor. On 35 frames of a kitchen (redkitchen) that the labeling network never saw, it
# takes the error of its labels from 0.174 to 0.122. Where no points are near, as on people, it goes
# back to the scale of the whole image: 0.325 to 0.301 on what moves in `bonn_crowd`.
GRID = (8, 10)  # its nodes: rows, columns
STIFF = 0.5  # what a step of the log factor from node to node costs, beside the error of one point
RIDGE = 1.0  # what a log factor costs beside that
ROUNDS = 6  # of weights for the points, by how well they fit
SPREAD = 0.4  # error of a point that quarters its weight, as a share of depth


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelInfo:
    """What is known about the labels of a scene."""

    source: str  # network or folder they come from
    version: str = ""  # which state of it: a commit, or a checksum of the weights; empty if unknown
    kind: Kind  # what they hold
    affine: bool  # true if scale and shift are unknown, and differ from image to image
    licence: str  # terms of the source, which hold for what it labels
    network_size: Size | None = None  # (height, width); None if it follows the image, or has none

    def as_json(self) -> dict[str, object]:
        """What label.json holds."""
        steps = f"divide by {SCALE_KEY} of the PNG's text chunk for units of the source"
        if self.affine:
            steps = f"relative to the largest value of the image, which is {LARGEST_STEP}"
        return {**asdict(self), "values": f"{steps}; 0 is no value"}


def labels_fit(
    folder: Path, info: LabelInfo, *, overwrite: bool = False, inputs: Sequence[Path] = ()
) -> bool:
    """Whether labels to come may stand beside those that are there; none at all are fine.

    Labels that differ are a ValueError, or False with `overwrite`: they have to go. A
    FileExistsError where others wrote them, or one of `inputs` (which are read, the source first)
    lies there.
    """
    if (fault := _difference(folder, info)) is None:
        return True
    if not overwrite:
        remedy = f"label again from the start with --overwrite, or move {folder} away"
        raise ValueError(f"{fault}; {remedy}")
    source = inputs[0] if inputs else info.source
    check_replaceable(folder, inputs, f"all of {folder}, for the labels of {source}")
    return False


def _difference(folder: Path, info: LabelInfo) -> str | None:
    """Why labels cannot stand beside those in a folder; None if they can."""
    found = read_scene_info(folder / INFO_FILE)
    if not found and os.path.lexists(folder) and (not folder.is_dir() or any(folder.glob("[!.]*"))):
        return f"{folder}: holds labels of unknown source, without label.json"
    wanted = json.loads(json.dumps(info.as_json()))
    for key in SAME:
        before, now = found.get(key, wanted[key]), wanted[key]
        if before != now and "" not in (before, now):  # an unknown version says nothing
            path = folder / INFO_FILE
            return f"{path}: {key} of the labels is {before!r}, now it would be {now!r}"
    return None


def write_labels(folder: Path, info: LabelInfo, maps: Mapping[str, DepthMap]) -> None:
    """Write the labels of some frames, by name; with the first the folder and label.json appear.

    Labels of something else that are there go then; `labels_fit` has been called before. No maps
    make the folder, for several processes to write into it.
    """

    def write(place: Path) -> None:
        if not (place / INFO_FILE).is_file():
            write_json(place / INFO_FILE, info.as_json())
        for name, values in maps.items():
            write_pseudo_depth(place / f"{name}.png", values, info)

    with recorded():
        if folder.is_dir() and _difference(folder, info) is None:
            write(folder)
            return
        with hidden_folder(folder) as part:
            write(part)
            move_into_place(part, folder)


def drop_empty_labels(folder: Path) -> None:
    """Remove a label folder that was begun and got no label."""
    if folder.is_dir() and {file.name for file in folder.iterdir()} <= {INFO_FILE, RECORD}:
        move_into_place(None, folder)


def write_pseudo_depth(path: Path, values: DepthMap, info: LabelInfo) -> None:
    """Write one label of known depth or disparity: error below 1 / 60000 of its largest value."""
    known = has_value(values, info.kind)
    largest = float(values[known].max(initial=0))
    if not largest > 0:
        raise ValueError(f"{path}: a label needs a pixel with a finite, positive {info.kind}")
    steps = np.zeros(values.shape, np.uint16)
    fine = np.rint(values[known].astype(np.float64) * (LARGEST_STEP / largest))
    steps[known] = fine.clip(1, LARGEST_STEP).astype(np.uint16)
    text = PngInfo()
    if not info.affine:
        text.add_text(SCALE_KEY, repr(LARGEST_STEP / largest))
    with whole_file(path) as part:
        Image.fromarray(steps).save(part, "PNG", pnginfo=text)


def has_value(values: DepthMap, kind: Kind) -> Bool[np.ndarray, "h w"]:
    """True where a map has a value: finite, and positive if it is depth."""
    known = np.isfinite(values)
    return known & (values > 0) if kind == "depth" else known


def read_pseudo_depth(path: Path, *, image_size: Size | None = None) -> DepthMap:
    """Label of one frame, to fit an image of `image_size`; 0 where it has no value.

    In units of the source if the PNG names its scale; else relative, 1 for a stored 60000.
    """
    if path.name.endswith(PACKED_STEPS):
        return read_npy(read_bytes(path)).astype(np.float32) / LARGEST_STEP
    if path.suffix.lower() != ".png":
        return read_map(path, image_size=image_size)
    steps = read_map(path, 1, image_size=image_size)
    with Image.open(BytesIO(read_bytes(path))) as image:
        text = image.info.get(SCALE_KEY, str(LARGEST_STEP))
    try:
        scale = float(text)
    except ValueError:
        scale = float("nan")
    if not 0 < scale < float("inf"):
        raise ImageError(f"{path}: {SCALE_KEY} must be a positive number, got {text!r}")
    return (steps / scale).astype(np.float32)


def pack_label(path: Path, framing: Framing, image_size: Size) -> tuple[bytes, str]:
    """Bytes of a .npy that is read as a view of the label at `path`, and its ending."""
    values = framing.nearest(read_pseudo_depth(path, image_size=image_size), image_size)
    steps = np.rint(values.astype(np.float64) * LARGEST_STEP)
    # Steps take half the place, but only for a label that is stored in them.
    small = steps.max(initial=0) < 1 << 16
    exact = small and bool((steps.astype(np.float32) / LARGEST_STEP == values).all())
    file = BytesIO()
    np.save(file, steps.astype(np.uint16) if exact else values)
    return file.getvalue(), PACKED_STEPS if exact else ".npy"


def plausible(depth: Float32[np.ndarray, "n"]) -> Bool[np.ndarray, "n"]:
    """True for points seen under a fair angle, which tells their depth in the unit of tracking."""
    # The median of one frame does less well: on one of `bonn_crowd` half the points lie on people.
    near, far = POINT_RANGE
    return (depth > near) & (depth < far)


def fit_to_points(
    values: DepthMap, pixels: Float32[np.ndarray, "n 2"], depth: Float32[np.ndarray, "n"],
    stored: Size, *, affine: bool = True,
) -> DepthMap:  # fmt: skip
    """The label in the unit of the points; 0 where it has no value, or everywhere without a fit.

    Scale and shift of a label differ from frame to frame, and its far wall may be too near; the
    points (u, v) of `ssmde track`, in pixels of a frame of the size `stored`, have depths in one
    unit for all frames, but only on what stands still. Least squares of the *relative* depth error,
    repeated on the four fifths of the points that fit best; without a shift where the label has
    none (`affine` false): with points at about one depth it would become flat. Then a factor that
    changes slowly over the image, from points weighted by Geman and McClure's function of their
    error.
    """
    height, width = values.shape
    columns = ((pixels[:, 0] + 0.5) * width / stored[1]).astype(int).clip(0, width - 1)
    rows = ((pixels[:, 1] + 0.5) * height / stored[0]).astype(int).clip(0, height - 1)
    label = values[rows, columns].astype(np.float64)
    good = (label > 0) & plausible(depth)
    label, depth = label[good], depth[good].astype(np.float64)
    nothing = np.zeros_like(values)
    if len(label) < FEWEST:
        return nothing
    kept, scale, shift = np.ones(len(label), dtype=bool), 0.0, 0.0
    system = np.stack([label, np.ones_like(label)][: 1 + affine], axis=1) / depth[:, None]
    for _ in range(REFITS):
        solution, *_ = np.linalg.lstsq(system[kept], np.ones(kept.sum()), rcond=None)
        scale, shift = solution if affine else (solution[0], 0.0)
        error = np.abs((scale * label + shift) / depth - 1)
        kept = error <= np.quantile(error, KEPT)
    fitted = scale * values + shift
    sure = (values > 0) & (fitted > NEAREST * depth.min())
    if not (scale > 0 and sure.any()):
        return nothing
    factor = _slow_factor(np.where(sure, fitted, 0), rows[good], columns[good], depth)
    return np.where(sure, factor * fitted, 0).astype(np.float32)


def _slow_factor(
    fitted: Float64[np.ndarray, "h w"], rows: Int[np.ndarray, "n"], columns: Int[np.ndarray, "n"],
    depth: Float64[np.ndarray, "n"],
) -> Float64[np.ndarray, "h w"]:  # fmt: skip
    """What a fitted label is to be multiplied by, so that it meets the points at these pixels."""
    seen = fitted[rows, columns] > 0
    rows, columns = rows[seen], columns[seen]
    wanted = np.log(depth[seen] / fitted[rows, columns])
    # The share of each node in each row and column, in each point: linear from node to node.
    down, across = (
        (1 - np.abs(np.linspace(0, nodes - 1, pixels)[:, None] - np.arange(nodes))).clip(0)
        for pixels, nodes in zip(fitted.shape, GRID, strict=True)
    )
    system = (down[rows][:, :, None] * across[columns][:, None]).reshape(len(rows), -1)
    nodes = np.arange(np.prod(GRID)).reshape(GRID)
    stiffness = RIDGE * np.eye(nodes.size)
    for axis in (0, 1):
        pair = np.delete(nodes, -1, axis).ravel(), np.delete(nodes, 0, axis).ravel()
        for one, other in (pair, pair[::-1]):
            stiffness[one, one] += STIFF
            stiffness[one, other] -= STIFF
    log_factor = np.zeros(nodes.size)
    for _ in range(ROUNDS):
        error = wanted - system @ log_factor
        weighted = system / (1 + (error / SPREAD) ** 2)[:, None] ** 2
        log_factor = np.linalg.solve(system.T @ weighted + stiffness, weighted.T @ wanted)
    return np.exp(down @ log_factor.reshape(GRID) @ across.T)
