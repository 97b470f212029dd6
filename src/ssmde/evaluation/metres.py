"""How many metres a scene unit is, found once and stored with the weights."""

import math
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64
from scipy import ndimage

from ssmde.console import counted, shorten, with_bar
from ssmde.data.dataset import spread
from ssmde.data.images import ImageError, read_image, resize_image
from ssmde.data.motion import turn_degrees
from ssmde.data.scene_folder import Split, read_scenes
from ssmde.data.sequence import FrameSequence, scaled_intrinsics
from ssmde.evaluation.frames import SceneFrame, evenly, frames_of
from ssmde.inference.loading import find_weights, load
from ssmde.inference.predictor import Predictor
from ssmde.io import read_table
from ssmde.methods.self_supervised import compare
from ssmde.metrics import fit_ground
from ssmde.models.checkpoint import MetricScale, read_weights, save_weights, with_scale
from ssmde.outputs import adding_to, sweep

BLOCKS = 10  # parts in time whose medians are compared: neighboring frames err alike
FEWEST_BLOCKS = 3  # for a standard error; with fewer the spread stands for it
MIDDLE = (0.16, 0.84)  # quantiles: one standard deviation to either side of a normal distribution
LEAST_DOWN = 0.7  # cosine between the ground's normal and the camera's y axis: 45 degrees
GAPS = (-1, 1, -4, 4)  # frames from a frame to those it is rebuilt from
LARGEST_TURN = 20.0  # degrees between the two; beyond, they hardly show the same
FRAMES_FOR_COARSE = 8
NEAREST, FARTHEST = 0.3, 300.0  # metres between which the middle of a scene lies
COARSE_STEP = 1.35
FINE_STEP = 1.04
FINE_STEPS = 9  # to either side of the best coarse factor: 42 % more or less
LEAST_SEEN = 0.4  # share of the pixels that must stay in view, or the error says nothing
COLUMNS = "image,u,v,metres"
Estimates = list[float]  # of the metres of a scene unit, in the order of time


class View(NamedTuple):
    """A frame whose neighbors have known motion."""

    middle: float  # median of its depth, in scene units
    error: Callable[[float], float]
    """Photometric error of the frame rebuilt from its neighbors with this factor on its depth;
    infinite where they see too few of its pixels."""


class MeasuredPoint(NamedTuple):
    """A pixel whose depth is known, and the line that says it."""

    where: str
    image: Path
    u: float
    v: float
    metres: float


def scale(
    weights: str | Path,
    data: str | Path | None = None,
    *,
    camera_height: float | None = None,
    poses: bool = False,
    points: str | Path | None = None,
    split: Split = "all",
    max_frames: int = 100,
    out: str | Path | None = None,
) -> MetricScale:
    """Find how many metres a scene unit is, and store it with the weights.

    Metres come from one of: the height of the camera, its poses, or measured points. Then ssmde
    predict writes depth in metres. The networks in the file stay as they are.

    Example:
      ssmde scale runs/ss_mde data --camera-height 1.65
      ssmde scale runs/ss_mde data --poses
      ssmde scale runs/ss_mde --points points.csv

    Args:
        weights: Weights file, folder of a run, hf:OWNER/NAME or a released name; the last two with
            --out.
        data: Folder of scene folders, or one scene folder (not with --points).
        camera_height: Height of the camera over the ground it sees, in metres.
        poses: The scenes have poses.txt, in metres.
        points: Lines image,u,v,metres: pixels whose depth was measured; images lie beside the file.
        split: Part of DATA to look at.
        max_frames: Look at most at so many frames, evenly spread.
        out: New weights file to write; by default WEIGHTS itself, written anew.

    Raises:
        FileExistsError: If `out` is there.
        FileNotFoundError: If weights, data or points do not exist.
        ValueError: If what is given does not tell a scale; the message says why.
    """
    sources = {"camera height": camera_height, "poses": poses or None, "points": points}
    given = [name for name, value in sources.items() if value is not None]
    if len(given) != 1:
        raise ValueError(
            "a scale needs one source of metres, camera height, poses or points, got "
            f"{' and '.join(given) or 'none'}"
        )
    if camera_height is not None and not 0 < camera_height < math.inf:
        raise ValueError(f"camera height must be positive, in metres, got {camera_height:g}")
    if points is None and data is None:
        raise ValueError(f"{given[0]} needs DATA, the folder of scene folders to look at")
    file = find_weights(weights)
    if out is None and not Path(weights).exists():
        raise ValueError(
            f"the scale of {str(weights)!r} cannot be stored in the package or in the cache: give "
            "--out FILE, where the weights go with it"
        )
    target = Path(out) if out else file
    if os.path.lexists(target) and not (target.exists() and os.path.samefile(target, file)):
        raise FileExistsError(f"{target}: exists: give another name with --out, or delete it")
    tensors, metadata = read_weights(file)
    sweep(target.parent, target.name.__eq__)
    predictor = load(file)
    if points is not None:
        found = _from_points(predictor, Path(points))
    else:
        frames = evenly(frames_of(read_scenes(Path(data or ""), split)), max_frames)
        if camera_height is not None:
            source = f"the camera {camera_height:g} m over the ground"
            why = "no frame shows level ground in its lower part"
            estimates = _from_camera_height(predictor, frames, camera_height)
        else:
            source = "known poses"
            why = "at no factor does the known motion explain the images: is it in metres, moving?"
            estimates = _from_poses(predictor, frames)
        if not estimates:
            raise ValueError(f"no scale from {source}: {why}")
        found = join_estimates(estimates, f"{source}, {counted(len(estimates), 'estimate')}")
    with adding_to(target):
        save_weights(target, tensors, with_scale(metadata, found))
    return found


