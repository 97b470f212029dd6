"""How far a path of the camera is from the true one: ATE and RPE, computed by `evo`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64, Int64

PathAlignment = Literal["sim3", "scale", "none"]
FEWEST_FRAMES = 3  # a similarity is not defined by fewer points
NO_WAY = 1e-9  # metres; a camera that never moved has no path to align
NEARLY_RIGID = 0.02  # largest entry by which a stored rotation may be off
INSTALL = "pip install 'ssmde[eval]'"

Poses = Float64[np.ndarray, "n 4 4"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PathErrors:
    """Errors of one path under one alignment."""

    align: PathAlignment
    ate: float
    """Root mean square distance of the camera from its true place, in metres."""
    rpe_translation: float
    """Root mean square error of the motion of one step, in metres."""
    rpe_degrees: float
    """The same of its rotation, in degrees."""
    scale: float
    """Factor on the path that the alignment found; 1 without one."""


def align_path(estimated: Poses, true: Poses, align: PathAlignment) -> tuple[Poses, float]:
    """The estimated path in the world of the true one, and the factor on it.

    Both paths begin at the same pose. Then `sim3` moves, turns and scales the whole path for the
    smallest squared distance (Umeyama, 1991); `scale` does no more than scale it, so that an error
    of the first frames is not spread; `none` takes it in its own unit.

    Args:
        estimated: Camera to world, in a world and a unit of its own.
        true: Camera to world of the same frames, in metres.
        align: How.

    Raises:
        ImportError: If evo is not installed.
        ValueError: If there are fewer than 3 frames, or one of the paths stands still.
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
    path = _evo_path(estimated)
    try:
        scale = float(path.align(_evo_path(true), correct_scale=True)[2])
    except _import("geometry").GeometryException as error:
        raise ValueError(
            "the path lies on a straight line, about which a similarity may turn it freely: give "
            "a path with a curve"
        ) from error
    return np.array(path.poses_se3), scale


def path_errors(aligned: Poses, true: Poses, frames: Int64[np.ndarray, " n"]) -> dict[str, float]:
    """ATE and RPE of an aligned path; RPE over pairs of neighbouring frames only.

    Args:
        aligned: Camera to world, of `align_path`.
        true: Camera to world of the same frames.
        frames: Number of each in steps of the video; a pair differs by 1.

    Raises:
        ImportError: If evo is not installed.
    """
    metrics = _import("metrics")
    ape = metrics.APE(metrics.PoseRelation.translation_part)
    ape.process_data((_evo_path(true), _evo_path(aligned)))
    return {
        "ate": float(ape.get_statistic(metrics.StatisticsType.rmse)),
        "rpe_translation": _rpe(aligned, true, frames, metrics.PoseRelation.translation_part),
        "rpe_degrees": _rpe(aligned, true, frames, metrics.PoseRelation.rotation_angle_deg),
    }


def _rpe(aligned: Poses, true: Poses, frames: Int64[np.ndarray, " n"], relation: Any) -> float:
    """Root mean square over the pairs of all runs without a gap; nan if there is no pair."""
    metrics = _import("metrics")
    errors = list[np.ndarray]()
    for run in _runs(frames):
        if len(run) > 1:
            rpe = metrics.RPE(relation, delta=1, delta_unit=metrics.Unit.frames, all_pairs=True)
            rpe.process_data((_evo_path(true[run]), _evo_path(aligned[run])))
            errors.append(np.asarray(rpe.error))
    return math.sqrt(float(np.mean(np.concatenate(errors) ** 2))) if errors else math.nan


def _runs(frames: Int64[np.ndarray, " n"]) -> Sequence[Int64[np.ndarray, " m"]]:
    """Indices of frames that follow each other without a gap."""
    breaks = np.flatnonzero(np.diff(frames) != 1) + 1
    return np.split(np.arange(len(frames)), breaks)


def _evo_path(poses: Poses) -> Any:
    return _import("trajectory").PosePath3D(poses_se3=list(_rigid(poses)))


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


def _import(module: str) -> Any:
    """A module of evo.core; asked for when a path is measured, for it is an extra."""
    from importlib import import_module

    try:
        return import_module(f"evo.core.{module}")
    except ImportError as error:
        raise ImportError(f"odometry needs evo, which is not installed: {INSTALL}") from error
