"""Poses that came with the frames: their direction, axes and unit, tested by warping.

A target is warped from a source as the poses say, and as they would say if they meant something
else. What the author meant brings the frames together best.
"""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64

from ssmde.data.image_motion import TileFlow, tile_flow
from ssmde.data.images import ImageError, read_depth, read_mask
from ssmde.data.sequence import FrameSequence
from ssmde.diagnosis.edges import resample
from ssmde.diagnosis.finding import Finding
from ssmde.diagnosis.footage import GAPS, Footage, small_intrinsics, spread_out
from ssmde.diagnosis.motion import suggested_gaps
from ssmde.diagnosis.rotation import FEWEST
from ssmde.diagnosis.small_grey import read_small_grey, small_reduction
from ssmde.geometry.warp import reproject, sample

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


def check_poses(footage: Footage, most: int) -> list[Finding]:
    """Findings about the poses.txt of a scene, from at most so many pairs of frames."""
    sequence = footage.sequence
    if sequence.poses is None or sequence.intrinsics is None:
        return []
    rows = list(_warped(sequence, most))
    by = "warping with the measured depth"
    if len(rows) < FEWEST_PAIRS:
        rows, by = list(_followed(footage, most)), "following the image motion"
    if len(rows) < FEWEST_PAIRS:
        return []
    ratios = {
        name: np.array([row[name] / row[GIVEN] for row in rows])
        for name in rows[0]
        if name != GIVEN
    }
    best = min(MEANINGS, key=lambda name: float(np.median(ratios[name])))
    if np.median(ratios[best]) < CLEARLY and np.mean(ratios[best] < 1) >= VOTES:
        return [_direction(sequence.name, best, float(np.median(ratios[best])), by)]
    return _unit(sequence, ratios) or _unexplained(sequence, ratios)


def meanings(
    target: Float64[np.ndarray, "4 4"], source: Float64[np.ndarray, "4 4"]
) -> dict[str, Float64[np.ndarray, "4 4"]]:
    """`T_src_tgt` for what two poses may mean; the first is camera to world, as it should be."""
    given, turned = np.linalg.inv(source) @ target, source @ np.linalg.inv(target)
    return {
        GIVEN: given,
        "reversed": turned,
        "OpenGL axes": FLIP @ given @ FLIP,
        "reversed, OpenGL axes": FLIP @ turned @ FLIP,
    }


def _warped(sequence: FrameSequence, most: int) -> Iterator[dict[str, float]]:
    """Error of each meaning, unit, and of no warp at all, for frames with measured depth."""
    assert sequence.poses is not None
    if sequence.depth is None:
        return
    frames = [i for i, path in enumerate(sequence.depth) if path is not None]
    intrinsics = _tensor(small_intrinsics(sequence)[None])
    for target in [frames[k] for k in spread_out(len(frames), most)]:
        try:
            image = _tensor(_grey(sequence, target))
            depth = _of_static(sequence, target)
            depth = _tensor(resample(depth, (image.shape[2], image.shape[3]))[None, None])
            for source in _sources(sequence, target):
                T = meanings(sequence.poses[target], sequence.poses[source])
                moved = _moved(depth, T[GIVEN], intrinsics)
                if moved > MOVED[1]:
                    break
                if moved > MOVED[0]:
                    other = _tensor(_grey(sequence, source))
                    yield _errors(image, other, depth, T, intrinsics)
                    break
        except ImageError:  # a finding of its own
            continue


def _of_static(sequence: FrameSequence, frame: int) -> Float32[np.ndarray, "h w"]:
    """Measured depth, 0 where the scene's masks say that something moves."""
    assert sequence.depth is not None
    path = sequence.depth[frame]
    assert path is not None
    depth = read_depth(path, sequence.depth_units_per_metre, image_size=sequence.image_size)
    mask = sequence.motion_masks[frame] if sequence.motion_masks else None
    if mask is None:
        return depth
    moving = (
        resample(read_mask(mask, image_size=sequence.image_size), (depth.shape[0], depth.shape[1]))
        == MOVING
    )
    return np.where(moving, np.float32(0), depth)