def join_estimates(estimates: Sequence[float], source: str) -> MetricScale:
    """The median of estimates of one factor, with its standard error and their spread.

    Spread: half of the logarithmic width of the middle 68 %. Standard error: estimates of
    neighboring frames share their mistakes, so the n estimates are no n measurements; they are cut
    in time into ten blocks of equal length, and the standard error is that of the mean of the
    blocks' medians, of which 1.25 (sqrt(pi / 2)) is that of their median.
    """
    logs = np.log(np.asarray(estimates, dtype=np.float64))
    spread = error = None
    if logs.size > 1:
        low, high = np.quantile(logs, MIDDLE)
        spread = error = float(np.expm1((high - low) / 2))
        medians = [np.median(part) for part in np.array_split(logs, min(BLOCKS, logs.size))]
        if len(medians) >= FEWEST_BLOCKS:
            deviation = np.std(medians, ddof=1) / math.sqrt(len(medians))
            error = float(math.sqrt(math.pi / 2) * deviation)
    return MetricScale(
        metres_per_unit=float(np.median(estimates)), error=error, spread=spread,
        estimates=len(estimates), source=source,
    )  # fmt: skip


def _camera(predictor: Predictor, scene: FrameSequence) -> Float64[np.ndarray, "3 3"]:
    """Pinhole matrix in pixels of the network's size."""
    if scene.intrinsics is None:
        raise ValueError(
            f"scene '{scene.name}': its camera is unknown; write the 3 x 3 matrix to "
            f"{scene.images[0].parent / 'cam.txt'}, or measure a few points"
        )
    seen = predictor.size_for(scene.image_size)
    down, across = (new / old for new, old in zip(seen, scene.image_size, strict=True))
    return scaled_intrinsics(scene.intrinsics, across, down)


def _from_camera_height(
    predictor: Predictor, frames: Sequence[SceneFrame], height: float
) -> Estimates:
    """One estimate from each frame that shows ground."""
    found, unit = Estimates(), predictor.metres_per_unit or 1.0
    for frame in with_bar(frames, "scale"):
        with suppress(ImageError):
            depth = predictor.network_depth(read_image(frame.image)) / unit
            measured = height_over_ground(depth, _camera(predictor, frame.scene))
            found += [] if measured is None else [height / measured]
    return found


def height_over_ground(
    depth: Float[np.ndarray, "h w"], intrinsics: Float[np.ndarray, "3 3"]
) -> float | None:
    """Distance of the camera from the ground plane, in the unit of the depth; None without ground.

    On a plane m . X = 1 the disparity is linear in the pixel p, 1 / z = (K^T)^-1 m . p, and the
    distance of the plane from the camera is 1 / |m|. The ground is that of `metrics/holes.py`;
    a plane that stands up more than it lies down is none.
    """
    found = fit_ground(depth, np.zeros(depth.shape, dtype=bool))
    if found is None:
        return None
    a, b, c = found.tolist()
    height, width = depth.shape
    per_pixel = np.array([2 * a / (width - 1), 2 * b / (height - 1), c - a - b])
    plane = intrinsics.T @ per_pixel
    length = float(np.linalg.norm(plane))
    return 1 / length if plane[1] > LEAST_DOWN * length else None


def _from_poses(predictor: Predictor, frames: Sequence[SceneFrame]) -> Estimates:
    """One estimate from each frame whose neighbors have poses.

    It is the factor at which the known motion makes the depth explain the images: first one for
    all, of those that put the middle of the scene at 0.3 to 300 m, then that of each frame near it.
    """
    if all(frame.scene.poses is None for frame in frames):
        raise ValueError(
            "no scene has a poses.txt: give the camera height or points, or write the poses"
        )
    views = list[View]()
    for frame in with_bar(frames, "depth"):
        with suppress(ImageError):
            view = _view(predictor, frame)
            views += [view] if view else []
    if not views:
        return []
    few = [views[i] for i in spread(len(views), FRAMES_FOR_COARSE)]
    count = int(np.log(FARTHEST / NEAREST) / np.log(COARSE_STEP)) + 2
    middle = np.median([view.middle for view in few])
    factors = (NEAREST / middle * COARSE_STEP ** np.arange(float(count))).tolist()
    curve = np.mean([[view.error(factor) for factor in factors] for view in few], axis=0)
    best = int(np.argmin(curve))
    if best in (0, count - 1):
        return []
    near = factors[best] * FINE_STEP ** np.arange(-FINE_STEPS, FINE_STEPS + 1.0)
    found = Estimates()
    for view in with_bar(views, "scale"):
        curve = np.array([view.error(factor) for factor in near.tolist()])
        best = int(np.argmin(curve))
        if best in (0, len(curve) - 1) or not np.isfinite(curve[best - 1 : best + 2]).all():
            continue
        before, here, after = curve[best - 1 : best + 2]  # a parabola through the smallest
        bend = before - 2 * here + after
        offset = 0.5 * (before - after) / bend if bend > 0 else 0.0
        found.append(float(near[best] * FINE_STEP**offset))
    return found


