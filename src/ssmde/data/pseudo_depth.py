"""Label files: the pseudo-depth of a scene in 16 bits, and label.json, which says what it is.

    DATA/<scene>/pseudo_depth/<frame>.png
    DATA/<scene>/pseudo_depth/label.json     source, version, kind, affine, licence, network_size

Each image has its own scale, so that its largest value is stored as 60000: a common one would store
a near wall in a few coarse steps, and normals need fine ones. 0 is no value. Where the source means
more than that (`affine` is false), the PNG carries its scale in the text chunk `steps_per_unit`,
and the values of all images come back in the unit of the source.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ssmde.data.images import ImageError, read_map
from ssmde.data.scene_files import read_scene_info
from ssmde.io import read_bytes, read_npy, whole_file, write_json
from ssmde.outputs import (
    RECORD,
    check_replaceable,
    hidden_folder,
    move_into_place,
    recorded,
)

Kind = Literal["depth", "disparity"]

FOLDER = "pseudo_depth"  # in a scene folder
INFO_FILE = "label.json"
LARGEST_STEP = 60000  # what the largest value of an image is stored as
PACKED_STEPS = ".u16.npy"  # ending of a packed label: 16 bits, in steps of 1 / LARGEST_STEP
SCALE_KEY = "steps_per_unit"  # of the PNG's text chunk
VALUES = {
    True: f"relative to the largest value of the image, which is {LARGEST_STEP}; 0 is no value",
    False: f"divide by {SCALE_KEY} of the PNG's text chunk for units of the source; 0 is no value",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelInfo:
    """What is known about the labels of a scene."""

    source: str
    """Network or folder they come from."""
    version: str = ""
    """Which state of it: a commit, or a checksum of the weights; empty if unknown."""
    kind: Kind
    """What they hold."""
    affine: bool
    """True if scale and shift are unknown, and differ from image to image."""
    licence: str
    """Terms of the source, which hold for what it labels."""
    network_size: tuple[int, int] | None = None
    """Size (height, width) the network saw; None if it follows the image, or there is none."""

    def as_json(self) -> dict[str, object]:
        """What label.json holds."""
        return {**asdict(self), "values": VALUES[self.affine]}


SAME = ("source", "version", "kind", "affine", "network_size")  # in labels that may stand together


def labels_fit(
    folder: Path, info: LabelInfo, *, overwrite: bool = False, inputs: Sequence[Path] = ()
) -> bool:
    """Whether labels to come may stand beside those that are there; none at all are fine.

    Args:
        folder: The scene's `pseudo_depth`.
        info: What the labels to come are.
        overwrite: Others may be replaced: False says that they have to be.
        inputs: Files and folders that are read, the source first; labels that lie in one are not
            replaced.

    Raises:
        FileExistsError: If others are there that this package did not write, or an input.
        ValueError: If its label.json differs, or it has labels and no label.json.
    """
    advice = f"label again from the start with --overwrite, or move {folder} away"
    if (fault := _difference(folder, info)) is None:
        return True
    if not overwrite:
        raise ValueError(f"{fault}; {advice}")
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
            return (
                f"{folder / INFO_FILE}: {key} of the labels is {before!r}, now it would be {now!r}"
            )
    return None


def write_labels(
    folder: Path, info: LabelInfo, maps: Mapping[str, Float32[np.ndarray, "_ _"]]
) -> None:
    """Write the labels of some frames; with the first ones the folder appears, label.json in it.

    Labels of something else that are there go then; `labels_fit` has been asked before.

    Args:
        folder: The scene's `pseudo_depth`.
        info: What they are.
        maps: Labels by the name of their frame; see `write_pseudo_depth`.

    Raises:
        ValueError: If one has no value to store.
    """
    with recorded():
        if folder.is_dir() and _difference(folder, info) is None:
            if not (folder / INFO_FILE).is_file():
                _write_info(folder, info)
            for name, values in maps.items():
                write_pseudo_depth(folder / f"{name}.png", values, info)
            return
        with hidden_folder(folder) as part:
            _write_info(part, info)
            for name, values in maps.items():
                write_pseudo_depth(part / f"{name}.png", values, info)
            move_into_place(part, folder)


def begin_labels(folder: Path, info: LabelInfo) -> None:
    """Make the label folder, for several processes to write into it with `write_labels`."""
    write_labels(folder, info, {})


def drop_empty_labels(folder: Path) -> None:
    """Remove a label folder that was begun and got no label."""
    if folder.is_dir() and {file.name for file in folder.iterdir()} <= {INFO_FILE, RECORD}:
        move_into_place(None, folder)


def _write_info(folder: Path, info: LabelInfo) -> None:
    write_json(folder / INFO_FILE, info.as_json())


def write_pseudo_depth(path: Path, values: Float32[np.ndarray, "h w"], info: LabelInfo) -> None:
    """Write one label: error below 1 / 60000 of its largest value, whole or not at all.

    Args:
        path: A .png; its folder exists.
        values: Depth, positive where known, or disparity, where 0 and below is far away; nan where
            there is none.
        info: What it is.

    Raises:
        ValueError: If no pixel has a value.
    """
    known = has_value(values, info.kind)
    largest = float(values[known].max()) if known.any() else 0.0
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


def has_value(values: Float32[np.ndarray, "h w"], kind: Kind) -> Bool[np.ndarray, "h w"]:
    """True where a map has a value: finite, and positive if it is depth."""
    known = np.isfinite(values)
    return known & (values > 0) if kind == "depth" else known


def read_pseudo_depth(
    path: Path, *, image_size: tuple[int, int] | None = None
) -> Float32[np.ndarray, "h w"]:
    """Label of one frame; 0 where it has no value. It has to fit an image of `image_size`.

    In units of the source if the PNG names its scale; else relative, with 1 for a stored 60000; a
    .npy or .npz as it is.

    Raises:
        ImageError: If the file is missing, broken, no label, or of another shape than its image.
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


def pack_label(
    path: Path,
    edit: Callable[[Float32[np.ndarray, "_ _"]], Float32[np.ndarray, "_ _"]],
    image_size: tuple[int, int],
) -> tuple[bytes, str]:
    """Bytes of a .npy that `read_pseudo_depth` reads as the label at `path`, and its ending.

    Args:
        path: The label.
        edit: What to do with it before, such as making it smaller.
        image_size: Size (height, width) of its image.

    Raises:
        ImageError: If the label cannot be read.
    """
    values = edit(read_pseudo_depth(path, image_size=image_size))
    steps = np.rint(values.astype(np.float64) * LARGEST_STEP)
    file = BytesIO()
    # Steps take half the place, but only for a label that is stored in them.
    exact = steps.max(initial=0) < 1 << 16 and (
        (steps.astype(np.float32) / LARGEST_STEP == values).all()
    )
    np.save(file, steps.astype(np.uint16) if exact else values)
    return file.getvalue(), PACKED_STEPS if exact else ".npy"
