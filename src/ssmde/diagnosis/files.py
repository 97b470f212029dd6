"""The files of a data folder: what training would refuse, without stopping at the first of it."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from ssmde.console import counted
from ssmde.data.images import ImageError, ShapeError, read_size
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
    data_root,
    list_images,
    read_scene,
    read_scenes,
    scene_name,
    scene_names,
)
from ssmde.data.sequence import FrameSequence
from ssmde.data.shards import refuse_packed
from ssmde.diagnosis import Finding
from ssmde.io import read_lines

SNIPPET = 3  # frames of the shortest snippet: a target and a source on either side
FEW_FRAMES = 200  # trainings on 79 frames failed, those on 240 and more did not
REWRITE = "write the file again as docs/conventions.md has it, or delete it"
FIELD_OF_VIEW = (15.0, 130.0)  # degrees across the width: a long zoom, the widest pinhole
ASPECT = 1.3  # fx / fy, either way, beyond which even a resized image is rare
OFF_CENTER = 0.2  # of the side: how far a principal point may lie from the middle

Read = TypeVar("Read")


class Opened(NamedTuple):
    """A scene, with what is wrong with its files."""

    sequence: FrameSequence | None  # None if it has no frame that can be opened
    offset: int  # index of its first frame among all images of its folder
    findings: list[Finding]


def open_scenes(data: Path, split: Split, *, quick: bool = False) -> list[Opened]:
    """Every scene of one part of a data folder; faulty ones with what can be read of them.

    `quick` leaves out opening every image to see its size.
    """
    refuse_packed(data, "doctor")
    try:
        scenes = read_scenes(data, split, every_size=not quick)
    except ValueError:
        root = data_root(data)
        listed = root / f"{split}.txt"
        known = [name.rstrip("/") for _, name in read_lines(listed)] if listed.is_file() else None
        names = scene_names(root, []) if known is None else known
        if not names:
            raise
        return [open_scene(root / name, root) for name in names]
    return [Opened(s, list_images(s.images[0].parent).index(s.images[0]), []) for s in scenes]


def open_scene(folder: Path, root: Path | None = None) -> Opened:
    """A scene folder as far as it can be read: each file that is wrong is a blocking finding.

    A scene with a fault comes without depth and labels: they are for when it is mended.
    """
    try:
        return Opened(read_scene(folder, root=root, every_size=True), 0, [])
    except ValueError as error:
        fault = error
    name = scene_name(folder, root)
    findings: list[Finding] = []

    def attempt(kind: str, read: Callable[[], Read]) -> Read | None:
        try:
            return read()
        except ValueError as error:  # behind the last semicolon stands the remedy
            what, _, remedy = str(error).rpartition("; ")
            what, remedy = (what, remedy) if what else (str(error), REWRITE)
            findings.append(Finding(kind, "blocking", what, remedy, scene=name))
            return None

    def repeat_fault() -> None:
        raise fault

    images = attempt("files", lambda: list_images(folder))
    if images is None:
        return Opened(None, 0, findings)
    size = _common_size(name, images, findings)
    if size is None:
        attempt("files", repeat_fault)
        return Opened(None, 0, findings)
    info, count = folder / "scene.json", len(images)
    intrinsics = attempt(
        "intrinsics",
        lambda: read_intrinsics(folder / "cam.txt", size, orientation=common_orientation(images)),
    )
    poses = attempt("poses", lambda: read_poses(folder / "poses.txt", count))
    tracked = attempt("poses", lambda: read_tracked_poses(folder / "tracked_poses.txt", count))
    attempt("timestamps", lambda: read_timestamps(folder / "timestamps.txt", count))
    for key in ("fps", "depth_units_per_metre"):
        attempt("scene-file", lambda key=key: positive_number(read_scene_info(info), key, info))
    if not findings:
        attempt("shapes" if isinstance(fault, ShapeError) else "files", repeat_fault)
    sequence = FrameSequence(
        name=name, images=tuple(images), image_size=size, intrinsics=intrinsics, poses=poses,
        tracked_poses=tracked and tracked[0], tracked_parts=tracked and tracked[1],
    )  # fmt: skip
    return Opened(sequence, 0, findings)


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


def _common_size(name: str, images: list[Path], findings: list[Finding]) -> tuple[int, int] | None:
    """The size most images have, and a finding about others; what cannot be opened has none."""
    sizes: list[tuple[int, int] | None] = []
    for path in images:
        try:
            sizes.append(read_size(path))
        except ImageError:
            sizes.append(None)
    counts = Counter(size for size in sizes if size)
    if not counts:
        return None
    (common, count), *others = counts.most_common()
    odd = tuple(i for i, size in enumerate(sizes) if size not in (None, common))
    if odd:
        named = ", ".join(f"{n} have {w} x {h}" for (h, w), n in others[:3])
        findings.append(Finding(
            "mixed-sizes", "blocking", f"{count} images have {common[1]} x {common[0]} pixels, "
            f"{named}; the first of these is {images[odd[0]].name}",
            "give each size a scene of its own, or resize them with their camera "
            "(`ssmde prepare --width`)", odd, name,
        ))  # fmt: skip
    return common


def check_camera(sequence: FrameSequence) -> Iterator[Finding]:
    """The camera matrix: absent, or such as no lens of this image size has."""
    if sequence.intrinsics is not None:
        if faults := list(_camera_faults(sequence)):
            yield Finding(
                "intrinsics", "warning", ", ".join(faults), "give the matrix in pixels of the "
                "stored images: when they were resized or cut, it is another one",
            )  # fmt: skip
    elif not (sequence.images[0].parent / "cam.txt").is_file():  # else it was refused
        yield Finding(
            "no-intrinsics", "warning", "the camera is unknown: there is no cam.txt",
            "`ssmde track` finds it where the camera turns and moves; else write the 3 x 3 matrix "
            "to cam.txt, or give `ssmde prepare` the field of view: --hfov-degrees, 65 for the "
            "main camera of many phones",
        )  # fmt: skip


def _camera_faults(sequence: FrameSequence) -> Iterator[str]:
    assert sequence.intrinsics is not None
    height, width = sequence.image_size
    (fx, _, cx), (_, fy, cy) = sequence.intrinsics[:2].tolist()
    if max(abs(cx / width - 0.5), abs(cy / height - 0.5)) > OFF_CENTER:
        point = f"principal point ({cx:g}, {cy:g})"
        yield f"{point} is far from the middle of {width} x {height} pixels"
    angle = float(np.degrees(2 * np.arctan(0.5 * width / fx)))
    if not FIELD_OF_VIEW[0] <= angle <= FIELD_OF_VIEW[1]:
        yield f"fx {fx:g} at a width of {width} is a field of view of {angle:.0f} degrees"
    if not 1 / ASPECT <= fx / fy <= ASPECT:
        yield f"fx {fx:g} and fy {fy:g} differ by a factor of {max(fx / fy, fy / fx):.2f}"
