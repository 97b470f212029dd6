"""DDAD as its archive unpacks: scenes of the dataset file, one or several cameras, LiDAR depth.

The validation scenes of ddad.json become `val`; the published figures are for their CAMERA_01.
Depth is what the scan of the same sample hit, nothing filled in.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ssmde.data.archives.dgp import (
    Sample,
    read_object,
    read_pinhole,
    read_samples,
    scan_depth,
)
from ssmde.data.archives.record import Archive, ArchiveError, ArchiveFrame, ArchiveScene, ReadDepth
from ssmde.data.archives.scene_lists import (
    Part,
    Split,
    missing_scenes,
    parts_of,
    read_scene_lists,
    scene_and_words,
)
from ssmde.data.archives.time_match import frame_rate
from ssmde.data.sequence import check_intrinsics

LICENCE = "CC BY-NC-SA 4.0"
PAPER = "DDAD (Guizilini et al., CVPR 2020)"
SCANNER = "LIDAR"
DATASET_SPLITS: dict[str, Split] = {"0": "train", "1": "val", "2": "test"}  # DGP's numbers
UNITS_PER_METRE = 256  # the scanner sees up to 250 m


def index_ddad(
    root: Path,
    *,
    lists: Mapping[str, Path] | None = None,
    cameras: Sequence[str] = ("CAMERA_01",),
) -> Archive:
    """Scenes of DDAD (Guizilini et al., CVPR 2020), one for each scene and camera.

    Args:
        root: Folder that holds ddad.json, or the folder above it; without a dataset file, every
            folder with a scene_*.json is a scene for training.
        lists: For `train`, `val` or `test`, a file that names scenes such as 000150, one a line.
            What no list names stays where the dataset file has it, unless that has a list.
        cameras: Cameras to take: CAMERA_01 looks ahead; 05 to 09 round the car.

    Raises:
        FileNotFoundError: If there is no scene.
        ValueError: If a list cannot be read, or no camera is asked for.
    """
    if not cameras:
        raise ValueError("name at least one camera, such as CAMERA_01")
    wanted = read_scene_lists(lists or {}, _only_scene)
    problems: list[str] = []
    files = _scene_files(root, problems)
    problems.extend(missing_scenes(wanted.values(), tuple(files), root))
    scenes: list[ArchiveScene] = []
    for name, (file, split) in files.items():
        parts = parts_of(name, wanted, split)
        try:
            samples = read_samples(file) if parts else ()
        except ArchiveError as error:
            problems.append(str(error))
            continue
        for part, camera in product(parts, cameras):
            try:
                scenes.append(_scene(file, samples, part, camera.upper()))
            except ValueError as error:  # also of a matrix that is no camera
                problems.append(str(error))
    return Archive(scenes=tuple(scenes), problems=tuple(problems))


def _only_scene(line: str) -> tuple[str, tuple[str, ...]]:
    scene, words = scene_and_words(line)
    if words:
        raise ValueError(f"expected the name of a scene, such as 000150, got '{line}'")
    return scene, ()


def _scene_files(root: Path, problems: list[str]) -> dict[str, tuple[Path, Split]]:
    """Scene file and part of every scene, as the dataset file says, or as the folders lie."""
    found: dict[str, tuple[Path, Split]] = {}
    for path in (*sorted(root.glob("*.json")), *sorted(root.glob("*/ddad*.json"))):
        try:
            listed = _listed(path)
        except ArchiveError as error:
            problems.append(str(error))
            continue
        for split, filenames in listed:
            for filename in filenames:
                file = path.parent / filename
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


def _listed(path: Path) -> list[tuple[Split, list[str]]]:
    """Names of the scene files of each part, as a dataset file has them."""
    try:
        splits = read_object(path).get("scene_splits", {})
        return [
            (split, [str(name) for name in splits.get(key, {}).get("filenames", ())])
            for key, split in DATASET_SPLITS.items()
        ]
    except (AttributeError, TypeError) as error:
        raise ArchiveError(f"{path}: no DGP dataset ({error})") from error


def _scene(file: Path, samples: Sequence[Sample], part: Part, camera: str) -> ArchiveScene:
    folder = file.parent
    problems: list[str] = []
    seen = [sample for sample in samples if camera in sample.data]
    if len(seen) < len(samples):
        problems.append(f"{file}: {len(samples) - len(seen)} samples have no {camera}")
    seen.sort(key=lambda sample: sample.data[camera].seconds)
    matrices = _matrices(folder, seen, camera, problems)
    kept = _usable(seen, camera, matrices, problems)
    if not kept:
        raise ArchiveError("\n".join([*problems, f"{file}: no frame of {camera} can be used"]))
    views = [sample.data[camera] for sample in kept]
    seconds = np.array([view.seconds for view in views])
    intrinsics = matrices[kept[0].calibration]
    size = views[0].image_size or (0, 0)
    if intrinsics is not None:
        where = _calibration_file(folder, kept[0].calibration)
        check_intrinsics(intrinsics, size, where=str(where))
    return ArchiveScene(
        name=f"{part.name}_{camera}",
        split=part.split,
        frames=tuple(
            ArchiveFrame(
                name=view.file.stem,
                image=view.file,
                depth=_depth(sample, camera, intrinsics, problems),
            )
            for sample, view in zip(kept, views, strict=True)
        ),
        image_size=size,
        intrinsics=intrinsics,
        source=f"{PAPER}, scene {folder.resolve().name}, {camera}",
        licence=LICENCE,
        depth_units_per_metre=UNITS_PER_METRE,
        fps=frame_rate(seconds),
        poses=np.stack([view.T_world_sensor for view in views]),
        timestamps=seconds,
        problems=tuple(problems),
    )


def _matrices(
    folder: Path, samples: Sequence[Sample], camera: str, problems: list[str]
) -> dict[str, Float[np.ndarray, "3 3"] | None]:
    """Pinhole matrix for each calibration the samples use; None for one that cannot be read."""
    found: dict[str, Float[np.ndarray, "3 3"] | None] = {}
    for key in dict.fromkeys(sample.calibration for sample in samples):
        try:
            found[key] = read_pinhole(_calibration_file(folder, key), camera)
        except ArchiveError as error:
            problems.append(f"{error}; without it there is no camera and no depth")
            found[key] = None
    return found


def _calibration_file(folder: Path, key: str) -> Path:
    return folder / "calibration" / f"{key}.json"


def _usable(
    samples: Sequence[Sample],
    camera: str,
    matrices: Mapping[str, Float[np.ndarray, "3 3"] | None],
    problems: list[str],
) -> list[Sample]:
    """Samples whose image is there and was taken with the camera of the first of them."""
    kept: list[Sample] = []
    for sample in samples:
        file = sample.data[camera].file
        if not file.is_file():
            problems.append(f"{file}: no such file, but the scene names it")
        elif kept and not _same(matrices[sample.calibration], matrices[kept[0].calibration]):
            problems.append(f"{file}: another calibration than the first frame; left out")
        else:
            kept.append(sample)
    return kept


def _same(first: Float[np.ndarray, "3 3"] | None, second: Float[np.ndarray, "3 3"] | None) -> bool:
    if first is None or second is None:
        return first is second
    return bool(np.array_equal(first, second))


def _depth(
    sample: Sample,
    camera: str,
    intrinsics: Float[np.ndarray, "3 3"] | None,
    problems: list[str],
) -> ReadDepth | None:
    """What reads the depth of a frame; None without a scan or a camera."""
    scan = sample.data.get(SCANNER)
    if scan is None or intrinsics is None:
        return None
    if not scan.file.is_file():
        problems.append(f"{scan.file}: no such file; a frame has no depth")
        return None
    return partial(scan_depth, scan, sample.data[camera], intrinsics)
