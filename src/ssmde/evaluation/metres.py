"""How many metres a scene unit is, found once and stored with the weights."""

import math
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64, UInt8
from scipy import ndimage
from torch import Tensor

from ssmde.console import counted, shorten, with_bar
from ssmde.data.dataset import spread
from ssmde.data.images import ImageError, read_image, resize_image
from ssmde.data.motion import turn_degrees
from ssmde.data.scene_folder import Split, read_scenes
from ssmde.data.sequence import FrameSequence
from ssmde.geometry.camera import scale_intrinsics
from ssmde.geometry.ground import fit_ground
from ssmde.inference.loading import MotionPredictor, find_weights, load
from ssmde.inference.predictor import Predictor
from ssmde.io import read_table
from ssmde.methods.self_supervised import compare
from ssmde.models.checkpoint import MetricScale, read_weights, save_weights, with_scale
from ssmde.outputs import adding_to, sweep

BLOCKS = 10  # parts in time whose medians are compared: neighboring frames err alike
FEWEST_BLOCKS = 3  # for a standard error; with fewer the spread stands for it
MIDDLE = (0.16, 0.84)  # quantiles: one standard deviation to either side of a normal distribution
LEAST_DOWN = 0.7  # cosine between the ground's normal and the camera's y axis: 45 degrees
GAPS = (1, 4)  # frames between a frame and those it is rebuilt from, to either side
LARGEST_TURN = 20.0  # degrees between the two; beyond, they hardly show the same
FRAMES_FOR_COARSE = 8
NEAREST, FARTHEST = 0.3, 300.0  # metres between which the middle of a scene lies
COARSE_STEP = 1.35
FINE_STEP = 1.04
FINE_STEPS = 9  # to either side of the best coarse factor: 42 % more or less
LEAST_SEEN = 0.4  # share of the pixels that must stay in view, or the error says nothing
PARTS_OF_WAY = 10  # of a video whose speed is known: each is one estimate
COLUMNS = ("image", "u", "v", "metres")


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredScale(MetricScale):
    """A scale with the weights it was stored in; `str()` of it is what `ssmde scale` prints."""

    weights: Path

    def __str__(self) -> str:
        """The number with its error bar, and what comes next."""
        next_ = f"stored; next: ssmde predict {shlex.quote(str(self.weights))} INPUT OUT, in metres"
        return f"{MetricScale.__str__(self)}\n{next_}"


class ScaleInputs(NamedTuple):
    """What is looked at, and by what."""

    scenes: Sequence[FrameSequence]
    predictor: Predictor
    max_frames: int

    def frames(self) -> list[tuple[FrameSequence, int]]:
        """At most `max_frames` frames of all scenes, evenly spread."""
        every = [(scene, i) for scene in self.scenes for i in range(len(scene))]
        return [every[i] for i in spread(len(every), self.max_frames)]

    def depth(self, pixels: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "k m"]:
        """Depth in scene units, at the size of the network."""
        return self.predictor.network_depth(pixels) / (self.predictor.metres_per_unit or 1.0)

    def intrinsics(self, scene: FrameSequence) -> Float64[np.ndarray, "3 3"]:
        """Pinhole matrix in pixels of the network's size; a ValueError if nobody knows it."""
        if scene.intrinsics is None:
            raise ValueError(
                f"scene '{scene.name}': its camera is unknown; write the 3 x 3 matrix to "
                f"{scene.images[0].parent / 'cam.txt'}, or measure a few points"
            )
        seen = self.predictor.size_for(scene.image_size)
        down, across = (new / old for new, old in zip(seen, scene.image_size, strict=True))
        camera = torch.from_numpy(scene.intrinsics.astype(np.float64))
        return scale_intrinsics(camera, across, down).numpy()


