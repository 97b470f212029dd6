"""KITTI raw (Geiger et al., IJRR 2013) and KITTI odometry (CVPR 2012) as their archives unpack.

ROOT/2011_09_26/calib_cam_to_cam.txt, calib_velo_to_cam.txt, calib_imu_to_velo.txt
ROOT/2011_09_26/2011_09_26_drive_0001_sync/image_02/data/0000000000.png  (or .jpg), image_03
                                          /image_02/timestamps.txt
                                          /velodyne_points/data/0000000000.bin
                                          /oxts/data/0000000000.txt
IMPROVED/train|val/2011_09_26_drive_0001_sync/proj_depth/groundtruth/image_02/0000000005.png

Depth of raw drives comes from the scans in one of two conventions (`Truth`). `eigen` is that of the
published numbers on the Eigen split, as Godard and those after him evaluate (monodepth2's
export_gt_depth): pixel round(u) - 1, round(v) - 1, one to the left of and above the true one, taken
over from MATLAB where pixels count from 1; and not z but the distance along the scanner's forward
axis, 0.27 m more. `camera` is exact: the nearest pixel center, and z. So are the improved maps
(Uhrig et al., 3DV 2017), and the depth of KITTI odometry.

The images are rectified: camera i sees x = K (R_rect_00 X + t_i), with P_rect_i = K [I | t_i] and X
in the unrectified camera 0. Frames: `T_a_b` maps points of frame b into frame a; `cam` is the
rectified camera of the images, `rect` the rectified camera 0.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from ssmde.data.images import IMAGE_SUFFIXES, read_depth
from ssmde.data.scene_files import read_poses
from ssmde.data.sequence import DepthMap, Intrinsics, PerFrame, Poses, Size, check_pose
from ssmde.datasets import record
from ssmde.datasets.record import Archive, ArchiveError, ArchiveFrame, ArchiveScene, Part, readable
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
Numbers = dict[str, Float[np.ndarray, " _"]]
Motion = Float[np.ndarray, "4 4"]


class KittiCamera(NamedTuple):
    """One rectified camera, and where the other sensors are; None for a file that is missing."""

    intrinsics: Intrinsics  # in pixels of the rectified image
    image_size: Size | None  # of the rectified image the matrix is for; odometry does not tell it
    T_cam_rect: Motion  # the baseline between camera 0 and this one, in metres
    T_cam_velo: Motion | None = None
    T_cam_imu: Motion | None = None
    problems: tuple[str, ...] = ()  # what is missing or broken: one line for each file


class _DriveCamera(NamedTuple):
    """One camera of one drive, and which of its depths to take."""

    drive: Path
    camera: str
    images: Mapping[int, Path]  # by the number of the frame, in time order
    size: Size
    calibration: KittiCamera | None  # None if it is missing
    improved: Path | None  # folder of the improved maps of this camera, if these are asked for
    truth: Truth


def index_kitti_raw(
    root: Path, *, lists: Mapping[str, Path] | None = None, improved: Path | None = None,
    truth: Truth = "eigen",
) -> Archive:  # fmt: skip
    """Scenes of the synced and rectified drives of KITTI raw.

    A list makes one scene of each drive and camera it names; for `train` one of each stretch
    without a hole of more than two frames. Without lists every drive is a scene for training.

    Args:
        root: Folder of the days, such as 2011_09_26.
        lists: For `train`, `val` or `test`, the file that names its frames.
        improved: Folder of the improved depth maps (data_depth_annotated), instead of the scans.
        truth: Convention of the depth of the scans, see above.
    """
    if truth not in ("eigen", "camera"):
        raise ValueError(f"truth must be eigen or camera, got {truth!r}")
    listed = record.read_scene_lists(lists or {}, drive_and_frame)
    drives = {f.name: f for f in sorted(root.glob("*/*_drive_*_sync")) if f.is_dir()}
    if not drives:
        raise FileNotFoundError(
            f"{root}: no drives such as 2011_09_26/2011_09_26_drive_0001_sync in it; "
            "give the folder the archives of KITTI raw were unpacked in"
        )
    maps = None if improved is None else _improved_drives(improved)
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

    def scenes(of: Part) -> list[ArchiveScene]:
        drive, camera = of.name.split()
        if drive not in drives:
            count = len(_numbers(of.rows))
            raise ArchiveError(f"{root}: no drive {drive}; {of.listed_in} names {count} frames")
        return _raw_scenes(drives[drive], camera, of, truth, maps)

    return record.collect([partial(scenes, of) for of in parts], [])


def _numbers(rows: Sequence[record.Row]) -> tuple[int, ...]:
    """Numbers of the frames of a list, in time order, each once."""
    return tuple(sorted({int(number) for (number,) in rows}))


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


def _improved_drives(improved: Path) -> dict[str, Path]:
    """Folder of every drive that has improved maps."""
    found = {f.parent.name: f.parent for f in sorted(improved.glob("*/*_drive_*_sync/proj_depth"))}
    if not found:
        raise FileNotFoundError(
            f"{improved}: no maps such as val/2011_09_26_drive_0002_sync/proj_depth in it; "
            "give the folder data_depth_annotated was unpacked in"
        )
    return found


def _raw_scenes(
    drive: Path, camera: str, of: Part, truth: Truth, maps: Mapping[str, Path] | None
) -> list[ArchiveScene]:
    """The frames that are asked for as one scene, or for training one of each stretch."""
    # `maps` gives the folder of a drive's improved depth.
    folder = drive / f"image_{camera}" / "data"
    images = _numbered(folder, IMAGE_SUFFIXES)
    if not images:
        raise ArchiveError(f"{folder}: no images; unpack the drive")
    size = record.first_size(images.values())
    calibration, problems = _calibration(partial(read_raw_camera, drive.parent, camera))
    if calibration is not None and calibration.image_size != size:
        raise ArchiveError(
            f"{folder}: images of {record.in_pixels(size)} pixels, but the calibration is "
            f"for {record.in_pixels(calibration.image_size or (0, 0))}; give the images as the "
            "archive has them"
        )
    improved = None
    if maps is not None:
        improved = maps.get(drive.name, drive) / "proj_depth" / "groundtruth" / f"image_{camera}"
    view = _DriveCamera(drive, camera, images, size, calibration, improved, truth)
    numbers = _numbers(of.rows) or tuple(images)
    there = [number for number in numbers if number in images]
    if not there:
        raise ArchiveError(f"{folder}: none of {len(numbers)} images {of.listed_in} names")
    missing = (number for number in numbers if number not in images)
    problems += [f"{folder}: no image {n:010d}, which {of.listed_in} names" for n in missing]
    name = f"{drive.name}_{camera}"
    if of.split != "train":
        return [_raw_scene(view, of.split, f"{name}_{of.split}", there, problems)]
    holes = np.flatnonzero(np.diff(there) > LONGEST_STEP) + 1
    runs = [run.tolist() for run in np.split(np.array(there), holes)]
    endings = [f"_{run[0]:010d}" if len(runs) > 1 else "" for run in runs]
    return [
        _raw_scene(view, "train", name + ending, run, problems if run is runs[0] else [])
        for run, ending in zip(runs, endings, strict=True)
    ]


def _raw_scene(
    view: _DriveCamera, split: record.Split, name: str, numbers: Sequence[int], problems: list[str]
) -> ArchiveScene:
    problems, camera = list(problems), view.calibration
    path = view.drive / f"image_{view.camera}" / "timestamps.txt"
    # monodepth2's and other slimmed copies go without times.
    times = _raw_times(path, numbers, problems) if path.exists() else None
    depth = _raw_depths(view, numbers, problems)
    poses, folder = None, view.drive / "oxts" / "data"
    if camera is not None and camera.T_cam_imu is not None and folder.is_dir():
        files = [folder / f"{number:010d}.txt" for number in numbers]
        poses = _camera_poses(files, camera.T_cam_imu, problems)
    elif camera is not None and camera.T_cam_imu is not None:
        problems.append(f"{folder}: no such folder; the scene has no poses")
    kind = f"depth as {view.truth}" if view.improved is None else "improved depth"
    return ArchiveScene(
        name=name, split=split, source=f"{RAW}, {view.drive.name}, image_{view.camera}, {kind}",
        licence=LICENCE, image_size=view.size, intrinsics=camera and camera.intrinsics,
        frames=tuple(
            ArchiveFrame(name=f"{n:010d}", image=view.images[n], depth=depth.get(n))
            for n in numbers
        ),
        depth_units_per_metre=VELODYNE_UNITS if view.improved is None else IMPROVED_UNITS,
        fps=FPS if all(b - a == 1 for a, b in pairwise(numbers)) else None,
        poses=poses, timestamps=times, problems=tuple(problems),
    )  # fmt: skip


def _raw_depths(
    view: _DriveCamera, numbers: Sequence[int], problems: list[str]
) -> dict[int, record.ReadDepth]:
    """What reads the depth of each frame that has some; what is missing is told."""
    camera, read = view.calibration, partial[DepthMap]
    if view.improved is not None:
        maps = _numbered(view.improved, (".png",))
        found = {n: read(read_depth, maps[n], IMPROVED_UNITS) for n in numbers if n in maps}
        if (lacking := len(numbers) - len(found)) > 0:
            of = f"{lacking} of {len(numbers)} frames"
            problems.append(f"{view.improved}: {of} have no improved depth")
        return {**found}
    if camera is None or camera.T_cam_velo is None:
        return {}  # told with the calibration
    folder = view.drive / "velodyne_points" / "data"
    scans = _numbered(folder, (".bin",))
    if not scans:
        problems.append(f"{folder}: no scans; the scene has no depth")
        return {}
    problems += [f"{folder / f'{n:010d}.bin'}: no such file" for n in numbers if n not in scans]
    rest = camera, view.size, view.truth
    return {n: read(_scan_depth, scans[n], *rest) for n in numbers if n in scans}


def _scan_depth(path: Path, camera: KittiCamera, image_size: Size, truth: Truth) -> DepthMap:
    """Depth map of a scan as the camera sees it, in metres; 0 where no point falls."""
    assert camera.T_cam_velo is not None
    points = read_velodyne(path)[:, :3].astype(np.float64)
    points = points[points[:, 0] >= 0]  # x is forward: what is in front of the scanner
    seen = transform(camera.T_cam_velo, points)
    if truth == "camera":
        return depth_image(seen, camera.intrinsics, image_size)
    return depth_image(seen, camera.intrinsics, image_size, depth=points[:, 0], shift=EIGEN_SHIFT)


def _raw_times(path: Path, numbers: Sequence[int], problems: list[str]) -> PerFrame | None:
    """Seconds since the first of the frames, from the timestamps of the camera."""

    def seconds(lines: list[str]) -> PerFrame:
        stamps = np.array([np.datetime64(lines[number].strip()) for number in numbers])
        return ((stamps - stamps[0]) / np.timedelta64(1, "s")).astype(np.float64)

    return _increasing(path, seconds, problems)


def index_kitti_odometry(root: Path, *, lists: Mapping[str, Path] | None = None) -> Archive:
    """Scenes of KITTI odometry: camera 2, with its own poses; depth is z at the nearest pixel.

    Args:
        root: Folder of `sequences` and `poses`; the archives unpack to `dataset`.
        lists: For `train`, `val` or `test`, a file that names sequences, one a line, such as 09;
            sequences that no list names keep their place, unless its list is given.
    """
    listed = record.read_scene_lists(lists or {}, _sequence_of_line)
    sequences = sorted(f for f in (root / "sequences").glob("[0-9][0-9]") if f.is_dir())
    if not sequences:
        raise FileNotFoundError(
            f"{root}: no sequences such as sequences/00 in it; give the folder `dataset` the "
            "archives of KITTI odometry were unpacked to"
        )
    scenes = [
        partial(_sequence_scene, root, file, part)
        for file in sequences
        for part in record.parts_of(file.name, listed, "train" if file.name in TRAINING else "test")
    ]
    return record.collect(
        scenes, record.missing_scenes(listed.values(), [s.name for s in sequences], root)
    )


def _sequence_of_line(line: str) -> tuple[str, tuple[str, ...]]:
    if not re.fullmatch(r"\d\d", line):
        raise ValueError(f"expected a sequence such as 09, got '{line}'")
    return line, ()


def _sequence_scene(root: Path, sequence: Path, part: Part) -> ArchiveScene:
    images = _numbered(sequence / "image_2", IMAGE_SUFFIXES)
    if not images:
        raise ArchiveError(
            f"{sequence / 'image_2'}: no images; unpack the colour images of the sequence"
        )
    size, numbers = record.first_size(images.values()), tuple(images)
    camera, problems = _calibration(partial(read_odometry_camera, sequence))
    scans = {} if camera is None else _numbered(sequence / "velodyne", (".bin",))
    if camera is not None and scans and camera.T_cam_velo is None:
        problems.append(f"{sequence / 'calib.txt'}: no row 'Tr:'; the scene has no depth")
        scans = {}
    depth = {
        n: partial(_scan_depth, scan, camera, size, "camera") for n, scan in scans.items() if camera
    }
    poses = None if camera is None else _sequence_poses(root, sequence, camera, numbers, problems)

    def seconds(lines: list[str]) -> PerFrame:
        return np.array([float(lines[n]) for n in numbers])

    times = _increasing(sequence / "times.txt", seconds, problems)
    return ArchiveScene(
        name=f"odometry_{part.name}", split=part.split, licence=LICENCE,
        source=f"{ODOMETRY}, sequence {sequence.name}, image_2",
        frames=tuple(
            ArchiveFrame(name=f"{number:06d}", image=file, depth=depth.get(number))
            for number, file in images.items()
        ),
        image_size=size, intrinsics=camera and camera.intrinsics, poses=poses, timestamps=times,
        depth_units_per_metre=VELODYNE_UNITS, problems=tuple(problems),
    )  # fmt: skip


def _sequence_poses(
    root: Path, sequence: Path, camera: KittiCamera, numbers: tuple[int, ...], problems: list[str]
) -> Poses | None:
    """Camera 2 to world, from the poses of camera 0: T_world_cam2 = T_world_cam0 T_cam0_cam2."""
    path = root / "poses" / f"{sequence.name}.txt"
    if not path.is_file() and sequence.name not in WITH_POSES:
        return None
    known, fault = None, f"{path}: no such file"
    try:
        if path.is_file():
            known, fault = read_poses(path, len(read_lines(path))), f"{path}: the file is empty"
    except ValueError as error:
        fault = str(error)
    if known is None or len(known) == 0:
        problems.append(f"{fault}; the scene has no poses")
        return None
    poses = np.full((numbers[-1] + 1, 4, 4), np.nan)
    if len(known) < len(poses):
        problems.append(f"{path}: {len(known)} poses, but images up to {numbers[-1]}")
    poses[: len(known)] = known[: len(poses)]
    return _from_first(poses[list(numbers)] @ np.linalg.inv(camera.T_cam_rect))


def _calibration(read: Callable[[], KittiCamera]) -> tuple[KittiCamera | None, list[str]]:
    """The camera, if its file is there, and what is missing."""
    try:
        camera = read()
    except ArchiveError as error:
        return None, [f"{error}; without it the scene has no camera, no poses and no scans"]
    return camera, list(camera.problems)


def _increasing(
    path: Path, seconds: Callable[[list[str]], PerFrame], problems: list[str]
) -> PerFrame | None:
    """What `seconds` makes of the lines of a file; None, which is told, if that is no time."""
    try:
        times = seconds(read_text(path).splitlines())
    except (OSError, ValueError, IndexError, TypeError) as error:
        problems.append(f"{path}: cannot be used ({error}); the scene has no timestamps")
        return None
    if not np.isfinite(times).all() or not np.all(np.diff(times) > 0):
        problems.append(f"{path}: time does not increase; the scene has no timestamps")
        return None
    return times


def _numbered(folder: Path, suffixes: tuple[str, ...]) -> dict[int, Path]:
    """Files by the number that is their name, in order; the PNG if there is a JPEG too."""
    if not folder.is_dir():
        return {}
    files = sorted(
        (f for f in folder.iterdir() if f.suffix.lower() in suffixes and f.stem.isdigit()),
        key=lambda f: (int(f.stem), f.suffix),
    )
    return {int(file.stem): file for file in files}


# Calibration files, and the readings of GPS and IMU (oxts)


def read_raw_camera(date: Path, camera: str) -> KittiCamera:
    """Camera `02` or `03` of all drives of one day, from the calib_*.txt of its folder."""
    path = date / "calib_cam_to_cam.txt"
    numbers = _read_calibration(path)
    intrinsics, T_cam_rect = _projection(path, numbers, f"P_rect_{camera}")
    T_rect_cam0 = _rigid(path, _entry(path, numbers, "R_rect_00", 9))
    size = _entry(path, numbers, f"S_rect_{camera}", 2)
    problems: list[str] = []
    T_cam0_velo = _read_motion(date / "calib_velo_to_cam.txt", problems)
    T_velo_imu = _read_motion(date / "calib_imu_to_velo.txt", problems)
    # Scanner to camera 0, then rectified, then along the baseline to this camera.
    T_cam_velo = None if T_cam0_velo is None else T_cam_rect @ T_rect_cam0 @ T_cam0_velo
    T_cam_imu = None if T_cam_velo is None or T_velo_imu is None else T_cam_velo @ T_velo_imu
    shape = int(size[1]), int(size[0])
    return KittiCamera(intrinsics, shape, T_cam_rect, T_cam_velo, T_cam_imu, tuple(problems))


def read_odometry_camera(sequence: Path) -> KittiCamera:
    """Camera 2 of a sequence of KITTI odometry, from the calib.txt of its folder."""
    path = sequence / "calib.txt"
    numbers = _read_calibration(path)
    intrinsics, T_cam_rect = _projection(path, numbers, "P2")
    T_cam_velo = None
    if "Tr" in numbers:  # the archive of images without scans has none
        Tr = _entry(path, numbers, "Tr", 12).reshape(3, 4)
        T_cam_velo = T_cam_rect @ _rigid(path, Tr[:, :3], Tr[:, 3])
    return KittiCamera(intrinsics, None, T_cam_rect, T_cam_velo)


def _read_oxts(path: Path) -> list[float]:
    """Latitude, longitude (degrees), altitude (metres), roll, pitch and yaw (radians)."""
    no_pose = "the frame has no pose"
    with readable(path, missing=no_pose, broken=no_pose):
        numbers = [float(word) for word in read_text(path).split()]
    if len(numbers) != OXTS_FIELDS or not all(map(math.isfinite, numbers)):
        raise ArchiveError(
            f"{path}: expected {OXTS_FIELDS} finite numbers, got {len(numbers)}; {no_pose}"
        )
    return numbers[:6]


def imu_pose(reading: Sequence[float], mercator_scale: float) -> Motion:
    """IMU (x forward, y left, z up) to world (east, north, up), in metres, as the devkit has it.

    t = (s r lon, s r ln tan(45 deg + lat / 2), alt), R = R_z(yaw) R_y(pitch) R_x(roll), of what
    `_read_oxts` gives; s is the cosine of the latitude of the first place.
    """
    latitude, longitude, altitude, roll, pitch, yaw = reading
    north = math.log(math.tan(math.pi / 4 + math.radians(latitude) / 2))
    T = np.eye(4)
    T[:3, :3] = Rotation.from_euler("ZYX", [yaw, pitch, roll]).as_matrix()
    T[:3, 3] = np.array([math.radians(longitude), north, 0]) * mercator_scale * EARTH_RADIUS
    T[2, 3] = altitude
    return T


def _camera_poses(files: Sequence[Path], T_cam_imu: Motion, problems: list[str]) -> Poses | None:
    """Camera-to-world matrices in metres, nan where unknown; None if none is known."""
    # There is one file of oxts/data a frame, in time order; broken ones are told. The world is the
    # camera of the first frame whose pose is known.
    poses = np.full((len(files), 4, 4), np.nan)
    scale = None
    for pose, file in zip(poses, files, strict=True):
        try:
            reading = _read_oxts(file)
        except ArchiveError as error:
            problems.append(str(error))
            continue
        scale = math.cos(math.radians(reading[0])) if scale is None else scale
        # T_world_cam = T_world_imu T_imu_cam
        pose[:] = imu_pose(reading, scale) @ np.linalg.inv(T_cam_imu)
    return None if scale is None else _from_first(poses)


def _from_first(poses: Poses) -> Poses:
    """The same motion in the frame of the first pose that is known (not nan); one must be."""
    known = np.isfinite(poses).all(axis=(1, 2))
    return np.linalg.inv(poses[known][0]) @ poses


def _read_calibration(path: Path) -> Numbers:
    """The rows `KEY: numbers` of a file; rows of words, such as a date, are left out."""
    with readable(path, missing="unpack the calibration archive"):
        lines = read_text(path).splitlines()
    found: Numbers = {}
    for line in lines:
        key, _, row = line.partition(":")
        try:
            found[key.strip()] = np.array([float(word) for word in row.split()])
        except ValueError:
            continue
    return found


def _entry(path: Path, numbers: Numbers, key: str, count: int) -> Float[np.ndarray, " _"]:
    row = numbers.get(key)
    if row is None or len(row) != count or not np.isfinite(row).all():
        got = "no such row" if row is None else f"{len(row)} numbers"
        raise ArchiveError(f"{path}: expected '{key}:' and {count} finite numbers, got {got}")
    return row


def _projection(path: Path, numbers: Numbers, key: str) -> tuple[Intrinsics, Motion]:
    """K and `T_cam_rect`, a shift t in metres, of the row P = K [I | t]."""
    P = _entry(path, numbers, key, 12).reshape(3, 4)
    try:  # the fourth column is K t
        shift = np.linalg.solve(P[:, :3], P[:, 3])
    except np.linalg.LinAlgError as error:
        raise ArchiveError(f"{path}: '{key}:' is no camera matrix; unpack it again") from error
    T_cam_rect = np.eye(4)
    T_cam_rect[:3, 3] = shift
    return P[:, :3].copy(), T_cam_rect


def _rigid(path: Path, R: np.ndarray, t: Float[np.ndarray, " 3"] | None = None) -> Motion:
    """The motion [R | t]; an `ArchiveError` if R is no rotation."""
    T = np.eye(4)
    T[:3, :3] = R.reshape(3, 3)
    T[:3, 3] = 0 if t is None else t
    try:
        check_pose(T, where=str(path))
    except ValueError as error:
        raise ArchiveError(str(error)) from error
    return T


def _read_motion(path: Path, problems: list[str]) -> Motion | None:
    """Rigid motion of a file with R and T; None, and a line in `problems`, without one."""
    try:
        numbers = _read_calibration(path)
        return _rigid(path, _entry(path, numbers, "R", 9), _entry(path, numbers, "T", 3))
    except ArchiveError as error:
        problems.append(str(error))
        return None
