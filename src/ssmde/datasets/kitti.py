"""KITTI raw (Geiger et al., IJRR 2013) and KITTI odometry (CVPR 2012) as their archives unpack.

ROOT/2011_09_26/calib_cam_to_cam.txt, calib_velo_to_cam.txt
ROOT/2011_09_26/2011_09_26_drive_0001_sync/image_02/data/0000000000.png  (or .jpg), image_03
                                          /velodyne_points/data/0000000000.bin
IMPROVED/train|val/2011_09_26_drive_0001_sync/proj_depth/groundtruth/image_02/0000000005.png

Depth of raw drives is that of the published numbers on the Eigen split (monodepth2's
export_gt_depth): pixel round(u) - 1, round(v) - 1, taken over from MATLAB where pixels count from
1; and not z but the distance along the scanner's forward axis, 0.27 m more. Exact, the nearest
pixel center and z, are the improved maps (Uhrig et al., 3DV 2017) and the depth of KITTI odometry.

The images are rectified: camera i sees x = K (R_rect_00 X + t_i), with P_rect_i = K [I | t_i] and X
in the unrectified camera 0. `cam` is the rectified camera of the images, `rect` that of camera 0.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ssmde.data.images import IMAGE_SUFFIXES, read_depth
from ssmde.data.scene_files import read_poses
from ssmde.data.sequence import DepthMap, Intrinsics, Poses, Size, check_pose
from ssmde.datasets import record
from ssmde.datasets.record import Archive, ArchiveError, ArchiveFrame, ArchiveScene, Part, attempt
from ssmde.datasets.sensors import depth_image, read_velodyne, transform
from ssmde.io import read_lines, read_text

LICENCE = "CC BY-NC-SA 3.0"
RAW = "KITTI raw (Geiger et al., IJRR 2013)"
ODOMETRY = "KITTI odometry (Geiger et al., CVPR 2012)"
VELODYNE_UNITS = 500  # per metre: 2 mm, up to 131 m; the scanner reaches 120 m
IMPROVED_UNITS = 256  # per metre, as the files themselves
EIGEN_SHIFT = -1  # pixels
# Frames of a training scene are at most so many apart. Eigen-Zhou takes every tenth frame out of
# a drive for validation; a scene may step over such a hole, or it would be cut into splinters.
LONGEST_STEP = 3
CAMERAS = {"l": "02", "r": "03"}  # color cameras by the side that a list names
LINE = re.compile(r"(?:\d{4}_\d\d_\d\d/)?(\d{4}_\d\d_\d\d_drive_\d+_sync)/? +(\d+)(?: +([lr]))?")
TRAINING = tuple(f"{number:02d}" for number in range(9))  # sequences of odometry
WITH_POSES = tuple(f"{number:02d}" for number in range(11))
Motion = Float[np.ndarray, "4 4"]


def index_kitti_raw(
    root: Path, *, lists: Mapping[str, Path] | None = None, improved: Path | None = None
) -> Archive:
    """Scenes of the synced and rectified drives of KITTI raw.

    `root` holds the days, such as 2011_09_26. A list, which names the frames of `train`, `val` or
    `test`, makes one scene of each drive and camera it names; for `train` one of each stretch
    without a hole of more than two frames. Without lists every drive is a scene for training.
    `improved` is the folder data_depth_annotated, whose depth takes the place of the scans.
    """
    listed = record.read_scene_lists(lists, _drive_and_frame)
    drives = {f.name: f for f in sorted(root.glob("*/*_drive_*_sync")) if f.is_dir()}
    if not drives:
        raise record.no_archive(root, "drives such as 2011_09_26/2011_09_26_drive_0001_sync")
    maps = None  # folder of every drive that has improved maps
    if improved is not None:
        found = sorted(improved.glob("*/*_drive_*_sync/proj_depth/groundtruth"))
        maps = {folder.parents[1].name: folder for folder in found}
        if not maps:
            what = "maps of data_depth_annotated, such as val/2011_09_26_drive_0002_sync/proj_depth"
            raise record.no_archive(improved, what)
    parts, problems = list[tuple[Path, str, Part]](), list[str]()
    for split, of in listed.items():
        for scene, frames in sorted(of.frames.items()):
            name, camera = scene.split()
            if name not in drives:
                problems.append(f"{root}: no drive {name}; {of.path} names {len(frames)} frames")
                continue
            for ending, run in _runs(split, frames):
                part = Part(f"{name}_{camera}{ending}", split, run, str(of.path))
                parts.append((drives[name], camera, part))
    if not listed:
        parts = [
            (drive, camera, Part(f"{name}_{camera}", "train"))
            for name, drive in drives.items()
            for camera in CAMERAS.values()
            if camera == "02" or (drive / f"image_{camera}").is_dir()
        ]
    made = [attempt(partial(_raw_scene, *each, maps), problems) for each in parts]
    return Archive(scenes=tuple(filter(None, made)), problems=tuple(problems))


def _drive_and_frame(line: str) -> tuple[str, int]:
    """Drive and camera of a line of a published split, and its frame; without a side the left."""
    match = LINE.fullmatch(re.sub(r"\s+", " ", line))
    if match is None:
        raise ValueError(
            "expected a drive, a frame and a side, such as "
            f"'2011_09_26/2011_09_26_drive_0002_sync 0000000069 l', got '{line}'"
        )
    drive, frame, side = match.groups()
    return f"{drive} {CAMERAS[side or 'l']}", int(frame)


def _runs(split: record.Split, frames: tuple[int, ...]) -> list[tuple[str, tuple[int, ...]]]:
    """Frames of a list, each with the ending of its scene's name; for training each stretch."""
    if split != "train":
        return [(f"_{split}", frames)]
    holes = np.flatnonzero(np.diff(frames) > LONGEST_STEP) + 1
    runs = [tuple(run.tolist()) for run in np.split(np.array(frames), holes)]
    return [(f"_{run[0]:010d}" if len(runs) > 1 else "", run) for run in runs]


