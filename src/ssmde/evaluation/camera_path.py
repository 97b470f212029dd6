"""The path of the camera, by a pose network or as tracked, against the true one."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int64
from scipy.spatial.transform import Rotation

from ssmde.console import with_bar
from ssmde.data.images import read_image
from ssmde.data.scene_folder import Split, read_scenes
from ssmde.data.sequence import FrameSequence
from ssmde.evaluation.report import check_room, results_in, table_text
from ssmde.inference.loading import MotionPredictor
from ssmde.io import write_json

Poses = Float64[np.ndarray, "n 4 4"]
"""Camera to world."""
TRACKED = "tracked"
RESULT = "odometry.json"
FEWEST_FRAMES = 3  # a similarity is not defined by fewer points
NO_WAY = 1e-9  # metres; a camera that never moved has no path to align


@dataclass(frozen=True, kw_only=True, slots=True)
class PathErrors:
    """Errors of one path, moved, turned and scaled as a whole to lie on the true one."""

    name: str
    frames: int  # poses that were compared
    step: int  # frames from one pose to the next
    metres: float  # length of the true path
    scale: float  # metres of a unit of the path
    ate: float  # root mean square distance of the camera from its true place, in metres
    rpe_translation: float  # root mean square error of the motion of one step, in metres
    rpe_degrees: float  # the same of its rotation, in degrees


@dataclass(frozen=True, kw_only=True, slots=True)
class Odometry:
    """The errors of every path; `str()` of it is the table that `ssmde odometry` prints."""

    paths: tuple[PathErrors, ...]
    out: Path | None = None  # folder of the file, if there is one

    def __str__(self) -> str:
        """A row for each path."""
        title = "path of the camera, aligned by one similarity (sim3); RMSE"
        heads = ("scene", "frames", "step", "way m", "scale", "ATE m", "RPE m", "RPE deg")
        rows = [
            [
                p.name, str(p.frames), str(p.step), f"{p.metres:.1f}", f"{p.scale:.4g}",
                f"{p.ate:.3f}", f"{p.rpe_translation:.4f}", f"{p.rpe_degrees:.3f}",
            ]
            for p in self.paths
        ]  # fmt: skip
        files = [] if self.out is None else [f"numbers: {self.out}/{RESULT}"]
        return table_text(title, heads, rows, files, words=("scene",))


class CameraPath(NamedTuple):
    """Where the camera was at some frames of a scene or a part, in a world and unit of its own."""

    name: str
    poses: Poses
    frames: Int64[np.ndarray, " n"]
    step: int = 1  # frames from one pose to the next


def odometry(
    source: str | Path,
    data: str | Path,
    *,
    split: Split = "all",
    out: str | Path | None = "odometry",
) -> Odometry:
    """Measure the path of the camera, by the pose network or as tracked, against the true one.

    The result prints ATE and RPE after one similarity for the whole path. OUT gets odometry.json.

    Example:
      ssmde odometry runs/ss_mde data
      ssmde odometry tracked data

    Args:
        source: Weights file, folder of a run, hf:OWNER/NAME or a released name, whose pose network
            is asked; or the word tracked, for the tracked_poses.txt of the scenes.
        data: Folder of scene folders with poses.txt, or one scene folder.
        split: Part of DATA to measure.
        out: Folder for the file.

    Raises:
        FileExistsError: If `out` holds a file of others under the name of the result.
        FileNotFoundError: If weights or data do not exist.
        ValueError: If no scene has true poses, or a path cannot be measured.
    """
    check_room(out, [RESULT])
    scenes = [scene for scene in read_scenes(Path(data), split) if scene.poses is not None]
    if not scenes:
        raise ValueError(f"{data}: no scene has a poses.txt, the true path to compare with")
    if tracked := str(source) == TRACKED:
        # `ssmde track` leaves scenes for validation alone; without any, the first says what to do.
        scenes = [scene for scene in scenes if scene.tracked_poses is not None] or scenes[:1]
    motion, found = None if tracked else MotionPredictor(source), list[PathErrors]()
    for scene in scenes:
        paths = tracked_paths(scene) if motion is None else [predicted_path(scene, motion)]
        for path in paths:
            assert scene.poses is not None
            true = scene.poses[path.frames].astype(np.float64)
            known = np.isfinite(true).all((1, 2))
            if known.sum() < FEWEST_FRAMES:
                continue
            path = path._replace(poses=path.poses[known], frames=path.frames[known])
            try:
                found.append(path_errors(path, true[known]))
            except ValueError as error:
                by = "tracked_poses.txt" if tracked else source
                raise ValueError(f"{path.name}: {error} (paths of {by} and poses.txt)") from error
    if not found:
        raise ValueError(
            f"{data}: no path has {FEWEST_FRAMES} frames with a true pose, nothing can be measured"
        )
    if out is None:
        return Odometry(paths=tuple(found))
    with results_in(Path(out), [RESULT]):
        paths = [asdict(errors) for errors in found]
        write_json(Path(out) / RESULT, {"source": str(source), "paths": paths})
    return Odometry(paths=tuple(found), out=Path(out))


def predicted_path(scene: FrameSequence, motion: MotionPredictor) -> CameraPath:
    """Path by a pose network, in steps of the smallest gap it was trained on, from the identity.

    A frame that cannot be read is an ImageError: a path with a hole is none.
    """
    frames = np.arange(0, len(scene), motion.gap)
    motions = list[Float64[np.ndarray, "4 4"]]()
    before = motion.see(read_image(scene.images[0]))
    for index in with_bar(frames[1:].tolist(), scene.name):
        now = motion.see(read_image(scene.images[index]))
        motions.append(motion(before, now))
        before = now
    # T_world_src = T_world_tgt (T_src_tgt)^-1, the target being the frame before.
    poses = accumulate(motions, lambda pose, T: pose @ np.linalg.inv(T), initial=np.eye(4))
    return CameraPath(scene.name, np.array(list(poses)), frames, motion.gap)


def tracked_paths(scene: FrameSequence) -> Iterator[CameraPath]:
    """Paths that `ssmde track` found, one for each part; a ValueError if it did not run."""
    poses, parts = scene.tracked_poses, scene.tracked_parts
    if poses is None or parts is None:
        folder = scene.images[0].parent
        raise ValueError(
            f"scene '{scene.name}': {folder / 'tracked_poses.txt'} does not exist; "
            f"`ssmde track {folder.parent}` writes it"
        )
    known = np.isfinite(poses).all((1, 2))
    numbers = np.unique(parts[known]).tolist()
    for number in numbers:
        frames = np.flatnonzero(known & (parts == number))
        name = scene.name if len(numbers) == 1 else f"{scene.name}, part {number:.0f}"
        yield CameraPath(name, poses[frames].astype(np.float64), frames)


def path_errors(path: CameraPath, true: Poses) -> PathErrors:
    """ATE and RPE of a path after `align_path`; RPE of neighboring frames only, nan without any.

    As Sturm et al., IROS 2012; the numbers are those of evo 1.38.1.
    """
    estimated, true = _rigid(path.poses), _rigid(true)
    aligned, scale = align_path(estimated, true)
    pairs = np.flatnonzero(np.diff(path.frames) == path.step)
    step, true_step = (np.linalg.inv(poses[pairs]) @ poses[pairs + 1] for poses in (aligned, true))
    off = np.linalg.inv(true_step) @ step
    angles = Rotation.from_matrix(off[:, :3, :3]).magnitude() if len(pairs) else np.zeros(0)
    errors = (
        np.linalg.norm(aligned[:, :3, 3] - true[:, :3, 3], axis=1),
        np.linalg.norm(off[:, :3, 3], axis=1), np.degrees(angles),
    )  # fmt: skip
    ate, translation, degrees = (
        float(np.sqrt(np.mean(e**2))) if e.size else np.nan for e in errors
    )
    return PathErrors(
        name=path.name, frames=len(path.frames), step=path.step, scale=scale, ate=ate,
        metres=float(np.linalg.norm(np.diff(true[:, :3, 3], axis=0), axis=1).sum()),
        rpe_translation=translation, rpe_degrees=degrees,
    )  # fmt: skip


def align_path(estimated: Poses, true: Poses) -> tuple[Poses, float]:
    """The estimated path in the world of the true one, and the factor on it.

    Moved, turned and scaled as a whole, for the smallest squared distance (Umeyama, PAMI 1991). A
    ValueError if one of the paths stands still, or lies on a straight line.
    """
    for name, poses in (("estimated", estimated), ("true", true)):
        if np.ptp(poses[:, :3, 3], axis=0).max() < NO_WAY:
            raise ValueError(f"the {name} path stands still: it cannot be aligned")
    p, g = estimated[:, :3, 3], true[:, :3, 3]
    center, true_center = p.mean(0), g.mean(0)
    # Rotation U S V^T and scale tr(D S) / var of the covariance U D V^T of both paths.
    u, d, vt = np.linalg.svd((g - true_center).T @ (p - center) / len(p))
    if (d > np.finfo(d.dtype).eps).sum() < 2:
        raise ValueError(
            "the path lies on a straight line, about which a similarity may turn it freely: "
            "give a path with a curve"
        )
    s = np.array([1, 1, np.sign(np.linalg.det(u) * np.linalg.det(vt))])  # no mirror image
    rotation, scale = (u * s) @ vt, float((d * s).sum() / ((p - center) ** 2).sum(1).mean())
    aligned = estimated.copy()
    aligned[:, :3, :3] = rotation @ estimated[:, :3, :3]
    aligned[:, :3, 3] = true_center + scale * (p - center) @ rotation.T
    return aligned, scale


def _rigid(poses: Float[np.ndarray, "n 4 4"]) -> Poses:
    """The same poses with exact rotations, for stored ones are rounded."""
    exact = poses.astype(np.float64)
    exact[:, :3, :3] = Rotation.from_matrix(exact[:, :3, :3]).as_matrix()
    return exact
