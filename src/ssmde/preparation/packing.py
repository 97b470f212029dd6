"""`ssmde prepare --pack`: scene folders become shards near the training size, with an index.

Shards are tar files as WebDataset has them; the index beside each tells what lies where.
"""

import hashlib
import io
import json
import tarfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ssmde.arrays import read_npz, write_npz
from ssmde.config import MOST_SIDE
from ssmde.console import with_bar
from ssmde.data import shards as shard_files
from ssmde.data.augment import Framing, whole_frame
from ssmde.data.dataset import read_view
from ssmde.data.images import ImageError, is_gray16, read_image
from ssmde.data.pseudo_labels import pack_label
from ssmde.data.scene_files import TRACKED_POINTS, read_tracked_points
from ssmde.data.scene_folder import read_scenes
from ssmde.data.sequence import FrameSequence, Size
from ssmde.data.shards import FRAMES_FILE, KINDS, NUMBERS, PACK_FILE, SPLITS, VALUES, is_packed
from ssmde.io import FileError, read_bytes, whole_file, write_text
from ssmde.outputs import RECORD, check_replaceable, identity, mark_at, mark_of, recorded, sweep
from ssmde.preparation.results import Packed

PLAN_FILE = "plan.json"  # while packing
SHARD = (".tar", ".npz")  # the index is written last


class PackedScene(NamedTuple):
    """A scene on its way into the shards."""

    split: str
    sequence: FrameSequence  # for training with its tracked points
    framing: Framing | None  # how its frames become smaller; None if they stay as they are


def pack(
    data: Path, out: Path, *, size: Size, shard_frames: int = 4096, overwrite: bool = False,
    show_progress: bool = True,
) -> Packed:  # fmt: skip
    """Write the scenes of a data folder as shards that `read_scenes` reads like the folder.

    Training frames are stored at `size` (height, width) with their pseudo-depth, tracked points,
    camera and poses: the training size, or a little more to keep the detail of zoomed views; they
    are exact, 3 bytes a pixel. Frames for validation and testing stay as they are, with measured
    depth and masks, so that they are measured alike. A run that was stopped goes on with the next
    shard; a finished one is left as it is.
    """
    if not 32 <= min(size) <= max(size) <= MOST_SIDE or shard_frames < 1:
        raise ValueError(
            f"size must be from 32 x 32 to {MOST_SIDE} x {MOST_SIDE} and shard_frames at least 1, "
            f"got {size}, {shard_frames}"
        )
    if is_packed(data):
        raise ValueError(f"{data} is packed data already; give the scene folders")
    scenes = [scene for part in SPLITS for scene in _scenes(data, part, size)]
    about = {
        "format": shard_files.FORMAT, "version": shard_files.VERSION,
        "size": list(size), "codec": "raw", "shard_frames": shard_frames,
        "scenes": [_about(scene) for scene in scenes],
    }  # fmt: skip
    numbers = {
        f"{s.split}/{s.sequence.name}/{field}": values
        for s in scenes
        for field in NUMBERS
        if (values := getattr(s.sequence, field)) is not None
    }
    mark = mark_of(
        about=about,
        files=[identity(file) for scene in scenes for file in _files(scene)],
        numbers={name: hashlib.sha256(a.tobytes()).hexdigest() for name, a in numbers.items()},
    )
    work = _shards(scenes, shard_frames)
    names = {PACK_FILE, PLAN_FILE, FRAMES_FILE, *(f"{n}{end}" for n in work for end in SHARD)}
    sweep(out, names.__contains__)
    if mark_at(out / PACK_FILE) != mark:
        _begin(out, data, mark, overwrite=overwrite)
        with recorded(mark):
            write_text(out / PLAN_FILE, json.dumps(about))
            if mark_at(out / PACK_FILE) is not None:
                (out / PACK_FILE).unlink()
            for name, places in with_bar(work.items(), "packing", show=show_progress):
                if any(mark_at(out / f"{name}{end}") != mark for end in SHARD):
                    write_shard(out, name, places)
            write_npz(out / FRAMES_FILE, numbers)
            for path in out.iterdir():  # shards of what was packed before
                if path.name not in names and mark_at(path) is not None:
                    path.unlink()
            write_text(out / PACK_FILE, json.dumps(about | {"shards": [*work]}, indent=1))
    if mark_at(out / PLAN_FILE) is not None:
        (out / PLAN_FILE).unlink()
    counts = {part: sum(len(s.sequence) for s in scenes if s.split == part) for part in SPLITS}
    lost = [read_npz(out / f"{name}.npz", ["skipped"])["skipped"].tolist() for name in work]
    return Packed(
        folder=out, frames={part: count for part, count in counts.items() if count},
        bytes=sum((out / f"{name}.tar").stat().st_size for name in work),
        skipped=tuple(text.decode(errors="replace") for texts in lost for text in texts),
    )  # fmt: skip


def _scenes(data: Path, split: str, size: Size) -> Iterator[PackedScene]:
    """The scenes of one part; only those for training become smaller."""
    if split == "test" and not (data / "test.txt").is_file():
        return
    for scene in read_scenes(data, split):  # type: ignore[arg-type]
        if split != "train":
            yield PackedScene(split, scene, None)
            continue
        tracked = scene.images[0].parent / TRACKED_POINTS
        points = read_tracked_points(tracked) if tracked.is_file() else {}
        found = [points.get(i) for i in range(len(scene))] if points else None
        framing = whole_frame(scene.image_size, size)
        yield PackedScene(split, replace(scene, tracked_points=found), framing)


