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

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from jaxtyping import Float, Shaped

from ssmde.console import shorten
from ssmde.data.sequence import FrameSequence
from ssmde.data.store import Store, url_of
from ssmde.io import parse_json, read_npy, read_npz

PACK_FILE, FRAMES_FILE = "pack.json", "frames.npz"
FORMAT, VERSION = "ssmde-pack", 1
KINDS = ("image", "pseudo_depth", "points", "depth", "motion_mask")
"""What a frame may have in a shard."""
SPLITS = ("train", "val", "test")
# Fields of a sequence with numbers for each frame, and those that are one value.
NUMBERS = ("poses", "tracked_poses", "tracked_parts", "timestamps")
VALUES = (
    "depth_units_per_metre", "pseudo_depth_kind", "pseudo_depth_affine", "pseudo_depth_source",
)  # fmt: skip


class ShardFile(type(Path())):
    """A path into a shard, such as PACK/train-000000.tar/SCENE/FRAME.npy, whose bytes it reads."""

    store: Store
    shard: str
    offset: int
    size: int

    def __str__(self) -> str:
        """Where it is, for messages."""
        text, store = super().__str__(), getattr(self, "store", None)  # a parent of it has none
        if store is None or store.url is None:
            return text
        return text.replace(str(store.root), store.url, 1)

    def read_bytes(self) -> Any:
        """Its bytes, writable.

        Raises:
            FileNotFoundError: If the frame could not be read when it was packed.
        """
        if not self.size:
            raise FileNotFoundError(f"{self}: was not there when the data was packed")
        return self.store.read(self.shard, self.offset, self.size)


class ShardFiles(Sequence[Any]):
    """Files of one kind of a scene, one a frame; None where a frame has none.

    Args:
        store: Where the shards are.
        scene: Name of the scene.
        table: One entry a frame: shard, name, offset, size, suffix.
        always: Whether a file that is missing is a path all the same, and fails when it is read.
    """

    def __init__(
        self, store: Store, scene: str, table: Shaped[np.ndarray, " n"], *, always: bool
    ) -> None:
        self.store, self.scene, self.table, self.always = store, scene, table, always
        self._folders: dict[bytes, ShardFile] = {}

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.table)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> "ShardFiles": ...
    def __getitem__(self, index: int | slice) -> Any:
        """A file, or the files of a part."""
        if isinstance(index, slice):
            return ShardFiles(self.store, self.scene, self.table[index], always=self.always)
        shard, name, offset, size, suffix = self.table[index].item()
        if not size and not self.always:
            return None
        tar = f"{shard.decode()}.tar"
        if shard not in self._folders:
            self._folders[shard] = ShardFile(self.store.root, tar, self.scene)
        file = self._folders[shard] / (name + suffix).decode()
        file.store, file.shard, file.offset, file.size = self.store, tar, offset, size
        return file


class ShardPoints(Sequence[Any]):
    """Tracked points of each frame, as (pixels, depth); None where a frame has none."""

    def __init__(self, files: ShardFiles) -> None:
        self.files = files

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.files)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> "ShardPoints": ...
    def __getitem__(self, index: int | slice) -> Any:
        """The points of a frame, or of the frames of a part."""
        if isinstance(index, slice):
            return ShardPoints(self.files[index])
        file = self.files[index]
        if file is None:
            return None
        points: Float[np.ndarray, "n 3"] = read_npy(file.read_bytes())
        return points[:, :2], points[:, 2]


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


