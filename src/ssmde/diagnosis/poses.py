"""Poses that came with the frames: their direction, axes and unit, tested by warping.

A target is warped from a source as the poses say, and as they would say if they meant something
else. What the author meant brings the frames together best.
"""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float32, Float64
from torch import Tensor

from ssmde.console import counted
from ssmde.data.images import ImageError, read_depth, read_mask
from ssmde.data.motion import TileFlow, tile_flow
from ssmde.data.scene_files import TRACKED_INFO
from ssmde.data.sequence import FrameSequence
from ssmde.diagnosis import Finding
from ssmde.diagnosis.depth import resample
from ssmde.diagnosis.video import (
    FEWEST_TILES,
    GAPS,
    VideoStatistics,
    read_small_gray,
    small_intrinsics,
    small_size,
    spread_out,
    suggested_gaps,
)
from ssmde.geometry.warp import reproject, sample
from ssmde.io import read_json

Pose = Float64[np.ndarray, "4 4"]

FEWEST_PAIRS = 4
MOVED = (0.02, 0.2)  # motion of a pair, as a share of the longer side, that tells something
CLEARLY = 0.9  # error of another meaning, as a share of that of ours, that speaks for it
VOTES = 0.75  # share of the pairs that say so
UNWARPED = 1.0  # share of the error without a warp, above which the poses explain nothing
FEWEST_SEEN = 0.2  # share of the pixels that are seen in the source
SCALES = (0.001, 0.01, 0.1, 0.2, 0.5, 2.0, 5.0, 10.0, 100.0, 1000.0)
SCALED = 0.93  # error with another unit, as a share of that with ours, that speaks for it
NOISE = 0.1  # pixels that the motion of tiles is uncertain by
INVERSE_DEPTHS = np.concatenate([[0], np.geomspace(0.002, 0.5, 30)])  # of the camera's step
MOVING = 255  # in a motion mask
FLIP = np.diag([1.0, -1.0, -1.0, 1.0])  # camera axes of OpenGL: y up, z backward
GIVEN = "as they are"
MEANINGS = {
    "reversed": "world to camera: write the inverse of each matrix",
    "OpenGL axes": "to a camera with y up and z backward: negate the second and third column of "
    "each matrix",
    "reversed, OpenGL axes": "world to a camera with y up and z backward: write the inverse of "
    "each matrix, then negate its second and third column",
}


def check_poses(video: VideoStatistics, most: int) -> Iterator[Finding]:
    """Findings about the poses.txt of a scene, from at most so many pairs of frames."""
    sequence = video.sequence
    if sequence.poses is None or sequence.intrinsics is None:
        return
    rows, by = list(_warp_errors(sequence, most)), "warping with the measured depth"
    if len(rows) < FEWEST_PAIRS:
        rows, by = list(_tile_errors(video, most)), "following the image motion"
    if len(rows) < FEWEST_PAIRS:
        return
    ratios = {name: np.array([row[name] / row[GIVEN] for row in rows]) for name in rows[0]}
    medians = {name: float(np.median(values)) for name, values in ratios.items()}

    def is_better(name: str, limit: float) -> bool:
        votes = np.mean(ratios.get(name, np.inf) < np.float64(1))  # share of the pairs
        return medians.get(name, np.inf) < limit and bool(votes >= VOTES)

    best = min(MEANINGS, key=lambda name: medians[name])
    scale = min((s for s in SCALES if str(s) in medians), key=lambda s: medians[str(s)], default=0)
    if is_better(best, CLEARLY):
        what, _, remedy = MEANINGS[best].partition(": ")
        from_to = "from" if "reversed" in best else "from camera to world, but"
        yield Finding(
            "pose-direction", "blocking", f"poses.txt seems to lead {from_to} {what}",
            f"{remedy}; it has to be camera to world, with x right, y down, z forward "
            f"({by}, the error is then {medians[best]:.2f} of what it is now)",
        )  # fmt: skip
    elif is_better(str(scale), SCALED):
        units = sequence.depth_units_per_metre
        yield Finding(
            "depth-unit", "warning", "measured depth and poses differ in their unit: frames agree "
            f"best when the depth is divided by {scale:g}, or the camera moves {scale:g} times as "
            "far", f"set depth_units_per_metre in scene.json to about {units * scale:g}, or write "
            "the poses in metres" if units else "write depth and poses in metres",
        )  # fmt: skip
    elif "unwarped" in medians and 1 / medians["unwarped"] >= UNWARPED:
        yield Finding(
            "poses-unlike", "warning", "poses.txt does not explain the images: warping with it and "
            "the measured depth brings frames no closer to each other",
            "check that there is one pose for each frame, of the color camera, in metres; or "
            "delete poses.txt and let `ssmde track` find the motion",
        )  # fmt: skip