def _raw_scene(
    drive: Path, camera: str, part: Part, maps: Mapping[str, Path] | None
) -> ArchiveScene:
    """The frames that are asked for; all of the drive without a list."""
    name, problems = f"image_{camera}", list[str]()
    folder = drive / name / "data"
    images = _numbered(folder, IMAGE_SUFFIXES)
    if not images:
        raise ArchiveError(f"{folder}: no images; unpack the drive")
    numbers = [number for number in part.frames or images if number in images]
    if not numbers:
        raise ArchiveError(f"{folder}: none of {len(part.frames)} images {part.listed_in} names")
    missing = (number for number in part.frames if number not in images)
    problems += [f"{folder}: no image {n:010d}, which {part.listed_in} names" for n in missing]
    K, published_size, T_cam_velo = _raw_camera(drive.parent, camera)
    size = record.first_size(images.values(), published_size)
    if maps is None:
        where, kind, units = drive / "velodyne_points" / "data", "scan", VELODYNE_UNITS
        depth = _scans(where, K, T_cam_velo, size, as_published=True)
    else:
        where, kind = maps.get(drive.name, drive / "proj_depth") / name, "improved depth"
        units, files = IMPROVED_UNITS, _numbered(where, (".png",)).items()
        depth = {n: partial[DepthMap](read_depth, file, IMPROVED_UNITS) for n, file in files}
    if lacking := sum(number not in depth for number in numbers):
        problems.append(f"{where}: {lacking} of {len(numbers)} frames have no {kind}")
    return ArchiveScene(
        name=part.name, split=part.split, licence=LICENCE,
        source=f"{RAW}, {drive.name}, {name}, {'depth as eigen' if maps is None else kind}",
        frames=tuple(
            ArchiveFrame(name=f"{n:010d}", image=images[n], depth=depth.get(n)) for n in numbers
        ),
        image_size=size, intrinsics=K, depth_units_per_metre=units, problems=tuple(problems),
    )  # fmt: skip


def _scans(
    folder: Path, K: Intrinsics, T_cam_velo: Motion, size: Size, *, as_published: bool
) -> dict[int, record.ReadDepth]:
    """What reads the depth of each scan."""
    scans = _numbered(folder, (".bin",)).items()
    return {n: partial(_scan_depth, scan, K, T_cam_velo, size, as_published) for n, scan in scans}


def _scan_depth(
    path: Path, K: Intrinsics, T_cam_velo: Motion, image_size: Size, as_published: bool
) -> DepthMap:
    """Depth map of a scan as the camera sees it, in metres; 0 where no point falls."""
    points = read_velodyne(path)[:, :3].astype(np.float64)
    points = points[points[:, 0] >= 0]  # x is forward: what is in front of the scanner
    seen = transform(T_cam_velo, points)
    if as_published:
        return depth_image(seen, K, image_size, depth=points[:, 0], shift=EIGEN_SHIFT)
    return depth_image(seen, K, image_size)


def index_kitti_odometry(root: Path, *, lists: Mapping[str, Path] | None = None) -> Archive:
    """Scenes of KITTI odometry: camera 2, with its own poses; depth is z at the nearest pixel.

    `root` holds `sequences` and `poses`; the archives unpack to `dataset`. A list names sequences,
    one a line, such as 09; those that no list names keep their place, unless its list is given.
    """
    listed = record.read_scene_lists(lists)
    sequences = sorted(f for f in (root / "sequences").glob("[0-9][0-9]") if f.is_dir())
    if not sequences:
        raise record.no_archive(root, "sequences such as sequences/00")
    scenes: record.Scenes = {
        file.name: ("train" if file.name in TRAINING else "test", partial(_sequence, root, file))
        for file in sequences
    }
    return record.make_archive(root, scenes, listed, [])