class View(NamedTuple):
    """A frame in scene units, and other frames of its video; images are RGB in [0, 1]."""

    target: Float[Tensor, "1 3 h w"]
    others: Float[Tensor, "n 3 h w"]
    depth: Float[Tensor, "1 1 h w"]
    T_other_target: Float[Tensor, "n 4 4"]  # in metres
    intrinsics: Float[Tensor, "1 3 3"]


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
    speed: float | None = None,
    poses: bool = False,
    points: str | Path | None = None,
    split: Split = "all",
    max_frames: int = 100,
    out: str | Path | None = None,
) -> StoredScale:
    """Find how many metres a scene unit is, and store it with the weights.

    Metres come from one of: the height of the camera, its speed, its poses, or measured points.
    Then ssmde predict writes depth in metres. The networks in the file stay as they are.

    Example:
      ssmde scale runs/ss_mde data --camera-height 1.65
      ssmde scale runs/ss_mde data --poses
      ssmde scale runs/ss_mde --points points.csv

    Args:
        weights: Weights file, folder of a run, hf:OWNER/NAME or a released name; the last two with
            --out.
        data: Folder of scene folders, or one scene folder (not with --points).
        camera_height: Height of the camera over the ground it sees, in metres.
        speed: Mean speed of the camera, in metres a second; needs times and the pose network.
        poses: The scenes have poses.txt, in metres.
        points: Lines image,u,v,metres: pixels whose depth was measured; images lie beside the file.
        split: Part of DATA to look at.
        max_frames: Look at most at so many frames, evenly spread.
        out: Weights file to write; by default WEIGHTS itself.

    Raises:
        FileExistsError: If `out` is there and holds something else than these weights.
        FileNotFoundError: If weights, data or points do not exist.
        ValueError: If what is given does not tell a scale; the message says why.
    """
    given = {"camera height": camera_height, "speed": speed, "poses": poses or None}
    _check(given | {"points": points}, data)
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
        found = _from_points(predictor, Path(points))
    else:
        inputs = ScaleInputs(read_scenes(Path(data or ""), split), predictor, max_frames)
        found = _from_scenes(inputs, file, camera_height, speed)
    with adding_to(target):
        save_weights(target, tensors, with_scale(metadata, found))
    return StoredScale(**asdict(found), weights=Path(out or weights))


def _check(sources: Mapping[str, object], data: str | Path | None) -> None:
    given = {name: value for name, value in sources.items() if value is not None}
    if len(given) != 1:
        raise ValueError(
            "a scale needs one source of metres, camera height, speed, poses or points, got "
            f"{' and '.join(given) or 'none'}"
        )
    [(name, value)] = given.items()
    if isinstance(value, float | int) and not 0 < value < float("inf"):
        raise ValueError(f"{name} must be positive, in metres, got {value:g}")
    if name != "points" and data is None:
        raise ValueError(f"{name} needs DATA, the folder of scene folders to look at")


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
    inputs: ScaleInputs, file: Path, camera_height: float | None, speed: float | None
) -> MetricScale:
    if camera_height is not None:
        estimates = from_camera_height(inputs, camera_height)
        source = f"the camera {camera_height:g} m over the ground"
        why = "no frame shows level ground in its lower part"
    elif speed is not None:
        estimates = from_speed(inputs, speed, MotionPredictor(file))
        source = f"a speed of {speed:g} m/s"
        why = "the pose network saw no motion"
    else:
        estimates = from_poses(inputs)
        source = "known poses"
        why = "at no factor does the known motion explain the images: is it in metres and moving?"
    if not estimates:
        raise ValueError(f"no scale from {source}: {why}")
    return join_estimates(estimates, f"{source}, {counted(len(estimates), 'estimate')}")


def join_estimates(estimates: Sequence[float], source: str) -> MetricScale:
    """The median of estimates of one factor, with its standard error and their spread.

    Spread: half of the logarithmic width of the middle 68 %. Standard error: estimates of
    neighboring frames share their mistakes, so the n estimates are no n measurements; they are cut
    in time into ten blocks of equal length, and the standard error is that of the mean of the
    blocks' medians, of which 1.25 (sqrt(pi / 2)) is that of their median.

    Estimates are metres per scene unit, in the order of time, positive; `source` is words.
    """
    values = np.asarray(estimates, dtype=np.float64)
    spread = error = None
    if values.size > 1:
        low, high = np.quantile(np.log(values), MIDDLE)
        spread = error = float(np.expm1((high - low) / 2))
        parts = np.array_split(np.log(values), min(BLOCKS, values.size))
        if len(parts) >= FEWEST_BLOCKS:
            medians = [float(np.median(part)) for part in parts]
            deviation = np.std(medians, ddof=1) / math.sqrt(len(medians))
            error = float(math.sqrt(math.pi / 2) * deviation)
    return MetricScale(
        metres_per_unit=float(np.median(values)), error=error, spread=spread,
        estimates=int(values.size), source=source,
    )  # fmt: skip


def from_camera_height(inputs: ScaleInputs, height: float) -> list[float]:
    """Metres per unit, one estimate from each frame that shows ground."""
    found = list[float]()
    for scene, index in with_bar(inputs.frames(), "scale"):
        with suppress(ImageError):
            depth = inputs.depth(read_image(scene.images[index]))
            measured = height_over_ground(depth, inputs.intrinsics(scene))
            found += [] if measured is None else [height / measured]
    return found


