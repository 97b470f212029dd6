"""`ssmde track`: how the camera moved in each scene, found in its own frames.

Structure from motion over the whole video, by COLMAP (Schönberger and Frahm, CVPR 2016) with its
global mapper GLOMAP (Pan et al., ECCV 2024, https://arxiv.org/abs/2407.20219). No labels are used.
Why a training on hand-held video needs it: `docs/decisions/0007-motion-from-the-whole-video.md`.

This is the only module that knows pycolmap.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ssmde.data.pack import refuse_packed
from ssmde.data.scene_files import (
    TRACKED_POINTS,
    read_json,
    write_tracked_points,
    write_tracked_poses,
)
from ssmde.data.scene_folder import read_scenes
from ssmde.data.sequence import FrameSequence

LONGEST = 500  # frames that are solved together; the cost of a longer video grows in a line
FEATURES = 2000  # keypoints an image
OVERLAP = 12  # neighbours that an image is matched to, and then those at doubling distance
LINKED = 0.1  # of the usual number of points that the two sides of a place have in common
LEAP, LOOSE = 4.0, 0.35  # times the usual step; of the usual number of points of two neighbours
NO_PART = -1  # of a frame whose pose was not found
STAGES = ("features", "matches", "motion")
INSTALL = "pip install 'ssmde[motion]'"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tracked:
    """What was found in one scene."""

    scene: str
    """Its name."""
    frames: int
    """Number of its frames."""
    found: int
    """How many of them have a pose now."""
    parts: int
    """Parts of the video that could not be connected; each has a world and a unit of its own."""
    error: float
    """Median distance between seen and predicted image points, in pixels; nan if none was found."""


def track(
    data: Path,
    *,
    overwrite: bool = False,
    threads: int = 0,
    seed: int = 0,
    show_progress: bool = True,
) -> list[Tracked]:
    """Find the camera motion of every training scene and write its tracked_poses.txt.

    Beside it goes tracked_points.npz, the depth of the points that were followed, by which
    `pseudo_depth.align tracked` finds scale and shift of labels.

    The unit of a part's poses is the median depth of its points over its frames, so a network that
    starts at depth 1 starts right. Scenes that have the file are left alone: a stopped run goes on.

    Args:
        data: Folder of scene folders, or one scene folder.
        overwrite: Track scenes again that have been.
        threads: CPU threads; 0 takes all. Only a single one gives the same numbers each time.
        seed: Start of the random numbers.
        show_progress: Draw a progress bar.

    Returns:
        One entry for each scene that was tracked now.

    Raises:
        FileNotFoundError: If there is no such folder.
        ImportError: If pycolmap is not installed.
        ValueError: If a scene has no intrinsics.
    """
    refuse_packed(data, "track")
    names = {scene.name for scene in read_scenes(data, "train")}
    scenes = [scene for scene in read_scenes(data, "all") if scene.name in names]
    todo = [scene for scene in scenes if overwrite or not _is_tracked(scene)]
    for scene in todo:
        if scene.intrinsics is None:
            raise ValueError(
                f"scene '{scene.name}': tracking needs its camera; write the 3 x 3 matrix in "
                f"pixels of its images to {scene.images[0].parent / 'cam.txt'}"
            )
    colmap = _import_colmap()
    colmap.set_random_seed(seed)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    tracked: list[Tracked] = []
    with Progress(*columns, disable=not show_progress) as progress:
        for scene in todo:
            pieces = len(range(0, len(scene), LONGEST))
            task = progress.add_task(scene.name, total=pieces * len(STAGES))

            def advance(stage: str, name: str = scene.name, task: TaskID = task) -> None:
                progress.update(task, description=f"{name}: {stage}", advance=1)

            tracked.append(_track_scene(colmap, scene, threads, seed, advance))
    return tracked


def _is_tracked(scene: FrameSequence) -> bool:
    points = scene.images[0].parent / TRACKED_POINTS
    return scene.tracked_poses is not None and points.is_file()


def _track_scene(
    colmap: Any, scene: FrameSequence, threads: int, seed: int, advance: Callable[[str], None]
) -> Tracked:
    """Solve a scene piece by piece and write what was found."""
    poses = np.full((len(scene), 4, 4), np.nan)
    parts = np.full(len(scene), float(NO_PART))
    points: dict[int, tuple[Any, Any]] = {}
    errors: list[float] = []
    for start in range(0, len(scene), LONGEST):
        piece = scene.part(start, start + LONGEST)
        for stage, result in _solve(colmap, piece, threads, seed):
            advance(stage)
            for where, T_world_cam, seen, error in result:
                poses[start + where], parts[start + where] = T_world_cam, len(errors)
                points |= dict(zip((start + where).tolist(), seen, strict=True))
                errors.append(error)
    folder = scene.images[0].parent
    note = f"ssmde track, COLMAP {colmap.__version__}: part, then T_world_camera"
    write_tracked_points(folder, points)
    write_tracked_poses(folder, poses, parts, note)
    return Tracked(
        scene=scene.name,
        frames=len(scene),
        found=int((parts != NO_PART).sum()),
        parts=len(errors),
        error=float(np.median(errors)) if errors else float("nan"),
    )


Points = list[tuple[Any, Any]]
"""For each frame of a part: image points (n, 2), in pixels, and their depth (n,)."""
Part = tuple[Any, Any, Points, float]
"""Indices of the frames, their camera-to-world matrices, points, median error in pixels."""


def _solve(
    colmap: Any, scene: FrameSequence, threads: int, seed: int
) -> Iterator[tuple[str, list[Part]]]:
    """Run the stages one after the other; the last one gives the parts."""
    workers = threads or -1
    folder = scene.images[0].parent
    names = [file.name for file in scene.images]
    with TemporaryDirectory(prefix="ssmde-track-") as scratch:
        database = Path(scratch) / "features.db"
        reader = colmap.ImageReaderOptions()
        reader.camera_model, reader.camera_params = _camera(scene)
        extraction = colmap.FeatureExtractionOptions()
        extraction.num_threads, extraction.use_gpu = workers, False
        extraction.sift.max_num_features = FEATURES
        colmap.extract_features(
            database, folder, image_names=names, camera_mode=colmap.CameraMode.SINGLE,
            reader_options=reader, extraction_options=extraction,
        )  # fmt: skip
        yield STAGES[0], []
        matching = colmap.FeatureMatchingOptions()
        matching.num_threads, matching.use_gpu = workers, False
        pairing = colmap.SequentialPairingOptions()
        pairing.overlap, pairing.quadratic_overlap = OVERLAP, True
        colmap.match_sequential(database, matching_options=matching, pairing_options=pairing)
        yield STAGES[1], []
        options = colmap.GlobalPipelineOptions()
        options.num_threads = options.mapper.num_threads = workers
        options.random_seed = options.mapper.random_seed = seed
        options.mapper.bundle_adjustment.refine_focal_length = False  # cam.txt is what training has
        options.mapper.bundle_adjustment.refine_extra_params = False
        models = colmap.global_mapping(database, folder, scratch, options=options)
        yield STAGES[2], [part for model in models.values() for part in _parts(model, names)]


def _camera(scene: FrameSequence) -> tuple[str, str]:
    """COLMAP's name and numbers for the camera; its pixel centres lie at a half."""
    K = scene.intrinsics
    assert K is not None
    numbers = [K[0, 0], K[1, 1], K[0, 2] + 0.5, K[1, 2] + 0.5]
    bent = read_json(scene.images[0].parent / "scene.json").get("distortion_k1k2p1p2k3")
    numbers += list(bent)[:4] if bent else []
    return ("OPENCV" if bent else "PINHOLE"), ",".join(f"{number:.9g}" for number in numbers)


