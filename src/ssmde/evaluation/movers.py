"""Whether what moves is seen as a hole, over the frames of videos: needs no measured depth.

Where something moves is read from the motion masks of a scene, or found from the motion that
`ssmde track` found in it. What is counted is in `metrics/holes.py`.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from ssmde.console import counted
from ssmde.data.images import ImageError
from ssmde.data.motion import OFFSETS, read_source_frames
from ssmde.data.pseudo_labels import read_pseudo_depth
from ssmde.data.scene_files import TRACKED_POINTS, TrackedPoints, read_tracked_points
from ssmde.data.sequence import FrameSequence
from ssmde.evaluation.frames import SceneFrame, evenly, nearest
from ssmde.geometry.ground import find_movers, ground_plane
from ssmde.methods.self_supervised import least_error
from ssmde.metrics import MoverCounts, hole_counts, order_counts, split_motion_mask

FRAMES = 200  # looked at, evenly spread
FEWEST_POINTS = 20  # tracked in a frame, to know its unit
# The nearest frame a frame is compared with: the camera moved so far, as a share of the median
# depth, or so many frames passed. In a nearer one a mover has hardly moved, a farther one shows
# less of the scene; `OFFSETS` are made for a hand-held camera, which is at the most.
NEAREST_MOVE = 0.01
NEAREST_FRAME = (2, OFFSETS[0])


def frames_with_movers(
    frames: Sequence[SceneFrame], max_frames: int | None = None
) -> list[SceneFrame]:
    """Those frames of which somebody knows what moves, evenly spread; at most 200.

    A scene has motion masks, or was tracked and has its camera.
    """
    known = [f for f in frames if f.motion_mask is not None or _is_tracked(f.scene)]
    return evenly(known, min(FRAMES, max_frames or FRAMES))


def mover_counts(
    frame: SceneFrame,
    prediction: Float[np.ndarray, "h w"],
    mask: UInt8[np.ndarray, "_ _"] | None = None,
) -> MoverCounts:
    """Holes and wrong orders of one frame, on the pixel grid of its predicted depth.

    Nothing where its movers cannot be found, or the prediction is not positive and finite. The
    mask is read if it is not given.
    """
    depth, scene, index = np.asarray(prediction, dtype=np.float32), frame.scene, frame.index
    if not (np.isfinite(depth).all() and depth.min() > 0):
        return MoverCounts()
    try:
        mask = frame.read_mask() if mask is None else mask
        if mask is None:
            movers = _found_movers(depth * _unit(depth, scene, index), scene, index)
            static = ~movers
        else:
            static, movers = split_motion_mask(nearest(mask, depth.shape))
        labels = _labels(scene, index, depth.shape)
    except ImageError:
        return MoverCounts()
    maps = torch.from_numpy(np.stack([depth, ~static]))[:, None, None].float()
    ground = ground_plane(maps[0], maps[1] > 0)
    plane = None if ground is None else ground[0, 0].numpy()
    found = hole_counts(depth, movers, plane, static=static)
    if labels is not None:
        known = np.where(movers | static, labels, 0)
        found += order_counts(depth, known, movers, np.random.default_rng(index))
    moves = int(found.regions > 0)
    return replace(found, n_images=moves, n_images_from_masks=moves * (mask is not None))


def movers_means(found: MoverCounts | None) -> dict[str, Any] | None:
    """Plain values of `metrics.json`, shares in [0, 1]; None if nothing moves."""
    if found is None or not found.moving:
        return None
    return {
        "holes": found.hole_rate,
        "beyond_ground": found.beyond_ground / found.moving,
        "beyond_surround": found.beyond_surround / found.moving,
        "hole_regions": found.hole_regions / found.regions,
        "order_violations": found.order_rate,
        "n_regions": found.regions,
        "n_images": found.n_images,
        "n_images_from_masks": found.n_images_from_masks,
    }


def movers_text(means: dict[str, Any] | None) -> list[str]:
    """What `movers_means` says, as a line to print; none where there is nothing to tell."""
    if means is None:
        return []
    masks = means["n_images_from_masks"]
    origin = "by motion masks" if masks else "found in the video"
    if 0 < masks < means["n_images"]:
        origin = f"by motion masks in {counted(masks, 'image')}, else found in the video"
    line = (
        f"movers without truth, no alignment: {means['holes']:.1%} of their pixels are holes "
        f"({means['beyond_ground']:.1%} deeper than the ground they stand on, "
        f"{means['beyond_surround']:.1%} deeper than all around), {means['hole_regions']:.1%} of "
        f"{counted(means['n_regions'], 'region')}, {counted(means['n_images'], 'image')}, "
        f"movers {origin}"
    )
    order = means["order_violations"]
    return [line + ("" if order is None else f"; order unlike the labels {order:.1%}")]


def _points_file(scene: FrameSequence) -> Path:
    return scene.images[0].parent / TRACKED_POINTS


def _is_tracked(scene: FrameSequence) -> bool:
    if scene.tracked_poses is None or scene.intrinsics is None:
        return False
    return scene.tracked_points is not None or _points_file(scene).is_file()


@lru_cache(1)
def _read_points(file: Path, changed: int) -> dict[int, TrackedPoints]:
    """Of all frames of a scene; they are asked for frame by frame."""
    return read_tracked_points(file)


def _unit(depth: Float[np.ndarray, "h w"], scene: FrameSequence, index: int) -> float:
    """Factor from the unit of the depth to that of the tracked motion: the median of the points."""
    if scene.tracked_points is None:
        file = _points_file(scene)
        points = _read_points(file, file.stat().st_mtime_ns).get(index)
    else:
        points = scene.tracked_points[index]
    pixels, tracked = points or (np.zeros((0, 2)), np.zeros(0))
    scale = np.array(depth.shape[::-1]) / scene.image_size[::-1]
    at = ((pixels + 0.5) * scale).astype(np.int64)
    here = ((at >= 0) & (at < depth.shape[::-1])).all(1) & np.isfinite(tracked) & (tracked > 0)
    if here.sum() < FEWEST_POINTS:
        raise ImageError(f"{scene.frame_name(index)}: fewer than {FEWEST_POINTS} tracked points")
    return float(np.median(tracked[here] / depth[at[here, 1], at[here, 0]]))


def _found_movers(
    depth: Float[np.ndarray, "h w"], scene: FrameSequence, index: int
) -> Bool[np.ndarray, "h w"]:
    """What looks like it does in no other frame; the depth is in the unit of the tracked motion.

    What keeps its distance from the camera looks alike at an infinite depth, where a hole puts it.
    So no pixel is tried deeper than the ground in its place.
    """
    static = torch.from_numpy(depth.astype(np.float32))[None, None]
    size = (depth.shape[0], depth.shape[1])
    views, T_other_view, K = read_source_frames(scene, index, size, _offsets(scene))
    images = torch.from_numpy(views).permute(0, 3, 1, 2).float() / 255
    ground = ground_plane(static, torch.zeros_like(static, dtype=torch.bool))
    error = least_error(
        images[:1],
        images[1:],
        static if ground is None else torch.minimum(static, ground),
        torch.from_numpy(T_other_view).float(),
        torch.from_numpy(K).float()[None],
    )
    return find_movers(error)[0, 0].numpy()


def _offsets(scene: FrameSequence) -> tuple[int, ...]:
    """Frames before and after which a frame is compared with."""
    assert scene.tracked_poses is not None
    moved = np.linalg.norm(
        np.diff(scene.tracked_poses[:, :3, 3].astype(np.float64), axis=0), axis=1
    )
    known = moved[np.isfinite(moved)]
    middle = float(np.median(known)) if known.size else 0.0
    few, many = NEAREST_FRAME
    first = int(np.ceil(NEAREST_MOVE / max(middle, NEAREST_MOVE / many)).clip(few, many))
    return tuple(offset * first // OFFSETS[0] for offset in OFFSETS)


def _labels(
    scene: FrameSequence, index: int, size: tuple[int, ...]
) -> Float[np.ndarray, "h w"] | None:
    """The label as something that grows with depth, at a size; 0 where it has no value."""
    path = None if scene.pseudo_depth is None else scene.pseudo_depth[index]
    if path is None:
        return None
    values = nearest(read_pseudo_depth(path, image_size=scene.image_size), size)
    if scene.pseudo_depth_kind == "disparity":
        return np.where(values > 0, 1.01 * values.max() - values, 0)
    return values