def check_tracking(sequence: FrameSequence) -> Iterator[Finding]:
    """How far the motion that `ssmde track` found can be trusted."""
    path = sequence.images[0].parent / TRACKED_INFO
    if sequence.tracked_poses is None or not path.is_file():
        return
    info = read_json(path)
    explained, doubtful, standing = (info[name] for name in ("explained", "doubtful", "standing"))
    if explained is None:
        return
    what = f"tracked motion explains {explained:.0%} of the matches of distant frames"
    what += f"; the camera stands in {counted(standing, 'frame')}" if standing else ""
    if not doubtful:
        yield Finding("tracked-motion", "note", what, "good motion has 90 % and more: use it")
        return
    yield Finding(
        "tracked-motion-doubtful", "warning",
        f"{what}; {counted(doubtful, 'frame')} of {len(sequence)} are left out: most of what is "
        "seen there moves, such as cars ahead as fast as the camera",
        "train without --data.poses tracked, so that a pose network finds the motion, or leave "
        "the scene out",
    )  # fmt: skip


def _meanings(target: Pose, source: Pose) -> dict[str, Pose]:
    """`T_src_tgt` for what two poses may mean; the first is camera to world, as it should be."""
    given, turned = np.linalg.inv(source) @ target, source @ np.linalg.inv(target)
    return {
        GIVEN: given, "reversed": turned, "OpenGL axes": FLIP @ given @ FLIP,
        "reversed, OpenGL axes": FLIP @ turned @ FLIP,
    }  # fmt: skip


def _warp_errors(sequence: FrameSequence, most: int) -> Iterator[dict[str, float]]:
    """Error of each meaning, unit, and of no warp at all, for frames with measured depth."""
    poses, paths = sequence.poses, sequence.depth
    if paths is None or poses is None:
        return
    frames = [i for i, path in enumerate(paths) if path is not None]
    intrinsics, known = _tensor(small_intrinsics(sequence)[None]), np.isfinite(poses.sum((1, 2)))
    for target in [frames[k] for k in spread_out(len(frames), most)]:
        ends = [target + gap if target + gap < len(sequence) else target - gap for gap in GAPS]
        sources = [end for end in ends if end >= 0 and known[end] and known[target]]
        try:
            image = _tensor(_gray(sequence, target))
            depth = resample(_depth_of_static(sequence, target), (image.shape[2], image.shape[3]))
            depth = _tensor(depth[None, None])
            for source in sources:  # ever farther away
                T = _meanings(poses[target], poses[source])
                moved = _moved(depth, T[GIVEN], intrinsics)
                if moved > MOVED[1]:
                    break
                if moved > MOVED[0]:
                    other = _tensor(_gray(sequence, source))
                    yield _errors(image, other, depth, T, intrinsics)
                    break
        except ImageError:  # a finding of its own
            continue


def _depth_of_static(sequence: FrameSequence, frame: int) -> Float32[np.ndarray, "h w"]:
    """Measured depth, 0 where the scene's masks say that something moves."""
    path = sequence.depth[frame] if sequence.depth else None
    assert path is not None
    size = sequence.image_size
    depth = read_depth(path, sequence.depth_units_per_metre, image_size=size)
    mask = sequence.motion_masks[frame] if sequence.motion_masks else None
    if mask is not None:
        moving = resample(read_mask(mask, image_size=size), (depth.shape[0], depth.shape[1]))
        depth = np.where(moving == MOVING, np.float32(0), depth)
    return depth


