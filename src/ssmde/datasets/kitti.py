"""KITTI raw (Geiger et al., IJRR 2013) and KITTI odometry (CVPR 2012) as their archives unpack.

ROOT/2011_09_26/calib_cam_to_cam.txt, calib_velo_to_cam.txt, calib_imu_to_velo.txt
ROOT/2011_09_26/2011_09_26_drive_0001_sync/image_02/data/0000000000.png  (or .jpg), image_03
                                          /image_02/timestamps.txt
                                          /velodyne_points/data/0000000000.bin
                                          /oxts/data/0000000000.txt
IMPROVED/train|val/2011_09_26_drive_0001_sync/proj_depth/groundtruth/image_02/0000000005.png

Depth of raw drives comes from the scans in one of two conventions (`Truth`). `eigen` is that of the
published numbers on the Eigen split (monodepth2's export_gt_depth): pixel round(u) - 1,
round(v) - 1, taken over from MATLAB where pixels count from 1; and not z but the distance along the
scanner's forward axis, 0.27 m more. `camera` is exact: the nearest pixel center, and z. So are the
improved maps (Uhrig et al., 3DV 2017), and the depth of KITTI odometry.

The images are rectified: camera i sees x = K (R_rect_00 X + t_i), with P_rect_i = K [I | t_i] and X
in the unrectified camera 0. `cam` is the rectified camera of the images, `rect` that of camera 0.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from ssmde.data.images import IMAGE_SUFFIXES, read_depth
from ssmde.data.scene_files import read_poses
from ssmde.data.sequence import DepthMap, Intrinsics, PerFrame, Poses, Size, check_pose
from ssmde.datasets import record
from ssmde.datasets.record import Archive, ArchiveError, ArchiveFrame, ArchiveScene, Part, attempt
from ssmde.datasets.sensors import depth_image, read_velodyne, transform
from ssmde.io import read_lines, read_text

Truth = Literal["eigen", "camera"]

LICENCE = "CC BY-NC-SA 3.0"
RAW = "KITTI raw (Geiger et al., IJRR 2013)"
ODOMETRY = "KITTI odometry (Geiger et al., CVPR 2012)"
VELODYNE_UNITS = 500  # per metre: 2 mm, up to 131 m; the scanner reaches 120 m
IMPROVED_UNITS = 256  # per metre, as the files themselves
EIGEN_SHIFT = -1  # pixels
FPS = 10.0  # the scanner triggers the cameras, about ten times a second
# Frames of a training scene are at most so many apart. Eigen-Zhou takes every tenth frame out of
# a drive for validation; a scene may step over such a hole, or it would be cut into splinters.
LONGEST_STEP = 3
CAMERAS = {"l": "02", "r": "03"}  # color cameras by the side that a list names
LINE = re.compile(r"(?:\d{4}_\d\d_\d\d/)?(\d{4}_\d\d_\d\d_drive_\d+_sync)/? +(\d+)(?: +([lr]))?")
TRAINING = tuple(f"{number:02d}" for number in range(9))  # sequences of odometry
WITH_POSES = tuple(f"{number:02d}" for number in range(11))
EARTH_RADIUS = 6378137.0  # metres, as in KITTI's devkit
OXTS_FIELDS = 30  # numbers of a reading of GPS and IMU; the first six are place and attitude
NO_CAMERA = "; without it the scene has no camera, no poses and no scans"
NO_POSES = "; the scene has no poses"
Motion = Float[np.ndarray, "4 4"]


class KittiCamera(NamedTuple):
    """One rectified camera, and where the other sensors are; None where a file is missing."""

    intrinsics: Intrinsics | None = None  # in pixels of the rectified image
    image_size: Size | None = None  # of that image; odometry does not tell it
    T_cam_rect: Motion | None = None  # the baseline between camera 0 and this one, in metres
    T_cam_velo: Motion | None = None
    T_cam_imu: Motion | None = None


def index_kitti_raw(
    root: Path, *, lists: Mapping[str, Path] | None = None, improved: Path | None = None,
    truth: Truth = "eigen",
) -> Archive:  # fmt: skip
    """Scenes of the synced and rectified drives of KITTI raw.

    `root` holds the days, such as 2011_09_26. A list, which names the frames of `train`, `val` or
    `test`, makes one scene of each drive and camera it names; for `train` one of each stretch
    without a hole of more than two frames. Without lists every drive is a scene for training.
    `improved` is the folder data_depth_annotated, whose depth takes the place of the scans.
    """
    if truth not in ("eigen", "camera"):
        raise ValueError(f"truth must be eigen or camera, got {truth!r}")
    listed = record.read_scene_lists(lists, drive_and_frame)
    drives = {f.name: f for f in sorted(root.glob("*/*_drive_*_sync")) if f.is_dir()}
    if not drives:
        raise FileNotFoundError(
            f"{root}: no drives such as 2011_09_26/2011_09_26_drive_0001_sync in it; "
            "give the folder the archives of KITTI raw were unpacked in"
        )
    maps = None  # folder of every drive that has improved maps
    if improved is not None:
        found = sorted(improved.glob("*/*_drive_*_sync/proj_depth/groundtruth"))
        maps = {folder.parents[1].name: folder for folder in found}
        if not maps:
            raise FileNotFoundError(
                f"{improved}: no maps such as val/2011_09_26_drive_0002_sync/proj_depth in it; "
                "give the folder data_depth_annotated was unpacked in"
            )
    parts = [
        Part(name, split, rows, str(of.path))
        for split, of in listed.items()
        for name, rows in sorted(of.rows.items())
    ] or [
        Part(f"{name} {camera}", "train")
        for name, drive in drives.items()
        for camera in CAMERAS.values()
        if camera == "02" or (drive / f"image_{camera}").is_dir()
    ]
    scenes, problems = list[ArchiveScene](), list[str]()
    for part in parts:
        name, camera = part.name.split()
        if name in drives:
            make = partial(_raw_scenes, drives[name], camera, part, truth, maps)
            scenes += attempt(make, problems) or []
        else:
            count = len(part.rows)
            problems.append(f"{root}: no drive {name}; {part.listed_in} names {count} frames")
    return Archive(scenes=tuple(scenes), problems=tuple(problems))


def drive_and_frame(line: str) -> tuple[str, record.Row]:
    """Drive and camera (`02` left, `03` right) of a line of a published split, and its frame.

    Such as `2011_09_26/2011_09_26_drive_0002_sync 0000000069 l`; the number may come without zeros,
    and a line without a side means the left camera.
    """
    match = LINE.fullmatch(re.sub(r"\s+", " ", line))
    if match is None:
        raise ValueError(
            "expected a drive, a frame and a side, such as "
            f"'2011_09_26/2011_09_26_drive_0002_sync 0000000069 l', got '{line}'"
        )
    drive, frame, side = match.groups()
    return f"{drive} {CAMERAS[side or 'l']}", (frame,)


def _raw_scenes(
    drive: Path, camera: str, of: Part, truth: Truth, maps: Mapping[str, Path] | None
) -> list[ArchiveScene]:
    """The frames that are asked for as one scene, or for training one of each stretch."""
    name, problems = f"image_{camera}", list[str]()
    folder = drive / name / "data"
    images = _numbered(folder, IMAGE_SUFFIXES)
    if not images:
        raise ArchiveError(f"{folder}: no images; unpack the drive")
    make = partial(_raw_camera, drive.parent, camera, problems)
    seen = attempt(make, problems, NO_CAMERA) or KittiCamera()
    size = record.first_size(images.values(), seen.image_size)
    where = drive / "velodyne_points" / "data"
    if maps is not None:
        where = maps.get(drive.name, drive / "proj_depth") / name
        kind, units = "improved depth", IMPROVED_UNITS
        files = _numbered(where, (".png",)).items()
        depth = {n: partial[DepthMap](read_depth, file, IMPROVED_UNITS) for n, file in files}
    else:
        kind, units = f"depth as {truth}", VELODYNE_UNITS
        depth = _scans(where, seen, size, truth)

    def scene(ending: str, numbers: Sequence[int], told: list[str]) -> ArchiveScene:
        times, path = None, drive / name / "timestamps.txt"
        if path.exists():  # monodepth2's and other slimmed copies go without times
            second = np.timedelta64(1, "s")
            times = _times(path, numbers, np.datetime64, second, told)
        lacking = [n for n in numbers if n not in depth]
        if maps is not None and lacking:
            count = f"{len(lacking)} of {len(numbers)}"
            told.append(f"{where}: {count} frames have no improved depth")
        elif maps is None and seen.T_cam_velo is not None:
            lost = [f"{where / f'{n:010d}.bin'}: no such file" for n in lacking]
            told += lost if depth else [f"{where}: no scans; the scene has no depth"]
        poses = None
        if seen.T_cam_imu is not None:
            poses = _camera_poses(drive / "oxts" / "data", numbers, seen.T_cam_imu, told)
        return ArchiveScene(
            name=f"{drive.name}_{camera}{ending}", split=of.split, licence=LICENCE,
            source=f"{RAW}, {drive.name}, {name}, {kind}", image_size=size,
            intrinsics=seen.intrinsics, depth_units_per_metre=units,
            frames=tuple(
                ArchiveFrame(name=f"{n:010d}", image=images[n], depth=depth.get(n)) for n in numbers
            ),
            fps=FPS if all(b - a == 1 for a, b in pairwise(numbers)) else None,
            poses=poses, timestamps=times, problems=tuple(told),
        )  # fmt: skip

    numbers = sorted({int(number) for (number,) in of.rows}) or [*images]
    there = [number for number in numbers if number in images]
    if not there:
        raise ArchiveError(f"{folder}: none of {len(numbers)} images {of.listed_in} names")
    missing = (number for number in numbers if number not in images)
    problems += [f"{folder}: no image {n:010d}, which {of.listed_in} names" for n in missing]
    if of.split != "train":
        return [scene(f"_{of.split}", there, problems)]
    holes = np.flatnonzero(np.diff(there) > LONGEST_STEP) + 1
    runs = [run.tolist() for run in np.split(np.array(there), holes)]
    endings = [f"_{run[0]:010d}" if len(runs) > 1 else "" for run in runs]
    told = [problems, *([] for _ in runs[1:])]
    return [scene(*one) for one in zip(endings, runs, told, strict=True)]


def _scans(
    folder: Path, camera: KittiCamera, size: Size, truth: Truth
) -> dict[int, record.ReadDepth]:
    """What reads the depth of each scan; nothing where the camera does not know the scanner."""
    K, T_cam_velo = camera.intrinsics, camera.T_cam_velo
    if K is None or T_cam_velo is None:
        return {}
    scans = _numbered(folder, (".bin",)).items()
    return {n: partial(_scan_depth, scan, K, T_cam_velo, size, truth) for n, scan in scans}


def _scan_depth(
    path: Path, K: Intrinsics, T_cam_velo: Motion, image_size: Size, truth: Truth
) -> DepthMap:
    """Depth map of a scan as the camera sees it, in metres; 0 where no point falls."""
    points = read_velodyne(path)[:, :3].astype(np.float64)
    points = points[points[:, 0] >= 0]  # x is forward: what is in front of the scanner
    seen = transform(T_cam_velo, points)
    if truth == "camera":
        return depth_image(seen, K, image_size)
    return depth_image(seen, K, image_size, depth=points[:, 0], shift=EIGEN_SHIFT)


def index_kitti_odometry(root: Path, *, lists: Mapping[str, Path] | None = None) -> Archive:
    """Scenes of KITTI odometry: camera 2, with its own poses; depth is z at the nearest pixel.

    `root` holds `sequences` and `poses`; the archives unpack to `dataset`. A list names sequences,
    one a line, such as 09; those that no list names keep their place, unless its list is given.
    """
    listed = record.read_scene_lists(lists, record.only_scene)
    sequences = sorted(f for f in (root / "sequences").glob("[0-9][0-9]") if f.is_dir())
    if not sequences:
        raise FileNotFoundError(
            f"{root}: no sequences such as sequences/00 in it; give the folder `dataset` the "
            "archives of KITTI odometry were unpacked to"
        )
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
    size, numbers, problems = record.first_size(images.values()), tuple(images), list[str]()
    make = partial(_odometry_camera, sequence, problems)
    camera = attempt(make, problems, NO_CAMERA) or KittiCamera()
    depth = _scans(sequence / "velodyne", camera, size, "camera")
    poses, path = None, root / "poses" / f"{sequence.name}.txt"
    if camera.T_cam_rect is not None and (path.is_file() or sequence.name in WITH_POSES):
        # T_world_cam = T_world_rect T_rect_cam, from the poses of camera 0.
        T_rect_cam, count = np.linalg.inv(camera.T_cam_rect), numbers[-1] + 1
        known = attempt(lambda: read_poses(path, len(read_lines(path))), problems, NO_POSES)
        if known is not None:
            if len(known) < count:
                problems.append(f"{path}: {len(known)} poses, but images up to {numbers[-1]}")
            every = np.full((count, 4, 4), np.nan)
            every[: len(known)] = known[:count]
            poses = _from_first(every[list(numbers)] @ T_rect_cam)
    times = _times(sequence / "times.txt", numbers, float, 1.0, problems)
    return ArchiveScene(
        name=f"odometry_{part.name}", split=part.split, licence=LICENCE,
        source=f"{ODOMETRY}, sequence {sequence.name}, image_2",
        frames=tuple(
            ArchiveFrame(name=f"{number:06d}", image=file, depth=depth.get(number))
            for number, file in images.items()
        ),
        image_size=size, intrinsics=camera.intrinsics, poses=poses, timestamps=times,
        depth_units_per_metre=VELODYNE_UNITS, problems=tuple(problems),
    )  # fmt: skip


def _times(
    path: Path, numbers: Sequence[int], parse: Callable[[str], Any], second: Any,
    problems: list[str],
) -> PerFrame | None:  # fmt: skip
    """Seconds since the first of the frames, a line each; None, which is told, if they are none."""
    try:
        lines = read_text(path).splitlines()
        stamps = np.array([parse(lines[number].strip()) for number in numbers])
        times = ((stamps - stamps[0]) / second).astype(np.float64)
    except (OSError, ValueError, IndexError, TypeError) as error:
        problems.append(f"{path}: cannot be used ({error}); the scene has no timestamps")
        return None
    if np.isfinite(times).all() and (np.diff(times) > 0).all():
        return times
    problems.append(f"{path}: time does not increase; the scene has no timestamps")
    return None


def _numbered(folder: Path, suffixes: tuple[str, ...]) -> dict[int, Path]:
    """Files by the number that is their name, in order; the PNG if there is a JPEG too."""
    files = sorted(
        (f for f in folder.glob("*") if f.suffix.lower() in suffixes and f.stem.isdigit()),
        key=lambda f: (int(f.stem), f.suffix),
    )
    return {int(file.stem): file for file in files}


# Calibration files, and the readings of GPS and IMU (oxts)


def _raw_camera(date: Path, camera: str, problems: list[str]) -> KittiCamera:
    """Camera `02` or `03` of all drives of one day, from the calib_*.txt of its folder."""
    row = _calibration(path := date / "calib_cam_to_cam.txt")
    intrinsics, T_cam_rect = _projection(path, row(f"P_rect_{camera}", 12))
    T_rect_cam0 = _rigid(path, np.c_[row("R_rect_00", 9).reshape(3, 3), np.zeros(3)])
    width, height = row(f"S_rect_{camera}", 2).astype(int).tolist()
    T_cam_velo = T_cam_imu = None
    T_cam0_velo = attempt(partial(_motion, date / "calib_velo_to_cam.txt"), problems)
    if T_cam0_velo is not None:
        # Scanner to camera 0, then rectified, then along the baseline to this camera.
        T_cam_velo = T_cam_rect @ T_rect_cam0 @ T_cam0_velo
    T_velo_imu = attempt(partial(_motion, date / "calib_imu_to_velo.txt"), problems)
    if T_cam_velo is not None and T_velo_imu is not None:
        T_cam_imu = T_cam_velo @ T_velo_imu
    return KittiCamera(intrinsics, (height, width), T_cam_rect, T_cam_velo, T_cam_imu)


def _odometry_camera(sequence: Path, problems: list[str]) -> KittiCamera:
    """Camera 2 of a sequence of KITTI odometry, from the calib.txt of its folder."""
    row = _calibration(path := sequence / "calib.txt")
    intrinsics, T_cam_rect = _projection(path, row("P2", 12))
    T_cam_velo = None
    if (sequence / "velodyne").is_dir():  # the archive of images without scans has no row Tr
        cost = "; the scene has no depth"
        found = attempt(lambda: _rigid(path, row("Tr", 12).reshape(3, 4)), problems, cost)
        T_cam_velo = None if found is None else T_cam_rect @ found
    return KittiCamera(intrinsics, None, T_cam_rect, T_cam_velo)


def _motion(path: Path) -> Motion:
    row = _calibration(path)
    return _rigid(path, np.c_[row("R", 9).reshape(3, 3), row("T", 3)])


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


def _camera_poses(
    folder: Path, numbers: Sequence[int], T_cam_imu: Motion, problems: list[str]
) -> Poses | None:
    """Camera-to-world matrices in metres of oxts/data, nan where unknown; None if none is known."""
    if not folder.is_dir():
        problems.append(f"{folder}: no such folder; the scene has no poses")
        return None
    poses = np.full((len(numbers), 4, 4), np.nan)
    scale = None
    for pose, number in zip(poses, numbers, strict=True):
        reading = attempt(partial(_read_oxts, folder / f"{number:010d}.txt"), problems)
        if reading is not None:
            scale = scale or math.cos(math.radians(reading[0]))
            # T_world_cam = T_world_imu T_imu_cam
            pose[:] = imu_pose(reading, scale) @ np.linalg.inv(T_cam_imu)
    return _from_first(poses)


def _read_oxts(path: Path) -> list[float]:
    """Latitude, longitude (degrees), altitude (metres), roll, pitch and yaw (radians)."""
    no_pose = "the frame has no pose"
    with record.readable(path, missing=no_pose, broken=no_pose):
        numbers = [float(word) for word in read_text(path).split()]
        if len(numbers) == OXTS_FIELDS and all(map(math.isfinite, numbers)):
            return numbers[:6]
        raise ValueError(f"expected {OXTS_FIELDS} finite numbers, got {len(numbers)}")


def imu_pose(reading: Sequence[float], mercator_scale: float) -> Motion:
    """IMU (x forward, y left, z up) to world (east, north, up), in metres, as the devkit has it.

    t = (s r lon, s r ln tan(45 deg + lat / 2), alt), R = R_z(yaw) R_y(pitch) R_x(roll), of latitude
    and longitude in degrees, altitude in metres, roll, pitch and yaw in radians; s is the cosine of
    the latitude of the first place.
    """
    latitude, longitude, altitude, roll, pitch, yaw = reading
    north = math.log(math.tan(math.pi / 4 + math.radians(latitude) / 2))
    T = np.eye(4)
    T[:3, :3] = Rotation.from_euler("ZYX", [yaw, pitch, roll]).as_matrix()
    T[:3, 3] = np.array([math.radians(longitude), north, 0]) * mercator_scale * EARTH_RADIUS
    T[2, 3] = altitude
    return T


def _from_first(poses: Poses) -> Poses | None:
    """The same motion in the frame of the first pose that is known (not nan); None without one."""
    known = np.isfinite(poses).all(axis=(1, 2))
    return np.linalg.inv(poses[known][0]) @ poses if known.any() else None