def read_pack(root: Path, split: str) -> list[FrameSequence]:
    """Sequences of one part of packed data, with every file behind the index.

    Args:
        root: Folder with pack.json, or its URL.
        split: `train`, `val`, `test` or `all`.

    Raises:
        FileNotFoundError: If there is no pack.json.
        ValueError: If it is none of ours, or there are no such scenes.
    """
    store = Store(root)
    about = _read_about(store)
    numbers = _arrays(store, FRAMES_FILE)
    found: list[FrameSequence] = []
    try:
        for part in SPLITS if split == "all" else (split,):
            scenes = [scene for scene in about["scenes"] if scene["split"] == part]
            shards = [name for name in about["shards"] if name.startswith(f"{part}-")]
            if scenes:
                found += _read_part(store, scenes, shards, numbers)
    except FileNotFoundError:
        raise
    except Exception as error:  # what does not fit breaks in any way
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(
            f"{store.url or root}: {PACK_FILE}, {FRAMES_FILE} and the index beside the shards do "
            f"not fit each other ({shorten(reason)}); pack the data again"
        ) from error
    if not found:
        raise ValueError(f"{store.url or root}: the packed data has no scenes for '{split}'")
    return found


def _read_about(store: Store) -> dict[str, Any]:
    where = store.url or store.root
    try:
        about = parse_json(store.read(PACK_FILE), f"{where}/{PACK_FILE}")
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{where}: no packed data, it holds no {PACK_FILE}") from error
    about = about if isinstance(about, dict) else {}
    if about.get("format") != FORMAT or about.get("version") != VERSION:
        raise ValueError(
            f"{where}/{PACK_FILE}: expected {FORMAT} of version {VERSION}, got "
            f"{shorten(repr(about.get('format')))} of version "
            f"{shorten(repr(about.get('version')))}"
        )
    return about


def _arrays(store: Store, name: str) -> dict[str, np.ndarray]:
    try:
        return read_npz(store.read(name))
    except ValueError as error:
        raise ValueError(f"{store.url or store.root}/{name}: {error}") from error


def _read_part(
    store: Store, scenes: list[dict[str, Any]], shards: list[str], numbers: dict[str, np.ndarray]
) -> Iterator[FrameSequence]:
    indices = [_arrays(store, f"{name}.npz") for name in shards]
    tables = {kind: _table(kind, shards, indices) for kind in KINDS}
    start = 0
    for scene in scenes:
        own = f"{scene['split']}/{scene['name']}"
        frames = slice(start, start + scene["frames"])
        start = frames.stop
        files = {
            kind: ShardFiles(store, scene["name"], table[frames], always=kind == "image")
            for kind, table in tables.items()
            if kind in scene["kinds"]
        }
        points = files.pop("points", None)
        yield FrameSequence(
            name=scene["name"],
            images=files["image"],
            image_size=tuple(scene["image_size"]),
            intrinsics=None if scene["intrinsics"] is None else np.array(scene["intrinsics"]),
            depth=files.get("depth"),
            motion_masks=files.get("motion_mask"),
            pseudo_depth=files.get("pseudo_depth"),
            tracked_points=None if points is None else ShardPoints(points),
            **{name: numbers[f"{own}/{name}"] for name in scene["numbers"]},
            **{name: scene[name] for name in VALUES if name in scene},
        )


def _table(
    kind: str, shards: list[str], indices: list[dict[str, np.ndarray]]
) -> Shaped[np.ndarray, " n"]:
    """Where the files of one kind lie, one entry a frame."""
    columns = {
        key: np.concatenate([index[name] for index in indices])
        for key, name in (
            ("name", "name"), ("offset", f"{kind}_offset"), ("size", f"{kind}_size"),
            ("suffix", f"{kind}_suffix"),
        )
    }  # fmt: skip
    numbers, text = (columns["offset"], columns["size"]), (columns["name"], columns["suffix"])
    if any(c.dtype.kind not in "iu" or c.min(initial=0) < 0 for c in numbers):
        raise ValueError(f"offset and size of {kind} are no places in a shard")
    if any(c.dtype.kind != "S" or c.ndim != 1 for c in text):
        raise ValueError(f"names of {kind} are no text")
    counts = [len(index["name"]) for index in indices]
    columns = {"shard": np.repeat(np.array([name.encode() for name in shards]), counts), **columns}
    table = np.empty(sum(counts), dtype=[(key, column.dtype) for key, column in columns.items()])
    for key, column in columns.items():
        table[key] = column
    return table
