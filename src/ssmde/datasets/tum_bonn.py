"""TUM RGB-D and Bonn RGB-D Dynamic: image, depth and pose, brought together by their times.

A sequence is a folder with rgb.txt, depth.txt and groundtruth.txt. Every image is a frame, named by
its time. Depth belongs to the image nearest in time, at most 20 ms away, one to one; the pose is
the nearest one within 20 ms. Depth is registered to the color image, 5000 a metre.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ssmde.data.images import read_depth
from ssmde.data.sequence import PerFrame, Poses
from ssmde.datasets import record, sensors
from ssmde.datasets.record import Archive, ArchiveFrame, ArchiveScene
from ssmde.io import read_lines

UNITS_PER_METRE = 5000
IMAGE_SIZE = (480, 640)  # all cameras below are for this size
# fx fy cx cy, and the lens distortion k1 k2 p1 p2 k3 if the images are not free of it.
# cvg.cit.tum.de/data/datasets/rgbd-dataset/file_formats, color cameras; freiburg3 is undistorted.
TUM_CAMERAS = {
    "freiburg1": ((517.3, 516.5, 318.6, 255.3), "0.2624 -0.9531 -0.0054 0.0026 1.1633"),
    "freiburg2": ((520.9, 521.0, 325.1, 249.7), "0.2312 -0.7849 -0.0033 -0.0001 0.9172"),
    "freiburg3": ((535.4, 539.2, 320.1, 247.6), ""),
}
ROS_DEFAULT = (525.0, 525.0, 319.5, 239.5)
# ipb.uni-bonn.de/data/rgbd-dynamic-dataset
BONN_CAMERA = (542.822841, 542.576870, 315.593520, 237.756098)
BONN_LENS = "0.039903 -0.099343 -0.00073 -0.000144 0"
T_ROS = np.array([[-1.0, 0, 0, 0], [0, 0, 1.0, 0], [0, 1.0, 0, 0], [0, 0, 0, 1.0]])
T_MARKERS = np.array(
    [
        [1.0157, 0.1828, -0.2389, 0.0113],
        [0.0009, -0.8431, -0.6413, -0.0098],
        [-0.3009, 0.6147, -0.8085, 0.0111],
        [0.0, 0.0, 0.0, 1.0],
    ]
)
BONN_SCALE = float(np.cbrt(np.linalg.det(T_MARKERS[:3, :3])))  # 1.0593


class _Published(NamedTuple):
    """What is known about a sequence beside its files."""

    camera: tuple[float, float, float, float]
    source: str
    licence: str
    camera_poses: Callable[[Poses], Poses]  # of the poses of the file


def index_tum(root: Path, *, lists: Mapping[str, Path] | None = None) -> Archive:
    """Scenes of the TUM RGB-D benchmark (Sturm et al., IROS 2012), one for each sequence.

    The camera follows from `freiburg1`, 2 or 3 in the name of the folder; ROS' default camera is
    taken for others. The images of freiburg1 and freiburg2 keep their lens distortion.

    `root` is a sequence (a folder with rgb.txt), or a folder of sequences. A list names sequences,
    or frames as `SEQUENCE rgb/TIME.png depth/TIME.png`, one a line; without the depth it is found
    by its time. What no list names is for training, unless that has a list.
    """

    def published(name: str) -> _Published:
        camera, note = ROS_DEFAULT, "ROS' default camera: the name says no freiburg1, 2 or 3"
        for key in TUM_CAMERAS:
            if key in name:
                camera, lens = TUM_CAMERAS[key]
                note = _kept(lens) if lens else "no lens distortion"
        source = f"TUM RGB-D (Sturm et al., IROS 2012), {name}; {note}"
        return _Published(camera, source, "CC BY 4.0", lambda poses: poses)

    return _index(root, lists, published)


def index_bonn(root: Path, *, lists: Mapping[str, Path] | None = None) -> Archive:
    """Scenes of Bonn RGB-D Dynamic (Palazzolo et al., IROS 2019), one for each sequence.

    The camera is the published one; lens distortion stays. Poses are those of `bonn_poses`, in
    metres of the depth sensor. Arguments and errors are those of `index_tum`.
    """

    def published(name: str) -> _Published:
        source = f"Bonn RGB-D Dynamic (Palazzolo et al., IROS 2019), {name}; {_kept(BONN_LENS)}"
        return _Published(BONN_CAMERA, source, "research use, cite", bonn_poses)

    return _index(root, lists, published)


def bonn_poses(markers: Poses) -> Poses:
    """Camera to world, rigid, in metres of the depth sensor, of Bonn's groundtruth.txt.

    The file holds poses of markers on the sensor in the frame of the motion capture. The site gives
    the full motion T = T_ros T_file T_ros T_m. The rotation in T_m is 1.0593 times a rotation: what
    the sensor calls 1 m is 1.0593 m of the motion capture. The rigid motion that fits the sensor's
    depth has T's rotation without that scale, and T's translation divided by it
    (https://www.ipb.uni-bonn.de/data/rgbd-dynamic-dataset).
    """
    # The rotation nearest to the scaled one, by the singular value decomposition.
    left, _, right = np.linalg.svd(T_MARKERS[:3, :3])
    T_marker_camera = T_MARKERS.copy()
    T_marker_camera[:3, :3] = left @ right
    poses = T_ROS @ markers @ T_ROS @ T_marker_camera
    poses[:, :3, 3] /= BONN_SCALE
    return poses


def _kept(lens: str) -> str:
    return f"lens distortion k1 k2 p1 p2 k3 = {lens} is not removed"


def _index(
    root: Path, lists: Mapping[str, Path] | None, published: Callable[[str], _Published]
) -> Archive:
    wanted = record.read_scene_lists(lists)
    for level in ("", "*/", "*/*/"):  # the root itself, or up to two levels below it
        found = {file.parent for name in ("rgb.txt", "rgb/") for file in root.glob(level + name)}
        if found:
            break
    else:
        raise FileNotFoundError(
            f"{root}: no sequence with an rgb.txt in it; give the folder of a sequence, or the "
            "folder its archives were unpacked in"
        )
    scenes: record.Scenes = {}
    for folder in sorted(found):
        name = folder.resolve().name
        scenes[name] = ("train", partial(_scene, folder, published(name)))
    return record.make_archive(root, scenes, wanted, [])


def _scene(folder: Path, published: _Published, part: record.Part) -> ArchiveScene:
    problems: list[str] = []
    times, images = sensors.in_time_order(_listed(folder, "rgb.txt", problems), problems)
    named: dict[Path, Path | None] = {}  # frames that a list names, and their depth where it does
    if part.rows:
        named = {folder / row[0]: folder / row[1] if row[1:] else None for row in part.rows}
        problems += [
            f"{image}: {part.listed_in} names it, but it is not there or not in rgb.txt"
            for image in named
            if image not in images
        ]
        kept = [i for i, image in enumerate(images) if image in named]
        times, images = times[kept], [images[i] for i in kept]
    depth = _depths(folder, times, images, named, problems)
    if not images:
        raise record.nothing_left(folder, problems)
    fx, fy, cx, cy = published.camera
    return ArchiveScene(
        name=part.name, split=part.split, source=published.source, licence=published.licence,
        frames=tuple(
            ArchiveFrame(name=sensors.time_name(time), image=image, depth=depth.get(image))
            for time, image in zip(times.tolist(), images, strict=True)
        ),
        image_size=record.first_size(images, IMAGE_SIZE),
        intrinsics=np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]),
        poses=_poses(folder, times, published, problems), timestamps=times,
        fps=None if part.rows else sensors.frame_rate(times),
        depth_units_per_metre=UNITS_PER_METRE, problems=tuple(problems),
    )  # fmt: skip


def _listed(folder: Path, name: str, problems: list[str]) -> Iterator[tuple[float, Path]]:
    """Times and files of rgb.txt or depth.txt; what is not there is told."""
    for time, (file, *_) in _rows(folder / name, 1, problems):
        if (folder / file).is_file():
            yield time, folder / file
        else:
            problems.append(f"{folder / file}: no such file, but {name} names it")


def _depths(
    folder: Path, times: PerFrame, images: list[Path],
    named: Mapping[Path, Path | None], problems: list[str],
) -> dict[Path, record.ReadDepth]:  # fmt: skip
    """What reads the depth of each image: the file a list names, else the nearest in time."""
    found = {image: depth for image in images if (depth := named.get(image))}
    lost = [depth for depth in found.values() if not depth.is_file()]
    problems += [f"{depth}: no such file, but a list names it" for depth in lost]
    if len(found) < len(images):
        depth_times, files = sensors.in_time_order(_listed(folder, "depth.txt", problems), problems)
        pairs = sensors.match_times(times, depth_times)
        where = str(folder / "depth.txt")
        problems += sensors.clock_problem("rgb.txt", times, where, depth_times, len(pairs))
        found = {images[i]: files[j] for i, j in pairs.items()} | found
    return {
        image: partial(read_depth, depth, UNITS_PER_METRE)
        for image, depth in found.items()
        if depth not in lost
    }


def _poses(
    folder: Path, times: PerFrame, published: _Published, problems: list[str]
) -> Poses | None:
    """Camera to world at the times of the frames, nan where no pose is near; None without any."""
    path = folder / "groundtruth.txt"
    rows: list[list[float]] = []
    for time, words in _rows(path, 7, problems):
        try:
            rows.append([time, *map(float, words[:7])])
        except ValueError:
            problems.append(
                f"{path}: expected numbers at {sensors.time_name(time)}, got {words[:7]}"
            )
    if not rows:
        return None
    known = np.array(sorted(rows))
    poses = published.camera_poses(sensors.pose_matrices(known[:, 1:4], known[:, 4:8]))
    nearest = sensors.nearest_times(times, known[:, 0])
    met = int((nearest >= 0).sum())
    if strange := sensors.clock_problem("rgb.txt", times, str(path), known[:, 0], met):
        problems += strange
        return None
    return np.where((nearest >= 0)[:, None, None], poses[nearest], np.nan)


def _rows(path: Path, words: int, problems: list[str]) -> Iterator[tuple[float, list[str]]]:
    """Time and words of every line of a list that is no comment; faulty lines are told."""

    def lines() -> list[tuple[int, str]]:
        with record.readable(path, broken="unpack the archive again"):
            return read_lines(path)

    for number, line in record.attempt(lines, problems) or ():
        if line.startswith("#"):
            continue
        time, *rest = line.replace(",", " ").split()
        try:
            seconds = float(time)
        except ValueError:
            seconds = np.nan
        if np.isfinite(seconds) and len(rest) >= words:
            yield seconds, rest
        else:
            expected = "a time and a file" if words == 1 else f"a time and {words} numbers"
            problems.append(f"{path}, line {number}: expected {expected}, got '{line}'")