class _Seen(NamedTuple):
    """A frame of a reconstruction."""

    T_cam_world: Any
    """Motion from the world to the camera, 4 x 4."""
    ids: Any
    """Numbers of the points it sees (n,)."""
    pixels: Any
    """Where it sees them (n, 2)."""
    depth: Any
    """How far they are (n,), in the unit of the reconstruction."""


def _parts(model: Any, names: list[str]) -> list[Part]:
    """The parts of one reconstruction, each in units of the median depth of its points."""
    points = {key: point.xyz for key, point in model.points3D.items()}
    places = {name: i for i, name in enumerate(names)}
    frames: dict[int, _Seen] = {}
    for image in model.images.values():
        if not image.has_pose:
            continue
        T = np.vstack([image.cam_from_world().matrix(), (0, 0, 0, 1)])
        seen = [p for p in image.points2D if p.has_point3D()]
        ids = np.array([p.point3D_id for p in seen], dtype=np.int64)
        xyz = np.array([points[i] for i in ids.tolist()]).reshape(-1, 3)
        pixels = np.array([p.xy for p in seen]).reshape(-1, 2) - 0.5
        frames[places[image.name]] = _Seen(T, ids, pixels, xyz @ T[2, :3] + T[2, 3])
    error = float(np.median([point.error for point in model.points3D.values()]))
    where = sorted(frames)
    centres = np.linalg.inv(np.array([frames[i].T_cam_world for i in where]))[:, :3, 3]
    steps = np.linalg.norm(np.diff(centres, axis=0), axis=1).tolist()
    cuts = find_cuts([set(frames[i].ids.tolist()) for i in where], steps)
    pieces = [where[a:b] for a, b in pairwise([0, *cuts, len(where)])]
    return [_part(piece, frames, error) for piece in pieces if len(piece) > 1]


