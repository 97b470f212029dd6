"""Whether what moves is seen as a hole, over the frames of videos: needs no measured depth.

Where something moves is read from the motion masks of a scene, or found from the motion that
`ssmde track` found in it. What is counted is in `metrics/holes.py`.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, UInt8

from ssmde.console import counted
from ssmde.data.images import ImageError
from ssmde.data.motion import OFFSETS, read_source_frames
from ssmde.data.pseudo_labels import read_pseudo_depth
from ssmde.data.scene_files import TRACKED_POINTS, read_tracked_points
from ssmde.data.sequence import FrameSequence
from ssmde.evaluation.frames import SceneFrame, evenly, nearest
from ssmde.geometry.ground import find_movers, ground_plane
from ssmde.methods.self_supervised import least_error
from ssmde.metrics import HoleCounts, OrderCounts, hole_counts, order_counts, split_motion_mask
from ssmde.metrics.depth import Summable

FRAMES = 200  # looked at, evenly spread
FEWEST_POINTS = 20  # tracked in a frame, to know its unit
# The nearest frame a frame is compared with: the camera moved so far, as a share of the median
# depth, or so many frames passed. In a nearer one a mover has hardly moved, a farther one shows
# less of the scene; `OFFSETS` are made for a hand-held camera, which is at the most.
NEAREST_MOVE = 0.01
NEAREST_FRAME = (2, OFFSETS[0])

Points = tuple[Float32[np.ndarray, "_ 2"], Float32[np.ndarray, "_"]]
PointReader = Callable[[Path], dict[int, Points]]
NO_POINTS: Points = (np.zeros((0, 2), np.float32), np.zeros(0, np.float32))


@dataclass(frozen=True, kw_only=True, slots=True)
class MoverErrors(Summable):
    """Holes and wrong orders over the frames of one or several videos."""

    holes: HoleCounts = field(default_factory=HoleCounts)
    order: OrderCounts = field(default_factory=OrderCounts)
    """Against the labels of the scenes; no pairs without labels."""
    n_images: int = 0  # frames in which something moves
    n_images_from_masks: int = 0
    """Those of them whose movers a motion mask shows; in the others they were found."""

    def to_dict(self) -> dict[str, Any] | None:
        """Plain values, shares in [0, 1]; None if nothing moves."""
        moving = self.holes.moving
        if not moving:
            return None
        return {
            "holes": self.holes.pixel_rate,
            "beyond_ground": self.holes.beyond_ground / moving,
            "beyond_surround": self.holes.beyond_surround / moving,
            "hole_regions": self.holes.region_rate,
            "order_violations": self.order.rate,
            "n_regions": self.holes.regions,
            "n_images": self.n_images,
            "n_images_from_masks": self.n_images_from_masks,
        }


class MoverMeter:
    """Holes and wrong orders of predictions, added up over frames; see `MoverErrors`.

    Frames whose movers cannot be found, or whose prediction is not positive and finite, are left
    out.
    """

    def __init__(self) -> None:
        self.found = MoverErrors()
        self._read_points = lru_cache(1)(read_tracked_points)

    def add(
        self,
        frame: SceneFrame,
        prediction: Float[np.ndarray, "h w"],
        mask: UInt8[np.ndarray, "_ _"] | None = None,
    ) -> None:
        """One more frame; its mask is read if it is not given."""
        depth = np.asarray(prediction, dtype=np.float32)
        if np.isfinite(depth).all() and depth.min() > 0:
            with suppress(ImageError):
                mask = frame.read_mask() if mask is None else mask
                self.found += _frame_errors(depth, frame, mask, self._read_points)


def frames_with_movers(
    frames: Sequence[SceneFrame], max_frames: int | None = None
) -> list[SceneFrame]:
    """Those frames of which somebody knows what moves, evenly spread; at most 200.

    A scene has motion masks, or was tracked and has its camera.
    """
    return evenly([f for f in frames if _can_tell(f)], min(FRAMES, max_frames or FRAMES))


def movers_text(means: dict[str, Any] | None) -> list[str]:
    """What `MoverErrors.to_dict` holds, as a line to print; none where there is nothing to tell."""
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


def _can_tell(frame: SceneFrame) -> bool:
    scene = frame.scene
    if frame.motion_mask is not None:
        return True
    if scene.tracked_poses is None or scene.intrinsics is None:
        return False
    return scene.tracked_points is not None or (scene.images[0].parent / TRACKED_POINTS).is_file()


def _frame_errors(
    depth: Float[np.ndarray, "h w"],
    frame: SceneFrame,
    mask: UInt8[np.ndarray, "_ _"] | None,
    read_points: PointReader,
) -> MoverErrors:
    """Holes and wrong orders of one frame, on the pixel grid of its predicted depth.

    An ImageError if its movers cannot be found, or a file cannot be read.
    """
    scene, index = frame.scene, frame.index
    if mask is None:
        movers = _found_movers(depth * _unit(depth, scene, index, read_points), scene, index)
        static = ~movers
    else:
        static, movers = split_motion_mask(nearest(mask, depth.shape))
    maps = torch.from_numpy(np.stack([depth, ~static]))[:, None, None].float()
    ground = ground_plane(maps[0], maps[1] > 0)
    plane = None if ground is None else ground[0, 0].numpy()
    holes = hole_counts(depth, movers, plane, static=static)
    order, labels = OrderCounts(), _labels(scene, index, depth.shape)
    if labels is not None:
        known = np.where(movers | static, labels, 0)
        order = order_counts(depth, known, movers, np.random.default_rng(index))
    moves = holes.regions > 0
    from_mask = moves and mask is not None
    return MoverErrors(holes=holes, order=order, n_images=moves, n_images_from_masks=from_mask)


def _unit(
    depth: Float[np.ndarray, "h w"], scene: FrameSequence, index: int, read_points: PointReader
) -> float:
    """Factor from the unit of the depth to that of the tracked motion: the median of the points.

    An ImageError if too few points were tracked in the frame.
    """
    if scene.tracked_points is not None:
        pixels, tracked = scene.tracked_points[index] or NO_POINTS
    else:
        file = scene.images[0].parent / TRACKED_POINTS
        pixels, tracked = read_points(file).get(index, NO_POINTS)
    size = np.array(scene.image_size[::-1], dtype=np.float64)
    at = ((pixels + 0.5) * (np.array(depth.shape[::-1]) / size)).astype(np.int64)
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
    places = scene.tracked_poses[:, :3, 3].astype(np.float64)
    moved = np.linalg.norm(np.diff(places, axis=0), axis=1)
    known = moved[np.isfinite(moved)]
    middle = float(np.median(known)) if known.size else 0.0
    few, many = NEAREST_FRAME
    nearest = int(np.ceil(NEAREST_MOVE / max(middle, NEAREST_MOVE / many)).clip(few, many))
    return tuple(offset * nearest // OFFSETS[0] for offset in OFFSETS)


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
