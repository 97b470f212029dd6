"""`ssmde track`: how the camera moved in each scene, found in its own frames.

Structure from motion over the whole video, by COLMAP. No labels are used. An unknown camera is
found as well. Why a training on hand-held video needs it:
`docs/decisions/0007-motion-from-the-whole-video.md`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from rich.progress import TaskID

from ssmde.console import bars
from ssmde.data.scene_files import (
    TRACKED_POINTS,
    TRACKED_POSES,
    write_tracked_points,
    write_tracked_poses,
)
from ssmde.data.scene_folder import common_orientation, read_scenes
from ssmde.data.sequence import FrameSequence
from ssmde.data.shards import refuse_packed
from ssmde.outputs import check_own, recorded, sweep
from ssmde.tracking.camera import (
    START,
    Estimate,
    FoundCamera,
    advise,
    estimate_focal,
    join_estimates,
    keep_camera,
)
from ssmde.tracking.colmap import (
    Colmap,
    find_features,
    fix_focal,
    load_colmap,
    map_frames,
    match_features,
)
from ssmde.tracking.parts import Part, find_parts

LONGEST = 500  # frames that are solved together; the cost of a longer video grows in a line
MOST_THREADS, LARGEST_SEED = 1024, 1 << 31  # the library takes a number of 32 bits
ASKED = 4  # stretches of that length that are asked for an unknown camera
NO_PART = -1  # of a frame whose pose was not found
STAGES = ("features", "matches", "motion")


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
    camera: FoundCamera | None = None
    """The camera, if it was unknown and is found; None if it was known."""


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

    A scene without cam.txt gets one, if its video tells the focal length.

    Args:
        data: Folder of scene folders, or one scene folder.
        overwrite: Track scenes again that have been.
        threads: CPU threads; 0 takes all. Only a single one gives the same numbers each time.
        seed: Start of the random numbers.
        show_progress: Draw a progress bar.

    Returns:
        One entry for each scene that was tracked now.

    Raises:
        FileExistsError: If a scene has poses or points that this package did not write.
        FileNotFoundError: If there is no such folder.
        ImportError: If pycolmap is not installed.
        ValueError: If the video of a scene without cam.txt does not tell its camera. Nothing is
            written for that scene; the others are tracked before.
    """
    if not 0 <= threads <= MOST_THREADS or not 0 <= seed < LARGEST_SEED:
        raise ValueError(
            f"threads must be from 0 to {MOST_THREADS} and seed from 0 to {LARGEST_SEED - 1}, got "
            f"{threads} and {seed}"
        )
    refuse_packed(data, "track")
    names = {scene.name for scene in read_scenes(data, "train")}
    scenes = [scene for scene in read_scenes(data, "all") if scene.name in names]
    todo = [scene for scene in scenes if overwrite or not _is_tracked(scene)]
    if not todo:
        return []  # also where COLMAP is not installed
    for scene in todo:
        folder, names = scene.images[0].parent, {TRACKED_POSES, TRACKED_POINTS}
        if common_orientation(scene.images) != 1:
            raise ValueError(
                f"{folder}: an orientation mark (EXIF) turns its images, unseen by COLMAP; "
                "`ssmde prepare` writes them upright"
            )
        check_own([folder / name for name in names], "leave the scene out")
        sweep(folder, {*names, "cam.txt", "scene.json"}.__contains__)
    colmap = load_colmap(threads, seed)
    tracked: list[Tracked] = []
    doubts: list[str] = []
    with bars(show=show_progress) as progress:
        for scene in todo:
            task = progress.add_task(scene.name, total=_steps(scene))

            def advance(stage: str, name: str = scene.name, task: TaskID = task) -> None:
                progress.update(task, description=f"{name}: {stage}", advance=1)

            found = _track_scene(colmap, scene, advance)
            if isinstance(found, Tracked):
                tracked.append(found)
            else:
                doubts.append(advise(scene, found))
    if doubts:
        raise ValueError("\n".join(doubts))
    return tracked