def find_cuts(seen: Sequence[set[int]], steps: Sequence[float]) -> list[int]:
    """Places k where little ties the frames from k on to those before: a cut of the film.

    Across a cut nothing tells how large the one side is beside the other, though some chance match
    may have joined them: the sides are parts of their own. It is where the two sides have hardly a
    point in common, or where the camera leaps and few points go along.

    Args:
        seen: Numbers of the points that each frame sees, in the order of time.
        steps: Way of the camera between neighbouring frames, one fewer.
    """
    places = range(1, len(seen))
    near = [len(seen[k - 1] & seen[k]) for k in places]
    wide = [len(_all(seen[max(0, k - OVERLAP) : k]) & _all(seen[k : k + OVERLAP])) for k in places]
    if not near:
        return []
    apart = np.array(wide) < LINKED * np.median(wide)
    leaps = np.array(steps) > LEAP * np.median(steps)
    loose = np.array(near) < LOOSE * np.median(near)
    return [k for k in places if apart[k - 1] or (leaps[k - 1] and loose[k - 1])]


def _all(sets: Sequence[set[int]]) -> set[int]:
    return set[int]().union(*sets)


def _part(piece: list[int], frames: dict[int, _Seen], error: float) -> Part:
    """Poses and points of some frames, in units of the median depth of their points."""
    own = [frames[i] for i in piece]
    T_world_cam = np.linalg.inv(np.array([frame.T_cam_world for frame in own]))
    unit = np.median(np.concatenate([frame.depth for frame in own]))
    T_world_cam[:, :3, 3] /= unit
    return np.array(piece), T_world_cam, [(f.pixels, f.depth / unit) for f in own], error


def _import_colmap() -> Any:
    try:
        colmap = import_module("pycolmap")
    except ImportError as error:
        raise ImportError(
            f"`ssmde track` needs pycolmap, which is not installed: {INSTALL}"
        ) from error
    if not hasattr(colmap, "global_mapping"):
        raise ImportError(
            f"`ssmde track` needs pycolmap 4 or later, found {colmap.__version__}: {INSTALL}"
        )
    # COLMAP tells each step to stderr; our bar says what matters
    colmap.logging.minloglevel = colmap.logging.Level.FATAL.value
    colmap.logging.logtostderr = sys.flags.verbose > 0
    return colmap