def _view(predictor: Predictor, frame: SceneFrame) -> View | None:
    """A frame with neighbors whose motion in metres is known; None if it is none."""
    scene, index = frame.scene, frame.index
    if scene.poses is None:
        return None
    poses = scene.poses.astype(np.float64)
    motion = {
        other: moved
        for other in (index + gap for gap in GAPS if 0 <= index + gap < len(scene))
        if np.isfinite(moved := np.linalg.inv(poses[other]) @ poses[index]).all()
        and turn_degrees(moved[:3, :3]) <= LARGEST_TURN
        and np.linalg.norm(moved[:3, 3]) > 0
    }
    if not motion:
        return None
    pixels = [read_image(scene.images[i]) for i in (index, *motion)]
    size, n = predictor.size_for(pixels[0].shape), len(motion)
    images = np.stack([resize_image(view, size) for view in pixels])
    views = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    target, sources = views[:1].expand(n, -1, -1, -1), views[1:]
    known = predictor.network_depth(pixels[0]) / (predictor.metres_per_unit or 1.0)
    depth = torch.from_numpy(known).float()
    matrices = (np.stack(list(motion.values())), _camera(predictor, scene))
    T, K = (torch.from_numpy(matrix).float() for matrix in matrices)

    def error(factor: float) -> float:
        at = (factor * depth).expand(n, 1, -1, -1)
        errors, _, visible = compare(target, sources, at, T, K.expand(n, 3, 3))
        seen = visible.double()
        if float(seen.mean()) < LEAST_SEEN:
            return math.inf
        return float((errors * seen).sum() / seen.sum())

    return View(depth.median().item(), error)


def _from_points(predictor: Predictor, file: Path) -> MetricScale:
    """One estimate a point."""
    points, found, unit = read_points(file), Estimates(), predictor.metres_per_unit or 1.0
    images = dict.fromkeys(point.image for point in points)
    depths = {image: predictor.predict(image).depth / unit for image in images}
    for point in points:
        try:
            found.append(point.metres / depth_at(depths[point.image], point.u, point.v))
        except ValueError as error:
            raise ValueError(f"{point.where}: {error}") from error
    where = f"{counted(len(points), 'point')} in {counted(len(images), 'image')}"
    return join_estimates(found, f"{where} of {file.name}")


def read_points(path: Path) -> list[MeasuredPoint]:
    """The lines `image,u,v,metres` of a file; images are found from its folder.

    A first line with the names of the columns may be there; lines that begin with # are remarks. A
    FileNotFoundError for a file or an image that does not exist, a ValueError for a wrong line.
    """
    found = list[MeasuredPoint]()
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of points, lines {COLUMNS}")
    for number, row in enumerate(read_table(path), 1):
        words, where = [word.strip() for word in row], f"{path}, line {number}"
        if not any(words) or words[0].startswith("#") or ",".join(words) == COLUMNS:
            continue
        try:
            name, u, v, metres = words[0], *map(float, words[1:])
        except ValueError as error:
            got = shorten(repr(",".join(words)))
            raise ValueError(
                f"{where}: expected {COLUMNS}, the last three numbers, got {got}"
            ) from error
        if not 0 < metres < math.inf:
            raise ValueError(f"{where}: metres must be positive, got {metres:g}")
        if not (image := path.parent / name).is_file():
            raise FileNotFoundError(f"{where}: no such image {image}")
        found.append(MeasuredPoint(where, image, u, v, metres))
    if not found:
        raise ValueError(f"{path}: holds no point; write lines {COLUMNS}")
    return found


def depth_at(depth: Float[np.ndarray, "h w"], u: float, v: float) -> float:
    """Depth at column u, row v, bilinear between pixels; a ValueError outside the image."""
    height, width = depth.shape
    if not (0 <= u <= width - 1 and 0 <= v <= height - 1):
        raise ValueError(
            f"point ({u:g}, {v:g}) is outside an image of {width} x {height}: u is the column, "
            f"0 to {width - 1}, v the row, 0 to {height - 1}"
        )
    return float(ndimage.map_coordinates(depth.astype(np.float64), [[v], [u]], order=1)[0])
