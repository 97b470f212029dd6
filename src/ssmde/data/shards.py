"""Packed data: frames near training size in tar files, and where in them each frame lies.

    PACK/pack.json              what it is, its shards, and what is known about each scene
    PACK/frames.npz             poses and times, one a frame
    PACK/train-000000.tar       shard: SCENE/FRAME.npy, SCENE/FRAME.pseudo_depth.npy, ...
    PACK/train-000000.npz       index: scene, name, and offset and size of every file of a frame

The shards are those of WebDataset and can be read by other tools from front to back. Here any frame
is one read at an offset, in the order and by the code of folders; a run goes on at any step
(docs/decisions/0012-packed-data-is-read-by-an-index.md).
"""

import os
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ssmde.arrays import read_npy, read_npz
from ssmde.console import shorten
from ssmde.data.sequence import FrameSequence
from ssmde.io import ARRAY_LIMIT, check_file, read_json

PACK_FILE, FRAMES_FILE = "pack.json", "frames.npz"
FORMAT, VERSION = "ssmde-pack", 1
KINDS = {
    "image": "images", "pseudo_depth": "pseudo_depth", "points": "tracked_points",
    "depth": "depth", "motion_mask": "motion_masks",
}  # fmt: skip
"""What a frame may have in a shard, and the field of a sequence that it is."""
SPLITS = ("train", "val", "test")
MOST_OPEN = 64  # shards
# Fields of a sequence with numbers for each frame, and those that are one value.
NUMBERS = ("poses", "tracked_poses", "tracked_parts", "timestamps")
VALUES = (
    "depth_units_per_metre", "pseudo_depth_kind", "pseudo_depth_affine", "pseudo_depth_source",
)  # fmt: skip


def is_packed(root: Path) -> bool:
    """Whether this folder is packed data."""
    return (root / PACK_FILE).is_file()


def refuse_packed(root: Path, verb: str) -> None:
    """Refuse packed data where scene folders are needed."""
    if is_packed(root):
        raise ValueError(
            f"{root} is packed data, `ssmde {verb}` works on scene folders: take these, and pack "
            "them afterwards with `ssmde prepare --pack`"
        )


class ShardFile(type(Path())):
    """A path into a shard, such as PACK/train-000000.tar/SCENE/FRAME.npy, whose bytes it reads."""

    shard: Path
    offset: int
    size: int

    def read_bytes(self) -> Any:
        """Its bytes, writable; an error where the frame could not be read when it was packed."""
        if not self.size:
            raise FileNotFoundError(f"{self}: was not there when the data was packed")
        if self.size > ARRAY_LIMIT:
            raise ValueError(f"{self.shard}: the index claims a file of {self.size:,} bytes in it")
        content = bytearray(self.size)
        if kept_open(self.shard).read_into(content, self.offset) != self.size:
            raise OSError(f"{self.shard} ends too early: copy it again")
        return content


class Shard(FileIO):
    """An open shard, which closes itself."""

    def __del__(self) -> None:
        self.close()

    def read_into(self, content: bytearray, offset: int) -> int:
        """How many bytes were read from there; processes and threads may ask at the same time."""
        if hasattr(os, "preadv"):
            return os.preadv(self.fileno(), [content], offset)
        with FileIO(self.name) as file:  # on Windows
            file.seek(offset)
            return file.readinto(content)


@lru_cache(maxsize=MOST_OPEN)
def kept_open(path: Path) -> Shard:
    """The shard of a path; the one that was not used for longest is closed for it.

    Opened for every frame, one of 256 x 320 takes 20 us in place of 11.
    """
    check_file(path, "shard")
    return Shard(path)


