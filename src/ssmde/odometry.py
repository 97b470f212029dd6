"""`ssmde odometry`: the path of the camera, predicted or tracked, against the true one."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from ssmde.console import bars, table_console
from ssmde.data.scene_folder import Split, read_scenes
from ssmde.data.sequence import FrameSequence
from ssmde.inference.loading import MotionPredictor, find_weights
from ssmde.io import write_json
from ssmde.models.checkpoint import read_weights, stored_scale
from ssmde.outputs import check_own, recorded, sweep
from ssmde.trajectories.errors import (
    FEWEST_FRAMES,
    PathAlignment,
    PathErrors,
    align_path,
    path_errors,
)
from ssmde.trajectories.paths import CameraPath, predicted_path, tracked_paths
from ssmde.trajectories.plot import plot_paths

TRACKED = "tracked"
RESULT = "odometry.json"
OTHER_FOLDER = "choose another folder with --out"
ALWAYS: tuple[PathAlignment, ...] = ("sim3", "scale")
WITH_METRES: tuple[PathAlignment, ...] = (*ALWAYS, "none")  # of weights that know their scale


@dataclass(frozen=True, kw_only=True, slots=True)
class PathResult:
    """One path and its errors."""

    name: str
    frames: int
    """Poses that were compared."""
    step: int
    """Frames from one pose to the next."""
    metres: float
    """Length of the true path."""
    errors: tuple[PathErrors, ...]
    """One for each alignment."""


def odometry(
    source: str | Path,
    data: str | Path,
    *,
    split: Split = "all",
    out: str | Path | None = None,
    show_progress: bool = True,
) -> list[PathResult]:
    """Measure the path of the camera in every scene that has true poses, and print a table.

    Each path is measured under a similarity (`sim3`) and with its scale alone (`scale`); and as it
    is (`none`) where the weights know their metres.

    Args:
        source: Weights file or run folder, whose pose network is asked; or `tracked`, for the
            tracked_poses.txt of the scenes.
        data: Folder of scene folders.
        split: Part of `data`.
        out: Folder for `odometry.json` and a picture of each path; None writes nothing.
        show_progress: Draw a progress bar.

    Raises:
        FileExistsError: If `out` holds files of others under the names of the results.
        FileNotFoundError: If weights or data do not exist.
        ImportError: If evo is not installed.
        ValueError: If no scene has true poses, or a path cannot be measured.
    """
    if out is not None:
        check_own([Path(out) / RESULT], OTHER_FOLDER)
    scenes = [scene for scene in read_scenes(Path(data), split) if scene.poses is not None]
    if not scenes:
        raise ValueError(f"{data}: no scene has a poses.txt, the true path to compare with")
    results, drawn = list[PathResult](), list[tuple[str, Any, dict[str, Any]]]()
    for scene, path, metres in _paths(source, scenes, show_progress):
        assert scene.poses is not None
        known = np.isfinite(scene.poses[path.frames]).all((1, 2))
        if known.sum() < FEWEST_FRAMES:
            continue
        frames, true = path.frames[known], scene.poses[path.frames[known]].astype(np.float64)
        estimated = path.poses[known]
        aligned, errors = dict[str, Any](), list[PathErrors]()
        for how in WITH_METRES if metres else ALWAYS:
            if how == "none":
                estimated = estimated.copy()
                estimated[:, :3, 3] *= metres or 1.0
            try:
                moved, factor = align_path(estimated, true, how)
            except ValueError as error:
                by = scene.images[0].parent / "tracked_poses.txt" if source == TRACKED else source
                raise ValueError(f"{path.name}: {error} (paths of {by} and poses.txt)") from error
            numbers = path_errors(moved, true, frames // path.step)
            errors.append(PathErrors(align=how, scale=factor, **numbers))
            aligned[f"{how}, ATE {numbers['ate']:.3g} m"] = moved
        way = float(np.linalg.norm(np.diff(true[:, :3, 3], axis=0), axis=1).sum())
        results.append(
            PathResult(
                name=path.name, frames=len(frames), step=path.step, metres=way, errors=tuple(errors)
            )
        )
        drawn.append((path.name, true, aligned))
    if not results:
        raise ValueError(
            f"{data}: no path has {FEWEST_FRAMES} frames with a true pose, nothing can be measured"
        )
    if out is not None:
        _write(Path(out), str(source), results, drawn)
    _print(results)
    return results


def _paths(
    source: str | Path, scenes: Sequence[FrameSequence], show_progress: bool
) -> Iterator[tuple[FrameSequence, CameraPath, float | None]]:
    """Each path with its scene and, where the weights know it, the metres of a unit."""
    if str(source) == TRACKED:
        # `ssmde track` leaves scenes for validation alone; without any, the first says what to do.
        there = [scene for scene in scenes if scene.tracked_poses is not None] or scenes[:1]
        for scene in there:
            for path in tracked_paths(scene):
                yield scene, path, None
        return
    motion = MotionPredictor(source)
    file = find_weights(source)
    scale = stored_scale(read_weights(file)[1], origin=str(file))
    with bars(show=show_progress) as bar:
        for scene in scenes:
            task = bar.add_task(scene.name, total=len(scene) // motion.gap)

            def advance(task: Any = task) -> None:
                bar.update(task, advance=1)

            path = predicted_path(scene, motion, advance)
            yield scene, path, scale.metres_per_unit if scale else None


def _print(results: Sequence[PathResult]) -> None:
    table = Table(title="path of the camera; ATE over all frames, RPE from step to step, RMSE")
    heads = ("scene", "frames", "step", "way m", "alignment", "scale", "ATE m", "RPE m", "RPE deg")
    for head in heads:
        table.add_column(head, justify="left" if head in ("scene", "alignment") else "right")
    for result in results:
        for e in result.errors:
            path = (result.name, str(result.frames), str(result.step), f"{result.metres:.1f}")
            rpe = (f"{e.rpe_translation:.4f}", f"{e.rpe_degrees:.3f}")
            table.add_row(*path, e.align, f"{e.scale:.4g}", f"{e.ate:.3f}", *rpe)
    table_console().print(table)


def _write(
    out: Path,
    source: str,
    results: Sequence[PathResult],
    drawn: Sequence[tuple[str, Any, dict[str, Any]]],
) -> None:
    """Write `odometry.json`, and a picture of each path."""
    names = [re.sub(", | |/", "-", name) for name, _, _ in drawn]
    pictures = [out / f"{name}.png" for name in names]
    check_own([out / RESULT, *pictures], OTHER_FOLDER)
    sweep(out, {RESULT, *(path.name for path in pictures)}.__contains__)
    out.mkdir(parents=True, exist_ok=True)
    content = {"source": source, "paths": [asdict(result) for result in results]}
    with recorded():
        write_json(out / RESULT, content)
        for path, (name, true, aligned) in zip(pictures, drawn, strict=True):
            plot_paths(path, name, true, aligned)
