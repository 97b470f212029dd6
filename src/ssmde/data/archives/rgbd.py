"""TUM RGB-D and Bonn RGB-D Dynamic: image, depth and pose, brought together by their times.

A sequence is a folder with rgb.txt, depth.txt and groundtruth.txt. Every image is a frame, named by
its time. Depth belongs to the image nearest in time, at most 20 ms away, one to one; the pose is
the nearest one within 20 ms. Depth is registered to the colour image, 5000 a metre.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32

from ssmde.data.archives.quaternion import pose_matrices
from ssmde.data.archives.record import Archive, ArchiveError, ArchiveFrame, ArchiveScene, ReadDepth
from ssmde.data.archives.rgbd_calibration import (
    IMAGE_SIZE,
    SequenceFacts,
    bonn_facts,
    bonn_poses,
    tum_facts,
)
from ssmde.data.archives.scene_lists import Part, missing_scenes, parts_of, read_scene_lists
from ssmde.data.archives.time_match import (
    clock_problem,
    frame_rate,
    match_times,
    nearest_times,
    time_name,
)
from ssmde.data.images import ImageError, read_depth, read_size
from ssmde.io import read_lines

UNITS_PER_METRE = 5000


def index_tum(root: Path, *, lists: Mapping[str, Path] | None = None) -> Archive:
    """Scenes of the TUM RGB-D benchmark (Sturm et al., IROS 2012), one for each sequence.

    The camera follows from `freiburg1`, 2 or 3 in the name of the folder; ROS' default camera is
    taken for others. The images of freiburg1 and freiburg2 keep their lens distortion.

    Args:
        root: A sequence (a folder with rgb.txt), or a folder of sequences.
        lists: For `train`, `val` or `test`, a file that names sequences, or frames as
            `SEQUENCE rgb/TIME.png depth/TIME.png`, one a line; without the depth it is found by
            its time. What no list names is for training, unless that has a list.

    Raises:
        FileNotFoundError: If there is no sequence.
        ValueError: If a list is missing, empty, or for another part.
    """
    return _index(root, lists or {}, tum_facts)


def index_bonn(root: Path, *, lists: Mapping[str, Path] | None = None) -> Archive:
    """Scenes of Bonn RGB-D Dynamic (Palazzolo et al., IROS 2019), one for each sequence.

    The camera is the published one; lens distortion stays. Poses are those of `bonn_poses`, in
    metres of the depth sensor.

    Args:
        root: A sequence (a folder with rgb.txt), or a folder of sequences.
        lists: As for `index_tum`.

    Raises:
        FileNotFoundError: If there is no sequence.
        ValueError: If a list is missing, empty, or for another part.
    """
    return _index(root, lists or {}, bonn_facts)


def _index(root: Path, lists: Mapping[str, Path], facts: Callable[[str], SequenceFacts]) -> Archive:
    folders = _sequences(root)
    wanted = read_scene_lists(lists)
    scenes: list[ArchiveScene] = []
    problems = list(missing_scenes(wanted.values(), tuple(folders), root))
    for name, folder in folders.items():
        for part in parts_of(name, wanted):
            try:
                scenes.append(_scene(folder, part, facts(name)))
            except (ArchiveError, ImageError) as error:
                problems.append(str(error))
    return Archive(scenes=tuple(scenes), problems=tuple(problems))


def _sequences(root: Path) -> dict[str, Path]:
    """Folders with rgb.txt or rgb/: the root itself, or up to two levels below it."""
    found = [
        {path.parent for pattern in ("rgb.txt", "rgb/") for path in root.glob(level + pattern)}
        for level in ("", "*/", "*/*/")
    ]
    folders = next((sorted(level) for level in found if level), [])
    if not folders:
        raise FileNotFoundError(
            f"{root}: no sequence with an rgb.txt in it; give the folder of a sequence, or the "
            "folder its archives were unpacked in"
        )
    return {folder.resolve().name: folder for folder in folders}


def _scene(folder: Path, part: Part, facts: SequenceFacts) -> ArchiveScene:
    problems: list[str] = []
    times, images = _listed(folder, "rgb.txt", problems)
    times, images, chosen = _asked(folder, part, times, images, problems)
    depth = _depths(folder, times, images, chosen, problems)
    if not images:
        raise ArchiveError("\n".join([*problems, f"{folder}: no frame can be used"]))
    size = _image_size(folder, images)
    if size != IMAGE_SIZE:
        raise ArchiveError(
            f"{folder / images[0]}: {size[1]} x {size[0]} pixels, but the camera is published for "
            f"{IMAGE_SIZE[1]} x {IMAGE_SIZE[0]}; give the images as the archive has them"
        )
    return ArchiveScene(
        name=part.name,
        split=part.split,
        frames=tuple(
            ArchiveFrame(name=time_name(time), image=folder / image, depth=depth.get(i))
            for i, (time, image) in enumerate(zip(times.tolist(), images, strict=True))
        ),
        image_size=size,
        intrinsics=facts.camera.matrix(),
        source=facts.source,
        licence=facts.licence,
        depth_units_per_metre=UNITS_PER_METRE,
        fps=None if part.rows else frame_rate(times),
        poses=_poses(folder, times, facts, problems),
        timestamps=times,
        problems=tuple(problems),
    )


def _listed(
    folder: Path, name: str, problems: list[str]
) -> tuple[Float[np.ndarray, " n"], list[str]]:
    """Times and files of rgb.txt or depth.txt, in time order; what is not there is told."""
    found: dict[str, tuple[float, str]] = {}
    for time, (file, *_) in _rows(folder / name, 1, problems):
        if not (folder / file).is_file():
            problems.append(f"{folder / file}: no such file, but {name} names it")
        elif time_name(time) in found:
            problems.append(f"{folder / file}: a second file of the same time in {name}")
        else:
            found[time_name(time)] = (time, file)
    ordered = sorted(found.values())
    return np.array([time for time, _ in ordered], np.float64), [file for _, file in ordered]


def _asked(
    folder: Path,
    part: Part,
    times: Float[np.ndarray, " n"],
    images: list[str],
    problems: list[str],
) -> tuple[Float[np.ndarray, " m"], list[str], dict[str, str]]:
    """The frames a list names, and the depth file it names for an image."""
    if not part.rows:
        return times, images, {}
    chosen = {image: "".join(rest[:1]) for image, *rest in part.rows}
    problems.extend(
        f"{folder / image}: {part.asked_by} names it, but it is not there or not in rgb.txt"
        for image in chosen
        if image not in images
    )
    kept = [i for i, image in enumerate(images) if image in chosen]
    return times[kept], [images[i] for i in kept], {key: d for key, d in chosen.items() if d}


def _depths(
    folder: Path,
    times: Float[np.ndarray, " n"],
    images: list[str],
    chosen: Mapping[str, str],
    problems: list[str],
) -> dict[int, ReadDepth]:
    """What reads the depth of each frame: the file a list names, else the nearest in time."""
    found: dict[int, str] = {}
    if len(chosen) < len(images):
        depth_times, files = _listed(folder, "depth.txt", problems)
        pairs = match_times(times, depth_times)
        said = clock_problem("rgb.txt", times, str(folder / "depth.txt"), depth_times, len(pairs))
        problems += [said] if said else []
        found = {i: files[j] for i, j in pairs.items() if images[i] not in chosen}
    for i, image in enumerate(images):
        if file := chosen.get(image):
            if (folder / file).is_file():
                found[i] = file
            else:
                problems.append(f"{folder / file}: no such file, but a list names it")
    return {i: partial(_read_depth, folder / file) for i, file in found.items()}


def _read_depth(path: Path) -> Float32[np.ndarray, "h w"]:
    depth = read_depth(path, UNITS_PER_METRE)
    if depth.shape != IMAGE_SIZE:
        raise ArchiveError(
            f"{path}: {depth.shape[1]} x {depth.shape[0]} pixels, but the images have "
            f"{IMAGE_SIZE[1]} x {IMAGE_SIZE[0]}"
        )
    return depth


def _poses(
    folder: Path, times: Float[np.ndarray, " n"], facts: SequenceFacts, problems: list[str]
) -> Float[np.ndarray, "n 4 4"] | None:
    """Camera to world at the times of the frames, nan where no pose is near; None without any."""
    path = folder / "groundtruth.txt"
    rows: list[list[float]] = []
    for time, words in _rows(path, 7, problems):
        try:
            rows.append([time, *(float(word) for word in words[:7])])
        except ValueError:
            problems.append(f"{path}: expected numbers at {time_name(time)}, got {words[:7]}")
    if not rows:
        return None
    known = np.array(sorted(rows))
    poses = pose_matrices(known[:, 1:4], known[:, 4:8])
    if facts.moves_markers:
        poses = bonn_poses(poses)
    nearest = nearest_times(times, known[:, 0])
    met = int((nearest >= 0).sum())
    if said := clock_problem("rgb.txt", times, str(path), known[:, 0], met):
        problems.append(said)
        return None
    found = poses[nearest]
    found[nearest < 0] = np.nan
    return found


def _rows(path: Path, words: int, problems: list[str]) -> list[tuple[float, list[str]]]:
    """Time and words of every line of a list that is no comment; faulty lines are told."""
    try:
        lines = read_lines(path)
    except FileNotFoundError:
        problems.append(f"{path}: no such file; unpack the archive again")
        return []
    except (OSError, ValueError) as error:
        problems.append(f"{path}: cannot be read ({error}); unpack the archive again")
        return []
    found: list[tuple[float, list[str]]] = []
    for number, line in lines:
        if line.startswith("#"):
            continue
        time, *rest = line.replace(",", " ").split()
        try:
            seconds = float(time)
        except ValueError:
            seconds = np.nan
        if np.isfinite(seconds) and len(rest) >= words:
            found.append((seconds, rest))
        else:
            expected = "a time and a file" if words == 1 else f"a time and {words} numbers"
            problems.append(f"{path}, line {number}: expected {expected}, got '{line}'")
    return found


def _image_size(folder: Path, images: list[str]) -> tuple[int, int]:
    """Size of the first image that can be opened."""
    fault: ImageError | None = None
    for image in images:
        try:
            return read_size(folder / image)
        except ImageError as error:
            fault = fault or error
    raise fault or ArchiveError(f"{folder}: no images")