def _gray(sequence: FrameSequence, frame: int) -> Float32[np.ndarray, "1 1 h w"]:
    """A small gray frame; `ImageError` if it cannot be read or has another size."""
    path, size = sequence.images[frame], sequence.image_size
    gray = read_small_gray(path, size)
    if gray.shape != small_size(size):
        raise ImageError(f"{path}: has another size than the frames before")
    return gray[None, None]


def _moved(depth: Tensor, T: Pose, intrinsics: Tensor) -> float:
    """Motion of the image in the median, as a share of the longer side."""
    pixels = reproject(depth, _tensor(T[None]), intrinsics).pixels
    still = reproject(depth, torch.eye(4)[None], intrinsics).pixels
    way = (pixels - still).norm(dim=-1)[depth[:, 0] > 0]
    return float(way.median()) / max(depth.shape) if len(way) else float("inf")


def _errors(
    target: Tensor, source: Tensor, depth: Tensor, T: dict[str, Pose], intrinsics: Tensor
) -> dict[str, float]:
    """Mean difference of gray after each warp, its median taken for a change of exposure."""
    motions = T | {"unwarped": np.eye(4)}
    for scale in SCALES:
        motions[str(scale)] = T[GIVEN].copy()
        motions[str(scale)][:3, 3] *= scale
    errors: dict[str, float] = {}
    for name, motion in motions.items():
        pixels, _, visible = reproject(depth, _tensor(motion[None]), intrinsics)
        seen = visible & (depth > 0)
        left = (sample(source, pixels) - target)[seen]
        # A warp that leaves the picture must not win by the few pixels it still sees.
        enough = len(left) > FEWEST_SEEN * int((depth > 0).sum())
        errors[name] = float((left - left.median()).abs().mean()) + 1e-4 if enough else 1.0
    return errors


def _tile_errors(video: VideoStatistics, most: int) -> Iterator[dict[str, float]]:
    """For each meaning how far tiles are, in the median, from where any depth would put them."""
    sequence, poses = video.sequence, video.sequence.poses
    assert poses is not None
    intrinsics, gap = small_intrinsics(sequence), (suggested_gaps(video) or (1,))[0]
    known = np.isfinite(poses.sum((1, 2)))
    targets = np.flatnonzero(known[: len(known) - gap] & known[gap:])
    for target in targets[spread_out(len(targets), most)].tolist():
        try:
            flow = tile_flow(*(_gray(sequence, i)[0, 0] for i in (target, target + gap)))
        except ImageError:
            continue
        if flow.found.sum() >= FEWEST_TILES:
            T = _meanings(poses[target], poses[target + gap])
            yield {name: _missed(flow, motion, intrinsics) for name, motion in T.items()}


def _missed(flow: TileFlow, T: Pose, intrinsics: Float64[np.ndarray, "3 3"]) -> float:
    """Pixels between the tiles and where the best positive depth of each would put them."""
    before = flow.centers[flow.found]
    after = before + flow.motion[flow.found]
    rays = np.concatenate([before, np.ones((len(before), 1))], 1) @ np.linalg.inv(intrinsics).T
    # A point at depth 1 / q lies at (R ray + q t) / q: the division by q drops out of the pixel.
    step = T[:3, 3] / max(float(np.linalg.norm(T[:3, 3])), 1e-9)
    points = (rays @ T[:3, :3].T)[:, None] + INVERSE_DEPTHS[:, None] * step
    ahead = points[..., 2] > 1e-3
    there = points @ intrinsics.T
    there = there[..., :2] / np.where(ahead, there[..., 2], 1)[..., None]
    distance = np.linalg.norm(there - after[:, None], axis=-1)
    return float(np.median(np.where(ahead, distance, np.inf).min(1))) + NOISE


def _tensor(values: Float32[np.ndarray, "..."] | Float64[np.ndarray, "..."]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
