"""The path of the camera, by a pose network or as tracked, against the true one."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int64

from ssmde.console import with_bar
from ssmde.data.images import read_image
from ssmde.data.scene_folder import Split, read_scenes
from ssmde.data.sequence import FrameSequence
from ssmde.evaluation.report import check_room, results_in, table_text
from ssmde.inference.loading import MotionPredictor, find_weights
from ssmde.io import whole_file, write_json
from ssmde.models.checkpoint import read_weights, stored_scale

PathAlignment = Literal["sim3", "scale", "none"]
Poses = Float64[np.ndarray, "n 4 4"]
"""Camera to world."""
TRACKED = "tracked"
RESULT = "odometry.json"
FEWEST_FRAMES = 3  # a similarity is not defined by fewer points
NO_WAY = 1e-9  # metres; a camera that never moved has no path to align
NEARLY_RIGID = 0.02  # largest entry by which a stored rotation may be off


@dataclass(frozen=True, kw_only=True, slots=True)
class PathErrors:
    """Errors of one path under one alignment."""

    align: PathAlignment
    ate: float  # root mean square distance of the camera from its true place, in metres
    rpe_translation: float  # root mean square error of the motion of one step, in metres
    rpe_degrees: float  # the same of its rotation, in degrees
    scale: float  # factor on the path that the alignment found; 1 without one


@dataclass(frozen=True, slots=True)
class PathResult:
    """One path and its errors."""

    name: str
    frames: int  # poses that were compared
    step: int  # frames from one pose to the next
    metres: float  # length of the true path
    errors: tuple[PathErrors, ...]  # one for each alignment


@dataclass(frozen=True, kw_only=True, slots=True)
class Odometry:
    """The errors of every path; `str()` of it is the table that `ssmde odometry` prints."""

    paths: tuple[PathResult, ...]
    out: Path | None = None  # folder of the files, if there are any

    def __str__(self) -> str:
        """A row for each path and alignment."""
        title = "path of the camera; ATE over all frames, RPE from step to step, RMSE"
        heads = (
            "scene", "frames", "step", "way m", "alignment", "scale", "ATE m", "RPE m", "RPE deg",
        )  # fmt: skip
        rows = [
            [
                path.name, str(path.frames), str(path.step), f"{path.metres:.1f}",
                e.align, f"{e.scale:.4g}", f"{e.ate:.3f}",
                f"{e.rpe_translation:.4f}", f"{e.rpe_degrees:.3f}",
            ]
            for path in self.paths
            for e in path.errors
        ]  # fmt: skip
        files = [f"numbers: {self.out}/{RESULT}, beside it a picture of each path"]
        files = files if self.out is not None else []
        return table_text(title, heads, rows, files, words=("scene", "alignment"))


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

    The result prints ATE and RPE under each alignment: a similarity (sim3), the scale alone
    (scale), and none where the weights know their metres. OUT gets odometry.json and a picture of
    each path.

    Example:
      ssmde odometry runs/ss_mde data
      ssmde odometry tracked data

    Args:
        source: Weights file, folder of a run, hf:OWNER/NAME or a released name, whose pose network
            is asked; or the word tracked, for the tracked_poses.txt of the scenes.
        data: Folder of scene folders with poses.txt, or one scene folder.
        split: Part of DATA to measure.
        out: Folder for the files.

    Raises:
        FileExistsError: If `out` holds files of others under the names of the results.
        FileNotFoundError: If weights or data do not exist.
        ValueError: If no scene has true poses, or a path cannot be measured.
    """
    check_room(out, [RESULT])
    scenes = [scene for scene in read_scenes(Path(data), split) if scene.poses is not None]
    if not scenes:
        raise ValueError(f"{data}: no scene has a poses.txt, the true path to compare with")
    measured = [
        _measure(scene.poses[path.frames], path, metres, source)
        for scene, path, metres in _paths(source, scenes)
        if scene.poses is not None
        and np.isfinite(scene.poses[path.frames]).all((1, 2)).sum() >= FEWEST_FRAMES
    ]
    if not measured:
        raise ValueError(
            f"{data}: no path has {FEWEST_FRAMES} frames with a true pose, nothing can be measured"
        )
    results = tuple(result for result, _ in measured)
    if out is None:
        return Odometry(paths=results)
    pictures = [f"{re.sub(', | |/', '-', path.name)}.png" for path in results]
    with results_in(Path(out), [RESULT, *pictures]):
        paths = [asdict(path) for path in results]
        write_json(Path(out) / RESULT, {"source": str(source), "paths": paths})
        for picture, (path, lines) in zip(pictures, measured, strict=True):
            _plot(Path(out) / picture, path.name, lines)
    return Odometry(paths=results, out=Path(out))


