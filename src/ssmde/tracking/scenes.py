"""`ssmde track`: how the camera moved in each scene, found in its own frames.

Structure from motion over the whole video, by COLMAP, without labels; an unknown camera is found as
well. Why a training on hand-held video needs it: decision 7.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from jaxtyping import Float64
from rich.progress import TaskID

from ssmde.console import bars, counted
from ssmde.data import scene_files
from ssmde.data.scene_folder import common_orientation, read_scenes
from ssmde.data.sequence import FrameSequence
from ssmde.data.shards import refuse_packed
from ssmde.io import write_json
from ssmde.outputs import check_own, recorded, sweep
from ssmde.tracking.colmap import (
    FoundCamera,
    Part,
    Piece,
    find_camera,
    find_parts,
    keep_camera,
    load_colmap,
)  # fmt: skip
from ssmde.tracking.reliability import explained_shares, find_standing, trusted_frames

LONGEST = 500  # frames that are solved together; the cost of a longer video grows in a line
MOST_THREADS, LARGEST_SEED = 1024, 1 << 31  # the library takes a number of 32 bits
ASKED = 4  # stretches of that length that are asked for an unknown camera, until one tells it
WRITTEN = {scene_files.TRACKED_POSES, scene_files.TRACKED_POINTS, scene_files.TRACKED_INFO}
NO_PART = -1  # of a frame whose pose was not found


@dataclass(frozen=True, kw_only=True, slots=True)
class Tracked:
    """What was found in one scene."""

    scene: str
    frames: int
    found: int  # frames that have a pose now
    parts: int  # of the video that could not be connected; each has a world and unit of its own
    error: float  # median distance of seen and predicted image points, in pixels; nan without any
    explained: float  # share of the matches of distant frames that the motion explains; nan if none
    standing: int = 0  # frames left out because the camera stands
    doubtful: int = 0  # frames left out because their motion explains too few matches
    camera: FoundCamera | None = None  # if it was unknown and is found

    def __str__(self) -> str:
        explained = f", {self.explained:.0%} of matches explained" if self.explained >= 0 else ""
        standing = f", the camera stands in {self.standing}" if self.standing else ""
        lines = [
            f"motion of {self.found} of {counted(self.frames, 'frame')} in "
            f"{counted(self.parts, 'part')}, {self.error:.2f} pixels off{explained}{standing}"
        ]
        if self.camera:
            lines.insert(0, f"camera found: {self.camera}")
        if self.doubtful:
            lines.append(
                f"{counted(self.doubtful, 'frame')} left out: the motion found there cannot be "
                "trusted; a pose network may learn it, without --data.poses tracked"
            )
        return "\n".join(f"{self.scene}: {line}" for line in lines)


class TrackedScenes(list[Tracked]):
    """What was found in each scene that was tracked now; as text, the report."""

    def __str__(self) -> str:
        if not self:
            return "nothing to track"
        found = any(scene.found for scene in self)
        following = ["next: ssmde train PRESET --data.poses tracked"] if found else []
        return "\n".join([*map(str, self), *following])


def track(
    data: Path, *, overwrite: bool = False, threads: int = 0, seed: int = 0,
    show_progress: bool = True,
) -> TrackedScenes:  # fmt: skip
    """Find how the camera moved in each training scene, from its own frames.

    Each scene folder gets tracked_poses.txt, which data.poses tracked reads, tracked_points.npz, to
    whose depth labels are fitted, and tracked.json, how far the motion can be trusted. Frames in
    which it cannot, or in which the camera stands, are left out. Hand-held video, which is mostly
    rotation, needs it. Scenes that have the file are left alone. A scene without cam.txt gets one,
    if its video tells the focal length. The unit of poses is the median depth of the points.

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
    todo = [
        scene for scene in scenes
        if overwrite or scene.intrinsics is None or scene.tracked_poses is None
        or not (scene.images[0].parent / scene_files.TRACKED_POINTS).is_file()
    ]  # fmt: skip
    if not todo:
        return TrackedScenes()  # also where COLMAP is not installed
    for scene in todo:
        folder = scene.images[0].parent
        if common_orientation(scene.images) != 1:
            raise ValueError(
                f"{folder}: an orientation mark (EXIF) turns its images, unseen by COLMAP; "
                "`ssmde prepare` writes them upright"
            )
        check_own([folder / name for name in WRITTEN], "leave the scene out")
        sweep(folder, {*WRITTEN, "cam.txt", "scene.json"}.__contains__)
    colmap, tracked, doubts = load_colmap(seed), TrackedScenes(), list[str]()
    with bars(show=show_progress) as progress:
        for scene in todo:
            pieces = len(range(0, len(scene), LONGEST))
            asked = min(pieces, ASKED) if scene.intrinsics is None else 0
            task = progress.add_task(scene.name, total=3 * pieces + asked)

            def advance(stage: str, name: str = scene.name, task: TaskID = task) -> None:
                progress.update(task, description=f"{name}: {stage}", advance=1)

            found = _track_scene(colmap, scene, threads or -1, seed, advance)
            if isinstance(found, Tracked):
                tracked.append(found)
                continue
            doubts.append(
                f"scene '{scene.name}': its camera is unknown, and the video does not tell it: "
                f"{found}; give the field of view to `ssmde prepare`, --hfov-degrees 65 for many "
                f"phones, or write its 3 x 3 matrix to {scene.images[0].parent / 'cam.txt'}"
            )
    if doubts:
        raise ValueError("\n".join(doubts))
    return tracked


