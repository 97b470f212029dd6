"""KITTI odometry as its archives unpack: left colour images, poses and scans of 22 sequences.

ROOT/sequences/00/image_2/000000.png, calib.txt, times.txt, velodyne/000000.bin
ROOT/poses/00.txt        00 to 10: where camera 0 is, 12 numbers a frame

Sequences 00 to 08 train, 09 and 10 test (Zhou et al., CVPR 2017); 11 to 21, whose poses only the
benchmark's server knows, test too. Sequence 00 is one of the drives of the Eigen test split: a
network trained on it has no Eigen number.
"""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32

from ssmde.data.archives.kitti_calibration import KittiCamera, read_odometry_camera, transform
from ssmde.data.archives.kitti_drive import LICENCE, VELODYNE_UNITS, first_size, numbered
from ssmde.data.archives.kitti_oxts import from_first
from ssmde.data.archives.lidar import depth_image, read_velodyne
from ssmde.data.archives.record import Archive, ArchiveError, ArchiveFrame, ArchiveScene
from ssmde.data.archives.scene_lists import Part, missing_scenes, parts_of, read_scene_lists
from ssmde.data.images import IMAGE_SUFFIXES, ImageError
from ssmde.data.scene_files import read_poses
from ssmde.io import read_lines, read_text

PAPER = "KITTI odometry (Geiger et al., CVPR 2012)"
TRAINING = tuple(f"{number:02d}" for number in range(9))
WITH_POSES = tuple(f"{number:02d}" for number in range(11))
DIGITS = 6  # of a frame's number in its file name


def index_kitti_odometry(root: Path, *, lists: Mapping[str, Path] | None = None) -> Archive:
    """Scenes of KITTI odometry (Geiger et al., CVPR 2012): camera 2, with its own poses.

    The depth of the scans is z of the camera, at the nearest pixel centre.

    Args:
        root: Folder of `sequences` and `poses`; the archives unpack to `dataset`.
        lists: For `train`, `val` or `test`, a file that names sequences, one a line, such as 09;
            sequences that no list names keep their place, unless its list is given.

    Raises:
        FileNotFoundError: If there are no sequences in it.
        ValueError: If a list cannot be read, or names single frames.
    """
    found = read_scene_lists(lists or {}, _sequence_of_line)
    sequences = sorted(f for f in (root / "sequences").glob("[0-9][0-9]") if f.is_dir())
    if not sequences:
        raise FileNotFoundError(
            f"{root}: no sequences such as sequences/00 in it; give the folder `dataset` the "
            "archives of KITTI odometry were unpacked to"
        )
    scenes: list[ArchiveScene] = []
    problems = [*missing_scenes(found.values(), [s.name for s in sequences], root)]
    for sequence in sequences:
        default = "train" if sequence.name in TRAINING else "test"
        try:
            scenes += [_scene(root, sequence, p) for p in parts_of(sequence.name, found, default)]
        except (ArchiveError, ImageError) as error:
            problems.append(str(error))
    return Archive(scenes=tuple(scenes), problems=tuple(problems))


def _sequence_of_line(line: str) -> tuple[str, tuple[str, ...]]:
    if not re.fullmatch(r"\d\d", line):
        raise ValueError(f"expected a sequence such as 09, got '{line}'")
    return line, ()


def _scene(root: Path, sequence: Path, part: Part) -> ArchiveScene:
    images = numbered(sequence / "image_2", IMAGE_SUFFIXES)
    if not images:
        raise ArchiveError(
            f"{sequence / 'image_2'}: no images; unpack the colour images of the sequence"
        )
    size = first_size(tuple(images.values()))
    problems: list[str] = []
    try:
        camera = read_odometry_camera(sequence)
    except ArchiveError as error:
        camera = None
        problems.append(f"{error}; without it the scene has no camera, no poses and no scans")
    scans = {} if camera is None else _scans(sequence, camera, problems)
    return ArchiveScene(
        name=f"odometry_{part.name}",
        split=part.split,
        frames=tuple(
            ArchiveFrame(
                name=f"{number:0{DIGITS}d}",
                image=file,
                depth=partial(scan_depth, scans[number], camera, size)
                if camera is not None and number in scans
                else None,
            )
            for number, file in images.items()
        ),
        image_size=size,
        intrinsics=None if camera is None else camera.intrinsics,
        source=f"{PAPER}, sequence {sequence.name}, image_2",
        licence=LICENCE,
        depth_units_per_metre=VELODYNE_UNITS,
        poses=None if camera is None else _poses(root, sequence, camera, tuple(images), problems),
        timestamps=_times(sequence / "times.txt", tuple(images), problems),
        problems=tuple(problems),
    )


def scan_depth(
    path: Path, camera: KittiCamera, image_size: tuple[int, int]
) -> Float32[np.ndarray, "h w"]:
    """Depth map of a scan as the camera sees it: z in metres, 0 where no point falls.

    Args:
        path: Scan (.bin).
        camera: Camera; where its scanner is must be known.
        image_size: Size (height, width) of the image.

    Raises:
        ArchiveError: If the scan is missing or broken.
    """
    assert camera.T_cam_velo is not None
    points = read_velodyne(path)[:, :3].astype(np.float64)
    points = points[points[:, 0] >= 0]  # in front of the scanner
    return depth_image(transform(camera.T_cam_velo, points), camera.intrinsics, image_size)


def _scans(sequence: Path, camera: KittiCamera, problems: list[str]) -> dict[int, Path]:
    """Scans by the number of their frame; none if where the scanner is, is unknown."""
    scans = numbered(sequence / "velodyne", (".bin",))
    if scans and camera.T_cam_velo is None:
        problems.append(f"{sequence / 'calib.txt'}: no row 'Tr:'; the scene has no depth")
        return {}
    return scans


def _poses(
    root: Path, sequence: Path, camera: KittiCamera, numbers: tuple[int, ...], problems: list[str]
) -> Float[np.ndarray, "n 4 4"] | None:
    """Camera 2 to world, from the poses of camera 0: T_world_cam2 = T_world_cam0 T_cam0_cam2."""
    path = root / "poses" / f"{sequence.name}.txt"
    if not path.is_file():
        if sequence.name in WITH_POSES:
            problems.append(f"{path}: no such file; the scene has no poses")
        return None
    try:
        known = read_poses(path, len(read_lines(path)))
    except ValueError as error:
        problems.append(f"{error}; the scene has no poses")
        return None
    poses = np.full((numbers[-1] + 1, 4, 4), np.nan)
    if known is None or len(known) == 0:
        problems.append(f"{path}: the file is empty; the scene has no poses")
        return None
    if len(known) < len(poses):
        problems.append(f"{path}: {len(known)} poses, but images up to {numbers[-1]}")
    poses[: len(known)] = known[: len(poses)]
    return from_first(poses[list(numbers)] @ np.linalg.inv(camera.T_cam_rect))


def _times(
    path: Path, numbers: tuple[int, ...], problems: list[str]
) -> Float[np.ndarray, " n"] | None:
    """Seconds of each frame."""
    try:
        lines = read_text(path).split()
        seconds = np.array([float(lines[number]) for number in numbers])
    except (OSError, ValueError, IndexError) as error:
        problems.append(f"{path}: cannot be used ({error}); the scene has no timestamps")
        return None
    if not np.isfinite(seconds).all() or not np.all(np.diff(seconds) > 0):
        problems.append(f"{path}: time does not increase; the scene has no timestamps")
        return None
    return seconds
