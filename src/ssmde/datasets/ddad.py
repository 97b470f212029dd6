"""DDAD (Guizilini et al., CVPR 2020) as its archive unpacks, in the format DGP.

A scene has samples, instants at which every sensor gave something; each datum carries the pose of
its sensor at its own time: `T_world_sensor` maps points of a sensor into the world. The validation
scenes of ddad.json become `val`; the published figures are for their CAMERA_01. Depth is what the
scan of the same sample hit, nothing filled in.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from ssmde.arrays import read_npz
from ssmde.data.sequence import DepthMap, Intrinsics, Size, check_intrinsics
from ssmde.datasets import record
from ssmde.datasets.record import ArchiveError, ArchiveFrame, ArchiveScene, attempt, readable
from ssmde.datasets.sensors import depth_image, pose_matrices, transform
from ssmde.io import read_json

PAPER = "DDAD (Guizilini et al., CVPR 2020)"
SCANNER, CAMERA = "LIDAR", "CAMERA_01"  # of the nine sensors, those of the published figures
DATASET_SPLITS: dict[str, record.Split] = {"0": "train", "1": "val", "2": "test"}  # DGP's numbers
AXES = ("X", "Y", "Z")


class Datum(NamedTuple):
    """Image or scan at one instant."""

    file: Path
    seconds: float
    T_world_sensor: Float[np.ndarray, "4 4"]  # in metres, at this time; nan without a rotation
    image_size: Size  # height and width of an image
    columns: tuple[int, ...]  # where x, y and z stand in a row of a scan


Sample = tuple[str, Datum, Datum | None]
"""Key of the calibration, image, and scan if there is one."""


def index_ddad(root: Path, *, lists: Mapping[str, Path] | None = None) -> record.Archive:
    """Scenes of DDAD, seen by the camera that looks ahead.

    `root` holds ddad.json, or is the folder above it; without a dataset file, every folder with a
    scene_*.json is a scene for training. A list names scenes such as 000150, one a line. What no
    list names stays where the dataset file has it, unless that has a list.
    """
    wanted = record.read_scene_lists(lists)
    problems, scenes = list[str](), record.Scenes()
    for path in (*sorted(root.glob("*.json")), *sorted(root.glob("*/ddad*.json"))):
        for split, file in attempt(partial(_read_splits, path), problems) or ():
            scenes.setdefault(file.parent.name, (split, partial(_scene, file)))
    if not scenes:
        files = [*sorted(root.glob("*/scene_*.json")), *sorted(root.glob("scene_*.json"))]
        scenes |= {file.resolve().parent.name: ("train", partial(_scene, file)) for file in files}
    if not scenes:
        raise record.no_archive(root, "ddad.json and no scene such as 000000/scene_*.json")
    return record.make_archive(root, scenes, wanted, problems)


def _read_splits(path: Path) -> list[tuple[record.Split, Path]]:
    with readable(path):
        splits = read_json(path).get("scene_splits", {})
        return [
            (split, path.parent / str(name))
            for key, split in DATASET_SPLITS.items()
            for name in splits.get(key, {}).get("filenames", ())
        ]


def _scene(file: Path, part: record.Part) -> ArchiveScene:
    folder, problems, samples = file.parent, list[str](), list[Sample]()
    for key, view, scan in _read_scene(file, problems):
        if not view.file.is_file():
            problems.append(f"{view.file}: no such file, but the scene names it")
        elif samples and key != samples[0][0]:  # a key is the digest of a calibration
            problems.append(f"{view.file}: another calibration than the first frame; left out")
        else:
            samples.append((key, view, scan))
    if not samples:
        raise ArchiveError("\n".join([*problems, f"{file}: no frame of {CAMERA} can be used"]))
    key, first, _ = samples[0]
    intrinsics = _read_pinhole(folder / "calibration" / f"{key}.json", first.image_size)
    frames: list[ArchiveFrame] = []
    for _, view, scan in samples:
        depth = None
        if scan is not None and not scan.file.is_file():
            problems.append(f"{scan.file}: no such file; a frame has no depth")
        elif scan is not None:
            depth = partial(_scan_depth, scan, view, intrinsics)
        frames.append(ArchiveFrame(name=view.file.stem, image=view.file, depth=depth))
    return ArchiveScene(
        name=f"{part.name}_{CAMERA}", split=part.split, frames=tuple(frames),
        source=f"{PAPER}, scene {folder.resolve().name}, {CAMERA}", licence="CC BY-NC-SA 4.0",
        image_size=first.image_size, intrinsics=intrinsics,
        poses=np.stack([view.T_world_sensor for _, view, _ in samples]),
        depth_units_per_metre=256,  # the scanner sees up to 250 m
        problems=tuple(problems),
    )  # fmt: skip


def _read_scene(path: Path, problems: list[str]) -> list[Sample]:
    """The samples with an image, in time order."""
    found: list[Sample] = []
    with readable(path):
        scene = read_json(path)
        data = {entry["key"]: entry for entry in scene["data"]}
        for sample in scene["samples"]:
            seen = [data[key] for key in sample["datum_keys"] if key in data]
            own = {str(entry["id"]["name"]).upper(): entry for entry in seen}
            if CAMERA in own:
                scan = _datum(path.parent, own[SCANNER]) if SCANNER in own else None
                view = _datum(path.parent, own[CAMERA])
                found.append((str(sample.get("calibration_key", "")), view, scan))
        if lost := len(scene["samples"]) - len(found):
            problems.append(f"{path}: {lost} samples have no {CAMERA}")
    return sorted(found, key=lambda one: one[1].seconds)


def _datum(folder: Path, entry: Mapping[str, Any]) -> Datum:
    kind = "image" if "image" in entry["datum"] else "point_cloud"
    datum = entry["datum"][kind]
    pose = datum["pose"]
    # A number that is 0 may be left out.
    position = [float(pose.get("translation", {}).get(key, 0)) for key in "xyz"]
    turn = [float(pose.get("rotation", {}).get(key, 0)) for key in ("qx", "qy", "qz", "qw")]
    order = [str(name).upper() for name in datum.get("point_format", AXES)]
    (T_world_sensor,) = pose_matrices(np.array([position]), np.array([turn]))
    return Datum(
        file=folder / datum["filename"],
        seconds=datetime.fromisoformat(entry["id"]["timestamp"]).timestamp(),
        T_world_sensor=T_world_sensor, columns=tuple(order.index(axis) for axis in AXES),
        image_size=(int(datum["height"]), int(datum["width"])) if kind == "image" else (0, 0),
    )  # fmt: skip


def _read_pinhole(path: Path, image_size: Size) -> Intrinsics:
    with readable(path):
        calibration = read_json(path)
        names = [str(name).upper() for name in calibration["names"]]
        if CAMERA not in names:
            raise ArchiveError(f"{path}: knows no camera {CAMERA}, only {', '.join(names)}")
        numbers = calibration["intrinsics"][names.index(CAMERA)]
        keys = ("fx", "fy", "cx", "cy", "skew")
        fx, fy, cx, cy, skew = (float(numbers.get(key, 0)) for key in keys)
    intrinsics = np.array([[fx, skew, cx], [0, fy, cy], [0, 0, 1]])
    check_intrinsics(intrinsics, image_size, where=str(path))
    return intrinsics


def _scan_depth(scan: Datum, view: Datum, intrinsics: Intrinsics) -> DepthMap:
    """Depth map of a scan as a camera sees it, in metres; 0 where no point falls."""
    # Points go from the scanner, where it was when it scanned, through the world into the camera,
    # where it was when it took the image: x_cam = T_world_cam^-1 T_world_lidar x_lidar.
    T_camera_scanner = np.linalg.inv(view.T_world_sensor) @ scan.T_world_sensor
    if np.isnan(T_camera_scanner).any():
        raise ArchiveError(f"{scan.file}: its pose, or that of {view.file.name}, is no rotation")
    with readable(scan.file):
        rows = read_npz(scan.file, ["data"])["data"]
    if rows.ndim != 2 or rows.shape[1] <= max(scan.columns) or rows.dtype.kind != "f":
        raise ArchiveError(
            f"{scan.file}: a scan is one point a row, got {rows.dtype} of shape {rows.shape}"
        )
    points = rows[:, scan.columns].astype(np.float64)
    points = points[np.isfinite(points).all(axis=1)]
    return depth_image(transform(T_camera_scanner, points), intrinsics, view.image_size)
