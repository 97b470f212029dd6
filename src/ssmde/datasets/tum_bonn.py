"""TUM RGB-D and Bonn RGB-D Dynamic: image, depth and pose, brought together by their times.

A sequence is a folder with rgb.txt, depth.txt and groundtruth.txt. Every image is a frame, named by
its time. Depth belongs to the image nearest in time, at most 20 ms away, one to one; the pose is
the nearest one within 20 ms. Depth is registered to the color image, 5000 a metre.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ssmde.data.images import read_depth
from ssmde.data.sequence import PerFrame, Poses
from ssmde.datasets import record, sensors
from ssmde.datasets.record import Archive, ArchiveError, ArchiveFrame, ArchiveScene
from ssmde.io import read_lines

UNITS_PER_METRE = 5000
IMAGE_SIZE = (480, 640)  # all cameras below are for this size
KEPT = "lens distortion k1 k2 p1 p2 k3 = {} is not removed"
# fx fy cx cy, and what is known of the lens, by what the name of the folder holds:
# cvg.cit.tum.de/data/datasets/rgbd-dataset/file_formats, color cameras; freiburg3 is undistorted.
TUM_CAMERAS = {
    "freiburg1": ((517.3, 516.5, 318.6, 255.3),
                  KEPT.format("0.2624 -0.9531 -0.0054 0.0026 1.1633")),
    "freiburg2": ((520.9, 521.0, 325.1, 249.7),
                  KEPT.format("0.2312 -0.7849 -0.0033 -0.0001 0.9172")),
    "freiburg3": ((535.4, 539.2, 320.1, 247.6), "no lens distortion"),
    "": ((525.0, 525.0, 319.5, 239.5),
         "ROS' default camera: the name says no freiburg1, 2 or 3"),
}  # fmt: skip
# ipb.uni-bonn.de/data/rgbd-dynamic-dataset
BONN_CAMERA = (542.822841, 542.576870, 315.593520, 237.756098)
BONN_LENS = KEPT.format("0.039903 -0.099343 -0.00073 -0.000144 0")
T_ROS = np.array([[-1.0, 0, 0, 0], [0, 0, 1.0, 0], [0, 1.0, 0, 0], [0, 0, 0, 1.0]])
T_MARKERS = np.array([
    [1.0157, 0.1828, -0.2389, 0.0113],
    [0.0009, -0.8431, -0.6413, -0.0098],
    [-0.3009, 0.6147, -0.8085, 0.0111],
    [0.0, 0.0, 0.0, 1.0],
])  # fmt: skip
BONN_SCALE = float(np.cbrt(np.linalg.det(T_MARKERS[:3, :3])))  # 1.0593


class _Published(NamedTuple):
    """What is known about sequences beside their files."""

    paper: str
    licence: str
    cameras: Mapping[str, tuple[tuple[float, float, float, float], str]]
    camera_poses: Callable[[Poses], Poses]  # of the poses of the file


def index_tum(root: Path, *, lists: Mapping[str, Path] | None = None) -> Archive:
    """Scenes of the TUM RGB-D benchmark (Sturm et al., IROS 2012), one for each sequence.

    The camera follows from `freiburg1`, 2 or 3 in the name of the folder; ROS' default camera is
    taken for others. The images of freiburg1 and freiburg2 keep their lens distortion.

    `root` is a sequence (a folder with rgb.txt), or a folder of sequences. A list names sequences,
    one a line, or frames: `SEQUENCE rgb/TIME.png`. The depth file that lists of pairs name beside
    it is the one nearest in time, found again. What no list names is for training, unless that has
    a list.
    """
    paper = "TUM RGB-D (Sturm et al., IROS 2012)"
    return _index(root, lists, _Published(paper, "CC BY 4.0", TUM_CAMERAS, lambda poses: poses))


def index_bonn(root: Path, *, lists: Mapping[str, Path] | None = None) -> Archive:
    """Scenes of Bonn RGB-D Dynamic (Palazzolo et al., IROS 2019), one for each sequence.

    The camera is the published one; lens distortion stays. Poses are those of `bonn_poses`, in
    metres of the depth sensor. Arguments and errors are those of `index_tum`.
    """
    paper, cameras = (
        "Bonn RGB-D Dynamic (Palazzolo et al., IROS 2019)",
        {"": (BONN_CAMERA, BONN_LENS)},
    )
    return _index(root, lists, _Published(paper, "research use, cite", cameras, bonn_poses))


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


def _index(root: Path, lists: Mapping[str, Path] | None, published: _Published) -> Archive:
    wanted = record.read_scene_lists(lists, _sequence_or_frame)
    for level in ("", "*/", "*/*/"):  # the root itself, or up to two levels below it
        found = {file.parent for name in ("rgb.txt", "rgb/") for file in root.glob(level + name)}
        if found:
            break
    else:
        raise record.no_archive(root, "sequence with an rgb.txt")
    scenes: record.Scenes = {
        folder.resolve().name: ("train", partial(_scene, folder, published))
        for folder in sorted(found)
    }
    return record.make_archive(root, scenes, wanted, [])


def _sequence_or_frame(line: str) -> tuple[str, int | None]:
    """Sequence, and time in microseconds, of `SEQUENCE rgb/TIME.png depth/TIME.png`."""
    name, *words = line.split()
    if not words:
        return record.only_scene(line)
    try:
        return name.strip("/"), _microseconds(float(Path(words[0]).stem))
    except (ValueError, OverflowError) as error:
        form = "SEQUENCE or SEQUENCE rgb/TIME.png"
        raise ValueError(f"expected {form}, got '{line}'") from error


def _microseconds(time: float) -> int:
    """The number by which a list and rgb.txt name the same frame."""
    return round(time * 1e6)


def _scene(folder: Path, published: _Published, part: record.Part) -> ArchiveScene:
    problems: list[str] = []
    times, images = sensors.in_time_order(_listed(folder, "rgb.txt", problems), problems)
    depth_times, depths = sensors.in_time_order(_listed(folder, "depth.txt", problems), problems)
    pairs = sensors.match_times(times, depth_times)
    depth = {i: partial(read_depth, depths[j], UNITS_PER_METRE) for i, j in pairs.items()}
    where = str(folder / "depth.txt")
    problems += sensors.clock_problem("rgb.txt", times, where, depth_times, len(pairs))
    numbers = [_microseconds(time) for time in times.tolist()]
    problems += [
        f"{folder}: no image of {n / 1e6:.6f} s, which {part.listed_in} names"
        for n in part.frames if n not in numbers
    ]  # fmt: skip
    chosen = [i for i, n in enumerate(numbers) if not part.frames or n in part.frames]
    if not chosen:
        raise ArchiveError("\n".join([*problems, f"{folder}: no frame can be used"]))
    name = folder.resolve().name
    (fx, fy, cx, cy), lens = next(found for key, found in published.cameras.items() if key in name)
    return ArchiveScene(
        name=part.name, split=part.split, source=f"{published.paper}, {name}; {lens}",
        licence=published.licence,
        frames=tuple(
            ArchiveFrame(name=sensors.time_name(times[i]), image=images[i], depth=depth.get(i))
            for i in chosen
        ),
        image_size=record.first_size(images, IMAGE_SIZE),
        intrinsics=np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]),
        poses=_poses(folder / "groundtruth.txt", times[chosen], published, problems),
        depth_units_per_metre=UNITS_PER_METRE, problems=tuple(problems),
    )  # fmt: skip


def _listed(folder: Path, name: str, problems: list[str]) -> Iterator[tuple[float, Path]]:
    """Times and files of rgb.txt or depth.txt; what is not there is told."""
    for time, file in _rows(folder / name, (float, str), "a time and a file", problems):
        if (folder / file).is_file():
            yield time, folder / file
        else:
            problems.append(f"{folder / file}: no such file, but {name} names it")


def _poses(path: Path, times: PerFrame, published: _Published, problems: list[str]) -> Poses | None:
    """Camera to world at the times of the frames, nan where no pose is near; None without any."""
    rows = sorted(_rows(path, (float,) * 8, "a time and 7 numbers", problems))
    if not rows:
        return None
    known = np.array(rows)
    poses = published.camera_poses(sensors.pose_matrices(known[:, 1:4], known[:, 4:]))
    nearest = sensors.nearest_times(times, known[:, 0])
    met = int((nearest >= 0).sum())
    if strange := sensors.clock_problem("rgb.txt", times, str(path), known[:, 0], met):
        problems += strange
        return None
    return np.where((nearest >= 0)[:, None, None], poses[nearest], np.nan)


def _rows(
    path: Path, kinds: Sequence[type], expected: str, problems: list[str]
) -> Iterator[list[Any]]:
    """What stands in the lines of a list, a time first; comments do not count, faults are told."""

    def lines() -> list[tuple[int, str]]:
        with record.readable(path, broken="unpack the archive again"):
            return read_lines(path)

    for number, line in record.attempt(lines, problems) or ():
        if line.startswith("#"):
            continue
        words, row = line.replace(",", " ").split(), list[Any]()
        with suppress(ValueError):
            row = [kind(word) for kind, word in zip(kinds, words, strict=False)]
        if len(row) == len(kinds) and np.isfinite(row[0]):
            yield row
        else:
            problems.append(f"{path}, line {number}: expected {expected}, got '{line}'")
