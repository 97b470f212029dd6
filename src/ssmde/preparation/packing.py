"""`ssmde prepare --pack`: scene folders become shards near the training size, with an index."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ssmde.config.data import MOST_SIDE
from ssmde.console import counted, with_bar
from ssmde.data.augment import whole_frame
from ssmde.data.pack import (
    FORMAT,
    FRAMES_FILE,
    KINDS,
    NUMBERS,
    PACK_FILE,
    SPLITS,
    VALUES,
    VERSION,
    is_packed,
)
from ssmde.data.scene_files import TRACKED_POINTS, read_tracked_points
from ssmde.data.scene_folder import read_scenes
from ssmde.io import read_npz, write_text
from ssmde.outputs import (
    RECORD,
    check_replaceable,
    identity,
    mark_at,
    mark_of,
    recorded,
    sweep,
)
from ssmde.preparation.shard_writer import Codec, PackedScene, Place, save_arrays, write_shard

PLAN_FILE = "plan.json"  # while packing
SHARD = (".tar", ".npz")  # the index is written last


@dataclass(frozen=True, kw_only=True, slots=True)
class Packed:
    """What was packed."""

    folder: Path
    frames: dict[str, int]
    """Frames of each part."""
    bytes: int
    """Size of all shards."""
    skipped: tuple[str, ...]
    """Frames that could not be read, with the reason; training passes them over."""

    def __str__(self) -> str:
        """The report, in lines."""
        counts = ", ".join(
            f"{counted(count, 'frame')} for {part}" for part, count in self.frames.items()
        )
        return f"packed: {self.folder}, {counts}, {self.bytes / 1e6:.1f} MB"


def pack(
    data: Path,
    out: Path,
    *,
    size: tuple[int, int],
    codec: Codec = "raw",
    shard_frames: int = 4096,
    overwrite: bool = False,
    show_progress: bool = True,
) -> Packed:
    """Write the scenes of a data folder as shards that `read_scenes` reads like the folder.

    Training frames are stored at `size` with their pseudo-depth, tracked points, camera and poses;
    frames for validation and testing as they are, with measured depth and masks, so that
    they are measured alike. A run that was stopped goes on with the next shard; a finished one is
    left as it is.

    Args:
        data: Folder of scene folders.
        out: Folder for the shards.
        size: Height and width of the stored training frames: the training size, or a little more
            to keep the detail of zoomed views.
        codec: `raw` is exact and fastest, 3 bytes a pixel; `jpeg` of quality 95 takes a tenth.
        shard_frames: Frames in each shard.
        overwrite: Replace packed data of other scenes or options.
        show_progress: Draw a progress bar.

    Raises:
        FileExistsError: If `out` holds something else, or packed data that may not be replaced.
        ValueError: If the data or an argument do not fit.
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
        "format": FORMAT, "version": VERSION, "size": list(size), "codec": codec,
        "shard_frames": shard_frames, "scenes": [_about(scene) for scene in scenes],
    }  # fmt: skip
    numbers = {
        f"{s.split}/{s.sequence.name}/{field}": getattr(s.sequence, field)
        for s in scenes
        for field in NUMBERS
        if getattr(s.sequence, field) is not None
    }
    mark = mark_of(
        about=about,
        files=[identity(file) for scene in scenes for file in _files(scene)],
        numbers={name: hashlib.sha256(a.tobytes()).hexdigest() for name, a in numbers.items()},
    )
    work = [
        (f"{part}-{number:06d}", places)
        for part in SPLITS
        for number, places in enumerate(_chunks(scenes, part, shard_frames))
    ]
    shards = [name for name, _ in work]
    names = {PACK_FILE, PLAN_FILE, FRAMES_FILE, *(f"{n}{end}" for n in shards for end in SHARD)}
    sweep(out, names.__contains__)
    if mark_at(out / PACK_FILE) != mark:
        _begin(out, data, mark, overwrite=overwrite)
        with recorded(mark):
            write_text(out / PLAN_FILE, json.dumps(about))
            if mark_at(out / PACK_FILE) is not None:
                (out / PACK_FILE).unlink()
            for name, places in with_bar(work, "packing", show=show_progress):
                if any(mark_at(out / f"{name}{end}") != mark for end in SHARD):
                    write_shard(out, name, places, codec)
            save_arrays(out / FRAMES_FILE, numbers)
            for path in out.iterdir():  # shards of what was packed before
                if path.name not in names and mark_at(path) is not None:
                    path.unlink()
            write_text(out / PACK_FILE, json.dumps(about | {"shards": shards}, indent=1))
    if mark_at(out / PLAN_FILE) is not None:
        (out / PLAN_FILE).unlink()
    counts = {part: sum(len(s.sequence) for s in scenes if s.split == part) for part in SPLITS}
    return Packed(
        folder=out,
        frames={part: count for part, count in counts.items() if count},
        bytes=sum((out / f"{name}.tar").stat().st_size for name in shards),
        skipped=tuple(s for name in shards for s in _skipped(out, name)),
    )


