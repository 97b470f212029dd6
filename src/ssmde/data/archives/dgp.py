"""DGP, the format of DDAD: scene_*.json, calibration files and scans, as records.

A scene has samples, instants at which every sensor gave something; each datum carries the pose of
its sensor at its own time. Frames: `T_world_sensor` maps points of a sensor into the world.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from ssmde.data.archives.lidar import depth_image
from ssmde.data.archives.quaternion import pose_matrices
from ssmde.data.archives.record import ArchiveError
from ssmde.data.images import BROKEN_FILE
from ssmde.io import read_json, read_npz

AXES = ("X", "Y", "Z")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Datum:
    """What one sensor gave at one instant."""

    file: Path
    """Image or scan."""
    seconds: float
    """Time of this sensor."""
    T_world_sensor: Float[np.ndarray, "4 4"]
    """Pose of the sensor at this time, in metres; nan if the file has no rotation."""
    image_size: tuple[int, int] | None
    """Size (height, width) of an image; None for a scan."""
    columns: tuple[int, int, int]
    """Where x, y and z stand in a row of a scan."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """Data of all sensors at one instant."""

    calibration: str
    """Key of the calibration file."""
    data: Mapping[str, Datum]
    """By the name of the sensor, such as CAMERA_01 or LIDAR."""


def read_samples(path: Path) -> tuple[Sample, ...]:
    """Samples of a scene_*.json, in its order.

    Raises:
        ArchiveError: If the file is missing, no JSON, or lacks what a scene has.
    """
    scene = read_object(path)
    try:
        data = {
            entry["key"]: (str(entry["id"]["name"]).upper(), _datum(path.parent, entry))
            for entry in scene["data"]
            if {"image", "point_cloud"} & entry["datum"].keys()
        }
        return tuple(
            Sample(
                calibration=str(sample.get("calibration_key", "")),
                data=dict(data[key] for key in sample["datum_keys"] if key in data),
            )
            for sample in scene["samples"]
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArchiveError(f"{path}: no DGP scene ({type(error).__name__} {error})") from error


def read_pinhole(path: Path, camera: str) -> Float[np.ndarray, "3 3"]:
    """Pinhole matrix of one camera of a calibration file, in pixels.

    Raises:
        ArchiveError: If the file is missing, no JSON, or does not know the camera.
    """
    calibration = read_object(path)
    try:
        names = [str(name).upper() for name in calibration["names"]]
        if camera not in names:
            raise ArchiveError(f"{path}: knows no camera {camera}, only {', '.join(names)}")
        numbers = calibration["intrinsics"][names.index(camera)]
        fx, fy, cx, cy, skew = (
            float(numbers.get(key, 0)) for key in ("fx", "fy", "cx", "cy", "skew")
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise ArchiveError(
            f"{path}: no DGP calibration ({type(error).__name__} {error})"
        ) from error
    return np.array([[fx, skew, cx], [0, fy, cy], [0, 0, 1]])


def scan_depth(
    scan: Datum, camera: Datum, intrinsics: Float[np.ndarray, "3 3"]
) -> Float32[np.ndarray, "h w"]:
    """Depth map of a scan as a camera sees it, in metres; 0 where no point falls.

    Points go from the scanner, where it was when it scanned, through the world into the camera,
    where it was when it took the image: x_cam = T_world_cam^-1 T_world_lidar x_lidar. A pixel takes
    the nearest of the points that round to its centre.

    Args:
        scan: Datum of the scanner.
        camera: Datum of the camera.
        intrinsics: Pinhole matrix, in pixels of the image.

    Raises:
        ArchiveError: If the scan is missing or broken, or a pose is no rotation.
    """
    if camera.image_size is None:
        raise ArchiveError(f"{camera.file}: the scene gives no image size")
    T_camera_scanner = np.linalg.inv(camera.T_world_sensor) @ scan.T_world_sensor
    if np.isnan(T_camera_scanner).any():
        raise ArchiveError(f"{scan.file}: its pose, or that of {camera.file.name}, is no rotation")
    points = _read_points(scan)
    seen = points @ T_camera_scanner[:3, :3].T + T_camera_scanner[:3, 3]
    return depth_image(seen, intrinsics, camera.image_size)


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        ArchiveError: If the file is missing or holds something else.
    """
    try:
        return read_json(path)
    except FileNotFoundError as error:
        raise ArchiveError(f"{path}: no such file; unpack the archive again") from error
    except (OSError, ValueError) as error:
        raise ArchiveError(f"{path}: cannot be read ({error}); unpack it again") from error


def _datum(folder: Path, entry: Mapping[str, Any]) -> Datum:
    kind = "image" if "image" in entry["datum"] else "point_cloud"
    datum = entry["datum"][kind]
    pose = datum["pose"]
    # A number that is 0 may be left out.
    position = [float(pose.get("translation", {}).get(key, 0)) for key in "xyz"]
    turn = [float(pose.get("rotation", {}).get(key, 0)) for key in ("qx", "qy", "qz", "qw")]
    order = [str(name).upper() for name in datum.get("point_format", AXES)]
    x, y, z = (order.index(axis) for axis in AXES) if kind == "point_cloud" else (0, 1, 2)
    size = (int(datum["height"]), int(datum["width"])) if kind == "image" else None
    (T_world_sensor,) = pose_matrices(np.array([position]), np.array([turn]))
    return Datum(
        file=folder / datum["filename"],
        seconds=datetime.fromisoformat(entry["id"]["timestamp"]).timestamp(),
        T_world_sensor=T_world_sensor,
        image_size=size,
        columns=(x, y, z),
    )


def _read_points(scan: Datum) -> Float[np.ndarray, "n 3"]:
    """Points in the scanner, in metres; those that are not finite are left out."""
    try:
        rows = read_npz(scan.file, ["data"])["data"]
    except FileNotFoundError as error:
        raise ArchiveError(f"{scan.file}: no such file") from error
    except BROKEN_FILE as error:
        raise ArchiveError(f"{scan.file}: cannot be read ({error}); unpack it again") from error
    if rows.ndim != 2 or rows.shape[1] <= max(scan.columns) or rows.dtype.kind != "f":
        raise ArchiveError(
            f"{scan.file}: a scan is one point a row, got {rows.dtype} of shape {rows.shape}"
        )
    points = rows[:, scan.columns].astype(np.float64)
    return points[np.isfinite(points).all(axis=1)]
