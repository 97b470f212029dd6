"""The path of the camera, by a pose network or as tracked, against the true one."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from ssmde.console import bars
from ssmde.data.images import read_image
from ssmde.data.scene_folder import Split, read_scenes
from ssmde.data.sequence import FrameSequence
from ssmde.evaluation.report import table_text
from ssmde.inference.loading import MotionPredictor, find_weights
from ssmde.io import whole_file, write_json
from ssmde.models.checkpoint import read_weights, stored_scale
from ssmde.outputs import check_own, recorded, sweep

PathAlignment = Literal["sim3", "scale", "none"]
Poses = Float64[np.ndarray, "n 4 4"]
"""Camera to world."""
TRACKED = "tracked"
RESULT = "odometry.json"
OTHER_FOLDER = "choose another folder with --out"
ALWAYS: tuple[PathAlignment, ...] = ("sim3", "scale")
WITH_METRES: tuple[PathAlignment, ...] = (*ALWAYS, "none")  # of weights that know their scale
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
        files = []
        if self.out is not None:
            files = [f"numbers: {self.out / RESULT}, beside it a picture of each path"]
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
    if out is not None:
        check_own([Path(out) / RESULT], OTHER_FOLDER)
    scenes = [scene for scene in read_scenes(Path(data), split) if scene.poses is not None]
    if not scenes:
        raise ValueError(f"{data}: no scene has a poses.txt, the true path to compare with")
    results, drawn = list[PathResult](), list[tuple[str, dict[str, Poses]]]()
    for scene, path, metres in _paths(source, scenes):
        assert scene.poses is not None
        known = np.isfinite(scene.poses[path.frames]).all((1, 2))
        if known.sum() < FEWEST_FRAMES:
            continue
        frames, true = path.frames[known], scene.poses[path.frames[known]].astype(np.float64)
        lines, errors = {"true": true}, list[PathErrors]()
        for how in WITH_METRES if metres else ALWAYS:
            estimated = path.poses[known]
            if how == "none":
                estimated[:, :3, 3] *= metres or 1.0
            try:
                moved, factor = align_path(estimated, true, how)
            except ValueError as error:
                by = scene.images[0].parent / "tracked_poses.txt" if source == TRACKED else source
                raise ValueError(f"{path.name}: {error} (paths of {by} and poses.txt)") from error
            numbers = path_errors(moved, true, frames // path.step)
            errors.append(PathErrors(align=how, scale=factor, **numbers))
            lines[f"{how}, ATE {numbers['ate']:.3g} m"] = moved
        way = float(np.linalg.norm(np.diff(true[:, :3, 3], axis=0), axis=1).sum())
        results.append(PathResult(path.name, len(frames), path.step, way, tuple(errors)))
        drawn.append((path.name, lines))
    if not results:
        raise ValueError(
            f"{data}: no path has {FEWEST_FRAMES} frames with a true pose, nothing can be measured"
        )
    found = Odometry(paths=tuple(results), out=None if out is None else Path(out))
    if found.out is not None:
        _write(found, found.out, str(source), drawn)
    return found


def _write(
    found: Odometry, out: Path, source: str, drawn: Sequence[tuple[str, dict[str, Any]]]
) -> None:
    # Any: the parts of a scene differ in length, which one name of an axis cannot say.
    pictures = [out / f"{re.sub(', | |/', '-', name)}.png" for name, _ in drawn]
    check_own([out / RESULT, *pictures], OTHER_FOLDER)
    sweep(out, {RESULT, *(path.name for path in pictures)}.__contains__)
    out.mkdir(parents=True, exist_ok=True)
    with recorded():
        write_json(
            out / RESULT, {"source": source, "paths": [asdict(path) for path in found.paths]}
        )
        for picture, (name, lines) in zip(pictures, drawn, strict=True):
            _plot(picture, name, lines)


def _plot(file: Path, title: str, lines: Mapping[str, Poses]) -> None:
    """Draw paths, the `true` one first, along the two axes in which that is longest."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    true = lines["true"]
    across, up = sorted(np.argsort(-np.ptp(true[:, :3, 3], axis=0))[:2].tolist())
    figure = Figure(figsize=(6, 6), layout="constrained")
    canvas, axes = FigureCanvasAgg(figure), figure.add_subplot()
    for name, poses in lines.items():
        (line,) = axes.plot(poses[:, across, 3], poses[:, up, 3], label=name, linewidth=1.2)
        if name == "true":
            line.set(color="black", linewidth=2.5)
    axes.plot(true[0, across, 3], true[0, up, 3], "ko", markersize=6)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel(f"{'xyz'[across]} in metres")
    axes.set_ylabel(f"{'xyz'[up]} in metres")
    axes.set_title(title)
    axes.legend()
    axes.grid(alpha=0.3)
    with whole_file(file) as part, part.open("wb") as opened:
        canvas.print_png(opened)


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
    with bars() as bar:
        for scene in scenes:
            task = bar.add_task(scene.name, total=len(scene) // motion.gap)
            path = predicted_path(scene, motion, lambda task=task: bar.advance(task))
            yield scene, path, scale.metres_per_unit if scale else None


def chain(motions: list[Float64[np.ndarray, "4 4"]]) -> Poses:
    """Camera-to-world poses from the motion T_src_tgt of each step; the first is the identity.

    T_world_src = T_world_tgt (T_src_tgt)^-1, the target being the frame before.
    """
    poses = [np.eye(4)]
    for T_src_tgt in motions:
        poses.append(poses[-1] @ np.linalg.inv(T_src_tgt))
    return np.array(poses)


def predicted_path(
    scene: FrameSequence, motion: MotionPredictor, advance: Callable[[], None]
) -> CameraPath:
    """Path by a pose network, in steps of the smallest gap it was trained on.

    A frame that cannot be read is an ImageError: a path with a hole is none.
    """
    frames = np.arange(0, len(scene), motion.gap)
    motions = list[Float64[np.ndarray, "4 4"]]()
    before = motion.see(read_image(scene.images[0]))
    for index in frames[1:].tolist():
        now = motion.see(read_image(scene.images[index]))
        motions.append(motion(before, now))
        before = now
        advance()
    return CameraPath(name=scene.name, poses=chain(motions), frames=frames, step=motion.gap)


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
        yield CameraPath(name=name, poses=poses[frames].astype(np.float64), frames=frames)


def align_path(estimated: Poses, true: Poses, align: PathAlignment) -> tuple[Poses, float]:
    """The estimated path in the world of the true one, and the factor on it.

    Both paths begin at the same pose. Then `sim3` moves, turns and scales the whole path for the
    smallest squared distance (Umeyama, PAMI 1991); `scale` does no more than scale it, so that an
    error of the first frames is not spread; `none` takes it in its own unit. A ValueError if there
    are fewer than 3 frames, or one of the paths stands still.
    """
    if len(estimated) != len(true) or len(true) < FEWEST_FRAMES:
        raise ValueError(
            f"a path needs at least {FEWEST_FRAMES} frames with true poses, got {len(estimated)} "
            f"estimated and {len(true)} true ones"
        )
    for name, poses in (("estimated", estimated), ("true", true)):
        if np.ptp(poses[:, :3, 3], axis=0).max() < NO_WAY:
            raise ValueError(f"the {name} path stands still: it cannot be aligned")
    estimated, true = _rigid(estimated), _rigid(true)
    moved = true[0] @ np.linalg.inv(estimated[0]) @ estimated
    if align == "none":
        return moved, 1.0
    return _by_scale(moved, true) if align == "scale" else _by_similarity(moved, true)


def _by_scale(estimated: Poses, true: Poses) -> tuple[Poses, float]:
    """The factor with the smallest squared distance, t . g / t . t, from the common first pose."""
    start = true[0, :3, 3]
    way, true_way = estimated[:, :3, 3] - start, true[:, :3, 3] - start
    scale = float((way * true_way).sum() / (way * way).sum())
    if scale <= 0:
        raise ValueError(
            "the estimated path leads away from the true one: is one of them world-to-camera?"
        )
    moved = estimated.copy()
    moved[:, :3, 3] = start + scale * way
    return moved, scale


def _by_similarity(estimated: Poses, true: Poses) -> tuple[Poses, float]:
    """Rotation U S V^T and scale tr(D S) / var of the covariance U D V^T of both paths."""
    p, g = estimated[:, :3, 3], true[:, :3, 3]
    middle, true_middle = p.mean(0), g.mean(0)
    covariance = (g - true_middle).T @ (p - middle) / len(p)
    u, d, vt = np.linalg.svd(covariance)
    if (d > np.finfo(d.dtype).eps).sum() < 2:
        raise ValueError(
            "the path lies on a straight line, about which a similarity may turn it freely: give "
            "a path with a curve"
        )
    s = np.array([1, 1, np.sign(np.linalg.det(u) * np.linalg.det(vt))])  # no mirror image
    rotation, scale = (u * s) @ vt, float((d * s).sum() / ((p - middle) ** 2).sum(1).mean())
    moved = estimated.copy()
    moved[:, :3, :3] = rotation @ estimated[:, :3, :3]
    moved[:, :3, 3] = true_middle + scale * (p - middle) @ rotation.T
    return moved, scale


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
    return {
        "ate": _rms(np.linalg.norm(aligned[:, :3, 3] - true[:, :3, 3], axis=1)),
        "rpe_translation": _rms(np.linalg.norm(off[:, :3, 3], axis=1)),
        "rpe_degrees": _rms(np.degrees(angles)),
    }


def _rms(values: Float64[np.ndarray, " n"]) -> float:
    return math.sqrt(float(np.mean(values**2))) if values.size else math.nan


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
