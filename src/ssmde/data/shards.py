"""Packed data: frames near training size in tar files, and where in them each frame lies.

    PACK/pack.json              what it is, its shards, and what is known about each scene
    PACK/frames.npz             poses and times, one a frame
    PACK/train-000000.tar       shard: SCENE/FRAME.npy, SCENE/FRAME.pseudo_depth.npy, ...
    PACK/train-000000.npz       index: scene, name, and offset and size of every file of a frame

The shards are those of WebDataset and can be read by other tools from front to back. Here the index
is used instead: any frame is one read at an offset, on a disk or behind a URL. So packed data is
read in the order in which folders are, by the same code; a run goes on at any step, and ranks and
workers change nothing (docs/decisions/0012-packed-data-is-read-by-an-index.md).
"""

import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ssmde.arrays import read_npy, read_npz
from ssmde.console import shorten
from ssmde.data.sequence import FrameSequence
from ssmde.io import ARRAY_LIMIT, check_file, parse_json, read_bytes

PACK_FILE, FRAMES_FILE = "pack.json", "frames.npz"
FORMAT, VERSION = "ssmde-pack", 1
KINDS = {
    "image": "images", "pseudo_depth": "pseudo_depth", "points": "tracked_points",
    "depth": "depth", "motion_mask": "motion_masks",
}  # fmt: skip
"""What a frame may have in a shard, and the field of a sequence that it is."""
SPLITS = ("train", "val", "test")
# Fields of a sequence with numbers for each frame, and those that are one value.
NUMBERS = ("poses", "tracked_poses", "tracked_parts", "timestamps")
VALUES = (
    "depth_units_per_metre", "pseudo_depth_kind", "pseudo_depth_affine", "pseudo_depth_source",
)  # fmt: skip
PACK_LIMIT = 1 << 33  # bytes of an index: that of 100 million frames
TRIES = 7
FIRST_PAUSE = 0.1  # seconds after the first failure, twice as long after each further one


class RemoteError(ConnectionError):
    """A file behind a URL that cannot be read, however often one tries; not a fault of the file."""


def url_of(root: Path) -> str | None:
    """The URL that a path was made of, for `Path` takes away one of its slashes; else None."""
    found = re.match(r"([a-z][a-z0-9+.-]+):/+(.*)", root.as_posix())
    if found is None or len(found[1]) < 2:  # one letter is a drive
        return None
    return f"{found[1]}:///{found[2]}" if found[1] == "file" else f"{found[1]}://{found[2]}"


def is_packed(root: Path) -> bool:
    """Whether this is packed data: a URL always is, a folder by its pack.json."""
    return url_of(root) is not None or (root / PACK_FILE).is_file()


def refuse_packed(root: Path, verb: str) -> None:
    """Refuse packed data where scene folders are needed."""
    if is_packed(root):
        raise ValueError(
            f"{url_of(root) or root} is packed data, `ssmde {verb}` works on scene folders: take "
            "these, and pack them afterwards with `ssmde prepare --pack`"
        )


