"""The files of a data folder: those that training would refuse, without stopping at the first."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from ssmde.console import counted
from ssmde.data.images import ImageError, ShapeError, read_size
from ssmde.data.pack import refuse_packed
from ssmde.data.scene_files import (
    positive_number,
    read_intrinsics,
    read_poses,
    read_scene_info,
    read_timestamps,
    read_tracked_poses,
)
from ssmde.data.scene_folder import (
    Split,
    common_orientation,
    list_images,
    read_scene,
    read_scenes,
    scene_name,
)
from ssmde.data.sequence import FrameSequence
from ssmde.diagnosis.finding import Finding
from ssmde.io import read_lines

SNIPPET = 3  # frames of the shortest snippet: a target and a source on either side
FEW_FRAMES = 200  # trainings on 79 frames failed, those on 240 and more did not
REWRITE = "write the file again as docs/conventions.md has it, or delete it"

Read = TypeVar("Read")


class Opened(NamedTuple):
    """A scene, with what is wrong with its files."""

    sequence: FrameSequence | None
    """None if it has no frame that can be opened."""
    offset: int
    """Index of its first frame among all images of its folder."""
    findings: list[Finding]


def open_scenes(data: Path, split: Split, *, quick: bool = False) -> list[Opened]:
    """Every scene of one part of a data folder; faulty ones with what can be read of them.

    `quick` leaves out opening every image to see its size.

    Raises:
        FileNotFoundError: If the folder, a list or a scene that a list names does not exist.
        ValueError: If there are no scenes.
    """
    refuse_packed(data, "doctor")
    try:
        scenes = read_scenes(data, split, every_size=not quick)
    except ValueError:
        folders = _folders(data, split)
        if not folders:
            raise
        return [open_scene(folder, _root(data)) for folder in folders]
    return [Opened(scene, _offset(scene), []) for scene in scenes]


def open_scene(folder: Path, root: Path | None = None) -> Opened:
    """A scene folder as far as it can be read: each file that is wrong is a blocking finding.

    A scene with a fault comes without depth and labels: they are for when it is mended.
    """
    try:
        return Opened(read_scene(folder, root=root, every_size=True), 0, [])
    except ValueError as error:
        fault = error
    name = scene_name(folder, root)
    try:
        images = list_images(folder)
    except ValueError as error:
        return Opened(None, 0, [_refused("files", name, error)])
    findings, size = _sizes(name, images)
    if size is None:
        return Opened(None, 0, [_refused("files", name, fault)])

    def attempt(kind: str, read: Callable[[], Read]) -> Read | None:
        try:
            return read()
        except ValueError as error:
            findings.append(_refused(kind, name, error))
            return None

    info = folder / "scene.json"
    intrinsics = attempt(
        "intrinsics",
        lambda: read_intrinsics(folder / "cam.txt", size, orientation=common_orientation(images)),
    )
    poses = attempt("poses", lambda: read_poses(folder / "poses.txt", len(images)))
    tracked = attempt(
        "poses", lambda: read_tracked_poses(folder / "tracked_poses.txt", len(images))
    )
    attempt("timestamps", lambda: read_timestamps(folder / "timestamps.txt", len(images)))
    for key in ("fps", "depth_units_per_metre"):
        attempt("scene-file", lambda key=key: positive_number(read_scene_info(info), key, info))
    if not findings:
        kind = "shapes" if isinstance(fault, ShapeError) else "files"
        findings.append(_refused(kind, name, fault))
    sequence = FrameSequence(
        name=name, images=tuple(images), image_size=size, intrinsics=intrinsics, poses=poses,
        tracked_poses=tracked and tracked[0], tracked_parts=tracked and tracked[1],
    )  # fmt: skip
    return Opened(sequence, 0, findings)


def few_frames(scenes: list[FrameSequence]) -> list[Finding]:
    """Scenes too short for a snippet, and a whole that is too small to learn from."""
    findings = [
        Finding(
            name="too-few-frames", severity="warning", scene=scene.name,
            what=f"{counted(len(scene), 'frame')}, and a snippet is a target between two sources",
            remedy="leave the scene out, or take more frames of its video",
        )
        for scene in scenes
        if len(scene) < SNIPPET
    ]  # fmt: skip
    frames = sum(len(scene) for scene in scenes if len(scene) >= SNIPPET)
    if frames < FEW_FRAMES:
        findings.append(
            Finding(
                name="too-few-frames", severity="warning" if frames else "blocking", scene="",
                what=f"{counted(frames, 'frame')} in all scenes together; training wants "
                f"{FEW_FRAMES} and more, of many places",
                remedy="add video, or take more frames of it (`ssmde prepare` with a smaller "
                "--step)",
            )
        )  # fmt: skip
    return findings


def _sizes(name: str, images: list[Path]) -> tuple[list[Finding], tuple[int, int] | None]:
    """The size most images have; those that cannot be opened do not count."""
    sizes: list[tuple[int, int] | None] = []
    for path in images:
        try:
            sizes.append(read_size(path))
        except ImageError:
            sizes.append(None)
    counts = Counter(size for size in sizes if size)
    if not counts:
        return [], None
    (common, count), *others = counts.most_common()
    if not others:
        return [], common
    odd = tuple(i for i, size in enumerate(sizes) if size not in (None, common))
    named = ", ".join(f"{n} have {w} x {h}" for (h, w), n in others[:3])
    finding = Finding(
        name="mixed-sizes", severity="blocking", scene=name, frames=odd,
        what=f"{count} images have {common[1]} x {common[0]} pixels, {named}; the first of these "
        f"is {images[odd[0]].name}",
        remedy="give each size a scene of its own, or resize them with their camera "
        "(`ssmde prepare --width`)",
    )  # fmt: skip
    return [finding], common


def _refused(kind: str, scene: str, error: ValueError) -> Finding:
    """What a reader said; behind its last semicolon stands the remedy."""
    what, _, remedy = str(error).rpartition("; ")
    return Finding(
        name=kind, severity="blocking", scene=scene,
        what=what or str(error), remedy=remedy if what else REWRITE,
    )  # fmt: skip


def _root(data: Path) -> Path:
    """The folder that holds the scenes."""
    inner = data / "training"
    return inner if inner.is_dir() and not (data / "train.txt").is_file() else data


def _folders(data: Path, split: Split) -> list[Path]:
    """Folders of the scenes that a list names, or of all, although one of them is faulty."""
    root = _root(data)
    listed = root / f"{split}.txt"
    if listed.is_file():
        return [root / name.rstrip("/") for _, name in read_lines(listed)]
    if _holds_images(root):
        return [root]
    return [
        f for f in sorted(root.iterdir()) if f.is_dir() and f.name[0] != "." and _holds_images(f)
    ]


def _holds_images(folder: Path) -> bool:
    try:
        return bool(list_images(folder))
    except ValueError:  # one frame in two formats
        return True


def _offset(scene: FrameSequence) -> int:
    return list_images(scene.images[0].parent).index(scene.images[0])