def _track_scene(
    colmap: Any, scene: FrameSequence, threads: int, seed: int, advance: Callable[[str], None]
) -> Tracked | str:
    """Solve a scene piece by piece and write what was found; or say why its camera was not."""
    version, camera = f"ssmde track, COLMAP {colmap.__version__}", None
    poses = np.full((len(scene), 4, 4), np.nan)
    parts = np.full(len(scene), float(NO_PART))
    points: dict[int, tuple[Any, Any]] = {}
    errors: list[float] = []
    explained: list[float] = []
    standing = doubtful = 0
    with TemporaryDirectory(prefix="ssmde-track-") as scratch:
        pieces = {
            start: Piece(
                colmap=colmap, threads=threads, seed=seed, scene=scene.part(start, start + LONGEST),
                database=Path(scratch) / f"{start}.db", advance=advance,
            )
            for start in range(0, len(scene), LONGEST)
        }  # fmt: skip
        if scene.intrinsics is None:
            for camera in map(find_camera, [*pieces.values()][:ASKED]):
                if isinstance(camera, FoundCamera):
                    keep_camera(scene, camera, version)
                    break
            else:
                return str(camera)
        for start, piece in pieces.items():
            solved, still = _solve(piece, camera)
            standing += still
            for (where, T_world_cam, seen, error), shares in solved:
                explained += shares[np.isfinite(shares)].tolist()
                trusted = trusted_frames(shares)
                doubtful += int((~trusted).sum())
                if not trusted.any():
                    continue
                frames = start + where[trusted]
                poses[frames], parts[frames] = T_world_cam[trusted], len(errors)
                points |= {int(start + where[k]): seen[k] for k in np.flatnonzero(trusted)}
                errors.append(error)
    found = Tracked(
        scene=scene.name, frames=len(scene), found=int((parts != NO_PART).sum()),
        parts=len(errors), error=float(np.median(errors or [np.nan])),
        explained=float(np.median(explained or [np.nan])),
        standing=standing, doubtful=doubtful, camera=camera,
    )  # fmt: skip
    figures = {name: getattr(found, name) for name in ("frames", "found", "standing", "doubtful")}
    figures["explained"] = round(found.explained, 3) if explained else None
    folder, note = scene.images[0].parent, f"{version}: part, then T_world_camera"
    with recorded():
        scene_files.write_tracked_points(folder, points)
        write_json(folder / scene_files.TRACKED_INFO, figures)
        scene_files.write_tracked_poses(
            folder, poses, parts, note
        )  # last: it says that all is done
    return found


def _solve(
    piece: Piece, camera: FoundCamera | None
) -> tuple[list[tuple[Part, Float64[np.ndarray, "n"]]], int]:
    """Parts of a piece, each with the share of the matches of its frames that it explains.

    And the number of frames in which the camera stands.
    """
    if not piece.database.is_file():
        piece.fill(camera.focal if camera else None)
    if camera:
        piece.set_focal(camera.focal, known=True)
    names = piece.names
    pairs, focal = piece.read_pairs()
    standing = find_standing(pairs, len(names), focal)
    kept = [name for name, stands in zip(names, standing, strict=True) if not stands]
    models = piece.reconstruct(kept) if len(kept) > 1 else []
    solved: list[tuple[Part, Any]] = []
    for part in (part for model in models for part in find_parts(model, names)):
        poses = np.full((len(names), 4, 4), np.nan)
        poses[part[0]] = part[1]
        shares = explained_shares(poses, pairs, focal, max(piece.scene.image_size))
        solved.append((part, shares[part[0]]))
    piece.advance("motion")
    return solved, int(standing.sum())