class Store:
    """Parts of files in a folder, here or elsewhere, read at an offset, again when the net fails.

    Its root is a folder, or a URL that `fsspec` understands: https, s3, gs and others. Each
    process opens its own connections.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.url = root, url_of(root)
        self._owner, self._remote = os.getpid(), _connect(self.url) if self.url else None

    def __reduce__(self) -> tuple[type["Store"], tuple[Path]]:
        return Store, (self.root,)

    def __str__(self) -> str:
        return self.url or str(self.root)

    def read(self, name: str, start: int = 0, size: int | None = None) -> bytearray:
        """Bytes of a file from `start` on; the whole file without a size.

        A remote file that cannot be read after several tries is a RemoteError.
        """
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ValueError(f"{self}: names a file outside of it, {name!r}")
        if self.url is not None:
            return bytearray(self._read_there(self.url, name, start, size))
        if size is None:
            return bytearray(read_bytes(self.root / name, limit=PACK_LIMIT))
        if size > ARRAY_LIMIT:
            raise ValueError(f"{self.root / name}: the index claims a file of {size:,} bytes in it")
        check_file(self.root / name, "shard")
        content = bytearray(size)
        with (self.root / name).open("rb", buffering=0) as file:
            file.seek(start)
            if file.readinto(content) != size:
                raise OSError(f"{self.root / name} ends too early: copy it again")
        return content

    def _read_there(self, url: str, name: str, start: int, size: int | None) -> bytes:
        ends = {} if size is None else {"start": start, "end": start + size}
        reason: object = None
        if self._owner != os.getpid():  # this process was forked off: the connection is not its own
            self._owner, self._remote = os.getpid(), None
        for number in range(TRIES):
            if number:
                time.sleep(FIRST_PAUSE * 2 ** (number - 1))
            try:
                self._remote = self._remote or _connect(url)
                files, root = self._remote
                content = files.cat_file(f"{root}/{name}", **ends)
            except (FileNotFoundError, PermissionError):
                raise
            except Exception as error:  # every protocol has its own
                reason, self._remote = error or type(error).__name__, None
                continue
            if size is None or len(content) == size:
                return content
            reason = f"{len(content)} bytes in place of {size}: the server must serve byte ranges"
        raise RemoteError(f"{url}/{name}: tried {TRIES} times, last: {reason}")


def _connect(url: str) -> tuple[Any, str]:
    """A file system of fsspec and the path of the URL in it."""
    try:
        from fsspec.core import url_to_fs

        files, root = url_to_fs(url, skip_instance_cache=True)
    except ImportError as error:
        raise ImportError(
            f"{url}: reading from the net needs pip install 'ssmde[remote]' ({error})"
        ) from error
    return files, str(root).rstrip("/")


class ShardFile(type(Path())):
    """A path into a shard, such as PACK/train-000000.tar/SCENE/FRAME.npy, whose bytes it reads."""

    store: Store
    shard: str
    offset: int
    size: int

    def __str__(self) -> str:
        text, store = super().__str__(), getattr(self, "store", None)  # a parent of it has none
        return text if store is None else text.replace(str(store.root), str(store), 1)

    def read_bytes(self) -> Any:
        """Its bytes, writable; an error where the frame could not be read when it was packed."""
        if not self.size:
            raise FileNotFoundError(f"{self}: was not there when the data was packed")
        return self.store.read(self.shard, self.offset, self.size)


class ShardFiles(Sequence[Any]):
    """Files of one of the `KINDS` of a scene, one a frame; None where a frame has none.

    The table has shard, name, offset, size and suffix of each. A missing image is a path all the
    same, and fails when it is read; points are read at once, as (pixels, depth).
    """

    def __init__(self, store: Store, scene: str, table: np.ndarray, kind: str) -> None:
        self.store, self.scene, self.table, self.kind = store, scene, table, kind
        self._folders: dict[bytes, ShardFile] = {}

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return ShardFiles(self.store, self.scene, self.table[index], self.kind)
        shard, name, offset, size, suffix = self.table[index].item()
        if not size and self.kind != "image":
            return None
        tar = f"{shard.decode()}.tar"
        if shard not in self._folders:
            self._folders[shard] = ShardFile(self.store.root, tar, self.scene)
        file = self._folders[shard] / (name + suffix).decode()
        file.store, file.shard, file.offset, file.size = self.store, tar, offset, size
        if self.kind != "points":
            return file
        points: Float[np.ndarray, "n 3"] = read_npy(file.read_bytes())
        return points[:, :2], points[:, 2]


def read_pack(root: Path, split: str) -> list[FrameSequence]:
    """Sequences of one part of packed data, a folder or a URL, with every file behind the index."""
    store = Store(root)
    try:
        about = parse_json(store.read(PACK_FILE), f"{store}/{PACK_FILE}")
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{store}: no packed data, it holds no {PACK_FILE}") from error
    about = about if isinstance(about, dict) else {}
    found = about.get("format"), about.get("version")
    if found != (FORMAT, VERSION):
        got = "{} of version {}".format(*(shorten(repr(value)) for value in found))
        raise ValueError(f"{store}/{PACK_FILE}: expected {FORMAT} of version {VERSION}, got {got}")
    numbers = _arrays(store, FRAMES_FILE)
    scenes: list[FrameSequence] = []
    try:
        for part in SPLITS if split == "all" else (split,):
            scenes += _read_part(store, about, part, numbers)
    except FileNotFoundError:
        raise
    except Exception as error:  # what does not fit breaks in any way
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(
            f"{store}: {PACK_FILE}, {FRAMES_FILE} and the index beside the shards do "
            f"not fit each other ({shorten(reason)}); pack the data again"
        ) from error
    if not scenes:
        raise ValueError(f"{store}: the packed data has no scenes for '{split}'")
    return scenes


def _arrays(store: Store, name: str) -> dict[str, np.ndarray]:
    try:
        return read_npz(store.read(name))
    except ValueError as error:
        raise ValueError(f"{store}/{name}: {error}") from error


def _read_part(
    store: Store, about: dict[str, Any], part: str, numbers: dict[str, np.ndarray]
) -> Iterator[FrameSequence]:
    scenes = [scene for scene in about["scenes"] if scene["split"] == part]
    shards = [name for name in about["shards"] if name.startswith(f"{part}-")]
    if not scenes:
        return
    indices = [_arrays(store, f"{name}.npz") for name in shards]
    tables = {kind: _table(kind, shards, indices) for kind in KINDS}
    start = 0
    for scene in scenes:
        frames = slice(start, start + scene["frames"])
        start = frames.stop
        yield FrameSequence(
            name=scene["name"], image_size=tuple(scene["image_size"]),
            intrinsics=None if scene["intrinsics"] is None else np.array(scene["intrinsics"]),
            **{
                KINDS[kind]: ShardFiles(store, scene["name"], table[frames], kind)
                for kind, table in tables.items()
                if kind in scene["kinds"]
            },
            **{name: numbers[f"{part}/{scene['name']}/{name}"] for name in scene["numbers"]},
            **{name: scene[name] for name in VALUES if name in scene},
        )  # fmt: skip


def _table(kind: str, shards: list[str], indices: list[dict[str, np.ndarray]]) -> np.ndarray:
    """Where the files of one kind lie, one entry a frame."""
    counts = [len(index["name"]) for index in indices]
    columns = {"shard": np.repeat(np.array([name.encode() for name in shards]), counts)}
    for key in ("name", "offset", "size", "suffix"):
        name = key if key == "name" else f"{kind}_{key}"
        columns[key] = np.concatenate([index[name] for index in indices])
    numbers, text = (columns["offset"], columns["size"]), (columns["name"], columns["suffix"])
    if any(c.dtype.kind not in "iu" or c.min(initial=0) < 0 for c in numbers):
        raise ValueError(f"offset and size of {kind} are no places in a shard")
    if any(c.dtype.kind != "S" or c.ndim != 1 for c in text):
        raise ValueError(f"names of {kind} are no text")
    table = np.empty(sum(counts), dtype=[(key, column.dtype) for key, column in columns.items()])
    for key, column in columns.items():
        table[key] = column
    return table