def height_over_ground(
    depth: Float[np.ndarray, "h w"], intrinsics: Float[np.ndarray, "3 3"]
) -> float | None:
    """Distance of the camera from the ground plane, in the unit of the depth; None without ground.

    On a plane m . X = 1 the disparity is linear in the pixel p, 1 / z = (K^T)^-1 m . p, and the
    distance of the plane from the camera is 1 / |m|. The ground is that of `geometry/ground.py`;
    a plane that stands up more than it lies down is none.
    """
    maps = torch.from_numpy(depth.astype(np.float64))[None, None]
    found = fit_ground(maps, torch.zeros_like(maps, dtype=torch.bool))
    if found is None:
        return None
    a, b, c = found.tolist()
    height, width = depth.shape
    per_pixel = np.array([2 * a / (width - 1), 2 * b / (height - 1), c - a - b])
    plane = intrinsics.T @ per_pixel
    length = float(np.linalg.norm(plane))
    return 1 / length if plane[1] > LEAST_DOWN * length else None


def from_speed(inputs: ScaleInputs, speed: float, motion: MotionPredictor) -> list[float]:
    """Metres per unit: the true way over the way the pose network saw, for each part of a video.

    A ValueError if a scene has no times.
    """
    found = list[float]()
    for scene in inputs.scenes:
        if scene.timestamps is None:
            raise ValueError(
                f"scene '{scene.name}': a speed needs times; write fps to "
                f"{scene.images[0].parent / 'scene.json'}"
            )
        starts = range(0, len(scene) - motion.gap, motion.gap)
        chosen = [starts[k] for k in spread(len(starts), inputs.max_frames)]
        rows = list[tuple[float, float]]()
        for i in with_bar(chosen, scene.name):
            with suppress(ImageError):
                views = [motion.see(read_image(scene.images[j])) for j in (i, i + motion.gap)]
                seconds = float(scene.timestamps[i + motion.gap] - scene.timestamps[i])
                rows.append((speed * seconds, float(np.linalg.norm(motion(*views)[:3, 3]))))
        for part in np.array_split(np.array(rows).reshape(-1, 2), PARTS_OF_WAY):
            true, seen = part.sum(0).tolist()
            found += [true / seen] if seen > 0 and true > 0 else []
    return found


def from_poses(inputs: ScaleInputs) -> list[float]:
    """Metres per unit, one estimate from each frame whose neighbors have poses.

    It is the factor at which the known motion makes the depth explain the images. A ValueError if
    no scene has poses.
    """
    if all(scene.poses is None for scene in inputs.scenes):
        raise ValueError(
            "no scene has a poses.txt: give camera height, speed or points, or write the poses"
        )
    views = list(_views(inputs))
    middle = coarse_factor([views[i] for i in spread(len(views), FRAMES_FOR_COARSE)])
    if middle is None:
        return []
    factors = (fine_factor(view, middle) for view in with_bar(views, "scale"))
    return [factor for factor in factors if factor is not None]


def _views(inputs: ScaleInputs) -> Iterator[View]:
    """Frames with neighbors whose motion in metres is known."""
    for scene, index in with_bar(inputs.frames(), "depth"):
        others = _others(scene, index)
        if not others:
            continue
        poses = scene.poses
        assert poses is not None
        try:
            pixels = [read_image(scene.images[i]) for i in (index, *others)]
        except ImageError:
            continue
        size = inputs.predictor.size_for(pixels[0].shape)
        images = np.stack([resize_image(view, size) for view in pixels])
        batch = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        T = np.linalg.inv(poses[others].astype(np.float64)) @ poses[index]
        depth = torch.from_numpy(inputs.depth(pixels[0]))[None, None].float()
        camera = torch.from_numpy(inputs.intrinsics(scene))[None].float()
        yield View(batch[:1], batch[1:], depth, torch.from_numpy(T).float(), camera)


def _others(scene: FrameSequence, index: int) -> list[int]:
    """Neighbors whose motion is known, is some, and is no large turn."""
    poses = scene.poses
    if poses is None or not np.isfinite(poses[index]).all():
        return []
    found = list[int]()
    for other in (index + sign * gap for gap in GAPS for sign in (-1, 1)):
        if not 0 <= other < len(scene) or not np.isfinite(poses[other]).all():
            continue
        T = np.linalg.inv(poses[other].astype(np.float64)) @ poses[index]
        if turn_degrees(T[:3, :3]) <= LARGEST_TURN and np.linalg.norm(T[:3, 3]) > 0:
            found.append(other)
    return found


