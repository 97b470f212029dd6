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
from jaxtyping import Float64
from rich.progress import TaskID

from ssmde.console import bars, counted
from ssmde.data.scene_files import (
    TRACKED_INFO,
    TRACKED_POINTS,
    TRACKED_POSES,
    write_tracked_points,
    write_tracked_poses,
)
from ssmde.data.scene_folder import common_orientation, read_scenes
from ssmde.data.sequence import FrameSequence
from ssmde.data.shards import refuse_packed
from ssmde.io import write_json
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
    read_pairs,
)
from ssmde.tracking.parts import Part, find_parts
from ssmde.tracking.reliability import explained_shares, find_standing, trusted_frames

LONGEST = 500  # frames that are solved together; the cost of a longer video grows in a line
MOST_THREADS, LARGEST_SEED = 1024, 1 << 31  # the library takes a number of 32 bits
ASKED = 4  # stretches of that length that are asked for an unknown camera
NO_PART = -1  # of a frame whose pose was not found
STAGES = ("features", "matches", "motion")


@dataclass(frozen=True, kw_only=True, slots=True)
class Tracked:
    """What was found in one scene."""

    scene: str
    frames: int
    found: int  # frames that have a pose now
    parts: int  # of the video that could not be connected; each has a world and unit of its own
    error: float
    """Median distance between seen and predicted image points, in pixels; nan if none was found."""
    explained: float = float("nan")
    """Share of the matches of distant frames that the motion explains, the median of the frames;
    nan if none tells. Good motion has 0.9 and more."""
    standing: int = 0  # frames left out because the camera stands
    doubtful: int = 0  # frames left out because their motion explains too few matches
    camera: FoundCamera | None = None  # if it was unknown and is found

    def figures(self) -> dict[str, Any]:
        """What tracked.json holds."""
        explained = round(self.explained, 3) if self.explained >= 0 else None
        return {"frames": self.frames, "found": self.found, "standing": self.standing,
                "doubtful": self.doubtful, "explained": explained}  # fmt: skip

    def __str__(self) -> str:
        camera = f"{self.scene}: camera found: {self.camera.describe()}\n" if self.camera else ""
        standing = f", the camera stands in {self.standing}" if self.standing else ""
        explained = f", {self.explained:.0%} of matches explained" if self.explained >= 0 else ""
        doubt = (
            f"\n{self.scene}: {counted(self.doubtful, 'frame')} left out: the motion found there "
            "cannot be trusted; a pose network may learn it, without --data.poses tracked"
        )
        motion = (
            f"{self.scene}: motion of {self.found} of {counted(self.frames, 'frame')} in "
            f"{counted(self.parts, 'part')}, {self.error:.2f} pixels off{explained}{standing}"
        )
        return camera + motion + (doubt if self.doubtful else "")


class TrackedScenes(list[Tracked]):
    """What was found in each scene that was tracked now; as text, the report."""

    def __str__(self) -> str:
        if not self:
            return "nothing to track"
        found = any(scene.found for scene in self)
        following = ["next: ssmde train PRESET --data.poses tracked"] if found else []
        return "\n".join([*map(str, self), *following])