def _sequence(root: Path, sequence: Path, part: Part) -> ArchiveScene:
    images = _numbered(sequence / "image_2", IMAGE_SUFFIXES)
    if not images:
        raise ArchiveError(
            f"{sequence / 'image_2'}: no images; unpack the colour images of the sequence"
        )
    size, numbers, problems = record.first_size(images.values()), [*images], list[str]()
    row = _calibration(path := sequence / "calib.txt")
    K, T_cam_rect = _projection(path, row("P2", 12))
    depth: dict[int, record.ReadDepth] = {}
    scans = sequence / "velodyne"
    if scans.is_dir():  # the archive of images without scans has no row Tr
        T_cam_velo = T_cam_rect @ _rigid(path, row("Tr", 12).reshape(3, 4))
        depth = _scans(scans, K, T_cam_velo, size, as_published=False)
    poses, path = None, root / "poses" / f"{sequence.name}.txt"
    if path.is_file() or sequence.name in WITH_POSES:
        make = partial(_camera_poses, path, numbers, T_cam_rect, problems)
        poses = attempt(make, problems, "; the scene has no poses")
    return ArchiveScene(
        name=f"odometry_{part.name}", split=part.split, licence=LICENCE,
        source=f"{ODOMETRY}, sequence {sequence.name}, image_2",
        frames=tuple(
            ArchiveFrame(name=f"{number:06d}", image=file, depth=depth.get(number))
            for number, file in images.items()
        ),
        image_size=size, intrinsics=K, poses=poses, depth_units_per_metre=VELODYNE_UNITS,
        problems=tuple(problems),
    )  # fmt: skip


def _camera_poses(
    path: Path, numbers: list[int], T_cam_rect: Motion, problems: list[str]
) -> Poses | None:
    """Camera to world of these frames, from the poses of camera 0; nan where there is none."""
    every = np.full((numbers[-1] + 1, 4, 4), np.nan)
    known = read_poses(path, len(read_lines(path)))
    if known is not None:
        if len(known) < len(every):
            problems.append(f"{path}: {len(known)} poses, but images up to {numbers[-1]}")
        every[: len(known)] = known[: len(every)]
    poses = every[numbers] @ np.linalg.inv(T_cam_rect)  # T_world_cam = T_world_rect T_rect_cam
    finite = np.isfinite(poses).all(axis=(1, 2))
    return np.linalg.inv(poses[finite][0]) @ poses if finite.any() else None  # the first is 1


def _numbered(folder: Path, suffixes: tuple[str, ...]) -> dict[int, Path]:
    """Files by the number that is their name, in order; the PNG if there is a JPEG too."""
    files = sorted(
        (f for f in folder.glob("*") if f.suffix.lower() in suffixes and f.stem.isdigit()),
        key=lambda f: (int(f.stem), f.suffix),
    )
    return {int(file.stem): file for file in files}


# Calibration files


def _raw_camera(date: Path, camera: str) -> tuple[Intrinsics, Size, Motion]:
    """K, image size and `T_cam_velo` of camera `02` or `03` in all drives of one day."""
    row = _calibration(path := date / "calib_cam_to_cam.txt")
    K, T_cam_rect = _projection(path, row(f"P_rect_{camera}", 12))
    T_rect_cam0 = _rigid(path, np.c_[row("R_rect_00", 9).reshape(3, 3), np.zeros(3)])
    width, height = row(f"S_rect_{camera}", 2).astype(int).tolist()
    row = _calibration(path := date / "calib_velo_to_cam.txt")
    T_cam0_velo = _rigid(path, np.c_[row("R", 9).reshape(3, 3), row("T", 3)])
    # Scanner to camera 0, then rectified, then along the baseline to this camera.
    return K, (height, width), T_cam_rect @ T_rect_cam0 @ T_cam0_velo


def _calibration(path: Path) -> Callable[[str, int], Float[np.ndarray, " _"]]:
    """What reads a row `KEY: numbers` of a file, which has so many."""
    with record.readable(path, missing="unpack the calibration archive"):
        lines = [line.partition(":") for line in read_text(path).splitlines()]
    rows = {key.strip(): words.split() for key, _, words in lines}

    def row(key: str, count: int) -> Float[np.ndarray, " _"]:
        words = rows.get(key, [])
        with suppress(ValueError):
            numbers = np.array(words, np.float64)
            if len(numbers) == count and np.isfinite(numbers).all():
                return numbers
        raise ArchiveError(
            f"{path}: expected '{key}:' and {count} finite numbers, got {len(words)} words"
        )

    return row


def _projection(path: Path, row: Float[np.ndarray, " 12"]) -> tuple[Intrinsics, Motion]:
    """K and `T_cam_rect`, a shift t in metres, of P = K [I | t], whose fourth column is K t."""
    P, T_cam_rect = row.reshape(3, 4), np.eye(4)
    with record.readable(path):  # of a singular one
        T_cam_rect[:3, 3] = np.linalg.solve(P[:, :3], P[:, 3])
    return P[:, :3].copy(), T_cam_rect


def _rigid(path: Path, rows: Float[np.ndarray, "3 4"]) -> Motion:
    """The motion [R | t]; a ValueError if R is no rotation."""
    check_pose(rows, where=str(path))
    return np.vstack([rows, (0, 0, 0, 1)])