def photometric_curve(view: View, factors: Float64[np.ndarray, " k"]) -> Float64[np.ndarray, " k"]:
    """Photometric error of the target rebuilt from the others, for each factor on its depth.

    The mean over the pixels that the others see; infinite where they see too few.
    """
    n = len(view.others)
    curve = np.full(len(factors), np.inf)
    for place, factor in enumerate(factors.tolist()):
        maps = compare(
            view.target.expand(n, -1, -1, -1), view.others,
            (factor * view.depth).expand(n, -1, -1, -1), view.T_other_target,
            view.intrinsics.expand(n, -1, -1),
        )  # fmt: skip
        seen = maps.visible.double()
        if float(seen.mean()) >= LEAST_SEEN:
            curve[place] = float((maps.error * seen).sum() / seen.sum())
    return curve


def coarse_factor(views: Sequence[View]) -> float | None:
    """The factor of the smallest mean error over a few frames; None if the frames tell none.

    Tried are those that put the middle of the scene at 0.3 to 300 m.
    """
    if not views:
        return None
    middle = float(np.median([view.depth.median().item() for view in views]))
    count = int(np.log(FARTHEST / NEAREST) / np.log(COARSE_STEP)) + 2
    factors = NEAREST / middle * COARSE_STEP ** np.arange(float(count))
    curve = np.mean([photometric_curve(view, factors) for view in views], axis=0)
    best = int(np.argmin(curve))
    return None if best in (0, count - 1) else float(factors[best])


def fine_factor(view: View, near: float) -> float | None:
    """The factor of one frame, by a parabola through the smallest errors; None if it is not near.

    `near` is the factor of the whole video, to a third.
    """
    factors = near * FINE_STEP ** np.arange(-FINE_STEPS, FINE_STEPS + 1.0)
    curve = photometric_curve(view, factors)
    best = int(np.argmin(curve))
    if best in (0, len(curve) - 1) or not np.isfinite(curve[best - 1 : best + 2]).all():
        return None
    before, here, after = curve[best - 1 : best + 2]
    bend = before - 2 * here + after
    offset = 0.5 * (before - after) / bend if bend > 0 else 0.0
    return float(factors[best] * FINE_STEP**offset)


def _from_points(predictor: Predictor, file: Path) -> MetricScale:
    """Metres per unit, one estimate a point."""
    points, found = read_points(file), list[float]()
    depths = {
        image: predictor.predict(image).depth / (predictor.metres_per_unit or 1.0)
        for image in dict.fromkeys(point.image for point in points)
    }
    for point in points:
        try:
            found.append(point.metres / depth_at(depths[point.image], point.u, point.v))
        except ValueError as error:
            raise ValueError(f"{point.where}: {error}") from error
    where = f"{counted(len(points), 'point')} in {counted(len(depths), 'image')}"
    return join_estimates(found, f"{where} of {file.name}")


def read_points(path: Path) -> list[MeasuredPoint]:
    """The lines `image,u,v,metres` of a file; images are found from its folder.

    A first line with the names of the columns may be there; lines that begin with # are remarks. A
    FileNotFoundError for a file or an image that does not exist, a ValueError for a wrong line.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of points, lines {','.join(COLUMNS)}")
    found = list[MeasuredPoint]()
    for number, row in enumerate(read_table(path), 1):
        words = [word.strip() for word in row]
        if not any(words) or words[0].startswith("#") or words == list(COLUMNS):
            continue
        found.append(_point(path, f"{path}, line {number}", words))
    if not found:
        raise ValueError(f"{path}: holds no point; write lines {','.join(COLUMNS)}")
    return found


def _point(path: Path, where: str, words: list[str]) -> MeasuredPoint:
    if len(words) != len(COLUMNS):
        raise ValueError(f"{where}: expected {','.join(COLUMNS)}, got {shorten(','.join(words))!r}")
    try:
        u, v, metres = (float(word) for word in words[1:])
    except ValueError as error:
        raise ValueError(
            f"{where}: u, v and metres are numbers, got {shorten(repr(words[1:]))}"
        ) from error
    if not 0 < metres < float("inf"):
        raise ValueError(f"{where}: metres must be positive, got {metres:g}")
    image = path.parent / words[0]
    if not image.is_file():
        raise FileNotFoundError(f"{where}: no such image {image}")
    return MeasuredPoint(where, image, u, v, metres)


def depth_at(depth: Float[np.ndarray, "h w"], u: float, v: float) -> float:
    """Depth at column u, row v, bilinear between pixels; a ValueError outside the image."""
    height, width = depth.shape
    if not (0 <= u <= width - 1 and 0 <= v <= height - 1):
        raise ValueError(
            f"point ({u:g}, {v:g}) is outside an image of {width} x {height}: u is the column, "
            f"0 to {width - 1}, v the row, 0 to {height - 1}"
        )
    return float(ndimage.map_coordinates(depth.astype(np.float64), [[v], [u]], order=1)[0])
