"""One camera of one drive of KITTI raw: its frames with depth, poses and times as a scene.

Depth comes from the scans in one of two conventions (`Truth`). `eigen` is that of the published
numbers on the Eigen split, as Godard and those after him evaluate (monodepth2's export_gt_depth):
pixel round(u) - 1, round(v) - 1, one to the left of and above the true one, taken over from MATLAB
where pixels count from 1; and not z but the distance along the scanner's forward axis, 0.27 m more.
`camera` is exact: the nearest pixel centre, and z. So are the improved maps (Uhrig et al., 3DV
2017).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32

from ssmde.data.archives.kitti_calibration import KittiCamera, read_raw_camera, transform
from ssmde.data.archives.kitti_oxts import camera_poses
from ssmde.data.archives.lidar import depth_image, read_velodyne
from ssmde.data.archives.record import (
    ArchiveError,
    ArchiveFrame,
    ArchiveScene,
    ReadDepth,
)
from ssmde.data.images import IMAGE_SUFFIXES, ImageError, read_depth, read_size
from ssmde.io import read_text

Split = Literal["train", "val", "test"]
Truth = Literal["eigen", "camera"]

LICENCE = "CC BY-NC-SA 3.0"
PAPER = "KITTI raw (Geiger et al., IJRR 2013)"
DIGITS = 10  # of a frame's number in its file name
VELODYNE_UNITS = 500  # per metre: 2 mm, up to 131 m; the scanner reaches 120 m
IMPROVED_UNITS = 256  # per metre, as the files themselves
EIGEN_SHIFT = -1  # pixels
FPS = 10.0  # the scanner triggers the cameras, about ten times a second


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DriveCamera:
    """One camera of one drive, and which of its depths to take."""

    drive: Path
    """Folder of the drive."""
    camera: str
    """`02` left, `03` right."""
    folder: Path
    """Folder of the images."""
    images: Mapping[int, Path]
    """By the number of the frame, in time order."""
    image_size: tuple[int, int]
    """Size (height, width), in pixels."""
    calibration: KittiCamera | None
    """None if it is missing."""
    improved: Path | None
    """Folder of the improved maps of this camera, if these are asked for."""
    truth: Truth
    """Convention of the depth of the scans."""
    problems: tuple[str, ...]
    """What is missing: one line for each file."""


def open_drive(
    drive: Path, camera: str, truth: Truth, maps: Mapping[str, Path] | None
) -> DriveCamera:
    """What all scenes of one camera of one drive share.

    Args:
        drive: Folder of the drive, in the folder of its day.
        camera: `02` left, `03` right.
        truth: Convention of the depth of the scans.
        maps: Folder of the improved depth of each drive, instead of the scans.

    Raises:
        ArchiveError: If there are no images, or they are not of the size of the calibration.
        ImageError: If no image can be opened.
    """
    folder = drive / f"image_{camera}" / "data"
    images = numbered(folder, IMAGE_SUFFIXES)
    if not images:
        raise ArchiveError(f"{folder}: no images; unpack the drive")
    size = first_size(tuple(images.values()))
    problems: list[str] = []
    try:
        calibration = read_raw_camera(drive.parent, camera)
        problems.extend(calibration.problems)
    except ArchiveError as error:
        calibration = None
        problems.append(f"{error}; without it the scene has no camera, no poses and no scans")
    if calibration is not None and calibration.image_size != size:
        rows, columns = calibration.image_size or (0, 0)
        raise ArchiveError(
            f"{folder}: images of {size[1]} x {size[0]} pixels, but the calibration is "
            f"for {columns} x {rows}; give the images as the archive has them"
        )
    map_folder = None
    if maps is not None:
        map_folder = maps.get(drive.name, drive) / "proj_depth" / "groundtruth" / f"image_{camera}"
    return DriveCamera(
        drive=drive,
        camera=camera,
        folder=folder,
        images=images,
        image_size=size,
        calibration=calibration,
        improved=map_folder,
        truth=truth,
        problems=tuple(problems),
    )


def drive_scene(
    view: DriveCamera,
    split: Split,
    name: str,
    numbers: tuple[int, ...],
    problems: tuple[str, ...] = (),
) -> ArchiveScene:
    """Some frames of a camera of a drive as a scene.

    Args:
        view: Camera of a drive.
        split: List the scene belongs to.
        name: Name of its folder.
        numbers: Numbers of its frames, in time order; all have images.
        problems: What is known to be missing.
    """
    times, late = _times(view, numbers)
    depth, absent = _depths(view, numbers)
    poses, unknown = _poses(view, numbers)
    whole = all(b - a == 1 for a, b in pairwise(numbers))
    kind = f"depth as {view.truth}" if view.improved is None else "improved depth"
    return ArchiveScene(
        name=name,
        split=split,
        frames=tuple(
            ArchiveFrame(name=f"{n:0{DIGITS}d}", image=view.images[n], depth=depth.get(n))
            for n in numbers
        ),
        image_size=view.image_size,
        intrinsics=None if view.calibration is None else view.calibration.intrinsics,
        source=f"{PAPER}, {view.drive.name}, image_{view.camera}, {kind}",
        licence=LICENCE,
        depth_units_per_metre=VELODYNE_UNITS if view.improved is None else IMPROVED_UNITS,
        fps=FPS if whole else None,
        poses=poses,
        timestamps=times,
        problems=(*problems, *late, *absent, *unknown),
    )


def velodyne_depth(
    path: Path, camera: KittiCamera, image_size: tuple[int, int], truth: Truth
) -> Float32[np.ndarray, "h w"]:
    """Depth map of a scan as the camera sees it, in metres; 0 where no point falls.

    Args:
        path: Scan (.bin).
        camera: Camera; where its scanner is must be known.
        image_size: Size (height, width) of the image.
        truth: Pixel and distance that are stored: see the top of this file.

    Raises:
        ArchiveError: If the scan is missing or broken, or where the scanner is, is unknown.
    """
    if camera.T_cam_velo is None:
        raise ArchiveError(f"{path}: where the scanner is, is unknown")
    points = read_velodyne(path)[:, :3].astype(np.float64)
    points = points[points[:, 0] >= 0]  # in front of the scanner
    seen = transform(camera.T_cam_velo, points)
    if truth == "camera":
        return depth_image(seen, camera.intrinsics, image_size)
    return depth_image(seen, camera.intrinsics, image_size, depth=points[:, 0], shift=EIGEN_SHIFT)


def _depths(view: DriveCamera, numbers: tuple[int, ...]) -> tuple[dict[int, ReadDepth], list[str]]:
    """What reads the depth of each frame that has some, and what is missing."""
    if view.improved is not None:
        maps = numbered(view.improved, (".png",))
        found: dict[int, ReadDepth] = {
            n: partial(read_depth, maps[n], IMPROVED_UNITS) for n in numbers if n in maps
        }
        lacking = f"{len(numbers) - len(found)} of {len(numbers)} frames have no improved depth"
        return found, [f"{view.improved}: {lacking}"] if len(found) < len(numbers) else []
    if view.calibration is None or view.calibration.T_cam_velo is None:
        return {}, []  # told with the calibration
    folder = view.drive / "velodyne_points" / "data"
    scans = numbered(folder, (".bin",))
    if not scans:
        return {}, [f"{folder}: no scans; the scene has no depth"]
    size, camera, truth = view.image_size, view.calibration, view.truth
    found = {
        n: partial(velodyne_depth, scans[n], camera, size, truth) for n in numbers if n in scans
    }
    lacking = [f"{folder / f'{n:0{DIGITS}d}.bin'}: no such file" for n in numbers if n not in scans]
    return found, lacking


def _poses(
    view: DriveCamera, numbers: tuple[int, ...]
) -> tuple[Float[np.ndarray, "n 4 4"] | None, list[str]]:
    """Camera to world, in metres, and what is missing."""
    if view.calibration is None or view.calibration.T_cam_imu is None:
        return None, []  # told with the calibration
    folder = view.drive / "oxts" / "data"
    if not folder.is_dir():
        return None, [f"{folder}: no such folder; the scene has no poses"]
    files = [folder / f"{number:0{DIGITS}d}.txt" for number in numbers]
    return camera_poses(files, view.calibration.T_cam_imu)


def _times(
    view: DriveCamera, numbers: tuple[int, ...]
) -> tuple[Float[np.ndarray, " n"] | None, list[str]]:
    """Seconds since the first of the frames, from the timestamps of the camera."""
    path = view.folder.parent / "timestamps.txt"
    try:
        lines = read_text(path).splitlines()
        stamps = np.array([np.datetime64(lines[number].strip()) for number in numbers])
        seconds = (stamps - stamps[0]) / np.timedelta64(1, "s")
    except FileNotFoundError:
        return None, []  # monodepth2's and other slimmed copies go without
    except (OSError, ValueError, IndexError, TypeError) as error:
        return None, [f"{path}: cannot be used ({error}); the scene has no timestamps"]
    if not np.all(np.diff(seconds) > 0):
        return None, [f"{path}: time does not increase; the scene has no timestamps"]
    return seconds.astype(np.float64), []


def numbered(folder: Path, suffixes: tuple[str, ...]) -> dict[int, Path]:
    """Files by the number that is their name, in order; the PNG if there is a JPEG too."""
    if not folder.is_dir():
        return {}
    files = sorted(
        (f for f in folder.iterdir() if f.suffix.lower() in suffixes and f.stem.isdigit()),
        key=lambda f: (int(f.stem), f.suffix),
    )
    return {int(file.stem): file for file in files}


def first_size(files: Sequence[Path]) -> tuple[int, int]:
    """Size of the first image that can be opened."""
    fault: ImageError | None = None
    for file in files:
        try:
            return read_size(file)
        except ImageError as error:
            fault = fault or error
    raise fault or ArchiveError("no images")