def _grey(sequence: FrameSequence, frame: int) -> Float32[np.ndarray, "1 1 h w"]:
    """A frame at the size of the small pictures.

    Raises:
        ImageError: If it cannot be read, or has another size than the others.
    """
    path, size = sequence.images[frame], sequence.image_size
    grey = read_small_grey(path, size)
    if grey.shape != tuple(side // small_reduction(size) for side in size):
        raise ImageError(f"{path}: has another size than the frames before")
    return grey[None, None]


def _sources(sequence: FrameSequence, target: int) -> list[int]:
    """Frames with a pose ever farther away, behind the target or else before it."""
    assert sequence.poses is not None
    ends = [target + gap if target + gap < len(sequence) else target - gap for gap in GAPS]
    known = _known(sequence.poses)
    return [end for end in ends if end >= 0 and known[end] and known[target]]


def _known(poses: Float[np.ndarray, "n 4 4"]) -> Bool[np.ndarray, "n"]:
    return np.isfinite(poses.reshape(len(poses), -1).sum(axis=1))


def _moved(depth: torch.Tensor, T: Float64[np.ndarray, "4 4"], intrinsics: torch.Tensor) -> float:
    """Motion of the image in the median, as a share of the longer side."""
    pixels = reproject(depth, _tensor(T[None]), intrinsics).pixels
    still = reproject(depth, torch.eye(4)[None], intrinsics).pixels
    way = (pixels - still).norm(dim=-1)[depth[:, 0] > 0]
    return float(way.median()) / max(depth.shape) if len(way) else float("inf")


def _errors(
    target: torch.Tensor,
    source: torch.Tensor,
    depth: torch.Tensor,
    T: dict[str, Float64[np.ndarray, "4 4"]],
    intrinsics: torch.Tensor,
) -> dict[str, float]:
    """Mean difference of grey after each warp, its median taken for a change of exposure."""
    motions = T | {"unwarped": np.eye(4)}
    for scale in SCALES:
        scaled = T[GIVEN].copy()
        scaled[:3, 3] *= scale
        motions[f"{scale:g}"] = scaled
    errors: dict[str, float] = {}
    for name, motion in motions.items():
        pixels, _, visible = reproject(depth, _tensor(motion[None]), intrinsics)
        seen = visible & (depth > 0)
        left = (sample(source, pixels) - target)[seen]
        enough = len(left) > FEWEST_SEEN * int((depth > 0).sum())
        errors[name] = float((left - left.median()).abs().mean()) + 1e-4 if enough else 1.0
    return errors


def _followed(footage: Footage, most: int) -> Iterator[dict[str, float]]:
    """For each meaning how far tiles are, in the median, from where any depth would put them."""
    sequence = footage.sequence
    assert sequence.poses is not None
    intrinsics = small_intrinsics(sequence)
    gap = (suggested_gaps(footage) or (1,))[0]
    known = _known(sequence.poses)
    targets = np.flatnonzero(known[: len(known) - gap] & known[gap:])
    for target in targets[spread_out(len(targets), most)].tolist():
        try:
            images = [_grey(sequence, i)[0, 0] for i in (target, target + gap)]
        except ImageError:
            continue
        flow = tile_flow(images[0], images[1])
        if flow.found.sum() >= FEWEST:
            T = meanings(sequence.poses[target], sequence.poses[target + gap])
            yield {name: _missed(flow, motion, intrinsics) for name, motion in T.items()}


def _missed(
    flow: TileFlow, T: Float64[np.ndarray, "4 4"], intrinsics: Float64[np.ndarray, "3 3"]
) -> float:
    """Pixels between the tiles and where the best positive depth of each would put them."""
    before = flow.centres[flow.found]
    after = before + flow.motion[flow.found]
    rays = np.concatenate([before, np.ones((len(before), 1))], 1) @ np.linalg.inv(intrinsics).T
    step = T[:3, 3] / max(float(np.linalg.norm(T[:3, 3])), 1e-9)
    points = (rays @ T[:3, :3].T)[:, None] + INVERSE_DEPTHS[:, None] * step
    ahead = points[..., 2] > 1e-3
    there = points @ intrinsics.T
    there = there[..., :2] / np.where(ahead, there[..., 2], 1)[..., None]
    distance = np.linalg.norm(there - after[:, None], axis=-1)
    return float(np.median(np.where(ahead, distance, np.inf).min(1))) + NOISE


def _direction(scene: str, meaning: str, ratio: float, by: str) -> Finding:
    what, _, remedy = MEANINGS[meaning].partition(": ")
    return Finding(
        name="pose-direction", severity="blocking", scene=scene,
        what=f"poses.txt seems to lead from {what}" if "reversed" in meaning else
        f"poses.txt seems to lead from camera to world, but {what}",
        remedy=f"{remedy}; it has to be camera to world, with x right, y down, z forward "
        f"({by}, the error is then {ratio:.2f} of what it is now)",
    )  # fmt: skip


def _unit(sequence: FrameSequence, ratios: dict[str, Float64[np.ndarray, "n"]]) -> list[Finding]:
    """Says if the frames agree better when the camera moved several times as far."""
    medians = {scale: np.median(ratios[key]) for scale in SCALES if (key := f"{scale:g}") in ratios}
    if not medians:
        return []
    scale = min(medians, key=lambda scale: medians[scale])
    if medians[scale] >= SCALED or np.mean(ratios[f"{scale:g}"] < 1) < VOTES:
        return []
    units = sequence.depth_units_per_metre
    return [
        Finding(
            name="depth-unit", severity="warning", scene=sequence.name,
            what="measured depth and poses differ in their unit: frames agree best when the depth "
            f"is divided by {scale:g}, or the camera moves {scale:g} times as far",
            remedy=f"set depth_units_per_metre in scene.json to about {units * scale:g}, or write "
            "the poses in metres" if units else "write depth and poses in metres",
        )
    ]  # fmt: skip


def _unexplained(
    sequence: FrameSequence, ratios: dict[str, Float64[np.ndarray, "n"]]
) -> list[Finding]:
    if "unwarped" not in ratios or 1 / np.median(ratios["unwarped"]) < UNWARPED:
        return []
    return [
        Finding(
            name="poses-unlike", severity="warning", scene=sequence.name,
            what="poses.txt does not explain the images: warping with it and the measured depth "
            "brings frames no closer to each other",
            remedy="check that there is one pose for each frame, of the colour camera, in metres; "
            "or delete poses.txt and let `ssmde track` find the motion",
        )
    ]  # fmt: skip


def _tensor(values: Float32[np.ndarray, "..."] | Float64[np.ndarray, "..."]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
