"""KITTI raw as its archives unpack: which drives, cameras and frames become which scenes.

ROOT/2011_09_26/calib_cam_to_cam.txt, calib_velo_to_cam.txt, calib_imu_to_velo.txt
ROOT/2011_09_26/2011_09_26_drive_0001_sync/image_02/data/0000000000.png  (or .jpg), image_03
                                          /image_02/timestamps.txt
                                          /velodyne_points/data/0000000000.bin
                                          /oxts/data/0000000000.txt
IMPROVED/train|val/2011_09_26_drive_0001_sync/proj_depth/groundtruth/image_02/0000000005.png
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ssmde.data.archives.kitti_drive import (
    DIGITS,
    DriveCamera,
    Split,
    Truth,
    drive_scene,
    open_drive,
)
from ssmde.data.archives.kitti_lists import Frames, read_frame_list
from ssmde.data.archives.record import Archive, ArchiveError, ArchiveScene
from ssmde.data.images import ImageError

# Frames of a training scene are at most so many apart. Eigen-Zhou takes every tenth frame out of
# a drive for validation; a scene may step over such a hole, or it would be cut into splinters.
LONGEST_STEP = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wish:
    """Frames of one camera of one drive that are to become scenes of one split."""

    split: Split
    drive: str
    camera: str
    numbers: tuple[int, ...] | None = None
    """None for all there are."""
    asked_by: str = ""
    """List that names them."""


def index_kitti_raw(
    root: Path,
    *,
    lists: Mapping[str, Path] | None = None,
    improved: Path | None = None,
    cameras: Sequence[str] = ("02", "03"),
    truth: Truth = "eigen",
) -> Archive:
    """Scenes of the synced and rectified drives of KITTI raw (Geiger et al., IJRR 2013).

    A list makes one scene of each drive and camera it names; for `train` one of each stretch
    without a hole of more than two frames. Without lists every drive is a scene for training.

    Args:
        root: Folder of the days, such as 2011_09_26.
        lists: For `train`, `val` or `test`, the file that names its frames.
        improved: Folder of the improved depth maps (data_depth_annotated), instead of the scans.
        cameras: Cameras to take: `02` left, `03` right.
        truth: Convention of the depth of the scans, see `kitti_drive`.

    Raises:
        FileNotFoundError: If there are no drives in `root`, or no maps in `improved`.
        ValueError: If a list cannot be read, or an argument does not fit.
    """
    _check(cameras, lists or {}, truth)
    drives = {f.name: f for f in sorted(root.glob("*/*_drive_*_sync")) if f.is_dir()}
    if not drives:
        raise FileNotFoundError(
            f"{root}: no drives such as 2011_09_26/2011_09_26_drive_0001_sync in it; "
            "give the folder the archives of KITTI raw were unpacked in"
        )
    maps = None if improved is None else _improved_drives(improved)
    wishes = _wishes(lists or {}, drives, cameras)
    scenes: list[ArchiveScene] = []
    problems: list[str] = []
    for wish in wishes:
        if wish.drive not in drives:
            frames = len(wish.numbers or ())
            problems.append(f"{root}: no drive {wish.drive}; {wish.asked_by} names {frames} frames")
            continue
        try:
            view = open_drive(drives[wish.drive], wish.camera, truth, maps)
            scenes.extend(_scenes(view, wish))
        except (ArchiveError, ImageError) as error:
            problems.append(str(error))
    return Archive(scenes=tuple(scenes), problems=tuple(problems))


def _check(cameras: Sequence[str], lists: Mapping[str, Path], truth: str) -> None:
    if not cameras or not set(cameras) <= {"02", "03"}:
        raise ValueError(f"cameras must be 02 (left) or 03 (right) or both, got {cameras}")
    if strange := set(lists) - {"train", "val", "test"}:
        raise ValueError(f"lists are for train, val and test, got {', '.join(sorted(strange))}")
    if truth not in ("eigen", "camera"):
        raise ValueError(f"truth must be eigen or camera, got {truth!r}")


def _wishes(
    lists: Mapping[str, Path], drives: Mapping[str, Path], cameras: Sequence[str]
) -> list[_Wish]:
    if not lists:
        return [
            _Wish(split="train", drive=name, camera=camera)
            for name, drive in drives.items()
            for camera in cameras
            if camera == cameras[0] or (drive / f"image_{camera}").is_dir()
        ]
    asked: list[tuple[Split, Frames]] = [
        (split, read_frame_list(lists[split]))
        for split in ("train", "val", "test")
        if split in lists
    ]
    return [
        _Wish(split=split, drive=drive, camera=camera, numbers=numbers, asked_by=str(lists[split]))
        for split, frames in asked
        for (drive, camera), numbers in frames.items()
        if camera in cameras
    ]


def _improved_drives(improved: Path) -> dict[str, Path]:
    """Folder of every drive that has improved maps."""
    found = {f.parent.name: f.parent for f in sorted(improved.glob("*/*_drive_*_sync/proj_depth"))}
    if not found:
        raise FileNotFoundError(
            f"{improved}: no maps such as val/2011_09_26_drive_0002_sync/proj_depth in it; "
            "give the folder data_depth_annotated was unpacked in"
        )
    return found


def _scenes(view: DriveCamera, wish: _Wish) -> Iterator[ArchiveScene]:
    """The scenes a wish makes: one, or one of each stretch for training."""
    asked = wish.numbers or tuple(view.images)
    there = [number for number in asked if number in view.images]
    missing = tuple(
        f"{view.folder}: no image {number:0{DIGITS}d}, which {wish.asked_by} names"
        for number in asked
        if number not in view.images
    )
    if not there:
        raise ArchiveError(f"{view.folder}: none of {len(asked)} images {wish.asked_by} names")
    name = f"{view.drive.name}_{view.camera}"
    runs = _runs(there)
    if wish.split != "train":
        name, runs = f"{name}_{wish.split}", [there]
    for run in runs:
        ending = f"_{run[0]:0{DIGITS}d}" if len(runs) > 1 else ""
        lost = view.problems + missing if run is runs[0] else ()
        yield drive_scene(view, wish.split, name + ending, tuple(run), lost)


def _runs(numbers: Sequence[int]) -> list[list[int]]:
    """Stretches without a step of more than `LONGEST_STEP`."""
    runs = [[numbers[0]]]
    for number, following in pairwise(numbers):
        if following - number > LONGEST_STEP:
            runs.append([])
        runs[-1].append(following)
    return runs
