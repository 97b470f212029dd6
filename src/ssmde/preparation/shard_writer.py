"""Frames into shards: tar files as WebDataset has them, each with an index of what lies where."""

import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from ssmde.data.augment import Framing
from ssmde.data.dataset import read_view
from ssmde.data.grey import is_grey16
from ssmde.data.images import ImageError, read_image
from ssmde.data.pack import KINDS
from ssmde.data.pseudo_depth import pack_label
from ssmde.data.sequence import FrameSequence
from ssmde.io import FileError, read_bytes, whole_file

Codec = Literal["raw", "jpeg"]

JPEG_QUALITY = 95


@dataclass(frozen=True, kw_only=True, slots=True)
class PackedScene:
    """A scene on its way into the shards."""

    split: str
    """Part of the data it is for."""
    sequence: FrameSequence
    framing: Framing | None
    """How its frames become smaller; None if they stay as they are."""
    points: dict[int, Any]
    """Tracked points by frame."""


Place = tuple[PackedScene, int]
"""Scene and frame."""


def write_shard(out: Path, name: str, places: list[Place], codec: Codec) -> None:
    """Write a shard, then its index."""
    rows: dict[str, list[Any]] = {"name": [], "skipped": []}
    for kind in KINDS:
        rows |= {f"{kind}_{field}": [] for field in ("offset", "size", "suffix")}
    with whole_file(out / f"{name}.tar") as part, tarfile.open(part, "w") as tar:
        for scene, frame in places:
            _add_frame(tar, scene, frame, codec, rows)
    arrays = {
        key: np.array(value, np.int64 if key.endswith(("_offset", "_size")) else np.bytes_)
        for key, value in rows.items()
    }
    save_arrays(out / f"{name}.npz", arrays)


def _add_frame(
    tar: tarfile.TarFile, scene: PackedScene, frame: int, codec: Codec, rows: dict[str, list[Any]]
) -> None:
    """Add the files of one frame; one that cannot be read is left out and noted."""
    stem = scene.sequence.images[frame].stem
    rows["name"].append(stem.encode())
    # A dot would end the key of the sample for WebDataset.
    key = f"{scene.sequence.name}/{stem.replace('.', '-')}"
    for kind in KINDS:
        offset, content, suffix = 0, b"", ""
        try:
            content, suffix = CONTENTS[kind](scene, frame, codec)
        except ImageError as error:
            rows["skipped"].append(str(error).encode())
        if content:
            middle = "" if kind == "image" else f".{kind}"
            offset = _add(tar, f"{key}{middle}{suffix}", content)
        rows[f"{kind}_offset"].append(offset)
        rows[f"{kind}_size"].append(len(content))
        rows[f"{kind}_suffix"].append(suffix.encode())


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> int:
    """Add a file to a shard; where in it its content begins."""
    info = tarfile.TarInfo(name)  # no time and no owner: the same data makes the same shard
    info.size = len(content)
    header = info.tobuf(tar.format or tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    start = tar.offset + len(header)
    tar.addfile(info, io.BytesIO(content))
    return start


def _image(scene: PackedScene, frame: int, codec: Codec) -> tuple[bytes, str]:
    path = scene.sequence.images[frame]
    if scene.framing is None and is_grey16(path):  # one stretch for its scene, as in the folder
        return _encoded(read_image(path), "raw")
    if scene.framing is None:
        return _as_it_is(path)
    view = read_view(path, scene.framing, scene.sequence.image_size).transpose(1, 2, 0)
    return _encoded(np.ascontiguousarray(view), codec)


def _encoded(pixels: UInt8[np.ndarray, "h w 3"], codec: Codec) -> tuple[bytes, str]:
    file = io.BytesIO()
    if codec == "raw":
        np.save(file, pixels)
        return file.getvalue(), ".npy"
    Image.fromarray(pixels).save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue(), ".jpg"


def _pseudo_depth(scene: PackedScene, frame: int, codec: Codec) -> tuple[bytes, str]:
    path = (scene.sequence.pseudo_depth or {frame: None})[frame]
    if path is None or scene.framing is None:
        return _as_it_is(path)
    return pack_label(path, lambda v: _smaller(scene, v), scene.sequence.image_size)


def _smaller(scene: PackedScene, values: np.ndarray) -> np.ndarray:
    assert scene.framing is not None
    return scene.framing.nearest(values, scene.sequence.image_size)


def _points(scene: PackedScene, frame: int, codec: Codec) -> tuple[bytes, str]:
    if frame not in scene.points or scene.framing is None:
        return b"", ""
    pixels, depth = scene.points[frame]
    (height, width), (old_height, old_width) = scene.framing.image_size, scene.sequence.image_size
    scale = np.array((width / old_width, height / old_height))
    moved = (pixels.astype(np.float64) + 0.5) * scale - 0.5
    file = io.BytesIO()
    np.save(file, np.column_stack([moved, depth]).astype(np.float32))
    return file.getvalue(), ".npy"


def _depth(scene: PackedScene, frame: int, codec: Codec) -> tuple[bytes, str]:
    return _as_it_is((scene.sequence.depth or {frame: None})[frame])


def _motion_mask(scene: PackedScene, frame: int, codec: Codec) -> tuple[bytes, str]:
    return _as_it_is((scene.sequence.motion_masks or {frame: None})[frame])


def _as_it_is(path: Path | None) -> tuple[bytes, str]:
    if path is None:
        return b"", ""
    try:
        return read_bytes(path), path.suffix
    except (OSError, FileError) as error:
        raise ImageError(f"{path}: cannot be read ({error})") from error


CONTENTS: dict[str, Callable[[PackedScene, int, Codec], tuple[bytes, str]]] = {
    "image": _image,
    "pseudo_depth": _pseudo_depth,
    "points": _points,
    "depth": _depth,
    "motion_mask": _motion_mask,
}


def save_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an .npz, whole or not at all."""
    with whole_file(path) as part, part.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