def _scenes(data: Path, split: str, size: tuple[int, int]) -> Iterator[PackedScene]:
    """The scenes of one part; only those for training become smaller."""
    if split == "test" and not (data / "test.txt").is_file():
        return
    for sequence in read_scenes(data, split):  # type: ignore[arg-type]
        training = split == "train"
        tracked = sequence.images[0].parent / TRACKED_POINTS
        yield PackedScene(
            split=split,
            sequence=sequence,
            framing=whole_frame(sequence.image_size, size) if training else None,
            points=read_tracked_points(tracked) if training and tracked.is_file() else {},
        )


def _about(scene: PackedScene) -> dict[str, Any]:
    """What pack.json says of a scene."""
    sequence, framing = scene.sequence, scene.framing
    intrinsics = sequence.intrinsics
    if framing is not None and intrinsics is not None:
        full = torch.from_numpy(intrinsics.astype(np.float64))
        intrinsics = framing.intrinsics(full).numpy()
    kinds = {
        "image": True,
        "pseudo_depth": sequence.pseudo_depth is not None,
        "points": bool(scene.points),
        "depth": sequence.depth is not None,
        "motion_mask": sequence.motion_masks is not None,
    }
    size = sequence.image_size if framing is None else framing.image_size
    known = {name: getattr(sequence, name) for name in VALUES}
    return {
        "split": scene.split, "name": sequence.name, "frames": len(sequence),
        "image_size": list(size),
        "intrinsics": None if intrinsics is None else intrinsics.tolist(),
        "kinds": [kind for kind in KINDS if kinds[kind]],
        "numbers": [name for name in NUMBERS if getattr(sequence, name) is not None],
        **{name: value for name, value in known.items() if value is not None},
    }  # fmt: skip


def _files(scene: PackedScene) -> Iterator[Path]:
    """All files that a scene is packed from."""
    sequence = scene.sequence
    kinds = (sequence.images, sequence.pseudo_depth, sequence.depth, sequence.motion_masks)
    yield from (path for kind in kinds for path in kind or () if path is not None)
    yield sequence.images[0].parent / TRACKED_POINTS


def _begin(out: Path, data: Path, mark: str, *, overwrite: bool) -> None:
    """Make the folder ready, or find that an earlier run with the same plan can go on."""
    out.mkdir(parents=True, exist_ok=True)
    if mark_at(out / PLAN_FILE) == mark or not [p for p in out.iterdir() if p.name != RECORD]:
        return
    packed, begun = (mark_at(out / name) is not None for name in (PACK_FILE, PLAN_FILE))
    if not overwrite and packed:
        raise FileExistsError(
            f"{out} holds packed data of other scenes or options: choose another folder, or "
            "--overwrite"
        )
    if not overwrite and begun:
        raise FileExistsError(
            f"{out} was begun with other data or options: give the same again, or --overwrite"
        )
    if not (packed or begun):
        raise FileExistsError(f"{out} is not empty: choose another folder")
    check_replaceable(out, [data], "choose another folder")


def _chunks(scenes: list[PackedScene], split: str, count: int) -> Iterator[list[Place]]:
    """Scene and frame of what goes into each shard of a part, in order."""
    chunk: list[Place] = []
    for scene in scenes:
        for frame in range(len(scene.sequence) if scene.split == split else 0):
            chunk.append((scene, frame))
            if len(chunk) == count:
                yield chunk
                chunk = []
    if chunk:
        yield chunk


def _skipped(out: Path, name: str) -> list[str]:
    skipped = read_npz(out / f"{name}.npz", ["skipped"])["skipped"]
    return [text.decode(errors="replace") for text in skipped.tolist()]