class ShardFiles(Sequence[Any]):
    """Files of one of the `KINDS` of a scene, one a frame; None where a frame has none.

    The table has shard, name, offset, size and suffix of each. A missing image is a path all the
    same, and fails when it is read; points are read at once, as (pixels, depth).
    """

    def __init__(self, root: Path, scene: str, table: np.ndarray, kind: str) -> None:
        self.root, self.scene, self.table, self.kind = root, scene, table, kind
        # To join a name to a folder that is there takes half of the time of a new path.
        self._folders: dict[bytes, tuple[Path, ShardFile]] = {}

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return ShardFiles(self.root, self.scene, self.table[index], self.kind)
        shard, name, offset, size, suffix = self.table[index].item()
        if not size and self.kind != "image":
            return None
        if shard not in self._folders:
            tar = self.root / f"{shard.decode()}.tar"
            self._folders[shard] = tar, ShardFile(tar, self.scene)
        tar, folder = self._folders[shard]
        file = folder / (name + suffix).decode()
        file.shard, file.offset, file.size = tar, offset, size
        if self.kind != "points":
            return file
        points: Float[np.ndarray, "n 3"] = read_npy(file.read_bytes())
        return points[:, :2], points[:, 2]


def read_pack(root: Path, split: str) -> list[FrameSequence]:
    """Sequences of one part of packed data, with every file behind the index."""
    kept_open.cache_clear()  # the data may have been packed anew
    about = read_json(root / PACK_FILE)
    found = about.get("format"), about.get("version")
    if found != (FORMAT, VERSION):
        got = "{} of version {}".format(*(shorten(repr(value)) for value in found))
        raise ValueError(f"{root / PACK_FILE}: expected {FORMAT} of version {VERSION}, got {got}")
    scenes: list[FrameSequence] = []
    try:
        numbers = read_npz(root / FRAMES_FILE)
        for part in SPLITS if split == "all" else (split,):
            scenes += _read_part(root, about, part, numbers)
    except FileNotFoundError:
        raise
    except Exception as error:  # what does not fit breaks in any way
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(
            f"{root}: {PACK_FILE}, {FRAMES_FILE} and the index beside the shards do not fit each "
            f"other ({shorten(reason)}); pack the data again"
        ) from error
    if not scenes:
        raise ValueError(f"{root}: the packed data has no scenes for '{split}'")
    return scenes


def _read_part(
    root: Path, about: dict[str, Any], part: str, numbers: dict[str, np.ndarray]
) -> Iterator[FrameSequence]:
    scenes = [scene for scene in about["scenes"] if scene["split"] == part]
    shards = [name for name in about["shards"] if name.startswith(f"{part}-")]
    if not scenes:
        return
    if odd := [name for name in shards if not re.fullmatch(r"\w+-\d+", name)]:
        raise ValueError(f"{odd[0]!r} names a file outside of it")
    indices = [read_npz(root / f"{name}.npz") for name in shards]
    tables = {kind: _table(kind, shards, indices) for kind in KINDS}
    start = 0
    for scene in scenes:
        frames = slice(start, start + scene["frames"])
        start = frames.stop
        yield FrameSequence(
            name=scene["name"], image_size=tuple(scene["image_size"]),
            intrinsics=None if scene["intrinsics"] is None else np.array(scene["intrinsics"]),
            **{
                KINDS[kind]: ShardFiles(root, scene["name"], table[frames], kind)
                for kind, table in tables.items()
                if kind in scene["kinds"]
            },
            **{name: numbers[f"{part}/{scene['name']}/{name}"] for name in scene["numbers"]},
            **{name: scene[name] for name in VALUES if name in scene},
        )  # fmt: skip


def _table(kind: str, shards: list[str], indices: list[dict[str, np.ndarray]]) -> np.ndarray:
    """Where the files of one kind lie, one entry a frame: shard, name, offset, size and suffix."""
    name, offset, size, suffix = (
        np.concatenate([index[key] for index in indices])
        for key in ("name", f"{kind}_offset", f"{kind}_size", f"{kind}_suffix")
    )
    if any(c.dtype.kind not in "iu" or c.min(initial=0) < 0 for c in (offset, size)):
        raise ValueError(f"offset and size of {kind} are no places in a shard")
    if any(c.dtype.kind != "S" for c in (name, suffix)):
        raise ValueError(f"names of {kind} are no text")
    shard = np.repeat(np.array(shards, np.bytes_), [len(index["name"]) for index in indices])
    return np.rec.fromarrays([shard, name, offset, size, suffix])