def _measure(
    true: Float[np.ndarray, "n 4 4"], path: CameraPath, metres: float | None, source: str | Path
) -> tuple[PathResult, dict[str, Any]]:
    """The errors of a path under each alignment, and the aligned paths by what stands beside them.

    The true poses are of its frames, nan where unknown; `metres` of a unit are known or None.
    """
    known = np.isfinite(true).all((1, 2))
    true, frames, errors = true[known].astype(np.float64), path.frames[known], list[PathErrors]()
    lines: dict[str, Any] = {"true": true}
    hows: tuple[PathAlignment, ...] = ("sim3", "scale", "none")
    for how in hows if metres else hows[:2]:
        estimated = path.poses[known]
        if how == "none":
            estimated[:, :3, 3] *= metres or 1.0
        try:
            moved, factor = align_path(estimated, true, how)
        except ValueError as error:
            by = "tracked_poses.txt" if source == TRACKED else source
            raise ValueError(f"{path.name}: {error} (paths of {by} and poses.txt)") from error
        numbers = path_errors(moved, true, frames // path.step)
        errors.append(PathErrors(align=how, scale=factor, **numbers))
        lines[f"{how}, ATE {numbers['ate']:.3g} m"] = moved
    way = float(np.linalg.norm(np.diff(true[:, :3, 3], axis=0), axis=1).sum())
    return PathResult(path.name, len(frames), path.step, way, tuple(errors)), lines


def _plot(file: Path, title: str, lines: Mapping[str, Poses]) -> None:
    """Draw paths, the `true` one first, along the two axes in which that is longest."""
    from matplotlib.figure import Figure

    true = lines["true"]
    across, up = sorted(np.argsort(-np.ptp(true[:, :3, 3], axis=0))[:2].tolist())
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.add_subplot(
        title=title, xlabel=f"{'xyz'[across]} in metres", ylabel=f"{'xyz'[up]} in metres"
    )
    axes.set_aspect("equal", adjustable="datalim")
    for name, poses in lines.items():
        look: dict[str, Any] = {"color": "black", "linewidth": 2.5} if name == "true" else {}
        axes.plot(poses[:, across, 3], poses[:, up, 3], label=name, **look)
    axes.plot(true[0, across, 3], true[0, up, 3], "ko")
    axes.legend()
    axes.grid(alpha=0.3)
    with whole_file(file) as part:
        figure.savefig(part, format="png")


def _paths(
    source: str | Path, scenes: Sequence[FrameSequence]
) -> Iterator[tuple[FrameSequence, CameraPath, float | None]]:
    """Each path with its scene and, where the weights know it, the metres of a unit."""
    if str(source) == TRACKED:
        # `ssmde track` leaves scenes for validation alone; without any, the first says what to do.
        there = [scene for scene in scenes if scene.tracked_poses is not None] or scenes[:1]
        for scene in there:
            for path in tracked_paths(scene):
                yield scene, path, None
        return
    motion, file = MotionPredictor(source), find_weights(source)
    scale = stored_scale(read_weights(file)[1], origin=str(file))
    for scene in scenes:
        yield scene, predicted_path(scene, motion), scale.metres_per_unit if scale else None


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


def align_path(estimated: Poses, true: Poses, align: PathAlignment) -> tuple[Poses, float]:
    """The estimated path in the world of the true one, and the factor on it.

    Both paths begin at the same pose. Then `sim3` moves, turns and scales the whole path for the
    smallest squared distance (Umeyama, PAMI 1991); `scale` does no more than scale it, so that an
    error of the first frames is not spread; `none` takes it in its own unit. A ValueError if one of
    the paths stands still, or does not define the alignment.
    """
    for name, poses in (("estimated", estimated), ("true", true)):
        if np.ptp(poses[:, :3, 3], axis=0).max() < NO_WAY:
            raise ValueError(f"the {name} path stands still: it cannot be aligned")
    estimated, true = _rigid(estimated), _rigid(true)
    moved = true[0] @ np.linalg.inv(estimated[0]) @ estimated
    if align == "none":
        return moved, 1.0
    p, g = moved[:, :3, 3], true[:, :3, 3]
    rotation, center, true_center = np.eye(3), g[0], g[0]
    if align == "scale":  # t . g / t . t, both from the common first pose
        way = p - center
        scale = float((way * (g - center)).sum() / (way * way).sum())
        if scale <= 0:
            raise ValueError(
                "the estimated path leads away from the true one: is one of them world-to-camera?"
            )
    else:  # rotation U S V^T and scale tr(D S) / var of the covariance U D V^T of both paths
        center, true_center = p.mean(0), g.mean(0)
        u, d, vt = np.linalg.svd((g - true_center).T @ (p - center) / len(p))
        if (d > np.finfo(d.dtype).eps).sum() < 2:
            raise ValueError(
                "the path lies on a straight line, about which a similarity may turn it freely: "
                "give a path with a curve"
            )
        s = np.array([1, 1, np.sign(np.linalg.det(u) * np.linalg.det(vt))])  # no mirror image
        rotation, scale = (u * s) @ vt, float((d * s).sum() / ((p - center) ** 2).sum(1).mean())
    aligned = moved.copy()
    aligned[:, :3, :3] = rotation @ moved[:, :3, :3]
    aligned[:, :3, 3] = true_center + scale * (p - center) @ rotation.T
    return aligned, scale


def path_errors(aligned: Poses, true: Poses, frames: Int64[np.ndarray, " n"]) -> dict[str, float]:
    """ATE and RPE of an aligned path; RPE over pairs of neighboring frames only, nan without any.

    As Sturm et al., IROS 2012; the numbers are those of evo (tests/agreement/test_paths.py).
    `frames` has the number of each pose in steps of the video; a pair differs by 1.
    """
    from scipy.spatial.transform import Rotation

    aligned, true = _rigid(aligned), _rigid(true)
    pairs = np.flatnonzero(np.diff(frames) == 1)
    step, true_step = (np.linalg.inv(poses[pairs]) @ poses[pairs + 1] for poses in (aligned, true))
    off = np.linalg.inv(true_step) @ step
    angles = Rotation.from_matrix(off[:, :3, :3]).magnitude() if len(pairs) else np.zeros(0)
    values = {
        "ate": np.linalg.norm(aligned[:, :3, 3] - true[:, :3, 3], axis=1),
        "rpe_translation": np.linalg.norm(off[:, :3, 3], axis=1),
        "rpe_degrees": np.degrees(angles),
    }
    return {k: float(np.sqrt(np.mean(v**2))) if v.size else np.nan for k, v in values.items()}


def _rigid(poses: Poses) -> Poses:
    """The same poses with exact rotations, for stored ones are rounded."""
    exact = poses.copy()
    u, _, vt = np.linalg.svd(poses[:, :3, :3])
    exact[:, :3, :3] = u @ vt
    off = np.abs(exact - poses).max()
    if off > NEARLY_RIGID or (np.linalg.det(exact[:, :3, :3]) < 0).any():
        raise ValueError(
            f"poses must be rotations and positions, a matrix is {off:.2g} away from a rotation"
        )
    return exact