def track(
    data: Path,
    *,
    overwrite: bool = False,
    threads: int = 0,
    seed: int = 0,
    show_progress: bool = True,
) -> TrackedScenes:
    """Find how the camera moved in each training scene, from its own frames.

    Each scene folder gets tracked_poses.txt, which data.poses tracked reads, tracked_points.npz, to
    whose depth labels are fitted, and tracked.json, how far the motion can be trusted. Frames in
    which it cannot, or in which the camera stands, are left out. Hand-held video, which is mostly
    rotation, needs it. Scenes that have the file are left alone. A scene without cam.txt gets one,
    if its video tells the focal length.

    The unit of a part's poses is the median depth of its points over its frames, so a network that
    starts at depth 1 starts right.

    Example:
      ssmde track data

    Args:
        data: Folder of scene folders, or one scene folder.
        overwrite: Track scenes again that have been.
        threads: CPU threads; 0 takes all, only 1 gives the same numbers each time.
        seed: Start of the random numbers.
        show_progress: Draw a progress bar.

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
        return TrackedScenes()  # also where COLMAP is not installed
    for scene in todo:
        folder, names = scene.images[0].parent, {TRACKED_POSES, TRACKED_POINTS, TRACKED_INFO}
        if common_orientation(scene.images) != 1:
            raise ValueError(
                f"{folder}: an orientation mark (EXIF) turns its images, unseen by COLMAP; "
                "`ssmde prepare` writes them upright"
            )
        check_own([folder / name for name in names], "leave the scene out")
        sweep(folder, {*names, "cam.txt", "scene.json"}.__contains__)
    colmap = load_colmap(threads, seed)
    tracked = TrackedScenes()
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

    start: int  # place of the first of them in the scene
    scene: FrameSequence
    database: Path  # for their features and matches


def _estimate(colmap: Colmap, piece: _Piece, advance: Callable[[str], None]) -> Estimate:
    """What a piece says about its camera."""
    guess = START * max(piece.scene.image_size)
    _fill(colmap, piece, guess, advance)
    estimate = estimate_focal(colmap, piece.database, piece.scene)
    advance("camera")
    return estimate


def _solve(
    colmap: Colmap, piece: _Piece, camera: FoundCamera | None, advance: Callable[[str], None]
) -> tuple[list[tuple[Part, Float64[np.ndarray, "n"]]], int]:
    """Motion of a piece, with its own camera or the one that was found for its scene.

    Its parts, whether they can be trusted or not, each with the share of the matches of each frame
    that it explains; and the number of frames in which the camera stands.
    """
    if not piece.database.is_file():
        _fill(colmap, piece, camera.focal if camera else None, advance)
    if camera:
        fix_focal(colmap, piece.database, camera.focal)
    names = [file.name for file in piece.scene.images]
    pairs, focal = read_pairs(colmap, piece.database, names)
    standing = find_standing(pairs, len(names), focal)
    kept = [name for name, stands in zip(names, standing, strict=True) if not stands]
    models = map_frames(colmap, piece.database, kept) if len(kept) > 1 else []
    solved: list[tuple[Part, Any]] = []
    for part in (part for model in models for part in find_parts(model, names)):
        poses = np.full((len(names), 4, 4), np.nan)
        poses[part[0]] = part[1]
        shares = explained_shares(poses, pairs, focal, max(piece.scene.image_size))
        solved.append((part, shares[part[0]]))
    advance("motion")
    return solved, int(standing.sum())


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
    explained = [np.zeros(0)]
    standing = doubtful = 0
    for piece in pieces:
        solved, still = _solve(colmap, piece, camera, advance)
        standing += still
        for (where, T_world_cam, seen, error), shares in solved:
            explained.append(shares[np.isfinite(shares)])
            trusted = trusted_frames(shares)
            doubtful += int((~trusted).sum())
            if not trusted.any():
                continue
            frames = piece.start + where[trusted]
            poses[frames], parts[frames] = T_world_cam[trusted], len(errors)
            kept = [at for at, good in zip(seen, trusted, strict=True) if good]
            points |= dict(zip(frames.tolist(), kept, strict=True))
            errors.append(error)
    shares = np.concatenate(explained)
    found = Tracked(
        scene=scene.name, frames=len(scene), found=int((parts != NO_PART).sum()),
        parts=len(errors), error=float(np.median(errors)) if errors else float("nan"),
        explained=float(np.median(shares)) if len(shares) else float("nan"),
        standing=standing, doubtful=doubtful, camera=camera,
    )  # fmt: skip
    folder = scene.images[0].parent
    note = f"ssmde track, COLMAP {colmap.module.__version__}: part, then T_world_camera"
    with recorded():
        write_tracked_points(folder, points)
        write_json(folder / TRACKED_INFO, found.figures())
        write_tracked_poses(folder, poses, parts, note)  # last: it says that all is done
    return found
