"""`ssmde scale`: how many metres a scene unit is, found once and stored with the weights."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ssmde.console import bars, counted
from ssmde.data.scene_folder import Split, read_scenes
from ssmde.inference.loading import MotionPredictor, find_weights, load
from ssmde.inference.predictor import Predictor
from ssmde.models.checkpoint import MetricScale, read_weights, save_weights, with_scale
from ssmde.outputs import adding_to, sweep
from ssmde.scaling.estimates import join_estimates
from ssmde.scaling.frames import (
    Asked,
    from_camera_height,
    from_poses,
    from_speed,
)
from ssmde.scaling.points import MeasuredPoint, depth_at, read_points

FRAMES = 100  # that are looked at, evenly spread


def scale(
    weights: str | Path,
    data: str | Path | None = None,
    *,
    camera_height: float | None = None,
    speed: float | None = None,
    poses: bool = False,
    points: str | Path | None = None,
    split: Split = "all",
    max_frames: int = FRAMES,
    out: str | Path | None = None,
    show_progress: bool = True,
) -> MetricScale:
    """Find the factor from scene units to metres and store it with the weights.

    Exactly one of `camera_height`, `speed`, `poses` and `points` says where the metres come from.
    The file is written anew, whole or not at all; the networks in it stay as they are.

    Args:
        weights: Weights file, or run folder: its best weights.
        data: Folder of scene folders; all but `points` need it.
        camera_height: Metres of the camera over the ground that it sees.
        speed: Mean speed of the camera, in metres a second; needs the pose network and the times of
            the frames.
        poses: Take the poses.txt of the scenes, in metres.
        points: File of lines `image,u,v,metres`: places whose distance was measured.
        split: Part of `data` to look at.
        max_frames: Look at most at so many frames, evenly spread.
        out: File to write; by default the weights themselves.
        show_progress: Draw a progress bar.

    Raises:
        FileExistsError: If `out` is there and holds something else than these weights.
        FileNotFoundError: If weights, data or points do not exist.
        ValueError: If what is given does not tell a scale; the message says why.
    """
    _check(camera_height, speed, poses, points, data)
    file = find_weights(weights)
    if out is None and not Path(weights).exists():
        raise ValueError(
            f"the scale of {str(weights)!r} cannot be stored in the package or in the cache: give "
            "--out FILE, where the weights go with it"
        )
    tensors, metadata = read_weights(file)
    target = Path(out) if out else file
    _check_target(target, file, tensors)
    sweep(target.parent, target.name.__eq__)
    predictor = load(file)
    if points is not None:
        measured = read_points(Path(points))
        found = join_estimates(_from_points(predictor, measured), _count(measured, points))
    else:
        assert data is not None
        scenes = read_scenes(Path(data), split)
        with bars(show=show_progress) as bar:
            task = bar.add_task("scale", total=1.0)

            def advance(done: float) -> None:
                bar.update(task, completed=done)

            asked = Asked(
                scenes=scenes,
                predictor=predictor,
                max_frames=max_frames,
                advance=advance,
            )
            found = _from_scenes(asked, file, camera_height, speed)
    with adding_to(target):
        save_weights(target, tensors, with_scale(metadata, found))
    return found


def _check_target(target: Path, file: Path, tensors: Mapping[str, Tensor]) -> None:
    """Refuse to write over anything but these weights, with another scale or none."""
    if not os.path.lexists(target) or (target.exists() and os.path.samefile(target, file)):
        return
    try:
        there = read_weights(target)[0] if target.suffix == file.suffix else {}
    except ValueError:
        there = {}
    if there.keys() != tensors.keys() or any(
        not torch.equal(there[key], tensors[key]) for key in there
    ):
        raise FileExistsError(
            f"{target}: exists and holds something else than {file}: give another name with --out"
        )


def _from_scenes(
    asked: Asked, file: Path, camera_height: float | None, speed: float | None
) -> MetricScale:
    if camera_height is not None:
        estimates = from_camera_height(asked, camera_height)
        source = f"the camera {camera_height:g} m over the ground"
        why = "no frame shows level ground in its lower part"
    elif speed is not None:
        estimates = from_speed(asked, speed, MotionPredictor(file))
        source = f"a speed of {speed:g} m/s"
        why = "the pose network saw no motion"
    else:
        estimates = from_poses(asked)
        source = "known poses"
        why = "at no factor does the known motion explain the images: is it in metres and moving?"
    if not estimates:
        raise ValueError(f"no scale from {source}: {why}")
    return join_estimates(estimates, f"{source}, {counted(len(estimates), 'estimate')}")


def _from_points(predictor: Predictor, points: Sequence[MeasuredPoint]) -> list[float]:
    """Metres per unit, one estimate a point."""
    depths = {
        image: predictor.predict(image).depth / (predictor.metres_per_unit or 1.0)
        for image in dict.fromkeys(point.image for point in points)
    }
    found = list[float]()
    for point in points:
        try:
            found.append(point.metres / depth_at(depths[point.image], point.u, point.v))
        except ValueError as error:
            raise ValueError(f"{point.where}: {error}") from error
    return found


def _count(points: Sequence[MeasuredPoint], path: str | Path) -> str:
    images = len({point.image for point in points})
    return f"{counted(len(points), 'point')} in {counted(images, 'image')} of {Path(path).name}"


def _check(
    camera_height: float | None,
    speed: float | None,
    poses: bool,
    points: str | Path | None,
    data: str | Path | None,
) -> None:
    given = [name for name, value in {
        "camera height": camera_height, "speed": speed, "poses": poses or None, "points": points,
    }.items() if value is not None]  # fmt: skip
    if len(given) != 1:
        raise ValueError(
            "a scale needs one source of metres, camera height, speed, poses or points, got "
            f"{' and '.join(given) or 'none'}"
        )
    for name, value in (("camera height", camera_height), ("speed", speed)):
        if value is not None and not 0 < value < float("inf"):
            raise ValueError(f"{name} must be positive, in metres, got {value:g}")
    if points is None and data is None:
        raise ValueError(f"{given[0]} needs DATA, the folder of scene folders to look at")
