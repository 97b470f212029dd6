"""What moves is no deeper than the ground it stands on: the one bound that a video gives it.

Geometry says nothing of a mover's depth, and a network that has not seen such people often puts
them too far. But where they stand, the ground does not move, and its depth is well determined. What
the lower edge of the image cuts off stands nearer than the nearest ground in view. It is ours; no
paper has it. What it brings is in docs/decisions/0024-movers-come-to-the-ground.md.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage

from ssmde.data.images import ImageError
from ssmde.data.motion import OFFSETS, read_source_frames
from ssmde.data.scene_files import TrackedPoints
from ssmde.data.sequence import DepthMap, FrameSequence
from ssmde.geometry.ground import find_movers
from ssmde.methods.self_supervised import least_error
from ssmde.metrics import ground_depth

WIDTH = 160  # pixels, about: at which movers are looked for; more is slow and finds no others
# A tracked point whose depth the label meets (difference of the logarithms) stands still, and so do
# the pixels so near to it (share of the width).
MEETS, AROUND = 0.15, 0.02
SMALLEST = 0.02  # share of the image; smaller regions are often no movers
# A patch of floor that looks like a mover has the depth of the ground; half of a mover has not.
OFF_GROUND = 0.1  # difference of the logarithms
REACH = 0.1  # share of the width: a column may take its contact from columns so far away
SLACK = 1.1  # of that contact: outlines of what moves reach a little below its feet
# What is cut off is nearer than the nearest ground in view: at .8 of it on average over nine people
# of `bonn_crowd`. Equal chance for equal area of ground up to there would give 2/3.
CUT_OFF = 0.8
LEAST = 0.3  # nothing is brought nearer than this share of its depth
# The nearest frame a frame is compared with: the camera moved so far, as a share of the median
# depth, or so many frames passed. In a nearer one a mover has hardly moved, a farther one shows
# less of the scene; `OFFSETS` are made for a hand-held camera, which is at the most.
NEAREST_MOVE = 0.01
NEAREST_FRAME = (2, OFFSETS[0])


def bring_movers_forward(
    depth: DepthMap, scene: FrameSequence, index: int, points: TrackedPoints
) -> DepthMap:
    """A label in the unit of the tracked motion, in which no mover is deeper than where it stands.

    Each region that moves is scaled as a whole, and never moved away. The label comes back as it is
    where it has gaps, or the motion of its frame is not known.
    """
    if scene.intrinsics is None or scene.tracked_poses is None or not (depth > 0).all():
        return depth
    step = max(1, round(depth.shape[1] / WIDTH))
    small = np.ascontiguousarray(depth[step // 2 :: step, step // 2 :: step])
    try:
        movers = found_movers(small, scene, index)
    except ImageError:
        return depth
    movers &= ~_still(small, points, scene.image_size)
    factor = ground_factor(small, ndimage.binary_opening(movers))
    rows, columns = (
        (np.arange(n) // step).clip(max=m - 1)
        for n, m in zip(depth.shape, small.shape, strict=True)
    )
    return (depth * factor[rows][:, columns]).astype(np.float32)


def found_movers(depth: DepthMap, scene: FrameSequence, index: int) -> Bool[np.ndarray, "h w"]:
    """What looks like it does in no other frame; the depth is in the unit of the tracked motion.

    What keeps its distance from the camera looks alike at an infinite depth, where a hole puts it.
    So no pixel is tried deeper than the ground in its place. An `ImageError` if the motion of the
    frame is not known.
    """
    size = (depth.shape[0], depth.shape[1])
    views, T_other_view, K = read_source_frames(scene, index, size, _offsets(scene))
    images = torch.from_numpy(views).permute(0, 3, 1, 2).float() / 255
    ground = ground_depth(depth, np.zeros(size, dtype=bool))
    static = depth if ground is None else np.minimum(depth, ground)
    error = least_error(
        images[:1],
        images[1:],
        torch.from_numpy(static).float()[None, None],
        torch.from_numpy(T_other_view).float(),
        torch.from_numpy(K).float()[None],
    )
    return find_movers(error)[0, 0].numpy()


def ground_factor(depth: DepthMap, movers: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """What brings each mover of a depth map to where it stands, as a factor; 1 elsewhere.

    Of each region the median over its columns decides: the ground at its lowest pixel, or .8 of
    that where the lower edge cuts it off, against its median depth there.
    """
    factor, (height, width) = np.ones(depth.shape), depth.shape
    ground = ground_depth(depth, movers)
    if ground is None:
        return factor
    found: Any = ndimage.label(movers)  # pixels that share a side are one region
    for number in range(1, found[1] + 1):
        region = found[0] == number
        off = np.abs(np.log(depth[region]) - np.log(ground[region])) > OFF_GROUND
        if region.mean() < SMALLEST or off.mean() < 0.5:
            continue
        lowest = np.where(region, np.arange(height)[:, None], -1).max(0)
        here = np.flatnonzero(lowest >= 0)
        contact: Any = ndimage.maximum_filter1d(lowest, 2 * round(REACH * width) + 1)[here]
        bound = ground[contact, here] * np.where(contact >= height - 2, CUT_OFF, SLACK)
        middle = np.array([np.median(depth[region[:, column], column]) for column in here])
        factor[region] = np.median(bound / middle).clip(LEAST, 1)
    return factor


def _still(
    depth: DepthMap, points: TrackedPoints, stored: tuple[int, int]
) -> Bool[np.ndarray, "h w"]:
    """Pixels around tracked points that the label meets."""
    pixels, tracked = points
    scale = np.array(depth.shape[::-1]) / stored[::-1]
    columns, rows = np.rint((pixels + 0.5) * scale - 0.5).astype(int).T
    rows, columns = rows.clip(0, depth.shape[0] - 1), columns.clip(0, depth.shape[1] - 1)
    meets = np.abs(np.log(depth[rows, columns] / tracked)) < MEETS
    away = np.ones(depth.shape, dtype=bool)
    away[rows[meets], columns[meets]] = False
    if away.all():
        return ~away
    distance: Any = ndimage.distance_transform_edt(away)
    return distance < AROUND * depth.shape[1]


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
