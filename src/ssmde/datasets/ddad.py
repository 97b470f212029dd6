"""DDAD (Guizilini et al., CVPR 2020) as its archive unpacks, in the format DGP.

A scene has samples, instants at which every sensor gave something; each datum carries the pose of
its sensor at its own time. Frames: `T_world_sensor` maps points of a sensor into the world. The
validation scenes of ddad.json become `val`; the published figures are for their CAMERA_01. Depth is
what the scan of the same sample hit, nothing filled in.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from ssmde.arrays import read_npz
from ssmde.data.images import BROKEN_FILE
from ssmde.data.sequence import DepthMap, Intrinsics, Size, check_intrinsics
from ssmde.datasets import record
from ssmde.datasets.record import Archive, ArchiveError, ArchiveFrame, ArchiveScene
from ssmde.datasets.sensors import depth_image, frame_rate, pose_matrices, transform
from ssmde.io import read_json

LICENCE = "CC BY-NC-SA 4.0"
PAPER = "DDAD (Guizilini et al., CVPR 2020)"
SCANNER, CAMERA = "LIDAR", "CAMERA_01"  # of the nine sensors, those of the published figures
DATASET_SPLITS: dict[str, record.Split] = {"0": "train", "1": "val", "2": "test"}  # DGP's numbers
UNITS_PER_METRE = 256  # the scanner sees up to 250 m
AXES = ("X", "Y", "Z")
Matrices = Mapping[str, Intrinsics | None]  # by the key of the calibration


class Datum(NamedTuple):
    """Image or scan of one sensor at one instant."""

    file: Path
    seconds: float
    T_world_sensor: Float[np.ndarray, "4 4"]  # in metres, at this time; nan without a rotation
    image_size: Size | None  # height and width of an image; None for a scan
    columns: tuple[int, int, int]  # where x, y and z stand in a row of a scan


class Sample(NamedTuple):
    """Data of all sensors at one instant."""

    calibration: str  # key of the calibration file
    data: Mapping[str, Datum]  # by the name of the sensor, such as CAMERA_01 or LIDAR


def index_ddad(root: Path, *, lists: Mapping[str, Path] | None = None) -> Archive:
    """Scenes of DDAD, seen by the camera that looks ahead.

    Args:
        root: Folder that holds ddad.json, or the folder above it; without a dataset file, every
            folder with a scene_*.json is a scene for training.
        lists: For `train`, `val` or `test`, a file that names scenes such as 000150, one a line.
            What no list names stays where the dataset file has it, unless that has a list.
    """
    wanted = record.read_scene_lists(lists or {}, _only_scene)
    problems: list[str] = []
    files = _scene_files(root, problems)
    problems.extend(record.missing_scenes(wanted.values(), tuple(files), root))
    scenes = [
        partial(_scene, file, part)
        for name, (file, split) in files.items()
        for part in record.parts_of(name, wanted, split)
    ]
    return record.collect(scenes, problems)


def read_samples(path: Path) -> tuple[Sample, ...]:
    """Samples of a scene_*.json, in its order."""
    with record.readable(path):
        scene = read_json(path)
    with _of_format(path, "DGP scene"):
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


def read_pinhole(path: Path, camera: str) -> Intrinsics:
    """Pinhole matrix of one camera of a calibration file, in pixels."""
    with record.readable(path):
        calibration = read_json(path)
    with _of_format(path, "DGP calibration"):
        names = [str(name).upper() for name in calibration["names"]]
        if camera not in names:
            raise ArchiveError(f"{path}: knows no camera {camera}, only {', '.join(names)}")
        numbers = calibration["intrinsics"][names.index(camera)]
        keys = ("fx", "fy", "cx", "cy", "skew")
        fx, fy, cx, cy, skew = (float(numbers.get(key, 0)) for key in keys)
        return np.array([[fx, skew, cx], [0, fy, cy], [0, 0, 1]])


@contextmanager
def _of_format(path: Path, what: str) -> Generator[None]:
    try:
        yield
    except ArchiveError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise ArchiveError(f"{path}: no {what} ({type(error).__name__} {error})") from error


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
        T_world_sensor=T_world_sensor, image_size=size, columns=(x, y, z),
    )  # fmt: skip


def _only_scene(line: str) -> tuple[str, tuple[str, ...]]:
    scene, words = record.scene_and_words(line)
    if words:
        raise ValueError(f"expected the name of a scene, such as 000150, got '{line}'")
    return scene, ()


def _scene_files(root: Path, problems: list[str]) -> dict[str, tuple[Path, record.Split]]:
    """Scene file and part of every scene, as the dataset file says, or as the folders lie."""
    found: dict[str, tuple[Path, record.Split]] = {}
    for path in (*sorted(root.glob("*.json")), *sorted(root.glob("*/ddad*.json"))):
        try:
            with record.readable(path):
                splits = read_json(path).get("scene_splits", {})
            listed: list[tuple[record.Split, Path]] = [
                (split, path.parent / str(name))
                for key, split in DATASET_SPLITS.items()
                for name in splits.get(key, {}).get("filenames", ())
            ]
        except ArchiveError as error:
            problems.append(str(error))
            continue
        except (AttributeError, TypeError) as error:
            problems.append(f"{path}: no DGP dataset ({error})")
            continue
        for split, file in listed:
            name = file.parent.name
            if name in found:
                problems.append(f"{path}: scene {name} is in {found[name][1]} and in {split}")
            else:
                found[name] = (file, split)
    if not found:
        files = [*sorted(root.glob("*/scene_*.json")), *sorted(root.glob("scene_*.json"))]
        found = {file.resolve().parent.name: (file, "train") for file in files}
    if not found:
        raise FileNotFoundError(
            f"{root}: no ddad.json and no scene such as 000000/scene_*.json in it; give the folder "
            "the archive was unpacked in"
        )
    return found


def _scene(file: Path, part: record.Part) -> ArchiveScene:
    folder, samples = file.parent, read_samples(file)
    problems: list[str] = []
    seen = [sample for sample in samples if CAMERA in sample.data]
    if len(seen) < len(samples):
        problems.append(f"{file}: {len(samples) - len(seen)} samples have no {CAMERA}")
    seen.sort(key=lambda sample: sample.data[CAMERA].seconds)
    matrices: dict[str, Intrinsics | None] = {}
    for key in dict.fromkeys(sample.calibration for sample in seen):
        try:
            matrices[key] = read_pinhole(folder / "calibration" / f"{key}.json", CAMERA)
        except ArchiveError as error:
            problems.append(f"{error}; without it there is no camera and no depth")
            matrices[key] = None
    kept = _usable(seen, matrices, problems)
    if not kept:
        raise record.nothing_left(file, problems, f"no frame of {CAMERA}")
    views = [sample.data[CAMERA] for sample in kept]
    seconds = np.array([view.seconds for view in views])
    key, size = kept[0].calibration, views[0].image_size or (0, 0)
    intrinsics = matrices[key]
    if intrinsics is not None:
        check_intrinsics(intrinsics, size, where=str(folder / "calibration" / f"{key}.json"))
    frames = tuple(
        ArchiveFrame(
            name=view.file.stem, image=view.file, depth=_depth(sample, view, intrinsics, problems)
        )
        for sample, view in zip(kept, views, strict=True)
    )
    return ArchiveScene(
        name=f"{part.name}_{CAMERA}", split=part.split, frames=frames, licence=LICENCE,
        source=f"{PAPER}, scene {folder.resolve().name}, {CAMERA}", image_size=size,
        intrinsics=intrinsics, poses=np.stack([view.T_world_sensor for view in views]),
        timestamps=seconds, fps=frame_rate(seconds), depth_units_per_metre=UNITS_PER_METRE,
        problems=tuple(problems),
    )  # fmt: skip


def _usable(samples: Sequence[Sample], matrices: Matrices, problems: list[str]) -> list[Sample]:
    """Samples whose image is there and was taken with the camera of the first of them."""
    kept: list[Sample] = []
    for sample in samples:
        file = sample.data[CAMERA].file
        if not file.is_file():
            problems.append(f"{file}: no such file, but the scene names it")
        elif kept and not np.array_equal(  # None is equal to None only
            matrices[sample.calibration], matrices[kept[0].calibration]  # type: ignore[arg-type]
        ):  # fmt: skip
            problems.append(f"{file}: another calibration than the first frame; left out")
        else:
            kept.append(sample)
    return kept


def _depth(
    sample: Sample, camera: Datum, intrinsics: Intrinsics | None, problems: list[str]
) -> record.ReadDepth | None:
    """What reads the depth of a frame; None without a scan or a camera."""
    scan = sample.data.get(SCANNER)
    if scan is None or intrinsics is None:
        return None
    if not scan.file.is_file():
        problems.append(f"{scan.file}: no such file; a frame has no depth")
        return None
    return partial(_scan_depth, scan, camera, intrinsics)


def _scan_depth(scan: Datum, camera: Datum, intrinsics: Intrinsics) -> DepthMap:
    """Depth map of a scan as a camera sees it, in metres; 0 where no point falls."""
    # Points go from the scanner, where it was when it scanned, through the world into the camera,
    # where it was when it took the image: x_cam = T_world_cam^-1 T_world_lidar x_lidar.
    if camera.image_size is None:
        raise ArchiveError(f"{camera.file}: the scene gives no image size")
    T_camera_scanner = np.linalg.inv(camera.T_world_sensor) @ scan.T_world_sensor
    if np.isnan(T_camera_scanner).any():
        raise ArchiveError(f"{scan.file}: its pose, or that of {camera.file.name}, is no rotation")
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
    points = points[np.isfinite(points).all(axis=1)]
    return depth_image(transform(T_camera_scanner, points), intrinsics, camera.image_size)