def _is_tracked(scene: FrameSequence) -> bool:
    points = scene.images[0].parent / TRACKED_POINTS
    known = scene.intrinsics is not None
    return known and scene.tracked_poses is not None and points.is_file()


def _steps(scene: FrameSequence) -> int:
    """How often the progress bar of a scene advances."""
    pieces = len(range(0, len(scene), LONGEST))
    return 3 * pieces + (min(pieces, ASKED) if scene.intrinsics is None else 0)


def _track_scene(
    colmap: Colmap, scene: FrameSequence, advance: Callable[[str], None]
) -> Tracked | str:
    """Solve a scene and write what was found; or say why its camera was not."""
    with TemporaryDirectory(prefix="ssmde-track-") as scratch:
        pieces = [
            _Piece(start, scene.part(start, start + LONGEST), Path(scratch) / f"{start}.db")
            for start in range(0, len(scene), LONGEST)
        ]
        camera: FoundCamera | None = None
        if scene.intrinsics is None:
            found = join_estimates([_estimate(colmap, p, advance) for p in pieces[:ASKED]])
            if isinstance(found, str):
                return found
            camera = found
            keep_camera(scene, camera, f"ssmde track, COLMAP {colmap.module.__version__}")
        return _write_motion(colmap, scene, pieces, camera, advance)


class _Piece(NamedTuple):
    """Frames that are solved together."""

    start: int
    """Place of the first of them in the scene."""
    scene: FrameSequence
    """The frames."""
    database: Path
    """For their features and matches."""


def _estimate(colmap: Colmap, piece: _Piece, advance: Callable[[str], None]) -> Estimate:
    """What a piece says about its camera."""
    guess = START * max(piece.scene.image_size)
    _fill(colmap, piece, guess, advance)
    estimate = estimate_focal(colmap, piece.database, piece.scene)
    advance("camera")
    return estimate


def _solve(
    colmap: Colmap, piece: _Piece, camera: FoundCamera | None, advance: Callable[[str], None]
) -> list[Part]:
    """The parts of a piece, with its own camera or the one that was found for its scene."""
    if not piece.database.is_file():
        _fill(colmap, piece, camera.focal if camera else None, advance)
    if camera:
        fix_focal(colmap, piece.database, camera.focal)
    names = [file.name for file in piece.scene.images]
    parts = [p for model in map_frames(colmap, piece.database) for p in find_parts(model, names)]
    advance("motion")
    return parts


def _fill(
    colmap: Colmap, piece: _Piece, focal: float | None, advance: Callable[[str], None]
) -> None:
    """Features and matches of a piece; without a focal length with the camera of the scene."""
    find_features(colmap, piece.database, piece.scene, focal)
    advance("features")
    match_features(colmap, piece.database)
    advance("matches")


def _write_motion(
    colmap: Colmap,
    scene: FrameSequence,
    pieces: Sequence[_Piece],
    camera: FoundCamera | None,
    advance: Callable[[str], None],
) -> Tracked:
    """Solve a scene piece by piece, with its own camera or the one that was found for it."""
    poses = np.full((len(scene), 4, 4), np.nan)
    parts = np.full(len(scene), float(NO_PART))
    points: dict[int, tuple[Any, Any]] = {}
    errors: list[float] = []
    for piece in pieces:
        for where, T_world_cam, seen, error in _solve(colmap, piece, camera, advance):
            frames = piece.start + where
            poses[frames], parts[frames] = T_world_cam, len(errors)
            points |= dict(zip(frames.tolist(), seen, strict=True))
            errors.append(error)
    folder = scene.images[0].parent
    note = f"ssmde track, COLMAP {colmap.module.__version__}: part, then T_world_camera"
    with recorded():
        write_tracked_points(folder, points)
        write_tracked_poses(folder, poses, parts, note)
    return Tracked(
        scene=scene.name,
        frames=len(scene),
        found=int((parts != NO_PART).sum()),
        parts=len(errors),
        error=float(np.median(errors)) if errors else float("nan"),
        camera=camera,
    )