def _about(scene: PackedScene) -> dict[str, Any]:
    """What pack.json says of a scene."""
    sequence, framing = scene.sequence, scene.framing
    intrinsics = sequence.intrinsics
    if framing is not None and intrinsics is not None:
        full = torch.from_numpy(intrinsics.astype(np.float64))
        intrinsics = framing.intrinsics(full).numpy()
    names = (*KINDS.values(), *NUMBERS, *VALUES)
    known = {name: v for name in names if (v := getattr(sequence, name)) is not None}
    return {
        "split": scene.split, "name": sequence.name, "frames": len(sequence),
        "image_size": list((framing or sequence).image_size),
        "intrinsics": None if intrinsics is None else intrinsics.tolist(),
        "kinds": [kind for kind, name in KINDS.items() if name in known],
        "numbers": [name for name in NUMBERS if name in known],
        **{name: known[name] for name in VALUES if name in known},
    }  # fmt: skip


def _files(scene: PackedScene) -> Iterator[Path]:
    """All files that a scene is packed from; whether it has tracked points shows as well."""
    sequence = scene.sequence
    kinds = (sequence.images, sequence.pseudo_depth, sequence.depth, sequence.motion_masks)
    yield from (path for kind in kinds for path in kind or () if path is not None)
    yield sequence.images[0].parent / TRACKED_POINTS


def _shards(scenes: list[PackedScene], most: int) -> dict[str, list[tuple[PackedScene, int]]]:
    """Name and contents of each shard, with at most so many frames, in order."""
    work: dict[str, list[tuple[PackedScene, int]]] = {}
    for part in SPLITS:
        places = [(s, i) for s in scenes if s.split == part for i in range(len(s.sequence))]
        for number, first in enumerate(range(0, len(places), most)):
            work[f"{part}-{number:06d}"] = places[first : first + most]
    return work


def _begin(out: Path, data: Path, mark: str, *, overwrite: bool) -> None:
    """Make the folder ready, or find that an earlier run with the same plan can go on."""
    out.mkdir(parents=True, exist_ok=True)
    if mark_at(out / PLAN_FILE) == mark or not [p for p in out.iterdir() if p.name != RECORD]:
        return
    if all(mark_at(out / name) is None for name in (PACK_FILE, PLAN_FILE)):
        raise FileExistsError(f"{out} is not empty: choose another folder")
    if not overwrite:
        remedy = "choose another folder, give the same again, or --overwrite"
        raise FileExistsError(f"{out} was packed from other data or options: {remedy}")
    check_replaceable(out, [data], "choose another folder")


def write_shard(out: Path, name: str, places: list[tuple[PackedScene, int]]) -> None:
    """Write a shard, then its index; what of a frame cannot be read is left out and noted there."""
    rows: dict[str, list[Any]] = defaultdict(list, name=[], skipped=[])
    with whole_file(out / f"{name}.tar") as part, tarfile.open(part, "w") as tar:
        for scene, frame in places:
            stem = scene.sequence.images[frame].stem
            rows["name"].append(stem.encode())
            # A dot would end the key of the sample for WebDataset.
            key = f"{scene.sequence.name}/{stem.replace('.', '-')}"
            for kind in KINDS:
                offset, content, suffix = 0, b"", ""
                try:
                    content, suffix = _content(kind, scene, frame)
                except ImageError as error:
                    rows["skipped"].append(str(error).encode())
                if content:
                    # No time and no owner: the same data makes the same shard.
                    middle = "" if kind == "image" else f".{kind}"
                    info = tarfile.TarInfo(f"{key}{middle}{suffix}")
                    info.size = len(content)
                    header = info.tobuf(tar.format or tarfile.PAX_FORMAT)
                    offset = tar.offset + len(header)  # where in the shard the content begins
                    tar.addfile(info, io.BytesIO(content))
                rows[f"{kind}_offset"].append(offset)
                rows[f"{kind}_size"].append(len(content))
                rows[f"{kind}_suffix"].append(suffix.encode())
    arrays = {
        key: np.array(value, np.int64 if key.endswith(("_offset", "_size")) else np.bytes_)
        for key, value in rows.items()
    }
    write_npz(out / f"{name}.npz", arrays)


def _content(kind: str, scene: PackedScene, frame: int) -> tuple[bytes, str]:
    """Bytes of what a frame has of a kind, and the ending of their file; empty for nothing."""
    _, sequence, framing = scene
    values, size = getattr(sequence, KINDS[kind]), sequence.image_size
    found = None if values is None else values[frame]
    if found is None:
        return b"", ""
    if kind == "points":
        (height, width), (old_height, old_width) = (framing or sequence).image_size, size
        scale = np.array((width / old_width, height / old_height))
        pixels = (found[0].astype(np.float64) + 0.5) * scale - 0.5  # borders stay borders
        return _as_npy(np.column_stack([pixels, found[1]]).astype(np.float32)), ".npy"
    if kind == "image" and framing is not None:
        view = read_view(found, framing, size).transpose(1, 2, 0)
        return _as_npy(np.ascontiguousarray(view)), ".npy"
    if kind == "image" and is_gray16(found):  # one stretch for its scene, as in the folder
        return _as_npy(read_image(found)), ".npy"
    if kind == "pseudo_depth" and framing is not None:
        return pack_label(found, framing, size)
    try:
        return read_bytes(found), found.suffix
    except (OSError, FileError) as error:
        raise ImageError(f"{found}: cannot be read ({error})") from error


def _as_npy(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()
